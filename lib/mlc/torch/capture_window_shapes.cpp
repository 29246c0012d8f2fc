// Sizes of what windows give that slide over an input.
#include "mlc/torch/capture_shape_rules.h"

#include <utility>

namespace mlc::torch_module {
namespace {

struct Window {
  Exprs kernel, stride, padding, dilation;
};

/// The places of a window in LENGTH. With CEIL the last one may stick out at the end, but not begin
/// in the padding there.
Expr places(ir::Symbols& symbols, Expr length, const Window& window, size_t i, bool ceil) {
  const Expr one = symbols.constant(1);
  const Expr padding = window.padding[i];
  const Expr reach = symbols.add(
      symbols.multiply(window.dilation[i], symbols.subtract(window.kernel[i], one)), one);
  const Expr room =
      symbols.subtract(symbols.add(length, symbols.multiply(symbols.constant(2), padding)), reach);
  const Expr stride = window.stride[i];
  if (!ceil) return symbols.add(symbols.floor_divide(room, stride), one);
  const Expr more = symbols.add(room, symbols.subtract(stride, one));
  const Expr rounded_up = symbols.add(symbols.floor_divide(more, stride), one);
  // The last place begins before the padding at the end by itself where the window is that long.
  const Expr spare = symbols.subtract(reach, symbols.add(padding, stride));
  if (symbols.bounds(spare).low >= 0) return rounded_up;
  const Expr last =
      symbols.floor_divide(symbols.subtract(symbols.add(length, padding), one), stride);
  return symbols.minimum(rounded_up, symbols.add(last, one));
}

ExpectedSizes convolved(Shapes& of, bool transposed) {
  const auto input = of.tensor("input");
  const auto weight = of.tensor("weight");
  if (!input || !weight || weight->size() < 3 || input->size() + 1 < weight->size()) return {};
  const size_t count = weight->size() - 2;
  const Exprs ones(count, of.number(1));
  const Exprs zeros(count, of.number(0));
  Window window;
  window.kernel.assign(weight->begin() + 2, weight->end());
  const auto stride = of.spread("stride", count, ones);
  const auto dilation = of.spread("dilation", count, ones);
  const auto padding = of.spread("padding", count, zeros);
  if (!stride || !dilation || !padding) return {};
  window.stride = *stride;
  window.dilation = *dilation;
  window.padding = *padding;
  ExpectedSizes out = known(*input);
  const size_t first = input->size() - count;
  out[first - 1] = std::nullopt;
  ir::Symbols& symbols = of.symbols();
  const Exprs extra = of.spread("output_padding", count, zeros).value_or(zeros);
  for (size_t i = 0; i < count; ++i) {
    const Expr length = (*input)[first + i];
    if (!transposed) {
      out[first + i] = places(symbols, length, window, i, false);
      continue;
    }
    // (length - 1)*stride - 2*padding + dilation*(kernel - 1) + output_padding + 1
    const Expr one = symbols.constant(1);
    Expr size = symbols.multiply(symbols.subtract(length, one), window.stride[i]);
    size = symbols.subtract(size, symbols.multiply(symbols.constant(2), window.padding[i]));
    size = symbols.add(
        size, symbols.multiply(window.dilation[i], symbols.subtract(window.kernel[i], one)));
    out[first + i] = symbols.add(symbols.add(size, extra[i]), one);
  }
  return out;
}

}  // namespace

ExpectedSizes convolution(Shapes& of) {
  return convolved(of, of.truth("transposed"));
}
ExpectedSizes transposed_convolution(Shapes& of) {
  return convolved(of, true);
}

template <size_t Count>
ExpectedSizes pooled(Shapes& of) {
  auto input = of.tensor("self");
  if (!input) input = of.tensor("input");
  if (!input || input->size() < Count) return {};
  const Exprs ones(Count, of.number(1));
  const Exprs zeros(Count, of.number(0));
  const auto kernel = of.spread("kernel_size", Count, ones);
  if (!kernel) return {};
  const auto stride = of.spread("stride", Count, *kernel);
  const auto padding = of.spread("padding", Count, zeros);
  if (!stride || !padding) return {};
  const Window window{*kernel, *stride, *padding,
                      of.spread("dilation", Count, ones).value_or(ones)};
  ExpectedSizes out = known(*input);
  for (size_t i = 0; i < Count; ++i) {
    const size_t at = input->size() - Count + i;
    out[at] = places(of.symbols(), (*input)[at], window, i, of.truth("ceil_mode"));
  }
  return out;
}

template ExpectedSizes pooled<1>(Shapes& of);
template ExpectedSizes pooled<2>(Shapes& of);
template ExpectedSizes pooled<3>(Shapes& of);

/// torch.Tensor.unfold: the windows of one dimension become the last one.
ExpectedSizes unfolded(Shapes& of) {
  const auto input = of.tensor("self");
  const auto size = of.integer("size");
  const auto step = of.integer("step");
  const auto at = input ? of.dimension("dimension", input->size()) : std::nullopt;
  if (!at || !size || !step) return {};
  ExpectedSizes out = known(*input);
  ir::Symbols& symbols = of.symbols();
  out[*at] = symbols.add(symbols.floor_divide(symbols.subtract((*input)[*at], *size), *step),
                         symbols.constant(1));
  out.push_back(*size);
  return out;
}

/// im2col: columns of all places together.
ExpectedSizes columns(Shapes& of) {
  const auto input = of.tensor("self");
  if (!input || input->size() < 3) return {};
  const auto kernel = of.list("kernel_size");
  const auto stride = of.list("stride");
  const auto padding = of.list("padding");
  const auto dilation = of.list("dilation");
  if (!kernel || !stride || !padding || !dilation || kernel->size() != 2) return {};
  const Window window{*kernel, *stride, *padding, *dilation};
  const size_t first = input->size() - 2;
  ExpectedSizes out(input->size() - 1);
  if (first == 2) out[0] = (*input)[0];
  out[first - 1] = of.symbols().multiply((*input)[first - 1], of.product(*kernel));
  out[first] = of.symbols().multiply(places(of.symbols(), (*input)[first], window, 0, false),
                                     places(of.symbols(), (*input)[first + 1], window, 1, false));
  return out;
}

namespace {

/// How far the windows of stft() and istft() are apart.
Expr hop_of(Shapes& of, Expr window) {
  return of.integer("hop_length").value_or(of.symbols().floor_divide(window, of.number(4)));
}

/// What centred windows stick out on both sides together.
Expr centred(Shapes& of, Expr window) {
  return of.symbols().multiply(of.number(2), of.symbols().floor_divide(window, of.number(2)));
}

}  // namespace

/// torch.stft: [batch, frequencies, frames], and pairs where it gives no complex numbers.
ExpectedSizes short_spectra(Shapes& of) {
  const auto input = of.tensor("self");
  const auto window = of.integer("n_fft");
  if (!input || input->empty() || !window) return {};
  ir::Symbols& symbols = of.symbols();
  Expr length = input->back();
  if (of.truth("center")) length = symbols.add(length, centred(of, *window));
  ExpectedSizes out(input->size() + 1);
  for (size_t i = 0; i + 1 < input->size(); ++i) out[i] = (*input)[i];
  out.back() = symbols.add(
      symbols.floor_divide(symbols.subtract(length, *window), hop_of(of, *window)), of.number(1));
  if (!of.truth("return_complex")) out.push_back(of.number(2));
  return out;
}

/// torch.istft of complex numbers.
ExpectedSizes signal_of_spectra(Shapes& of) {
  const auto input = of.tensor("self");
  const auto window = of.integer("n_fft");
  if (!input || input->size() < 2 || !window) return {};
  ir::Symbols& symbols = of.symbols();
  ExpectedSizes out(input->begin(), input->end() - 1);
  const Expr steps = symbols.subtract(input->back(), of.number(1));
  Expr length = symbols.add(*window, symbols.multiply(hop_of(of, *window), steps));
  if (of.truth("center")) length = symbols.subtract(length, centred(of, *window));
  out.back() = of.integer("length").value_or(length);
  return out;
}

}  // namespace mlc::torch_module
