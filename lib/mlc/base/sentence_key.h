// Keys within sentences: a key may be empty, a dot or end in a blank, which a sentence swallows.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mlc {

/// KEY for a sentence, harmless on a terminal: as printable() shows it, and in double quotes, as
/// quoted() shows it, where it would not be seen otherwise: empty, without a letter or a digit,
/// with a blank at its begin, with a blank or a dot at its end.
std::string sentence_key(std::string_view key);
/// The same of each, for join_list().
std::vector<std::string> sentence_keys(std::span<const std::string> keys);

}  // namespace mlc
