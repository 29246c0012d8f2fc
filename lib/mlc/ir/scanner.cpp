#include "mlc/ir/scanner.h"

#include "mlc/base/source_text.h"
#include "mlc/base/text.h"
#include "mlc/ir/text_syntax.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include <fmt/format.h>

namespace mlc::ir {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

}  // namespace

Scanner::Scanner(std::string_view text, std::string file) : text_(text), file_(std::move(file)) {
  next();
}

Token Scanner::take() {
  Token taken = std::move(token_);
  next();
  return taken;
}

bool Scanner::accept(std::string_view sign) {
  if (!is_sign(sign)) return false;
  next();
  return true;
}

Status Scanner::expect(std::string_view sign) {
  if (accept(sign)) return {};
  return unexpected(quoted(sign));
}

Result<std::string> Scanner::expect_word(std::string_view what) {
  if (token_.kind != TokenKind::word) return unexpected(what);
  return take().text;
}

bool Scanner::is_lowest_integer() const {
  return text_.substr(token_.offset).starts_with("-9223372036854775808");
}

bool Scanner::is_negative_number() const {
  if (!is_sign("-")) return false;
  Scanner behind(*this);
  const Token next = (behind.take(), behind.peek());
  return next.kind == TokenKind::number || behind.is_word("inf");
}

Result<int64_t> Scanner::expect_integer() {
  const bool is_negative = accept("-");
  if (token_.kind != TokenKind::integer) return unexpected("an integer");
  const std::string digits = (is_negative ? "-" : "") + token_.text;
  int64_t value = 0;
  const auto [end, problem] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (problem != std::errc{}) return error(token_, "this integer does not fit 64 bits");
  next();
  return value;
}

Error Scanner::error(const Token& token, std::string message) const {
  const std::string_view before = text_.substr(0, token.offset);
  const auto line = static_cast<size_t>(std::count(before.begin(), before.end(), '\n')) + 1;
  const size_t line_start = before.rfind('\n') == before.npos ? 0 : before.rfind('\n') + 1;
  return error_at(ErrorKind::corrupt, file_, text_, line, token.offset - line_start + 1,
                  std::move(message));
}

Error Scanner::unexpected(std::string_view wanted) const {
  const std::string found = token_.kind == TokenKind::end ? "the end" : quoted(token_.text, 40);
  return error(token_, fmt::format("expected {}, found {}", wanted, found));
}

void Scanner::skip_space() {
  while (at_ < text_.size()) {
    const char c = text_[at_];
    if (c == '#') {
      at_ = std::min(text_.find('\n', at_), text_.size());
    } else if (c == ' ' || c == '\n' || c == '\t' || c == '\r') {
      ++at_;
    } else {
      return;
    }
  }
}

void Scanner::next() {
  skip_space();
  token_ = {TokenKind::end, at_, {}};
  if (at_ == text_.size()) return;
  const char c = text_[at_];
  if (is_digit(c)) return scan_number();
  if (c == '"') return scan_string();
  if (is_word_start(c)) return scan_name(TokenKind::word);
  if (c == '%') {
    ++at_;
    if (at_ < text_.size() && text_[at_] == '"') {
      scan_string();
      if (token_.kind == TokenKind::string) token_.kind = TokenKind::value;
      return;
    }
    return scan_name(TokenKind::value);
  }
  const size_t length = text_.substr(at_).starts_with("//") ? 2 : 1;
  token_.kind = TokenKind::sign;
  token_.text = text_.substr(at_, length);
  at_ += length;
}

void Scanner::scan_name(TokenKind kind) {
  const size_t start = at_;
  while (at_ < text_.size() && is_word_char(text_[at_])) ++at_;
  token_.kind = kind;
  token_.text = text_.substr(start, at_ - start);
}

// Digits; with a fraction or an exponent a number. "1..3" is an integer and two signs.
void Scanner::scan_number() {
  const size_t start = at_;
  const auto digits = [&] {
    while (at_ < text_.size() && is_digit(text_[at_])) ++at_;
  };
  const auto digit_at = [&](size_t at) { return at < text_.size() && is_digit(text_[at]); };
  digits();
  token_.kind = TokenKind::integer;
  if (at_ < text_.size() && text_[at_] == '.' && digit_at(at_ + 1)) {
    token_.kind = TokenKind::number;
    ++at_;
    digits();
  }
  if (at_ < text_.size() && text_[at_] == 'e') {
    const size_t sign = at_ + 1 < text_.size() && (text_[at_ + 1] == '-' || text_[at_ + 1] == '+');
    if (digit_at(at_ + 1 + sign)) {
      token_.kind = TokenKind::number;
      at_ += 1 + sign;
      digits();
    }
  }
  token_.text = text_.substr(start, at_ - start);
}

// A string without an end, or with another escape than \xNN, is a sign: nothing expects it.
void Scanner::scan_string() {
  std::string out;
  for (size_t i = at_ + 1; i < text_.size() && text_[i] != '\n'; ++i) {
    if (text_[i] == '"') {
      token_.kind = TokenKind::string;
      token_.text = std::move(out);
      at_ = i + 1;
      return;
    }
    if (text_[i] != '\\') {
      out += text_[i];
      continue;
    }
    const bool is_escape = i + 3 < text_.size() && text_[i + 1] == 'x';
    const int high = is_escape ? hex_digit(text_[i + 2]) : -1;
    const int low = is_escape ? hex_digit(text_[i + 3]) : -1;
    if (high < 0 || low < 0) break;
    out += static_cast<char>(high * 16 + low);
    i += 3;
  }
  token_.kind = TokenKind::sign;
  token_.text = "\"";
  ++at_;
}

}  // namespace mlc::ir
