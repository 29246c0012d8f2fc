#include "mlc/frontend/guarded_sizes.h"

#include "mlc/base/text.h"
#include "mlc/frontend/size_guards.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include <fmt/format.h>

namespace mlc {
namespace {

using ir::Bounds;
using ir::Expr;
using ir::RealRange;

RealRange range_of(const Bounds& bounds) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  return {bounds.low == -ir::kUnbounded ? -kInfinity : static_cast<double>(bounds.low),
          bounds.high == ir::kUnbounded ? kInfinity : static_cast<double>(bounds.high)};
}

class Narrowing {
 public:
  Narrowing(const ExportedProgram& program, const SizeGuards& guards, size_t symbol)
      : program_(program),
        symbols_(program.graph.symbols()),
        guards_(guards),
        symbol_(symbol),
        given_(symbols_.all()[symbol].bounds) {}

  /// The bounds around EXAMPLE, which all guards take.
  Bounds around(int64_t example) {
    Bounds out = given_;
    out.high = end(example, out, +1);
    // Here a guard may refute single sizes, as those that are odd.
    for (int i = 0; i < kMostSingles && out.high != ir::kUnbounded && out.high > example; ++i) {
      if (!refuted({out.high, out.high})) break;
      --out.high;
    }
    why_not_more_ = std::exchange(why_, "");
    out.low = end(example, out, -1);
    for (int i = 0; i < kMostSingles && out.low < example; ++i) {
      if (!refuted({out.low, out.low})) break;
      ++out.low;
    }
    return out;
  }
  /// The guards that refuted larger and smaller sizes; empty where none did.
  const std::string& why_not_more() const { return why_not_more_; }
  const std::string& why_not_less() const { return why_; }

 private:
  static constexpr int kMostSingles = 64;
  static constexpr int kMostDoublings = 40;

  bool refuted(const Bounds& sizes) {
    const auto found = guards_.refuted(
        [&](std::string_view input, const std::optional<int64_t>& dim) -> std::optional<RealRange> {
          const auto size = size_of(input, dim);
          if (!size) return std::nullopt;
          const bool is_it = symbols_.text(*size) == symbols_.all()[symbol_].name;
          return range_of(is_it ? sizes : symbols_.bounds(*size));
        });
    if (found) why_ = *found;
    return found.has_value();
  }

  std::optional<Expr> size_of(std::string_view name, const std::optional<int64_t>& dim) const {
    const auto input =
        std::find_if(program_.inputs.begin(), program_.inputs.end(),
                     [&](const ProgramInput& one) { return one.name == name && one.value; });
    if (input == program_.inputs.end()) return std::nullopt;
    const ir::TensorType* type = input->value->tensor();
    if (type == nullptr) {
      return dim ? std::nullopt : std::get<ir::ScalarType>(input->value->type()).value;
    }
    if (!dim || !type->sizes || *dim >= static_cast<int64_t>(type->sizes->size())) {
      return std::nullopt;
    }
    return (*type->sizes)[static_cast<size_t>(*dim)];
  }

  /// The last size from EXAMPLE on, upwards or downwards (STEP), behind which all are refuted;
  /// where there is none, what BOUNDS have.
  int64_t end(int64_t example, const Bounds& bounds, int64_t step) {
    const int64_t limit = step > 0 ? bounds.high : bounds.low;
    const auto behind = [&](int64_t size) {
      return step > 0 ? Bounds{size + 1, limit} : Bounds{limit, size - 1};
    };
    const auto is_end = [&](int64_t size) { return refuted(behind(size)); };
    int64_t reach = 0;
    for (int i = 0;; ++i) {
      const bool is_beyond = step > 0 ? limit - example <= reach : example - limit <= reach;
      if (i > kMostDoublings || is_beyond) return limit;
      if (is_end(example + step * reach)) break;
      reach = std::max<int64_t>(2 * reach, 1);
    }
    int64_t least = 0;
    while (least < reach) {
      const int64_t middle = (least + reach) / 2;
      if (is_end(example + step * middle)) {
        reach = middle;
      } else {
        least = middle + 1;
      }
    }
    is_end(example + step * reach);  // for why_
    return example + step * reach;
  }

  const ExportedProgram& program_;
  const ir::Symbols& symbols_;
  const SizeGuards& guards_;
  size_t symbol_;
  Bounds given_;
  std::string why_;  // the guard that refuted sizes last
  std::string why_not_more_;
};

/// The first dimension of an input that is SYMBOL: "x.size(1)".
std::optional<std::string> place_of(const ExportedProgram& program, const std::string& symbol) {
  for (const ProgramInput& input : program.inputs) {
    const ir::TensorType* type = input.value == nullptr ? nullptr : input.value->tensor();
    if (type == nullptr || !type->sizes) continue;
    for (size_t i = 0; i < type->sizes->size(); ++i) {
      if (program.graph.symbols().text((*type->sizes)[i]) != symbol) continue;
      return fmt::format("{}.size({})", printable(input.name), i);
    }
  }
  return std::nullopt;
}

/// A guard as a sentence can have it.
std::string shown(const std::string& guard) {
  constexpr size_t kMost = 300;
  return guard.size() <= kMost ? printable(guard) : printable(guard.substr(0, kMost)) + "...";
}

}  // namespace

GuardedSizes guarded_sizes(const ExportedProgram& program) {
  GuardedSizes out;
  const SizeGuards guards(program.guards);
  if (guards.all().empty()) return out;
  const std::vector<ir::Symbol>& symbols = program.graph.symbols().all();
  for (size_t i = 0; i < symbols.size(); ++i) {
    const auto example = program.examples.find(symbols[i].name);
    const auto place = place_of(program, symbols[i].name);
    const Bounds& given = symbols[i].bounds;
    if (!place || example == program.examples.end()) continue;
    if (example->second < given.low || example->second > given.high) continue;
    Narrowing narrowing(program, guards, i);
    const Bounds now = narrowing.around(example->second);
    if (now == given) continue;
    out.ranges.emplace(symbols[i].name, now);
    if (now.low == now.high) {
      std::string why = narrowing.why_not_more();
      const std::string& less = narrowing.why_not_less();
      if (!less.empty() && less != why) why += (why.empty() ? "" : " and on ") + less;
      out.notes.push_back(
          fmt::format("{} is {} only: the export relies on {}", *place, now.low, shown(why)));
    } else if (now.high != given.high) {
      out.notes.push_back(fmt::format("{} is {} to {} only: the export relies on {}", *place,
                                      now.low, now.high, shown(narrowing.why_not_more())));
    }
  }
  return out;
}

}  // namespace mlc
