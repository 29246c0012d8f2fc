#include "mlc/torch/observe_values.h"

#include <mutex>
#include <utility>

#include <c10/core/InferenceMode.h>
#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/runtime/custom_operator.h>
#include <torch/csrc/jit/runtime/interpreter.h>

namespace mlc::torch_module {
namespace {

// What the operator tells, as operators have no state; the lock is for models that fork.
std::mutex guard;
const ValueWatch::Function* listener = nullptr;
Status heard;

void tell(torch::jit::Stack& stack) {
  const int64_t id = torch::jit::pop(stack).toInt();
  const at::Tensor value = torch::jit::pop(stack).toTensor();
  const std::lock_guard lock(guard);
  if (listener != nullptr && heard.ok()) heard = (*listener)(static_cast<size_t>(id), value);
}

/// No file has this operator: the nodes go before the graph is written.
void register_once() {
  static const torch::jit::RegisterOperators kRegistered({torch::jit::Operator(
      "mlc::observe(Tensor x, int id) -> ()", tell, c10::AliasAnalysisKind::CONSERVATIVE)});
  (void)kRegistered;
}

}  // namespace

ValueWatch::ValueWatch(std::shared_ptr<torch::jit::Graph> graph,
                       const std::vector<torch::jit::Value*>& values, Function function)
    : graph_(std::move(graph)), function_(std::move(function)) {
  register_once();
  static const auto kObserve = c10::Symbol::fromQualString("mlc::observe");
  for (size_t i = 0; i < values.size(); ++i) {
    torch::jit::Node* const maker = values[i]->node();
    // Inputs of a block are made by its first node, which is none to insert behind.
    const bool is_input = maker->kind() == c10::prim::Param;
    torch::jit::WithInsertPoint here(is_input ? *maker->owningBlock()->nodes().begin()
                                              : maker->next());
    torch::jit::Value* const id = graph_->insertConstant(static_cast<int64_t>(i));
    torch::jit::Node* const node = graph_->create(kObserve, {values[i], id}, 0);
    graph_->insertNode(node);
    nodes_.push_back(node);
    nodes_.push_back(id->node());
  }
  const std::lock_guard lock(guard);
  heard = {};
  listener = &function_;
}

ValueWatch::~ValueWatch() {
  for (torch::jit::Node* node : nodes_) node->destroy();
  const std::lock_guard lock(guard);
  listener = nullptr;
}

Status ValueWatch::run(torch::jit::Stack stack) {
  const c10::InferenceMode inference;
  const torch::jit::Code code(graph_, "observed");
  torch::jit::InterpreterState(code).run(stack);
  const std::lock_guard lock(guard);
  return std::exchange(heard, Status());
}

}  // namespace mlc::torch_module
