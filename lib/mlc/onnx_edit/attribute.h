// Attributes of nodes as they lie in a file: each a whole AttributeProto (onnx.proto of ONNX 1.19),
// read when somebody asks, so that what nobody changes stays as it is.
#pragma once

#include "mlc/base/bytes.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mlc::onnx {

struct DocAttribute {
  std::string name;
  Bytes message;

  /// Nothing where the attribute has another type.
  std::optional<int64_t> integer() const;
  std::optional<float> real() const;
  std::optional<std::string_view> text() const;
  std::optional<std::vector<int64_t>> integers() const;
  std::optional<std::vector<float>> reals() const;
  /// A TensorProto.
  std::optional<Bytes> tensor() const;
};

/// An AttributeProto.
std::string integer_attribute(std::string_view name, int64_t value);
std::string integers_attribute(std::string_view name, std::span<const int64_t> values);
std::string text_attribute(std::string_view name, std::string_view value);

}  // namespace mlc::onnx
