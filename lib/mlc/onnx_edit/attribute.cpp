#include "mlc/onnx_edit/attribute.h"

#include "mlc/onnx_file/proto_reader.h"
#include "mlc/onnx_file/proto_writer.h"

#include <bit>
#include <cstring>

namespace mlc::onnx {
namespace {

// Fields of AttributeProto, and the types that it may say it has.
constexpr uint32_t kName = 1;
constexpr uint32_t kFloat = 2;
constexpr uint32_t kInt = 3;
constexpr uint32_t kString = 4;
constexpr uint32_t kTensor = 5;
constexpr uint32_t kFloats = 7;
constexpr uint32_t kInts = 8;
constexpr uint32_t kType = 20;
constexpr int64_t kTypeInt = 2;
constexpr int64_t kTypeString = 3;
constexpr int64_t kTypeInts = 7;

/// Calls SEE with every field of MESSAGE up to the first broken one: whole messages were checked
/// when the file was read.
template <class See>
void each_field(Bytes message, const See& see) {
  ProtoReader reader(message);
  for (auto more = reader.next(); more.ok() && *more; more = reader.next()) see(reader);
}

/// An AttributeProto of TYPE, whose value WRITE writes.
template <class Write>
std::string attribute_of(std::string_view name, int64_t type, const Write& write) {
  std::string out;
  ProtoWriter writer(out);
  writer.bytes(kName, name);
  write(writer);
  writer.integer(kType, type);
  return out;
}

}  // namespace

std::optional<int64_t> DocAttribute::integer() const {
  std::optional<int64_t> out;
  each_field(message, [&](const ProtoReader& field) {
    if (field.is(kInt, WireType::varint)) out = field.integer();
  });
  return out;
}

std::optional<float> DocAttribute::real() const {
  std::optional<float> out;
  each_field(message, [&](const ProtoReader& field) {
    if (field.is(kFloat, WireType::fixed32))
      out = std::bit_cast<float>(static_cast<uint32_t>(field.value()));
  });
  return out;
}

std::optional<std::string_view> DocAttribute::text() const {
  std::optional<std::string_view> out;
  each_field(message, [&](const ProtoReader& field) {
    if (field.is(kString, WireType::bytes)) out = field.text();
  });
  return out;
}

std::optional<std::vector<int64_t>> DocAttribute::integers() const {
  std::optional<std::vector<int64_t>> out;
  each_field(message, [&](const ProtoReader& field) {
    if (field.is(kType, WireType::varint) && field.integer() == kTypeInts && !out) out.emplace();
    if (field.number() != kInts) return;
    if (!out) out.emplace();
    if (field.is(kInts, WireType::varint)) out->push_back(field.integer());
    Bytes packed = field.is(kInts, WireType::bytes) ? field.bytes() : Bytes();
    while (!packed.empty()) {
      const auto value = ProtoReader::take_varint(packed);
      if (!value) break;
      out->push_back(static_cast<int64_t>(*value));
    }
  });
  return out;
}

std::optional<std::vector<float>> DocAttribute::reals() const {
  std::optional<std::vector<float>> out;
  each_field(message, [&](const ProtoReader& field) {
    if (field.number() != kFloats) return;
    if (!out) out.emplace();
    if (field.is(kFloats, WireType::fixed32))
      out->push_back(std::bit_cast<float>(static_cast<uint32_t>(field.value())));
    if (!field.is(kFloats, WireType::bytes)) return;
    const Bytes packed = field.bytes();
    const size_t count = packed.size() / sizeof(float);
    const size_t before = out->size();
    out->resize(before + count);
    std::memcpy(out->data() + before, packed.data(), count * sizeof(float));
  });
  return out;
}

std::optional<Bytes> DocAttribute::tensor() const {
  std::optional<Bytes> out;
  each_field(message, [&](const ProtoReader& field) {
    if (field.is(kTensor, WireType::bytes)) out = field.bytes();
  });
  return out;
}

std::string integer_attribute(std::string_view name, int64_t value) {
  return attribute_of(name, kTypeInt, [&](ProtoWriter& writer) { writer.integer(kInt, value); });
}

std::string integers_attribute(std::string_view name, std::span<const int64_t> values) {
  return attribute_of(name, kTypeInts, [&](ProtoWriter& writer) {
    for (const int64_t value : values) writer.integer(kInts, value);
  });
}

std::string text_attribute(std::string_view name, std::string_view value) {
  return attribute_of(name, kTypeString,
                      [&](ProtoWriter& writer) { writer.bytes(kString, value); });
}

}  // namespace mlc::onnx
