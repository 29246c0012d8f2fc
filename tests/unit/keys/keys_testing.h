// What the tests of this folder share: lists of keys, and plans as text.
#pragma once

#include "mlc/keys/plan_builder.h"

#include <string>
#include <vector>

namespace keys_testing {

/// Keys with shapes; owns what the KeyInfo views.
struct Keys {
  struct Entry {
    std::string name;
    std::vector<int64_t> shape;
  };
  std::vector<Entry> entries;

  Keys(std::initializer_list<Entry> list) : entries(list) {}
  explicit Keys(const std::vector<std::string>& names) {
    for (const std::string& name : names) entries.push_back({name, {}});
    has_shapes = false;
  }
  bool has_shapes = true;

  std::vector<mlc::KeyInfo> info() const {
    std::vector<mlc::KeyInfo> out;
    for (const Entry& entry : entries) out.push_back({entry.name, entry.shape, has_shapes});
    return out;
  }
};

inline Keys names(const std::vector<std::string>& list) {
  return Keys(list);
}

/// Every item and dropped key of PLAN in a line, as `--dry-run` shows them.
inline std::vector<std::string> lines(const mlc::Plan& plan) {
  std::vector<std::string> out;
  for (const auto& item : plan.items) out.push_back(describe(item, plan));
  for (const auto& key : plan.dropped) out.push_back(describe(key, plan));
  return out;
}

inline std::vector<std::string> new_names(const mlc::Plan& plan) {
  std::vector<std::string> out;
  for (const auto& item : plan.items) out.push_back(item.name);
  return out;
}

/// TEXT as the rules of a file, below "version: 1" and "rules:".
inline std::string rule_file(const std::string& text) {
  return "version: 1\nrules:\n" + text;
}

template <class T>
std::string message_of(const T& result) {
  if (result.ok()) return "no error";
  const std::string& hint = result.error().hint();
  return result.error().text() + (hint.empty() ? "" : "\nhint: " + hint);
}

}  // namespace keys_testing
