// Which numbers a program gives to its operators, and where they could be exchanged.
#include "mlc/torch/capturer.h"

#include <algorithm>

namespace mlc::torch_module {

using torch::jit::Node;
using torch::jit::Value;
namespace prim = c10::prim;

namespace {

/// Which input of CALL becomes parameter OFFSET of what it calls.
std::optional<size_t> input_of_parameter(const Node& call, size_t offset) {
  if (call.kind() == prim::CallMethod) return offset;
  if (call.kind() == prim::CallFunction) return offset + 1;  // the first is the function
  return std::nullopt;
}

bool is_parameter(const Value& value) {
  return value.node() == value.owningGraph()->param_node();
}

/// Whether the program states VALUE, or an attribute does.
bool is_stated(const Value& value) {
  return value.node()->kind() == prim::Constant || value.node()->kind() == prim::GetAttr;
}

SiteTensor site_tensor(const TensorItem& tensor, std::string argument) {
  const at::Tensor& lane = real_lane(tensor);
  return {std::move(argument), tensor.value->name(),
          lane.defined() ? static_cast<size_t>(lane.dim()) : 0};
}

}  // namespace

const c10::ivalue::Object* Capturer::module_of(const Node& node, const Items& inputs) {
  const auto* owner = node.kind() == prim::CallMethod ? inputs[0].as<ObjectRef>() : nullptr;
  if (owner == nullptr) return nullptr;
  const auto object = (*owner)->object.toObject();
  return object->type()->is_module() ? object.get() : nullptr;
}

Status Capturer::operate(const Call& call) {
  MLC_CHECK(run_operator(call));
  const bool is_kept = target_.places != nullptr && stands_for_ == nullptr && !trial_;
  if (is_kept) note_site(call);
  return {};
}

/// What an operator is given is exchanged where it comes from, which may be a caller. Sets
/// COMPUTED.
NumberUse Capturer::use_of(NumberUse use, bool& computed) const {
  size_t frame = frames_.size() - 1;
  for (;; --frame) {
    const Value* value = use.node->input(use.input);
    const bool in_list = use.element && value->node()->kind() == prim::ListConstruct;
    if (in_list) value = value->node()->input(*use.element);
    computed = !is_stated(*value);
    Node* const call = frames_[frame].call;
    const bool is_given = is_parameter(*value) && call != nullptr;
    const auto given = is_given ? input_of_parameter(*call, value->offset()) : std::nullopt;
    if (!given) break;
    if (in_list) use.element.reset();
    use.node = call;
    use.input = *given;
  }
  use.module = frames_[frame].module;
  return use;
}

/// The known integers of ARGUMENT, which may be a list.
void Capturer::note_numbers(const Call& call, size_t argument, ProgramSite& site) {
  const auto note = [&](const Item& item, std::optional<size_t> element) {
    const auto* expr = item.as<ir::Expr>();
    const auto value = expr == nullptr ? std::nullopt : symbols().constant_value(*expr);
    if (!value) return;
    ProgramNumber number;
    number.argument = call.node.schema().arguments()[argument].name();
    number.element = element;
    number.value = *value;
    const size_t size = element ? call.inputs[argument].items()->size() : 0;
    const NumberUse use =
        use_of({&call.node, argument, element, size, nullptr}, number.is_computed);
    number.place = target_.places->add(use, *value);
    site.numbers.push_back(std::move(number));
  };
  const Item& item = call.inputs[argument];
  note(item, std::nullopt);
  const Items* const items = item.items();
  for (size_t i = 0; items != nullptr && i < items->size(); ++i) note((*items)[i], i);
}

void Capturer::note_site(const Call& call) {
  const auto& arguments = call.node.schema().arguments();
  ProgramSite site;
  site.op = call.node.kind().toQualString();
  site.scope = scope_;
  for (size_t i = 0; i < std::min(call.inputs.size(), arguments.size()); ++i) {
    if (const TensorItem* const tensor = call.inputs[i].tensor()) {
      site.inputs.push_back(site_tensor(*tensor, arguments[i].name()));
    } else {
      note_numbers(call, i, site);
    }
  }
  if (site.numbers.empty()) return;
  for (const Value* output : call.node.outputs()) {
    const Item& item = get(output);
    if (const TensorItem* const tensor = item.tensor()) {
      site.outputs.push_back(site_tensor(*tensor, ""));
    } else if (const Items* const items = item.items()) {
      for (const Item& one : *items) {
        if (one.tensor() != nullptr) site.outputs.push_back(site_tensor(*one.tensor(), ""));
      }
    }
  }
  sites_.push_back(std::move(site));
}

}  // namespace mlc::torch_module
