#include "mlc/torch/build_module.h"

#include "mlc/base/text.h"
#include "mlc/engine/compile_problem.h"
#include "mlc/engine/script_limits.h"
#include "mlc/engine/torchscript_code.h"
#include "mlc/torch/functional.h"
#include "mlc/torch/names.h"
#include "mlc/torch/packed_sequences.h"
#include "mlc/torch/torch_values.h"
#include "mlc/torch/yaml_places.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <type_traits>
#include <utility>

#include <ATen/ATen.h>
#include <torch/csrc/jit/frontend/lexer.h>
#include <torch/csrc/jit/frontend/parser.h>
#include <torch/csrc/jit/frontend/source_range.h>
#include <torch/csrc/jit/frontend/sugared_value.h>

namespace mlc::torch_module {
namespace {

using arch::ScriptModule;
using arch::ScriptTensor;
using torch::jit::IValue;

/// A constant attribute and its type in TorchScript.
std::pair<c10::TypePtr, IValue> attribute(const arch::Value& value) {
  const auto visitor = [](const auto& held) -> std::pair<c10::TypePtr, IValue> {
    using T = std::decay_t<decltype(held)>;
    if constexpr (std::is_same_v<T, std::monostate>) return {c10::NoneType::get(), IValue()};
    if constexpr (std::is_same_v<T, bool>) return {c10::BoolType::get(), IValue(held)};
    if constexpr (std::is_same_v<T, int64_t>) return {c10::IntType::get(), IValue(held)};
    if constexpr (std::is_same_v<T, double>) return {c10::FloatType::get(), IValue(held)};
    if constexpr (std::is_same_v<T, std::string>) return {c10::StringType::get(), IValue(held)};
    if constexpr (std::is_same_v<T, arch::Ints>) {
      return {c10::ListType::ofInts(), IValue(c10::List<int64_t>(c10::ArrayRef<int64_t>(held)))};
    }
    if constexpr (std::is_same_v<T, std::vector<double>>) {
      return {c10::ListType::ofFloats(), IValue(c10::List<double>(c10::ArrayRef<double>(held)))};
    }
    if constexpr (std::is_same_v<T, std::vector<std::string>>) {
      c10::List<std::string> list;
      for (const std::string& one : held) list.push_back(one);
      return {c10::ListType::ofStrings(), IValue(std::move(list))};
    }
  };
  return std::visit(visitor, value);
}

at::Tensor initial_value(const ScriptTensor& tensor, c10::ScalarType type) {
  const arch::Init& init = tensor.init;
  const at::TensorOptions options(type);
  switch (init.kind) {
    case arch::Init::Kind::uniform:
      return at::empty(tensor.shape, options).uniform_(-init.a, init.a);
    case arch::Init::Kind::normal:
      return at::empty(tensor.shape, options).normal_(0, init.a);
    case arch::Init::Kind::full:
      return at::full(tensor.shape, init.a, options);
    case arch::Init::Kind::arange: {
      const int64_t count = tensor.shape.empty() ? 1 : tensor.shape.back();
      return at::arange(count, options).expand(tensor.shape).clone();
    }
    case arch::Init::Kind::tril:
      return at::ones(tensor.shape, options).tril();
    case arch::Init::Kind::values:
      return at::tensor(init.values, at::kDouble).reshape(tensor.shape).to(type);
  }
  return at::zeros(tensor.shape, options);
}

/// What a text may find behind `self.`.
std::vector<std::string> names_in(const ScriptModule& module) {
  std::vector<std::string> names;
  for (const ScriptModule& one : module.children) names.push_back(one.name);
  for (const ScriptTensor& one : module.parameters) names.push_back(one.name);
  for (const ScriptTensor& one : module.buffers) names.push_back(one.name);
  for (const arch::Constant& one : module.constants) names.push_back(one.name);
  return names;
}

/// The line of SOURCE, from 1, at which LibTorch's parser gives up on what is no statement ("retrun
/// x") without saying where; 0 if it does not.
size_t line_without_statement(std::string_view source) {
  size_t number = 0;
  for (size_t end = 0; end < source.size();) {
    end = std::min(source.find('\n', end), source.size() - 1) + 1;
    ++number;
    try {
      torch::jit::Parser parser(
          std::make_shared<torch::jit::Source>(std::string(source.substr(0, end))));
      while (parser.lexer().cur().kind != torch::jit::TK_EOF) parser.parseFunction(true);
    } catch (const std::exception& error) {
      if (std::string_view(error.what()).find("INTERNAL ASSERT") != std::string_view::npos) {
        return number;
      }
    }
  }
  return 0;
}

/// What TorchScript lacks of the Python in LINE of what somebody wrote, or in the line before, to
/// which it belongs: "try:" is a name and a colon to its parser.
std::optional<std::pair<size_t, ScriptLimit>> limit_near(const ScriptModule& from, size_t line) {
  const std::vector<std::string_view> lines = split(from.source, '\n');
  for (const size_t number : {line, line - 1}) {
    if (line == 0 || number == 0 || number > lines.size()) continue;
    if (number > from.lines.size() || from.lines[number - 1].position.line == 0) continue;
    const bool is_before = number != line;
    if (is_before && !trim(lines[number - 1]).ends_with(':')) continue;
    if (auto limit = script_limit(lines[number - 1])) return std::pair(number, std::move(*limit));
  }
  return std::nullopt;
}

/// PROBLEM at the first line that begins with its statement.
void move_to_statement(const ScriptModule& from, CompileProblem& problem) {
  size_t number = 0;
  for (const std::string_view line : split(from.source, '\n')) {
    ++number;
    if (!trim(line).starts_with(problem.statement + " ")) continue;
    problem.line = number;
    problem.column = line.find(problem.statement) + 1;
    return;
  }
}

/// PROBLEM at the end of the last line that somebody wrote, where it is behind that.
void move_to_written_line(const ScriptModule& from, CompileProblem& problem) {
  const std::vector<std::string_view> lines = split(from.source, '\n');
  const auto is_written = [&](size_t line) {
    return line <= lines.size() && line <= from.lines.size() &&
           from.lines[line - 1].position.line != 0 && !trim(lines[line - 1]).empty();
  };
  size_t line = problem.line;
  while (line > 0 && !is_written(line)) --line;
  if (line == 0 || line == problem.line) return;
  problem.line = line;
  problem.column = lines[line - 1].size() + 1;
  problem.message = "this is not finished";
}

/// The line of SOURCE, from 1, in which the method NAME begins; 0 where there is none.
size_t line_of_method(std::string_view source, std::string_view name) {
  const std::string begin = "def " + std::string(name);
  size_t number = 0;
  for (const std::string_view line : split(source, '\n')) {
    ++number;
    if (line.starts_with(begin + "(") || line.starts_with(begin + " ")) return number;
  }
  return 0;
}

/// Of ATTRIBUTE, which the compiler looked for where a text asks for more of a module than a child:
/// what to write. Empty for all other names.
std::string advice_on_lists(std::string_view attribute) {
  constexpr std::string_view kLoop =
      "modules are indexed by what is known before the run: self.blocks[0], `for block in "
      "self.blocks`, or `for i in range(3)` with no other value for i in it; parameters whose "
      "names are numbers are getattr(self.scales, '0')";
  if (attribute == "__getitem__" || attribute == "__iter__") return std::string(kLoop);
  const bool digits = !attribute.empty() &&
                      std::ranges::all_of(attribute, [](char c) { return c >= '0' && c <= '9'; });
  return digits ? "the list has no such module; conditions that keep a turn of the loop from it "
                  "compare the index itself: if i < 2:"
                : std::string();
}

constexpr const char* kCalledList =
    "a list of modules in the YAML is a ModuleList; {type: Sequential, modules: [...]} can be "
    "called "
    "and runs them one after the other";

constexpr const char* kIterable =
    "loops go over lists of modules, self.blocks, or over what is in a module, self.children(), by "
    "these names; and over lists, tuples, ranges and tensors";

class Builder {
 public:
  Builder(const ArchitectureSource& source, c10::Device device,
          std::optional<c10::ScalarType> floating)
      : source_(source),
        device_(device),
        floating_(floating),
        yaml_(std::make_shared<torch::jit::Source>(source.yaml, source.name, 1)) {}

  Result<torch::jit::Module> run() {
    index(*source_.root);
    return build(*source_.root);
  }

 private:
  void index(const ScriptModule& module) {
    for (const ScriptTensor& one : module.parameters) by_path_.emplace(one.path, &one);
    for (const ScriptTensor& one : module.buffers) by_path_.emplace(one.path, &one);
    for (const ScriptModule& child : module.children) index(child);
  }

  /// Modules that differ in nothing but the values of their tensors and attributes are objects of
  /// one class: compiling the text again is what takes most of the time of a deep network.
  Result<torch::jit::Module> build(const ScriptModule& from) {
    std::vector<torch::jit::Module> parts;
    for (const ScriptModule& child : from.children) {
      MLC_TRY(torch::jit::Module part, build(child));
      parts.push_back(std::move(part));
    }
    const std::string key = class_key(from, parts);
    const auto known = classes_.find(key);
    const bool is_new = known == classes_.end();
    torch::jit::Module made =
        is_new ? torch::jit::Module(c10::QualifiedName("__torch__.mlc." + from.type), unit_, true)
               : torch::jit::Module(unit_, known->second);
    MLC_CHECK(fill(from, parts, made));
    if (!is_new) return made;
    MLC_CHECK(define(from, made));
    classes_.emplace(key, made.type());
    return made;
  }

  /// Equal for modules that can share a class: same text, and attributes of the same names and
  /// types in the same order.
  static std::string class_key(const ScriptModule& from,
                               const std::vector<torch::jit::Module>& parts) {
    std::string key = from.type;
    const auto add = [&](char kind, std::string_view name, std::string_view type) {
      key.append(1, '\n').append(1, kind).append(name).append(1, ':').append(type);
    };
    for (size_t i = 0; i < parts.size(); ++i) {
      add('m', from.children[i].name, parts[i].type()->name()->qualifiedName());
    }
    for (const ScriptTensor& one : from.parameters) add('p', one.name, "");
    for (const ScriptTensor& one : from.buffers) add(one.persistent ? 'b' : 't', one.name, "");
    for (const arch::Constant& one : from.constants) {
      add('c', one.name, std::to_string(one.value.index()));
    }
    return key.append(1, '\n').append(from.source);
  }

  /// Gives MADE, whose class is new or has them already, the attributes of FROM.
  Status fill(const ScriptModule& from, const std::vector<torch::jit::Module>& parts,
              torch::jit::Module& made) {
    for (size_t i = 0; i < parts.size(); ++i) {
      made.register_module(from.children[i].name, parts[i]);
    }
    made.register_attribute("training", c10::BoolType::get(), false);
    for (const ScriptTensor& one : from.parameters) {
      MLC_TRY_CTX(at::Tensor value, shared(one), "parameter " + one.path);
      made.register_parameter(one.name, std::move(value), false);
    }
    for (const ScriptTensor& one : from.buffers) {
      MLC_TRY_CTX(at::Tensor value, shared(one), "buffer " + one.path);
      // TorchScript has buffers of one kind only, all of which are in the state_dict.
      if (one.persistent) {
        made.register_buffer(one.name, std::move(value));
      } else {
        made.register_attribute(one.name, c10::TensorType::get(), std::move(value));
      }
    }
    for (const arch::Constant& one : from.constants) {
      auto [type, value] = attribute(one.value);
      made.register_attribute(one.name, type, std::move(value));
    }
    return {};
  }

  /// The tensor of ONE, or that to which it is tied, made once.
  Result<at::Tensor> shared(const ScriptTensor& one) {
    const std::string& path = one.tied_to.empty() ? one.path : one.tied_to;
    if (const auto known = made_.find(path); known != made_.end()) return known->second;
    const auto origin = by_path_.find(path);
    MLC_TRY(at::Tensor value, placed(origin == by_path_.end() ? one : *origin->second));
    made_.emplace(path, value);
    return value;
  }

  Result<at::Tensor> placed(const ScriptTensor& one) const {
    MLC_TRY(const c10::ScalarType type, scalar_type(one.dtype));
    at::Tensor value;
    if (one.persistent) {
      MLC_TRY(const Weight weight, source_.weight(one));
      value = in_place(weight, type);
    } else {
      value = initial_value(one, type);
    }
    const bool cast = floating_ && at::isFloatingType(type);
    return value.to(device_, cast ? *floating_ : type);
  }

  Status define(const ScriptModule& from, torch::jit::Module& made) {
    if (from.source.empty()) return {};
    MLC_CHECK(refuse_deep(from));
    MLC_CHECK(refuse_misread(from));
    try {
      define_functions(*unit_, from.source, resolver_);
      compile(from, made);
      return {};
    } catch (const UnknownName& problem) {
      if (auto limit = limit_near(from, problem.line)) return limited(from, *limit);
      return source_.source_error(from, problem.line, problem.column, problem.message,
                                  problem.hint);
    } catch (const c10::Error& error) {
      return refused(from, error.what_without_backtrace());
    } catch (const std::exception& error) {
      return refused(from, error.what());
    }
  }

  /// As torch::jit::Module::define(), with places in the YAML.
  void compile(const ScriptModule& from, torch::jit::Module& made) {
    const auto places = std::make_shared<YamlPlaces>(from, yaml_);
    torch::jit::Parser parser(
        std::make_shared<torch::jit::Source>(from.source, "<string>", 1, places));
    std::vector<torch::jit::Def> methods;
    while (parser.lexer().cur().kind != torch::jit::TK_EOF) {
      methods.emplace_back(parser.parseFunction(/*is_method=*/true));
    }
    refuse_twice(methods);
    const auto self = self_with_packed_calls(made.type());
    const std::vector<torch::jit::ResolverPtr> resolvers(methods.size(), resolver_);
    unit_->define(*made.type()->name(), {}, {}, methods, resolvers, self.get());
    places->enable();
  }

  /// LibTorch refuses a second method of one name without saying where it is.
  static void refuse_twice(const std::vector<torch::jit::Def>& methods) {
    std::set<std::string> names;
    for (const torch::jit::Def& method : methods) {
      const std::string& name = method.name().name();
      if (names.insert(name).second) continue;
      UnknownName problem;
      if (const auto where = method.name().range().file_line_col()) {
        problem.line = std::get<1>(*where);
        problem.column = std::get<2>(*where) + 1;
      }
      problem.message = "there is a method " + mlc::quoted(name) + " before this one";
      problem.hint = "give it another name, or take one of both out";
      throw problem;
    }
  }

  Error limited(const ScriptModule& from, const std::pair<size_t, ScriptLimit>& limit) const {
    const auto& [line, what] = limit;
    return source_.source_error(from, line, what.column, what.message, what.hint);
  }

  /// The compiler of LibTorch calls itself until the stack ends, and the process with it.
  Status refuse_deep(const ScriptModule& from) const {
    const CodeDepth deepest = depth_of_code(from.source);
    if (deepest.depth <= kMaxCodeDepth) return {};
    return source_.source_error(from, deepest.line, 1,
                                "this is nested " + format_count(deepest.depth) +
                                    " deep, and no more than " + format_count(kMaxCodeDepth) +
                                    " can be compiled",
                                "operators in a row count too: break long expressions up, or "
                                "write a loop");
  }

  Status refuse_misread(const ScriptModule& from) const {
    size_t number = 0;
    for (const std::string_view line : split(from.source, '\n')) {
      ++number;
      const auto limit = misread_by_script(line);
      if (!limit) continue;
      return source_.source_error(from, number, limit->column, limit->message, limit->hint);
    }
    return {};
  }

  Error refused(const ScriptModule& from, std::string_view what) const {
    CompileProblem problem = read_compile_problem(what);
    if (!problem.statement.empty()) move_to_statement(from, problem);
    const size_t dead_end = problem.line == 0 ? line_without_statement(from.source) : 0;
    if (auto limit = limit_near(from, std::max(problem.line, dead_end))) {
      return limited(from, *limit);
    }
    if (problem.line == 0) {
      problem.line = dead_end;
      if (problem.line != 0) {
        const std::string_view line = split(from.source, '\n')[problem.line - 1];
        problem.message = "this is no statement";
        problem.column = line.find_first_not_of(' ') + 1;
      }
    }
    move_to_written_line(from, problem);
    constexpr std::string_view kUnknown = "no such name: ";
    if (problem.message.starts_with(kUnknown) && problem.hint.empty()) {
      const std::string_view name = std::string_view(problem.message).substr(kUnknown.size());
      problem.hint = advice_on_name(name);
      if (problem.hint.empty()) problem.hint = advice_on_loop_variable(name, source_.yaml);
    }
    if (problem.message.ends_with("is not iterable") ||
        problem.message.find("cannot be used as a tuple") != std::string::npos) {
      problem.hint = kIterable;
    }
    if (std::string advice = advice_on_lists(problem.attribute); !advice.empty()) {
      problem.hint = std::move(advice);
    } else if (problem.attribute == "__call__" && problem.message.starts_with("'ModuleList'")) {
      problem.hint = kCalledList;
    } else if (!problem.attribute.empty()) {
      const bool of_tensor = problem.message.starts_with("'Tensor' ");
      const auto near = nearest(problem.attribute, of_tensor ? tensor_members() : names_in(from));
      if (near) problem.hint = "did you mean " + printable(*near) + "?";
    }
    return source_.source_error(from, problem.line, problem.column, std::move(problem.message),
                                std::move(problem.hint));
  }

  const ArchitectureSource& source_;
  c10::Device device_;
  std::optional<c10::ScalarType> floating_;
  std::shared_ptr<torch::jit::Source> yaml_;
  std::shared_ptr<torch::jit::CompilationUnit> unit_ =
      std::make_shared<torch::jit::CompilationUnit>();
  std::shared_ptr<torch::jit::Resolver> resolver_ = make_resolver(unit_);
  std::map<std::string, const ScriptTensor*> by_path_;
  std::map<std::string, at::Tensor> made_;
  std::map<std::string, c10::ClassTypePtr> classes_;  // by class_key()
};

}  // namespace

Result<torch::jit::Module> build_module(const ArchitectureSource& source, c10::Device device,
                                        std::optional<c10::ScalarType> floating) {
  MLC_TRY(torch::jit::Module module, Builder(source, device, floating).run());
  if (const auto forward = module.find_method("forward")) {
    const auto& returns = forward->function().getSchema().returns();
    const bool nothing =
        returns.size() == 1 && returns[0].type()->kind() == c10::TypeKind::NoneType;
    const bool raises = source.root->source.find("raise ") != std::string::npos;
    if (!nothing || raises) return module;
    const size_t line = line_of_method(source.root->source, "forward");
    return source.source_error(*source.root, line, 1, "forward returns nothing",
                               "end it with what it computes: return x");
  }
  return source.error_at(source.root->position, "the architecture has no forward, so it cannot run",
                         "add `forward: |` with the method's text");
}

}  // namespace mlc::torch_module
