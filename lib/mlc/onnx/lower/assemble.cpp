// Tensors put together out of others: diagonals, blocks, products of all with all.
#include "mlc/onnx/op_table.h"

#include <algorithm>
#include <numeric>

namespace mlc::onnx {
namespace {

int64_t rank_of(const Value* x) {
  return static_cast<int64_t>(x->type.sizes.size());
}

/// Powers of X in the columns.
void lower_vander(Call& c) {
  Builder& b = c.b;
  Value* x = b.cast(c.tensor("x"), c.output_dtype());
  const bool linalg = c.op() == "aten::linalg_vander";
  const auto count = c.symbols().constant_value(c.output_sizes().back());
  if (!count) Call::refuse("its number of powers varies");
  const bool rising = linalg || c.boolean("increasing", false);
  std::vector<int64_t> powers(static_cast<size_t>(*count));
  std::iota(powers.begin(), powers.end(), 0);
  if (!rising) std::ranges::reverse(powers);
  Value* exponents = b.int_tensor(powers, {*count}, x->type.dtype);
  c.give(b.binary("Pow", b.unsqueeze(x, {-1}), exponents));
}

/// Of rows of variables.
Value* covariance(Call& c, Value* x, int64_t correction) {
  Builder& b = c.b;
  if (rank_of(x) < 2) x = b.reshape(x, {b.expr(1), b.product(x->type.sizes)});
  Value* centred = b.sub(x, b.reduce("ReduceMean", x, {1}, true));
  Value* count = b.cast(b.integer(b.size_of(x, 1)), x->type.dtype);
  Value* rest = b.sub(count, static_cast<double>(correction));
  return b.div(b.matmul(centred, b.swap_axes(centred, 0, 1)), rest);
}

/// Of samples that count as often as FWEIGHTS says and as much as AWEIGHTS does, as torch.cov has
/// it (aten/src/ATen/native/Correlation.cpp); null where there are none.
Value* weighted_covariance(Call& c, Value* x, Value* fweights, Value* aweights) {
  Builder& b = c.b;
  const DType dtype = x->type.dtype;
  const auto correction = static_cast<double>(c.fixed("correction", 1));
  if (rank_of(x) < 2) x = b.reshape(x, {b.expr(1), b.product(x->type.sizes)});
  const auto as_floats = [&](Value* one) { return one == nullptr ? nullptr : b.cast(one, dtype); };
  fweights = as_floats(fweights);
  aweights = as_floats(aweights);
  Value* weights = fweights == nullptr ? aweights : fweights;
  if (fweights != nullptr && aweights != nullptr) weights = b.mul(fweights, aweights);
  Value* sum = b.reduce("ReduceSum", weights, {0}, true);
  Value* mean = b.div(b.reduce("ReduceSum", b.mul(x, weights), {1}, true), sum);
  Value* lost = b.number(correction, dtype);
  if (aweights != nullptr) {
    Value* squares = b.reduce("ReduceSum", b.mul(weights, aweights), {0}, true);
    lost = b.mul(b.div(squares, sum), correction);
  }
  Value* rest = b.binary("Max", b.sub(sum, lost), b.number(0.0, dtype));
  Value* centred = b.sub(x, mean);
  return b.div(b.matmul(centred, b.swap_axes(b.mul(centred, weights), 0, 1)), rest);
}

void lower_cov(Call& c) {
  Value* x = c.floating("self");
  Value* fweights = c.has("fweights") ? c.tensor("fweights") : nullptr;
  Value* aweights = c.has("aweights") ? c.tensor("aweights") : nullptr;
  const bool weighted = fweights != nullptr || aweights != nullptr;
  Value* y = weighted ? weighted_covariance(c, x, fweights, aweights)
                      : covariance(c, x, c.fixed("correction", 1));
  c.give(c.b.reshape(y, c.output_sizes()));
}

void lower_corrcoef(Call& c) {
  Builder& b = c.b;
  Value* x = c.floating("self");
  Value* y = covariance(c, x, 1);
  if (c.output_sizes().empty()) return c.give(b.reshape(b.div(y, y), {}));  // of one variable
  Value* zero = b.number(int64_t{0}, DType::i64);
  Value* places = b.range(zero, b.number(int64_t{1}, DType::i64), b.size_of(y, 0));
  Value* on = b.compare("Equal", b.unsqueeze(places, {1}), places);
  Value* own = b.reduce("ReduceSum", b.where(on, y, b.number(0.0, y->type.dtype)), {1}, true);
  Value* deviation = b.unary("Sqrt", own);
  Value* ratio = b.div(b.div(y, deviation), b.swap_axes(deviation, 0, 1));
  const DType dtype = y->type.dtype;
  c.give(b.binary("Min", b.binary("Max", ratio, b.number(-1.0, dtype)), b.number(1.0, dtype)));
}

constexpr Row kRows[] = {
    {"aten::corrcoef", lower_corrcoef},
    {"aten::cov", lower_cov},
    {"aten::vander", lower_vander},
};

}  // namespace

std::span<const Row> assemble_rows() {
  return kRows;
}

}  // namespace mlc::onnx
