#include "mlc/engine/calibration_data.h"

#include "mlc/base/text.h"
#include "mlc/checkpoint/copy_tensors.h"
#include "mlc/checkpoint/format.h"
#include "mlc/checkpoint/state_dict.h"
#include "mlc/onnx_file/element_type.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <string_view>

namespace mlc {
namespace {

struct Found {
  const Checkpoint* checkpoint = nullptr;
  uint32_t tensor = 0;
  std::string place;   // the file
  std::string name{};  // where it is another one than asked for
};

using Files = std::vector<std::unique_ptr<Checkpoint>>;

std::optional<Found> find(const Files& files, std::span<const std::string> paths,
                          const std::string& name, bool only_input) {
  for (size_t i = 0; i < files.size(); ++i) {
    const auto all = all_tensors(*files[i], files[i]->root);
    const auto named = std::ranges::find(all, name, &NamedTensor::path);
    if (named != all.end()) return Found{files[i].get(), named->tensor, printable(paths[i])};
    if (only_input && all.size() == 1)
      return Found{files[i].get(), all.front().tensor, printable(paths[i]), all.front().path};
  }
  return std::nullopt;
}

/// Another file that has FOUND too, or would stand for the only input: samples are taken from one.
std::optional<std::string> second_place(const Files& files, std::span<const std::string> paths,
                                        const std::string& name, bool only_input,
                                        const Found& found) {
  for (size_t i = 0; i < files.size(); ++i) {
    if (files[i].get() == found.checkpoint) continue;
    const auto all = all_tensors(*files[i], files[i]->root);
    const bool named = std::ranges::find(all, name, &NamedTensor::path) != all.end();
    if (named || (only_input && all.size() == 1)) return printable(paths[i]);
  }
  return std::nullopt;
}

/// What is wrong with SIZES and DTYPE for INPUT; empty where nothing is.
std::string problem_of(const OnnxValue& input, DType dtype, Dims sizes) {
  const auto wanted = dtype_from_onnx(input.element);
  if (wanted && *wanted != dtype)
    return "is of " + std::string(info(dtype).brief) + ", the input of " +
           std::string(info(*wanted).brief);
  if (sizes.empty()) return "is a single number, without a dimension of samples";
  if (!input.dims) return "";
  // Of numbers a sample has one.
  if (input.dims->empty())
    return sizes.size() == 1 ? "" : "has " + plural(sizes.size(), "dimension") + ", of numbers 1";
  if (input.dims->size() != sizes.size())
    return "has " + plural(sizes.size(), "dimension") + ", the input " +
           std::to_string(input.dims->size());
  for (size_t i = 1; i < sizes.size(); ++i) {
    const auto& size = (*input.dims)[i].size;
    if (size && *size != sizes[i])
      return "has the size " + std::to_string(sizes[i]) + " in dimension " + std::to_string(i) +
             ", the input " + std::to_string(*size);
  }
  const auto& rows = (*input.dims)[0].size;
  if (rows && (*rows == 0 || sizes[0] % *rows != 0))
    return "has " + plural(static_cast<uint64_t>(sizes[0]), "sample") + ", the input takes " +
           std::to_string(*rows) + " at once";
  return "";
}

/// Float32 values in BYTES that no network is meant to see: NaN and infinity. Minus infinity is
/// what additive masks of attention have.
uint64_t broken_values(std::string_view bytes) {
  uint64_t out = 0;
  for (size_t at = 0; at + sizeof(float) <= bytes.size(); at += sizeof(float)) {
    float value = 0;
    std::memcpy(&value, bytes.data() + at, sizeof(float));
    out += std::isnan(value) || value == std::numeric_limits<float>::infinity() ? 1 : 0;
  }
  return out;
}

/// The only value that the elements of TENSOR have, as text; empty where they differ.
std::string only_value(const HostTensor& tensor) {
  const std::string& bytes = *tensor.bytes;
  const size_t width = element_bytes(tensor.dtype);
  if (bytes.empty() || width == 0) return "";
  for (size_t at = width; at + width <= bytes.size(); at += width)
    if (std::memcmp(bytes.data(), bytes.data() + at, width) != 0) return "";
  const bool zero = std::ranges::all_of(bytes, [](char byte) { return byte == 0; });
  return zero ? "0" : "one number";
}

bool same_values(std::span<const NamedValue> a, std::span<const NamedValue> b) {
  return std::ranges::equal(a, b, [](const NamedValue& one, const NamedValue& other) {
    return *one.tensor.bytes == *other.tensor.bytes;
  });
}

}  // namespace

Result<CalibrationData> CalibrationData::open(std::span<const std::string> files,
                                              std::span<const OnnxValue> inputs,
                                              Reporter& reporter) {
  CalibrationData out;
  for (const std::string& path : files) {
    MLC_TRY(auto opened, open_checkpoint(path));
    for (const std::string& warning : opened->warnings)
      reporter.warn(printable(path) + ": " + warning);
    out.files_.push_back(std::move(opened));
  }
  std::vector<std::string> problems;
  std::optional<uint64_t> samples;
  for (const OnnxValue& input : inputs) {
    const auto found = find(out.files_, files, input.name, inputs.size() == 1);
    if (!found) {
      problems.push_back("no tensor is named " + quoted(input.name));
      continue;
    }
    if (const auto other =
            second_place(out.files_, files, input.name, inputs.size() == 1, *found)) {
      problems.push_back(quoted(input.name) + " is in " + found->place + " and in " + *other);
      continue;
    }
    const Tensor& tensor = found->checkpoint->tensors[found->tensor];
    if (tensor.storage != kNoIndex) MLC_CHECK(check_storage(*found->checkpoint, tensor.storage));
    MLC_TRY_CTX(const TensorView view, found->checkpoint->view(found->tensor), found->place);
    std::string problem = problem_of(input, view.dtype, view.sizes);
    const int64_t rows = input.dims && !input.dims->empty() ? (*input.dims)[0].size.value_or(1) : 1;
    const uint64_t count =
        problem.empty() ? static_cast<uint64_t>(view.sizes[0]) / static_cast<uint64_t>(rows) : 0;
    if (problem.empty() && samples && *samples != count)
      problem = "has " + plural(count, "sample") + ", others have " + std::to_string(*samples);
    if (!problem.empty()) {
      problems.push_back(quoted(input.name) + " in " + found->place + " " + problem);
      continue;
    }
    if (!found->name.empty())
      reporter.warn("the samples of input " + quoted(input.name) + " are " + quoted(found->name) +
                    " of " + found->place + ", the only tensor there");
    samples = count;
    out.sources_.push_back({input.name, view, rows, input.dims && input.dims->empty()});
  }
  if (!problems.empty())
    return usage_error("calibration data: " + join_list(problems),
                       "the first dimension of each tensor counts samples, and its name is that of "
                       "the input");
  out.samples_ = samples.value_or(0);
  if (out.samples_ == 0) return usage_error("calibration data: there are no samples");
  return out;
}

Result<std::vector<NamedValue>> CalibrationData::sample(uint64_t i) const {
  std::vector<NamedValue> out;
  for (const Source& source : sources_) {
    TensorView view = source.view;
    std::vector<int64_t> sizes(view.sizes.begin(), view.sizes.end());
    sizes[0] = source.rows;
    view.sizes = sizes;
    view.offset += static_cast<int64_t>(i) * source.rows * view.strides[0];
    MLC_TRY_CTX(std::string bytes, contiguous_bytes(view, view.byte_size()),
                "input " + quoted(source.input));
    if (view.dtype == DType::f32) {
      if (const uint64_t broken = broken_values(bytes); broken > 0)
        return conflict("calibration data: " + quoted(source.input) + " in sample " +
                            std::to_string(i) + " has " + plural(broken, "NaN or infinite value"),
                        "samples count from 0; take it out or find what made it");
    }
    if (source.single) sizes.clear();
    MLC_TRY(HostTensor tensor, make_host_tensor(view.dtype, std::move(sizes), std::move(bytes)));
    out.push_back({source.input, std::move(tensor)});
  }
  return out;
}

std::string CalibrationData::sameness() const {
  // What cannot be read is told by who reads it for its values.
  const auto first = sample(0);
  if (!first.ok()) return "";
  for (uint64_t i = 1; i < samples_; ++i) {
    const auto other = sample(i);
    if (!other.ok() || !same_values(*first, *other)) return "";
  }
  std::vector<std::string> parts;
  for (const NamedValue& value : *first) {
    const std::string only = only_value(value.tensor);
    if (only.empty()) break;
    parts.push_back(printable(value.name) + " is " + only);
  }
  const std::string all = "all " + plural(samples_, "sample");
  if (parts.size() == first->size())
    return join_list(parts) + " in " + (samples_ == 1 ? "the only sample" : all);
  return samples_ == 1 ? "" : all + " are the same";
}

}  // namespace mlc
