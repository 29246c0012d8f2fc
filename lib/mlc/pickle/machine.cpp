#include "mlc/pickle/machine.h"

#include "mlc/base/text.h"
#include "mlc/pickle/opcodes.h"
#include "mlc/pickle/text_values.h"

#include <algorithm>
#include <bit>

namespace mlc::pickle {
namespace {

constexpr size_t kMaxLineBytes = 1U << 20U;  // text opcodes
constexpr size_t kMaxIntegerBytes = 4096;    // LONG1, LONG4
constexpr size_t kMaxNameBytes = 1024;       // module, or name in it
constexpr size_t kUsualBytesPerNode = 11;    // of a state_dict 12 to 14; too few nodes would double
constexpr size_t kMaxReservedNodes = 1U << 22U;

}  // namespace

Machine::Machine(Bytes bytes, Graph& graph, const ReadOptions& options)
    : text_(as_text(bytes)), limit_(text_.size()), graph_(graph), options_(options) {
  const size_t nodes = std::min(text_.size() / kUsualBytesPerNode, kMaxReservedNodes);
  graph_.reserve(nodes);
  memo_.reserve(nodes);
}

bool Machine::fail(ErrorKind kind, std::string message, std::string hint) {
  if (error_) return false;
  std::string where = "pickle";
  if (opcode_at_ < text_.size()) {
    const auto byte = static_cast<uint8_t>(text_[opcode_at_]);
    const std::string_view name = opcode_name(byte);
    where = "pickle opcode " + (name.empty() ? "byte " + std::to_string(byte) : std::string(name)) +
            " at byte " + std::to_string(opcode_at_);
  }
  error_.emplace(kind, where + ": " + message, std::move(hint));
  return false;
}

bool Machine::next_frame_or_end() {
  if (in_frame_) {
    in_frame_ = false;
    limit_ = text_.size();
  }
  opcode_at_ = position_;
  return position_ < limit_ || bad("ends at byte " + std::to_string(position_) + " without STOP");
}

bool Machine::within_limits() {
  until_check_ = kOpcodesPerCheck;
  const size_t most = std::max({graph_.size(), stack_.size(), marks_.size()});
  return most <= options_.max_nodes ||
         bad("more than " + format_count(options_.max_nodes) + " values");
}

bool Machine::take(uint64_t length, std::string_view& out) {
  if (length > limit_ - position_) {
    return bad("claims " + std::to_string(length) + " bytes, " +
               std::to_string(limit_ - position_) + " are left" +
               (in_frame_ ? " in its frame" : ""));
  }
  out = text_.substr(position_, static_cast<size_t>(length));
  position_ += static_cast<size_t>(length);
  return true;
}

bool Machine::line(std::string_view& out) {
  const std::string_view rest =
      text_.substr(position_, std::min(limit_ - position_, kMaxLineBytes));
  const size_t end = rest.find('\n');
  if (end == std::string_view::npos) {
    return bad(rest.size() == kMaxLineBytes
                   ? "its line is longer than " + format_count(kMaxLineBytes) + " bytes"
                   : "its line has no end");
  }
  out = rest.substr(0, end);
  position_ += end + 1;
  return true;
}

bool Machine::put_far(uint64_t index, NodeId id) {
  const bool near = index < memo_.size() + kMemoSlack && index < memo_count_ + kMemoSlack;
  if (near && index >= memo_.size()) memo_.resize(static_cast<size_t>(index) + 1, kNoNode);
  NodeId& slot = index < memo_.size() ? memo_[static_cast<size_t>(index)]
                                      : far_memo_.try_emplace(index, kNoNode).first->second;
  if (slot == kNoNode) ++memo_count_;
  slot = id;
  return true;
}

bool Machine::text_argument(uint64_t length, NodeKind kind) {
  std::string_view value;
  if (!take(length, value)) return false;
  if (value.size() >= kNoNode) return fail(ErrorKind::unsupported, "a string of 4 GiB or more");
  if (kind == NodeKind::text && !is_python_utf8(value)) return bad("its text is not UTF-8");
  return push(graph_.add_borrowed(kind, value));
}

bool Machine::integer_argument(uint64_t length) {
  if (length > kMaxIntegerBytes) return bad("an integer of " + std::to_string(length) + " bytes");
  std::string_view raw;
  if (!take(length, raw)) return false;
  raw = shortest_integer(raw);
  if (raw.size() > sizeof(int64_t)) {
    return push(graph_.add_borrowed(NodeKind::big_integer, raw));
  }
  uint64_t value = 0;
  for (size_t i = 0; i < raw.size(); ++i) {
    value |= uint64_t{static_cast<uint8_t>(raw[i])} << (8 * i);
  }
  const bool negative = !raw.empty() && (static_cast<uint8_t>(raw.back()) & 0x80U) != 0;
  if (negative && raw.size() < sizeof value) value |= ~uint64_t{0} << (8 * raw.size());
  return push(graph_.add_integer(static_cast<int64_t>(value)));
}

bool Machine::real_argument() {
  uint64_t raw = 0;
  if (!number(raw)) return false;
  return push(graph_.add_real(std::bit_cast<double>(__builtin_bswap64(raw))));
}

bool Machine::protocol() {
  uint8_t version = 0;
  if (!number(version)) return false;
  if (version > 5) return fail(ErrorKind::unsupported, "protocol " + std::to_string(version));
  if (opcode_at_ == 0) result_.protocol = version;
  return true;
}

// A frame tells how many bytes belong together (protocol 4). Unpicklers disagree about arguments
// that cross its end, so such a pickle has two meanings and is refused.
bool Machine::begin_frame() {
  uint64_t length = 0;
  if (!number(length)) return false;
  if (in_frame_) return bad("a frame inside a frame");
  if (length > limit_ - position_) {
    return bad("a frame of " + std::to_string(length) + " bytes, " +
               std::to_string(limit_ - position_) + " are left");
  }
  in_frame_ = true;
  limit_ = position_ + static_cast<size_t>(length);
  return true;
}

bool Machine::stop() {
  if (!marks_.empty()) return bad("a MARK was never used");
  if (!pop(result_.root)) return false;
  if (!stack_.empty()) {
    result_.warnings.push_back("the pickle leaves " + plural(stack_.size(), "unused value"));
  }
  if (dropped_calls_ > 0) {
    result_.warnings.push_back("the pickle drops the result of " + plural(dropped_calls_, "call") +
                               ", which a rewrite leaves out");
  }
  return false;
}

bool Machine::pop_or_mark() {
  size_t begin = 0;
  if (!marks_.empty() && marks_.back() == stack_.size()) return pop_mark(begin);
  NodeId id = kNoNode;
  if (!pop(id)) return false;
  note_dropped_call(id);
  return true;
}

// Python drops a call only to fetch its twin, which a recursive object has written meanwhile, from
// the memo. Anything else is a call made for its effect.
void Machine::note_dropped_call(NodeId id) {
  const char after = position_ < text_.size() ? text_[position_] : '\0';
  const bool fetches = after == static_cast<char>(Opcode::binget) ||
                       after == static_cast<char>(Opcode::long_binget) ||
                       after == static_cast<char>(Opcode::get) ||
                       after == static_cast<char>(Opcode::pop);
  if (graph_.is(id, NodeKind::object) && !fetches) ++dropped_calls_;
}

bool Machine::marked_as_list(NodeKind kind) {
  size_t begin = 0;
  if (!pop_mark(begin)) return false;
  const NodeId id = graph_.add_list(kind);
  graph_.list(id).assign(stack_.begin() + static_cast<std::ptrdiff_t>(begin), stack_.end());
  return drop_from(begin) && push(id);
}

/// ITEMS are keys and values in turn. Python refuses keys that can change.
bool Machine::keys_are_hashable(std::span<const NodeId> items) const {
  for (size_t i = 0; i < items.size(); i += 2) {
    switch (graph_.kind(items[i])) {
      case NodeKind::list:
      case NodeKind::dict:
      case NodeKind::set:
      case NodeKind::bytearray:
        return false;
      default:
        break;
    }
  }
  return true;
}

bool Machine::marked_as_dict() {
  size_t begin = 0;
  if (!pop_mark(begin)) return false;
  const auto items = from(begin);
  if (items.size() % 2 != 0) return bad("a key without a value");
  if (!keys_are_hashable(items)) return bad("a list, dict or set as the key of a dict");
  const NodeId id = graph_.add_dict();
  for (size_t i = 0; i < items.size(); i += 2) graph_.dict(id).emplace_back(items[i], items[i + 1]);
  return drop_from(begin) && push(id);
}

// The collection below the last COUNT values, or below those since the mark, which begin at BEGIN.
bool Machine::target_of(size_t count, size_t& begin, NodeId& target) {
  if (count == 0 && !pop_mark(begin)) return false;
  const size_t reachable = stack_.size() - floor_;
  if (count != 0) begin = stack_.size() - std::min(count, reachable);
  if (begin <= floor_) return bad("the stack is empty");
  target = stack_[begin - 1];
  return true;
}

bool Machine::set_items(size_t count) {
  size_t begin = 0;
  NodeId target = kNoNode;
  if (!target_of(count, begin, target)) return false;
  const auto items = from(begin);
  if (items.size() % 2 != 0) return bad("a key without a value");
  if (!graph_.is(target, NodeKind::dict) && !graph_.is(target, NodeKind::object)) {
    return bad("sets items of something that is no dict");
  }
  if (items.empty()) return true;
  if (!keys_are_hashable(items)) return bad("a list, dict or set as the key of a dict");
  auto& entries = graph_.is(target, NodeKind::dict) ? graph_.dict(target)
                                                    : graph_.content_for_edit(target).items;
  for (size_t i = 0; i < items.size(); i += 2) entries.emplace_back(items[i], items[i + 1]);
  return drop_from(begin);
}

bool Machine::append_items(size_t count) {
  size_t begin = 0;
  NodeId target = kNoNode;
  if (!target_of(count, begin, target)) return false;
  if (!graph_.is(target, NodeKind::list) && !graph_.is(target, NodeKind::object)) {
    return bad("appends to something that is no list");
  }
  const auto items = from(begin);
  if (items.empty()) return true;
  auto& list = graph_.is(target, NodeKind::list) ? graph_.list(target)
                                                 : graph_.content_for_edit(target).appended;
  list.insert(list.end(), items.begin(), items.end());
  return drop_from(begin);
}

bool Machine::add_items() {
  size_t begin = 0;
  NodeId target = kNoNode;
  if (!target_of(0, begin, target)) return false;
  if (!graph_.is(target, NodeKind::set)) return bad("adds items to something that is no set");
  const auto items = from(begin);
  auto& list = graph_.list(target);
  list.insert(list.end(), items.begin(), items.end());
  return drop_from(begin);
}

bool Machine::build() {
  NodeId state = kNoNode;
  NodeId target = kNoNode;
  if (!pop(state) || !top(target)) return false;
  if (!graph_.is(target, NodeKind::object)) {
    return bad("gives a state to something that is no object");
  }
  ObjectContent& content = graph_.content_for_edit(target);
  if (content.state != kNoNode) return bad("gives one object a second state");
  content.state = state;
  return true;
}

/// Color(1) as Pickler::pushIValue of torch/csrc/jit writes it: "__torch__ Color", the value,
/// REDUCE.
bool Machine::is_script_enum(NodeId callable, NodeId value) const {
  if (!graph_.is(callable, NodeKind::global)) return false;
  const std::string_view module = graph_.global_module(callable);
  if (module != "__torch__" && !module.starts_with("__torch__.")) return false;
  const NodeKind kind = graph_.kind(value);
  return kind == NodeKind::integer || kind == NodeKind::real || kind == NodeKind::text;
}

bool Machine::call(ObjectForm form) {
  NodeId keywords = kNoNode;
  NodeId args = kNoNode;
  NodeId callable = kNoNode;
  if (form == ObjectForm::new_object_ex && !pop(keywords)) return false;
  if (!pop(args) || !pop(callable)) return false;
  if (form == ObjectForm::reduce && is_script_enum(callable, args)) {
    form = ObjectForm::reduce_value;
    args = graph_.add_tuple(std::span(&args, 1));
  }
  if (!graph_.is(args, NodeKind::tuple)) return bad("the arguments are no tuple");
  if (keywords != kNoNode && !graph_.is(keywords, NodeKind::dict)) {
    return bad("the keyword arguments are no dict");
  }
  switch (graph_.kind(callable)) {
    case NodeKind::global:
    case NodeKind::object:
    case NodeKind::persistent:
      return push(graph_.add_object(form, callable, args, keywords));
    default:
      return bad("calls something that is no name");
  }
}

bool Machine::add_global(NodeId module, NodeId name) {
  for (const std::string_view part : {graph_.text(module), graph_.text(name)}) {
    // Names are looked up by their text, so a long one repeated would cost the square of the file.
    if (part.size() > kMaxNameBytes) {
      return bad("a name longer than " + format_count(kMaxNameBytes) + " bytes");
    }
    if (!is_utf8(part)) return bad("the name is not UTF-8");
    if (part.find('\n') != std::string_view::npos) return bad("a name with a line break");
  }
  return push(graph_.add_global(module, name));
}

bool Machine::global_line() {
  std::string_view module;
  std::string_view name;
  if (!line(module) || !line(name)) return false;
  if (const NodeId known = graph_.find_global(module, name); known != kNoNode) return push(known);
  const NodeId module_node = graph_.add_borrowed(NodeKind::text, module);
  return add_global(module_node, graph_.add_borrowed(NodeKind::text, name));
}

bool Machine::stack_global() {
  NodeId name = kNoNode;
  NodeId module = kNoNode;
  if (!pop(name) || !pop(module)) return false;
  if (!graph_.is(name, NodeKind::text) || !graph_.is(module, NodeKind::text)) {
    return bad("the module or the name is no text");
  }
  return add_global(module, name);
}

bool Machine::persistent() {
  NodeId id = kNoNode;
  return pop(id) && push(graph_.add_persistent(id));
}

Result<ReadResult> Machine::result() && {
  if (error_) return std::move(*error_);
  result_.size = position_;
  return std::move(result_);
}

}  // namespace mlc::pickle
