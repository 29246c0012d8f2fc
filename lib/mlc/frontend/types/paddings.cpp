// Padding layers. Sizes are (left, right, top, bottom, front, back): last dimension first.
#include "mlc/frontend/module_types.h"

namespace mlc::arch {
namespace {

#define MLC_PAD(MODE, DIMS, N, CALL) \
  { MODE "Pad" DIMS, "padding: pad" N, CALL }
#define MLC_CONSTANT(DIMS, N)                              \
  {                                                        \
    "ConstantPad" DIMS, "padding: pad" N ", value: float", \
        "torch.constant_pad_nd(input, {padding}, {value})" \
  }

constexpr std::string_view kZeros = "torch.constant_pad_nd(input, {padding}, 0.0)";
constexpr std::string_view kCircular = "torch.pad(input, {padding}, \"circular\")";

constexpr ModuleType kRows[] = {
    MLC_PAD("Zero", "1d", "2", kZeros),
    MLC_PAD("Zero", "2d", "4", kZeros),
    MLC_PAD("Zero", "3d", "6", kZeros),
    MLC_CONSTANT("1d", "2"),
    MLC_CONSTANT("2d", "4"),
    MLC_CONSTANT("3d", "6"),
    MLC_PAD("Reflection", "1d", "2", "torch.reflection_pad1d(input, {padding})"),
    MLC_PAD("Reflection", "2d", "4", "torch.reflection_pad2d(input, {padding})"),
    MLC_PAD("Reflection", "3d", "6", "torch.reflection_pad3d(input, {padding})"),
    MLC_PAD("Replication", "1d", "2", "torch.replication_pad1d(input, {padding})"),
    MLC_PAD("Replication", "2d", "4", "torch.replication_pad2d(input, {padding})"),
    MLC_PAD("Replication", "3d", "6", "torch.replication_pad3d(input, {padding})"),
    MLC_PAD("Circular", "1d", "2", kCircular),
    MLC_PAD("Circular", "2d", "4", kCircular),
    MLC_PAD("Circular", "3d", "6", kCircular),
};

}  // namespace

std::span<const ModuleType> padding_types() {
  return kRows;
}

}  // namespace mlc::arch
