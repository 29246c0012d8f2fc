#include "mlc/base/sentence_key.h"

#include "mlc/base/text.h"

#include <algorithm>

namespace mlc {
namespace {

/// A letter or a digit, or any byte beyond ASCII.
bool is_seen(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
         static_cast<unsigned char>(c) >= 0x80;
}

bool needs_quotes(std::string_view key) {
  return std::none_of(key.begin(), key.end(), is_seen) || key.front() == ' ' || key.back() == ' ' ||
         key.back() == '.';
}

}  // namespace

std::string sentence_key(std::string_view key) {
  return needs_quotes(key) ? quoted(key, key.size()) : printable(key);
}

std::vector<std::string> sentence_keys(std::span<const std::string> keys) {
  std::vector<std::string> out;
  out.reserve(keys.size());
  for (const std::string& key : keys) out.push_back(sentence_key(key));
  return out;
}

}  // namespace mlc
