#include "mlc/torch/resize_script.h"

#include "mlc/base/text.h"
#include "mlc/torch/torch_values.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <torch/csrc/jit/ir/constants.h>

namespace mlc::torch_module {
namespace {

using torch::jit::IValue;
using torch::jit::Node;
using torch::jit::Value;
namespace prim = c10::prim;

using NewTensors = std::map<std::string, at::Tensor>;  // by the identity of the old ones

/// VALUE as OLD is: its type, where its axes lie, whether it is trained.
Result<at::Tensor> made_like(const at::Tensor& old, const Weight& value) {
  MLC_TRY(const c10::ScalarType type, scalar_type(value.dtype));
  at::Tensor out = in_place(value, type)
                       .to(old.scalar_type(), /*non_blocking=*/false,
                           /*copy=*/true, old.suggest_memory_format());
  out.set_requires_grad(old.requires_grad());
  return out;
}

Result<NewTensors> new_tensors(const torch::jit::Module& module, const ResizeRequest& request) {
  NewTensors out;
  std::set<std::string> found;
  const auto take = [&](const std::string& name, const at::Tensor& old) -> Status {
    const auto wanted = request.tensors.find(name);
    if (wanted == request.tensors.end()) return {};
    found.insert(name);
    MLC_TRY(at::Tensor made, made_like(old, wanted->second));
    out.insert_or_assign(identity(old), std::move(made));
    return {};
  };
  for (const auto& one : module.named_parameters()) MLC_CHECK(take(one.name, one.value));
  for (const auto& one : module.named_buffers()) MLC_CHECK(take(one.name, one.value));
  for (const auto& [name, value] : request.tensors) {
    if (!found.contains(name))
      return internal_error("the model has no tensor " + mlc::quoted(name));
  }
  return out;
}

/// VALUE with new tensors in the places of old ones; None where it has none of them.
IValue exchanged(const IValue& value, const NewTensors& tensors) {
  if (value.isTensor() && value.toTensor().defined()) {
    const auto found = tensors.find(identity(value.toTensor()));
    return found == tensors.end() ? IValue() : IValue(found->second);
  }
  if (!value.isTensorList()) return {};
  c10::List<at::Tensor> list;
  bool changes = false;
  for (const at::Tensor& one : value.toTensorVector()) {
    const auto found = tensors.find(identity(one));
    changes = changes || found != tensors.end();
    list.push_back(found == tensors.end() ? one : found->second);
  }
  return changes ? IValue(std::move(list)) : IValue();
}

void exchange_tensors(const torch::jit::Module& module, const NewTensors& tensors) {
  for (const torch::jit::Module& one : module.modules()) {
    const auto object = one._ivalue();
    for (size_t slot = 0; slot < object->type()->numAttributes(); ++slot) {
      IValue value = exchanged(object->getSlot(slot), tensors);
      if (!value.isNone()) object->setSlot(slot, std::move(value));
    }
  }
}

/// A use of a number in a method or function, whoever's it is.
using Spot = std::tuple<Node*, size_t, std::optional<size_t>>;

Spot spot_of(const NumberUse& use) {
  return {use.node, use.input, use.element};
}

/// What modules, or all calls of a function, need a number to be.
using Needs = std::vector<std::pair<const c10::ivalue::Object*, int64_t>>;

class NumberExchange {
 public:
  NumberExchange(const torch::jit::Module& module, const ProgramPlaces& places,
                 const ResizeRequest& request)
      : module_(module), places_(places), request_(request) {}

  Status run() {
    std::set<Spot> done;
    for (const auto& [place, number] : request_.numbers) {
      if (place >= places_.all().size()) return internal_error("a number of another program");
      const NumberUse& use = places_.all()[place].use;
      if (done.insert(spot_of(use)).second) MLC_CHECK(exchange(use));
    }
    return {};
  }

 private:
  Needs needs_of(const NumberUse& use) const {
    Needs out;
    for (size_t i = 0; i < places_.all().size(); ++i) {
      const ProgramPlaces::Place& one = places_.all()[i];
      if (spot_of(one.use) != spot_of(use)) continue;
      const auto wanted = request_.numbers.find(i);
      out.emplace_back(one.use.module,
                       wanted == request_.numbers.end() ? one.value : wanted->second);
    }
    return out;
  }

  Status exchange(const NumberUse& use) {
    const Needs needs = needs_of(use);
    const bool alike =
        std::ranges::all_of(needs, [&](const auto& one) { return one.second == needs[0].second; });
    const torch::jit::WithInsertPoint here(use.node);
    if (alike) {
      give(use, use.node->owningGraph()->insertConstant(needs[0].second));
      return {};
    }
    if (use.module == nullptr)
      return unsupported("a function of the program would need one number to be two");
    const std::string name = add_attribute(use, needs);
    torch::jit::Graph& graph = *use.node->owningGraph();
    give(use, graph.insertGetAttr(graph.inputs()[0], name));
    return {};
  }

  /// Of the class whose method has USE: it is what each module NEEDS, and what it was in others.
  std::string add_attribute(const NumberUse& use, const Needs& needs) {
    const auto type = use.module->type();
    std::string name;
    do {
      name = "mlc_size_" + std::to_string(attributes_++);
    } while (type->hasAttribute(name) || type->hasConstant(name) ||
             type->findMethod(name) != nullptr);
    const auto old = std::ranges::find_if(places_.all(), [&](const ProgramPlaces::Place& one) {
      return spot_of(one.use) == spot_of(use);
    });
    type->addAttribute(name, c10::IntType::get());
    for (const torch::jit::Module& one : module_.modules()) {
      const auto object = one._ivalue();
      if (object->type() != type) continue;
      const auto wanted = std::ranges::find(needs, object.get(), &Needs::value_type::first);
      object->setAttr(name, wanted == needs.end() ? old->value : wanted->second);
    }
    return name;
  }

  static void give(const NumberUse& use, Value* number) {
    Node& node = *use.node;
    if (!use.element) {
      node.replaceInput(use.input, number);
      return;
    }
    Value* const before = node.input(use.input);
    torch::jit::Graph& graph = *node.owningGraph();
    std::vector<Value*> items = items_of(before, use.list_size, graph);
    items.at(*use.element) = number;
    Node* const list = graph.createList(c10::IntType::get(), items);
    graph.insertNode(list);
    node.replaceInput(use.input, list->output());
    if (before->node()->kind() == prim::ListConstruct && !before->hasUses())
      before->node()->destroy();
  }

  /// The items of a list of integers, which has SIZE of them.
  static std::vector<Value*> items_of(Value* list, size_t size, torch::jit::Graph& graph) {
    if (list->node()->kind() == prim::ListConstruct) return list->node()->inputs().vec();
    std::vector<Value*> out;
    const auto known = torch::jit::toIValue(list);
    for (size_t i = 0; i < size; ++i) {
      Value* const index = known ? nullptr : graph.insertConstant(static_cast<int64_t>(i));
      out.push_back(known ? graph.insertConstant(known->toIntVector().at(i))
                          : graph.insert(c10::aten::__getitem__, {list, index}));
    }
    return out;
  }

  const torch::jit::Module& module_;
  const ProgramPlaces& places_;
  const ResizeRequest& request_;
  size_t attributes_ = 0;
};

}  // namespace

Status resize_script(torch::jit::Module& module, const ProgramPlaces& places,
                     const ResizeRequest& request) {
  MLC_TRY(const NewTensors tensors, new_tensors(module, request));
  exchange_tensors(module, tensors);
  return NumberExchange(module, places, request).run();
}

}  // namespace mlc::torch_module
