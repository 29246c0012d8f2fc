#include "compress/onnx_target_size.h"

#include "mlc/base/text.h"
#include "mlc/onnx_write/model_output.h"
#include "mlc/onnx_write/write.h"

#include <algorithm>
#include <optional>
#include <queue>
#include <string>
#include <vector>

namespace mlc::cli {
namespace {

/// What a weight takes and loses in one way.
struct Rung {
  uint64_t bytes = 0;
  double loss = 0;  // noise / signal
};

/// A weight, from its smallest way up to floats.
struct Ladder {
  std::string weight;
  std::vector<Rung> rungs;
  size_t at = 0;
};

struct Step {
  double gain = 0;  // loss that is saved for each byte
  size_t ladder = 0;

  bool operator<(const Step& other) const {  // the best comes first, then the first
    if (gain != other.gain) return gain < other.gain;
    return ladder > other.ladder;
  }
};

Rung rung_of(const onnx::QuantizedLayer& layer) {
  const ErrorSums& sums = layer.facts.sums;
  return {layer.bytes_after, sums.signal > 0 ? sums.noise / sums.signal : 0};
}

class SizeSeeker {
 public:
  SizeSeeker(OnnxQuantizer& quantizer, uint64_t target, const FinishDocument& finish,
             onnx::QuantOptions& how)
      : quantizer_(quantizer), target_(target), finish_(finish), how_(how) {}

  Status seek();

 private:
  Result<uint64_t> size_of(onnx::Document document) const;
  Status measure_bytes();
  std::optional<Step> next_step(size_t ladder) const;
  void climb(uint64_t room);
  void choose();
  Status fit();

  OnnxQuantizer& quantizer_;
  uint64_t target_;
  const FinishDocument& finish_;
  onnx::QuantOptions& how_;
  std::vector<Ladder> ladders_;
  std::vector<size_t> taken_;  // ladders, a step each
};

Result<uint64_t> SizeSeeker::size_of(onnx::Document document) const {
  MLC_CHECK(finish_(document));
  onnx::WriteOptions how;
  how.sidecar = onnx::sidecar_name(quantizer_.beside());
  MLC_TRY(const onnx::ModelFile file, onnx::ModelFile::plan(document.skeleton(), how));
  return file.summary().file_bytes + file.summary().sidecar_bytes;
}

/// What weights of four bits take and lose with eight.
Status SizeSeeker::measure_bytes() {
  onnx::QuantOptions how = how_;
  for (const Ladder& ladder : ladders_) how.bytes.insert(ladder.weight);
  MLC_TRY(const OnnxQuantizer::Made made, quantizer_.make(how));
  for (Ladder& ladder : ladders_) {
    const auto layer =
        std::ranges::find(made.report.layers, ladder.weight, &onnx::QuantizedLayer::weight);
    if (layer == made.report.layers.end() || layer->bytes_after <= ladder.rungs[0].bytes) continue;
    ladder.rungs.insert(ladder.rungs.begin() + 1, rung_of(*layer));
  }
  return {};
}

std::optional<Step> SizeSeeker::next_step(size_t i) const {
  const Ladder& ladder = ladders_[i];
  if (ladder.at + 1 == ladder.rungs.size()) return std::nullopt;
  const Rung& now = ladder.rungs[ladder.at];
  const Rung& next = ladder.rungs[ladder.at + 1];
  const double more =
      std::max(1.0, static_cast<double>(next.bytes) - static_cast<double>(now.bytes));
  return Step{(now.loss - next.loss) / more, i};
}

/// A weight whose next step does not fit stays where it is.
void SizeSeeker::climb(uint64_t room) {
  std::priority_queue<Step> steps;
  const auto push = [&](size_t ladder) {
    if (const auto step = next_step(ladder)) steps.push(*step);
  };
  for (size_t i = 0; i < ladders_.size(); ++i) push(i);
  while (!steps.empty()) {
    const size_t i = steps.top().ladder;
    steps.pop();
    Ladder& ladder = ladders_[i];
    const uint64_t now = ladder.rungs[ladder.at].bytes;
    const uint64_t next = ladder.rungs[ladder.at + 1].bytes;
    const uint64_t more = next > now ? next - now : 0;
    if (more > room) continue;
    room -= more;
    ++ladder.at;
    taken_.push_back(i);
    push(i);
  }
}

void SizeSeeker::choose() {
  how_.bytes.clear();
  how_.floats.clear();
  for (const Ladder& ladder : ladders_) {
    if (ladder.at == 0) continue;
    const bool floats = ladder.at + 1 == ladder.rungs.size();
    (floats ? how_.floats : how_.bytes).insert(ladder.weight);
  }
}

/// Goes back by as many steps as the planned file is too large by, what stands around the weights
/// included.
Status SizeSeeker::fit() {
  for (;;) {
    choose();
    MLC_TRY(OnnxQuantizer::Made made, quantizer_.make(how_));
    MLC_TRY(const uint64_t size, size_of(std::move(made.document)));
    if (size <= target_ || taken_.empty()) return {};
    for (uint64_t saved = 0; saved < size - target_ && !taken_.empty(); taken_.pop_back()) {
      Ladder& ladder = ladders_[taken_.back()];
      saved += ladder.rungs[ladder.at].bytes - ladder.rungs[ladder.at - 1].bytes;
      --ladder.at;
    }
  }
}

Status SizeSeeker::seek() {
  quantizer_.expect_more();
  how_.floats_why = "in floats, for there is room";
  MLC_TRY(OnnxQuantizer::Made least, quantizer_.make(how_));
  MLC_TRY(const uint64_t size, size_of(std::move(least.document)));
  if (size > target_)
    return conflict("the model has " + format_bytes(size) + " (" + format_count(size) +
                        " bytes) at least, not " + format_bytes(target_) + "; nothing was written",
                    onnx::has_blocks(how_.form)
                        ? "a larger --target-size, --min-elements 0, or less that is kept"
                        : "a larger --target-size, or --onnx int4, which has four bits");
  for (const onnx::QuantizedLayer& layer : least.report.layers)
    ladders_.push_back({layer.weight, {rung_of(layer), {layer.bytes_before, 0}}, 0});
  if (onnx::has_blocks(how_.form)) MLC_CHECK(measure_bytes());
  climb(target_ - size);
  return fit();
}

}  // namespace

Status reach_size(OnnxQuantizer& quantizer, uint64_t target, const FinishDocument& finish,
                  onnx::QuantOptions& how) {
  return SizeSeeker(quantizer, target, finish, how).seek();
}

}  // namespace mlc::cli
