// `mlc prune --method channels` of ONNX models: smaller tensors, proven by running them.
#pragma once

#include "cli/option_set.h"
#include "cli/shared_options.h"
#include "compress/prune_onnx_view.h"
#include "files/batch.h"
#include "files/provenance_options.h"
#include "mlc/onnx_edit/document.h"
#include "mlc/onnx_prune/choose.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace mlc::cli {

struct PruneOnnxOptions {
  bool list_groups = false;
  int64_t round_to = 1;
  std::vector<std::string> inputs;
  int64_t seed = 0;
  int64_t samples = 0;  // 0: 4 random ones, or 64 of --calib
  std::vector<std::string> calib;
  bool require_speedup = false;
  bool verify = false;
  bool no_verify = false;

  /// Whether any of them was given.
  bool any() const;
};

void add_prune_onnx_options(OptionSet& set, PruneOnnxOptions& options);

/// How near the result must be to what it was made of.
struct PruneGates {
  std::optional<double> min_cosine;
  std::optional<double> min_sqnr;  // dB

  bool any() const { return min_cosine || min_sqnr; }
};

/// What the ONNX model is only a picture of: a model in another form, which gets what was decided.
class ChannelHost {
 public:
  virtual ~ChannelHost() = default;
  /// Where the picture can be read, as long as this lives.
  virtual const std::string& onnx_path() const = 0;
  virtual uint64_t input_bytes() const = 0;
  /// Inputs to compare with where nobody gives others.
  virtual const std::vector<InputSpec>& inputs() const = 0;
  virtual onnx::KeptAxes kept_axes(const onnx::Document& whole) = 0;
  /// Makes channels stay whose number the host cannot state.
  virtual void restrict(const onnx::Document& whole, const onnx::ValueAxes& values,
                        onnx::ChannelGraph& graph) = 0;
  /// The host without the channels that are GONE: SMALL is the picture of it, UNREAD the whole one
  /// in which nobody reads them. Compares both before anything has its name.
  virtual Status write(const onnx::Document& unread, const onnx::Document& small,
                       PruneOnnxAnswer& answer) = 0;
};

/// The options of checkpoints that count for ONNX models too.
struct PruneOnnxShared {
  onnx::ChannelRules rules;
  PruneGates gates;
  WritingOptions writing;
  std::string report;  // an HTML page; empty: none
  ChannelHost* host = nullptr;
};

/// What OPTIONS and SHARED say of the channels that go, for the metadata of what is written.
void add_channel_options(const PruneOnnxOptions& options, const PruneOnnxShared& shared,
                         ProvenanceOptions& out);

/// Gives ANSWER the times of PAIR, a host before and after in the engine that runs it, where they
/// were measured. Error: conflict where OPTIONS ask for a speedup and there is none; otherwise that
/// is a warning.
Status take_speed(const Judgement& pair, const PruneOnnxOptions& options, PruneOnnxAnswer& answer,
                  Reporter& reporter);

/// Takes channels away from the model of TASK. Errors: those of Document::open(), find_channels()
/// and plan_channels(); conflict for a quantised model, where no channel can go, with the
/// reasons, and where a gate is not met; then, and where the result does not compute what the rest
/// of the model does, nothing is written.
Result<FileReport> prune_onnx(FileTask& task, const PruneOnnxOptions& options,
                              const PruneOnnxShared& shared);

}  // namespace mlc::cli
