// Small text operations shared by messages and parsers.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mlc {

/// "438.0 MB": decimal units (10^3), at most one decimal, "512 B" below 1 kB.
std::string format_bytes(uint64_t bytes);
/// "1,234,567".
std::string format_count(uint64_t count);
/// TEXT in double quotes with control bytes, quotes and invalid UTF-8 escaped, cut at LIMIT bytes:
/// safe to show on a terminal whatever a file put there.
std::string quoted(std::string_view text, size_t limit = 120);
/// TEXT without quotes but equally harmless on a terminal: for keys in tables.
std::string printable(std::string_view text);
/// The same of each, for join_list().
std::vector<std::string> printable_all(std::span<const std::string> texts);
/// Bytes of the UTF-8 sequence that TEXT begins with, 0 if it is malformed. Requires: TEXT not
/// empty.
size_t utf8_length(std::string_view text);
/// Whether TEXT is well-formed UTF-8 (surrogates are not).
bool is_utf8(std::string_view text);

/// Edits (insert, delete, replace, swap neighbours) from A to B; anything above LIMIT is LIMIT + 1.
size_t edit_distance(std::string_view a, std::string_view b, size_t limit);
/// The candidate nearest to WORD, if it is near enough to be a typing error.
std::optional<std::string> nearest(std::string_view word, std::span<const std::string> candidates);

/// "a", "a and b", "a, b and c"; beyond LIMIT items "a, b and 37 more".
std::string join_list(std::span<const std::string> items, size_t limit = 10);
/// "1 tensor", "2 tensors"; COUNT with thousands separators.
std::string plural(uint64_t count, std::string_view singular, std::string_view plural_form = {});

std::vector<std::string_view> split(std::string_view text, char separator);
std::string_view trim(std::string_view text);

/// Compares as people count: runs of digits by value, so layer.2 comes before layer.10.
bool natural_less(std::string_view a, std::string_view b);

}  // namespace mlc
