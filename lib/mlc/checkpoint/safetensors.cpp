// safetensors: u64 header length, JSON header, tensor bytes to the end of the file. Checks are
// those of safetensors' own tensor.rs, and what that leaves to chance (duplicate keys) is refused.
#include "mlc/base/checked_math.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/json_scanner.h"
#include "mlc/checkpoint/name_table.h"
#include "mlc/checkpoint/readers.h"
#include "mlc/checkpoint/tied_names.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <set>

#include <nlohmann/json.hpp>

namespace mlc {
namespace {

constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // MAX_HEADER_SIZE of tensor.rs
constexpr int kMaxDepth = 4;
constexpr std::string_view kMetadataKey = "__metadata__";

/// What one tensor object of the header says.
struct Described {
  std::string_view dtype;
  std::array<int64_t, kMaxRank> sizes;
  size_t rank = 0;
  std::array<int64_t, 2> offsets;
};

class HeaderReader {
 public:
  HeaderReader(Checkpoint& checkpoint, std::string_view header, uint64_t data_begin)
      : checkpoint_(checkpoint),
        scanner_(header, kMaxDepth, checkpoint.buffers),
        data_begin_(data_begin),
        data_size_(checkpoint.files[0]->size() - data_begin) {
    // A tensor takes at least 60 bytes of header.
    const size_t likely = header.size() / 110;
    by_name_ = NameTable(likely);
    checkpoint_.storages.reserve(likely);
    checkpoint_.tensors.reserve(likely);
  }

  Status run();

 private:
  Status read_metadata();
  Status read_tensor(std::string_view name);
  bool scan_tensor(Described& out);
  bool scan_sizes(Described& out);
  bool scan_offsets(Described& out);
  Status add(std::string_view name, Described& described);
  Error cut_off_error() const;
  Status check_tiling() const;
  void add_entry(std::string_view name, uint32_t storage, const Described& described, DType dtype);
  void restore_aliases();
  Error scan_error() { return std::move(scanner_).error().during("header"); }

  Checkpoint& checkpoint_;
  JsonScanner scanner_;
  uint64_t data_begin_;
  uint64_t data_size_;
  NameTable by_name_;     // tensor
  uint64_t cut_off_ = 0;  // tensors that do not lie within the data
  std::string_view first_cut_off_;
  uint64_t end_ = 0;  // of the last of them, from data_begin_ on
  bool has_metadata_ = false;
  std::string_view unknown_field_;
};

Status HeaderReader::run() {
  checkpoint_.root = checkpoint_.graph.add_dict();
  if (!scanner_.begin_object()) return scan_error();
  std::string_view key;
  while (scanner_.next_key(key)) {
    if (key == kMetadataKey) {
      MLC_CHECK(read_metadata());
    } else {
      MLC_CHECK(read_tensor(key));
    }
  }
  if (!scanner_.finish()) return scan_error();
  if (cut_off_ > 0) return cut_off_error();
  MLC_CHECK(check_tiling());
  restore_aliases();
  if (!unknown_field_.empty()) {
    checkpoint_.warnings.push_back(
        "the header describes tensors with a field that is not in the "
        "format: " +
        quoted(unknown_field_));
  }
  return {};
}

Status HeaderReader::read_metadata() {
  if (has_metadata_) return corrupt("the header has __metadata__ twice");
  has_metadata_ = true;
  NameTable seen;
  std::string_view key;
  std::string_view value;
  if (scanner_.null()) return {};  // an optional map, says the reference reader
  if (!scanner_.begin_object()) return scan_error();
  while (scanner_.next_key(key)) {
    if (!scanner_.string(value)) return scan_error();
    if (!seen.add(key, 0)) {
      return corrupt("__metadata__ has the key " + quoted(key) + " twice");
    }
    if (key == "mlc" && !value.starts_with("mlc: metadata/")) {
      // Another program's entry of that name; two of one name cannot be written.
      checkpoint_.warnings.push_back("the entry \"mlc\" of __metadata__, " + quoted(value) +
                                     ", is not mlc's metadata; outputs do not have it");
    } else if (key == "mlc") {
      checkpoint_.metadata_yaml = std::string(value);
    } else {
      checkpoint_.string_metadata.emplace_back(key, value);
    }
  }
  return scanner_.ok() ? Status() : scan_error();
}

Status HeaderReader::read_tensor(std::string_view name) {
  Described described;
  if (!scan_tensor(described)) return scan_error().during("tensor " + quoted(name));
  if (Status added = add(name, described); !added.ok()) {
    return std::move(added).error().during("tensor " + quoted(name));
  }
  return {};
}

bool HeaderReader::scan_tensor(Described& out) {
  enum : unsigned { kDType = 1, kShape = 2, kOffsets = 4 };
  unsigned seen = 0;
  const auto once = [&](unsigned field) {
    if ((seen & field) != 0) return scanner_.fail("a field that is there twice");
    seen |= field;
    return true;
  };
  std::string_view key;
  if (!scanner_.begin_object()) return false;
  while (scanner_.next_key(key)) {
    bool good = true;
    if (key == "dtype") {
      good = once(kDType) && scanner_.string(out.dtype);
    } else if (key == "shape") {
      good = once(kShape) && scan_sizes(out);
    } else if (key == "data_offsets") {
      good = once(kOffsets) && scan_offsets(out);
    } else {
      unknown_field_ = key;
      good = scanner_.skip();
    }
    if (!good) return false;
  }
  if (!scanner_.ok()) return false;
  return seen == (kDType | kShape | kOffsets) ||
         scanner_.fail("a tensor without dtype, shape or data_offsets");
}

bool HeaderReader::scan_sizes(Described& out) {
  if (!scanner_.begin_array()) return false;
  while (scanner_.next_item()) {
    if (out.rank == kMaxRank) return scanner_.fail("more than 64 dimensions");
    if (!scanner_.integer(out.sizes[out.rank])) return false;
    ++out.rank;
  }
  return scanner_.ok();
}

bool HeaderReader::scan_offsets(Described& out) {
  size_t count = 0;
  if (!scanner_.begin_array()) return false;
  while (scanner_.next_item()) {
    if (count == 2) return scanner_.fail("data_offsets are two numbers");
    if (!scanner_.integer(out.offsets[count])) return false;
    ++count;
  }
  return scanner_.ok() && (count == 2 || scanner_.fail("data_offsets are two numbers"));
}

Status HeaderReader::add(std::string_view name, Described& described) {
  const auto dtype = dtype_from_safetensors(described.dtype);
  if (!dtype) return unsupported("its dtype " + quoted(described.dtype) + " is unknown to mlc");
  const auto [begin, end] = described.offsets;
  if (end < begin) {
    return corrupt("its data_offsets end at " + std::to_string(end) + ", before they begin at " +
                   std::to_string(begin));
  }
  if (static_cast<uint64_t>(end) > data_size_) {
    if (cut_off_++ == 0) first_cut_off_ = name;
    end_ = std::max(end_, static_cast<uint64_t>(end));
  }
  // The format counts the halves of packed types, PyTorch the packs: F4 [.., 2n] is [.., n].
  const int64_t pack = info(*dtype).per_element;
  if (pack > 1) {
    if (described.rank == 0 || described.sizes[described.rank - 1] % pack != 0) {
      return unsupported("its last dimension does not fill whole bytes of " +
                         std::string(described.dtype));
    }
    described.sizes[described.rank - 1] /= pack;
  }
  const Dims sizes(described.sizes.data(), described.rank);
  const auto count = element_count(sizes);
  const auto bytes = count ? checked_mul<int64_t>(*count, info(*dtype).bytes) : std::nullopt;
  if (!bytes || *bytes != end - begin) {
    return corrupt("shape " + format_shape(sizes) + " of " + std::string(described.dtype) +
                   " does not fill its " + std::to_string(end - begin) + " bytes");
  }
  if (!by_name_.add(name, static_cast<uint32_t>(checkpoint_.tensors.size()))) {
    return corrupt("the header has it twice");
  }

  Storage storage;
  storage.key = name;
  storage.location = "cpu";
  storage.dtype = *dtype;
  storage.elements = *count;
  storage.file = 0;
  storage.offset = data_begin_ + static_cast<uint64_t>(begin);
  checkpoint_.storages.push_back(storage);
  add_entry(name, static_cast<uint32_t>(checkpoint_.storages.size() - 1), described, *dtype);
  return {};
}

void HeaderReader::add_entry(std::string_view name, uint32_t storage, const Described& described,
                             DType dtype) {
  std::array<int64_t, kMaxRank> strides;
  int64_t next = 1;
  for (size_t i = described.rank; i-- > 0;) {
    strides[i] = next;
    next *= std::max<int64_t>(described.sizes[i], 1);  // fits: the bytes were counted before
  }
  Tensor tensor;
  tensor.storage = storage;
  tensor.dtype = dtype;
  const uint32_t index = checkpoint_.add_tensor(
      tensor, Dims(described.sizes.data(), described.rank), Dims(strides.data(), described.rank));
  const NodeId key = checkpoint_.graph.add_borrowed(pickle::NodeKind::text, name);
  checkpoint_.graph.dict(checkpoint_.root).emplace_back(key, checkpoint_.tensors[index].node);
}

// That of a file whose header speaks of more than is there: a download that was broken off.
Error HeaderReader::cut_off_error() const {
  const uint64_t whole = checkpoint_.tensors.size() - cut_off_;
  return corrupt("the header tells of " + format_count(data_begin_ + end_) +
                     " bytes, the file has " + format_count(data_begin_ + data_size_) + ": " +
                     format_count(whole) + " of " + plural(whole + cut_off_, "tensor") +
                     (whole == 1 || cut_off_ + whole == 1 ? " is" : " are") +
                     " whole, the first that is not is " + quoted(first_cut_off_),
                 "the file is cut off; fetch it again");
}

// Every byte behind the header belongs to exactly one tensor.
Status HeaderReader::check_tiling() const {
  const std::vector<Storage>& storages = checkpoint_.storages;
  const auto before = [](const Storage& a, const Storage& b) {
    return a.offset != b.offset ? a.offset < b.offset : a.elements < b.elements;
  };
  std::vector<uint32_t> order;
  if (!std::is_sorted(storages.begin(), storages.end(), before)) {
    order.resize(storages.size());
    std::iota(order.begin(), order.end(), 0U);
    std::sort(order.begin(), order.end(),
              [&](uint32_t a, uint32_t b) { return before(storages[a], storages[b]); });
  }
  uint64_t end = data_begin_;
  for (size_t i = 0; i < storages.size(); ++i) {
    const Storage& storage = order.empty() ? storages[i] : storages[order[i]];
    if (storage.offset != end) {
      const std::string how =
          storage.offset < end ? " overlaps the one before it" : " leaves a hole before it";
      return corrupt("tensor " + quoted(storage.key) + " at offset " +
                     std::to_string(storage.offset - data_begin_) + how + ", which ends at " +
                     std::to_string(end - data_begin_));
    }
    end += storage.byte_size();
  }
  if (end - data_begin_ == data_size_) return {};
  return corrupt("the tensors end at " + std::to_string(end - data_begin_) + ", the data at " +
                     std::to_string(data_size_),
                 "something was appended to the file, or its header was changed; fetch it again");
}

// Hugging Face's convention for tied weights: __metadata__[dropped] = kept.
void HeaderReader::restore_aliases() {
  auto& metadata = checkpoint_.string_metadata;
  std::set<std::string, std::less<>> listed;
  std::erase_if(metadata, [&listed](const std::pair<std::string, std::string>& row) {
    if (row.first != kTiedNamesKey) return false;
    const auto names = nlohmann::json::parse(row.second, nullptr, false);
    if (!names.is_array()) return false;
    for (const auto& name : names) {
      if (name.is_string()) listed.insert(name.get<std::string>());
    }
    return true;
  });
  const auto is_alias = [&](const std::pair<std::string, std::string>& row) {
    return row.first != "format" &&
           (is_plainly_tied(row.first, row.second) || listed.contains(row.first)) &&
           by_name_.find(row.second) != nullptr && by_name_.find(row.first) == nullptr;
  };
  std::vector<std::pair<std::string_view, uint32_t>> found;
  for (const auto& row : metadata) {
    if (is_alias(row)) {
      found.emplace_back(checkpoint_.keep(row.first), *by_name_.find(row.second));
    }
  }
  if (found.empty()) return;
  metadata.erase(std::remove_if(metadata.begin(), metadata.end(), is_alias), metadata.end());
  for (const auto& [name, index] : found) {
    const Tensor kept = checkpoint_.tensors[index];
    Described described;
    const Dims sizes = checkpoint_.sizes(kept);
    std::copy(sizes.begin(), sizes.end(), described.sizes.begin());
    described.rank = sizes.size();
    add_entry(name, kept.storage, described, kept.dtype);
    checkpoint_.tensors.back().restored = true;
  }
  checkpoint_.warnings.push_back(plural(found.size(), "tied tensor") +
                                 " restored from __metadata__, first " + quoted(found[0].first));
}

}  // namespace

Status read_safetensors(Checkpoint& checkpoint) {
  const InputFile& file = *checkpoint.files[0];
  MLC_TRY(const std::string prefix, file.read_string(0, 8));
  const auto length = load_le<uint64_t>(prefix.data());
  if (length > kMaxHeaderBytes) {
    return corrupt("the header claims " + format_bytes(length) + "; safetensors allows 100 MB");
  }
  if (!fits_within(8, length, file.size())) {
    return corrupt("the header of " + std::to_string(length) + " bytes reaches beyond the end",
                   "the file is cut off; fetch it again");
  }
  MLC_TRY(std::string header, file.read_string(8, length));
  if (!header.starts_with('{')) return corrupt("the header does not start with {");
  checkpoint.buffers.push_back(std::move(header));
  checkpoint.origin.writer = "safetensors";
  return HeaderReader(checkpoint, checkpoint.buffers.back(), 8 + length).run();
}

}  // namespace mlc
