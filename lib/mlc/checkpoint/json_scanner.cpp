#include "mlc/checkpoint/json_scanner.h"

#include "mlc/base/checked_math.h"
#include "mlc/base/text.h"

#include <charconv>

namespace mlc {
namespace {

bool is_space(char c) {
  return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

void append_utf8(std::string& out, uint32_t code) {
  const auto put = [&out](uint32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | code >> 6U);
    put(0x80 | (code & 0x3FU));
  } else if (code < 0x10000) {
    put(0xE0 | code >> 12U);
    put(0x80 | (code >> 6U & 0x3FU));
    put(0x80 | (code & 0x3FU));
  } else {
    put(0xF0 | code >> 18U);
    put(0x80 | (code >> 12U & 0x3FU));
    put(0x80 | (code >> 6U & 0x3FU));
    put(0x80 | (code & 0x3FU));
  }
}

}  // namespace

JsonScanner::JsonScanner(std::string_view text, int max_depth, std::deque<std::string>& store)
    : text_(text), max_depth_(max_depth), store_(store) {
  if (!is_utf8(text)) fail("is not UTF-8");
}

bool JsonScanner::fail(std::string_view what) {
  if (!error_) {
    error_.emplace(corrupt("JSON at byte " + std::to_string(position_) + ": " + std::string(what)));
  }
  return false;
}

Error JsonScanner::error() && {
  return std::move(*error_);
}

char JsonScanner::peek() {
  while (position_ < text_.size() && is_space(text_[position_])) ++position_;
  return position_ < text_.size() ? text_[position_] : '\0';
}

bool JsonScanner::begin(char bracket) {
  if (!ok()) return false;
  if (peek() != bracket) return fail(bracket == '{' ? "expected an object" : "expected a list");
  if (++depth_ > max_depth_) return fail("nested deeper than expected");
  ++position_;
  first_ = true;
  return true;
}

bool JsonScanner::begin_object() {
  return begin('{');
}
bool JsonScanner::begin_array() {
  return begin('[');
}

// Consumes the comma before a further element, or the closing bracket.
bool JsonScanner::next(char bracket, bool& more) {
  if (!ok()) return false;
  const char c = peek();
  if (c == bracket) {
    ++position_;
    --depth_;
    first_ = false;
    more = false;
    return true;
  }
  if (!first_) {
    if (c != ',') return fail("expected a comma or the end of the list or object");
    ++position_;
  }
  first_ = false;
  more = true;
  return true;
}

bool JsonScanner::next_key(std::string_view& key) {
  bool more = false;
  if (!next('}', more) || !more || !string(key)) return false;
  if (peek() != ':') return fail("expected a colon");
  ++position_;
  return true;
}

bool JsonScanner::next_item() {
  bool more = false;
  return next(']', more) && more;
}

bool JsonScanner::string(std::string_view& out) {
  if (!ok()) return false;
  if (peek() != '"') return fail("expected a text in double quotes");
  const size_t begin = ++position_;
  std::string* unescaped = nullptr;
  size_t copied = begin;  // everything before it is in *unescaped
  for (; position_ < text_.size(); ++position_) {
    const auto c = static_cast<unsigned char>(text_[position_]);
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    if (c == '"') {
      out = text_.substr(copied, position_ - copied);
      if (unescaped != nullptr) out = unescaped->append(out);
      ++position_;
      return true;
    }
    if (c != '\\') return fail("a control character inside a text");
    if (unescaped == nullptr) unescaped = &store_.emplace_back();
    unescaped->append(text_.substr(copied, position_ - copied));
    if (!escape(*unescaped)) return false;
    copied = position_ + 1;
  }
  return fail("a text without end");
}

// At a backslash; leaves the position at the last character of the sequence.
bool JsonScanner::escape(std::string& out) {
  static constexpr std::string_view kFrom = "\"\\/bfnrt";
  static constexpr std::string_view kTo = "\"\\/\b\f\n\r\t";
  if (++position_ >= text_.size()) return fail("a text without end");
  if (text_[position_] == 'u') {
    uint32_t code = 0;
    if (!hex4(code)) return false;
    if (code >= 0xD800 && code < 0xDC00 && text_.substr(position_ + 1, 2) == "\\u") {
      position_ += 2;
      uint32_t low = 0;
      if (!hex4(low)) return false;
      if (low < 0xDC00 || low > 0xDFFF) return fail("half a surrogate pair");
      code = 0x10000 + ((code - 0xD800) << 10U) + (low - 0xDC00);
    }
    if (code >= 0xD800 && code <= 0xDFFF) return fail("half a surrogate pair");
    append_utf8(out, code);
    return true;
  }
  const size_t at = kFrom.find(text_[position_]);
  if (at == std::string_view::npos) return fail("an unknown escape sequence");
  out += kTo[at];
  return true;
}

// At the u; leaves the position at the last digit.
bool JsonScanner::hex4(uint32_t& out) {
  for (int i = 0; i < 4; ++i) {
    const char c = ++position_ < text_.size() ? text_[position_] : '\0';
    const char lower = static_cast<char>(c | 0x20);
    const bool letter = lower >= 'a' && lower <= 'f';
    if (!is_digit(c) && !letter) return fail("\\u without four hexadecimal digits");
    out = out << 4U | static_cast<uint32_t>(letter ? lower - 'a' + 10 : c - '0');
  }
  return true;
}

bool JsonScanner::integer(int64_t& out) {
  if (!ok()) return false;
  if (!is_digit(peek())) return fail("expected a whole number that is not negative");
  const bool zero = text_[position_] == '0';
  out = 0;
  size_t digits = 0;
  for (; position_ < text_.size() && is_digit(text_[position_]); ++position_, ++digits) {
    const auto times = checked_mul<int64_t>(out, 10);
    const auto sum = times ? checked_add<int64_t>(*times, text_[position_] - '0') : std::nullopt;
    if (!sum) return fail("a number that does not fit 64 bits");
    out = *sum;
  }
  if (zero && digits > 1) return fail("a number with a leading zero");
  const char after = position_ < text_.size() ? text_[position_] : '\0';
  if (after == '.' || after == 'e' || after == 'E') return fail("expected a whole number");
  return true;
}

bool JsonScanner::word(std::string_view expected) {
  if (!text_.substr(position_).starts_with(expected)) return fail("an unknown word");
  position_ += expected.size();
  return true;
}

bool JsonScanner::boolean(bool& out) {
  if (!ok()) return false;
  const char c = peek();
  if (c != 't' && c != 'f') return fail("expected true or false");
  out = c == 't';
  return word(out ? "true" : "false");
}

bool JsonScanner::null() {
  return ok() && peek() == 'n' && word("null");
}

bool JsonScanner::skip_number() {
  const auto digits = [this] {
    const size_t begin = position_;
    while (position_ < text_.size() && is_digit(text_[position_])) ++position_;
    return position_ > begin;
  };
  const auto accept = [this](std::string_view any) {
    const bool found = position_ < text_.size() && any.find(text_[position_]) != any.npos;
    if (found) ++position_;
    return found;
  };
  accept("-");
  const bool zero = accept("0");
  if (!zero && !digits()) return fail("expected a value");
  if (accept(".") && !digits()) return fail("a number that ends with its point");
  if (accept("eE")) {
    accept("+-");
    if (!digits()) return fail("a number without its exponent");
  }
  return true;
}

bool JsonScanner::number(double& out) {
  if (!ok()) return false;
  peek();
  const size_t begin = position_;
  if (!skip_number()) return false;
  const auto [end, error] = std::from_chars(text_.data() + begin, text_.data() + position_, out);
  return error == std::errc() || fail("a number out of range");
}

// Recursive; the nesting limit bounds the depth.
bool JsonScanner::skip() {
  if (!ok()) return false;
  std::string_view unused;
  switch (peek()) {
    case '{':
      if (!begin_object()) return false;
      while (next_key(unused)) {
        if (!skip()) return false;
      }
      return ok();
    case '[':
      if (!begin_array()) return false;
      while (next_item()) {
        if (!skip()) return false;
      }
      return ok();
    case '"':
      return string(unused);
    case 't':
    case 'f': {
      bool ignored = false;
      return boolean(ignored);
    }
    case 'n':
      return null();
    default:
      return skip_number();
  }
}

bool JsonScanner::finish() {
  if (ok() && peek() != '\0') fail("more text after the end");
  if (ok() && position_ != text_.size()) fail("a zero byte after the end");
  return ok();
}

}  // namespace mlc
