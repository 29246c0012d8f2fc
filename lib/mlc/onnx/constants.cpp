#include "mlc/onnx/constants.h"

#include "mlc/tensor/convert.h"
#include "mlc/tensor/shape.h"
#include "mlc/tensor/strided.h"

#include <algorithm>
#include <functional>
#include <span>
#include <utility>

#include <fmt/format.h>

namespace mlc::onnx {
namespace {

using Block = std::vector<std::byte>;

Buffer buffer_of(Block block) {
  auto owner = std::make_shared<const Block>(std::move(block));
  return {.bytes = Bytes(*owner), .owner = owner};
}

bool is_numeric(DType dtype) {
  const DTypeInfo& row = info(dtype);
  return row.kind == DTypeClass::boolean || row.kind == DTypeClass::integer ||
         (row.kind == DTypeClass::floating && row.bytes >= 2);
}

/// Names small contents by their bytes, so that equal constants are one.
std::string identity_of(Bytes bytes) {
  if (bytes.size() <= 64) {
    std::string out = "=";
    for (const std::byte one : bytes) out += fmt::format("{:02x}", static_cast<unsigned>(one));
    return out;
  }
  // Equal bytes give equal names; different ones would have to collide in both hashes and length.
  const std::string_view text = as_text(bytes);
  uint64_t sum = 1469598103934665603ULL;
  for (const char c : text) sum = (sum ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  return fmt::format("#{:x}/{:x}/{}", std::hash<std::string_view>()(text), sum, bytes.size());
}

DataRef owned(Block block, const std::vector<int64_t>& sizes, DType dtype) {
  auto out = std::make_shared<TensorData>();
  out->dtype = dtype;
  out->sizes = sizes;
  out->identity = identity_of(Bytes(block));
  const Buffer buffer = buffer_of(std::move(block));
  out->produce = [buffer]() -> Result<Buffer> { return buffer; };
  return out;
}

template <class T>
Block block_of(DType from, const std::vector<T>& values, DType dtype) {
  Block block(values.size() * element_bytes(dtype));
  const auto done = convert_block(from, std::as_bytes(std::span(values)), dtype, block);
  (void)done;  // both types are numeric, and those always convert
  return block;
}

template <class T>
DataRef converted(DType from, const std::vector<T>& values, const std::vector<int64_t>& sizes,
                  DType dtype) {
  return owned(block_of(from, values, dtype), sizes, dtype);
}

template <class T>
std::optional<std::vector<T>> read_as(const TensorData& data, DType to) {
  auto buffer = data.produce();
  if (!buffer.ok() || buffer->bytes.size() != data.byte_size()) return std::nullopt;
  std::vector<T> out(static_cast<size_t>(data.count()));
  if (!convert_block(data.dtype, buffer->bytes, to, std::as_writable_bytes(std::span(out))).ok()) {
    return std::nullopt;
  }
  return out;
}

DataRef derived(const DataRef& from, DType dtype, std::vector<int64_t> sizes,
                const std::string& how, std::function<Result<Buffer>()> produce) {
  auto out = std::make_shared<TensorData>();
  out->dtype = dtype;
  out->sizes = std::move(sizes);
  if (!from->identity.empty()) out->identity = from->identity + how;
  out->produce = std::move(produce);
  return out;
}

}  // namespace

bool Array::is_floating() const {
  return info(dtype).kind == DTypeClass::floating;
}

std::optional<Array> array_of(const TensorData& data) {
  if (!is_numeric(data.dtype)) return std::nullopt;
  Array out{data.dtype, data.sizes, {}, {}};
  if (out.is_floating()) {
    auto values = read_as<double>(data, DType::f64);
    if (!values) return std::nullopt;
    out.doubles = std::move(*values);
  } else {
    auto values = read_as<int64_t>(data, DType::i64);
    if (!values) return std::nullopt;
    out.integers = std::move(*values);
  }
  return out;
}

DataRef data_of(const Array& array) {
  return array.is_floating() ? converted(DType::f64, array.doubles, array.sizes, array.dtype)
                             : converted(DType::i64, array.integers, array.sizes, array.dtype);
}

Buffer bytes_of(const Array& array) {
  return buffer_of(array.is_floating() ? block_of(DType::f64, array.doubles, array.dtype)
                                       : block_of(DType::i64, array.integers, array.dtype));
}

DataRef tensor_of_doubles(const std::vector<double>& values, const std::vector<int64_t>& sizes,
                          DType dtype) {
  if (info(dtype).kind == DTypeClass::floating) {
    return converted(DType::f64, values, sizes, dtype);
  }
  std::vector<int64_t> integers;
  for (const double value : values) integers.push_back(static_cast<int64_t>(value));
  return converted(DType::i64, integers, sizes, dtype);
}

DataRef tensor_of_integers(const std::vector<int64_t>& values, const std::vector<int64_t>& sizes,
                           DType dtype) {
  return converted(DType::i64, values, sizes, dtype);
}

DataRef reshape_data(const DataRef& data, const std::vector<int64_t>& sizes) {
  // The same bytes: what makes them equal to others does not change.
  return derived(data, data->dtype, sizes, "", data->produce);
}

DataRef transpose_data(const DataRef& data, const std::vector<int64_t>& permutation) {
  const std::vector<int64_t> strides = contiguous_strides(data->sizes);
  std::vector<int64_t> to;
  std::vector<int64_t> to_strides;
  for (const int64_t axis : permutation) {
    to.push_back(data->sizes[static_cast<size_t>(axis)]);
    to_strides.push_back(strides[static_cast<size_t>(axis)]);
  }
  const std::string how =
      fmt::format(".T[{};{}]", fmt::join(data->sizes, ","), fmt::join(permutation, ","));
  auto out = derived(data, data->dtype, to, how, [data, to, to_strides]() -> Result<Buffer> {
    MLC_TRY(const Buffer from, data->produce());
    Block block(from.bytes.size());
    StridedReader reader(from.bytes, element_bytes(data->dtype), to, to_strides, 0);
    reader.read(block);
    return buffer_of(std::move(block));
  });
  if (!data->key.empty()) std::const_pointer_cast<TensorData>(out)->key = data->key + ".T";
  return out;
}

DataRef reorder_data(const DataRef& data, const std::vector<int64_t>& order) {
  const std::string how = fmt::format(".blocks({})", fmt::join(order, ","));
  auto out = derived(data, data->dtype, data->sizes, how, [data, order]() -> Result<Buffer> {
    MLC_TRY(const Buffer from, data->produce());
    Block block;
    block.reserve(from.bytes.size());
    const size_t each = from.bytes.size() / order.size();
    for (const int64_t at : order) {
      const Bytes piece = from.bytes.subspan(static_cast<size_t>(at) * each, each);
      block.insert(block.end(), piece.begin(), piece.end());
    }
    return buffer_of(std::move(block));
  });
  std::const_pointer_cast<TensorData>(out)->key = data->key;
  return out;
}

DataRef join_data(const std::vector<DataRef>& parts) {
  if (parts.size() == 1) return parts[0];
  auto out = std::make_shared<TensorData>();
  out->dtype = parts[0]->dtype;
  out->sizes = parts[0]->sizes;
  out->sizes[0] = 0;
  out->key = parts[0]->key;
  bool known = true;
  for (const DataRef& part : parts) {
    out->sizes[0] += part->sizes[0];
    known = known && !part->identity.empty();
    out->identity += (out->identity.empty() ? "join:" : "+") + part->identity;
  }
  if (!known) out->identity.clear();
  out->produce = [parts]() -> Result<Buffer> {
    Block block;
    for (const DataRef& part : parts) {
      MLC_TRY(const Buffer from, part->produce());
      block.insert(block.end(), from.bytes.begin(), from.bytes.end());
    }
    return buffer_of(std::move(block));
  };
  return out;
}

DataRef cast_data(const DataRef& data, DType dtype) {
  if (!can_convert(data->dtype, dtype)) return nullptr;
  const std::string how = fmt::format(".to({}/{})", info(data->dtype).brief, info(dtype).brief);
  auto out = derived(data, dtype, data->sizes, how, [data, dtype]() -> Result<Buffer> {
    MLC_TRY(const Buffer from, data->produce());
    Block block(static_cast<size_t>(data->count() * element_bytes(dtype)));
    MLC_CHECK(convert_block(data->dtype, from.bytes, dtype, block));
    return buffer_of(std::move(block));
  });
  std::const_pointer_cast<TensorData>(out)->key = data->key;
  return out;
}

}  // namespace mlc::onnx
