// Arguments of constructors: what a module type takes, and what a module of the YAML gives it.
//
// A signature is written as in Python, with these words for types; `?` behind one allows null.
//
//   int float bool str   as in Python; a float may be given as an integer
//   pos nat              an int of at least 1, at least 0
//   size2 (1 2 3 4 6)    a list of that many ints of at least 0; one int stands for all of them
//   pad4 (2 4 6)         the same with any sign
//   keep2 (1 2 3)        as size2; a null in the list keeps the size of the input
//   size ints            an int or a list of ints (at least 0; any)
//   floats               a number or a list of numbers
//   list                 any list
//   {same valid}         one of these words
//   dtype                the name of a floating type, "float16"
//   module               another module, written as a mapping
//
// Alternatives are joined by |: `size2|{same valid}`. The signature `...` takes any arguments and
// uses none, as nn.Identity does.
#pragma once

#include "mlc/base/result.h"
#include "mlc/frontend/value.h"
#include "mlc/frontend/value_origins.h"
#include "mlc/yaml/document.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlc::arch {

struct SignatureArgument {
  std::string name;
  std::string type;
  bool required = true;
  Value default_value;
};
using Signature = std::vector<SignatureArgument>;

inline constexpr std::string_view kAnyArguments = "...";

/// Requires: well-formed text other than kAnyArguments; the unit tests walk over every signature of
/// the tables.
Signature parse_signature(std::string_view text);

/// An argument as the YAML gives it. Modules stay nodes: whoever builds them evaluates them.
struct GivenArgument {
  std::string name;
  Value value;
  std::optional<yaml::Node> node;  // none: mlc itself gives it
  OriginId origin = 0;
};

struct BoundArgument {
  std::string name;
  Value value;
  std::optional<yaml::Node> node;  // none: the default
  OriginId origin = 0;
};
using BoundArguments = std::vector<BoundArgument>;

/// Whether VALUE can be given for an argument of TYPE.
bool fits_type(const Value& value, std::string_view type);

/// Matches GIVEN with SIGNATURE: one row for each argument of the signature, in its order, lists
/// expanded. OWNER is the type ("Conv2d"), MODULE its node for errors that have no better place.
/// Errors: a missing, unknown (with "did you mean") or wrongly typed argument.
Result<BoundArguments> bind_arguments(const Signature& signature,
                                      const std::vector<GivenArgument>& given,
                                      std::string_view owner, const yaml::Node& module);

}  // namespace mlc::arch
