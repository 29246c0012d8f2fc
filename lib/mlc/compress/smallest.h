// Which of many numbers are the smallest: exactly, in two passes over them and without sorting.
//
// Numbers are magnitudes given as keys, unsigned integers in the same order: the bits of
// |w| as float32 or float64. They come in blocks that can be asked for again, so nothing is held in
// memory; histograms of 16 bits of the keys at a time find the cut.
#pragma once

#include "mlc/base/result.h"

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace mlc {

/// Keys of 32 or of 64 bits.
struct Keys {
  std::vector<uint32_t> narrow;
  std::vector<uint64_t> wide;
};

/// Blocks of keys: fill(i, keys) puts those of block I, in order, into the vector of KEYS that BITS
/// names, from any thread.
struct KeyBlocks {
  size_t blocks = 0;
  int bits = 32;  // of a key: 32 or 64
  std::function<Status(size_t block, Keys& keys)> fill;
};

/// The keys below CUT, and of those equal to it the ones at the positions TIES.
struct Smallest {
  uint64_t cut = 0;
  bool with_cut = false;       // every key that equals CUT too; then TIES is empty
  std::vector<uint64_t> ties;  // counted over all blocks, ascending
  bool like_torch = true;      // among equal keys those that torch.topk takes; else the first
};

/// Which of equal keys are the smallest.
struct TieRules {
  /// Zero keys are told apart, as a mask shows them; else TIES is empty and with_cut set where the
  /// cut is 0.
  bool zeros = false;
  /// Those that torch.topk(largest=True) leaves when it takes all the others; else those that
  /// torch.topk(largest=False) takes.
  bool left_by_largest = false;
  /// Beyond so many keys the first ones.
  uint64_t most_copied = uint64_t{1} << 24U;
};

/// The SMALLEST COUNT of TOTAL keys. Where more keys equal the largest of them than are wanted,
/// they are those of torch.topk on the CPU (which is libstdc++'s partial_sort and nth_element:
/// aten/src/ATen/native/TopKImpl.h). Errors: those of fill(). Requires: 0 < COUNT <= TOTAL.
Result<Smallest> smallest_keys(const KeyBlocks& keys, uint64_t total, uint64_t count,
                               unsigned threads, const TieRules& rules = {});

}  // namespace mlc
