// What `mlc run` shows: what went in, what came out, and what is wrong with it.
#pragma once

#include "command.h"
#include "mlc/engine/engine.h"
#include "mlc/tensor/stats.h"

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace mlc::cli {

struct RunInput {
  std::string name;
  std::string source;  // "random", or the file
  std::string made;    // for people: "random from 0 to 9, seed 0", "1 everywhere", "from x.npy"
  HostTensor tensor;
  std::optional<DType> cast_to;  // by --dtype
};

struct RunOutput {
  NamedValue value;
  TensorStats stats;
};

struct RunAnswer {
  std::string model;
  std::string engine;  // "LibTorch 2.13.0"
  std::string device;
  std::string dtype;  // of --dtype, or empty
  unsigned threads = 1;
  uint64_t seed = 0;
  std::vector<RunInput> inputs;
  std::vector<RunOutput> outputs;
  std::vector<NamedText> texts;  // outputs that are no tensors
  std::string file;              // that was written, or empty
  uint64_t file_size = 0;
};

/// With the statistics of each.
Result<std::vector<RunOutput>> examine(std::vector<NamedValue> values, unsigned threads);
/// Says which outputs hold NaN or infinite values.
void warn_of_odd_values(std::span<const RunOutput> outputs, Reporter& reporter);

void show_run(const RunAnswer& answer, Context& context);

}  // namespace mlc::cli
