// What `mlc quantize` does with which tensor, as a file: YAML of the format recipe/1, described by
// schemas/recipe.schema.json.
//
//   mlc: recipe/1
//   scheme: int8
//   rounding: rtn
//   exclude: ["lm_head.*"]
//   tensors:
//     - {regex: 'mlp\.', scheme: 'int4:g64'}
//   onnx: {form: static, reduce_range: true}
#pragma once

#include "mlc/base/result.h"
#include "mlc/compress/quant_scheme.h"
#include "mlc/keys/pattern.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mlc {

inline constexpr std::string_view kRecipeFormat = "recipe/1";
inline constexpr int64_t kDefaultMinElements = 4096;

/// Tensors whose key PATTERN matches get SCHEME; of several rules the last one counts.
struct SchemeRule {
  Pattern pattern;
  std::string text;  // as it was written
  QuantScheme scheme;
};

/// What else is said of an ONNX model, in the words of the command line; empty and false as there.
/// Of checkpoints it says nothing.
struct OnnxRecipe {
  std::string form;  // dynamic, static, ...
  bool reduce_range = false;
  bool no_embeddings = false;
  bool float_ends = false;
  std::string int8_target;  // ort, trt, openvino
  std::string calib_method;
  std::string percentile;
  std::string smooth;

  bool operator==(const OnnxRecipe&) const = default;
};

struct QuantRecipe {
  QuantScheme scheme = default_scheme(SchemeKind::int8);
  Rounding rounding = Rounding::rtn;
  int64_t min_elements = kDefaultMinElements;  // tensors with fewer are kept
  std::vector<std::string> include;            // globs; none: every key
  std::vector<std::string> exclude;
  std::vector<SchemeRule> rules;
  OnnxRecipe onnx;
};

/// "REGEX=SCHEME", split at the last '='. Errors: usage.
Result<SchemeRule> parse_scheme_rule(std::string_view text);
/// KIND is regex or exact.
Result<SchemeRule> make_scheme_rule(MatchKind kind, std::string text, QuantScheme scheme);

/// Errors: not_found, read_failed; usage with line and column.
Result<QuantRecipe> read_recipe(const std::string& path);
/// The same of a TEXT; FILE is its name in errors.
Result<QuantRecipe> parse_recipe(std::string text, const std::string& file);
/// The YAML that read_recipe() makes the same recipe of.
std::string recipe_yaml(const QuantRecipe& recipe);

std::string_view to_string(Rounding rounding);

}  // namespace mlc
