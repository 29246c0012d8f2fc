#include "mlc/onnx/fold.h"

#include "mlc/onnx/computed_weight.h"
#include "mlc/onnx/constants.h"
#include "mlc/tensor/shape.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <span>
#include <utility>

namespace mlc::onnx {
namespace {

// Enough for masks and position tables; larger results would only make the file larger.
constexpr uint64_t kMaxElements = uint64_t{1} << 20;
constexpr uint64_t kMaxProducts = uint64_t{1} << 30;  // of a MatMul

using Sizes = std::vector<int64_t>;

/// What a node is computed from.
struct Call {
  std::string_view op;
  std::vector<std::optional<Array>> in;
  const std::vector<Attribute>* attributes = nullptr;
  DType dtype = DType::f32;  // of the result
  Sizes sizes;               // of the result

  const Array& x() const { return in.at(0).value(); }
  bool has(size_t i) const { return i < in.size() && in[i].has_value(); }
  const AttributeValue* find(std::string_view name) const {
    const auto found = std::ranges::find(*attributes, name, &Attribute::name);
    return found == attributes->end() ? nullptr : &found->value;
  }
  int64_t integer(std::string_view name, int64_t otherwise) const {
    const AttributeValue* value = find(name);
    return value == nullptr ? otherwise : std::get<int64_t>(*value);
  }
  size_t axis(std::string_view name, int64_t otherwise, size_t rank) const {
    const int64_t at = integer(name, otherwise);
    return static_cast<size_t>(at < 0 ? at + static_cast<int64_t>(rank) : at);
  }
};

size_t count_of(const Sizes& sizes) {
  size_t out = 1;
  for (const int64_t size : sizes) out *= static_cast<size_t>(size);
  return out;
}

Array empty_like(const Call& call) {
  Array out{call.dtype, call.sizes, {}, {}};
  if (out.is_floating()) {
    out.doubles.resize(count_of(call.sizes));
  } else {
    out.integers.resize(count_of(call.sizes));
  }
  return out;
}

void copy_element(Array& to, size_t i, const Array& from, size_t j) {
  if (to.is_floating()) {
    to.doubles.at(i) = from.doubles.at(j);
  } else {
    to.integers.at(i) = from.integers.at(j);
  }
}

/// The strides with which a tensor of SIZES is walked where one of RANK dimensions is; 0 along
/// dimensions that broadcast.
Sizes broadcast_strides(const Sizes& sizes, size_t rank) {
  const Sizes own = contiguous_strides(sizes);
  Sizes out(rank, 0);
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] != 1) out[rank - sizes.size() + i] = own[i];
  }
  return out;
}

/// Calls EACH with the position in a tensor of SIZES and, for every row of STRIDES, the offset
/// there.
template <size_t N, class Each>
void walk(const Sizes& sizes, const std::array<Sizes, N>& strides, std::array<int64_t, N> offsets,
          Each each) {
  const size_t count = count_of(sizes);
  Sizes at(sizes.size(), 0);
  for (size_t i = 0; i < count; ++i) {
    each(i, offsets);
    for (size_t d = sizes.size(); d-- > 0;) {
      for (size_t n = 0; n < N; ++n) offsets[n] += strides[n][d];
      if (++at[d] < sizes[d]) break;
      for (size_t n = 0; n < N; ++n) offsets[n] -= strides[n][d] * sizes[d];
      at[d] = 0;
    }
  }
}

double real_unary(std::string_view op, double x) {
  if (op == "Neg") return -x;
  if (op == "Abs") return std::fabs(x);
  if (op == "Sqrt") return std::sqrt(x);
  if (op == "Exp") return std::exp(x);
  if (op == "Log") return std::log(x);
  if (op == "Reciprocal") return 1 / x;
  if (op == "Floor") return std::floor(x);
  if (op == "Ceil") return std::ceil(x);
  if (op == "Round") return std::nearbyint(x);
  if (op == "Sin") return std::sin(x);
  if (op == "Cos") return std::cos(x);
  if (op == "Tanh") return std::tanh(x);
  if (op == "Erf") return std::erf(x);
  if (op == "Sigmoid") return 1 / (1 + std::exp(-x));
  if (op == "Relu") return x > 0 ? x : 0 * x;
  return x > 0 ? 1 : (x < 0 ? -1 : x);  // Sign
}

int64_t integer_unary(std::string_view op, int64_t x) {
  if (op == "Neg") return static_cast<int64_t>(0 - static_cast<uint64_t>(x));
  if (op == "Abs") return x < 0 ? static_cast<int64_t>(0 - static_cast<uint64_t>(x)) : x;
  if (op == "Not") return x == 0 ? 1 : 0;
  if (op == "Relu") return std::max<int64_t>(x, 0);
  return (x > 0) - (x < 0);  // Sign
}

std::optional<Array> unary(const Call& call) {
  constexpr std::array<std::string_view, 5> kInteger = {"Neg", "Abs", "Not", "Sign", "Relu"};
  Array out = empty_like(call);
  const Array& x = call.x();
  if (x.is_floating() && call.op != "Not") {
    for (size_t i = 0; i < x.doubles.size(); ++i) {
      out.doubles.at(i) = real_unary(call.op, x.doubles.at(i));
    }
    return out;
  }
  if (x.is_floating() || std::ranges::find(kInteger, call.op) == kInteger.end()) {
    return std::nullopt;
  }
  for (size_t i = 0; i < x.integers.size(); ++i) {
    out.integers.at(i) = integer_unary(call.op, x.integers.at(i));
  }
  return out;
}

std::optional<double> real_binary(std::string_view op, double x, double y) {
  if (op == "Add") return x + y;
  if (op == "Sub") return x - y;
  if (op == "Mul") return x * y;
  if (op == "Div") return x / y;
  if (op == "Pow") return std::pow(x, y);
  if (op == "Min") return std::isnan(x) || std::isnan(y) ? x + y : std::min(x, y);
  if (op == "Max") return std::isnan(x) || std::isnan(y) ? x + y : std::max(x, y);
  return std::nullopt;
}

std::optional<int64_t> integer_binary(std::string_view op, int64_t x, int64_t y) {
  const auto ux = static_cast<uint64_t>(x);
  const auto uy = static_cast<uint64_t>(y);
  if (op == "Add") return static_cast<int64_t>(ux + uy);
  if (op == "Sub") return static_cast<int64_t>(ux - uy);
  if (op == "Mul") return static_cast<int64_t>(ux * uy);
  if (op == "Min") return std::min(x, y);
  if (op == "Max") return std::max(x, y);
  if (op == "And") return (x != 0) && (y != 0);
  if (op == "Or") return (x != 0) || (y != 0);
  if (op == "Xor") return (x != 0) != (y != 0);
  if (y == 0 || (y == -1 && x == INT64_MIN)) return std::nullopt;
  if (op == "Div") return x / y;
  if (op == "Mod") {
    const int64_t rest = x % y;
    return rest != 0 && ((rest < 0) != (y < 0)) ? rest + y : rest;
  }
  return std::nullopt;
}

template <class T>
std::optional<bool> compared(std::string_view op, T x, T y) {
  if (op == "Equal") return x == y;
  if (op == "Less") return x < y;
  if (op == "LessOrEqual") return x <= y;
  if (op == "Greater") return x > y;
  if (op == "GreaterOrEqual") return x >= y;
  return std::nullopt;
}

std::optional<Array> binary(const Call& call) {
  const Array& a = call.in.at(0).value();
  const Array& b = call.in.at(1).value();
  if (call.in.size() != 2 || a.is_floating() != b.is_floating()) return std::nullopt;
  if (call.op == "Mod" && a.is_floating()) return std::nullopt;
  Array out = empty_like(call);
  bool ok = true;
  const size_t rank = call.sizes.size();
  walk<2>(call.sizes, {broadcast_strides(a.sizes, rank), broadcast_strides(b.sizes, rank)}, {0, 0},
          [&](size_t i, const std::array<int64_t, 2>& at) {
            const auto x = static_cast<size_t>(at[0]);
            const auto y = static_cast<size_t>(at[1]);
            if (call.dtype == DType::boolean) {
              auto truth = a.is_floating() ? compared(call.op, a.doubles.at(x), b.doubles.at(y))
                                           : compared(call.op, a.integers.at(x), b.integers.at(y));
              if (!truth && !a.is_floating()) {
                const auto both = integer_binary(call.op, a.integers.at(x), b.integers.at(y));
                if (both) truth = *both != 0;
              }
              ok = ok && truth.has_value();
              out.integers.at(i) = truth.value_or(false);
            } else if (a.is_floating()) {
              const auto value = real_binary(call.op, a.doubles.at(x), b.doubles.at(y));
              ok = ok && value.has_value();
              out.doubles.at(i) = value.value_or(0);
            } else {
              const auto value = integer_binary(call.op, a.integers.at(x), b.integers.at(y));
              ok = ok && value.has_value();
              out.integers.at(i) = value.value_or(0);
            }
          });
  if (!ok) return std::nullopt;
  return out;
}

std::optional<Array> cast(const Call& call) {
  Array out = empty_like(call);
  const Array& x = call.x();
  for (size_t i = 0; i < x.count(); ++i) {
    if (out.is_floating()) {
      out.doubles.at(i) = x.is_floating() ? x.doubles.at(i) : static_cast<double>(x.integers.at(i));
    } else if (call.dtype == DType::boolean) {
      out.integers.at(i) = x.is_floating() ? x.doubles.at(i) != 0 : x.integers.at(i) != 0;
    } else if (x.is_floating()) {
      // What does not fit is undefined in PyTorch: it is left to the runtime.
      if (!(std::fabs(x.doubles.at(i)) < 9.2e18)) return std::nullopt;
      out.integers.at(i) = static_cast<int64_t>(x.doubles.at(i));
    } else {
      out.integers.at(i) = x.integers.at(i);
    }
  }
  return out;
}

std::optional<Array> where(const Call& call) {
  Array out = empty_like(call);
  const size_t rank = call.sizes.size();
  walk<3>(call.sizes,
          {broadcast_strides(call.in.at(0).value().sizes, rank),
           broadcast_strides(call.in.at(1).value().sizes, rank),
           broadcast_strides(call.in.at(2).value().sizes, rank)},
          {0, 0, 0}, [&](size_t i, const std::array<int64_t, 3>& at) {
            const bool chosen = call.in.at(0).value().integers.at(static_cast<size_t>(at[0])) != 0;
            copy_element(out, i, chosen ? call.in.at(1).value() : call.in.at(2).value(),
                         static_cast<size_t>(chosen ? at[1] : at[2]));
          });
  return out;
}

std::optional<Array> expand(const Call& call) {
  Array out = empty_like(call);
  walk<1>(call.sizes, {broadcast_strides(call.x().sizes, call.sizes.size())}, {0},
          [&](size_t i, const std::array<int64_t, 1>& at) {
            copy_element(out, i, call.x(), static_cast<size_t>(at[0]));
          });
  return out;
}

std::optional<Array> concat(const Call& call) {
  const size_t axis = call.axis("axis", 0, call.sizes.size());
  Array out = empty_like(call);
  const Sizes strides = contiguous_strides(call.sizes);
  int64_t begin = 0;
  for (const auto& part : call.in) {
    walk<1>(part->sizes, {strides}, {begin * strides[axis]},
            [&](size_t i, const std::array<int64_t, 1>& at) {
              copy_element(out, static_cast<size_t>(at[0]), *part, i);
            });
    begin += part->sizes[axis];
  }
  return out;
}

std::optional<Array> slice(const Call& call) {
  if (call.in.size() < 4) return std::nullopt;
  const Array& x = call.x();
  const Sizes own = contiguous_strides(x.sizes);
  Sizes strides = own;
  int64_t offset = 0;
  for (size_t i = 0; i < call.in.at(3).value().integers.size(); ++i) {
    int64_t axis = call.in.at(3).value().integers.at(i);
    if (axis < 0) axis += std::ssize(x.sizes);
    const int64_t size = x.sizes.at(static_cast<size_t>(axis));
    const int64_t step = call.has(4) ? call.in.at(4).value().integers.at(i) : 1;
    int64_t start = call.in.at(1).value().integers.at(i);
    if (start < 0) start += size;
    start = std::clamp<int64_t>(start, 0, step > 0 ? size : size - 1);
    if (call.sizes.at(static_cast<size_t>(axis)) == 0) return empty_like(call);
    offset += start * own.at(static_cast<size_t>(axis));
    strides.at(static_cast<size_t>(axis)) = own.at(static_cast<size_t>(axis)) * step;
  }
  Array out = empty_like(call);
  walk<1>(call.sizes, {strides}, {offset}, [&](size_t i, const std::array<int64_t, 1>& at) {
    copy_element(out, i, x, static_cast<size_t>(at[0]));
  });
  return out;
}

std::optional<Array> gather(const Call& call) {
  const Array& x = call.x();
  const Array& indices = call.in.at(1).value();
  const size_t axis = call.axis("axis", 0, x.sizes.size());
  const auto size = x.sizes[axis];
  const auto at = x.sizes.begin() + static_cast<ptrdiff_t>(axis);
  const size_t inner = count_of({at + 1, x.sizes.end()});
  const size_t outer = count_of({x.sizes.begin(), at});
  Array out = empty_like(call);
  size_t to = 0;
  for (size_t o = 0; o < outer; ++o) {
    for (int64_t index : indices.integers) {
      if (index < 0) index += size;
      if (index < 0 || index >= size) return std::nullopt;
      const size_t from = (o * static_cast<size_t>(size) + static_cast<size_t>(index)) * inner;
      for (size_t i = 0; i < inner; ++i) copy_element(out, to++, x, from + i);
    }
  }
  return out;
}

std::optional<Array> range(const Call& call) {
  Array out = empty_like(call);
  for (size_t i = 0; i < out.count(); ++i) {
    if (out.is_floating()) {
      out.doubles.at(i) =
          call.x().doubles.at(0) + static_cast<double>(i) * call.in.at(2).value().doubles.at(0);
    } else {
      out.integers.at(i) =
          call.x().integers.at(0) + static_cast<int64_t>(i) * call.in.at(2).value().integers.at(0);
    }
  }
  return out;
}

std::optional<Array> trilu(const Call& call) {
  Array out = empty_like(call);
  const bool upper = call.integer("upper", 1) != 0;
  const int64_t k = call.has(1) ? call.in.at(1).value().integers.at(0) : 0;
  const int64_t columns = call.sizes.back();
  const int64_t rows = call.sizes[call.sizes.size() - 2];
  for (size_t i = 0; i < out.count(); ++i) {
    const auto at = static_cast<int64_t>(i) % (rows * columns);
    const int64_t row = at / columns;
    const int64_t column = at % columns;
    if (upper ? column - row >= k : column - row <= k) copy_element(out, i, call.x(), i);
  }
  return out;
}

std::optional<Array> tile(const Call& call) {
  const Array& x = call.x();
  Array out = empty_like(call);
  const Sizes own = contiguous_strides(x.sizes);
  const Sizes to = contiguous_strides(call.sizes);
  for (size_t i = 0; i < out.count(); ++i) {
    auto rest = static_cast<int64_t>(i);
    int64_t from = 0;
    for (size_t d = 0; d < to.size(); ++d) {
      from += (rest / to[d]) % x.sizes[d] * own[d];
      rest %= to[d];
    }
    copy_element(out, i, x, static_cast<size_t>(from));
  }
  return out;
}

void accumulate(std::string_view op, double& sum, double x) {
  if (op == "ReduceProd") {
    sum *= x;
  } else if (op == "ReduceMax") {
    sum = std::max(sum, x);
  } else if (op == "ReduceMin") {
    sum = std::min(sum, x);
  } else {
    sum += x;
  }
}
void accumulate(std::string_view op, int64_t& sum, int64_t x) {
  if (op == "ReduceProd") {
    sum = static_cast<int64_t>(static_cast<uint64_t>(sum) * static_cast<uint64_t>(x));
  } else if (op == "ReduceMax") {
    sum = std::max(sum, x);
  } else if (op == "ReduceMin") {
    sum = std::min(sum, x);
  } else {
    sum = static_cast<int64_t>(static_cast<uint64_t>(sum) + static_cast<uint64_t>(x));
  }
}

std::optional<Array> reduce(const Call& call) {
  const Array& x = call.x();
  if (x.count() == 0 || (call.op == "ReduceMean" && !x.is_floating())) return std::nullopt;
  Sizes axes;
  if (const AttributeValue* given = call.find("axes")) axes = std::get<Sizes>(*given);
  Sizes kept = x.sizes;
  for (const int64_t axis : axes) kept.at(static_cast<size_t>(axis)) = 1;
  const Sizes strides = broadcast_strides(kept, kept.size());
  Array out = empty_like(call);
  std::vector<bool> begun(out.count(), false);
  walk<1>(x.sizes, {strides}, {0}, [&](size_t i, const std::array<int64_t, 1>& where_to) {
    const auto at = static_cast<size_t>(where_to[0]);
    if (!begun[at]) {
      copy_element(out, at, x, i);
    } else if (x.is_floating()) {
      accumulate(call.op, out.doubles.at(at), x.doubles.at(i));
    } else {
      accumulate(call.op, out.integers.at(at), x.integers.at(i));
    }
    begun[at] = true;
  });
  if (call.op == "ReduceMean") {
    const auto each = static_cast<double>(x.count()) / static_cast<double>(out.count());
    for (double& value : out.doubles) value /= each;
  }
  return out;
}

/// The root of the sum of squares.
std::optional<Array> norm(const Call& call) {
  if (!call.x().is_floating()) return std::nullopt;
  Call squares = call;
  squares.op = "ReduceSum";
  for (double& value : squares.in[0]->doubles) value *= value;
  auto out = reduce(squares);
  if (out) {
    for (double& value : out->doubles) value = std::sqrt(value);
  }
  return out;
}

/// Of two matrices, one of which may be a vector.
std::optional<Array> matrix_product(const Call& call) {
  const Array& x = call.x();
  const Array& y = call.in.at(1).value();
  if (!x.is_floating() || x.sizes.empty() || y.sizes.empty() || x.sizes.size() > 2 ||
      y.sizes.size() > 2)
    return std::nullopt;
  const auto inner = static_cast<size_t>(x.sizes.back());
  const size_t columns = y.sizes.size() == 2 ? static_cast<size_t>(y.sizes[1]) : 1;
  const size_t rows = x.sizes.size() == 2 ? static_cast<size_t>(x.sizes[0]) : 1;
  if (inner != static_cast<size_t>(y.sizes[0]) || rows * inner * columns > kMaxProducts)
    return std::nullopt;
  Array out = empty_like(call);
  for (size_t row = 0; row < rows; ++row) {
    for (size_t k = 0; k < inner; ++k) {
      const double factor = x.doubles.at(row * inner + k);
      for (size_t column = 0; column < columns; ++column)
        out.doubles.at(row * columns + column) += factor * y.doubles.at(k * columns + column);
    }
  }
  return out;
}

std::optional<Array> cumulative_sum(const Call& call) {
  if (call.integer("exclusive", 0) != 0 || call.integer("reverse", 0) != 0) return std::nullopt;
  Array out = call.x();
  int64_t axis = call.in.at(1).value().integers.at(0);
  if (axis < 0) axis += std::ssize(out.sizes);
  const Sizes strides = contiguous_strides(out.sizes);
  const auto step = static_cast<size_t>(strides.at(static_cast<size_t>(axis)));
  const int64_t size = out.sizes.at(static_cast<size_t>(axis));
  for (size_t i = 0; i < out.count(); ++i) {
    if ((static_cast<int64_t>(i / step)) % size == 0) continue;
    if (out.is_floating()) {
      out.doubles.at(i) += out.doubles.at(i - step);
    } else {
      accumulate("ReduceSum", out.integers.at(i), out.integers.at(i - step));
    }
  }
  return out;
}

std::optional<Array> constant_of_shape(const Call& call) {
  Array out = empty_like(call);
  if (const AttributeValue* value = call.find("value")) {
    const auto fill = array_of(**std::get_if<DataRef>(value));
    if (!fill) return std::nullopt;
    for (size_t i = 0; i < out.count(); ++i) copy_element(out, i, *fill, 0);
  }
  return out;
}

using Compute = std::optional<Array> (*)(const Call&);
struct Row {
  std::string_view op;
  Compute compute;
};

constexpr Row kRows[] = {
    {"Abs", unary},
    {"Add", binary},
    {"And", binary},
    {"Cast", cast},
    {"Ceil", unary},
    {"Concat", concat},
    {"ConstantOfShape", constant_of_shape},
    {"Cos", unary},
    {"CumSum", cumulative_sum},
    {"Div", binary},
    {"Equal", binary},
    {"Erf", unary},
    {"Exp", unary},
    {"Expand", expand},
    {"Floor", unary},
    {"Gather", gather},
    {"Greater", binary},
    {"GreaterOrEqual", binary},
    {"Less", binary},
    {"LessOrEqual", binary},
    {"Log", unary},
    {"MatMul", matrix_product},
    {"Max", binary},
    {"Min", binary},
    {"Mod", binary},
    {"Mul", binary},
    {"Neg", unary},
    {"Not", unary},
    {"Or", binary},
    {"Pow", binary},
    {"Range", range},
    {"Reciprocal", unary},
    {"ReduceL2", norm},
    {"ReduceMax", reduce},
    {"ReduceMean", reduce},
    {"ReduceMin", reduce},
    {"ReduceProd", reduce},
    {"ReduceSum", reduce},
    {"Relu", unary},
    {"Round", unary},
    {"Sigmoid", unary},
    {"Sign", unary},
    {"Sin", unary},
    {"Slice", slice},
    {"Sqrt", unary},
    {"Sub", binary},
    {"Tanh", unary},
    {"Tile", tile},
    {"Trilu", trilu},
    {"Where", where},
    {"Xor", binary},
};

/// What weights are computed with from others: by weight_norm and spectral_norm.
constexpr std::array<std::string_view, 4> kOfWeights = {"Div", "MatMul", "Mul", "ReduceL2"};

/// The inputs as arrays, where all are known and can be read.
std::optional<Call> call_of(std::string_view op, const std::vector<DataRef>& inputs,
                            const std::vector<Attribute>& attributes, DType dtype, Sizes sizes) {
  Call call{op, {}, &attributes, dtype, std::move(sizes)};
  for (const DataRef& input : inputs) {
    std::optional<Array> array;
    if (input != nullptr && !(array = array_of(*input))) return std::nullopt;
    call.in.push_back(std::move(array));
  }
  if (!call.in[0]) return std::nullopt;
  return call;
}

}  // namespace

std::optional<std::vector<DataRef>> fold(std::string_view op, const std::vector<Value*>& inputs,
                                         const std::vector<Attribute>& attributes,
                                         const std::vector<TensorType>& types,
                                         const ir::Symbols& symbols) {
  const auto row = std::ranges::find(kRows, op, &Row::op);
  if (row == std::end(kRows) || types.size() != 1 || inputs.empty()) return std::nullopt;
  auto sizes = fixed_sizes(symbols, types[0].sizes);
  if (!sizes) return std::nullopt;
  const auto count = element_count(*sizes);
  if (!count) return std::nullopt;
  std::vector<DataRef> known;
  bool large = static_cast<uint64_t>(*count) > kMaxElements;
  for (const Value* input : inputs) {
    if (input != nullptr && input->data == nullptr) return std::nullopt;
    large = large || (input != nullptr && input->data->count() > kMaxElements);
    known.push_back(input == nullptr ? nullptr : input->data);
  }
  if (large) {
    if (std::ranges::find(kOfWeights, op) == kOfWeights.end()) return std::nullopt;
    const auto produce = [row, known, attributes, dtype = types[0].dtype,
                          sizes = *sizes]() -> Result<Buffer> {
      auto call = call_of(row->op, known, attributes, dtype, sizes);
      const auto result = call ? row->compute(*call) : std::nullopt;
      if (!result) return internal_error("a weight cannot be computed of those it is made of");
      return bytes_of(*result);
    };
    DataRef made = computed_weight(known, types[0].dtype, std::move(*sizes), produce);
    return made == nullptr ? std::nullopt : std::optional(std::vector{std::move(made)});
  }
  const auto call = call_of(op, known, attributes, types[0].dtype, *sizes);
  const auto result = call ? row->compute(*call) : std::nullopt;
  if (!result) return std::nullopt;
  DataRef out = data_of(*result);
  std::const_pointer_cast<TensorData>(out)->key = key_of_computed(known, *sizes);
  return std::vector<DataRef>{std::move(out)};
}

}  // namespace mlc::onnx
