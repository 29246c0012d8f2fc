// Reading the weights of a plan: scales, what is not finite, errors.
#include "mlc/base/parallel.h"
#include "mlc/base/sentence_key.h"
#include "mlc/base/text.h"
#include "mlc/compress/float_rows.h"
#include "mlc/compress/quantize_plan.h"
#include "mlc/tensor/float_kernels.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <deque>
#include <mutex>

namespace mlc {
namespace {

// Weights of 1e38 and more have no scale that keeps every code of theirs finite.
const uint32_t kTooLarge = std::bit_cast<uint32_t>(1e38F);
// The first float32 that rounds to an infinite float16.
const uint32_t kBeyondHalf = std::bit_cast<uint32_t>(65520.0F);

/// One weight that is being read by several threads.
struct Reading {
  WeightPlan* weight = nullptr;
  FloatRows rows;
  std::vector<ErrorSums> sums;  // of each piece: added up in order, whichever is ready first
  std::atomic<uint64_t> nans{0};
  std::atomic<uint64_t> infinities{0};
  std::atomic<bool> unfit{false};
};

struct Piece {
  Reading* reading;
  size_t number;
  int64_t begin;
  int64_t end;
};

class Scanner {
 public:
  Scanner(const ScanOptions& options, Reporter& reporter)
      : options_(options), reporter_(reporter) {}

  Status add(const Checkpoint& checkpoint, WeightPlan& weight, Rounding rounding);
  Status run();

 private:
  Status read(const Piece& piece);
  bool check(Reading& reading, std::span<const float> row) const;
  void measure(Reading& reading, int64_t row, const float* weights, ErrorSums& sums) const;
  void finish(Reading& reading) const;

  ScanOptions options_;
  Reporter& reporter_;
  std::deque<Reading> readings_;
  std::vector<Piece> pieces_;
};

Status Scanner::add(const Checkpoint& checkpoint, WeightPlan& weight, Rounding rounding) {
  Reading& reading = readings_.emplace_back();
  reading.weight = &weight;
  MLC_TRY(reading.rows, FloatRows::open(checkpoint, weight.tensor));
  if (weight.scheme.is_integer() && !weight.scanned) {
    const Dims sizes = checkpoint.sizes(checkpoint.tensors[weight.tensor]);
    weight.quantizer = std::make_shared<WeightQuantizer>(weight.scheme, rounding, sizes);
  }
  const int64_t step = reading.rows.rows_a_piece();
  for (int64_t begin = 0; begin < reading.rows.rows(); begin += step) {
    const int64_t end = std::min(begin + step, reading.rows.rows());
    pieces_.push_back({&reading, reading.sums.size(), begin, end});
    reading.sums.emplace_back();
  }
  return {};
}

/// Whether ROW can be quantised; counts what cannot.
bool Scanner::check(Reading& reading, std::span<const float> row) const {
  const uint32_t largest = quant_kernels().largest_bits(row.data(), row.size());
  const bool half = reading.weight->scheme.kind == SchemeKind::fp16;
  if (largest < (half ? kBeyondHalf : kTooLarge)) return true;
  uint64_t nans = 0;
  uint64_t infinities = 0;
  for (const float weight : row) {
    nans += std::isnan(weight) ? 1 : 0;
    infinities += std::isinf(weight) ? 1 : 0;
  }
  reading.nans += nans;
  reading.infinities += infinities;
  if (nans + infinities == 0) reading.unfit = true;
  return false;
}

void Scanner::measure(Reading& reading, int64_t row, const float* weights, ErrorSums& sums) const {
  const WeightPlan& weight = *reading.weight;
  if (weight.quantizer != nullptr) {
    weight.quantizer->measure(row, weights, sums);
    return;
  }
  const auto count = static_cast<size_t>(reading.rows.columns());
  const DType stored = weight.scheme.info().stored;
  thread_local std::vector<std::byte> codes;
  thread_local std::vector<float> values;
  codes.resize(count * element_bytes(stored));
  values.resize(count);
  from_f32_kernel(stored)(reinterpret_cast<const std::byte*>(weights), codes.data(), count);
  to_f32_kernel(stored)(codes.data(), reinterpret_cast<std::byte*>(values.data()), count);
  quant_kernels().compare_values(weights, values.data(), count, sums);
}

Status Scanner::read(const Piece& piece) {
  if (reporter_.interrupted()) return Error(ErrorKind::interrupted, "interrupted");
  Reading& reading = *piece.reading;
  WeightPlan& weight = *reading.weight;
  thread_local std::vector<float> buffer;
  MLC_TRY_CTX(const std::span<const float> floats,
              reading.rows.read(piece.begin, piece.end, buffer),
              "tensor " + sentence_key(weight.names[0]));
  const auto columns = static_cast<size_t>(reading.rows.columns());
  for (int64_t row = piece.begin; row < piece.end; ++row) {
    const auto values = floats.subspan(static_cast<size_t>(row - piece.begin) * columns, columns);
    if (!check(reading, values)) continue;
    if (weight.quantizer != nullptr && !weight.scanned) {
      weight.quantizer->choose(row, values.data());
    }
    if (options_.measure) measure(reading, row, values.data(), reading.sums[piece.number]);
  }
  reporter_.advance(floats.size() * sizeof(float));
  return {};
}

void Scanner::finish(Reading& reading) const {
  WeightPlan& weight = *reading.weight;
  weight.nans = reading.nans;
  weight.infinities = reading.infinities;
  if (weight.nans + weight.infinities > 0 || reading.unfit) {
    weight.kept = weight.nans + weight.infinities > 0 ? Kept::not_finite : Kept::out_of_range;
    weight.scheme = QuantScheme();
    weight.quantizer = nullptr;
    weight.sums.reset();
    return;
  }
  if (weight.quantizer != nullptr && !weight.scanned) weight.quantizer->finish();
  weight.scanned = true;
  if (!options_.measure) return;
  ErrorSums sums;
  for (const ErrorSums& one : reading.sums) sums.add(one);
  weight.sums = sums;
}

Status Scanner::run() {
  uint64_t bytes = 0;
  for (const Reading& reading : readings_) {
    bytes += static_cast<uint64_t>(reading.rows.rows() * reading.rows.columns()) * sizeof(float);
  }
  const ProgressScope progress(reporter_, "reading weights", bytes);
  MLC_CHECK(parallel_for(pieces_.size(), options_.threads,
                         [this](size_t i) { return read(pieces_[i]); }));
  for (Reading& reading : readings_) finish(reading);
  return {};
}

}  // namespace

Status scan_weights(const Checkpoint& checkpoint, QuantizePlan& plan, const ScanOptions& options,
                    Reporter& reporter) {
  Scanner scanner(options, reporter);
  for (WeightPlan& weight : plan.weights) {
    const bool done = weight.scanned && (weight.sums || !options.measure);
    if (!weight.is_quantized() || done) continue;
    MLC_CHECK_CTX(scanner.add(checkpoint, weight, plan.rounding),
                  "tensor " + sentence_key(weight.names[0]));
  }
  return scanner.run();
}

}  // namespace mlc
