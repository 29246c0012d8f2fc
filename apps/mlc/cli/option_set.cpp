#include "cli/option_set.h"

#include "mlc/base/checked_math.h"
#include "mlc/base/text.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <utility>

namespace mlc::cli {
namespace {

constexpr std::string_view kDefaultGroup = "Options";
constexpr std::string_view kFileValue = "FILE";  // lists of such values are paths too

template <class T>
Result<T> parse_integer(std::string_view text, T min, T max) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = !text.empty() && end == text.data() + text.size();
  if (error == std::errc::invalid_argument || (!whole && error == std::errc())) {
    return usage_error(quoted(text) + " is not a whole number");
  }
  if (error != std::errc() || value < min || value > max) {
    return usage_error(std::string(text) + " is out of range; allowed are " + std::to_string(min) +
                       " to " + std::to_string(max));
  }
  return value;
}

Result<double> parse_real(std::string_view text, double min, double max) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = !text.empty() && end == text.data() + text.size();
  if (error != std::errc() || !whole || !std::isfinite(value)) {
    return usage_error(quoted(text) + " is not a number");
  }
  if (value < min || value > max) {
    return usage_error(std::string(text) + " is out of range");
  }
  return value;
}

struct SizeUnit {
  std::string_view name;
  uint64_t bytes;
};
constexpr SizeUnit kSizeUnits[] = {
    {"B", 1},
    {"KB", 1'000},
    {"MB", 1'000'000},
    {"GB", 1'000'000'000},
    {"TB", 1'000'000'000'000},
    {"KiB", uint64_t{1} << 10U},
    {"MiB", uint64_t{1} << 20U},
    {"GiB", uint64_t{1} << 30U},
    {"TiB", uint64_t{1} << 40U},
};

bool equal_but_for_case(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; };
  return std::ranges::equal(a, b, {}, lower, lower);
}

/// As huggingface_hub reads sizes: a number, perhaps with a fraction, and a unit in any case. Also
/// a plain number of bytes, as `stat` prints it, if it is none that was hardly meant so.
Result<uint64_t> parse_size(std::string_view text) {
  constexpr double kTooLarge = 9.2e18;
  constexpr double kFewestPlainBytes = 1000;
  constexpr double kGigabyte = 1e9;
  constexpr const char* kSizes = "write 4096B, 512MB, 5GB or 64MiB";
  double number = 0;
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, number, std::chars_format::fixed);
  const std::string_view unit = trim({end, static_cast<size_t>(last - end)});
  if (error == std::errc() && unit.empty() && std::isfinite(number)) {
    if (number >= kFewestPlainBytes && number <= kTooLarge && std::trunc(number) == number) {
      return static_cast<uint64_t>(number);
    }
    if (number * kGigabyte >= 1 && number * kGigabyte <= kTooLarge) {
      const std::string typed(text);
      return usage_error(quoted(text) + " has no unit",
                         "did you mean " + typed + "GB?" +
                             (number < 1 ? "" : " " + typed + "B is a number of bytes"));
    }
    if (number == 0) return usage_error("a size of less than a byte makes no sense", kSizes);
  }
  const auto row = std::ranges::find_if(
      kSizeUnits, [unit](const SizeUnit& one) { return equal_but_for_case(one.name, unit); });
  const bool known = row != std::end(kSizeUnits);
  const double bytes = known ? number * static_cast<double>(row->bytes) : 0;
  if (error != std::errc() || !known || !(number >= 0) || bytes > kTooLarge) {
    return usage_error(quoted(text) + " is not a size", kSizes);
  }
  if (bytes < 1) return usage_error("a size of less than a byte makes no sense", kSizes);
  return static_cast<uint64_t>(bytes);
}

Result<std::string> checked_key_path(std::string_view value) {
  if (!value.empty()) return std::string(value);
  return usage_error("the path is empty",
                     "'.' is the root; without the flag mlc takes the only state_dict");
}

}  // namespace

std::string Option::spelling() const {
  std::string out = short_name != 0 ? std::string("-") + short_name + ", " : "    ";
  out += "--" + long_name;
  if (!value_name.empty()) out += " " + value_name;
  return out;
}

void OptionSet::group(std::string_view title) {
  const auto at = std::ranges::find(groups_, title);
  group_ = static_cast<size_t>(at - groups_.begin());
  if (at == groups_.end()) groups_.emplace_back(title);
}

Option& OptionSet::add(std::string_view names, std::string_view value_name, std::string_view help,
                       std::function<Status(std::string_view)> assign) {
  if (groups_.empty()) group(kDefaultGroup);
  Option option;
  for (std::string_view name : split(names, ',')) {
    name = trim(name);
    if (name.starts_with("--")) {
      option.long_name = name.substr(2);
    } else if (name.size() == 2) {
      option.short_name = name[1];
    }
  }
  option.value_name = value_name;
  if (value_name == kFileValue) option.hint = ValueHint::file;
  option.help = help;
  option.group = group_;
  option.assign = std::move(assign);
  return options_.emplace_back(std::move(option));
}

void OptionSet::flag(std::string_view names, bool& target, std::string_view help) {
  Option& option = add(names, "", help, [&target](std::string_view) {
    target = true;
    return Status();
  });
  option.repeatable = true;
}

void OptionSet::count(std::string_view names, int& target, std::string_view help) {
  Option& option = add(names, "", help, [&target](std::string_view) {
    ++target;
    return Status();
  });
  option.repeatable = true;
}

void OptionSet::text(std::string_view names, std::string& target, std::string_view value_name,
                     std::string_view help) {
  add(names, value_name, help, [&target](std::string_view value) {
    target = value;
    return Status();
  });
}

void OptionSet::text(std::string_view names, std::optional<std::string>& target,
                     std::string_view value_name, std::string_view help) {
  add(names, value_name, help, [&target](std::string_view value) {
    target = std::string(value);
    return Status();
  });
}

void OptionSet::key_path(std::string_view names, std::string& target, std::string_view help) {
  add(names, "PATH", help, [&target](std::string_view value) -> Status {
    MLC_TRY(target, checked_key_path(value));
    return {};
  });
}

void OptionSet::key_path(std::string_view names, std::optional<std::string>& target,
                         std::string_view help) {
  add(names, "PATH", help, [&target](std::string_view value) -> Status {
    MLC_TRY(target, checked_key_path(value));
    return {};
  });
}

void OptionSet::file(std::string_view names, std::string& target, std::string_view value_name,
                     std::string_view help) {
  text(names, target, value_name, help);
  options_.back().hint = ValueHint::file;
}

void OptionSet::folder(std::string_view names, std::string& target, std::string_view value_name,
                       std::string_view help) {
  text(names, target, value_name, help);
  options_.back().hint = ValueHint::folder;
}

void OptionSet::list(std::string_view names, std::vector<std::string>& target,
                     std::string_view value_name, std::string_view help) {
  Option& option = add(names, value_name, help, [&target](std::string_view value) {
    target.emplace_back(value);
    return Status();
  });
  option.repeatable = true;
}

void OptionSet::ordered(std::string_view names, std::vector<OrderedValue>& target,
                        std::string_view value_name, std::string_view help) {
  Option& option = add(names, value_name, help, {});
  option.repeatable = true;
  option.assign = [&target, name = "--" + option.long_name](std::string_view value) {
    target.push_back({name, std::string(value)});
    return Status();
  };
}

void OptionSet::integer(std::string_view names, int64_t& target, std::string_view value_name,
                        std::string_view help, int64_t min, int64_t max) {
  add(names, value_name, help, [&target, min, max](std::string_view value) -> Status {
    MLC_TRY(target, parse_integer<int64_t>(value, min, max));
    return {};
  });
}

void OptionSet::integer(std::string_view names, std::optional<int64_t>& target,
                        std::string_view value_name, std::string_view help, int64_t min,
                        int64_t max) {
  add(names, value_name, help, [&target, min, max](std::string_view value) -> Status {
    MLC_TRY(target, parse_integer<int64_t>(value, min, max));
    return {};
  });
}

void OptionSet::integer(std::string_view names, unsigned& target, std::string_view value_name,
                        std::string_view help, unsigned min, unsigned max) {
  add(names, value_name, help, [&target, min, max](std::string_view value) -> Status {
    MLC_TRY(target, parse_integer<unsigned>(value, min, max));
    return {};
  });
}

void OptionSet::real(std::string_view names, double& target, std::string_view value_name,
                     std::string_view help, double min, double max) {
  add(names, value_name, help, [&target, min, max](std::string_view value) -> Status {
    MLC_TRY(target, parse_real(value, min, max));
    return {};
  });
}

void OptionSet::real(std::string_view names, std::optional<double>& target,
                     std::string_view value_name, std::string_view help, double min, double max) {
  add(names, value_name, help, [&target, min, max](std::string_view value) -> Status {
    MLC_TRY(target, parse_real(value, min, max));
    return {};
  });
}

void OptionSet::size(std::string_view names, uint64_t& target, std::string_view value_name,
                     std::string_view help) {
  add(names, value_name, help, [&target](std::string_view value) -> Status {
    MLC_TRY(target, parse_size(value));
    return {};
  });
}

void OptionSet::add_choice(std::string_view names, std::vector<std::string> choices,
                           std::string_view help, std::function<void(size_t)> chosen) {
  std::string value_name;
  for (const std::string& word : choices) value_name += (value_name.empty() ? "" : "|") + word;
  Option& option = add(names, value_name, help, {});
  option.assign = [choices, chosen = std::move(chosen)](std::string_view value) -> Status {
    const auto at = std::ranges::find(choices, value);
    if (at == choices.end()) {
      const auto near = nearest(value, choices);
      return usage_error(quoted(value) + " is not one of " + join_list(choices, 20),
                         near ? "did you mean `" + *near + "`?" : std::string());
    }
    chosen(static_cast<size_t>(at - choices.begin()));
    return {};
  };
  option.choices = std::move(choices);
}

void OptionSet::choice(std::string_view names, std::string& target,
                       std::span<const std::string_view> choices, std::string_view help) {
  std::vector<std::string> words(choices.begin(), choices.end());
  add_choice(names, words, help, [&target, words](size_t i) { target = words[i]; });
}

void OptionSet::alias(std::string other, std::string choice) {
  Option& option = options_.back();
  option.assign = [other = std::move(other), choice = std::move(choice),
                   rest = std::move(option.assign)](std::string_view value) {
    return rest(value == other ? std::string_view(choice) : value);
  };
}

void OptionSet::is_written(std::string_view beside) {
  options_.back().written = true;
  options_.back().beside = beside;
}

void OptionSet::suggest(std::vector<std::string> values) {
  options_.back().choices = std::move(values);
}

namespace {

/// An argument that is empty is mostly a variable of a script that was not set.
Status not_empty(std::string_view value) {
  if (!value.empty()) return {};
  return usage_error("is an empty text", "is a variable of the shell not set?");
}

}  // namespace

void OptionSet::positional(std::string_view name, std::string& target, std::string_view help,
                           ValueHint hint) {
  optional_positional(name, target, help, hint);
  positionals_.back().min = 1;
}

void OptionSet::optional_positional(std::string_view name, std::string& target,
                                    std::string_view help, ValueHint hint) {
  positionals_.push_back(
      {std::string(name), std::string(help), 0, 1, hint, [&target](std::string_view value) {
         target = value;
         return not_empty(value);
       }});
}

void OptionSet::positionals(std::string_view name, std::vector<std::string>& target, size_t min,
                            std::string_view help, size_t max) {
  positionals_.push_back({std::string(name), std::string(help), min, max, ValueHint::file,
                          [&target](std::string_view value) {
                            target.emplace_back(value);
                            return not_empty(value);
                          },
                          false});
}

void OptionSet::positional_choices(std::vector<std::string> choices) {
  positionals_.back().hint = ValueHint::none;
  positional_words_ = std::move(choices);
}

void OptionSet::check(std::function<Status()> condition) {
  checks_.push_back(std::move(condition));
}

std::string OptionSet::positional_usage() const {
  std::string out;
  for (const Positional& p : positionals_) {
    if (!out.empty()) out += ' ';
    const std::string word = p.max > 1 ? p.name + "..." : p.name;
    out += p.min == 0 ? "[" + word + "]" : word;
  }
  return out;
}

}  // namespace mlc::cli
