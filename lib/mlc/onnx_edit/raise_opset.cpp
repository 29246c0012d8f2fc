#include "mlc/onnx_edit/raise_opset.h"

#include "mlc/base/text.h"
#include "mlc/onnx_edit/numbers.h"
#include "mlc/onnx_write/check.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace mlc::onnx {
namespace {

constexpr int64_t kOldest = 7;
constexpr int64_t kFloat = 1;  // of TensorProto.DataType

/// A document on its way.
struct Raising {
  Document& document;
  std::optional<InferredSizes> sizes = std::nullopt;  // once somebody asked
  std::vector<DocNode> before = {};                   // new nodes, around the one that changes
  std::vector<DocNode> after = {};
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

DocNode made_node(Document& document, std::string_view op, std::vector<std::string> inputs,
                  std::string output) {
  DocNode out;
  out.op = op;
  out.name = document.unused_name(output + "_" + std::string(op));
  out.inputs = std::move(inputs);
  out.outputs = {std::move(output)};
  return out;
}

/// Before 13 all dimensions from the axis on were one.
Status change_softmax(Raising& raising, DocNode& node) {
  Document& document = raising.document;
  const int64_t axis = node.integer("axis", 1);
  const auto rank = axis == -1 ? std::nullopt : rank_of(raising, node.input(0));
  const bool is_last = axis == -1 || (rank && axis + 1 == static_cast<int64_t>(*rank));
  drop(node, "axis");
  node.attributes.push_back(document.attribute("axis", -1));
  if (is_last) return {};
  const std::string x = node.inputs[0];
  const std::string y = node.outputs[0];
  const std::string shape = document.unused_name(y + "_shape");
  raising.before.push_back(made_node(document, "Shape", {x}, shape));
  DocNode flat = made_node(document, "Flatten", {x}, document.unused_name(y + "_flat"));
  flat.attributes.push_back(document.attribute("axis", axis));
  node.inputs[0] = flat.outputs[0];
  node.outputs[0] = document.unused_name(y + "_rows");
  raising.before.push_back(std::move(flat));
  raising.after.push_back(made_node(document, "Reshape", {node.outputs[0], shape}, y));
  return {};
}

/// Its scales become an input, as Resize has them.
Status change_upsample(Raising& raising, DocNode& node) {
  if (const DocAttribute* const found = node.find("scales")) {
    std::vector<float> scales = found->reals().value_or(std::vector<float>());
    const auto count = static_cast<int64_t>(scales.size());
    set_input(node, 1,
              raising.document.add_tensor(node.outputs[0] + "_scales",
                                          numbers(DType::f32, std::move(scales), {count})));
    drop(node, "scales");
  }
  node.op = "Resize";
  return {};
}

/// Which pixel ONNX Runtime takes before opset 11: the next one where a dimension shrinks, else
/// the one before. Nothing where SCALES are no constant or go both ways.
Result<std::optional<std::string_view>> nearest_mode(const Document& document,
                                                     const std::string& scales) {
  const DocTensor* const tensor = document.find_tensor(scales);
  if (tensor == nullptr || tensor->dtype() != DType::f32 || !tensor->data)
    return std::optional<std::string_view>();
  MLC_TRY(const Buffer buffer, tensor->data->produce());
  bool grows = false, shrinks = false;
  for (size_t i = 0; i < buffer.bytes.size() / sizeof(float); ++i) {
    float scale = 1;
    std::memcpy(&scale, buffer.bytes.data() + i * sizeof scale, sizeof scale);
    grows = grows || scale > 1;
    shrinks = shrinks || scale < 1;
  }
  if (grows && shrinks) return std::optional<std::string_view>();
  return std::optional<std::string_view>(shrinks ? "ceil" : "floor");
}

/// Before 11 places were counted from the corner, and there was no region of interest.
Status change_resize(Raising& raising, DocNode& node) {
  Document& document = raising.document;
  const std::string scales = node.input(1);
  const DocAttribute* const mode = node.find("mode");
  if (mode == nullptr || mode->text() == "nearest") {
    MLC_TRY(const auto nearest, nearest_mode(document, scales));
    if (!nearest) return unsupported("its scales are computed, or grow and shrink at once");
    node.attributes.push_back(document.attribute("nearest_mode", *nearest));
  }
  node.inputs = {node.input(0), "", scales};
  node.attributes.push_back(
      document.attribute("coordinate_transformation_mode", std::string_view("asymmetric")));
  return {};
}

struct Change {
  std::string_view op;
  int64_t since;  // the opset that has it otherwise
  Status (*apply)(Raising& raising, DocNode& node);
};
constexpr std::array kChanges = {
    Change{"BatchNormalization", 9, change_norm},
    Change{"Upsample", 10, change_upsample},
    Change{"Slice", 10, change_slice},
    Change{"TopK", 10, change_topk},
    Change{"Resize", 11, change_resize},
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

/// PARTS: for each node of DOCUMENT those before it, then those behind it.
void put_in(Document& document, std::vector<std::vector<DocNode>> parts) {
  std::vector<DocNode> out;
  const auto take = [&](std::vector<DocNode>& nodes) {
    for (DocNode& one : nodes) out.push_back(std::move(one));
  };
  for (size_t i = 0; i < document.nodes.size(); ++i) {
    take(parts[2 * i]);
    out.push_back(std::move(document.nodes[i]));
    take(parts[2 * i + 1]);
  }
  document.nodes = std::move(out);
}

}  // namespace

Status raise_opset(Document& document) {
  const int64_t opset = document.opset();
  if (opset >= kRaisedOpset) return {};
  if (opset < kOldest)
    return unsupported(fmt::format("opset {} is too old: 7 is the oldest that is read", opset),
                       "export the model again with a newer opset, as --opset 17");
  Raising raising{document};
  std::vector<std::vector<DocNode>> parts;  // what each node became
  for (DocNode& node : document.nodes) {
    if (has_inner_graphs(node))
      return at_node(unsupported("it has graphs of its own"), node, opset);
    for (const Change& change : kChanges) {
      if (node.inputs.empty() || node.outputs.empty()) break;  // it does nothing
      if (!node.is(change.op) || change.since <= opset) continue;
      if (Status changed = change.apply(raising, node); !changed.ok())
        return at_node(std::move(changed).error(), node, opset);
    }
    parts.push_back(std::exchange(raising.before, {}));
    parts.push_back(std::exchange(raising.after, {}));
  }
  put_in(document, std::move(parts));
  document.set_opset(kRaisedOpset);
  return {};
}

}  // namespace mlc::onnx
