// Computing nodes whose inputs are known.
#pragma once

#include "mlc/onnx/model.h"

#include <optional>
#include <string_view>
#include <vector>

namespace mlc::onnx {

/// The outputs of a node of TYPES where all inputs are known and small and the operator is one that
/// mlc computes (those that shapes, masks, positions and scales are made of); nothing for others,
/// and where the outputs would be large.
/// Values are those of PyTorch's operators for the dtype: floating ones are computed as doubles and
/// rounded once. Throws std::out_of_range and std::bad_optional_access where the inputs do not fit
/// each other.
std::optional<std::vector<DataRef>> fold(std::string_view op, const std::vector<Value*>& inputs,
                                         const std::vector<Attribute>& attributes,
                                         const std::vector<TensorType>& types,
                                         const ir::Symbols& symbols);

}  // namespace mlc::onnx
