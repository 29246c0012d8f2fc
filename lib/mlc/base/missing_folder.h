// What to say where an output has no folder to go to.
#pragma once

#include "mlc/base/error.h"

#include <string>

namespace mlc {

/// ERROR, which came with ERRNO_VALUE when something was to be made at PATH; where the folder of
/// PATH is missing, with the command that makes it as the hint.
Error hint_at_missing_folder(Error error, int errno_value, std::string path);

}  // namespace mlc
