// Functions of probabilities that ONNX does not have: the logarithm of the gamma function, its
// derivative, and the inverse of the error function, as sums that are exact to the last digits.
//
// Sources: Stirling's series (NIST Digital Library of Mathematical Functions, 5.11.1 and 5.11.2),
// with the recurrence 5.5.1 and the reflection 5.5.3; M. Giles, "Approximating the erfinv function"
// (GPU Computing Gems, 2011), whose polynomials are for float32.
#include "mlc/onnx/lower/common.h"
#include "mlc/onnx/op_table.h"

#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <span>

namespace mlc::onnx {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// From here on the series are exact for float64 too.
constexpr int64_t kLarge = 8;
// Coefficients, that of the highest power first.
constexpr std::array kStirling = {1.0 / 156,  -691.0 / 360'360.0, 1.0 / 1188, -1.0 / 1680,
                                  1.0 / 1260, -1.0 / 360,         1.0 / 12};
constexpr std::array kStirlingOfDerivative = {1.0 / 12,  -691.0 / 32'760.0, 1.0 / 132, -1.0 / 240,
                                              1.0 / 252, -1.0 / 120,        1.0 / 12};
constexpr std::array kErfinvCentral = {2.81022636e-08,  3.43273939e-07, -3.5233877e-06,
                                       -4.39150654e-06, 0.00021858087,  -0.00125372503,
                                       -0.00417768164,  0.246640727,    1.50140941};
constexpr std::array kErfinvTail = {-0.000200214257, 0.000100950558, 0.00134934322,
                                    -0.00367342844,  0.00573950773,  -0.0076224613,
                                    0.00943887047,   1.00167406,     2.83297682};

Value* polynomial(Builder& b, Value* x, std::span<const double> coefficients) {
  Value* y = nullptr;
  for (const double one : coefficients) {
    y = y == nullptr ? b.number(one, x->type.dtype) : b.add(b.mul(y, x), one);
  }
  return y;
}

Value* number(Builder& b, double value, const Value* like) {
  return b.number(value, like->type.dtype);
}

/// An argument as float32 or float64: half precision has too few digits for sums of large numbers.
Value* precise(Call& c, std::string_view name) {
  Value* x = c.floating(name);
  return x->type.dtype == DType::f64 ? x : c.b.cast(x, DType::f32);
}

/// X, where it is small enough moved into the range of the series.
struct Moved {
  Value* is_small = nullptr;
  Value* z = nullptr;
};

Moved moved(Builder& b, Value* x) {
  Value* is_small = b.compare("Less", x, number(b, static_cast<double>(kLarge), x));
  return {is_small, b.where(is_small, b.add(x, static_cast<double>(kLarge)), x)};
}

/// Of X >= 0; infinite at 0 and infinity.
Value* lgamma_of_positive(Builder& b, Value* x) {
  const auto [is_small, z] = moved(b, x);
  Value* inverse = b.div(number(b, 1, z), z);
  Value* series = b.mul(polynomial(b, b.mul(inverse, inverse), kStirling), inverse);
  Value* log = b.unary("Log", z);
  // z * (log z - 1), so that the largest numbers do not overflow before they must.
  Value* y = b.sub(b.mul(z, b.sub(log, 1.0)), b.mul(log, 0.5));
  y = b.add(b.add(y, std::log(2 * std::numbers::pi) / 2), series);
  Value* steps = x;
  for (int64_t i = 1; i < kLarge; ++i) steps = b.mul(steps, b.add(x, static_cast<double>(i)));
  steps = b.where(is_small, steps, number(b, 1, x));
  y = b.sub(y, b.unary("Log", steps));
  return b.where(b.compare("Equal", x, number(b, kInfinity, x)), x, y);
}

/// X without the nearest whole number, times pi: sines of large numbers have no digits.
Value* turned(Builder& b, Value* x) {
  return b.mul(b.sub(x, b.unary("Round", x)), std::numbers::pi);
}

Value* lgamma(Builder& b, Value* x) {
  Value* is_low = b.compare("Less", x, number(b, 0.5, x));
  Value* y = lgamma_of_positive(b, b.where(is_low, b.sub(number(b, 1, x), x), x));
  Value* sine = b.unary("Abs", b.unary("Sin", turned(b, x)));
  Value* reflected =
      b.sub(b.sub(number(b, std::log(std::numbers::pi), x), b.unary("Log", sine)), y);
  Value* lowest = b.compare("Equal", x, number(b, -kInfinity, x));
  return b.where(lowest, number(b, kInfinity, x), b.where(is_low, reflected, y));
}

void lower_lgamma(Call& c) {
  c.give(lgamma(c.b, precise(c, "self")));
}

/// p (p - 1) / 4 log pi + the sum of lgamma(x - j / 2) for j below p.
void lower_mvlgamma(Call& c) {
  Builder& b = c.b;
  Value* x = precise(c, "self");
  const int64_t p = c.fixed("p");
  if (p < 1 || p > 100) Call::refuse("its p is not from 1 to 100");
  Value* y = number(b, static_cast<double>(p * (p - 1)) / 4 * std::log(std::numbers::pi), x);
  for (int64_t j = 0; j < p; ++j) {
    y = b.add(y, lgamma(b, b.sub(x, static_cast<double>(j) / 2)));
  }
  c.give(y);
}

Value* digamma_of_positive(Builder& b, Value* x) {
  const auto [is_small, z] = moved(b, x);
  Value* inverse = b.div(number(b, 1, z), z);
  Value* square = b.mul(inverse, inverse);
  Value* series = b.mul(polynomial(b, square, kStirlingOfDerivative), square);
  Value* y = b.sub(b.sub(b.unary("Log", z), b.mul(inverse, 0.5)), series);
  Value* steps = b.div(number(b, 1, x), x);
  for (int64_t i = 1; i < kLarge; ++i) {
    steps = b.add(steps, b.div(number(b, 1, x), b.add(x, static_cast<double>(i))));
  }
  return b.sub(y, b.where(is_small, steps, number(b, 0, x)));
}

void lower_digamma(Call& c) {
  Builder& b = c.b;
  Value* x = precise(c, "self");
  Value* is_low = b.compare("Less", x, number(b, 0, x));
  Value* y = digamma_of_positive(b, b.where(is_low, b.sub(number(b, 1, x), x), x));
  Value* turn = turned(b, x);
  Value* cotangent = b.div(b.unary("Cos", turn), b.unary("Sin", turn));
  Value* reflected = b.sub(y, b.mul(cotangent, std::numbers::pi));
  Value* is_whole = b.compare("Equal", b.unary("Round", x), x);
  Value* nothing = number(b, std::numeric_limits<double>::quiet_NaN(), x);
  c.give(b.where(is_low, b.where(is_whole, nothing, reflected), y));
}

/// Of X = ABOVE - 1 = 1 - BELOW from -1 to 1, NaN beyond: near the ends X has lost the digits that
/// these have.
Value* erfinv(Builder& b, Value* x, Value* above, Value* below) {
  Value* product = b.mul(below, above);
  Value* w = b.unary("Neg", b.unary("Log", product));
  Value* central = polynomial(b, b.sub(w, 2.5), kErfinvCentral);
  Value* tail = polynomial(b, b.sub(b.unary("Sqrt", w), 3.0), kErfinvTail);
  Value* y = b.mul(b.where(b.compare("Less", w, number(b, 5, x)), central, tail), x);
  Value* at_end = b.compare("Equal", product, number(b, 0, x));
  return b.where(at_end, b.mul(x, kInfinity), y);
}

Value* single(Call& c, std::string_view name) {
  Value* x = precise(c, name);
  if (x->type.dtype == DType::f64) Call::refuse("ONNX has no such function for float64");
  return x;
}

void lower_erfinv(Call& c) {
  Builder& b = c.b;
  Value* x = single(c, "self");
  c.give(erfinv(b, x, b.add(x, 1.0), b.sub(number(b, 1, x), x)));
}

void lower_ndtri(Call& c) {
  Builder& b = c.b;
  Value* p = single(c, "self");
  Value* above = b.mul(p, 2.0);
  Value* below = b.mul(b.sub(number(b, 1, p), p), 2.0);
  c.give(b.mul(erfinv(b, b.sub(above, 1.0), above, below), std::numbers::sqrt2));
}

constexpr Row kRows[] = {
    {"aten::digamma", lower_digamma},     {"aten::erfinv", lower_erfinv},
    {"aten::lgamma", lower_lgamma},       {"aten::mvlgamma", lower_mvlgamma},
    {"aten::special_ndtri", lower_ndtri},
};

}  // namespace

std::span<const Row> gamma_rows() {
  return kRows;
}

}  // namespace mlc::onnx
