#include "save/values_kept.h"

#include "files/open_input.h"
#include "mlc/base/sentence_key.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/save.h"

#include <algorithm>
#include <iterator>
#include <unordered_set>

namespace mlc::cli {
namespace {

/// Takes those out of PATHS, which lead to values beside STATE_DICT, that hold no other tensors
/// than STATE_DICT does, the same objects: what happens to one happens to the other. Returns them.
std::vector<std::string> take_same_tensors(const Checkpoint& checkpoint,
                                           const StateDict& state_dict,
                                           std::vector<std::string>& paths) {
  std::unordered_set<uint32_t> own;
  for (const StateDictEntry& entry : state_dict.entries) own.insert(entry.tensor);
  std::vector<std::string> same;
  std::erase_if(paths, [&](const std::string& path) {
    const NodeId node = node_at(checkpoint, path);
    if (node == kNoNode) return false;
    const std::vector<NamedTensor> tensors = all_tensors(checkpoint, node);
    const bool all = !tensors.empty() && std::ranges::all_of(tensors, [&](const auto& named) {
      return own.contains(named.tensor);
    });
    if (all) same.push_back(path);
    return all;
  });
  return same;
}

/// Names of tensors that lie in values beside a state_dict.
struct TensorsBeside {
  std::vector<std::string> changed;  // being tensors of the state_dict too
  std::vector<std::string> kept;
};

/// Takes those out of PATHS that hold a tensor of STATE_DICT whose key IS_CHANGED, and names what
/// is in them.
TensorsBeside take_changed(const Checkpoint& checkpoint, const StateDict& state_dict,
                           const std::function<bool(std::string_view)>& is_changed,
                           std::vector<std::string>& paths) {
  std::unordered_set<uint32_t> own;
  for (const StateDictEntry& entry : state_dict.entries) {
    if (is_changed(entry.key)) own.insert(entry.tensor);
  }
  TensorsBeside out;
  std::erase_if(paths, [&](const std::string& path) {
    const NodeId node = node_at(checkpoint, path);
    if (node == kNoNode) return false;
    TensorsBeside here;
    for (const NamedTensor& named : all_tensors(checkpoint, node)) {
      (own.contains(named.tensor) ? here.changed : here.kept)
          .push_back(join_path(path, named.path));
    }
    if (here.changed.empty()) return false;
    std::ranges::move(here.changed, std::back_inserter(out.changed));
    std::ranges::move(here.kept, std::back_inserter(out.kept));
    return true;
  });
  return out;
}

}  // namespace

void warn_of_values_beside(const Checkpoint& checkpoint, const StateDict& state_dict,
                           const StateDictChange& change, Reporter& reporter) {
  const std::string key = printable(change.key);
  std::vector<std::string> others = values_beside(checkpoint, state_dict);
  std::vector<std::string> kept;  // tensors in values of which others changed
  const auto take = [&](const auto& is_changed) {
    const TensorsBeside found = take_changed(checkpoint, state_dict, is_changed, others);
    kept.insert(kept.end(), found.kept.begin(), found.kept.end());
    return found.changed;
  };
  if (change.replaced != nullptr) {
    const std::vector<std::string> changed =
        take([&](std::string_view name) { return change.replaced->contains(name); });
    if (!changed.empty()) {
      reporter.warn("changed too, being tensors of " + key + ": " +
                    join_list(sentence_keys(changed)));
    }
  }
  std::vector<std::string> same = take_same_tensors(checkpoint, state_dict, others);
  if (change.cast) {
    for (std::string& name : take([](std::string_view) { return true; })) {
      same.push_back(std::move(name));
    }
    if (!same.empty()) {
      reporter.warn("--dtype holds for these too, whose tensors are those of " + key + ": " +
                    join_list(merge_alike(sentence_keys(same))));
    }
  }
  std::vector<std::string> texts = describe_values(checkpoint, others);
  for (std::string& name : sentence_keys(kept)) texts.push_back(std::move(name));
  if (texts.empty()) return;
  reporter.warn("kept as they were, beside " + key + ": " + join_list(texts) +
                "; --weights-only writes the state_dict alone");
}

namespace {

/// Whether PATH, as all_tensors() names it, is that of a tensor in one of STATE_DICTS. AT_ROOT: the
/// keys of the one that is the root, which has values of its own too.
bool is_inside(std::span<StateDict* const> state_dicts,
               const std::unordered_set<std::string_view>& at_root, std::string_view path) {
  const auto is_below = [path](std::string_view place) {
    return place.empty() || (path.starts_with(place) && path.substr(place.size()).starts_with('.'));
  };
  return std::ranges::any_of(state_dicts, [&](const StateDict* one) {
    if (one->printed.empty()) return at_root.contains(path);
    return is_below(one->printed) || std::ranges::any_of(one->other_paths, is_below);
  });
}

}  // namespace

void warn_of_cast_beside(const Checkpoint& checkpoint, std::span<StateDict* const> state_dicts,
                         Reporter& reporter) {
  std::unordered_set<uint32_t> own;
  std::unordered_set<std::string_view> at_root;
  for (const StateDict* one : state_dicts) {
    for (const StateDictEntry& entry : one->entries) {
      own.insert(entry.tensor);
      if (one->printed.empty()) at_root.insert(entry.key);
    }
  }
  std::vector<std::string> changed;
  for (const NamedTensor& named : all_tensors(checkpoint, checkpoint.root)) {
    if (!own.contains(named.tensor) || is_inside(state_dicts, at_root, named.path)) continue;
    changed.push_back(sentence_key(named.path));
  }
  if (changed.empty()) return;
  reporter.warn("--dtype holds for these too, being tensors of the " +
                std::string(state_dicts.size() == 1 ? "state_dict: " : "state_dicts: ") +
                join_list(merge_alike(changed)));
}

}  // namespace mlc::cli
