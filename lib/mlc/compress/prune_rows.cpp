#include "mlc/compress/prune_rows.h"

#include "mlc/base/sentence_key.h"
#include "mlc/base/text.h"
#include "mlc/compress/prune_kernels.h"
#include "mlc/tensor/element_values.h"
#include "mlc/tensor/float_kernels.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace mlc {
namespace {

uint64_t scrambled(uint64_t x) {
  x = (x ^ (x >> 30U)) * 0xBF58'476D'1CE4'E5B9;
  x = (x ^ (x >> 27U)) * 0x94D0'49BB'1331'11EB;
  return x ^ (x >> 31U);
}

/// FNV-1a: a stream of its own for each tensor.
uint64_t hash_of(std::string_view text) {
  uint64_t hash = 0xCBF2'9CE4'8422'2325;
  for (const char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 0x0000'0100'0000'01B3;
  return hash;
}

/// The bits of the magnitudes of elements as float32.
void narrow_keys(DType dtype, Bytes bytes, std::vector<uint32_t>& out) {
  out.resize(bytes.size() / element_bytes(dtype));
  const auto* floats = reinterpret_cast<const float*>(bytes.data());
  if (dtype != DType::f32) {
    to_f32_kernel(dtype)(bytes.data(), reinterpret_cast<std::byte*>(out.data()), out.size());
    floats = reinterpret_cast<const float*>(out.data());
  }
  prune_kernels().magnitudes(floats, out.size(), out.data());
}

void wide_keys(DType dtype, Bytes bytes, std::vector<uint64_t>& out) {
  thread_local std::vector<double> values;
  values.resize(bytes.size() / element_bytes(dtype));
  load_values(dtype, bytes, values.data());
  out.resize(values.size());
  std::ranges::transform(values, out.begin(),
                         [](double value) { return std::bit_cast<uint64_t>(std::abs(value)); });
}

/// Leaves the keys whose KEEP is 1.
template <class Key>
void drop_masked(const std::vector<uint8_t>& keep, std::vector<Key>& keys) {
  size_t kept = 0;
  for (size_t i = 0; i < keys.size(); ++i) {
    keys[kept] = keys[i];
    kept += keep[i];
  }
  keys.resize(kept);
}

/// KEEP of the keys from number FIRST on.
template <class Key>
void compare_keys(const std::vector<Key>& keys, const Smallest& smallest, uint64_t first,
                  std::vector<uint8_t>& keep) {
  // No key has its highest bit, the sign.
  const auto least = static_cast<Key>(smallest.cut + (smallest.with_cut ? 1 : 0));
  keep.resize(keys.size());
  if constexpr (sizeof(Key) == sizeof(uint32_t)) {
    prune_kernels().keep(keys.data(), keys.size(), least, keep.data());
  } else {
    for (size_t i = 0; i < keys.size(); ++i) keep[i] = keys[i] >= least ? 1 : 0;
  }
  const auto begin = std::ranges::lower_bound(smallest.ties, first);
  for (auto tie = begin; tie != smallest.ties.end() && *tie < first + keys.size(); ++tie) {
    keep[static_cast<size_t>(*tie - first)] = 0;
  }
}

/// What DTYPE keeps of the roots of SQUARES, or of sums.
void round_norms(DType dtype, bool squares, std::vector<double>& scores) {
  std::vector<float> values(scores.size());
  std::vector<std::byte> stored(scores.size() * element_bytes(dtype));
  std::ranges::transform(scores, values.begin(), [&](double score) {
    return static_cast<float>(squares ? std::sqrt(score) : score);
  });
  auto* const bytes = reinterpret_cast<std::byte*>(values.data());
  from_f32_kernel(dtype)(bytes, stored.data(), values.size());
  to_f32_kernel(dtype)(stored.data(), bytes, values.size());
  std::ranges::copy(values, scores.begin());
}

}  // namespace

Result<PruneRows> PruneRows::open(const Checkpoint& checkpoint, const PrunedTensor& pruned,
                                  const PruneRules& rules) {
  PruneRows out;
  out.pruned_ = &pruned;
  out.rules_ = &rules;
  MLC_TRY(out.weights_, RawRows::open(checkpoint, pruned.tensor));
  if (pruned.is_folded()) {
    MLC_TRY(out.mask_, RawRows::open(checkpoint, pruned.mask));
  }
  const bool blocks = rules.shape.pattern == PrunePattern::block && pruned.is_pruned();
  out.step_ = out.weights_.rows_a_piece(blocks ? rules.shape.first : 1);
  const Dims sizes = checkpoint.sizes(checkpoint.tensors[pruned.tensor]);
  for (size_t d = row_dimension(sizes) + 2; d < sizes.size(); ++d) out.inner_ *= sizes[d];
  return out;
}

size_t PruneRows::pieces() const {
  return static_cast<size_t>((weights_.rows() + step_ - 1) / step_);
}

std::pair<int64_t, int64_t> PruneRows::range(size_t piece) const {
  const int64_t begin = static_cast<int64_t>(piece) * step_;
  return {begin, std::min(begin + step_, weights_.rows())};
}

Result<Bytes> PruneRows::stored(size_t piece, std::vector<std::byte>& buffer) const {
  const auto [begin, end] = range(piece);
  return weights_.read(begin, end, buffer);
}

Result<Bytes> PruneRows::bytes(size_t piece, std::vector<std::byte>& buffer) const {
  if (pruned_->given_values == nullptr) return stored(piece, buffer);
  const auto [begin, end] = range(piece);
  const float* const from = pruned_->given_values->data() + begin * weights_.columns();
  const auto count = static_cast<size_t>((end - begin) * weights_.columns());
  const DType dtype = weights_.dtype();
  buffer.resize(count * element_bytes(dtype));
  if (dtype != DType::f64) {
    from_f32_kernel(dtype)(reinterpret_cast<const std::byte*>(from), buffer.data(), count);
    return Bytes(buffer);
  }
  for (size_t i = 0; i < count; ++i) {
    const double value = from[i];
    std::memcpy(buffer.data() + i * sizeof value, &value, sizeof value);
  }
  return Bytes(buffer);
}

Status PruneRows::masked(size_t piece, std::vector<uint8_t>& out) const {
  thread_local std::vector<std::byte> buffer;
  thread_local std::vector<double> values;
  const auto [begin, end] = range(piece);
  MLC_TRY(const Bytes bytes, mask_->read(begin, end, buffer));
  values.resize(bytes.size() / element_bytes(mask_->dtype()));
  load_values(mask_->dtype(), bytes, values.data());
  out.resize(values.size());
  for (size_t i = 0; i < values.size(); ++i) {
    if (values[i] != 0 && values[i] != 1) {
      return corrupt("the mask of " + sentence_key(pruned_->names[0]) +
                     " has values other than 0 and 1");
    }
    out[i] = values[i] != 0 ? 1 : 0;
  }
  return {};
}

/// The weights, masked ones being 0.
Status PruneRows::values(size_t piece, std::vector<double>& out) const {
  thread_local std::vector<std::byte> buffer;
  thread_local std::vector<uint8_t> mask;
  MLC_TRY(const Bytes bytes, stored(piece, buffer));
  out.resize(bytes.size() / element_bytes(weights_.dtype()));
  load_values(weights_.dtype(), bytes, out.data());
  if (!mask_) return {};
  MLC_CHECK(masked(piece, mask));
  for (size_t i = 0; i < out.size(); ++i) out[i] = mask[i] != 0 ? out[i] : 0;
  return {};
}

/// The norms of the rows or blocks of a piece; squares of l2, which have the same order. PyTorch
/// rounds norms of rows to the type of the weights, and rows that are alike then are ties.
Status PruneRows::unit_scores(size_t piece, std::vector<double>& out) const {
  thread_local std::vector<double> weights;
  MLC_CHECK(values(piece, weights));
  const auto [begin, end] = range(piece);
  const bool rows = rules_->shape.pattern == PrunePattern::rows;
  const int64_t height = rows ? 1 : rules_->shape.first;
  const int64_t width = rows ? weights_.columns() : rules_->shape.second;
  const int64_t across = weights_.columns() / width;
  out.assign(static_cast<size_t>((end - begin) / height * across), 0);
  const bool squares = rules_->norm == PruneNorm::l2;
  for (int64_t r = 0; r < end - begin; ++r) {
    const double* const row = weights.data() + r * weights_.columns();
    double* const scores = out.data() + r / height * across;
    for (int64_t c = 0; c < weights_.columns(); ++c) {
      scores[c / width] += squares ? row[c] * row[c] : std::abs(row[c]);
    }
  }
  const DType dtype = weights_.dtype();
  if (rows && (dtype == DType::f16 || dtype == DType::bf16)) round_norms(dtype, squares, out);
  return {};
}

/// COUNT keys that follow from the seed and the name and place of what they belong to.
void PruneRows::random_keys(size_t piece, size_t count, Keys& out) const {
  const bool units = rules_->shape.pattern != PrunePattern::unstructured;
  const auto first = static_cast<uint64_t>(range(piece).first * weights_.columns());
  const uint64_t stream = scrambled(hash_of(pruned_->names[0]) + rules_->seed);
  out.wide.resize(count);
  for (size_t i = 0; i < count; ++i) {
    const uint64_t place = first + i;
    out.wide[i] = scrambled(stream + (place + (units ? 1 : 2)) * 0x9E37'79B9'7F4A'7C15) >> 1U;
  }
}

Status PruneRows::keys(size_t piece, bool wide, Keys& out) const {
  thread_local std::vector<uint8_t> mask;
  if (rules_->shape.pattern != PrunePattern::unstructured) {
    thread_local std::vector<double> scores;
    MLC_CHECK(unit_scores(piece, scores));
    if (rules_->method == PruneMethod::random) {
      random_keys(piece, scores.size(), out);
      return {};
    }
    out.wide.resize(scores.size());
    std::ranges::transform(scores, out.wide.begin(),
                           [](double score) { return std::bit_cast<uint64_t>(score); });
    return {};
  }
  thread_local std::vector<std::byte> buffer;
  MLC_TRY(const Bytes bytes, stored(piece, buffer));
  if (rules_->method == PruneMethod::random) {
    random_keys(piece, bytes.size() / element_bytes(weights_.dtype()), out);
  } else if (wide) {
    wide_keys(weights_.dtype(), bytes, out.wide);
  } else {
    narrow_keys(weights_.dtype(), bytes, out.narrow);
  }
  if (!mask_) return {};
  MLC_CHECK(masked(piece, mask));
  if (wide) {
    drop_masked(mask, out.wide);
  } else {
    drop_masked(mask, out.narrow);
  }
  return {};
}

Status PruneRows::keep_by_keys(size_t piece, std::vector<uint8_t>& out) const {
  thread_local Keys found;
  thread_local std::vector<uint8_t> chosen;
  MLC_CHECK(keys(piece, pruned_->wide_keys, found));
  const uint64_t first = pruned_->first_keys[piece];
  if (pruned_->wide_keys) {
    compare_keys(found.wide, *pruned_->smallest, first, chosen);
  } else {
    compare_keys(found.narrow, *pruned_->smallest, first, chosen);
  }
  if (rules_->shape.pattern == PrunePattern::unstructured) {
    if (!mask_) {
      out.swap(chosen);
      return {};
    }
    MLC_CHECK(masked(piece, out));
    size_t next = 0;
    for (uint8_t& one : out) {
      if (one != 0) one = chosen[next++];
    }
    return {};
  }
  const auto [begin, end] = range(piece);
  const bool rows = rules_->shape.pattern == PrunePattern::rows;
  const int64_t height = rows ? 1 : rules_->shape.first;
  const int64_t width = rows ? weights_.columns() : rules_->shape.second;
  const int64_t across = weights_.columns() / width;
  out.resize(static_cast<size_t>((end - begin) * weights_.columns()));
  for (int64_t r = 0; r < end - begin; ++r) {
    const uint8_t* const of_row = chosen.data() + r / height * across;
    uint8_t* const to = out.data() + r * weights_.columns();
    for (int64_t c = 0; c < weights_.columns(); ++c) to[c] = of_row[c / width];
  }
  return {};
}

/// Of every M weights whose inputs are neighbours the N largest stay; of equal ones the first.
Status PruneRows::keep_n_of_m(size_t piece, std::vector<uint8_t>& out) const {
  thread_local std::vector<double> weights;
  MLC_CHECK(values(piece, weights));
  const int64_t n = rules_->shape.first;
  const int64_t m = rules_->shape.second;
  out.assign(weights.size(), 0);
  const int64_t groups = static_cast<int64_t>(weights.size()) / (m * inner_);
  for (int64_t group = 0; group < groups; ++group) {
    for (int64_t inner = 0; inner < inner_; ++inner) {
      const int64_t first = group * m * inner_ + inner;
      // As bits NaN is the largest, and equal to itself.
      const auto size_of = [&](int64_t i) {
        return std::bit_cast<uint64_t>(std::abs(weights[static_cast<size_t>(first + i * inner_)]));
      };
      for (int64_t i = 0; i < m; ++i) {
        int64_t larger = 0;
        for (int64_t j = 0; j < m; ++j) {
          larger += size_of(j) > size_of(i) || (j < i && size_of(j) == size_of(i)) ? 1 : 0;
        }
        out[static_cast<size_t>(first + i * inner_)] = larger < n ? 1 : 0;
      }
    }
  }
  return {};
}

Status PruneRows::keep(size_t piece, std::vector<uint8_t>& out) const {
  if (pruned_->given_keep != nullptr) {
    const auto [begin, end] = range(piece);
    const uint8_t* const from = pruned_->given_keep->data();
    out.assign(from + begin * weights_.columns(), from + end * weights_.columns());
    return {};
  }
  if (pruned_->is_pruned() && rules_->shape.pattern == PrunePattern::n_of_m) {
    MLC_CHECK(keep_n_of_m(piece, out));
  } else if (pruned_->smallest != nullptr) {
    MLC_CHECK(keep_by_keys(piece, out));
    if (rules_->shape.pattern == PrunePattern::unstructured) return {};
  } else {
    const auto [begin, end] = range(piece);
    out.assign(static_cast<size_t>((end - begin) * weights_.columns()), 1);
  }
  if (!mask_) return {};
  thread_local std::vector<uint8_t> mask;
  MLC_CHECK(masked(piece, mask));
  for (size_t i = 0; i < out.size(); ++i) out[i] &= mask[i];
  return {};
}

}  // namespace mlc
