// Rewriting an ONNX model so that it computes with bytes whose scales are known before it runs.
//
// QuantizeLinear and DequantizeLinear stand around every operator of a StaticPlan (the form QDQ,
// which ONNX Runtime, OpenVINO and TensorRT read): activations are U8 with a zero point, weights S8
// with a scale a channel, biases int32 with the product of both. ONNX Runtime makes QLinearConv,
// QLinearAdd, QGemm, ... of it. Other targets want symmetric activations or float biases
// (Int8TargetRow; NVIDIA, "Working with Quantized Types": explicit quantisation is symmetric, and
// DequantizeLinear reads INT8, INT4 and FP8).
#pragma once

#include "mlc/base/result.h"
#include "mlc/onnx_edit/document.h"
#include "mlc/onnx_quant/observer.h"
#include "mlc/onnx_quant/quantize.h"
#include "mlc/onnx_quant/static_plan.h"

#include <map>
#include <string>

namespace mlc::onnx {

/// SCALES has one for each of plan.observed(). Embeddings become tables of bytes too. Errors: those
/// of quantize_weights(). Requires: PLAN was made of DOCUMENT as it is.
Result<QuantReport> quantize_static(Document& document, const StaticPlan& plan,
                                    const std::map<std::string, ByteScale>& scales,
                                    const QuantOptions& options);

}  // namespace mlc::onnx
