#include "cli/man.h"
#include "command.h"

namespace mlc::cli {
namespace {

struct Options {
  std::string verb;
};

void setup(OptionSet& set, Options& options) {
  set.optional_positional("VERB", options.verb, "the verb; without it all of mlc", ValueHint::none);
  set.positional_choices(command_names());
}

Result<ExitCode> run(const Options& options, Context& context) {
  if (context.json()) return usage_error("--json means nothing for a manual page");
  if (options.verb.empty()) {
    context.out().write(whole_man_page());
    return ExitCode::done;
  }
  const Command* command = find_command(options.verb);
  if (command == nullptr) return unknown_verb(options.verb);
  context.out().write(verb_man_page(*command));
  return ExitCode::done;
}

constexpr Example kExamples[] = {
    {"mlc man | man -l -", "read the whole manual"},
    {"mlc man completion > mlc-completion.1", "write the page of one verb"},
};

}  // namespace

Command man_command() {
  return {.name = "man",
          .group = Group::more,
          .summary = "print the manual as a man page",
          .details = "The page is roff text, made from the same table as --help and completion.",
          .needs = Needs::nothing,
          .examples = kExamples,
          .setup = bind<Options, setup, run>};
}

}  // namespace mlc::cli
