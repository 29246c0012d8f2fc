#include "mlc/compress/prune_plan.h"

#include "mlc/base/glob.h"
#include "mlc/base/parallel.h"
#include "mlc/base/sentence_key.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/expansion.h"
#include "mlc/checkpoint/tensor_identity.h"
#include "mlc/compress/float_rows.h"
#include "mlc/compress/prune_rows.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <map>
#include <unordered_map>

#include <fmt/format.h>

namespace mlc {
namespace {

constexpr std::string_view kOrig = "_orig";
constexpr std::string_view kMask = "_mask";

struct KeptRow {
  PruneKept kept;
  std::string_view word;
  std::string_view text;
};
constexpr auto kKept = std::to_array<KeptRow>({
    {PruneKept::no, "no", ""},
    {PruneKept::not_floating, "not_floating", "no floating-point numbers"},
    {PruneKept::empty, "empty", "without elements"},
    {PruneKept::not_plain, "not_plain", "no plain tensors"},
    {PruneKept::one_dimension, "one_dimension", "of one dimension"},
    {PruneKept::bias, "bias", "biases"},
    {PruneKept::by_rule, "by_rule", "as asked"},
    {PruneKept::shape, "shape", "of no whole number of blocks"},
    {PruneKept::no_inputs, "no_inputs",
     "that no linear layer and no convolution of one group multiplies with samples"},
});

bool any_glob(const std::vector<std::string>& globs, const std::string& key,
              std::vector<bool>& used) {
  bool found = false;
  for (size_t i = 0; i < globs.size(); ++i) {
    if (!glob_match(globs[i], key)) continue;
    used[i] = true;
    found = true;
  }
  return found;
}

bool is_bias(std::string_view key) {
  const size_t dot = key.rfind('.');
  return (dot == std::string_view::npos ? key : key.substr(dot + 1)) == "bias";
}

class Planner {
 public:
  Planner(const Checkpoint& checkpoint, const StateDict& state_dict, const PruneRules& rules)
      : checkpoint_(checkpoint),
        state_dict_(state_dict),
        rules_(rules),
        include_(rules.include.size(), false),
        exclude_(rules.exclude.size(), false),
        rule_(rules.rules.size(), false) {}

  Result<PrunePlan> run();

 private:
  Status add(const StateDictEntry& entry);
  Status check_mask(const PrunedTensor& pruned) const;
  void decide(PrunedTensor& pruned);
  PruneKept reason(const PrunedTensor& pruned) const;
  bool fits(const PrunedTensor& pruned) const;
  std::vector<UnusedPattern> unused() const;

  const Checkpoint& checkpoint_;
  const StateDict& state_dict_;
  const PruneRules& rules_;
  std::vector<bool> include_;
  std::vector<bool> exclude_;
  std::vector<bool> rule_;
  std::unordered_map<std::string_view, uint32_t> tensors_;
  std::map<TensorIdentity, size_t> known_;
  PrunePlan plan_;
};

Result<PrunePlan> Planner::run() {
  plan_.rules = rules_;
  for (const StateDictEntry& entry : state_dict_.entries) {
    tensors_.insert_or_assign(entry.key, entry.tensor);
  }
  for (const StateDictEntry& entry : state_dict_.entries) MLC_CHECK(add(entry));
  std::vector<NamedTensor> read;
  for (PrunedTensor& pruned : plan_.tensors) {
    decide(pruned);
    if (pruned.is_pruned()) read.push_back({pruned.names[0], pruned.tensor});
  }
  MLC_CHECK(check_expansion(checkpoint_, read));
  plan_.unused_patterns = unused();
  return std::move(plan_);
}

Status Planner::add(const StateDictEntry& entry) {
  std::string key(entry.key);
  PrunedTensor pruned;
  pruned.tensor = entry.tensor;
  if (key.ends_with(kMask)) {
    const std::string weight = key.substr(0, key.size() - kMask.size()) + std::string(kOrig);
    if (tensors_.contains(weight)) return {};  // comes with it
  }
  if (key.ends_with(kOrig)) {
    key.resize(key.size() - kOrig.size());
    const auto mask = tensors_.find(key + std::string(kMask));
    if (mask != tensors_.end()) {
      pruned.mask = mask->second;
    } else {
      key += kOrig;
    }
  }
  pruned.names = {key};
  if (pruned.is_folded()) MLC_CHECK(check_mask(pruned));
  const Tensor& tensor = checkpoint_.tensors[entry.tensor];
  const auto [at, is_new] =
      known_.try_emplace(identity_of(checkpoint_, tensor), plan_.tensors.size());
  if (!is_new && tensor.storage != kNoIndex && !pruned.is_folded()) {
    plan_.tensors[at->second].names.push_back(std::move(key));
    return {};
  }
  plan_.tensors.push_back(std::move(pruned));
  return {};
}

Status Planner::check_mask(const PrunedTensor& pruned) const {
  const Tensor& weight = checkpoint_.tensors[pruned.tensor];
  const Tensor& mask = checkpoint_.tensors[pruned.mask];
  const bool same = std::ranges::equal(checkpoint_.sizes(weight), checkpoint_.sizes(mask));
  const DTypeClass kind = info(mask.dtype).kind;
  const bool numbers =
      kind == DTypeClass::boolean || kind == DTypeClass::integer || kind == DTypeClass::floating;
  if (same && numbers && mask.kind == TensorKind::dense && has_float_elements(weight)) return {};
  return conflict(sentence_key(pruned.names[0]) + "_mask is no mask of " +
                      sentence_key(pruned.names[0]) +
                      "_orig: " + format_shape(checkpoint_.sizes(mask)) + " beside " +
                      format_shape(checkpoint_.sizes(weight)),
                  "rename them with `mlc remap-keys` if they are something else");
}

PruneKept Planner::reason(const PrunedTensor& pruned) const {
  const Tensor& tensor = checkpoint_.tensors[pruned.tensor];
  if (tensor.kind != TensorKind::dense) return PruneKept::not_plain;
  if (!has_float_elements(tensor)) return PruneKept::not_floating;
  if (checkpoint_.element_count(tensor) == 0) return PruneKept::empty;
  if (!pruned.own_amount) {
    if (tensor.rank < 2) return PruneKept::one_dimension;
    if (is_bias(pruned.names[0])) return PruneKept::bias;
  }
  return fits(pruned) ? PruneKept::no : PruneKept::shape;
}

/// Whether the tensor has a whole number of blocks, or of M inputs.
bool Planner::fits(const PrunedTensor& pruned) const {
  const Dims sizes = checkpoint_.sizes(checkpoint_.tensors[pruned.tensor]);
  const QuantLayout layout = layout_of(default_scheme(SchemeKind::int8), sizes);
  switch (rules_.shape.pattern) {
    case PrunePattern::unstructured:
      return true;
    case PrunePattern::rows:
      return sizes.size() > 1;
    case PrunePattern::n_of_m: {
      const size_t inputs = row_dimension(sizes) + 1;
      return inputs < sizes.size() && sizes[inputs] % rules_.shape.second == 0;
    }
    case PrunePattern::block:
      return layout.rows % rules_.shape.first == 0 && layout.columns % rules_.shape.second == 0;
  }
  return false;
}

void Planner::decide(PrunedTensor& pruned) {
  bool in = rules_.include.empty();
  bool out = false;
  std::optional<PruneAmount> amount = rules_.amount;
  if (rules_.shape.pattern == PrunePattern::n_of_m) amount.emplace();
  for (const std::string& name : pruned.names) {
    in = any_glob(rules_.include, name, include_) || in;
    out = any_glob(rules_.exclude, name, exclude_) || out;
    for (size_t i = 0; i < rules_.rules.size(); ++i) {
      if (!rules_.rules[i].pattern.matches(name)) continue;
      rule_[i] = true;
      amount = rules_.rules[i].amount;
      pruned.own_amount = true;
    }
  }
  pruned.kept = reason(pruned);
  if (pruned.kept != PruneKept::no) return;
  if (!in || out || !amount) {
    pruned.kept = PruneKept::by_rule;
    return;
  }
  pruned.amount = *amount;
}

std::vector<UnusedPattern> Planner::unused() const {
  std::vector<UnusedPattern> out;
  const auto add = [&out](std::string_view what, const std::string& text, bool used) {
    if (!used) out.push_back({std::string(what), text});
  };
  for (size_t i = 0; i < include_.size(); ++i) add("--include", rules_.include[i], include_[i]);
  for (size_t i = 0; i < exclude_.size(); ++i) add("--exclude", rules_.exclude[i], exclude_[i]);
  for (size_t i = 0; i < rule_.size(); ++i) add("--tensor", rules_.rules[i].text, rule_[i]);
  return out;
}

std::optional<int64_t> positive(std::string_view text) {
  int64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, value);
  if (read.ec != std::errc() || read.ptr != end || value < 1 || value > 65536) return {};
  return value;
}

}  // namespace

std::string_view to_string(PruneMethod method) {
  constexpr std::array<std::string_view, 4> kNames = {"magnitude", "random", "wanda", "sparsegpt"};
  return kNames.at(static_cast<size_t>(method));
}

std::string_view prune_kept_text(PruneKept kept) {
  return kKept[static_cast<size_t>(kept)].text;
}
std::string_view prune_kept_word(PruneKept kept) {
  return kKept[static_cast<size_t>(kept)].word;
}

uint64_t PruneAmount::of(uint64_t total) const {
  if (is_count) return count;
  // In the default rounding mode: to nearest, halves to even.
  return static_cast<uint64_t>(std::nearbyint(share * static_cast<double>(total)));
}

std::string PruneAmount::text() const {
  return is_count ? format_count(count) : fmt::format("{:g} %", share * 100);
}

Result<PruneAmount> parse_amount(std::string_view text) {
  const Error wrong = usage_error(
      "not an amount: " + quoted(text),
      "a share as 0.3 or 30%, or a number of weights as 1000; 1 is one weight, 1.0 is all");
  const auto refused = [&] { return usage_error(wrong.message(), wrong.hint()); };
  PruneAmount out;
  const bool percent = text.ends_with('%');
  const std::string number(percent ? text.substr(0, text.size() - 1) : text);
  if (number.empty() || number.find_first_not_of("0123456789.eE-+") != std::string::npos) {
    return refused();
  }
  if (!percent && number.find_first_of(".eE") == std::string::npos) {
    out.is_count = true;
    const char* const end = number.data() + number.size();
    const auto read = std::from_chars(number.data(), end, out.count);
    if (read.ec != std::errc() || read.ptr != end) return refused();
    return out;
  }
  char* end = nullptr;
  out.share = std::strtod(number.c_str(), &end) / (percent ? 100 : 1);
  if (end != number.c_str() + number.size() || !(out.share >= 0 && out.share <= 1)) {
    return refused();
  }
  return out;
}

std::string PruneShape::text() const {
  switch (pattern) {
    case PrunePattern::unstructured:
      return "unstructured";
    case PrunePattern::rows:
      return "rows";
    case PrunePattern::n_of_m:
      return fmt::format("{}:{}", first, second);
    case PrunePattern::block:
      return fmt::format("block:{}x{}", first, second);
  }
  return "";
}

Result<PruneShape> parse_prune_pattern(std::string_view text) {
  if (text == "unstructured") return PruneShape();
  if (text == "rows") return PruneShape{PrunePattern::rows, 0, 0};
  const bool block = text.starts_with("block:");
  const std::vector<std::string_view> parts =
      split(block ? text.substr(6) : text, block ? 'x' : ':');
  if (parts.size() == 2) {
    const auto first = positive(parts[0]);
    const auto second = positive(parts[1]);
    if (first && second && block) return PruneShape{PrunePattern::block, *first, *second};
    if (first && second && *first < *second && *second <= 64) {
      return PruneShape{PrunePattern::n_of_m, *first, *second};
    }
  }
  return usage_error("no such pattern: " + quoted(text),
                     "unstructured, rows, 2:4 (two of every four stay; up to 64), block:4x1");
}

Result<PrunePlan> plan_pruning(const Checkpoint& checkpoint, const StateDict& state_dict,
                               const PruneRules& rules) {
  return Planner(checkpoint, state_dict, rules).run();
}

namespace {

/// Tensors among which one number of keys is chosen.
class Choice {
 public:
  Choice(const Checkpoint& checkpoint, const PrunePlan& plan, unsigned threads, Reporter& reporter)
      : checkpoint_(checkpoint), plan_(plan), threads_(threads), reporter_(reporter) {}

  Status add(PrunedTensor& pruned) {
    MLC_TRY_CTX(PruneRows rows, PruneRows::open(checkpoint_, pruned, plan_.rules),
                "tensor " + sentence_key(pruned.names[0]));
    for (size_t piece = 0; piece < rows.pieces(); ++piece)
      blocks_.push_back({tensors_.size(), piece});
    wide_ = wide_ || rows.rows().dtype() == DType::f64 ||
            plan_.rules.shape.pattern != PrunePattern::unstructured ||
            plan_.rules.method == PruneMethod::random;
    tensors_.push_back(&pruned);
    rows_.push_back(std::move(rows));
    return {};
  }

  Status choose(const PruneAmount& amount);
  /// After choose(): whether PyTorch would have chosen the same ones.
  bool like_torch() const { return like_torch_; }

 private:
  struct Block {
    size_t tensor;
    size_t piece;
  };

  Result<std::vector<uint64_t>> count_keys() const;
  uint64_t keys_by_shape(const Block& block) const;

  const Checkpoint& checkpoint_;
  const PrunePlan& plan_;
  unsigned threads_;
  Reporter& reporter_;
  bool like_torch_ = true;
  std::vector<PrunedTensor*> tensors_;
  std::vector<PruneRows> rows_;
  std::vector<Block> blocks_;
  bool wide_ = false;
};

uint64_t Choice::keys_by_shape(const Block& block) const {
  const PruneShape& shape = plan_.rules.shape;
  const PruneRows& rows = rows_[block.tensor];
  const auto [begin, end] = rows.range(block.piece);
  const int64_t columns = rows.rows().columns();
  if (shape.pattern == PrunePattern::rows) return static_cast<uint64_t>(end - begin);
  if (shape.pattern == PrunePattern::block) {
    return static_cast<uint64_t>((end - begin) / shape.first * (columns / shape.second));
  }
  return static_cast<uint64_t>((end - begin) * columns);
}

/// The number of keys of each block, which masks make less.
Result<std::vector<uint64_t>> Choice::count_keys() const {
  std::vector<uint64_t> counts(blocks_.size());
  const bool unstructured = plan_.rules.shape.pattern == PrunePattern::unstructured;
  const auto count = [&](size_t i) -> Status {
    counts[i] = keys_by_shape(blocks_[i]);
    if (!unstructured || !tensors_[blocks_[i].tensor]->is_folded()) return {};
    thread_local Keys keys;
    MLC_CHECK(rows_[blocks_[i].tensor].keys(blocks_[i].piece, wide_, keys));
    counts[i] = wide_ ? keys.wide.size() : keys.narrow.size();
    return {};
  };
  MLC_CHECK(parallel_for(blocks_.size(), threads_, count));
  return counts;
}

Status Choice::choose(const PruneAmount& amount) {
  MLC_TRY(const std::vector<uint64_t> counts, count_keys());
  uint64_t total = 0;
  for (size_t i = 0; i < blocks_.size(); ++i) {
    PrunedTensor& pruned = *tensors_[blocks_[i].tensor];
    pruned.wide_keys = wide_;
    pruned.first_keys.push_back(total);
    pruned.units += counts[i];
    total += counts[i];
  }
  const uint64_t count = amount.of(total);
  if (count > total) {
    return usage_error("an amount of " + format_count(count) + " is more than the " +
                           format_count(total) + " there are in " +
                           (tensors_.size() == 1 ? sentence_key(tensors_[0]->names[0])
                                                 : plural(tensors_.size(), "tensor")),
                       "a share as 0.3 fits every tensor");
  }
  if (count == 0) return {};
  KeyBlocks keys;
  keys.blocks = blocks_.size();
  keys.bits = wide_ ? 64 : 32;
  keys.fill = [this](size_t i, Keys& out) -> Status {
    if (reporter_.interrupted()) return Error(ErrorKind::interrupted, "interrupted");
    return rows_[blocks_[i].tensor].keys(blocks_[i].piece, wide_, out);
  };
  // torch.nn.utils.prune looks for the rows that stay, and else for the weights that go.
  TieRules ties;
  ties.zeros = plan_.rules.keep_masks;
  ties.left_by_largest = plan_.rules.shape.pattern == PrunePattern::rows;
  MLC_TRY(Smallest smallest, smallest_keys(keys, total, count, threads_, ties));
  like_torch_ = smallest.like_torch;
  const auto shared = std::make_shared<const Smallest>(std::move(smallest));
  for (PrunedTensor* const pruned : tensors_) pruned->smallest = shared;
  return {};
}

/// Some tensors at a time: to break ties as PyTorch does takes one thread each. More of them would
/// hold as many copies.
Status choose_alone(const Checkpoint& checkpoint, PrunePlan& plan,
                    const std::vector<PrunedTensor*>& tensors, unsigned threads,
                    Reporter& reporter) {
  constexpr unsigned kMostAtATime = 4;
  const auto count = static_cast<unsigned>(std::min<size_t>(tensors.size(), kMostAtATime));
  const unsigned at_a_time = std::max(1U, std::min(threads, count));
  std::vector<uint8_t> like_torch(tensors.size(), 1);
  const PrunePlan& rules = plan;
  const auto choose = [&](size_t i) -> Status {
    Choice one(checkpoint, rules, std::max(1U, threads / at_a_time), reporter);
    MLC_CHECK(one.add(*tensors[i]));
    MLC_CHECK(one.choose(tensors[i]->amount));
    like_torch[i] = one.like_torch() ? 1 : 0;
    reporter.advance(1);
    return {};
  };
  MLC_CHECK(parallel_for(tensors.size(), at_a_time, choose));
  plan.like_torch = plan.like_torch && std::ranges::find(like_torch, 0) == like_torch.end();
  return {};
}

}  // namespace

Status choose_pruned(const Checkpoint& checkpoint, PrunePlan& plan, unsigned threads,
                     Reporter& reporter) {
  if (plan.rules.shape.pattern == PrunePattern::n_of_m) return {};
  const ProgressScope progress(reporter, "choosing weights (tensors)", plan.tensors.size());
  Choice together(checkpoint, plan, threads, reporter);
  bool any = false;
  std::vector<PrunedTensor*> alone;
  for (PrunedTensor& pruned : plan.tensors) {
    const bool shares = plan.rules.scope == PruneScope::global && !pruned.own_amount;
    if (!pruned.is_pruned() || shares) reporter.advance(1);
    if (!pruned.is_pruned()) continue;
    if (!shares) {
      alone.push_back(&pruned);
      continue;
    }
    MLC_CHECK(together.add(pruned));
    any = true;
  }
  MLC_CHECK(choose_alone(checkpoint, plan, alone, threads, reporter));
  if (!any) return {};
  MLC_CHECK(together.choose(*plan.rules.amount));
  plan.like_torch = plan.like_torch && together.like_torch();
  return {};
}

}  // namespace mlc
