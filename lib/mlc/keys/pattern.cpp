#include "mlc/keys/pattern.h"

#include "mlc/base/text.h"

#include <array>

#include <re2/re2.h>

namespace mlc {
namespace {

constexpr std::string_view kPunctuation = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~";

bool is_punctuation(char c) {
  return kPunctuation.find(c) != std::string_view::npos;
}

// The only text that REGEX matches, if it has the form ^literal$.
std::optional<std::string> only_text(std::string_view regex) {
  if (regex.size() < 2 || regex.front() != '^' || regex.back() != '$') return std::nullopt;
  const std::string_view inner = regex.substr(1, regex.size() - 2);
  std::string out;
  for (size_t i = 0; i < inner.size(); ++i) {
    if (inner[i] == '\\') {
      if (++i == inner.size() || !is_punctuation(inner[i])) return std::nullopt;
    } else if (std::string_view("^$.[]|()*+?{}").find(inner[i]) != std::string_view::npos) {
      return std::nullopt;
    }
    out += inner[i];
  }
  return out;
}

// Appends the class that starts behind '[' at I to OUT and moves I behind its ']'; false where the
// class is never closed, in which case '[' is an ordinary character (as in glob_match).
bool append_class(std::string_view glob, size_t& i, std::string& out) {
  std::string body = "[";
  size_t at = i;
  if (at < glob.size() && (glob[at] == '!' || glob[at] == '^')) {
    body += '^';
    ++at;
  }
  for (bool first = true; at < glob.size(); first = false) {
    if (glob[at] == ']' && !first) {
      out += body + "]";
      i = at + 1;
      return true;
    }
    const bool is_range_dash =
        glob[at] == '-' && !first && at + 1 < glob.size() && glob[at + 1] != ']';
    if (is_range_dash) {
      body += glob[at++];
      continue;
    }
    if (glob[at] == '\\' && at + 1 < glob.size()) ++at;
    if (is_punctuation(glob[at])) body += '\\';
    body += glob[at++];
  }
  return false;
}

// `*` takes any bytes, so that a key that is not UTF-8 can be matched too.
std::string glob_to_regex(std::string_view glob) {
  std::string out = "(?s)\\A";
  for (size_t i = 0; i < glob.size();) {
    const char c = glob[i++];
    if (c == '*') {
      out += "(\\C*)";
    } else if (c == '?') {
      out += "(.)";
    } else if (c == '[' && append_class(glob, i, out)) {
      continue;
    } else {
      const char literal = c == '\\' && i < glob.size() ? glob[i++] : c;
      if (is_punctuation(literal)) out += '\\';
      out += literal;
    }
  }
  return out + "\\z";
}

Error bad_regex(MatchKind kind, std::string_view text, const re2::RE2& regex) {
  std::string message = std::string(to_string(kind)) + " " + quoted(text) +
                        " is not valid: " + printable(regex.error());
  switch (regex.error_code()) {
    case re2::RE2::ErrorBadEscape:
    case re2::RE2::ErrorBadPerlOp:
    case re2::RE2::ErrorRepeatArgument:
      return usage_error(std::move(message),
                         "patterns are RE2's, without look-around and back-references");
    case re2::RE2::ErrorPatternTooLarge:
      return usage_error(std::move(message), "repeat counts multiply; use * or +");
    default:
      return usage_error(std::move(message));
  }
}

size_t next_character(std::string_view text, size_t at) {
  do ++at;
  while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0U) == 0x80U);
  return at;
}

}  // namespace

std::string_view to_string(MatchKind kind) {
  constexpr std::array<std::string_view, 6> kNames = {"regex",  "glob",  "prefix",
                                                      "suffix", "exact", "substring"};
  return kNames[static_cast<size_t>(kind)];
}

Result<Pattern> Pattern::compile(MatchKind kind, std::string_view text) {
  Pattern out;
  out.kind_ = kind;
  out.has_groups_ = kind == MatchKind::regex || kind == MatchKind::glob;
  out.text_ = std::string(text);
  if (kind == MatchKind::substring && text.empty()) return usage_error("substring is empty");
  if (!out.has_groups_) return out;

  if (kind == MatchKind::glob) out.text_ = glob_to_regex(text);
  re2::RE2::Options options;
  options.set_log_errors(false);
  out.regex_ = std::make_shared<const re2::RE2>(out.text_, options);
  if (!out.regex_->ok()) return bad_regex(kind, text, *out.regex_);
  if (auto literal = only_text(out.text_); literal && kind == MatchKind::regex) {
    out.kind_ = MatchKind::exact;
    out.text_ = std::move(*literal);
    out.regex_.reset();
  }
  return out;
}

bool Pattern::matches(std::string_view key) const {
  switch (kind_) {
    case MatchKind::regex:
    case MatchKind::glob:
      return regex_->Match({key.data(), key.size()}, 0, key.size(), re2::RE2::UNANCHORED, nullptr,
                           0);
    case MatchKind::prefix:
      return key.starts_with(text_);
    case MatchKind::suffix:
      return key.ends_with(text_);
    case MatchKind::exact:
      return key == text_;
    case MatchKind::substring:
      return key.find(text_) != std::string_view::npos;
  }
  return false;
}

Result<Replacement> Pattern::replacement(std::string_view text) const {
  if (!has_groups_) return Replacement::literal(text);
  if (!regex_) return Replacement::parse(text, 0, {});
  return Replacement::parse(text, regex_->NumberOfCapturingGroups(),
                            regex_->NamedCapturingGroups());
}

std::optional<std::string> Pattern::rewrite(std::string_view key, const Replacement& to,
                                            bool all) const {
  if (regex_) return rewrite_regex(key, to, all);
  if (kind_ == MatchKind::substring) return rewrite_substring(key, to, all);
  const bool at_end = kind_ == MatchKind::suffix;
  std::string out(at_end ? key.substr(0, key.size() - text_.size()) : std::string_view());
  const std::string_view matched = text_;
  to.append_to(out, {&matched, 1}, kMaxKeyBytes);
  if (!at_end) out += key.substr(text_.size());
  if (out.size() > kMaxKeyBytes) return std::nullopt;
  return out;
}

std::optional<std::string> Pattern::rewrite_substring(std::string_view key, const Replacement& to,
                                                      bool all) const {
  std::string out;
  const std::string_view matched = text_;
  size_t at = 0;
  for (size_t hit = key.find(text_); hit != std::string_view::npos; hit = key.find(text_, at)) {
    out += key.substr(at, hit - at);
    to.append_to(out, {&matched, 1}, kMaxKeyBytes);
    at = hit + text_.size();
    if (out.size() > kMaxKeyBytes) return std::nullopt;
    if (!all) break;
  }
  out += key.substr(at);
  if (out.size() > kMaxKeyBytes) return std::nullopt;
  return out;
}

std::optional<std::string> Pattern::rewrite_regex(std::string_view key, const Replacement& to,
                                                  bool all) const {
  const auto count = static_cast<size_t>(regex_->NumberOfCapturingGroups()) + 1;
  std::vector<re2::StringPiece> found(count);
  std::vector<std::string_view> groups(count);
  std::string out;
  size_t copied = 0;  // KEY up to here is in OUT
  size_t from = 0;    // where to search next
  while (from <= key.size() &&
         regex_->Match({key.data(), key.size()}, from, key.size(), re2::RE2::UNANCHORED,
                       found.data(), static_cast<int>(count))) {
    for (size_t i = 0; i < count; ++i)
      groups[i] = found[i].data() ? std::string_view(found[i].data(), found[i].size()) : "";
    const auto begin = static_cast<size_t>(found[0].data() - key.data());
    const size_t end = begin + found[0].size();
    // An empty match right behind the last one would replace the same place twice.
    if (begin < end || begin > copied || from == 0) {
      out += key.substr(copied, begin - copied);
      to.append_to(out, groups, kMaxKeyBytes);
      copied = end;
    }
    if (!all) break;
    from = begin < end ? end : next_character(key, end);
    if (out.size() > kMaxKeyBytes) return std::nullopt;
  }
  out += key.substr(copied);
  if (out.size() > kMaxKeyBytes) return std::nullopt;
  return out;
}

}  // namespace mlc
