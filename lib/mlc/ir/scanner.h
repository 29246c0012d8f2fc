// Tokens of the text form of graphs and of expressions.
#pragma once

#include "mlc/base/result.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace mlc::ir {

enum class TokenKind : uint8_t { end, word, value, integer, number, string, sign };

struct Token {
  TokenKind kind = TokenKind::end;
  size_t offset = 0;
  /// The word; the name of a value; the digits; what stood between quotes; the sign: "(", "//".
  std::string text;
};

/// Reads one token ahead. The text must outlive it. Spaces, line ends and what follows "#" in a
/// line separate tokens.
class Scanner {
 public:
  /// FILE names the text in errors.
  Scanner(std::string_view text, std::string file);

  const Token& peek() const { return token_; }
  /// The token that peek() shows; goes to the next one.
  Token take();
  bool is_sign(std::string_view sign) const {
    return token_.kind == TokenKind::sign && token_.text == sign;
  }
  bool is_word(std::string_view word) const {
    return token_.kind == TokenKind::word && token_.text == word;
  }
  /// Whether the next token is SIGN, which is taken then.
  bool accept(std::string_view sign);
  Status expect(std::string_view sign);
  Result<std::string> expect_word(std::string_view what);
  /// Whether "-9223372036854775808" comes next.
  bool is_lowest_integer() const;
  /// Whether "-" comes next, directly before a number with a fraction or an exponent, or "inf".
  bool is_negative_number() const;
  /// Whether C stands directly behind the next token.
  bool is_followed_by(char c) const { return at_ < text_.size() && text_[at_] == c; }
  /// An integer with or without "-".
  Result<int64_t> expect_integer();

  /// An error that points at TOKEN.
  Error error(const Token& token, std::string message) const;
  Error unexpected(std::string_view wanted) const;

 private:
  void skip_space();
  void next();
  void scan_number();
  void scan_string();
  void scan_name(TokenKind kind);

  std::string_view text_;
  std::string file_;
  size_t at_ = 0;
  Token token_;
};

}  // namespace mlc::ir
