// Windows taken apart and put together, and the opposite of pooling.
#include "mlc/onnx/op_table.h"

#include <string>

namespace mlc::onnx {
namespace {

/// Two numbers, of which one may stand for both.
std::vector<int64_t> pair(Call& c, std::string_view name) {
  std::vector<int64_t> out = c.fixed_list(name);
  if (out.size() == 1) out.push_back(out[0]);
  if (out.size() != 2) Call::refuse("a list of its arguments has another length");
  return out;
}

struct Windows {
  std::vector<int64_t> kernel, dilation, padding, stride;
};

Windows windows_of(Call& c) {
  return {pair(c, "kernel_size"), pair(c, "dilation"), pair(c, "padding"), pair(c, "stride")};
}

/// [kernel, windows]: where each element of each window lies along one dimension.
Value* window_places(Builder& b, int64_t kernel, int64_t dilation, int64_t stride,
                     ir::Expr windows) {
  Value* zero = b.number(int64_t{0}, DType::i64);
  Value* starts = b.range(zero, b.number(int64_t{1}, DType::i64), windows);
  starts = b.mul(starts, b.number(stride, DType::i64));
  std::vector<int64_t> within;
  for (int64_t i = 0; i < kernel; ++i) within.push_back(i * dilation);
  return b.add(b.unsqueeze(b.integers(within), {1}), b.unsqueeze(starts, {0}));
}

ir::Expr window_count(ir::Symbols& s, ir::Expr size, const Windows& w, size_t i) {
  const int64_t reach = w.dilation[i] * (w.kernel[i] - 1) + 1 - 2 * w.padding[i];
  const ir::Expr room = s.subtract(size, s.constant(reach));
  return s.add(s.floor_divide(room, s.constant(w.stride[i])), s.constant(1));
}

void lower_im2col(Call& c) {
  Builder& b = c.b;
  ir::Symbols& s = c.symbols();
  const Windows w = windows_of(c);
  Value* x = c.tensor("self");
  const bool unbatched = x->type.sizes.size() == 3;
  if (unbatched) x = b.unsqueeze(x, {0});
  if (x->type.sizes.size() != 4) Call::refuse("its input has another number of dimensions");
  const ir::Expr rows = window_count(s, b.size_of(x, 2), w, 0);
  const ir::Expr columns = window_count(s, b.size_of(x, 3), w, 1);
  const Sizes around = {b.expr(0), b.expr(0), b.expr(w.padding[0]), b.expr(w.padding[1])};
  Value* y = b.pad(x, around, around);
  y = b.gather(y, window_places(b, w.kernel[1], w.dilation[1], w.stride[1], columns), 3);
  y = b.gather(y, window_places(b, w.kernel[0], w.dilation[0], w.stride[0], rows), 2);
  // [N, C, kernel rows, rows, kernel columns, columns]
  y = b.transpose(y, {0, 1, 2, 4, 3, 5});
  const ir::Expr elements = s.multiply(b.size_of(x, 1), b.expr(w.kernel[0] * w.kernel[1]));
  y = b.reshape(y, {b.size_of(x, 0), elements, s.multiply(rows, columns)});
  c.give(unbatched ? b.squeeze(y, {0}) : y);
}

void lower_col2im(Call& c) {
  Builder& b = c.b;
  if (!b.can_use(18)) Call::refuse("it needs opset 18");
  const Windows w = windows_of(c);
  Value* x = c.tensor("self");
  const DType dtype = x->type.dtype;
  const bool unbatched = x->type.sizes.size() == 2;
  if (unbatched) x = b.unsqueeze(x, {0});
  const Sizes image = c.sizes("output_size");
  Sizes sizes = c.output_sizes();
  if (unbatched) sizes.insert(sizes.begin(), b.expr(1));
  Builder::Needs needs;
  needs.opset = 18;
  const Attributes attributes = {
      {"dilations", w.dilation},
      {"pads", std::vector<int64_t>{w.padding[0], w.padding[1], w.padding[0], w.padding[1]}},
      {"strides", w.stride}};
  Value* y = b.nodes("Col2Im", {b.cast(x, DType::f32), b.integer_list(image), b.integers(w.kernel)},
                     attributes, {{DType::f32, sizes}}, needs)
                 .front();
  c.give(b.cast(unbatched ? b.squeeze(y, {0}) : y, dtype));
}

/// Each value to its place in a plane of zeros.
template <size_t kSpace>
void lower_max_unpool(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("self");
  const Sizes sizes = c.output_sizes();
  const auto flat = [&](const Sizes& all) {
    const size_t lead = all.size() - kSpace;
    return Sizes{b.product(std::span(all).first(lead)), b.product(std::span(all).last(kSpace))};
  };
  Value* index = b.reshape(c.tensor("indices"), flat(x->type.sizes));
  Value* zeros = b.expand(b.number(int64_t{0}, x->type.dtype), flat(sizes));
  Value* y = b.node("ScatterElements", {zeros, index, b.reshape(x, flat(x->type.sizes))},
                    {{"axis", int64_t{1}}}, zeros->type);
  c.give(b.reshape(y, sizes));
}

void refuse_random(Call&) {
  Call::refuse("its windows are drawn at random");
}

constexpr Row kRows[] = {
    {"aten::col2im", lower_col2im},
    {"aten::fractional_max_pool2d", refuse_random},
    {"aten::fractional_max_pool3d", refuse_random},
    {"aten::im2col", lower_im2col},
    {"aten::max_unpool2d", lower_max_unpool<2>},
    {"aten::max_unpool3d", lower_max_unpool<3>},
};

}  // namespace

std::span<const Row> window_rows() {
  return kRows;
}

}  // namespace mlc::onnx
