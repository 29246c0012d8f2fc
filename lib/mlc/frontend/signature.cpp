#include "mlc/frontend/signature.h"

#include "mlc/base/text.h"
#include "mlc/frontend/expression.h"
#include "mlc/tensor/dtype.h"

#include <algorithm>
#include <charconv>

namespace mlc::arch {
namespace {

Value parse_default(std::string_view text) {
  if (text == "None") return {};
  if (text == "True" || text == "False") return text == "True";
  const char* end = text.data() + text.size();
  int64_t whole = 0;
  if (const auto [at, code] = std::from_chars(text.data(), end, whole);
      code == std::errc() && at == end) {
    return whole;
  }
  double real = 0;
  if (const auto [at, code] = std::from_chars(text.data(), end, real);
      code == std::errc() && at == end) {
    return real;
  }
  return std::string(text);
}

/// The digit at the end of "size2"; 0 if there is none.
size_t count_of(std::string_view word) {
  return word.back() >= '1' && word.back() <= '9' ? static_cast<size_t>(word.back() - '0') : 0;
}

bool in_range(int64_t item, std::string_view word) {
  if (item == kNoneInList) return word.starts_with("keep");
  if (word.starts_with("size") || word.starts_with("keep")) return item >= 0;
  return true;
}

std::optional<Value> as_ints(const Value& value, std::string_view word) {
  const size_t count = count_of(word);
  Ints items;
  if (const auto* one = std::get_if<int64_t>(&value)) {
    items.assign(std::max<size_t>(count, 1), *one);
  } else if (const auto* list = std::get_if<Ints>(&value)) {
    items = *list;
  } else {
    return std::nullopt;
  }
  if (count > 0 && items.size() != count) return std::nullopt;
  for (const int64_t item : items) {
    if (!in_range(item, word)) return std::nullopt;
  }
  return Value(std::move(items));
}

std::optional<Value> as_number(const Value& value) {
  if (std::holds_alternative<double>(value)) return value;
  if (const auto* whole = std::get_if<int64_t>(&value)) return Value(static_cast<double>(*whole));
  return std::nullopt;
}

std::optional<Value> as_numbers(const Value& value) {
  if (const auto one = as_number(value)) return Value(std::vector<double>{std::get<double>(*one)});
  if (std::holds_alternative<std::vector<double>>(value)) return value;
  if (const auto* ints = std::get_if<Ints>(&value)) {
    if (std::count(ints->begin(), ints->end(), kNoneInList) > 0) return std::nullopt;
    return Value(std::vector<double>(ints->begin(), ints->end()));
  }
  return std::nullopt;
}

std::optional<Value> as_int_from(const Value& value, int64_t least) {
  const auto* whole = std::get_if<int64_t>(&value);
  if (whole == nullptr || *whole < least) return std::nullopt;
  return value;
}

std::vector<std::string> words_of(std::string_view choice) {
  std::vector<std::string> out;
  for (const std::string_view word : split(choice.substr(1, choice.size() - 2), ' ')) {
    out.emplace_back(word);
  }
  return out;
}

std::optional<Value> as_text(const Value& value, std::string_view word) {
  const auto* text = std::get_if<std::string>(&value);
  if (text == nullptr) return std::nullopt;
  if (word == "dtype") {
    const auto dtype = dtype_from_torch(text->starts_with("torch.") ? text->substr(6) : *text);
    if (!dtype || info(*dtype).kind != DTypeClass::floating) return std::nullopt;
    return Value(std::string(info(*dtype).torch));
  }
  if (word.starts_with('{')) {
    const auto words = words_of(word);
    if (std::find(words.begin(), words.end(), *text) == words.end()) return std::nullopt;
  }
  return value;
}

std::optional<Value> as_word(const Value& value, std::string_view word) {
  if (word == "int") return as_int_from(value, std::numeric_limits<int64_t>::min());
  if (word == "pos") return as_int_from(value, 1);
  if (word == "nat") return as_int_from(value, 0);
  if (word == "float") return as_number(value);
  if (word == "floats") return as_numbers(value);
  if (word == "module") return std::nullopt;  // only a mapping is one
  if (word == "list") return value.index() >= 5 ? std::optional(value) : std::nullopt;
  if (word == "bool") {
    return std::holds_alternative<bool>(value) ? std::optional(value) : std::nullopt;
  }
  if (word == "str" || word == "dtype" || word.starts_with('{')) return as_text(value, word);
  return as_ints(value, word);
}

std::optional<Value> as_type(const Value& value, std::string_view type) {
  if (type.ends_with('?')) {
    if (std::holds_alternative<std::monostate>(value)) return value;
    type.remove_suffix(1);
  }
  for (const std::string_view word : split(type, '|')) {
    if (auto converted = as_word(value, word)) return converted;
  }
  return std::nullopt;
}

/// "an integer", for the words of signatures.
std::string in_words(std::string_view word) {
  static constexpr std::pair<std::string_view, std::string_view> kNames[] = {
      {"int", "an integer"},
      {"pos", "an integer from 1 on"},
      {"nat", "an integer from 0 on"},
      {"float", "a number"},
      {"bool", "true or false"},
      {"str", "a string"},
      {"floats", "a number or a list of numbers"},
      {"list", "a list"},
      {"dtype", "a floating type such as float16"},
      {"module", "a module"}};
  for (const auto& [name, text] : kNames) {
    if (word == name) return std::string(text);
  }
  if (word.starts_with('{')) {
    auto words = words_of(word);
    return words.size() == 1 ? words[0] : "one of " + join_list(words, words.size());
  }
  const std::string kind =
      word.starts_with("pad") || word == "ints" ? "integers" : "integers from 0 on";
  const size_t count = count_of(word);
  if (count == 1) return "one integer";
  return "an integer or a list of " + (count > 0 ? std::to_string(count) + " " : "") + kind;
}

std::string type_in_words(std::string_view type) {
  const bool optional = type.ends_with('?');
  if (optional) type.remove_suffix(1);
  std::string out;
  for (const std::string_view word : split(type, '|')) {
    out += (out.empty() ? "" : ", or ") + in_words(word);
  }
  return optional ? out + ", or null" : out;
}

std::string choice_hint(const Value& value, std::string_view type) {
  const auto* text = std::get_if<std::string>(&value);
  const size_t open = type.find('{');
  if (text == nullptr || open == std::string_view::npos) return {};
  const auto guess = nearest(*text, words_of(type.substr(open, type.find('}') + 1 - open)));
  return guess ? "did you mean " + quoted(*guess) + "?" : "";
}

/// A mapping: what it holds is no value.
bool describes_module(const GivenArgument& given) {
  return given.node && given.node->kind() == yaml::Kind::mapping;
}

/// What to write for `(3, 3)`, which YAML takes for text, and within braces for two entries.
std::string tuple_hint(const std::string& name, const Value& value) {
  const auto* text = std::get_if<std::string>(&value);
  if (text == nullptr || !text->starts_with('(')) return {};
  const bool whole = text->size() > 1 && text->ends_with(')');
  const std::string inside = whole ? text->substr(1, text->size() - 2) : text->substr(1) + ", ...";
  return "YAML has no tuples: write a list, " + name + ": [" + printable(trim(inside)) + "]";
}

/// The same where the other entries of those came out as arguments without a value, GIVEN among
/// them.
std::string tuple_hint(const std::vector<GivenArgument>& all, const GivenArgument& given) {
  std::string name;
  std::string tuple;
  bool holds = false;
  for (const GivenArgument& one : all) {
    const auto* text = std::get_if<std::string>(&one.value);
    if (text != nullptr && text->starts_with('(') && !text->ends_with(')')) {
      name = one.name;
      tuple = *text;
      holds = false;
    } else if (!tuple.empty()) {
      tuple += ", " + one.name;
      holds = holds || one.name == given.name;
      if (!one.name.ends_with(')')) continue;
      if (holds) return tuple_hint(name, Value(tuple));
      tuple.clear();
    }
  }
  return {};
}

Error wrong_type(const SignatureArgument& argument, const GivenArgument& given,
                 std::string_view owner, const yaml::Node& module) {
  std::string message = std::string(owner) + ": " + argument.name + " must be " +
                        type_in_words(argument.type) + ", found " +
                        (describes_module(given) ? "a mapping" : shown(given.value));
  std::string hint = tuple_hint(argument.name, given.value);
  if (hint.empty()) hint = choice_hint(given.value, argument.type);
  if (hint.empty() && given.node) hint = quotes_hint(*given.node);
  return (given.node ? *given.node : module).error(std::move(message), std::move(hint));
}

Error unknown_argument(const Signature& signature, const std::vector<GivenArgument>& all,
                       const GivenArgument& given, std::string_view owner,
                       const yaml::Node& module) {
  std::vector<std::string> known;
  for (const SignatureArgument& one : signature) known.push_back(one.name);
  std::string hint = known.empty() ? std::string(owner) + " takes no arguments"
                                   : "it takes " + join_list(known, known.size());
  if (std::string tuple = tuple_hint(all, given); !tuple.empty()) {
    hint = std::move(tuple);
  } else if (given.name == "device") {
    hint = "leave it out: the device is chosen when the model runs";
  } else if (const auto guess = nearest(given.name, known)) {
    hint = "did you mean " + quoted(*guess) + "?";
  }
  return module.key_error(given.name,
                          std::string(owner) + " has no argument " + quoted(given.name, 60),
                          std::move(hint));
}

}  // namespace

Signature parse_signature(std::string_view text) {
  Signature out;
  if (trim(text).empty()) return out;
  for (std::string_view part : split(text, ',')) {
    part = trim(part);
    const size_t colon = part.find(':');
    const size_t equals = part.find(" = ");
    SignatureArgument argument;
    argument.name = part.substr(0, colon);
    argument.type = trim(part.substr(colon + 1, equals == part.npos ? equals : equals - colon - 1));
    argument.required = equals == std::string_view::npos;
    if (!argument.required) argument.default_value = parse_default(trim(part.substr(equals + 3)));
    out.push_back(std::move(argument));
  }
  return out;
}

bool fits_type(const Value& value, std::string_view type) {
  return as_type(value, type).has_value();
}

Result<BoundArguments> bind_arguments(const Signature& signature,
                                      const std::vector<GivenArgument>& given,
                                      std::string_view owner, const yaml::Node& module) {
  for (const GivenArgument& one : given) {
    const bool known =
        std::any_of(signature.begin(), signature.end(),
                    [&](const SignatureArgument& argument) { return argument.name == one.name; });
    if (!known) return unknown_argument(signature, given, one, owner, module);
  }
  BoundArguments out;
  for (const SignatureArgument& argument : signature) {
    const auto it = std::find_if(given.begin(), given.end(), [&](const GivenArgument& one) {
      return one.name == argument.name;
    });
    if (it == given.end() && argument.required) {
      return module.error(std::string(owner) + " needs the argument " + quoted(argument.name),
                          argument.name + " is " + type_in_words(argument.type));
    }
    const Value& value = it == given.end() ? argument.default_value : it->value;
    const bool is_module = it != given.end() && describes_module(*it);
    const bool wants_module = argument.type.starts_with("module");
    auto converted = !is_module     ? as_type(value, argument.type)
                     : wants_module ? std::optional(value)
                                    : std::nullopt;
    if (!converted) {
      if (it == given.end()) return internal_error("the default of " + argument.name);
      return wrong_type(argument, *it, owner, module);
    }
    BoundArgument one{argument.name, std::move(*converted), std::nullopt};
    if (it != given.end()) {
      one.node = it->node;
      one.origin = it->origin;
    }
    out.push_back(std::move(one));
  }
  return out;
}

}  // namespace mlc::arch
