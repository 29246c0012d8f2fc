#include "cli/parse.h"

#include "cli/input_guard.h"
#include "mlc/base/text.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

namespace mlc::cli {
namespace {

// CLI11's App, opened where its interface is too narrow: remaining() does not tell an unknown flag
// from a positional after `--`.
class Parser : public CLI::App {
 public:
  Parser() : CLI::App("") {
    set_help_flag("");
    allow_extras();
  }
  const CLI::App::missing_t& leftovers() const { return missing_; }
};

constexpr std::string_view kSpecFile = "=@";  // of an input specification: see input_spec.h

struct Occurrence {
  const Option* option;
  std::string value;
};

struct Parsed {
  std::vector<Occurrence> occurrences;  // in command-line order
  std::vector<std::string> positionals;
  std::vector<std::string> unknown_flags;
};

std::string cli11_names(const Option& option) {
  std::string names = "--" + option.long_name;
  if (option.short_name != 0) names += std::string(",-") + option.short_name;
  return names;
}

Result<Parsed> parse_with_cli11(const OptionSet& set, std::span<const std::string> arguments) {
  try {
    Parser parser;
    std::map<const CLI::Option*, const Option*> known;
    for (const Option& option : set.options()) {
      const bool is_flag = option.value_name.empty();
      CLI::Option* made = is_flag ? parser.add_flag(cli11_names(option))
                                  : parser.add_option(cli11_names(option))->expected(1);
      made->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)->allow_extra_args(false);
      if (is_flag) made->disable_flag_override();
      known[made] = &option;
    }
    std::vector<std::string> reversed(arguments.rbegin(), arguments.rend());
    parser.parse(std::move(reversed));
    Parsed parsed;
    std::map<const CLI::Option*, size_t> seen;
    for (CLI::Option* made : parser.parse_order()) {
      const Option* option = known.at(made);
      const std::string value = option->value_name.empty() ? "" : made->results().at(seen[made]++);
      parsed.occurrences.push_back({option, value});
    }
    for (const auto& [kind, text] : parser.leftovers()) {
      if (kind == CLI::detail::Classifier::POSITIONAL_MARK) continue;
      const bool positional = kind == CLI::detail::Classifier::NONE;
      (positional ? parsed.positionals : parsed.unknown_flags).push_back(text);
    }
    return parsed;
  } catch (const CLI::ArgumentMismatch& error) {
    // "--output: 1 required TEXT missing" or "--json was given a disallowed flag override".
    const std::string message = error.what();
    std::string name = message.substr(0, message.find_first_of(": "));
    if (!name.starts_with('-')) name = "--" + name;
    const bool takes_value = message.ends_with("missing");
    return usage_error(name + (takes_value ? " needs a value" : " takes no value"));
  } catch (const std::exception& error) {
    return usage_error(printable(error.what()));
  }
}

std::vector<std::string> all_flags(const OptionSet& set) {
  std::vector<std::string> names;
  for (const Option& option : set.options()) {
    names.push_back("--" + option.long_name);
    if (option.short_name != 0) names.push_back(std::string("-") + option.short_name);
  }
  return names;
}

/// What other tools call the options of mlc.
constexpr std::pair<std::string_view, std::string_view> kElsewhere[] = {
    {"--bits", "--scheme"},         {"--calibration-data", "--calib"},
    {"--data", "--calib"},          {"--dataset", "--calib"},
    {"--dynamic-axes", "--input"},  {"--dynamic-shapes", "--input"},
    {"--fp16", "--dtype fp16"},     {"--half", "--dtype fp16"},
    {"--input-shape", "--input"},   {"--opset-version", "--opset"},
    {"--out", "--output"},          {"--overwrite", "--force"},
    {"--prefix", "--strip-prefix"}, {"--ratio", "--amount"},
    {"--shape", "--input"},         {"--sparsity", "--amount"},
    {"--target", "--int8-target"},
};

/// A hint with the option that is called NAME elsewhere, or that begins so; empty where none is.
std::string known_elsewhere(const OptionSet& set, std::string_view name) {
  const std::vector<std::string> flags = all_flags(set);
  for (const auto& [theirs, ours] : kElsewhere) {
    const std::string flag(ours.substr(0, ours.find(' ')));
    if (theirs == name && std::ranges::find(flags, flag) != flags.end())
      return "here it is `" + std::string(ours) + "`";
  }
  std::vector<std::string> longer;
  for (const std::string& flag : flags) {
    if (name.size() > 3 && flag.starts_with(name)) longer.push_back("`" + flag + "`");
  }
  if (longer.empty() || longer.size() > 4) return "";
  return longer.size() == 1 ? "did you mean " + longer[0] + "?"
                            : "flags that begin so: " + join_list(longer);
}

Error unknown_flag(const OptionSet& set, const std::string& text, std::string_view verb) {
  const std::string name = text.substr(0, text.find('='));
  // A short flag is at edit distance 1 from every other: only long names are worth a guess.
  std::string hint = name.starts_with("--") ? did_you_mean(name, all_flags(set)) : std::string();
  if (hint.empty() && name.starts_with("--")) hint = known_elsewhere(set, name);
  if (hint.empty()) hint = "`mlc " + std::string(verb) + " --help` lists the flags";
  return usage_error("unknown flag " + mlc::quoted(name), hint);
}

// CLI11 would take the next argument as the value of `--name=`.
Status refuse_empty_assignments(const OptionSet& set, std::span<const std::string> arguments) {
  for (const std::string& argument : arguments) {
    if (argument == "--") break;
    if (!argument.starts_with("--") || !argument.ends_with('=')) continue;
    const std::string_view name = std::string_view(argument).substr(2, argument.size() - 3);
    if (std::ranges::find(set.options(), name, &Option::long_name) != set.options().end()) {
      return usage_error("--" + std::string(name) + " needs a value");
    }
  }
  return {};
}

/// Only texts are read from a stream: formats need seeking, outputs a name that appears only when
/// they are whole. A file that is called "-" is rarely meant.
Status refuse_dash(ValueHint hint, std::string_view value, std::string_view what) {
  if (hint == ValueHint::none || value != "-") return {};
  return usage_error(
      std::string(what) + " must be a file; `-` (standard input or output) is not supported",
      "`./-` is the file of that name");
}

Status assign_options(const OptionSet& set, const Parsed& parsed) {
  const std::vector<std::string> flags = all_flags(set);
  std::vector<const Option*> given;
  for (const auto& [option, value] : parsed.occurrences) {
    const std::string name = "--" + option->long_name;
    // `-o --force` is a forgotten value, not a file of that name.
    if (!option->value_name.empty() && std::ranges::find(flags, value) != flags.end()) {
      return usage_error(name + " needs a value, but is followed by the flag " + value);
    }
    if (!option->repeatable && std::ranges::find(given, option) != given.end()) {
      return usage_error(name + " is given twice");
    }
    given.push_back(option);
    if (!option->takes_stream) MLC_CHECK(refuse_dash(option->hint, value, name));
    MLC_CHECK_CTX(option->assign(value), name);
  }
  return {};
}

Status assign_positionals(const OptionSet& set, const std::vector<std::string>& values,
                          std::string_view verb) {
  const std::string hint = "usage: mlc " + std::string(verb) + " " + set.positional_usage();
  size_t at = 0;
  for (const Positional& positional : set.positional_arguments()) {
    const size_t count = std::min(values.size() - at, positional.max);
    if (count < positional.min) {
      const std::string more = positional.min > 1 ? plural(positional.min, positional.name) : "";
      return usage_error("missing " + (more.empty() ? positional.name : more), hint);
    }
    for (size_t i = 0; i < count; ++i) {
      if (!positional.takes_stream) {
        MLC_CHECK(refuse_dash(positional.hint, values[at], positional.name));
      }
      MLC_CHECK_CTX(positional.assign(values[at++]), positional.name);
    }
  }
  if (at == values.size()) return {};
  const std::string extra = "unexpected argument " + mlc::quoted(values[at]);
  if (set.positional_arguments().empty()) return usage_error(extra);
  return usage_error(extra, hint + " (outputs are named by flags)");
}

/// What the options read and write; the output itself has no option.
FilePlan plan_of_options(const Parsed& parsed) {
  FilePlan plan;
  for (const auto& [option, value] : parsed.occurrences) {
    const std::string name = option->long_name == "output" ? "" : "--" + option->long_name;
    if (option->written) {
      plan.writes.push_back({value, name});
      if (!option->beside.empty()) plan.writes.push_back({value + option->beside, name});
    } else if (option->input_spec) {
      const size_t file = value.find(kSpecFile);
      if (file != value.npos) plan.reads.push_back({value.substr(file + kSpecFile.size()), name});
    } else if (option->hint == ValueHint::file) {
      plan.reads.push_back({value, name});
    }
  }
  return plan;
}

/// Where an option would have a file replaced that another one reads or writes, or that is an
/// argument. Of the output over an input the verbs know more: it may be meant.
Status refuse_replaced_files(const OptionSet& set, const Parsed& parsed) {
  FilePlan plan = plan_of_options(parsed);
  if (plan.writes.empty()) return {};
  MLC_CHECK(refuse_replaced_inputs(plan));
  const bool files = !set.positional_arguments().empty() &&
                     set.positional_arguments().back().hint == ValueHint::file;
  if (!files) return {};
  plan.reads.clear();
  for (const std::string& input : parsed.positionals) plan.reads.push_back({input, ""});
  std::erase_if(plan.writes, [](const FileUse& use) { return use.option.empty(); });
  return refuse_replaced_inputs(plan);
}

}  // namespace

std::string did_you_mean(std::string_view word, std::span<const std::string> candidates) {
  const auto near = nearest(word, candidates);
  return near ? "did you mean `" + *near + "`?" : std::string();
}

Status parse(OptionSet& set, std::span<const std::string> arguments, std::string_view verb) {
  MLC_CHECK(refuse_empty_assignments(set, arguments));
  MLC_TRY(const Parsed parsed, parse_with_cli11(set, arguments));
  if (!parsed.unknown_flags.empty()) return unknown_flag(set, parsed.unknown_flags.front(), verb);
  MLC_CHECK(assign_options(set, parsed));
  MLC_CHECK(assign_positionals(set, parsed.positionals, verb));
  for (const auto& condition : set.checks()) MLC_CHECK(condition());
  return refuse_replaced_files(set, parsed);
}

}  // namespace mlc::cli
