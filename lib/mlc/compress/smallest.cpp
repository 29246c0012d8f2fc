#include "mlc/compress/smallest.h"

#include "mlc/base/parallel.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <mutex>
#include <utility>

namespace mlc {
namespace {

constexpr int kDigit = 16;
constexpr size_t kBins = size_t{1} << kDigit;

template <class Key>
const std::vector<Key>& of_width(const Keys& keys) {
  if constexpr (sizeof(Key) == sizeof(uint32_t)) {
    return keys.narrow;
  } else {
    return keys.wide;
  }
}

/// Counts the 16 bits from SHIFT on of keys whose bits above are PREFIX.
template <class Key>
void count_digits(const std::vector<Key>& keys, int shift, uint64_t prefix, bool all,
                  std::vector<uint64_t>& counts) {
  if (all) {
    for (const Key key : keys) ++counts[key >> shift];
    return;
  }
  const auto wanted = static_cast<Key>(prefix);
  const auto count = [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) {
      if (keys[i] >> (shift + kDigit) == wanted) ++counts[keys[i] >> shift & (kBins - 1)];
    }
  };
  // Few keys have the prefix: most groups are passed over after one comparison of vectors.
  constexpr size_t kGroup = 16;
  const size_t whole = keys.size() - keys.size() % kGroup;
  for (size_t begin = 0; begin < whole; begin += kGroup) {
    Key found = 0;
    for (size_t i = begin; i < begin + kGroup; ++i)
      found |= keys[i] >> (shift + kDigit) == wanted ? 1 : 0;
    if (found != 0) count(begin, begin + kGroup);
  }
  count(whole, keys.size());
}

Result<std::vector<uint64_t>> histogram(const KeyBlocks& keys, int shift, uint64_t prefix,
                                        unsigned threads) {
  std::mutex mutex;
  std::vector<uint64_t> sums(kBins, 0);
  const bool all = shift + kDigit >= keys.bits;
  // A slice of the blocks for each thread, so that each fills one histogram of its own.
  const size_t slices = std::min<size_t>(std::max(1U, threads), std::max<size_t>(1, keys.blocks));
  const auto count = [&](size_t slice) -> Status {
    std::vector<uint64_t> counts(kBins, 0);
    Keys block;
    for (size_t i = slice; i < keys.blocks; i += slices) {
      MLC_CHECK(keys.fill(i, block));
      if (keys.bits == 32) {
        count_digits(block.narrow, shift, prefix, all, counts);
      } else {
        count_digits(block.wide, shift, prefix, all, counts);
      }
    }
    const std::lock_guard lock(mutex);
    for (size_t bin = 0; bin < kBins; ++bin) sums[bin] += counts[bin];
    return {};
  };
  MLC_CHECK(parallel_for(slices, threads, count));
  return sums;
}

/// The COUNT-th smallest key, how many are below it and how many equal it.
struct Cut {
  uint64_t key = 0;
  uint64_t below = 0;
  uint64_t equal = 0;
};

Result<Cut> find_cut(const KeyBlocks& keys, uint64_t count, unsigned threads) {
  Cut cut;
  for (int shift = keys.bits - kDigit; shift >= 0; shift -= kDigit) {
    MLC_TRY(const std::vector<uint64_t> bins, histogram(keys, shift, cut.key, threads));
    size_t bin = 0;
    while (cut.below + bins[bin] < count) cut.below += bins[bin++];
    cut.key = cut.key << kDigit | bin;
    cut.equal = bins[bin];
  }
  return cut;
}

/// Positions of the first WANTED keys that equal CUT.
template <class Key>
Result<std::vector<uint64_t>> first_ties(const KeyBlocks& keys, uint64_t cut, uint64_t wanted) {
  std::vector<uint64_t> ties;
  Keys block;
  uint64_t position = 0;
  for (size_t i = 0; i < keys.blocks && ties.size() < wanted; ++i) {
    MLC_CHECK(keys.fill(i, block));
    const std::vector<Key>& all = of_width<Key>(block);
    for (size_t k = 0; k < all.size() && ties.size() < wanted; ++k) {
      if (all[k] == static_cast<Key>(cut)) ties.push_back(position + k);
    }
    position += all.size();
  }
  return ties;
}

constexpr uint64_t kLargeCopy = uint64_t{4} << 20U;  // keys

/// The first COUNT of QUEUE become those that torch.topk takes of it.
template <class Pair>
void take_topk(std::vector<Pair>& queue, uint64_t count, bool largest) {
  const auto end = queue.begin() + static_cast<std::ptrdiff_t>(count);
  const auto less = [](const Pair& x, const Pair& y) {
    return (!std::isnan(x.first) && std::isnan(y.first)) || x.first < y.first;
  };
  const auto greater = [](const Pair& x, const Pair& y) {
    return (std::isnan(x.first) && !std::isnan(y.first)) || x.first > y.first;
  };
  const auto order = [&](const auto& before) {
    if (count * 64 <= queue.size()) {
      std::partial_sort(queue.begin(), end, queue.end(), before);
    } else {
      std::nth_element(queue.begin(), end - 1, queue.end(), before);
    }
  };
  if (largest) {
    order(greater);
  } else {
    order(less);
  }
}

/// What torch.topk does, on a copy of all keys. Large copies one at a time.
template <class Key, class Value>
Result<std::vector<uint64_t>> ties_of_topk(const KeyBlocks& keys, uint64_t cut, uint64_t total,
                                           uint64_t count, bool left_by_largest) {
  static std::mutex one_at_a_time;
  std::unique_lock lock(one_at_a_time, std::defer_lock);
  if (total > kLargeCopy) lock.lock();
  std::vector<std::pair<Value, uint32_t>> queue;
  queue.reserve(total);
  Keys block;
  for (size_t i = 0; i < keys.blocks; ++i) {
    MLC_CHECK(keys.fill(i, block));
    for (const Key key : of_width<Key>(block)) {
      queue.emplace_back(std::bit_cast<Value>(key), static_cast<uint32_t>(queue.size()));
    }
  }
  const uint64_t taken = left_by_largest ? total - count : count;
  take_topk(queue, taken, left_by_largest);
  const auto border = queue.begin() + static_cast<std::ptrdiff_t>(taken);
  std::vector<uint64_t> ties;
  const auto end = left_by_largest ? queue.end() : border;
  for (auto one = left_by_largest ? border : queue.begin(); one != end; ++one) {
    if (std::bit_cast<Key>(one->first) == static_cast<Key>(cut)) ties.push_back(one->second);
  }
  std::sort(ties.begin(), ties.end());
  return ties;
}

}  // namespace

Result<Smallest> smallest_keys(const KeyBlocks& keys, uint64_t total, uint64_t count,
                               unsigned threads, const TieRules& rules) {
  MLC_TRY(const Cut cut, find_cut(keys, count, threads));
  Smallest out;
  out.cut = cut.key;
  const uint64_t wanted = count - cut.below;
  out.with_cut = wanted == cut.equal || (cut.key == 0 && !rules.zeros);
  if (out.with_cut) return out;
  if (total > rules.most_copied) {
    out.like_torch = false;
    MLC_TRY(out.ties, keys.bits == 32 ? first_ties<uint32_t>(keys, cut.key, wanted)
                                      : first_ties<uint64_t>(keys, cut.key, wanted));
  } else if (keys.bits == 32) {
    MLC_TRY(out.ties,
            (ties_of_topk<uint32_t, float>(keys, cut.key, total, count, rules.left_by_largest)));
  } else {
    MLC_TRY(out.ties,
            (ties_of_topk<uint64_t, double>(keys, cut.key, total, count, rules.left_by_largest)));
  }
  return out;
}

}  // namespace mlc
