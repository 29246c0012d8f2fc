#include "mlc/checkpoint/diff_values.h"

#include "mlc/base/text.h"
#include "mlc/checkpoint/every_tensor.h"
#include "mlc/checkpoint/module_keys.h"
#include "mlc/checkpoint/numpy_pickle.h"
#include "mlc/checkpoint/state_dict.h"
#include "mlc/checkpoint/torch_objects.h"
#include "mlc/pickle/render.h"

#include <algorithm>
#include <map>
#include <set>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace mlc {
namespace {

using pickle::Graph;
using pickle::NodeKind;

constexpr int kMaxDepth = 1000;

constexpr size_t kTextPerVisit = 64;  // bytes of rendered text that cost as much as a visit
constexpr const char* kGivenUp = "too intertwined to be compared";
constexpr const char* kTooLarge = "too large to be compared";

// Shared nodes have as many paths as there are ways to them, which can be 2^n of n nodes. A pair is
// opened once in any case; this is how often pairs are opened again, under further paths.
constexpr size_t kMostAgain = 10'000;

enum class Verdict : uint8_t {
  open,   // being looked at: who meets it again is in a cycle
  waits,  // equal so far, but it leads to one that was open
  equal,
  below,  // what it consists of differs
  whole,  // it differs itself
  too_large,
  given_up,
};

/// A node of A and one of B that stand in the same place, perhaps in many.
struct Pair {
  Verdict verdict = Verdict::open;
  bool cyclic = false;   // a cycle can be reached from here
  bool on_path = false;  // to the pair that is being told
  bool told = false;
  std::vector<Pair*> waiting;  // those whose verdict hangs on this one
};

bool differs(Verdict verdict) {
  return verdict >= Verdict::below;
}

/// What the walk sees of a node.
struct Parts {
  const std::vector<pickle::Entry>* entries = nullptr;  // of a mapping
  std::span<const NodeId> items;
  bool is_sequence = false;  // a list or tuple, perhaps empty
  NodeId state = kNoNode;    // of an object with attributes
  bool is_tensor = false;
};

/// Goes through both trees twice. First every pair of nodes gets its verdict, once however often it
/// occurs; then those that differ are told at each of their paths.
class ValueWalk {
 public:
  ValueWalk(const Checkpoint& a, const Checkpoint& b, const StripPrefix& strip)
      : a_(a), b_(b), reach_a_(a), reach_b_(b), prefix_(strip.prefix) {
    for (const NodeId node : strip.in_a) stripped_.insert(a.graph.entries(node));
    for (const NodeId node : strip.in_b) stripped_.insert(b.graph.entries(node));
  }

  ValueDiff run() {
    compare(a_.root, b_.root, "");
    return take();
  }

  /// The values under one key; kNoNode where a side has none.
  void compare(NodeId a, NodeId b, const std::string& path) {
    if (a != kNoNode && b != kNoNode) visit(a, b, path, 0);
    settle_waiting();
    telling_ = true;
    visit_or_add(a, b, path, 0);
    telling_ = false;
  }
  /// The versions of the modules of two state_dicts, of which OF_A and OF_B are the entries;
  /// kNoNode where one has none.
  void compare_versions(NodeId a, const void* of_a, NodeId b, const void* of_b,
                        const std::string& path) {
    if (telling_ || (a == kNoNode && b == kNoNode)) return;
    const auto of = [&](const Checkpoint& checkpoint, NodeId node, const void* entries) {
      return node == kNoNode ? Versions(std::in_place)
                             : versions_of(checkpoint, node, prefix_of(entries));
    };
    const auto versions = of(a_, a, of_a);
    if (versions && versions == of(b_, b, of_b)) return;
    if (a != kNoNode && b != kNoNode) return found_.other_versions.push_back(path);
    if (!both_keep_objects(a_, b_)) return;
    (b == kNoNode ? found_.versions_only_in_a : found_.versions_only_in_b).push_back(path);
  }
  ValueDiff take() { return std::move(found_); }

 private:
  /// By the names of modules; none for what is no such mapping.
  using Versions = std::optional<std::map<std::string, std::string>>;

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

  /// What is taken off the keys of a mapping with these entries.
  std::string_view prefix_of(const void* entries) const {
    return stripped_.contains(entries) ? prefix_ : std::string_view();
  }

  /// `_metadata` by the names of modules without PREFIX: `module` is the root then. Of several of
  /// one name the last counts, as in consume_prefix_in_state_dict_if_present() of PyTorch.
  Versions versions_of(const Checkpoint& checkpoint, NodeId node, std::string_view prefix) const {
    Versions found(std::in_place);
    auto& out = *found;
    const auto* entries = checkpoint.graph.entries(node);
    if (entries == nullptr) return std::nullopt;
    for (const auto& [key, value] : *entries) {
      const auto version = text_of(checkpoint, value);
      if (!version || !is_string(checkpoint.graph, key)) return std::nullopt;
      const std::string name = std::string(checkpoint.graph.text(key)) + ".";
      const bool is_root = name == "." || prefix.starts_with(name);
      out[is_root ? "." : std::string(without_prefix(name, prefix))] = *version;
    }
    return found;
  }

  void visit_or_add(NodeId a, NodeId b, const std::string& path, int depth) {
    if (a == kNoNode || b == kNoNode) return add(a, b, path);
    visit(a, b, path, depth);
  }

  void visit(NodeId a, NodeId b, const std::string& path, int depth) {
    const bool tensors = a_.tensor_at(a) != kNoIndex && b_.tensor_at(b) != kNoIndex;
    if (tensors && tensor_attributes(a_, a).empty() && tensor_attributes(b_, b).empty()) return;
    if (telling_) return tell(a, b, path, depth);
    const auto [at, is_new] = pairs_.try_emplace({a, b});
    if (is_new) judge(at->second, a, b, path, depth);
    hang_on(at->second);
  }

  /// The verdict of a new pair.
  void judge(Pair& pair, NodeId a, NodeId b, const std::string& path, int depth) {
    if (depth > kMaxDepth || ++work_ > most_work()) {
      pair.verdict = Verdict::given_up;
      return;
    }
    Pair* const above = std::exchange(current_, &pair);
    open(a, b, path, depth);
    current_ = above;
    if (pair.verdict == Verdict::open) pair.verdict = Verdict::equal;
    if (pair.verdict == Verdict::waits) waits_.push_back(&pair);
  }

  /// What BELOW means for the pair that is being looked at.
  void hang_on(Pair& below) {
    if (current_ == nullptr) return;
    if (differs(below.verdict)) give(Verdict::below);
    const bool unknown = below.verdict == Verdict::open || below.verdict == Verdict::waits;
    current_->cyclic = current_->cyclic || unknown || below.cyclic;
    if (!unknown || differs(current_->verdict)) return;
    ++work_;
    if (below.waiting.empty()) waited_for_.push_back(&below);
    below.waiting.push_back(current_);
    current_->verdict = Verdict::waits;
  }
  /// A verdict for the pair that is being looked at; the first one stays.
  void give(Verdict verdict) {
    if (current_ != nullptr && !differs(current_->verdict)) current_->verdict = verdict;
  }

  /// Gives those their verdicts that hung on others: equal is what leads to no difference.
  void settle_waiting() {
    std::erase_if(waited_for_, [](const Pair* pair) { return !differs(pair->verdict); });
    while (!waited_for_.empty()) {
      const Pair* const found = waited_for_.back();
      waited_for_.pop_back();
      for (Pair* const pair : found->waiting) {
        if (pair->verdict != Verdict::waits) continue;
        pair->verdict = Verdict::below;
        waited_for_.push_back(pair);
      }
    }
    for (Pair* const pair : std::exchange(waits_, {})) {
      if (pair->verdict == Verdict::waits) pair->verdict = Verdict::equal;
    }
  }

  /// Writes down what differs at PATH. What is told again because it is shared is told as a whole
  /// where that leads into a cycle, which has paths without end, or where it was done too often.
  void tell(NodeId a, NodeId b, const std::string& path, int depth) {
    const auto at = pairs_.find({a, b});
    if (at == pairs_.end()) return;
    Pair& pair = at->second;
    if (pair.verdict == Verdict::given_up && !std::exchange(gave_up_, true)) {
      found_.differences.push_back({path, kGivenUp, kGivenUp});
    }
    if (pair.verdict == Verdict::too_large)
      found_.differences.push_back({path, kTooLarge, kTooLarge});
    if (pair.verdict == Verdict::whole) add(a, b, path);
    if (pair.verdict != Verdict::below || pair.on_path) return;
    const bool again = std::exchange(pair.told, true);
    if (depth > kMaxDepth || (again && (pair.cyclic || ++again_ > kMostAgain))) {
      return add(a, b, path);
    }
    pair.on_path = true;
    open(a, b, path, depth);
    pair.on_path = false;
  }

  /// Visits what A and B consist of, or finds that they differ.
  void open(NodeId a, NodeId b, const std::string& path, int depth) {
    const Parts of_a = parts_of(a_, a);
    const Parts of_b = parts_of(b_, b);
    if (of_a.is_tensor && of_b.is_tensor) return visit_attributes(a, b, path, depth);
    if (of_a.is_tensor != of_b.is_tensor) return give(Verdict::whole);
    if (of_a.entries != nullptr && of_b.entries != nullptr) {
      visit_entries(*of_a.entries, *of_b.entries, path, depth);
      return visit_around_entries(a, b, path, depth + 1);
    }
    if (of_a.is_sequence && of_b.is_sequence) {
      return visit_items(of_a.items, of_b.items, path, depth);
    }
    const bool objects = a_.graph.is(a, NodeKind::object) && b_.graph.is(b, NodeKind::object);
    if (const auto same = objects ? same_numpy_arrays(a_.graph, a, b_.graph, b) : std::nullopt) {
      return *same ? void() : give(Verdict::whole);
    }
    const bool have_state = of_a.state != kNoNode && of_b.state != kNoNode;
    if (objects && (have_state || reach_a_.from(a) || reach_b_.from(b)) && same_class(a, b)) {
      return visit_objects(a, b, path, depth + 1);
    }
    compare_literals(a, b);
  }

  /// Two objects of a class, with attributes, or made from tensors.
  void visit_objects(NodeId a, NodeId b, const std::string& path, int depth) {
    const NodeId keywords_a = a_.graph.keyword_args(a);
    const NodeId keywords_b = b_.graph.keyword_args(b);
    visit_arguments(a, b, path, depth);
    if (keywords_a != kNoNode || keywords_b != kNoNode)
      visit_or_add(keywords_a, keywords_b, path, depth);
    visit_items(a_.graph.sequence(a), b_.graph.sequence(b), path, depth);
    visit_entries(entries_of(a_, a), entries_of(b_, b), path, depth);
    const NodeId state_a = state_of(a_, a);
    const NodeId state_b = state_of(b_, b);
    if (state_a != kNoNode || state_b != kNoNode) visit_or_add(state_a, state_b, path, depth);
  }

  /// Named as every_tensor() does.
  void visit_arguments(NodeId a, NodeId b, const std::string& path, int depth) {
    const auto of_a = a_.graph.sequence(a_.graph.args(a));
    const auto of_b = b_.graph.sequence(b_.graph.args(b));
    for (size_t i = 0; i < std::max(of_a.size(), of_b.size()); ++i) {
      const std::string below = join_path(path, "(" + std::to_string(i) + ")");
      visit_or_add(i < of_a.size() ? of_a[i] : kNoNode, i < of_b.size() ? of_b[i] : kNoNode, below,
                   depth + 1);
    }
  }

  static NodeId state_of(const Checkpoint& checkpoint, NodeId node) {
    const bool object = checkpoint.graph.is(node, NodeKind::object);
    const pickle::ObjectContent* content = object ? checkpoint.graph.content(node) : nullptr;
    return content != nullptr ? content->state : kNoNode;
  }

  static const std::vector<pickle::Entry>& entries_of(const Checkpoint& checkpoint, NodeId node) {
    static const std::vector<pickle::Entry> kNone;
    const auto* entries = checkpoint.graph.entries(node);
    return entries != nullptr ? *entries : kNone;
  }

  /// What mappings have beside their entries: attributes, and what objects of one class were made
  /// from. `_metadata` is told apart.
  void visit_around_entries(NodeId a, NodeId b, const std::string& path, int depth) {
    const bool objects = a_.graph.is(a, NodeKind::object) && b_.graph.is(b, NodeKind::object);
    if (objects && same_class(a, b)) visit_arguments(a, b, path, depth);
    const auto split = [](const Checkpoint& checkpoint, NodeId node) {
      std::pair<NodeId, std::vector<pickle::Entry>> out = {kNoNode, {}};
      const NodeId state = state_of(checkpoint, node);
      if (state == kNoNode) return out;
      for (const pickle::Entry& entry : entries_of(checkpoint, state)) {
        const bool versions = checkpoint.graph.is(entry.first, NodeKind::text) &&
                              checkpoint.graph.text(entry.first) == "_metadata";
        if (versions)
          out.first = entry.second;
        else
          out.second.push_back(entry);
      }
      return out;
    };
    const auto [versions_a, others_a] = split(a_, a);
    const auto [versions_b, others_b] = split(b_, b);
    visit_entries(others_a, others_b, path, depth);
    compare_versions(versions_a, a_.graph.entries(a), versions_b, b_.graph.entries(b), path);
  }

  /// What was set in Python on tensors that are compared elsewhere.
  void visit_attributes(NodeId a, NodeId b, const std::string& path, int depth) {
    const auto of_a = tensor_attributes(a_, a);
    const auto of_b = tensor_attributes(b_, b);
    const std::string below = join_path(path, "__dict__");
    for (size_t i = 0; i < std::max(of_a.size(), of_b.size()); ++i) {
      visit_or_add(i < of_a.size() ? of_a[i] : kNoNode, i < of_b.size() ? of_b[i] : kNoNode, below,
                   depth + 1);
    }
  }

  void visit_entries(const std::vector<pickle::Entry>& a, const std::vector<pickle::Entry>& b,
                     const std::string& path, int depth) {
    const auto by_key_of_a = by_key(a_, a);
    const auto by_key_of_b = by_key(b_, b);
    for (size_t i = 0; i < a.size(); ++i) {
      const std::string key = identity(a_, a, i);
      if (by_key_of_a.at(key) != i) continue;
      const auto it = by_key_of_b.find(key);
      if (it == by_key_of_b.end()) {
        add(a[i].second, kNoNode, join_path(path, lone_name(a_, a, i, by_key_of_b)));
        continue;
      }
      const std::string below = join_path(path, entry_name(a_, a, i));
      if (!is_string(a_.graph, a[i].first) && reach(a_).from(a[i].first))
        visit(a[i].first, b[it->second].first, below, depth + 1);
      visit(a[i].second, b[it->second].second, below, depth + 1);
    }
    for (size_t i = 0; i < b.size(); ++i) {
      const std::string key = identity(b_, b, i);
      if (by_key_of_b.at(key) != i || by_key_of_a.contains(key)) continue;
      add(kNoNode, b[i].second, join_path(path, lone_name(b_, b, i, by_key_of_a)));
    }
  }

  /// The name of a key that the other side lacks, whose keys OTHERS has by identity: a text in
  /// quotes where a number there prints like it, as 1 does like '1'.
  std::string lone_name(const Checkpoint& side, const std::vector<pickle::Entry>& entries, size_t i,
                        const std::unordered_map<std::string, size_t>& others) {
    const std::string name = entry_name(side, entries, i);
    const bool alike = is_string(side.graph, entries[i].first) && others.contains(name);
    return alike ? "'" + name + "'" : name;
  }

  TensorReach& reach(const Checkpoint& side) { return &side == &a_ ? reach_a_ : reach_b_; }

  /// Tells 1 from '1'. A key that is too large equals none of the other side; those with tensors in
  /// them are told apart by their place, as every_tensor() does.
  std::string identity(const Checkpoint& side, const std::vector<pickle::Entry>& entries,
                       size_t i) {
    const NodeId key = entries[i].first;
    if (is_string(side.graph, key)) {
      return "'" + std::string(without_prefix(side.graph.text(key), prefix_of(&entries)));
    }
    if (reach(side).from(key)) return "{" + std::to_string(i);
    const auto text = pickle::canonical_text(side.graph, key, most_work());
    return text ? *text : (&side == &a_ ? "<a " : "<b ") + std::to_string(key);
  }

  std::string entry_name(const Checkpoint& side, const std::vector<pickle::Entry>& entries,
                         size_t i) {
    const NodeId key = entries[i].first;
    if (is_string(side.graph, key) || !reach(side).from(key)) {
      return std::string(without_prefix(key_text(side.graph, key), prefix_of(&entries)));
    }
    return "{value " + std::to_string(i) + "}";
  }

  /// The index of the last entry of each key, whose value Python keeps.
  std::unordered_map<std::string, size_t> by_key(const Checkpoint& side,
                                                 const std::vector<pickle::Entry>& entries) {
    std::unordered_map<std::string, size_t> out;
    for (size_t i = 0; i < entries.size(); ++i) out[identity(side, entries, i)] = i;
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
  void compare_literals(NodeId a, NodeId b) {
    const auto text_a = text_of(a_, a);
    const auto text_b = text_of(b_, b);
    if (!text_a || !text_b) {
      work_ += most_work() / 8;
      return give(Verdict::too_large);
    }
    work_ += text_a->size() / kTextPerVisit;
    if (*text_a != *text_b) give(Verdict::whole);
  }

  /// The text of a value without its tensors and storages, which are compared elsewhere.
  std::optional<std::string> text_of(const Checkpoint& checkpoint, NodeId node) const {
    return pickle::canonical_text(checkpoint.graph, node, most_work(), [&](NodeId one) {
      return checkpoint.tensor_at(one) != kNoIndex || checkpoint.storage_at(one) != kNoIndex;
    });
  }

  /// What is only tensors on one side is told by diff_tensors().
  void add(NodeId a, NodeId b, const std::string& path) {
    const bool told = (a == kNoNode || b == kNoNode) && only_tensors(a_, a) && only_tensors(b_, b);
    if (told) return;
    if (!telling_) return give(Verdict::below);
    ValueDifference found{path, shown(a_, a), shown(b_, b)};
    if (found.a == found.b) show_apart(found, a, b);
    found_.differences.push_back(std::move(found));
  }

  /// Two values whose texts are cut before the first difference: what is around that.
  void show_apart(ValueDifference& found, NodeId a, NodeId b) {
    constexpr size_t kBefore = 16;
    constexpr size_t kShown = 48;
    if (shown_ > most_work()) return;  // of one large value at many paths
    const auto text_a = text_of(a_, a);
    const auto text_b = text_of(b_, b);
    if (!text_a || !text_b) return;
    shown_ += text_a->size() / kTextPerVisit;
    const auto at =
        static_cast<size_t>(std::ranges::mismatch(*text_a, *text_b).in1 - text_a->begin());
    const auto part = [at](const std::string& text) {
      const size_t begin = at > kBefore ? at - kBefore : 0;
      return "..." + printable(text.substr(begin, kShown)) +
             (begin + kShown < text.size() ? "..." : "");
    };
    if (at == text_a->size() && at == text_b->size()) return;
    found.a = part(*text_a);
    found.b = part(*text_b);
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
  TensorReach reach_a_;
  TensorReach reach_b_;
  std::string_view prefix_;
  std::unordered_set<const void*> stripped_;  // entries of mappings whose keys lose it
  std::map<std::pair<NodeId, NodeId>, Pair> pairs_;
  Pair* current_ = nullptr;        // being looked at in the first walk
  std::vector<Pair*> waits_;       // verdicts that settle_waiting() has to find
  std::vector<Pair*> waited_for_;  // those with somebody waiting
  bool telling_ = false;           // the second walk
  size_t work_ = 0;
  size_t again_ = 0;
  size_t shown_ = 0;  // what show_apart() has cost
  bool gave_up_ = false;
  ValueDiff found_;
};

using ValuesByKey = std::map<std::string_view, NodeId>;

bool is_collection(const Graph& graph, NodeId node) {
  constexpr NodeKind kKinds[] = {NodeKind::dict,      NodeKind::list, NodeKind::tuple,
                                 NodeKind::object,    NodeKind::set,  NodeKind::frozenset,
                                 NodeKind::persistent};
  return std::ranges::find(kKinds, graph.kind(node)) != std::end(kKinds);
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

bool both_keep_objects(const Checkpoint& a, const Checkpoint& b) {
  constexpr Format kPickles[] = {Format::torch_zip, Format::torch_legacy, Format::torch_tar,
                                 Format::plain_pickle};
  const auto is_pickle = [&](const Checkpoint& one) {
    return std::ranges::find(kPickles, one.format) != std::end(kPickles);
  };
  return is_pickle(a) && is_pickle(b);
}

std::string_view without_prefix(std::string_view key, std::string_view prefix) {
  return key.starts_with(prefix) ? key.substr(prefix.size()) : key;
}

ValueDiff diff_state_dict_values(const Checkpoint& a, const StateDict& in_a, const Checkpoint& b,
                                 const StateDict& in_b, std::string_view prefix,
                                 std::vector<std::string>& compared) {
  const OneSide of_a = side_of(a, in_a, prefix);
  const OneSide of_b = side_of(b, in_b, prefix);
  std::set<std::string_view> keys;
  for (const auto& [key, node] : of_a.values) keys.insert(key);
  for (const auto& [key, node] : of_b.values) keys.insert(key);
  const auto value_of = [](const OneSide& side, std::string_view key) {
    const auto at = side.all.find(key);
    return at != side.all.end() ? at->second : kNoNode;
  };
  ValueWalk walk(a, b, {prefix, {&in_a.node, 1}, {&in_b.node, 1}});
  for (const std::string_view key : keys) {
    walk.compare(value_of(of_a, key), value_of(of_b, key), std::string(key));
    compared.emplace_back(key);
  }
  for (const auto& [key, in_one] : of_a.all) {  // the attributes of tensors
    const NodeId in_other = value_of(of_b, key);
    const bool tensors =
        in_other != kNoNode && a.tensor_at(in_one) != kNoIndex && b.tensor_at(in_other) != kNoIndex;
    if (tensors) walk.compare(in_one, in_other, std::string(key));
  }
  walk.compare_versions(in_a.metadata, a.graph.entries(in_a.node), in_b.metadata,
                        b.graph.entries(in_b.node), "");
  return walk.take();
}

ValueDiff diff_values(const Checkpoint& a, const Checkpoint& b, const StripPrefix& strip) {
  return ValueWalk(a, b, strip).run();
}

}  // namespace mlc
