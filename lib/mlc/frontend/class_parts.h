// The parts of a class in an architecture YAML that are no modules: arguments, tensors, the text of
// its methods, ties.
#pragma once

#include "mlc/frontend/expression.h"
#include "mlc/frontend/script_module.h"
#include "mlc/frontend/signature.h"
#include "mlc/yaml/document.h"

namespace mlc::arch {

/// The arguments that the key `parameters` of BODY declares: its entries that are types.
Result<Signature> read_signature(const yaml::Node& body);

/// Adds the tensors under the keys `parameters` and `buffers` of BODY.
Status add_own_tensors(ScriptModule& module, const yaml::Node& body, const Scope& scope);

/// Sets the source text from the key `forward` of BODY, if there is one. Requires: the children are
/// complete.
Status set_forward(ScriptModule& module, const yaml::Node& body);

/// Applies the key `tie` of BODY; names are relative to MODULE, which is complete.
Status apply_ties(ScriptModule& module, const yaml::Node& body);

/// Refuses names that cannot be attributes of MODULE, or are taken by another of its parts. NODE:
/// the mapping that has NAME as a key.
Status check_name(const ScriptModule& module, const std::string& name, const yaml::Node& node);

/// The forward of a Sequential: its children one after the other.
void set_sequential_forward(ScriptModule& module);

/// Makes the arguments attributes, except where a tensor, a child or a constant has the name.
void add_argument_constants(ScriptModule& module);

/// Refuses tensors with negative sizes or more than 2^63 bytes.
Status check_tensor_sizes(const ScriptModule& module, const yaml::Node& node);

}  // namespace mlc::arch
