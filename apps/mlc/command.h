// One row per verb. A verb is a file cmd_<verb>.cpp with an options struct, setup() and run(); its
// row, which command.cpp lists, is what parsing, help, man page and completion are made from.
// README.md beside this file shows one whole.
#pragma once

#include "cli/console.h"
#include "cli/exit_code.h"
#include "cli/option_set.h"
#include "cli/shared_options.h"
#include "mlc/base/reporter.h"
#include "mlc/base/result.h"

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mlc::cli {

/// Where a verb stands in the overview.
enum class Group { inspect, edit, convert, check, run, more };

/// What has to be there for a verb to work, beyond the executable.
enum class Needs { nothing, torch, engine };

struct Example {
  std::string_view command;  // "mlc load model.pt --json"; a line of at most 76 columns
  std::string_view purpose;  // "list the tensors for a program"; lower case, no full stop
};

/// What run() gets.
struct Context {
  Console& console;
  Reporter& reporter;
  const SharedOptions& shared;
  /// The verb and its arguments as typed: for provenance.
  std::vector<std::string> arguments;

  bool json() const { return shared.json; }
  Writer& out() { return console.out(); }
  /// Threads for one file: --threads, or as many as this process may use.
  unsigned threads() const;
};

/// Does the work of a verb whose options are parsed. The code is done or no; anything else is an
/// Error.
using Run = std::function<Result<ExitCode>(Context&)>;

struct Command {
  std::string_view name;
  Group group = Group::more;
  std::string_view summary;  // one line, at most 60 columns, lower case, no full stop
  std::string_view
      details;  // paragraphs for help and man page, separated by empty lines; may be ""
  Needs needs = Needs::nothing;
  std::span<const Example> examples;  // at least two; static storage
  /// Declares the verb's options and returns what runs when they are parsed. See bind().
  Run (*setup)(OptionSet&) = nullptr;
};

/// The setup of a row from `void setup(OptionSet&, Options&)` and
/// `Result<ExitCode> run(const Options&, Context&)`. The options live as long as the returned Run.
template <class Options, void (*kSetup)(OptionSet&, Options&),
          Result<ExitCode> (*kRun)(const Options&, Context&)>
Run bind(OptionSet& set) {
  auto options = std::make_shared<Options>();
  kSetup(set, *options);
  return [options](Context& context) { return kRun(*options, context); };
}

/// All verbs, in the order of the overview.
std::span<const Command> commands();
/// The verb of that name, or nothing.
const Command* find_command(std::string_view name);
std::vector<std::string> command_names();
/// The error for WORD where a verb belongs, with the verb that is most likely meant: one that is
/// spelled alike, one that other tools call so ("convert": save), or `load` before a file.
Error unknown_verb(const std::string& word);

struct GroupRow {
  Group group;
  std::string_view title;
};
std::span<const GroupRow> groups();

}  // namespace mlc::cli
