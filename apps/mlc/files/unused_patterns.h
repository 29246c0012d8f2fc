// Patterns of the command line, or of a recipe, that match nothing.
#pragma once

#include "files/batch.h"
#include "mlc/base/glob.h"

#include <span>
#include <string>
#include <vector>

namespace mlc::cli {

/// Those of GLOBS, given with OPTION, that match none of NAMES.
std::vector<UnusedPattern> unused_globs(std::string_view option, std::span<const std::string> globs,
                                        std::span<const std::string> names);

/// What to give in place of GLOB, which matches the whole of none of NAMES, with the first that it
/// matches: `"module.fc.*" matches module.fc.weight`. Empty where nothing like it does.
std::string near_glob(const std::string& glob, std::span<const std::string> names);

/// The same of the first of GLOBS that has one, behind "a glob is of the whole key: "; empty where
/// none has.
std::string near_globs_hint(std::span<const std::string> globs, std::span<const std::string> names);

/// Refuses UNUSED (usage), with the one of NAMES that may be meant. Where TASK is one of many files
/// it warns: not every file has every name.
Status refuse_unused(std::span<const UnusedPattern> unused, std::span<const std::string> names,
                     FileTask& task);

}  // namespace mlc::cli
