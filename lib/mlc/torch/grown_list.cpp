#include "mlc/torch/grown_list.h"

#include <algorithm>

#include <torch/csrc/jit/api/compilation_unit.h>
#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/frontend/resolver.h>

namespace mlc::torch_module {

using c10::IValue;
using ir::Expr;
using torch::jit::Node;

namespace {

// ROWS has the elements that a loop appended, FIRST those before them. Results are memory of their
// own, as those of stack() and cat() are.
constexpr const char* kSource = R"(
def stack(rows: Tensor, dim: int):
  return torch.clone(torch.movedim(rows, 0, dim), memory_format=0)
def stack_behind(rows: Tensor, first: List[Tensor], dim: int):
  return torch.clone(torch.movedim(torch.cat([torch.stack(first, 0), rows], 0), 0, dim), memory_format=0)
def cat(rows: Tensor, dim: int):
  return torch.clone(torch.flatten(torch.movedim(rows, 0, dim), dim, dim + 1), memory_format=0)
def cat_behind(rows: Tensor, first: List[Tensor], dim: int):
  return torch.cat([torch.cat(first, dim), torch.flatten(torch.movedim(rows, 0, dim), dim, dim + 1)], dim)
def element(rows: Tensor, index: int):
  return torch.select(rows, 0, index)
)";

torch::jit::Graph& function(const std::string& name) {
  static torch::jit::CompilationUnit unit;
  static const bool defined = [] {
    unit.define(std::nullopt, kSource, torch::jit::nativeResolver(), nullptr);
    return true;
  }();
  static_cast<void>(defined);
  torch::jit::Function& one = unit.get_function(c10::QualifiedName(name));
  one.ensure_defined();
  return *torch::jit::toGraphFunction(one).graph();
}

}  // namespace

bool has_rows(const Item& item) {
  if (const auto* list = item.as<ListRef>()) {
    if ((*list)->rows != nullptr || (*list)->grows) return true;
  }
  if (const Items* items = item.items()) return std::ranges::any_of(*items, has_rows);
  if (const auto* dict = item.as<DictRef>()) {
    return std::ranges::any_of((*dict)->entries,
                               [](const auto& entry) { return has_rows(entry.second); });
  }
  return false;
}

/// stack() and cat() of LIST, in the place of CALL.
Status Capturer::join_rows(const Call& call, const ListItem& list, std::string name) {
  const Item* dim = call.inputs.size() > 1 ? &call.inputs[1] : nullptr;
  const auto* number = dim == nullptr ? nullptr : dim->as<Expr>();
  const auto given = number == nullptr ? std::nullopt : symbols().constant_value(*number);
  if (!given) return refuse(call.node, "a list joined along a dimension that is not known");
  const auto rank = static_cast<int64_t>(sizes_of(*list.rows).size());
  const int64_t count = name == "stack" ? rank : rank - 1;
  const int64_t at = *given < 0 ? *given + count : *given;
  if (at < 0 || at >= count) return refuse(call.node, "a list joined along a dimension beyond it");
  Items inputs = {list.rows};
  if (!list.items.empty()) {
    inputs.emplace_back(std::make_shared<ListItem>(ListItem{list.type, list.items, depth_}));
    name += "_behind";
  }
  inputs.emplace_back(symbols().constant(at));
  return in_place_of(call.node, function(name), inputs);
}

/// list[index], where it is known that the list has it.
Result<bool> Capturer::element_of_rows(const Call& call, const ListItem& list) {
  const auto* number = call.inputs[1].as<Expr>();
  const auto index = number == nullptr ? std::nullopt : symbols().constant_value(*number);
  if (!index) return false;
  const auto first = static_cast<int64_t>(list.items.size());
  if (*index >= 0 && *index < first) {
    set(call.node.output(), list.items[static_cast<size_t>(*index)]);
    return true;
  }
  const int64_t least = symbols().bounds(sizes_of(*list.rows)[0]).low;
  const int64_t wanted = *index < 0 ? -*index : *index - first + 1;
  if (wanted > least) return false;
  const int64_t at = *index < 0 ? *index : *index - first;
  MLC_CHECK(in_place_of(call.node, function("element"), {list.rows, symbols().constant(at)}));
  return true;
}

Status Capturer::in_place_of(Node& node, torch::jit::Graph& graph, const Items& inputs) {
  const Node* const outer = std::exchange(stands_for_, &node);
  MLC_CHECK(enter(node, graph, inputs, scope_));
  stands_for_ = outer;
  return {};
}

Status Capturer::use_rows(const Call& call) {
  const std::string_view name = call.node.kind().toQualString();
  const auto* list = call.inputs.empty() ? nullptr : call.inputs[0].as<ListRef>();
  if (list != nullptr && (*list)->grows) {
    MLC_TRY(const bool taken, take_appended(call, **list));
    if (taken) return {};
  } else if (list != nullptr) {
    if (name == "aten::stack") return join_rows(call, **list, "stack");
    if (name == "aten::cat" || name == "aten::concat") return join_rows(call, **list, "cat");
    if (name == "aten::len") {
      const Expr before = symbols().constant(static_cast<int64_t>((*list)->items.size()));
      set(call.node.output(), symbols().add(before, sizes_of(*(*list)->rows)[0]));
      return {};
    }
    if (name == "aten::__getitem__") {
      MLC_TRY(const bool found, element_of_rows(call, **list));
      if (found) return {};
    }
  }
  return refuse(call.node, std::string(name) +
                               " of a list to which a loop that hangs on sizes or values " +
                               "appends: behind the loop, stack, cat and len may take it");
}

}  // namespace mlc::torch_module
