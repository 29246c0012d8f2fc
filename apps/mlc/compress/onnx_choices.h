// Words of the command line, and of recipes, for how an ONNX model is quantised.
#pragma once

#include "mlc/onnx_quant/observer.h"
#include "mlc/onnx_quant/quantize.h"

#include <array>
#include <string_view>
#include <utility>

namespace mlc::cli {

inline constexpr std::array<std::pair<std::string_view, onnx::QuantForm>, 5> kForms = {{
    {"dynamic", onnx::QuantForm::dynamic},
    {"weight-only", onnx::QuantForm::weight_only},
    {"int4", onnx::QuantForm::int4},
    {"int4-qdq", onnx::QuantForm::int4_qdq},
    {"static", onnx::QuantForm::static_qdq},
}};
inline constexpr std::array<std::pair<std::string_view, onnx::RangeMethod>, 4> kMethods = {{
    {"minmax", onnx::RangeMethod::minmax},
    {"percentile", onnx::RangeMethod::percentile},
    {"mse", onnx::RangeMethod::mse},
    {"entropy", onnx::RangeMethod::entropy},
}};
inline constexpr std::array<std::pair<std::string_view, onnx::Int8Target>, 3> kTargets = {{
    {"ort", onnx::Int8Target::onnxruntime},
    {"trt", onnx::Int8Target::tensorrt},
    {"openvino", onnx::Int8Target::openvino},
}};

}  // namespace mlc::cli
