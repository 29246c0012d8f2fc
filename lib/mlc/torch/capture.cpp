#include "mlc/torch/capture.h"

#include "mlc/base/text.h"
#include "mlc/engine/lanes.h"
#include "mlc/torch/capture_limits.h"
#include "mlc/torch/capturer.h"
#include "mlc/torch/guarded.h"
#include "mlc/torch/number_inputs.h"

#include <algorithm>
#include <span>
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

/// TARGET with NUMBERS as inputs of the graph and all others as parts of it. Errors explain which
/// sizes the program takes where there are no NUMBERS, else they are the first that came up.
Result<CapturedProgram> capture_with(const CaptureTarget& target, const CaptureRequest& request,
                                     std::span<const NumberInput> numbers) {
  const Varying sizes = varying(request);
  std::vector<LaneSymbol> symbols = sizes.symbols;
  CaptureAttempt attempt;
  for (const LaneSymbol& symbol : symbols) {
    attempt.symbols.push_back(symbol.name);
    attempt.bounds.push_back(symbol.bounds);
  }
  add_numbers(numbers, attempt);
  for (const NumberInput& one : numbers) {
    if (one.size) symbols.push_back(*one.size);
  }
  attempt.lanes = symbols.empty() && numbers.empty() ? 1 : kLanes;
  attempt.skips_elements = true;
  LaneScale scale = LaneScale::small;
  std::optional<Error> first;
  for (int i = 0; i < kMostAttempts; ++i) {
    attempt.sizes = lane_sizes(symbols, sizes.fixed, scale, attempt.lanes);
    attempt.is_last = scale == LaneScale::large || symbols.empty();
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
        if (!numbers.empty()) return std::move(*first);
        auto wrong = error_at_examples(target, request, sizes, attempt);
        return wrong ? std::move(*wrong)
                     : explain_limits(std::move(*first), target, request, sizes);
      }
      scale = static_cast<LaneScale>(static_cast<int>(scale) + 1);
    }
  }
  return internal_error("a capture did not come to an end");
}

}  // namespace

Result<CapturedProgram> capture(const CaptureTarget& target, const CaptureRequest& request) {
  const c10::InferenceMode inference;
  const at::NoGradGuard whatever_the_program_sets;
  MLC_TRY(const std::vector<NumberInput> given, number_inputs(target, request));
  std::vector<NumberInput> numbers;
  std::vector<std::string> notes;
  const auto note = [&](const NumberInput& one, const std::string& why) {
    notes.push_back("the argument " + mlc::quoted(one.name) + " is " + one.text +
                    " in the model and no input of it: " + why);
  };
  for (const NumberInput& one : given) {
    if (one.why_frozen.empty()) {
      numbers.push_back(one);
    } else {
      note(one, one.why_frozen);
    }
  }
  auto with_all = capture_with(target, request, numbers);
  const bool is_whole = with_all.ok() || numbers.empty();
  auto best = is_whole ? std::move(with_all) : capture_with(target, request, {});
  if (!best.ok()) return best;
  // As many as can stay inputs, one after the other.
  std::vector<NumberInput> kept;
  for (size_t i = 0; !is_whole && i < numbers.size(); ++i) {
    kept.push_back(numbers[i]);
    auto with_one = numbers.size() == 1 ? std::move(with_all) : capture_with(target, request, kept);
    if (with_one.ok()) {
      best = std::move(with_one);
      continue;
    }
    kept.pop_back();
    const NumberInput& one = numbers[i];
    const bool may_be_any = one.size && one.size->bounds.high == ir::kUnbounded;
    note(one, with_one.error().message() +
                  (may_be_any ? "; in a range that the model takes, as " + one.name + ":i64[]=1.." +
                                    std::to_string(one.size->example) + ", it may stay an input"
                              : ""));
  }
  best->notes.insert(best->notes.end(), notes.begin(), notes.end());
  return best;
}

}  // namespace mlc::torch_module
