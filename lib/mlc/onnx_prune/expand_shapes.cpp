#include "mlc/onnx_prune/expand_shapes.h"

#include "mlc/onnx_prune/constant_numbers.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mlc::onnx {
namespace {

/// How many nodes lie between a size and the Shape that tells it, as exporters write them.
constexpr int kMostSteps = 4;

class ExpandShapes {
 public:
  explicit ExpandShapes(Document& document) : document_(document) {
    for (const DocNode& node : document.nodes)
      for (const std::string& output : node.outputs) makers_.emplace(output, &node);
  }

  Status run();

 private:
  const DocNode* maker(const std::string& name) const {
    const auto found = makers_.find(name);
    return found == makers_.end() ? nullptr : found->second;
  }
  Result<bool> is_size(const std::string& name, int64_t least) const;
  Result<const DocNode*> sizes_behind(const std::string& shape) const;
  Result<std::string> without_minus_one(const DocNode& sizes);
  void insert_added();
  void drop_unread();

  Document& document_;
  std::map<std::string, const DocNode*, std::less<>> makers_;
  std::set<std::string, std::less<>> left_;             // nobody may read them any more
  std::vector<std::pair<std::string, DocNode>> added_;  // behind what gives this value
};

/// Whether NAME holds numbers from LEAST on, whatever the inputs, and no negative ones but
/// constants.
Result<bool> ExpandShapes::is_size(const std::string& name, int64_t least) const {
  if (document_.find_tensor(name) != nullptr) {
    MLC_TRY(const auto constant, numbers_of(document_, name));
    return constant &&
           std::ranges::all_of(constant->values, [&](int64_t one) { return one >= least; });
  }
  constexpr std::array<std::string_view, 5> kTake = {"Gather", "Slice", "Unsqueeze", "Squeeze",
                                                     "Identity"};
  const DocNode* node = maker(name);
  for (int step = 0; step < kMostSteps && node != nullptr; ++step) {
    if (node->is("Shape")) return true;
    const bool takes = std::ranges::any_of(kTake, [&](auto op) { return node->is(op); });
    node = takes ? maker(node->input(0)) : nullptr;
  }
  return false;
}

/// The Concat of sizes whose numbers SHAPE, a Where, has; null where it is not known to.
Result<const DocNode*> ExpandShapes::sizes_behind(const std::string& shape) const {
  const DocNode* const none = nullptr;
  const DocNode* const where = maker(shape);
  if (where == nullptr || !where->is("Where")) return none;
  const DocNode* const equal = maker(where->input(0));
  if (equal == nullptr || !equal->is("Equal") || equal->input(0) != where->input(2)) return none;
  const DocNode* minus = maker(equal->input(1));
  if (minus == nullptr || !minus->is("Mul")) return none;
  // Whatever it is compared with is negative: ones times a constant that is.
  const DocNode* const ones = maker(minus->input(0));
  MLC_TRY(const bool positive, is_size(minus->input(1), 0));
  const bool negative = document_.find_tensor(minus->input(1)) != nullptr && !positive;
  if (ones == nullptr || !ones->is("ConstantOfShape") || !negative) return none;
  if (where->input(1) != minus->input(0)) return none;
  const DocNode* sizes = maker(where->input(2));
  if (sizes != nullptr && sizes->is("Reshape")) sizes = maker(sizes->input(0));
  if (sizes == nullptr || !sizes->is("Concat")) return none;
  for (const std::string& each : sizes->inputs) {
    MLC_TRY(const bool is, is_size(each, -1));
    if (!is) return none;
  }
  return sizes;
}

/// What has the numbers of SIZES, with 1 for -1: itself, or a Concat that is added.
Result<std::string> ExpandShapes::without_minus_one(const DocNode& sizes) {
  DocNode made = sizes;
  for (std::string& input : made.inputs) {
    MLC_TRY(const bool plain, is_size(input, 0));
    if (plain) continue;
    MLC_TRY(auto numbers, numbers_of(document_, input));
    if (!numbers) continue;
    for (int64_t& one : numbers->values) one = std::abs(one);
    input = document_.add_tensor(input + "_sizes", data_of(std::move(*numbers)));
  }
  if (made.inputs == sizes.inputs) return sizes.outputs[0];
  made.outputs = {document_.unused_name(sizes.outputs[0] + "_sizes")};
  made.name = document_.unused_name(sizes.name + "_sizes");
  added_.emplace_back(sizes.outputs[0], std::move(made));
  return added_.back().second.outputs[0];
}

/// The nodes that were made, each behind what it was made of.
void ExpandShapes::insert_added() {
  std::vector<DocNode> out;
  for (DocNode& node : document_.nodes) {
    const std::vector<std::string> outputs = node.outputs;
    out.push_back(std::move(node));
    for (auto& [behind, made] : added_)
      if (std::ranges::find(outputs, behind) != outputs.end()) out.push_back(std::move(made));
  }
  document_.nodes = std::move(out);
}

void ExpandShapes::drop_unread() {
  std::set<std::string, std::less<>> read(document_.output_names().begin(),
                                          document_.output_names().end());
  std::vector<DocNode> kept;
  for (size_t i = document_.nodes.size(); i-- > 0;) {
    DocNode& node = document_.nodes[i];
    const bool unread = node.outputs.size() == 1 && !read.contains(node.outputs[0]);
    if (unread && left_.contains(node.outputs[0])) {
      left_.insert(node.inputs.begin(), node.inputs.end());
      continue;
    }
    read.insert(node.inputs.begin(), node.inputs.end());
    read.insert(node.inner_names.begin(), node.inner_names.end());
    kept.push_back(std::move(node));
  }
  std::ranges::reverse(kept);
  document_.nodes = std::move(kept);
}

Status ExpandShapes::run() {
  for (DocNode& node : document_.nodes) {
    if (!node.is("Expand")) continue;
    MLC_TRY(const DocNode* const sizes, sizes_behind(node.input(1)));
    if (sizes == nullptr) continue;
    left_.insert(node.inputs[1]);
    MLC_TRY(node.inputs[1], without_minus_one(*sizes));
  }
  makers_.clear();  // it points to nodes
  if (!added_.empty()) insert_added();
  if (!left_.empty()) drop_unread();
  return {};
}

}  // namespace

Status simplify_expand_shapes(Document& document) {
  return ExpandShapes(document).run();
}

}  // namespace mlc::onnx
