// What the process tells its caller: one table for main, --help, the man page and batch runs.
#pragma once

#include "mlc/base/error.h"

#include <span>
#include <string>
#include <string_view>

namespace mlc::cli {

enum class ExitCode : int {
  done = 0,         // done, or the answer of a check is yes
  no = 1,           // the answer of a check is no
  usage = 2,        // the command line makes no sense
  input = 3,        // an input is missing, unreadable or corrupt
  unsupported = 4,  // well-formed, but mlc does not do it
  output = 5,       // an output exists already or could not be written
  internal = 70,    // a defect of mlc
  interrupted = 130,
};

struct ExitCodeRow {
  ExitCode code;
  std::string_view meaning;
};

/// Every code with its meaning, ascending.
std::span<const ExitCodeRow> exit_codes();

ExitCode exit_code_of(ErrorKind kind);

/// The error that an exception out of a foreign library, or out of memory, amounts to. Requires:
/// called within a catch block.
Error error_of_exception();

/// The code that a run over several files ends with, of two files.
ExitCode worst(ExitCode a, ExitCode b);

/// "of several files the worst counts: 130, 70, 5, 3, 4, 2, 1, 0": the order of worst().
std::string worst_first();

}  // namespace mlc::cli
