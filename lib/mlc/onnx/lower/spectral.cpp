// Spectra and spectrograms.
//
// A spectrum is a product with the matrix of its sines and cosines, which every runtime can
// compute. Where the length is known it is a constant, else the model computes it.
#include "mlc/onnx/lower/common.h"
#include "mlc/onnx/lower/complex_parts.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace mlc::onnx {
namespace {

constexpr int64_t kLongest = 4096;

/// Cosines and sines of 2 pi row column / length, [from, to] each.
struct Waves {
  Value* cosines = nullptr;
  Value* sines = nullptr;
};

Waves constant_waves(Builder& b, int64_t from, int64_t to, int64_t length, DType dtype,
                     double sign) {
  if (from > kLongest || to > kLongest) Call::refuse("it is longer than 4096");
  std::vector<double> cosines;
  std::vector<double> sines;
  for (int64_t i = 0; i < from; ++i) {
    for (int64_t j = 0; j < to; ++j) {
      const auto turn = static_cast<double>(i * j % length) / static_cast<double>(length);
      cosines.push_back(std::cos(2 * std::numbers::pi * turn));
      sines.push_back(sign * std::sin(2 * std::numbers::pi * turn));
    }
  }
  return {b.floats(cosines, {from, to}, dtype), b.floats(sines, {from, to}, dtype)};
}

/// SIGN, 1 or -1: of the sines.
Waves waves(Builder& b, ir::Expr from, ir::Expr to, ir::Expr length, DType dtype, double sign) {
  const auto rows = b.symbols().constant_value(from);
  const auto columns = b.symbols().constant_value(to);
  const auto known = b.symbols().constant_value(length);
  if (rows && columns && known) return constant_waves(b, *rows, *columns, *known, dtype, sign);
  const auto count = [&](ir::Expr end, int64_t axis) {
    return b.unsqueeze(counting(b, end), {axis});
  };
  // Whole turns are taken away while the numbers are exact.
  Value* turns = b.binary("Mod", b.mul(count(from, 1), count(to, 0)), b.integer(length));
  Value* angle =
      b.div(b.mul(b.cast(turns, dtype), 2 * std::numbers::pi), b.cast(b.integer(length), dtype));
  Value* sines = b.unary("Sin", angle);
  return {b.unary("Cos", angle), sign < 0 ? b.unary("Neg", sines) : sines};
}

ir::Expr signal_length(Call& c, const Value* x, int64_t axis) {
  const ir::Expr length = c.b.size_of(x, axis);
  if (c.symbols().constant_value(length) == 0) Call::refuse("its signal has no elements");
  return length;
}

/// How many coefficients tell a real signal of LENGTH.
ir::Expr half_of(ir::Symbols& s, ir::Expr length) {
  return s.add(s.floor_divide(length, s.constant(2)), s.constant(1));
}

/// X times MATRIX along AXIS.
Value* along(Builder& b, Value* x, Value* matrix, int64_t axis) {
  return b.swap_axes(b.matmul(b.swap_axes(x, axis, -1), matrix), axis, -1);
}

/// The COUNT first coefficients of the spectrum of X along AXIS.
Parts spectrum(Call& c, const Parts& x, int64_t axis, bool forward, std::optional<ir::Expr> count) {
  Builder& b = c.b;
  const ir::Expr length = signal_length(c, x.re, axis);
  const Waves w =
      waves(b, length, count.value_or(length), length, x.re->type.dtype, forward ? -1 : 1);
  const auto by = [&](Value* one, Value* matrix) {
    return one == nullptr ? nullptr : along(b, one, matrix, axis);
  };
  return {sum_or(b, by(x.re, w.cosines), by(x.im, w.sines), true),
          sum_or(b, by(x.re, w.sines), by(x.im, w.cosines), false)};
}

/// [half of LENGTH, 1]: all coefficients but the first, and the middle one, stand for two.
Value* coefficient_weights(Builder& b, ir::Expr length, DType dtype) {
  const ir::Expr half = half_of(b.symbols(), length);
  if (const auto known = b.symbols().constant_value(length)) {
    std::vector<double> weights(static_cast<size_t>(*known / 2 + 1), 2.0);
    weights.front() = 1;
    if (*known % 2 == 0) weights.back() = 1;
    return b.floats(weights, {std::ssize(weights), 1}, dtype);
  }
  const auto number = [&](int64_t value) { return b.number(value, DType::i64); };
  Value* place = b.unsqueeze(counting(b, half), {1});
  Value* first = b.compare("Equal", place, number(0));
  Value* middle = b.compare("Equal", b.mul(place, number(2)), b.integer(length));
  return b.where(b.logical("Or", first, middle), b.number(1.0, dtype), b.number(2.0, dtype));
}

/// The real signal of LENGTH whose spectrum begins with X along AXIS.
Value* real_signal(Call& c, const Parts& x, int64_t axis, ir::Expr length) {
  Builder& b = c.b;
  const ir::Expr half = half_of(c.symbols(), length);
  const DType dtype = x.re->type.dtype;
  Value* weight = coefficient_weights(b, length, dtype);
  const Waves w = waves(b, half, length, length, dtype, -1);
  const auto cut = [&](Value* y) { return b.slice(y, axis, b.expr(0), half); };
  return b.add(along(b, cut(x.re), b.mul(w.cosines, weight), axis),
               along(b, cut(x.im), b.mul(w.sines, weight), axis));
}

/// X by what a transform of COUNT elements is multiplied with; MODE: 1 the root, 2 the number
/// itself, 0 nothing.
Parts normalized(Builder& b, Parts x, int64_t mode, ir::Expr count) {
  if (mode == 0) return x;
  const DType dtype = x.re->type.dtype;
  Value* factor = nullptr;
  if (const auto known = b.symbols().constant_value(count)) {
    const auto number = static_cast<double>(*known);
    factor = b.number(mode == 1 ? 1 / std::sqrt(number) : 1 / number, dtype);
  } else {
    factor = b.cast(b.integer(count), dtype);
    factor = b.div(b.number(1.0, dtype), mode == 1 ? b.unary("Sqrt", factor) : factor);
  }
  x.re = b.mul(x.re, factor);
  if (x.im != nullptr) x.im = b.mul(x.im, factor);
  return x;
}

Parts transform_input(Call& c) {
  if (is_complex_argument(c, "self")) return parts_of_pairs(c.b, c.tensor("self"));
  return {c.floating("self"), nullptr};
}

struct Transform {
  std::vector<int64_t> axes;
  bool forward = true;
  int64_t mode = 0;
};

ir::Expr element_count(Call& c, const Parts& x, const std::vector<int64_t>& axes) {
  Sizes lengths;
  for (const int64_t axis : axes) lengths.push_back(signal_length(c, x.re, axis));
  return c.b.product(lengths);
}

void give_complex_transform(Call& c, Parts x, const Transform& t) {
  const ir::Expr count = element_count(c, x, t.axes);
  for (const int64_t axis : t.axes) x = spectrum(c, x, axis, t.forward, std::nullopt);
  give_parts(c, normalized(c.b, x, t.mode, count));
}

/// Of a real signal: half of the last axis, then all of the others.
Parts real_transform(Call& c, Parts x, const Transform& t, bool half) {
  const ir::Expr count = element_count(c, x, t.axes);
  const int64_t last = t.axes.back();
  const ir::Expr length = signal_length(c, x.re, last);
  x = spectrum(c, x, last, true, half ? half_of(c.symbols(), length) : length);
  for (size_t i = 0; i + 1 < t.axes.size(); ++i) {
    x = spectrum(c, x, t.axes[i], true, std::nullopt);
  }
  return normalized(c.b, x, t.mode, count);
}
void give_real_transform(Call& c, const Parts& x, const Transform& t, bool half) {
  give_parts(c, real_transform(c, x, t, half));
}

void give_signal(Call& c, Parts x, const Transform& t, ir::Expr length) {
  const std::vector<int64_t> others(t.axes.begin(), t.axes.end() - 1);
  const ir::Expr count = c.symbols().multiply(element_count(c, x, others), length);
  for (const int64_t axis : others) x = spectrum(c, x, axis, false, std::nullopt);
  Value* y = real_signal(c, x, t.axes.back(), length);
  c.give(normalized(c.b, {y, nullptr}, t.mode, count).re);
}

std::vector<int64_t> transform_axes(Call& c, const Parts& x) {
  std::vector<int64_t> axes = c.fixed_list("dim");
  for (int64_t& axis : axes) axis = Builder::axis_of(axis, x.re->type.sizes.size());
  if (axes.empty()) Call::refuse("it transforms no dimension");
  return axes;
}

void lower_c2c(Call& c) {
  const Parts x = transform_input(c);
  give_complex_transform(
      c, x, {transform_axes(c, x), c.boolean("forward", true), c.fixed("normalization")});
}
void lower_r2c(Call& c) {
  const Parts x = transform_input(c);
  give_real_transform(c, x, {transform_axes(c, x), true, c.fixed("normalization")},
                      c.boolean("onesided", true));
}
void lower_c2r(Call& c) {
  const Parts x = transform_input(c);
  give_signal(c, x, {transform_axes(c, x), false, c.fixed("normalization")},
              c.integer("last_dim_size"));
}

// torch.fft, whose functions say their lengths and how to normalise.

/// X cut or padded with zeros to LENGTH along AXIS.
Parts resized(Builder& b, const Parts& x, int64_t axis, ir::Expr length) {
  ir::Symbols& s = b.symbols();
  const auto fit = [&](Value* y) -> Value* {
    if (y == nullptr) return nullptr;
    const ir::Expr own = b.size_of(y, axis);
    if (own == length) return y;
    // Where it is not known which one is longer, both are done.
    if (!s.less_equal(own, length).value_or(false)) y = b.slice(y, axis, b.expr(0), length);
    Sizes none(y->type.sizes.size(), b.expr(0));
    Sizes after = none;
    after[static_cast<size_t>(axis)] = s.subtract(length, b.size_of(y, axis));
    return b.pad(y, none, after);
  };
  return {fit(x.re), fit(x.im)};
}

int64_t mode_of(Call& c, bool forward) {
  const std::string norm = c.text("norm", "backward");
  if (norm == "ortho") return 1;
  return (norm == "forward") == forward ? 2 : 0;
}

struct Asked {
  Transform transform;
  std::vector<std::optional<ir::Expr>> lengths;
};

/// DIMS: 1 of "n" and "dim", 2 for the last two dimensions where none are named, 0 for all.
Asked asked_of(Call& c, const Parts& x, int dims, bool forward) {
  const auto rank = static_cast<int64_t>(x.re->type.sizes.size());
  Asked out;
  Sizes lengths;
  if (c.has(dims == 1 ? "n" : "s")) lengths = dims == 1 ? Sizes{c.integer("n")} : c.sizes("s");
  if (c.has("dim")) {
    out.transform.axes = c.fixed_list("dim");
  } else {
    const int64_t count = dims != 0 ? dims : !lengths.empty() ? std::ssize(lengths) : rank;
    for (int64_t i = rank - count; i < rank; ++i) out.transform.axes.push_back(i);
  }
  for (int64_t& axis : out.transform.axes) axis = Builder::axis_of(axis, static_cast<size_t>(rank));
  out.transform.forward = forward;
  out.transform.mode = mode_of(c, forward);
  for (size_t i = 0; i < out.transform.axes.size(); ++i) {
    const bool given = i < lengths.size() && c.symbols().constant_value(lengths[i]) != -1;
    out.lengths.push_back(given ? std::optional(lengths[i]) : std::nullopt);
  }
  return out;
}

Parts fitted(Builder& b, Parts x, const Asked& asked, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    if (asked.lengths[i]) x = resized(b, x, asked.transform.axes[i], *asked.lengths[i]);
  }
  return x;
}

template <int kDims, bool kForward>
void lower_fft(Call& c) {
  const Parts x = transform_input(c);
  const Asked asked = asked_of(c, x, kDims, kForward);
  give_complex_transform(c, fitted(c.b, x, asked, asked.lengths.size()), asked.transform);
}
template <int kDims>
void lower_rfft(Call& c) {
  const Parts x = transform_input(c);
  const Asked asked = asked_of(c, x, kDims, true);
  give_real_transform(c, fitted(c.b, x, asked, asked.lengths.size()), asked.transform, true);
}
/// The signal of the length that is asked for, or of twice as many elements as there are.
void give_asked_signal(Call& c, Parts x, const Asked& asked) {
  ir::Symbols& s = c.symbols();
  const size_t last = asked.lengths.size() - 1;
  const int64_t axis = asked.transform.axes[last];
  const ir::Expr own = signal_length(c, x.re, axis);
  const ir::Expr length =
      asked.lengths[last].value_or(s.multiply(s.subtract(own, s.constant(1)), s.constant(2)));
  if (s.constant_value(length).value_or(1) < 1) Call::refuse("its signal has no elements");
  x = fitted(c.b, x, asked, last);
  const ir::Expr half = half_of(s, length);
  if (!s.less_equal(half, own).value_or(false)) x = resized(c.b, x, axis, half);
  give_signal(c, x, asked.transform, length);
}
template <int kDims>
void lower_irfft(Call& c) {
  Parts x = transform_input(c);
  if (x.im == nullptr) x.im = zeros_like(c.b, x.re);
  give_asked_signal(c, x, asked_of(c, x, kDims, false));
}

/// Real signals of hermitian spectra: the other way round as for rfft, so that the sign of the
/// imaginary part and the normalisation are too.
template <int kDims>
void lower_hfft(Call& c) {
  Parts x = transform_input(c);
  x.im = x.im == nullptr ? zeros_like(c.b, x.re) : c.b.unary("Neg", x.im);
  give_asked_signal(c, x, asked_of(c, x, kDims, true));
}
template <int kDims>
void lower_ihfft(Call& c) {
  Parts x = transform_input(c);
  const Asked asked = asked_of(c, x, kDims, false);
  x = fitted(c.b, x, asked, asked.lengths.size());
  Parts y = real_transform(c, x, asked.transform, true);
  y.im = c.b.unary("Neg", y.im);
  give_parts(c, y);
}

/// The middle of each axis to its front, or back.
template <bool kBack>
void lower_shift(Call& c) {
  Builder& b = c.b;
  ir::Symbols& s = c.symbols();
  Value* x = c.tensor("self");
  const size_t rank = x->type.sizes.size() - (is_complex_argument(c, "self") ? 1 : 0);
  for (const int64_t axis : c.axes("dim", rank)) {
    const ir::Expr size = b.size_of(x, axis);
    const ir::Expr half = s.floor_divide(size, b.expr(2));
    const ir::Expr cut = kBack ? half : s.subtract(size, half);
    x = b.concat({b.slice(x, axis, cut, b.expr(INT64_MAX)), b.slice(x, axis, b.expr(0), cut)},
                 axis);
  }
  c.give(x);
}

// Spectrograms: one convolution with the windowed waves.

struct Frames {
  int64_t size = 0;
  int64_t step = 0;
  int64_t bins = 0;
  Value* window = nullptr;  // [size]
};

Frames frames_of(Call& c, DType dtype) {
  Builder& b = c.b;
  Frames f;
  f.size = c.fixed("n_fft");
  f.step = c.fixed("hop_length", f.size / 4);
  f.bins = c.boolean("onesided", true) ? f.size / 2 + 1 : f.size;
  const int64_t width = c.fixed("win_length", f.size);
  f.window = c.has("window") ? b.cast(c.tensor("window"), dtype) : b.filled(1.0, dtype, {width});
  if (width < f.size) {
    const int64_t left = (f.size - width) / 2;
    f.window = b.pad(f.window, {b.expr(left)}, {b.expr(f.size - width - left)});
  }
  return f;
}

/// [2 * bins, 1, size]: cosines, then sines, as a convolution reads them.
Value* wave_kernels(Builder& b, const Frames& f, DType dtype) {
  const Waves w = constant_waves(b, f.bins, f.size, f.size, dtype, -1);
  return b.unsqueeze(b.mul(b.concat({w.cosines, w.sines}, 0), f.window), {1});
}

void lower_stft(Call& c) {
  Builder& b = c.b;
  if (is_complex_argument(c, "self")) Call::refuse("its signal is complex");
  Value* x = b.cast(c.tensor("self"), DType::f32);
  const Frames f = frames_of(c, DType::f32);
  const bool single = x->type.sizes.size() == 1;
  x = b.unsqueeze(x, single ? std::vector<int64_t>{0, 1} : std::vector<int64_t>{1});
  // Of the overload without it torch.stft pads before.
  if (c.boolean("center", c.node.op().overload == "center")) {
    const Sizes around = {b.expr(0), b.expr(0), b.expr(f.size / 2)};
    const std::string mode = c.text("pad_mode", "reflect");
    x = b.pad(x, around, around, mode == "replicate" ? "edge" : mode);
  }
  Value* kernels = wave_kernels(b, f, DType::f32);
  if (c.boolean("normalized", false)) {
    kernels = b.mul(kernels, 1 / std::sqrt(static_cast<double>(f.size)));
  }
  ir::Symbols& s = c.symbols();
  const ir::Expr room = s.subtract(b.size_of(x, 2), b.expr(f.size));
  const ir::Expr count = s.add(s.floor_divide(room, b.expr(f.step)), b.expr(1));
  const Sizes sizes = {b.size_of(x, 0), b.expr(2 * f.bins), count};
  Value* y = b.node("Conv", {x, kernels}, {{"strides", std::vector<int64_t>{f.step}}},
                    {DType::f32, sizes});
  y = b.reshape(y, {sizes[0], b.expr(2), b.expr(f.bins), count});
  y = b.transpose(y, {0, 2, 3, 1});
  c.give(single ? b.squeeze(y, {0}) : y);
}

/// FRAMES [batch, channels, count] as signals through KERNELS [channels, 1, size], added up.
Value* overlapped(Builder& b, Value* frames, Value* kernels, const Frames& f, ir::Expr length) {
  return b.node("ConvTranspose", {frames, kernels}, {{"strides", std::vector<int64_t>{f.step}}},
                {DType::f32, {b.size_of(frames, 0), b.expr(1), length}});
}

void lower_istft(Call& c) {
  Builder& b = c.b;
  ir::Symbols& s = c.symbols();
  if (c.boolean("return_complex", false)) Call::refuse("its signal is complex");
  if (!c.boolean("onesided", true)) Call::refuse("its spectrum is not onesided");
  Value* x = b.cast(c.tensor("self"), DType::f32);  // [..., bins, frames, 2]
  const Frames f = frames_of(c, DType::f32);
  const bool single = x->type.sizes.size() == 3;
  if (single) x = b.unsqueeze(x, {0});
  const ir::Expr count = b.size_of(x, 2);
  x = b.reshape(b.transpose(x, {0, 3, 1, 2}), {b.size_of(x, 0), b.expr(2 * f.bins), count});
  std::vector<double> weights(static_cast<size_t>(f.bins), 2.0);
  weights.front() = 1;
  if (f.size % 2 == 0) weights.back() = 1;
  const double size = static_cast<double>(f.size);
  const double part = c.boolean("normalized", false) ? 1 / std::sqrt(size) : 1 / size;
  for (double& weight : weights) weight *= part;
  std::vector<double> twice = weights;
  twice.insert(twice.end(), weights.begin(), weights.end());
  Value* kernels =
      b.mul(wave_kernels(b, f, DType::f32), b.floats(twice, {2 * f.bins, 1, 1}, DType::f32));
  const ir::Expr before = s.multiply(s.subtract(count, b.expr(1)), b.expr(f.step));
  const ir::Expr all = s.add(before, b.expr(f.size));
  Value* y = overlapped(b, x, kernels, f, all);
  // Each place has been weighed by the square of all windows over it.
  Value* square = b.reshape(b.mul(f.window, f.window), {b.expr(1), b.expr(1), b.expr(f.size)});
  Value* ones = b.expand(b.number(1.0, DType::f32), {b.expr(1), b.expr(1), count});
  Value* envelope = overlapped(b, ones, square, f, all);
  const bool centred = c.boolean("center", true);
  const ir::Expr start = b.expr(centred ? f.size / 2 : 0);
  ir::Expr end = centred ? s.subtract(all, b.expr(f.size / 2)) : all;
  if (c.has("length")) end = s.minimum(s.add(start, c.integer("length")), all);
  y = b.div(b.slice(y, 2, start, end), b.slice(envelope, 2, start, end));
  if (c.has("length")) {
    const ir::Expr missing = s.subtract(c.integer("length"), b.size_of(y, 2));
    y = b.pad(y, {b.expr(0), b.expr(0), b.expr(0)}, {b.expr(0), b.expr(0), missing});
  }
  c.give(single ? b.squeeze(y, {0, 1}) : b.squeeze(y, {1}));
}

constexpr Row kRows[] = {
    {"aten::_fft_c2c", lower_c2c},
    {"aten::_fft_c2r", lower_c2r},
    {"aten::_fft_r2c", lower_r2c},
    {"aten::fft_fft", lower_fft<1, true>},
    {"aten::fft_fft2", lower_fft<2, true>},
    {"aten::fft_fftn", lower_fft<0, true>},
    {"aten::fft_fftshift", lower_shift<false>},
    {"aten::fft_hfft", lower_hfft<1>},
    {"aten::fft_hfft2", lower_hfft<2>},
    {"aten::fft_hfftn", lower_hfft<0>},
    {"aten::fft_ifft", lower_fft<1, false>},
    {"aten::fft_ifft2", lower_fft<2, false>},
    {"aten::fft_ifftn", lower_fft<0, false>},
    {"aten::fft_ifftshift", lower_shift<true>},
    {"aten::fft_ihfft", lower_ihfft<1>},
    {"aten::fft_ihfft2", lower_ihfft<2>},
    {"aten::fft_ihfftn", lower_ihfft<0>},
    {"aten::fft_irfft", lower_irfft<1>},
    {"aten::fft_irfft2", lower_irfft<2>},
    {"aten::fft_irfftn", lower_irfft<0>},
    {"aten::fft_rfft", lower_rfft<1>},
    {"aten::fft_rfft2", lower_rfft<2>},
    {"aten::fft_rfftn", lower_rfft<0>},
    {"aten::istft", lower_istft},
    {"aten::stft", lower_stft},
};

}  // namespace

std::span<const Row> spectral_rows() {
  return kRows;
}

}  // namespace mlc::onnx
