// The module types of torch.nn that an architecture may use: one row each, in types/ by family.
//
// A row says what the constructor takes (signature.h), and either the expression that `forward`
// returns or a function that adds tensors, children and methods. Semantics are those of eval()
// mode; `self.training` is honoured where that costs nothing (dropout, batch norm), except that
// running statistics never change. Inputs of
// recurrent layers and of attention without a batch dimension are refused.
#pragma once

#include "mlc/frontend/leaf_builder.h"

#include <span>
#include <string_view>
#include <vector>

namespace mlc::arch {

struct ModuleType {
  std::string_view name;
  std::string_view signature;
  /// Of `input`, with {argument} for literals; empty where BUILD writes the methods.
  std::string_view expression;
  Status (*build)(LeafBuilder& leaf) = nullptr;
};

/// Containers are known to the tree builder: their arguments are modules, not values.
inline constexpr std::string_view kContainers[] = {"Sequential", "ModuleList", "ModuleDict"};

/// Null pointer if there is none. Containers are no rows.
const ModuleType* find_module_type(std::string_view name);
/// What to do about NAME, a module of torch.nn that is none of them; empty for all other names.
std::string advice_on_missing(std::string_view name);
/// Rows and containers, sorted, for messages and tests.
std::vector<std::string> module_type_names();
std::vector<ModuleType> all_module_types();

/// Has the embeddings below ROOT whose weight something else may read (a tied tensor, a text)
/// rescale it in place, as PyTorch does. Requires: the ties are known.
void renorm_shared_weights(ScriptModule& root);

// The families, each in its own file.
std::span<const ModuleType> convolution_types();
std::span<const ModuleType> linear_types();
std::span<const ModuleType> norm_types();
std::span<const ModuleType> pool_types();
std::span<const ModuleType> activation_types();
std::span<const ModuleType> embedding_types();
std::span<const ModuleType> recurrent_types();
std::span<const ModuleType> attention_types();
std::span<const ModuleType> transformer_types();
std::span<const ModuleType> padding_types();
std::span<const ModuleType> resampling_types();
std::span<const ModuleType> shape_types();

}  // namespace mlc::arch
