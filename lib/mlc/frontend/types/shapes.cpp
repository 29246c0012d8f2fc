// Layers that only move elements, and two distances.
#include "mlc/frontend/module_types.h"

namespace mlc::arch {
namespace {

constexpr ModuleType kRows[] = {
    {"Flatten", "start_dim: int = 1, end_dim: int = -1",
     "torch.flatten(input, {start_dim}, {end_dim})"},
    {"Unflatten", "dim: int, unflattened_size: ints",
     "torch.unflatten(input, {dim}, {unflattened_size})"},
    {"Fold",
     "output_size: size2, kernel_size: size2, dilation: size2 = 1, padding: size2 = 0, "
     "stride: size2 = 1",
     "torch.col2im(input, {output_size}, {kernel_size}, {dilation}, {padding}, {stride})"},
    {"Unfold", "kernel_size: size2, dilation: size2 = 1, padding: size2 = 0, stride: size2 = 1",
     "torch.im2col(input, {kernel_size}, {dilation}, {padding}, {stride})"},
    {"ChannelShuffle", "groups: pos", "torch.channel_shuffle(input, {groups})"},
    {"PixelShuffle", "upscale_factor: pos", "torch.pixel_shuffle(input, {upscale_factor})"},
    {"PixelUnshuffle", "downscale_factor: pos", "torch.pixel_unshuffle(input, {downscale_factor})"},
    {"CosineSimilarity", "dim: int = 1, eps: float = 1e-08", "",
     [](LeafBuilder& leaf) -> Status {
       leaf.forward("x1: Tensor, x2: Tensor", "Tensor",
                    leaf.filled("return torch.cosine_similarity(x1, x2, {dim}, {eps})"));
       return {};
     }},
    {"PairwiseDistance", "p: float = 2.0, eps: float = 1e-06, keepdim: bool = False", "",
     [](LeafBuilder& leaf) -> Status {
       leaf.forward("x1: Tensor, x2: Tensor", "Tensor",
                    leaf.filled("return torch.pairwise_distance(x1, x2, {p}, {eps}, {keepdim})"));
       return {};
     }},
};

}  // namespace

std::span<const ModuleType> shape_types() {
  return kRows;
}

}  // namespace mlc::arch
