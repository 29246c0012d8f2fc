// How the weights of a tensor are stored in fewer bits: the table of schemes, their text form, and
// the shapes that follow.
//
// A tensor is a matrix of rows: the first dimension that is not 1, the last one aside, gives the
// rows (output channels of Linear and Conv, tokens of Embedding), the others are its columns. A
// scale belongs to a row (granularity "channel") or to GROUP columns of one. What is stored stands
// for scale * (code - zero_point); of symmetric schemes the zero point is 0, or in the middle where
// codes have no sign, and not stored.
//
// The text form, as --scheme, --tensor, recipes and the metadata have it: a row of the table, then
// options behind colons: "int8", "int8:g64", "int8:asym", "int4:g128:sym", "int4:channel", "fp16",
// "keep".
#pragma once

#include "mlc/base/result.h"
#include "mlc/tensor/dtype.h"
#include "mlc/tensor/shape.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mlc {

enum class SchemeKind : uint8_t { keep, int8, int4, fp16, bf16 };

struct SchemeInfo {
  SchemeKind kind;
  std::string_view name;
  uint8_t bits;    // of a weight, without scales
  DType stored;    // dtype of what is stored (int8 without a zero point: i8)
  bool integer;    // codes with scales
  int64_t group;   // by default; 0: one scale a row
  bool symmetric;  // by default
  std::string_view help;
};
/// All rows, indexed by SchemeKind.
std::span<const SchemeInfo> scheme_table();
std::vector<std::string> scheme_names();

struct QuantScheme {
  SchemeKind kind = SchemeKind::keep;
  int64_t group = 0;
  bool symmetric = true;
  bool words = false;  // codes without a sign, rows begin new words of 32 bits; not in text()
  bool said = false;   // a text says sym or asym, if only the default; not in text()

  bool operator==(const QuantScheme& other) const {
    return kind == other.kind && group == other.group && symmetric == other.symmetric &&
           words == other.words;
  }
  const SchemeInfo& info() const { return scheme_table()[static_cast<size_t>(kind)]; }
  bool is_integer() const { return info().integer; }
  /// Steps from 0 to the end of a symmetric range, from end to end of another.
  int steps() const { return (1 << (symmetric ? info().bits - 1 : info().bits)) - 1; }
  /// The zero point of symmetric schemes: packed codes have no sign.
  int zero() const {
    const bool has_sign = info().bits == 8 && !words;
    return symmetric && !has_sign ? 1 << (info().bits - 1) : 0;
  }
  /// The codes in use.
  int low() const { return symmetric ? zero() - steps() : 0; }
  int high() const { return zero() + steps(); }
  /// The text form; options that are the default are left out.
  std::string text() const;
};

/// Errors: usage, with the nearest name.
Result<QuantScheme> parse_scheme(std::string_view text);
QuantScheme default_scheme(SchemeKind kind);

/// How scale and zero point of a group are chosen.
enum class Rounding : uint8_t {
  rtn,   // the range of the weights, codes rounded to nearest
  mse,   // the part of that range with the least squared error
  hqq,   // the range, and the zero point that half-quadratic steps find (Badri and Shaji, 2023)
  gptq,  // as rtn, codes by what the weights are multiplied with (data_rounding.h)
  awq,   // as rtn, of weights times factors by what they are multiplied with (input_scales.h)
};
/// Whether samples of inputs say how.
constexpr bool needs_samples(Rounding rounding) {
  return rounding == Rounding::gptq || rounding == Rounding::awq;
}

/// Whether samples of inputs are needed for it.
inline bool goes_by_data(Rounding rounding) {
  return rounding == Rounding::gptq || rounding == Rounding::awq;
}

/// A tensor of some sizes as rows and groups.
struct QuantLayout {
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t group = 0;    // columns of a group; the last one of a row may have fewer
  int64_t groups = 0;   // of a row
  bool packed = false;  // two codes a byte, the first in the lower half; rows begin new bytes
  bool words = false;   // rows begin new words of 32 bits

  uint64_t row_bytes() const {
    const auto bytes = static_cast<uint64_t>(packed ? columns / 2 + columns % 2 : columns);
    return words ? (bytes + 3) / 4 * 4 : bytes;
  }
};
/// Requires: an integer scheme; SIZES have an element count that fits, and it is not 0.
QuantLayout layout_of(const QuantScheme& scheme, Dims sizes);
/// The index of the dimension that gives the rows.
size_t row_dimension(Dims sizes);

}  // namespace mlc
