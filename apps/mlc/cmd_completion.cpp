#include "cli/completion.h"
#include "command.h"
#include "mlc/base/text.h"

#include <utility>

namespace mlc::cli {
namespace {

using Script = std::string (*)();
constexpr std::pair<std::string_view, Script> kShells[] = {
    {"bash", bash_completion},
    {"zsh", zsh_completion},
    {"fish", fish_completion},
};

struct Options {
  std::string shell;
};

void setup(OptionSet& set, Options& options) {
  set.positional("SHELL", options.shell, "bash, zsh or fish", ValueHint::none);
  std::vector<std::string> shells;
  for (const auto& [name, script] : kShells) shells.emplace_back(name);
  set.positional_choices(std::move(shells));
}

Result<ExitCode> run(const Options& options, Context& context) {
  for (const auto& [name, script] : kShells) {
    if (name != options.shell) continue;
    if (context.json()) return usage_error("--json means nothing for the script of a shell");
    context.out().write(script());
    return ExitCode::done;
  }
  return usage_error("no completion for the shell " + quoted(options.shell),
                     "there are bash, zsh and fish");
}

constexpr Example kExamples[] = {
    {"source <(mlc completion bash)", "complete in the running bash"},
    {"mlc completion zsh > ~/.zfunc/_mlc", "install for zsh, where ~/.zfunc is in $fpath"},
    {"mlc completion fish > ~/.config/fish/completions/mlc.fish", "install for fish"},
};

}  // namespace

Command completion_command() {
  return {.name = "completion",
          .group = Group::more,
          .summary = "print a completion script for a shell",
          .details =
              "The script knows every verb, flag and choice of this version and runs nothing "
              "while you type.",
          .needs = Needs::nothing,
          .examples = kExamples,
          .setup = bind<Options, setup, run>};
}

}  // namespace mlc::cli
