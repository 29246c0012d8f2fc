#include "files/unused_patterns.h"

#include "mlc/base/sentence_key.h"
#include "mlc/base/text.h"

#include <algorithm>

namespace mlc::cli {
namespace {

/// NAMES and their parts between dots and slashes.
std::vector<std::string> with_parts(std::span<const std::string> names) {
  std::vector<std::string> out(names.begin(), names.end());
  for (const std::string& name : names) {
    size_t begin = 0;
    while (begin < name.size()) {
      const size_t end = std::min(name.find_first_of("./", begin), name.size());
      if (end > begin) out.push_back(name.substr(begin, end - begin));
      begin = end + 1;
    }
  }
  return out;
}

/// What may stand behind a glob that was meant for all of a module.
constexpr std::string_view kTails[] = {"", ".*", "*"};

/// GLOB where it matches one of NAMES, with that.
std::string if_used(const std::string& glob, std::span<const std::string> names) {
  const auto used =
      std::ranges::find_if(names, [&](const std::string& name) { return glob_match(glob, name); });
  return used == names.end() ? "" : quoted(glob) + " matches " + sentence_key(*used);
}

/// What stands in NAME, up to a dot, before something that GLOB matches: "module."; empty for
/// nothing.
std::string before_match(const std::string& glob, std::string_view name) {
  for (size_t dot = name.find('.'); dot != name.npos; dot = name.find('.', dot + 1)) {
    if (glob_match(glob, name.substr(dot + 1))) return std::string(name.substr(0, dot + 1));
  }
  return {};
}

/// GLOB with a prefix that all NAMES have, else with `*.`, where that matches one of them.
std::string behind_prefix(const std::string& glob, std::span<const std::string> names) {
  for (const std::string& name : names) {
    const std::string prefix = before_match(glob, name);
    if (prefix.empty()) continue;
    const bool shared = std::ranges::all_of(
        names, [&prefix](const std::string& other) { return other.starts_with(prefix); });
    return if_used((shared ? prefix : "*.") + glob, names);
  }
  return {};
}

/// What may have been meant by PATTERN.
std::string hint_for(const UnusedPattern& pattern, std::span<const std::string> names) {
  const bool is_glob = pattern.option != "--tensor";
  std::string word = pattern.text;
  std::erase_if(word, [](char c) { return c == '*' || c == '^' || c == '$' || c == '\\'; });
  while (word.starts_with('.')) word.erase(0, 1);
  while (word.ends_with('.')) word.pop_back();
  if (word.empty()) return "";
  const auto has = std::ranges::find_if(
      names, [&](const std::string& name) { return name.find(word) != std::string::npos; });
  if (is_glob && has != names.end())
    return "a glob is of the whole name: " + quoted("*" + word + "*") + " matches " +
           sentence_key(*has);
  const auto guess = nearest(word, with_parts(names));
  return guess ? "did you mean " + quoted(*guess) + "?" : "";
}

}  // namespace

std::string near_glob(const std::string& glob, std::span<const std::string> names) {
  for (const std::string_view tail : kTails) {
    if (std::string near = if_used(glob + std::string(tail), names); !near.empty()) return near;
  }
  for (const std::string_view tail : kTails) {
    std::string near = behind_prefix(glob + std::string(tail), names);
    if (!near.empty()) return near;
  }
  return {};
}

std::string near_globs_hint(std::span<const std::string> globs,
                            std::span<const std::string> names) {
  for (const std::string& glob : globs) {
    const std::string near = near_glob(glob, names);
    if (!near.empty()) return "a glob is of the whole key: " + near;
  }
  return {};
}

std::vector<UnusedPattern> unused_globs(std::string_view option, std::span<const std::string> globs,
                                        std::span<const std::string> names) {
  std::vector<UnusedPattern> out;
  for (const std::string& glob : globs) {
    const bool used =
        std::ranges::any_of(names, [&](const std::string& name) { return glob_match(glob, name); });
    if (!used) out.push_back({std::string(option), glob});
  }
  return out;
}

Status refuse_unused(std::span<const UnusedPattern> unused, std::span<const std::string> names,
                     FileTask& task) {
  if (unused.empty()) return {};
  std::vector<std::string> texts;
  std::string hint;
  for (const UnusedPattern& one : unused) {
    texts.push_back(one.option + " " + quoted(one.text));
    if (hint.empty()) hint = hint_for(one, names);
  }
  const std::string what = "matched nothing: " + join_list(texts);
  if (!task.alone) {
    task.reporter.warn(what);
    return {};
  }
  return usage_error(what, hint.empty() ? "`mlc load` lists what there is" : hint)
      .in_file(task.input);
}

}  // namespace mlc::cli
