// Changing the size of images, and reading them at computed places.
#include "mlc/onnx/kernels.h"
#include "mlc/onnx/lower/common.h"
#include "mlc/onnx/op_table.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace mlc::onnx {
namespace {

enum class Mode : uint8_t { nearest, nearest_exact, linear, cubic };

struct Resampling {
  Mode mode = Mode::nearest;
  bool antialias = false;
  bool align_corners = false;
  Sizes to;                    // of the dimensions of space
  std::vector<double> scales;  // one for each of them; none: the sizes say it
};

/// The scales as they were given: a list, or one argument for each dimension of space.
std::vector<double> given_scales(Call& c) {
  if (c.has("scale_factors")) return c.numbers("scale_factors");
  std::vector<double> out;
  for (const std::string_view name : {"scales_d", "scales_h", "scales_w", "scales"}) {
    if (c.has(name)) out.push_back(c.number(name));
  }
  return out;
}

/// ONNX takes the product of size and scale as float32 and rounds it down, PyTorch as double: a
/// scale that gives the size which the program says, or nothing.
std::optional<float> scale_for(double scale, std::optional<int64_t> from,
                               std::optional<int64_t> to) {
  auto out = static_cast<float>(scale);
  if (!from || !to) return out;
  for (int i = 0; i < 3; ++i) {
    const float size = std::floor(static_cast<float>(*from) * out);
    if (size == static_cast<float>(*to)) return out;
    const float limit = std::numeric_limits<float>::infinity();
    out = std::nextafter(out, size > static_cast<float>(*to) ? -limit : limit);
  }
  return std::nullopt;
}

Attributes attributes_of(const Resampling& r) {
  if (r.mode == Mode::nearest) {
    return {{"mode", std::string("nearest")},
            {"coordinate_transformation_mode", std::string("asymmetric")},
            {"nearest_mode", std::string("floor")}};
  }
  if (r.mode == Mode::nearest_exact) {
    return {{"mode", std::string("nearest")},
            {"coordinate_transformation_mode", std::string("half_pixel")},
            {"nearest_mode", std::string("round_prefer_ceil")}};
  }
  Attributes out = {
      {"mode", std::string(r.mode == Mode::linear ? "linear" : "cubic")},
      {"coordinate_transformation_mode",
       std::string(r.align_corners ? "align_corners" : "half_pixel")},
  };
  if (r.mode == Mode::cubic) out.push_back({"cubic_coeff_a", r.antialias ? -0.5F : -0.75F});
  if (r.antialias) {
    out.push_back({"antialias", int64_t{1}});
    out.push_back({"exclude_outside", int64_t{1}});
  }
  return out;
}

/// One dimension of space: what Resize and PyTorch know of it.
struct Line {
  ir::Expr from, to;
  std::optional<double> scale;
};

std::vector<Line> lines_of(const Value& x, const Resampling& r) {
  std::vector<Line> out;
  for (size_t i = 0; i < r.to.size(); ++i) {
    Line line{x.type.sizes[2 + i], r.to[i], std::nullopt};
    if (!r.scales.empty()) line.scale = r.scales[i];
    out.push_back(line);
  }
  return out;
}

/// From so many pixels on FACTOR, which is above 1, adds some.
int64_t first_that_grows(double factor) {
  auto count = std::max(int64_t{1}, static_cast<int64_t>(1 / (factor - 1)) - 1);
  while (std::floor(static_cast<double>(count) * factor) <= static_cast<double>(count)) ++count;
  return count;
}

/// The factor of one dimension as a tensor of one element; null where the sizes have to say it.
/// Between pixels that stay as many, PyTorch copies whatever factor it was given
/// (HelperInterpLinear in aten/src/ATen/native/cpu/UpSampleKernel.cpp).
Value* factor_of(Call& c, const Resampling& r, const Line& line) {
  Builder& b = c.b;
  ir::Symbols& s = c.symbols();
  if (!line.scale) return nullptr;
  const auto from = s.constant_value(line.from);
  const auto to = s.constant_value(line.to);
  const auto factor = scale_for(*line.scale, from, to);
  if (!factor) return nullptr;
  const bool copies = r.mode == Mode::linear && !r.antialias && !r.align_corners;
  Value* given = b.floats({*factor}, {1}, DType::f32);
  Value* one = b.floats({1.0}, {1}, DType::f32);
  if (from && to) return copies && *from == *to ? one : given;
  // Of one pixel all are copies; the others stay as many only where the factor is below 1.5.
  constexpr double kNearly = 1e9;
  if (!copies || !(*line.scale > 1 + 1 / kNearly) || *line.scale >= 1.5) return given;
  Value* grows = b.integers({first_that_grows(*line.scale)});
  return b.where(b.compare("Less", b.integer_1d(line.from), grows), one, given);
}

/// The factors of X [N, C, ...]; null where the sizes have to say them.
Value* factors_of(Call& c, Value* x, const Resampling& r) {
  Inputs factors = {c.b.floats({1.0, 1.0}, {2}, DType::f32)};
  for (const Line& line : lines_of(*x, r)) {
    Value* factor = factor_of(c, r, line);
    if (factor == nullptr) return nullptr;
    factors.push_back(factor);
  }
  return c.b.concat(factors, 0);
}

/// X [N, C, ...] in another size.
Value* resized(Call& c, Value* x, const Resampling& r) {
  Builder& b = c.b;
  Sizes sizes = {x->type.sizes[0], x->type.sizes[1]};
  sizes.insert(sizes.end(), r.to.begin(), r.to.end());
  if (sizes == x->type.sizes && r.scales.empty()) return x;
  Inputs inputs = {x, nullptr};
  if (Value* factors = factors_of(c, x, r)) {
    inputs.push_back(factors);
  } else {
    inputs.push_back(nullptr);
    inputs.push_back(b.integer_list(sizes));
  }
  Builder::Needs needs;
  if (r.antialias) needs.opset = 18;
  return b.nodes("Resize", std::move(inputs), attributes_of(r), {{x->type.dtype, sizes}}, needs)
      .front();
}

// The nearest pixel jumps where rounding differs: Resize is for sizes at which ONNX Runtime reads
// the same pixels as PyTorch does, else they are gathered.

/// Where PyTorch reads, of float32 as it computes.
int64_t torch_place(Mode mode, int64_t at, float step, int64_t from) {
  const float middle = mode == Mode::nearest_exact ? 0.5F : 0.0F;
  const float place = std::floor((static_cast<float>(at) + middle) * step);
  return std::min(static_cast<int64_t>(place), from - 1);
}

int64_t onnx_place(Mode mode, int64_t at, float scale, int64_t from) {
  const auto x = static_cast<float>(at);
  const float place =
      mode == Mode::nearest ? std::floor(x / scale) : std::floor((x + 0.5F) / scale - 0.5F + 0.5F);
  return std::clamp(static_cast<int64_t>(place), int64_t{0}, from - 1);
}

/// Whether PyTorch forgets a scale that it was given where a size stays or doubles: nearest_idx()
/// in aten/src/ATen/native/UpSample.h.
bool forgets_scale(Mode mode, int64_t from, int64_t to) {
  return mode == Mode::nearest && (to == from || to == 2 * from);
}

float step_of(Mode mode, const Line& line, int64_t from, int64_t to) {
  if (line.scale && !forgets_scale(mode, from, to)) return static_cast<float>(1.0 / *line.scale);
  return static_cast<float>(from) / static_cast<float>(to);
}

bool reads_the_same(ir::Symbols& s, Mode mode, const Line& line) {
  const auto from = s.constant_value(line.from);
  const auto to = s.constant_value(line.to);
  if (!from || !to) {
    if (line.from == line.to) return true;
    const auto times = s.constant_value(s.floor_divide(line.to, line.from));
    return times && *times > 0 && s.multiply(line.from, s.constant(*times)) == line.to;
  }
  const auto own = static_cast<float>(*to) / static_cast<float>(*from);
  const float scale = line.scale ? scale_for(*line.scale, from, to).value_or(own) : own;
  for (int64_t at = 0; at < *to; ++at) {
    if (torch_place(mode, at, step_of(mode, line, *from, *to), *from) !=
        onnx_place(mode, at, scale, *from)) {
      return false;
    }
  }
  return true;
}

Value* nearest_places(Call& c, Mode mode, const Line& line) {
  Builder& b = c.b;
  const auto from = c.symbols().constant_value(line.from);
  const auto to = c.symbols().constant_value(line.to);
  if (from && to) {
    std::vector<int64_t> places;
    for (int64_t at = 0; at < *to; ++at) {
      places.push_back(torch_place(mode, at, step_of(mode, line, *from, *to), *from));
    }
    return b.integers(places);
  }
  Value* zero = b.number(int64_t{0}, DType::i64);
  Value* one = b.number(int64_t{1}, DType::i64);
  Value* at = b.cast(b.range(zero, one, line.to), DType::f32);
  if (mode == Mode::nearest_exact) at = b.add(at, 0.5);
  const auto size = [&](ir::Expr n) { return b.cast(b.integer(n), DType::f32); };
  Value* step = nullptr;
  if (!line.scale || mode == Mode::nearest) step = b.div(size(line.from), size(line.to));
  if (line.scale) {
    Value* own = b.number(1.0 / *line.scale, DType::f32);
    if (mode == Mode::nearest) {
      const ir::Expr twice = c.symbols().multiply(line.from, b.expr(2));
      Value* made = b.integer(line.to);
      Value* forgets = b.logical("Or", b.compare("Equal", made, b.integer(line.from)),
                                 b.compare("Equal", made, b.integer(twice)));
      step = b.where(forgets, step, own);
    } else {
      step = own;
    }
  }
  Value* place = b.cast(b.unary("Floor", b.mul(at, step)), DType::i64);
  return b.binary("Min", place, b.sub(b.integer(line.from), one));
}

/// X [N, C, ...] resized by gathering; null where Resize is as good.
Value* gathered(Call& c, Value* x, const Resampling& r) {
  const std::vector<Line> lines = lines_of(*x, r);
  bool same = true;
  for (const Line& line : lines) {
    if (!c.b.can_make(line.to) || !c.b.can_make(line.from)) return nullptr;
    same = same && reads_the_same(c.symbols(), r.mode, line);
  }
  if (same) return nullptr;
  for (size_t i = 0; i < lines.size(); ++i) {
    x = c.b.gather(x, nearest_places(c, r.mode, lines[i]), static_cast<int64_t>(2 + i));
  }
  return x;
}

void resample(Call& c, Mode mode, size_t space, bool antialias) {
  Builder& b = c.b;
  Value* x = c.tensor(c.has("input") ? "input" : "self");
  if (x->type.sizes.size() != space + 2) Call::refuse("its input has another rank");
  const DType dtype = x->type.dtype;
  Resampling r{mode, antialias, c.boolean("align_corners", false), {}, given_scales(c)};
  const Sizes sizes = c.output_sizes();
  r.to.assign(sizes.begin() + 2, sizes.end());
  if (!r.scales.empty() && r.scales.size() != space) r.scales.clear();
  const bool interpolates = mode == Mode::linear || mode == Mode::cubic;
  if (antialias && r.align_corners) {
    Call::refuse("antialias with align_corners, which ONNX Runtime computes in another way");
  }
  if (interpolates && info(dtype).kind == DTypeClass::integer) {
    Call::refuse("between bytes PyTorch rounds its weights, as its CPU does: cast them to float");
  }
  if (!interpolates) {
    if (Value* y = gathered(c, x, r)) return c.give(y);
  }
  x = b.cast(x, kernel_dtype("Resize", dtype));
  // One dimension of space is computed as two, of which one keeps its size.
  if (space == 1) {
    x = b.unsqueeze(x, {2});
    r.to.insert(r.to.begin(), b.expr(1));
    if (!r.scales.empty()) r.scales.insert(r.scales.begin(), 1.0);
  }
  Value* y = resized(c, x, r);
  if (space == 1) y = b.squeeze(y, {2});
  c.give(b.cast(y, dtype));
}

template <Mode kMode, size_t kSpace, bool kAntialias = false>
void lower_resample(Call& c) {
  resample(c, kMode, kSpace, kAntialias);
}

constexpr std::array<std::string_view, 3> kGridModes = {"bilinear", "nearest", "bicubic"};
constexpr std::array<std::string_view, 3> kPaddings = {"zeros", "border", "reflection"};

void lower_grid_sampler(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("input");
  const DType dtype = x->type.dtype;
  const DType computed = kernel_dtype("GridSample", dtype);
  Value* grid = b.cast(c.tensor("grid"), computed);
  const size_t rank = x->type.sizes.size();
  Builder::Needs needs;
  needs.opset = rank == 5 ? 20 : 16;
  if (!b.can_use(needs.opset)) Call::refuse(rank == 5 ? "it needs opset 20" : "it needs opset 16");
  const Attributes attributes = {
      {"mode", std::string(kGridModes.at(static_cast<size_t>(c.fixed("interpolation_mode"))))},
      {"padding_mode", std::string(kPaddings.at(static_cast<size_t>(c.fixed("padding_mode"))))},
      {"align_corners", int64_t{c.boolean("align_corners", false)}}};
  Value* y = b.nodes("GridSample", {b.cast(x, computed), grid}, attributes,
                     {{computed, c.output_sizes()}}, needs)
                 .front();
  c.give(b.cast(y, dtype));
}

/// The middles of COUNT cells between -1 and 1, or their corners where those are aligned.
Value* centres(Builder& b, ir::Expr count, bool align_corners, DType dtype) {
  Value* n = b.cast(b.integer(count), dtype);
  Value* at = b.cast(counting(b, count), dtype);
  if (!align_corners) return b.sub(b.div(b.add(b.mul(at, 2.0), 1.0), n), 1.0);
  // A single cell has its corner at 0.
  Value* steps = b.sub(n, 1.0);
  Value* most = b.binary("Max", steps, b.number(1.0, dtype));
  return b.div(b.sub(b.mul(at, 2.0), steps), most);
}

void lower_affine_grid(Call& c) {
  Builder& b = c.b;
  Value* theta = c.tensor("theta");
  const DType dtype = theta->type.dtype;
  const Sizes size = c.sizes("size");
  const size_t space = size.size() - 2;
  const bool align = c.boolean("align_corners", false);
  Sizes cells(size.begin() + 2, size.end());
  Sizes wide = cells;
  wide.push_back(b.expr(1));
  Inputs columns;
  // The last dimension of space comes first: x, y, z.
  for (size_t i = space; i-- > 0;) {
    Sizes own(space + 1, b.expr(1));
    own[i] = cells[i];
    columns.push_back(b.expand(b.reshape(centres(b, cells[i], align, dtype), own), wide));
  }
  columns.push_back(b.expand(b.number(1.0, dtype), wide));
  const Sizes flat = {b.product(cells), b.expr(static_cast<int64_t>(space) + 1)};
  Value* base = b.reshape(b.concat(columns, -1), flat);
  Value* grid = b.matmul(base, b.swap_axes(theta, 1, 2));
  Sizes out = {b.size_of(theta, 0)};
  out.insert(out.end(), cells.begin(), cells.end());
  out.push_back(b.expr(static_cast<int64_t>(space)));
  c.give(b.reshape(grid, out));
}

constexpr Row kRows[] = {
    {"aten::_upsample_bicubic2d_aa", lower_resample<Mode::cubic, 2, true>},
    {"aten::_upsample_bilinear2d_aa", lower_resample<Mode::linear, 2, true>},
    {"aten::_upsample_nearest_exact1d", lower_resample<Mode::nearest_exact, 1>},
    {"aten::_upsample_nearest_exact2d", lower_resample<Mode::nearest_exact, 2>},
    {"aten::_upsample_nearest_exact3d", lower_resample<Mode::nearest_exact, 3>},
    {"aten::affine_grid_generator", lower_affine_grid},
    {"aten::grid_sampler", lower_grid_sampler},
    {"aten::grid_sampler_2d", lower_grid_sampler},
    {"aten::grid_sampler_3d", lower_grid_sampler},
    {"aten::upsample_bicubic2d", lower_resample<Mode::cubic, 2>},
    {"aten::upsample_bilinear2d", lower_resample<Mode::linear, 2>},
    {"aten::upsample_linear1d", lower_resample<Mode::linear, 1>},
    {"aten::upsample_nearest1d", lower_resample<Mode::nearest, 1>},
    {"aten::upsample_nearest2d", lower_resample<Mode::nearest, 2>},
    {"aten::upsample_nearest3d", lower_resample<Mode::nearest, 3>},
    {"aten::upsample_trilinear3d", lower_resample<Mode::linear, 3>},
};

}  // namespace

std::span<const Row> resample_rows() {
  return kRows;
}

}  // namespace mlc::onnx
