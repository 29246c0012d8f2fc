// What `mlc trace` made, as text and as JSON.
#pragma once

#include "command.h"
#include "mlc/engine/engine.h"
#include "mlc/frontend/exported_program.h"
#include "models/verify_view.h"

#include <cstdint>
#include <string>
#include <vector>

namespace mlc::cli {

struct TraceAnswer {
  std::string model;
  std::string output;
  uint64_t file_bytes = 0;
  std::string method;  // "script", "trace"
  bool frozen = false;
  bool optimized = false;
  bool dry_run = false;
  bool random = false;  // two runs of the source on the same inputs differ
  TraceFacts facts;
  std::vector<NamedDevice> devices;  // that the program named, and that were rewritten
  std::vector<std::string> inputs;   // as --input takes them
  std::vector<ProgramInput> fixed;   // inputs of a .pt2 that its export fixed
  std::vector<std::string> copied;   // extra files of the source
  /// What can be asked of the source and not of the new file.
  std::vector<std::string> lost_methods;
  std::vector<std::string> lost_attributes;
  VerifyAnswer check;  // of the source (A) and the new file (B)
};

void show_trace(const TraceAnswer& answer, Context& context);

/// What a trace decided for good, each place once, with what helps; empty where it decided nothing.
std::string decisions_text(const TraceFacts& facts);

/// Why the file was not written, with what would help. TURNED: the control flow that the failing
/// case takes another way, or empty. Requires: !answer.check.passed().
Error refused_trace(const TraceAnswer& answer, const std::string& turned);

}  // namespace mlc::cli
