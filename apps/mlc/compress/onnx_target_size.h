// --target-size of ONNX models: the best weights that fit.
//
// The model is made once as small as its form makes it, and once for each step up: eight bits for
// four, floats for bytes. Then steps are taken as long as there is room, that which saves most
// error for a byte first; the size is that of the planned file.
#pragma once

#include "compress/onnx_quantizer.h"
#include "mlc/base/result.h"
#include "mlc/onnx_quant/quantize.h"

#include <cstdint>
#include <functional>

namespace mlc::cli {

/// What a document gets before it is written, of which it becomes larger.
using FinishDocument = std::function<Status(onnx::Document&)>;

/// Chooses HOW.bytes and HOW.floats so that the model of QUANTIZER and what lies beside it take at
/// most TARGET bytes. Errors: conflict where they cannot, with the least that they take; those of
/// QUANTIZER and of FINISH.
Status reach_size(OnnxQuantizer& quantizer, uint64_t target, const FinishDocument& finish,
                  onnx::QuantOptions& how);

}  // namespace mlc::cli
