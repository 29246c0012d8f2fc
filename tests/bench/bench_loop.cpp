// The loop that somebody without mlc writes to time a TorchScript file: what `mlc bench` adds is
// the difference to it. Same settings: frozen, without profiling, InferenceMode.
//
//   bench_loop FILE THREADS WARMUP RUNS DIM...    prints min and median of RUNS calls in us
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/csrc/jit/serialization/import.h>

namespace {

using Clock = std::chrono::steady_clock;

void run(const std::vector<std::string>& arguments) {
  at::set_num_threads(std::stoi(arguments[1]));
  const int warmup = std::stoi(arguments[2]);
  const int runs = std::stoi(arguments[3]);
  std::vector<int64_t> sizes;
  for (size_t i = 4; i < arguments.size(); ++i) sizes.push_back(std::stoll(arguments[i]));

  torch::jit::getProfilingMode() = false;
  torch::jit::Module module = torch::jit::load(arguments[0]);
  module.eval();
  module = torch::jit::freeze(module);
  const c10::InferenceMode inference;
  const auto forward = module.get_method("forward");
  const std::vector<torch::jit::IValue> inputs = {at::randn(sizes)};
  for (int i = 0; i < warmup + 1; ++i) forward(inputs);
  std::vector<double> samples;
  for (int i = 0; i < runs; ++i) {
    const Clock::time_point start = Clock::now();
    const torch::jit::IValue result = forward(inputs);
    samples.push_back(std::chrono::duration<double, std::micro>(Clock::now() - start).count());
  }
  std::ranges::sort(samples);
  std::printf("%.3f %.3f\n", samples.front(), samples[samples.size() / 2]);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 6) {
    std::fputs("usage: bench_loop FILE THREADS WARMUP RUNS DIM...\n", stderr);
    return 2;
  }
  try {
    run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench_loop: %s\n", error.what());
    return 1;
  }
  return 0;
}
