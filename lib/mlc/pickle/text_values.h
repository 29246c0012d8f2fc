// The values that pickle writes as text (protocols 0 and 1), and Python's idea of UTF-8.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace mlc::pickle {

/// UTF-8 where lone surrogates may appear in their three-byte form ("surrogatepass").
bool is_python_utf8(std::string_view text);

/// A decimal integer: int64 where it fits, else two's complement little-endian bytes. At most 4000
/// digits.
std::optional<std::variant<int64_t, std::string>> parse_integer(std::string_view text);

/// A decimal floating-point number, or inf, -inf, nan.
std::optional<double> parse_real(std::string_view text);

/// Python's repr() of a byte string: quotes removed, escapes resolved.
std::optional<std::string> parse_quoted_string(std::string_view text);

/// The raw-unicode-escape codec: latin-1 with \uXXXX and \UXXXXXXXX, to UTF-8.
std::optional<std::string> parse_raw_unicode(std::string_view text);

/// BYTES as the text whose code points are the bytes (codec latin-1), in UTF-8.
std::string latin1_to_utf8(std::string_view bytes);
/// The inverse; nothing if a code point exceeds 255.
std::optional<std::string> utf8_to_latin1(std::string_view text);

/// The part of two's complement little-endian bytes that says all; one byte at least, if there is
/// any.
std::string_view shortest_integer(std::string_view bytes);
/// Decimal digits of two's complement little-endian bytes.
std::string big_integer_to_decimal(std::string_view bytes);

}  // namespace mlc::pickle
