// What `mlc prune` is asked for.
#pragma once

#include "cli/option_set.h"
#include "cli/shared_options.h"
#include "compress/deflate_zeros.h"
#include "compress/prune_onnx.h"
#include "files/provenance_options.h"
#include "mlc/base/result.h"
#include "mlc/compress/prune_plan.h"

#include <optional>
#include <string>
#include <vector>

namespace mlc::cli {

enum class PruneWay { magnitude, random, wanda, sparsegpt, channels };

struct PruneRequest {
  std::vector<std::string> inputs;
  std::string key;
  PruneWay method = PruneWay::magnitude;
  std::string amount;
  PruneScope scope = PruneScope::layer;
  std::optional<PruneNorm> norm;
  std::string pattern;
  std::optional<std::string> seed;
  std::vector<std::string> include;
  std::vector<std::string> exclude;
  std::vector<std::string> tensors;
  bool apply_masks = false;
  bool keep_masks = false;
  bool positive_zeros = false;
  bool weights_only = false;
  DeflateZeros compress = DeflateZeros::automatic;
  std::string report;
  std::optional<std::string> min_cosine;
  std::optional<std::string> min_sqnr;
  std::vector<std::string> calib;
  std::string architecture;
  std::string emit_architecture;
  PruneOnnxOptions onnx;
  WritingOptions writing;
};

/// wanda and sparsegpt, which run the model.
bool chooses_by_data(PruneWay method);

/// With the checks that need no file.
void add_prune_options(OptionSet& set, PruneRequest& options);

/// Errors: usage.
Result<PruneRules> prune_rules(const PruneRequest& options);
Result<PruneGates> prune_gates(const PruneRequest& options);

/// What the metadata of the output say of the options. RULES are those of them.
ProvenanceOptions provenance_of(const PruneRequest& options, const PruneRules& rules);

}  // namespace mlc::cli
