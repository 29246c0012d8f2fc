// What `mlc prune --method channels` made of an ONNX model, as text and as JSON.
#pragma once

#include "compress/judge_models.h"
#include "files/batch.h"
#include "mlc/onnx_prune/choose.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace mlc::cli {

struct PruneOnnxAnswer : Judgement {
  onnx::ChannelRules rules;
  onnx::ChannelPlan plan;
  uint64_t input_bytes = 0;
  uint64_t file_bytes = 0;
  uint64_t sidecar_bytes = 0;
  uint64_t weights_before = 0;  // elements of all initializers
  uint64_t weights_after = 0;
  std::string architecture;  // where the new YAML is; empty: nowhere
  std::string tied;          // tied_text() of a checkpoint
  bool only_groups = false;  // --list-groups
  bool dry_run = false;
  /// The worst SQNR of the outputs beside those of the whole model with these channels unread;
  /// nothing where all are exact.
  std::optional<double> equal_db;
  // Of --calib:
  uint64_t calibrated_on = 0;  // samples; 0: there is none
  size_t compensated = 0;      // weights
  size_t restated = 0;         // batch norms
  double rebuilt = 0;          // share of the mean squares of channels that went
};

/// What there is to tell, as rows of a label and a text that is not printable() yet.
std::vector<std::vector<std::string>> pruned_onnx_facts(const PruneOnnxAnswer& answer,
                                                        const FileTask& task);
/// How many channels of GROUP go, and why others stay: "dead", "8 at a time", "stays: ...".
uint64_t gone_channels(const onnx::ChannelGroup& group);
std::string state_text(const onnx::ChannelGroup& group);

void show_pruned_onnx(PruneOnnxAnswer& answer, FileTask& task);
/// "wrote out.onnx: 2,400 of 4,800 channels taken away, 12.4 MB".
std::string pruned_onnx_summary(const PruneOnnxAnswer& answer, const FileTask& task);

}  // namespace mlc::cli
