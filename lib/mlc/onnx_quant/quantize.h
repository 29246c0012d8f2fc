// Quantising the weights of an ONNX model, data-free.
//
// dynamic      MatMul and Gemm multiply bytes: DynamicQuantizeLinear, one for all that read the
//              same activations, MatMulInteger, Cast, Mul, which ONNX Runtime fuses into
//              DynamicQuantizeMatMul or MatMulIntegerToFloat. Never convolutions: ConvInteger is
//              slower than floats.
// weight_only  weights are bytes in the file and floats again before they are used:
//              DequantizeLinear.
// int4         MatMul and Gemm become com.microsoft.MatMulNBits; other weights have 8 bits.
// int4_qdq     the same codes in operators of ONNX itself, since opset 21: DequantizeLinear with a
//              scale a block, of uint4 with zero points, or, symmetric, of int4.
//
// Weights and activations may be float16: products of bytes, and of floats that were bytes, are
// computed in float32 between Casts, one for all that read the same activation, since ONNX
// Runtime's CPU has next to no kernels of float16 and makes bytes of float32 alone; blocks of four
// bits have float16 scales and need no Casts. What a node gives keeps its type.
//
// In all of them tables of embeddings have one scale a row, and are looked up as bytes. A weight
// that is read in several ways is stored once or, where one of them needs floats, not quantised.
#pragma once

#include "mlc/base/result.h"
#include "mlc/compress/quant_scheme.h"
#include "mlc/onnx_edit/document.h"
#include "mlc/onnx_quant/quantized_weight.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace mlc::onnx {

enum class QuantForm : uint8_t { dynamic, weight_only, int4, static_qdq, int4_qdq };
/// Whether weights of products get blocks of four bits.
constexpr bool has_blocks(QuantForm form) {
  return form == QuantForm::int4 || form == QuantForm::int4_qdq;
}
/// "dynamic", "weight-only", ...
std::string_view to_string(QuantForm form);

/// Whose operators a model of bytes is for.
enum class Int8Target : uint8_t { onnxruntime, tensorrt, openvino };
/// What a target's operators want of static_qdq.
struct Int8TargetRow {
  std::string_view name;  // as --int8-target has it
  bool symmetric;         // activations are S8 without a zero point, which TensorRT's kernels want
  bool float_bias;        // DequantizeLinear of int32 is not read; the engine rounds biases itself
};
const Int8TargetRow& row_of(Int8Target target);

/// What somebody said of certain weights.
enum class WeightChoice : uint8_t { keep, bytes, blocks };
struct WeightRule {
  std::function<bool(std::string_view)>
      matches;  // the name of a weight, or of a node that reads it
  WeightChoice choice = WeightChoice::keep;
};

/// Of a weight that would take more bytes with its scales.
constexpr std::string_view kNoGain = "no smaller when quantised";

/// Of a weight of other floats: "of bfloat16, " and this.
constexpr std::string_view kOtherFloats = "not float32 or float16";

/// Why a weight stays as it is.
struct KeptReason {
  std::string text;     // "a convolution: ..."; empty: it does not
  bool chosen = false;  // by options, not for what the weight is
};

/// A weight that is in the model as bytes, with one scale a row.
struct StoredCodes {
  std::shared_ptr<const ChannelWeight> weight;
  std::string name;  // of the initializer
};

struct QuantOptions {
  QuantForm form = QuantForm::dynamic;
  bool embeddings = true;
  bool reduce_range = false;          // codes of 7 bits, which saturate nowhere
  int64_t block = 32;                 // of int4
  bool symmetric = false;             // of int4
  Rounding rounding = Rounding::mse;  // of int4
  std::map<std::string, Rounding, std::less<>> roundings;  // of weights that have another one
  int64_t min_elements = 4096;                             // weights with fewer stay
  int64_t min_columns = 32;          // what dynamic forms must multiply to gain anything
  std::vector<std::string> include;  // globs over names of weights and nodes; none: all
  std::vector<std::string> exclude;
  std::vector<WeightRule> rules;  // the last that matches counts; small weights get it too
  std::set<std::string, std::less<>> floats;  // weights that stay, by name, for what they cost
  std::string_view floats_why = "in floats for the outputs' sake";
  std::set<std::string, std::less<>> bytes;     // of int4: weights that get 8 bits, for the same
  bool float_ends = false;                      // of static_qdq: the first and the last layer stay
  Int8Target target = Int8Target::onnxruntime;  // of static_qdq
  /// Of static_qdq: tables that layers made bytes of, by name.
  std::map<std::string, StoredCodes, std::less<>> stored;
  unsigned threads = 1;
  /// Where given: blocks of four bits that were made already, by weight, for who quantises the same
  /// model in several ways.
  std::map<std::string, std::shared_ptr<const BlockWeight>>* known_blocks = nullptr;

  /// What rules say of a weight under one of NAMES, its own and those of nodes that read it.
  std::optional<WeightChoice> choice_of(const std::vector<std::string_view>& names) const;
  /// Whether include and exclude leave a weight under NAMES.
  bool selects(const std::vector<std::string_view>& names) const;
  /// Why options keep a weight under NAMES, of which the first is its own.
  KeptReason why_kept(const std::vector<std::string_view>& names) const;
};

/// A weight that was quantised.
struct QuantizedLayer {
  std::string weight;
  std::vector<std::string> nodes;  // that read it, by name, else by operator
  std::string scheme;              // "int8", "int8 table", "int4:g32"
  bool fallback = false;           // 8 bits, where the form has 4 for such weights
  std::vector<int64_t> sizes;
  WeightFacts facts;
  uint64_t bytes_before = 0;
  uint64_t bytes_after = 0;  // with scales and zero points

  double sqnr() const { return sqnr_db(facts.sums.signal, facts.sums.noise); }
};

/// A weight that stays as it is.
struct KeptWeight {
  std::string weight;
  std::string node;    // the first that reads it
  std::string reason;  // "a convolution: ..."
  uint64_t bytes = 0;
  bool chosen = false;  // KeptReason::chosen
};

struct QuantReport {
  std::vector<QuantizedLayer> layers;
  std::vector<KeptWeight> kept;
  std::vector<std::string> overridable;  // initializers that were inputs too, now constants
};

/// The operators of a model that is quantised already, as "QuantizeLinear x3"; empty: it is not.
std::vector<std::string> quantized_operators(const OnnxFile& file);

/// Rewrites DOCUMENT. Every weight of two or more dimensions is in the report. Errors: unsupported
/// for a model of an opset that lacks the operators; those of reading weights. The form static_qdq
/// takes tables only: the rest is quantize_static()'s.
Result<QuantReport> quantize_weights(Document& document, const QuantOptions& options);

}  // namespace mlc::onnx
