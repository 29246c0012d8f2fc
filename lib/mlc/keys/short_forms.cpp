// The command-line short forms of key_rules.h.
#include "mlc/base/text.h"
#include "mlc/keys/key_rules.h"

#include <cctype>

namespace mlc {
namespace {

std::string label_of(std::string_view flag, std::string_view text) {
  return std::string(flag) + " '" + printable(text) + "'";
}

Error in_flag(const std::string& label, const Error& error) {
  return usage_error(label + ": " + error.message(), error.hint());
}

// The text from AT up to the next unescaped DELIMITER; AT moves behind it.
Result<std::string_view> up_to(std::string_view text, char delimiter, size_t& at) {
  const size_t begin = at;
  for (; at < text.size(); ++at) {
    if (text[at] == '\\') {
      ++at;
    } else if (text[at] == delimiter) {
      return text.substr(begin, at++ - begin);
    }
  }
  return usage_error("a delimiter is missing", "write s/PATTERN/REPLACEMENT/, as in sed");
}

// An escaped delimiter in a replacement is the delimiter; in a pattern RE2 reads it so by itself.
std::string without_escaped(std::string_view text, char delimiter) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) {
      if (text[i + 1] != delimiter) out += text[i];
      ++i;
    }
    out += text[i];
  }
  return out;
}

Result<Rule> parse_substitution(std::string_view text) {
  if (text.size() < 2 || text[0] != 's' || text[1] == '\\' ||
      !std::ispunct(static_cast<unsigned char>(text[1])))
    return usage_error("this is no substitution", "write s/PATTERN/REPLACEMENT/, as in sed");
  const char delimiter = text[1];
  size_t at = 2;
  MLC_TRY(const std::string_view pattern, up_to(text, delimiter, at));
  MLC_TRY(const std::string_view to, up_to(text, delimiter, at));
  const std::string_view flags = text.substr(at);
  if (!flags.empty() && flags != "g")
    return usage_error("unknown flags " + quoted(flags),
                       "the only flag is g: every match, not the first");
  Rule rule;
  rule.action = Action::rename;
  rule.all = flags == "g";
  MLC_TRY(Pattern compiled, Pattern::compile(MatchKind::regex, pattern));
  MLC_TRY(Replacement replacement, compiled.replacement(without_escaped(to, delimiter)));
  rule.patterns.push_back(std::move(compiled));
  rule.to.push_back(std::move(replacement));
  return rule;
}

Status add_literal(Rule& rule, MatchKind kind, std::string_view text, std::string_view to) {
  MLC_TRY(Pattern pattern, Pattern::compile(kind, text));
  rule.patterns.push_back(std::move(pattern));
  rule.to.push_back(Replacement::literal(to));
  return {};
}

}  // namespace

uint32_t RuleSet::push(Rule rule) {
  rules_.push_back(std::move(rule));
  return static_cast<uint32_t>(rules_.size() - 1);
}

Status RuleSet::add_map(std::string_view text) {
  const std::string label = label_of("--map", text);
  const size_t equals = text.find('=');
  if (equals == std::string_view::npos || equals == 0)
    return usage_error(label + " is not of the form OLD=NEW");
  const std::string_view from = text.substr(0, equals);
  const std::string_view to = text.substr(equals + 1);
  const bool is_prefix = from.back() == '.';
  if (to.empty() && !is_prefix)
    return usage_error(
        label + " gives no new name",
        "--map '" + printable(from) + ".=' removes the prefix, --drop leaves keys out");
  Rule rule;
  rule.action = Action::rename;
  rule.label = label;
  MLC_CHECK(add_literal(rule, MatchKind::exact, from, to));
  const std::string dot = is_prefix ? "" : ".";
  MLC_CHECK(add_literal(rule, MatchKind::prefix, std::string(from) + dot, std::string(to) + dot));
  short_forms_.push_back({ShortForm::Kind::map, {push(std::move(rule))}});
  return {};
}

Status RuleSet::add_regex(std::string_view text) {
  const std::string label = label_of("--regex", text);
  auto rule = parse_substitution(text);
  if (!rule.ok()) return in_flag(label, rule.error());
  rule->label = label;
  short_forms_.push_back({ShortForm::Kind::regex, {push(std::move(rule).value())}});
  return {};
}

Status RuleSet::add_glob(ShortForm::Kind kind, Action action, std::string_view flag,
                         std::string_view glob) {
  Rule rule;
  rule.action = action;
  rule.label = label_of(flag, glob);
  auto pattern = Pattern::compile(MatchKind::glob, glob);
  if (!pattern.ok()) return in_flag(rule.label, pattern.error());
  rule.patterns.push_back(std::move(pattern).value());
  const uint32_t index = push(std::move(rule));
  if (kind == ShortForm::Kind::keep) {
    for (ShortForm& form : short_forms_) {
      if (form.kind == kind) return form.rules.push_back(index), Status();
    }
  }
  short_forms_.push_back({kind, {index}});
  return {};
}

Status RuleSet::add_drop(std::string_view glob) {
  return add_glob(ShortForm::Kind::drop, Action::drop, "--drop", glob);
}

Status RuleSet::add_keep(std::string_view glob) {
  return add_glob(ShortForm::Kind::keep, Action::keep, "--keep", glob);
}

Status RuleSet::add_prefix(std::string_view prefix) {
  Rule rule;
  rule.action = Action::rename;
  rule.label = label_of("--add-prefix", prefix);
  if (prefix.empty()) return usage_error("--add-prefix is empty");
  MLC_CHECK(add_literal(rule, MatchKind::prefix, "", prefix));
  short_forms_.push_back({ShortForm::Kind::add_prefix, {push(std::move(rule))}});
  return {};
}

}  // namespace mlc
