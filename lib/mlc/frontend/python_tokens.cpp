#include "mlc/frontend/python_tokens.h"

#include "mlc/frontend/module_path.h"

#include <algorithm>
#include <array>

namespace mlc::arch {
namespace {

using Kind = PythonToken::Kind;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/// Behind what takes no part: blanks, comments, the end of a line behind a backslash.
size_t skip_blanks(std::string_view code, size_t at) {
  while (at < code.size()) {
    if (code[at] == '#') {
      at = std::min(code.find('\n', at), code.size());
    } else if (code.substr(at).starts_with("\\\n")) {
      at += 2;
    } else if (std::string_view(" \t\r\n").find(code[at]) != std::string_view::npos) {
      ++at;
    } else {
      break;
    }
  }
  return at;
}

size_t end_of_number(std::string_view code, size_t at) {
  const bool hexadecimal = code.substr(at).starts_with("0x") || code.substr(at).starts_with("0X");
  for (; at < code.size(); ++at) {
    const char c = code[at];
    const bool exponent = !hexadecimal && at > 0 && (code[at - 1] == 'e' || code[at - 1] == 'E');
    if (!is_name_char(c) && c != '.' && !(exponent && (c == '+' || c == '-'))) break;
  }
  return at;
}

/// The letters in front of quotes: r"", f'', Rb"".
bool is_prefix(std::string_view word) {
  return word.size() <= 2 && word.find_first_not_of("rRbBfFuU") == word.npos;
}

size_t length_of_sign(std::string_view rest) {
  // Longer ones first.
  constexpr auto kSigns = std::to_array<std::string_view>(
      {"**=", "//=", "<<=", ">>=", "...", "**", "//", "<<", ">>", "<=", ">=", "==",
       "!=",  "->",  "+=",  "-=",  "*=",  "/=", "%=", "&=", "|=", "^=", "@=", ":="});
  for (const std::string_view one : kSigns) {
    if (rest.starts_with(one)) return one.size();
  }
  return std::string_view("()[]{},:;.+-*/%@&|^~<>=").find(rest.front()) == rest.npos ? 0 : 1;
}

/// The token that begins at AT; of Kind::end where none does.
PythonToken token_at(std::string_view code, size_t at) {
  const auto token = [&](Kind kind, size_t end) {
    const bool ends = end != code.npos && end > at;
    return ends ? PythonToken{kind, code.substr(at, end - at), at} : PythonToken();
  };
  const char c = code[at];
  if (c == '"' || c == '\'') return token(Kind::text, end_of_text(code, at));
  if (is_digit(c) || (c == '.' && at + 1 < code.size() && is_digit(code[at + 1]))) {
    return token(Kind::number, end_of_number(code, at));
  }
  if (!is_name_start(c)) return token(Kind::sign, at + length_of_sign(code.substr(at)));
  size_t end = at + 1;
  while (end < code.size() && is_name_char(code[end])) ++end;
  const bool quotes = end < code.size() && (code[end] == '"' || code[end] == '\'');
  if (quotes && is_prefix(code.substr(at, end - at))) {
    return token(Kind::text, end_of_text(code, end));
  }
  return token(Kind::name, end);
}

}  // namespace

size_t end_of_text(std::string_view code, size_t begin) {
  const std::string_view three = code.substr(begin, 3);
  const bool triple = three == "\"\"\"" || three == "'''";
  const std::string_view quotes = triple ? three : three.substr(0, 1);
  for (size_t at = begin + quotes.size(); at < code.size(); ++at) {
    if (code[at] == '\\') {
      ++at;
    } else if (code.substr(at).starts_with(quotes)) {
      return at + quotes.size();
    } else if (code[at] == '\n' && !triple) {
      break;
    }
  }
  return code.npos;
}

std::optional<std::vector<PythonToken>> python_tokens(std::string_view code) {
  std::vector<PythonToken> out;
  for (size_t at = skip_blanks(code, 0); at < code.size(); at = skip_blanks(code, at)) {
    out.push_back(token_at(code, at));
    if (out.back().kind == Kind::end) return std::nullopt;
    at = out.back().end();
  }
  out.push_back({Kind::end, {}, code.size()});
  return out;
}

}  // namespace mlc::arch
