#include "mlc/checkpoint/script_forms.h"

#include "mlc/base/checked_math.h"
#include "mlc/tensor/dtype.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace mlc {
namespace {

using pickle::Graph;
using pickle::NodeId;
using pickle::NodeKind;
using pickle::ObjectForm;

// c10::toString(ScalarType) and "Storage": the types that have no storage class in Python.
constexpr std::array kScriptStorages = std::to_array<std::pair<std::string_view, DType>>({
    {"UInt16Storage", DType::u16},
    {"UInt32Storage", DType::u32},
    {"UInt64Storage", DType::u64},
    {"Float8_e4m3fnStorage", DType::f8_e4m3fn},
    {"Float8_e5m2Storage", DType::f8_e5m2},
    {"Float8_e4m3fnuzStorage", DType::f8_e4m3fnuz},
    {"Float8_e5m2fnuzStorage", DType::f8_e5m2fnuz},
    {"Float8_e8m0fnuStorage", DType::f8_e8m0fnu},
    {"Float4_e2m1fn_x2Storage", DType::f4_e2m1fn_x2},
    {"ComplexHalfStorage", DType::c32},
    {"Bits8Storage", DType::bits8},
    {"Bits16Storage", DType::bits16},
    {"Bits1x8Storage", DType::bits1x8},
    {"Bits2x4Storage", DType::bits2x4},
    {"Bits4x2Storage", DType::bits4x2},
});

/// The type of the storage at NODE if only TorchScript has a name for it.
const std::pair<std::string_view, DType>* script_storage(const Graph& graph, NodeId node) {
  if (!graph.is(node, NodeKind::persistent)) return nullptr;
  const NodeId reference = graph.persistent_id(node);
  if (!graph.is(reference, NodeKind::tuple) || graph.tuple(reference).size() != 5) return nullptr;
  const NodeId type = graph.tuple(reference)[1];
  if (!graph.is(type, NodeKind::global) || graph.global_module(type) != "torch") return nullptr;
  const auto* row = std::ranges::find(kScriptStorages, graph.global_name(type),
                                      &std::pair<std::string_view, DType>::first);
  return row == kScriptStorages.end() ? nullptr : row;
}

class PythonForms {
 public:
  explicit PythonForms(Graph& graph) : graph_(graph) {}

  void visit(NodeId node) {
    if (graph_.is_call_of(node, "torch._utils", "_rebuild_sparse_tensor")) sparse(node);
    if (graph_.is_call_of(node, "torch._utils", "_rebuild_tensor_v2")) strided(node);
  }

 private:
  std::vector<NodeId> args_of(NodeId node) const {
    const NodeId args = graph_.args(node);
    if (!graph_.is(args, NodeKind::tuple)) return {};
    const auto items = graph_.tuple(args);
    return {items.begin(), items.end()};  // the graph grows under a span
  }

  void sparse(NodeId node) {
    struct Form {
      std::string_view layout;
      size_t parts;
    };
    static constexpr Form kForms[] = {{"torch.sparse_coo", 2}, {"torch.sparse_csr", 3}};
    const std::vector<NodeId> args = args_of(node);
    if (args.empty() || !graph_.is(args[0], NodeKind::integer)) return;
    const int64_t layout = graph_.integer(args[0]);  // c10::Layout
    if (layout < 1 || layout > 2) return;
    const Form& form = kForms[layout - 1];
    constexpr size_t kFirstPart = 3;  // behind layout, size and requires_grad
    if (args.size() != kFirstPart + form.parts + 1) return;
    std::vector<NodeId> data(args.begin() + kFirstPart, args.end() - 1);
    data.push_back(graph_.add_object(ObjectForm::reduce, graph_.add_global("torch", "Size"),
                                     graph_.add_tuple({args[1]})));
    const NodeId name = graph_.add_tuple({graph_.add_text(form.layout)});
    const NodeId call = graph_.add_object(
        ObjectForm::reduce, graph_.add_global("torch.serialization", "_get_layout"), name);
    const NodeId both = graph_.add_tuple({call, graph_.add_tuple(data)});
    graph_.replace(node, graph_.add_object(ObjectForm::reduce, graph_.callable(node), both));
  }

  void strided(NodeId node) {
    std::vector<NodeId> args = args_of(node);
    constexpr size_t kArguments = 6;
    if (args.size() != kArguments) return;
    const auto known = untyped_.find(args[0]);
    const auto* row = known == untyped_.end() ? script_storage(graph_, args[0]) : nullptr;
    if (known == untyped_.end() && row == nullptr) return;
    if (row != nullptr && !make_untyped(args[0], row->second)) return;
    args.push_back(graph_.add_global("torch", info(untyped_.at(args[0])).torch));
    graph_.replace(node, graph_.add_object(ObjectForm::reduce,
                                           graph_.add_global("torch._utils", "_rebuild_tensor_v3"),
                                           graph_.add_tuple(args)));
  }

  /// Storages that several tensors share are one node.
  bool make_untyped(NodeId storage, DType dtype) {
    const auto items = graph_.tuple(graph_.persistent_id(storage));
    std::vector<NodeId> reference(items.begin(), items.end());
    if (!graph_.is(reference[4], NodeKind::integer)) return false;
    const auto bytes = checked_mul<int64_t>(graph_.integer(reference[4]), info(dtype).bytes);
    if (!bytes) return false;
    reference[1] = graph_.add_global("torch.storage", "UntypedStorage");
    reference[4] = graph_.add_integer(*bytes);
    graph_.replace(storage, graph_.add_persistent(graph_.add_tuple(reference)));
    untyped_.emplace(storage, dtype);
    return true;
  }

  Graph& graph_;
  std::unordered_map<NodeId, DType> untyped_;
};

}  // namespace

void use_python_forms(pickle::Graph& graph, pickle::NodeId first) {
  PythonForms forms(graph);
  const auto end = static_cast<NodeId>(graph.size());
  for (NodeId node = first; node < end; ++node) forms.visit(node);
}

}  // namespace mlc
