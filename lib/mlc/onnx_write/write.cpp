#include "mlc/onnx_write/write.h"

#include "mlc/base/checked_math.h"
#include "mlc/base/text.h"
#include "mlc/onnx_file/proto_writer.h"

#include <limits>
#include <utility>

#include <fmt/format.h>

namespace mlc::onnx {
namespace {

// Leaves room below 2 GiB for what tools add to a model.
constexpr uint64_t kInlineLimit = 1'800'000'000;
constexpr uint64_t kProtobufLimit = std::numeric_limits<int32_t>::max();
constexpr uint64_t kSmallest = 1024;   // bytes of a tensor in a sidecar
constexpr uint64_t kAlignment = 4096;  // a page, so that readers can map tensors one by one

// The numbers of fields in onnx.proto.
constexpr uint32_t kModelGraph = 7;
constexpr uint32_t kGraphInitializer = 5;
constexpr uint32_t kTensorDims = 1;
constexpr uint32_t kTensorType = 2;
constexpr uint32_t kTensorName = 8;
constexpr uint32_t kTensorRawData = 9;
constexpr uint32_t kTensorExternalData = 13;
constexpr uint32_t kTensorLocation = 14;
constexpr uint64_t kExternal = 1;  // of DataLocation

std::string field_prefix(uint32_t field, uint64_t length) {
  std::string out;
  ProtoWriter(out).prefix(field, length);
  return out;
}

/// Of the TensorProto.
uint64_t message_bytes(const Initializer& initializer, const std::string& head, bool is_outside) {
  return head.size() +
         (is_outside ? 0 : proto_field_bytes(kTensorRawData, initializer.data->byte_size()));
}

}  // namespace

std::string tensor_head(const Initializer& initializer, const SidecarPlace* place) {
  std::string out;
  ProtoWriter writer(out);
  for (const int64_t size : initializer.sizes()) writer.integer(kTensorDims, size);
  writer.integer(kTensorType, initializer.element());
  writer.bytes(kTensorName, initializer.name);
  if (place) {
    const auto entry = [&](std::string_view key, std::string_view value) {
      std::string row;
      ProtoWriter pair(row);
      pair.bytes(1, key);
      pair.bytes(2, value);
      writer.bytes(kTensorExternalData, row);
    };
    entry("location", place->location);
    entry("offset", std::to_string(place->offset));
    entry("length", std::to_string(place->length));
    writer.varint(kTensorLocation, kExternal);
  }
  return out + initializer.other_fields;
}

void ModelFile::lay_out(const std::string* sidecar) {
  entries_.clear();
  summary_ = {.nodes = skeleton_.node_count, .initializers = skeleton_.initializers.size()};
  graph_bytes_ = skeleton_.graph_head.size() + skeleton_.graph_tail.size();
  for (const Initializer& each : skeleton_.initializers) {
    const uint64_t length = each.data->byte_size();
    Entry entry;
    entry.is_outside = sidecar && length >= kSmallest;
    if (entry.is_outside) {
      entry.offset = summary_.sidecar_bytes + padding_to(summary_.sidecar_bytes, kAlignment);
      summary_.sidecar_bytes = entry.offset + length;
      const SidecarPlace place{*sidecar, entry.offset, length};
      entry.head = tensor_head(each, &place);
    } else {
      entry.head = tensor_head(each, nullptr);
    }
    summary_.initializer_bytes += length;
    graph_bytes_ +=
        proto_field_bytes(kGraphInitializer, message_bytes(each, entry.head, entry.is_outside));
    entries_.push_back(std::move(entry));
  }
  summary_.file_bytes = skeleton_.model_head.size() + proto_field_bytes(kModelGraph, graph_bytes_) +
                        skeleton_.model_tail.size();
}

Result<ModelFile> ModelFile::plan(const Model& model, const WriteOptions& options) {
  MLC_TRY(Skeleton skeleton, make_skeleton(model));
  return plan(std::move(skeleton), options);
}

Result<ModelFile> ModelFile::plan(Skeleton skeleton, const WriteOptions& options) {
  ModelFile file;
  file.skeleton_ = std::move(skeleton);
  if (options.external != ExternalData::always) file.lay_out(nullptr);
  if (options.external == ExternalData::always ||
      (options.external == ExternalData::automatic && file.summary_.file_bytes > kInlineLimit)) {
    if (options.sidecar.empty()) return usage_error("the file for the weights has no name");
    file.lay_out(&options.sidecar);
  }
  if (file.summary_.file_bytes > kProtobufLimit)
    return unsupported(
        fmt::format("one ONNX file cannot hold {}", format_bytes(file.summary_.file_bytes)),
        file.has_sidecar() ? std::string() : "without `never`, weights go into a file beside it");
  return file;
}

Status ModelFile::write_bytes(const Initializer& initializer, OutputFile& out) const {
  MLC_TRY(const Buffer buffer, initializer.data->produce());
  if (buffer.bytes.size() != initializer.data->byte_size())
    return internal_error(fmt::format("it has {} instead of {}",
                                      plural(buffer.bytes.size(), "byte"),
                                      format_count(initializer.data->byte_size())));
  return out.write(buffer.bytes);
}

ModelFile ModelFile::beside(const std::string& sidecar) const {
  ModelFile out = *this;
  out.lay_out(&sidecar);
  return out;
}

Status ModelFile::write(OutputFile& out, OutputFile* sidecar) const {
  if (has_sidecar() != (sidecar != nullptr))
    return internal_error("the file for the weights is missing, or has no use");
  return write_parts(out, sidecar);
}

Status ModelFile::write_parts(OutputFile& out, OutputFile* sidecar) const {
  MLC_CHECK(out.write(skeleton_.model_head));
  MLC_CHECK(out.write(field_prefix(kModelGraph, graph_bytes_)));
  MLC_CHECK(out.write(skeleton_.graph_head));
  for (size_t i = 0; i < entries_.size(); ++i) {
    const Initializer& initializer = skeleton_.initializers[i];
    const Entry& entry = entries_[i];
    const uint64_t length = initializer.data->byte_size();
    MLC_CHECK(out.write(
        field_prefix(kGraphInitializer, message_bytes(initializer, entry.head, entry.is_outside))));
    MLC_CHECK(out.write(entry.head));
    if (entry.is_outside && sidecar == nullptr) continue;
    if (entry.is_outside) {
      MLC_CHECK(sidecar->write_zeros(entry.offset - sidecar->position()));
    } else {
      MLC_CHECK(out.write(field_prefix(kTensorRawData, length)));
    }
    MLC_CHECK_CTX(write_bytes(initializer, entry.is_outside ? *sidecar : out),
                  "tensor " + printable(initializer.name));
  }
  MLC_CHECK(out.write(skeleton_.graph_tail));
  return out.write(skeleton_.model_tail);
}

}  // namespace mlc::onnx
