// A pruning plan carried out, counted, and compared with what was written.
#include "mlc/base/parallel.h"
#include "mlc/base/sentence_key.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/derive.h"
#include "mlc/checkpoint/format.h"
#include "mlc/compress/exchange_entries.h"
#include "mlc/compress/loaded_weight.h"
#include "mlc/compress/made_tensor.h"
#include "mlc/compress/prune_kernels.h"
#include "mlc/compress/prune_plan.h"
#include "mlc/compress/prune_rows.h"
#include "mlc/tensor/float_kernels.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <deque>
#include <map>
#include <unordered_map>

namespace mlc {
namespace {

/// Zeros the elements of T whose KEEP is 0, but for the sign bit where SIGN has it.
template <class T>
void zero_elements(const std::vector<uint8_t>& keep, T sign, std::span<std::byte> bytes) {
  for (size_t i = 0; i < keep.size(); ++i) {
    T element;
    std::memcpy(&element, bytes.data() + i * sizeof(T), sizeof(T));
    const auto mask = static_cast<T>(static_cast<T>(0) - static_cast<T>(keep[i]));
    element = static_cast<T>(element & static_cast<T>(mask | sign));
    std::memcpy(bytes.data() + i * sizeof(T), &element, sizeof(T));
  }
}

void apply_keep(const std::vector<uint8_t>& keep, DType dtype, bool positive_zeros,
                std::span<std::byte> bytes) {
  switch (element_bytes(dtype)) {
    case 1:
      return zero_elements<uint8_t>(keep, positive_zeros ? 0 : 0x80, bytes);
    case 2:
      return zero_elements<uint16_t>(keep, positive_zeros ? 0 : 0x8000, bytes);
    case 4:
      return prune_kernels().zero(keep.data(), keep.size(), positive_zeros ? 0 : 0x8000'0000,
                                  reinterpret_cast<uint32_t*>(bytes.data()));
    default:
      return zero_elements<uint64_t>(keep, positive_zeros ? 0 : uint64_t{1} << 63U, bytes);
  }
}

enum class Made : uint8_t { weight, mask };

/// The bytes of a piece of a pruned tensor, or of its mask, at OUT.
Status make_piece(const PruneRows& rows, size_t piece, Made made, bool positive_zeros,
                  std::span<std::byte> out) {
  thread_local std::vector<uint8_t> keep;
  thread_local std::vector<std::byte> buffer;
  MLC_CHECK(rows.keep(piece, keep));
  const DType dtype = rows.rows().dtype();
  if (made == Made::weight) {
    MLC_TRY(const Bytes bytes, rows.bytes(piece, buffer));
    std::ranges::copy(bytes, out.begin());
    apply_keep(keep, dtype, positive_zeros, out);
    return {};
  }
  // 1 in the type of the weight, as torch.nn.utils.prune has its masks.
  const float one = 1;
  std::array<std::byte, 8> element{};
  const double wide_one = 1;
  if (dtype == DType::f64) {
    std::memcpy(element.data(), &wide_one, sizeof wide_one);
  } else {
    from_f32_kernel(dtype)(reinterpret_cast<const std::byte*>(&one), element.data(), 1);
  }
  const uint64_t size = element_bytes(dtype);
  for (size_t i = 0; i < keep.size(); ++i) {
    if (keep[i] != 0) {
      std::memcpy(out.data() + i * size, element.data(), size);
    } else {
      std::memset(out.data() + i * size, 0, size);
    }
  }
  return {};
}

PieceProducer made_pieces(const Checkpoint& checkpoint, const PrunedTensor& pruned,
                          const PruneRules& rules, Made made, bool positive_zeros) {
  PieceProducer out;
  const auto opened = PruneRows::open(checkpoint, pruned, rules);
  if (opened.ok()) {
    out.piece_bytes = static_cast<uint64_t>(opened->rows_a_piece()) * opened->rows().row_bytes();
  }
  out.piece_bytes = std::max<uint64_t>(1, out.piece_bytes);
  out.make = [&checkpoint, &pruned, &rules, made, positive_zeros, piece = out.piece_bytes](
                 uint64_t begin, std::span<std::byte> bytes) -> Status {
    MLC_TRY(const PruneRows rows, PruneRows::open(checkpoint, pruned, rules));
    return make_piece(rows, static_cast<size_t>(begin / piece), made, positive_zeros, bytes);
  };
  return out;
}

/// One tensor that is counted, and compared with what was written of it.
struct Counted {
  PrunedTensor* pruned = nullptr;
  PruneRows rows;
  std::optional<RawRows> written;
  std::vector<PruneSums> pieces;
  std::vector<uint64_t> counted;  // weights of each
};

/// Counts elements of any floating-point type.
void count_elements(DType dtype, Bytes bytes, const std::vector<uint8_t>& keep, PruneSums& sums) {
  if (dtype != DType::f64) {
    thread_local std::vector<float> floats;
    const auto* from = reinterpret_cast<const float*>(bytes.data());
    if (dtype != DType::f32) {
      floats.resize(keep.size());
      to_f32_kernel(dtype)(bytes.data(), reinterpret_cast<std::byte*>(floats.data()), keep.size());
      from = floats.data();
    }
    prune_kernels().count(from, keep.data(), keep.size(), sums);
    return;
  }
  for (size_t i = 0; i < keep.size(); ++i) {
    double value = 0;
    std::memcpy(&value, bytes.data() + i * sizeof value, sizeof value);
    const double square = std::isfinite(value) ? value * value : 0;
    sums.not_finite += std::isfinite(value) ? 0 : 1;
    sums.zeros_before += value == 0 ? 1 : 0;
    sums.zeros_after += value == 0 || keep[i] == 0 ? 1 : 0;
    sums.energy_before += square;
    sums.energy_after += keep[i] != 0 ? square : 0;
  }
}

Status count_one(Counted& counted, size_t piece, const PruneCheck& check) {
  thread_local std::vector<std::byte> buffer;
  thread_local std::vector<std::byte> expected;
  thread_local std::vector<std::byte> written_buffer;
  thread_local std::vector<uint8_t> keep;
  const DType dtype = counted.rows.rows().dtype();
  MLC_TRY(const Bytes bytes, counted.rows.stored(piece, buffer));
  MLC_CHECK(counted.rows.keep(piece, keep));
  counted.pieces[piece] = PruneSums();
  if (counted.pruned->is_folded()) {
    thread_local std::vector<uint8_t> mask;
    MLC_CHECK(counted.rows.masked(piece, mask));
    expected.assign(bytes.begin(), bytes.end());
    apply_keep(mask, dtype, true, expected);
    count_elements(dtype, expected, keep, counted.pieces[piece]);
  } else {
    count_elements(dtype, bytes, keep, counted.pieces[piece]);
  }
  counted.counted[piece] = keep.size();
  if (!counted.written) return {};
  thread_local std::vector<std::byte> changed;
  MLC_TRY(const Bytes now, counted.rows.bytes(piece, changed));
  expected.assign(now.begin(), now.end());
  apply_keep(keep, dtype, check.positive_zeros, expected);
  const auto [begin, end] = counted.rows.range(piece);
  MLC_TRY(const Bytes found, counted.written->read(begin, end, written_buffer));
  // Byte after byte, as std::ranges::equal does it, takes five times as long.
  const bool same = found.size() == expected.size() &&
                    std::memcmp(expected.data(), found.data(), found.size()) == 0;
  if (same) return {};
  return internal_error(sentence_key(counted.pruned->names[0]) +
                        " came back from the file as another than was written");
}

void add_up(Counted& counted) {
  PrunedTensor& pruned = *counted.pruned;
  pruned.weights = pruned.zeros_before = pruned.zeros_after = pruned.not_finite = 0;
  pruned.energy_before = pruned.energy_after = 0;
  for (const uint64_t count : counted.counted) pruned.weights += count;
  for (const PruneSums& piece : counted.pieces) {
    pruned.zeros_before += piece.zeros_before;
    pruned.zeros_after += piece.zeros_after;
    pruned.not_finite += piece.not_finite;
    pruned.energy_before += piece.energy_before;
    pruned.energy_after += piece.energy_after;
  }
}

bool is_changed(const PrunedTensor& pruned) {
  return pruned.is_pruned() || pruned.is_folded();
}

}  // namespace

namespace {

/// What was written, open for comparing.
struct Written {
  std::unique_ptr<Checkpoint> checkpoint;
  TensorsByName tensors;
};

Result<Written> open_written(const PruneCheck& check) {
  Written out;
  if (check.written.empty()) return out;
  MLC_TRY(out.checkpoint, open_checkpoint(check.written));
  MLC_TRY(const std::vector<StateDict> all, find_state_dicts(*out.checkpoint));
  MLC_TRY(const StateDict* found, select_state_dict(all, check.key));
  out.tensors = tensors_by_name(*found);
  return out;
}

/// Opens what was written of a tensor, under each of its names.
Status open_counted(Counted& counted, const Written& written) {
  for (const std::string& name : counted.pruned->names) {
    const auto at = written.tensors.find(name);
    if (at == written.tensors.end()) {
      return internal_error(sentence_key(name) + " is missing in the written file");
    }
    MLC_TRY(counted.written, RawRows::open(*written.checkpoint, at->second));
  }
  return {};
}

/// Counts some tensors on all threads; what was inflated for it is let go of.
Status count_batch(const Checkpoint& checkpoint, const PrunePlan& plan,
                   std::span<PrunedTensor* const> batch, const Written& written,
                   const PruneCheck& check, unsigned threads, Reporter& reporter) {
  std::deque<Counted> counted;
  std::vector<std::pair<Counted*, size_t>> pieces;
  for (PrunedTensor* const pruned : batch) {
    MLC_TRY(PruneRows rows, PruneRows::open(checkpoint, *pruned, plan.rules));
    Counted& one = counted.emplace_back(Counted{pruned, std::move(rows), {}, {}, {}});
    one.pieces.resize(one.rows.pieces());
    one.counted.resize(one.pieces.size());
    for (size_t i = 0; i < one.pieces.size(); i += check.every) pieces.emplace_back(&one, i);
  }
  if (written.checkpoint != nullptr && !plan.rules.keep_masks) {
    const auto open = [&](size_t i) { return open_counted(counted[i], written); };
    MLC_CHECK(parallel_for(counted.size(), threads, open));
  }
  const auto count = [&](size_t i) -> Status {
    if (reporter.interrupted()) return Error(ErrorKind::interrupted, "interrupted");
    return count_one(*pieces[i].first, pieces[i].second, check);
  };
  MLC_CHECK(parallel_for(pieces.size(), threads, count));
  for (Counted& one : counted) add_up(one);
  counted.clear();
  if (written.checkpoint != nullptr) written.checkpoint->drop_cached();
  return {};
}

}  // namespace

Status count_pruned(const Checkpoint& checkpoint, PrunePlan& plan, const PruneCheck& check,
                    unsigned threads, Reporter& reporter) {
  constexpr uint64_t kBatch = uint64_t{64} << 20U;  // bytes that may be inflated at a time
  MLC_TRY(const Written written, open_written(check));
  std::vector<PrunedTensor*> batch;
  uint64_t bytes = 0;
  for (size_t i = 0; i < plan.tensors.size(); ++i) {
    PrunedTensor& pruned = plan.tensors[i];
    if (is_changed(pruned)) {
      batch.push_back(&pruned);
      bytes += checkpoint.byte_size(checkpoint.tensors[pruned.tensor]);
    }
    if (batch.empty() || (bytes < kBatch && i + 1 < plan.tensors.size())) continue;
    MLC_CHECK(count_batch(checkpoint, plan, batch, written, check, threads, reporter));
    batch.clear();
    bytes = 0;
  }
  return {};
}

namespace {

/// The tensors of one weight, by what their names add to its own.
NewEntries make_entries(Checkpoint& checkpoint, const PrunePlan& plan, const PrunedTensor& pruned,
                        const PruneForm& form) {
  const Tensor& tensor = checkpoint.tensors[pruned.tensor];
  const DType dtype = tensor.dtype;
  const Dims dims = checkpoint.sizes(tensor);
  const std::vector<int64_t> sizes(dims.begin(), dims.end());
  const auto make = [&](Made made) {
    return add_made(checkpoint, dtype, sizes,
                    made_pieces(checkpoint, pruned, plan.rules, made, form.positive_zeros));
  };
  if (!plan.rules.keep_masks) return {{"", make(Made::weight)}};
  return {{"_orig", pruned.tensor}, {"_mask", make(Made::mask)}};
}

/// The entries MADE for the tensor OWN, which is one of the weight's objects, FIRST or not: the
/// weight stays what it is in Python.
NewEntries entries_of(Checkpoint& checkpoint, const NewEntries& made, uint32_t own, bool first) {
  NewEntries out;
  for (const auto& [suffix, tensor] : made) {
    const uint32_t one = first ? tensor : derive_twin(checkpoint, tensor);
    const bool is_weight = suffix.empty();
    const bool is_source = suffix == "_orig";
    out.emplace_back(suffix, is_source ? own : is_weight ? derive_like(checkpoint, own, one) : one);
  }
  return out;
}

}  // namespace

Result<std::vector<uint32_t>> apply_pruning(Checkpoint& checkpoint, StateDict& state_dict,
                                            const PrunePlan& plan, const PruneForm& form) {
  std::unordered_map<std::string, StateDictEntry> by_name;
  for (const StateDictEntry& entry : state_dict.entries) {
    by_name.insert_or_assign(std::string(entry.key), entry);
  }
  std::map<uint32_t, NewEntries> changed;
  std::vector<uint32_t> sparse;
  for (const PrunedTensor& pruned : plan.tensors) {
    if (!is_changed(pruned)) continue;
    const NewEntries made = make_entries(checkpoint, plan, pruned, form);
    std::map<uint32_t, NewEntries> done;  // by the object that a name has: one stays one
    for (const std::string& name : pruned.names) {
      const StateDictEntry& own = by_name.at(pruned.is_folded() ? name + "_orig" : name);
      const bool first = done.empty();
      const auto [at, is_new] = done.try_emplace(own.tensor);
      if (is_new) at->second = entries_of(checkpoint, made, own.tensor, first);
      NewEntries named;
      for (const auto& [suffix, tensor] : at->second) named.emplace_back(name + suffix, tensor);
      changed[own.position] = std::move(named);
      if (pruned.is_folded()) changed[by_name.at(name + "_mask").position] = {};
    }
    const double zeros = static_cast<double>(pruned.zeros_after);
    const uint32_t storage = checkpoint.tensors[made.back().second].storage;
    const bool many = zeros >= form.share * static_cast<double>(pruned.weights);
    if (many || plan.rules.keep_masks) sparse.push_back(storage);
  }
  MLC_CHECK(check_free(state_dict, changed));
  exchange_entries(checkpoint, state_dict, changed);
  return sparse;
}

}  // namespace mlc
