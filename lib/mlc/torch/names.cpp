#include "mlc/torch/names.h"

#include "mlc/base/text.h"
#include "mlc/engine/script_limits.h"
#include "mlc/torch/functional.h"
#include "mlc/torch/packed_sequences.h"
#include "mlc/torch/python_operators.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include <c10/core/MemoryFormat.h>
#include <c10/core/ScalarType.h>
#include <torch/csrc/jit/frontend/builtin_functions.h>
#include <torch/csrc/jit/frontend/sugared_value.h>
#include <torch/csrc/jit/runtime/operator.h>

namespace mlc::torch_module {
namespace {

using torch::jit::GraphFunction;
using torch::jit::SourceRange;
using torch::jit::SugaredValuePtr;

constexpr auto kTypeNames = std::to_array<std::pair<std::string_view, c10::ScalarType>>({
    {"float32", c10::kFloat},
    {"float", c10::kFloat},
    {"float64", c10::kDouble},
    {"double", c10::kDouble},
    {"float16", c10::kHalf},
    {"half", c10::kHalf},
    {"bfloat16", c10::kBFloat16},
    {"int64", c10::kLong},
    {"long", c10::kLong},
    {"int32", c10::kInt},
    {"int", c10::kInt},
    {"int16", c10::kShort},
    {"short", c10::kShort},
    {"int8", c10::kChar},
    {"uint8", c10::kByte},
    {"bool", c10::kBool},
    {"complex64", c10::kComplexFloat},
    {"complex128", c10::kComplexDouble},
});
constexpr auto kFormatNames = std::to_array<std::pair<std::string_view, c10::MemoryFormat>>({
    {"contiguous_format", c10::MemoryFormat::Contiguous},
    {"preserve_format", c10::MemoryFormat::Preserve},
    {"channels_last", c10::MemoryFormat::ChannelsLast},
    {"channels_last_3d", c10::MemoryFormat::ChannelsLast3d},
});
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr auto kNumbers = std::to_array<std::pair<std::string_view, double>>({
    {"pi", std::numbers::pi},
    {"e", std::numbers::e},
    {"inf", kInfinity},
    {"nan", std::numeric_limits<double>::quiet_NaN()},
    {"tau", 2 * std::numbers::pi},
});

/// What a text may raise.
constexpr auto kExceptions = std::to_array<std::string_view>(
    {"AssertionError", "Exception", "IndexError", "KeyError", "NotImplementedError", "RuntimeError",
     "TypeError", "ValueError"});

/// Parts of torch whose functions are operators under another name: torch.fft.rfft is fft_rfft.
constexpr auto kPrefixed = std::to_array<std::string_view>({"linalg", "fft", "special"});

template <class Table>
auto find_in(const Table& table, const std::string& name) {
  const auto row = std::ranges::find(table, name, &Table::value_type::first);
  return row == table.end() ? nullptr : &row->second;
}

bool is_operator(const std::string& space, const std::string& name) {
  const auto symbol = c10::Symbol::fromQualString(space + "::" + name);
  // Some are TorchScript texts of the library rather than operators: math.degrees, torch.rot90.
  return !torch::jit::getAllOperatorsFor(symbol).empty() ||
         !torch::jit::getAllBuiltinFunctionsFor(symbol).empty();
}

constexpr std::string_view kOps = "torch.ops.";
constexpr std::string_view kSequences = "torch.nn.utils.rnn";
constexpr const char* kFloatLimits =
    "write the number: the least float32 is -3.4028234663852886e38, its eps 1.1920928955078125e-07";
constexpr std::string_view kTransformer = "torch.nn.Transformer";

/// All that may follow "torch.", "torch.ops.aten." or "F.", for suggestions.
std::vector<std::string> names_after(const std::string& path) {
  std::set<std::string> names;
  if (path == "F") {
    for (const std::string& name : functional_names()) names.insert(name);
  }
  if (path == kSequences) {
    for (const Function& one : sequence_functions()) {
      if (!one.name.starts_with('_')) names.emplace(one.name);
    }
    return {names.begin(), names.end()};
  }
  if (path == "torch") {
    for (const auto& row : kTypeNames) names.emplace(row.first);
  }
  const bool is_space = path.starts_with(kOps);
  const std::string space = is_space ? path.substr(kOps.size()) + "::" : "aten::";
  for (const auto& one : torch::jit::getAllOperators()) {
    const std::string& full = one->schema().name();
    if (!full.starts_with(space) || full.starts_with(space + "_")) continue;
    names.insert(full.substr(space.size()));
  }
  return {names.begin(), names.end()};
}

SugaredValuePtr function_value(const std::shared_ptr<torch::jit::CompilationUnit>& unit,
                               const std::vector<torch::jit::Function*>& variants) {
  if (variants.empty()) return nullptr;
  std::vector<torch::jit::StrongFunctionPtr> held;
  for (auto* one : variants) held.emplace_back(unit, one);
  return std::make_shared<torch::jit::FunctionValue>(held);
}

/// What torch.nn.utils.rnn calls NAME; null pointer where it is nothing.
SugaredValuePtr sequence_name(const std::shared_ptr<torch::jit::CompilationUnit>& unit,
                              const std::string& name) {
  if (name == kPackedSequence) {
    return std::make_shared<torch::jit::NamedTupleConstructor>(packed_sequence_type());
  }
  return function_value(unit, find_sequence_functions(*unit, name));
}

/// A function without arguments that always has the same answer. It is a constant, so the compiler
/// leaves out the branch that is never taken.
class KnownAnswer : public torch::jit::SugaredValue {
 public:
  explicit KnownAnswer(bool answer) : answer_(answer) {}

  std::string kind() const override { return "function"; }

  SugaredValuePtr call(const SourceRange& place, GraphFunction& method,
                       at::ArrayRef<torch::jit::NamedValue> arguments,
                       at::ArrayRef<torch::jit::NamedValue> keywords, size_t /*results*/) override {
    if (!arguments.empty() || !keywords.empty()) {
      throw torch::jit::ErrorReport(place) << "it takes no arguments";
    }
    return std::make_shared<torch::jit::SimpleValue>(
        method.graph()->insertConstant(answer_, place));
  }

 private:
  bool answer_;
};

/// max_pool2d and its like, which give two results where `return_indices` is True: TorchScript
/// chooses what to call by that constant, as torch._jit_internal.boolean_dispatch does.
class PoolName : public torch::jit::SugaredValue {
 public:
  PoolName(SugaredValuePtr plain, SugaredValuePtr with_indices)
      : plain_(std::move(plain)), with_indices_(std::move(with_indices)) {}

  std::string kind() const override { return plain_->kind(); }

  SugaredValuePtr call(const SourceRange& place, GraphFunction& method,
                       at::ArrayRef<torch::jit::NamedValue> arguments,
                       at::ArrayRef<torch::jit::NamedValue> keywords, size_t results) override {
    std::vector<torch::jit::NamedValue> others;
    bool both = false;
    for (const torch::jit::NamedValue& one : keywords) {
      if (one.name() != "return_indices") {
        others.push_back(one);
        continue;
      }
      const auto known = torch::jit::toIValue(one.value(*method.graph()));
      if (!known || !known->isBool()) {
        throw torch::jit::ErrorReport(place) << "return_indices must be True or False itself";
      }
      both = known->toBool();
    }
    return (both ? with_indices_ : plain_)->call(place, method, arguments, others, results);
  }

 private:
  SugaredValuePtr plain_;
  SugaredValuePtr with_indices_;
};

/// What NAME of F is with indices; empty where it is no such function.
std::string pool_with_indices(const std::string& name) {
  if (name.find("max_pool") == name.npos || !name.ends_with('d')) return {};
  return name.starts_with("adaptive") ? name : name + "_with_indices";
}

SugaredValuePtr operator_value(const std::string& space, const std::string& name) {
  return std::make_shared<torch::jit::BuiltinFunction>(
      c10::Symbol::fromQualString(space + "::" + name), std::nullopt);
}

/// An operator, and functions for calls that do not fit it.
class OperatorOrFunction : public torch::jit::SugaredValue {
 public:
  OperatorOrFunction(SugaredValuePtr first, SugaredValuePtr second)
      : first_(std::move(first)), second_(std::move(second)) {}

  std::string kind() const override { return "function"; }

  SugaredValuePtr call(const SourceRange& place, GraphFunction& method,
                       at::ArrayRef<torch::jit::NamedValue> arguments,
                       at::ArrayRef<torch::jit::NamedValue> keywords, size_t results) override {
    try {
      return first_->call(place, method, arguments, keywords, results);
    } catch (const torch::jit::ErrorReport&) {
      return second_->call(place, method, arguments, keywords, results);
    }
  }

 private:
  SugaredValuePtr first_;
  SugaredValuePtr second_;
};

/// Functions that take what Python's take, where the operators of their names mean something else
/// by it.
constexpr auto kNoOperators = std::to_array<std::string_view>({"stft"});

/// A dotted name on its way to an operator, a function or a constant.
class DottedName : public torch::jit::SugaredValue {
 public:
  DottedName(std::string path, std::shared_ptr<torch::jit::CompilationUnit> functions)
      : path_(std::move(path)), functions_(std::move(functions)) {}

  std::string kind() const override { return "module " + path_; }

  SugaredValuePtr attr(const SourceRange& place, GraphFunction& method,
                       const std::string& name) override {
    if (auto value = path_ == "torch.jit" ? of_jit(name) : nullptr) return value;
    if (auto value = constant(place, method, name)) return value;
    if (auto value = part(name)) return value;
    if (auto value = function(name)) return value;
    throw unknown(place, name);
  }

 private:
  /// What asks how the text runs: as TorchScript, and never while something is traced.
  static SugaredValuePtr of_jit(const std::string& name) {
    if (name == "is_scripting") return std::make_shared<KnownAnswer>(true);
    if (name == "is_tracing") return std::make_shared<KnownAnswer>(false);
    if (name == "annotate") return torch::jit::SpecialFormValue::create(c10::prim::annotate);
    if (name == "isinstance") return torch::jit::SpecialFormValue::create(c10::prim::isinstance);
    return nullptr;
  }

  SugaredValuePtr constant(const SourceRange& place, GraphFunction& method,
                           const std::string& name) const {
    const auto made = [&](const c10::IValue& value) {
      return std::make_shared<torch::jit::SimpleValue>(
          method.graph()->insertConstant(value, place));
    };
    if (path_ != "torch" && path_ != "math") return nullptr;
    const bool is_torch = path_ == "torch";
    if (const double* value = find_in(kNumbers, name)) return made(*value);
    if (const auto* type = is_torch ? find_in(kTypeNames, name) : nullptr) return made(*type);
    if (const auto* format = is_torch ? find_in(kFormatNames, name) : nullptr) return made(*format);
    return nullptr;
  }

  /// torch.nn, torch.nn.functional, torch.ops.aten, torch.fft, ...
  SugaredValuePtr part(const std::string& name) const {
    const auto deeper = [&](std::string path) {
      return std::make_shared<DottedName>(std::move(path), functions_);
    };
    if (path_ == "torch.nn" && name == "functional") return deeper("F");
    if (path_ == "torch.nn" && name == "utils") return deeper("torch.nn.utils");
    if (path_ == "torch.nn" && name == "Transformer") return deeper(std::string(kTransformer));
    if (path_ == "torch.nn.utils" && name == "rnn") return deeper(std::string(kSequences));
    if (path_ == "torch.ops" || (path_ == "torch._C" && name == "_nn")) {
      return deeper("torch.ops." + (path_ == "torch.ops" ? name : "aten"));
    }
    const bool prefixed = std::ranges::find(kPrefixed, name) != kPrefixed.end();
    if (path_ == "torch" &&
        (name == "nn" || name == "ops" || name == "_C" || name == "jit" || prefixed)) {
      return deeper("torch." + name);
    }
    return nullptr;
  }

  SugaredValuePtr function(const std::string& name) const {
    if (const std::string both = path_ == "F" ? pool_with_indices(name) : ""; !both.empty()) {
      const auto of = [this](const std::string& one) {
        auto own = function_value(functions_, find_functions(*functions_, one));
        return own != nullptr ? own : operator_value("aten", one);
      };
      return std::make_shared<PoolName>(of(name),
                                        both == name ? operator_value("aten", both) : of(both));
    }
    if (path_ == "F") {
      if (auto own = function_value(functions_, find_functions(*functions_, name))) return own;
      if (!advice_against(name).empty()) return nullptr;
    }
    if (path_ == kSequences) return sequence_name(functions_, name);
    if (path_ == kTransformer) {
      return function_value(functions_, find_transformer_functions(*functions_, name));
    }
    const auto [space, operator_name] = as_operator(name);
    auto own = path_ == "torch"
                   ? function_value(functions_, find_torch_functions(*functions_, name))
                   : nullptr;
    const bool replaces = std::ranges::find(kNoOperators, name) != kNoOperators.end();
    if (own != nullptr && replaces) return own;
    if (space.empty() || !is_operator(space, operator_name)) return nullptr;
    auto made = operator_value(space, operator_name);
    if (own == nullptr) return made;
    return std::make_shared<OperatorOrFunction>(std::move(made), std::move(own));
  }

  std::pair<std::string, std::string> as_operator(const std::string& name) const {
    if (path_.starts_with(kOps)) return {path_.substr(kOps.size()), name};
    if (path_ == "math" && name == "remainder") return {"aten", "mathremainder"};
    if (path_ == "torch" || path_ == "F" || path_ == "math") return {"aten", name};
    for (const std::string_view one : kPrefixed) {
      if (path_ == "torch." + std::string(one)) return {"aten", std::string(one) + "_" + name};
    }
    return {};
  }

  UnknownName unknown(const SourceRange& place, const std::string& name) const {
    UnknownName problem;
    if (const auto where = place.file_line_col()) {
      problem.line = std::get<1>(*where);
      problem.column = std::get<2>(*where) + 1;
    }
    problem.message = path_ + " has no " + mlc::quoted(name) + " that TorchScript can call";
    if (path_ == "F") problem.hint = advice_against(name);
    if (path_ == "torch.nn") problem.hint = advice_on_name("nn");
    if (path_ == "torch" && name == "finfo") problem.hint = kFloatLimits;
    if (problem.hint.empty()) {
      const std::vector<std::string> names = names_after(path_);
      if (const auto near = nearest(name, names)) {
        problem.hint = "did you mean " + path_ + "." + printable(*near) + "?";
      } else if (names.empty() && path_.starts_with(kOps)) {
        problem.hint =
            "custom operators come from a library that extends PyTorch, which mlc does not load";
      }
    }
    return problem;
  }

  std::string path_;
  std::shared_ptr<torch::jit::CompilationUnit> functions_;
};

class NameResolver : public torch::jit::Resolver {
 public:
  explicit NameResolver(std::shared_ptr<torch::jit::CompilationUnit> functions)
      : functions_(std::move(functions)) {}

  SugaredValuePtr resolveValue(const std::string& name, GraphFunction& /*method*/,
                               const SourceRange& /*place*/) override {
    if (std::ranges::find(kExceptions, name) != kExceptions.end()) {
      return std::make_shared<torch::jit::ExceptionValue>(name);
    }
    // As behind `from torch.nn.utils.rnn import ...` and `from torch import nn`.
    if (auto value = sequence_name(functions_, name)) return value;
    if (auto value = python_operator(name)) return value;
    if (name == "nn") return std::make_shared<DottedName>("torch.nn", functions_);
    if (name != "torch" && name != "F" && name != "math") return nullptr;
    return std::make_shared<DottedName>(name, functions_);
  }

  c10::TypePtr resolveType(const std::string& name, const SourceRange& /*place*/) override {
    const std::string_view last = std::string_view(name).substr(name.rfind('.') + 1);
    return last == kPackedSequence ? packed_sequence_type() : nullptr;
  }

 private:
  std::shared_ptr<torch::jit::CompilationUnit> functions_;
};

}  // namespace

std::shared_ptr<torch::jit::Resolver> make_resolver(
    std::shared_ptr<torch::jit::CompilationUnit> functions) {
  return std::make_shared<NameResolver>(std::move(functions));
}

std::vector<std::string> tensor_members() {
  std::set<std::string> names = {"device",        "dtype", "grad", "itemsize", "layout", "ndim",
                                 "requires_grad", "shape", "H",    "T",        "mH",     "mT"};
  for (const auto& one : torch::jit::getAllOperators()) {
    const c10::FunctionSchema& schema = one->schema();
    if (!schema.name().starts_with("aten::") || schema.arguments().empty()) continue;
    if (schema.arguments()[0].name() != "self") continue;
    if (schema.arguments()[0].type()->kind() == c10::TypeKind::TensorType) {
      names.insert(schema.name().substr(6));
    }
  }
  return {names.begin(), names.end()};
}

}  // namespace mlc::torch_module
