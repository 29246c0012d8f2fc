// What --scheme, --recipe, --tensor and --strict, which are written for checkpoints, say of an ONNX
// model.
#pragma once

#include "compress/quantize_onnx.h"
#include "mlc/base/glob.h"
#include "mlc/base/reporter.h"
#include "mlc/base/result.h"
#include "mlc/compress/recipe.h"
#include "mlc/onnx_quant/quantize.h"

#include <span>
#include <string>
#include <vector>

namespace mlc::cli {

/// Makes OPTIONS those of SCHEME: the form, the block and the zero points. Errors: usage for what
/// ONNX models do not have, and where OPTIONS say otherwise.
Status take_scheme(const QuantScheme& scheme, QuantizeOnnxOptions& options);

/// Makes OPTIONS say what RECIPE says beside the scheme, as far as they do not say it themselves;
/// nothing where they ask for another form. Errors: usage for words that mean nothing.
Status take_onnx_recipe(const OnnxRecipe& recipe, QuantizeOnnxOptions& options);
/// What take_onnx_recipe() makes OPTIONS of.
OnnxRecipe onnx_recipe(const QuantizeOnnxOptions& options);

/// RULES, which must outlive the result, for what OPTIONS make of a model. Errors: usage for
/// schemes that weights in it cannot have.
Result<std::vector<onnx::WeightRule>> weight_rules(std::span<const SchemeRule> rules,
                                                   const QuantizeOnnxOptions& options);

/// The RULES that match none of NAMES, of weights and nodes.
std::vector<UnusedPattern> unused_rules(std::span<const SchemeRule> rules,
                                        std::span<const std::string> names);

/// Tells of weights that did not get what they should, and of RULES that name none. Error: conflict
/// for them, if STRICT.
Status check_fallbacks(const onnx::QuantReport& report, std::span<const SchemeRule> rules,
                       bool strict, Reporter& reporter);

/// GIVEN as it was carried out by HOW, goals included.
QuantRecipe done_recipe(const QuantRecipe& given, const onnx::QuantOptions& how);

}  // namespace mlc::cli
