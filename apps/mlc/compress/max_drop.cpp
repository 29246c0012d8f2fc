#include "compress/max_drop.h"

#include "mlc/base/text.h"
#include "mlc/compress/drop_search.h"
#include "mlc/engine/compare.h"
#include "mlc/engine/match_inputs.h"
#include "mlc/tensor/element_values.h"
#include "mlc/tensor/float_kernels.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

namespace mlc::cli {
namespace {

// What layers are measured alone on: enough for an order.
constexpr int64_t kLayerSamples = 8;
constexpr uint64_t kMostHeld = 256ULL << 20U;  // bytes of outputs of the float model

struct Measured {
  double drop = 0;
  double noise = 0;  // as in LayerDrop
};

/// The float model, its outputs, and what others lose beside it.
class DropMeter {
 public:
  DropMeter(std::unique_ptr<Model> source, const JudgeOptions& samples, const DropWish& wish,
            Reporter& reporter)
      : source_(std::move(source)), samples_(samples), wish_(wish), reporter_(reporter) {}

  Status open();
  Result<Measured> measure(Model& model, int64_t samples);
  const std::optional<RightLabels>& right() const { return right_; }

 private:
  using Values = std::vector<NamedValue>;
  Result<std::shared_ptr<const Values>> wanted(int64_t sample);
  Status find_right();
  Status check_labels(const NamedValue& output) const;
  Result<std::vector<int64_t>> labels_of(uint64_t i) const;
  /// Adds the labels of SAMPLE that OUTPUT tells.
  Status count_right(int64_t sample, const HostTensor& output, RightLabels& sum) const;
  Result<size_t> labelled_output(const Values& outputs) const;
  int64_t labels_a_sample() const {
    return static_cast<int64_t>(wish_.labels->samples()) /
           std::max<int64_t>(1, samples_.samples_there);
  }

  std::unique_ptr<Model> source_;
  const JudgeOptions& samples_;
  const DropWish& wish_;
  Reporter& reporter_;
  std::vector<std::shared_ptr<const Values>> held_;
  uint64_t held_bytes_ = 0;
  std::optional<RightLabels> right_;
};

Status DropMeter::open() {
  held_.resize(static_cast<size_t>(samples_.samples));
  return wish_.goal.of == DropOf::labels ? find_right() : Status();
}

/// What the float model gives for SAMPLE: run once, as long as there is room.
Result<std::shared_ptr<const DropMeter::Values>> DropMeter::wanted(int64_t sample) {
  auto& held = held_[static_cast<size_t>(sample)];
  if (held) return held;
  MLC_TRY(const auto inputs, samples_.inputs(sample));
  Status ran = source_->set_inputs(inputs);
  if (ran.ok()) ran = source_->run();
  if (!ran.ok()) return explain_run_error(std::move(ran).error(), source_->signature(), inputs);
  MLC_TRY(Values outputs, source_->outputs());
  uint64_t bytes = 0;
  for (const NamedValue& one : outputs) bytes += one.tensor.bytes->size();
  const auto made = std::make_shared<const Values>(std::move(outputs));
  if (held_bytes_ + bytes <= kMostHeld) {
    held_bytes_ += bytes;
    held = made;
  }
  return made;
}

/// The labels that belong to sample I of the file.
Result<std::vector<int64_t>> DropMeter::labels_of(uint64_t i) const {
  MLC_TRY(const auto read, wish_.labels->sample(i));
  const Bytes bytes = as_bytes(*read[0].tensor.bytes);
  std::vector<double> values(bytes.size() / element_bytes(wish_.label_dtype));
  load_values(wish_.label_dtype, bytes, values.data());
  return std::vector<int64_t>(values.begin(), values.end());
}

/// The first output with one row of numbers for each label.
Result<size_t> DropMeter::labelled_output(const Values& outputs) const {
  MLC_TRY(const auto labels, labels_of(0));
  const uint64_t all = labels.size() * static_cast<uint64_t>(labels_a_sample());
  for (size_t i = 0; i < outputs.size(); ++i) {
    const HostTensor& one = outputs[i].tensor;
    if (info(one.dtype).kind != DTypeClass::floating || one.sizes.empty() || one.sizes.back() < 2)
      continue;
    const uint64_t count = one.bytes->size() / element_bytes(one.dtype);
    if (count == all * static_cast<uint64_t>(one.sizes.back())) return i;
  }
  return usage_error(fmt::format("no output has a row of numbers for each of {} of a sample",
                                 plural(all, "label")),
                     "--labels has a whole number for each row of an output: the place of the "
                     "largest number");
}

Status DropMeter::count_right(int64_t sample, const HostTensor& output, RightLabels& sum) const {
  const auto classes = static_cast<size_t>(output.sizes.back());
  std::vector<float> values(output.bytes->size() / element_bytes(output.dtype));
  to_f32_kernel(output.dtype)(as_bytes(*output.bytes).data(),
                              reinterpret_cast<std::byte*>(values.data()), values.size());
  size_t row = 0;
  for (int64_t i = 0; i < labels_a_sample(); ++i) {
    MLC_TRY(const auto labels, labels_of(static_cast<uint64_t>(sample * labels_a_sample() + i)));
    for (const int64_t label : labels) {
      const size_t at = row++;
      if (label < 0) continue;  // of what is not to be counted, as PyTorch's ignore_index
      const auto begin = values.begin() + static_cast<std::ptrdiff_t>(at * classes);
      const auto largest = std::max_element(begin, begin + static_cast<std::ptrdiff_t>(classes));
      sum.right += largest - begin == label ? 1 : 0;
      ++sum.all;
    }
  }
  return {};
}

/// All of them, compared or not: a label that OUTPUT cannot give is never told, so nothing could
/// drop.
Status DropMeter::check_labels(const NamedValue& output) const {
  const int64_t classes = output.tensor.sizes.back();
  for (uint64_t i = 0; i < wish_.labels->samples(); ++i) {
    MLC_TRY(const auto labels, labels_of(i));
    for (const int64_t label : labels) {
      if (label < classes) continue;
      return usage_error(fmt::format("--labels has the label {} (number {}), but output {} has {} "
                                     "classes, 0 to {}",
                                     label, i, quoted(output.name), classes, classes - 1),
                         "labels of this model, with the numbers that it was trained on; "
                         "negative ones are not counted");
    }
  }
  return {};
}

/// How many labels the float model tells.
Status DropMeter::find_right() {
  const int64_t there = samples_.samples_there;
  if (there == 0 || static_cast<int64_t>(wish_.labels->samples()) % there != 0)
    return usage_error(fmt::format("there are {} for {}", plural(wish_.labels->samples(), "label"),
                                   plural(static_cast<uint64_t>(there), "sample")));
  RightLabels sum;
  for (int64_t i = 0; i < samples_.samples; ++i) {
    MLC_TRY(const auto outputs, wanted(i));
    MLC_TRY(const size_t output, labelled_output(*outputs));
    if (i == 0) MLC_CHECK(check_labels((*outputs)[output]));
    MLC_CHECK(count_right(i, (*outputs)[output].tensor, sum));
  }
  if (sum.all == 0) return usage_error("no label of --labels is 0 or more");
  right_ = sum;
  return {};
}

/// What is added up over samples.
struct DropSums {
  double least_cosine = 1;
  double noise = 0;
  std::vector<double> top1;
  std::vector<double> ranked;
  RightLabels labels;

  void add(const OutputsComparison& comparison) {
    top1.resize(comparison.outputs.size());
    ranked.resize(comparison.outputs.size());
    for (size_t i = 0; i < comparison.outputs.size(); ++i) {
      const CompareResult& values = comparison.outputs[i].values;
      const bool wrong =
          values.nan_pairs + values.infinite_pairs > 0 || (!values.rel_norm && values.max_abs > 0);
      least_cosine = std::min(least_cosine, values.likeness().value_or(1));
      if (values.rel_norm) noise += *values.rel_norm * *values.rel_norm;
      if (wrong) noise = std::numeric_limits<double>::infinity();
      if (!comparison.outputs[i].top1) continue;
      top1[i] += *comparison.outputs[i].top1;
      ++ranked[i];
    }
  }
  double top1_drop() const {
    double out = 0;
    for (size_t i = 0; i < top1.size(); ++i)
      if (ranked[i] > 0) out = std::max(out, 1 - top1[i] / ranked[i]);
    return out;
  }
};

Result<Measured> DropMeter::measure(Model& model, int64_t samples) {
  DropSums sums;
  const ProgressScope progress(reporter_, "measuring (samples)", static_cast<uint64_t>(samples));
  for (int64_t i = 0; i < samples; ++i) {
    if (reporter_.interrupted()) return Error(ErrorKind::interrupted, "interrupted");
    MLC_TRY(const auto right, wanted(i));
    MLC_TRY(const auto inputs, samples_.inputs(i));
    MLC_CHECK(model.set_inputs(inputs));
    if (Status ran = model.run(); !ran.ok())
      return internal_error("the new model fails: " + ran.error().message());
    MLC_TRY(const auto outputs, model.outputs());
    MLC_TRY(const OutputsComparison comparison, compare_outputs(outputs, *right, {}));
    for (const OutputDifference& one : comparison.outputs) {
      if (!one.problem.empty())
        return internal_error("output " + quoted(one.name) + ": " + one.problem);
    }
    sums.add(comparison);
    reporter_.advance(1);
    if (wish_.goal.of != DropOf::labels) continue;
    MLC_TRY(const size_t output, labelled_output(outputs));
    MLC_CHECK(count_right(i, outputs[output].tensor, sums.labels));
  }
  Measured out;
  out.noise = sums.noise / static_cast<double>(samples);
  switch (wish_.goal.of) {
    case DropOf::cosine:
      out.drop = 1 - sums.least_cosine;
      break;
    case DropOf::top1:
      out.drop = sums.top1_drop();
      break;
    case DropOf::labels:
      out.drop = std::max(0.0, right_.value_or(RightLabels()).share() - sums.labels.share());
      break;
  }
  return out;
}

/// Tries quantised forms of one model.
class DropSeeker {
 public:
  DropSeeker(DropSubject& subject, DropMeter& meter, const JudgeOptions& samples,
             Reporter& reporter)
      : subject_(subject), meter_(meter), samples_(samples), reporter_(reporter) {}

  Status seek(DropAnswer& answer);

 private:
  Result<Measured> measure(const Undone& undone, int64_t samples,
                           std::vector<DropLayer>* layers = nullptr);
  Status rank(DropAnswer& answer);
  Status lower_again(DropAnswer& answer);
  Status leave_blocks(DropAnswer& answer);
  Result<double> undo(size_t count, size_t floats_count, DropAnswer& answer);

  DropSubject& subject_;
  DropMeter& meter_;
  const JudgeOptions& samples_;
  Reporter& reporter_;
  std::vector<std::string> layers_;            // the worst first, once they are ranked
  std::set<std::string, std::less<>> blocks_;  // those of four bits
};

Result<Measured> DropSeeker::measure(const Undone& undone, int64_t samples,
                                     std::vector<DropLayer>* layers) {
  MLC_TRY(const DropTrial trial, subject_.make(undone));
  if (layers != nullptr) *layers = trial.layers;
  return meter_.measure(*trial.model, samples);
}

/// Puts the layers in the order of what each costs alone.
Status DropSeeker::rank(DropAnswer& answer) {
  answer.layer_samples = std::min(samples_.samples, kLayerSamples);
  const ProgressScope progress(reporter_, "measuring each alone (layers)", layers_.size());
  for (const std::string& layer : layers_) {
    Undone others;
    for (const std::string& other : layers_)
      if (other != layer) others.floats.insert(other);
    MLC_TRY_CTX(const Measured found, measure(others, answer.layer_samples),
                "with nothing but " + printable(layer) + " quantised");
    answer.layers.push_back({layer, found.noise});
    reporter_.advance(1);
  }
  std::ranges::stable_sort(answer.layers, std::greater(), &LayerDrop::noise);
  layers_.clear();
  for (const LayerDrop& layer : answer.layers) layers_.push_back(layer.weight);
  return {};
}

/// Makes the FLOATS_COUNT worst layers floats; the COUNT worst of the others that have four bits
/// get eight: what outputs lose then.
Result<double> DropSeeker::undo(size_t count, size_t floats_count, DropAnswer& answer) {
  const auto begin = layers_.begin();
  const auto end_of_floats = begin + static_cast<std::ptrdiff_t>(floats_count);
  std::vector<std::string> floats(begin, end_of_floats);
  std::vector<std::string> bytes;
  for (auto layer = end_of_floats; layer != layers_.end() && bytes.size() < count; ++layer)
    if (blocks_.contains(*layer)) bytes.push_back(*layer);
  const Undone undone{{bytes.begin(), bytes.end()}, {floats.begin(), floats.end()}};
  MLC_TRY(const Measured found, measure(undone, samples_.samples));
  reporter_.advance(1);
  DropRun& run = answer.trail.emplace_back();
  run = {bytes.size(), floats.size(), found.drop};
  reporter_.detail(fmt::format("{} with 8 bits in place of 4, {} in floats: outputs lose {}",
                               run.bytes, run.floats, drop_text(run.drop)));
  const DropRun& best = answer.trail[answer.best];
  // Of those that will do the last one undoes least; of others the one that loses least counts.
  const bool better = found.drop <= answer.goal.limit || found.drop < best.drop;
  if (better) {
    answer.best = answer.trail.size() - 1;
    answer.in_bytes = std::move(bytes);
    answer.in_floats = std::move(floats);
  }
  return found.drop;
}

Status DropSeeker::seek(DropAnswer& answer) {
  std::vector<DropLayer> layers;
  MLC_TRY(const Measured all, measure({}, samples_.samples, &layers));
  answer.trail.push_back({0, 0, all.drop});
  answer.reached = answer.trail.front().drop <= answer.goal.limit;
  if (answer.reached || layers.empty()) return {};
  std::set<std::string, std::less<>> known;
  for (const DropLayer& layer : layers) {
    if (known.insert(layer.weight).second) layers_.push_back(layer.weight);
    if (layer.has_four_bits) blocks_.insert(layer.weight);
  }
  // Something stays quantised, else there is nothing to write.
  const size_t most = blocks_.size() + layers_.size() - 1;
  if (layers_.size() > 1) MLC_CHECK(rank(answer));
  const ProgressScope progress(reporter_, "choosing layers (models)", 0);
  // First the layers of four bits get eight, then all become floats, one after the other.
  MLC_TRY(const DropSearch found, find_least_undone(most, answer.goal.limit, [&](size_t step) {
            const size_t floats = step > blocks_.size() ? step - blocks_.size() : 0;
            return undo(floats > 0 ? blocks_.size() : step, floats, answer);
          }));
  answer.reached = found.undone.has_value();
  if (!answer.reached) return leave_blocks(answer);
  return answer.in_floats.empty() ? Status() : lower_again(answer);
}

/// Eight bits can lose more than four: what goes into a layer has one scale then, where blocks have
/// their own. The worst layers become floats with four bits for all others.
Status DropSeeker::leave_blocks(DropAnswer& answer) {
  if (blocks_.empty()) return {};
  MLC_TRY(const DropSearch found,
          find_least_undone(layers_.size() - 1, answer.goal.limit,
                            [&](size_t floats) { return undo(0, floats, answer); }));
  answer.reached = found.undone.has_value();
  return {};
}

/// With the worst layers in floats others may have four bits after all.
Status DropSeeker::lower_again(DropAnswer& answer) {
  const size_t raised = answer.in_bytes.size();
  const size_t floats = answer.in_floats.size();
  MLC_TRY(const DropSearch found, find_least_undone(raised, answer.goal.limit, [&](size_t step) {
            return undo(step - 1, floats, answer);  // all of them were measured
          }));
  static_cast<void>(found);  // undo() has noted what will do
  return {};
}

}  // namespace

Result<DropWish> read_drop_wish(const QuantizeOnnxOptions& options, Reporter& reporter) {
  DropWish wish;
  wish.goal.of = options.drop_of.value_or(DropOf::cosine);
  MLC_TRY(wish.goal.limit, parse_drop(options.max_drop.value_or("")));
  if (options.labels.empty()) return wish;
  OnnxValue value;
  value.name = "labels";
  wish.goal.of = DropOf::labels;
  std::optional<Error> refused;  // of 64 bits, as PyTorch has them
  for (const DType dtype : {DType::i64, DType::i32, DType::i16, DType::u8, DType::i8}) {
    value.element = info(dtype).onnx;
    auto opened = CalibrationData::open({&options.labels, 1}, {&value, 1}, reporter);
    if (opened.ok()) {
      wish.labels = std::move(*opened);
      wish.label_dtype = dtype;
      return wish;
    }
    if (!refused) refused = std::move(opened).error();
    if (refused->kind() != ErrorKind::usage) break;
  }
  return std::move(*refused).during("--labels, whole numbers");
}

Result<DropAnswer> reach_drop(DropSubject& subject, const JudgeOptions& samples,
                              const DropWish& wish, Reporter& reporter) {
  DropAnswer answer;
  answer.goal = wish.goal;
  answer.samples = samples.samples;
  MLC_TRY(auto source, subject.source());
  DropMeter meter(std::move(source), samples, wish, reporter);
  MLC_CHECK(meter.open());
  answer.right = meter.right();
  MLC_CHECK(DropSeeker(subject, meter, samples, reporter).seek(answer));
  return answer;
}

}  // namespace mlc::cli
