#include "mlc/keys/replacement.h"

#include "mlc/base/text.h"

#include <algorithm>

namespace mlc {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

}  // namespace

struct Replacement::Parser {
  std::string_view text;
  int groups;
  const std::map<std::string, int>& names;
  std::vector<Piece> pieces = {};
  size_t at = 0;

  void add_literal(char c) {
    if (pieces.empty() || pieces.back().group >= 0) pieces.push_back({});
    pieces.back().text += c;
  }

  Status add_group(std::string_view digits, std::string_view written) {
    // Three digits are more groups than any pattern has; they also keep the sum small.
    int group = 0;
    for (const char c : digits.substr(0, 4)) group = group * 10 + (c - '0');
    if (group > groups || digits.size() > 4) {
      return usage_error(
          quoted(text) + " refers to group " + std::string(written) + ", but the pattern has " +
              plural(static_cast<uint64_t>(groups), "group"),
          digits.size() > 1 ? "write ${1}0 for group 1 followed by the digit 0"
                            : "groups are the parts of the pattern in round brackets");
    }
    pieces.push_back({group, {}});
    return {};
  }

  Status braced() {  // at the '{' of "${...}"
    const size_t close = text.find('}', at);
    if (close == std::string_view::npos) return usage_error(quoted(text) + " has ${ without }");
    const std::string_view name = text.substr(at + 1, close - at - 1);
    at = close + 1;
    if (!name.empty() && std::all_of(name.begin(), name.end(), is_digit))
      return add_group(name, "${" + std::string(name) + "}");
    const auto found = names.find(std::string(name));
    if (found == names.end())
      return usage_error(quoted(text) + " refers to group " + quoted(name) +
                         ", but the pattern has no group of that name");
    pieces.push_back({found->second, {}});
    return {};
  }

  Status dollar() {  // behind the '$'
    if (at < text.size() && text[at] == '$') return add_literal(text[at++]), Status();
    if (at < text.size() && text[at] == '{') return braced();
    const size_t begin = at;
    while (at < text.size() && is_digit(text[at])) ++at;
    if (at == begin)
      return usage_error(quoted(text) + " has a $ that is followed by no group number",
                         "write $$ for a dollar sign");
    const std::string_view digits = text.substr(begin, at - begin);
    return add_group(digits, "$" + std::string(digits));
  }

  Status backslash() {  // behind the '\'
    if (at < text.size() && text[at] == '\\') return add_literal(text[at++]), Status();
    if (at == text.size() || !is_digit(text[at]))
      return usage_error(quoted(text) + " has a backslash that is followed by no group number",
                         "write two for a backslash");
    const std::string_view digits = text.substr(at++, 1);
    return add_group(digits, "\\" + std::string(digits));
  }
};

Replacement Replacement::literal(std::string_view text) {
  Replacement out;
  if (!text.empty()) out.pieces_.push_back({-1, std::string(text)});
  return out;
}

Result<Replacement> Replacement::parse(std::string_view text, int groups,
                                       const std::map<std::string, int>& names) {
  Parser parser{text, groups, names};
  while (parser.at < text.size()) {
    const char c = text[parser.at++];
    if (c == '$') {
      MLC_CHECK(parser.dollar());
    } else if (c == '\\') {
      MLC_CHECK(parser.backslash());
    } else {
      parser.add_literal(c);
    }
  }
  Replacement out;
  out.pieces_ = std::move(parser.pieces);
  return out;
}

void Replacement::append_to(std::string& out, std::span<const std::string_view> groups,
                            size_t limit) const {
  for (const Piece& piece : pieces_) {
    if (out.size() > limit) return;
    if (piece.group < 0) {
      out += piece.text;
    } else if (static_cast<size_t>(piece.group) < groups.size()) {
      out += groups[static_cast<size_t>(piece.group)];
    }
  }
}

std::string escape_replacement(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '$' || c == '\\') out += c;
    out += c;
  }
  return out;
}

}  // namespace mlc
