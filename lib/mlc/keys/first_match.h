// Finds the first of many rules that matches a key.
//
// Exact texts are looked up, regular expressions and globs are searched for together by one
// automaton (RE2::Set), and the rest is compared one by one, so that neither thousands of exact
// rules nor dozens of expressions make 100,000 keys slow. Views the rules it was made from. Const
// use is thread-safe.
#pragma once

#include "mlc/keys/rule.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace mlc {

class FirstMatch {
 public:
  struct Hit {
    uint32_t rule = 0;
    uint32_t pattern = 0;  // which of the rule's patterns
    bool operator<(const Hit& other) const {
      return rule != other.rule ? rule < other.rule : pattern < other.pattern;
    }
  };

  /// RULES must outlive the object.
  explicit FirstMatch(std::span<const Rule> rules);
  ~FirstMatch();

  /// The first rule from FROM on with a pattern that matches KEY, and the first such pattern.
  std::optional<Hit> find(std::string_view key, uint32_t from) const;

 private:
  struct Automaton;
  struct TextHash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };

  const Pattern& pattern(Hit hit) const { return rules_[hit.rule].patterns[hit.pattern]; }
  void narrow_by_text(std::string_view key, Hit from, std::optional<Hit>& best) const;
  void narrow_by_regex(std::string_view key, Hit from, std::optional<Hit>& best) const;

  std::span<const Rule> rules_;
  std::unordered_map<std::string, std::vector<Hit>, TextHash, std::equal_to<>> exact_;
  std::vector<Hit> texts_;    // prefix, suffix, substring; ascending
  std::vector<Hit> regexes_;  // by their number in the automaton; ascending
  std::unique_ptr<Automaton> automaton_;
};

}  // namespace mlc
