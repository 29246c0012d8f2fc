// Nested dicts and lists built from paths in any order.
#pragma once

#include "mlc/base/result.h"
#include "mlc/pickle/graph.h"

#include <cstdint>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

namespace mlc {

class NestedTree {
 public:
  /// The key of a dict, or the index in a list. Text is borrowed until build() has returned.
  using Step = std::variant<std::string_view, int64_t>;

  /// Puts VALUE at PATH. Errors: corrupt for empty or overlong paths, and for places that are
  /// taken.
  Status add(const std::vector<Step>& path, pickle::NodeId value);

  /// The outermost dict, keys in the order of their first mention. Errors: corrupt for lists with
  /// holes and for containers that are both.
  Result<pickle::NodeId> build(pickle::Graph& graph) const;

 private:
  struct Child {
    Step step;
    pickle::NodeId value = pickle::kNoNode;
    uint32_t branch = 0;  // index in branches_ where there is no value
  };
  struct Branch {
    std::vector<Child> children;
    std::unordered_map<Step, size_t> by_step;
  };

  Result<pickle::NodeId> build(pickle::Graph& graph, const Branch& branch) const;
  Result<pickle::NodeId> build_list(pickle::Graph& graph, const Branch& branch) const;
  Result<pickle::NodeId> build_child(pickle::Graph& graph, const Child& child) const;

  std::vector<Branch> branches_ = std::vector<Branch>(1);
};

}  // namespace mlc
