// The common course of strip-module-prefix and remap-keys for one file: open, plan, show or carry
// out, write by the cheapest way that is right.
#pragma once

#include "cli/shared_options.h"
#include "files/batch.h"
#include "files/provenance_options.h"
#include "mlc/keys/plan.h"

#include <functional>
#include <span>
#include <string>

namespace mlc::cli {

struct KeyEdit {
  std::string verb;  // "remap-keys"; the schema is mlc.VERB/1
  std::string key;   // --key; "*" means every state_dict of the file
  const WritingOptions& writing;
  std::function<Result<Plan>(std::span<const KeyInfo>)> make_plan;
  ProvenanceOptions provenance;
  bool require_change = false;  // nothing changes: exit code 1, no output
  bool skip_unchanged = false;  // write no output if nothing changes
  bool strict = false;          // an architecture in the metadata has to fit the new keys
  bool by_rules = false;        // the user wrote them: one that misses the state_dict is a mistake
  unsigned threads = 1;
  /// Called with each plan before anything is written; may be empty (--emit-inverse).
  std::function<Status(const Plan&)> inspect;
};

Result<FileReport> edit_keys(FileTask& task, const KeyEdit& edit);

}  // namespace mlc::cli
