#include "mlc/onnx_prune/rules.h"

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>

namespace mlc::onnx {
namespace {

constexpr int64_t kMostElements = 1 << 24;  // of axes that are looked at index by index

using Kind = SizeItem::Kind;

void shape_of(Walker& walker) {
  const DocNode& node = walker.node();
  const std::string& x = node.input(0);
  walker.keep_constant(x);
  const auto rank = walker.rank(x);
  if (!rank) return walker.freeze_value(x, walker.here() + " reads its size");
  const auto count = static_cast<int64_t>(*rank);
  const auto within = [&](std::string_view name, int64_t otherwise) {
    const int64_t at = node.integer(name, otherwise);
    return std::clamp<int64_t>(at < 0 ? at + count : at, 0, count);
  };
  SizeItems out;
  for (int64_t i = within("start", 0); i < within("end", count); ++i) {
    SizeItem& each = out.emplace_back();
    each.kind = Kind::size_of;
    each.value = x;
    each.axis = static_cast<size_t>(i);
  }
  walker.give_items(node.outputs[0], std::move(out));
}

/// Whether PRODUCT times SIZE, where there is one, is a number of elements.
bool multiply(int64_t& product, std::optional<int64_t> size) {
  if (!size) return true;
  if (*size <= 0 || *size > std::numeric_limits<int64_t>::max() / product) return false;
  product *= *size;
  return true;
}

/// Axes of RANK that a node names, each once.
std::optional<std::vector<bool>> named_axes(Walker& walker, size_t rank) {
  const auto axes = walker.integers("axes", 1);
  if (!axes) return std::nullopt;
  std::vector<bool> out(rank, false);
  for (const int64_t each : *axes) {
    const int64_t at = each < 0 ? each + static_cast<int64_t>(rank) : each;
    if (at < 0 || at >= static_cast<int64_t>(rank)) return std::nullopt;
    out[static_cast<size_t>(at)] = true;
  }
  return out;
}

/// Whether the node only passes a size or a shape on, which then is done.
bool passes_items(Walker& walker) {
  const DocNode& node = walker.node();
  const auto items = walker.input_items(0);
  if (!items || (walker.is_constant(node.input(0)) && items->size() > 1)) return false;
  walker.give_items(node.outputs[0], *items);
  return true;
}

void squeeze(Walker& walker) {
  const DocNode& node = walker.node();
  const std::string& x = node.input(0);
  if (passes_items(walker)) return;
  const auto rank = walker.rank(x);
  if (!rank || walker.is_constant(x)) return keep_all_inputs(walker);
  auto gone = named_axes(walker, *rank);
  if (!gone && node.find("axes") == nullptr && node.input(1).empty()) {
    gone.emplace(*rank, false);
    for (size_t i = 0; i < *rank; ++i) (*gone)[i] = walker.size(x, i) == 1;
  }
  if (!gone) return keep_all_inputs(walker);
  size_t to = 0;
  for (size_t i = 0; i < *rank; ++i) {
    if ((*gone)[i]) {
      walker.freeze(walker.labels(x, i), walker.here() + " needs one of it");
    } else {
      walker.give(node.outputs[0], to++, walker.labels(x, i));
    }
  }
}

void unsqueeze(Walker& walker) {
  const DocNode& node = walker.node();
  const std::string& x = node.input(0);
  if (passes_items(walker)) return;
  const auto rank = walker.rank(x);
  const auto axes = walker.integers("axes", 1);
  if (!rank || !axes || walker.is_constant(x)) return keep_all_inputs(walker);
  const auto added = named_axes(walker, *rank + axes->size());
  if (!added) return keep_all_inputs(walker);
  size_t from = 0;
  for (size_t i = 0; i < added->size() && from < *rank; ++i) {
    if (!(*added)[i]) walker.give(node.outputs[0], i, walker.labels(x, from++));
  }
}

void identity(Walker& walker) {
  const DocNode& node = walker.node();
  const std::string& x = node.input(0);
  if (walker.items(x) != nullptr && passes_items(walker)) return;
  if (!walker.is_constant(x)) return walker.pass(x, node.outputs[0]);
  std::vector<int64_t> perm(walker.rank(x).value_or(0));
  std::iota(perm.begin(), perm.end(), 0);
  walker.alias(node.outputs[0], x, perm);
}

void cast(Walker& walker) {
  const DocNode& node = walker.node();
  const std::string& x = node.input(0);
  if (passes_items(walker)) return;
  if (walker.is_constant(x)) return walker.keep_constant(x);
  walker.pass(x, node.outputs[0]);
}

/// The sizes of two tensors with the same elements in the same order, taken apart into groups of
/// axes that hold the same elements.
class Regrouping {
 public:
  Regrouping(Walker& walker, const SizeItems* target) : walker_(walker), target_(target) {}

  void run();

 private:
  const std::string& x() const { return walker_.node().input(0); }
  const std::string& y() const { return walker_.node().outputs[0]; }
  bool same(size_t i, size_t k) const;
  void pass(size_t i, size_t k);
  void middle(size_t in_begin, size_t in_end, size_t out_begin, size_t out_end);
  void skip_open(size_t& i, size_t in_end, size_t& k, size_t out_end) const;
  bool complete(size_t& i, size_t in_end, size_t& k, size_t out_end);
  void group(size_t in_begin, size_t in_end, size_t out_begin, size_t out_end);
  void spread_over(size_t labelled, size_t in_begin, size_t in_end, size_t out_begin,
                   size_t out_end);
  void freeze(size_t in_begin, size_t in_end);
  void state(size_t k, const Labels& labels, std::optional<size_t> copied_from);

  std::optional<int64_t> out_size(size_t k) const {
    const auto found = learnt_.find(k);
    return found == learnt_.end() ? walker_.size(y(), k) : std::optional(found->second);
  }

  std::optional<int64_t> in_size(size_t i) const {
    const auto found = learnt_in_.find(i);
    return found == learnt_in_.end() ? walker_.size(x(), i) : std::optional(found->second);
  }

  Walker& walker_;
  const SizeItems* target_;
  std::map<size_t, int64_t> learnt_in_;
  std::map<size_t, int64_t> learnt_;
  std::set<size_t> stated_;  // axes of the output whose number may change
};

void Regrouping::freeze(size_t in_begin, size_t in_end) {
  for (size_t i = in_begin; i < in_end; ++i)
    walker_.freeze(walker_.labels(x(), i), walker_.here() + " gives it another shape");
}

/// Whether axis K of the output is axis I of the input, where all before them are alike.
bool Regrouping::same(size_t i, size_t k) const {
  if (walker_.same_size(x(), i, y(), k)) return true;
  if (target_ == nullptr || k >= target_->size()) return false;
  const SizeItem& item = (*target_)[k];
  if (item.kind == Kind::number) return item.number == 0 && i == k;
  if (item.kind != Kind::size_of) return false;
  return (item.value == x() && item.axis == i) ||
         walker_.same_size(item.value, item.axis, x(), i) ||
         // A batch that nobody could follow to here; running both models tells.
         (i == k && walker_.is_open(x(), i) && walker_.is_open(item.value, item.axis));
}

/// Makes the shape that the node is given say how many of LABELS stay.
void Regrouping::state(size_t k, const Labels& labels, std::optional<size_t> copied_from) {
  if (labels.empty() || target_ == nullptr) return;
  stated_.insert(k);
  const std::string why = walker_.here() + " states its size";
  if (k >= target_->size()) return walker_.freeze(labels, why);
  const SizeItem& item = (*target_)[k];
  if (item.kind == Kind::number && item.number == -1) return;
  if (item.kind == Kind::number && item.number == 0) {
    if (copied_from != k) walker_.freeze(labels, why);
    return;
  }
  walker_.count_item(item, labels, why);
}

void Regrouping::pass(size_t i, size_t k) {
  Labels labels = walker_.labels(x(), i);
  state(k, labels, i);
  walker_.give(y(), k, std::move(labels));
}

/// The axis LABELLED of a group becomes part of axes of the output, one of which loses what it
/// loses: elements whose index there is the same go together.
void Regrouping::spread_over(size_t labelled, size_t in_begin, size_t in_end, size_t out_begin,
                             size_t out_end) {
  const Labels labels = walker_.labels(x(), labelled);
  int64_t inner = 1;
  int64_t total = 1;
  for (size_t i = in_begin; i < in_end; ++i) {
    const int64_t size = *in_size(i);
    total *= size;
    if (i > labelled) inner *= size;
  }
  // Two or three parts are what comes out of one product, or what a shuffle mixes; more of them are
  // heads and the like, and so are two or three that go on as they are.
  const bool shuffled = walker_.only_changes_places(y());
  std::vector<size_t> candidates;
  for (const bool few : {false, true}) {
    for (size_t k = out_begin; k < out_end; ++k) {
      const int64_t size = *out_size(k);
      if (size > 1 && (size <= 3) == few) candidates.push_back(k);
    }
  }
  if (candidates.empty() || total > kMostElements) return freeze(labelled, labelled + 1);
  const size_t told = candidates.front();
  if (candidates.size() == 2 && !shuffled) std::ranges::sort(candidates);
  const size_t chosen = candidates[walker_.choice(candidates.size())];
  const int64_t size = *out_size(chosen);
  int64_t out_inner = 1;
  for (size_t k = chosen + 1; k < out_end; ++k) out_inner *= *out_size(k);
  Labels out(static_cast<size_t>(size), Atoms::kStays);
  std::vector<bool> seen(static_cast<size_t>(size), false);
  const std::string why = walker_.here() + " gives it another shape";
  const auto count = static_cast<int64_t>(labels.size());
  for (int64_t at = 0; at < total; ++at) {
    const Atom atom = labels[static_cast<size_t>(at / inner % count)];
    const auto place = static_cast<size_t>(at / out_inner % size);
    if (seen[place]) {
      walker_.atoms().unite(out[place], atom, why);
    } else {
      out[place] = atom;
      seen[place] = true;
    }
  }
  const auto told_at = std::ranges::find(candidates, told) - candidates.begin();
  walker_.chose({candidates.size(), static_cast<size_t>(told_at), labels});
  state(chosen, out, std::nullopt);
  walker_.give(y(), chosen, std::move(out));
}

/// Axes of both sides that hold the same elements.
void Regrouping::group(size_t in_begin, size_t in_end, size_t out_begin, size_t out_end) {
  std::optional<size_t> labelled;
  size_t count = 0;
  for (size_t i = in_begin; i < in_end; ++i) {
    if (walker_.labels(x(), i).empty()) continue;
    labelled = i;
    ++count;
  }
  if (count == 0) return;
  if (count > 1) return freeze(in_begin, in_end);
  if (in_end - in_begin == 1 && out_end - out_begin == 1) {
    pass(in_begin, out_begin);
  } else {
    spread_over(*labelled, in_begin, in_end, out_begin, out_end);
  }
}

/// Passes over what is in front on both sides, a batch and lengths that vary, where the rest of
/// both holds as many elements.
void Regrouping::skip_open(size_t& i, size_t in_end, size_t& k, size_t out_end) const {
  size_t in_rest = i;
  size_t out_rest = k;
  while (in_rest < in_end && !in_size(in_rest) && walker_.labels(x(), in_rest).empty()) ++in_rest;
  while (out_rest < out_end && !out_size(out_rest)) ++out_rest;
  if (in_rest == i || out_rest == k || in_rest - i == out_rest - k) return;
  int64_t in = 1;
  int64_t out = 1;
  for (size_t at = in_rest; at < in_end; ++at)
    if (!in_size(at) || !multiply(in, in_size(at))) return;
  for (size_t at = out_rest; at < out_end; ++at)
    if (!out_size(at) || !multiply(out, out_size(at))) return;
  if (in != out) return;
  i = in_rest;
  k = out_rest;
}

/// Learns a size that is not known, where the rest of both sides tells it. False where
/// sizes stay unknown.
bool Regrouping::complete(size_t& i, size_t in_end, size_t& k, size_t out_end) {
  skip_open(i, in_end, k, out_end);
  int64_t in = 1;
  int64_t out = 1;
  std::optional<size_t> open_in;
  std::optional<size_t> open_out;
  for (size_t at = i; at < in_end; ++at) {
    const auto size = in_size(at);
    if (!size && open_in) return false;
    if (!size) open_in = at;
    if (!multiply(in, size)) return false;
  }
  for (size_t at = k; at < out_end; ++at) {
    const auto size = out_size(at);
    if (!size && open_out) return false;
    if (!size) open_out = at;
    if (!multiply(out, size)) return false;
  }
  if (open_in && open_out) {  // a batch in front: the same where the rest holds as many elements
    if (open_in != i || open_out != k || in != out) return false;
    ++i;
    ++k;
  } else if (open_in) {
    if (out % in != 0) return false;
    learnt_in_[*open_in] = out / in;
  } else if (open_out) {
    if (in % out != 0) return false;
    learnt_[*open_out] = in / out;
    walker_.learn(y(), *open_out, in / out);
  }
  return true;
}

void Regrouping::middle(size_t i, size_t in_end, size_t k, size_t out_end) {
  if (!complete(i, in_end, k, out_end)) return freeze(i, in_end);
  while (i < in_end || k < out_end) {
    size_t in_last = i;
    size_t out_last = k;
    int64_t in = in_last < in_end ? *in_size(in_last++) : 1;
    int64_t out = out_last < out_end ? *out_size(out_last++) : 1;
    while (in != out) {
      if (in < out && in_last < in_end) {
        in *= *in_size(in_last++);
      } else if (out < in && out_last < out_end) {
        out *= *out_size(out_last++);
      } else {
        return freeze(i, in_end);
      }
    }
    group(i, in_last, k, out_last);
    i = in_last;
    k = out_last;
  }
}

void Regrouping::run() {
  const size_t in = *walker_.rank(x());
  const size_t out = *walker_.rank(y());
  size_t begin = 0;
  while (begin < in && begin < out && same(begin, begin)) {
    pass(begin, begin);
    ++begin;
  }
  size_t end = 0;
  while (begin + end < in && begin + end < out &&
         walker_.same_size(x(), in - 1 - end, y(), out - 1 - end)) {
    pass(in - 1 - end, out - 1 - end);
    ++end;
  }
  middle(begin, in - end, begin, out - end);
  for (size_t k = 0; target_ != nullptr && k < target_->size(); ++k) {
    if (!stated_.contains(k)) walker_.fix_item((*target_)[k]);
  }
}

void reshape(Walker& walker) {
  const DocNode& node = walker.node();
  const std::string& x = node.input(0);
  const auto items = walker.input_items(1);
  if (const SizeItems* const sizes = walker.items(x); sizes != nullptr) walker.freeze_items(x);
  if (walker.is_constant(x)) return walker.keep_constant(x);
  const bool known = walker.rank(x) && walker.rank(node.outputs[0]);
  // A zero that is one, where others copy sizes.
  const auto is_zero = [](const SizeItem& each) {
    return each.kind == Kind::number && each.number == 0;
  };
  const bool has_zero =
      node.integer("allowzero", 0) != 0 && items && std::ranges::any_of(*items, is_zero);
  if (!known || has_zero) return keep_all_inputs(walker);
  if (!walker.has_labels(x)) {
    for (const SizeItem& each : items.value_or(SizeItems())) walker.fix_item(each);
    return;
  }
  if (!items) return walker.freeze_value(x, walker.here() + " computes its shape");
  Regrouping(walker, &*items).run();
}

void flatten(Walker& walker) {
  const DocNode& node = walker.node();
  const std::string& x = node.input(0);
  if (walker.is_constant(x)) return walker.keep_constant(x);
  if (!walker.rank(x) || walker.rank(node.outputs[0]) != 2) return keep_all_inputs(walker);
  if (walker.has_labels(x)) Regrouping(walker, nullptr).run();
}

/// One axis of what an Expand reads, and what its shape says of it.
void expand_axis(Walker& walker, size_t from, size_t to, const SizeItem* item) {
  const std::string& x = walker.node().input(0);
  const std::string& y = walker.node().outputs[0];
  Labels labels = walker.labels(x, from);
  if (labels.empty()) {
    if (item != nullptr) walker.fix_item(*item);
    return;
  }
  if (labels.size() == 1 && walker.size(y, to) != 1)
    return walker.freeze(labels, walker.here() + " repeats it");
  const bool follows = item == nullptr || (item->kind == Kind::number && item->number == 1);
  if (!follows) walker.count_item(*item, labels, walker.here() + " states its size");
  walker.give(y, to, std::move(labels));
}

/// Repeats axes of one index, as keys and values that several heads of queries read.
void expand(Walker& walker) {
  const DocNode& node = walker.node();
  const std::string& x = node.input(0);
  const auto items = walker.input_items(1);
  const auto in = walker.rank(x);
  const auto out = walker.rank(node.outputs[0]);
  if (walker.is_constant(x)) return walker.keep_constant(x);
  if (!items || !in || !out || *in > *out || items->size() > *out)
    return walker.freeze_value(x, walker.here() + " computes its shape");
  const size_t unstated = *out - items->size();
  for (size_t k = 0; k < *out; ++k) {
    const SizeItem* const item = k < unstated ? nullptr : &(*items)[k - unstated];
    if (k + *in < *out) {
      if (item != nullptr) walker.fix_item(*item);
    } else {
      expand_axis(walker, k + *in - *out, k, item);
    }
  }
}

constexpr std::array kRows = {
    RuleRow{"Shape", shape_of},    RuleRow{"Squeeze", squeeze}, RuleRow{"Unsqueeze", unsqueeze},
    RuleRow{"Identity", identity}, RuleRow{"Cast", cast},       RuleRow{"Reshape", reshape},
    RuleRow{"Flatten", flatten},   RuleRow{"Expand", expand},
};

}  // namespace

std::span<const RuleRow> shape_rules() {
  return kRows;
}

}  // namespace mlc::onnx
