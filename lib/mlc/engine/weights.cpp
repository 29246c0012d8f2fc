#include "mlc/engine/weights.h"

#include "mlc/base/text.h"
#include "mlc/tensor/convert.h"
#include "mlc/tensor/element_values.h"
#include "mlc/tensor/tensor_view.h"

#include <cerrno>

#include <sys/mman.h>
#include <unistd.h>

namespace mlc {

class Weights::Mapping {
 public:
  Mapping(void* address, size_t size) : address_(address), size_(size) {}
  ~Mapping() { ::munmap(address_, size_); }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  Bytes bytes() const { return {static_cast<const std::byte*>(address_), size_}; }

  /// Gives back the pages that nothing but PART lies in, and what was written into them.
  static void forget(Bytes part) {
    const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
    const auto address = reinterpret_cast<uintptr_t>(part.data());
    const uintptr_t begin = (address + page - 1) / page * page;
    const uintptr_t end = (address + part.size()) / page * page;
    if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
  }

 private:
  void* address_;
  size_t size_;
};

/// One tensor of a mapping. A model that casts its weights lets go of each before it asks for the
/// next one, and does not have all of them twice in memory.
struct Weights::Held {
  std::shared_ptr<Mapping> mapping;
  Bytes bytes;

  Held(std::shared_ptr<Mapping> in, Bytes part) : mapping(std::move(in)), bytes(part) {}
  ~Held() { Mapping::forget(bytes); }
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
};

namespace {

Weight copied(std::string bytes) {
  Weight out;
  const auto owner = std::make_shared<const std::string>(std::move(bytes));
  out.bytes = as_bytes(*owner);
  out.owner = owner;
  return out;
}

/// Floating elements as integers of TO, without what is behind the point, as copy_() of PyTorch
/// has them. CUT gets how many lose something. Error: unsupported for values that TO cannot hold,
/// of which PyTorch makes what the processor does.
Result<std::string> truncated(DType from, Bytes bytes, DType to, uint64_t& cut) {
  std::vector<double> values(bytes.size() / element_bytes(from));
  load_values(from, bytes, values.data());
  std::vector<int64_t> whole(values.size());
  constexpr double kEnd = 9223372036854775808.0;  // 2^63
  bool fits = true;
  for (size_t i = 0; i < values.size() && fits; ++i) {
    fits = values[i] >= -kEnd && values[i] < kEnd;
    if (fits) whole[i] = static_cast<int64_t>(values[i]);
    cut += fits && static_cast<double>(whole[i]) != values[i] ? 1U : 0U;
  }
  std::string out(values.size() * element_bytes(to), '\0');
  MLC_TRY(const ConvertReport report, convert_block(DType::i64, std::as_bytes(std::span(whole)), to,
                                                    std::as_writable_bytes(std::span(out))));
  if (fits && report.overflowed == 0) return out;
  return unsupported("the checkpoint has " + std::string(info(from).torch) +
                     " with values that no " + std::string(info(to).torch) +
                     " of the architecture can be");
}

/// The real parts of complex elements, as copy_() of PyTorch has them. DROPPED gets how many lose
/// an imaginary part.
std::string real_parts(DType part, Bytes bytes, uint64_t& dropped) {
  std::vector<double> values(bytes.size() / element_bytes(part));
  load_values(part, bytes, values.data());
  const size_t size = element_bytes(part);
  std::string out;
  out.reserve(bytes.size() / 2);
  for (size_t i = 0; i + 1 < values.size(); i += 2) {
    out.append(reinterpret_cast<const char*>(bytes.data()) + i * size, size);
    dropped += values[i + 1] != 0 ? 1U : 0U;
  }
  return out;
}

/// How many values a conversion changed by more than rounding.
struct Losses {
  uint64_t cut = 0;      // lose what is behind the point
  uint64_t dropped = 0;  // lose an imaginary part
};

Result<Weight> converted(DType from, Bytes bytes, DType to, Losses& losses) {
  const auto kind = [](DType one) { return info(one).kind; };
  if (kind(from) == DTypeClass::complex && kind(to) != DTypeClass::complex) {
    const DType part = component_type(from);
    const std::string real = real_parts(part, bytes, losses.dropped);
    return converted(part, as_bytes(real), to, losses);
  }
  if (kind(from) == DTypeClass::floating && kind(to) == DTypeClass::integer) {
    MLC_TRY(std::string whole, truncated(from, bytes, to, losses.cut));
    return copied(std::move(whole));
  }
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
    out.owner = std::make_shared<const Held>(mapping, out.bytes);
  } else {
    MLC_TRY(std::string bytes, contiguous_bytes(view, view.byte_size()));
    if (view.dtype == tensor.dtype) {
      out = copied(std::move(bytes));
    } else {
      Losses losses;
      MLC_TRY(out, converted(view.dtype, as_bytes(bytes), tensor.dtype, losses));
      const auto note = [&](uint64_t count, std::string_view lost) {
        if (count == 0) return;
        notes_.push_back(quoted(tensor.path) + " is " + std::string(info(tensor.dtype).torch) +
                         " and loses what " + plural(count, "value") + " of the checkpoint's " +
                         std::string(info(view.dtype).torch) + " has " + std::string(lost));
      };
      note(losses.cut, "behind the point");
      note(losses.dropped, "as imaginary part");
    }
    if (range) range->file->forget(range->offset, view.storage.size());
  }
  out.dtype = tensor.dtype;
  out.sizes = tensor.shape;
  return out;
}

}  // namespace mlc
