#include "mlc/frontend/program_sizes.h"

#include "mlc/base/text.h"
#include "mlc/frontend/sympy_text.h"
#include "mlc/tensor/dtype.h"

#include <utility>

#include <fmt/format.h>

namespace mlc {

using ir::Bounds;
using ir::Expr;
using ir::ScalarKind;
using ir::ScalarType;
using ir::TensorType;
using ir::Type;

// {"s77": {"min_val": 1, "max_val": 64}}
Status ProgramSizes::read_ranges(const JsonPlace& root) {
  if (!root.has("range_constraints")) return {};
  MLC_TRY(const JsonPlace all, root.at("range_constraints"));
  if (!all.value().is_object()) return all.wrong("object");
  for (const auto& [key, value] : all.value().items()) {
    const JsonPlace range(value, all.place() + "." + key);
    Bounds bounds;
    if (range.has("min_val")) {
      MLC_TRY(const JsonPlace low, range.at("min_val"));
      if (low.value().is_number_integer()) bounds.low = low.value().get<int64_t>();
    }
    if (range.has("max_val")) {
      MLC_TRY(const JsonPlace high, range.at("max_val"));
      if (high.value().is_number_integer()) bounds.high = high.value().get<int64_t>();
    }
    if (bounds.low > bounds.high || bounds.low < -ir::kUnbounded) {
      return corrupt(printable(range.place()) + " leaves no size");
    }
    ranges_[key] = bounds;
  }
  return {};
}

Result<Expr> ProgramSizes::symbol(std::string_view name) {
  if (const auto known = symbols_.find(name)) return *known;
  if (!ir::is_symbol_name(name)) return corrupt(quoted(name, 60) + " is no name of a size");
  Bounds bounds;
  if (name[0] != 'u') bounds.low = 0;  // u0 and the like may be any integer
  const auto range = ranges_.find(name);
  if (range != ranges_.end()) bounds = range->second;
  return symbols_.symbol(std::string(name), bounds);
}

// {"as_int": 3} or {"as_expr": {"expr_str": "Symbol('s77', ...)", "hint": {"as_int": 2}}}
Result<std::optional<Expr>> ProgramSizes::size(const JsonPlace& value) {
  MLC_TRY(const auto member, value.only());
  const auto& [kind, held] = member;
  if (kind == "as_int") {
    MLC_TRY(const int64_t number, held.integer());
    return std::optional(symbols_.constant(number));
  }
  if (kind != "as_expr") return value.wrong("size");
  MLC_TRY(const JsonPlace text, held.at("expr_str"));
  MLC_TRY(const std::string expression, text.string());
  auto parsed =
      parse_sympy(expression, symbols_, [this](std::string_view name) { return symbol(name); });
  if (!parsed.ok()) return std::move(parsed).error().during(printable(text.place()));
  if (*parsed && held.has("hint")) {
    MLC_TRY(const JsonPlace hint, held.at("hint"));
    const std::string name = symbols_.text(**parsed);
    if (hint.has("as_int") && ir::is_symbol_name(name)) {
      MLC_TRY(const JsonPlace number, hint.at("as_int"));
      MLC_TRY(examples_[name], number.integer());
    }
  }
  return *parsed;
}

/// VALUE, or the symbol that stands for its text, with BOUNDS where it is new.
Result<Expr> ProgramSizes::size_or_symbol(const JsonPlace& value, std::string_view prefix,
                                          Bounds bounds) {
  MLC_TRY(const auto known, size(value));
  if (known) return *known;
  const std::string text = value.value()["as_expr"]["expr_str"].get<std::string>();
  const auto found = unread_.find(text);
  if (found != unread_.end()) return found->second;
  const Expr made = symbols_.fresh(prefix, bounds);
  unread_.emplace(text, made);
  return made;
}

Result<TensorType> ProgramSizes::tensor_type(const JsonPlace& graph, const std::string& name) {
  MLC_TRY(const JsonPlace all, graph.at("tensor_values"));
  MLC_TRY(const JsonPlace meta, all.at(name.c_str()));
  MLC_TRY(const JsonPlace code, meta.at("dtype"));
  MLC_TRY(const int64_t number, code.integer());
  TensorType out;
  out.dtype = dtype_from_pt2(number);
  if (!out.dtype) {
    return unsupported(
        fmt::format("{}: the type number {} is unknown", printable(meta.place()), number));
  }
  MLC_TRY(const JsonPlace list, meta.at("sizes"));
  MLC_TRY(const size_t rank, list.size());
  out.sizes.emplace();
  for (size_t i = 0; i < rank; ++i) {
    MLC_TRY(const JsonPlace item, list.at(i));
    MLC_TRY(const Expr one, size_or_symbol(item, "size", {0, ir::kUnbounded}));
    if (symbols_.bounds(one).high < 0) return item.wrong("size: it is negative");
    out.sizes->push_back(one);
  }
  return out;
}

Result<Type> ProgramSizes::integer_type(const JsonPlace& graph, const std::string& name) {
  ScalarType out{ScalarKind::integer, std::nullopt};
  if (graph.has("sym_int_values")) {
    MLC_TRY(const JsonPlace all, graph.at("sym_int_values"));
    if (all.has(name.c_str())) {
      MLC_TRY(const JsonPlace value, all.at(name.c_str()));
      MLC_TRY(out.value, size_or_symbol(value, "value", {}));
    }
  }
  if (!out.value) out.value = symbols_.fresh("value", {});
  return Type(out);
}

Result<std::vector<int64_t>> ProgramSizes::plain_sizes(const JsonPlace& list) {
  MLC_TRY(const size_t count, list.size());
  std::vector<int64_t> out;
  for (size_t i = 0; i < count; ++i) {
    MLC_TRY(const JsonPlace item, list.at(i));
    MLC_TRY(const auto one, size(item));
    const auto number = one ? symbols_.constant_value(*one) : std::nullopt;
    if (!number) return item.wrong("number, which weights must have");
    out.push_back(*number);
  }
  return out;
}

}  // namespace mlc
