// The rules of `remap-keys`: a YAML file, then short forms from the command line.
//
// A file is `version: 1` and `rules:`, a list. Each rule has one matcher (regex, glob, prefix,
// suffix, exact, substring, or for concat `match`, a list of regexes), one action (to, drop, keep,
// split, concat, transpose) and perhaps `continue: true` or `all: true`; schemas/rules.schema.json
// has all of it, schemas/examples/rules.yaml an example. For each key the first rule that matches
// is applied; after one with `continue: true` the search goes on below it with the new name. In
// `to` the part of the key that matched is replaced; after regex and glob, `$1` or `\1` are groups
// (replacement.h).
//
// The file is one step; each short form is a further step, in the order they were added, on the
// names as the steps before left them (also on split parts and joined tensors). All --keep globs
// together are one step, where the first of them stands.
//
// A RuleSet is a value without a state: one may make plans for many checkpoints, on several
// threads.
#pragma once

#include "mlc/base/result.h"
#include "mlc/keys/first_match.h"
#include "mlc/keys/rule.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace mlc {

/// A step that a command-line short form asks for.
struct ShortForm {
  enum class Kind {
    map,    // patterns: key, then prefix; to likewise: an equal key, or else every key below it
    regex,  // the rule renames
    drop,   // the rule drops
    keep,   // several rules: what none of them matches is dropped
    add_prefix,  // the rule renames every key
  };
  Kind kind = Kind::map;
  std::vector<uint32_t> rules;  // indices into RuleSet::rules()
};

class RuleSet {
 public:
  RuleSet() = default;

  /// Parses the text of a rule file; FILE is used in messages. Errors: usage, with line and caret.
  static Result<RuleSet> parse(std::string text, const std::string& file);
  /// Errors: not_found, read_failed, usage.
  static Result<RuleSet> parse_file(const std::string& path);

  /// `--map OLD=NEW`: if a key is called OLD, that key; otherwise every key below it, OLD.* ->
  /// NEW.*. An OLD that ends in a dot is always a prefix. Errors: usage.
  Status add_map(std::string_view text);
  /// `--regex s/PATTERN/REPLACEMENT/FLAGS`: any ASCII punctuation may delimit; the flag is `g`.
  Status add_regex(std::string_view text);
  /// `--drop GLOB`.
  Status add_drop(std::string_view glob);
  /// `--keep GLOB`: everything that no --keep matches is dropped.
  Status add_keep(std::string_view glob);
  /// `--add-prefix P`: P is put before every key, without a dot between.
  Status add_prefix(std::string_view prefix);

  bool empty() const { return rules_.empty(); }
  /// File rules first, then those of short forms. A Plan's uses have the same order.
  const std::vector<Rule>& rules() const { return rules_; }
  size_t file_rule_count() const { return file_rules_; }
  const std::vector<ShortForm>& short_forms() const { return short_forms_; }

 private:
  Status add_glob(ShortForm::Kind kind, Action action, std::string_view flag,
                  std::string_view glob);
  uint32_t push(Rule rule);

  std::vector<Rule> rules_;
  size_t file_rules_ = 0;
  std::vector<ShortForm> short_forms_;
};

}  // namespace mlc
