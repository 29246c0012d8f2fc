#include "mlc/keys/path_affinity.h"

#include "mlc/base/text.h"

#include <algorithm>
#include <array>

namespace mlc {
namespace {

bool is_upper(char c) {
  return c >= 'A' && c <= 'Z';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_letter(char c) {
  return is_upper(c) || (c >= 'a' && c <= 'z');
}

/// What says of which kind a thing is. Longer ones first, for they are cut off words.
constexpr std::array<std::string_view, 21> kKinds = {
    "parameters", "optimizers", "optimizer", "weights", "network", "modules", "module",
    "params",     "states",     "models",    "model",   "optim",   "state",   "adamw",
    "nets",       "adam",       "dict",      "net",     "opt",     "sgd",     "sd"};

constexpr std::array<std::string_view, 13> kCopies = {
    "ema",    "swa", "average", "averaged", "avg",     "shadow", "best",
    "target", "old", "prev",    "previous", "initial", "teacher"};

bool is_kind(std::string_view word) {
  return std::ranges::find(kKinds, word) != kKinds.end();
}

/// "netg", "goptim" -> "g".
std::string_view without_kind(std::string_view word) {
  for (const std::string_view kind : kKinds) {
    if (kind.size() < 3 || word.size() <= kind.size()) continue;
    if (word.starts_with(kind)) return word.substr(kind.size());
    if (word.ends_with(kind)) return word.substr(0, word.size() - kind.size());
  }
  return word;
}

/// The words of a SEGMENT of a path: "netD_A2" is net, d, a, 2.
std::vector<std::string> words_of(std::string_view segment) {
  std::vector<std::string> words;
  char before = '_';
  for (const char c : segment) {
    const bool begins = (is_letter(c) != is_letter(before)) || (is_upper(c) && !is_upper(before));
    if (is_letter(c) || is_digit(c)) {
      if (begins || words.empty()) words.emplace_back();
      words.back() += static_cast<char>(is_upper(c) ? c - 'A' + 'a' : c);
    }
    before = c;
  }
  return words;
}

bool is_number(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, is_digit);
}

uint32_t likeness(std::string_view a, std::string_view b) {
  if (a == b) return 2;
  if (!is_letter(a[0]) || !is_letter(b[0])) return 0;
  return a.starts_with(b) || b.starts_with(a) ? 1 : 0;
}

}  // namespace

std::vector<std::string> telling_words(std::string_view path) {
  std::vector<std::string> telling;
  for (const std::string_view segment : split(path, '.')) {
    if (is_number(segment)) {
      telling.push_back("#" + std::string(segment));
      continue;
    }
    for (const std::string& word : words_of(segment)) {
      if (!is_kind(word)) telling.emplace_back(without_kind(word));
    }
  }
  return telling;
}

uint32_t word_affinity(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  uint32_t sum = 0;
  for (const std::string& word : a) {
    uint32_t best = 0;
    for (const std::string& other : b) best = std::max(best, likeness(word, other));
    sum += best;
  }
  return sum;
}

bool names_copy(std::string_view path) {
  return std::ranges::any_of(telling_words(path), [](const std::string& word) {
    return std::ranges::find(kCopies, word) != kCopies.end();
  });
}

}  // namespace mlc
