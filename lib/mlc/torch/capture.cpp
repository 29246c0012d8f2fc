#include "mlc/torch/capture.h"

#include "mlc/base/text.h"
#include "mlc/engine/lanes.h"
#include "mlc/torch/capture_limits.h"
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

/// What is wrong at the example sizes, where something is; with the operator and its place.
std::optional<Error> error_at_examples(const CaptureTarget& target, const CaptureRequest& request,
                                       const Varying& varying, CaptureAttempt attempt) {
  attempt.lanes = 1;
  attempt.is_last = true;
  attempt.skips_elements = false;
  attempt.sizes.clear();
  for (const LaneSymbol& symbol : varying.symbols) attempt.sizes.push_back({symbol.example});
  Capturer capturer(target, request, attempt);
  auto captured = capturer.run();
  if (captured.ok() || capturer.stop() != CaptureStop::lane_failed) return std::nullopt;
  return std::move(captured).error();
}

/// One attempt; what is thrown for want of elements is an error of it.
Result<CapturedProgram> run(Capturer& capturer, const CaptureAttempt& attempt) {
  if (!attempt.skips_elements) return capturer.run();
  return guarded(ErrorKind::unsupported, [&] { return capturer.run(); });
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
  attempt.skips_elements = true;
  LaneScale scale = LaneScale::small;
  std::optional<Error> first;
  for (int i = 0; i < kMostAttempts; ++i) {
    attempt.sizes = lane_sizes(sizes.symbols, sizes.fixed, scale, attempt.lanes);
    attempt.is_last = scale == LaneScale::large || sizes.symbols.empty();
    at::manual_seed(0);
    Capturer capturer(target, request, attempt);
    auto captured = run(capturer, attempt);
    if (captured.ok()) return captured;
    const bool refused =
        capturer.stop() == CaptureStop::none || capturer.stop() == CaptureStop::lane_failed;
    if (attempt.skips_elements && refused) {
      attempt.skips_elements = false;
      const std::string& why = captured.error().message();
      target.reporter->detail("the capture computes all elements: " +
                              why.substr(0, why.find(". ")));
      continue;
    }
    if (capturer.stop() == CaptureStop::none) return captured;
    if (capturer.stop() == CaptureStop::more_lanes) {
      attempt.lanes = kLanes;
    } else if (capturer.stop() != CaptureStop::written_weight) {
      target.reporter->detail("a trial run of the capture failed: " + captured.error().message());
      if (!first) first = std::move(captured).error();
      if (attempt.is_last) {
        auto wrong = error_at_examples(target, request, sizes, attempt);
        return wrong ? std::move(*wrong)
                     : explain_limits(std::move(*first), target, request, sizes);
      }
      scale = static_cast<LaneScale>(static_cast<int>(scale) + 1);
    }
  }
  return internal_error("a capture did not come to an end");
}

}  // namespace mlc::torch_module
