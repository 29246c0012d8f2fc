#include "mlc/compress/quantize.h"

#include "mlc/base/parallel.h"
#include "mlc/base/sentence_key.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/derive.h"
#include "mlc/checkpoint/format.h"
#include "mlc/checkpoint/tensor_identity.h"
#include "mlc/compress/double_rows.h"
#include "mlc/compress/exchange_entries.h"
#include "mlc/compress/loaded_weight.h"
#include "mlc/compress/made_tensor.h"
#include "mlc/tensor/convert.h"
#include "mlc/tensor/float_kernels.h"

#include <algorithm>
#include <bit>
#include <deque>
#include <map>
#include <optional>
#include <tuple>
#include <unordered_map>

namespace mlc {
namespace {

std::shared_ptr<const std::string> shape_bytes(const std::vector<int64_t>& shape) {
  std::string out;
  for (const int64_t size : shape) append_le(out, size);
  return std::make_shared<const std::string>(std::move(out));
}

/// The factors of QUANTIZER; zeros, for the sake of their place, where they are still to be found.
std::shared_ptr<const std::string> input_scale_bytes(const WeightQuantizer& quantizer) {
  std::string out;
  const auto columns = static_cast<size_t>(quantizer.layout().columns);
  for (size_t j = 0; j < columns; ++j) {
    const float factor = quantizer.input_scale().empty() ? 0 : quantizer.input_scale()[j];
    append_le(out, std::bit_cast<uint32_t>(factor));
  }
  return std::make_shared<const std::string>(std::move(out));
}

/// The tensors of one weight, under the names that DESCRIBED gives them.
NewEntries make_parts(Checkpoint& checkpoint, const QuantizePlan& plan, const WeightPlan& weight,
                      const QuantizedTensor& described) {
  const PartNames names = part_names(plan.format, described);
  if (weight.quantizer == nullptr) {
    const DType stored = weight.scheme.info().stored;
    const auto columns =
        static_cast<size_t>(layout_of(default_scheme(SchemeKind::int8), described.shape).columns);
    auto pieces = made_of_rows(checkpoint, weight.tensor, columns * element_bytes(stored),
                               [stored, columns](int64_t, const float* from, std::byte* out) {
                                 from_f32_kernel(stored)(reinterpret_cast<const std::byte*>(from),
                                                         out, columns);
                               });
    return {{names.codes, add_made(checkpoint, stored, described.shape, std::move(pieces))}};
  }
  const auto quantizer = weight.quantizer;
  auto pieces = made_of_rows(checkpoint, weight.tensor, quantizer->layout().row_bytes(),
                             [quantizer](int64_t row, const float* from, std::byte* out) {
                               quantizer->encode(row, from, out);
                             });
  NewEntries out;
  const std::vector<int64_t> scales = scale_sizes(described);
  out.emplace_back(names.codes, add_made(checkpoint, code_dtype(weight.scheme),
                                         code_sizes(described), std::move(pieces)));
  out.emplace_back(names.scale, add_stored(checkpoint, quantizer->scale_dtype(), scales,
                                           quantizer->scale_bytes()));
  if (!names.zero_point.empty()) {
    out.emplace_back(names.zero_point, add_stored(checkpoint, quantizer->zero_dtype(), scales,
                                                  quantizer->zero_bytes()));
  }
  if (!names.shape.empty()) {
    const std::vector<int64_t> rank = {static_cast<int64_t>(described.shape.size())};
    out.emplace_back(names.shape,
                     add_stored(checkpoint, DType::i64, rank, shape_bytes(described.shape)));
  }
  if (!names.input_scale.empty()) {
    out.emplace_back(names.input_scale,
                     add_stored(checkpoint, DType::f32, input_scale_sizes(described),
                                input_scale_bytes(*quantizer)));
  }
  return out;
}

/// The same parts under the names that they have of another name of the weight.
NewEntries twins_of(Checkpoint& checkpoint, const NewEntries& parts, const std::string& first,
                    const std::string& name) {
  NewEntries out;
  for (const auto& [key, tensor] : parts) {
    out.emplace_back(name + key.substr(first.size()), derive_twin(checkpoint, tensor));
  }
  return out;
}

}  // namespace

Result<QuantizedRecord> apply_quantization(Checkpoint& checkpoint, StateDict& state_dict,
                                           const QuantizePlan& plan) {
  std::unordered_map<std::string, uint32_t> positions;
  for (const StateDictEntry& entry : state_dict.entries) {
    positions.insert_or_assign(std::string(entry.key), entry.position);
  }
  QuantizedRecord record;
  record.format = plan.format;
  std::map<uint32_t, NewEntries> changed;
  for (const WeightPlan& weight : plan.weights) {
    if (!weight.is_quantized()) continue;
    QuantizedTensor one = described(checkpoint, weight);
    const NewEntries parts = make_parts(checkpoint, plan, weight, one);
    for (const std::string& name : weight.names) {
      const bool first = name == weight.names[0];
      changed[positions.at(name)] =
          first ? parts : twins_of(checkpoint, parts, weight.names[0], name);
      one.name = name;
      record.tensors.push_back(one);
    }
  }
  MLC_CHECK(check_free(state_dict, changed));
  exchange_entries(checkpoint, state_dict, changed);
  return record;
}

namespace {

/// A weight of the source beside what was written of it.
struct Comparison {
  WeightPlan* weight = nullptr;
  FloatRows rows;
  std::optional<DoubleRows> doubles;  // of float64
  LoadedWeight written;
  std::vector<ErrorSums> sums;
};

struct ComparedPiece {
  Comparison* comparison;
  size_t number;
  int64_t begin;
  int64_t end;
};

/// Weights of ROW that are others in the file than the codes that QUANTIZER was given.
uint64_t count_unlike(const WeightQuantizer& quantizer, const LoadedWeight& written, int64_t row) {
  thread_local std::vector<float> wanted;
  thread_local std::vector<float> found;
  wanted.resize(static_cast<size_t>(written.columns()));
  found.resize(wanted.size());
  quantizer.given_values(row, wanted.data());
  written.decode(row, found.data());
  uint64_t unlike = 0;
  for (size_t i = 0; i < wanted.size(); ++i) unlike += wanted[i] == found[i] ? 0 : 1;
  return unlike;
}

/// Adds to SUMS how far ROW in the file is from WEIGHTS.
Status measure_doubles(const DoubleRows& weights, const LoadedWeight& written, int64_t row,
                       ErrorSums& sums) {
  thread_local std::vector<double> wanted;
  thread_local std::vector<float> found;
  MLC_CHECK(weights.read(row, row + 1, wanted));
  found.resize(wanted.size());
  written.decode(row, found.data());
  add_errors(wanted, found.data(), sums);
  return {};
}

Status compare_piece(const ComparedPiece& piece, Reporter& reporter) {
  if (reporter.interrupted()) return Error(ErrorKind::interrupted, "interrupted");
  Comparison& one = *piece.comparison;
  thread_local std::vector<float> buffer;
  MLC_TRY(const std::span<const float> floats, one.rows.read(piece.begin, piece.end, buffer));
  const float* weights = floats.data();
  ErrorSums& sums = one.sums[piece.number];
  ErrorSums exact;  // of float64, which the others are no errors of
  const bool given = one.weight->quantizer != nullptr && one.weight->quantizer->has_given_codes();
  for (int64_t row = piece.begin; row < piece.end; ++row, weights += one.rows.columns()) {
    one.written.compare(row, weights, sums);
    if (one.doubles) MLC_CHECK(measure_doubles(*one.doubles, one.written, row, exact));
    if (given) sums.wrong = count_unlike(*one.weight->quantizer, one.written, row);
    if (sums.wrong > 0) break;
  }
  if (one.doubles) {
    exact.wrong = sums.wrong;
    sums = exact;
  }
  if (sums.wrong > 0) {
    return internal_error(plural(sums.wrong, "weight") + " of " +
                          sentence_key(one.weight->names[0]) +
                          " came back from the file as another than was written");
  }
  return {};
}

Status compare_weights(std::deque<Comparison>& comparisons, unsigned threads, Reporter& reporter) {
  std::vector<ComparedPiece> pieces;
  for (Comparison& one : comparisons) {
    const int64_t step = one.rows.rows_a_piece();
    for (int64_t begin = 0; begin < one.rows.rows(); begin += step) {
      pieces.push_back({&one, one.sums.size(), begin, std::min(begin + step, one.rows.rows())});
      one.sums.emplace_back();
    }
  }
  MLC_CHECK(parallel_for(pieces.size(), threads,
                         [&](size_t i) { return compare_piece(pieces[i], reporter); }));
  for (Comparison& one : comparisons) {
    ErrorSums all;
    for (const ErrorSums& sums : one.sums) all.add(sums);
    one.weight->sums = all;
  }
  return {};
}

Result<QuantizedRecord> record_in(const Checkpoint& written) {
  if (!written.metadata_yaml) return internal_error("the written file has no metadata");
  MLC_TRY(const Metadata metadata,
          Metadata::parse(*written.metadata_yaml, written.path, ErrorKind::corrupt));
  MLC_TRY(auto record, quantized_record(metadata));
  if (!record) return internal_error("the written file does not say how it is quantised");
  return std::move(*record);
}

}  // namespace

Status check_written(const Checkpoint& source, QuantizePlan& plan, const std::string& path,
                     const std::string& key, unsigned threads, Reporter& reporter) {
  MLC_TRY(const auto written, open_checkpoint(path));
  QuantizedRecord record;
  // Without a quantised tensor there is none.
  if (std::ranges::any_of(plan.weights, &WeightPlan::is_quantized)) {
    MLC_TRY(record, record_in(*written));
  }
  MLC_TRY(const std::vector<StateDict> all, find_state_dicts(*written));
  MLC_TRY(const StateDict* found, select_state_dict(all, key));
  const TensorsByName tensors = tensors_by_name(*found);
  std::unordered_map<std::string_view, const QuantizedTensor*> described;
  for (const QuantizedTensor& one : record.tensors) described.emplace(one.name, &one);
  std::deque<Comparison> comparisons;
  for (WeightPlan& weight : plan.weights) {
    if (weight.in_value) continue;
    if (!weight.is_quantized()) {
      if (!tensors.contains(weight.names[0])) {
        return internal_error(sentence_key(weight.names[0]) + " is missing in the written file");
      }
      continue;
    }
    for (const std::string& name : weight.names) {
      const auto at = described.find(name);
      if (at == described.end()) {
        return internal_error(sentence_key(name) + " is missing in the written record");
      }
      MLC_TRY_CTX(LoadedWeight loaded,
                  LoadedWeight::open(*written, tensors, record.format, *at->second),
                  "comparing " + sentence_key(name));
      if (weight.quantizer != nullptr && weight.quantizer->input_scale() != loaded.input_scale()) {
        return internal_error("the scales of inputs of " + sentence_key(name) +
                              " came back from the file as others than were written");
      }
      if (name != weight.names[0]) continue;  // tied: there, with the same bytes
      MLC_TRY(FloatRows rows, FloatRows::open(source, weight.tensor));
      MLC_TRY(auto doubles, DoubleRows::open(source, weight.tensor));
      comparisons.push_back({&weight, std::move(rows), std::move(doubles), std::move(loaded), {}});
    }
  }
  return compare_weights(comparisons, threads, reporter);
}

namespace {

/// Where decoded weights of 32 bits become those of the type they had.
PieceProducer decoded(std::shared_ptr<const LoadedWeight> weight, DType dtype, CastCounts* counts) {
  constexpr int64_t kFloats = int64_t{64} << 10U;
  const int64_t columns = weight->columns();
  const uint64_t row_bytes = static_cast<uint64_t>(columns) * element_bytes(dtype);
  PieceProducer out;
  out.piece_bytes =
      static_cast<uint64_t>(std::clamp<int64_t>(kFloats / columns, 1, weight->rows())) * row_bytes;
  if (counts != nullptr) counts->elements = static_cast<uint64_t>(weight->rows() * columns);
  out.make = [weight = std::move(weight), dtype, row_bytes, counts](
                 uint64_t begin, std::span<std::byte> bytes) -> Status {
    thread_local std::vector<float> values;
    const auto count = static_cast<size_t>(weight->columns());
    values.resize(count);
    auto row = static_cast<int64_t>(begin / row_bytes);
    for (size_t at = 0; at < bytes.size(); at += row_bytes, ++row) {
      weight->decode(row, values.data());
      MLC_TRY(const ConvertReport report,
              convert_block(DType::f32, std::as_bytes(std::span(values)), dtype,
                            bytes.subspan(at, row_bytes)));
      if (counts == nullptr) continue;
      counts->overflowed += report.overflowed;
      counts->underflowed += report.underflowed;
    }
    return {};
  };
  return out;
}

}  // namespace

Status restore_weights(Checkpoint& checkpoint, StateDict& state_dict, const QuantizedRecord& record,
                       const CountsOfTensor& counts_of) {
  const TensorsByName tensors = tensors_by_name(state_dict);
  std::unordered_map<std::string, uint32_t> positions;
  for (const StateDictEntry& entry : state_dict.entries) {
    positions.insert_or_assign(std::string(entry.key), entry.position);
  }
  // Of tied weights, by their codes, scales and scales of inputs.
  std::map<std::tuple<TensorIdentity, TensorIdentity, TensorIdentity>, uint32_t> known;
  std::map<uint32_t, NewEntries> changed;
  for (const QuantizedTensor& one : record.tensors) {
    MLC_TRY_CTX(LoadedWeight loaded, LoadedWeight::open(checkpoint, tensors, record.format, one),
                "quantised tensor " + sentence_key(one.name));
    const PartNames names = part_names(record.format, one);
    const auto weight = std::make_shared<const LoadedWeight>(std::move(loaded));
    const auto identity = [&](const std::string& part) {
      const auto at = tensors.find(part);
      if (at == tensors.end()) return TensorIdentity();
      return identity_of(checkpoint, checkpoint.tensors[at->second]);
    };
    const auto [at, is_new] = known.try_emplace(
        std::tuple(identity(names.codes), identity(names.scale), identity(names.input_scale)),
        kNoIndex);
    if (is_new) {
      CastCounts* const counts = counts_of ? &counts_of(one.name) : nullptr;
      at->second = add_made(checkpoint, one.dtype, one.shape, decoded(weight, one.dtype, counts));
    }
    const uint32_t restored = is_new ? at->second : derive_twin(checkpoint, at->second);
    for (const std::string& part :
         {names.codes, names.scale, names.zero_point, names.shape, names.input_scale}) {
      if (!part.empty() && positions.contains(part)) changed[positions.at(part)] = {};
    }
    changed[positions.at(names.codes)] = {{one.name, restored}};
  }
  MLC_CHECK(check_free(state_dict, changed));
  exchange_entries(checkpoint, state_dict, changed);
  return {};
}

}  // namespace mlc
