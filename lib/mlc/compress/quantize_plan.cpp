#include "mlc/compress/quantize_plan.h"

#include "mlc/base/glob.h"
#include "mlc/base/sentence_key.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/expansion.h"
#include "mlc/checkpoint/save.h"
#include "mlc/checkpoint/stored_parts.h"
#include "mlc/checkpoint/tensor_identity.h"
#include "mlc/compress/float_rows.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>

namespace mlc {
namespace {

struct KeptRow {
  Kept kept;
  std::string_view word;
  std::string_view text;
};
constexpr auto kKept = std::to_array<KeptRow>({
    {Kept::no, "no", ""},
    {Kept::not_floating, "not_floating", "no floating-point numbers"},
    {Kept::empty, "empty", "without elements"},
    {Kept::not_plain, "not_plain", "no plain tensors"},
    {Kept::one_dimension, "one_dimension", "of one dimension"},
    {Kept::bias, "bias", "biases"},
    {Kept::small, "small", "small"},
    {Kept::by_recipe, "by_recipe", "as asked"},
    {Kept::no_gain, "no_gain", "no smaller when quantised"},
    {Kept::layout, "layout", "without a place in the format"},
    {Kept::not_linear, "not_linear", "of no linear layer, which is all that the format has"},
    {Kept::not_finite, "not_finite", "not finite"},
    {Kept::out_of_range, "out_of_range", "too large for their scheme"},
    {Kept::too_small, "too_small", "too small for their scheme"},
    {Kept::sqnr, "sqnr", "below the SQNR"},
    {Kept::target_size, "target_size", "as floats, for which the size has room"},
    {Kept::quantized, "quantized", "quantised already"},
    {Kept::in_value, "in_value", "within values that are no tensors"},
});

/// Which patterns of a recipe have matched.
class Rules {
 public:
  explicit Rules(const QuantRecipe& recipe)
      : recipe_(recipe),
        include_(recipe.include.size(), false),
        exclude_(recipe.exclude.size(), false),
        rules_(recipe.rules.size(), false) {}

  /// The scheme for KEY, and the number of the rule that names it.
  struct Wanted {
    QuantScheme scheme;
    std::optional<size_t> rule;
  };
  Wanted wanted(const std::string& key) {
    Wanted out{recipe_.scheme, std::nullopt};
    const bool in = any(recipe_.include, key, include_) || recipe_.include.empty();
    const bool out_of_it = any(recipe_.exclude, key, exclude_);
    for (size_t i = 0; i < recipe_.rules.size(); ++i) {
      if (!recipe_.rules[i].pattern.matches(key)) continue;
      rules_[i] = true;
      out = {recipe_.rules[i].scheme, i};
    }
    if (!in || out_of_it) out = {QuantScheme(), std::nullopt};
    return out;
  }

  std::vector<UnusedPattern> unused() const {
    std::vector<UnusedPattern> out;
    const auto add = [&out](std::string_view what, const std::string& text, bool used) {
      if (!used) out.push_back({std::string(what), text});
    };
    for (size_t i = 0; i < include_.size(); ++i) add("--include", recipe_.include[i], include_[i]);
    for (size_t i = 0; i < exclude_.size(); ++i) add("--exclude", recipe_.exclude[i], exclude_[i]);
    for (size_t i = 0; i < rules_.size(); ++i) add("--tensor", recipe_.rules[i].text, rules_[i]);
    return out;
  }

 private:
  static bool any(const std::vector<std::string>& globs, const std::string& key,
                  std::vector<bool>& used) {
    bool found = false;
    for (size_t i = 0; i < globs.size(); ++i) {
      if (!glob_match(globs[i], key)) continue;
      used[i] = true;
      found = true;
    }
    return found;
  }

  const QuantRecipe& recipe_;
  std::vector<bool> include_;
  std::vector<bool> exclude_;
  std::vector<bool> rules_;
};

/// Packed ones are of no plain kind: 4 and 2 bits.
bool is_quantized_by_torch(const Tensor& tensor) {
  return info(tensor.dtype).kind == DTypeClass::quantized;
}

bool is_bias(std::string_view key) {
  const size_t dot = key.rfind('.');
  return (dot == std::string_view::npos ? key : key.substr(dot + 1)) == "bias";
}

/// Loaders of compressed-tensors look for the weights of Linear layers.
bool is_linear_weight(std::string_view key, Dims sizes) {
  constexpr std::array<std::string_view, 5> kEmbeddings = {"embed", "wte.", "wpe.", "lm_head",
                                                           "shared."};
  if (!key.ends_with(".weight") || sizes.size() != 2) return false;
  for (const std::string_view part : kEmbeddings) {
    if (key.find(part) != std::string_view::npos) return false;
  }
  return true;
}

/// The scheme as compressed-tensors has it, which knows no zero points here.
QuantScheme in_words(QuantScheme scheme) {
  scheme.symmetric = true;
  scheme.words = true;
  return scheme;
}

/// Why the tensor cannot or should not be quantised, whatever the scheme. RULED: a rule of its own
/// asks for it, which outweighs what is only sensible.
Kept reason_to_keep(const Checkpoint& checkpoint, const WeightPlan& weight, bool ruled,
                    const QuantRecipe& recipe) {
  const Tensor& tensor = checkpoint.tensors[weight.tensor];
  const int64_t count = checkpoint.element_count(tensor);
  if (is_quantized_by_torch(tensor)) return Kept::quantized;
  if (tensor.kind != TensorKind::dense) return Kept::not_plain;
  if (!has_float_elements(tensor)) return Kept::not_floating;
  if (count == 0) return Kept::empty;
  if (tensor.rank < 2) return Kept::one_dimension;
  if (weight.asked.kind == SchemeKind::keep) return Kept::by_recipe;
  if (ruled) return Kept::no;
  if (is_bias(weight.names[0])) return Kept::bias;
  return count < recipe.min_elements ? Kept::small : Kept::no;
}

void keep(WeightPlan& weight, Kept reason) {
  weight.kept = reason;
  weight.asked = weight.scheme = QuantScheme();
}

void decide(const Checkpoint& checkpoint, WeightPlan& weight, bool ruled, const QuantRecipe& recipe,
            QuantFormat format) {
  const Kept reason = reason_to_keep(checkpoint, weight, ruled, recipe);
  if (reason != Kept::no) return keep(weight, reason);
  if (format == QuantFormat::compressed_tensors) {
    const Dims sizes = checkpoint.sizes(checkpoint.tensors[weight.tensor]);
    if (!is_linear_weight(weight.names[0], sizes)) return keep(weight, Kept::not_linear);
    weight.asked = in_words(weight.asked);
    // A weight that loaders look for, with columns that are no whole groups: a fallback.
    if (weight.asked.group != 0 && sizes[1] % weight.asked.group != 0) {
      weight.kept = Kept::layout;
      return;
    }
  }
  weight.scheme = weight.asked;
  if (bytes_after(checkpoint, weight) >= bytes_before(checkpoint, weight))
    keep(weight, Kept::no_gain);
}

/// Makes fallbacks of the tensors whose rule, of RULED, is carried out for none.
void tell_idle_rules(QuantizePlan& plan, const std::vector<std::optional<size_t>>& ruled,
                     const QuantRecipe& recipe) {
  std::vector<bool> carried_out(recipe.rules.size(), false);
  for (size_t i = 0; i < plan.weights.size(); ++i) {
    if (ruled[i] && plan.weights[i].is_quantized()) carried_out[*ruled[i]] = true;
  }
  for (size_t i = 0; i < plan.weights.size(); ++i) {
    if (!ruled[i] || carried_out[*ruled[i]]) continue;
    if (plan.weights[i].kept == Kept::by_recipe) continue;
    const QuantScheme& asked = recipe.rules[*ruled[i]].scheme;
    plan.weights[i].asked = plan.format == QuantFormat::compressed_tensors && asked.is_integer()
                                ? in_words(asked)
                                : asked;
  }
}

/// What torch.nn.utils.prune leaves are no weights yet: NAME_orig counts only with NAME_mask.
Status refuse_masked(const Checkpoint& checkpoint, const StateDict& state_dict) {
  constexpr std::string_view kOrig = "_orig";
  std::map<std::string_view, uint32_t> tensors;
  for (const StateDictEntry& entry : state_dict.entries) tensors.emplace(entry.key, entry.tensor);
  std::vector<std::string> masked;
  for (const auto& [key, tensor] : tensors) {
    if (!key.ends_with(kOrig)) continue;
    const std::string name(key.substr(0, key.size() - kOrig.size()));
    const auto mask = tensors.find(name + "_mask");
    if (mask == tensors.end()) continue;
    const Dims sizes = checkpoint.sizes(checkpoint.tensors[tensor]);
    if (std::ranges::equal(sizes, checkpoint.sizes(checkpoint.tensors[mask->second])))
      masked.push_back(sentence_key(name));
  }
  if (masked.empty()) return {};
  return conflict("pruned weights lie beside their masks, as _orig and _mask: " + join_list(masked),
                  "`mlc prune --apply-masks` first makes weights of them");
}

}  // namespace

std::string_view kept_text(Kept kept) {
  return kKept[static_cast<size_t>(kept)].text;
}
std::string_view kept_word(Kept kept) {
  return kKept[static_cast<size_t>(kept)].word;
}

Status check_schemes(const QuantRecipe& recipe, QuantFormat format) {
  if (format != QuantFormat::compressed_tensors) return {};
  const auto check = [](const QuantScheme& scheme) -> Status {
    if (scheme.kind == SchemeKind::keep) return {};
    if (!scheme.is_integer()) {
      return usage_error(
          "compressed-tensors has no " + scheme.text() + " beside its codes of 4 and 8 bits",
          "--format plain, the default, has it; --tensor RE=keep keeps floats");
    }
    if (scheme.symmetric || !scheme.said) return {};
    return usage_error("compressed-tensors is written without zero points, and " +
                           std::string(scheme.info().name) + ":asym asks for them",
                       ":sym instead of :asym, or --format plain, the default");
  };
  MLC_CHECK_CTX(check(recipe.scheme), "the scheme of all tensors");
  for (const SchemeRule& rule : recipe.rules) {
    MLC_CHECK_CTX(check(rule.scheme), "the rule " + quoted(rule.text));
  }
  return {};
}

std::vector<std::string> quantized_by_torch(const Checkpoint& checkpoint,
                                            const StateDict& state_dict) {
  std::vector<std::string> out;
  std::set<TensorIdentity> known;
  const auto add = [&](std::string name, uint32_t index) {
    const Tensor& tensor = checkpoint.tensors[index];
    if (!is_quantized_by_torch(tensor)) return;
    if (known.insert(identity_of(checkpoint, tensor)).second) out.push_back(std::move(name));
  };
  for (const StateDictEntry& entry : state_dict.entries) add(std::string(entry.key), entry.tensor);
  for (NamedTensor& named : tensors_in_values(checkpoint, state_dict)) {
    add(std::move(named.path), named.tensor);
  }
  return out;
}

void add_tensors_in_values(const Checkpoint& checkpoint, const StateDict& state_dict,
                           QuantizePlan& plan) {
  const std::vector<NamedTensor> inside = tensors_in_values(checkpoint, state_dict);
  const auto quantized = [&](const NamedTensor& named) {
    return is_quantized_by_torch(checkpoint.tensors[named.tensor]);
  };
  if (std::ranges::none_of(inside, quantized)) return;
  std::set<TensorIdentity> known;
  for (const WeightPlan& weight : plan.weights) {
    known.insert(identity_of(checkpoint, checkpoint.tensors[weight.tensor]));
  }
  for (const NamedTensor& named : inside) {
    if (!known.insert(identity_of(checkpoint, checkpoint.tensors[named.tensor])).second) continue;
    WeightPlan& weight = plan.weights.emplace_back();
    weight.names = {named.path};
    weight.tensor = named.tensor;
    weight.in_value = true;
    weight.kept = quantized(named) ? Kept::quantized : Kept::in_value;
  }
}

QuantizedTensor described(const Checkpoint& checkpoint, const WeightPlan& weight) {
  const Tensor& tensor = checkpoint.tensors[weight.tensor];
  const Dims sizes = checkpoint.sizes(tensor);
  return {weight.names[0],
          weight.scheme,
          tensor.dtype,
          {sizes.begin(), sizes.end()},
          weight.has_input_scale()};
}

uint64_t bytes_before(const Checkpoint& checkpoint, const WeightPlan& weight) {
  return stored_bytes(checkpoint, checkpoint.tensors[weight.tensor]);
}

uint64_t bytes_after(const Checkpoint& checkpoint, const WeightPlan& weight) {
  if (!weight.is_quantized()) return bytes_before(checkpoint, weight);
  const Tensor& tensor = checkpoint.tensors[weight.tensor];
  const Dims sizes = checkpoint.sizes(tensor);
  if (!weight.scheme.is_integer()) {
    return static_cast<uint64_t>(checkpoint.element_count(tensor)) *
           element_bytes(weight.scheme.info().stored);
  }
  const QuantLayout layout = layout_of(weight.scheme, sizes);
  const auto rows = static_cast<uint64_t>(layout.rows);
  const uint64_t groups = rows * static_cast<uint64_t>(layout.groups);
  uint64_t scale = weight.scheme.group == 0 ? 4 : 2;
  if (weight.quantizer != nullptr) scale = element_bytes(weight.quantizer->scale_dtype());
  uint64_t bytes = rows * layout.row_bytes() + groups * scale;
  if (!weight.scheme.symmetric) {
    bytes +=
        groups * (weight.quantizer != nullptr ? element_bytes(weight.quantizer->zero_dtype()) : 1);
  }
  if (weight.has_input_scale()) bytes += static_cast<uint64_t>(layout.columns) * sizeof(float);
  const bool packed = layout.packed || layout.words;
  return bytes + (packed ? sizes.size() * sizeof(int64_t) : 0);
}

Result<QuantizePlan> plan_quantization(const Checkpoint& checkpoint, const StateDict& state_dict,
                                       const QuantRecipe& recipe, QuantFormat format) {
  MLC_CHECK(refuse_masked(checkpoint, state_dict));
  QuantizePlan plan;
  plan.format = format;
  plan.rounding = recipe.rounding;
  Rules rules(recipe);
  std::map<TensorIdentity, size_t> known;
  std::vector<std::optional<size_t>> ruled;
  for (const StateDictEntry& entry : state_dict.entries) {
    const std::string key(entry.key);
    const Rules::Wanted wanted = rules.wanted(key);
    const Tensor& tensor = checkpoint.tensors[entry.tensor];
    const auto identity = identity_of(checkpoint, tensor);
    const auto [at, is_new] = known.try_emplace(identity, plan.weights.size());
    if (is_new || tensor.storage == kNoIndex) {
      at->second = plan.weights.size();
      WeightPlan weight;
      weight.names = {key};
      weight.tensor = entry.tensor;
      weight.asked = wanted.scheme;
      plan.weights.push_back(std::move(weight));
      ruled.push_back(wanted.rule);
      continue;
    }
    WeightPlan& first = plan.weights[at->second];
    first.names.push_back(key);
    // Of a tied tensor any name can keep it, and a rule for any name counts.
    if (wanted.scheme.kind == SchemeKind::keep || (wanted.rule && !ruled[at->second])) {
      if (first.asked.kind != SchemeKind::keep) first.asked = wanted.scheme;
      ruled[at->second] = wanted.rule;
    }
  }
  std::vector<NamedTensor> read;
  for (size_t i = 0; i < plan.weights.size(); ++i) {
    WeightPlan& weight = plan.weights[i];
    decide(checkpoint, weight, ruled[i].has_value(), recipe, format);
    if (weight.is_quantized()) read.push_back({weight.names[0], weight.tensor});
  }
  MLC_CHECK(check_expansion(checkpoint, read));
  tell_idle_rules(plan, ruled, recipe);
  plan.unused_patterns = rules.unused();
  return plan;
}

}  // namespace mlc
