// Tensors whose values are known: making them, changing their form without holding them, and
// reading small ones as numbers.
#pragma once

#include "mlc/onnx/model.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace mlc::onnx {

/// The elements of a tensor as numbers: integers and booleans in integers, floating ones in
/// doubles.
struct Array {
  DType dtype = DType::f32;
  std::vector<int64_t> sizes;
  std::vector<int64_t> integers;
  std::vector<double> doubles;

  bool is_floating() const;
  size_t count() const { return is_floating() ? doubles.size() : integers.size(); }
};

/// Nothing for dtypes that are neither bool, integer nor floating of 16 to 64 bits, and where the
/// bytes cannot be had.
std::optional<Array> array_of(const TensorData& data);
/// Rounded to the dtype, out-of-range integers wrapped.
DataRef data_of(const Array& array);
/// The same bytes without a name by which equal constants are found, which costs a pass over them.
Buffer bytes_of(const Array& array);

DataRef tensor_of_doubles(const std::vector<double>& values, const std::vector<int64_t>& sizes,
                          DType dtype);
DataRef tensor_of_integers(const std::vector<int64_t>& values, const std::vector<int64_t>& sizes,
                           DType dtype);

// The same elements in another form, made when they are asked for.
DataRef reshape_data(const DataRef& data, const std::vector<int64_t>& sizes);
DataRef transpose_data(const DataRef& data, const std::vector<int64_t>& permutation);
/// The first dimension as ORDER.size() equal blocks, in another order. Requires: they divide it.
DataRef reorder_data(const DataRef& data, const std::vector<int64_t>& order);
/// Behind each other along the first dimension. Requires: one dtype, equal other sizes.
DataRef join_data(const std::vector<DataRef>& parts);
/// Null for dtypes that mlc cannot convert.
DataRef cast_data(const DataRef& data, DType dtype);

}  // namespace mlc::onnx
