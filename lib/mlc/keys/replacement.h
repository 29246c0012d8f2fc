// The text a rule puts in place of what it matched: literal runs and references to groups.
//
// References are `$1`, `${1}`, `${name}`, `\1`, and `$0` or `\0` for the whole match; `$$` is a
// dollar sign and `\\` a backslash. `$12` is group 12, `\12` is group 1 and then "2", as in RE2 and
// sed.
#pragma once

#include "mlc/base/result.h"

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mlc {

class Replacement {
 public:
  /// TEXT itself, whatever it contains.
  static Replacement literal(std::string_view text);
  /// Errors (usage): a reference to a group that the pattern, with groups 1..GROUPS of which some
  /// have NAMES, does not have; a `$` or `\` that begins no reference.
  static Result<Replacement> parse(std::string_view text, int groups,
                                   const std::map<std::string, int>& names);

  /// Appends the text with references filled in; stops soon after OUT has grown beyond LIMIT bytes.
  /// GROUPS[0] is the whole match; missing groups are empty.
  void append_to(std::string& out, std::span<const std::string_view> groups, size_t limit) const;

 private:
  struct Piece {
    int group = -1;  // -1: the literal
    std::string text;
  };
  struct Parser;
  std::vector<Piece> pieces_;
};

/// TEXT with `$` and `\` doubled, so that parse() reads it as itself.
std::string escape_replacement(std::string_view text);

}  // namespace mlc
