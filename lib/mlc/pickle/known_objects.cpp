// numpy/_core/src/multiarray/scalartypes.c.src (reduce, repr); CPython's Modules/_datetimemodule.c.
#include "mlc/pickle/known_objects.h"

#include "mlc/pickle/byte_spellings.h"
#include "mlc/pickle/names_today.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <cstdlib>

namespace mlc::pickle {
namespace {

struct ScalarType {
  std::string_view name;  // of the dtype
  char kind;
  unsigned bits;
};

constexpr ScalarType kScalarTypes[] = {
    {"b1", 'b', 8},  {"i1", 'i', 8},  {"i2", 'i', 16}, {"i4", 'i', 32},   {"i8", 'i', 64},
    {"u1", 'u', 8},  {"u2", 'u', 16}, {"u4", 'u', 32}, {"u8", 'u', 64},   {"f2", 'f', 16},
    {"f4", 'f', 32}, {"f8", 'f', 64}, {"c8", 'c', 64}, {"c16", 'c', 128},
};

bool is_text(const Graph& graph, NodeId node) {
  return graph.is(node, NodeKind::text) || graph.is(node, NodeKind::old_string);
}

bool is_call_of(const Graph& graph, NodeId node, std::string_view path) {
  if (!graph.is(node, NodeKind::object) || !graph.is(graph.callable(node), NodeKind::global)) {
    return false;
  }
  const NodeId callable = graph.callable(node);
  return path_today(graph.global_module(callable), graph.global_name(callable)) == path;
}

const ScalarType* scalar_type(const Graph& graph, NodeId dtype) {
  if (!is_call_of(graph, dtype, "numpy.dtype")) return nullptr;
  const auto args = graph.sequence(graph.args(dtype));
  if (args.empty() || !is_text(graph, args[0])) return nullptr;
  const auto* const row = std::ranges::find(kScalarTypes, graph.text(args[0]), &ScalarType::name);
  return row != std::end(kScalarTypes) ? row : nullptr;
}

/// Whether the state of a dtype, (3, '>', ...), says so.
bool is_big_endian(const Graph& graph, NodeId dtype) {
  const ObjectContent* content = graph.content(dtype);
  if (content == nullptr || content->state == kNoNode) return false;
  const auto state = graph.sequence(content->state);
  return state.size() > 1 && is_text(graph, state[1]) && graph.text(state[1]) == ">";
}

uint64_t little_endian(std::string_view bytes) {
  uint64_t out = 0;
  for (size_t i = bytes.size(); i-- > 0;) out = out << 8U | static_cast<unsigned char>(bytes[i]);
  return out;
}

double half_value(uint64_t code) {
  const auto exponent = static_cast<int>(code >> 10U & 0x1FU);
  const auto fraction = static_cast<double>(code & 0x3FFU);
  const double sign = (code & 0x8000U) != 0 ? -1 : 1;
  if (exponent == 31) return fraction == 0 ? sign * INFINITY : NAN;
  return sign *
         (exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25));
}

double real_value(uint64_t code, unsigned bits) {
  if (bits == 16) return half_value(code);
  if (bits == 32) return static_cast<double>(std::bit_cast<float>(static_cast<uint32_t>(code)));
  return std::bit_cast<double>(code);
}

/// The fewest digits, as 1.5e-05, that round to VALUE, which is finite and positive.
std::string shortest_half(double value) {
  int exponent = 0;
  const double mantissa = std::frexp(value, &exponent);  // in [0.5, 1)
  const double step = std::ldexp(1.0, std::max(exponent - 11, -24));
  const double below = mantissa == 0.5 && exponent > -13 ? step / 4 : step / 2;
  std::array<char, 32> text{};
  for (int digits = 0; digits < 8; ++digits) {
    std::snprintf(text.data(), text.size(), "%.*e", digits, value);
    const double difference = std::strtod(text.data(), nullptr) - value;
    const bool tie = difference == step / 2 || difference == -below;
    if (tie && std::fmod(value / step, 2) == 0) break;  // ties are for the even one
    if (difference < step / 2 && difference > -below) break;
  }
  return text.data();
}

std::string shortest(double value, unsigned bits) {
  if (bits == 16) return shortest_half(value);
  std::array<char, 32> text{};
  const auto scientific = std::chars_format::scientific;
  char* const end = text.data() + text.size();
  const auto done = bits == 32
                        ? std::to_chars(text.data(), end, static_cast<float>(value), scientific)
                        : std::to_chars(text.data(), end, value, scientific);
  return {text.data(), done.ptr};
}

/// 1.5e+02 as 150.
std::string positional(std::string_view scientific) {
  const size_t e = scientific.find('e');
  const int exponent = std::atoi(std::string(scientific.substr(e + 1)).c_str());
  std::string digits(scientific.substr(0, e));
  std::erase(digits, '.');
  if (exponent < 0) return "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  const size_t whole = static_cast<size_t>(exponent) + 1;
  if (digits.size() < whole) digits.append(whole - digits.size(), '0');
  if (digits.size() > whole) digits.insert(whole, 1, '.');
  return digits;
}

/// As NumPy shows a float; WHOLE is behind what has no point then.
std::string real_text(double value, unsigned bits, std::string_view whole) {
  if (std::isnan(value)) return "nan";
  const std::string sign = std::signbit(value) ? "-" : "";
  const double magnitude = std::abs(value);
  if (std::isinf(value)) return sign + "inf";
  if (magnitude == 0) return sign + "0" + std::string(whole);
  const double limit = bits == 16 ? 1e3 : bits == 32 ? 1e6 : 1e16;
  const std::string scientific = shortest(magnitude, bits);
  if (magnitude >= limit || magnitude < 1e-4) return sign + scientific;
  const std::string text = positional(scientific);
  return sign + text + std::string(text.find('.') == std::string::npos ? whole : "");
}

std::string complex_text(const NumpyScalar& scalar) {
  const unsigned bits = scalar.bits / 2;
  std::string out = real_text(scalar.imaginary, bits, "") + "j";
  if (scalar.real == 0 && !std::signbit(scalar.real)) return out;
  const bool signless = out[0] != '-';
  return real_text(scalar.real, bits, "") + (signless ? "+" : "") + out;
}

}  // namespace

std::optional<NumpyScalar> numpy_scalar(const Graph& graph, NodeId node) {
  if (!is_call_of(graph, node, "numpy._core.multiarray.scalar")) return std::nullopt;
  const auto args = graph.sequence(graph.args(node));
  const ScalarType* type = args.size() == 2 ? scalar_type(graph, args[0]) : nullptr;
  if (type == nullptr) return std::nullopt;
  auto bytes = bytes_value(graph, args[1]);
  if (!bytes || bytes->size() * 8 != type->bits) return std::nullopt;
  const unsigned part_bits = type->kind == 'c' ? type->bits / 2 : type->bits;
  const size_t part = part_bits / 8;
  if (is_big_endian(graph, args[0])) {
    for (size_t at = 0; at < bytes->size(); at += part) {
      std::reverse(bytes->data() + at, bytes->data() + at + part);
    }
  }
  NumpyScalar out{type->kind, type->bits};
  const std::string_view first = std::string_view(*bytes).substr(0, part);
  const std::string_view second = std::string_view(*bytes).substr(part);
  if (type->kind == 'f' || type->kind == 'c') {
    out.real = real_value(little_endian(first), part_bits);
    if (type->kind == 'c') out.imaginary = real_value(little_endian(second), part_bits);
    return out;
  }
  out.integer = little_endian(first);
  const bool negative = type->kind == 'i' && first.back() < 0;
  if (negative && type->bits < 64) out.integer |= ~uint64_t{0} << type->bits;
  return out;
}

std::string numpy_number(const NumpyScalar& scalar) {
  if (scalar.kind == 'f') return real_text(scalar.real, scalar.bits, "");
  if (scalar.kind == 'i') return std::to_string(static_cast<int64_t>(scalar.integer));
  return std::to_string(scalar.integer);
}

std::string numpy_repr(const NumpyScalar& scalar) {
  const std::string bits = std::to_string(scalar.bits) + "(";
  switch (scalar.kind) {
    case 'b':
      return scalar.integer != 0 ? "np.True_" : "np.False_";
    case 'i':
      return "np.int" + bits + numpy_number(scalar) + ")";
    case 'u':
      return "np.uint" + bits + numpy_number(scalar) + ")";
    case 'c':
      return "np.complex" + bits + complex_text(scalar) + ")";
    default:
      return "np.float" + bits + real_text(scalar.real, scalar.bits, ".0") + ")";
  }
}

std::optional<std::string> open_date_repr(const Graph& graph, NodeId node) {
  const bool time = is_call_of(graph, node, "datetime.datetime");
  if (!time && !is_call_of(graph, node, "datetime.date")) return std::nullopt;
  const auto args = graph.sequence(graph.args(node));
  const auto bytes = args.empty() || args.size() > 2 ? std::nullopt : bytes_value(graph, args[0]);
  if (!bytes || bytes->size() != (time ? 10U : 4U) || (!time && args.size() > 1)) {
    return std::nullopt;
  }
  const auto at = [&bytes](size_t i) { return static_cast<unsigned char>((*bytes)[i]); };
  const unsigned month = at(2) & 0x7FU;  // the top bit is `fold`
  std::string out = time ? "datetime.datetime(" : "datetime.date(";
  out += std::to_string(at(0) * 256U + at(1)) + ", " + std::to_string(month) + ", " +
         std::to_string(at(3));
  if (!time) return out;
  const unsigned micros = at(7) * 65536U + at(8) * 256U + at(9);
  out += ", " + std::to_string(at(4)) + ", " + std::to_string(at(5));
  if (at(6) != 0 || micros != 0) out += ", " + std::to_string(at(6));
  if (micros != 0) out += ", " + std::to_string(micros);
  return (at(2) & 0x80U) != 0 ? out + ", fold=1" : out;
}

}  // namespace mlc::pickle
