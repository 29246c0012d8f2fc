// One walk over the nodes of a model, which gives every axis its atoms: what the rules for
// operators (rules.h) work with.
#pragma once

#include "mlc/onnx_prune/channel_graph.h"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mlc::onnx {

/// One of the numbers of a shape that nodes compute: what is known of it.
struct SizeItem {
  enum class Kind : uint8_t { unknown, number, size_of };
  Kind kind = Kind::unknown;
  int64_t number = 0;
  std::string value;  // of size_of: of this value
  size_t axis = 0;
  /// The input of a node at which it stands, where it can be exchanged: as a constant, or as one of
  /// those that a Concat puts together.
  std::optional<std::pair<size_t, size_t>> place;
  size_t element = 0;
  bool is_scalar = false;
};
using SizeItems = std::vector<SizeItem>;

/// For nodes that split an axis in several, of which one only can lose channels: which of the
/// candidates a walk shall take.
using SplitChoices = std::map<size_t, size_t>;

class Walker {
 public:
  Walker(const Document& document, const InferredSizes& sizes, const SplitChoices& choices)
      : document_(document), sizes_(sizes), choices_(choices) {}

  Status run();
  ChannelGraph take() { return std::move(graph_); }
  ValueAxes take_values() { return std::move(labels_); }
  /// The candidates that nodes had, and the atoms that they chose.
  struct Split {
    size_t candidates = 0;
    size_t told = 0;  // whose reasons are told where none helps
    Labels labels;
  };
  const std::map<size_t, Split>& splits() const { return splits_; }
  Atoms& atoms() { return graph_.atoms; }
  const WeightAxes& axes() const { return graph_.axes; }

  // Of the model.
  const Document& document() const { return document_; }
  const DocNode& node() const { return document_.nodes[index_]; }
  size_t index() const { return index_; }
  /// "Softmax /attention/softmax".
  std::string here() const;
  std::optional<size_t> rank(const std::string& name) const;
  /// Nothing where it varies or is not known.
  std::optional<int64_t> size(const std::string& name, size_t axis) const;
  /// That an axis has SIZE, which ONNX does not infer.
  void learn(const std::string& name, size_t axis, std::optional<int64_t> size);
  /// Whether two axes are known to have the same size.
  bool same_size(const std::string& a, size_t i, const std::string& b, size_t k) const;
  /// Whether nothing is known of the size of an axis, not even its name, or only that it has one.
  bool is_open(const std::string& name, size_t axis) const;
  /// Whether all that reads NAME is a Transpose, and all that reads that a Reshape.
  bool only_changes_places(const std::string& name) const;
  bool is_constant(const std::string& name) const { return constants_.contains(name); }
  /// The elements of a constant of i64 or i32; nothing where it is none, or has very many.
  std::optional<std::vector<int64_t>> integers(const std::string& name) const;
  /// What an attribute says or, from some opset on, an input.
  std::optional<std::vector<int64_t>> integers(std::string_view attribute, size_t input) const;

  // Atoms of what nodes give.
  Labels labels(const std::string& name, size_t axis) const;
  bool has_labels(const std::string& name) const;
  void give(const std::string& name, size_t axis, Labels labels);
  /// Passes all axes on.
  void pass(const std::string& from, const std::string& to);
  void freeze(const Labels& labels, const std::string& why);
  void freeze_value(const std::string& name, const std::string& why);
  /// A and B, index by index; empty where one of them is, and then the other stays.
  Labels unite(const Labels& a, const Labels& b, const std::string& why);
  /// LABELS, or as many indices that stay.
  static Labels spread(const Labels& labels, int64_t count);
  /// New atoms that are in no axis of a weight.
  size_t distinct(const Labels& labels);

  // Axes of constants; their names may be those of Transposes of them.
  Labels make(const std::string& name, size_t axis);
  void read(const std::string& name, size_t axis, const Labels& labels, const std::string& value,
            size_t value_axis);
  void follow(const std::string& name, size_t axis, const Labels& labels, bool scales = false);
  /// It makes what it reads: filters of a depthwise convolution.
  void follow_maker(const std::string& name, size_t axis, const Labels& labels);
  void keep_axis(const std::string& name, size_t axis);
  void keep_constant(const std::string& name);
  void keep_input(const std::string& name, const std::string& why);
  void alias(const std::string& name, const std::string& of, const std::vector<int64_t>& perm);

  // Numbers that change.
  const SizeItems* items(const std::string& name) const;
  void give_items(const std::string& name, SizeItems items) { items_[name] = std::move(items); }
  /// Those of an input that is a constant or was computed; nothing where neither is known.
  std::optional<SizeItems> input_items(size_t input) const;
  void edit_here(NumberEdit edit) {
    edit.node = index_;
    graph_.edits.push_back(std::move(edit));
  }
  /// ITEM is the size of an axis with LABELS and must stay it; where that cannot be, they stay.
  void count_item(const SizeItem& item, const Labels& labels, const std::string& why);
  /// Its number is needed as it is.
  void fix_item(const SizeItem& item);
  /// Numbers that may be sizes of channels are used for something else.
  void freeze_items(const std::string& name);
  /// The number ITEM becomes how many of LABELS stay.
  void edit_item(const SizeItem& item, const Labels& labels);
  /// As many of A as of B have to stay; else all of both do.
  void same_count(const Labels& a, const Labels& b) { counts_.push_back({a, b, here(), {}}); }
  void span(const Labels& labels) { graph_.spans.push_back(labels); }
  void note(std::string text) { graph_.notes.push_back(std::move(text)); }
  /// Which of CANDIDATES this node takes.
  size_t choice(size_t candidates);
  void chose(Split split) { splits_[index_] = std::move(split); }

 private:
  struct Constant {
    std::string tensor;
    std::vector<size_t> axes;  // of the tensor, for each of this one
  };
  struct Counts {
    Labels a;
    Labels b;
    std::string why;
    std::optional<SizeItem> item;  // that says A where B is meant, and can be exchanged
  };
  WeightAxis* axis(const std::string& name, size_t axis);
  void tie(WeightAxis& axis, size_t count, const Labels& labels);
  Status collect_constants();
  void look_at_items();
  void look_at_outputs();
  void settle();

  const Document& document_;
  const InferredSizes& sizes_;
  const SplitChoices& choices_;
  ChannelGraph graph_;
  size_t index_ = 0;
  std::map<std::string, Constant, std::less<>> constants_;
  std::map<std::string, std::vector<int64_t>, std::less<>> integers_;
  ValueAxes labels_;
  std::map<std::pair<std::string, size_t>, int64_t> learnt_;
  std::map<std::string, SizeItems, std::less<>> items_;
  std::set<std::string, std::less<>> outputs_;
  std::set<std::string, std::less<>> inner_;
  std::vector<Counts> counts_;
  std::set<std::pair<std::pair<size_t, size_t>, size_t>> fixed_items_;  // place and element
  std::map<size_t, Split> splits_;
};

}  // namespace mlc::onnx
