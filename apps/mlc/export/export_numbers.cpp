#include "export/export_numbers.h"

#include "mlc/tensor/dtype.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <utility>

#include <fmt/format.h>

namespace mlc::cli {
namespace {

/// SPEC with another value, and that value as text; nothing where it has none, or no other one.
std::optional<std::pair<InputSpec, std::string>> with_other_value(const InputSpec& spec) {
  if (!spec.values) return std::nullopt;
  InputSpec out = spec;
  out.held.reset();
  ValueRange& values = *out.values;
  if (info(spec.dtype).kind == DTypeClass::floating) {
    if (values.low != values.high) return std::nullopt;
    values.low = values.high = values.low + std::max(std::abs(values.low), 1.0) / 4;
    return std::pair(out, fmt::format("{}", values.low));
  }
  if (values.int_low != values.int_high || values.int_low == INT64_MAX) return std::nullopt;
  const bool is_truth = spec.dtype == DType::boolean;
  values.int_low = values.int_high = is_truth ? 1 - values.int_low : values.int_low + 1;
  const std::string truth = values.int_low == 0 ? "false" : "true";
  return std::pair(out, is_truth ? truth : std::to_string(values.int_low));
}

}  // namespace

std::vector<std::string> kept_numbers(const ExportedProgram& program) {
  std::vector<std::string> out;
  for (const ProgramInput& input : program.inputs) {
    if (input.value != nullptr && input.value->tensor() == nullptr) out.push_back(input.name);
  }
  return out;
}

std::vector<FrozenNumber> frozen_numbers(const ExportedProgram& program) {
  std::vector<FrozenNumber> out;
  for (const ProgramInput& input : program.inputs) {
    const bool is_number = input.value == nullptr && !input.fixed.empty() && input.fixed != "None";
    if (is_number) out.push_back({input.name, input.fixed});
  }
  return out;
}

void fix_values(std::span<InputSpec> specs, std::span<const FrozenNumber> frozen) {
  for (InputSpec& spec : specs) {
    const auto known = std::ranges::find(frozen, spec.name, &FrozenNumber::name);
    if (known == frozen.end() || !spec.values) continue;
    const std::string& text = known->value;
    const char* const end = text.data() + text.size();
    ValueRange one;
    if (info(spec.dtype).kind == DTypeClass::floating) {
      if (std::from_chars(text.data(), end, one.low).ec != std::errc()) continue;
      one.high = one.low;
    } else {
      one.int_low = text == "true" ? 1 : 0;
      if (text != "true" && text != "false") std::from_chars(text.data(), end, one.int_low);
      one.int_high = one.int_low;
    }
    spec.values = one;
    spec.held.reset();
  }
}

std::vector<VerifyCase> number_cases(std::span<const InputSpec> specs,
                                     std::span<const std::string> numbers, uint64_t seed) {
  std::vector<VerifyCase> out;
  for (size_t i = 0; i < specs.size(); ++i) {
    if (std::ranges::find(numbers, specs[i].name) == numbers.end()) continue;
    auto other = with_other_value(specs[i]);
    if (!other) continue;
    std::vector<InputSpec> changed(specs.begin(), specs.end());
    changed[i] = std::move(other->first);
    const std::string text = specs[i].name + "=" + other->second;
    out.push_back(
        {"seed " + std::to_string(seed) + ", " + text, std::move(changed), seed, text, {}});
  }
  return out;
}

}  // namespace mlc::cli
