#include "mlc/torch/without_elements.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include <ATen/ExpandUtils.h>
#include <ATen/Functions.h>
#include <ATen/SDPBackend.h>

namespace mlc::torch_module {
namespace {

using c10::IValue;
using torch::jit::Node;
using torch::jit::Stack;

constexpr std::array<std::string_view, 23> kCostly = {"_convolution",
                                                      "_convolution_mode",
                                                      "addbmm",
                                                      "addmm",
                                                      "baddbmm",
                                                      "batch_norm",
                                                      "bmm",
                                                      "conv1d",
                                                      "conv2d",
                                                      "conv3d",
                                                      "conv_transpose1d",
                                                      "conv_transpose2d",
                                                      "conv_transpose3d",
                                                      "convolution",
                                                      "einsum",
                                                      "group_norm",
                                                      "instance_norm",
                                                      "layer_norm",
                                                      "linear",
                                                      "linalg_multi_dot",
                                                      "matmul",
                                                      "mm",
                                                      "scaled_dot_product_attention"};

/// Give a view of their first input by the sizes or the type of the second.
constexpr std::array<std::string_view, 4> kLikeOther = {"expand_as", "reshape_as", "to", "view_as"};

/// Give a tensor like their first input, which no kernel for meta says; with _ that input.
constexpr std::array<std::string_view, 5> kLikeInput = {"hardsigmoid", "hardswish", "hardtanh",
                                                        "relu", "relu6"};

/// No kernel for meta says what they give, which hangs on no element: they run on anything.
constexpr std::array<std::string_view, 47> kOnAnything = {"adaptive_avg_pool1d",
                                                          "adaptive_avg_pool2d",
                                                          "adaptive_avg_pool3d",
                                                          "bilinear",
                                                          "cdist",
                                                          "celu",
                                                          "channel_shuffle",
                                                          "col2im",
                                                          "diag_embed",
                                                          "einsum",
                                                          "embedding",
                                                          "flip",
                                                          "grid_sampler",
                                                          "grid_sampler_2d",
                                                          "grid_sampler_3d",
                                                          "gru",
                                                          "gru_cell",
                                                          "im2col",
                                                          "index_select",
                                                          "instance_norm",
                                                          "logsumexp",
                                                          "lstm",
                                                          "lstm_cell",
                                                          "masked_fill",
                                                          "median",
                                                          "native_batch_norm",
                                                          "native_group_norm",
                                                          "native_layer_norm",
                                                          "pad",
                                                          "prelu",
                                                          "reflection_pad1d",
                                                          "reflection_pad2d",
                                                          "reflection_pad3d",
                                                          "replication_pad1d",
                                                          "replication_pad2d",
                                                          "replication_pad3d",
                                                          "rms_norm",
                                                          "rnn_relu",
                                                          "rnn_tanh",
                                                          "roll",
                                                          "rot90",
                                                          "std",
                                                          "std_mean",
                                                          "trace",
                                                          "var",
                                                          "var_mean",
                                                          "where"};

/// Read elements only to see that all is well, which a run on meta does not.
constexpr std::array<std::string_view, 2> kChecks = {"_assert_async", "_functional_assert_async"};

template <class Table>
bool has(const Table& table, std::string_view name) {
  return std::ranges::find(table, name) != table.end();
}

bool lacks(const IValue& value) {
  if (value.isTensor()) return value.toTensor().defined() && value.toTensor().is_meta();
  if (!value.isList() || value.isIntList() || value.isDoubleList()) return false;
  return std::ranges::any_of(value.toListRef(), lacks);
}

bool is_aten(const Node& node, std::string_view& name) {
  name = node.kind().toUnqualString();
  return node.kind().is_aten();
}

/// The arguments of a call by the names in the schema.
class Arguments {
 public:
  Arguments(const Node& node, const Stack& stack) : schema_(node.schema()), stack_(stack) {}

  const IValue* find(const char* name) const {
    const auto at = schema_.argumentIndexWithName(name);
    return at && static_cast<size_t>(*at) < stack_.size() ? &stack_[static_cast<size_t>(*at)]
                                                          : nullptr;
  }
  const IValue& at(const char* name) const {
    const IValue* found = find(name);
    TORCH_CHECK(found != nullptr, "no argument ", name);
    return *found;
  }
  std::optional<at::Tensor> tensor(const char* name) const {
    const IValue* found = find(name);
    return found == nullptr || !found->isTensor() ? std::nullopt : std::optional(found->toTensor());
  }
  /// One number for each of COUNT dimensions.
  std::vector<int64_t> numbers(const char* name, size_t count, int64_t usual) const {
    const IValue* found = find(name);
    std::vector<int64_t> out = found == nullptr ? std::vector<int64_t>{usual}
                               : found->isInt() ? std::vector<int64_t>{found->toInt()}
                                                : found->toIntVector();
    if (out.size() == 1) out.resize(count, out[0]);
    TORCH_CHECK(out.size() == count, "a convolution with other dimensions");
    return out;
  }

 private:
  const c10::FunctionSchema& schema_;
  const Stack& stack_;
};

at::Tensor empty_like_on_meta(const at::Tensor& like) {
  return at::empty_strided(like.sizes(), like.strides(), like.options().device(c10::kMeta));
}

/// Whether ONE holds its elements as usual, or would.
bool is_plain(const at::Tensor& one) {
  return one.layout() == c10::kStrided && !one.is_quantized() && !one.is_conj() && !one.is_neg();
}

/// Rows of an image are kept as they come, in inputs or weights.
at::MemoryFormat format_of(const at::Tensor& input, const at::Tensor& weight) {
  const auto format = input.suggest_memory_format();
  return format == at::MemoryFormat::Contiguous ? weight.suggest_memory_format() : format;
}

/// The size that a convolution gives along one dimension.
struct Along {
  int64_t size, kernel, stride, dilation, padding, output_padding;

  int64_t plain() const {
    const int64_t reach = dilation * (kernel - 1) + 1;
    TORCH_CHECK(size + 2 * padding >= reach, "the kernel is larger than the input");
    return (size + 2 * padding - reach) / stride + 1;
  }
  int64_t transposed() const {
    return (size - 1) * stride - 2 * padding + dilation * (kernel - 1) + output_padding + 1;
  }
};

at::Tensor convolved(const Arguments& given, bool transposed) {
  const at::Tensor input = given.at("input").toTensor();
  const at::Tensor weight = given.at("weight").toTensor();
  const int64_t spatial = weight.dim() - 2;
  const bool batched = input.dim() == weight.dim();
  TORCH_CHECK(spatial > 0 && (batched || input.dim() == spatial + 1), "another rank");
  const IValue* groups = given.find("groups");
  const int64_t parts = groups == nullptr ? 1 : groups->toInt();
  const int64_t channels = input.size(-spatial - 1);
  const auto bias = given.tensor("bias");
  const int64_t made = transposed ? weight.size(1) * parts : weight.size(0);
  TORCH_CHECK(channels == (transposed ? weight.size(0) : weight.size(1) * parts) &&
                  input.scalar_type() == weight.scalar_type() &&
                  (!bias || !bias->defined() || bias->numel() == made),
              "a weight that does not fit");
  const auto count = static_cast<size_t>(spatial);
  const auto stride = given.numbers("stride", count, 1);
  const auto dilation = given.numbers("dilation", count, 1);
  const bool named = given.at("padding").isString();
  const auto padding = named ? std::vector<int64_t>(count) : given.numbers("padding", count, 0);
  const auto more = given.numbers("output_padding", count, 0);
  const bool same = named && given.at("padding").toStringRef() == "same";
  std::vector<int64_t> sizes;
  if (batched) sizes.push_back(input.size(0));
  sizes.push_back(made);
  for (int64_t i = 0; i < spatial; ++i) {
    const auto at = static_cast<size_t>(i);
    const Along along{input.size(i - spatial),
                      weight.size(i + 2),
                      stride[at],
                      dilation[at],
                      padding[at],
                      more[at]};
    TORCH_CHECK(along.stride > 0 && along.padding >= 0, "a stride or padding that cannot be");
    const int64_t size = transposed ? along.transposed() : same ? along.size : along.plain();
    TORCH_CHECK(size > 0, "an output of no size");
    sizes.push_back(size);
  }
  return at::empty(sizes,
                   input.options().device(c10::kMeta).memory_format(format_of(input, weight)));
}

bool fits_channels(const Arguments& given, const at::Tensor& input) {
  return std::ranges::all_of(std::array{"weight", "bias", "running_mean", "running_var"},
                             [&](const char* name) {
                               const auto one = given.tensor(name);
                               return !one || !one->defined() || one->numel() == input.size(1);
                             });
}

/// Norms give what is like their input, contiguous but for images with channels last.
at::Tensor normalised(const Arguments& given, std::string_view name) {
  const at::Tensor input = given.at("input").toTensor();
  if (name == "layer_norm") {
    const auto shape = given.at("normalized_shape").toIntVector();
    const auto rank = static_cast<int64_t>(shape.size());
    TORCH_CHECK(input.dim() >= rank && input.sizes().slice(input.sizes().size() - shape.size()) ==
                                           at::IntArrayRef(shape),
                "another shape");
  } else {
    TORCH_CHECK(input.dim() >= 2 && fits_channels(given, input), "other channels");
  }
  // With one value for each channel there is no variance: an error in training.
  const IValue* trains = given.find("training");
  TORCH_CHECK(trains == nullptr || !trains->toBool(), "statistics of the batch");
  const IValue* groups = given.find("num_groups");
  TORCH_CHECK(groups == nullptr || (groups->toInt() > 0 && input.size(1) % groups->toInt() == 0),
              "groups that do not fit");
  const auto weight = given.tensor("weight");
  TORCH_CHECK(!weight || !weight->defined() || weight->scalar_type() == input.scalar_type(),
              "two types");
  return at::empty(input.sizes(),
                   input.options()
                       .device(c10::kMeta)
                       .memory_format(name == "layer_norm" ? at::MemoryFormat::Contiguous
                                                           : input.suggest_memory_format()));
}

/// VALUE with CHANGE(tensor) for every tensor in it, which may be in a list.
template <class Change>
IValue each_tensor(const IValue& value, const Change& change) {
  if (value.isTensor()) return value.toTensor().defined() ? change(value.toTensor()) : value;
  if (!value.isList() || value.isIntList() || value.isDoubleList()) return value;
  c10::impl::GenericList out(value.toList().elementType());
  for (const IValue& one : value.toListRef()) out.push_back(each_tensor(one, change));
  return out;
}

/// A tensor as VALUE with some elements, so that an operator runs.
IValue with_any_elements(const IValue& value) {
  const auto filled = [](const at::Tensor& one) {
    if (!one.is_meta()) return one;
    const auto options = one.options().device(c10::kCPU);
    at::Tensor out = at::empty_strided(one.sizes(), one.strides(), options);
    // Zero is an index everywhere; numbers may be any.
    return one.is_floating_point() ? out : out.zero_();
  };
  return each_tensor(value, filled);
}

/// Whether the CPU has one kernel for all of this attention, not a product after the other.
bool is_fused(const Arguments& given) {
  const auto any = [&](const char* name) { return with_any_elements(given.at(name)).toTensor(); };
  const auto mask = given.tensor("attn_mask");
  const IValue& scale = given.at("scale");
  const int64_t chosen = at::_fused_sdp_choice(
      any("query"), any("key"), any("value"),
      mask && mask->defined() ? std::optional(any("attn_mask")) : std::nullopt,
      given.at("dropout_p").toDouble(), given.at("is_causal").toBool(),
      scale.isNone() ? std::nullopt : std::optional(scale.toDouble()),
      given.at("enable_gqa").toBool());
  return chosen == static_cast<int64_t>(at::SDPBackend::flash_attention);
}

/// Attention as the CPU gives it: its one kernel arranges what it gives as the query is.
std::optional<at::Tensor> attended(const Arguments& given) {
  const at::Tensor query = given.at("query").toTensor();
  const at::Tensor key = given.at("key").toTensor();
  const at::Tensor value = given.at("value").toTensor();
  const auto mask = given.tensor("attn_mask");
  const int64_t rank = query.dim();
  const bool plain = rank == 4 && key.dim() == rank && value.dim() == rank &&
                     query.scalar_type() == key.scalar_type() &&
                     query.scalar_type() == value.scalar_type() && query.size(0) == key.size(0) &&
                     query.size(1) == key.size(1) && query.size(3) == key.size(3) &&
                     value.size(0) == key.size(0) && value.size(1) == key.size(1) &&
                     value.size(2) == key.size(2);
  TORCH_CHECK(plain, "attention of another kind");
  if (mask && mask->defined()) {
    const std::vector<int64_t> scores = {query.size(0), query.size(1), query.size(2), key.size(2)};
    const bool fits =
        at::infer_size(mask->sizes(), scores) == scores &&
        (mask->scalar_type() == at::kBool || mask->scalar_type() == query.scalar_type());
    TORCH_CHECK(fits, "a mask that does not fit");
  }
  if (is_fused(given)) return at::empty_like(query, query.options().device(c10::kMeta));
  return at::empty({query.size(0), query.size(1), query.size(2), value.size(3)},
                   query.options().device(c10::kMeta));
}

/// What no kernel for meta tells, by rules of its own.
std::optional<at::Tensor> by_rule(const Node& node, const Stack& stack) {
  std::string_view name;
  if (!is_aten(node, name)) return std::nullopt;
  const Arguments given(node, stack);
  if (name == "_convolution" || name == "convolution") {
    return convolved(given, given.at("transposed").toBool());
  }
  if (name.starts_with("conv_transpose")) return convolved(given, true);
  if (name == "conv1d" || name == "conv2d" || name == "conv3d" || name == "_convolution_mode") {
    return convolved(given, false);
  }
  if (name == "batch_norm" || name == "group_norm" || name == "layer_norm") {
    return normalised(given, name);
  }
  if (name == "scaled_dot_product_attention") return attended(given);
  const bool in_place = name.ends_with('_');
  if (has(kLikeInput, in_place ? name.substr(0, name.size() - 1) : name)) {
    const at::Tensor input = stack.at(0).toTensor();
    TORCH_CHECK(input.is_meta() && input.is_floating_point(), "a number of another kind");
    return in_place ? input : at::empty_like(input);
  }
  return std::nullopt;
}

/// Whether INDEX, which has its elements, is within SIZE rows.
void check_rows(const at::Tensor& index, int64_t size) {
  if (index.is_meta() || index.numel() == 0 || !at::isIntegralType(index.scalar_type(), false)) {
    return;
  }
  const int64_t low = index.min().item().toLong();
  const int64_t high = index.max().item().toLong();
  TORCH_CHECK(low >= -size && high < size, "an index that is out of range");
}

/// A run on meta looks up any row.
void check_indices(const Node& node, std::string_view name, const Stack& stack) {
  if (stack.size() < 2 || !stack[0].isTensor()) return;
  const at::Tensor self = stack[0].toTensor();
  const Arguments given(node, stack);
  if (name == "index" && stack[1].isList()) {
    int64_t dim = 0;
    for (const IValue& one : stack[1].toListRef()) {
      const bool row = one.isTensor() && one.toTensor().defined();
      if (row && one.toTensor().scalar_type() == at::kBool) dim += one.toTensor().dim() - 1;
      if (row && dim < self.dim()) check_rows(one.toTensor(), self.size(dim));
      ++dim;
    }
    return;
  }
  const IValue* dim = given.find("dim");
  const auto index = given.tensor("index");
  if (name != "gather" && name != "index_select") return;
  if (dim == nullptr || !dim->isInt() || !index || self.dim() == 0) return;
  check_rows(*index, self.size(dim->toInt()));
}

/// Arguments without elements, and what they stand for.
class Stripped {
 public:
  void strip(IValue& value) {
    if (value.isDevice()) value = c10::Device(c10::kMeta);
    value = each_tensor(value, [this](const at::Tensor& one) { return on_meta(one); });
  }

  /// Gives back what went in.
  void restore(IValue& value) const {
    if (!value.isTensor()) return;
    const at::Tensor result = value.toTensor();
    if (!result.defined() || !result.has_storage()) return;
    for (const auto& [without, with] : pairs_) {
      if (result.is_same(without)) {
        value = with;
        return;
      }
      TORCH_CHECK(!result.is_alias_of(without), "a view of a tensor that has elements");
    }
  }

 private:
  at::Tensor on_meta(const at::Tensor& tensor) {
    if (tensor.is_meta()) return tensor;
    TORCH_CHECK(is_plain(tensor), "a tensor of another kind");
    at::Tensor out = empty_like_on_meta(tensor);
    if (tensor.unsafeGetTensorImpl()->is_wrapped_number()) {
      out.unsafeGetTensorImpl()->set_wrapped_number(true);
    }
    pairs_.emplace_back(out, tensor);
    return out;
  }

  std::vector<std::pair<at::Tensor, at::Tensor>> pairs_;
};

/// Whether NODE writes into a tensor that has elements, which would be wrong from then on.
bool writes_into_elements(const Node& node, const Stack& stack) {
  const auto& arguments = node.schema().arguments();
  for (size_t i = 0; i < std::min(arguments.size(), stack.size()); ++i) {
    const auto* alias = arguments[i].alias_info();
    if (alias == nullptr || !alias->isWrite()) continue;
    if (!stack[i].isTensor() || !stack[i].toTensor().is_meta()) return true;
  }
  return false;
}

}  // namespace

bool is_costly(const Node& node) {
  std::string_view name;
  return is_aten(node, name) && has(kCostly, name);
}

bool lacks_elements(const Stack& stack) {
  return std::ranges::any_of(stack, lacks);
}

void run_without_elements(const Node& node, Stack& stack) {
  std::string_view name;
  const bool aten = is_aten(node, name);
  TORCH_CHECK(!writes_into_elements(node, stack), "writes into a tensor that has elements");
  TORCH_CHECK(!has(kChecks, name), "a check of elements");
  if (aten && is_costly(node)) {
    for (const IValue& one : stack) {
      TORCH_CHECK(!one.isTensor() || !one.toTensor().defined() || is_plain(one.toTensor()),
                  "a tensor of another kind");
    }
  }
  if (auto made = by_rule(node, stack)) {
    stack.assign({IValue(std::move(*made))});
    return;
  }
  const bool like = aten && has(kLikeOther, name) && stack.size() > 1 && stack[0].isTensor() &&
                    !stack[0].toTensor().is_meta() && stack[1].isTensor();
  if (like) {
    const at::Tensor other = stack[1].toTensor();
    stack[1] = at::zeros({}, other.options().device(c10::kCPU)).expand(other.sizes());
    node.getOperation()(stack);
    return;
  }
  if (aten) check_indices(node, name, stack);
  if (aten && has(kOnAnything, name) && (name != "where" || stack.size() == 3)) {
    for (IValue& one : stack) one = with_any_elements(one);
    node.getOperation()(stack);
    for (IValue& one : stack) {
      if (one.isTensor()) one = empty_like_on_meta(one.toTensor());
    }
    return;
  }
  Stripped stripped;
  for (IValue& one : stack) stripped.strip(one);
  node.getOperation()(stack);
  for (IValue& one : stack) stripped.restore(one);
}

}  // namespace mlc::torch_module
