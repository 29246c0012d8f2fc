// ONNX's own opinion of a model, before anyone else sees it.
#pragma once

#include "mlc/base/result.h"
#include "mlc/onnx_file/onnx_file.h"
#include "mlc/onnx_write/skeleton.h"

#include <map>
#include <string>
#include <vector>

namespace mlc::onnx {

/// Gives the model to ONNX's checker and to its shape inference, strict, with what small tensors
/// hold. Weights are not looked at: those of more than 1 KiB stand there as inputs of their type.
/// Errors: internal_error with what ONNX says, which names the node; also where the element type or
/// the sizes that ONNX infers for a value contradict those that the model states; and unsupported
/// for a build without ONNX.
Status check_skeleton(const Skeleton& skeleton);

/// Sizes of values by name: those of inputs, outputs and of what nodes of the outermost graph give,
/// as far as ONNX can infer them. Errors: those of the weights; corrupt with what ONNX says;
/// unsupported for a build without ONNX.
using InferredSizes = std::map<std::string, std::vector<OnnxDim>, std::less<>>;
Result<InferredSizes> infer_sizes(const Skeleton& skeleton);

/// Of all operators in ONNX's own domain, sorted; none in a build without ONNX.
std::vector<std::string> operator_names();

/// "1.19.1", of the ONNX that check_skeleton() asks. Error: unsupported for a build without ONNX.
Result<std::string> checker_version();

}  // namespace mlc::onnx
