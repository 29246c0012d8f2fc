#include "cli/completion.h"

#include "cli/help.h"
#include "command.h"

namespace mlc::cli {
namespace {

std::string joined(std::span<const std::string> words, std::string_view separator = " ") {
  std::string out;
  for (const std::string& word : words) {
    if (!out.empty()) out += separator;
    out += word;
  }
  return out;
}

std::vector<std::string> flags_of(const Option& option) {
  std::vector<std::string> flags = {"--" + option.long_name};
  if (option.short_name != 0) flags.push_back(std::string("-") + option.short_name);
  return flags;
}

// TEXT within single quotes of a POSIX shell.
std::string single_quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  return out + "'";
}

// fish knows \' and \\ within single quotes.
std::string fish_quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + "'";
}

// For the description of _arguments, in which brackets and colons have a meaning.
std::string zsh_escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

// A case arm of bash that completes the value of OPTION.
std::string bash_value_arm(std::string_view verb, const Option& option) {
  std::string patterns;
  for (const std::string& flag : flags_of(option)) {
    if (!patterns.empty()) patterns += "|";
    patterns += std::string(verb) + ":" + flag;
  }
  std::string action = "return";
  if (!option.choices.empty()) {
    action = "COMPREPLY=($(compgen -W '" + joined(option.choices) + "' -- \"$cur\")); return";
  } else if (option.hint == ValueHint::file) {
    action = "compopt -o default; return";
  } else if (option.hint == ValueHint::folder) {
    action = "COMPREPLY=($(compgen -d -- \"$cur\")); return";
  }
  return "    " + patterns + ") " + action + " ;;\n";
}

std::string zsh_action(const Option& option) {
  if (!option.choices.empty()) return "(" + joined(option.choices) + ")";
  if (option.hint == ValueHint::file) return "_files";
  if (option.hint == ValueHint::folder) return "_files -/";
  return "";
}

// One line of _arguments per spelling of OPTION.
std::string zsh_specs(const Option& option) {
  std::string out;
  for (const std::string& flag : flags_of(option)) {
    std::string spec = option.repeatable ? "*" : "(" + joined(flags_of(option)) + ")";
    const bool takes_value = !option.value_name.empty();
    const bool is_long = flag.starts_with("--");
    spec +=
        flag + (takes_value ? (is_long ? "=" : "+") : "") + "[" + zsh_escaped(option.help) + "]";
    if (takes_value) spec += ":" + zsh_escaped(option.value_name) + ":" + zsh_action(option);
    out += "        " + single_quoted(spec) + " \\\n";
  }
  return out;
}

std::string fish_option(std::string_view verb, const Option& option) {
  std::string out = "complete -c mlc -n " +
                    fish_quoted("__fish_seen_subcommand_from " + std::string(verb)) + " -l " +
                    option.long_name;
  if (option.short_name != 0) out += std::string(" -s ") + option.short_name;
  if (!option.value_name.empty()) out += " -r";
  if (!option.choices.empty()) {
    out += " -f -a " + fish_quoted(joined(option.choices));
  } else if (option.hint == ValueHint::folder) {
    out += " -f -a '(__fish_complete_directories)'";
  } else if (option.hint == ValueHint::none && !option.value_name.empty()) {
    out += " -f";
  }
  return out + " -d " + fish_quoted(option.help) + "\n";
}

bool takes_files(const OptionSet& set) {
  for (const Positional& positional : set.positional_arguments()) {
    if (positional.hint != ValueHint::none) return true;
  }
  return false;
}

}  // namespace

std::string bash_completion() {
  const std::string verbs = joined(command_names());
  std::string values;
  std::string flags;
  for (const Command& command : commands()) {
    const DescribedOptions described(command);
    std::vector<std::string> names;
    for (const Option& option : described.set().options()) {
      for (std::string& flag : flags_of(option)) names.push_back(std::move(flag));
      if (!option.value_name.empty()) values += bash_value_arm(command.name, option);
    }
    const bool files = takes_files(described.set());
    flags += "    " + std::string(command.name) + ") flags='" + joined(names) + "' words='" +
             joined(described.set().positional_words()) + "' files=" + (files ? "yes" : "no") +
             " ;;\n";
  }
  return "# bash completion for mlc; source it, or save it as\n"
         "# ~/.local/share/bash-completion/completions/mlc\n"
         "_mlc() {\n"
         "  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} verb= word\n"
         "  local flags= words= files=no verbs='" +
         verbs +
         " help'\n"
         "  COMPREPLY=()\n"
         "  for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
         "    [[ \" $verbs \" == *\" $word \"* ]] && { verb=$word; break; }\n"
         "  done\n"
         "  # bash splits --flag=value at the equals sign\n"
         "  if [[ $cur == '=' ]]; then cur=; elif [[ $prev == '=' ]]; then "
         "prev=${COMP_WORDS[COMP_CWORD-2]}; fi\n"
         "  case \"$verb:$prev\" in\n" +
         values +
         "  esac\n"
         "  case \"$verb\" in\n" +
         flags +
         "    help) words=$verbs ;;\n"
         "    '') words=\"$verbs --help --version --json\" ;;\n"
         "  esac\n"
         "  if [[ $cur == -* ]]; then\n"
         "    COMPREPLY=($(compgen -W \"$flags\" -- \"$cur\"))\n"
         "  elif [[ -n $words ]]; then\n"
         "    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
         "  elif [[ $files == yes ]]; then\n"
         "    compopt -o default\n"
         "  fi\n"
         "}\n"
         "complete -F _mlc mlc\n";
}

std::string zsh_completion() {
  std::string verbs;
  std::string arms;
  for (const Command& command : commands()) {
    const DescribedOptions described(command);
    verbs += "    " +
             single_quoted(std::string(command.name) + ":" + zsh_escaped(command.summary)) + "\n";
    arms += "      " + std::string(command.name) + ")\n        _arguments -s \\\n";
    for (const Option& option : described.set().options()) arms += zsh_specs(option);
    const auto words = described.set().positional_words();
    if (!words.empty()) {
      arms += "        '*:argument:(" + joined(words) + ")' ;;\n";
    } else {
      arms += takes_files(described.set()) ? "        '*:file:_files' ;;\n"
                                           : "        && return 0 ;;\n";
    }
  }
  return "#compdef mlc\n"
         "# zsh completion for mlc; save it as _mlc in a folder of $fpath\n"
         "_mlc() {\n"
         "  local -a verbs\n"
         "  verbs=(\n" +
         verbs +
         "    'help:explain a verb'\n"
         "  )\n"
         "  local context state line\n"
         "  _arguments -C '(- *)--version[version, commit and compiler]' "
         "'(- *)'{-h,--help}'[show help]' '1:verb:->verb' '*::argument:->rest'\n"
         "  case $state in\n"
         "  verb) _describe verb verbs ;;\n"
         "  rest)\n"
         "    case $words[1] in\n" +
         arms +
         "      help) _describe verb verbs ;;\n"
         "    esac ;;\n"
         "  esac\n"
         "}\n"
         "if [ \"$funcstack[1]\" = _mlc ]; then _mlc \"$@\"; else compdef _mlc mlc; fi\n";
}

std::string fish_completion() {
  std::string out =
      "# fish completion for mlc; save it as ~/.config/fish/completions/mlc.fish\n"
      "complete -c mlc -n __fish_use_subcommand -f\n"
      "complete -c mlc -n __fish_use_subcommand -l version -d 'version, commit and compiler'\n"
      "complete -c mlc -n __fish_use_subcommand -l help -s h -d 'show help'\n"
      "complete -c mlc -n __fish_use_subcommand -a help -d 'explain a verb'\n";
  for (const Command& command : commands()) {
    const DescribedOptions described(command);
    out += "complete -c mlc -n __fish_use_subcommand -a " + std::string(command.name) + " -d " +
           fish_quoted(command.summary) + "\n";
    for (const Option& option : described.set().options()) out += fish_option(command.name, option);
    const auto words = described.set().positional_words();
    const std::string seen =
        fish_quoted("__fish_seen_subcommand_from " + std::string(command.name));
    if (!words.empty()) {
      out += "complete -c mlc -n " + seen + " -f -a " + fish_quoted(joined(words)) + "\n";
    } else if (!takes_files(described.set())) {
      out += "complete -c mlc -n " + seen + " -f\n";
    }
  }
  return out + "complete -c mlc -n '__fish_seen_subcommand_from help' -f -a " +
         fish_quoted(joined(command_names())) + "\n";
}

}  // namespace mlc::cli
