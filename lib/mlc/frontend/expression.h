// `$name` in an architecture YAML: names of parameters and the arithmetic on them.
//
// A plain scalar with a `$` in it is an expression: `$channels`, `$channels * 2`, `($a + 1) // 2`.
// A lone name gives its value whatever its type; everything else is arithmetic on integers and
// numbers, + - * // % and parentheses, comparisons of them, == != < <= > >=, and what is true or
// false: and, or, not. == and != compare texts and flags too. Quoted text is taken as it is.
#pragma once

#include "mlc/base/result.h"
#include "mlc/frontend/value.h"
#include "mlc/frontend/value_origins.h"
#include "mlc/yaml/document.h"

#include <string>
#include <string_view>
#include <vector>

namespace mlc::arch {

/// A name that is known where a node stands.
struct KnownName {
  std::string name;
  Value value;
  OriginId origin = 0;
};
using Scope = std::vector<KnownName>;

/// What stands after a $ in TEXT, each once.
std::vector<std::string> names_in(std::string_view text);

/// The value of a scalar, a null or a list of scalars. The errors point at the node: an unknown
/// name (with "did you mean"), bad arithmetic, an integer beyond 64 bits, a mapping.
Result<Value> evaluate(const yaml::Node& node, const Scope& scope);
/// The same, where only an integer will do.
Result<int64_t> evaluate_int(const yaml::Node& node, const Scope& scope);
/// Where NODE is quoted and looks like an expression: that the quotes make it a text. Else empty.
std::string quotes_hint(const yaml::Node& node);

}  // namespace mlc::arch
