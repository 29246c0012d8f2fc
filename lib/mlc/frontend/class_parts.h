// The parts of a class in an architecture YAML that are no modules: arguments, tensors, the text of
// its methods, ties.
#pragma once

#include "mlc/frontend/expression.h"
#include "mlc/frontend/script_module.h"
#include "mlc/frontend/signature.h"
#include "mlc/yaml/document.h"

#include <string>
#include <unordered_set>

namespace mlc::arch {

/// The arguments that the key `parameters` of BODY declares: its entries that are types.
Result<Signature> read_signature(const yaml::Node& body);

/// The names of the parts of one module; each may be used once.
class PartNames {
 public:
  /// Refuses names that cannot be attributes, or are taken. NODE: the mapping with the key NAME.
  Status add(const std::string& name, const yaml::Node& node);

 private:
  std::unordered_set<std::string> taken_;
};

/// Adds the tensors under the keys `parameters` and `buffers` of BODY.
Status add_own_tensors(ScriptModule& module, const yaml::Node& body, const Scope& scope,
                       PartNames& names);

/// Sets the source text from the key `forward` of BODY, if there is one. Requires: the children are
/// complete.
Status set_forward(ScriptModule& module, const yaml::Node& body);

/// Applies the key `tie` of BODY; names are relative to MODULE, which is complete.
Status apply_ties(ScriptModule& module, const yaml::Node& body);

/// The forward of a Sequential: its children one after the other.
void set_sequential_forward(ScriptModule& module);

/// Makes the arguments attributes, except where a tensor, a child or a constant has the name.
void add_argument_constants(ScriptModule& module);

/// About what MODULE without its children takes in memory.
uint64_t memory_of(const ScriptModule& module);

/// Refuses tensors with negative sizes or more than 2^63 bytes.
Status check_tensor_sizes(const ScriptModule& module, const yaml::Node& node);

}  // namespace mlc::arch
