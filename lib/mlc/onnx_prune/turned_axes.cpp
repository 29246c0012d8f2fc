#include "mlc/onnx_prune/turned_axes.h"

#include "mlc/onnx_prune/constant_numbers.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace mlc::onnx {
namespace {

constexpr int kMostSteps = 8;

/// One number of a shape: known, or the size of an axis.
struct ShapeNumber {
  std::optional<int64_t> number;
  std::string value;
  size_t axis = 0;
};
using ShapeNumbers = std::optional<std::vector<ShapeNumber>>;

class TurnedAxes {
 public:
  TurnedAxes(Document& document, const InferredSizes& sizes) : document_(document), sizes_(sizes) {
    for (size_t i = 0; i < document.nodes.size(); ++i) {
      for (const std::string& output : document.nodes[i].outputs) makers_.emplace(output, i);
      for (const std::string& input : document.nodes[i].inputs) ++readers_[input];
    }
    for (const std::string& output : document.output_names()) ++readers_[output];
  }

  Result<size_t> run();

 private:
  const DocNode* maker(const std::string& name) const {
    const auto found = makers_.find(name);
    return found == makers_.end() ? nullptr : &document_.nodes[found->second];
  }
  std::optional<size_t> rank(const std::string& name) const {
    const auto found = sizes_.find(name);
    return found == sizes_.end() ? std::nullopt : std::optional(found->second.size());
  }
  Result<ShapeNumbers> numbers(const std::string& name, int steps) const;
  Result<ShapeNumbers> part(const DocNode& node, ShapeNumbers of) const;
  bool is_size(const ShapeNumber& one, const std::string& value, size_t axis) const;
  Result<bool> is_turn(const DocNode& last) const;

  Document& document_;
  const InferredSizes& sizes_;
  std::map<std::string, size_t, std::less<>> makers_;
  std::map<std::string, size_t, std::less<>> readers_;
};

/// What NODE, a Gather or a Slice, takes of the numbers OF.
Result<ShapeNumbers> TurnedAxes::part(const DocNode& node, ShapeNumbers of) const {
  if (!of) return ShapeNumbers();
  const auto count = static_cast<int64_t>(of->size());
  const auto within = [count](int64_t at) {
    return std::clamp<int64_t>(at < 0 ? at + count : at, 0, count);
  };
  MLC_TRY(const auto first, numbers_of(document_, node.input(1)));
  if (!first || first->values.size() != 1) return ShapeNumbers();
  int64_t begin = within(first->values.front());
  int64_t end = begin + 1;
  if (node.is("Slice")) {
    MLC_TRY(const auto last, numbers_of(document_, node.input(2)));
    MLC_TRY(const auto step, numbers_of(document_, node.input(4)));
    const bool plain = node.input(4).empty() || (step && step->values == std::vector<int64_t>{1});
    if (!last || last->values.size() != 1 || !plain) return ShapeNumbers();
    end = within(last->values.front());
  }
  if (begin >= end || end > count) return ShapeNumbers();
  return ShapeNumbers(std::in_place, of->begin() + begin, of->begin() + end);
}

/// The numbers of the shape NAME; nothing where one is neither known nor a size.
Result<ShapeNumbers> TurnedAxes::numbers(const std::string& name, int steps) const {
  MLC_TRY(const auto constant, numbers_of(document_, name));
  if (constant) {
    ShapeNumbers out(std::in_place);
    for (const int64_t one : constant->values) out->push_back({.number = one, .value = {}});
    return out;
  }
  const DocNode* const node = steps > 0 ? maker(name) : nullptr;
  if (node == nullptr) return ShapeNumbers();
  if (node->is("Shape")) {
    const std::string& of = node->input(0);
    const bool whole = node->integer("start", 0) == 0 && node->find("end") == nullptr;
    if (!whole || !rank(of)) return ShapeNumbers();
    ShapeNumbers out(std::in_place);
    for (size_t i = 0; i < *rank(of); ++i) out->push_back({std::nullopt, of, i});
    return out;
  }
  if (node->is("Gather") || node->is("Slice")) {
    MLC_TRY(ShapeNumbers of, numbers(node->input(0), steps - 1));
    return part(*node, std::move(of));
  }
  if (node->is("Unsqueeze") || node->is("Squeeze")) return numbers(node->input(0), steps - 1);
  if (!node->is("Concat")) return ShapeNumbers();
  ShapeNumbers out(std::in_place);
  for (const std::string& input : node->inputs) {
    MLC_TRY(const ShapeNumbers some, numbers(input, steps - 1));
    if (!some) return ShapeNumbers();
    out->insert(out->end(), some->begin(), some->end());
  }
  return out;
}

bool TurnedAxes::is_size(const ShapeNumber& one, const std::string& value, size_t axis) const {
  if (!one.number) return one.value == value && one.axis == axis;
  return sizes_.find(value)->second[axis].size == *one.number;
}

/// Whether LAST, a Reshape, gives what a Transpose exchanged that only a Reshape was in the way of.
Result<bool> TurnedAxes::is_turn(const DocNode& last) const {
  const DocNode* const turn = last.is("Reshape") ? maker(last.input(0)) : nullptr;
  const DocNode* const first =
      turn != nullptr && turn->is("Transpose") ? maker(turn->input(0)) : nullptr;
  if (first == nullptr || !first->is("Reshape")) return false;
  const DocAttribute* const perm = turn->find("perm");
  const bool exchanges = perm != nullptr && perm->integers() == std::vector<int64_t>{0, 2, 1};
  const std::string& x = first->input(0);
  const auto count = rank(x);
  if (!exchanges || !count || *count < 3) return false;
  MLC_TRY(const ShapeNumbers flat, numbers(first->input(1), kMostSteps));
  MLC_TRY(const ShapeNumbers whole, numbers(last.input(1), kMostSteps));
  if (!flat || !whole || flat->size() != 3 || whole->size() != *count) return false;
  const size_t rows = *count - 2;
  const size_t columns = *count - 1;
  if ((*flat)[0].number != -1 || !is_size((*flat)[1], x, rows) || !is_size((*flat)[2], x, columns))
    return false;
  size_t open = 0;
  for (size_t i = 0; i < rows; ++i) {
    if ((*whole)[i].number == -1) {
      ++open;
    } else if (!is_size((*whole)[i], x, i)) {
      return false;
    }
  }
  return open <= 1 && is_size((*whole)[rows], x, columns) && is_size((*whole)[columns], x, rows);
}

Result<size_t> TurnedAxes::run() {
  std::vector<std::pair<size_t, std::string>> found;  // nodes, and what they exchange the axes of
  for (size_t i = 0; i < document_.nodes.size(); ++i) {
    const DocNode& node = document_.nodes[i];
    MLC_TRY(const bool turns, is_turn(node));
    if (turns) found.emplace_back(i, maker(maker(node.input(0))->input(0))->input(0));
  }
  std::set<size_t> gone;
  for (const auto& [i, x] : found) {
    DocNode& node = document_.nodes[i];
    const size_t turn = makers_.at(node.input(0));
    const size_t first = makers_.at(document_.nodes[turn].input(0));
    if (readers_[document_.nodes[turn].outputs[0]] == 1) {
      gone.insert(turn);
      if (readers_[document_.nodes[first].outputs[0]] == 1) gone.insert(first);
    }
    const size_t count = *rank(x);
    std::vector<int64_t> perm(count);
    for (size_t k = 0; k < count; ++k) perm[k] = static_cast<int64_t>(k);
    std::swap(perm[count - 2], perm[count - 1]);
    node.op = "Transpose";
    node.inputs = {x};
    node.attributes = {document_.attribute("perm", perm)};
  }
  std::vector<DocNode> kept;
  for (size_t i = 0; i < document_.nodes.size(); ++i)
    if (!gone.contains(i)) kept.push_back(std::move(document_.nodes[i]));
  document_.nodes = std::move(kept);
  return found.size();
}

}  // namespace

Result<size_t> join_turned_axes(Document& document, const InferredSizes& sizes) {
  return TurnedAxes(document, sizes).run();
}

}  // namespace mlc::onnx
