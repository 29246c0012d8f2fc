// Samples of real inputs of a model, from files of tensors: .npy, .npz, .pt, .safetensors, ...
//
// Each input of the model has a tensor of its name whose first dimension counts the samples; where
// the model has one input, a file with one tensor needs no name. Several tensors of one name, each
// in a file of its own, are one in the order of the files. A sample is one of the rows, or as many
// as the model takes at once. Tensors stay in the files; a sample is a copy.
#pragma once

#include "mlc/base/reporter.h"
#include "mlc/base/result.h"
#include "mlc/engine/host_tensor.h"
#include "mlc/engine/sample_files.h"
#include "mlc/onnx_file/onnx_file.h"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace mlc {

class CalibrationData {
 public:
  /// FILES may be folders, as sample_paths() reads them; INPUTS are those of the model. Errors:
  /// those of SampleFiles, each with its file; usage for missing names, for dtypes, ranks and sizes
  /// that differ from the input's or among its files (all of them at once) and for no samples.
  static Result<CalibrationData> open(std::span<const std::string> files,
                                      std::span<const OnnxValue> inputs, Reporter& reporter);

  uint64_t samples() const { return samples_; }
  /// Requires: I < samples(). Errors: those of reading tensors; conflict for float32 values that
  /// are NaN or infinite, naming input and sample; minus infinity, which masks have, is none.
  Result<std::vector<NamedValue>> sample(uint64_t i) const;
  /// Why the samples tell of no more than one input: "all 32 samples are the same", "x is 0 in all
  /// 32 samples"; empty where they do. Reads no more samples than it takes to know.
  std::string sameness() const;

 private:
  struct Source {
    std::string input;
    std::vector<SampleTensor> parts;  // none without rows
    DType dtype = DType::f32;
    std::vector<int64_t> sizes;  // of a sample, the rows that it takes first
    bool single = false;         // a number, without a dimension
  };

  void warn_of_other_names(Reporter& reporter) const;
  void warn_of_unread(Reporter& reporter) const;
  std::string place_in(const Source& source, uint64_t sample) const;
  Result<std::string> bytes_of(const Source& source, uint64_t sample) const;

  std::unique_ptr<SampleFiles> files_;
  std::vector<Source> sources_;
  uint64_t samples_ = 0;
};

}  // namespace mlc
