#include "mlc/checkpoint/state_dict.h"

#include "mlc/base/shell_word.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/alike_keys.h"
#include "mlc/checkpoint/escaped_dots.h"
#include "mlc/checkpoint/mapping_object.h"
#include "mlc/checkpoint/model_names.h"
#include "mlc/checkpoint/module_keys.h"
#include "mlc/checkpoint/module_pickle.h"
#include "mlc/checkpoint/name_table.h"
#include "mlc/checkpoint/optimizer.h"
#include "mlc/checkpoint/readers.h"
#include "mlc/checkpoint/tensor_identity.h"
#include "mlc/checkpoint/torch_objects.h"
#include "mlc/pickle/render.h"

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <unordered_set>

namespace mlc {
namespace {

using pickle::Entry;
using pickle::Graph;
using pickle::NodeKind;

constexpr int kSearchDepth = 3;      // mappings around a state_dict in real files
constexpr size_t kSearchItems = 64;  // longer lists hold no state_dicts
constexpr int kMaxTreeDepth = 1000;

class Search {
 public:
  explicit Search(Checkpoint& checkpoint) : checkpoint_(checkpoint) {}

  Result<std::vector<StateDict>> run() {
    MLC_CHECK(visit(checkpoint_.root, {}, 0));
    drop_wrappers();
    mark_parts();
    tell_apart();
    return std::move(found_);
  }

 private:
  struct Place {
    std::string path;
    std::string printed;  // as in StateDict
    std::string escaped;  // the path with a backslash before each dot that is part of a key

    Place below(std::string_view key) const {
      return {join_path(path, key), join_path(printed, key),
              join_path(escaped, with_escaped_dots(key))};
    }
    /// Of a number and a text that print alike.
    Place below_alike(std::string_view key, bool text) const {
      const std::string own = indexed_key(key, text);
      return {join_path(path, own), join_path(printed, key), join_path(escaped, own)};
    }
  };

  Status visit(NodeId node, const Place& place, int depth) {
    const std::string& path = place.path;
    const Graph& graph = checkpoint_.graph;
    if (depth > kSearchDepth) return {};
    if (!seen_.insert(node).second) {
      for (StateDict& one : found_) {
        if (one.node == node || one.module == node) one.other_paths.push_back(path);
      }
      return {};
    }
    if (place.escaped != path) escaped_.emplace(node, place.escaped);
    if (is_module(graph, node)) return add_module(node, place);
    if (const auto* entries = graph.entries(node)) {
      if (is_optimizer(graph, node)) return {};
      StateDict candidate = read_state_dict(checkpoint_, node, path);
      const size_t found_tensors = candidate.entries.size();
      candidate.printed = place.printed;
      if (!candidate.entries.empty()) found_.push_back(std::move(candidate));
      const bool tensors_only = entries->size() == found_tensors;
      return tensors_only ? Status() : visit_values(node, *entries, place, depth);
    }
    if (const NodeId argument = only_argument(graph, node); argument != kNoNode) {
      return visit(argument, place.below("(0)"), depth + 1);
    }
    const auto items = graph.sequence(node);
    if (items.size() > kSearchItems) return {};
    const std::vector<NodeId> copy(items.begin(), items.end());
    for (size_t i = 0; i < copy.size(); ++i) {
      MLC_CHECK(visit(copy[i], place.below(std::to_string(i)), depth + 1));
    }
    return {};
  }

  /// ENTRIES are those of the mapping NODE: a copy, as recovering modules adds to the graph.
  Status visit_values(NodeId node, const std::vector<Entry> entries, const Place& place,
                      int depth) {
    const Graph& graph = checkpoint_.graph;
    const bool program = node == checkpoint_.root && is_of_program(entries);
    const auto is_number = [&](const Entry& at) { return graph.is(at.first, NodeKind::integer); };
    const bool is_long = std::count_if(entries.begin(), entries.end(), is_number) >
                         static_cast<ptrdiff_t>(kSearchItems);
    const AlikeKeys alike(graph, entries);
    for (const auto& [key, value] : entries) {
      const bool text = graph.is(key, NodeKind::text);
      if (text ? !may_hold_models(graph.text(key), program) : !is_item(key, value) || is_long) {
        continue;
      }
      const std::string name = key_text(graph, key);
      const bool is_alike = alike.contains(name);
      MLC_CHECK(
          visit(value, is_alike ? place.below_alike(name, text) : place.below(name), depth + 1));
    }
    return {};
  }

  static bool may_hold_models(std::string_view key, bool program) {
    return is_model_key(key) && !is_extra_state(key) && !(program && key == kPt2Constants);
  }

  /// Whether VALUE stands under a number, as items of a list do, and is not what an optimizer
  /// keeps of the parameter of this number.
  bool is_item(NodeId key, NodeId value) const {
    return checkpoint_.graph.is(key, NodeKind::integer) &&
           !is_parameter_state(checkpoint_.graph, value);
  }

  /// Whether the root, with these ENTRIES, is what join_program() makes, or was saved so.
  bool is_of_program(const std::vector<Entry>& entries) const {
    const Graph& graph = checkpoint_.graph;
    const auto has = [&](std::string_view name) {
      return std::ranges::any_of(entries, [&](const Entry& entry) {
        return graph.is(entry.first, NodeKind::text) && graph.text(entry.first) == name;
      });
    };
    return checkpoint_.format == Format::pt2 || checkpoint_.format == Format::torchscript ||
           (entries.size() == 2 && has(kPt2StateDict) && has(kPt2Constants));
  }

  Status add_module(NodeId node, const Place& place) {
    MLC_TRY(RecoveredModule recovered, recover_state_dict(checkpoint_, node));
    StateDict out = read_state_dict(checkpoint_, recovered.mapping, place.path);
    out.printed = place.printed;
    out.module = node;
    out.packed = std::move(recovered.packed);
    if (!out.entries.empty()) found_.push_back(std::move(out));
    return {};
  }

  /// A dict around a state_dict may hold stray tensors (best accuracy): the larger one inside is
  /// meant, or the one that is plainly the model, so the outer one is no candidate.
  void drop_wrappers() {
    const auto is_wrapper = [this](const StateDict& outer) {
      const LooseTensors loose(checkpoint_, outer);
      return std::any_of(found_.begin(), found_.end(), [&](const StateDict& inner) {
        return is_inside(inner, outer) &&
               (inner.entries.size() > outer.entries.size() || loose.lie_beside(inner));
      });
    };
    std::vector<bool> wrapper;
    for (const StateDict& candidate : found_) wrapper.push_back(is_wrapper(candidate));
    std::vector<StateDict> kept;
    for (size_t i = 0; i < found_.size(); ++i) {
      if (!wrapper[i]) kept.push_back(std::move(found_[i]));
    }
    found_ = std::move(kept);
  }

  /// Two of one path, 'a' with 'b' and 'a.b', would leave no way to name the second.
  void tell_apart() {
    std::unordered_map<std::string_view, int> times;
    for (const StateDict& one : found_) ++times[one.path];
    std::vector<std::pair<size_t, std::string>> renamed;
    for (size_t i = 0; i < found_.size(); ++i) {
      const StateDict& one = found_[i];
      const auto escaped = escaped_.find(one.module != kNoNode ? one.module : one.node);
      if (times[one.path] > 1 && escaped != escaped_.end())
        renamed.emplace_back(i, escaped->second);
    }
    for (auto& [i, path] : renamed) found_[i].path = std::move(path);
  }

  /// A mapping among the values of a state_dict is a part of it. What is around it may be no
  /// state_dict, but a checkpoint with loose tensors beside the model, however many: a name of a
  /// model tells, and where none does, the root is sure only if it has more tensors.
  void mark_parts() {
    const auto holds = [](const StateDict& outer, const StateDict& inner) {
      if (!is_inside(inner, outer) || inner.module != kNoNode) return false;
      if (names_model(last_key(outer.path))) return true;
      if (names_model(path_within(outer, inner))) return false;
      return !outer.path.empty() || outer.entries.size() > inner.entries.size();
    };
    for (StateDict& inner : found_) {
      inner.is_part =
          std::ranges::any_of(found_, [&](const StateDict& outer) { return holds(outer, inner); });
    }
  }

  Checkpoint& checkpoint_;
  std::unordered_set<NodeId> seen_;
  std::unordered_map<NodeId, std::string> escaped_;  // paths with dots in keys
  std::vector<StateDict> found_;
};

/// The candidates of ALL: those whose name is that of a model before others, larger ones before
/// smaller.
std::vector<const StateDict*> likeliest_first(const std::vector<StateDict>& all) {
  std::vector<const StateDict*> out;
  for (const StateDict& one : all) {
    if (!one.is_part) out.push_back(&one);
  }
  std::stable_sort(out.begin(), out.end(), [](const StateDict* a, const StateDict* b) {
    const bool named_a = names_model(last_key(a->path));
    const bool named_b = names_model(last_key(b->path));
    return named_a != named_b ? named_a : a->entries.size() > b->entries.size();
  });
  return out;
}

/// Which of ALL, at places that print as PATH, one is to be chosen from with OPTION.
Error several_at(const std::vector<StateDict>& all, std::string_view path,
                 std::string_view option) {
  std::vector<std::string> lines;
  std::string first;
  for (const StateDict& one : all) {
    if (one.printed != path) continue;
    lines.push_back(one.path + " (" + plural(one.entries.size(), "tensor") + ")");
    if (first.empty()) first = one.path;
  }
  return usage_error(quoted(path) + " is how the keys of " + std::to_string(lines.size()) +
                         " state_dicts print: " + join_list(lines),
                     "choose one with " + std::string(option) + ", for example " +
                         std::string(option) + " " + shell_word(first));
}

std::vector<std::string> paths_of(const std::vector<StateDict>& all) {
  std::vector<std::string> paths;
  for (const StateDict& one : all) paths.push_back(one.path.empty() ? "." : one.path);
  return paths;
}

}  // namespace

std::string join_path(const std::string& path, std::string_view key) {
  return path.empty() ? std::string(key) : path + "." + std::string(key);
}

std::string key_text(const Graph& graph, NodeId key) {
  switch (graph.kind(key)) {
    case NodeKind::text:
    case NodeKind::old_string:
      return std::string(graph.text(key));
    case NodeKind::integer:
      return std::to_string(graph.integer(key));
    case NodeKind::boolean:
      return graph.boolean(key) ? "True" : "False";
    case NodeKind::none:
      return "None";
    case NodeKind::tuple: {
      std::string out = "(";
      for (const NodeId item : graph.tuple(key)) {
        if (out.size() > 1) out += ", ";
        out += graph.is(item, NodeKind::tuple) ? "..." : key_text(graph, item);
      }
      return out + ")";
    }
    default:
      return pickle::render(graph, key);
  }
}

std::string indexed_key(std::string_view key, bool text) {
  const std::string quote = text ? "\"" : "";
  return "[" + quote + std::string(key) + quote + "]";
}

namespace {

/// Python keeps the last value of a key that is set twice, at the first one's place.
void merge_repeated_keys(std::vector<StateDictEntry>& entries) {
  NameTable first(entries.size());
  size_t kept = 0;
  for (const StateDictEntry& entry : entries) {
    if (first.add(entry.key, static_cast<uint32_t>(kept))) {
      entries[kept++] = entry;
      continue;
    }
    StateDictEntry& earlier = entries[*first.find(entry.key)];
    earlier.tensor = entry.tensor;
    earlier.position = entry.position;
  }
  entries.resize(kept);
}

}  // namespace

StateDict read_state_dict(const Checkpoint& checkpoint, NodeId node, std::string path) {
  const Graph& graph = checkpoint.graph;
  StateDict out;
  out.path = std::move(path);
  out.printed = out.path;
  out.node = node;
  const auto* entries = graph.entries(node);
  if (entries == nullptr) return out;
  out.entries.reserve(entries->size());
  size_t near = 0;  // values mostly come in the order of their nodes
  for (uint32_t i = 0; i < entries->size(); ++i) {
    const auto& [key, value] = (*entries)[i];
    const bool text = is_string(graph, key);
    const uint32_t tensor = text ? checkpoint.tensor_at(value, near) : kNoIndex;
    if (tensor != kNoIndex) {
      out.entries.push_back({graph.text(key), tensor, i});
      continue;
    }
    ++out.other_values;
    if (text) out.others.push_back({graph.text(key), kNoIndex, i});
  }
  merge_repeated_keys(out.entries);
  if (out.others.size() > 1) merge_repeated_keys(out.others);
  if (graph.is(node, NodeKind::object)) {
    const pickle::ObjectContent* content = graph.content(node);
    if (content != nullptr && content->state != kNoNode) {
      out.metadata = graph.find(content->state, "_metadata");
    }
  }
  return out;
}

Result<std::vector<StateDict>> find_state_dicts(Checkpoint& checkpoint) {
  return Search(checkpoint).run();
}

void read_again(const Checkpoint& checkpoint, StateDict& state_dict) {
  StateDict fresh = read_state_dict(checkpoint, state_dict.node, state_dict.path);
  fresh.printed = std::move(state_dict.printed);
  fresh.other_paths = std::move(state_dict.other_paths);
  fresh.module = state_dict.module;
  fresh.packed = std::move(state_dict.packed);
  state_dict = std::move(fresh);
}

const StateDict* state_dict_at(const std::vector<StateDict>& all, std::string_view path) {
  const std::string_view wanted = path == "." ? "" : path;
  for (const StateDict& one : all) {
    const auto& others = one.other_paths;
    if (one.path == wanted || std::ranges::find(others, wanted) != others.end()) return &one;
  }
  const auto prints_so = [wanted](const StateDict& one) { return one.printed == wanted; };
  const auto found = std::ranges::find_if(all, prints_so);
  return std::ranges::count_if(all, prints_so) == 1 ? &*found : nullptr;
}

bool is_ambiguous(const std::vector<StateDict>& all, std::string_view path) {
  const auto prints_so = [path](const StateDict& one) { return one.printed == path; };
  return state_dict_at(all, path) == nullptr && std::ranges::any_of(all, prints_so);
}

const StateDict* only_candidate(const std::vector<StateDict>& all) {
  const StateDict* found = nullptr;
  for (const StateDict& one : all) {
    if (one.is_part) continue;
    if (found != nullptr) return nullptr;
    found = &one;
  }
  return found;
}

Result<const StateDict*> select_state_dict(const std::vector<StateDict>& all, std::string_view path,
                                           std::string_view option) {
  if (!path.empty()) {
    if (const StateDict* found = state_dict_at(all, path)) return found;
    if (is_ambiguous(all, path)) return several_at(all, path, option);
    const std::vector<std::string> paths = paths_of(all);
    std::string message = "there is no state_dict at " + quoted(path);
    if (const auto near = nearest(path, paths)) {
      return usage_error(message, "did you mean " + std::string(option) + " " + *near);
    }
    if (paths.empty()) return usage_error(message);
    return usage_error(message, "state_dicts here: " + join_list(paths));
  }
  if (const StateDict* only = only_candidate(all)) return only;
  if (all.empty()) {
    return usage_error("holds no state_dict: no mapping with tensors was found",
                       "`mlc load --tree` shows what is in it");
  }
  std::vector<std::string> lines;
  const std::vector<const StateDict*> likeliest = likeliest_first(all);
  for (const StateDict* one : likeliest) {
    lines.push_back((one->path.empty() ? "." : one->path) + " (" +
                    plural(one->entries.size(), "tensor") + ")");
  }
  return usage_error("holds " + std::to_string(lines.size()) + " state_dicts: " + join_list(lines),
                     "choose one with " + std::string(option) + ", for example " +
                         std::string(option) + " " +
                         (likeliest[0]->path.empty() ? "." : shell_word(likeliest[0]->path)));
}

namespace {

/// Below NODE, where keys may have dots of their own. DEPTH ends cycles of objects, which take
/// nothing of PATH away.
NodeId node_below(const Checkpoint& checkpoint, NodeId node, std::string_view path, int depth) {
  if (path.empty()) return node;
  if (depth > kMaxTreeDepth) return kNoNode;
  const Graph& graph = checkpoint.graph;
  const auto enter = [&](std::string_view key, NodeId value) {
    if (path == key) return value;
    if (path.size() <= key.size() || path[key.size()] != '.' || !path.starts_with(key)) {
      return kNoNode;
    }
    return node_below(checkpoint, value, path.substr(key.size() + 1), depth + 1);
  };
  const bool escapes = path.find("\\.") != path.npos;
  if (const auto* entries = graph.entries(node)) {
    for (const auto& [key, value] : *entries) {
      const std::string name = key_text(graph, key);
      NodeId found = enter(name, value);
      if (found == kNoNode && escapes) found = enter(with_escaped_dots(name), value);
      if (found == kNoNode && path[0] == '[') {
        found = enter(indexed_key(name, is_string(graph, key)), value);
      }
      if (found != kNoNode) return found;
    }
  }
  const auto items = graph.sequence(node);
  for (size_t i = 0; i < items.size(); ++i) {
    const NodeId found = enter(std::to_string(i), items[i]);
    if (found != kNoNode) return found;
  }
  if (!graph.is(node, NodeKind::object)) return kNoNode;
  const auto args = graph.sequence(graph.args(node));
  for (size_t i = 0; i < args.size(); ++i) {
    const NodeId found = enter("(" + std::to_string(i) + ")", args[i]);
    if (found != kNoNode) return found;
  }
  const auto* content = graph.content(node);
  if (content == nullptr || content->state == kNoNode) return kNoNode;
  return node_below(checkpoint, content->state, path, depth + 1);
}

}  // namespace

NodeId node_at(const Checkpoint& checkpoint, std::string_view path) {
  return node_below(checkpoint, checkpoint.root, path == "." ? "" : path, 0);
}

Result<bool> add_state_dict_at(Checkpoint& checkpoint, std::vector<StateDict>& all,
                               std::string_view path) {
  const NodeId node = node_at(checkpoint, path);
  if (node == kNoNode || is_optimizer(checkpoint.graph, node)) return false;
  RecoveredModule recovered{node, {}};
  const bool module = is_module(checkpoint.graph, node);
  if (module) {
    MLC_TRY(recovered, recover_state_dict(checkpoint, node));
  }
  StateDict found =
      read_state_dict(checkpoint, recovered.mapping, std::string(path == "." ? "" : path));
  if (found.entries.empty()) return false;
  if (module) found.module = node;
  found.packed = std::move(recovered.packed);
  all.push_back(std::move(found));
  return true;
}

std::string first_mapping_of_tensors(const Checkpoint& checkpoint) {
  constexpr size_t kMostTried = 100;
  const auto tensors = all_tensors(checkpoint, checkpoint.root);
  for (size_t i = 0; i < tensors.size() && i < kMostTried; ++i) {
    std::string_view place = tensors[i].path;  // keys may have dots, so every part of it may be one
    for (size_t dot = place.rfind('.'); dot != place.npos && dot > 0; dot = place.rfind('.')) {
      place = place.substr(0, dot);
      const NodeId node = node_at(checkpoint, place);
      if (node == kNoNode) continue;
      if (checkpoint.graph.entries(node) == nullptr || is_optimizer(checkpoint.graph, node)) break;
      const auto found = read_state_dict(checkpoint, node, "").entries;
      if (std::ranges::any_of(
              found, [&](const StateDictEntry& one) { return one.tensor == tensors[i].tensor; })) {
        return std::string(place);
      }
      break;
    }
  }
  return {};
}

std::vector<std::string> materialize_modules(Checkpoint& checkpoint, std::vector<StateDict>& all) {
  std::vector<std::string> changed;
  for (StateDict& one : all) {
    if (one.module == kNoNode) continue;
    checkpoint.graph.replace(one.module, one.node);
    one.node = one.module;
    changed.push_back(one.path.empty() ? "." : one.path);
  }
  return changed;
}

}  // namespace mlc
