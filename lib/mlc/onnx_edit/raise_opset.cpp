#include "mlc/onnx_edit/raise_opset.h"

#include "mlc/base/text.h"
#include "mlc/onnx_edit/numbers.h"
#include "mlc/onnx_write/check.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

namespace mlc::onnx {
namespace {

constexpr int64_t kOldest = 7;
constexpr int64_t kFloat = 1;  // of TensorProto.DataType

/// A document on its way.
struct Raising {
  Document& document;
  std::optional<InferredSizes> sizes;  // once somebody asked
};

/// How many dimensions VALUE has, as far as the file says it or ONNX infers it.
std::optional<size_t> rank_of(Raising& raising, const std::string& value) {
  const OnnxValue* const known = raising.document.value_info(value);
  if (known != nullptr && known->dims) return known->dims->size();
  if (!raising.sizes) {
    auto found = infer_sizes(raising.document.skeleton());
    raising.sizes = found.ok() ? std::move(found).value() : InferredSizes();
  }
  const auto inferred = raising.sizes->find(value);
  return inferred == raising.sizes->end() ? std::nullopt : std::optional(inferred->second.size());
}

/// Whether VALUE is f32: where the file does not say it, weights of no other type say so.
bool is_float(const Document& document, const std::string& value) {
  const OnnxValue* const known = document.value_info(value);
  if (known != nullptr && known->element != 0) return known->element == kFloat;
  return std::ranges::none_of(document.tensors, [](const DocTensor& tensor) {
    const auto dtype = tensor.dtype();
    return dtype && *dtype != DType::f32 && info(*dtype).kind == DTypeClass::floating;
  });
}

void drop(DocNode& node, std::string_view attribute) {
  std::erase_if(node.attributes, [&](const DocAttribute& one) { return one.name == attribute; });
}

/// Puts NAME where NODE has its input I.
void set_input(DocNode& node, size_t i, std::string name) {
  if (node.inputs.size() <= i) node.inputs.resize(i + 1);
  node.inputs[i] = std::move(name);
}

/// The integers of ATTRIBUTE, where NODE has it, become input I.
void move_integers(Document& document, DocNode& node, std::string_view attribute, size_t i) {
  const DocAttribute* const found = node.find(attribute);
  if (found == nullptr) return;
  std::vector<int64_t> values = found->integers().value_or(std::vector<int64_t>());
  if (const auto one = found->integer(); one && values.empty()) values = {*one};
  const auto count = static_cast<int64_t>(values.size());
  set_input(node, i,
            document.add_tensor(node.outputs[0] + "_" + std::string(attribute),
                                numbers(DType::i64, std::move(values), {count})));
  drop(node, attribute);
}

/// The same of one number, which has the type of what the node changes.
Status move_number(Document& document, DocNode& node, std::string_view attribute, size_t i) {
  const DocAttribute* const found = node.find(attribute);
  if (found == nullptr) return {};
  if (!is_float(document, node.input(0)))
    return unsupported("its " + std::string(attribute) + " may not be float32");
  const float value = found->real().value_or(0);
  set_input(node, i,
            document.add_tensor(node.outputs[0] + "_" + std::string(attribute),
                                numbers(DType::f32, std::vector<float>{value}, {})));
  drop(node, attribute);
  return {};
}

Status move_axes(Raising& raising, DocNode& node) {
  move_integers(raising.document, node, "axes", 1);
  return {};
}

Status change_split(Raising& raising, DocNode& node) {
  move_integers(raising.document, node, "split", 1);
  return {};
}

Status change_clip(Raising& raising, DocNode& node) {
  MLC_CHECK(move_number(raising.document, node, "max", 2));
  return move_number(raising.document, node, "min", 1);
}

Status change_pad(Raising& raising, DocNode& node) {
  MLC_CHECK(move_number(raising.document, node, "value", 2));
  move_integers(raising.document, node, "pads", 1);
  return {};
}

Status change_slice(Raising& raising, DocNode& node) {
  move_integers(raising.document, node, "axes", 3);
  move_integers(raising.document, node, "ends", 2);
  move_integers(raising.document, node, "starts", 1);
  return {};
}

Status change_topk(Raising& raising, DocNode& node) {
  move_integers(raising.document, node, "k", 1);
  return {};
}

/// Outside of training it does nothing.
Status change_dropout(Raising& /*raising*/, DocNode& node) {
  drop(node, "ratio");
  return {};
}

Status change_norm(Raising& /*raising*/, DocNode& node) {
  if (node.integer("spatial", 1) == 0) return unsupported("it has statistics for every place");
  drop(node, "spatial");
  return {};
}

Status change_scatter(Raising& /*raising*/, DocNode& node) {
  node.op = "ScatterElements";
  return {};
}

/// Before 13 all dimensions from the axis on were one: the same only for the last one.
Status change_softmax(Raising& raising, DocNode& node) {
  const int64_t axis = node.integer("axis", 1);
  const auto rank = axis == -1 ? std::nullopt : rank_of(raising, node.input(0));
  if (axis != -1 && !rank) return unsupported("how many dimensions it has is not known");
  if (rank && axis + 1 != static_cast<int64_t>(*rank))
    return unsupported("its axis " + std::to_string(axis) + " takes more than one dimension");
  drop(node, "axis");
  node.attributes.push_back(raising.document.attribute("axis", -1));
  return {};
}

Status refuse(Raising& /*raising*/, DocNode& /*node*/) {
  return unsupported("it has other inputs in newer opsets");
}

struct Change {
  std::string_view op;
  int64_t since;  // the opset that has it otherwise
  Status (*apply)(Raising& raising, DocNode& node);
};
constexpr std::array kChanges = {
    Change{"BatchNormalization", 9, change_norm},
    Change{"Upsample", 10, refuse},
    Change{"Slice", 10, change_slice},
    Change{"TopK", 10, change_topk},
    Change{"Resize", 11, refuse},
    Change{"Clip", 11, change_clip},
    Change{"Pad", 11, change_pad},
    Change{"Scatter", 11, change_scatter},
    Change{"Dropout", 12, change_dropout},
    Change{"Softmax", 13, change_softmax},
    Change{"LogSoftmax", 13, change_softmax},
    Change{"Hardmax", 13, change_softmax},
    Change{"Squeeze", 13, move_axes},
    Change{"Unsqueeze", 13, move_axes},
    Change{"ReduceSum", 13, move_axes},
    Change{"Split", 13, change_split},
};

bool has_inner_graphs(const DocNode& node) {
  return node.is("If") || node.is("Loop") || node.is("Scan") || !node.inner_names.empty();
}

Error at_node(Error problem, const DocNode& node, int64_t opset) {
  const std::string name =
      !node.name.empty() || node.outputs.empty() ? node.name : node.outputs.front();
  return unsupported(fmt::format("{} {} cannot go from opset {} to {}: {}", printable(node.op),
                                 mlc::quoted(name), opset, kRaisedOpset, problem.message()),
                     "export the model again with a newer opset, as --opset 17");
}

}  // namespace

Status raise_opset(Document& document) {
  const int64_t opset = document.opset();
  if (opset >= kRaisedOpset) return {};
  if (opset < kOldest)
    return unsupported(fmt::format("opset {} is too old: 7 is the oldest that is read", opset),
                       "export the model again with a newer opset, as --opset 17");
  Raising raising{document, std::nullopt};
  for (DocNode& node : document.nodes) {
    if (node.outputs.empty()) continue;  // it does nothing
    if (has_inner_graphs(node))
      return at_node(unsupported("it has graphs of its own"), node, opset);
    for (const Change& change : kChanges) {
      if (!node.is(change.op) || change.since <= opset) continue;
      if (Status changed = change.apply(raising, node); !changed.ok())
        return at_node(std::move(changed).error(), node, opset);
    }
  }
  document.set_opset(kRaisedOpset);
  return {};
}

}  // namespace mlc::onnx
