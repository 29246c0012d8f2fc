// The process: find the verb, parse its options, run its row, show the error, leave with a code.
#include "cli/heap.h"
#include "cli/help.h"
#include "cli/json_writer.h"
#include "cli/parse.h"
#include "cli/signals.h"
#include "command.h"
#include "mlc/base/text.h"
#include "mlc/base/version.h"

#include <algorithm>

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

namespace mlc::cli {
namespace {

using Arguments = std::vector<std::string>;

bool is_shared_option_with_value(const std::string& argument) {
  OptionSet set;
  SharedOptions unused;
  add_shared_options(set, unused);
  return std::ranges::any_of(set.options(), [&](const Option& option) {
    return !option.value_name.empty() && argument == "--" + option.long_name;
  });
}

// The index of the verb: the first argument that is neither a flag nor the value of a shared one.
size_t find_verb(const Arguments& arguments) {
  size_t i = 0;
  while (i < arguments.size() && arguments[i].size() > 1 && arguments[i][0] == '-') {
    i += is_shared_option_with_value(arguments[i]) ? 2 : 1;
  }
  return std::min(i, arguments.size());
}

bool contains(std::span<const std::string> arguments, std::string_view flag) {
  const auto end = std::ranges::find(arguments, "--");
  return std::find(arguments.begin(), end, flag) != end;
}

void print_version(Context& context) {
  if (!context.json()) {
    context.out().line(
        fmt::format("mlc {} (commit {}, {})", mlc_version(), mlc_commit(), mlc_compiler()));
    return;
  }
  JsonWriter json(context.out());
  json.begin_object();
  json.field("schema", "mlc.version/1");
  json.field("version", mlc_version());
  json.field("commit", mlc_commit());
  json.field("compiler", mlc_compiler());
  json.end_object();
}

Result<ExitCode> print_help_of(const std::string& verb, Context& context) {
  const Command* command = find_command(verb);
  if (command == nullptr) return unknown_verb(verb);
  context.out().write(verb_help(*command));
  return ExitCode::done;
}

// Without a verb only the shared flags, --help and --version make sense.
Result<ExitCode> run_without_verb(const Arguments& arguments, Context& context) {
  OptionSet set;
  SharedOptions shared;
  bool version = false;
  add_shared_options(set, shared);
  set.flag("--version", version, "");
  MLC_CHECK(parse(set, arguments, ""));
  if (version) {
    print_version(context);
  } else {
    context.out().write(shared.help ? full_help() : overview());
  }
  return ExitCode::done;
}

Result<ExitCode> run_verb(const std::string& verb, const Arguments& rest, SharedOptions& shared,
                          Context& context) {
  if (verb == "help") {
    const auto word = std::ranges::find_if(rest, [](const std::string& a) { return a[0] != '-'; });
    if (word != rest.end()) return print_help_of(*word, context);
    context.out().write(full_help());
    return ExitCode::done;
  }
  const Command* command = find_command(verb);
  if (command == nullptr) return unknown_verb(verb);
  if (contains(rest, "--help") || contains(rest, "-h")) return print_help_of(verb, context);
  OptionSet set;
  const Run run = command->setup(set);
  add_shared_options(set, shared);
  MLC_CHECK(parse(set, rest, verb));
  context.console.configure(shared);
  if (command->needs == Needs::nothing) prefer_large_pages();
  return run(context);
}

Result<ExitCode> dispatch(const Arguments& arguments, SharedOptions& shared, Context& context) {
  const size_t at = find_verb(arguments);
  if (at == arguments.size()) return run_without_verb(arguments, context);
  Arguments rest = arguments;
  rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(at));
  return run_verb(arguments[at], rest, shared, context);
}

// An exception that no wrapper caught is a defect, told as one.
Result<ExitCode> dispatch_guarded(const Arguments& arguments, SharedOptions& shared,
                                  Context& context) {
  try {
    return dispatch(arguments, shared, context);
  } catch (...) {
    return error_of_exception();
  }
}

ExitCode run_process(const Arguments& arguments, Console& console) {
  SharedOptions shared;
  // Errors of parsing itself are already shown the way --json asks for.
  shared.json = contains(arguments, "--json");
  set_signal_messages(shared.json);
  console.configure(shared);
  TerminalReporter reporter(console);
  Context context{console, reporter, shared, arguments};
  Result<ExitCode> result = dispatch_guarded(arguments, shared, context);
  ExitCode code = result.ok() ? *result : exit_code_of(result.error().kind());
  // Half an answer is worse than none.
  if (!result.ok()) console.out().discard();
  const Status written = console.out().flush();
  if (!result.ok()) console.error(result.error());
  if (!written.ok()) {
    if (result.ok()) console.error(written.error());
    code = worst(code, exit_code_of(written.error().kind()));
  }
  return code;
}

/// Shards are all open at once, thousands at times, and shells allow 1024 files where the system
/// would allow many more. A failure leaves what there is.
void allow_open_files() {
  struct rlimit limit {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace
}  // namespace mlc::cli

int main(int argc, char** argv) {
  mlc::cli::allow_open_files();
  mlc::cli::install_signal_handlers();
  mlc::cli::Console console;
  const auto code = mlc::cli::run_process({argv + std::min(argc, 1), argv + argc}, console);
#if defined(MLC_SANITIZED)
  return static_cast<int>(code);  // lets the leak check run
#else
  _exit(static_cast<int>(code));  // nothing is left to save; unmapping and freeing would cost time
#endif
}
