#include "mlc/base/text.h"
#include "mlc/onnx_prune/rules.h"

#include <algorithm>
#include <array>
#include <numeric>

namespace mlc::onnx {
namespace {

constexpr int64_t kMostBlock = 256;       // pixels of one channel, along an axis
constexpr int64_t kMostSizes = 64;        // numbers of a shape
constexpr int64_t kMostJoined = 1 << 24;  // indices of an axis that are looked at

size_t positive(int64_t axis, size_t rank) {
  return static_cast<size_t>(axis < 0 ? axis + static_cast<int64_t>(rank) : axis);
}

/// Element by element of one input; the others are parameters.
void one_by_one(Walker& walker) {
  const DocNode& node = walker.node();
  for (size_t i = 1; i < node.inputs.size(); ++i)
    walker.keep_input(node.inputs[i], walker.here() + " reads it");
  if (walker.is_constant(node.input(0))) return walker.keep_constant(node.input(0));
  walker.pass(node.input(0), node.outputs[0]);
}

/// Element by element of all inputs, which are broadcast to the output.
void broadcast(Walker& walker) {
  const DocNode& node = walker.node();
  const auto rank = walker.rank(node.outputs[0]);
  const bool known = rank && std::ranges::all_of(node.inputs, [&](const std::string& name) {
                       return walker.rank(name).value_or(*rank + 1) <= *rank;
                     });
  if (!known) return keep_all_inputs(walker);
  for (size_t i = 0; i < *rank; ++i) {
    struct Part {
      const std::string* name;
      size_t axis;
    };
    std::vector<Part> parts;
    Labels all;
    int64_t count = 0;
    for (const std::string& name : node.inputs) {
      const size_t own = *walker.rank(name);
      if (i + own < *rank) continue;
      const Part part{&name, i + own - *rank};
      const Labels labels = walker.labels(name, part.axis);
      if (labels.size() == 1 && walker.size(node.outputs[0], i) != 1) {
        walker.freeze(labels, walker.here() + " repeats it");
        continue;
      }
      if (!labels.empty()) count = static_cast<int64_t>(labels.size());
      parts.push_back(part);
    }
    for (const Part& part : parts) {
      if (count == 0) {
        walker.keep_axis(*part.name, part.axis);
        continue;
      }
      if (walker.size(*part.name, part.axis) == 1 && count != 1) continue;
      if (walker.is_constant(*part.name)) continue;
      const Labels own = Walker::spread(walker.labels(*part.name, part.axis), count);
      const std::string why =
          walker.here() + " has it beside " + printable(*part.name) + ", which stays";
      all = all.empty() ? own : walker.unite(all, own, why);
      if (all.empty()) break;
    }
    for (const Part& part : parts) {
      if (count == 0 || !walker.is_constant(*part.name)) continue;
      if (all.empty()) {
        walker.keep_axis(*part.name, part.axis);
      } else {
        walker.follow(*part.name, part.axis, all);
      }
    }
    walker.give(node.outputs[0], i, std::move(all));
  }
}

/// Channels pass, what lies behind them is moved, pooled or scaled.
void spatial(Walker& walker) {
  const DocNode& node = walker.node();
  const std::string& x = node.input(0);
  for (size_t i = 1; i < node.inputs.size(); ++i) walker.keep_constant(node.inputs[i]);
  const size_t rank = walker.rank(x).value_or(0);
  for (size_t i = 2; i < rank; ++i) walker.freeze(walker.labels(x, i), walker.here() + " reads it");
  for (const std::string& output : node.outputs) {
    walker.give(output, 0, walker.labels(x, 0));
    walker.give(output, 1, walker.labels(x, 1));
  }
}

/// Like these, but that sizes of the output may stand in an input.
void resize(Walker& walker) {
  const DocNode& node = walker.node();
  const Labels labels = walker.labels(node.input(0), 1);
  spatial(walker);
  if (labels.empty()) return;
  const std::string why = walker.here() + " states its size";
  if (node.find("axes") != nullptr || node.input(3).empty()) {
    if (node.find("axes") == nullptr) return;
    return walker.freeze(labels, why);
  }
  const auto sizes = walker.input_items(3);
  if (!sizes || sizes->size() < 2) return walker.freeze(labels, why);
  for (size_t i = 0; i < sizes->size(); ++i) {
    if (i != 1) walker.fix_item((*sizes)[i]);
  }
  walker.count_item((*sizes)[1], labels, why);
}

/// Blocks of channels become blocks of pixels: those that make one channel go together.
void depth_to_space(Walker& walker) {
  const DocNode& node = walker.node();
  const std::string& x = node.input(0);
  const Labels in = walker.labels(x, 1);
  const int64_t block = node.integer("blocksize", 0);
  const auto parts = static_cast<size_t>(block > 0 && block <= kMostBlock ? block * block : 0);
  if (walker.is_constant(x) || parts == 0 || in.size() % parts != 0 ||
      !walker.labels(x, 2).empty() || !walker.labels(x, 3).empty())
    return keep_all_inputs(walker);
  const DocAttribute* const mode = node.find("mode");
  const bool by_column = mode != nullptr && mode->text() == "CRD";
  const size_t count = in.size() / parts;
  Labels out;
  for (size_t c = 0; c < count; ++c) {
    out.push_back(in[by_column ? c * parts : c]);
    for (size_t k = 1; k < parts; ++k)
      walker.atoms().unite(out[c], in[by_column ? c * parts + k : k * count + c],
                           walker.here() + " reads it");
  }
  walker.give(node.outputs[0], 0, walker.labels(x, 0));
  walker.give(node.outputs[0], 1, std::move(out));
}

/// Computes across AXES, which therefore stay.
void across(Walker& walker, const std::vector<int64_t>& axes) {
  const DocNode& node = walker.node();
  const std::string& x = node.input(0);
  for (size_t i = 1; i < node.inputs.size(); ++i)
    walker.keep_input(node.inputs[i], walker.here() + " reads it");
  const auto rank = walker.rank(x);
  if (!rank || walker.is_constant(x)) return keep_all_inputs(walker);
  for (const int64_t axis : axes)
    walker.freeze(walker.labels(x, positive(axis, *rank)), walker.here() + " computes across it");
  for (size_t i = 0; i < *rank; ++i) walker.give(node.outputs[0], i, walker.labels(x, i));
}

void softmax(Walker& walker) {
  const DocNode& node = walker.node();
  const size_t rank = walker.rank(node.input(0)).value_or(0);
  const bool is_old = walker.document().opset() < 13;  // all axes from this one on
  const int64_t axis = node.integer("axis", is_old ? 1 : -1);
  std::vector<int64_t> axes = {axis};
  for (size_t i = positive(axis, rank) + 1; is_old && i < rank; ++i)
    axes.push_back(static_cast<int64_t>(i));
  across(walker, axes);
}

void layer_norm(Walker& walker) {
  const DocNode& node = walker.node();
  const size_t rank = walker.rank(node.input(0)).value_or(0);
  std::vector<int64_t> axes;
  for (size_t i = positive(node.integer("axis", -1), rank); i < rank; ++i)
    axes.push_back(static_cast<int64_t>(i));
  across(walker, axes);
}

void lp_norm(Walker& walker) {
  across(walker, {walker.node().integer("axis", -1)});
}

void local_response(Walker& walker) {
  across(walker, {1});
}

/// A sum, a mean, a maximum over some axes.
void reduce(Walker& walker) {
  const DocNode& node = walker.node();
  const std::string& x = node.input(0);
  const auto rank = walker.rank(x);
  const auto axes = walker.integers("axes", 1);
  const bool all = node.find("axes") == nullptr && node.input(1).empty();
  if (!rank || walker.is_constant(x) || (!axes && !all)) return keep_all_inputs(walker);
  std::vector<bool> gone(*rank, all && node.integer("noop_with_empty_axes", 0) == 0);
  for (const int64_t axis : axes.value_or(std::vector<int64_t>())) {
    if (positive(axis, *rank) < *rank) gone[positive(axis, *rank)] = true;
  }
  const bool keeps = node.integer("keepdims", 1) != 0;
  size_t to = 0;
  for (size_t i = 0; i < *rank; ++i) {
    if (gone[i]) {
      walker.freeze(walker.labels(x, i), walker.here() + " computes across it");
    } else {
      walker.give(node.outputs[0], to, walker.labels(x, i));
    }
    if (keeps || !gone[i]) ++to;
  }
}

void arg_extreme(Walker& walker) {
  const DocNode& node = walker.node();
  const std::string& x = node.input(0);
  const auto rank = walker.rank(x);
  if (!rank || walker.is_constant(x)) return keep_all_inputs(walker);
  const size_t axis = positive(node.integer("axis", 0), *rank);
  const bool keeps = node.integer("keepdims", 1) != 0;
  walker.freeze(walker.labels(x, axis), walker.here() + " computes across it");
  for (size_t i = 0; i < *rank; ++i) {
    if (i == axis) continue;
    walker.give(node.outputs[0], i > axis && !keeps ? i - 1 : i, walker.labels(x, i));
  }
}

/// Numbers of a shape that are put together.
/// A size divided by a number is a number, as of the channels of a head: the size stays.
void divide(Walker& walker) {
  const DocNode& node = walker.node();
  const SizeItems* const sizes = walker.items(node.input(0));
  const auto by = walker.input_items(1);
  const bool one = sizes != nullptr && sizes->size() == 1 && by && by->size() == 1;
  if (one && by->front().kind == SizeItem::Kind::number && by->front().number > 0) {
    const SizeItem& of = sizes->front();
    std::optional<int64_t> size;
    if (of.kind == SizeItem::Kind::number) size = of.number;
    if (of.kind == SizeItem::Kind::size_of) size = walker.size(of.value, of.axis);
    if (size && *size > 0) {
      SizeItem made;
      made.kind = SizeItem::Kind::number;
      made.number = *size / by->front().number;
      made.is_scalar = of.is_scalar;
      walker.give_items(node.outputs[0], {made});
    }
  }
  broadcast(walker);
}

void concat_items(Walker& walker) {
  const DocNode& node = walker.node();
  SizeItems out;
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    // How many numbers there are is known of every part of a shape, or nothing is known.
    const auto count = walker.size(node.inputs[i], 0).value_or(-1);
    auto items = walker.input_items(i);
    if (!items && (count < 0 || count > kMostSizes)) {
      for (const std::string& name : node.inputs) walker.freeze_items(name);
      return;
    }
    if (!items) items.emplace(static_cast<size_t>(count));
    if (items->size() == 1 && !items->front().place) items->front().place = {walker.index(), i};
    out.insert(out.end(), items->begin(), items->end());
  }
  walker.give_items(node.outputs[0], std::move(out));
}

/// The axis along which inputs lie one behind the other.
void join(Walker& walker, size_t axis) {
  const DocNode& node = walker.node();
  bool has_labels = false;
  int64_t total = 0;
  for (const std::string& name : node.inputs) {
    const int64_t count = walker.size(name, axis).value_or(kMostJoined + 1);
    walker.keep_axis(name, axis);
    walker.span(walker.labels(name, axis));
    has_labels = has_labels || !walker.labels(name, axis).empty();
    total = count < 0 || count > kMostJoined - total ? kMostJoined : total + count;
  }
  if (!has_labels) return;
  Labels joined;
  for (const std::string& name : node.inputs) {
    const Labels own = walker.labels(name, axis);
    if (total >= kMostJoined) {
      walker.freeze(own, walker.here() + " joins it with one whose size varies");
      continue;
    }
    const Labels part = Walker::spread(own, *walker.size(name, axis));
    joined.insert(joined.end(), part.begin(), part.end());
  }
  walker.give(node.outputs[0], axis, std::move(joined));
}

/// Another axis, which is the same in all inputs.
void join_beside(Walker& walker, size_t axis) {
  const DocNode& node = walker.node();
  Labels all;
  for (const std::string& name : node.inputs) {
    if (!walker.labels(name, axis).empty()) all = walker.labels(name, axis);
  }
  for (const std::string& name : node.inputs) {
    if (walker.is_constant(name)) {
      if (all.empty()) {
        walker.keep_axis(name, axis);
      } else {
        walker.follow(name, axis, all);
      }
    } else if (!all.empty()) {
      const Labels own =
          Walker::spread(walker.labels(name, axis), static_cast<int64_t>(all.size()));
      walker.unite(all, own, walker.here() + " joins it with one that stays");
    }
  }
  walker.give(node.outputs[0], axis, std::move(all));
}

void concat(Walker& walker) {
  const DocNode& node = walker.node();
  const bool of_sizes = std::ranges::any_of(
      node.inputs, [&](const std::string& name) { return walker.items(name) != nullptr; });
  if (of_sizes) return concat_items(walker);
  const auto rank = walker.rank(node.outputs[0]);
  if (!rank) return keep_all_inputs(walker);
  const size_t axis = positive(node.integer("axis", 0), *rank);
  join(walker, axis);
  for (size_t i = 0; i < *rank; ++i) {
    if (i != axis) join_beside(walker, i);
  }
}

void transpose(Walker& walker) {
  const DocNode& node = walker.node();
  const std::string& x = node.input(0);
  const auto rank = walker.rank(x);
  if (!rank) return keep_all_inputs(walker);
  std::vector<int64_t> perm(*rank);
  std::iota(perm.rbegin(), perm.rend(), 0);
  if (const DocAttribute* const given = node.find("perm")) perm = given->integers().value_or(perm);
  const bool whole = perm.size() == *rank && std::ranges::all_of(perm, [&](int64_t each) {
                       return each >= 0 && each < static_cast<int64_t>(*rank);
                     });
  if (!whole) return keep_all_inputs(walker);
  if (walker.is_constant(x)) return walker.alias(node.outputs[0], x, perm);
  for (size_t i = 0; i < *rank; ++i) {
    const auto from = static_cast<size_t>(perm[i]);
    walker.give(node.outputs[0], i, walker.labels(x, from));
    walker.learn(node.outputs[0], i, walker.size(x, from));
  }
}

void pad(Walker& walker) {
  const DocNode& node = walker.node();
  const std::string& x = node.input(0);
  const auto rank = walker.rank(x);
  const auto pads = walker.integers("pads", 1);
  const bool plain = rank && !walker.is_constant(x) && node.input(3).empty();
  if (!plain || !pads || pads->size() != 2 * *rank) return keep_all_inputs(walker);
  for (size_t i = 0; i < *rank; ++i) {
    const Labels own = walker.labels(x, i);
    if ((*pads)[i] != 0 || (*pads)[i + *rank] != 0)
      walker.freeze(own, walker.here() + " adds to it");
    walker.give(node.outputs[0], i, own);
  }
}

/// Parts of an axis, whose sizes become those of what stays of each.
void split(Walker& walker) {
  const DocNode& node = walker.node();
  const std::string& x = node.input(0);
  const auto rank = walker.rank(x);
  if (!rank || walker.is_constant(x)) return keep_all_inputs(walker);
  const size_t axis = positive(node.integer("axis", 0), *rank);
  for (const std::string& output : node.outputs) {
    for (size_t i = 0; i < *rank; ++i) {
      if (i != axis) walker.give(output, i, walker.labels(x, i));
    }
  }
  const Labels all = walker.labels(x, axis);
  if (all.empty()) return;
  const bool as_input = walker.document().opset() >= 13;
  NumberEdit edit;
  if (!as_input) edit.attribute = "split";
  edit.input = 1;
  size_t at = 0;
  for (const std::string& output : node.outputs) {
    const auto count = walker.size(output, axis);
    if (!count || *count < 1 || at + static_cast<size_t>(*count) > all.size())
      return walker.freeze(all, walker.here() + " takes parts of it");
    const auto from = all.begin() + static_cast<std::ptrdiff_t>(at);
    const Labels part(from, from + *count);
    at += static_cast<size_t>(*count);
    edit.numbers.push_back({.number = *count, .counted = part});
    walker.span(part);
    walker.give(output, axis, part);
  }
  if (at != all.size()) return walker.freeze(all, walker.here() + " takes parts of it");
  walker.edit_here(std::move(edit));
}

/// A part of the numbers of a shape.
void slice_items(Walker& walker, const SizeItems& items) {
  const auto starts = walker.integers("starts", 1);
  const auto ends = walker.integers("ends", 2);
  const auto steps = walker.integers(walker.node().input(4));
  const bool plain = starts && ends && starts->size() == 1 && ends->size() == 1 &&
                     (!steps || *steps == std::vector<int64_t>{1});
  if (!plain) return walker.freeze_items(walker.node().input(0));
  const auto count = static_cast<int64_t>(items.size());
  const auto within = [&](int64_t i) {
    return std::clamp<int64_t>(i < 0 ? i + count : i, 0, count);
  };
  SizeItems out;
  for (int64_t i = within((*starts)[0]); i < within((*ends)[0]); ++i)
    out.push_back(items[static_cast<size_t>(i)]);
  walker.give_items(walker.node().outputs[0], std::move(out));
}

/// Where a slice begins and ends, axis by axis.
struct Parts {
  std::vector<int64_t> axes;
  std::vector<int64_t> starts;
  std::vector<int64_t> ends;
  std::vector<int64_t> steps;
};

/// Nothing where it is not known.
std::optional<Parts> parts_of(Walker& walker) {
  const DocNode& node = walker.node();
  const auto starts = walker.integers("starts", 1);
  const auto ends = walker.integers("ends", 2);
  if (!starts || !ends) return std::nullopt;
  Parts out{{}, *starts, *ends, {}};
  out.axes.resize(starts->size());
  out.steps.assign(starts->size(), 1);
  std::iota(out.axes.begin(), out.axes.end(), 0);
  if (!node.input(3).empty())
    out.axes = walker.integers(node.input(3)).value_or(std::vector<int64_t>());
  if (!node.input(4).empty())
    out.steps = walker.integers(node.input(4)).value_or(std::vector<int64_t>());
  const bool whole = out.ends.size() == starts->size() && out.axes.size() == starts->size() &&
                     out.steps.size() == starts->size();
  return whole ? std::optional(std::move(out)) : std::nullopt;
}

/// A part of each of some axes.
void slice(Walker& walker) {
  const DocNode& node = walker.node();
  const std::string& x = node.input(0);
  if (const SizeItems* const items = walker.items(x)) return slice_items(walker, *items);
  const auto rank = walker.rank(x);
  const auto parts = parts_of(walker);
  if (!rank || !parts || walker.is_constant(x) || walker.document().opset() < 10)
    return keep_all_inputs(walker);
  std::vector<Labels> out;
  for (size_t i = 0; i < *rank; ++i) out.push_back(walker.labels(x, i));
  NumberEdit first;
  NumberEdit last;
  first.input = 1;
  last.input = 2;
  bool changes = false;
  for (size_t k = 0; k < parts->axes.size(); ++k) {
    const size_t axis = positive(parts->axes[k], *rank);
    first.numbers.push_back({.number = parts->starts[k], .counted = {}});
    last.numbers.push_back({.number = parts->ends[k], .counted = {}});
    if (axis >= *rank || out[axis].empty()) continue;
    const Labels all = out[axis];
    const auto count = static_cast<int64_t>(all.size());
    const auto within = [&](int64_t i) {
      return std::clamp<int64_t>(i < 0 ? i + count : i, 0, count);
    };
    const int64_t from = within(parts->starts[k]);
    const int64_t to = within(parts->ends[k]);
    if (parts->steps[k] != 1 || from >= to) {
      walker.freeze(all, walker.here() + " takes parts of it");
      continue;
    }
    out[axis] = Labels(all.begin() + from, all.begin() + to);
    first.numbers.back().number = 0;
    first.numbers.back().counted = Labels(all.begin(), all.begin() + from);
    last.numbers.back().counted = Labels(all.begin(), all.begin() + to);
    walker.span(out[axis]);
    first.depends.insert(first.depends.end(), all.begin(), all.end());
    changes = true;
  }
  last.depends = first.depends;
  if (changes) {
    walker.edit_here(std::move(first));
    walker.edit_here(std::move(last));
  }
  for (size_t i = 0; i < *rank; ++i) walker.give(node.outputs[0], i, out[i]);
}

constexpr std::array kRows = {
    RuleRow{"Relu", one_by_one},
    RuleRow{"LeakyRelu", one_by_one},
    RuleRow{"Sigmoid", one_by_one},
    RuleRow{"Tanh", one_by_one},
    RuleRow{"Clip", one_by_one},
    RuleRow{"Erf", one_by_one},
    RuleRow{"Gelu", one_by_one},
    RuleRow{"HardSigmoid", one_by_one},
    RuleRow{"HardSwish", one_by_one},
    RuleRow{"Elu", one_by_one},
    RuleRow{"Selu", one_by_one},
    RuleRow{"Celu", one_by_one},
    RuleRow{"Softplus", one_by_one},
    RuleRow{"Softsign", one_by_one},
    RuleRow{"Mish", one_by_one},
    RuleRow{"Swish", one_by_one},
    RuleRow{"Sqrt", one_by_one},
    RuleRow{"Exp", one_by_one},
    RuleRow{"Log", one_by_one},
    RuleRow{"Neg", one_by_one},
    RuleRow{"Abs", one_by_one},
    RuleRow{"Reciprocal", one_by_one},
    RuleRow{"Sin", one_by_one},
    RuleRow{"Cos", one_by_one},
    RuleRow{"Floor", one_by_one},
    RuleRow{"Ceil", one_by_one},
    RuleRow{"Round", one_by_one},
    RuleRow{"Sign", one_by_one},
    RuleRow{"Not", one_by_one},
    RuleRow{"IsNaN", one_by_one},
    RuleRow{"IsInf", one_by_one},
    RuleRow{"ThresholdedRelu", one_by_one},
    RuleRow{"Dropout", one_by_one},
    RuleRow{"Add", broadcast},
    RuleRow{"Sub", broadcast},
    RuleRow{"Mul", broadcast},
    RuleRow{"Div", divide},
    RuleRow{"Pow", broadcast},
    RuleRow{"Min", broadcast},
    RuleRow{"Max", broadcast},
    RuleRow{"Sum", broadcast},
    RuleRow{"Mean", broadcast},
    RuleRow{"Where", broadcast},
    RuleRow{"PRelu", broadcast},
    RuleRow{"Equal", broadcast},
    RuleRow{"Greater", broadcast},
    RuleRow{"Less", broadcast},
    RuleRow{"And", broadcast},
    RuleRow{"GreaterOrEqual", broadcast},
    RuleRow{"LessOrEqual", broadcast},
    RuleRow{"Or", broadcast},
    RuleRow{"MaxPool", spatial},
    RuleRow{"AveragePool", spatial},
    RuleRow{"LpPool", spatial},
    RuleRow{"GlobalAveragePool", spatial},
    RuleRow{"GlobalMaxPool", spatial},
    RuleRow{"GlobalLpPool", spatial},
    RuleRow{"Resize", resize},
    RuleRow{"DepthToSpace", depth_to_space},
    RuleRow{"Softmax", softmax},
    RuleRow{"LogSoftmax", softmax},
    RuleRow{"LayerNormalization", layer_norm},
    RuleRow{"RMSNormalization", layer_norm},
    RuleRow{"LpNormalization", lp_norm},
    RuleRow{"LRN", local_response},
    RuleRow{"ReduceMean", reduce},
    RuleRow{"ReduceSum", reduce},
    RuleRow{"ReduceMax", reduce},
    RuleRow{"ReduceMin", reduce},
    RuleRow{"ReduceL1", reduce},
    RuleRow{"ReduceL2", reduce},
    RuleRow{"ReduceProd", reduce},
    RuleRow{"ReduceSumSquare", reduce},
    RuleRow{"ReduceLogSumExp", reduce},
    RuleRow{"ReduceLogSum", reduce},
    RuleRow{"ArgMax", arg_extreme},
    RuleRow{"ArgMin", arg_extreme},
    RuleRow{"Concat", concat},
    RuleRow{"Transpose", transpose},
    RuleRow{"Pad", pad},
    RuleRow{"Split", split},
    RuleRow{"Slice", slice},
};

}  // namespace

std::span<const RuleRow> pass_rules() {
  return kRows;
}

}  // namespace mlc::onnx
