// What the guards of torch.export leave of sizes that its ranges call free: a model that takes
// int(0.5 * x.shape[1]) columns was exported with 3 of them, and holds where x has 6 or 7.
#pragma once

#include "mlc/frontend/exported_program.h"
#include "mlc/ir/symbols.h"

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace mlc {

struct GuardedSizes {
  /// The bounds of symbols that guards make narrower, by their names.
  std::map<std::string, ir::Bounds, std::less<>> ranges;
  /// For people, of those that have an upper bound now, or one size only.
  std::vector<std::string> notes;
};

/// Of PROGRAM only the inputs, the examples and the guards are looked at. Guards of which this
/// cannot be told (of several sizes, say) leave the bounds as they are.
GuardedSizes guarded_sizes(const ExportedProgram& program);

}  // namespace mlc
