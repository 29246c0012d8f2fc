// Comparisons, logic, masks.
#include "mlc/onnx/lower/common.h"
#include "mlc/onnx/op_table.h"

namespace mlc::onnx {
namespace {

template <const char* kOp>
void lower_compare(Call& c) {
  const auto v = c.promoted({"self", "other"});
  c.give(c.b.compare(kOp, v[0], v[1]));
}
constexpr char kEqual[] = "Equal", kLess[] = "Less", kLessOrEqual[] = "LessOrEqual",
               kGreater[] = "Greater", kGreaterOrEqual[] = "GreaterOrEqual";

void lower_not_equal(Call& c) {
  const auto v = c.promoted({"self", "other"});
  c.give(c.b.logical_not(c.b.compare("Equal", v[0], v[1])));
}

template <const char* kOp>
void lower_logical(Call& c) {
  Value* a = c.b.cast(c.tensor("self"), DType::boolean);
  Value* z = c.b.cast(c.tensor("other"), DType::boolean);
  c.give(c.b.binary(kOp, a, z));
}
constexpr char kAnd[] = "And", kOr[] = "Or", kXor[] = "Xor";

void lower_logical_not(Call& c) {
  c.give(c.b.logical_not(c.b.cast(c.tensor("self"), DType::boolean)));
}

template <const char* kOp>
void lower_bitwise(Call& c) {
  const auto v = c.promoted({"self", "other"});
  if (v[0]->type.dtype == DType::boolean) return c.give(c.b.binary(kOp, v[0], v[1]));
  const TensorType type{v[0]->type.dtype, c.b.broadcast(v[0]->type.sizes, v[1]->type.sizes)};
  c.give(c.b.nodes("Bitwise" + std::string(kOp), {v[0], v[1]}, {}, {type},
                   {.opset = 18, .domain = {}})[0]);
}
void lower_bitwise_not(Call& c) {
  Value* x = c.tensor("self");
  if (x->type.dtype == DType::boolean) return c.give(c.b.logical_not(x));
  c.give(c.b.nodes("BitwiseNot", {x}, {}, {x->type}, {.opset = 18, .domain = {}})[0]);
}

/// ALIKE of every element, which holds for no integer.
Value* none_of(Call& c, Value* x) {
  return c.b.expand(c.b.number(int64_t{0}, DType::boolean), x->type.sizes);
}

void lower_isnan(Call& c) {
  Value* x = c.tensor("self");
  c.give(is_floating(x) ? is_nan(c.b, x) : none_of(c, x));
}
void lower_isinf(Call& c) {
  Value* x = c.tensor("self");
  c.give(is_floating(x) ? is_infinite(c.b, x) : none_of(c, x));
}
void lower_isfinite(Call& c) {
  Value* x = c.tensor("self");
  if (!is_floating(x)) return c.give(c.b.logical_not(none_of(c, x)));
  c.give(c.b.logical_not(c.b.binary("Or", is_nan(c.b, x), is_infinite(c.b, x))));
}

void lower_where(Call& c) {
  Value* condition = c.b.cast(c.tensor("condition"), DType::boolean);
  if (!c.has("self")) {
    Value* found = c.b.node("NonZero", {condition}, {},
                            {DType::i64,
                             {c.b.expr(static_cast<int64_t>(condition->type.sizes.size())),
                              c.output_sizes(0).front()}});
    const Sizes ones(condition->type.sizes.size(), c.b.expr(1));
    const auto rows = c.b.split(found, 0, ones);
    for (size_t i = 0; i < rows.size(); ++i) c.give(c.b.squeeze(rows[i], {0}), i);
    return;
  }
  const auto v = c.promoted({"self", "other"});
  c.give(c.b.where(condition, v[0], v[1]));
}

void lower_masked_fill(Call& c) {
  Value* x = c.tensor("self");
  Value* value = c.b.cast(c.operand("value").value, x->type.dtype);
  c.give(c.b.where(c.b.cast(c.tensor("mask"), DType::boolean), value, x));
}

void lower_equal_all(Call& c) {
  const auto v = c.promoted({"self", "other"});
  Value* same = c.b.cast(c.b.compare("Equal", v[0], v[1]), DType::i32);
  c.give(c.b.cast(c.b.reduce("ReduceMin", same, {}, false), DType::boolean));
}

void lower_isclose(Call& c) {
  Builder& b = c.b;
  const auto v = c.promoted({"self", "other"});
  Value* x = c.floating(v[0]);
  Value* y = c.floating(v[1]);
  Value* room = b.add(b.mul(b.unary("Abs", y), c.number("rtol", 1e-5)), c.number("atol", 1e-8));
  Value* near = b.compare("LessOrEqual", b.unary("Abs", b.sub(x, y)), room);
  Value* finite = b.logical_not(is_infinite(b, y));
  Value* out = b.binary("Or", b.compare("Equal", x, y), b.binary("And", near, finite));
  if (c.boolean("equal_nan", false)) {
    out = b.binary("Or", out, b.binary("And", is_nan(b, x), is_nan(b, y)));
  }
  if (c.op() == "aten::allclose") {
    out = b.cast(b.reduce("ReduceMin", b.cast(out, DType::i32), {}, false), DType::boolean);
  }
  c.give(out);
}

void lower_isin(Call& c) {
  Builder& b = c.b;
  const auto v = c.promoted({"elements", "test_elements"});
  Value* x = b.unsqueeze(v[0], {-1});
  Value* tests = b.reshape(v[1], {b.product(v[1]->type.sizes)});
  Value* any = b.reduce("ReduceMax", b.cast(b.compare("Equal", x, tests), DType::i32), {-1}, false);
  Value* out = b.cast(any, DType::boolean);
  c.give(c.boolean("invert", false) ? b.logical_not(out) : out);
}

constexpr Row kRows[] = {
    {"aten::__and__", lower_bitwise<kAnd>},
    {"aten::__or__", lower_bitwise<kOr>},
    {"aten::__xor__", lower_bitwise<kXor>},
    {"aten::allclose", lower_isclose},
    {"aten::bitwise_and", lower_bitwise<kAnd>},
    {"aten::bitwise_not", lower_bitwise_not},
    {"aten::bitwise_or", lower_bitwise<kOr>},
    {"aten::bitwise_xor", lower_bitwise<kXor>},
    {"aten::eq", lower_compare<kEqual>},
    {"aten::equal", lower_equal_all},
    {"aten::ge", lower_compare<kGreaterOrEqual>},
    {"aten::greater", lower_compare<kGreater>},
    {"aten::greater_equal", lower_compare<kGreaterOrEqual>},
    {"aten::gt", lower_compare<kGreater>},
    {"aten::isclose", lower_isclose},
    {"aten::isfinite", lower_isfinite},
    {"aten::isin", lower_isin},
    {"aten::isinf", lower_isinf},
    {"aten::isnan", lower_isnan},
    {"aten::le", lower_compare<kLessOrEqual>},
    {"aten::less", lower_compare<kLess>},
    {"aten::less_equal", lower_compare<kLessOrEqual>},
    {"aten::logical_and", lower_logical<kAnd>},
    {"aten::logical_not", lower_logical_not},
    {"aten::logical_or", lower_logical<kOr>},
    {"aten::logical_xor", lower_logical<kXor>},
    {"aten::lt", lower_compare<kLess>},
    {"aten::masked_fill", lower_masked_fill},
    {"aten::ne", lower_not_equal},
    {"aten::not_equal", lower_not_equal},
    {"aten::where", lower_where},
};

}  // namespace

std::span<const Row> comparison_rows() {
  return kRows;
}

}  // namespace mlc::onnx
