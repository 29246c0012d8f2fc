#include "mlc/engine/calibration_data.h"

#include "mlc/base/checked_math.h"
#include "mlc/base/text.h"
#include "mlc/onnx_file/element_type.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>
#include <optional>
#include <string_view>

namespace mlc {
namespace {

/// "a.npz", "a.npz and 3 more files".
std::string places_of(const SampleFiles& files, std::span<const SampleTensor> parts) {
  const std::string first = files.place(parts.front().file);
  if (parts.size() == 1) return first;
  return first + " and " + plural(parts.size() - 1, "more file", "more files");
}

bool can_follow(const SampleTensor& first, const SampleTensor& other) {
  if (first.dtype != other.dtype || first.sizes.size() != other.sizes.size()) return false;
  const size_t head = first.sizes.empty() ? 0 : 1;
  return std::ranges::equal(std::span(first.sizes).subspan(head),
                            std::span(other.sizes).subspan(head));
}

/// What keeps PARTS from being one tensor; empty where nothing does.
std::string difference_among(const SampleFiles& files, std::span<const SampleTensor> parts) {
  const SampleTensor& first = parts.front();
  const auto other = std::ranges::find_if(
      parts, [&](const SampleTensor& part) { return !can_follow(first, part); });
  if (other == parts.end()) return "";
  return "is " + describe(first.dtype, first.sizes) + " in " + files.place(first.file) + " and " +
         describe(other->dtype, other->sizes) + " in " + files.place(other->file);
}

/// The sizes of PARTS one after the other, each of which learns where it begins. Nothing where they
/// have more rows than can be counted.
std::optional<std::vector<int64_t>> string_together(std::span<SampleTensor> parts) {
  std::vector<int64_t> sizes = parts.front().sizes;
  if (sizes.empty()) return sizes;
  sizes[0] = 0;
  for (SampleTensor& part : parts) {
    part.first = sizes[0];
    const auto sum = checked_add(sizes[0], part.sizes[0]);
    if (!sum) return std::nullopt;
    sizes[0] = *sum;
  }
  return sizes;
}

/// What is wrong with SIZES and DTYPE for INPUT; empty where nothing is.
std::string problem_of(const OnnxValue& input, DType dtype, Dims sizes) {
  const auto wanted = dtype_from_onnx(input.element);
  if (wanted && *wanted != dtype)
    return "is of " + std::string(info(dtype).brief) + ", the input of " +
           std::string(info(*wanted).brief) + ": x.astype(\"" + std::string(info(*wanted).torch) +
           "\") in numpy makes it that";
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

/// The one of PARTS that has ROW. Requires: one does, and all have rows.
std::vector<SampleTensor>::const_iterator part_at(const std::vector<SampleTensor>& parts,
                                                  int64_t row) {
  return std::prev(std::ranges::upper_bound(parts, row, {}, &SampleTensor::first));
}

/// The tensors of one input as what is read of them.
struct Fitted {
  std::string problem;  // why they do not fit; then nothing else is set
  std::string place;    // all of the files
  std::vector<SampleTensor> parts;
  std::vector<int64_t> sizes;  // of a sample
  uint64_t samples = 0;
};

/// Requires: PARTS is not empty.
Fitted fit(const SampleFiles& files, const OnnxValue& input, std::vector<SampleTensor> parts) {
  Fitted out;
  out.place = places_of(files, parts);
  out.problem = difference_among(files, parts);
  if (!out.problem.empty()) return out;
  const DType dtype = parts.front().dtype;
  auto sizes = string_together(parts);
  out.problem = sizes ? problem_of(input, dtype, *sizes) : "has more rows than can be counted";
  if (!out.problem.empty()) {
    out.problem = "in " + out.place + " " + out.problem;
    return out;
  }
  const int64_t rows = input.dims && !input.dims->empty() ? (*input.dims)[0].size.value_or(1) : 1;
  out.samples = static_cast<uint64_t>((*sizes)[0]) / static_cast<uint64_t>(rows);
  out.sizes = std::move(*sizes);
  out.sizes[0] = rows;
  std::erase_if(parts, [](const SampleTensor& part) { return part.sizes[0] == 0; });
  out.parts = std::move(parts);
  return out;
}

Error does_not_fit(std::span<const std::string> problems, size_t files) {
  std::string hint =
      "the first dimension of each tensor counts samples, and its name is that of the input";
  if (files > 1) hint += "; an input in several files has one dtype, and all other sizes agree";
  return usage_error("calibration data: " + join_list(problems), std::move(hint));
}

}  // namespace

Result<CalibrationData> CalibrationData::open(std::span<const std::string> files,
                                              std::span<const OnnxValue> inputs,
                                              Reporter& reporter) {
  CalibrationData out;
  MLC_TRY(out.files_, SampleFiles::list(files, inputs.size()));
  MLC_TRY(auto found, out.files_->find(inputs, reporter));
  std::vector<std::string> problems;
  std::optional<uint64_t> samples;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const OnnxValue& input = inputs[i];
    if (found[i].empty()) {
      problems.push_back("no tensor is named " + quoted(input.name));
      continue;
    }
    for (const SampleTensor& part : found[i]) MLC_CHECK(out.files_->check(part));
    const DType dtype = found[i].front().dtype;
    Fitted fitted = fit(*out.files_, input, std::move(found[i]));
    if (fitted.problem.empty() && samples && *samples != fitted.samples)
      fitted.problem = "in " + fitted.place + " has " + plural(fitted.samples, "sample") +
                       ", others have " + std::to_string(*samples);
    if (!fitted.problem.empty()) {
      problems.push_back(quoted(input.name) + " " + fitted.problem);
      continue;
    }
    samples = fitted.samples;
    out.sources_.push_back({input.name, std::move(fitted.parts), dtype, std::move(fitted.sizes),
                            input.dims && input.dims->empty()});
  }
  if (!problems.empty()) return does_not_fit(problems, out.files_->size());
  out.samples_ = samples.value_or(0);
  if (out.samples_ == 0) return usage_error("calibration data: there are no samples");
  out.warn_of_other_names(reporter);
  out.warn_of_unread(reporter);
  return out;
}

/// Of tensors that stand for the only input by being alone.
void CalibrationData::warn_of_other_names(Reporter& reporter) const {
  const Source& source = sources_.front();
  const SampleTensor& first = source.parts.front();
  if (first.other.empty()) return;
  std::string text = "the samples of input " + quoted(source.input) + " are " +
                     quoted(first.other) + " of " + files_->place(first.file) +
                     ", the only tensor there";
  const size_t others = source.parts.size() - 1;
  if (others > 0) text += ", and so in " + plural(others, "more file", "more files");
  reporter.warn(text);
}

void CalibrationData::warn_of_unread(Reporter& reporter) const {
  std::vector<bool> read(files_->size());
  for (const Source& source : sources_)
    for (const SampleTensor& part : source.parts) read[part.file] = true;
  std::vector<std::string> unread;
  for (size_t i = 0; i < read.size(); ++i)
    if (!read[i]) unread.push_back(files_->place(i));
  if (unread.empty()) return;
  reporter.warn("no samples are taken from " + join_list(unread, 3) +
                ": they are tensors with the name of an input");
}

/// Where SAMPLE begins, as a person finds it; empty where there is one file.
std::string CalibrationData::place_in(const Source& source, uint64_t sample) const {
  if (source.parts.size() < 2) return "";
  const int64_t row = static_cast<int64_t>(sample) * source.sizes[0];
  const SampleTensor& part = *part_at(source.parts, row);
  return " (" + std::to_string(row - part.first) + " of " + files_->place(part.file) + ")";
}

/// The rows of SAMPLE, which may begin in one file and end in another.
Result<std::string> CalibrationData::bytes_of(const Source& source, uint64_t sample) const {
  int64_t row = static_cast<int64_t>(sample) * source.sizes[0];
  int64_t left = source.sizes[0];
  std::string out;
  for (auto part = part_at(source.parts, row); left > 0; ++part) {
    const int64_t begin = row - part->first;
    const int64_t count = std::min(left, part->sizes[0] - begin);
    MLC_TRY_CTX(std::string bytes, files_->rows(*part, begin, count),
                "input " + quoted(source.input));
    out = out.empty() ? std::move(bytes) : out + bytes;
    row += count;
    left -= count;
  }
  return out;
}

Result<std::vector<NamedValue>> CalibrationData::sample(uint64_t i) const {
  std::vector<NamedValue> out;
  for (const Source& source : sources_) {
    MLC_TRY(std::string bytes, bytes_of(source, i));
    if (source.dtype == DType::f32) {
      if (const uint64_t broken = broken_values(bytes); broken > 0)
        return conflict("calibration data: " + quoted(source.input) + " in sample " +
                            std::to_string(i) + place_in(source, i) + " has " +
                            plural(broken, "NaN or infinite value"),
                        "samples count from 0; take it out or find what made it");
    }
    std::vector<int64_t> sizes = source.single ? std::vector<int64_t>() : source.sizes;
    MLC_TRY(HostTensor tensor, make_host_tensor(source.dtype, std::move(sizes), std::move(bytes)));
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
