// The weights of one tensor as pruning sees them: keys to choose by, and what stays.
#pragma once

#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"
#include "mlc/compress/prune_plan.h"
#include "mlc/compress/raw_rows.h"

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace mlc {

/// The views live as long as the checkpoint and the PrunedTensor.
class PruneRows {
 public:
  static Result<PruneRows> open(const Checkpoint& checkpoint, const PrunedTensor& pruned,
                                const PruneRules& rules);

  const RawRows& rows() const { return weights_; }
  /// Pieces of rows that hold whole blocks.
  size_t pieces() const;
  int64_t rows_a_piece() const { return step_; }
  /// The first row of PIECE and the one behind its last.
  std::pair<int64_t, int64_t> range(size_t piece) const;

  /// The keys of what can be pruned in PIECE: of a weight that its mask leaves, a block or a row;
  /// of 32 bits, unless WIDE asks for those of float64. Thread-safe.
  Status keys(size_t piece, bool wide, Keys& out) const;
  /// Which weights of PIECE stay, as PRUNED has it: a 1 or a 0 each. Thread-safe.
  Status keep(size_t piece, std::vector<uint8_t>& out) const;
  /// Which weights of PIECE the mask that came with the tensor leaves. Requires: there is one.
  Status masked(size_t piece, std::vector<uint8_t>& out) const;
  /// The elements of PIECE as they are stored, or, of those that methods have changed, as they will
  /// be.
  Result<Bytes> bytes(size_t piece, std::vector<std::byte>& buffer) const;
  /// The elements of PIECE as they are stored.
  Result<Bytes> stored(size_t piece, std::vector<std::byte>& buffer) const;

 private:
  Status values(size_t piece, std::vector<double>& out) const;
  Status unit_scores(size_t piece, std::vector<double>& out) const;
  void random_keys(size_t piece, size_t count, Keys& out) const;
  Status keep_by_keys(size_t piece, std::vector<uint8_t>& out) const;
  Status keep_n_of_m(size_t piece, std::vector<uint8_t>& out) const;

  const PrunedTensor* pruned_ = nullptr;
  const PruneRules* rules_ = nullptr;
  RawRows weights_;
  std::optional<RawRows> mask_;
  int64_t step_ = 1;
  int64_t inner_ = 1;  // weights between those of neighbouring inputs: kernel height times width
};

}  // namespace mlc
