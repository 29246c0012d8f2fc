// What a pickle builds, as inert data: a graph of nodes that can be looked at, edited and written
// again, but never run.
//
// Nodes are numbered in the order in which the pickle creates them and have an identity, as Python
// objects have: a node referenced twice is written once and then fetched from the memo, so aliasing
// survives a rewrite. A call (REDUCE, NEWOBJ) is a node that names its callable; nobody calls it.
// Text may be borrowed from the bytes that were read: they must outlive the graph.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace mlc::pickle {

using NodeId = uint32_t;
inline constexpr NodeId kNoNode = 0xFFFFFFFF;

enum class NodeKind : uint8_t {
  none,
  boolean,
  integer,      // fits int64
  big_integer,  // two's complement, little-endian bytes
  real,
  text,        // UTF-8; lone surrogates are possible, as in Python
  old_string,  // str of Python 2: bytes that may or may not be text
  bytes,
  bytearray,
  tuple,
  list,
  dict,
  set,
  frozenset,
  global,      // a name: module and qualified name
  object,      // callable, args, and what was put into it afterwards
  persistent,  // a persistent id: in PyTorch files a storage
  tensor,      // not from a pickle: number of a tensor that a front end made
};

/// reduce_value: REDUCE with an argument that is in no tuple, which TorchScript writes for a member
/// of an Enum; in the graph the argument is the one item of a tuple.
enum class ObjectForm : uint8_t { reduce, new_object, new_object_ex, reduce_value };

using Entry = std::pair<NodeId, NodeId>;  // key, value

/// What SETITEMS, APPENDS and BUILD gave to an object after its construction.
struct ObjectContent {
  std::vector<Entry> items;
  std::vector<NodeId> appended;
  NodeId state = kNoNode;
};

class Graph {
 public:
  Graph();

  size_t size() const { return nodes_.size(); }
  /// Room for so many more nodes. An estimate is enough.
  void reserve(size_t nodes);
  NodeKind kind(NodeId id) const { return nodes_[id].kind; }
  bool is(NodeId id, NodeKind kind) const { return nodes_[id].kind == kind; }

  // Scalars. Each requires a node of its kind.
  bool boolean(NodeId id) const { return nodes_[id].number != 0; }
  int64_t integer(NodeId id) const { return nodes_[id].number; }
  double real(NodeId id) const;
  /// Of text, old_string, bytes, bytearray and big_integer.
  std::string_view text(NodeId id) const;
  uint32_t tensor(NodeId id) const { return nodes_[id].a; }

  // Collections.
  std::span<const NodeId> tuple(NodeId id) const;
  /// Of list, set and frozenset.
  std::vector<NodeId>& list(NodeId id) { return lists_[nodes_[id].a]; }
  const std::vector<NodeId>& list(NodeId id) const { return lists_[nodes_[id].a]; }
  std::vector<Entry>& dict(NodeId id) { return dicts_[nodes_[id].a]; }
  const std::vector<Entry>& dict(NodeId id) const { return dicts_[nodes_[id].a]; }

  // Names and calls.
  std::string_view global_module(NodeId id) const { return text(nodes_[id].a); }
  std::string_view global_name(NodeId id) const { return text(lower(id)); }
  bool is_global(NodeId id, std::string_view module, std::string_view name) const;
  /// "module.name" of a global.
  std::string global_path(NodeId id) const;
  ObjectForm object_form(NodeId id) const { return static_cast<ObjectForm>(nodes_[id].flags); }
  NodeId callable(NodeId id) const { return nodes_[id].a; }
  NodeId args(NodeId id) const { return lower(id); }
  /// Null where nothing was put into the object.
  const ObjectContent* content(NodeId id) const;
  ObjectContent& content_for_edit(NodeId id);
  /// The keyword arguments of a new_object_ex, kNoNode for the other forms.
  NodeId keyword_args(NodeId id) const;
  NodeId persistent_id(NodeId id) const { return nodes_[id].a; }

  // Construction. Small integers, None, booleans, the empty tuple and globals are shared.
  NodeId none() const { return 0; }
  NodeId boolean_node(bool value) const { return value ? 2U : 1U; }
  NodeId empty_tuple() const { return 3; }
  NodeId add_integer(int64_t value);
  NodeId add_real(double value);
  /// Text that outlives the graph.
  NodeId add_borrowed(NodeKind kind, std::string_view text);
  /// Text that the graph keeps a copy of.
  NodeId add_text(std::string_view text) { return add_owned(NodeKind::text, text); }
  NodeId add_owned(NodeKind kind, std::string_view text);
  NodeId add_tuple(std::span<const NodeId> items);
  NodeId add_tuple(std::initializer_list<NodeId> items) {
    return add_tuple(std::span(items.begin(), items.size()));
  }
  NodeId add_list(NodeKind kind = NodeKind::list);
  NodeId add_dict();
  NodeId add_global(std::string_view module, std::string_view name);
  /// The same from two text nodes, whose text is not copied.
  NodeId add_global(NodeId module, NodeId name);
  /// Every global, in no particular order.
  std::vector<NodeId> globals() const;
  /// kNoNode where the graph has no such global.
  NodeId find_global(std::string_view module, std::string_view name) const;
  NodeId add_object(ObjectForm form, NodeId callable, NodeId args, NodeId keyword_args = kNoNode);
  NodeId add_persistent(NodeId id);
  NodeId add_tensor(uint32_t number);

  /// Node ID becomes what OTHER is; every reference to ID sees it. OTHER stays as it is. The two
  /// share their collection afterwards, so OTHER should not be edited any more.
  void replace(NodeId id, NodeId other) { nodes_[id] = nodes_[other]; }

  /// The entries of a dict, or of an object that behaves like one (OrderedDict, defaultdict, ...);
  /// null for everything else.
  const std::vector<Entry>* entries(NodeId id) const;
  std::vector<Entry>* entries_for_edit(NodeId id);
  /// The items of a tuple, list, or of an object that was appended to; empty for everything else.
  std::span<const NodeId> sequence(NodeId id) const;
  /// The value under a text key, the last one if there are several, or kNoNode.
  NodeId find(NodeId mapping, std::string_view key) const;
  /// Whether the node is an object made by calling MODULE.NAME.
  bool is_call_of(NodeId id, std::string_view module, std::string_view name) const;

 private:
  struct Node {
    NodeKind kind = NodeKind::none;
    uint8_t flags = 0;   // ObjectForm of an object
    uint32_t a = 0;      // text: length; tuple: count; collections: index; object: callable
    int64_t number = 0;  // the value, an address, or two 32-bit halves
  };
  NodeId add(Node node) {
    nodes_.push_back(node);
    return static_cast<NodeId>(nodes_.size() - 1);
  }
  NodeId lower(NodeId id) const { return static_cast<NodeId>(nodes_[id].number & 0xFFFFFFFF); }
  uint32_t upper(NodeId id) const {
    return static_cast<uint32_t>(static_cast<uint64_t>(nodes_[id].number) >> 32U);
  }

  std::vector<Node> nodes_;
  std::vector<NodeId> tuple_items_;
  std::deque<std::vector<NodeId>> lists_;
  std::deque<std::vector<Entry>> dicts_;
  std::deque<ObjectContent> contents_;
  std::unordered_map<NodeId, NodeId> keyword_args_;
  using GlobalKey = std::pair<std::string_view, std::string_view>;  // views of text nodes
  struct GlobalHash {
    size_t operator()(const GlobalKey& key) const {
      const std::hash<std::string_view> hash;
      return hash(key.first) * 31 + hash(key.second);
    }
  };
  std::unordered_map<GlobalKey, NodeId, GlobalHash> globals_;
  std::vector<NodeId> small_integers_;
  std::deque<std::string> owned_;
};

}  // namespace mlc::pickle
