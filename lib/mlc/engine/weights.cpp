#include "mlc/engine/weights.h"

#include "mlc/base/text.h"
#include "mlc/tensor/convert.h"
#include "mlc/tensor/tensor_view.h"

#include <cerrno>

#include <sys/mman.h>

namespace mlc {

class Weights::Mapping {
 public:
  Mapping(void* address, size_t size) : address_(address), size_(size) {}
  ~Mapping() { ::munmap(address_, size_); }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  Bytes bytes() const { return {static_cast<const std::byte*>(address_), size_}; }

 private:
  void* address_;
  size_t size_;
};

namespace {

Weight copied(std::string bytes) {
  Weight out;
  const auto owner = std::make_shared<const std::string>(std::move(bytes));
  out.bytes = as_bytes(*owner);
  out.owner = owner;
  return out;
}

Result<Weight> converted(DType from, Bytes bytes, DType to) {
  if (!can_convert(from, to)) {
    return unsupported("the checkpoint has " + std::string(info(from).torch) +
                       ", the architecture " + std::string(info(to).torch));
  }
  std::string out(bytes.size() / element_bytes(from) * element_bytes(to), '\0');
  MLC_CHECK(convert_block(from, bytes, to, std::as_writable_bytes(std::span(out))));
  return copied(std::move(out));
}

}  // namespace

Weights::Weights(const Checkpoint& checkpoint, const StateDict& state_dict)
    : checkpoint_(checkpoint) {
  for (const StateDictEntry& entry : state_dict.entries) {
    tensors_.emplace(entry.key, entry.tensor);
  }
}

Result<std::shared_ptr<Weights::Mapping>> Weights::mapping_of(const InputFile& file) {
  std::shared_ptr<Mapping>& known = mappings_[&file];
  if (known == nullptr) {
    // Without NORESERVE the kernel counts all of it as memory that the model might write.
    void* const address = ::mmap(nullptr, file.size(), PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_NORESERVE, file.fd(), 0);
    if (address == MAP_FAILED) {
      return read_failed("cannot map the file into memory", errno).in_file(file.path());
    }
    known = std::make_shared<Mapping>(address, file.size());
  }
  return known;
}

Result<Weight> Weights::get(const arch::ScriptTensor& tensor) {
  const auto found = tensors_.find(tensor.path);
  if (found == tensors_.end()) {
    return not_found("the checkpoint has no tensor " + quoted(tensor.path));
  }
  const Tensor& stored = checkpoint_.tensors[found->second];
  MLC_TRY_CTX(const TensorView view, checkpoint_.view(found->second),
              "tensor " + quoted(tensor.path));
  MLC_TRY(const auto range, checkpoint_.file_range(stored.storage));
  Weight out;
  if (view.dtype == tensor.dtype && view.is_plain() && range) {
    MLC_TRY(const std::shared_ptr<Mapping> mapping, mapping_of(*range->file));
    const Bytes plain = view.plain_bytes();
    const auto within = static_cast<uint64_t>(plain.data() - view.storage.data());
    out.bytes = mapping->bytes().subspan(range->offset + within, plain.size());
    out.owner = mapping;
  } else {
    MLC_TRY(std::string bytes, contiguous_bytes(view, view.byte_size()));
    if (view.dtype == tensor.dtype) {
      out = copied(std::move(bytes));
    } else {
      MLC_TRY(out, converted(view.dtype, as_bytes(bytes), tensor.dtype));
    }
  }
  out.dtype = tensor.dtype;
  out.sizes = tensor.shape;
  return out;
}

}  // namespace mlc
