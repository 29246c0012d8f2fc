#include "mlc/pickle/opcodes.h"

#include <array>

namespace mlc::pickle {
namespace {

struct Row {
  Opcode opcode;
  std::string_view name;
};

constexpr std::array kRows = {
    Row{Opcode::mark, "MARK"},
    Row{Opcode::stop, "STOP"},
    Row{Opcode::pop, "POP"},
    Row{Opcode::pop_mark, "POP_MARK"},
    Row{Opcode::dup, "DUP"},
    Row{Opcode::float_text, "FLOAT"},
    Row{Opcode::int_text, "INT"},
    Row{Opcode::binint, "BININT"},
    Row{Opcode::binint1, "BININT1"},
    Row{Opcode::long_text, "LONG"},
    Row{Opcode::binint2, "BININT2"},
    Row{Opcode::none, "NONE"},
    Row{Opcode::persid, "PERSID"},
    Row{Opcode::binpersid, "BINPERSID"},
    Row{Opcode::reduce, "REDUCE"},
    Row{Opcode::string, "STRING"},
    Row{Opcode::binstring, "BINSTRING"},
    Row{Opcode::short_binstring, "SHORT_BINSTRING"},
    Row{Opcode::unicode, "UNICODE"},
    Row{Opcode::binunicode, "BINUNICODE"},
    Row{Opcode::append, "APPEND"},
    Row{Opcode::build, "BUILD"},
    Row{Opcode::global, "GLOBAL"},
    Row{Opcode::dict, "DICT"},
    Row{Opcode::empty_dict, "EMPTY_DICT"},
    Row{Opcode::appends, "APPENDS"},
    Row{Opcode::get, "GET"},
    Row{Opcode::binget, "BINGET"},
    Row{Opcode::inst, "INST"},
    Row{Opcode::long_binget, "LONG_BINGET"},
    Row{Opcode::list, "LIST"},
    Row{Opcode::empty_list, "EMPTY_LIST"},
    Row{Opcode::obj, "OBJ"},
    Row{Opcode::put, "PUT"},
    Row{Opcode::binput, "BINPUT"},
    Row{Opcode::long_binput, "LONG_BINPUT"},
    Row{Opcode::setitem, "SETITEM"},
    Row{Opcode::tuple, "TUPLE"},
    Row{Opcode::empty_tuple, "EMPTY_TUPLE"},
    Row{Opcode::setitems, "SETITEMS"},
    Row{Opcode::binfloat, "BINFLOAT"},
    Row{Opcode::proto, "PROTO"},
    Row{Opcode::newobj, "NEWOBJ"},
    Row{Opcode::ext1, "EXT1"},
    Row{Opcode::ext2, "EXT2"},
    Row{Opcode::ext4, "EXT4"},
    Row{Opcode::tuple1, "TUPLE1"},
    Row{Opcode::tuple2, "TUPLE2"},
    Row{Opcode::tuple3, "TUPLE3"},
    Row{Opcode::newtrue, "NEWTRUE"},
    Row{Opcode::newfalse, "NEWFALSE"},
    Row{Opcode::long1, "LONG1"},
    Row{Opcode::long4, "LONG4"},
    Row{Opcode::binbytes, "BINBYTES"},
    Row{Opcode::short_binbytes, "SHORT_BINBYTES"},
    Row{Opcode::short_binunicode, "SHORT_BINUNICODE"},
    Row{Opcode::binunicode8, "BINUNICODE8"},
    Row{Opcode::binbytes8, "BINBYTES8"},
    Row{Opcode::empty_set, "EMPTY_SET"},
    Row{Opcode::additems, "ADDITEMS"},
    Row{Opcode::frozenset, "FROZENSET"},
    Row{Opcode::newobj_ex, "NEWOBJ_EX"},
    Row{Opcode::stack_global, "STACK_GLOBAL"},
    Row{Opcode::memoize, "MEMOIZE"},
    Row{Opcode::frame, "FRAME"},
    Row{Opcode::bytearray8, "BYTEARRAY8"},
    Row{Opcode::next_buffer, "NEXT_BUFFER"},
    Row{Opcode::readonly_buffer, "READONLY_BUFFER"},
};

}  // namespace

std::string_view opcode_name(uint8_t byte) {
  for (const Row& row : kRows) {
    if (static_cast<uint8_t>(row.opcode) == byte) return row.name;
  }
  return {};
}

}  // namespace mlc::pickle
