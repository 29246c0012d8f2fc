// Command-line arguments against an OptionSet. The only user of CLI11, whose own messages, exit
// codes and exceptions end in parse.cpp.
#pragma once

#include "cli/option_set.h"
#include "mlc/base/result.h"

#include <span>
#include <string>
#include <string_view>

namespace mlc::cli {

/// Assigns ARGUMENTS (without program and verb) to the targets of SET, in their order, then runs
/// its checks. Options and positionals mix freely; `--name=value`, `-nvalue`, bundled flags (-vv)
/// and
/// `--` (everything after it is positional) work; there are no abbreviations. Errors: usage, naming
/// the flag, with the nearest name as the hint; VERB completes the hint to look at the help.
Status parse(OptionSet& set, std::span<const std::string> arguments, std::string_view verb);

/// "did you mean `--json`?", or empty where nothing is near.
std::string did_you_mean(std::string_view word, std::span<const std::string> candidates);

}  // namespace mlc::cli
