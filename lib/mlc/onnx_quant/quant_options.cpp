// What options say of weights, and of models that are quantised already.
#include "mlc/base/glob.h"
#include "mlc/onnx_quant/quantize.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace mlc::onnx {
namespace {

bool matches_any(const std::vector<std::string>& globs, std::string_view text) {
  return std::ranges::any_of(globs,
                             [&](const std::string& glob) { return glob_match(glob, text); });
}

}  // namespace

std::optional<WeightChoice> QuantOptions::choice_of(
    const std::vector<std::string_view>& names) const {
  for (size_t i = rules.size(); i-- > 0;) {
    if (std::ranges::any_of(names, rules[i].matches)) return rules[i].choice;
  }
  return std::nullopt;
}

bool QuantOptions::selects(const std::vector<std::string_view>& names) const {
  const auto named = [&](const std::vector<std::string>& globs) {
    return std::ranges::any_of(names,
                               [&](std::string_view name) { return matches_any(globs, name); });
  };
  return !named(exclude) && (include.empty() || named(include));
}

KeptReason QuantOptions::why_kept(const std::vector<std::string_view>& names) const {
  if (!selects(names)) return {"excluded", true};
  if (choice_of(names) == WeightChoice::keep) return {"kept by a rule", true};
  if (floats.contains(names.front())) return {std::string(floats_why), true};
  return {};
}

const Int8TargetRow& row_of(Int8Target target) {
  static constexpr std::array<Int8TargetRow, 3> kRows = {
      {{"ort", false, false}, {"trt", true, true}, {"openvino", false, true}}};
  return kRows[static_cast<size_t>(target)];
}

std::vector<std::string> quantized_operators(const OnnxFile& file) {
  constexpr std::array<std::string_view, 14> kOperators = {"QuantizeLinear",
                                                           "DequantizeLinear",
                                                           "DynamicQuantizeLinear",
                                                           "MatMulInteger",
                                                           "ConvInteger",
                                                           "QLinearConv",
                                                           "QLinearMatMul",
                                                           "MatMulNBits",
                                                           "MatMulBnb4",
                                                           "QGemm",
                                                           "QLinearAdd",
                                                           "DynamicQuantizeMatMul",
                                                           "MatMulIntegerToFloat",
                                                           "GatherBlockQuantized"};
  std::vector<std::string> out;
  for (const OnnxOperator& each : file.operators) {
    if (std::ranges::find(kOperators, each.type) == kOperators.end()) continue;
    out.push_back(fmt::format("{} x{}", each.type, each.count));
  }
  return out;
}

}  // namespace mlc::onnx
