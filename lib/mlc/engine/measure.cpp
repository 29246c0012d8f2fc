#include "mlc/engine/measure.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

namespace mlc {
namespace {

using Clock = std::chrono::steady_clock;

constexpr uint64_t kFewest = 10;
constexpr uint64_t kMost = 100'000;

Result<double> timed_run(Model& model, Reporter& reporter) {
  if (reporter.interrupted()) return Error(ErrorKind::interrupted, "interrupted");
  const Clock::time_point start = Clock::now();
  MLC_CHECK(model.run());
  return std::chrono::duration<double>(Clock::now() - start).count();
}

bool enough(const MeasureOptions& options, uint64_t runs, double seconds) {
  if (options.runs > 0) return runs >= options.runs;
  return runs >= kMost || (runs >= kFewest && seconds >= options.seconds);
}

}  // namespace

Result<Latencies> measure(Model& model, const MeasureOptions& options, Reporter& reporter) {
  Latencies out;
  MLC_TRY(out.first, timed_run(model, reporter));
  for (uint64_t i = 0; i < options.warmup; ++i) MLC_CHECK(timed_run(model, reporter));
  out.samples.reserve(static_cast<size_t>(options.runs));
  for (double seconds = 0; !enough(options, out.samples.size(), seconds);) {
    MLC_TRY(const double one, timed_run(model, reporter));
    out.samples.push_back(one);
    seconds += one;
  }
  std::ranges::sort(out.samples);
  return out;
}

double percentile(std::span<const double> sorted, double percent) {
  const double rank = std::ceil(percent / 100 * static_cast<double>(sorted.size()));
  return sorted[static_cast<size_t>(std::max(rank, 1.0)) - 1];
}

double mean(std::span<const double> samples) {
  return std::accumulate(samples.begin(), samples.end(), 0.0) / static_cast<double>(samples.size());
}

}  // namespace mlc
