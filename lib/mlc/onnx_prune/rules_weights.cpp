#include "mlc/onnx_prune/rules.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace mlc::onnx {
namespace {

/// All axes of NAME but EXCEPT stay.
void freeze_other_axes(Walker& walker, const std::string& name, size_t except) {
  const size_t rank = walker.rank(name).value_or(0);
  for (size_t i = 0; i < rank; ++i) {
    if (i != except) walker.freeze(walker.labels(name, i), walker.here() + " reads it");
  }
}

/// What a convolution of several groups is: groups of IN and OUT channels.
struct Grouping {
  int64_t groups = 1;
  int64_t in = 0;
  int64_t out = 0;
};

/// Whole groups go, with all that they read and make. MAKER: the axis of the filters.
Labels whole_groups(Walker& walker, const Grouping& grouping, const Labels& in) {
  const std::string why = walker.here() + " reads it";
  for (size_t i = 0; i < in.size(); ++i) {
    const auto first = i / static_cast<size_t>(grouping.in) * static_cast<size_t>(grouping.in);
    walker.atoms().unite(in[first], in[i], why);
  }
  Labels out;
  for (int64_t i = 0; i < grouping.groups * grouping.out; ++i)
    out.push_back(in[static_cast<size_t>(i / grouping.out * grouping.in)]);
  NumberEdit edit;
  edit.attribute = "group";
  edit.is_scalar = true;
  edit.numbers.push_back({.number = 0, .counted = in, .divisor = grouping.in});
  walker.edit_here(std::move(edit));
  return out;
}

/// The same channels of each group go: their number stays.
void alike_in_groups(Walker& walker, const Labels& labels, int64_t each) {
  for (size_t i = static_cast<size_t>(each); i < labels.size(); ++i)
    walker.atoms().unite(labels[i], labels[i - static_cast<size_t>(each)],
                         walker.here() + " needs groups of one size");
}

void keep_convolution(Walker& walker) {
  for (const std::string& name : walker.node().inputs)
    walker.keep_input(name, walker.here() + " reads it");
}

/// Filters [out, in / groups, ...] of Conv, or [in, out / groups, ...] of ConvTranspose.
void convolution(Walker& walker, bool transposed) {
  const DocNode& node = walker.node();
  const std::string& x = node.input(0);
  const std::string& w = node.input(1);
  const size_t in_axis = transposed ? 0 : 1;
  const size_t out_axis = transposed ? 1 : 0;
  if (!walker.is_constant(w) || walker.rank(w).value_or(0) < 3 || walker.is_constant(x))
    return keep_convolution(walker);
  freeze_other_axes(walker, x, 1);
  const Labels in = walker.labels(x, 1);
  Grouping grouping{node.integer("group", 1), 0, 0};
  const int64_t in_size = walker.size(w, in_axis).value_or(0);
  const int64_t out_size = walker.size(w, out_axis).value_or(0);
  grouping.in = transposed ? in_size / std::max<int64_t>(grouping.groups, 1) : in_size;
  grouping.out = transposed ? out_size : out_size / std::max<int64_t>(grouping.groups, 1);
  const bool fits =
      grouping.groups >= 1 && grouping.in > 0 && grouping.out > 0 &&
      (in.empty() || static_cast<int64_t>(in.size()) == grouping.groups * grouping.in);
  if (!fits) return keep_convolution(walker);
  Labels out;
  if (grouping.groups == 1) {
    walker.read(w, in_axis, in, x, 1);
    out = walker.make(w, out_axis);
  } else if (in.empty()) {
    walker.keep_constant(w);
  } else if (grouping.in == 1 || grouping.groups > grouping.in) {
    out = whole_groups(walker, grouping, in);
    walker.follow_maker(w, transposed ? in_axis : out_axis, transposed ? in : out);
    walker.keep_axis(w, transposed ? out_axis : in_axis);
  } else if (!transposed) {
    alike_in_groups(walker, in, grouping.in);
    walker.read(w, 1, Labels(in.begin(), in.begin() + grouping.in), x, 1);
    out = walker.make(w, 0);
    alike_in_groups(walker, out, grouping.out);
  } else {
    return keep_convolution(walker);
  }
  walker.follow(node.input(2), 0, out);
  walker.give(node.outputs[0], 1, out);
}

void conv(Walker& walker) {
  convolution(walker, false);
}
void conv_transpose(Walker& walker) {
  convolution(walker, true);
}

void gemm(Walker& walker) {
  const DocNode& node = walker.node();
  const std::string& a = node.input(0);
  const std::string& b = node.input(1);
  const std::string& c = node.input(2);
  if (!walker.is_constant(b) || walker.is_constant(a) || node.integer("transA", 0) != 0)
    return keep_all_inputs(walker);
  const bool transposed = node.integer("transB", 0) != 0;
  walker.freeze(walker.labels(a, 0), walker.here() + " reads it");
  walker.read(b, transposed ? 1 : 0, walker.labels(a, 1), a, 1);
  Labels out = walker.make(b, transposed ? 0 : 1);
  const size_t rank = walker.rank(c).value_or(0);
  if (!c.empty() && rank == 0 && !walker.is_constant(c)) {
    walker.freeze(out, walker.here() + " adds what is not constant");
  } else if (rank > 0) {
    walker.follow(c, rank - 1, out);
    if (rank > 1) walker.keep_axis(c, 0);
    walker.freeze_value(c, walker.here() + " adds it");
  }
  walker.give(node.outputs[0], 1, std::move(out));
}

/// A x B where both are computed: rows, columns and batches pass, what is summed over stays.
void product(Walker& walker, size_t rank_a, size_t rank_b) {
  const DocNode& node = walker.node();
  const std::string& a = node.input(0);
  const std::string& b = node.input(1);
  const std::string& y = node.outputs[0];
  const std::string sums = walker.here() + " sums over it";
  if (rank_a < 2 || rank_b < 2) return keep_all_inputs(walker);
  walker.freeze(walker.labels(a, rank_a - 1), sums);
  walker.freeze(walker.labels(b, rank_b - 2), sums);
  const size_t rank = std::max(rank_a, rank_b);
  for (size_t i = 0; i + 2 < rank; ++i) {
    const bool has_a = i + rank_a >= rank;
    const bool has_b = i + rank_b >= rank;
    const size_t at_a = i + rank_a - rank;
    const size_t at_b = i + rank_b - rank;
    Labels of_a = has_a ? walker.labels(a, at_a) : Labels();
    Labels of_b = has_b ? walker.labels(b, at_b) : Labels();
    if (of_a.empty() && of_b.empty()) continue;
    const std::string why = walker.here() + " has it beside one that stays";
    const bool alone_a = !has_b || walker.size(b, at_b) == 1;
    const bool alone_b = !has_a || walker.size(a, at_a) == 1;
    Labels out = alone_a ? of_a : alone_b ? of_b : walker.unite(of_a, of_b, why);
    walker.give(y, i, std::move(out));
  }
  walker.give(y, rank - 2, walker.labels(a, rank_a - 2));
  walker.give(y, rank - 1, walker.labels(b, rank_b - 1));
  walker.learn(y, rank - 1, walker.size(b, rank_b - 1));
}

void matmul(Walker& walker) {
  const DocNode& node = walker.node();
  const std::string& a = node.input(0);
  const std::string& b = node.input(1);
  const auto rank_a = walker.rank(a);
  const auto rank_b = walker.rank(b);
  if (!rank_a || !rank_b || walker.is_constant(a)) return keep_all_inputs(walker);
  if (!walker.is_constant(b)) return product(walker, *rank_a, *rank_b);
  if (*rank_b != 2 || *rank_a < 2) return keep_all_inputs(walker);
  walker.read(b, 0, walker.labels(a, *rank_a - 1), a, *rank_a - 1);
  for (size_t i = 0; i + 1 < *rank_a; ++i) walker.give(node.outputs[0], i, walker.labels(a, i));
  walker.give(node.outputs[0], *rank_a - 1, walker.make(b, 1));
}

/// A norm of each channel for itself: statistics of a batch, or over the rest of an instance.
void channel_norm(Walker& walker) {
  const DocNode& node = walker.node();
  const std::string& x = node.input(0);
  if (node.outputs.size() != 1 || walker.is_constant(x)) return keep_all_inputs(walker);
  freeze_other_axes(walker, x, 1);
  const Labels labels = walker.labels(x, 1);
  for (size_t i = 1; i < node.inputs.size(); ++i) {
    if (labels.empty()) {
      walker.keep_input(node.inputs[i], "");
    } else {
      walker.follow(node.inputs[i], 0, labels, i == 1);
    }
  }
  walker.give(node.outputs[0], 1, labels);
}

/// Rows of a table make channels; of anything else indices take what stays.
void gather(Walker& walker) {
  const DocNode& node = walker.node();
  const std::string& x = node.input(0);
  const std::string& indices = node.input(1);
  const auto rank = walker.rank(x);
  const auto more = walker.rank(indices);
  if (const SizeItems* const items = walker.items(x)) {
    const auto which = walker.integers(indices);
    SizeItems out;
    for (const int64_t each : which.value_or(std::vector<int64_t>())) {
      const int64_t at = each < 0 ? each + static_cast<int64_t>(items->size()) : each;
      const bool inside = at >= 0 && at < static_cast<int64_t>(items->size());
      out.push_back(inside ? (*items)[static_cast<size_t>(at)] : SizeItem());
    }
    if (which) return walker.give_items(node.outputs[0], std::move(out));
    return walker.freeze_items(x);
  }
  if (!rank || !more) return keep_all_inputs(walker);
  const int64_t given = node.integer("axis", 0);
  const auto axis = static_cast<size_t>(given < 0 ? given + static_cast<int64_t>(*rank) : given);
  if (axis >= *rank) return keep_all_inputs(walker);
  walker.freeze_value(indices, walker.here() + " reads it");
  walker.keep_constant(indices);
  for (size_t i = 0; i < *rank; ++i) {
    const bool table = walker.is_constant(x);
    if (i == axis) {
      walker.keep_axis(x, i);
      walker.freeze(walker.labels(x, i), walker.here() + " takes parts of it");
      continue;
    }
    const size_t to = i < axis ? i : i + *more - 1;
    // Of a table of more dimensions only the last is what embeddings are.
    if (table && (*rank != 2 || i != 1)) walker.keep_axis(x, i);
    walker.give(node.outputs[0], to, table ? walker.make(x, i) : walker.labels(x, i));
  }
}

constexpr std::array kRows = {
    RuleRow{"Conv", conv},
    RuleRow{"ConvTranspose", conv_transpose},
    RuleRow{"Gemm", gemm},
    RuleRow{"MatMul", matmul},
    RuleRow{"BatchNormalization", channel_norm},
    RuleRow{"InstanceNormalization", channel_norm},
    RuleRow{"Gather", gather},
};

}  // namespace

std::span<const RuleRow> weight_rules() {
  return kRows;
}

}  // namespace mlc::onnx
