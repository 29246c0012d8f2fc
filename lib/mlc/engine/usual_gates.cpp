#include "mlc/engine/usual_gates.h"

#include "mlc/onnx_file/element_type.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace mlc {
namespace {

// Beside a form in float32 it is the direction of an output that counts, and its length, of which
// the cosine knows nothing; or of short outputs the values.
constexpr double kHalfCosine = 0.999;
constexpr double kHalfRelNorm = 0.05;  // that of an angle of this cosine is 0.045
constexpr double kHalfTolerance = 1e-2;
constexpr uint64_t kLeastForCosine = 16;

// A number that lies between two bytes goes to one here and to the other there, and every layer
// behind carries that on.
constexpr double kBytesOfLargest = 0.1;

constexpr uint64_t kMaxCodeBytes = 64 << 20;

bool rounds(const ir::Block& block) {
  return std::ranges::any_of(block.nodes(), [](const ir::Node* node) {
    return node->op().name.find("quantize_per_") != std::string::npos ||
           node->op().domain == "quantized" ||
           std::ranges::any_of(node->blocks(), [](const auto& inner) { return rounds(*inner); });
  });
}

}  // namespace

void set_usual_gates(const FormRounding& rounding, VerifyGates& gates) {
  if (!gates.by_dtype || gates.cosine || gates.top1) return;
  if (rounding.half) {
    gates.tolerance = {kHalfTolerance, kHalfTolerance, true};
    gates.cosine = kHalfCosine;
    gates.rel_norm = kHalfRelNorm;
    gates.least_for_cosine = kLeastForCosine;
  } else if (rounding.bytes) {
    gates.of_largest = kBytesOfLargest;
  }
}

std::optional<DType> half_weights(const OnnxFile& file) {
  uint64_t all = 0;
  std::optional<DType> most;
  uint64_t count = 0;
  for (const auto& [element, elements] : file.elements) {
    const auto dtype = dtype_from_onnx(element);
    if (!dtype || info(*dtype).kind != DTypeClass::floating) continue;
    all += elements;
    if (elements <= count || (*dtype != DType::f16 && *dtype != DType::bf16)) continue;
    most = dtype;
    count = elements;
  }
  return count > all / 2 ? most : std::nullopt;
}

bool rounds_to_bytes(const OnnxFile& file) {
  return std::ranges::any_of(file.operators,
                             [](const OnnxOperator& one) { return one.type == "QuantizeLinear"; });
}

bool rounds_to_bytes(const ir::Graph& program) {
  return rounds(program.body());
}

Result<bool> rounds_to_bytes(const ZipReader& code) {
  constexpr std::array<std::string_view, 3> kCalls = {"ops.quantized.", "torch.quantize_per_",
                                                      "torch.fake_quantize_per_"};
  for (const ZipEntry& entry : code.entries()) {
    const std::string_view name = code.relative_name(entry);
    if (!name.starts_with("code/") || !name.ends_with(".py")) continue;
    MLC_TRY(const std::string text, code.read(entry, kMaxCodeBytes));
    const auto is_called = [&](std::string_view call) { return text.find(call) != text.npos; };
    if (std::ranges::any_of(kCalls, is_called)) return true;
  }
  return false;
}

}  // namespace mlc
