#include "files/shard_place.h"

#include "mlc/base/sentence_key.h"
#include "mlc/base/text.h"

#include <charconv>
#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <tuple>

#include <re2/re2.h>

namespace mlc::cli {
namespace {

constexpr size_t kShown = 3;
// Of larger sets nobody has the shards looked for one by one, and each would do it for all.
constexpr uint32_t kMostLookedFor = 1000;

struct ShardName {
  std::string stem;
  std::string digits;  // of the number, zeros in front
  std::string count_digits;
  std::string extension;
  uint32_t number = 0;
  uint32_t count = 0;

  std::string of(uint32_t other) const {
    std::string text = std::to_string(other);
    if (text.size() < digits.size()) text.insert(0, digits.size() - text.size(), '0');
    return stem + "-" + text + "-of-" + count_digits + extension;
  }
};

std::optional<ShardName> parse_shard_name(const std::string& path) {
  static const re2::RE2 kShardName(R"((.*)-(\d{1,6})-of-(\d{1,6})(\.[a-z]+))");
  ShardName out;
  if (!re2::RE2::FullMatch(path, kShardName, &out.stem, &out.digits, &out.count_digits,
                           &out.extension)) {
    return std::nullopt;
  }
  const auto number_of = [](const std::string& digits, uint32_t& number) {
    std::from_chars(digits.data(), digits.data() + digits.size(), number);
  };
  number_of(out.digits, out.number);
  number_of(out.count_digits, out.count);
  if (out.count < 2) return std::nullopt;
  return out;
}

/// Hugging Face counts from 1, some of those who write its names from 0.
uint32_t first_number(bool has_zero) {
  return has_zero ? 0 : 1;
}

bool is_there(const std::string& path) {
  std::error_code error;
  return std::filesystem::exists(path, error);
}

std::string listed(const std::vector<std::string>& paths) {
  std::vector<std::string> shown;
  for (const std::string& path : paths) shown.push_back(printable(path));
  return join_list(shown, kShown);
}

}  // namespace

std::optional<ShardPlace> find_shard_place(const std::string& path) {
  const auto name = parse_shard_name(path);
  if (!name) return std::nullopt;
  ShardPlace place{std::to_string(name->number) + " of " + std::to_string(name->count),
                   name->stem + name->extension + ".index.json",
                   {}};
  if (!is_there(place.index)) return std::nullopt;
  if (name->count > kMostLookedFor) return place;
  const uint32_t first = first_number(name->number == 0 || is_there(name->of(0)));
  for (uint32_t i = first; i < first + name->count; ++i) {
    const std::string other = name->of(i);
    if (i != name->number && !is_there(other)) place.missing.push_back(other);
  }
  return place;
}

std::string describe_shard(const std::string& path, const ShardPlace& place) {
  const std::string text = printable(path) + " is shard " + place.number + "; ";
  if (place.missing.empty()) return text + printable(place.index) + " opens the whole checkpoint";
  return text + printable(place.index) + " is there, but not " + listed(place.missing);
}

std::vector<std::string> describe_missing_shards(const std::vector<std::string>& paths) {
  struct Set {
    ShardName name;
    std::set<uint32_t> numbers;
  };
  std::map<std::tuple<std::string, std::string, std::string>, Set> sets;
  for (const std::string& path : paths) {
    const auto name = parse_shard_name(path);
    if (!name) continue;
    Set& set = sets[{name->stem, name->count_digits, name->extension}];
    set.name = *name;
    set.numbers.insert(name->number);
  }
  std::vector<std::string> texts;
  for (const auto& [key, set] : sets) {
    std::vector<std::string> missing;
    const uint32_t first = first_number(set.numbers.contains(0));
    for (uint32_t i = first; i < first + set.name.count; ++i) {
      if (!set.numbers.contains(i)) missing.push_back(set.name.of(i));
    }
    if (missing.empty()) continue;
    texts.push_back(std::to_string(missing.size()) + " of " + plural(set.name.count, "shard") +
                    (missing.size() == 1 ? " is" : " are") +
                    " not among the inputs: " + listed(missing));
  }
  return texts;
}

std::vector<std::string> oversized_names(const SaveReport& report) {
  std::vector<std::string> names;
  for (const OversizedTensor& one : report.oversized) names.push_back(one.name);
  return names;
}

void warn_of_oversized(const SaveReport& report, uint64_t limit, Reporter& reporter) {
  if (report.oversized.empty()) return;
  std::vector<std::string> texts;
  for (const OversizedTensor& one : report.oversized) {
    texts.push_back(sentence_key(one.name) + " (" + format_bytes(one.bytes) + ")");
  }
  reporter.warn("larger than the " + format_bytes(limit) +
                " of --max-shard-size, and so in a shard of its own, for no tensor is divided: " +
                join_list(texts));
}

}  // namespace mlc::cli
