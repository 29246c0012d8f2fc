#include "mlc/engine/match_inputs.h"

#include "mlc/base/text.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <utility>

#include <fmt/format.h>

namespace mlc {
namespace {

/// TYPE, or what it may be instead of None.
std::string_view without_none(std::string_view type) {
  constexpr std::string_view kOptional = "Optional[";
  if (!type.starts_with(kOptional) || !type.ends_with(']')) return type;
  type.remove_prefix(kOptional.size());
  type.remove_suffix(1);
  return type;
}

/// "xs.0 xs.1" of an input that is given in parts, a list, a tuple or a dictionary of tensors: the
/// names of all, or of the first where their number is not known. Empty for other inputs.
std::vector<std::string> example_parts(const InputInfo& input) {
  const std::string_view type = without_none(input.type);
  if (type == "List[Tensor]") return {input.name + ".0"};
  if (type == "Dict[str, Tensor]") return {input.name + ".KEY"};
  constexpr std::string_view kTuple = "Tuple[";
  if (!type.starts_with(kTuple)) return {};
  std::vector<std::string> out;
  for (const std::string_view one : split(type.substr(kTuple.size()), ',')) {
    const std::string_view part = trim(one);
    if (part != "Tensor" && part != "Tensor]") return {};
    out.push_back(input.name + "." + std::to_string(out.size()));
  }
  return out;
}

/// Whether --input can say it at all: no devices, no tuples with numbers among them.
bool can_be_given(const InputInfo& input) {
  const std::string_view type = without_none(input.type);
  constexpr std::array<std::string_view, 4> kPlain = {"Tensor", "int", "float", "bool"};
  return std::ranges::find(kPlain, type) != kPlain.end() || type.starts_with("tensor of ") ||
         !input.declared.empty() || input.dtype || !example_parts(input).empty();
}

/// Whether NAME is INPUT, or one of its parts.
bool belongs_to(const InputInfo& input, const std::string& name) {
  if (input.name == name) return true;
  return name.starts_with(input.name + ".") && !example_parts(input).empty();
}

const InputInfo* find(const Signature& signature, const std::string& name) {
  const auto at = std::ranges::find_if(
      signature.inputs, [&](const InputInfo& input) { return belongs_to(input, name); });
  return at == signature.inputs.end() ? nullptr : &*at;
}

std::string known_type(const InputInfo& input) {
  if (!input.declared.empty()) return input.declared;
  if (!input.dtype || !input.sizes) return "";
  return describe(*input.dtype, *input.sizes);
}

/// "ids is i32[1, 4], the model was traced with i64[1, 8]" for each that differs.
std::vector<std::string> deviations(const Signature& signature,
                                    std::span<const NamedValue> inputs) {
  std::vector<std::string> out;
  for (const NamedValue& value : inputs) {
    const InputInfo* known = find(signature, value.name);
    // What is declared has been compared before the run.
    if (known == nullptr || !known->declared.empty() || known_type(*known).empty()) continue;
    const std::string given = describe(value.tensor.dtype, value.tensor.sizes);
    if (given == known_type(*known)) continue;
    out.push_back(printable(value.name) + " is " + given + ", the model was traced with " +
                  known_type(*known));
  }
  return out;
}

/// Options for the inputs in the type of the parameters, where f32 meets another one and the file
/// does not tell what it was traced with.
std::string half_inputs(const Signature& signature, std::span<const NamedValue> inputs) {
  std::string out;
  if (!signature.parameters || *signature.parameters == DType::f32) return out;
  for (const NamedValue& value : inputs) {
    const InputInfo* known = find(signature, value.name);
    if (value.tensor.dtype != DType::f32 || known == nullptr || known->dtype) continue;
    out += (out.empty() ? "" : " ") + std::string("--input '") + printable(value.name) + ":" +
           spelled(*signature.parameters, value.tensor.sizes) + "'";
  }
  return out;
}

/// The least and the largest of the integers in TENSOR; nothing where it has none.
std::optional<std::pair<int64_t, int64_t>> range_of(const HostTensor& tensor) {
  if (info(tensor.dtype).kind != DTypeClass::integer || tensor.bytes->empty()) return std::nullopt;
  const size_t width = static_cast<size_t>(element_bytes(tensor.dtype));
  const bool is_signed = info(tensor.dtype).brief.starts_with('i');
  std::pair<int64_t, int64_t> out{INT64_MAX, INT64_MIN};
  for (size_t at = 0; at + width <= tensor.bytes->size(); at += width) {
    const bool negative = is_signed && (tensor.bytes->at(at + width - 1) & 0x80) != 0;
    int64_t value = negative ? -1 : 0;  // the bytes that a shorter integer lacks
    std::memcpy(&value, tensor.bytes->data() + at, width);
    out = {std::min(out.first, value), std::max(out.second, value)};
  }
  return out;
}

/// What integers the inputs hold, where ERROR is one of a table that they reach out of.
std::string beyond_a_table(const Error& error, std::span<const NamedValue> inputs) {
  const bool is_one = std::ranges::any_of(
      std::array<std::string_view, 3>{"index out of range", "index_size", "num_embeddings"},
      [&](auto word) { return error.message().find(word) != std::string::npos; });
  if (!is_one) return "";
  std::vector<std::string> held;
  std::string options;
  for (const NamedValue& value : inputs) {
    const auto range = range_of(value.tensor);
    if (!range) continue;
    const std::string name = printable(value.name);
    held.push_back(fmt::format("{} has integers from {} to {}", name, range->first, range->second));
    options += fmt::format("{}--input '{}:{}=LOW..HIGH'", options.empty() ? "" : " ", name,
                           spelled(value.tensor.dtype, value.tensor.sizes));
  }
  return held.empty() ? "" : join_list(held) + "; " + options + " says which it takes";
}

/// Which integers of the inputs count more than another input has of something, as lengths above
/// that of the sequences do, where ERROR is one that this may have.
std::string beyond_a_size(const Error& error, std::span<const NamedValue> inputs) {
  const bool may_be = std::ranges::any_of(
      std::array<std::string_view, 4>{"exceed", "out of range", "out of bounds", "length"},
      [&](auto word) { return error.message().find(word) != std::string::npos; });
  if (!may_be) return "";
  for (const NamedValue& counts : inputs) {
    const auto range = counts.tensor.sizes.size() <= 1 ? range_of(counts.tensor) : std::nullopt;
    if (!range || range->second < 1) continue;
    for (const NamedValue& other : inputs) {
      // The first dimension is the batch.
      for (size_t i = 1; i < other.tensor.sizes.size(); ++i) {
        if (other.tensor.sizes[i] >= range->second) continue;
        return fmt::format(
            "{0} has integers up to {1}, and dimension {2} of {3} is {4} here: where they count "
            "what "
            "is in it, start that size at {1} or end the values of {0} at {4}, as in "
            "'{0}:{5}=1..{4}'",
            printable(counts.name), range->second, i, printable(other.name), other.tensor.sizes[i],
            spelled(counts.tensor.dtype, counts.tensor.sizes));
      }
    }
  }
  return "";
}

/// That inputs can be given ranges, where ERROR says that their values are refused.
std::string beyond_values(const Error& error, std::span<const NamedValue> inputs) {
  const auto says = [&](auto word) { return error.message().find(word) != std::string::npos; };
  const std::array<std::string_view, 4> of_values = {"negative", "positive", "probabilit",
                                                     "between 0 and 1"};
  const std::array<std::string_view, 3> of_sizes = {"dimension", "size", "shape"};
  const bool may_be = std::ranges::any_of(of_values, says) && std::ranges::none_of(of_sizes, says);
  std::string options;
  for (const NamedValue& value : inputs) {
    if (!may_be || info(value.tensor.dtype).kind == DTypeClass::boolean) continue;
    options += fmt::format("{}--input '{}:{}=LOW..HIGH'", options.empty() ? "" : " ",
                           printable(value.name), spelled(value.tensor.dtype, value.tensor.sizes));
  }
  return options.empty() ? "" : options + " says which values it takes";
}

/// Whether what the model takes says more than INPUTS, which it has refused, say themselves.
bool tells_more(const Signature& signature, std::span<const NamedValue> inputs) {
  return std::ranges::any_of(signature.inputs, [&](const InputInfo& input) {
    const auto given = std::ranges::find(inputs, input.name, &NamedValue::name);
    if (given == inputs.end() || input.type != "Tensor") return true;
    const std::string known = known_type(input);
    return !known.empty() && known != describe(given->tensor.dtype, given->tensor.sizes) &&
           known != spelled(given->tensor.dtype, given->tensor.sizes);
  });
}

/// Where the sizes are that the inputs have to fit, if ERROR is about sizes.
std::string sizes_of_weights(const Error& error, const Signature& signature) {
  if (error.kind() == ErrorKind::unsupported) return "";  // no size would help
  const bool of_sizes = std::ranges::any_of(
      std::array<std::string_view, 5>{"shape", "size", "dimension", "channels", "multiplied"},
      [&](auto word) { return error.message().find(word) != std::string::npos; });
  return signature.parameters && of_sizes
             ? "the sizes of its weights, which `mlc load MODEL` shows, tell what fits"
             : "";
}

/// TYPE with a name for its first dimension, of more than one: few models are meant for one batch.
std::string with_batch(std::string type, const std::vector<int64_t>& sizes) {
  if (sizes.size() > 1) type.insert(type.find('[') + 1, "batch=");
  return type;
}

}  // namespace

std::string describe_inputs(const Signature& signature, const std::string& between) {
  std::string out;
  for (const InputInfo& input : signature.inputs) {
    out += (out.empty() ? "" : between) + printable(input.name) + ": " + printable(input.type);
    if (const std::string type = known_type(input); !type.empty()) {
      out += (input.declared.empty() ? ", traced with " : ", declared as ") + type;
    }
    if (!input.required) out += ", may be left out";
  }
  return out;
}

std::string example_options(const Signature& signature) {
  const bool any_required = std::ranges::any_of(signature.inputs, &InputInfo::required);
  std::string out;
  for (const InputInfo& input : signature.inputs) {
    if (!input.required && any_required) continue;
    const std::string type = !input.declared.empty() ? input.declared
                             : input.dtype && input.sizes
                                 ? with_batch(spelled(*input.dtype, *input.sizes), *input.sizes)
                             : input.dtype           ? std::string(info(*input.dtype).brief) + "[1]"
                             : input.type == "int"   ? "i64[]"
                             : input.type == "float" ? "f64[]"
                             : input.type == "bool"  ? "bool[]"
                                                     : "f32[batch=1,3,224,224]";
    std::vector<std::string> names = example_parts(input);
    if (names.empty()) names.push_back(input.name);
    for (const std::string& name : names) {
      out +=
          (out.empty() ? "" : " ") + std::string("--input '") + printable(name) + ":" + type + "'";
    }
  }
  return out;
}

Status match_inputs(const Signature& signature, std::span<const InputSpec> specs) {
  std::vector<std::string> names;
  for (const InputInfo& input : signature.inputs) names.push_back(input.name);
  std::string problems;
  std::string near_hint;
  std::string never_hint;
  for (const InputSpec& spec : specs) {
    if (find(signature, spec.name) != nullptr) continue;
    problems +=
        (problems.empty() ? "" : "; ") + std::string("the model has no input ") + quoted(spec.name);
    const auto near = nearest(spec.name, names);
    if (near && near_hint.empty()) near_hint = "did you mean " + printable(*near) + "? ";
  }
  for (const InputInfo& input : signature.inputs) {
    const bool given = std::ranges::any_of(
        specs, [&](const InputSpec& spec) { return belongs_to(input, spec.name); });
    if (given || !input.required) continue;
    if (!can_be_given(input)) {
      never_hint = "no --input can be a " + printable(input.type) + ", which " +
                   printable(input.name) +
                   " is: wrap the model in one that takes tensors and makes it";
    }
    problems +=
        (problems.empty() ? "" : "; ") + std::string("input ") + quoted(input.name) + " is missing";
  }
  if (problems.empty()) return {};
  std::string message = problems + ". The model takes";
  if (signature.inputs.empty()) message += " no inputs";
  const std::string inputs = describe_inputs(signature);
  for (const std::string_view line : split(inputs, '\n')) {
    if (!line.empty()) message += "\n  " + std::string(line);
  }
  if (!never_hint.empty()) return usage_error(std::move(message), std::move(never_hint));
  const std::string example = example_options(signature);
  return usage_error(std::move(message), near_hint + (example.empty() ? "" : "as in " + example));
}

Error explain_run_error(Error error, const Signature& signature,
                        std::span<const NamedValue> inputs) {
  if (error.kind() != ErrorKind::usage && error.kind() != ErrorKind::unsupported) return error;
  if (!signature.devices.empty()) {
    return unsupported("the program names the device " + printable(signature.devices[0].name) +
                           " itself: " + error.message(),
                       "`mlc trace MODEL -o FILE` writes it for the device it runs on");
  }
  const std::vector<std::string> different = deviations(signature, inputs);
  std::string hint;
  if (const std::string half = half_inputs(signature, inputs); !half.empty()) {
    hint = "the model's parameters are " + std::string(info(*signature.parameters).brief) + ": " +
           half + " or --dtype fp32";
  } else if (std::string range = beyond_a_table(error, inputs); !range.empty()) {
    hint = std::move(range);
  } else if (std::string values = beyond_values(error, inputs); !values.empty()) {
    hint = std::move(values);
  } else if (std::string beyond = beyond_a_size(error, inputs); !beyond.empty()) {
    hint = std::move(beyond);
  } else if (!different.empty()) {
    hint = join_list(different) + "; try " + example_options(signature);
  } else if (!tells_more(signature, inputs)) {
    hint = sizes_of_weights(error, signature);
  } else if (error.kind() == ErrorKind::usage) {
    hint = "the model takes " + describe_inputs(signature, "; ");
  }
  return std::move(error).with_hint(std::move(hint));
}

}  // namespace mlc
