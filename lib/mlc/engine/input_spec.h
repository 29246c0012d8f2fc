// The one grammar for inputs of a model on the command line, in YAML and in messages:
//
//   NAME:DTYPE[DIM,...]           seeded random values: image:f32[2,3,224,224], flag:bool[]
//   NAME:DTYPE[DIM,...]=LOW..HIGH random values between both: ids:i64[2,16]=0..30521
//   NAME:DTYPE[DIM,...]=VALUE     that value everywhere: mask:i64[2,16]=1, flag:bool[]=true
//   NAME=@FILE                    read from .npy, .npz, .pt or .safetensors: image=@cat.npy
//
// A NAME may have colons: the last one before the sizes ends it. A DIM is a size, or a dimension
// that may vary, under a name: `batch=2` with an example, or `seq=8..512` with bounds, whose
// example is the lower one. A name stands for one size in all inputs, and need not repeat its
// example: `batch`. A DIM may be computed from names: `past+seq`, `2*seq-1`, `past+seq=13`.
#pragma once

#include "mlc/base/result.h"
#include "mlc/engine/host_tensor.h"
#include "mlc/tensor/dtype.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mlc {

struct InputDim {
  std::string symbol;  // empty: the size is fixed, or computed
  int64_t example = 0;
  std::optional<std::pair<int64_t, int64_t>> bounds;  // both included
  /// What ir::Symbols::parse() reads, of symbols of other dimensions: "past+seq".
  std::string computed = {};
  bool operator==(const InputDim&) const = default;
};

/// Low and high are one value where the input is constant. Of integer and boolean inputs the
/// integers count, of floating ones the doubles.
struct ValueRange {
  int64_t int_low = 0;
  int64_t int_high = 0;
  double low = 0;
  double high = 0;
  bool operator==(const ValueRange&) const = default;
};

struct InputSpec {
  std::string name;
  std::string file;  // not empty: from there, and nothing below is set
  DType dtype = DType::f32;
  std::vector<InputDim> dims;
  std::optional<ValueRange> values;
  /// What the model's own file holds as this input: see held_inputs.h. No part of the grammar.
  std::shared_ptr<const HostTensor> held;
  bool operator==(const InputSpec&) const = default;

  /// The example of every dimension.
  std::vector<int64_t> sizes() const;
};

/// Errors: usage, pointing into TEXT with a caret. Computed dimensions are of names in it. SOURCE
/// is what the error names: "--input".
Result<InputSpec> parse_input_spec(std::string_view text, std::string_view source = "--input");

/// All inputs of one call. Errors: also usage for a name given twice and for a dimension that has
/// two sizes.
Result<std::vector<InputSpec>> parse_input_specs(std::span<const std::string> texts,
                                                 std::string_view source = "--input");

/// Gives every computed dimension of SPECS the size that its symbols give it now; one that they
/// give none stays as it is.
void compute_sizes(std::span<InputSpec> specs);

/// What parse_input_spec() reads as the same, among the specs that its symbols are from.
std::string to_text(const InputSpec& spec);

}  // namespace mlc
