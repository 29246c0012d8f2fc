#include "mlc/engine/verify.h"

#include "mlc/base/checked_math.h"
#include "mlc/base/text.h"
#include "mlc/engine/exception_text.h"
#include "mlc/engine/held_inputs.h"
#include "mlc/engine/match_inputs.h"
#include "mlc/engine/sample_inputs.h"

#include <algorithm>
#include <iterator>
#include <map>

namespace mlc {
namespace {

/// Another size for a dimension: the next one if nothing is known, else one that its bounds allow,
/// up to twice the example; nothing where they allow no other.
std::optional<int64_t> other_size(const InputDim& dim) {
  if (!dim.bounds) return dim.example + 1;
  const int64_t wanted = dim.example < 2 ? dim.example + 1 : dim.example * 2;
  const int64_t size = std::min(wanted, dim.bounds->second);
  if (size == dim.example) return std::nullopt;
  return size;
}

/// Every symbol with its other size, by name.
std::map<std::string, int64_t> other_sizes(std::span<const InputSpec> specs) {
  std::map<std::string, int64_t> out;
  for (const InputSpec& spec : specs) {
    for (const InputDim& dim : spec.dims) {
      const auto size = other_size(dim);
      if (!dim.symbol.empty() && size) out.try_emplace(dim.symbol, *size);
    }
  }
  return out;
}

std::vector<InputSpec> resized(std::span<const InputSpec> specs, const std::string& symbol,
                               int64_t size) {
  std::vector<InputSpec> out(specs.begin(), specs.end());
  for (InputSpec& spec : out) {
    for (InputDim& dim : spec.dims) {
      if (dim.symbol == symbol) dim.example = size;
    }
  }
  compute_sizes(out);
  return out;
}

VerifyCase other_case(std::span<const InputSpec> specs, const std::string& symbol, int64_t size,
                      uint64_t seed) {
  const std::string other = symbol + "=" + std::to_string(size);
  return {
      "seed " + std::to_string(seed) + ", " + other, resized(specs, symbol, size), seed, other, {}};
}

/// SYMBOL larger than its example together with each of the other DIMS, as far as bounds allow: for
/// models that take both so and neither alone, as a mask is as long as a cache and what is new.
std::vector<VerifyCase> cases_together(std::span<const InputSpec> specs,
                                       const std::map<std::string, InputDim>& dims,
                                       const std::string& symbol, uint64_t seed) {
  constexpr size_t kMost = 8;
  const auto larger = [&](const InputDim& dim, int64_t by) -> std::optional<int64_t> {
    const auto size = checked_add(dim.example, by);
    return size && (!dim.bounds || *size <= dim.bounds->second) ? size : std::nullopt;
  };
  std::vector<VerifyCase> out;
  const int64_t by = dims.at(symbol).example + 1;
  const auto size = larger(dims.at(symbol), by);
  if (!size) return out;
  for (const auto& [other, dim] : dims) {
    const auto with = other == symbol ? std::nullopt : larger(dim, by);
    if (!with || out.size() == kMost) continue;
    VerifyCase one = other_case(specs, symbol, *size, seed);
    one.specs = resized(one.specs, other, *with);
    const std::string text = ", " + other + "=" + std::to_string(*with);
    one.label += text;
    one.other_size += text;
    out.push_back(std::move(one));
  }
  return out;
}

/// 0 where the bounds of SYMBOL do not allow it, or 64 bits.
int64_t twice_the_example(std::span<const InputSpec> specs, const std::string& symbol) {
  for (const InputSpec& spec : specs) {
    for (const InputDim& dim : spec.dims) {
      if (dim.symbol != symbol) continue;
      const auto twice = checked_mul<int64_t>(dim.example, 2);
      return twice && (!dim.bounds || *twice <= dim.bounds->second) ? *twice : 0;
    }
  }
  return 0;
}

/// One less than the example, where the bounds of DIM allow it: for models that take no larger
/// size.
std::optional<int64_t> one_less(const InputDim& dim) {
  const int64_t low = dim.bounds ? std::max<int64_t>(dim.bounds->first, 1) : 1;
  return dim.example > low ? std::optional(dim.example - 1) : std::nullopt;
}

/// Every named dimension, by its name, as it is first met.
std::map<std::string, InputDim> named_dims(std::span<const InputSpec> specs) {
  std::map<std::string, InputDim> out;
  for (const InputSpec& spec : specs) {
    for (const InputDim& dim : spec.dims) {
      if (!dim.symbol.empty()) out.try_emplace(dim.symbol, dim);
    }
  }
  return out;
}

std::vector<VerifyCase> seeded_cases(std::span<const InputSpec> specs, uint64_t seed,
                                     uint64_t samples) {
  const auto is_random = [](const InputSpec& spec) {
    return spec.file.empty() && held_values(spec) == nullptr;
  };
  const auto is_held = [](const InputSpec& spec) { return held_values(spec) != nullptr; };
  std::vector<VerifyCase> out;
  const bool any_held = std::ranges::any_of(specs, is_held);
  if (any_held) out.push_back({"sample inputs", {specs.begin(), specs.end()}, seed, "", {}});
  const std::vector<InputSpec> others = without_floating_values(specs);
  const bool random = std::ranges::any_of(others, is_random);
  if (!random && !any_held && !specs.empty()) return {{"given inputs", others, seed, "", {}}};
  const uint64_t seeds = random ? samples : any_held ? 0 : 1;
  for (uint64_t i = 0; i < seeds; ++i) {
    out.push_back({"seed " + std::to_string(seed + i), others, seed + i, "", {}});
  }
  return out;
}

Result<std::vector<NamedValue>> outputs_of(Model& model, std::span<const NamedValue> inputs) {
  MLC_CHECK(model.set_inputs(inputs));
  MLC_CHECK(model.run());
  return model.outputs();
}

/// What outputs of A and B may differ by: with weights in half precision, as much as it makes.
OutputTolerances tolerances_of(const Model& a, const Model& b, const VerifyGates& gates) {
  OutputTolerances out{gates.tolerance, gates.integers, gates.by_dtype, gates.of_largest};
  if (!gates.by_dtype) return out;
  for (const Model* model : {&a, &b}) {
    const std::optional<DType> type = model->signature().parameters;
    if (type) out.usual = usual_tolerance(*type, *type, out.usual);
  }
  for (const DType type : gates.weights) out.usual = usual_tolerance(type, type, out.usual);
  return out;
}

/// Of the largest of SPECS.
uint64_t most_elements(std::span<const InputSpec> specs) {
  uint64_t most = 0;
  for (const InputSpec& spec : specs) {
    uint64_t count = 1;
    for (const InputDim& dim : spec.dims) {
      const auto size = static_cast<uint64_t>(std::max<int64_t>(dim.example, 0));
      count = checked_mul(count, size).value_or(UINT64_MAX);
    }
    most = std::max(most, count);
  }
  return most;
}

/// What ERROR says, in one line, with the file that it points into: "net.yaml:18:11: ...".
std::string in_one_line(const Error& error) {
  const std::string text = error.text();
  const std::string line = text.substr(0, text.find('\n'));
  return error.file().empty() ? line : error.file() + ":" + line;
}

/// Adds to COMPARISON the texts that differ, by name.
void compare_texts(std::span<const NamedText> a, std::span<const NamedText> b,
                   OutputsComparison& comparison) {
  for (size_t i = 0; i < std::max(a.size(), b.size()); ++i) {
    const bool in_both = i < a.size() && i < b.size();
    if (in_both && a[i].text == b[i].text) continue;
    OutputDifference one;
    one.name = i < a.size() ? a[i].name : b[i].name;
    if (in_both && b[i].name != one.name) one.name_b = b[i].name;
    one.problem = (i < a.size() ? "text " + quoted(a[i].text) : "no text") + " against " +
                  (i < b.size() ? quoted(b[i].text) : "no text");
    comparison.outputs.push_back(std::move(one));
  }
}

/// Makes a problem of every type that is not the same on both sides.
void refuse_other_types(OutputsComparison& comparison) {
  for (OutputDifference& one : comparison.outputs) {
    if (!one.problem.empty() || one.dtype == one.dtype_b) continue;
    one.problem =
        std::string(info(one.dtype).brief) + " against " + std::string(info(one.dtype_b).brief);
  }
}

bool has_case(std::span<const VerifyCase> cases, const VerifyCase& wanted) {
  return std::ranges::any_of(
      cases, [&](const VerifyCase& one) { return one.other_size == wanted.other_size; });
}

}  // namespace

bool held_to_tolerance(const OutputDifference& output, const VerifyGates& gates) {
  if (gates.cosine) return output.values.count < gates.least_for_cosine;
  // Without rows nothing would be checked.
  return !gates.top1 || !output.top1;
}

std::vector<Gate> failed_gates(const OutputDifference& output, const VerifyGates& gates) {
  const CompareResult& values = output.values;
  const bool all_finite =
      values.nan_pairs + values.infinite_pairs + values.both_nan + values.both_infinite == 0;
  if (!output.problem.empty() || (gates.finite && !all_finite)) return {Gate::values};
  const bool by_tolerance = held_to_tolerance(output, gates);
  std::vector<Gate> out;
  if ((by_tolerance || gates.with_tolerance) && !output.within_tolerance()) {
    out.push_back(Gate::tolerance);
  }
  if (by_tolerance) return out;
  // NaNs of one side are unlike whatever is there, and the cosine knows finite pairs only.
  if (values.nan_pairs > 0 || (gates.cosine && values.infinite_pairs > 0)) {
    out.push_back(Gate::values);
  } else if (gates.cosine && !values.bit_equal && values.cosine.value_or(0) < *gates.cosine) {
    out.push_back(Gate::cosine);
  } else if (gates.rel_norm && values.rel_norm.value_or(0) > *gates.rel_norm) {
    out.push_back(Gate::rel_norm);
  }
  if (gates.top1 && output.top1 && *output.top1 < *gates.top1) out.push_back(Gate::top1);
  return out;
}

bool counts_as_same(const OutputDifference& output, const VerifyGates& gates) {
  return failed_gates(output, gates).empty();
}

std::vector<VerifyCase> verify_cases(std::span<const InputSpec> specs, uint64_t seed,
                                     uint64_t samples) {
  std::vector<VerifyCase> out = seeded_cases(specs, seed, samples);
  const auto dims = named_dims(specs);
  for (const auto& [symbol, size] : other_sizes(specs)) {
    VerifyCase one = other_case(specs, symbol, size, seed);
    const int64_t twice = twice_the_example(specs, symbol);
    if (twice != size && twice > 0) one.instead.push_back(other_case(specs, symbol, twice, seed));
    if (const auto less = one_less(dims.at(symbol)); less && *less != size) {
      one.instead.push_back(other_case(specs, symbol, *less, seed));
      one.instead.back().may_broadcast = *less == 1;
    }
    out.push_back(std::move(one));
  }
  return out;
}

std::vector<VerifyCase> export_cases(std::span<const InputSpec> specs, uint64_t seed,
                                     uint64_t samples,
                                     const std::map<std::string, int64_t>& least) {
  std::vector<VerifyCase> out = seeded_cases(specs, seed, samples);
  const auto dims = named_dims(specs);
  for (const auto& [symbol, dim] : dims) {
    const int64_t high = dim.bounds ? dim.bounds->second : INT64_MAX;
    const int64_t twice = checked_mul<int64_t>(dim.example, 2).value_or(dim.example);
    std::vector<VerifyCase> larger;
    for (const int64_t size : {std::min(twice, high - 1) + 1, twice, dim.example + 1}) {
      if (size > dim.example && size <= high) {
        larger.push_back(other_case(specs, symbol, size, seed));
      }
    }
    const auto known = least.find(symbol);
    const int64_t low =
        std::max(dim.bounds ? dim.bounds->first : 1, known == least.end() ? 1 : known->second);
    // Where 1 is tried too, it will do if the bounds have no room above.
    const auto less = one_less(dim);
    if (!larger.empty()) {
      auto together = cases_together(specs, dims, symbol, seed);
      larger.insert(larger.end(), std::make_move_iterator(together.begin()),
                    std::make_move_iterator(together.end()));
    }
    if (less && *less >= low && (low > 1 || !larger.empty())) {
      larger.push_back(other_case(specs, symbol, *less, seed));
    }
    if (!larger.empty()) {
      VerifyCase first = std::move(larger.front());
      first.instead.assign(std::make_move_iterator(larger.begin() + 1),
                           std::make_move_iterator(larger.end()));
      out.push_back(std::move(first));
    }
    if (dim.example != 1 && low <= 1) out.push_back(other_case(specs, symbol, 1, seed));
  }
  return out;
}

std::vector<VerifyCase> lower_ends(std::span<const InputSpec> specs,
                                   std::span<const VerifyCase> cases, uint64_t seed,
                                   const std::set<std::string>& asked) {
  std::vector<VerifyCase> out;
  for (const auto& [symbol, dim] : named_dims(specs)) {
    if (!asked.contains(symbol) || !dim.bounds || dim.bounds->first <= 1) continue;
    if (dim.bounds->first == dim.example) continue;
    VerifyCase one = other_case(specs, symbol, dim.bounds->first, seed);
    if (!has_case(cases, one)) out.push_back(std::move(one));
  }
  return out;
}

UpperEnds upper_ends(std::span<const InputSpec> specs, std::span<const VerifyCase> cases,
                     uint64_t seed, const std::set<std::string>& asked) {
  constexpr uint64_t kMost = 4'000'000;
  constexpr uint64_t kCheap = 65'536;
  constexpr uint64_t kMostGrowth = 128;
  const uint64_t usual = most_elements(specs);
  UpperEnds out;
  for (const auto& [symbol, dim] : named_dims(specs)) {
    if (!dim.bounds || dim.bounds->second == dim.example) continue;
    VerifyCase one = other_case(specs, symbol, dim.bounds->second, seed);
    if (has_case(cases, one)) continue;
    const uint64_t most = most_elements(one.specs);
    const bool grows = most > kCheap && most / kMostGrowth > usual;
    const bool fits = most <= kMost && (asked.contains(symbol) || !grows);
    (fits ? out.cases : out.too_large).push_back(std::move(one));
  }
  return out;
}

bool draws_integers(std::span<const InputSpec> specs) {
  return std::any_of(specs.begin(), specs.end(), [](const InputSpec& spec) {
    const DTypeClass kind = info(spec.dtype).kind;
    const bool is_constant = spec.values && spec.values->int_low == spec.values->int_high;
    return spec.file.empty() && held_values(spec) == nullptr && !is_constant &&
           (kind == DTypeClass::integer || kind == DTypeClass::boolean);
  });
}

Result<CaseResult> verify_case(Model& a, Model& b, const VerifyCase& one, const VerifyGates& gates,
                               Reporter& reporter) {
  CaseResult out;
  out.label = one.label;
  out.other_size = one.other_size;
  MLC_TRY(const std::vector<NamedValue> inputs, sample_inputs(one.specs, one.seed, reporter));
  const auto failed = [&](Error error, const std::string& side) {
    // One that points into a file says more than whose it is.
    if (!error.file().empty()) return explain_run_error(std::move(error), a.signature(), inputs);
    return explain_run_error(std::move(error).during(side + " at " + one.label), a.signature(),
                             inputs);
  };
  auto expected = outputs_of(a, inputs);
  if (!expected.ok()) {
    const ErrorKind kind = expected.error().kind();
    const bool refused = kind == ErrorKind::usage || kind == ErrorKind::unsupported;
    if (one.other_size.empty() || !refused) return failed(std::move(expected).error(), "A");
    out.not_checked = "A refuses " + one.other_size + ": " + in_one_line(expected.error());
    const bool by_rule = is_raised_by_model(expected.error());
    for (const VerifyCase& other : one.instead) {
      if (other.may_broadcast && !by_rule) continue;
      MLC_TRY(CaseResult result, verify_case(a, b, other, gates, reporter));
      if (!result.not_checked.empty()) continue;
      result.instead_of = out.not_checked;
      return result;
    }
    return out;
  }
  if (expected->empty()) {
    return failed(unsupported("it gives no outputs, so there is nothing to compare"), "A");
  }
  auto got = outputs_of(b, inputs);
  if (!got.ok()) {
    if (got.error().kind() != ErrorKind::usage) return failed(std::move(got).error(), "B");
    out.failure = in_one_line(got.error());
    out.refused = true;
    return out;
  }
  const OutputTolerances tolerances = tolerances_of(a, b, gates);
  const bool by_name = a.has_keys() && b.has_keys();
  auto comparison = by_name
                        ? Result<OutputsComparison>(compare_by_name(*expected, *got, tolerances))
                        : compare_outputs(*expected, *got, tolerances);
  if (!comparison.ok()) {
    out.failure = comparison.error().text();
    return out;
  }
  out.comparison = std::move(*comparison);
  if (gates.same_types) refuse_other_types(out.comparison);
  compare_texts(a.texts(), b.texts(), out.comparison);
  for (size_t i = 0; i < out.comparison.outputs.size() && !out.first_failing; ++i) {
    if (!counts_as_same(out.comparison.outputs[i], gates)) out.first_failing = i;
  }
  return out;
}

}  // namespace mlc
