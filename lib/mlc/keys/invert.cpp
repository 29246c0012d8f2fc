#include "mlc/keys/invert.h"

#include "mlc/base/sentence_key.h"
#include "mlc/base/text.h"
#include "mlc/keys/replacement.h"
#include "mlc/yaml/document.h"

#include <algorithm>
#include <set>

#include <re2/re2.h>

namespace mlc {
namespace {

using Op = PlanItem::Op;

// A YAML scalar that reads back as TEXT: in single quotes, or escaped where control bytes need it.
std::string yaml_text(std::string_view text) {
  const bool is_plain = std::none_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
  });
  std::string out = is_plain ? "'" : "\"";
  constexpr char kHex[] = "0123456789ABCDEF";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (is_plain) {
      out += c;
      if (c == '\'') out += c;
    } else if (byte < 0x20 || byte == 0x7F) {
      out += "\\x";
      out += kHex[byte >> 4U];
      out += kHex[byte & 15U];
    } else {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
  }
  return out + (is_plain ? "'" : "\"");
}

std::string list_text(const std::vector<std::string>& items) {
  std::string out = "[";
  for (const std::string& item : items) out += (out.size() > 1 ? ", " : "") + item;
  return out + "]";
}

std::vector<std::string> numbers(const std::vector<int64_t>& values) {
  std::vector<std::string> out;
  for (const int64_t value : values) out.push_back(std::to_string(value));
  return out;
}

std::vector<int64_t> inverse_permutation(const std::vector<int64_t>& permutation) {
  std::vector<int64_t> out(permutation.size());
  for (size_t i = 0; i < permutation.size(); ++i)
    out[static_cast<size_t>(permutation[i])] = static_cast<int64_t>(i);
  return out;
}

std::string exact_rule(const std::string& name) {
  return "  - exact: " + yaml_text(name) + "\n";
}

std::string transpose_rules(const PlanItem& item, const std::string& old) {
  std::string out = exact_rule(item.name) +
                    "    transpose: " + list_text(numbers(inverse_permutation(item.permutation))) +
                    "\n";
  if (old == item.name) return out;
  return out + "    continue: true\n" + exact_rule(item.name) + "    to: " + yaml_text(old) + "\n";
}

std::string split_rule(const PlanItem& item, const Plan& plan) {
  std::vector<std::string> names;
  for (const uint32_t source : item.sources) names.push_back(yaml_text(plan.names[source]));
  return exact_rule(item.name) + "    split: {dim: " + std::to_string(item.dim) +
         ", sizes: " + list_text(numbers(item.sizes)) + ", to: " + list_text(names) + "}\n";
}

// One rule for all parts of a split, written at the first of them.
std::string concat_rule(std::span<const PlanItem> parts, const std::string& old) {
  std::vector<std::string> patterns;
  for (const PlanItem& part : parts)
    patterns.push_back(yaml_text("^" + re2::RE2::QuoteMeta(part.name) + "$"));
  return "  - match: " + list_text(patterns) +
         "\n    concat: {dim: " + std::to_string(parts[0].dim) +
         ", to: " + yaml_text(escape_replacement(old)) + "}\n";
}

Status check(const Plan& plan) {
  if (!plan.is_one_to_one())
    return conflict("the plan drops " + plural(plan.dropped.size(), "tensor") + ", first " +
                        sentence_key(plan.names[plan.dropped[0].source]) +
                        ", so no rules can bring back its input",
                    "rename with --emit-inverse in one run, drop in the next without it");
  for (const PlanItem& item : plan.items) {
    if (item.op == Op::concat && item.sizes.empty())
      return conflict("the shapes of the tensors joined to " + sentence_key(item.name) +
                          " are unknown, so the inverse cannot split it",
                      "--emit-inverse needs a checkpoint here, not --only-names");
    if (item.op == Op::keep) continue;
    bool is_text = is_utf8(item.name);
    for (const uint32_t source : item.sources) {
      if (plan.names[source].empty())
        return conflict(sentence_key(item.name) +
                        " was a tensor with an empty name, which no rule can give back");
      is_text = is_text && is_utf8(plan.names[source]);
    }
    if (!is_text)
      return unsupported("the name " + quoted(item.name) +
                         " or what it comes from is not UTF-8, which a YAML file cannot hold");
  }
  return {};
}

/// Rules that mlc would not read back are of no use.
Status check_readable(const std::string& yaml) {
  constexpr size_t kSmall = size_t{1} << 20U;  // of bytes: no more nodes than that
  if (yaml.size() <= kSmall) return {};
  if (yaml.size() <= yaml::kMaxFileBytes && yaml::parse(yaml, "").ok()) return {};
  return unsupported("the rules that undo this would be larger than mlc reads",
                     "leave --emit-inverse out, or rename a part of the keys at a time");
}

}  // namespace

Result<std::string> invert(const Plan& plan) {
  MLC_CHECK(check(plan));
  std::string rules;
  for (size_t i = 0; i < plan.items.size(); ++i) {
    const PlanItem& item = plan.items[i];
    const std::string& old = plan.names[item.sources[0]];
    switch (item.op) {
      case Op::keep:
        break;
      case Op::rename:
        rules += exact_rule(item.name) + "    to: " + yaml_text(old) + "\n";
        break;
      case Op::transpose:
        rules += transpose_rules(item, old);
        break;
      case Op::concat:
        rules += split_rule(item, plan);
        break;
      case Op::split:
        rules += concat_rule(std::span(plan.items).subspan(i, item.parts), old);
        i += item.parts - 1;
        break;
    }
  }
  std::string yaml = "version: 1\nrules:" + (rules.empty() ? " []\n" : "\n" + rules);
  MLC_CHECK(check_readable(yaml));
  return yaml;
}

}  // namespace mlc
