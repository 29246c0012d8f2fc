// What `mlc prune` did, as text and as JSON.
#pragma once

#include "cli/batch.h"
#include "mlc/checkpoint/checkpoint.h"
#include "mlc/checkpoint/save.h"
#include "mlc/compress/prune_plan.h"

#include <cstdint>
#include <string>

namespace mlc::cli {

struct PruneAnswer {
  const Checkpoint& checkpoint;  // the source
  const PrunePlan& plan;
  uint64_t input_bytes = 0;  // of the files that were read
  std::string format;        // "pt", "safetensors"
  SaveReport saved;
  bool keep_masks = false;
  bool dry_run = false;
};

void show_pruned(const PruneAnswer& answer, FileTask& task);
/// "wrote b.pt: 30.0 % of 85.5 M weights in 73 tensors are zero, 438.0 MB, read back and compared".
std::string pruned_summary(const PruneAnswer& answer, const FileTask& task);

}  // namespace mlc::cli
