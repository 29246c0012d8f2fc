#include "mlc/frontend/tree_builder.h"

#include "mlc/base/text.h"
#include "mlc/frontend/architecture.h"
#include "mlc/frontend/module_path.h"
#include "mlc/frontend/module_types.h"

#include <algorithm>

namespace mlc::arch {
namespace {

using yaml::Kind;
using yaml::Node;

constexpr int kMaxDepth = 200;  // of modules within modules

constexpr std::string_view kRepeat = "repeat";
constexpr std::string_view kWhen = "when";
constexpr std::string_view kType = "type";
constexpr std::string_view kSequential = "Sequential";
constexpr const char* kListedModules =
    "a list goes with `type: Sequential` or `type: ModuleList`: in a class write `type: "
    "Sequential` "
    "beside it, elsewhere give the list a name, body: {type: Sequential, modules: [...]}";

bool is_container_name(std::string_view type) {
  return std::find(std::begin(kContainers), std::end(kContainers), type) != std::end(kContainers);
}

std::string joined(const std::string& parent, const std::string& name) {
  return parent.empty() ? name : parent + "." + name;
}

/// Takes the names that are added from now on away again.
class ScopeMark {
 public:
  explicit ScopeMark(Scope& scope) : scope_(scope), size_(scope.size()) {}
  ~ScopeMark() { scope_.resize(size_); }
  ScopeMark(const ScopeMark&) = delete;
  ScopeMark& operator=(const ScopeMark&) = delete;

 private:
  Scope& scope_;
  size_t size_;
};

/// Other names for the time of a class, which sees none of those around.
class ScopeGuard {
 public:
  ScopeGuard(Scope& scope, Scope inner) : scope_(scope), outer_(std::move(scope)) {
    scope_ = std::move(inner);
  }
  ~ScopeGuard() { scope_ = std::move(outer_); }
  ScopeGuard(const ScopeGuard&) = delete;
  ScopeGuard& operator=(const ScopeGuard&) = delete;

 private:
  Scope& scope_;
  Scope outer_;
};

class DepthGuard {
 public:
  explicit DepthGuard(int& depth) : depth_(depth) { ++depth_; }
  ~DepthGuard() { --depth_; }
  DepthGuard(const DepthGuard&) = delete;
  DepthGuard& operator=(const DepthGuard&) = delete;

 private:
  int& depth_;
};

}  // namespace

namespace {

/// The keys of a class, and that of a Sequential under another name, `type: Sequential`.
Status check_class(const std::string& name, const Node& body) {
  const Node* type = body.find(kType);
  if (type == nullptr) {
    return body.only_keys({"parameters", "buffers", "modules", "forward", "tie"});
  }
  MLC_TRY(const std::string text, type->as_string());
  if (text != kSequential) {
    return type->error("a class is no " + quoted(text, 60),
                       "its type can be Sequential, or nothing; a module of it has type: " + name);
  }
  MLC_CHECK(body.only_keys({"type", "parameters", "modules"}));
  if (body.find("modules") != nullptr) return {};
  return body.error("Sequential needs modules", "modules: [{type: ReLU}]");
}

}  // namespace

Status TreeBuilder::declare(const Node* classes) {
  if (classes == nullptr) return {};
  if (classes->kind() != Kind::mapping) {
    return classes->error("classes must be a mapping from names to classes, found " +
                          classes->describe());
  }
  for (const auto& [name, body] : classes->entries()) {
    if (find_module_type(name) != nullptr || is_container_name(name)) {
      return classes->key_error(name, name + " is a module of torch.nn",
                                "give the class another name");
    }
    if (!is_identifier(name)) {
      return classes->key_error(name, quoted(name, 60) + " cannot be the name of a class",
                                "names are made of letters, digits and _");
    }
    if (body.kind() != Kind::mapping) {
      return body.error("the class " + quoted(name) + " must be a mapping, found " +
                        body.describe());
    }
    MLC_CHECK(check_class(name, body));
    MLC_TRY(Signature signature, read_signature(body));
    classes_.emplace_back(name, Class{body, std::move(signature)});
  }
  return {};
}

Result<ScriptModule> TreeBuilder::root(const Node& document) {
  MLC_TRY(ScriptModule module, start("", "", "Module", document));
  return anonymous(std::move(module), document);
}

/// Counts one more module, whatever it will be.
Result<ScriptModule> TreeBuilder::start(const std::string& name, const std::string& parent_path,
                                        std::string type, const Node& node) {
  if (++modules_ > kMaxModules) {
    return node.error("the model has more than " + format_count(kMaxModules) + " modules");
  }
  if (depth_ > kMaxDepth) {
    return node.error("modules are nested more than " + std::to_string(kMaxDepth) + " levels deep");
  }
  ScriptModule module;
  module.name = name;
  module.path = joined(parent_path, name);
  module.type = std::move(type);
  module.position = {node.line(), node.column()};
  return module;
}

Result<ScriptModule> TreeBuilder::make_from(const std::string& name, const std::string& parent_path,
                                            const Node& node) {
  const DepthGuard guard(depth_);
  if (node.kind() == Kind::sequence) {
    MLC_TRY(ScriptModule list, start(name, parent_path, "ModuleList", node));
    MLC_CHECK(add_items(list, node));
    return list;
  }
  if (node.kind() != Kind::mapping) {
    return node.error("a module must be a mapping or a list of modules, found " + node.describe(),
                      "for example {type: ReLU}");
  }
  if (node.find(kRepeat) != nullptr) return repeated(name, parent_path, node);
  return from_mapping(name, parent_path, node);
}

Result<ScriptModule> TreeBuilder::from_mapping(const std::string& name,
                                               const std::string& parent_path, const Node& node) {
  if (const Node* type = node.find(kType)) return typed(name, parent_path, node, *type);
  const bool is_class = node.find("modules") || node.find("forward") || node.find("parameters") ||
                        node.find("buffers");
  if (!is_class) {
    return node.error("this module has no type",
                      "type is a module of torch.nn or a class; modules and forward make a module "
                      "without a type");
  }
  MLC_CHECK(
      node.only_keys({"repeat", "when", "parameters", "buffers", "modules", "forward", "tie"}));
  MLC_TRY(ScriptModule module, start(name, parent_path, "Module", node));
  return anonymous(std::move(module), node);
}

Result<ScriptModule> TreeBuilder::typed(const std::string& name, const std::string& parent_path,
                                        const Node& node, const Node& type_node) {
  MLC_TRY(const Value value, evaluate(type_node, scope_));
  const auto* type = std::get_if<std::string>(&value);
  if (type == nullptr) return type_node.error("type must be a name, found " + describe(value));
  if (is_container_name(*type)) {
    MLC_TRY(ScriptModule module, start(name, parent_path, *type, node));
    return container(std::move(module), node);
  }
  const bool known = find_module_type(*type) != nullptr ||
                     std::any_of(classes_.begin(), classes_.end(),
                                 [&](const auto& one) { return one.first == *type; });
  if (!known) return unknown_type(type_node, *type);
  MLC_TRY(std::vector<GivenArgument> given, given_arguments(node));
  return make(name, parent_path, *type, std::move(given), node);
}

Result<std::vector<GivenArgument>> TreeBuilder::given_arguments(const Node& node) {
  std::vector<GivenArgument> out;
  for (const auto& [key, entry] : node.entries()) {
    if (key == kType || key == kRepeat || key == kWhen) continue;
    GivenArgument one{key, Value(), entry};
    if (entry.kind() != Kind::mapping) {
      MLC_TRY(one.value, evaluate(entry, scope_));
      MLC_TRY(one.origin, note(entry));
    }
    out.push_back(std::move(one));
  }
  return out;
}

Result<ScriptModule> TreeBuilder::make(const std::string& name, const std::string& parent_path,
                                       std::string_view type, std::vector<GivenArgument> arguments,
                                       const Node& node) {
  const DepthGuard guard(depth_);
  MLC_TRY(ScriptModule module, start(name, parent_path, std::string(type), node));
  if (const ModuleType* row = find_module_type(type)) {
    return leaf(std::move(module), *row, arguments, node);
  }
  const auto it = std::find_if(classes_.begin(), classes_.end(),
                               [type](const auto& one) { return one.first == type; });
  if (it == classes_.end()) return internal_error("module type " + module.type);
  return instance(std::move(module), it->second, arguments, node);
}

namespace {

/// EXPRESSION, with the operator that writes into its input where ARGUMENTS ask for it: what the
/// caller reads from that input afterwards is another value then.
std::string in_place(std::string_view expression, const BoundArguments& arguments) {
  const auto asked = std::ranges::find(arguments, "inplace", &BoundArgument::name);
  const bool wanted = asked != arguments.end() && std::get<bool>(asked->value);
  std::string out(expression);
  if (wanted) out.insert(out.find('('), "_");
  return out;
}

}  // namespace

Result<ScriptModule> TreeBuilder::leaf(ScriptModule module, const ModuleType& row,
                                       const std::vector<GivenArgument>& arguments,
                                       const Node& node) {
  BoundArguments bound;
  if (row.signature != kAnyArguments) {
    MLC_TRY(bound, bind_arguments(parse_signature(row.signature), arguments, row.name, node));
  }
  LeafBuilder builder(module, bound, node, *this);
  Scope given;
  for (const BoundArgument& one : bound) {
    given.push_back({one.name, Value(), one.origin});
    const bool is_module = one.node && one.node->kind() == Kind::mapping;
    if (!is_module) module.arguments.push_back({one.name, one.value});
  }
  note_module(module, given, false);
  if (row.build != nullptr) {
    MLC_CHECK(row.build(builder));
  } else {
    builder.forward_expression(in_place(row.expression, bound));
  }
  MLC_CHECK(check_tensor_sizes(module, node));
  add_argument_constants(module);
  MLC_CHECK(account_for(module, node));
  return module;
}

Result<ScriptModule> TreeBuilder::instance(ScriptModule module, const Class& declared,
                                           const std::vector<GivenArgument>& arguments,
                                           const Node& node) {
  const std::string type = module.type;
  if (std::find(building_.begin(), building_.end(), type) != building_.end()) {
    std::string way;
    for (auto it = std::find(building_.begin(), building_.end(), type); it != building_.end();
         ++it) {
      way += *it + " > ";
    }
    return node.error("the class " + type + " contains itself: " + way + type);
  }
  MLC_TRY(const BoundArguments bound, bind_arguments(declared.signature, arguments, type, node));
  Scope inner;
  for (const BoundArgument& one : bound) {
    inner.push_back({one.name, one.value, one.origin});
    if (!one.node && one.origin == 0) {
      MLC_TRY(inner.back().origin, note_default(declared.body, one.name));
    }
    module.arguments.push_back({one.name, one.value});
  }
  note_module(module, inner, true);
  building_.push_back(type);
  const ScopeGuard guard(scope_, std::move(inner));
  MLC_CHECK(declared.body.find(kType) == nullptr ? fill(module, declared.body)
                                                 : fill_sequential(module, declared.body));
  building_.pop_back();
  return module;
}

/// A class without a name: its arguments are named values with defaults, and it sees those around.
Result<ScriptModule> TreeBuilder::anonymous(ScriptModule module, const Node& body) {
  MLC_TRY(const Signature signature, read_signature(body));
  const ScopeMark mark(scope_);
  Scope own;
  for (const SignatureArgument& one : signature) {
    if (one.required) {
      return body.find("parameters")
          ->key_error(one.name, "nothing gives " + quoted(one.name) + " a value here",
                      "give it a default: {type: " + one.type + ", default: ...}");
    }
    MLC_TRY(const OriginId origin, note_default(body, one.name));
    own.push_back({one.name, one.default_value, origin});
    module.arguments.push_back({one.name, one.default_value});
  }
  scope_.insert(scope_.end(), own.begin(), own.end());
  note_module(module, own, true);
  MLC_CHECK(fill(module, body));
  return module;
}

Status TreeBuilder::fill(ScriptModule& module, const Node& body) {
  PartNames names;
  MLC_CHECK(add_own_tensors(module, body, scope_, names));
  MLC_CHECK(note_tensors(module, body));
  if (const Node* modules = body.find("modules")) {
    MLC_CHECK(add_named(module, *modules, names));
  }
  MLC_CHECK(apply_ties(module, body));
  add_argument_constants(module);
  MLC_CHECK(set_forward(module, body));
  return account_for(module, body);
}

/// Nothing for what is no integer, or a list of one.
Result<OriginId> TreeBuilder::note(const Node& node) {
  if (origins_ == nullptr) return OriginId{0};
  if (node.kind() == Kind::sequence && node.items().size() == 1) return note(node.items().front());
  if (node.kind() != Kind::scalar) return OriginId{0};
  MLC_TRY(const Value value, evaluate(node, scope_));
  const auto* const number = std::get_if<int64_t>(&value);
  if (number == nullptr) return OriginId{0};
  ValueOrigin made{node, *number, {}};
  if (!node.is_quoted()) {
    for (std::string& name : names_in(node.scalar())) {
      const auto known = std::find_if(scope_.rbegin(), scope_.rend(),
                                      [&](const KnownName& one) { return one.name == name; });
      const OriginId origin = known == scope_.rend() ? 0 : known->origin;
      made.names.emplace_back(std::move(name), origin);
    }
  }
  origins_->values.push_back(std::move(made));
  return origins_->values.size();
}

/// Of the default of an argument that BODY declares.
Result<OriginId> TreeBuilder::note_default(const Node& body, const std::string& name) {
  if (origins_ == nullptr) return OriginId{0};
  const Node* const all = body.find("parameters");
  const Node* const one = all == nullptr ? nullptr : all->find(name);
  const Node* const fallback = one == nullptr ? nullptr : one->find("default");
  return fallback == nullptr ? Result<OriginId>(OriginId{0}) : note(*fallback);
}

Status TreeBuilder::note_tensors(const ScriptModule& module, const Node& body) {
  if (origins_ == nullptr) return {};
  for (const auto* const tensors : {&module.parameters, &module.buffers}) {
    for (const ScriptTensor& tensor : *tensors) {
      const Node* const list = body.find(tensors == &module.buffers ? "buffers" : "parameters");
      const Node* const entry = list == nullptr ? nullptr : list->find(tensor.name);
      const Node* const shape = entry == nullptr ? nullptr : entry->find("shape");
      if (shape == nullptr) continue;
      std::vector<OriginId>& dims = origins_->tensors[tensor.path];
      for (const Node& item : shape->items()) {
        MLC_TRY(const OriginId origin, note(item));
        dims.push_back(origin);
      }
    }
  }
  return {};
}

void TreeBuilder::note_module(const ScriptModule& module, const Scope& arguments, bool is_class) {
  if (origins_ == nullptr) return;
  ModuleOrigins& made = origins_->modules.emplace_back();
  made.path = module.path;
  made.type = module.type;
  made.is_class = is_class;
  for (const KnownName& one : arguments) made.arguments.emplace_back(one.name, one.origin);
}

/// The body of a class that is a Sequential, whose arguments its modules use.
Status TreeBuilder::fill_sequential(ScriptModule& module, const Node& body) {
  MLC_CHECK(add_modules(module, *body.find("modules")));
  module.type = kSequential;  // whatever its name: it can be looped over and indexed
  add_argument_constants(module);
  set_sequential_forward(module);
  return account_for(module, body);
}

/// The modules of a container, a list or a mapping.
Status TreeBuilder::add_modules(ScriptModule& module, const Node& modules) {
  PartNames names;
  MLC_CHECK(modules.kind() == Kind::sequence ? add_items(module, modules)
                                             : add_named(module, modules, names));
  // A module that is left out is not part of a container at all.
  module.constants.clear();
  return {};
}

Status TreeBuilder::account_for(const ScriptModule& module, const Node& node) {
  memory_ += memory_of(module);
  if (memory_ <= kMaxTreeBytes) return {};
  return node.error("the modules up to here take more than " + format_bytes(kMaxTreeBytes) +
                    " to describe");
}

/// `when`: whether the module is there.
Result<bool> TreeBuilder::is_wanted(const Node& node) const {
  const Node* when = node.kind() == Kind::mapping ? node.find(kWhen) : nullptr;
  if (when == nullptr) return true;
  MLC_TRY(const Value value, evaluate(*when, scope_));
  if (const auto* flag = std::get_if<bool>(&value)) return *flag;
  return when->error("when must be true or false, found " + describe(value), quotes_hint(*when));
}

Status TreeBuilder::add_named(ScriptModule& module, const Node& modules, PartNames& names) {
  if (modules.kind() != Kind::mapping) {
    return modules.error(
        "modules must be a mapping from names to modules, found " + modules.describe(),
        modules.kind() == Kind::sequence ? kListedModules : "");
  }
  for (const auto& [name, node] : modules.entries()) {
    MLC_CHECK(names.add(name, modules));
    MLC_TRY(const bool wanted, is_wanted(node));
    if (!wanted) {
      module.constants.push_back({name, Value()});
      continue;
    }
    MLC_TRY(ScriptModule child, make_from(name, module.path, node));
    module.children.push_back(std::move(child));
  }
  return {};
}

Result<ScriptModule> TreeBuilder::repeated(const std::string& name, const std::string& parent_path,
                                           const Node& node) {
  MLC_TRY(ScriptModule list, start(name, parent_path, "ModuleList", node));
  MLC_TRY(const int64_t count, evaluate_int(*node.find(kRepeat), scope_));
  if (count < 0) return node.find(kRepeat)->error("repeat must be 0 or more");
  for (int64_t i = 0; i < count; ++i) {
    const ScopeMark mark(scope_);
    scope_.push_back({"index", i});
    MLC_TRY(ScriptModule child, from_mapping(std::to_string(i), list.path, node));
    list.children.push_back(std::move(child));
  }
  return list;
}

/// The modules of a list, named by their numbers; an item with `repeat` becomes several.
Status TreeBuilder::add_items(ScriptModule& list, const Node& items) {
  for (const Node& item : items.items()) {
    MLC_TRY(const bool wanted, is_wanted(item));
    if (!wanted) continue;
    const Node* repeat = item.kind() == Kind::mapping ? item.find(kRepeat) : nullptr;
    if (repeat == nullptr) {
      MLC_TRY(ScriptModule child, make_from(std::to_string(list.children.size()), list.path, item));
      list.children.push_back(std::move(child));
      continue;
    }
    MLC_TRY(const int64_t count, evaluate_int(*repeat, scope_));
    if (count < 0) return repeat->error("repeat must be 0 or more");
    for (int64_t i = 0; i < count; ++i) {
      const ScopeMark mark(scope_);
      scope_.push_back({"index", i});
      MLC_TRY(ScriptModule child,
              from_mapping(std::to_string(list.children.size()), list.path, item));
      list.children.push_back(std::move(child));
    }
  }
  return {};
}

Result<ScriptModule> TreeBuilder::container(ScriptModule module, const Node& node) {
  MLC_CHECK(node.only_keys({"type", "repeat", "when", "modules"}));
  const Node* modules = node.find("modules");
  const bool is_dict = module.type == "ModuleDict";
  if (modules == nullptr) {
    return node.error(module.type + " needs modules",
                      is_dict ? "modules: {name: {type: ReLU}}" : "modules: [{type: ReLU}]");
  }
  const bool is_list = modules->kind() == Kind::sequence;
  if (is_list && is_dict) return modules->error("ModuleDict needs names: a mapping of modules");
  if (!is_list && module.type == "ModuleList") {
    return modules->error("ModuleList needs a list of modules, found " + modules->describe());
  }
  MLC_CHECK(add_modules(module, *modules));
  if (module.type == kSequential) set_sequential_forward(module);
  MLC_CHECK(account_for(module, node));
  return module;
}

Error TreeBuilder::unknown_type(const Node& node, const std::string& type) const {
  std::vector<std::string> known = module_type_names();
  for (const auto& [name, declared] : classes_) known.push_back(name);
  std::string hint = "types are the modules of torch.nn and the names under classes";
  const size_t dot = type.rfind('.');
  const std::string last = dot == type.npos ? type : type.substr(dot + 1);
  if (std::string advice = advice_on_missing(last); !advice.empty()) {
    hint = std::move(advice);
  } else if (const auto guess = nearest(last, known)) {
    hint = "did you mean " + quoted(*guess) + "?";
  }
  return node.error("unknown module type " + quoted(type, 60), std::move(hint));
}

}  // namespace mlc::arch
