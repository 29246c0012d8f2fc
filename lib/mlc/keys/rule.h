// One rule, ready to be applied. Made by rule_file.h and short_forms.h; immutable afterwards.
#pragma once

#include "mlc/keys/pattern.h"
#include "mlc/keys/replacement.h"

#include <cstdint>
#include <string>
#include <vector>

namespace mlc {

enum class Action { rename, drop, keep, split, concat, transpose };

struct Rule {
  std::vector<Pattern> patterns;  // one; for concat one for each source, in their order
  Action action = Action::keep;
  std::vector<Replacement>
      to;           // rename: one; split: one for each part; concat: one for each pattern
  int64_t dim = 0;  // split, concat; may count from the back
  std::vector<int64_t> sizes;  // split into unequal parts; empty: equal parts
  std::vector<int64_t> permutation;
  bool continues = false;  // rename, transpose: later rules see the key too
  bool all = false;        // rename: every match, not just the first
  std::string label;       // "rule 3", "--map 'a=b'"
  std::string place;       // "rules.yaml:12", empty for command line forms
};

}  // namespace mlc
