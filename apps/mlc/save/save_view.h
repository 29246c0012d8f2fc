// What `mlc save` shows of what it wrote, or would write.
#pragma once

#include "files/batch.h"
#include "files/cast_log.h"
#include "mlc/checkpoint/save.h"
#include "save/save_options.h"
#include "save/take_from.h"

#include <string>
#include <vector>

namespace mlc::cli {

/// What became of one input.
struct SaveOutcome {
  OutputFormat format;
  const SaveReport& report;
  const CastLog& casts;
  const std::vector<std::string>& dropped;         // by --weights-only and --safe
  const std::vector<std::string>& dropped_values;  // by --drop-values
  const Migration* migration = nullptr;            // of --from
};

/// The answer mlc.save/1.
void save_json(FileTask& task, const SaveRequest& request, const SaveOutcome& outcome);

/// The table of a dry run: TENSORS as they would be written.
void show_plan(const Checkpoint& checkpoint, const std::vector<NamedTensor>& tensors,
               FileTask& task);

}  // namespace mlc::cli
