// torchvision's own operators: detection, and convolution at computed places.
#include "mlc/onnx/op_table.h"

#include <string>

namespace mlc::onnx {
namespace {

/// The boxes that are kept, best first.
void lower_nms(Call& c) {
  Builder& b = c.b;
  Value* boxes = b.cast(c.tensor("dets"), DType::f32);
  Value* scores = b.cast(c.tensor("scores"), DType::f32);
  const ir::Expr kept = c.output_sizes().at(0);
  Value* most = b.integer_1d(b.size_of(boxes, 0));
  Value* threshold = b.floats({c.number("iou_threshold")}, {1}, DType::f32);
  Value* found = b.node("NonMaxSuppression",
                        {b.unsqueeze(boxes, {0}), b.unsqueeze(scores, {0, 1}), most, threshold}, {},
                        {DType::i64, {kept, b.expr(3)}});
  c.give(b.select(found, 1, b.expr(2)));
}

struct Regions {
  Value* boxes = nullptr;  // [regions, 4]
  Value* images = nullptr;
};

/// The first of five columns says which image of the batch.
Regions regions_of(Call& c, DType dtype) {
  Builder& b = c.b;
  Value* all = b.cast(c.tensor("rois"), dtype);
  const auto parts = b.split(all, 1, {b.expr(1), b.expr(4)});
  return {parts[1], b.cast(b.squeeze(parts[0], {1}), DType::i64)};
}

DType region_dtype(const Value* x) {
  return x->type.dtype == DType::f64 ? DType::f64 : DType::f32;
}

Value* roi_align(Call& c, Value* x, bool aligned) {
  Builder& b = c.b;
  if (!b.can_use(16)) Call::refuse("it needs opset 16");
  const Regions regions = regions_of(c, x->type.dtype);
  const int64_t height = c.fixed("pooled_height");
  const int64_t width = c.fixed("pooled_width");
  Builder::Needs needs;
  needs.opset = 16;
  const int64_t samples = c.fixed("sampling_ratio", -1);
  const Attributes attributes = {
      {"coordinate_transformation_mode", std::string(aligned ? "half_pixel" : "output_half_pixel")},
      {"output_height", height},
      {"output_width", width},
      {"sampling_ratio", samples < 0 ? int64_t{0} : samples},
      {"spatial_scale", static_cast<float>(c.number("spatial_scale"))}};
  const Sizes sizes = {b.size_of(regions.boxes, 0), b.size_of(x, 1), b.expr(height), b.expr(width)};
  return b
      .nodes("RoiAlign", {x, regions.boxes, regions.images}, attributes, {{x->type.dtype, sizes}},
             needs)
      .front();
}

void lower_roi_align(Call& c) {
  Value* x = c.tensor("input");
  x = c.b.cast(x, region_dtype(x));
  c.give(roi_align(c, x, c.boolean("aligned", false)));
}

/// Each cell of a region has channels of its own: all are read everywhere, then the own ones taken.
void lower_ps_roi_align(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("input");
  Value* all = roi_align(c, b.cast(x, region_dtype(x)), true);
  const int64_t cells = c.fixed("pooled_height") * c.fixed("pooled_width");
  const Sizes sizes = c.output_sizes(0);
  const Sizes rows = {sizes.at(0), sizes.at(1), b.expr(cells * cells)};
  std::vector<int64_t> own;
  for (int64_t i = 0; i < cells; ++i) own.push_back(i * (cells + 1));
  Value* taken = b.gather(b.reshape(all, rows), b.integers(own), 2);
  c.give(b.reshape(taken, sizes), 0);
  if (c.output_count() > 1 && c.is_used(1)) Call::refuse("its map of channels is used");
}

void lower_roi_pool(Call& c) {
  Builder& b = c.b;
  Value* x = b.cast(c.tensor("input"), DType::f32);
  Value* regions = b.cast(c.tensor("rois"), DType::f32);
  const int64_t height = c.fixed("pooled_height");
  const int64_t width = c.fixed("pooled_width");
  const Sizes sizes = {b.size_of(regions, 0), b.size_of(x, 1), b.expr(height), b.expr(width)};
  c.give(b.node("MaxRoiPool", {x, regions},
                {{"pooled_shape", std::vector<int64_t>{height, width}},
                 {"spatial_scale", static_cast<float>(c.number("spatial_scale"))}},
                {DType::f32, sizes}),
         0);
  if (c.output_count() > 1 && c.is_used(1)) Call::refuse("the places of its maxima are used");
}

void lower_deform_conv(Call& c) {
  Builder& b = c.b;
  if (!b.can_use(19)) Call::refuse("it needs opset 19");
  const DType dtype = c.tensor("input")->type.dtype;
  Value* x = b.cast(c.tensor("input"), DType::f32);
  Value* weight = b.cast(c.tensor("weight"), DType::f32);
  Value* offset = b.cast(c.tensor("offset"), DType::f32);
  Value* bias = c.has("bias") ? b.cast(c.tensor("bias"), DType::f32) : nullptr;
  const bool masked = c.boolean("use_mask", true) && c.has("mask");
  Value* mask = masked ? b.cast(c.tensor("mask"), DType::f32) : nullptr;
  const auto pair = [&](const std::string& name) {
    return std::vector<int64_t>{c.fixed(name + "_h"), c.fixed(name + "_w")};
  };
  const std::vector<int64_t> pad = pair("pad");
  const auto kernel =
      fixed_sizes(c.symbols(), {weight->type.sizes.begin() + 2, weight->type.sizes.end()});
  if (!kernel) Call::refuse("the size of its kernel varies");
  Builder::Needs needs;
  needs.opset = 19;
  const Attributes attributes = {{"kernel_shape", *kernel},
                                 {"strides", pair("stride")},
                                 {"pads", std::vector<int64_t>{pad[0], pad[1], pad[0], pad[1]}},
                                 {"dilations", pair("dilation")},
                                 {"group", c.fixed("groups", 1)},
                                 {"offset_group", c.fixed("offset_groups", 1)}};
  Value* y = b.nodes("DeformConv", {x, weight, offset, bias, mask}, attributes,
                     {{DType::f32, c.output_sizes()}}, needs)
                 .front();
  c.give(b.cast(y, dtype));
}

constexpr Row kRows[] = {
    {"torchvision::deform_conv2d", lower_deform_conv}, {"torchvision::nms", lower_nms},
    {"torchvision::ps_roi_align", lower_ps_roi_align}, {"torchvision::roi_align", lower_roi_align},
    {"torchvision::roi_pool", lower_roi_pool},
};

}  // namespace

std::span<const Row> vision_rows() {
  return kRows;
}

}  // namespace mlc::onnx
