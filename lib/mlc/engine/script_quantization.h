// A model whose layers compute with bytes, as TorchScript, and what the layers of a model are
// given: what is asked for, and what comes out. Plain data, because it crosses into the module.
#pragma once

#include "mlc/base/result.h"
#include "mlc/engine/host_tensor.h"

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace mlc {

/// COUNT samples of inputs; AT gives those of sample I, which set_inputs() takes.
struct SampleSource {
  uint64_t count = 0;
  std::function<Result<std::vector<NamedValue>>(uint64_t)> at;
};

/// value = scale * (code - zero_point), codes 0 to 255.
struct ActivationScale {
  double scale = 1;
  int64_t zero_point = 0;
};

struct ScriptQuantOptions {
  /// Weights and activations of convolutions too, with the ranges that activations have in SAMPLES;
  /// else the activations of linear layers find their range in each run.
  bool with_ranges = false;
  bool embeddings = true;
  bool reduce_range = false;                       // activations of 7 bits, which saturate nowhere
  int64_t min_elements = 4096;                     // weights with fewer stay
  std::function<bool(const std::string&)> wanted;  // by the name of a weight; empty: all
  // Of with_ranges; an activation has the same ID in every call on a model, whatever is wanted:
  SampleSource samples;
  /// Whether an earlier call has given the values of activation ID: they are not given again, and
  /// samples are not run where that holds for all. Empty: no.
  std::function<bool(size_t id)> is_known;
  /// Is given the values of activation ID for every sample.
  std::function<Status(size_t id, std::span<const float>)> observe;
  /// Is asked once for each activation afterwards.
  std::function<Result<ActivationScale>(size_t id)> scale_of;
};

struct ScriptLayer {
  std::string weight;  // its name in the state_dict, as far as the file tells
  std::string op;      // that computes with it now: "quantized::linear_dynamic"
  std::string scheme;  // "int8", "uint8 table"
  std::vector<int64_t> sizes;
  uint64_t bytes_before = 0;
  uint64_t bytes_after = 0;  // with scales and zero points
  double signal = 0;         // sums of squares of the weights and of their errors
  double noise = 0;
  double max_error = 0;
};

struct ScriptKept {
  std::string weight;
  std::string reason;  // "aten::lstm reads it"
  uint64_t bytes = 0;
};

struct ScriptQuantReport {
  std::vector<ScriptLayer> layers;  // in the order of the program
  std::vector<ScriptKept> kept;
  std::string backend;  // the engine of LibTorch that multiplies bytes: "x86"
};

/// What is multiplied with some weights: the rows of all calls in all samples.
struct LayerInput {
  std::vector<std::string> weights;  // names in the state_dict
  int64_t columns = 0;               // of a weight as [rows, columns]
  uint64_t rows = 0;
  std::vector<double> sum_abs;     // of each column
  std::vector<double> sum_square;  // of each column
  std::vector<double> max_abs;     // of each column
  std::vector<float> gram;         // X^T X as [columns, columns], where it was asked for
};

struct LayerInputRequest {
  bool gram = false;
  std::function<bool(const std::string&)> wanted;  // by the name of a weight; empty: all
  SampleSource samples;
};

}  // namespace mlc
