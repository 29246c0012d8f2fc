// Reading the weights of a plan: scales, what is not finite, errors.
#include "mlc/base/parallel.h"
#include "mlc/base/sentence_key.h"
#include "mlc/base/text.h"
#include "mlc/compress/double_rows.h"
#include "mlc/compress/float_rows.h"
#include "mlc/compress/quantize_plan.h"
#include "mlc/tensor/float_kernels.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <deque>
#include <mutex>
#include <optional>

namespace mlc {
namespace {

/// The first float32 that is too large for SCHEME, as bits.
uint32_t first_too_large(SchemeKind scheme) {
  switch (scheme) {
    case SchemeKind::fp16:
      return std::bit_cast<uint32_t>(65520.0F);  // rounds to an infinite float16
    case SchemeKind::bf16:
      return 0x7F7F8000;  // to an infinite bfloat16
    default:
      return std::bit_cast<uint32_t>(1e38F);  // no scale keeps all codes of theirs finite
  }
}

/// Whether nothing is left of weights of which LARGEST, not 0, is the largest magnitude.
bool vanishes(SchemeKind scheme, double largest) {
  switch (scheme) {
    case SchemeKind::fp16:
      return largest <= 0x1p-25;  // half of the smallest float16
    case SchemeKind::bf16:
      return largest <= 0x1p-134;
    default:
      return largest < 0x1p-119;  // an int8 scale of theirs is no normal float32
  }
}

/// The first float32 that is infinite as STORED, as what codes stand for becomes when it is made
/// floats again; nothing for wider types.
std::optional<float> first_infinite(DType stored) {
  if (stored == DType::f16) return std::bit_cast<float>(first_too_large(SchemeKind::fp16));
  if (stored == DType::bf16) return std::bit_cast<float>(first_too_large(SchemeKind::bf16));
  return std::nullopt;
}

/// One weight that is being read by several threads.
struct Reading {
  WeightPlan* weight = nullptr;
  FloatRows rows;
  std::optional<DoubleRows> doubles;  // of float64
  std::optional<float> infinite;      // first_infinite() of what it is stored as
  std::vector<ErrorSums> sums;        // of each piece: added up in order, whichever is ready first
  std::atomic<uint64_t> nans{0};
  std::atomic<uint64_t> infinities{0};
  std::atomic<bool> unfit{false};
  std::atomic<uint64_t> largest{0};  // magnitude of what is finite, as the bits of a float64
};

/// A row as float32 and, of float64, as it is; else `doubles` is empty.
struct Row {
  int64_t number;
  std::span<const float> floats;
  std::span<const double> doubles;
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
  bool check(Reading& reading, const Row& row) const;
  bool comes_back(const Reading& reading, const Row& row) const;
  void measure(Reading& reading, const Row& row, ErrorSums& sums) const;
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
  MLC_TRY(reading.doubles, DoubleRows::open(checkpoint, weight.tensor));
  if (weight.scheme.is_integer() && !weight.scanned) {
    const Dims sizes = checkpoint.sizes(checkpoint.tensors[weight.tensor]);
    weight.quantizer = std::make_shared<WeightQuantizer>(weight.scheme, rounding, sizes);
    weight.may_have_input_scale =
        rounding == Rounding::awq && weight.scheme.kind == SchemeKind::int4;
  }
  reading.infinite = first_infinite(checkpoint.tensors[weight.tensor].dtype);
  const int64_t step = reading.rows.rows_a_piece();
  for (int64_t begin = 0; begin < reading.rows.rows(); begin += step) {
    const int64_t end = std::min(begin + step, reading.rows.rows());
    pieces_.push_back({&reading, reading.sums.size(), begin, end});
    reading.sums.emplace_back();
  }
  return {};
}

template <class Float>
void count_not_finite(Reading& reading, std::span<const Float> row) {
  uint64_t nans = 0;
  uint64_t infinities = 0;
  for (const Float weight : row) {
    nans += std::isnan(weight) ? 1 : 0;
    infinities += std::isinf(weight) ? 1 : 0;
  }
  reading.nans += nans;
  reading.infinities += infinities;
  if (nans + infinities == 0) reading.unfit = true;
}

/// Whether ROW can be quantised; counts what cannot.
bool Scanner::check(Reading& reading, const Row& row) const {
  const uint32_t bits = quant_kernels().largest_bits(row.floats.data(), row.floats.size());
  if (bits >= first_too_large(reading.weight->scheme.kind)) {
    // Finite float64 beyond float32 are infinite as float32.
    if (reading.doubles) {
      count_not_finite(reading, row.doubles);
    } else {
      count_not_finite(reading, row.floats);
    }
    return false;
  }
  auto largest = static_cast<double>(std::bit_cast<float>(bits));
  for (const double weight : row.doubles) largest = std::max(largest, std::abs(weight));
  const auto found = std::bit_cast<uint64_t>(largest);
  uint64_t known = reading.largest.load(std::memory_order_relaxed);
  while (found > known && !reading.largest.compare_exchange_weak(known, found)) {
  }
  return true;
}

/// Whether all that the codes of ROW stand for is finite in the type that its weights have: rounded
/// scales and zero points reach further than weights do.
bool Scanner::comes_back(const Reading& reading, const Row& row) const {
  constexpr float kFarthest = 2;  // no rounding to the nearest code doubles a weight of the largest
  if (!reading.infinite) return true;
  const WeightQuantizer& quantizer = *reading.weight->quantizer;
  const bool nearest = !quantizer.has_given_codes() && quantizer.input_scale().empty();
  const auto largest = static_cast<float>(std::bit_cast<double>(reading.largest.load()));
  if (nearest && largest * kFarthest < *reading.infinite) return true;
  thread_local std::vector<float> values;
  values.resize(row.floats.size());
  quantizer.decoded(row.number, row.floats.data(), values.data());
  return std::ranges::all_of(values,
                             [&](float value) { return std::abs(value) < *reading.infinite; });
}

void Scanner::measure(Reading& reading, const Row& row, ErrorSums& sums) const {
  const WeightPlan& weight = *reading.weight;
  const float* const weights = row.floats.data();
  const bool exact = row.doubles.empty();
  if (exact && weight.quantizer != nullptr) {
    weight.quantizer->measure(row.number, weights, sums);
    return;
  }
  const size_t count = row.floats.size();
  thread_local std::vector<float> values;
  values.resize(count);
  if (weight.quantizer != nullptr) {
    weight.quantizer->decoded(row.number, weights, values.data());
  } else {
    const DType stored = weight.scheme.info().stored;
    thread_local std::vector<std::byte> codes;
    codes.resize(count * element_bytes(stored));
    from_f32_kernel(stored)(reinterpret_cast<const std::byte*>(weights), codes.data(), count);
    to_f32_kernel(stored)(codes.data(), reinterpret_cast<std::byte*>(values.data()), count);
  }
  if (exact) {
    quant_kernels().compare_values(weights, values.data(), count, sums);
  } else {
    add_errors(row.doubles, values.data(), sums);
  }
}

Status Scanner::read(const Piece& piece) {
  if (reporter_.interrupted()) return Error(ErrorKind::interrupted, "interrupted");
  Reading& reading = *piece.reading;
  WeightPlan& weight = *reading.weight;
  const std::string doing = "tensor " + sentence_key(weight.names[0]);
  thread_local std::vector<float> buffer;
  thread_local std::vector<double> doubles;
  MLC_TRY_CTX(const std::span<const float> floats,
              reading.rows.read(piece.begin, piece.end, buffer), doing);
  doubles.clear();
  if (reading.doubles) MLC_CHECK_CTX(reading.doubles->read(piece.begin, piece.end, doubles), doing);
  const auto columns = static_cast<size_t>(reading.rows.columns());
  for (int64_t number = piece.begin; number < piece.end; ++number) {
    const size_t at = static_cast<size_t>(number - piece.begin) * columns;
    Row row{number, floats.subspan(at, columns), {}};
    if (reading.doubles) row.doubles = std::span<const double>(doubles).subspan(at, columns);
    if (!check(reading, row)) continue;
    if (weight.quantizer != nullptr && !weight.scanned) {
      weight.quantizer->choose(number, row.floats.data());
    }
    if (weight.quantizer != nullptr && !comes_back(reading, row)) reading.unfit = true;
    if (options_.measure) measure(reading, row, reading.sums[piece.number]);
  }
  reporter_.advance(floats.size() * sizeof(float));
  return {};
}

/// Why what READING has read cannot have its scheme.
Kept reason_of(const Reading& reading) {
  if (reading.nans + reading.infinities > 0) return Kept::not_finite;
  if (reading.unfit) return Kept::out_of_range;
  const auto largest = std::bit_cast<double>(reading.largest.load());
  const bool gone = largest > 0 && vanishes(reading.weight->scheme.kind, largest);
  return gone ? Kept::too_small : Kept::no;
}

void Scanner::finish(Reading& reading) const {
  WeightPlan& weight = *reading.weight;
  weight.nans = reading.nans;
  weight.infinities = reading.infinities;
  if (const Kept reason = reason_of(reading); reason != Kept::no) {
    weight.kept = reason;
    weight.scheme = QuantScheme();
    weight.quantizer = nullptr;
    weight.may_have_input_scale = false;
    weight.sums.reset();
    return;
  }
  if (weight.quantizer != nullptr && !weight.scanned) weight.quantizer->finish();
  weight.scanned = true;
  weight.largest = std::bit_cast<double>(reading.largest.load());
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
