#include "mlc/metadata/pep440.h"

#include "mlc/base/text.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace mlc {
namespace {

constexpr size_t kMaxLength = 1000;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_alnum(char c) {
  return is_digit(c) || is_letter(c);
}
bool is_separator(char c) {
  return c == '.' || c == '-' || c == '_';
}
char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

std::string lower_case(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), lower);
  return out;
}

bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

std::string_view strip(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

std::optional<uint64_t> to_number(std::string_view digits) {
  uint64_t value = 0;
  const char* end = digits.data() + digits.size();
  const auto [stop, code] = std::from_chars(digits.data(), end, value);
  if (digits.empty() || code != std::errc() || stop != end) return std::nullopt;
  return value;
}

struct PreWord {
  std::string_view word;
  Version::Phase phase;
};
// Longer words before their own beginnings.
constexpr PreWord kPreWords[] = {
    {"alpha", Version::Phase::alpha},       {"a", Version::Phase::alpha},
    {"beta", Version::Phase::beta},         {"b", Version::Phase::beta},
    {"preview", Version::Phase::candidate}, {"pre", Version::Phase::candidate},
    {"c", Version::Phase::candidate},       {"rc", Version::Phase::candidate},
};
constexpr std::string_view kPostWords[] = {"post", "rev", "r"};

std::strong_ordering compare_releases(const std::vector<uint64_t>& a,
                                      const std::vector<uint64_t>& b) {
  for (size_t i = 0; i < std::max(a.size(), b.size()); ++i) {
    const uint64_t left = i < a.size() ? a[i] : 0;
    const uint64_t right = i < b.size() ? b[i] : 0;
    if (left != right) return left <=> right;
  }
  return std::strong_ordering::equal;
}

// 1.dev0 < 1a0 < 1b0 < 1rc0 < 1: only a bare development release comes before alpha.
int phase_rank(const Version& v) {
  if (v.pre()) return static_cast<int>(v.pre()->phase);
  return v.dev() && !v.post() ? -1 : 3;
}

// Words come before numbers.
std::strong_ordering compare_local(const Version::LocalPart& a, const Version::LocalPart& b) {
  if (a.index() != b.index()) return a.index() <=> b.index();
  if (const auto* number = std::get_if<uint64_t>(&a)) return *number <=> std::get<uint64_t>(b);
  return std::get<std::string>(a).compare(std::get<std::string>(b)) <=> 0;
}

}  // namespace

/// Reads the grammar of PEP 440, appendix B, from left to right. Each optional part either matches
/// whole or leaves the position where it was.
class VersionParser {
 public:
  explicit VersionParser(std::string_view text) : text_(text) {}

  std::optional<Version> parse() {
    if (peek() == 'v' || peek() == 'V') ++at_;
    if (!epoch_and_release()) return std::nullopt;
    pre();
    post();
    dev();
    if (!local() || overflow_ || at_ != text_.size()) return std::nullopt;
    return std::move(out_);
  }

 private:
  char peek(size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }

  std::string_view digits() {
    const size_t begin = at_;
    while (is_digit(peek())) ++at_;
    return text_.substr(begin, at_ - begin);
  }

  uint64_t number(std::string_view digits) {
    const auto value = to_number(digits);
    if (!value) overflow_ = true;
    return value.value_or(0);
  }

  bool word(std::string_view expected) {
    if (text_.size() - at_ < expected.size()) return false;
    for (size_t i = 0; i < expected.size(); ++i) {
      if (lower(text_[at_ + i]) != expected[i]) return false;
    }
    at_ += expected.size();
    return true;
  }

  bool separator() {
    if (!is_separator(peek())) return false;
    ++at_;
    return true;
  }

  // What follows the word of a part: an optional separator and an optional number, 0 if absent.
  uint64_t part_number() {
    separator();
    const std::string_view found = digits();
    return found.empty() ? 0 : number(found);
  }

  bool epoch_and_release() {
    std::string_view first = digits();
    if (first.empty()) return false;
    if (peek() == '!') {
      out_.epoch_ = number(first);
      ++at_;
      first = digits();
      if (first.empty()) return false;
    }
    out_.release_ = {number(first)};
    while (peek() == '.' && is_digit(peek(1))) {
      ++at_;
      out_.release_.push_back(number(digits()));
    }
    return true;
  }

  void pre() {
    const size_t begin = at_;
    separator();
    for (const PreWord& row : kPreWords) {
      if (!word(row.word)) continue;
      out_.pre_ = Version::Pre{row.phase, part_number()};
      return;
    }
    at_ = begin;
  }

  void post() {
    const size_t begin = at_;
    if (peek() == '-' && is_digit(peek(1))) {
      ++at_;
      out_.post_ = number(digits());
      return;
    }
    separator();
    for (const std::string_view name : kPostWords) {
      if (!word(name)) continue;
      out_.post_ = part_number();
      return;
    }
    at_ = begin;
  }

  void dev() {
    const size_t begin = at_;
    separator();
    if (word("dev")) {
      out_.dev_ = part_number();
    } else {
      at_ = begin;
    }
  }

  bool local() {
    if (peek() != '+') return true;
    do {
      ++at_;
      const size_t begin = at_;
      while (is_alnum(peek())) ++at_;
      const std::string_view part = text_.substr(begin, at_ - begin);
      if (part.empty()) return false;
      if (std::all_of(part.begin(), part.end(), is_digit)) {
        out_.local_.emplace_back(number(part));
      } else {
        out_.local_.emplace_back(lower_case(part));
      }
    } while (is_separator(peek()));
    return true;
  }

  std::string_view text_;
  size_t at_ = 0;
  bool overflow_ = false;
  Version out_;
};

Result<Version> Version::parse(std::string_view text) {
  const std::string_view stripped = strip(text);
  if (stripped.size() <= kMaxLength) {
    if (auto version = VersionParser(stripped).parse()) return std::move(*version);
  }
  return usage_error(quoted(text, 60) + " is not a PEP 440 version");
}

Result<LenientVersion> Version::parse_lenient(std::string_view text) {
  if (auto strict = parse(text); strict.ok()) return LenientVersion{std::move(strict).value(), {}};
  const std::string_view all = strip(text).substr(0, kMaxLength);
  for (size_t end = all.size(); end-- > 1;) {
    const char before = all[end - 1];
    const char after = all[end];
    // "1.8.0.cuda11" must not be cut into the candidate 1.8.0.c and "uda11".
    if (!is_alnum(before) || (is_letter(before) && is_alnum(after))) continue;
    if (is_digit(before) && is_digit(after)) continue;
    if (auto version = VersionParser(all.substr(0, end)).parse()) {
      return LenientVersion{std::move(*version), std::string(strip(text).substr(end))};
    }
  }
  return usage_error(quoted(text, 60) + " does not begin with a version");
}

std::string Version::to_string() const {
  static constexpr std::array<std::string_view, 3> kPhases = {"a", "b", "rc"};
  std::string out = epoch_ != 0 ? std::to_string(epoch_) + "!" : "";
  for (size_t i = 0; i < release_.size(); ++i) {
    if (i > 0) out += '.';
    out += std::to_string(release_[i]);
  }
  if (pre_) {
    out += kPhases[static_cast<size_t>(pre_->phase)];
    out += std::to_string(pre_->number);
  }
  if (post_) out += ".post" + std::to_string(*post_);
  if (dev_) out += ".dev" + std::to_string(*dev_);
  for (size_t i = 0; i < local_.size(); ++i) {
    out += i == 0 ? '+' : '.';
    const auto* number = std::get_if<uint64_t>(&local_[i]);
    out += number != nullptr ? std::to_string(*number) : std::get<std::string>(local_[i]);
  }
  return out;
}

Version Version::base() const {
  Version out;
  out.epoch_ = epoch_;
  out.release_ = release_;
  return out;
}

Version Version::without_local() const {
  Version out = *this;
  out.local_.clear();
  return out;
}

Version Version::first_of_prefix() const {
  return base().as_dev0();
}

Version Version::first_after_prefix() const {
  Version out = first_of_prefix();
  // At the largest number there is no successor; the carry keeps the order right.
  while (out.release_.size() > 1 && out.release_.back() == UINT64_MAX) out.release_.pop_back();
  if (out.release_.back() != UINT64_MAX) ++out.release_.back();
  return out;
}

Version Version::shorter_release() const {
  Version out = *this;
  out.release_.pop_back();
  return out;
}

Version Version::as_dev0() const {
  Version out = without_local();
  out.dev_ = 0;
  return out;
}

std::strong_ordering Version::operator<=>(const Version& other) const {
  if (auto c = epoch_ <=> other.epoch_; c != 0) return c;
  if (auto c = compare_releases(release_, other.release_); c != 0) return c;
  if (auto c = phase_rank(*this) <=> phase_rank(other); c != 0) return c;
  if (pre_ && pre_->number != other.pre_->number) return pre_->number <=> other.pre_->number;
  if (auto c = post_ <=> other.post_; c != 0) return c;
  // Without a development number is later than with any.
  if (dev_.has_value() != other.dev_.has_value())
    return other.dev_.has_value() <=> dev_.has_value();
  if (dev_ && *dev_ != *other.dev_) return *dev_ <=> *other.dev_;
  return std::lexicographical_compare_three_way(local_.begin(), local_.end(), other.local_.begin(),
                                                other.local_.end(), compare_local);
}

}  // namespace mlc
