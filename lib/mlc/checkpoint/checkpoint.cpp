#include "mlc/checkpoint/checkpoint.h"

#include "mlc/base/checked_math.h"
#include "mlc/base/text.h"
#include "mlc/tensor/byte_order.h"

#include <algorithm>
#include <array>

namespace mlc {
namespace {

constexpr std::array<std::string_view, 11> kFormatNames = {
    "torch_zip", "torch_legacy", "torch_tar", "torchscript", "pt2",         "safetensors",
    "sharded",   "dcp",          "npz",       "npy",         "plain_pickle"};

// A deflated or produced storage has to be held in memory as a whole.
constexpr uint64_t kMaxCachedStorage = uint64_t{16} << 30U;

uint32_t look_up(const std::vector<std::pair<NodeId, uint32_t>>& sorted, NodeId node) {
  const auto it = std::lower_bound(
      sorted.begin(), sorted.end(), node,
      [](const std::pair<NodeId, uint32_t>& row, NodeId wanted) { return row.first < wanted; });
  return it != sorted.end() && it->first == node ? it->second : kNoIndex;
}

}  // namespace

std::string_view format_name(Format format) {
  return kFormatNames[static_cast<size_t>(format)];
}

uint32_t Checkpoint::tensor_at(NodeId node) const {
  if (graph.is(node, pickle::NodeKind::tensor)) return graph.tensor(node);
  return look_up(tensor_nodes, node);
}

uint32_t Checkpoint::tensor_at(NodeId node, size_t& near) const {
  if (graph.is(node, pickle::NodeKind::tensor)) return graph.tensor(node);
  if (near >= tensor_nodes.size() || tensor_nodes[near].first != node) {
    const auto it = std::lower_bound(tensor_nodes.begin(), tensor_nodes.end(),
                                     std::pair<NodeId, uint32_t>(node, 0));
    if (it == tensor_nodes.end() || it->first != node) return kNoIndex;
    near = static_cast<size_t>(it - tensor_nodes.begin());
  }
  return tensor_nodes[near++].second;
}

uint32_t Checkpoint::storage_at(NodeId node) const {
  // A reader asks for the storage that it has just met.
  if (!storage_nodes.empty() && storage_nodes.back().first == node) {
    return storage_nodes.back().second;
  }
  return look_up(storage_nodes, node);
}

int64_t Checkpoint::element_count(const Tensor& tensor) const {
  return mlc::element_count(sizes(tensor)).value_or(0);
}

uint64_t Checkpoint::byte_size(const Tensor& tensor) const {
  return static_cast<uint64_t>(element_count(tensor)) * element_bytes(tensor.dtype);
}

uint32_t Checkpoint::add_tensor(Tensor tensor, Dims sizes, Dims strides) {
  tensor.rank = static_cast<uint8_t>(sizes.size());
  tensor.dims = dims.size();
  dims.insert(dims.end(), sizes.begin(), sizes.end());
  dims.insert(dims.end(), strides.begin(), strides.end());
  const auto index = static_cast<uint32_t>(tensors.size());
  if (tensor.node == kNoNode) {
    tensor.node = graph.add_tensor(index);
  } else {
    tensor_nodes.emplace_back(tensor.node, index);
  }
  tensors.push_back(tensor);
  return index;
}

std::string_view Checkpoint::keep(std::string_view text) {
  return buffers.emplace_back(text);
}

Result<std::optional<Checkpoint::FileRange>> Checkpoint::file_range(uint32_t index) const {
  const Storage& storage = storages[index];
  if (storage.big_endian || storage.own != nullptr) {
    return std::optional<FileRange>();
  }
  if (storage.file != kNoIndex) {
    return std::optional(
        FileRange{files[storage.file].get(), storage.offset, storage.byte_size(), storage.crc32});
  }
  const ZipReader& archive = archives[storage.archive];
  const ZipEntry& entry = archive.entries()[storage.entry];
  if (!entry.is_stored()) return std::optional<FileRange>();
  MLC_TRY(const uint64_t offset, archive.data_offset(entry));
  FileRange range{&archive.file(), offset, entry.size, {}};
  if (entry.has_crc()) range.crc32 = entry.crc32;
  return std::optional(range);
}

std::shared_ptr<const OwnBytes> held_bytes(std::shared_ptr<const std::string> memory) {
  return std::make_shared<const OwnBytes>(OwnBytes{std::move(memory), {}, {}});
}

std::shared_ptr<const OwnBytes> held_bytes(std::string bytes) {
  return held_bytes(std::make_shared<const std::string>(std::move(bytes)));
}

std::shared_ptr<const OwnBytes> made_bytes(BlockProducer blocks, std::vector<uint32_t> parts) {
  return std::make_shared<const OwnBytes>(OwnBytes{{}, std::move(blocks), {}, std::move(parts)});
}

std::shared_ptr<const OwnBytes> made_bytes(PieceProducer pieces, uint64_t size) {
  const auto shared = std::make_shared<const PieceProducer>(std::move(pieces));
  BlockProducer in_order = [shared, size](const BlockSink& sink) -> Status {
    std::vector<std::byte> buffer;
    for (uint64_t begin = 0; begin < size; begin += shared->piece_bytes) {
      buffer.resize(static_cast<size_t>(std::min(shared->piece_bytes, size - begin)));
      MLC_CHECK(shared->make(begin, buffer));
      MLC_CHECK(sink(buffer));
    }
    return {};
  };
  return std::make_shared<const OwnBytes>(OwnBytes{{}, std::move(in_order), shared});
}

Status Checkpoint::stream_storage(uint32_t index, const BlockSink& sink) const {
  const Storage& storage = storages[index];
  if (const BlockProducer* made = storage.producer()) return (*made)(sink);
  MLC_TRY(const Bytes bytes, storage_bytes(index));
  const size_t block =
      (size_t{1} << 20U) / element_bytes(storage.dtype) * element_bytes(storage.dtype);
  for (size_t at = 0; at < bytes.size(); at += block) {
    MLC_CHECK(sink(bytes.subspan(at, std::min(block, bytes.size() - at))));
  }
  return {};
}

Result<Bytes> Checkpoint::storage_bytes(uint32_t index) const {
  const Storage& storage = storages[index];
  if (const std::string* memory = storage.memory()) return as_bytes(*memory);
  MLC_TRY(const auto range, file_range(index));
  if (range) {
    MLC_TRY(const Bytes mapping, range->file->map());
    if (!fits_within(range->offset, range->length, mapping.size())) {
      return corrupt("storage " + quoted(storage.key) + " lies beyond the end of the file")
          .in_file(range->file->path());
    }
    return mapping.subspan(range->offset, range->length);
  }

  {
    const std::lock_guard lock(cache_mutex_);
    if (const auto it = cache_.find(index); it != cache_.end()) return as_bytes(*it->second);
  }
  if (storage.byte_size() > kMaxCachedStorage) {
    return unsupported("storage " + quoted(storage.key) + " of " +
                       format_bytes(storage.byte_size()) + " is too big to be unpacked in memory");
  }
  // Not under the lock: a producer may ask for other storages.
  MLC_TRY(std::string bytes, load_storage(storage));
  auto held = std::make_shared<const std::string>(std::move(bytes));
  const std::lock_guard lock(cache_mutex_);
  return as_bytes(*cache_.emplace(index, std::move(held)).first->second);
}

void Checkpoint::drop_cached() const {
  const std::lock_guard lock(cache_mutex_);
  cache_.clear();
}

Result<std::string> Checkpoint::load_storage(const Storage& storage) const {
  std::string bytes;
  if (const BlockProducer* made = storage.producer()) {
    bytes.reserve(storage.byte_size());
    MLC_CHECK((*made)([&bytes](Bytes block) {
      bytes.append(as_text(block));
      return Status();
    }));
  } else if (storage.archive != kNoIndex) {
    const ZipReader& archive = archives[storage.archive];
    const ZipEntry& entry = archive.entries()[storage.entry];
    MLC_TRY(bytes, archive.read(entry, storage.byte_size()));
  } else {
    MLC_TRY(bytes, files[storage.file]->read_string(storage.offset, storage.byte_size()));
  }
  if (storage.big_endian && !storage.untyped) {
    swap_elements(std::as_writable_bytes(std::span(bytes)), storage.dtype);
  }
  return bytes;
}

Result<TensorView> Checkpoint::view(uint32_t index) const {
  const Tensor& tensor = tensors[index];
  if (tensor.kind != TensorKind::dense && tensor.kind != TensorKind::quantized) {
    const std::string what = tensor.detail != kNoIndex ? details[tensor.detail] : "meta";
    return unsupported("a " + what + " tensor has no plain elements to read");
  }
  TensorView view;
  view.dtype = tensor.dtype;
  view.sizes = sizes(tensor);
  view.strides = strides(tensor);
  view.offset = tensor.offset;
  view.conjugated = tensor.conjugated;
  view.negated = tensor.negated;
  MLC_TRY(view.storage, storage_bytes(tensor.storage));
  return view;
}

}  // namespace mlc
