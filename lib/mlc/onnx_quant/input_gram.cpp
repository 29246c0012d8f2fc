#include "mlc/onnx_quant/input_gram.h"

#include "mlc/base/parallel.h"
#include "mlc/base/text.h"
#include "mlc/onnx_quant/activation_floats.h"
#include "mlc/onnx_quant/run_samples.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <deque>

#define MLC_INLINE inline __attribute__((always_inline))
// Vectors wider than the baseline's are passed between functions that are always inlined.
#pragma GCC diagnostic ignored "-Wpsabi"

namespace mlc::onnx {
namespace {

constexpr size_t kWidth = InputGram::Panels::kWidth;
constexpr size_t kHeight = 4;   // rows of a tile of sums that registers hold
constexpr size_t kStrip = 256;  // rows of X at a time: two panels of them stay in the first cache

using Floats = float __attribute__((vector_size(32)));  // whatever the processor has for them
constexpr size_t kLanes = sizeof(Floats) / sizeof(float);

MLC_INLINE Floats load(const float* from) {
  Floats out;
  std::memcpy(&out, from, sizeof out);
  return out;
}

/// A[i] * B[j] summed up over COUNT rows of two panels, for kHeight values of i from FIRST on and
/// all j: TO, row-major, gets it.
MLC_INLINE void tile_of(const float* a, const float* b, size_t count, size_t first, float* to) {
  Floats sums[kHeight][kWidth / kLanes] = {};
  for (size_t row = 0; row < count; ++row) {
    for (size_t i = 0; i < kHeight; ++i) {
      const Floats factor = Floats{} + a[row * kWidth + first + i];
      for (size_t j = 0; j < kWidth / kLanes; ++j)
        sums[i][j] += factor * load(b + row * kWidth + j * kLanes);
    }
  }
  std::memcpy(to, sums, sizeof sums);
}

// One function for each instruction set; without FMA, so that both give the same bits.
void tile_portable(const float* a, const float* b, size_t count, size_t first, float* to) {
  tile_of(a, b, count, first, to);
}
#if defined(__x86_64__)
__attribute__((target("avx2"))) void tile_avx2(const float* a, const float* b, size_t count,
                                               size_t first, float* to) {
  tile_of(a, b, count, first, to);
}
#endif

using Tile = void (*)(const float*, const float*, size_t, size_t, float*);
/// That of this processor.
Tile best_tile() {
#if defined(__x86_64__)
  static const bool has_avx2 = __builtin_cpu_supports("avx2") != 0;
  if (has_avx2) return tile_avx2;
#endif
  return tile_portable;
}

/// What is done with a value of a sample: the gram that it belongs to.
struct Share {
  size_t gram;
  InputGram::Panels panels;
};

/// Adds what one sample has of activations to GRAMS.
class SampleAdder {
 public:
  SampleAdder(std::span<const GramSource> sources, std::vector<InputGram>& grams, unsigned threads)
      : sources_(sources), grams_(grams), threads_(threads) {}

  Status add(std::span<const NamedValue> values);

 private:
  Status take(const NamedValue& value, std::deque<Share>& to);

  std::span<const GramSource> sources_;
  std::vector<InputGram>& grams_;
  unsigned threads_;
  std::vector<float> buffer_;
};

/// VALUE as panels, once for each gram that it belongs to: nearly always one.
Status SampleAdder::take(const NamedValue& value, std::deque<Share>& to) {
  for (size_t i = 0; i < sources_.size(); ++i) {
    const auto& names = sources_[i].activations;
    if (std::ranges::find(names, value.name) == names.end()) continue;
    MLC_TRY(const std::span<const float> floats, floats_of(value, buffer_));
    if (floats.empty()) continue;
    const auto& sizes = value.tensor.sizes;
    if (sizes.empty() || static_cast<size_t>(sizes.back()) != sources_[i].channels)
      return unsupported("activation " + mlc::quoted(value.name) +
                         " has not as many channels as the weight that it is multiplied with");
    to.push_back({i, InputGram::Panels(floats, sources_[i].channels)});
  }
  return {};
}

Status SampleAdder::add(std::span<const NamedValue> values) {
  std::deque<Share> shares;
  for (const NamedValue& value : values) MLC_CHECK(take(value, shares));
  // Each part of a gram is one thread's, which adds the activations in their order.
  std::vector<std::pair<size_t, size_t>> parts;  // gram, part; the long ones first
  for (size_t i = 0; i < grams_.size(); ++i) {
    if (std::ranges::none_of(shares, [&](const Share& share) { return share.gram == i; })) continue;
    for (size_t part = grams_[i].parts(); part-- > 0;) parts.emplace_back(i, part);
  }
  MLC_CHECK(parallel_for(parts.size(), threads_, [&](size_t k) -> Status {
    for (const Share& share : shares) {
      if (share.gram == parts[k].first) grams_[share.gram].add_part(share.panels, parts[k].second);
    }
    return {};
  }));
  for (const Share& share : shares) grams_[share.gram].count(share.panels);
  return {};
}

}  // namespace

InputGram::Panels::Panels(std::span<const float> values, size_t channels)
    : rows_(values.size() / channels),
      values_((channels + kWidth - 1) / kWidth * kWidth * rows_, 0.0F) {
  for (size_t row = 0; row < rows_; ++row) {
    const float* const from = values.data() + row * channels;
    for (size_t begin = 0; begin < channels; begin += kWidth) {
      std::copy_n(from + begin, std::min(kWidth, channels - begin),
                  values_.data() + begin * rows_ + row * kWidth);
    }
  }
}

void InputGram::add_part(const Panels& rows, size_t part) {
  const size_t first = part * kWidth;
  const size_t height = std::min(kWidth, channels_ - first);
  const Tile make_tile = best_tile();
  float tile[kHeight * kWidth];
  for (size_t begin = 0; begin < rows.rows(); begin += kStrip) {
    const size_t count = std::min(kStrip, rows.rows() - begin);
    const float* const a = rows.panel(part) + begin * kWidth;
    for (size_t other = 0; other <= part; ++other) {
      const float* const b = rows.panel(other) + begin * kWidth;
      const size_t width = std::min(kWidth, channels_ - other * kWidth);
      for (size_t i = 0; i < height; i += kHeight) {
        make_tile(a, b, count, i, tile);
        for (size_t k = 0; k < std::min(kHeight, height - i); ++k) {
          float* const to = sums_.data() + (first + i + k) * channels_ + other * kWidth;
          for (size_t j = 0; j < width; ++j) to[j] += tile[k * kWidth + j];
        }
      }
    }
  }
}

void InputGram::finish() {
  for (size_t i = 0; i < channels_; ++i) {
    for (size_t j = i + 1; j < channels_; ++j) sums_[i * channels_ + j] = sums_[j * channels_ + i];
  }
}

std::vector<double> InputGram::squares() const {
  std::vector<double> out(channels_);
  for (size_t i = 0; i < channels_; ++i) out[i] = sums_[i * channels_ + i];
  return out;
}

Result<std::vector<InputGram>> input_grams(mlc::Model& model, const CalibrationData& data,
                                           std::span<const GramSource> sources, unsigned threads,
                                           Reporter& reporter) {
  std::vector<InputGram> grams;
  for (const GramSource& source : sources) grams.emplace_back(source.channels);
  SampleAdder adder(sources, grams, threads);
  MLC_CHECK(run_samples(model, data, "looking at inputs of layers (samples)", reporter,
                        [&](std::span<const NamedValue> values) { return adder.add(values); }));
  for (size_t i = 0; i < grams.size(); ++i) {
    grams[i].finish();
    if (std::ranges::all_of(grams[i].squares(), [](double sum) { return std::isfinite(sum); }))
      continue;
    const auto& names = sources[i].activations;
    return conflict(
        "activation " + mlc::quoted(names.front()) +
        (names.size() > 1 ? ", or another that the same weight is multiplied with," : "") +
        " has values that are not finite");
  }
  return grams;
}

}  // namespace mlc::onnx
