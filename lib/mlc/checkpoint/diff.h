// What sets two checkpoints apart: keys, shapes, types and values of their tensors, whatever the
// formats are.
//
// Both stay as they are and are only borrowed. Tensor bytes are read where names, shapes and types
// leave the question open: once where they are equal, twice where they are not.
#pragma once

#include "mlc/base/reporter.h"
#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"
#include "mlc/checkpoint/state_dict.h"
#include "mlc/tensor/compare.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlc {

enum class DiffKind : uint8_t {
  only_in_a,
  only_in_b,
  key_type,  // a text on one side, a number or another object that prints alike on the other
  layout,    // dense against sparse, quantized, meta, ...
  shape,
  dtype,
  value,
  uncompared,  // of a kind whose values mlc cannot compare: not known to be equal
};

/// "only_in_a", "key_type", ...: stable names, as --json prints them.
std::string_view diff_kind_name(DiffKind kind);

/// One per key at most: the first kind, in the order above, that applies.
struct Difference {
  DiffKind kind = DiffKind::value;
  std::string key;
  uint32_t a = kNoIndex;                // in Checkpoint::tensors of A; kNoIndex: only in B
  uint32_t b = kNoIndex;                // likewise
  std::optional<CompareResult> values;  // of dtype and value, where elements were compared
  std::string reason;                   // of value and uncompared, where there is one; may be empty
};

enum class DiffDepth : uint8_t {
  keys,
  layouts,  // shapes and types too; reads no tensor
  values,
};

struct DiffOptions {
  DiffDepth depth = DiffDepth::values;
  Tolerance tolerance = {.atol = 0, .rtol = 0, .equal_nan = true};
  bool ignore_dtype = false;  // types may differ; values are compared all the same
  unsigned threads = 1;
};

struct DiffReport {
  /// Those with a key of A in its order, then the keys that only B has.
  std::vector<Difference> differences;
  uint64_t common = 0;          // keys in both
  uint64_t bytes = 0;           // stored of the tensors of A under them; tied ones count once
  uint64_t without_values = 0;  // common keys of two meta tensors, which have none to compare
  uint64_t value_equal = 0;     // equal in value but not in bytes: -0 and 0, NaNs, within tolerance
  /// Groups of common keys that use one storage on one side only. No difference of values.
  std::vector<std::vector<std::string>> shared_in_a;
  std::vector<std::vector<std::string>> shared_in_b;
  /// Common keys of which one side is a Parameter or has requires_grad, the other not. No
  /// difference of values.
  std::vector<std::string> other_autograd;

  bool equal() const { return differences.empty(); }
  uint64_t count(DiffKind kind) const;
};

/// Compares the tensors of equal names. The order of keys, requires_grad, Parameters against
/// tensors, strides and devices do not count. Progress in bytes of A. The answer does not depend on
/// the number of threads. Errors: those of Checkpoint::view() with the tensor and the file,
/// interrupted.
Result<DiffReport> diff_tensors(const Checkpoint& a, const std::vector<NamedTensor>& tensors_a,
                                const Checkpoint& b, const std::vector<NamedTensor>& tensors_b,
                                const DiffOptions& options, Reporter& reporter);

/// Orders DIFFERENCES by how far tensors moved, the farthest first: by rel_norm, those that left
/// zero before all others. What has no values to compare comes before them, in the order it had.
void sort_by_movement(std::vector<Difference>& differences);

/// "dense", "meta", "sparse_coo", ...
std::string layout_name(const Checkpoint& checkpoint, const Tensor& tensor);

}  // namespace mlc
