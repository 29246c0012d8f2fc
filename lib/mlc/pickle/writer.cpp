#include "mlc/pickle/writer.h"

#include "mlc/base/bytes.h"
#include "mlc/pickle/opcodes.h"
#include "mlc/pickle/text_values.h"

#include <algorithm>
#include <bit>
#include <optional>

namespace mlc::pickle {
namespace {

constexpr size_t kBatch = 1000;
constexpr uint32_t kUnset = 0xFFFFFFFF;
constexpr uint32_t kOpen = 0xFFFFFFFE;     // an object whose arguments are being written
constexpr size_t kUsualBytesPerNode = 16;  // reserved, so that growing seldom copies

class Pickler {
 public:
  explicit Pickler(const Graph& graph) : graph_(graph), memo_(graph.size(), kUnset) {
    out_.reserve(graph.size() * kUsualBytesPerNode);
  }

  Result<std::string> run(NodeId root) {
    op_with(Opcode::proto, uint8_t{2});
    if (!save(root)) return std::move(*error_);
    op(Opcode::stop);
    if (needs_protocol_4_) out_[1] = '\x04';
    return std::move(out_);
  }

 private:
  void op(Opcode opcode) { out_ += static_cast<char>(opcode); }
  template <class T>
  void op_with(Opcode opcode, T argument);
  void op_sized(Opcode short_form, Opcode long_form, std::string_view bytes);
  void memo_put(NodeId id);
  void memo_get(uint32_t index);
  void save_integer(int64_t value);
  void save_big_integer(std::string_view bytes);
  void save_text(std::string_view text);
  void save_global_name(std::string_view module, std::string_view name);

  // Every function below returns false after it has set error_.
  bool save(NodeId id);
  bool save_new(NodeId id);
  bool save_nested(NodeId id);
  bool save_each(std::span<const NodeId> items);
  bool save_each(std::span<const Entry> entries);
  bool save_bytes(NodeId id);
  bool save_tuple(NodeId id);
  bool save_args(NodeId id);
  bool save_items(std::span<const NodeId> items);
  bool save_exact_dict(std::span<const Entry> entries);
  template <class T>
  bool save_batches(std::span<const T> items, Opcode one, Opcode many);
  bool save_set(NodeId id);
  bool save_object(NodeId id);
  bool save_content(const ObjectContent& content);
  bool save_implicit_global(std::string_view module, std::string_view name);
  void save_latin1();
  void memo_put_call(NodeId id);
  void reopen(NodeId id);

  const Graph& graph_;
  std::vector<uint32_t> memo_;
  // Names that only the pickle has (set, _codecs.encode) and the text "latin1".
  std::unordered_map<std::string, uint32_t> implicit_;
  std::vector<NodeId> path_;  // from the root to the node that is being written
  uint32_t memo_count_ = 0;
  bool needs_protocol_4_ = false;
  std::optional<Error> error_;
  std::string out_;
};

template <class T>
void Pickler::op_with(Opcode opcode, T argument) {
  char raw[1 + sizeof(T)];
  raw[0] = static_cast<char>(opcode);
  store_le(raw + 1, argument);
  out_.append(raw, sizeof raw);
}

void Pickler::op_sized(Opcode short_form, Opcode long_form, std::string_view bytes) {
  if (bytes.size() < 256) {
    op_with(short_form, static_cast<uint8_t>(bytes.size()));
  } else {
    op_with(long_form, static_cast<uint32_t>(bytes.size()));
  }
  out_ += bytes;
}

void Pickler::memo_put(NodeId id) {
  const uint32_t index = memo_count_++;
  if (id != kNoNode) memo_[id] = index;
  if (index < 256) {
    op_with(Opcode::binput, static_cast<uint8_t>(index));
  } else {
    op_with(Opcode::long_binput, index);
  }
}

void Pickler::memo_get(uint32_t index) {
  if (index < 256) {
    op_with(Opcode::binget, static_cast<uint8_t>(index));
  } else {
    op_with(Opcode::long_binget, index);
  }
}

void Pickler::save_integer(int64_t value) {
  if (value < INT32_MIN || value > INT32_MAX) {
    char raw[sizeof value];
    store_le(raw, value);
    return save_big_integer({raw, sizeof raw});
  }
  if (value >= 0 && value <= 0xFF) {
    op_with(Opcode::binint1, static_cast<uint8_t>(value));
  } else if (value >= 0 && value <= 0xFFFF) {
    op_with(Opcode::binint2, static_cast<uint16_t>(value));
  } else {
    op_with(Opcode::binint, static_cast<int32_t>(value));
  }
}

void Pickler::save_big_integer(std::string_view bytes) {
  bytes = shortest_integer(bytes);
  op_sized(Opcode::long1, Opcode::long4, bytes);
}

void Pickler::save_text(std::string_view text) {
  op_with(Opcode::binunicode, static_cast<uint32_t>(text.size()));
  out_ += text;
}

void Pickler::save_global_name(std::string_view module, std::string_view name) {
  op(Opcode::global);
  out_.append(module).append(1, '\n').append(name).append(1, '\n');
}

bool Pickler::save_implicit_global(std::string_view module, std::string_view name) {
  if (const NodeId id = graph_.find_global(module, name); id != kNoNode) return save(id);
  const std::string key = std::string(module).append(1, '\n').append(name);
  if (const auto it = implicit_.find(key); it != implicit_.end()) {
    memo_get(it->second);
    return true;
  }
  implicit_.emplace(key, memo_count_);
  save_global_name(module, name);
  memo_put(kNoNode);
  return true;
}

// The codec's name is one and the same string of CPython (interned), so it is memoised too.
void Pickler::save_latin1() {
  if (const auto it = implicit_.find("latin1"); it != implicit_.end()) return memo_get(it->second);
  implicit_.emplace("latin1", memo_count_);
  save_text("latin1");
  memo_put(kNoNode);
}

bool Pickler::save(NodeId id) {
  if (memo_[id] < kOpen) {
    memo_get(memo_[id]);
    return true;
  }
  return save_new(id);
}

bool Pickler::save_new(NodeId id) {
  switch (graph_.kind(id)) {
    case NodeKind::none:
      op(Opcode::none);
      return true;
    case NodeKind::boolean:
      op(graph_.boolean(id) ? Opcode::newtrue : Opcode::newfalse);
      return true;
    case NodeKind::integer:
      save_integer(graph_.integer(id));
      return true;
    case NodeKind::big_integer:
      save_big_integer(graph_.text(id));
      return true;
    case NodeKind::real:
      op_with(Opcode::binfloat, __builtin_bswap64(std::bit_cast<uint64_t>(graph_.real(id))));
      return true;
    case NodeKind::text:
      save_text(graph_.text(id));
      memo_put(id);
      return true;
    case NodeKind::old_string:
      op_sized(Opcode::short_binstring, Opcode::binstring, graph_.text(id));
      memo_put(id);
      return true;
    case NodeKind::global:
      save_global_name(graph_.global_module(id), graph_.global_name(id));
      memo_put(id);
      return true;
    default:
      break;
  }
  if (path_.size() >= kMaxDepth) {
    error_ = unsupported("values nested deeper than " + std::to_string(kMaxDepth));
    return false;
  }
  if (memo_[id] == kOpen) reopen(id);
  path_.push_back(id);
  const bool done = save_nested(id);
  path_.pop_back();
  return done;
}

bool Pickler::save_nested(NodeId id) {
  switch (graph_.kind(id)) {
    case NodeKind::bytes:
    case NodeKind::bytearray:
      return save_bytes(id);
    case NodeKind::tuple:
      return save_tuple(id);
    case NodeKind::list:
      op(Opcode::empty_list);
      memo_put(id);
      return save_items(graph_.list(id));
    case NodeKind::dict:
      op(Opcode::empty_dict);
      memo_put(id);
      return save_exact_dict(graph_.dict(id));
    case NodeKind::set:
    case NodeKind::frozenset:
      return save_set(id);
    case NodeKind::object:
      return save_object(id);
    case NodeKind::persistent:
      if (!save(graph_.persistent_id(id))) return false;
      op(Opcode::binpersid);
      return true;
    default:
      error_ = internal_error("a tensor reached the pickle writer");
      return false;
  }
}

bool Pickler::save_each(std::span<const NodeId> items) {
  return std::ranges::all_of(items, [this](NodeId item) { return save(item); });
}

bool Pickler::save_each(std::span<const Entry> entries) {
  return std::ranges::all_of(
      entries, [this](const Entry& entry) { return save(entry.first) && save(entry.second); });
}

// Protocol 2 has no bytes: _codecs.encode(text, 'latin1'), and bytearray(bytes) around it.
bool Pickler::save_bytes(NodeId id) {
  const bool array = graph_.is(id, NodeKind::bytearray);
  if (array && !save_implicit_global("__builtin__", "bytearray")) return false;
  if (graph_.text(id).empty()) {
    if (!array && !save_implicit_global("__builtin__", "bytes")) return false;
    op(Opcode::empty_tuple);
    op(Opcode::reduce);
    memo_put_call(id);
    return true;
  }
  if (!save_implicit_global("_codecs", "encode")) return false;
  save_text(latin1_to_utf8(graph_.text(id)));
  memo_put(kNoNode);
  save_latin1();
  op(Opcode::tuple2);
  memo_put(kNoNode);
  if (array) {
    op(Opcode::reduce);
    memo_put(kNoNode);
    op(Opcode::tuple1);
    memo_put(kNoNode);
  }
  op(Opcode::reduce);
  memo_put_call(id);
  return true;
}

void append_tuple_opcode(std::string& out, size_t count) {
  static constexpr Opcode kForms[] = {Opcode::tuple1, Opcode::tuple2, Opcode::tuple3,
                                      Opcode::tuple};
  out += static_cast<char>(kForms[std::min<size_t>(count, 4) - 1]);
}

bool Pickler::save_tuple(NodeId id) {
  const auto items = graph_.tuple(id);
  if (items.empty()) {
    op(Opcode::empty_tuple);
    return true;
  }
  const bool marked = items.size() > 3;
  if (marked) op(Opcode::mark);
  if (!save_each(items)) return false;
  if (memo_[id] == kUnset) {
    append_tuple_opcode(out_, items.size());
    memo_put(id);
    return true;
  }
  // The tuple contains itself through something mutable, which has written it meanwhile.
  if (marked) {
    op(Opcode::pop_mark);
  } else {
    out_.append(items.size(), static_cast<char>(Opcode::pop));
  }
  memo_get(memo_[id]);
  return true;
}

// The arguments of a call. Each reduction of an object makes a new tuple, so one that leads back to
// itself is written out both times.
bool Pickler::save_args(NodeId id) {
  const auto items = graph_.tuple(id);
  if (items.empty() || memo_[id] != kUnset) return save(id);
  if (items.size() > 3) op(Opcode::mark);
  path_.push_back(id);
  const bool done = save_each(items);
  path_.pop_back();
  if (!done) return false;
  append_tuple_opcode(out_, items.size());
  memo_put(memo_[id] == kUnset ? id : kNoNode);
  return true;
}

// batch_list_exact: only a list of one uses APPEND; a last batch of one has its MARK.
bool Pickler::save_items(std::span<const NodeId> items) {
  if (items.size() == 1) return save_batches(items, Opcode::append, Opcode::appends);
  for (size_t begin = 0; begin < items.size(); begin += kBatch) {
    op(Opcode::mark);
    if (!save_each(items.subspan(begin, std::min(kBatch, items.size() - begin)))) return false;
    op(Opcode::appends);
  }
  return true;
}

// batch_dict_exact: after a full batch CPython looks for more and writes an empty one at the end.
bool Pickler::save_exact_dict(std::span<const Entry> entries) {
  if (entries.size() <= 1) return save_batches(entries, Opcode::setitem, Opcode::setitems);
  for (size_t begin = 0; begin <= entries.size(); begin += kBatch) {
    op(Opcode::mark);
    if (!save_each(entries.subspan(begin, std::min(kBatch, entries.size() - begin)))) return false;
    op(Opcode::setitems);
  }
  return true;
}

// batch_list and batch_dict over what an object yields: a last batch of one has no MARK.
template <class T>
bool Pickler::save_batches(std::span<const T> items, Opcode one, Opcode many) {
  for (size_t begin = 0; begin < items.size(); begin += kBatch) {
    const auto batch = items.subspan(begin, std::min(kBatch, items.size() - begin));
    if (batch.size() > 1) op(Opcode::mark);
    if (!save_each(batch)) return false;
    op(batch.size() > 1 ? many : one);
  }
  return true;
}

// Protocol 2 has no sets: set([...]).
bool Pickler::save_set(NodeId id) {
  const auto* const name = graph_.is(id, NodeKind::set) ? "set" : "frozenset";
  if (!save_implicit_global("__builtin__", name)) return false;
  op(Opcode::empty_list);
  memo_put(kNoNode);
  if (!save_items(graph_.list(id))) return false;
  op(Opcode::tuple1);
  memo_put(kNoNode);
  op(Opcode::reduce);
  memo_put_call(id);
  return true;
}

// Memoises what a call has made. Where the arguments contain the object, they have written it
// meanwhile, and it is that one that counts.
void Pickler::memo_put_call(NodeId id) {
  if (memo_[id] >= kOpen) {
    memo_put(id);
  } else {
    op(Opcode::pop);
    memo_get(memo_[id]);
  }
}

// An object met again inside its own arguments is written once more, with new arguments, and so are
// the list or dict in them if the pickle filled it before the call (its items are older than
// itself). One that was filled after the call is referred to.
void Pickler::reopen(NodeId id) {
  auto it = std::find(path_.rbegin(), path_.rend(), id).base();
  for (; it != path_.end() && it + 1 != path_.end(); ++it) {
    const NodeKind kind = graph_.kind(*it);
    if (kind == NodeKind::tuple) continue;
    if (kind != NodeKind::list && kind != NodeKind::dict) return;
    if (*(it + 1) < *it) memo_[*it] = kUnset;
  }
}

bool Pickler::save_object(NodeId id) {
  memo_[id] = kOpen;
  const NodeId args = graph_.args(id);
  if (!save(graph_.callable(id))) return false;
  const bool bare = graph_.object_form(id) == ObjectForm::reduce_value;
  if (!(bare ? save(graph_.tuple(args)[0]) : save_args(args))) return false;
  switch (graph_.object_form(id)) {
    case ObjectForm::reduce:
    case ObjectForm::reduce_value:
      op(Opcode::reduce);
      break;
    case ObjectForm::new_object:
      op(Opcode::newobj);
      break;
    case ObjectForm::new_object_ex:
      if (!save(graph_.keyword_args(id))) return false;
      op(Opcode::newobj_ex);
      needs_protocol_4_ = true;
      break;
  }
  const bool written_inside = memo_[id] != kOpen;
  memo_put_call(id);
  const ObjectContent* content = written_inside ? nullptr : graph_.content(id);
  return content == nullptr || save_content(*content);
}

bool Pickler::save_content(const ObjectContent& content) {
  const std::span<const NodeId> appended(content.appended);
  const std::span<const Entry> items(content.items);
  if (!save_batches(appended, Opcode::append, Opcode::appends)) return false;
  if (!save_batches(items, Opcode::setitem, Opcode::setitems)) return false;
  if (content.state == kNoNode) return true;
  if (!save(content.state)) return false;
  op(Opcode::build);
  return true;
}

}  // namespace

Result<std::string> write(const Graph& graph, NodeId root) {
  return Pickler(graph).run(root);
}

}  // namespace mlc::pickle
