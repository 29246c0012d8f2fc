// Normalisations.
#include "mlc/onnx/kernels.h"
#include "mlc/onnx/lower/common.h"
#include "mlc/onnx/op_table.h"

#include <limits>
#include <numeric>

namespace mlc::onnx {
namespace {

/// VALUE of [channels] for tensors of RANK dimensions with channels second.
Value* per_channel(Builder& b, Value* value, size_t rank) {
  Sizes sizes(rank > 1 ? rank - 1 : 1, b.expr(1));
  sizes[0] = b.size_of(value, 0);
  return b.reshape(value, sizes);
}

Value* with_affine(Call& c, Value* x) {
  const size_t rank = x->type.sizes.size();
  if (Value* weight = c.optional("weight")) {
    x = c.b.mul(x, c.b.cast(per_channel(c.b, weight, rank), x->type.dtype));
  }
  if (Value* bias = c.optional("bias")) {
    x = c.b.add(x, c.b.cast(per_channel(c.b, bias, rank), x->type.dtype));
  }
  return x;
}

struct Statistics {
  Value* mean = nullptr;
  Value* root = nullptr;  // of the variance and eps
};

/// Along AXES, which stay with size 1.
Statistics statistics(Call& c, Value* x, const std::vector<int64_t>& axes) {
  Builder& b = c.b;
  Statistics out;
  out.mean = b.reduce("ReduceMean", x, axes, true);
  Value* centred = b.sub(x, out.mean);
  Value* variance = b.reduce("ReduceMean", b.mul(centred, centred), axes, true);
  out.root = b.unary("Sqrt", b.add(variance, c.number("eps", 1e-5)));
  return out;
}

/// Mean and reciprocal deviation as outputs 1 and 2, in the sizes that the program says.
void give_statistics(Call& c, const Statistics& s) {
  Builder& b = c.b;
  c.give(b.reshape(s.mean, c.output_sizes(1)), 1);
  Value* inverse = b.div(b.number(1.0, s.root->type.dtype), s.root);
  c.give(b.reshape(inverse, c.output_sizes(2)), 2);
}

/// With the statistics of the batch.
Value* batch_statistics(Call& c, Value* x) {
  std::vector<int64_t> axes(x->type.sizes.size());
  std::iota(axes.begin(), axes.end(), 0);
  axes.erase(axes.begin() + 1);
  const Statistics s = statistics(c, x, axes);
  if (c.output_count() > 2 && (c.is_used(1) || c.is_used(2))) give_statistics(c, s);
  return with_affine(c, c.b.div(c.b.sub(x, s.mean), s.root));
}

Value* batch_norm(Call& c, Value* x, Value* mean, Value* variance) {
  Builder& b = c.b;
  const DType dtype = kernel_dtype("BatchNormalization", x->type.dtype);
  const auto channels = c.symbols().constant_value(b.size_of(x, 1));
  if (!channels) Call::refuse("the number of its channels is not known");
  Value* weight = c.optional("weight");
  Value* bias = c.optional("bias");
  if (weight == nullptr) weight = b.filled(1.0, dtype, {*channels});
  if (bias == nullptr) bias = b.filled(0.0, dtype, {*channels});
  const Inputs inputs = {b.cast(x, dtype), b.cast(weight, dtype), b.cast(bias, dtype),
                         b.cast(mean, dtype), b.cast(variance, dtype)};
  Value* y =
      b.node("BatchNormalization", inputs, {{"epsilon", static_cast<float>(c.number("eps", 1e-5))}},
             {dtype, x->type.sizes});
  return b.cast(y, x->type.dtype);
}

void lower_batch_norm(Call& c) {
  Value* x = c.tensor("input");
  Value* mean = c.optional("running_mean");
  Value* variance = c.optional("running_var");
  const bool training = c.boolean("training", c.boolean("train", false));
  if (training && mean != nullptr) {
    Call::refuse("it updates its statistics, because the model is in training mode: call eval()");
  }
  const bool own = mean == nullptr || variance == nullptr || training;
  c.give(own ? batch_statistics(c, x) : batch_norm(c, x, mean, variance));
  for (size_t i = 1; !own && i < c.output_count(); ++i) {
    if (!c.is_used(i)) continue;
    if (c.output_sizes(i) != Sizes{c.b.expr(0)}) {
      Call::refuse("the statistics that it gives are used");
    }
    c.give(c.b.filled(0.0, c.output_dtype(i), {0}), i);
  }
}

void lower_layer_norm(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("input");
  const size_t dimensions = c.sizes("normalized_shape").size();
  if (dimensions == 0 || dimensions > x->type.sizes.size()) Call::refuse("its shape does not fit");
  c.give(layer_norm(b, x, dimensions, c.optional("weight"), c.optional("bias"),
                    c.number("eps", 1e-5)));
  if (c.output_count() < 3 || (!c.is_used(1) && !c.is_used(2))) return;
  const auto rank = static_cast<int64_t>(x->type.sizes.size());
  std::vector<int64_t> axes(dimensions);
  std::iota(axes.begin(), axes.end(), rank - static_cast<int64_t>(dimensions));
  Value* mean = b.reduce("ReduceMean", x, axes, true);
  Value* centred = b.sub(x, mean);
  Value* variance = b.reduce("ReduceMean", b.mul(centred, centred), axes, true);
  Value* root = b.unary("Sqrt", b.add(variance, c.number("eps", 1e-5)));
  c.give(mean, 1);
  c.give(b.div(b.number(1.0, root->type.dtype), root), 2);
}

/// Groups of channels, each normalised over all of its elements, which is what
/// InstanceNormalization does once a group is one channel.
Value* group_norm(Call& c, Value* x, ir::Expr groups) {
  Builder& b = c.b;
  const auto count = c.symbols().constant_value(groups);
  if (!count) Call::refuse("the number of its groups is not known");
  const DType dtype = kernel_dtype("InstanceNormalization", x->type.dtype);
  const ir::Expr each =
      c.symbols().floor_divide(b.product(std::span(x->type.sizes).subspan(1)), groups);
  Value* in = b.cast(b.reshape(x, {b.size_of(x, 0), groups, each}), dtype);
  Value* y = b.node("InstanceNormalization",
                    {in, b.filled(1.0, dtype, {*count}), b.filled(0.0, dtype, {*count})},
                    {{"epsilon", static_cast<float>(c.number("eps", 1e-5))}}, in->type);
  return b.cast(b.reshape(y, x->type.sizes), x->type.dtype);
}

void lower_group_norm(Call& c) {
  Value* x = c.tensor("input");
  const std::string_view groups = c.has("num_groups") ? "num_groups" : "group";
  c.give(with_affine(c, group_norm(c, x, c.integer(groups))));
  if (c.output_count() < 3 || (!c.is_used(1) && !c.is_used(2))) return;
  const ir::Expr count = c.integer(groups);
  const ir::Expr each =
      c.symbols().floor_divide(c.b.product(std::span(x->type.sizes).subspan(1)), count);
  give_statistics(c, statistics(c, c.b.reshape(x, {c.b.size_of(x, 0), count, each}), {2}));
}

void lower_instance_norm(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("input");
  Value* mean = c.optional("running_mean");
  Value* variance = c.optional("running_var");
  if (!c.boolean("use_input_stats", true) && mean != nullptr && variance != nullptr) {
    return c.give(batch_norm(c, x, mean, variance));
  }
  if (mean != nullptr) Call::refuse("it updates its statistics: call eval()");
  const DType dtype = kernel_dtype("InstanceNormalization", x->type.dtype);
  const auto channels = c.symbols().constant_value(b.size_of(x, 1));
  if (!channels) Call::refuse("the number of its channels is not known");
  Value* weight = c.optional("weight");
  Value* bias = c.optional("bias");
  if (weight == nullptr) weight = b.filled(1.0, dtype, {*channels});
  if (bias == nullptr) bias = b.filled(0.0, dtype, {*channels});
  Value* y = b.node(
      "InstanceNormalization", {b.cast(x, dtype), b.cast(weight, dtype), b.cast(bias, dtype)},
      {{"epsilon", static_cast<float>(c.number("eps", 1e-5))}}, {dtype, x->type.sizes});
  c.give(b.cast(y, x->type.dtype));
}

/// In the form that ONNX Runtime's optimiser knows.
void lower_rms_norm(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("input");
  const DType dtype = x->type.dtype;
  const size_t dimensions = c.sizes("normalized_shape").size();
  const double smallest = dtype == DType::f64    ? std::numeric_limits<double>::epsilon()
                          : dtype == DType::f16  ? 9.765625e-4
                          : dtype == DType::bf16 ? 7.8125e-3
                                                 : std::numeric_limits<float>::epsilon();
  std::vector<int64_t> axes(dimensions);
  std::iota(axes.begin(), axes.end(),
            static_cast<int64_t>(x->type.sizes.size()) - static_cast<int64_t>(dimensions));
  Value* in = dtype == DType::f16 || dtype == DType::bf16 ? b.cast(x, DType::f32) : x;
  Value* square = b.binary("Pow", in, b.number(2.0, in->type.dtype));
  Value* mean = b.reduce("ReduceMean", square, axes, true);
  Value* root = b.unary("Sqrt", b.add(mean, c.number("eps", smallest)));
  Value* y = b.cast(b.div(in, root), dtype);
  if (Value* weight = c.optional("weight")) y = b.mul(y, b.cast(weight, dtype));
  c.give(y);
  if (c.output_count() > 1 && c.is_used(1)) {
    c.give(b.div(b.number(1.0, root->type.dtype), root), 1);
  }
}

void lower_local_response_norm(Call& c) {
  Value* x = c.tensor("input");
  Value* in = c.b.cast(x, kernel_dtype("LRN", x->type.dtype));
  c.give(c.b.node("LRN", {in},
                  {{"size", c.fixed("size")},
                   {"alpha", static_cast<float>(c.number("alpha", 1e-4))},
                   {"beta", static_cast<float>(c.number("beta", 0.75))},
                   {"bias", static_cast<float>(c.number("k", 1))}},
                  in->type));
}

constexpr Row kRows[] = {
    {"aten::_batch_norm_no_update", lower_batch_norm},
    {"aten::_fused_rms_norm", lower_rms_norm},
    {"aten::_native_batch_norm_legit", lower_batch_norm},
    {"aten::_native_batch_norm_legit_no_training", lower_batch_norm},
    {"aten::batch_norm", lower_batch_norm},
    {"aten::cudnn_batch_norm", lower_batch_norm},
    {"aten::group_norm", lower_group_norm},
    {"aten::instance_norm", lower_instance_norm},
    {"aten::layer_norm", lower_layer_norm},
    {"aten::local_response_norm", lower_local_response_norm},
    {"aten::native_batch_norm", lower_batch_norm},
    {"aten::native_group_norm", lower_group_norm},
    {"aten::native_layer_norm", lower_layer_norm},
    {"aten::rms_norm", lower_rms_norm},
};

}  // namespace

std::span<const Row> norm_rows() {
  return kRows;
}

}  // namespace mlc::onnx
