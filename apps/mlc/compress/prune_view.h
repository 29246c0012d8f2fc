// What `mlc prune` did, as text and as JSON.
#pragma once

#include "files/batch.h"
#include "mlc/checkpoint/checkpoint.h"
#include "mlc/checkpoint/save.h"
#include "mlc/compress/data_pruning.h"
#include "mlc/compress/prune_plan.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace mlc::cli {

/// What samples of inputs did to the choice.
struct DataPruning {
  uint64_t samples = 0;
  PruningGain gain;
};

struct PruneAnswer {
  const Checkpoint& checkpoint;  // the source
  const PrunePlan& plan;
  uint64_t input_bytes = 0;  // of the files that were read
  std::string format;        // "pt", "safetensors"
  SaveReport saved;
  bool keep_masks = false;
  bool dry_run = false;
  std::optional<DataPruning> by_data;
};

/// Of all tensors that were pruned or folded together.
struct PruneTotals {
  uint64_t tensors = 0;
  uint64_t weights = 0;
  uint64_t zeros_before = 0;
  uint64_t zeros_after = 0;
  double energy_before = 0;  // sums of squares
  double energy_after = 0;
};
PruneTotals totals_of(const PrunePlan& plan);
/// What was pruned or folded; what lost most of the sum of its squares first.
std::vector<const PrunedTensor*> worst_first(const PrunePlan& plan);
/// "37 tensors by 32 samples: outputs of their layers 20.8 dB, 11.5 with the smallest gone".
std::string by_data_text(const DataPruning& by_data);
/// "30 %, smallest magnitude, of each tensor".
std::string how_text(const PruneRules& rules);
/// "3 one dimension, 1 excluded": why tensors are left, with their numbers.
std::string left_counts(const PrunePlan& plan);

void show_pruned(const PruneAnswer& answer, FileTask& task);
/// "wrote b.pt: 30.0 % of 85.5 M weights in 73 tensors are zero, 438.0 MB, read back and compared".
std::string pruned_summary(const PruneAnswer& answer, const FileTask& task);

}  // namespace mlc::cli
