#include "mlc/checkpoint/alike_keys.h"

#include "mlc/checkpoint/state_dict.h"
#include "mlc/checkpoint/torch_objects.h"

#include <algorithm>

namespace mlc {

using pickle::Entry;
using pickle::Graph;

AlikeKeys::AlikeKeys(const Graph& graph, const std::vector<Entry>& entries) {
  const auto has_text = [&](const Entry& entry) { return is_string(graph, entry.first); };
  if (std::none_of(entries.begin(), entries.end(), has_text)) return;
  std::set<std::string, std::less<>> others;
  for (const Entry& entry : entries) {
    if (!has_text(entry)) others.insert(key_text(graph, entry.first));
  }
  if (others.empty()) return;
  for (const Entry& entry : entries) {
    if (!has_text(entry)) continue;
    if (const auto at = others.find(graph.text(entry.first)); at != others.end()) {
      alike_.insert(*at);
    }
  }
}

}  // namespace mlc
