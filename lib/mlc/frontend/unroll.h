// Loops over modules and indices into lists of modules, which TorchScript's compiler does not know
// for modules that were built from source, written out before it sees them:
//
//   for block in self.blocks:        if True:
//       x = block(x)            ->       x = getattr(self.blocks, "0")(x)
//                                    if True:
//                                        x = getattr(self.blocks, "1")(x)
//   self.blocks[-1](x)          ->   getattr(self.blocks, "1")(x)
//   len(self.blocks)            ->   2
//   [b(x) for b in self.blocks] ->   [getattr(self.blocks, "0")(x), getattr(self.blocks, "1")(x)]
//
// (`if True:` costs nothing: the compiler decides it, and the body keeps its columns.) Loops may go
// over a ModuleList, a Sequential or a slice of one, over the values() or items() of a ModuleDict,
// over the children() of any module, and through enumerate(), zip() and reversed(). A loop over a
// range() of known numbers is one where its variable is an index into such a list,
// `self.blocks[i]`; conditions that compare the variable, `if i < 2:`, are decided too, so that an
// index out of reach there is none. What is not understood stays as it is, for the compiler to
// complain about.
#pragma once

#include "mlc/base/result.h"
#include "mlc/frontend/text_lines.h"
#include "mlc/yaml/document.h"

#include <vector>

namespace mlc::arch {

/// LINES of a method of MODULE, whose children are complete, with every such loop written out.
/// Errors point into the YAML, of which NODE is any node: break or continue that belongs to a loop
/// over modules, an index outside of the list, text that becomes far too long.
Result<std::vector<TextLine>> unroll(const std::vector<TextLine>& lines, const ScriptModule& module,
                                     const yaml::Node& node);

}  // namespace mlc::arch
