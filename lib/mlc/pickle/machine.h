// The closed machine behind read(): a stack, marks, a memo and the bytes. Private to the reader.
//
// Every operation returns false after fail(); the first error is kept. What runs for each opcode of
// a large checkpoint is inline here, the rest is in machine.cpp; which opcode does what is the
// table of reader.cpp.
#pragma once

#include "mlc/base/bytes.h"
#include "mlc/pickle/graph.h"
#include "mlc/pickle/reader.h"

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace mlc::pickle {

class Machine {
 public:
  Machine(Bytes bytes, Graph& graph, const ReadOptions& options);

  Graph& graph() { return graph_; }
  const ReadOptions& options() const { return options_; }

  bool fail(ErrorKind kind, std::string message, std::string hint = {});
  bool bad(std::string message) { return fail(ErrorKind::corrupt, std::move(message)); }

  // The bytes. Nothing is read beyond the frame that is open.

  /// The next opcode. False at the end and where a limit is reached.
  bool next(uint8_t& byte);
  template <class T>
  bool number(T& out);
  /// The next LENGTH bytes, not copied.
  bool take(uint64_t length, std::string_view& out);
  /// The text up to the next newline, which is taken too.
  bool line(std::string_view& out);

  // The stack. Nothing below the last mark can be reached.
  bool push(NodeId id);
  bool top(NodeId& out);
  bool pop(NodeId& out);
  bool mark();
  /// Takes the last mark away: its items are those from BEGIN to the end of the stack.
  bool pop_mark(size_t& begin);
  std::span<const NodeId> from(size_t begin) const { return std::span(stack_).subspan(begin); }
  bool drop_from(size_t begin);

  // The memo.
  bool put(uint64_t index);
  bool get(uint64_t index);
  uint64_t memo_count() const { return memo_count_; }

  // Opcodes with more to them than a push.
  bool text_argument(uint64_t length, NodeKind kind);
  bool integer_argument(uint64_t length);
  bool real_argument();
  bool protocol();
  bool begin_frame();
  /// Takes the result. False, without an error, where all is well: there is nothing to go on with.
  bool stop();
  bool pop_or_mark();
  bool last_as_tuple(size_t count);
  bool marked_as_tuple();
  bool marked_as_list(NodeKind kind);
  bool keys_are_hashable(std::span<const NodeId> items) const;
  bool marked_as_dict();
  /// SETITEMS, APPENDS and ADDITEMS, of the last COUNT values or, with 0, of those since the mark.
  bool set_items(size_t count);
  bool append_items(size_t count);
  bool add_items();
  bool build();
  bool call(ObjectForm form);
  bool global_line();
  bool stack_global();
  bool persistent();

  Result<ReadResult> result() &&;

 private:
  bool next_frame_or_end();
  bool within_limits();
  bool target_of(size_t count, size_t& begin, NodeId& target);
  bool put_far(uint64_t index, NodeId id);
  bool add_global(NodeId module, NodeId name);
  void note_dropped_call(NodeId id);
  bool is_script_enum(NodeId callable, NodeId value) const;

  // So many opcodes run between two looks at the limits; each makes three nodes at most.
  static constexpr uint32_t kOpcodesPerCheck = 256;
  // How far a memo index may run ahead of the entries: one far ahead must not size a vector.
  static constexpr size_t kMemoSlack = 1U << 16U;

  std::string_view text_;
  size_t position_ = 0;
  size_t limit_;  // end of the bytes, or of the frame that is open
  bool in_frame_ = false;
  size_t opcode_at_ = 0;
  Graph& graph_;
  const ReadOptions& options_;
  std::vector<NodeId> stack_;
  std::vector<size_t> marks_;
  size_t floor_ = 0;  // the last mark
  uint32_t until_check_ = kOpcodesPerCheck;
  std::vector<NodeId> memo_;
  std::unordered_map<uint64_t, NodeId> far_memo_;
  uint64_t memo_count_ = 0;
  uint64_t dropped_calls_ = 0;
  ReadResult result_;
  std::optional<Error> error_;
};

template <class T>
bool Machine::number(T& out) {
  if (limit_ - position_ < sizeof(T)) return bad("the argument is cut off");
  out = load_le<T>(text_.data() + position_);
  position_ += sizeof(T);
  return true;
}

inline bool Machine::next(uint8_t& byte) {
  if (position_ == limit_ && !next_frame_or_end()) return false;
  if (--until_check_ == 0 && !within_limits()) return false;
  opcode_at_ = position_;
  byte = static_cast<uint8_t>(text_[position_++]);
  return true;
}

inline bool Machine::push(NodeId id) {
  stack_.push_back(id);
  return true;
}

inline bool Machine::top(NodeId& out) {
  if (stack_.size() <= floor_) return bad("the stack is empty");
  out = stack_.back();
  return true;
}

inline bool Machine::pop(NodeId& out) {
  if (!top(out)) return false;
  stack_.pop_back();
  return true;
}

inline bool Machine::mark() {
  floor_ = stack_.size();
  marks_.push_back(floor_);
  return true;
}

inline bool Machine::pop_mark(size_t& begin) {
  if (marks_.empty()) return bad("there is no MARK");
  begin = marks_.back();
  marks_.pop_back();
  floor_ = marks_.empty() ? 0 : marks_.back();
  return true;
}

inline bool Machine::drop_from(size_t begin) {
  stack_.resize(begin);
  return true;
}

inline bool Machine::put(uint64_t index) {
  NodeId id = kNoNode;
  if (!top(id)) return false;
  if (index != memo_.size()) return put_far(index, id);
  memo_.push_back(id);
  ++memo_count_;
  return true;
}

inline bool Machine::get(uint64_t index) {
  if (index < memo_.size() && memo_[static_cast<size_t>(index)] != kNoNode) {
    return push(memo_[static_cast<size_t>(index)]);
  }
  const auto it = far_memo_.find(index);
  if (it == far_memo_.end()) return bad("memo " + std::to_string(index) + " was never set");
  return push(it->second);
}

inline bool Machine::last_as_tuple(size_t count) {
  if (stack_.size() - floor_ < count) return bad("the stack is empty");
  const size_t begin = stack_.size() - count;
  const NodeId id = graph_.add_tuple(from(begin));
  return drop_from(begin) && push(id);
}

inline bool Machine::marked_as_tuple() {
  size_t begin = 0;
  if (!pop_mark(begin)) return false;
  const NodeId id = graph_.add_tuple(from(begin));
  return drop_from(begin) && push(id);
}

}  // namespace mlc::pickle
