#include "mlc/engine/related_sizes.h"

#include "mlc/base/checked_math.h"
#include "mlc/frontend/size_guards.h"
#include "mlc/ir/linear_size.h"

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <utility>

namespace mlc {
namespace {

/// What the sizes of SPEC are in PROGRAM; null where it is no tensor of it of that many dimensions.
const std::vector<ir::Expr>* sizes_in(const ExportedProgram& program, const InputSpec& spec) {
  const auto input = std::ranges::find(program.inputs, spec.name, &ProgramInput::name);
  if (input == program.inputs.end() || input->value == nullptr) return nullptr;
  const ir::TensorType* type = input->value->tensor();
  if (type == nullptr || !type->sizes || type->sizes->size() != spec.dims.size()) return nullptr;
  return &*type->sizes;
}

/// Calls VISIT(dimension, what it is in PROGRAM, index of the spec, index of the dimension).
void each_dim(const ExportedProgram& program, std::span<InputSpec> specs,
              const std::function<void(InputDim&, ir::Expr, size_t, size_t)>& visit) {
  for (size_t i = 0; i < specs.size(); ++i) {
    const std::vector<ir::Expr>* sizes = sizes_in(program, specs[i]);
    if (sizes == nullptr) continue;
    for (size_t k = 0; k < sizes->size(); ++k) visit(specs[i].dims[k], (*sizes)[k], i, k);
  }
}

/// The value of the symbol of GIVEN which gives the size nearest to WANTED that is not OLD, on the
/// side of OLD where WANTED is; nothing where BOUNDS allow none.
std::optional<int64_t> nearest_value(const ir::LinearSize& given, const ir::Bounds& bounds,
                                     int64_t old, int64_t wanted) {
  const auto from = given.solve(old);
  if (!from || wanted == old) return std::nullopt;
  const int64_t step = (wanted > old) == (given.factor > 0) ? 1 : -1;
  // Towards zero, so never beyond WANTED, seen from OLD.
  const int64_t steps = std::max<int64_t>(std::abs((wanted - old) / given.factor), 1);
  const int64_t least = std::max<int64_t>(bounds.low, 0);
  const auto there = checked_add(*from, step * steps);
  if (!there) return std::nullopt;
  const int64_t value = std::clamp(*there, std::min(least, bounds.high), bounds.high);
  if (value == *from) return std::nullopt;
  return value;
}

/// Of symbols, in the order of Symbols::all().
using Values = std::vector<std::optional<int64_t>>;

class Relation {
 public:
  Relation(const ExportedProgram& program, std::span<const InputSpec> specs)
      : program_(program),
        symbols_(program.graph.symbols()),
        guards_(program.guards),
        specs_(specs.begin(), specs.end()),
        known_(symbols_.all().size()) {
    each_dim(program_, specs_, [&](const InputDim& dim, ir::Expr size, size_t, size_t) {
      const auto given = ir::linear_size(symbols_, size);
      if (given && !known_[given->symbol]) known_[given->symbol] = given->solve(dim.example);
    });
  }

  void apply(VerifyCase& one) const {
    for (VerifyCase& other : one.instead) apply(other);
    if (one.other_size.empty()) return;
    Values values = known_;
    std::set<size_t> changed;
    each_dim(program_, one.specs, [&](InputDim& dim, ir::Expr size, size_t i, size_t k) {
      const int64_t old = specs_[i].dims[k].example;
      const auto given = ir::linear_size(symbols_, size);
      if (dim.example == old || !given || !changed.insert(given->symbol).second) return;
      const auto value = value_of(*given, old, dim.example);
      values[given->symbol] = value;
      if (value) rename(one, dim, given->at(*value));
    });
    if (const auto other = kept_by_another(values, changed)) changed.insert(*other);
    const ir::Evaluator evaluate(symbols_, values);
    each_dim(program_, one.specs, [&](InputDim& dim, ir::Expr size, size_t, size_t) {
      const auto follows = [&](size_t symbol) { return changed.contains(symbol); };
      if (!std::ranges::any_of(symbols_.symbols_of(size), follows)) return;
      dim.example = evaluate(size).value_or(dim.example);
    });
  }

 private:
  std::optional<int64_t> value_of(const ir::LinearSize& given, int64_t old, int64_t wanted) const {
    const auto exact = given.solve(wanted);
    if (exact) return exact;
    return nearest_value(given, symbols_.all()[given.symbol].bounds, old, wanted);
  }

  /// What VALUES make of a size that a guard names.
  std::optional<int64_t> size_of(const Values& values, std::string_view name,
                                 const std::optional<int64_t>& dim) const {
    const auto input = std::ranges::find(program_.inputs, name, &ProgramInput::name);
    if (!dim || input == program_.inputs.end() || input->value == nullptr) return std::nullopt;
    const ir::TensorType* type = input->value->tensor();
    if (type == nullptr || !type->sizes || std::cmp_greater_equal(*dim, type->sizes->size())) {
      return std::nullopt;
    }
    const ir::Expr size = (*type->sizes)[static_cast<size_t>(*dim)];
    if (const auto number = symbols_.constant_value(size)) return number;
    const auto given = ir::linear_size(symbols_, size);
    if (!given || !values[given->symbol]) return std::nullopt;
    return given->at(*values[given->symbol]);
  }

  bool keeps_guards(const Values& values) const {
    return !guards_.broken([&](std::string_view name, const std::optional<int64_t>& dim) {
      return size_of(values, name, dim);
    });
  }

  /// Where VALUES break a guard, the symbol, none of CHANGED, of which another value mends that: a
  /// mask is as long as the steps before and the new ones together. Its value is the nearest.
  std::optional<size_t> kept_by_another(Values& values, const std::set<size_t>& changed) const {
    constexpr int64_t kFarthest = 1024;
    if (changed.empty() || keeps_guards(values)) return std::nullopt;
    for (size_t i = 0; i < values.size(); ++i) {
      if (!known_[i] || changed.contains(i)) continue;
      const ir::Bounds& bounds = symbols_.all()[i].bounds;
      for (int64_t far = 1; far <= kFarthest; ++far) {
        for (const int64_t step : {far, -far}) {
          const auto value = checked_add(*known_[i], step);
          if (!value || *value < std::max<int64_t>(bounds.low, 0) || *value > bounds.high) continue;
          values[i] = value;
          if (keeps_guards(values)) return i;
        }
      }
      values[i] = known_[i];
    }
    return std::nullopt;
  }

  /// The label names the size that DIM gets.
  static void rename(VerifyCase& one, const InputDim& dim, std::optional<int64_t> size) {
    const bool several = one.other_size.find(',') != std::string::npos;
    if (!size || *size == dim.example || several) return;
    one.label.resize(one.label.size() - one.other_size.size());
    one.other_size = dim.symbol + "=" + std::to_string(*size);
    one.label += one.other_size;
  }

  const ExportedProgram& program_;
  const ir::Symbols& symbols_;
  SizeGuards guards_;
  std::vector<InputSpec> specs_;
  Values known_;  // of the symbols, at the sizes of specs_
};

}  // namespace

std::vector<InputSpec> with_computed_sizes(std::vector<InputSpec> specs,
                                           const ExportedProgram* program) {
  if (program == nullptr) return specs;
  const ir::Symbols& symbols = program->graph.symbols();
  std::set<size_t> told;
  each_dim(*program, specs, [&](const InputDim& dim, ir::Expr size, size_t, size_t) {
    const auto given = ir::linear_size(symbols, size);
    if (given && !dim.symbol.empty()) told.insert(given->symbol);
  });
  each_dim(*program, specs, [&](InputDim& dim, ir::Expr size, size_t, size_t) {
    const auto given = ir::linear_size(symbols, size);
    if (!given || !dim.symbol.empty() || !told.insert(given->symbol).second) return;
    dim.symbol = symbols.text(size);
    std::erase(dim.symbol, ' ');
    const ir::Bounds bounds = symbols.bounds(size);
    if (bounds.high != ir::kUnbounded) dim.bounds = {std::max<int64_t>(bounds.low, 0), bounds.high};
  });
  return specs;
}

std::vector<VerifyCase> with_related_sizes(std::vector<VerifyCase> cases,
                                           std::span<const InputSpec> specs,
                                           const ExportedProgram* program) {
  if (program == nullptr) return cases;
  const Relation relation(*program, specs);
  for (VerifyCase& one : cases) relation.apply(one);
  return cases;
}

}  // namespace mlc
