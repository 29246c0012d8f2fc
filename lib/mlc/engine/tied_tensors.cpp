#include "mlc/engine/tied_tensors.h"

#include "mlc/base/text.h"

#include <algorithm>
#include <map>

namespace mlc {
namespace {

using Names = std::vector<const arch::ScriptTensor*>;

const std::string& origin_of(const arch::ScriptTensor& tensor) {
  return tensor.tied_to.empty() ? tensor.path : tensor.tied_to;
}

/// The origins of all tied tensors.
void collect_origins(const arch::ScriptModule& module, std::map<std::string, Names>& groups) {
  for (const auto* tensors : {&module.parameters, &module.buffers}) {
    for (const arch::ScriptTensor& one : *tensors) {
      if (!one.tied_to.empty()) groups[one.tied_to];
    }
  }
  for (const arch::ScriptModule& child : module.children) collect_origins(child, groups);
}

/// The tensors of each group in the order in which load_state_dict() visits them.
void collect_names(const arch::ScriptModule& module, std::map<std::string, Names>& groups) {
  for (const auto* tensors : {&module.parameters, &module.buffers}) {
    for (const arch::ScriptTensor& one : *tensors) {
      const auto group = groups.find(origin_of(one));
      if (group != groups.end() && one.persistent) group->second.push_back(&one);
    }
  }
  for (const arch::ScriptModule& child : module.children) collect_names(child, groups);
}

std::map<std::string, Names> tied_groups(const arch::ScriptModule& root) {
  std::map<std::string, Names> groups;
  collect_origins(root, groups);
  collect_names(root, groups);
  return groups;
}

bool same_bytes(const Weight& a, const Weight& b) {
  const bool one_place = a.bytes.data() == b.bytes.data() && a.bytes.size() == b.bytes.size();
  return one_place || std::equal(a.bytes.begin(), a.bytes.end(), b.bytes.begin(), b.bytes.end());
}

}  // namespace

std::string DifferingTie::text() const {
  return quoted(other) + " and " + quoted(used) +
         " are tied, but the checkpoint has different values for them; the values of " +
         quoted(used) + " are used, as load_state_dict() does";
}

Result<std::vector<DifferingTie>> differing_ties(const arch::ScriptModule& root, Weights& weights) {
  std::map<std::string, Names> groups = tied_groups(root);
  std::vector<DifferingTie> out;
  for (auto& [origin, names] : groups) {
    std::erase_if(names, [&](const auto* one) { return !weights.has(one->path); });
    if (names.size() < 2) continue;
    const arch::ScriptTensor& last = *names.back();
    names.pop_back();
    MLC_TRY(const Weight used, weights.get(last));
    for (const arch::ScriptTensor* one : names) {
      MLC_TRY(const Weight value, weights.get(*one));
      if (same_bytes(value, used)) continue;
      out.push_back({origin, one->path, last.path});
      break;
    }
  }
  return out;
}

std::map<std::string, std::string> stored_names(const arch::ScriptModule& root,
                                                const Weights& weights) {
  std::map<std::string, std::string> out;
  for (const auto& [origin, names] : tied_groups(root)) {
    for (const arch::ScriptTensor* one : names) {
      if (weights.has(one->path)) out[origin] = one->path;
    }
  }
  return out;
}

}  // namespace mlc
