#include "cli/help.h"

#include "mlc/base/text.h"
#include "mlc/base/version.h"

#include <algorithm>

#include <fmt/format.h>

namespace mlc::cli {
namespace {

constexpr size_t kHelpColumn = 28;  // where the explanation of an option begins

std::string verbs_of(Group group) {
  std::string out;
  for (const Command& command : commands()) {
    if (command.group != group) continue;
    if (!out.empty()) out += " ";
    out += command.name;
  }
  return out;
}

void append_entry(std::string& out, const std::string& left, std::string_view help) {
  out += "  " + left;
  const size_t column = left.size() + 2;
  if (column + 2 > kHelpColumn) {
    out += "\n" + std::string(kHelpColumn, ' ');
  } else {
    out.append(kHelpColumn - column, ' ');
  }
  out += wrapped(help, kHelpColumn, kHelpColumn) + "\n";
}

void append_options(std::string& out, const OptionSet& set) {
  for (size_t group = 0; group < set.groups().size(); ++group) {
    out += "\n" + set.groups()[group] + ":\n";
    for (const Option& option : set.options()) {
      if (option.group == group) append_entry(out, option.spelling(), option.help);
    }
  }
}

void append_exit_codes(std::string& out, bool takes_several) {
  out += "\nExit codes:\n";
  for (const ExitCodeRow& row : exit_codes()) {
    out += fmt::format("  {:>3}  {}\n", static_cast<int>(row.code), row.meaning);
  }
  if (takes_several) out += "  " + wrapped(worst_first(), 2, 2) + "\n";
}

std::string_view needs_text(Needs needs) {
  switch (needs) {
    case Needs::nothing:
      return "";
    case Needs::torch:
      return "Needs LibTorch, loaded when the verb runs.";
    case Needs::engine:
      return "Needs LibTorch, for .onnx files ONNX Runtime, loaded when the verb runs.";
  }
  return "";
}

}  // namespace

std::string wrapped(std::string_view text, size_t column, size_t indent, size_t width) {
  std::string out;
  const std::string margin(indent, ' ');
  bool line_empty = true;
  bool paragraph = false;
  for (const std::string_view line : split(text, '\n')) {
    if (trim(line).empty()) {
      paragraph = !out.empty();
      continue;
    }
    for (const std::string_view word : split(trim(line), ' ')) {
      if (word.empty()) continue;
      if (paragraph || (!line_empty && column + 1 + word.size() > width)) {
        out += (paragraph ? "\n\n" : "\n") + margin;
        column = indent;
        line_empty = true;
        paragraph = false;
      }
      if (!line_empty) {
        out += ' ';
        ++column;
      }
      out += word;
      column += word.size();
      line_empty = false;
    }
  }
  return out;
}

DescribedOptions::DescribedOptions(const Command& command) {
  run_ = command.setup(set_);
  add_shared_options(set_, shared_);
}

std::string overview() {
  std::string out = fmt::format(
      "mlc {}: PyTorch models from training to production, without Python\n"
      "usage: mlc VERB INPUT... [OPTIONS]\n\n",
      mlc_version());
  for (const GroupRow& row : groups()) {
    const std::string verbs = verbs_of(row.group);
    if (!verbs.empty()) out += fmt::format("  {:<9} {}\n", row.title, wrapped(verbs, 12, 12));
  }
  return out + "\n`mlc VERB --help` explains a verb, `mlc --help` lists all of them\n";
}

std::string full_help() {
  std::string out = fmt::format(
      "mlc {}: PyTorch models from training to production, without Python\n\n", mlc_version());
  out += "usage: mlc VERB INPUT... [OPTIONS]\n";
  for (const GroupRow& row : groups()) {
    if (verbs_of(row.group).empty()) continue;
    out += "\n" + std::string(row.title) + ":\n";
    for (const Command& command : commands()) {
      if (command.group == row.group) append_entry(out, std::string(command.name), command.summary);
    }
  }
  OptionSet shared;
  SharedOptions options;
  add_shared_options(shared, options);
  append_options(out, shared);
  append_entry(out, "    --version", "version, commit and compiler; also with --json");
  append_exit_codes(out, true);
  return out + "\n`mlc VERB --help` explains a verb.\n";
}

std::string verb_help(const Command& command) {
  const DescribedOptions described(command);
  const OptionSet& set = described.set();
  std::string out = fmt::format("mlc {}: {}\n\nExamples:\n", command.name, command.summary);
  for (const Example& example :
       command.examples.first(std::min<size_t>(2, command.examples.size()))) {
    out += fmt::format("  {}\n      {}\n", example.command, wrapped(example.purpose, 6, 6));
  }
  std::string usage = fmt::format("mlc {}", command.name);
  if (const std::string arguments = set.positional_usage(); !arguments.empty())
    usage += " " + arguments;
  out += "\nUsage:\n  " + usage + " [OPTIONS]\n";
  for (const Positional& positional : set.positional_arguments()) {
    append_entry(out, positional.name, positional.help);
  }
  if (!command.details.empty()) out += "\n" + wrapped(command.details, 0, 0) + "\n";
  if (const std::string_view needs = needs_text(command.needs); !needs.empty()) {
    out += fmt::format("\n{}\n", needs);
  }
  append_options(out, set);
  const auto options = set.options();
  append_exit_codes(out, std::any_of(options.begin(), options.end(), [](const Option& option) {
                      return option.long_name == "keep-going";
                    }));
  if (command.examples.size() > 2)
    out += fmt::format("\n`mlc man {} | man -l -` shows all examples.\n", command.name);
  return out;
}

}  // namespace mlc::cli
