// Convolutions.
#include "mlc/onnx/kernels.h"
#include "mlc/onnx/op_table.h"

#include <algorithm>

namespace mlc::onnx {
namespace {

/// A list with one item stands for all dimensions.
std::vector<int64_t> per_dimension(std::vector<int64_t> list, size_t count) {
  if (list.size() == 1) list.resize(count, list[0]);
  if (list.size() != count) Call::refuse("a list of its arguments has another length");
  return list;
}

struct Convolution {
  Value* input = nullptr;
  Value* weight = nullptr;
  Value* bias = nullptr;
  std::vector<int64_t> stride, before, after, dilation, output_padding;
  int64_t groups = 1;
  bool transposed = false;
};

/// The pads that keep sizes: one more behind where they cannot be equal.
void pad_same(Call& c, Convolution& conv, size_t dims) {
  for (size_t i = 0; i < dims; ++i) {
    const auto kernel = c.symbols().constant_value(conv.weight->type.sizes[i + 2]);
    if (!kernel) Call::refuse("the size of its kernel is not known");
    const int64_t total = conv.dilation[i] * (*kernel - 1);
    conv.before[i] = total / 2;
    conv.after[i] = total - total / 2;
  }
}

Convolution read(Call& c) {
  Convolution conv;
  conv.input = c.tensor("input");
  conv.weight = c.tensor("weight");
  conv.bias = c.optional("bias");
  if (conv.weight->type.sizes.size() < 3) Call::refuse("its weight has too few dimensions");
  const size_t dims = conv.weight->type.sizes.size() - 2;
  conv.stride = per_dimension(c.fixed_list("stride", {1}), dims);
  conv.dilation = per_dimension(c.fixed_list("dilation", {1}), dims);
  conv.before.assign(dims, 0);
  conv.after.assign(dims, 0);
  conv.output_padding = per_dimension(c.fixed_list("output_padding", {0}), dims);
  conv.groups = c.fixed("groups", 1);
  const std::string& name = c.node.op().name;
  conv.transposed = name.starts_with("conv_transpose") || c.boolean("transposed", false);
  const ir::Attribute* padding = c.node.find("padding");
  if (padding != nullptr && std::holds_alternative<std::string>(*padding)) {
    const std::string mode = std::get<std::string>(*padding);
    if (mode == "same") {
      pad_same(c, conv, dims);
    } else if (mode != "valid") {
      Call::refuse("its padding is " + mode);
    }
  } else {
    conv.before = conv.after = per_dimension(c.fixed_list("padding", {0}), dims);
  }
  return conv;
}

std::vector<int64_t> pads_of(const Convolution& conv) {
  std::vector<int64_t> pads = conv.before;
  pads.insert(pads.end(), conv.after.begin(), conv.after.end());
  return pads;
}

bool all_are(const std::vector<int64_t>& list, int64_t value) {
  return std::ranges::all_of(list, [value](int64_t one) { return one == value; });
}

/// Makes OUTPUT_PADDING smaller padding behind, as far as there is some. Returns what is left:
/// ONNX Runtime takes none of the size of a stride, so that it has to be added to the result.
std::vector<int64_t> overhang(Convolution& conv) {
  std::vector<int64_t> out(conv.stride.size(), 0);
  bool too_large = false;
  for (size_t i = 0; i < out.size(); ++i) {
    too_large = too_large || conv.output_padding[i] >= conv.stride[i];
  }
  if (!conv.transposed || !too_large) return out;
  for (size_t i = 0; i < out.size(); ++i) {
    const int64_t shared = std::min(conv.output_padding[i], conv.after[i]);
    conv.after[i] -= shared;
    out[i] = conv.output_padding[i] - shared;
    conv.output_padding[i] = 0;
  }
  return out;
}

/// Y with EXTRA behind each dimension of space, where only the bias is.
Value* extended(Builder& b, Value* y, const std::vector<int64_t>& extra, Value* bias) {
  Sizes before(y->type.sizes.size(), b.expr(0));
  Sizes after(2, b.expr(0));
  for (const int64_t one : extra) after.push_back(b.expr(one));
  y = b.pad(y, before, after, "constant", b.number(0.0, y->type.dtype));
  if (bias == nullptr) return y;
  Sizes sizes(extra.size() + 1, b.expr(1));
  sizes[0] = b.size_of(bias, 0);
  return b.add(y, b.reshape(b.cast(bias, y->type.dtype), sizes));
}

void lower_convolution(Call& c) {
  Builder& b = c.b;
  Convolution conv = read(c);
  const std::vector<int64_t> extra = overhang(conv);
  const bool extends = !all_are(extra, 0);
  const size_t rank = conv.weight->type.sizes.size();
  const bool unbatched = conv.input->type.sizes.size() + 1 == rank;
  if (!unbatched && conv.input->type.sizes.size() != rank) {
    Call::refuse("its input has another number of dimensions than its weight");
  }
  if (unbatched) conv.input = b.unsqueeze(conv.input, {0});
  Attributes attributes;
  std::vector<int64_t> kernel;
  for (size_t i = 2; i < rank; ++i) {
    const auto size = c.symbols().constant_value(conv.weight->type.sizes[i]);
    if (!size) Call::refuse("the size of its kernel is not known");
    kernel.push_back(*size);
  }
  attributes.push_back({"kernel_shape", kernel});
  if (!all_are(conv.stride, 1)) attributes.push_back({"strides", conv.stride});
  if (const auto pads = pads_of(conv); !all_are(pads, 0)) attributes.push_back({"pads", pads});
  if (!all_are(conv.dilation, 1)) attributes.push_back({"dilations", conv.dilation});
  if (conv.groups != 1) attributes.push_back({"group", conv.groups});
  if (conv.transposed && !all_are(conv.output_padding, 0)) {
    attributes.push_back({"output_padding", conv.output_padding});
  }
  const DType dtype = conv.input->type.dtype;
  const char* op = conv.transposed ? "ConvTranspose" : "Conv";
  const DType computed = kernel_dtype(op, dtype);
  Inputs inputs = {b.cast(conv.input, computed), b.cast(conv.weight, computed)};
  if (conv.bias != nullptr && !extends) inputs.push_back(b.cast(conv.bias, computed));
  Sizes sizes = c.output_sizes();
  if (unbatched) sizes.insert(sizes.begin(), b.expr(1));
  for (size_t i = 0; i < extra.size(); ++i) {
    sizes[i + 2] = c.symbols().subtract(sizes[i + 2], b.expr(extra[i]));
  }
  Value* y = b.node(op, inputs, attributes, {computed, sizes});
  if (extends) y = extended(b, y, extra, conv.bias);
  y = b.cast(y, dtype);
  c.give(unbatched ? b.squeeze(y, {0}) : y);
}

constexpr Row kRows[] = {
    {"aten::_convolution", lower_convolution},     {"aten::_convolution_mode", lower_convolution},
    {"aten::conv1d", lower_convolution},           {"aten::conv2d", lower_convolution},
    {"aten::conv3d", lower_convolution},           {"aten::conv_transpose1d", lower_convolution},
    {"aten::conv_transpose2d", lower_convolution}, {"aten::conv_transpose3d", lower_convolution},
    {"aten::convolution", lower_convolution},
};

}  // namespace

std::span<const Row> convolution_rows() {
  return kRows;
}

}  // namespace mlc::onnx
