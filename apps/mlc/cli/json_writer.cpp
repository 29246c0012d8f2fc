#include "cli/json_writer.h"

#include "mlc/base/text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace mlc::cli {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

// The characters that stand in JSON, and on a terminal, as they are.
constexpr auto kPlain = [] {
  std::array<bool, 256> plain{};
  for (size_t c = 0x20; c < 0x7F; ++c) plain[c] = c != '"' && c != '\\';
  return plain;
}();

size_t plain_prefix(std::string_view text) {
  size_t i = 0;
  while (i < text.size() && kPlain[static_cast<unsigned char>(text[i])]) ++i;
  return i;
}

void append_escape(std::string& out, unsigned code) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  switch (code) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\t':
      out += "\\t";
      return;
    case '\r':
      out += "\\r";
      return;
    default:
      break;
  }
  out += "\\u00";
  out += kDigits[code >> 4U];
  out += kDigits[code & 15U];
}

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    const size_t plain = plain_prefix(text);
    out.append(text.substr(0, plain));
    text.remove_prefix(plain);
    if (text.empty()) break;
    const size_t length = utf8_length(text);
    const auto lead = static_cast<unsigned char>(text[0]);
    if (length == 0) {
      out += kReplacement;
    } else if (length == 1) {
      append_escape(out, lead);
    } else if (lead == 0xC2 && static_cast<unsigned char>(text[1]) < 0xA0) {
      append_escape(out, static_cast<unsigned char>(text[1]));  // U+0080 to U+009F
    } else {
      out.append(text.substr(0, length));
    }
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  out += '"';
}

// Comma, line break and indent before the next element or key.
void JsonWriter::separate() {
  if (after_key_) {
    after_key_ = false;
    return;
  }
  if (depth_ > 0 && !first_) text_ += ',';
  if (depth_ > 0 && spread(depth_)) {
    text_ += '\n';
    text_.append(static_cast<size_t>(depth_) * 2, ' ');
  } else if (depth_ > 0 && !first_) {
    text_ += ' ';
  }
  first_ = false;
}

void JsonWriter::open(char bracket) {
  separate();
  text_ += bracket;
  ++depth_;
  first_ = true;
}

void JsonWriter::close(char bracket) {
  const bool empty = first_;
  if (!empty && spread(depth_)) {
    text_ += '\n';
    text_.append(static_cast<size_t>(depth_ - 1) * 2, ' ');
  }
  text_ += bracket;
  --depth_;
  first_ = false;
  if (depth_ == 0 && layout_ == JsonLayout::lines) text_ += '\n';
  out_.settle();
}

void JsonWriter::key(std::string_view name) {
  separate();
  append_json_string(text_, name);
  text_ += ": ";
  after_key_ = true;
}

void JsonWriter::value(std::string_view text) {
  separate();
  append_json_string(text_, text);
}

void JsonWriter::value(double number) {
  if (!std::isfinite(number)) return null();
  std::array<char, 32> digits{};
  const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), number);
  scalar({digits.data(), static_cast<size_t>(end - digits.data())});
}

void JsonWriter::scalar(std::string_view text) {
  separate();
  text_ += text;
}

}  // namespace mlc::cli
