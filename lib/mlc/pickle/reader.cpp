#include "mlc/pickle/reader.h"

#include "mlc/base/text.h"
#include "mlc/pickle/machine.h"
#include "mlc/pickle/opcodes.h"
#include "mlc/pickle/text_values.h"

#include <array>
#include <charconv>

namespace mlc::pickle {
namespace {

using Handler = bool (*)(Machine&);

// Reads a count or memo number of type T and gives it to USE.
template <class T, class Use>
bool with_number(Machine& m, Use use) {
  T value{};
  return m.number(value) && use(m, value);
}

template <class T, NodeKind kKind>
bool text_of(Machine& m) {
  return with_number<T>(m, [](Machine& n, T length) { return n.text_argument(length, kKind); });
}

template <class T>
bool integer_of(Machine& m) {
  return with_number<T>(m, [](Machine& n, T v) { return n.push(n.graph().add_integer(v)); });
}

template <class T>
bool long_of(Machine& m) {
  return with_number<T>(m, [](Machine& n, T length) { return n.integer_argument(length); });
}

template <class T>
bool put_of(Machine& m) {
  return with_number<T>(m, [](Machine& n, T index) { return n.put(index); });
}

template <class T>
bool get_of(Machine& m) {
  return with_number<T>(m, [](Machine& n, T index) { return n.get(index); });
}

bool not_a(Machine& m, std::string_view what, std::string_view text) {
  return m.bad("not " + std::string(what) + ": " + quoted(text, 40));
}

bool integer_text(Machine& m, std::string_view text) {
  const auto parsed = parse_integer(text);
  if (!parsed) return not_a(m, "an integer", text);
  if (const auto* small = std::get_if<int64_t>(&*parsed)) {
    return m.push(m.graph().add_integer(*small));
  }
  return m.push(m.graph().add_owned(NodeKind::big_integer, std::get<std::string>(*parsed)));
}

bool int_line(Machine& m) {
  std::string_view text;
  if (!m.line(text)) return false;
  if (text == "00" || text == "01") return m.push(m.graph().boolean_node(text == "01"));
  return integer_text(m, text);
}

bool long_line(Machine& m) {
  std::string_view text;
  if (!m.line(text)) return false;
  if (text.ends_with('L')) text.remove_suffix(1);
  return integer_text(m, text);
}

bool float_line(Machine& m) {
  std::string_view text;
  if (!m.line(text)) return false;
  const auto parsed = parse_real(text);
  return parsed ? m.push(m.graph().add_real(*parsed)) : not_a(m, "a number", text);
}

bool string_line(Machine& m) {
  std::string_view text;
  if (!m.line(text)) return false;
  const auto parsed = parse_quoted_string(text);
  if (!parsed) return not_a(m, "a quoted string", text);
  return m.push(m.graph().add_owned(NodeKind::old_string, *parsed));
}

bool unicode_line(Machine& m) {
  std::string_view text;
  if (!m.line(text)) return false;
  const auto parsed = parse_raw_unicode(text);
  return parsed ? m.push(m.graph().add_text(*parsed)) : not_a(m, "a text", text);
}

bool memo_line(Machine& m, uint64_t& index) {
  std::string_view text;
  if (!m.line(text)) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), index);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  return whole || not_a(m, "a memo number", text);
}

bool get_line(Machine& m) {
  uint64_t index = 0;
  return memo_line(m, index) && m.get(index);
}

bool put_line(Machine& m) {
  uint64_t index = 0;
  return memo_line(m, index) && m.put(index);
}

bool persistent_line(Machine& m) {
  if (!m.options().allow_text_persistent_ids) {
    return m.fail(ErrorKind::unsupported,
                  "storages named in text (pickle protocol 0), which PyTorch itself cannot load",
                  "save the file again with torch.save's default protocol");
  }
  std::string_view text;
  if (!m.line(text)) return false;
  if (!is_python_utf8(text)) return m.bad("its text is not UTF-8");
  return m.push(m.graph().add_persistent(m.graph().add_borrowed(NodeKind::text, text)));
}

bool drop_marked(Machine& m) {
  size_t begin = 0;
  return m.pop_mark(begin) && m.drop_from(begin);
}

bool duplicate(Machine& m) {
  NodeId id = kNoNode;
  return m.top(id) && m.push(id);
}

bool refuse(Machine& m) {
  return m.fail(ErrorKind::unsupported, "an opcode that no checkpoint needs; refused for safety");
}

bool refuse_buffer(Machine& m) {
  return m.fail(ErrorKind::unsupported, "an out-of-band buffer, which is not in the file");
}

struct Row {
  Opcode opcode;
  Handler handler;
};

constexpr Row kRows[] = {
    {Opcode::proto, [](Machine& m) { return m.protocol(); }},
    {Opcode::frame, [](Machine& m) { return m.begin_frame(); }},
    {Opcode::stop, [](Machine& m) { return m.stop(); }},

    {Opcode::none, [](Machine& m) { return m.push(m.graph().none()); }},
    {Opcode::newtrue, [](Machine& m) { return m.push(m.graph().boolean_node(true)); }},
    {Opcode::newfalse, [](Machine& m) { return m.push(m.graph().boolean_node(false)); }},
    {Opcode::binint, integer_of<int32_t>},
    {Opcode::binint1, integer_of<uint8_t>},
    {Opcode::binint2, integer_of<uint16_t>},
    {Opcode::long1, long_of<uint8_t>},
    {Opcode::long4, long_of<uint32_t>},
    {Opcode::binfloat, [](Machine& m) { return m.real_argument(); }},
    {Opcode::binunicode, text_of<uint32_t, NodeKind::text>},
    {Opcode::short_binunicode, text_of<uint8_t, NodeKind::text>},
    {Opcode::binunicode8, text_of<uint64_t, NodeKind::text>},
    {Opcode::binstring, text_of<uint32_t, NodeKind::old_string>},
    {Opcode::short_binstring, text_of<uint8_t, NodeKind::old_string>},
    {Opcode::binbytes, text_of<uint32_t, NodeKind::bytes>},
    {Opcode::short_binbytes, text_of<uint8_t, NodeKind::bytes>},
    {Opcode::binbytes8, text_of<uint64_t, NodeKind::bytes>},
    {Opcode::bytearray8, text_of<uint64_t, NodeKind::bytearray>},

    {Opcode::int_text, int_line},
    {Opcode::long_text, long_line},
    {Opcode::float_text, float_line},
    {Opcode::string, string_line},
    {Opcode::unicode, unicode_line},

    {Opcode::mark, [](Machine& m) { return m.mark(); }},
    {Opcode::pop, [](Machine& m) { return m.pop_or_mark(); }},
    {Opcode::pop_mark, drop_marked},
    {Opcode::dup, duplicate},

    {Opcode::binput, put_of<uint8_t>},
    {Opcode::long_binput, put_of<uint32_t>},
    {Opcode::put, put_line},
    {Opcode::memoize, [](Machine& m) { return m.put(m.memo_count()); }},
    {Opcode::binget, get_of<uint8_t>},
    {Opcode::long_binget, get_of<uint32_t>},
    {Opcode::get, get_line},

    {Opcode::empty_tuple, [](Machine& m) { return m.push(m.graph().empty_tuple()); }},
    {Opcode::tuple1, [](Machine& m) { return m.last_as_tuple(1); }},
    {Opcode::tuple2, [](Machine& m) { return m.last_as_tuple(2); }},
    {Opcode::tuple3, [](Machine& m) { return m.last_as_tuple(3); }},
    {Opcode::tuple, [](Machine& m) { return m.marked_as_tuple(); }},
    {Opcode::empty_list, [](Machine& m) { return m.push(m.graph().add_list()); }},
    {Opcode::list, [](Machine& m) { return m.marked_as_list(NodeKind::list); }},
    {Opcode::append, [](Machine& m) { return m.append_items(1); }},
    {Opcode::appends, [](Machine& m) { return m.append_items(0); }},
    {Opcode::empty_dict, [](Machine& m) { return m.push(m.graph().add_dict()); }},
    {Opcode::dict, [](Machine& m) { return m.marked_as_dict(); }},
    {Opcode::setitem, [](Machine& m) { return m.set_items(2); }},
    {Opcode::setitems, [](Machine& m) { return m.set_items(0); }},
    {Opcode::empty_set, [](Machine& m) { return m.push(m.graph().add_list(NodeKind::set)); }},
    {Opcode::additems, [](Machine& m) { return m.add_items(); }},
    {Opcode::frozenset, [](Machine& m) { return m.marked_as_list(NodeKind::frozenset); }},

    {Opcode::global, [](Machine& m) { return m.global_line(); }},
    {Opcode::stack_global, [](Machine& m) { return m.stack_global(); }},
    {Opcode::reduce, [](Machine& m) { return m.call(ObjectForm::reduce); }},
    {Opcode::newobj, [](Machine& m) { return m.call(ObjectForm::new_object); }},
    {Opcode::newobj_ex, [](Machine& m) { return m.call(ObjectForm::new_object_ex); }},
    {Opcode::build, [](Machine& m) { return m.build(); }},
    {Opcode::binpersid, [](Machine& m) { return m.persistent(); }},
    {Opcode::persid, persistent_line},

    {Opcode::inst, refuse},
    {Opcode::obj, refuse},
    {Opcode::ext1, refuse},
    {Opcode::ext2, refuse},
    {Opcode::ext4, refuse},
    {Opcode::next_buffer, refuse_buffer},
    {Opcode::readonly_buffer, refuse_buffer},
};

constexpr std::array<Handler, 256> by_byte() {
  std::array<Handler, 256> out{};
  for (Handler& handler : out) {
    handler = [](Machine& m) {
      return m.bad("no such opcode; this is not a pickle, or it is damaged");
    };
  }
  for (const Row& row : kRows) out[static_cast<uint8_t>(row.opcode)] = row.handler;
  return out;
}

constexpr auto kHandlers = by_byte();

// What torch/_weights_only_unpickler.py runs; anything else stops it.
constexpr std::array kWeightsOnly = {
    Opcode::proto,       Opcode::stop,      Opcode::mark,
    Opcode::none,        Opcode::newtrue,   Opcode::newfalse,
    Opcode::binint,      Opcode::binint1,   Opcode::binint2,
    Opcode::long1,       Opcode::binfloat,  Opcode::binunicode,
    Opcode::binput,      Opcode::binget,    Opcode::short_binstring,
    Opcode::long_binput, Opcode::tuple,     Opcode::long_binget,
    Opcode::tuple1,      Opcode::tuple2,    Opcode::tuple3,
    Opcode::empty_tuple, Opcode::append,    Opcode::empty_list,
    Opcode::appends,     Opcode::setitem,   Opcode::empty_dict,
    Opcode::setitems,    Opcode::empty_set, Opcode::global,
    Opcode::reduce,      Opcode::newobj,    Opcode::build,
    Opcode::binpersid,
};

constexpr std::array<bool, 256> refused_bytes() {
  std::array<bool, 256> out{};
  for (bool& refused : out) refused = true;
  for (const Opcode opcode : kWeightsOnly) out[static_cast<uint8_t>(opcode)] = false;
  return out;
}

constexpr auto kRefused = refused_bytes();

}  // namespace

Result<ReadResult> read(Bytes bytes, Graph& graph, const ReadOptions& options) {
  Machine machine(bytes, graph, options);
  uint8_t byte = 0;
  std::string_view refused;
  while (machine.next(byte)) {
    if (kRefused[byte] && refused.empty()) refused = opcode_name(byte);
    if (!kHandlers[byte](machine)) break;
  }
  MLC_TRY(ReadResult result, std::move(machine).result());
  result.refused_opcode = refused;
  return result;
}

}  // namespace mlc::pickle
