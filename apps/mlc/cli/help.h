// What `mlc`, `mlc --help` and `mlc VERB --help` print: at most 80 columns, from the tables.
#pragma once

#include "command.h"

#include <string>

namespace mlc::cli {

inline constexpr size_t kHelpWidth = 80;

/// Ten lines: what mlc is, the verbs by group, where to go on.
std::string overview();
/// Every verb with its summary, the shared options, the exit codes.
std::string full_help();
/// Purpose, two examples, usage, options by group, exit codes.
std::string verb_help(const Command& command);

/// Breaks TEXT at blanks so that no line exceeds WIDTH; lines after the first get INDENT blanks.
/// COLUMN is where the first line begins. Empty lines in TEXT separate paragraphs.
std::string wrapped(std::string_view text, size_t column, size_t indent, size_t width = kHelpWidth);

/// Declares the options of COMMAND and the shared ones; binds them to nothing that is used.
class DescribedOptions {
 public:
  explicit DescribedOptions(const Command& command);
  const OptionSet& set() const { return set_; }

 private:
  OptionSet set_;
  SharedOptions shared_;
  Run run_;  // owns the verb's options, which the set points to
};

}  // namespace mlc::cli
