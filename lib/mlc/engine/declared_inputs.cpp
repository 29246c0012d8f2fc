#include "mlc/engine/declared_inputs.h"

#include "mlc/base/text.h"

#include <algorithm>
#include <charconv>
#include <map>

#include <fmt/format.h>

namespace mlc {
namespace {

struct SymbolSize {
  std::string input;
  int64_t size = 0;
};
using SymbolSizes = std::map<std::string, SymbolSize>;

/// "f32[batch=1..1024,1,8,8]" of "image:f32[batch=1..1024,1,8,8]".
std::string declared_type(const InputSpec& spec) {
  const std::string text = to_text(spec);
  return text.substr(spec.name.size() + 1);
}

bool same_type(DType declared, DType given, bool cast) {
  if (declared == given) return true;
  return cast && info(declared).kind == DTypeClass::floating &&
         info(given).kind == DTypeClass::floating;
}

/// What is wrong with SIZE for DIM, or an empty text.
std::string wrong_size(const InputDim& dim, const std::string& input, int64_t size,
                       SymbolSizes& symbols) {
  if (!dim.computed.empty()) return "";  // once all names have their sizes
  if (dim.symbol.empty()) {
    return size == dim.example ? "" : "must be " + std::to_string(dim.example);
  }
  const auto [known, is_new] = symbols.try_emplace(dim.symbol, SymbolSize{input, size});
  if (!is_new && known->second.size != size) {
    return dim.symbol + " is " + std::to_string(known->second.size) + " in " +
           printable(known->second.input);
  }
  if (!dim.bounds || (size >= dim.bounds->first && size <= dim.bounds->second)) return "";
  return dim.symbol + " must be " + std::to_string(dim.bounds->first) + " to " +
         std::to_string(dim.bounds->second);
}

/// ERROR, which points into the text of ONE ("1:8: expected ]", two lines and a caret), pointing
/// into the YAML instead.
Error in_yaml(const arch::Architecture& architecture, const arch::PositionedText& one,
              const Error& error) {
  std::string_view message = error.message();
  message = message.substr(0, message.find('\n'));
  arch::Position position = one.position;
  constexpr std::string_view kFirstLine = "1:";
  const size_t colon = message.find(": ");
  size_t column = 0;
  if (message.starts_with(kFirstLine) && colon != message.npos) {
    std::from_chars(message.data() + kFirstLine.size(), message.data() + colon, column);
  }
  if (column > 0) {
    position.column += column - 1;
    message.remove_prefix(colon + 2);
  }
  return architecture.error_at(position, std::string(message), error.hint());
}

std::string wrong(const InputSpec& spec, const HostTensor& value, bool cast, SymbolSizes& symbols) {
  if (!same_type(spec.dtype, value.dtype, cast)) {
    return "must be of type " + std::string(info(spec.dtype).brief);
  }
  if (spec.dims.size() != value.sizes.size()) {
    return "must have " + plural(spec.dims.size(), "dimension");
  }
  for (size_t i = 0; i < spec.dims.size(); ++i) {
    const std::string problem = wrong_size(spec.dims[i], spec.name, value.sizes[i], symbols);
    if (!problem.empty()) return "dimension " + std::to_string(i) + ": " + problem;
  }
  return "";
}

/// What is wrong with the computed sizes of VALUE, which SPEC declares, or an empty text.
std::string wrong_computed(const InputSpec& spec, const HostTensor& value) {
  for (size_t i = 0; i < spec.dims.size(); ++i) {
    const InputDim& dim = spec.dims[i];
    if (dim.computed.empty() || value.sizes[i] == dim.example) continue;
    return fmt::format("dimension {}: {} is {}", i, printable(dim.computed), dim.example);
  }
  return "";
}

/// SPECS with computed sizes as SYMBOLS give them.
std::vector<InputSpec> with_sizes(std::span<const InputSpec> specs, const SymbolSizes& symbols) {
  std::vector<InputSpec> out(specs.begin(), specs.end());
  for (InputSpec& spec : out) {
    for (InputDim& dim : spec.dims) {
      const auto known = symbols.find(dim.symbol);
      if (!dim.symbol.empty() && known != symbols.end()) dim.example = known->second.size;
    }
  }
  compute_sizes(out);
  return out;
}

/// What DIM is called, or its size.
std::string dim_text(const InputDim& dim) {
  if (!dim.symbol.empty() && dim.bounds) {
    return fmt::format("{}={}..{}", dim.symbol, dim.bounds->first, dim.bounds->second);
  }
  return dim.symbol.empty() ? std::to_string(dim.example) : dim.symbol;
}

/// What is wrong with GIVEN where WANTED is declared, or an empty text. GIVEN_NAMES has what sizes
/// of WANTED are called.
std::string wrong_varying(const InputDim& given, const InputDim& wanted,
                          std::map<std::string, std::string>& given_names) {
  const std::string& varying = given.computed.empty() ? given.symbol : given.computed;
  if (!wanted.computed.empty()) {
    return given.symbol.empty() ? "" : "is " + printable(wanted.computed) + ", no size of its own";
  }
  if (wanted.symbol.empty()) {
    return varying.empty() ? "" : "must be " + std::to_string(wanted.example) + " and cannot vary";
  }
  const std::string name = varying.empty() ? std::to_string(given.example) : varying;
  const auto& known = given_names.try_emplace(wanted.symbol, name).first->second;
  if (known != name) {
    return "is the size that is called " + printable(known) + " elsewhere, " +
           printable(wanted.symbol);
  }
  if (given.symbol.empty() || !given.bounds || !wanted.bounds) return "";
  const bool is_within =
      given.bounds->first >= wanted.bounds->first && given.bounds->second <= wanted.bounds->second;
  return is_within
             ? ""
             : "may be " + printable(dim_text(wanted)) + ", not " + printable(dim_text(given));
}

/// PROBLEM of all inputs together, at the one whose text it shows, else at the first.
Error wrong_input(const arch::Architecture& architecture, const Error& problem) {
  const arch::PositionedText* shown = nullptr;
  for (const arch::PositionedText& one : architecture.inputs()) {
    if (problem.message().find("\n") == std::string::npos) break;
    const bool is_it = problem.message().find(one.text) != std::string::npos;
    if (is_it && (shown == nullptr || one.text.size() > shown->text.size())) shown = &one;
  }
  if (shown != nullptr) return in_yaml(architecture, *shown, problem);
  return architecture.error_at(architecture.inputs().front().position, problem.message(),
                               problem.hint());
}

}  // namespace

Result<DeclaredInputs> read_declared_inputs(const arch::Architecture& architecture) {
  DeclaredInputs out;
  std::vector<std::string> texts;
  for (const arch::PositionedText& one : architecture.inputs()) texts.push_back(one.text);
  auto all = parse_input_specs(texts, "inputs");
  if (!all.ok()) return wrong_input(architecture, all.error());
  for (size_t i = 0; i < texts.size(); ++i) {
    const arch::PositionedText& one = architecture.inputs()[i];
    InputSpec* const spec = &(*all)[i];
    if (!spec->file.empty()) {
      return architecture.error_at(one.position, "an architecture declares types, not files",
                                   "as in 'image:f32[batch=1..64,3,224,224]'");
    }
    out.for_engine.push_back(
        {spec->name, spec->dtype, spec->sizes(), declared_type(*spec), one.position});
    out.specs.push_back(std::move(*spec));
  }
  return out;
}

Status check_declared(std::span<const InputSpec> specs, std::span<const NamedValue> values,
                      bool cast) {
  std::string problems;
  std::string expected;
  std::string types;
  SymbolSizes symbols;
  std::map<std::string, std::string> wrong_ones;
  for (const NamedValue& value : values) {
    const auto spec = std::ranges::find(specs, value.name, &InputSpec::name);
    if (spec != specs.end()) wrong_ones[value.name] = wrong(*spec, value.tensor, cast, symbols);
  }
  const std::vector<InputSpec> sized = with_sizes(specs, symbols);
  for (const NamedValue& value : values) {
    const auto spec = std::ranges::find(sized, value.name, &InputSpec::name);
    if (spec == sized.end()) continue;
    const std::string& first = wrong_ones[value.name];
    const std::string problem = first.empty() ? wrong_computed(*spec, value.tensor) : first;
    if (problem.empty()) continue;
    problems += (problems.empty() ? "" : "; ") + ("input " + quoted(value.name)) + " is " +
                describe(value.tensor.dtype, value.tensor.sizes) + ", " + problem;
    expected += (expected.empty() ? "" : " ") + ("--input '" + printable(to_text(*spec))) + "'";
    if (!same_type(spec->dtype, value.tensor.dtype, cast)) {
      types = "; a file has to hold that type: x.astype(\"" + std::string(info(spec->dtype).torch) +
              "\") in numpy";
    }
  }
  if (problems.empty()) return {};
  return usage_error(problems, "the architecture declares " + expected + types);
}

Status check_varying(std::span<const InputSpec> specs, std::span<const InputSpec> declared) {
  std::string problems;
  std::string expected;
  std::map<std::string, std::string> given_names;
  for (const InputSpec& spec : specs) {
    const auto known = std::ranges::find(declared, spec.name, &InputSpec::name);
    if (known == declared.end() || known->dims.size() != spec.dims.size()) continue;
    for (size_t i = 0; i < spec.dims.size(); ++i) {
      const std::string problem = wrong_varying(spec.dims[i], known->dims[i], given_names);
      if (problem.empty()) continue;
      problems += fmt::format("{}input {}: dimension {} {}", problems.empty() ? "" : "; ",
                              quoted(spec.name), i, problem);
    }
    expected += (expected.empty() ? "" : " ") + ("--input '" + printable(to_text(*known))) + "'";
  }
  if (problems.empty()) return {};
  return usage_error(problems, "the architecture declares " + expected);
}

std::vector<InputSpec> with_declared_bounds(std::vector<InputSpec> specs,
                                            std::span<const InputSpec> declared) {
  for (InputSpec& spec : specs) {
    const auto known = std::ranges::find(declared, spec.name, &InputSpec::name);
    if (known == declared.end() || known->dims.size() != spec.dims.size()) continue;
    for (size_t i = 0; i < spec.dims.size(); ++i) {
      InputDim& dim = spec.dims[i];
      if (!dim.symbol.empty() && !dim.bounds) dim.bounds = known->dims[i].bounds;
    }
  }
  return specs;
}

}  // namespace mlc
