// Work in a process of its own, whose memory and libraries are nobody else's.
#pragma once

#include "mlc/base/result.h"

#include <functional>
#include <string>

namespace mlc::cli {

/// Forks, runs WORK in the child and returns what it returns: the text, or its Error. Messages that
/// WORK gives go to the same standard error. The child ends with its parent. Requires: no other
/// threads run. Errors: also read_failed where the child ended without an answer, naming the
/// signal.
Result<std::string> in_child_process(const std::function<Result<std::string>()>& work);

}  // namespace mlc::cli
