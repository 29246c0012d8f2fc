// Choosing schemes so that errors and size stay below what was asked for.
#include "mlc/base/text.h"
#include "mlc/compress/quantize_plan.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <queue>

#include <fmt/format.h>

namespace mlc {
namespace {

constexpr auto kLadder = std::to_array<SchemeKind>(
    {SchemeKind::int4, SchemeKind::int8, SchemeKind::fp16, SchemeKind::keep});

size_t rung_of(SchemeKind kind) {
  const SchemeKind on = kind == SchemeKind::bf16 ? SchemeKind::fp16 : kind;
  return static_cast<size_t>(std::find(kLadder.begin(), kLadder.end(), on) - kLadder.begin());
}

QuantScheme on_rung(size_t rung, QuantFormat format) {
  QuantScheme scheme = default_scheme(kLadder[rung]);
  if (format == QuantFormat::compressed_tensors && scheme.is_integer()) {
    scheme.symmetric = true;
    scheme.words = true;
  }
  return scheme;
}

void set_scheme(WeightPlan& weight, const QuantScheme& scheme, Kept kept) {
  weight.scheme = scheme;
  weight.kept = scheme.kind == SchemeKind::keep ? kept : Kept::no;
  weight.quantizer = nullptr;
  weight.may_have_input_scale = false;
  weight.scanned = false;
  weight.sums.reset();
}

/// compressed-tensors has no float16 weights beside others, and half precision becomes no smaller
/// by it.
size_t next_rung(size_t rung, QuantFormat format, DType stored) {
  const bool no_half =
      format == QuantFormat::compressed_tensors || info(stored).bytes <= info(DType::f16).bytes;
  return no_half && kLadder[rung] == SchemeKind::int8 ? rung + 2 : rung + 1;
}

bool too_noisy(const WeightPlan& weight, double min_sqnr) {
  return weight.is_quantized() && weight.sums && weight.sqnr() < min_sqnr;
}

/// Gives weights below MIN_SQNR the next better scheme until none is.
Status raise_noisy(const Checkpoint& checkpoint, QuantizePlan& plan, double min_sqnr,
                   const ScanOptions& options, Reporter& reporter) {
  for (bool raised = true; raised;) {
    raised = false;
    MLC_CHECK(scan_weights(checkpoint, plan, options, reporter));
    for (WeightPlan& weight : plan.weights) {
      if (!too_noisy(weight, min_sqnr)) continue;
      const DType stored = checkpoint.tensors[weight.tensor].dtype;
      const size_t next = next_rung(rung_of(weight.scheme.kind), plan.format, stored);
      set_scheme(weight, on_rung(next, plan.format), Kept::sqnr);
      raised = true;
    }
  }
  return {};
}

/// What one weight costs and loses on each rung.
struct Choice {
  WeightPlan plan;  // as scanned
  uint64_t bytes = 0;
  double loss = 0;  // noise / signal
  bool possible = true;
};

struct Ladder {
  size_t weight = 0;
  std::vector<Choice> choices;  // by rung
  size_t rung = kLadder.size() - 1;
};

Result<std::vector<Ladder>> measure_ladders(const Checkpoint& checkpoint, const QuantizePlan& plan,
                                            const ScanOptions& options, Reporter& reporter) {
  std::vector<Ladder> ladders;
  for (size_t i = 0; i < plan.weights.size(); ++i) {
    if (!plan.weights[i].is_quantized()) continue;
    ladders.push_back({i, std::vector<Choice>(kLadder.size()), kLadder.size() - 1});
  }
  for (size_t rung = 0; rung < kLadder.size(); ++rung) {
    QuantizePlan trial = plan;
    for (const Ladder& ladder : ladders) {
      set_scheme(trial.weights[ladder.weight], on_rung(rung, plan.format), Kept::target_size);
    }
    MLC_CHECK(scan_weights(checkpoint, trial, options, reporter));
    for (Ladder& ladder : ladders) {
      Choice& choice = ladder.choices[rung];
      choice.plan = std::move(trial.weights[ladder.weight]);
      choice.bytes = bytes_after(checkpoint, choice.plan);
      const bool kept = kLadder[rung] == SchemeKind::keep;
      choice.possible = kept || choice.plan.is_quantized();
      if (plan.format == QuantFormat::compressed_tensors && kLadder[rung] == SchemeKind::fp16) {
        choice.possible = false;
      }
      if (!kept && choice.plan.sums && choice.plan.sums->signal > 0) {
        choice.loss = choice.plan.sums->noise / choice.plan.sums->signal;
      }
      choice.plan.asked = kept ? QuantScheme() : choice.plan.scheme;
    }
  }
  return ladders;
}

/// A step down of one ladder.
struct Step {
  double price = 0;  // loss for each byte that it saves
  size_t ladder = 0;
  size_t rung = 0;

  bool operator<(const Step& other) const {  // the cheapest comes first, then the first
    if (price != other.price) return price > other.price;
    return ladder > other.ladder;
  }
};

/// The cheapest step from where the ladder is, if there is one that saves bytes.
std::optional<Step> cheapest(const Ladder& ladder, size_t number, std::optional<double> min_sqnr) {
  const Choice& now = ladder.choices[ladder.rung];
  std::optional<Step> best;
  for (size_t rung = 0; rung < ladder.rung; ++rung) {
    const Choice& choice = ladder.choices[rung];
    if (!choice.possible || choice.bytes >= now.bytes) continue;
    if (min_sqnr && choice.plan.sums && choice.plan.sqnr() < *min_sqnr) continue;
    const double saved = static_cast<double>(now.bytes - choice.bytes);
    const double price = std::max(0.0, choice.loss - now.loss) / saved;
    if (!best || price < best->price) best = Step{price, number, rung};
  }
  return best;
}

/// PLAN with the schemes of LADDERS.
QuantizePlan with_choices(const QuantizePlan& plan, const std::vector<Ladder>& ladders) {
  QuantizePlan out = plan;
  for (const Ladder& ladder : ladders) {
    out.weights[ladder.weight] = ladder.choices[ladder.rung].plan;
  }
  return out;
}

/// Bytes of the file beside the tensors of PLAN.
Result<double> bytes_beside(const Checkpoint& checkpoint, const QuantizePlan& plan,
                            const QuantGoals& goals) {
  MLC_TRY(const uint64_t file, goals.file_size(plan));
  auto beside = static_cast<double>(file);
  for (const WeightPlan& weight : plan.weights)
    beside -= static_cast<double>(bytes_after(checkpoint, weight));
  return beside;
}

/// Adds to the choices what the file needs for more tensors than one: names, records, a row of the
/// metadata, on the average of the weights that can have the rung.
Status add_overheads(const Checkpoint& checkpoint, const QuantizePlan& plan,
                     std::vector<Ladder>& ladders, const QuantGoals& goals) {
  const size_t keep = kLadder.size() - 1;
  MLC_TRY(const double least, bytes_beside(checkpoint, with_choices(plan, ladders), goals));
  for (size_t rung = 0; rung < keep; ++rung) {
    std::vector<Ladder> all = ladders;
    double count = 0;
    for (Ladder& ladder : all) {
      if (!ladder.choices[rung].possible) continue;
      ladder.rung = rung;
      ++count;
    }
    if (count == 0) continue;
    MLC_TRY(const double beside, bytes_beside(checkpoint, with_choices(plan, all), goals));
    const auto each = static_cast<uint64_t>(std::max(0.0, (beside - least) / count));
    for (Ladder& ladder : ladders) ladder.choices[rung].bytes += each;
  }
  return {};
}

/// The steps down from float, the cheapest first, as long as there is one.
std::vector<Step> walk_down(std::vector<Ladder> ladders, std::optional<double> min_sqnr) {
  std::priority_queue<Step> steps;
  for (size_t i = 0; i < ladders.size(); ++i) {
    if (const auto step = cheapest(ladders[i], i, min_sqnr)) steps.push(*step);
  }
  std::vector<Step> walk;
  while (!steps.empty()) {
    const Step step = steps.top();
    steps.pop();
    walk.push_back(step);
    ladders[step.ladder].rung = step.rung;
    if (const auto next = cheapest(ladders[step.ladder], step.ladder, min_sqnr)) steps.push(*next);
  }
  return walk;
}

/// Steps behind WALK to the lowest rung of each ladder: what walk_down() leaves out because the
/// file needs more for a tensor on the average than that saves.
std::vector<Step> lowest_steps(std::vector<Ladder> ladders, const std::vector<Step>& walk,
                               std::optional<double> min_sqnr) {
  for (const Step& step : walk) ladders[step.ladder].rung = step.rung;
  std::vector<Step> out;
  for (size_t i = 0; i < ladders.size(); ++i) {
    for (size_t rung = 0; rung < ladders[i].rung; ++rung) {
      const Choice& choice = ladders[i].choices[rung];
      if (!choice.possible) continue;
      if (min_sqnr && choice.plan.sums && choice.plan.sqnr() < *min_sqnr) continue;
      out.push_back({0, i, rung});
      break;
    }
  }
  return out;
}

/// Takes as many steps as it needs until the file has MAX_BYTES: each makes it smaller, so that the
/// number is found by halves.
Result<GoalReport> fit_size(const Checkpoint& checkpoint, QuantizePlan& plan,
                            const QuantGoals& goals, const ScanOptions& options,
                            Reporter& reporter) {
  MLC_TRY(std::vector<Ladder> ladders, measure_ladders(checkpoint, plan, options, reporter));
  MLC_CHECK(add_overheads(checkpoint, plan, ladders, goals));
  std::vector<Step> walk = walk_down(ladders, goals.min_sqnr);
  const auto after = [&](size_t steps) {
    std::vector<Ladder> moved = ladders;
    for (size_t i = 0; i < steps; ++i) moved[walk[i].ladder].rung = walk[i].rung;
    return with_choices(plan, moved);
  };
  QuantizePlan best = after(walk.size());
  MLC_TRY(uint64_t least, goals.file_size(best));
  if (least > goals.max_bytes) {
    const size_t walked = walk.size();
    std::ranges::move(lowest_steps(ladders, walk, goals.min_sqnr), std::back_inserter(walk));
    QuantizePlan lowest = after(walk.size());
    MLC_TRY(const uint64_t size, goals.file_size(lowest));
    if (size < least) {
      least = size;
      best = std::move(lowest);
    } else {
      walk.resize(walked);
    }
  }
  size_t low = 0;
  size_t high = walk.size();
  while (low < high && least <= goals.max_bytes) {
    const size_t middle = low + (high - low) / 2;
    QuantizePlan trial = after(middle);
    MLC_TRY(const uint64_t size, goals.file_size(trial));
    if (size <= goals.max_bytes) {
      high = middle;
      best = std::move(trial);
    } else {
      low = middle + 1;
    }
  }
  plan = std::move(best);
  if (least <= goals.max_bytes) return GoalReport();
  return GoalReport{false, "the file would have " + format_count(least) + " bytes at least, not " +
                               format_count(goals.max_bytes)};
}

}  // namespace

Result<GoalReport> reach_goals(const Checkpoint& checkpoint, QuantizePlan& plan,
                               const QuantGoals& goals, const ScanOptions& options,
                               Reporter& reporter) {
  ScanOptions measured = options;
  measured.measure = true;
  if (goals.max_bytes > 0) return fit_size(checkpoint, plan, goals, measured, reporter);
  if (goals.min_sqnr) {
    MLC_CHECK(raise_noisy(checkpoint, plan, *goals.min_sqnr, measured, reporter));
  }
  return GoalReport();
}

}  // namespace mlc
