// What a row of the table of module types works with: the arguments of one module come in, its
// tensors, children and source text go out.
#pragma once

#include "mlc/base/result.h"
#include "mlc/frontend/script_module.h"
#include "mlc/frontend/signature.h"
#include "mlc/yaml/document.h"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace mlc::arch {

/// Builds the modules within modules; the tree builder is one.
class ChildFactory {
 public:
  virtual ~ChildFactory() = default;
  /// A module of TYPE with these arguments, as a part of a module that NODE describes.
  virtual Result<ScriptModule> make(const std::string& name, const std::string& parent_path,
                                    std::string_view type, std::vector<GivenArgument> arguments,
                                    const yaml::Node& node) = 0;
  /// A module that the YAML describes at NODE.
  virtual Result<ScriptModule> make_from(const std::string& name, const std::string& parent_path,
                                         const yaml::Node& node) = 0;
};

/// Products of sizes that stay at the largest int64 instead of overflowing; a shape with such a
/// size is refused later.
int64_t saturating_mul(int64_t a, int64_t b);

class LeafBuilder {
 public:
  LeafBuilder(ScriptModule& module, const BoundArguments& arguments, const yaml::Node& node,
              ChildFactory& children)
      : module_(module), arguments_(arguments), node_(node), children_(children) {}

  // Arguments. Requires: NAME is in the signature with that type.
  bool is_none(std::string_view name) const;
  bool flag(std::string_view name) const { return std::get<bool>(value(name)); }
  int64_t integer(std::string_view name) const { return std::get<int64_t>(value(name)); }
  double number(std::string_view name) const { return std::get<double>(value(name)); }
  const std::string& text(std::string_view name) const {
    return std::get<std::string>(value(name));
  }
  const Ints& ints(std::string_view name) const { return std::get<Ints>(value(name)); }
  const Value& value(std::string_view name) const { return bound(name).value; }
  /// What was given as ARGUMENT, for the argument NAME of a child.
  GivenArgument passed(std::string name, std::string_view argument) const;
  /// As source text.
  std::string literal(std::string_view name) const { return python_literal(value(name)); }
  /// TEXT with every {name} replaced by the literal of that argument.
  std::string filled(std::string_view text) const;

  // Tensors, in PyTorch's order of registration; floating ones have the dtype of the argument
  // `dtype` unless another is given. Init: PyTorch's default for weights is uniform(1/sqrt(fan)).
  void parameter(std::string name, Ints shape, Init init);
  void buffer(std::string name, Ints shape, Init init);
  void counter(std::string name);  // num_batches_tracked: a scalar of int64
  /// An optional parameter or buffer that is absent: the attribute is None.
  void none(std::string name) { constant(std::move(name), Value()); }
  /// An attribute for the source text, beside the arguments, which all become attributes.
  void constant(std::string name, Value value);

  /// A child of another type; the dtype is passed on where that type has one.
  Status child(std::string name, std::string_view type, std::vector<GivenArgument> arguments);
  /// A child that an argument of type module describes.
  Status child_from(std::string name, std::string_view argument);
  /// COUNT copies of the module in ARGUMENT, in a ModuleList.
  Status copies_from(std::string name, std::string_view argument, int64_t count);
  /// Whether the argument NAME, of type module, is given and not null.
  bool has_module(std::string_view name) const;
  /// A child of TYPE that is no row of the table by itself: FILL adds what is in it.
  Status nested(std::string name, std::string type,
                const std::function<Status(LeafBuilder&)>& fill);
  /// A ModuleList of COUNT equal modules of TYPE.
  Status copies(std::string name, std::string_view type,
                const std::vector<GivenArgument>& arguments, int64_t count);

  /// The method `forward(self, PARAMETERS) -> RETURNS` with BODY, whose lines begin at column 1;
  /// __call__ is added.
  void forward(std::string_view parameters, std::string_view returns, std::string_view body);
  /// Adds another method, with its SELF-less parameters as forward(). Requires: forward() was
  /// called.
  void method(std::string_view name, std::string_view parameters, std::string_view returns,
              std::string_view body);
  /// The same for most: one tensor in, one out. EXPRESSION goes through filled().
  void forward_expression(std::string_view expression);

  /// "Conv2d: MESSAGE" at the argument, or at the module where the argument is a default.
  Error error(std::string_view argument, std::string_view message, std::string hint = {}) const;
  const std::string& type() const { return module_.type; }

 private:
  const BoundArgument& bound(std::string_view name) const;
  void tensor(std::vector<ScriptTensor>& list, std::string name, Ints shape, Init init);
  DType dtype() const;
  std::vector<GivenArgument> with_dtype(std::vector<GivenArgument> arguments,
                                        std::string_view type) const;
  ScriptModule empty_child(std::string name, std::string type) const;

  ScriptModule& module_;
  const BoundArguments& arguments_;
  const yaml::Node& node_;
  ChildFactory& children_;
};

/// Source text that raises ValueError with the text of the expression MESSAGE unless CONDITION
/// holds. Beside the computation, not within it: what passes do with the operators stays as it was.
std::string require_text(std::string_view condition, std::string_view message);
/// The same for VALUE with COUNT dimensions: "TYPE takes an input of 3 dimensions, found 2".
std::string require_dims(std::string_view type, std::string_view value, int count);

/// Weights of layers with FAN_IN inputs: uniform(-1/sqrt(fan_in), 1/sqrt(fan_in)).
Init uniform_for(int64_t fan_in);
inline Init normal(double deviation) {
  return {Init::Kind::normal, deviation, {}};
}
inline Init full(double value) {
  return {Init::Kind::full, value, {}};
}

/// An argument that mlc itself gives.
inline GivenArgument given(std::string name, Value value) {
  return {std::move(name), std::move(value), std::nullopt};
}

}  // namespace mlc::arch
