#include "mlc/checkpoint/diff_values.h"

#include "mlc/base/text.h"
#include "mlc/checkpoint/module_keys.h"
#include "mlc/checkpoint/state_dict.h"
#include "mlc/pickle/render.h"

#include <algorithm>
#include <map>
#include <set>
#include <span>
#include <unordered_map>
#include <utility>

namespace mlc {
namespace {

using pickle::Graph;
using pickle::NodeKind;

constexpr int kMaxDepth = 1000;

constexpr size_t kTextPerVisit = 64;  // bytes of rendered text that cost as much as a visit
constexpr const char* kGivenUp = "too intertwined to be compared";
constexpr const char* kTooLarge = "too large to be compared";

/// What the walk sees of a node.
struct Parts {
  const std::vector<pickle::Entry>* entries = nullptr;  // of a mapping
  std::span<const NodeId> items;
  bool is_sequence = false;  // a list or tuple, perhaps empty
  NodeId state = kNoNode;    // of an object with attributes
  bool is_tensor = false;
};

class ValueWalk {
 public:
  ValueWalk(const Checkpoint& a, const Checkpoint& b) : a_(a), b_(b) {}

  std::vector<ValueDifference> run() {
    visit(a_.root, b_.root, "", 0);
    return std::move(out_);
  }

  /// The values under one key; kNoNode where a side has none.
  void compare(NodeId a, NodeId b, const std::string& path) {
    if (a == kNoNode || b == kNoNode) return add(a, b, path);
    visit(a, b, path, 0);
  }
  std::vector<ValueDifference> take() { return std::move(out_); }

 private:
  static Parts parts_of(const Checkpoint& checkpoint, NodeId node) {
    const Graph& graph = checkpoint.graph;
    Parts out;
    out.is_tensor = checkpoint.tensor_at(node) != kNoIndex;
    if (out.is_tensor) return out;
    out.entries = graph.entries(node);
    out.is_sequence = graph.is(node, NodeKind::list) || graph.is(node, NodeKind::tuple);
    out.items = graph.sequence(node);
    if (out.entries == nullptr && graph.is(node, NodeKind::object)) {
      const pickle::ObjectContent* content = graph.content(node);
      if (content != nullptr) out.state = content->state;
    }
    return out;
  }

  void visit(NodeId a, NodeId b, const std::string& path, int depth) {
    const Parts of_a = parts_of(a_, a);
    const Parts of_b = parts_of(b_, b);
    if (of_a.is_tensor && of_b.is_tensor) return;
    if (!seen_.emplace(a, b).second) return;
    if (depth > kMaxDepth || ++work_ > most_work()) {
      if (!std::exchange(gave_up_, true)) out_.push_back({path, kGivenUp, kGivenUp});
      return;
    }
    if (of_a.is_tensor != of_b.is_tensor) return add(a, b, path);
    if (of_a.entries != nullptr && of_b.entries != nullptr) {
      return visit_entries(*of_a.entries, *of_b.entries, path, depth);
    }
    if (of_a.is_sequence && of_b.is_sequence) {
      return visit_items(of_a.items, of_b.items, path, depth);
    }
    if (of_a.state != kNoNode && of_b.state != kNoNode && same_class(a, b)) {
      return visit_objects(a, b, path, depth + 1);
    }
    compare_literals(a, b, path);
  }

  /// Two objects of a class, with attributes.
  void visit_objects(NodeId a, NodeId b, const std::string& path, int depth) {
    const pickle::ObjectContent& of_a = *a_.graph.content(a);
    const pickle::ObjectContent& of_b = *b_.graph.content(b);
    visit(a_.graph.args(a), b_.graph.args(b), path, depth);
    visit_items(of_a.appended, of_b.appended, path, depth);
    visit(of_a.state, of_b.state, path, depth);
  }

  void visit_entries(const std::vector<pickle::Entry>& a, const std::vector<pickle::Entry>& b,
                     const std::string& path, int depth) {
    const auto by_key_of_a = by_key(a_.graph, a);
    const auto by_key_of_b = by_key(b_.graph, b);
    for (size_t i = 0; i < a.size(); ++i) {
      const std::string key = identity(a_.graph, a[i].first);
      if (by_key_of_a.at(key) != i) continue;
      const std::string below = join_path(path, key_text(a_.graph, a[i].first));
      const auto it = by_key_of_b.find(key);
      if (it == by_key_of_b.end()) {
        add(a[i].second, kNoNode, below);
      } else {
        visit(a[i].second, b[it->second].second, below, depth + 1);
      }
    }
    for (size_t i = 0; i < b.size(); ++i) {
      const std::string key = identity(b_.graph, b[i].first);
      if (by_key_of_b.at(key) != i || by_key_of_a.contains(key)) continue;
      add(kNoNode, b[i].second, join_path(path, key_text(b_.graph, b[i].first)));
    }
  }

  /// Tells 1 from '1'. A key that is too large equals none of the other side.
  std::string identity(const Graph& graph, NodeId key) const {
    const bool is_text = graph.is(key, NodeKind::text) || graph.is(key, NodeKind::old_string);
    if (is_text) return "'" + std::string(graph.text(key));
    const auto text = pickle::canonical_text(graph, key, most_work());
    return text ? *text : (&graph == &a_.graph ? "<a " : "<b ") + std::to_string(key);
  }

  /// The index of the last entry of each key, whose value Python keeps.
  std::unordered_map<std::string, size_t> by_key(const Graph& graph,
                                                 const std::vector<pickle::Entry>& entries) const {
    std::unordered_map<std::string, size_t> out;
    for (size_t i = 0; i < entries.size(); ++i) out[identity(graph, entries[i].first)] = i;
    return out;
  }

  void visit_items(std::span<const NodeId> a, std::span<const NodeId> b, const std::string& path,
                   int depth) {
    const auto item_path = [&path](size_t i) { return join_path(path, std::to_string(i)); };
    const size_t common = std::min(a.size(), b.size());
    for (size_t i = 0; i < common; ++i) visit(a[i], b[i], item_path(i), depth + 1);
    for (size_t i = common; i < a.size(); ++i) add(a[i], kNoNode, item_path(i));
    for (size_t i = common; i < b.size(); ++i) add(kNoNode, b[i], item_path(i));
  }

  // Every pair of nodes could meet in graphs that are made for it. Honest ones meet once or twice.
  size_t most_work() const { return 10'000 + 8 * (a_.graph.size() + b_.graph.size()); }

  bool same_class(NodeId a, NodeId b) const {
    const auto text_a = pickle::canonical_text(a_.graph, a_.graph.callable(a), most_work());
    return text_a && text_a == pickle::canonical_text(b_.graph, b_.graph.callable(b), most_work());
  }

  /// Numbers, texts, bytes, sets and calls, however their protocol spells them.
  void compare_literals(NodeId a, NodeId b, const std::string& path) {
    const auto text_a = pickle::canonical_text(a_.graph, a, most_work());
    const auto text_b = pickle::canonical_text(b_.graph, b, most_work());
    if (!text_a || !text_b) {
      out_.push_back({path, kTooLarge, kTooLarge});
      work_ += most_work() / 8;
      return;
    }
    work_ += text_a->size() / kTextPerVisit;
    if (*text_a != *text_b) add(a, b, path);
  }

  /// What is only tensors on one side is told by diff_tensors().
  void add(NodeId a, NodeId b, const std::string& path) {
    const bool told = (a == kNoNode || b == kNoNode) && only_tensors(a_, a) && only_tensors(b_, b);
    if (!told) out_.push_back({path, shown(a_, a), shown(b_, b)});
  }

  static bool only_tensors(const Checkpoint& checkpoint, NodeId node) {
    if (node == kNoNode || checkpoint.tensor_at(node) != kNoIndex) return true;
    const auto* entries = checkpoint.graph.entries(node);
    return entries != nullptr && !entries->empty() &&
           std::ranges::all_of(*entries, [&](const pickle::Entry& entry) {
             return checkpoint.tensor_at(entry.second) != kNoIndex;
           });
  }

  static std::string shown(const Checkpoint& checkpoint, NodeId node) {
    if (node == kNoNode) return {};
    if (checkpoint.tensor_at(node) != kNoIndex) return "a tensor";
    return pickle::render(checkpoint.graph, node,
                          {.max_nodes = 10, .max_depth = 3, .max_text = 40});
  }

  const Checkpoint& a_;
  const Checkpoint& b_;
  std::set<std::pair<NodeId, NodeId>> seen_;
  size_t work_ = 0;
  bool gave_up_ = false;
  std::vector<ValueDifference> out_;
};

const ZipEntry* find_record(const Checkpoint& checkpoint, std::string_view name) {
  for (const uint32_t index : checkpoint.extra_records) {
    const ZipReader& zip = checkpoint.archives[0];
    const ZipEntry& entry = zip.entries()[index];
    if (zip.relative_name(entry) == name) return &entry;
  }
  return nullptr;
}

Result<bool> same_content(const Checkpoint& a, const ZipEntry& in_a, const Checkpoint& b,
                          const ZipEntry& in_b) {
  if (in_a.size != in_b.size) return false;
  const bool differ = in_a.crc32 != in_b.crc32 && in_a.has_crc() && in_b.has_crc();
  if (differ) return false;
  if (in_a.is_stored() && in_b.is_stored()) {
    MLC_TRY(const Bytes view_a, a.archives[0].view(in_a));
    MLC_TRY(const Bytes view_b, b.archives[0].view(in_b));
    return std::ranges::equal(view_a, view_b);
  }
  MLC_TRY(const std::string text_a, a.archives[0].read(in_a, in_a.size));
  MLC_TRY(const std::string text_b, b.archives[0].read(in_b, in_b.size));
  return text_a == text_b;
}

}  // namespace

Result<std::vector<ValueDifference>> diff_records(const Checkpoint& a, const Checkpoint& b) {
  std::vector<ValueDifference> out;
  for (const uint32_t index : a.extra_records) {
    const ZipEntry& in_a = a.archives[0].entries()[index];
    const std::string name(a.archives[0].relative_name(in_a));
    const ZipEntry* in_b = find_record(b, name);
    if (in_b == nullptr) {
      out.push_back({"record " + name, format_bytes(in_a.size), ""});
      continue;
    }
    auto same = same_content(a, in_a, b, *in_b);
    if (!same.ok()) return std::move(same).error().during("record " + printable(name));
    if (*same) continue;
    const std::string other = in_a.size == in_b->size ? " of other content" : "";
    out.push_back({"record " + name, format_bytes(in_a.size), format_bytes(in_b->size) + other});
  }
  for (const uint32_t index : b.extra_records) {
    const ZipEntry& in_b = b.archives[0].entries()[index];
    const std::string name(b.archives[0].relative_name(in_b));
    if (find_record(a, name) == nullptr) {
      out.push_back({"record " + name, "", format_bytes(in_b.size)});
    }
  }
  return out;
}

namespace {

using ValuesByKey = std::map<std::string_view, NodeId>;

bool is_collection(const Graph& graph, NodeId node) {
  constexpr NodeKind kKinds[] = {NodeKind::dict,   NodeKind::list, NodeKind::tuple,
                                 NodeKind::object, NodeKind::set,  NodeKind::frozenset};
  return std::ranges::find(kKinds, graph.kind(node)) != std::end(kKinds);
}

std::string_view without_prefix(std::string_view key, std::string_view prefix) {
  return key.starts_with(prefix) ? key.substr(prefix.size()) : key;
}

/// What diff_state_dict_values() compares of one side; tensors are there for what the other side
/// may have in their place.
struct OneSide {
  ValuesByKey values;
  ValuesByKey all;
};

OneSide side_of(const Checkpoint& checkpoint, const StateDict& state_dict,
                std::string_view prefix) {
  OneSide out;
  const auto* entries = checkpoint.graph.entries(state_dict.node);
  if (entries == nullptr) return out;
  const size_t keys = state_dict.entries.size() + state_dict.others.size();
  for (size_t i = 0; i < keys; ++i) {
    const StateDictEntry& entry = state_dict.named(i);
    const std::string_view key = without_prefix(entry.key, prefix);
    const NodeId value = (*entries)[entry.position].second;
    out.all.emplace(key, value);
    const bool plain = is_module_key(entry.key) || !is_collection(checkpoint.graph, value);
    if (i >= state_dict.entries.size() && plain) out.values.emplace(key, value);
  }
  return out;
}

}  // namespace

std::vector<ValueDifference> diff_state_dict_values(const Checkpoint& a, const StateDict& in_a,
                                                    const Checkpoint& b, const StateDict& in_b,
                                                    std::string_view prefix,
                                                    std::vector<std::string>& compared) {
  if (in_a.others.empty() && in_b.others.empty()) return {};
  const OneSide of_a = side_of(a, in_a, prefix);
  const OneSide of_b = side_of(b, in_b, prefix);
  std::set<std::string_view> keys;
  for (const auto& [key, node] : of_a.values) keys.insert(key);
  for (const auto& [key, node] : of_b.values) keys.insert(key);
  const auto value_of = [](const OneSide& side, std::string_view key) {
    const auto at = side.all.find(key);
    return at != side.all.end() ? at->second : kNoNode;
  };
  ValueWalk walk(a, b);
  for (const std::string_view key : keys) {
    walk.compare(value_of(of_a, key), value_of(of_b, key), std::string(key));
    compared.emplace_back(key);
  }
  return walk.take();
}

std::vector<ValueDifference> diff_values(const Checkpoint& a, const Checkpoint& b) {
  return ValueWalk(a, b).run();
}

}  // namespace mlc
