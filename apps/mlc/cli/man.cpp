#include "cli/man.h"

#include "cli/help.h"
#include "mlc/base/text.h"
#include "mlc/base/version.h"

#include <algorithm>
#include <cctype>

namespace mlc::cli {
namespace {

// TEXT as roff input: nothing in it is a command, and a hyphen stays one when copied from the page.
std::string roff(std::string_view text) {
  std::string out;
  bool line_start = true;
  for (const char c : text) {
    if (line_start && (c == '.' || c == '\'')) out += "\\&";
    line_start = c == '\n';
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
  }
  return out;
}

std::string upper(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](char c) {
    return static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  });
  return out;
}

std::string header(std::string_view title) {
  return ".TH " + roff(upper(title)) + " 1 \"\" \"mlc " + std::string(mlc_version()) +
         "\" \"User Commands\"\n";
}

// Empty lines become paragraph breaks.
std::string paragraphs(std::string_view text) {
  std::string out;
  for (const std::string_view line : split(text, '\n')) {
    out += trim(line).empty() ? ".PP\n" : roff(trim(line)) + "\n";
  }
  return out;
}

std::string entry(const std::string& term, std::string_view text) {
  return ".TP\n" + term + "\n" + roff(text) + "\n";
}

std::string option_term(const Option& option) {
  std::string out;
  if (option.short_name != 0) out += std::string("\\fB\\-") + option.short_name + "\\fR, ";
  out += "\\fB\\-\\-" + roff(option.long_name) + "\\fR";
  if (!option.value_name.empty()) out += " \\fI" + roff(option.value_name) + "\\fR";
  return out;
}

std::string options_section(const OptionSet& set, std::string_view heading) {
  std::string out;
  for (size_t group = 0; group < set.groups().size(); ++group) {
    out += std::string(heading) + " \"" + roff(set.groups()[group]) + "\"\n";
    for (const Option& option : set.options()) {
      if (option.group == group) out += entry(option_term(option), option.help);
    }
  }
  return out;
}

std::string examples_section(const Command& command) {
  std::string out;
  for (const Example& example : command.examples) {
    out += ".TP\n.B " + roff(example.command) + "\n" + roff(example.purpose) + "\n";
  }
  return out;
}

std::string exit_codes_section() {
  std::string out = ".SH EXIT STATUS\n";
  for (const ExitCodeRow& row : exit_codes()) {
    out += entry("\\fB" + std::to_string(static_cast<int>(row.code)) + "\\fR", row.meaning);
  }
  std::string order = worst_first();
  order[0] = 'O';
  return out + ".PP\n" + roff(order) + ".\n";
}

std::string synopsis(const Command& command, const OptionSet& set) {
  return ".B mlc " + roff(command.name) + "\n" + roff(set.positional_usage()) + " [OPTIONS]\n";
}

std::string arguments_section(const OptionSet& set) {
  std::string out;
  for (const Positional& positional : set.positional_arguments()) {
    out += entry("\\fI" + roff(positional.name) + "\\fR", positional.help);
  }
  return out;
}

std::string environment_section() {
  return ".SH ENVIRONMENT\n" +
         entry("\\fBNO_COLOR\\fR", "when not empty, no colour unless --color=always") +
         entry("\\fBTERM\\fR", "when dumb, no colour and no progress");
}

}  // namespace

std::string verb_man_page(const Command& command) {
  const DescribedOptions described(command);
  const std::string name = "mlc-" + std::string(command.name);
  std::string out = header(name);
  out += ".SH NAME\n" + roff(name) + " \\- " + roff(command.summary) + "\n";
  out += ".SH SYNOPSIS\n" + synopsis(command, described.set());
  out += ".SH DESCRIPTION\n";
  out += paragraphs(command.details.empty() ? command.summary : command.details);
  out += arguments_section(described.set());
  out += ".SH OPTIONS\n" + options_section(described.set(), ".SS");
  out += ".SH EXAMPLES\n" + examples_section(command);
  return out + environment_section() + exit_codes_section() + ".SH SEE ALSO\n.BR mlc (1)\n";
}

std::string whole_man_page() {
  std::string out = header("mlc");
  out += ".SH NAME\nmlc \\- PyTorch models from training to production, without Python\n";
  out += ".SH SYNOPSIS\n.B mlc\n.I VERB INPUT...\n[OPTIONS]\n";
  out += ".SH DESCRIPTION\n";
  out += paragraphs(
      "The answer of a verb goes to standard output, everything else to standard error. Flags may "
      "stand anywhere; what follows -- is never a flag. Outputs are named by flags only, appear "
      "whole or not at all, and never replace an existing file without --force.\n\n"
      "With --json standard error holds one JSON object a line: warnings (mlc.message/1) and, "
      "last, the error (mlc.error/1). There is no closing line then; the answer tells what was "
      "done.");
  OptionSet shared;
  SharedOptions options;
  add_shared_options(shared, options);
  out += ".SH SHARED OPTIONS\n" + options_section(shared, ".SS");
  for (const Command& command : commands()) {
    OptionSet set;
    const Run run = command.setup(set);
    out += ".SH \"MLC " + roff(upper(command.name)) + "\"\n" + synopsis(command, set) + ".PP\n";
    out += paragraphs(command.details.empty() ? command.summary : command.details);
    out += arguments_section(set) + options_section(set, ".SS");
    out += ".SS \"Examples\"\n" + examples_section(command);
  }
  return out + environment_section() + exit_codes_section();
}

}  // namespace mlc::cli
