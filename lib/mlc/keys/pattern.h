// What a rule looks for in a key: a regular expression, a glob, or a piece of text at some place.
//
// Regular expressions are RE2's (linear time, no look-around, no back-references), searched
// anywhere in the key and anchored only by their own `^` and `$`. A glob must match the whole key;
// each `*` and `?` of it is a group. Patterns are immutable and may be used from several threads.
#pragma once

#include "mlc/base/result.h"
#include "mlc/keys/replacement.h"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace re2 {
class RE2;
}

namespace mlc {

enum class MatchKind { regex, glob, prefix, suffix, exact, substring };

/// The word of a rule file for a kind: "regex", ...
std::string_view to_string(MatchKind kind);

/// No key may become longer than this: rules that feed on each other's output would never end.
inline constexpr size_t kMaxKeyBytes = 65536;

class Pattern {
 public:
  /// Errors (usage): TEXT is no regular expression, no glob, or an empty substring.
  static Result<Pattern> compile(MatchKind kind, std::string_view text);

  /// How to look for it. A regular expression that can only be one text (`^layer\.0$`) becomes
  /// `exact`.
  MatchKind kind() const { return kind_; }
  /// The text to look for; for regex and glob the regular expression that stands for it.
  const std::string& text() const { return text_; }

  bool matches(std::string_view key) const;

  /// Reads TEXT as what shall replace a match: with references to groups for regex and glob, else
  /// literally. Errors (usage): see Replacement.
  Result<Replacement> replacement(std::string_view text) const;

  /// KEY with the first match (or ALL of them, for regex and substring) replaced by TO. Nothing
  /// where the result exceeds kMaxKeyBytes. Requires: matches(KEY).
  std::optional<std::string> rewrite(std::string_view key, const Replacement& to, bool all) const;

 private:
  std::optional<std::string> rewrite_regex(std::string_view key, const Replacement& to,
                                           bool all) const;
  std::optional<std::string> rewrite_substring(std::string_view key, const Replacement& to,
                                               bool all) const;

  MatchKind kind_ = MatchKind::exact;
  bool has_groups_ = false;  // written as regex or glob: replacements may refer to groups
  std::string text_;
  std::shared_ptr<const re2::RE2> regex_;
};

}  // namespace mlc
