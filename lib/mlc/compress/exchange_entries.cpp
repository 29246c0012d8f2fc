#include "mlc/compress/exchange_entries.h"

#include "mlc/base/text.h"

#include <set>

namespace mlc {

using pickle::Entry;

void exchange_entries(Checkpoint& checkpoint, StateDict& state_dict,
                      const std::map<uint32_t, NewEntries>& changed) {
  pickle::Graph& graph = checkpoint.graph;
  const std::vector<Entry> old = *graph.entries(state_dict.node);
  std::vector<Entry> entries;
  for (uint32_t i = 0; i < old.size(); ++i) {
    const auto at = changed.find(i);
    if (at == changed.end()) {
      entries.push_back(old[i]);
      continue;
    }
    for (const auto& [key, tensor] : at->second) {
      entries.emplace_back(graph.add_text(key), checkpoint.tensors[tensor].node);
    }
  }
  *graph.entries_for_edit(state_dict.node) = std::move(entries);
  read_again(checkpoint, state_dict);
}

Status check_free(const StateDict& state_dict, const std::map<uint32_t, NewEntries>& changed) {
  std::set<std::string> taken;
  for (size_t i = 0; i < state_dict.entries.size() + state_dict.others.size(); ++i) {
    const StateDictEntry& entry = state_dict.named(i);
    if (!changed.contains(entry.position)) taken.emplace(entry.key);
  }
  for (const auto& [position, entries] : changed) {
    for (const auto& [key, tensor] : entries) {
      if (taken.insert(key).second) continue;
      return conflict("there is a tensor " + quoted(key) + " already",
                      "rename it with `mlc remap-keys`, or leave its weight out with --exclude");
    }
  }
  return {};
}

}  // namespace mlc
