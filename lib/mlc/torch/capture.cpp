#include "mlc/torch/capture.h"

#include "mlc/base/text.h"
#include "mlc/engine/lanes.h"
#include "mlc/torch/capturer.h"
#include "mlc/torch/guarded.h"

#include <algorithm>
#include <utility>

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

namespace mlc::torch_module {
namespace {

/// Two points make a line, the third says whether it is one, the fourth whether that was chance.
constexpr size_t kLanes = 4;
/// Where the program writes into a weight, the attempt begins again: once for each such weight.
constexpr int kMostAttempts = 1000;

struct Varying {
  std::vector<LaneSymbol> symbols;
  std::vector<int64_t> fixed;  // all other sizes
};

Varying varying(const CaptureRequest& request) {
  Varying out;
  for (const InputSpec& spec : request.inputs) {
    for (const InputDim& dim : spec.dims) {
      if (dim.symbol.empty()) {
        out.fixed.push_back(dim.example);
        continue;
      }
      const auto known = std::ranges::find(out.symbols, dim.symbol, &LaneSymbol::name);
      if (known != out.symbols.end()) {
        if (dim.bounds) known->bounds = {dim.bounds->first, dim.bounds->second};
        continue;
      }
      LaneSymbol symbol{dim.symbol, {1, ir::kUnbounded}, dim.example};
      if (dim.bounds) symbol.bounds = {dim.bounds->first, dim.bounds->second};
      out.symbols.push_back(std::move(symbol));
    }
  }
  return out;
}

/// Runs forward with one size for each symbol.
Status run_at(const CaptureTarget& target, const CaptureRequest& request, const Varying& varying,
              const std::vector<int64_t>& sizes) {
  std::vector<c10::IValue> arguments;
  for (const c10::Argument& argument : target.arguments) {
    const auto spec = std::ranges::find(request.inputs, argument.name(), &InputSpec::name);
    if (spec == request.inputs.end()) {
      arguments.push_back(argument.default_value().value_or(c10::IValue()));
      continue;
    }
    std::vector<int64_t> dims;
    for (const InputDim& dim : spec->dims) {
      const auto symbol = std::ranges::find(varying.symbols, dim.symbol, &LaneSymbol::name);
      const auto index = static_cast<size_t>(symbol - varying.symbols.begin());
      dims.push_back(dim.symbol.empty() ? dim.example : sizes[index]);
    }
    MLC_TRY(const HostTensor tensor, request.sample(*spec, dims, 0));
    MLC_TRY(c10::IValue value, target.to_argument(argument, tensor));
    arguments.push_back(std::move(value));
  }
  return guarded(ErrorKind::usage, [&]() -> Status {
    torch::jit::Module module = target.module;
    module.forward(std::move(arguments));
    return {};
  });
}

/// The symbols of which the program takes no other value than the example.
Result<std::vector<size_t>> frozen_symbols(const CaptureTarget& target,
                                           const CaptureRequest& request, const Varying& varying) {
  std::vector<int64_t> examples;
  for (const LaneSymbol& symbol : varying.symbols) examples.push_back(symbol.example);
  MLC_CHECK(run_at(target, request, varying, examples));
  std::vector<size_t> out;
  for (size_t i = 0; i < varying.symbols.size(); ++i) {
    bool runs = false;
    for (const LaneScale scale : {LaneScale::medium, LaneScale::large}) {
      std::vector<int64_t> sizes = examples;
      const auto others = lane_sizes({&varying.symbols[i], 1}, examples, scale, 2);
      for (const int64_t one : others[0]) {
        sizes[i] = one;
        const bool other = one != examples[i];
        runs = runs || (other && run_at(target, request, varying, sizes).ok());
      }
    }
    if (!runs) out.push_back(i);
  }
  return out;
}

/// What is wrong at the example sizes, where something is; with the operator and its place.
std::optional<Error> error_at_examples(const CaptureTarget& target, const CaptureRequest& request,
                                       const Varying& varying, CaptureAttempt attempt) {
  attempt.lanes = 1;
  attempt.is_last = true;
  attempt.sizes.clear();
  for (const LaneSymbol& symbol : varying.symbols) attempt.sizes.push_back({symbol.example});
  Capturer capturer(target, request, attempt);
  auto captured = capturer.run();
  if (captured.ok() || capturer.stop() != CaptureStop::lane_failed) return std::nullopt;
  return std::move(captured).error();
}

/// ERROR is what an attempt at other sizes ended with.
Error explain(Error error, const CaptureTarget& target, const CaptureRequest& request,
              const Varying& varying) {
  if (varying.symbols.empty()) return error;
  auto frozen = frozen_symbols(target, request, varying);
  if (!frozen.ok()) return std::move(frozen).error();
  std::vector<std::string> names;
  for (size_t i = 0; i < varying.symbols.size(); ++i) {
    const bool listed = frozen->empty() || std::ranges::find(*frozen, i) != frozen->end();
    if (!listed) continue;
    names.push_back(varying.symbols[i].name + " = " + std::to_string(varying.symbols[i].example));
  }
  std::vector<InputSpec> fixed = request.inputs;
  std::vector<std::string> hints;
  for (InputSpec& spec : fixed) {
    for (InputDim& dim : spec.dims) {
      const bool listed = std::ranges::any_of(names, [&](const std::string& name) {
        return !dim.symbol.empty() && name.starts_with(dim.symbol + " = ");
      });
      if (listed) dim = {"", dim.example, std::nullopt};
    }
    hints.push_back("--input '" + to_text(spec) + "'");
  }
  return usage_error("the model runs at " + join_list(names) + " only: " + error.message(),
                     "a size was fixed when it was traced; declare it fixed: " + join_list(hints));
}

}  // namespace

Result<CapturedProgram> capture(const CaptureTarget& target, const CaptureRequest& request) {
  const c10::InferenceMode inference;
  const at::NoGradGuard whatever_the_program_sets;
  const Varying sizes = varying(request);
  CaptureAttempt attempt;
  for (const LaneSymbol& symbol : sizes.symbols) {
    attempt.symbols.push_back(symbol.name);
    attempt.bounds.push_back(symbol.bounds);
  }
  attempt.lanes = sizes.symbols.empty() ? 1 : kLanes;
  LaneScale scale = LaneScale::small;
  std::optional<Error> first;
  for (int i = 0; i < kMostAttempts; ++i) {
    attempt.sizes = lane_sizes(sizes.symbols, sizes.fixed, scale, attempt.lanes);
    attempt.is_last = scale == LaneScale::large || sizes.symbols.empty();
    at::manual_seed(0);
    Capturer capturer(target, request, attempt);
    auto captured = capturer.run();
    if (captured.ok() || capturer.stop() == CaptureStop::none) return captured;
    if (capturer.stop() == CaptureStop::more_lanes) {
      attempt.lanes = kLanes;
    } else if (capturer.stop() != CaptureStop::written_weight) {
      target.reporter->detail("a trial run of the capture failed: " + captured.error().message());
      if (!first) first = std::move(captured).error();
      if (attempt.is_last) {
        auto wrong = error_at_examples(target, request, sizes, attempt);
        return wrong ? std::move(*wrong) : explain(std::move(*first), target, request, sizes);
      }
      scale = static_cast<LaneScale>(static_cast<int>(scale) + 1);
    }
  }
  return internal_error("a capture did not come to an end");
}

}  // namespace mlc::torch_module
