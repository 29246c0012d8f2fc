// What `mlc save` is asked for.
#pragma once

#include "cli/option_set.h"
#include "cli/shared_options.h"
#include "files/provenance_options.h"
#include "mlc/checkpoint/save.h"
#include "save/save_steps.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace mlc::cli {

struct SaveRequest {
  std::vector<std::string> inputs;
  SelectOptions select;
  WritingOptions writing;
  std::string format;
  std::string dtype;
  std::string from;
  std::string from_key;
  bool merge = false;
  std::optional<OnConflict> on_conflict;  // not given: error
  bool weights_only = false;
  bool safe = false;
  std::vector<std::string> drop_values;
  bool compact = false;
  std::optional<SharedPolicy> shared;  // not given: dedupe
  uint64_t max_shard_size = 0;
  std::vector<std::string> map_location;
  std::vector<std::string> meta;
  std::vector<std::string> set;
  std::string architecture;
  bool hash_input = false;
};

/// With the checks that need no file.
void add_save_options(OptionSet& set, SaveRequest& options);

/// What the metadata of the output say of the options.
ProvenanceOptions provenance_of(const SaveRequest& options);

}  // namespace mlc::cli
