#include "mlc/onnx_quant/quantized_weight.h"

#include "mlc/base/parallel.h"
#include "mlc/onnx_quant/constant_floats.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace mlc::onnx {
namespace {

constexpr uint32_t kInfinityBits = 0x7F80'0000;
constexpr int kSaturating = 128;      // 255 * 129 > 32767
constexpr unsigned kHalfOfCodes = 8;  // of four bits: what symmetric codes are above those of int4

/// Calls BODY(first row, end, piece) for each piece of MATRIX on THREADS threads.
template <class Body>
Status each_piece(const WeightMatrix& matrix, unsigned threads, const Body& body) {
  return parallel_for(matrix.pieces(), threads, [&](size_t piece) -> Status {
    const int64_t begin = static_cast<int64_t>(piece) * matrix.rows_a_piece();
    body(begin, std::min(begin + matrix.rows_a_piece(), matrix.rows()), piece);
    return {};
  });
}

uint64_t count_not_finite(std::span<const float> weights) {
  return static_cast<uint64_t>(
      std::ranges::count_if(weights, [](float w) { return !std::isfinite(w); }));
}

uint64_t count_saturating(const int8_t* codes, size_t count) {
  uint64_t out = 0;
  for (size_t i = 0; i + 1 < count; i += 2) {
    const int sum = codes[i] + codes[i + 1];
    out += sum > kSaturating || sum < -kSaturating ? 1 : 0;
  }
  return out;
}

/// Adds up what the pieces found, in their order: the same for any number of threads.
WeightFacts sum_of(const WeightMatrix& matrix, const std::vector<WeightFacts>& parts) {
  WeightFacts out;
  out.rows = matrix.rows();
  out.columns = matrix.columns();
  for (const WeightFacts& part : parts) {
    out.sums.add(part.sums);
    out.not_finite += part.not_finite;
    out.saturating += part.saturating;
  }
  out.pairs = static_cast<uint64_t>(out.rows) * static_cast<uint64_t>(out.columns / 2);
  return out;
}

DataRef lazy_tensor(DType dtype, std::vector<int64_t> sizes,
                    std::function<Result<Buffer>()> produce) {
  auto out = std::make_shared<TensorData>();
  out->dtype = dtype;
  out->sizes = std::move(sizes);
  out->produce = std::move(produce);
  return out;
}

Buffer owned(std::string bytes) {
  const auto owner = std::make_shared<const std::string>(std::move(bytes));
  return {as_bytes(*owner), owner};
}

/// Puts VALUE, of four bits, at PLACE, two of which are a byte. Requires: it was 0.
void put_half(std::string& to, size_t place, unsigned value) {
  char& byte = to[place / 2];
  byte = static_cast<char>(static_cast<unsigned char>(byte) | value << (place % 2 == 0 ? 0U : 4U));
}

DataRef bytes_tensor(std::string bytes, std::vector<int64_t> sizes) {
  const Buffer buffer = owned(std::move(bytes));
  return lazy_tensor(DType::u8, std::move(sizes), [buffer]() -> Result<Buffer> { return buffer; });
}

}  // namespace

ChannelWeight::ChannelWeight(WeightMatrix matrix, int largest, unsigned threads)
    : matrix_(std::move(matrix)), largest_(largest), threads_(threads) {}

Result<std::shared_ptr<const ChannelWeight>> ChannelWeight::make(const DocTensor& tensor,
                                                                 Channels channels, int largest,
                                                                 unsigned threads) {
  MLC_TRY(WeightMatrix matrix, WeightMatrix::open(tensor, channels));
  std::shared_ptr<ChannelWeight> out(new ChannelWeight(std::move(matrix), largest, threads));
  MLC_CHECK(out->scan());
  return std::shared_ptr<const ChannelWeight>(std::move(out));
}

Status ChannelWeight::scan() {
  const QuantKernels& kernels = quant_kernels();
  const auto columns = static_cast<size_t>(matrix_.columns());
  scales_.resize(static_cast<size_t>(matrix_.rows()));
  std::vector<WeightFacts> parts(matrix_.pieces());
  MLC_CHECK(each_piece(matrix_, threads_, [&](int64_t begin, int64_t end, size_t piece) {
    thread_local std::vector<float> buffer;
    thread_local std::vector<int8_t> codes;
    const std::span<const float> weights = matrix_.read(begin, end, buffer);
    WeightFacts& facts = parts[piece];
    codes.resize(columns);
    for (int64_t row = begin; row < end; ++row) {
      const float* const from = weights.data() + static_cast<size_t>(row - begin) * columns;
      const uint32_t bits = kernels.largest_bits(from, columns);
      if (bits >= kInfinityBits) {
        facts.not_finite += count_not_finite({from, columns});
        continue;
      }
      const float scale = std::bit_cast<float>(bits) / static_cast<float>(largest_);
      // A dead channel, or one of the smallest numbers that there are.
      scales_[static_cast<size_t>(row)] = scale == 0 ? 1 : scale;
      const GroupParameters group{scales_[static_cast<size_t>(row)], 0, -largest_, largest_};
      kernels.encode(from, columns, group, codes.data());
      kernels.compare(from, codes.data(), columns, group, facts.sums);
      facts.saturating += count_saturating(codes.data(), columns);
    }
  }));
  facts_ = sum_of(matrix_, parts);
  return {};
}

std::shared_ptr<const ChannelWeight> ChannelWeight::with_least_scales(
    const std::vector<float>& least) const {
  std::shared_ptr<ChannelWeight> out(new ChannelWeight(matrix_, largest_, threads_));
  out->facts_ = facts_;
  out->scales_ = scales_;
  for (size_t i = 0; i < least.size(); ++i) out->scales_[i] = std::max(out->scales_[i], least[i]);
  return out;
}

Result<Buffer> ChannelWeight::encode(bool transposed) const {
  const QuantKernels& kernels = quant_kernels();
  const auto rows = static_cast<size_t>(matrix_.rows());
  const auto columns = static_cast<size_t>(matrix_.columns());
  const auto out = std::make_shared<std::vector<int8_t>>(rows * columns);
  MLC_CHECK(each_piece(matrix_, threads_, [&](int64_t begin, int64_t end, size_t /*piece*/) {
    thread_local std::vector<float> buffer;
    thread_local std::vector<int8_t> codes;
    const std::span<const float> weights = matrix_.read(begin, end, buffer);
    const auto first = static_cast<size_t>(begin);
    const auto count = static_cast<size_t>(end - begin);
    int8_t* to = out->data() + first * columns;
    if (transposed) {
      codes.resize(count * columns);
      to = codes.data();
    }
    for (size_t row = 0; row < count; ++row) {
      const GroupParameters group{scales_[first + row], 0, -largest_, largest_};
      kernels.encode(weights.data() + row * columns, columns, group, to + row * columns);
    }
    if (!transposed) return;
    for (size_t k = 0; k < columns; ++k) {
      int8_t* const line = out->data() + k * rows + first;
      for (size_t row = 0; row < count; ++row) line[row] = codes[row * columns + k];
    }
  }));
  return Buffer{std::as_bytes(std::span(*out)), out};
}

DataRef ChannelWeight::codes(std::vector<int64_t> sizes, bool transposed) const {
  return lazy_tensor(DType::i8, std::move(sizes), [self = shared_from_this(), transposed]() {
    return self->encode(transposed);
  });
}

DataRef ChannelWeight::scale_data(std::vector<int64_t> sizes, float factor) const {
  std::vector<float> scales = scales_;
  for (float& scale : scales) scale *= factor;
  return tensor_of(std::move(scales), std::move(sizes));
}

BlockWeight::BlockWeight(WeightMatrix matrix, int64_t block, bool symmetric, Rounding rounding,
                         unsigned threads)
    : matrix_(std::move(matrix)),
      block_(block),
      symmetric_(symmetric),
      threads_(threads),
      blocks_((matrix_.columns() + block - 1) / block),
      quantizer_({.kind = SchemeKind::int4, .group = block, .symmetric = symmetric, .words = false},
                 rounding, std::vector<int64_t>{matrix_.rows(), matrix_.columns()},
                 WeightQuantizer::ZeroPoints::codes) {}

Result<std::shared_ptr<const BlockWeight>> BlockWeight::make(const DocTensor& tensor,
                                                             Channels channels, int64_t block,
                                                             bool symmetric, Rounding rounding,
                                                             unsigned threads) {
  MLC_TRY(WeightMatrix matrix, WeightMatrix::open(tensor, channels));
  std::shared_ptr<BlockWeight> out(
      new BlockWeight(std::move(matrix), block, symmetric, rounding, threads));
  MLC_CHECK(out->scan(nullptr));
  return std::shared_ptr<const BlockWeight>(std::move(out));
}

Result<std::shared_ptr<const BlockWeight>> BlockWeight::make_by_inputs(
    const DocTensor& tensor, Channels channels, int64_t block, bool symmetric,
    const InputFactor& factor, unsigned threads) {
  MLC_TRY(WeightMatrix matrix, WeightMatrix::open(tensor, channels));
  std::shared_ptr<BlockWeight> out(
      new BlockWeight(std::move(matrix), block, symmetric, Rounding::gptq, threads));
  MLC_CHECK(out->scan(&factor));
  return std::shared_ptr<const BlockWeight>(std::move(out));
}

Status BlockWeight::scan(const InputFactor* factor) {
  const auto columns = static_cast<size_t>(matrix_.columns());
  std::shared_ptr<std::vector<int8_t>> codes;
  if (factor != nullptr) {
    codes = std::make_shared<std::vector<int8_t>>(static_cast<size_t>(matrix_.rows()) * columns);
    quantizer_.give_codes(codes);
  }
  std::vector<WeightFacts> parts(matrix_.pieces());
  MLC_CHECK(each_piece(matrix_, threads_, [&](int64_t begin, int64_t end, size_t piece) {
    thread_local std::vector<float> buffer;
    const std::span<const float> weights = matrix_.read(begin, end, buffer);
    WeightFacts& facts = parts[piece];
    facts.not_finite = count_not_finite(weights);
    if (facts.not_finite > 0) return;
    if (factor != nullptr) {
      std::vector<float> used(weights.begin(), weights.end());
      gptq_rows(quantizer_, *factor, begin, used, codes->data() + begin * matrix_.columns());
    }
    for (int64_t row = begin; row < end; ++row) {
      const float* const from = weights.data() + static_cast<size_t>(row - begin) * columns;
      if (factor == nullptr) quantizer_.choose(row, from);
      quantizer_.measure(row, from, facts.sums);
    }
  }));
  facts_ = sum_of(matrix_, parts);
  if (facts_.not_finite == 0) quantizer_.finish();
  return {};
}

void BlockWeight::add_gain(std::span<const float> gram, RoundingGain& gain) const {
  const int64_t rows = std::min(matrix_.rows(), RoundingGain::kMostRows);
  std::vector<float> buffer;
  const std::span<const float> weights = matrix_.read(0, rows, buffer);
  WeightQuantizer nearest(quantizer_.scheme(), Rounding::rtn,
                          std::vector<int64_t>{rows, matrix_.columns()},
                          WeightQuantizer::ZeroPoints::codes);
  for (int64_t row = 0; row < rows; ++row)
    nearest.choose(row, weights.data() + row * matrix_.columns());
  mlc::add_gain(nearest, quantizer_, weights, gram, gain);
}

Result<Buffer> BlockWeight::encode() const {
  const auto columns = static_cast<size_t>(matrix_.columns());
  const auto stride = static_cast<size_t>(blocks_ * block_ / 2);
  const auto out =
      std::make_shared<std::vector<std::byte>>(static_cast<size_t>(matrix_.rows()) * stride);
  MLC_CHECK(each_piece(matrix_, threads_, [&](int64_t begin, int64_t end, size_t /*piece*/) {
    thread_local std::vector<float> buffer;
    const std::span<const float> weights = matrix_.read(begin, end, buffer);
    for (int64_t row = begin; row < end; ++row) {
      quantizer_.encode(row, weights.data() + static_cast<size_t>(row - begin) * columns,
                        out->data() + static_cast<size_t>(row) * stride);
    }
  }));
  return Buffer{std::span(*out), out};
}

Result<Buffer> BlockWeight::encode_flat(bool transposed) const {
  MLC_TRY(const Buffer padded, encode());
  const auto rows = static_cast<size_t>(matrix_.rows());
  const auto columns = static_cast<size_t>(matrix_.columns());
  const auto stride = static_cast<size_t>(blocks_ * block_ / 2);
  const unsigned sign = symmetric_ ? kHalfOfCodes : 0;
  std::string out((rows * columns + 1) / 2, '\0');
  const size_t outer = transposed ? columns : rows;
  const size_t inner = transposed ? rows : columns;
  size_t place = 0;
  for (size_t i = 0; i < outer; ++i) {
    for (size_t j = 0; j < inner; ++j, ++place) {
      const size_t row = transposed ? j : i;
      const size_t column = transposed ? i : j;
      const auto byte = std::to_integer<unsigned>(padded.bytes[row * stride + column / 2]);
      put_half(out, place, ((column % 2 == 0 ? byte : byte >> 4U) & 15U) ^ sign);
    }
  }
  return owned(std::move(out));
}

DataRef BlockWeight::flat_codes(bool transposed) const {
  const int64_t bytes = (matrix_.rows() * matrix_.columns() + 1) / 2;
  return lazy_tensor(DType::u8, {bytes}, [self = shared_from_this(), transposed]() {
    return self->encode_flat(transposed);
  });
}

DataRef BlockWeight::flat_scales(std::vector<int64_t> sizes, bool transposed, DType dtype) const {
  const auto rows = static_cast<size_t>(matrix_.rows());
  const auto blocks = static_cast<size_t>(blocks_);
  std::vector<float> out(rows * blocks);
  std::vector<GroupParameters> groups;
  for (size_t row = 0; row < rows; ++row) {
    quantizer_.parameters(static_cast<int64_t>(row), groups);
    for (size_t g = 0; g < blocks; ++g)
      out[transposed ? g * rows + row : row * blocks + g] = groups[g].scale;
  }
  return tensor_of(std::move(out), std::move(sizes), dtype);
}

DataRef BlockWeight::flat_zeros(bool transposed) const {
  const auto rows = static_cast<size_t>(matrix_.rows());
  const auto blocks = static_cast<size_t>(blocks_);
  std::string out((rows * blocks + 1) / 2, '\0');
  std::vector<GroupParameters> groups;
  for (size_t row = 0; row < rows; ++row) {
    quantizer_.parameters(static_cast<int64_t>(row), groups);
    for (size_t g = 0; g < blocks; ++g)
      put_half(out, transposed ? g * rows + row : row * blocks + g,
               static_cast<unsigned>(groups[g].zero));
  }
  const auto bytes = static_cast<int64_t>(out.size());
  return bytes_tensor(std::move(out), {bytes});
}

DataRef BlockWeight::nbits_codes() const {
  return lazy_tensor(DType::u8, {matrix_.rows(), blocks_, block_ / 2},
                     [self = shared_from_this()]() { return self->encode(); });
}

DataRef BlockWeight::nbits_scales(DType dtype) const {
  std::vector<float> out;
  std::vector<GroupParameters> groups;
  for (int64_t row = 0; row < matrix_.rows(); ++row) {
    quantizer_.parameters(row, groups);
    for (const GroupParameters& group : groups) out.push_back(group.scale);
  }
  const auto count = static_cast<int64_t>(out.size());
  return tensor_of(std::move(out), {count}, dtype);
}

DataRef BlockWeight::nbits_zeros() const {
  const int64_t stride = (blocks_ + 1) / 2;
  std::string out(static_cast<size_t>(matrix_.rows() * stride), '\0');
  std::vector<GroupParameters> groups;
  for (int64_t row = 0; row < matrix_.rows(); ++row) {
    quantizer_.parameters(row, groups);
    for (size_t g = 0; g < groups.size(); ++g) {
      put_half(out, 2 * static_cast<size_t>(row * stride) + g,
               static_cast<unsigned>(groups[g].zero));
    }
  }
  return bytes_tensor(std::move(out), {matrix_.rows() * stride});
}

}  // namespace mlc::onnx
