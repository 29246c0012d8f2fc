// Short lists of integers that are constants of a model: shapes, indices, axes.
#pragma once

#include "mlc/base/result.h"
#include "mlc/onnx_edit/document.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace mlc::onnx {

struct Numbers {
  std::vector<int64_t> values;
  std::vector<int64_t> sizes;  // of one dimension, or none
};

/// Nothing where NAME is no constant of i64, has more than one dimension or more than 64 numbers.
/// Errors: those of reading constants.
Result<std::optional<Numbers>> numbers_of(const Document& document, const std::string& name);

/// NUMBERS as an initializer has them, i64.
DataRef data_of(Numbers numbers);

}  // namespace mlc::onnx
