#include "mlc/compress/recipe.h"

#include "mlc/base/text.h"
#include "mlc/metadata/meta_value.h"
#include "mlc/yaml/document.h"

#include <array>
#include <optional>

namespace mlc {
namespace {

constexpr auto kRoundings =
    std::to_array<std::pair<Rounding, std::string_view>>({{Rounding::rtn, "rtn"},
                                                          {Rounding::mse, "mse"},
                                                          {Rounding::hqq, "hqq"},
                                                          {Rounding::gptq, "gptq"},
                                                          {Rounding::awq, "awq"}});

/// An Error about the text of a node, at its place.
template <class T>
Result<T> at(const yaml::Node& node, Result<T> result) {
  if (result.ok()) return result;
  return node.error(result.error().message(), result.error().hint());
}

Result<QuantScheme> read_scheme(const yaml::Node& node) {
  MLC_TRY(const std::string text, node.as_string());
  return at(node, parse_scheme(text));
}

Result<Rounding> read_rounding(const yaml::Node& node) {
  MLC_TRY(const std::string text, node.as_string());
  for (const auto& [rounding, name] : kRoundings) {
    if (name == text) return rounding;
  }
  return node.error("no such rounding: " + quoted(text), "rtn, mse, hqq, gptq or awq");
}

Result<SchemeRule> read_rule(const yaml::Node& node) {
  if (node.kind() != yaml::Kind::mapping) {
    return node.error("expected a rule, found " + node.describe(),
                      "{regex: 'mlp', scheme: int4} or {name: fc.weight, scheme: keep}");
  }
  MLC_CHECK(node.only_keys({"regex", "name", "scheme"}));
  const yaml::Node* const regex = node.find("regex");
  const yaml::Node* const name = node.find("name");
  const yaml::Node* const scheme = node.find("scheme");
  if ((regex == nullptr) == (name == nullptr)) return node.error("a rule has a regex or a name");
  if (scheme == nullptr) return node.error("the rule has no scheme");
  MLC_TRY(const QuantScheme parsed, read_scheme(*scheme));
  const yaml::Node& key = regex != nullptr ? *regex : *name;
  MLC_TRY(std::string text, key.as_string());
  return at(key, make_scheme_rule(regex != nullptr ? MatchKind::regex : MatchKind::exact,
                                  std::move(text), parsed));
}

Status check_format(const yaml::Node& root) {
  if (root.kind() != yaml::Kind::mapping) {
    return root.error("expected a recipe, found " + root.describe(),
                      "it begins with `mlc: " + std::string(kRecipeFormat) + "`");
  }
  const yaml::Node* const format = root.find("mlc");
  if (format == nullptr) {
    return root.error("the key \"mlc\" is missing", "mlc: " + std::string(kRecipeFormat));
  }
  MLC_TRY(const std::string text, format->as_string());
  if (text == kRecipeFormat) return {};
  return format->error("unknown format " + quoted(text, 60),
                       "this mlc reads " + std::string(kRecipeFormat));
}

/// With what only says the default, which counts where a format has to choose.
std::string said_text(const QuantScheme& scheme) {
  const bool left_out = scheme.said && scheme.symmetric == scheme.info().symmetric;
  return scheme.text() + (!left_out ? "" : scheme.symmetric ? ":sym" : ":asym");
}

}  // namespace

std::string_view to_string(Rounding rounding) {
  return kRoundings[static_cast<size_t>(rounding)].second;
}

Result<SchemeRule> make_scheme_rule(MatchKind kind, std::string text, QuantScheme scheme) {
  MLC_TRY(Pattern pattern, Pattern::compile(kind, text));
  return SchemeRule{std::move(pattern), std::move(text), scheme};
}

Result<SchemeRule> parse_scheme_rule(std::string_view text) {
  const size_t equals = text.rfind('=');
  if (equals == std::string_view::npos || equals == 0) {
    return usage_error("not REGEX=SCHEME: " + quoted(text), "as in 'lm_head=int8'");
  }
  MLC_TRY(const QuantScheme scheme, parse_scheme(text.substr(equals + 1)));
  return make_scheme_rule(MatchKind::regex, std::string(text.substr(0, equals)), scheme);
}

namespace {

struct OnnxText {
  std::string_view key;
  std::string OnnxRecipe::*text;
};
struct OnnxFlag {
  std::string_view key;
  bool OnnxRecipe::*flag;
};
constexpr OnnxText kOnnxTexts[] = {{"form", &OnnxRecipe::form},
                                   {"int8_target", &OnnxRecipe::int8_target},
                                   {"calib_method", &OnnxRecipe::calib_method},
                                   {"percentile", &OnnxRecipe::percentile},
                                   {"smooth", &OnnxRecipe::smooth}};
constexpr OnnxFlag kOnnxFlags[] = {{"reduce_range", &OnnxRecipe::reduce_range},
                                   {"no_embeddings", &OnnxRecipe::no_embeddings},
                                   {"float_ends", &OnnxRecipe::float_ends}};

Result<OnnxRecipe> read_onnx(const yaml::Node& node) {
  if (node.kind() != yaml::Kind::mapping)
    return node.error("expected a mapping, found " + node.describe(), "onnx: {form: static}");
  MLC_CHECK(node.only_keys({"form", "int8_target", "calib_method", "percentile", "smooth",
                            "reduce_range", "no_embeddings", "float_ends"}));
  OnnxRecipe out;
  for (const OnnxText& row : kOnnxTexts) {
    const yaml::Node* const value = node.find(row.key);
    if (value == nullptr) continue;
    MLC_TRY(out.*row.text, value->as_string());
  }
  for (const OnnxFlag& row : kOnnxFlags) {
    const yaml::Node* const value = node.find(row.key);
    if (value == nullptr) continue;
    MLC_TRY(out.*row.flag, value->as_bool());
  }
  return out;
}

MetaValue::Map onnx_map(const OnnxRecipe& onnx) {
  MetaValue::Map out;
  for (const OnnxText& row : kOnnxTexts)
    if (!(onnx.*row.text).empty()) out.emplace_back(row.key, onnx.*row.text);
  for (const OnnxFlag& row : kOnnxFlags)
    if (onnx.*row.flag) out.emplace_back(row.key, true);
  return out;
}

Result<QuantRecipe> recipe_of(const yaml::Node& root) {
  MLC_CHECK(check_format(root));
  MLC_CHECK(root.only_keys(
      {"mlc", "scheme", "rounding", "min_elements", "include", "exclude", "tensors", "onnx"}));
  QuantRecipe out;
  if (const yaml::Node* node = root.find("scheme")) {
    MLC_TRY(out.scheme, read_scheme(*node));
  }
  if (const yaml::Node* node = root.find("rounding")) {
    MLC_TRY(out.rounding, read_rounding(*node));
  }
  if (const yaml::Node* node = root.find("min_elements")) {
    MLC_TRY(out.min_elements, node->as_int());
    if (out.min_elements < 0) return node->error("expected 0 or more");
  }
  if (const yaml::Node* node = root.find("include")) {
    MLC_TRY(out.include, node->as_string_list());
  }
  if (const yaml::Node* node = root.find("exclude")) {
    MLC_TRY(out.exclude, node->as_string_list());
  }
  if (const yaml::Node* node = root.find("tensors")) {
    if (node->kind() != yaml::Kind::sequence) return node->error("expected a list of rules");
    for (const yaml::Node& item : node->items()) {
      MLC_TRY(SchemeRule rule, read_rule(item));
      out.rules.push_back(std::move(rule));
    }
  }
  if (const yaml::Node* node = root.find("onnx")) {
    MLC_TRY(out.onnx, read_onnx(*node));
  }
  return out;
}

}  // namespace

Result<QuantRecipe> read_recipe(const std::string& path) {
  MLC_TRY(const yaml::Node root, yaml::parse_file(path));
  return recipe_of(root);
}

Result<QuantRecipe> parse_recipe(std::string text, const std::string& file) {
  MLC_TRY(const yaml::Node root, yaml::parse(std::move(text), file));
  return recipe_of(root);
}

std::string recipe_yaml(const QuantRecipe& recipe) {
  MetaValue::Map map;
  map.emplace_back("mlc", kRecipeFormat);
  map.emplace_back("scheme", said_text(recipe.scheme));
  map.emplace_back("rounding", to_string(recipe.rounding));
  map.emplace_back("min_elements", recipe.min_elements);
  const auto add_texts = [&map](std::string_view key, const std::vector<std::string>& texts) {
    if (texts.empty()) return;
    MetaValue::List list;
    for (const std::string& text : texts) list.emplace_back(text);
    map.emplace_back(key, std::move(list));
  };
  add_texts("include", recipe.include);
  add_texts("exclude", recipe.exclude);
  MetaValue::List rules;
  for (const SchemeRule& rule : recipe.rules) {
    // A regular expression that can only be one text has become exact.
    const bool name = rule.pattern.kind() == MatchKind::exact && rule.pattern.text() == rule.text;
    MetaValue::Map one;
    one.emplace_back(name ? "name" : "regex", rule.text);
    one.emplace_back("scheme", said_text(rule.scheme));
    rules.emplace_back(std::move(one));
  }
  if (!rules.empty()) map.emplace_back("tensors", std::move(rules));
  if (recipe.onnx != OnnxRecipe()) map.emplace_back("onnx", onnx_map(recipe.onnx));
  return MetaValue(std::move(map)).to_yaml();
}

}  // namespace mlc
