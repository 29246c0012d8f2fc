#include "mlc/torch/number_inputs.h"

#include "mlc/torch/script_inputs.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

namespace mlc::torch_module {
namespace {

using c10::IValue;

/// Which values an int may have: those that somebody gave bounds for, else all on its side of 0.
ir::Bounds bounds_of(const InputSpec& spec, int64_t value) {
  const bool is_range = spec.values && spec.values->int_low < spec.values->int_high;
  if (is_range) return {spec.values->int_low, spec.values->int_high};
  return {std::min<int64_t>(value, 1), ir::kUnbounded};
}

/// The input NAME, or a longer name where a dimension or another input of REQUEST has it.
std::string symbol_for(const std::string& name, const CaptureRequest& request) {
  std::string out = name;
  const auto is_taken = [&](const InputSpec& spec) {
    return (spec.name == out && out != name) ||
           std::ranges::find(spec.dims, out, &InputDim::symbol) != spec.dims.end();
  };
  while (std::ranges::any_of(request.inputs, is_taken)) out += "_value";
  return out;
}

}  // namespace

bool is_number(const IValue& value) {
  return value.isInt() || value.isDouble() || value.isBool();
}

std::string number_text(const IValue& number) {
  if (number.isBool()) return number.toBool() ? "true" : "false";
  if (number.isInt()) return std::to_string(number.toInt());
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, number.toDouble()).ptr};
}

Result<std::vector<NumberInput>> number_inputs(const CaptureTarget& target,
                                               const CaptureRequest& request) {
  std::vector<NumberInput> out;
  for (const c10::Argument& argument : target.arguments) {
    const auto spec = std::ranges::find(request.inputs, argument.name(), &InputSpec::name);
    const auto kind = without_none(argument.type())->kind();
    const bool takes_number = kind == c10::TypeKind::IntType || kind == c10::TypeKind::FloatType ||
                              kind == c10::TypeKind::BoolType;
    if (!takes_number || spec == request.inputs.end() || request.frozen.contains(spec->name))
      continue;
    MLC_TRY(const HostTensor host, request.sample(*spec, spec->sizes(), 0));
    MLC_TRY(const IValue value, target.to_argument(argument, host));
    NumberInput one{spec->name, number_text(value), std::nullopt, ""};
    if (value.isInt()) {
      const ir::Bounds bounds = bounds_of(*spec, value.toInt());
      const std::string symbol = symbol_for(spec->name, request);
      const bool fits = bounds.low >= 0 && ir::is_symbol_name(symbol);
      if (fits) one.size = LaneSymbol{symbol, bounds, value.toInt()};
      if (!fits) one.why_frozen = "it is, or may be, below 0";
    }
    out.push_back(std::move(one));
  }
  return out;
}

void add_numbers(std::span<const NumberInput> numbers, CaptureAttempt& attempt) {
  for (const NumberInput& one : numbers) {
    attempt.numbers.emplace(one.name, one.size ? one.size->name : "");
    if (!one.size) continue;
    attempt.symbols.push_back(one.size->name);
    attempt.bounds.push_back(one.size->bounds);
  }
}

IValue number_in_lane(const IValue& given, size_t lane) {
  if (given.isBool()) return given.toBool() != (lane % 2 == 1);
  if (!given.isDouble()) return given;
  const double value = given.toDouble();
  // Small steps: a probability stays below 1.
  constexpr double kStep = 0.125;
  return value + static_cast<double>(lane) * kStep * std::max(std::abs(value), kStep);
}

}  // namespace mlc::torch_module
