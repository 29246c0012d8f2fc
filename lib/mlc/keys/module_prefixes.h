// Renames the module names of a state_dict's `_metadata` along with its keys.
//
// `_metadata` maps module prefixes ('' for the root, 'layer1.0') to {'version': n}. A plan only
// renames keys, so the new name of a module is derived from what happens to the tensors below it.
#pragma once

#include "mlc/keys/plan.h"

#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace mlc {

/// For each of MODULE_NAMES, in order, the name to give it, or nothing where it goes away. Several
/// may get one name (a stripped `module` becomes '' as the root is): the last of them is then the
/// one to keep, as torch's own consume_prefix_in_state_dict_if_present does.
///
/// Every tensor below a module M votes. Old name M.rest, new name N:
///   1. N is rest, or ends in .rest          -> M becomes what stands before it in N;
///   2. rest is a single component           -> M becomes N without its last component
///      (the parameter itself was renamed);
///   3. N begins with M.                     -> M stays.
/// Tensors directly in M decide alone if there are any (by 1 first, by 2 only where no tensor votes
/// by 1); otherwise the deeper ones do. If the votes agree, that is the answer. If they do not, or
/// nothing votes (a ReLU), the nearest enclosing module with an answer decides: A -> B gives A.x ->
/// B.x; so does the root, whose votes are counted for this although '' itself always stays ''. A
/// module goes away if there were tensors below it and all were dropped, or if its own were all
/// split among several modules.
std::vector<std::pair<std::string, std::optional<std::string>>> map_module_prefixes(
    std::span<const std::string> module_names, const Plan& plan);

/// An entry of `_metadata` after a plan: that of module FROM of the input, under NAME.
struct FollowedModule {
  size_t from = 0;  // index into the names given
  std::string name;
};

/// The entries of `_metadata` for MODULE_NAMES after PLAN, in the order of their sources, each name
/// once. A module has the name that map_module_prefixes() gives it, but keeps its own while any
/// tensor below it stays there. Where its own tensors went to several modules (a split, a rename of
/// some of them), those that have no entry get its too, and no other loses one by that: of several
/// modules with one name, one whose own tensors stay comes first, then the last.
std::vector<FollowedModule> follow_module_versions(std::span<const std::string> module_names,
                                                   const Plan& plan);

/// Lets what Module.get_extra_state saved (`layer1._extra_state`) go where its module goes, where
/// no rule named it. Call it before anything asks PLAN for new names. Errors: conflict, as
/// Plan::check_names().
Status follow_modules(Plan& plan);

}  // namespace mlc
