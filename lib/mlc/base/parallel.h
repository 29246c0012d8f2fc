// A loop over independent indices on several threads.
#pragma once

#include "mlc/base/result.h"

#include <cstddef>
#include <functional>

namespace mlc {

/// The threads to use where the user gave none: the processors this process may run on.
unsigned default_threads();

/// Calls BODY(i) for every i in [0, count), on at most THREADS threads, each index once, handed out
/// in increasing order. Stops handing out after the first failure and returns the failure with the
/// smallest index among those that ran, so the answer does not depend on timing for a body that
/// fails at one place. BODY must be safe to call from several threads.
Status parallel_for(size_t count, unsigned threads, const std::function<Status(size_t)>& body);

}  // namespace mlc
