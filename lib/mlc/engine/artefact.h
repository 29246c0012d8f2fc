// Whether a file is something that an engine can run, found out without loading the engine.
#pragma once

#include "mlc/base/reporter.h"
#include "mlc/base/result.h"

#include <string>

namespace mlc {

/// Opens PATH as `mlc load` does, so that damage is told in the same words, and compares the CRC of
/// every record: engines do not. Errors: those of open_checkpoint(), corrupt; unsupported for what
/// holds weights without a program, saying what would run.
Status check_runnable(const std::string& path, unsigned threads, Reporter& reporter);

}  // namespace mlc
