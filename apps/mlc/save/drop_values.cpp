#include "save/drop_values.h"

#include "mlc/base/glob.h"
#include "mlc/base/sentence_key.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/module_pickle.h"
#include "mlc/pickle/traverse.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace mlc::cli {
namespace {

using pickle::Entry;
using pickle::Graph;
using pickle::NodeKind;

class Dropper {
 public:
  Dropper(Checkpoint& checkpoint, std::span<StateDict* const> chosen,
          const std::vector<std::string>& globs)
      : checkpoint_(checkpoint),
        graph_(checkpoint.graph),
        chosen_(chosen),
        globs_(globs),
        used_(globs.size(), false) {
    for (const StateDict* one : chosen) {
      pickle::for_each_reachable(graph_, one->node, [this](NodeId node) { kept_.insert(node); });
    }
  }

  void run() {
    visit(checkpoint_.root, "", 0);
    note_other_paths();
  }

  std::vector<std::string> unused() const {
    std::vector<std::string> out;
    for (size_t i = 0; i < globs_.size(); ++i) {
      if (!used_[i]) out.push_back(globs_[i]);
    }
    return out;
  }

  DroppedValues dropped;
  std::vector<std::string> beside;  // paths next to a chosen state_dict, and to what leads to it
  std::vector<std::string> below;   // those that lie in these
  std::vector<std::string> shared;  // those of mappings that a chosen state_dict holds too

 private:
  /// Whether PATH is that of a chosen state_dict, or leads to it.
  bool leads(const std::string& path) const {
    return std::ranges::any_of(chosen_, [&path](const StateDict* one) {
      return one->printed == path || one->printed.starts_with(path + ".");
    });
  }

  bool is_chosen(NodeId node) const {
    return std::ranges::any_of(chosen_, [node](const StateDict* one) {
      return one->node == node || (one->module != kNoNode && one->module == node);
    });
  }

  bool matches(const std::string& path) {
    bool any = false;
    for (size_t i = 0; i < globs_.size(); ++i) {
      if (!glob_match(globs_[i], path)) continue;
      used_[i] = true;
      any = true;
    }
    return any;
  }

  bool may_hold_values(NodeId node) const {
    return graph_.entries(node) != nullptr || graph_.is(node, NodeKind::list) ||
           graph_.is(node, NodeKind::tuple) || graph_.is(node, NodeKind::object);
  }

  /// What is left out of NODE, which lies at PATH, and DEPTH levels below what leads to the chosen.
  void visit(NodeId node, const std::string& path, int depth) {
    if (!may_hold_values(node) || is_chosen(node) || is_module(graph_, node)) return;
    if (checkpoint_.tensor_at(node) != kNoIndex || depth > kMaxDepth) return;
    // What the state_dict holds too, as one object, stays with it.
    if (kept_.contains(node) && !leads(path)) {
      shared.push_back(path);
      return;
    }
    if (++visits_ > kMostVisits || !open_.insert(node).second) return;
    visit_members(node, path, depth);
    open_.erase(node);
  }

  void visit_members(NodeId node, const std::string& path, int depth) {
    if (graph_.entries(node) != nullptr) {
      take(node, *graph_.entries_for_edit(node), path, depth);
    }
    const auto items = graph_.sequence(node);
    for (size_t i = 0; i < items.size(); ++i) {
      const std::string name = join_path(path, std::to_string(i));
      visit(items[i], name, leads(name) ? 0 : depth + 1);
    }
    const auto* content = graph_.is(node, NodeKind::object) ? graph_.content(node) : nullptr;
    if (content == nullptr || content->state == kNoNode) return;
    if (graph_.is(content->state, NodeKind::dict)) {
      take(content->state, graph_.dict(content->state), path, depth);
    }
  }

  /// ENTRIES: of HOLDER.
  void take(NodeId holder, std::vector<Entry>& entries, const std::string& path, int depth) {
    paths_[holder].push_back(path);
    const std::vector<Entry> old = entries;  // a mapping may lie in itself
    std::vector<Entry> kept;
    for (const Entry& entry : old) {
      const std::string name = join_path(path, key_text(graph_, entry.first));
      const bool on_the_way = leads(name);
      if (!on_the_way) (depth == 0 ? beside : below).push_back(name);
      if (!on_the_way && matches(name)) {
        note(name, entry.second);
        taken_.emplace_back(holder, entry.first);
        continue;
      }
      kept.push_back(entry);
      visit(entry.second, name, on_the_way ? 0 : depth + 1);
    }
    entries = std::move(kept);
  }

  void note(const std::string& path, NodeId value) {
    if (!dropped.paths.empty() && dropped.paths.back() == path) return;  // entry and attribute
    const uint64_t tensors = count_names(checkpoint_, value);
    dropped.paths.push_back(path);
    dropped.texts.push_back((tensors > 0 ? plural(tensors, "tensor") + " in " : "") +
                            sentence_key(path));
  }

  /// What stood in one object under several paths is gone from all of them.
  void note_other_paths() {
    std::unordered_set<std::string> told(dropped.paths.begin(), dropped.paths.end());
    for (const auto& [holder, key] : taken_) {
      for (const std::string& path : paths_[holder]) {
        const std::string name = join_path(path, key_text(graph_, key));
        if (!told.insert(name).second) continue;
        dropped.paths.push_back(name);
        dropped.texts.push_back(sentence_key(name) + " (the same object)");
      }
    }
  }

  static constexpr int kMaxDepth = 100;
  static constexpr size_t kMostVisits = 1'000'000;  // shared values have many paths
  Checkpoint& checkpoint_;
  Graph& graph_;
  std::span<StateDict* const> chosen_;
  const std::vector<std::string>& globs_;
  std::vector<bool> used_;
  std::unordered_set<NodeId> kept_;  // what can be reached from the chosen state_dicts
  std::unordered_set<NodeId> open_;  // on the way to what is visited
  size_t visits_ = 0;
  std::unordered_map<NodeId, std::vector<std::string>> paths_;  // of each mapping
  std::vector<std::pair<NodeId, NodeId>> taken_;                // out of which mapping, which key
};

/// What may have been meant by GLOB, which matches nothing that can be left out.
std::string guess_for(const std::string& glob, std::span<StateDict* const> chosen,
                      const std::vector<std::string>& names) {
  for (const StateDict* one : chosen) {
    if (glob_match(glob, one->printed)) {
      return "the state_dict at " + printable(one->printed) + " stays; ";
    }
    for (size_t i = 0; i < one->entries.size() + one->others.size(); ++i) {
      const std::string_view key = one->named(i).key;
      if (glob_match(glob, key) || glob_match(glob, join_path(one->printed, key))) {
        return "--exclude leaves out what is in the state_dict; ";
      }
    }
  }
  const auto guess = nearest(glob, names);
  return guess ? "did you mean " + quoted(*guess) + "? " : "";
}

Error unused_error(const Dropper& dropper, std::span<StateDict* const> chosen,
                   const std::vector<std::string>& unused) {
  std::vector<std::string> names = dropper.beside;
  names.insert(names.end(), dropper.below.begin(), dropper.below.end());
  const std::string there = dropper.beside.empty() ? "nothing lies beside the state_dict"
                                                   : "beside the state_dict are: " +
                                                         join_list(sentence_keys(dropper.beside));
  std::vector<std::string> shown;
  for (const std::string& glob : unused) shown.push_back(quoted(glob));
  return usage_error("--drop-values " + join_list(shown) +
                         (unused.size() == 1 ? " matches" : " match") +
                         " nothing beside the state_dict",
                     guess_for(unused[0], chosen, names) + there +
                         (dropper.shared.empty()
                              ? ""
                              : "; what lies in " + join_list(sentence_keys(dropper.shared), 3) +
                                    " stays, for the state_dict holds the same object"));
}

}  // namespace

Result<DroppedValues> drop_values(Input& input, std::span<StateDict* const> chosen,
                                  const std::vector<std::string>& globs, FileTask& task) {
  Dropper dropper(*input.checkpoint, chosen, globs);
  dropper.run();
  const std::vector<std::string> unused = dropper.unused();
  if (!unused.empty()) {
    Error error = unused_error(dropper, chosen, unused);
    if (task.alone) return std::move(error).in_file(task.input);
    task.reporter.warn(printable(task.input) + ": " + error.message());  // not every file has all
  }
  return std::move(dropper.dropped);
}

void forget_dropped(Input& input, std::vector<StateDict*>& chosen) {
  std::unordered_set<NodeId> there;
  pickle::for_each_reachable(input.checkpoint->graph, input.checkpoint->root,
                             [&there](NodeId node) { there.insert(node); });
  std::vector<NodeId> nodes;
  for (const StateDict* one : chosen) nodes.push_back(one->node);
  std::erase_if(input.state_dicts, [&there](const StateDict& one) {
    return !there.contains(one.module != kNoNode ? one.module : one.node);
  });
  for (size_t i = 0; i < nodes.size(); ++i) {
    chosen[i] = &*std::ranges::find(input.state_dicts, nodes[i], &StateDict::node);
  }
}

std::vector<std::string> droppable_values(const Checkpoint& checkpoint, const StateDict& state_dict,
                                          const std::string& glob) {
  std::vector<std::string> out;
  for (const std::string& path : values_beside(checkpoint, state_dict)) {
    if (glob_match(glob, path)) out.push_back(path);
  }
  return out;
}

}  // namespace mlc::cli
