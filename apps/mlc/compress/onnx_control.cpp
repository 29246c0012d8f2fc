#include "compress/onnx_control.h"

#include "compress/onnx_choices.h"
#include "compress/quantize_checkpoint.h"
#include "mlc/base/text.h"

#include <algorithm>

#include <fmt/format.h>

namespace mlc::cli {
namespace {

constexpr int64_t kUsualBlock = 32;

Error no_such_scheme(const QuantScheme& scheme) {
  if (scheme.kind == SchemeKind::fp16 || scheme.kind == SchemeKind::bf16)
    return usage_error("ONNX models are not quantised to " + scheme.text(),
                       "mlc export-onnx --dtype fp16 makes them of the source");
  if (scheme.kind == SchemeKind::int8)
    return usage_error(
        "ONNX models have int8 with one scale a channel and no zero points, not " + scheme.text(),
        "int8");
  return usage_error("ONNX models have int4 in blocks, not " + scheme.text(), "int4, int4:g64:sym");
}

/// Whether RULE is of one of the weights that were looked at.
bool names_weight(const SchemeRule& rule, const onnx::QuantReport& report) {
  const auto matches = [&](const std::string& name) { return rule.pattern.matches(name); };
  const auto is_layer = [&](const onnx::QuantizedLayer& layer) {
    return matches(layer.weight) || std::ranges::any_of(layer.nodes, matches);
  };
  const auto is_kept = [&](const onnx::KeptWeight& one) {
    return matches(one.weight) || matches(one.node);
  };
  return std::ranges::any_of(report.layers, is_layer) || std::ranges::any_of(report.kept, is_kept);
}

/// What MatMulNBits and DequantizeLinear take.
bool is_block(int64_t group) {
  return group >= 16 && (group & (group - 1)) == 0;
}

bool is_plain_int8(const QuantScheme& scheme) {
  return scheme == default_scheme(SchemeKind::int8);
}

/// Sets TO, where it says nothing, to what WORD means in TABLE.
template <class Table, class T>
Status take_word(const Table& table, std::string_view key, const std::string& word,
                 std::optional<T>& to) {
  if (word.empty() || to) return {};
  const auto row = std::ranges::find(table, word, [](const auto& one) { return one.first; });
  if (row == table.end())
    return usage_error(fmt::format("onnx: {}: there is no {}", key, quoted(word)),
                       "schemas/recipe.schema.json has what there is");
  to = row->second;
  return {};
}

template <class Table, class T>
std::string word_of(const Table& table, const std::optional<T>& value) {
  if (!value) return "";
  const auto row = std::ranges::find(table, *value, [](const auto& one) { return one.second; });
  return std::string(row->first);
}

}  // namespace

Status take_onnx_recipe(const OnnxRecipe& recipe, QuantizeOnnxOptions& options) {
  std::optional<onnx::QuantForm> form;
  MLC_CHECK(take_word(kForms, "form", recipe.form, form));
  if (options.form && form && *options.form != *form) return {};
  if (form) options.form = form;
  MLC_CHECK(take_word(kTargets, "int8_target", recipe.int8_target, options.target));
  MLC_CHECK(take_word(kMethods, "calib_method", recipe.calib_method, options.method));
  if (!recipe.percentile.empty() && !options.percentile) {
    MLC_TRY(options.percentile, parse_number("onnx: percentile", recipe.percentile, 50, 100));
  }
  if (!recipe.smooth.empty() && !options.smooth) options.smooth = recipe.smooth;
  options.reduce_range = options.reduce_range || recipe.reduce_range;
  options.no_embeddings = options.no_embeddings || recipe.no_embeddings;
  options.float_ends = options.float_ends || recipe.float_ends;
  return {};
}

OnnxRecipe onnx_recipe(const QuantizeOnnxOptions& options) {
  OnnxRecipe out;
  out.form = word_of(kForms, std::optional(options.form.value_or(onnx::QuantForm::dynamic)));
  out.int8_target = word_of(kTargets, options.target);
  out.calib_method = word_of(kMethods, options.method);
  if (options.percentile) out.percentile = fmt::format("{}", *options.percentile);
  out.smooth = options.smooth.value_or("");
  out.reduce_range = options.reduce_range;
  out.no_embeddings = options.no_embeddings;
  out.float_ends = options.float_ends;
  return out;
}

Status take_scheme(const QuantScheme& scheme, QuantizeOnnxOptions& options) {
  const bool has_blocks = options.form && onnx::has_blocks(*options.form);
  if (scheme.kind == SchemeKind::int8) {
    if (!is_plain_int8(scheme)) return no_such_scheme(scheme);
    if (!has_blocks) return {};
    return usage_error("--onnx " + std::string(onnx::to_string(*options.form)) +
                           " has four bits a weight, the scheme is int8",
                       "--scheme int4, or leave out --onnx");
  }
  if (scheme.kind != SchemeKind::int4 || scheme.group == 0) return no_such_scheme(scheme);
  if (options.form && !has_blocks)
    return usage_error("--onnx " + std::string(onnx::to_string(*options.form)) +
                           " has eight bits a weight, the scheme is " + scheme.text(),
                       "--onnx int4 or int4-qdq");
  if (!is_block(scheme.group))
    return usage_error(
        "ONNX models have blocks of 16, 32, 64, ... weights, not " + std::to_string(scheme.group),
        "int4:g32, int4:g64");
  const bool is_usual = scheme.group == kUsualBlock;  // as "int4" has it
  if (!is_usual && options.block.value_or(scheme.group) != scheme.group)
    return usage_error(fmt::format("--block {} contradicts {}", *options.block, scheme.text()));
  if (scheme.said && !scheme.symmetric && options.symmetric)
    return usage_error("--symmetric contradicts int4:asym");
  if (!options.form) options.form = onnx::QuantForm::int4;
  if (!options.block) options.block = scheme.group;
  options.symmetric = options.symmetric || scheme.symmetric;
  return {};
}

Result<std::vector<onnx::WeightRule>> weight_rules(std::span<const SchemeRule> rules,
                                                   const QuantizeOnnxOptions& options) {
  const bool has_blocks = onnx::has_blocks(options.form.value_or(onnx::QuantForm::dynamic));
  QuantScheme blocks = default_scheme(SchemeKind::int4);
  blocks.group = options.block.value_or(kUsualBlock);
  blocks.symmetric = options.symmetric;
  std::vector<onnx::WeightRule> out;
  for (const SchemeRule& rule : rules) {
    onnx::WeightRule made;
    made.matches = [&rule](std::string_view name) { return rule.pattern.matches(name); };
    if (rule.scheme.kind == SchemeKind::keep) {
      made.choice = onnx::WeightChoice::keep;
    } else if (is_plain_int8(rule.scheme)) {
      made.choice = onnx::WeightChoice::bytes;
    } else if (has_blocks && rule.scheme.kind == SchemeKind::int4) {
      if (rule.scheme != blocks && rule.scheme != default_scheme(SchemeKind::int4))
        return usage_error(fmt::format("{} contradicts {}, which the model has", rule.scheme.text(),
                                       blocks.text()),
                           "one block and one kind of zero points are for all of an ONNX model")
            .during("the rule " + rule.text);
      made.choice = onnx::WeightChoice::blocks;
    } else if (rule.scheme.kind == SchemeKind::int4) {
      return usage_error("the form has eight bits a weight", "--onnx int4 has four")
          .during("the rule " + rule.text);
    } else {
      return no_such_scheme(rule.scheme).during("the rule " + rule.text);
    }
    out.push_back(std::move(made));
  }
  return out;
}

std::vector<UnusedPattern> unused_rules(std::span<const SchemeRule> rules,
                                        std::span<const std::string> names) {
  std::vector<UnusedPattern> out;
  for (const SchemeRule& rule : rules) {
    const auto matches = [&](const std::string& name) { return rule.pattern.matches(name); };
    if (std::ranges::none_of(names, matches)) out.push_back({"--tensor", rule.text});
  }
  return out;
}

Status check_fallbacks(const onnx::QuantReport& report, std::span<const SchemeRule> rules,
                       bool strict, Reporter& reporter) {
  constexpr size_t kNamed = 5;
  std::vector<std::string> idle;
  for (const SchemeRule& rule : rules) {
    if (rule.scheme.kind != SchemeKind::keep && !names_weight(rule, report))
      idle.push_back(printable(rule.text) + "=" + rule.scheme.text() +
                     " (no weight of a product or a table)");
  }
  if (!strict && !idle.empty()) reporter.warn("rules without effect: " + join_list(idle, kNamed));
  std::vector<std::string> eight;
  std::vector<std::string> kept;
  for (const onnx::QuantizedLayer& layer : report.layers) {
    if (layer.fallback) eight.push_back(printable(layer.weight) + " (" + layer.scheme + ")");
  }
  for (const onnx::KeptWeight& one : report.kept) {
    if (!one.chosen) kept.push_back(printable(one.weight) + " (" + one.reason + ")");
  }
  if (!strict) {
    if (!eight.empty()) reporter.warn("eight bits in place of four: " + join_list(eight, kNamed));
    return {};
  }
  eight.insert(eight.end(), kept.begin(), kept.end());
  eight.insert(eight.end(), idle.begin(), idle.end());
  if (eight.empty()) return {};
  return conflict("not every weight can have its scheme, as --strict wants it: " +
                      join_list(eight, kNamed) + "; nothing was written",
                  "--exclude or --tensor RE=keep says what to do with them");
}

QuantRecipe done_recipe(const QuantRecipe& given, const onnx::QuantOptions& how) {
  QuantRecipe out = given;
  out.scheme = default_scheme(SchemeKind::int8);
  if (onnx::has_blocks(how.form)) {
    out.scheme = default_scheme(SchemeKind::int4);
    out.scheme.group = how.block;
    out.scheme.symmetric = how.symmetric;
    if (!needs_samples(given.rounding)) out.rounding = how.rounding;
  }
  out.min_elements = how.min_elements;
  const auto add = [&](const std::string& name, SchemeKind kind) {
    auto rule = make_scheme_rule(MatchKind::exact, name, default_scheme(kind));
    if (rule.ok()) out.rules.push_back(std::move(rule).value());
  };
  for (const std::string& name : how.floats) add(name, SchemeKind::keep);
  for (const std::string& name : how.bytes) add(name, SchemeKind::int8);
  return out;
}

}  // namespace mlc::cli
