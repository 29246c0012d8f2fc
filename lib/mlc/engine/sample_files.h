// The files that samples lie in: one, or thousands with a sample each.
//
// No more of them are open at a time than a sample needs, so that neither mappings nor descriptors
// nor what was inflated grow with their number. A file is opened again where it is read again.
#pragma once

#include "mlc/base/reporter.h"
#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"
#include "mlc/onnx_file/onnx_file.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace mlc {

/// What PATH stands for: itself; where it is a folder, the files of tensors in it in natural order.
/// A folder that open_checkpoint() takes, as those of DCP, stays one checkpoint. Errors: not_found
/// for a folder without such files; the others of look_into_folder().
Result<std::vector<std::string>> sample_paths(const std::string& path);

/// A tensor with samples of one input, or with some of them.
struct SampleTensor {
  size_t file = 0;      // of SampleFiles
  uint32_t tensor = 0;  // of its checkpoint
  std::string other;    // its name, where that is not the input's
  DType dtype = DType::f32;
  std::vector<int64_t> sizes;
  int64_t first = 0;  // which row of the input its own first row is
};

/// Const methods are thread-safe; it is not copied, only held by unique_ptr.
class SampleFiles {
 public:
  /// GIVEN as for sample_paths(); MOST_OPEN: files that one sample is made of, at least 1. Errors:
  /// those of sample_paths(); usage for a file that is there twice.
  static Result<std::unique_ptr<SampleFiles>> list(std::span<const std::string> given,
                                                   size_t most_open);

  size_t size() const { return paths_.size(); }
  /// Of file I, for people.
  std::string place(size_t i) const;

  /// For each of INPUTS the tensors that have its name, in the order of the files; where there is
  /// one input and no tensor of its name, the tensors that are alone in their file. `first` is not
  /// set. Errors: those of open_checkpoint(). Its warnings go to REPORTER, alike ones once.
  Result<std::vector<std::vector<SampleTensor>>> find(std::span<const OnnxValue> inputs,
                                                      Reporter& reporter) const;
  /// Whether the bytes of WHERE are whole and can be read. Errors: corrupt, unsupported.
  Status check(const SampleTensor& where) const;
  /// COUNT rows of WHERE from its own row BEGIN on, row-major. Requires: they are there, and WHERE
  /// has dimensions. Errors: those of reading tensors; conflict for a file that was replaced.
  Result<std::string> rows(const SampleTensor& where, int64_t begin, int64_t count) const;

 private:
  using Opened = std::shared_ptr<const Checkpoint>;

  SampleFiles() = default;
  Result<Opened> open(size_t i) const;

  std::vector<std::string> paths_;
  size_t most_open_ = 1;
  mutable std::mutex mutex_;
  mutable std::deque<std::pair<size_t, Opened>> open_;  // the one that was used last in front
};

}  // namespace mlc
