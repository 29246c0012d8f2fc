#include "mlc/onnx/keep_operator.h"

#include "mlc/onnx/op_map.h"

#include <exception>
#include <string>
#include <utility>
#include <vector>

namespace mlc::onnx {
namespace {

struct Kept {
  Inputs inputs;
  std::vector<std::string> names;  // the argument of each input
  bool order_tells = true;
  Attributes attributes;
};

Kept arguments_of(Call& call) {
  Kept out;
  bool left_out = false;
  for (const ir::Argument& argument : call.node.arguments()) {
    const size_t before = out.inputs.size();
    if (std::holds_alternative<ir::Value*>(argument.value)) {
      out.inputs.push_back(call.tensor(argument.name));
    } else if (std::holds_alternative<ir::Values>(argument.value)) {
      for (Value* one : call.optional_tensors(argument.name)) out.inputs.push_back(one);
      out.order_tells = false;
    } else if (std::holds_alternative<ir::None>(argument.value)) {
      left_out = true;
    } else if (auto value = attribute_of(call, argument.name, argument.value)) {
      out.attributes.push_back({argument.name, std::move(*value)});
    }
    if (left_out && out.inputs.size() > before) out.order_tells = false;
    out.names.resize(out.inputs.size(), argument.name);
  }
  return out;
}

}  // namespace

void keep_operator(Call& call, const std::string& prefix) {
  const ir::OpName& op = call.node.op();
  // Custom operators say it in no other way: their schemas are not in the file.
  if (call.output_count() == 0 || (op.name.ends_with('_') && !op.name.ends_with("__"))) {
    Call::refuse("it writes into its arguments, which no operator of ONNX can");
  }
  Kept kept = arguments_of(call);
  if (!kept.order_tells && !kept.inputs.empty()) {
    kept.attributes.push_back({"mlc_inputs", std::move(kept.names)});
  }
  std::vector<TensorType> types;
  for (size_t i = 0; i < call.output_count(); ++i) types.push_back(call.output_type(i));
  const std::string type = op.overload.empty() ? op.name : op.name + "." + op.overload;
  const auto made =
      call.b.nodes(type, std::move(kept.inputs), std::move(kept.attributes), std::move(types),
                   {.opset = 0, .domain = prefix + "." + op.domain});
  for (size_t i = 0; i < made.size(); ++i) call.give(made[i], i);
}

bool can_keep_operator(Call& call) {
  try {
    keep_operator(call, "mlc");
    return true;
  } catch (const std::exception&) {
    return false;
  } catch (const Unlowerable&) {
    return false;
  }
}

}  // namespace mlc::onnx
