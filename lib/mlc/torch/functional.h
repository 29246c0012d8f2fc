// The functions of functional_table.h and packed_sequences.h in a compilation unit. All other names
// of F are the operators of aten.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <torch/csrc/jit/api/compilation_unit.h>
#include <torch/csrc/jit/frontend/resolver.h>

namespace mlc::torch_module {

/// Those that a text may call.
std::vector<std::string> functional_names();

/// Adds to UNIT the functions that SOURCE, the text of a module, may call and that are not there
/// yet. RESOLVER knows the names in their texts: torch, math, and F with the functions of UNIT.
void define_functions(torch::jit::CompilationUnit& unit, const std::string& source,
                      const torch::jit::ResolverPtr& resolver);

/// The variants of F.NAME in UNIT, in the order in which a call tries them; empty where it has
/// none.
std::vector<torch::jit::Function*> find_functions(torch::jit::CompilationUnit& unit,
                                                  const std::string& name);

/// The same of torch.NAME.
std::vector<torch::jit::Function*> find_torch_functions(torch::jit::CompilationUnit& unit,
                                                        const std::string& name);

/// The same of the functions of torch.nn.utils.rnn, packed_sequences.h.
std::vector<torch::jit::Function*> find_sequence_functions(torch::jit::CompilationUnit& unit,
                                                           const std::string& name);

/// The same of torch.nn.Transformer.NAME.
std::vector<torch::jit::Function*> find_transformer_functions(torch::jit::CompilationUnit& unit,
                                                              const std::string& name);

/// What to do instead of calling F.NAME; empty where nothing is to be said.
std::string advice_against(const std::string& name);

}  // namespace mlc::torch_module
