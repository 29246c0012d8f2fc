// The options of one verb: declared once, used for parsing, help, man page and shell completion, so
// that the four cannot disagree.
//
//   set.group("Selecting tensors");
//   set.key_path("--key", options.key, "the state_dict inside the checkpoint");
//   set.positionals("INPUT", options.inputs, 1, "checkpoints to read");
//
// Declaring binds a target; parsing (parse.h) assigns to it, in the order of the command line. The
// target must outlive the set and keeps its value where the option is not given, so defaults are
// written into the options struct. NAMES is "--key", or "-o, --output". Help texts are lower case
// without a full stop and say the default where there is one.
#pragma once

#include "mlc/base/result.h"

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace mlc::cli {

/// What a shell should offer as a value.
enum class ValueHint { none, file, folder };

struct Option {
  std::string long_name;   // "output", without dashes
  char short_name = 0;     // 'o'; 0: none
  std::string value_name;  // "FILE"; empty: a flag
  std::string help;
  size_t group = 0;  // index into OptionSet::groups()
  std::vector<std::string> choices;
  ValueHint hint = ValueHint::none;
  bool repeatable = false;
  bool takes_stream = false;  // "-" is standard input
  bool written = false;       // names a file that the verb writes, maybe after it read it
  std::string beside;         // of such a file: what follows its name in that of a second one
  bool input_spec = false;    // NAME=@FILE, where it names one
  /// Called once per occurrence; the text is empty for flags. Errors: usage.
  std::function<Status(std::string_view)> assign;

  /// "-o, --output FILE"; "    --key PATH" where there is no short name.
  std::string spelling() const;
};

struct Positional {
  std::string name;  // "INPUT"
  std::string help;
  size_t min = 0;
  size_t max = 0;
  ValueHint hint = ValueHint::file;
  std::function<Status(std::string_view)> assign;
  bool takes_stream = false;
};

/// An occurrence of one of several options that keep their common order (OptionSet::ordered).
struct OrderedValue {
  std::string option;  // "--drop"
  std::string value;
};

class OptionSet {
 public:
  static constexpr size_t kMany = std::numeric_limits<size_t>::max();

  OptionSet() = default;
  OptionSet(const OptionSet&) = delete;
  OptionSet& operator=(const OptionSet&) = delete;

  /// Options declared from here on stand under TITLE in the help. A title that exists is reopened.
  void group(std::string_view title);

  void flag(std::string_view names, bool& target, std::string_view help);
  /// A flag that counts: -vv is 2.
  void count(std::string_view names, int& target, std::string_view help);

  void text(std::string_view names, std::string& target, std::string_view value_name,
            std::string_view help);
  /// The same where "not given" differs from "given empty".
  void text(std::string_view names, std::optional<std::string>& target, std::string_view value_name,
            std::string_view help);
  /// The dotted PATH of a value inside a checkpoint. Empty is refused: it would mean "not given".
  void key_path(std::string_view names, std::string& target, std::string_view help);
  void key_path(std::string_view names, std::optional<std::string>& target, std::string_view help);
  /// A path; shells complete it.
  void file(std::string_view names, std::string& target, std::string_view value_name,
            std::string_view help);
  void folder(std::string_view names, std::string& target, std::string_view value_name,
              std::string_view help);
  /// May be given several times; each adds one value, commas included.
  void list(std::string_view names, std::vector<std::string>& target, std::string_view value_name,
            std::string_view help);
  /// Several options that append to one target, which so keeps the order of the command line.
  void ordered(std::string_view names, std::vector<OrderedValue>& target,
               std::string_view value_name, std::string_view help);

  /// A decimal integer in [min, max].
  void integer(std::string_view names, int64_t& target, std::string_view value_name,
               std::string_view help, int64_t min = std::numeric_limits<int64_t>::min(),
               int64_t max = std::numeric_limits<int64_t>::max());
  void integer(std::string_view names, std::optional<int64_t>& target, std::string_view value_name,
               std::string_view help, int64_t min = std::numeric_limits<int64_t>::min(),
               int64_t max = std::numeric_limits<int64_t>::max());
  void integer(std::string_view names, unsigned& target, std::string_view value_name,
               std::string_view help, unsigned min = 0, unsigned max = 1U << 16U);
  /// A finite decimal number in [min, max].
  void real(std::string_view names, double& target, std::string_view value_name,
            std::string_view help, double min, double max);
  void real(std::string_view names, std::optional<double>& target, std::string_view value_name,
            std::string_view help, double min, double max);
  /// A size in bytes: "4096B", "1.5GB" (powers of 1000), "64MiB" (powers of 1024), units in any
  /// case. A number without a unit is of bytes, from 1000 on: 5 is hardly meant as 5 bytes.
  void size(std::string_view names, uint64_t& target, std::string_view value_name,
            std::string_view help);

  /// One of CHOICES, as text.
  void choice(std::string_view names, std::string& target,
              std::span<const std::string_view> choices, std::string_view help);
  /// One of CHOICES, as an enumerator. CHOICES must outlive the set: a static table.
  template <class E>
  void choice(std::string_view names, E& target,
              std::span<const std::pair<std::string_view, std::type_identity_t<E>>> choices,
              std::string_view help) {
    std::vector<std::string> words;
    for (const auto& row : choices) words.emplace_back(row.first);
    add_choice(names, std::move(words), help,
               [&target, choices](size_t i) { target = choices[i].second; });
  }
  /// The same where "not given" differs from every choice.
  template <class E>
  void choice(std::string_view names, std::optional<E>& target,
              std::span<const std::pair<std::string_view, std::type_identity_t<E>>> choices,
              std::string_view help) {
    std::vector<std::string> words;
    for (const auto& row : choices) words.emplace_back(row.first);
    add_choice(names, std::move(words), help,
               [&target, choices](size_t i) { target = choices[i].second; });
  }

  /// The option declared last takes OTHER for CHOICE too: "float16" for "fp16".
  void alias(std::string other, std::string choice);
  /// The option, or positional, declared last is a text that may come from standard input, "-".
  void or_stream() { options_.back().takes_stream = true; }
  void positional_or_stream() { positionals_.back().takes_stream = true; }
  /// The option declared last names a file that is written, and where BESIDE is given maybe also
  /// the file of that name and BESIDE. Files of all other options are read.
  void is_written(std::string_view beside = "");
  /// The option declared last is an input specification, which may name a file behind `=@`.
  void is_input_spec() { options_.back().input_spec = true; }
  /// What a shell offers for the option declared last, which takes other values too.
  void suggest(std::vector<std::string> values);

  /// Arguments without a dash, in the order of declaration. Only the last may be a list.
  void positional(std::string_view name, std::string& target, std::string_view help,
                  ValueHint hint = ValueHint::file);
  void optional_positional(std::string_view name, std::string& target, std::string_view help,
                           ValueHint hint = ValueHint::file);
  void positionals(std::string_view name, std::vector<std::string>& target, size_t min,
                   std::string_view help, size_t max = kMany);
  /// What a shell offers for the positional declared last, instead of files.
  void positional_choices(std::vector<std::string> choices);

  /// A condition over several options, looked at when all are assigned: contradictions between
  /// flags, a missing output. Errors: usage.
  void check(std::function<Status()> condition);

  std::span<const Option> options() const { return options_; }
  std::span<const Positional> positional_arguments() const { return positionals_; }
  std::span<const std::string> positional_words() const { return positional_words_; }
  std::span<const std::string> groups() const { return groups_; }
  std::span<const std::function<Status()>> checks() const { return checks_; }
  /// "INPUT... OUTPUT", as in a usage line.
  std::string positional_usage() const;

 private:
  Option& add(std::string_view names, std::string_view value_name, std::string_view help,
              std::function<Status(std::string_view)> assign);
  void add_choice(std::string_view names, std::vector<std::string> choices, std::string_view help,
                  std::function<void(size_t)> chosen);

  std::vector<Option> options_;
  std::vector<Positional> positionals_;
  std::vector<std::string> positional_words_;
  std::vector<std::string> groups_;
  std::vector<std::function<Status()>> checks_;
  size_t group_ = 0;
};

}  // namespace mlc::cli
