#include "mlc/frontend/class_parts.h"

#include "mlc/base/checked_math.h"
#include "mlc/base/text.h"
#include "mlc/frontend/forward_text.h"
#include "mlc/frontend/grad_contexts.h"
#include "mlc/frontend/module_path.h"
#include "mlc/frontend/python_lines.h"
#include "mlc/frontend/unroll.h"

#include <algorithm>
#include <set>

namespace mlc::arch {
namespace {

using yaml::Node;

constexpr size_t kMaxRank = 64;  // PyTorch's own limit
constexpr std::string_view kTypes[] = {"int", "float", "bool", "str", "list"};
// What every module has already, in TorchScript or in torch.nn.Module. Of the attributes of
// torch.jit.ScriptModule those that Python needs to load a trace and to call it.
// keyword.kwlist of Python 3, sorted.
constexpr std::string_view kKeywords[] = {
    "False", "None",     "True",  "and",    "as",   "assert", "async",  "await",    "break",
    "class", "continue", "def",   "del",    "elif", "else",   "except", "finally",  "for",
    "from",  "global",   "if",    "import", "in",   "is",     "lambda", "nonlocal", "not",
    "or",    "pass",     "raise", "return", "try",  "while",  "with",   "yield"};

constexpr std::string_view kTaken[] = {"training",           "forward",
                                       "__call__",           "__annotations__",
                                       "_backward_hooks",    "_backward_pre_hooks",
                                       "_buffers",           "_c",
                                       "_concrete_type",     "_forward_hooks",
                                       "_forward_pre_hooks", "_initializing",
                                       "_modules",           "_parameters",
                                       "_state_dict_hooks",  "_state_dict_pre_hooks"};

Status need_mapping(const Node& node, std::string_view key, std::string_view example) {
  if (node.kind() == yaml::Kind::mapping) return {};
  return node.error(std::string(key) + " must be a mapping, found " + node.describe(),
                    "for example " + std::string(key) + ": " + std::string(example));
}

Result<std::string> read_type(const Node& node) {
  if (node.kind() == yaml::Kind::sequence) {
    return node.error("a parameter is no list", "of a tensor say {shape: [10]}");
  }
  MLC_TRY(const std::string type, node.as_string());
  const std::string_view base = type.ends_with('?')
                                    ? std::string_view(type).substr(0, type.size() - 1)
                                    : std::string_view(type);
  if (std::find(std::begin(kTypes), std::end(kTypes), base) != std::end(kTypes)) return type;
  return node.error("unknown type " + quoted(type, 60) + " of an argument",
                    "an argument is int, float, bool, str or list, with ? behind it if it may be "
                    "null; a tensor is a mapping with shape");
}

Result<SignatureArgument> read_argument(const std::string& name, const Node& node) {
  SignatureArgument out;
  out.name = name;
  if (node.kind() != yaml::Kind::mapping) {
    MLC_TRY(out.type, read_type(node));
    return out;
  }
  MLC_CHECK(node.only_keys({"type", "default"}));
  const Node* type = node.find("type");
  if (type == nullptr) return node.error("an argument needs a type, a tensor a shape");
  MLC_TRY(out.type, read_type(*type));
  const Node* fallback = node.find("default");
  if (fallback == nullptr) return out;
  MLC_TRY(out.default_value, evaluate(*fallback, {}));
  if (!fits_type(out.default_value, out.type)) {
    return fallback->error("the default of " + quoted(name) + " is " + describe(out.default_value) +
                           ", not " + out.type);
  }
  out.required = false;
  return out;
}

Result<Ints> read_shape(const Node& node, const Scope& scope) {
  MLC_TRY(const Value value, evaluate(node, scope));
  const auto* shape = std::get_if<Ints>(&value);
  if (shape == nullptr) {
    return node.error("a shape is a list of integers, found " + describe(value),
                      "for example [1, 197, $width]");
  }
  if (shape->size() > kMaxRank) return node.error("a tensor has at most 64 dimensions");
  for (const int64_t size : *shape) {
    if (size < 0) return node.error("a shape has no negative sizes");
  }
  return *shape;
}

constexpr const char* kInits =
    "init is zeros, ones, arange, tril, a number for all values (init: 0.1), a list of them, "
    "{normal: 0.02} or {uniform: 0.1}";

/// {normal: 0.02} or {uniform: 0.1}.
Result<Init> read_random_init(const Node& node, const Scope& scope) {
  for (const auto& [word, amount] : node.entries()) {
    if (word == "normal" || word == "uniform") continue;
    return node.key_error(word, "unknown init " + quoted(word, 60), kInits);
  }
  if (node.entries().size() != 1) {
    return node.error("init has one of normal and uniform", "for example {normal: 0.02}");
  }
  const auto& [word, amount] = node.entries()[0];
  MLC_TRY(const Value value, evaluate(amount, scope));
  const auto* whole = std::get_if<int64_t>(&value);
  if (whole == nullptr && !std::holds_alternative<double>(value)) {
    return amount.error("expected a number, found " + describe(value));
  }
  const double spread = whole ? static_cast<double>(*whole) : std::get<double>(value);
  return Init{word == "normal" ? Init::Kind::normal : Init::Kind::uniform, spread, {}};
}

Result<Init> read_init(const Node& node, const Scope& scope) {
  if (node.kind() == yaml::Kind::mapping) return read_random_init(node, scope);
  MLC_TRY(const Value value, evaluate(node, scope));
  if (const auto* word = std::get_if<std::string>(&value)) {
    if (*word == "zeros") return Init{Init::Kind::full, 0, {}};
    if (*word == "ones") return Init{Init::Kind::full, 1, {}};
    if (*word == "arange") return Init{Init::Kind::arange, 0, {}};
    if (*word == "tril") return Init{Init::Kind::tril, 0, {}};
  }
  if (const auto* whole = std::get_if<int64_t>(&value)) {
    return Init{Init::Kind::full, static_cast<double>(*whole), {}};
  }
  if (const auto* number = std::get_if<double>(&value)) return Init{Init::Kind::full, *number, {}};
  if (const auto* ints = std::get_if<Ints>(&value)) {
    return Init{Init::Kind::values, 0, {ints->begin(), ints->end()}};
  }
  if (const auto* numbers = std::get_if<std::vector<double>>(&value)) {
    return Init{Init::Kind::values, 0, *numbers};
  }
  return node.error("unknown init " + shown(value), kInits);
}

Result<DType> read_dtype(const Node& node, const Scope& scope) {
  MLC_TRY(const Value value, evaluate(node, scope));
  const auto* name = std::get_if<std::string>(&value);
  const auto dtype = name ? dtype_from_torch(*name) : std::nullopt;
  if (dtype) return *dtype;
  std::vector<std::string> known;
  for (const DTypeInfo& row : dtype_table()) known.emplace_back(row.torch);
  const auto guess = name ? nearest(*name, known) : std::nullopt;
  return node.error("unknown dtype " + shown(value),
                    guess ? "did you mean " + quoted(*guess) + "?"
                          : "dtypes are named as in torch: float32, int64, bool");
}

/// Elements, or nothing beyond 63 bits of bytes. Zero-sized dimensions hide no overflow.
std::optional<int64_t> bytes_of(const ScriptTensor& tensor) {
  std::optional<int64_t> bytes = static_cast<int64_t>(element_bytes(tensor.dtype));
  bool empty = false;
  for (const int64_t size : tensor.shape) {
    empty = empty || size == 0;
    if (size != 0 && bytes) bytes = checked_mul(*bytes, size);
  }
  return bytes && empty ? 0 : bytes;
}

Result<ScriptTensor> read_tensor(const std::string& path, const std::string& name, const Node& node,
                                 const Scope& scope) {
  ScriptTensor out;
  out.name = name;
  out.path = path.empty() ? name : path + "." + name;
  const Node* shape = node.find("shape");
  if (shape == nullptr) {
    return node.error("the tensor " + quoted(name) + " needs a shape", "for example {shape: [10]}");
  }
  MLC_TRY(out.shape, read_shape(*shape, scope));
  if (const Node* dtype = node.find("dtype")) {
    MLC_TRY(out.dtype, read_dtype(*dtype, scope));
  }
  const auto bytes = bytes_of(out);
  if (!bytes) return shape->error("a tensor of this shape has more than 2^63 bytes");
  if (const Node* init = node.find("init")) {
    MLC_TRY(out.init, read_init(*init, scope));
    const auto elements = static_cast<uint64_t>(*bytes) / element_bytes(out.dtype);
    if (out.init.kind == Init::Kind::values && out.init.values.size() != elements) {
      return init->error("init gives " + plural(out.init.values.size(), "value") + " for " +
                         plural(elements, "element"));
    }
  }
  return out;
}

Status add_parameters(ScriptModule& module, const Node& node, const Scope& scope,
                      PartNames& names) {
  for (const auto& [name, entry] : node.entries()) {
    // A module may have the name of an argument: `norm: str` and the module `norm`.
    if (entry.kind() != yaml::Kind::mapping || entry.find("type") != nullptr) continue;
    MLC_CHECK(names.add(name, node));
    MLC_CHECK(entry.only_keys({"shape", "dtype", "init"}));
    MLC_TRY(ScriptTensor tensor, read_tensor(module.path, name, entry, scope));
    module.parameters.push_back(std::move(tensor));
  }
  return {};
}

Status add_buffers(ScriptModule& module, const Node& node, const Scope& scope, PartNames& names) {
  for (const auto& [name, entry] : node.entries()) {
    MLC_CHECK(names.add(name, node));
    MLC_CHECK(need_mapping(entry, "a buffer", "{shape: [1, 512], dtype: int64, init: arange}"));
    MLC_CHECK(entry.only_keys({"shape", "dtype", "init", "persistent"}));
    MLC_TRY(ScriptTensor tensor, read_tensor(module.path, name, entry, scope));
    if (const Node* persistent = entry.find("persistent")) {
      MLC_TRY(tensor.persistent, persistent->as_bool());
    }
    module.buffers.push_back(std::move(tensor));
  }
  return {};
}

/// The tensor at the dotted NAME below MODULE, or null pointer.
ScriptTensor* find_tensor(ScriptModule& module, std::string_view name) {
  const size_t dot = name.find('.');
  const std::string_view first = name.substr(0, dot);
  if (dot != name.npos) {
    for (ScriptModule& child : module.children) {
      if (child.name == first) return find_tensor(child, name.substr(dot + 1));
    }
    return nullptr;
  }
  for (auto* list : {&module.parameters, &module.buffers}) {
    for (ScriptTensor& tensor : *list) {
      if (tensor.name == first) return &tensor;
    }
  }
  return nullptr;
}

void collect_names(const ScriptModule& module, size_t skipped, std::vector<std::string>& out) {
  for (const ScriptTensor& tensor : module.parameters) out.push_back(tensor.path.substr(skipped));
  for (const ScriptTensor& tensor : module.buffers) out.push_back(tensor.path.substr(skipped));
  for (const ScriptModule& child : module.children) collect_names(child, skipped, out);
}

std::string missing_hint(const ScriptModule& module, const std::string& name) {
  std::vector<std::string> names;
  collect_names(module, module.path.empty() ? 0 : module.path.size() + 1, names);
  const auto guess = nearest(name, names);
  return guess ? "did you mean " + quoted(*guess) + "?" : "";
}

std::string shape_text(const Ints& shape) {
  return python_literal(Value(shape));
}

}  // namespace

Result<Signature> read_signature(const Node& body) {
  Signature out;
  const Node* node = body.find("parameters");
  if (node == nullptr) return out;
  MLC_CHECK(need_mapping(*node, "parameters", "{channels: int}"));
  for (const auto& [name, entry] : node->entries()) {
    if (entry.kind() == yaml::Kind::mapping && entry.find("shape") != nullptr) continue;
    if (!is_identifier(name)) {
      return node->key_error(name, quoted(name, 60) + " cannot be the name of an argument",
                             "names are made of letters, digits and _");
    }
    MLC_TRY(SignatureArgument argument, read_argument(name, entry));
    out.push_back(std::move(argument));
  }
  return out;
}

Status add_own_tensors(ScriptModule& module, const Node& body, const Scope& scope,
                       PartNames& names) {
  if (const Node* node = body.find("parameters")) {
    MLC_CHECK(add_parameters(module, *node, scope, names));
  }
  if (const Node* node = body.find("buffers")) {
    MLC_CHECK(need_mapping(*node, "buffers", "{ids: {shape: [1, 512], dtype: int64}}"));
    MLC_CHECK(add_buffers(module, *node, scope, names));
  }
  return {};
}

Status PartNames::add(const std::string& name, const Node& node) {
  const bool number = !name.empty() && std::all_of(name.begin(), name.end(),
                                                   [](char c) { return c >= '0' && c <= '9'; });
  if (!number && !is_identifier(name)) {
    const bool is_path = name.find('.') != name.npos;
    return node.key_error(name, quoted(name, 60) + " cannot be the name of a part of a module",
                          is_path ? "modules lie within each other, as in layers: [{type: Linear, "
                                    "...}, {type: ReLU}] for layers.0 and layers.1"
                                  : "names are made of letters, digits and _");
  }
  if (std::ranges::binary_search(kKeywords, name)) {
    return node.key_error(
        name, quoted(name) + " is a word of Python's own",
        "no text can say self." + name + ", and TorchScript cannot read back what it writes of it");
  }
  if (std::find(std::begin(kTaken), std::end(kTaken), name) != std::end(kTaken)) {
    return node.key_error(name, "every module has " + quoted(name) + " already");
  }
  if (!taken_.insert(name).second) {
    return node.key_error(name, "this module has another part named " + quoted(name));
  }
  return {};
}

Status set_forward(ScriptModule& module, const Node& body) {
  const Node* node = body.find("forward");
  if (node == nullptr) return {};
  if (node->kind() != yaml::Kind::scalar) {
    return node->error(
        "forward must be text, found " + node->describe(),
        "forward: | and, indented below it, def forward(self, x: Tensor) -> Tensor:");
  }
  std::vector<TextLine> lines;
  const std::vector<std::string_view> texts = split(node->scalar(), '\n');
  const auto positions = node->text_positions(texts.size());
  for (const std::string_view line : texts) {
    const auto& [at_line, at_column] = positions[lines.size()];
    lines.push_back({std::string(line), {{at_line, at_column}, {}}});
  }
  while (!lines.empty() && trim(lines.back().text).empty()) lines.pop_back();
  // A part of a model may have methods of other names alone: self.decoder.step(x).
  const bool has_method = std::ranges::any_of(
      lines, [](const TextLine& line) { return begins_with_word(line.text, "def"); });
  if (!forward_header(node->scalar()) && (module.path.empty() || !has_method)) {
    return node->error("forward has no method `def forward(self, ...):` at the start of a line");
  }
  drop_grad_contexts(lines);
  split_statements(lines);
  MLC_TRY(std::vector<TextLine> written, unroll(lines, module, *node));
  MLC_CHECK(write_as_python(written, *node));
  std::string source;
  for (TextLine& line : written) {
    source += line.text + "\n";
    module.lines.push_back(std::move(line.from));
  }
  const std::string call = call_method(source);
  module.lines.resize(module.lines.size() +
                      static_cast<size_t>(std::count(call.begin(), call.end(), '\n')));
  module.source = source + call;
  return {};
}

Status apply_ties(ScriptModule& module, const Node& body) {
  const Node* node = body.find("tie");
  if (node == nullptr) return {};
  MLC_CHECK(need_mapping(*node, "tie", "{decoder.weight: embed.weight}"));
  for (const auto& [name, entry] : node->entries()) {
    MLC_TRY(const std::string target_name, entry.as_string());
    ScriptTensor* tied = find_tensor(module, name);
    if (tied == nullptr) {
      return node->key_error(name, "no tensor is named " + quoted(name),
                             missing_hint(module, name));
    }
    const ScriptTensor* target = find_tensor(module, target_name);
    if (target == nullptr) {
      return entry.error("no tensor is named " + quoted(target_name),
                         missing_hint(module, target_name));
    }
    const std::string& origin = target->tied_to.empty() ? target->path : target->tied_to;
    if (origin == tied->path || !tied->tied_to.empty()) {
      return node->key_error(name, quoted(name) + " is tied in a circle or twice");
    }
    if (tied->shape != target->shape || tied->dtype != target->dtype) {
      return entry.error(quoted(target_name) + " of " + std::string(info(target->dtype).torch) +
                         shape_text(target->shape) + " cannot be " + quoted(name) + " of " +
                         std::string(info(tied->dtype).torch) + shape_text(tied->shape));
    }
    tied->tied_to = origin;
  }
  return {};
}

void set_sequential_forward(ScriptModule& module) {
  std::string type = "Tensor";
  if (!module.children.empty()) {
    const auto header = forward_header(module.children.front().source);
    if (header && !header->parameters.empty()) type = header->parameters.front().type;
  }
  std::string source = "def forward(self, input: " + type + "):\n";
  std::string last = "input";
  for (size_t i = 0; i < module.children.size(); ++i) {
    const std::string next = "x" + std::to_string(i);
    source += "    " + next + " = " + child_text("self", module.children[i].name) + ".forward(" +
              last + ")\n";
    last = next;
  }
  source += "    return " + last + "\n";
  source += call_method(source);
  set_generated_source(module, std::move(source));
}

void add_argument_constants(ScriptModule& module) {
  std::set<std::string_view> taken = {"dtype"};
  for (const ScriptTensor& one : module.parameters) taken.insert(one.name);
  for (const ScriptTensor& one : module.buffers) taken.insert(one.name);
  for (const ScriptModule& one : module.children) taken.insert(one.name);
  std::vector<Constant> arguments;
  for (const Constant& one : module.constants) taken.insert(one.name);
  for (const Constant& one : module.arguments) {
    const auto* ints = std::get_if<Ints>(&one.value);
    const bool partial = ints && std::count(ints->begin(), ints->end(), kNoneInList) > 0;
    if (!partial && !taken.contains(one.name)) arguments.push_back(one);
  }
  module.constants.insert(module.constants.begin(), arguments.begin(), arguments.end());
}

uint64_t memory_of(const ScriptModule& module) {
  const auto of_constants = [](const std::vector<Constant>& constants) {
    uint64_t bytes = 0;
    for (const Constant& one : constants) {
      bytes += sizeof one + one.name.size() +
               std::visit(
                   [](const auto& held) -> uint64_t {
                     using Held = std::decay_t<decltype(held)>;
                     if constexpr (std::is_same_v<Held, std::string>)
                       return held.size();
                     else if constexpr (std::is_same_v<Held, std::vector<std::string>>)
                       return held.size() * sizeof(std::string);
                     else if constexpr (std::is_class_v<Held> && !std::is_empty_v<Held>)
                       return held.size() * sizeof(held[0]);
                     else
                       return 0;
                   },
                   one.value);
    }
    return bytes;
  };
  uint64_t bytes = sizeof module + module.source.size() + module.lines.size() * sizeof(SourceLine) +
                   of_constants(module.arguments) + of_constants(module.constants);
  for (const auto* list : {&module.parameters, &module.buffers}) {
    for (const ScriptTensor& one : *list) {
      bytes += sizeof one + one.path.size() + (one.shape.size() + one.init.values.size()) * 8;
    }
  }
  return bytes;
}

Status check_tensor_sizes(const ScriptModule& module, const Node& node) {
  for (const auto* list : {&module.parameters, &module.buffers}) {
    for (const ScriptTensor& tensor : *list) {
      if (bytes_of(tensor)) continue;
      return node.error(module.type + ": " + tensor.name + " would have more than 2^63 bytes");
    }
  }
  return {};
}

}  // namespace mlc::arch
