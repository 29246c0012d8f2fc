#include "mlc/keys/apply_plan.h"

#include "mlc/base/sentence_key.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/derive.h"
#include "mlc/checkpoint/tensor_identity.h"
#include "mlc/keys/module_prefixes.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

namespace mlc {
namespace {

using pickle::Entry;
using pickle::Graph;
using pickle::NodeKind;

class Application {
 public:
  Application(Checkpoint& checkpoint, StateDict& state_dict, const Plan& plan)
      : checkpoint_(checkpoint), graph_(checkpoint.graph), state_dict_(state_dict), plan_(plan) {}

  Result<AppliedPlan> run() {
    MLC_CHECK(replace_entries());
    rename_modules();
    read_again(checkpoint_, state_dict_);
    return result_;
  }

 private:
  /// An entry of the new mapping and where its first source stood in the old one.
  struct Placed {
    uint32_t position;
    Entry entry;
  };

  Status replace_entries();
  void place_others(std::vector<Placed>& placed) const;
  Result<Entry> make_entry(const PlanItem& item);
  Status check_types(const PlanItem& item) const;
  Result<uint32_t> derive(const PlanItem& item);
  uint32_t like_all(const std::vector<uint32_t>& sources, uint32_t made, const std::string& name);
  Result<uint32_t> transpose(uint32_t tensor, const std::vector<int64_t>& permutation);
  NodeId copy_of(NodeId value);
  void rename_modules();

  Checkpoint& checkpoint_;
  Graph& graph_;
  StateDict& state_dict_;
  const Plan& plan_;
  AppliedPlan result_;
  std::map<std::pair<TensorIdentity, std::vector<int64_t>>, uint32_t> transposed_;
  std::map<std::pair<uint32_t, std::vector<int64_t>>, uint32_t> objects_;  // tensor -> transposed
};

/// Tensors that are joined have one type.
Status Application::check_types(const PlanItem& item) const {
  const auto dtype_of = [this](uint32_t source) {
    return checkpoint_.tensors[state_dict_.entries[source].tensor].dtype;
  };
  const auto is_floating = [](DType dtype) { return info(dtype).kind == DTypeClass::floating; };
  const uint32_t first = item.sources[0];
  for (const uint32_t source : item.sources) {
    if (dtype_of(source) == dtype_of(first)) continue;
    const auto described = [&](uint32_t one) {
      return sentence_key(plan_.names[one]) + " (" + std::string(info(dtype_of(one)).torch) + ")";
    };
    return usage_error(described(first) + " and " + described(source) +
                           " cannot be joined, being of different types",
                       is_floating(dtype_of(first)) && is_floating(dtype_of(source))
                           ? "`mlc save --dtype` gives all of them one type"
                           : "`mlc save --dtype` converts floating types only");
  }
  return {};
}

Result<uint32_t> Application::derive(const PlanItem& item) {
  std::vector<uint32_t> sources;
  for (const uint32_t source : item.sources) sources.push_back(state_dict_.entries[source].tensor);
  switch (item.op) {
    case PlanItem::Op::split: {
      MLC_TRY(const uint32_t made, derive_slice(checkpoint_, sources[0], item.dim,
                                                item.part_offset(), item.sizes[item.part]));
      return like_all(sources, made, item.name);
    }
    case PlanItem::Op::concat: {
      MLC_CHECK(check_types(item));
      MLC_TRY(const uint32_t made, derive_concat(checkpoint_, sources, item.dim));
      return like_all(sources, made, item.name);
    }
    case PlanItem::Op::transpose:
      return transpose(sources[0], item.permutation);
    case PlanItem::Op::keep:
    case PlanItem::Op::rename:
      break;
  }
  return sources[0];
}

/// MADE of all SOURCES is a Parameter where all of them are.
uint32_t Application::like_all(const std::vector<uint32_t>& sources, uint32_t made,
                               const std::string& name) {
  const bool trained = checkpoint_.tensors[sources[0]].requires_grad;
  bool any_form = false;
  bool all_alike = true;
  for (const uint32_t source : sources) {
    const PythonForm form = python_form(checkpoint_, source);
    const Tensor& tensor = checkpoint_.tensors[source];
    any_form = any_form || form != PythonForm::plain;
    all_alike = all_alike && form == PythonForm::parameter && tensor.requires_grad == trained;
  }
  if (all_alike) return derive_like(checkpoint_, sources[0], made);
  if (any_form) result_.made_plain.push_back(name);
  return made;
}

/// Tied tensors that are turned alike stay tied, and one object stays one.
Result<uint32_t> Application::transpose(uint32_t tensor, const std::vector<int64_t>& permutation) {
  const auto [object, is_new] = objects_.try_emplace({tensor, permutation}, kNoIndex);
  if (!is_new) return object->second;
  const std::pair key(identity_of(checkpoint_, checkpoint_.tensors[tensor]), permutation);
  uint32_t made = kNoIndex;
  if (const auto at = transposed_.find(key); at != transposed_.end()) {
    made = derive_twin(checkpoint_, at->second);
  } else {
    MLC_TRY(made, derive_permuted(checkpoint_, tensor, permutation));
    transposed_.emplace(key, made);
  }
  object->second = derive_like(checkpoint_, tensor, made);
  return object->second;
}

Result<Entry> Application::make_entry(const PlanItem& item) {
  const StateDictEntry& source = state_dict_.named(item.sources[0]);
  const Entry old = (*graph_.entries(state_dict_.node))[source.position];
  if (item.op == PlanItem::Op::keep) return old;
  if (item.op == PlanItem::Op::rename) return Entry{graph_.add_text(item.name), old.second};
  MLC_TRY_CTX(const uint32_t tensor, derive(item), "tensor " + sentence_key(item.name));
  return Entry{graph_.add_text(item.name), checkpoint_.tensors[tensor].node};
}

Status Application::replace_entries() {
  std::vector<Placed> placed;
  for (const PlanItem& item : plan_.items) {
    MLC_TRY(const Entry entry, make_entry(item));
    placed.push_back({state_dict_.named(item.sources[0]).position, entry});
  }
  place_others(placed);
  std::vector<Entry>& entries = *graph_.entries_for_edit(state_dict_.node);
  std::stable_sort(placed.begin(), placed.end(),
                   [](const Placed& a, const Placed& b) { return a.position < b.position; });
  entries.clear();
  for (const Placed& one : placed) entries.push_back(one.entry);
  return {};
}

/// What has no text as key stays as it is.
void Application::place_others(std::vector<Placed>& placed) const {
  const std::vector<Entry>& entries = *graph_.entries(state_dict_.node);
  for (uint32_t i = 0; i < entries.size(); ++i) {
    const NodeId key = entries[i].first;
    // Texts are all in the plan, except that a repeated key is there once.
    const bool text = graph_.is(key, NodeKind::text) || graph_.is(key, NodeKind::old_string);
    if (!text) placed.push_back({i, entries[i]});
  }
}

/// Modules with one dictionary between them would be changed together by whoever loads it.
NodeId Application::copy_of(NodeId value) {
  if (!graph_.is(value, NodeKind::dict)) return value;
  std::vector<Entry> entries = graph_.dict(value);
  const NodeId copy = graph_.add_dict();
  graph_.dict(copy) = std::move(entries);
  return copy;
}

void Application::rename_modules() {
  if (state_dict_.metadata == kNoNode) return;
  std::vector<Entry>* entries = graph_.entries_for_edit(state_dict_.metadata);
  if (entries == nullptr) return;
  std::vector<std::string> names;
  std::vector<size_t> positions;  // of NAMES
  std::vector<std::vector<Entry>> kept(entries->size());
  for (size_t i = 0; i < entries->size(); ++i) {
    const NodeId key = (*entries)[i].first;
    if (!graph_.is(key, NodeKind::text)) {
      kept[i].push_back((*entries)[i]);
      continue;
    }
    names.emplace_back(graph_.text(key));
    positions.push_back(i);
  }
  for (const FollowedModule& one : follow_module_versions(names, plan_)) {
    const size_t at = positions[one.from];
    const auto [key, value] = (*graph_.entries(state_dict_.metadata))[at];
    const bool is_same = one.name == names[one.from];
    if (!is_same) ++result_.module_versions;
    const NodeId own = kept[at].empty() ? value : copy_of(value);
    kept[at].emplace_back(is_same ? key : graph_.add_text(one.name), own);
  }
  std::vector<Entry> all;
  for (const auto& some : kept) all.insert(all.end(), some.begin(), some.end());
  *graph_.entries_for_edit(state_dict_.metadata) = std::move(all);
}

}  // namespace

std::vector<KeyInfo> key_infos(const Checkpoint& checkpoint, const StateDict& state_dict) {
  std::vector<KeyInfo> infos;
  infos.reserve(state_dict.entries.size());
  for (const StateDictEntry& entry : state_dict.entries) {
    infos.push_back({entry.key, checkpoint.sizes(checkpoint.tensors[entry.tensor]), true});
  }
  return infos;
}

std::vector<KeyInfo> plan_keys(const Checkpoint& checkpoint, const StateDict& state_dict) {
  std::vector<KeyInfo> infos = key_infos(checkpoint, state_dict);
  for (const StateDictEntry& entry : state_dict.others) {
    infos.push_back({.name = entry.key, .is_tensor = false});
  }
  return infos;
}

Result<AppliedPlan> apply_plan(Checkpoint& checkpoint, StateDict& state_dict, const Plan& plan) {
  return Application(checkpoint, state_dict, plan).run();
}

}  // namespace mlc
