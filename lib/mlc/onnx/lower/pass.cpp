// What computes nothing at inference, and changes of dtype.
#include "mlc/onnx/op_table.h"

#include <fmt/format.h>

namespace mlc::onnx {
namespace {

void lower_pass(Call& c) {
  const std::string_view name = c.has("self") ? "self" : c.has("a") ? "a" : "input";
  c.give(c.tensor(name));
}

void lower_nothing(Call&) {}

void lower_dropout(Call& c) {
  const std::string_view flag = c.has("train") ? "train" : "training";
  const double p = c.has("p") ? c.number("p") : 0.5;
  if (c.boolean(flag, false) && p == 1) {
    Value* x = c.tensor(c.has("input") ? "input" : "self");
    return c.give(c.b.expand(c.b.number(int64_t{0}, x->type.dtype), x->type.sizes));
  }
  if (c.boolean(flag, false) && p != 0) {
    Call::refuse("it drops values at random, because the model is in training mode: call eval()");
  }
  c.give(c.tensor(c.has("input") ? "input" : "self"));
}

/// What does nothing to real numbers.
void lower_conjugate(Call& c) {
  Value* x = c.tensor("self");
  if (info(x->type.dtype).kind == DTypeClass::complex) Call::refuse("its tensor is complex");
  c.give(x);
}

void lower_to(Call& c) {
  if (info(c.output_dtype()).kind == DTypeClass::complex) Call::refuse("it makes complex numbers");
  c.give(c.b.cast(c.tensor("self"), c.output_dtype()));
}

template <DType kTo>
void lower_cast(Call& c) {
  c.give(c.b.cast(c.tensor("self"), kTo));
}

constexpr Row kRows[] = {
    {"aten::_assert_async", lower_nothing},
    {"aten::_assert_scalar", lower_nothing},
    {"aten::_assert_tensor_metadata", lower_nothing},
    {"aten::_cast_Bool", lower_cast<DType::boolean>},
    {"aten::_cast_Float", lower_cast<DType::f32>},
    {"aten::_cast_Int", lower_cast<DType::i32>},
    {"aten::_cast_Long", lower_cast<DType::i64>},
    {"aten::_to_copy", lower_to},
    {"aten::_conj", lower_conjugate},
    {"aten::alias", lower_pass},
    {"aten::alias_copy", lower_pass},
    {"aten::alpha_dropout", lower_dropout},
    {"aten::bfloat16", lower_cast<DType::bf16>},
    {"aten::bool", lower_cast<DType::boolean>},
    {"aten::byte", lower_cast<DType::u8>},
    {"aten::clone", lower_pass},
    {"aten::conj", lower_conjugate},
    {"aten::conj_physical", lower_conjugate},
    {"aten::contiguous", lower_pass},
    {"aten::cpu", lower_pass},
    {"aten::detach", lower_pass},
    {"aten::detach_copy", lower_pass},
    {"aten::double", lower_cast<DType::f64>},
    {"aten::dropout", lower_dropout},
    {"aten::feature_alpha_dropout", lower_dropout},
    {"aten::feature_dropout", lower_dropout},
    {"aten::float", lower_cast<DType::f32>},
    {"aten::half", lower_cast<DType::f16>},
    {"aten::int", lower_cast<DType::i32>},
    {"aten::lift", lower_pass},
    {"aten::lift_fresh", lower_pass},
    {"aten::lift_fresh_copy", lower_pass},
    {"aten::long", lower_cast<DType::i64>},
    {"aten::native_dropout", lower_dropout},
    {"aten::positive", lower_pass},
    {"aten::real", lower_conjugate},
    {"aten::promote_types", lower_nothing},
    {"aten::requires_grad_", lower_pass},
    {"aten::resolve_conj", lower_pass},
    {"aten::resolve_neg", lower_pass},
    {"aten::sym_constrain_range", lower_nothing},
    {"aten::sym_constrain_range_for_size", lower_nothing},
    {"aten::to", lower_to},
    {"aten::type_as", lower_to},
    {"prims::copy_strided", lower_pass},
    {"torch::_check", lower_nothing},
};

}  // namespace

std::span<const Row> pass_rows() {
  return kRows;
}

}  // namespace mlc::onnx
