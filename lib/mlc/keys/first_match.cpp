#include "mlc/keys/first_match.h"

#include <algorithm>

#include <re2/re2.h>
#include <re2/set.h>

namespace mlc {
namespace {

constexpr int64_t kAutomatonBytes = 64 << 20;

re2::RE2::Options automaton_options() {
  re2::RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(kAutomatonBytes);
  return options;
}

}  // namespace

struct FirstMatch::Automaton {
  re2::RE2::Set set{automaton_options(), re2::RE2::UNANCHORED};
};

FirstMatch::FirstMatch(std::span<const Rule> rules) : rules_(rules) {
  for (uint32_t rule = 0; rule < rules.size(); ++rule) {
    for (uint32_t i = 0; i < rules[rule].patterns.size(); ++i) {
      const Pattern& pattern = rules[rule].patterns[i];
      switch (pattern.kind()) {
        case MatchKind::exact:
          exact_[pattern.text()].push_back({rule, i});
          break;
        case MatchKind::regex:
        case MatchKind::glob:
          regexes_.push_back({rule, i});
          break;
        default:
          texts_.push_back({rule, i});
      }
    }
  }
  if (regexes_.size() < 2) return;  // one expression alone is its own automaton
  automaton_ = std::make_unique<Automaton>();
  for (const Hit hit : regexes_) {
    if (automaton_->set.Add(pattern(hit).text(), nullptr) < 0) {
      automaton_.reset();
      return;
    }
  }
  if (!automaton_->set.Compile()) automaton_.reset();
}

FirstMatch::~FirstMatch() = default;

std::optional<FirstMatch::Hit> FirstMatch::find(std::string_view key, uint32_t from) const {
  const Hit first{from, 0};
  std::optional<Hit> best;
  if (const auto found = exact_.find(key); found != exact_.end()) {
    const auto hit = std::lower_bound(found->second.begin(), found->second.end(), first);
    if (hit != found->second.end()) best = *hit;
  }
  narrow_by_text(key, first, best);
  narrow_by_regex(key, first, best);
  return best;
}

void FirstMatch::narrow_by_text(std::string_view key, Hit from, std::optional<Hit>& best) const {
  for (auto hit = std::lower_bound(texts_.begin(), texts_.end(), from); hit != texts_.end();
       ++hit) {
    if (best && !(*hit < *best)) return;
    if (pattern(*hit).matches(key)) {
      best = *hit;
      return;
    }
  }
}

void FirstMatch::narrow_by_regex(std::string_view key, Hit from, std::optional<Hit>& best) const {
  const auto begin = std::lower_bound(regexes_.begin(), regexes_.end(), from);
  if (begin == regexes_.end() || (best && !(*begin < *best))) return;
  if (automaton_) {
    std::vector<int> numbers;
    re2::RE2::Set::ErrorInfo info{};
    automaton_->set.Match({key.data(), key.size()}, &numbers, &info);
    if (info.kind == re2::RE2::Set::kNoError) {
      for (const int number : numbers) {
        const Hit hit = regexes_[static_cast<size_t>(number)];
        if (!(hit < from) && (!best || hit < *best)) best = hit;
      }
      return;
    }
  }
  // The automaton was too large for its memory: each expression by itself.
  for (auto hit = begin; hit != regexes_.end() && (!best || *hit < *best); ++hit) {
    if (pattern(*hit).matches(key)) best = *hit;
  }
}

}  // namespace mlc
