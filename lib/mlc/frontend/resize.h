// An architecture for a model of which parts were taken away: the same YAML with other numbers.
//
// Comments, layout and expressions stay where they can. A number that is `$width * 2` becomes what
// it has to be through `width`, if all that name it agree; if they do not, the expression that
// stands alone becomes a number. Where one scalar would need two values, as in a repeated module
// whose copies are no longer alike, nothing can be written.
#pragma once

#include "mlc/base/result.h"
#include "mlc/frontend/architecture.h"
#include "mlc/frontend/value_origins.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace mlc::arch {

/// An axis of a tensor whose size no number of the YAML alone decides.
struct RigidAxis {
  std::string tensor;  // its name in the state_dict
  size_t axis = 0;
  std::string why;  // "linear of the attention ..."
};
std::vector<RigidAxis> rigid_axes(const Architecture& architecture, const ValueOrigins& origins);

struct SizeWishes {
  std::map<std::string, Ints> shapes;     // of tensors that get other ones, under all their names
  std::map<std::string, int64_t> groups;  // of convolutions, by the path of the module
  /// Of classes, by the path of the module and the name: what `forward` reads.
  std::map<std::pair<std::string, std::string>, int64_t> arguments;
};

/// The text of ARCHITECTURE with the sizes of WISHES. All other tensors and arguments of modules of
/// torch.nn stay as they are. Errors: conflict, pointing at the scalar that would need two values.
Result<std::string> resize(const Architecture& architecture, const ValueOrigins& origins,
                           const SizeWishes& wishes);

}  // namespace mlc::arch
