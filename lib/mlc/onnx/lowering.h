// One operator of PyTorch becoming nodes of ONNX.
//
//   void lower_relu(Call& c) { c.give(c.b.unary("Relu", c.tensor("self"))); }
//   constexpr Row kRows[] = {{"aten::relu", lower_relu}};
//
// A lowering reads its arguments by the names of PyTorch's schema, makes nodes with the Builder and
// gives the outputs. Missing arguments have the default that the lowering names. What cannot be
// lowered is thrown as Unlowerable: c.refuse("..."). Operators have no overload here: which
// arguments there are tells them apart. Writes into tensors are gone before (passes/).
#pragma once

#include "mlc/ir/graph.h"
#include "mlc/onnx/builder.h"
#include "mlc/onnx/promotion.h"

#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace mlc::onnx {

/// What values of the program have become.
using ValueMap = std::unordered_map<const ir::Value*, Value*>;

class Call {
 public:
  Call(Builder& builder, ValueMap& values, const ir::Node& operator_node)
      : b(builder), node(operator_node), values_(values) {}

  Builder& b;
  const ir::Node& node;
  /// ONNX Runtime computes with no complex numbers. As pairs, they have a last dimension of size 2;
  /// as parts, a lowering sees the real parts alone, then the imaginary ones.
  enum class Complex : uint8_t { refused, pairs, parts };
  Complex complex = Complex::refused;
  ir::Symbols& symbols() { return b.symbols(); }

  /// "aten::add".
  std::string op() const { return node.op().domain + "::" + node.op().name; }
  [[noreturn]] static void refuse(std::string reason) { throw Unlowerable(std::move(reason)); }

  // Arguments. Each throws Unlowerable where the argument is of another kind.
  /// Whether it is there and not None.
  bool has(std::string_view name) const;
  /// A tensor; a number becomes one without dimensions, of int64, float32 or bool.
  Value* tensor(std::string_view name);
  Value* optional(std::string_view name);  // null where it is absent
  /// The argument at INDEX, whatever its name.
  Value* tensor_at(size_t index);
  std::vector<Value*> tensors(std::string_view name);
  /// The items of a list of optional tensors; null for None.
  std::vector<Value*> optional_tensors(std::string_view name);
  /// A tensor or a number, with what promotion has to know of it.
  struct Scalar {
    Value* value = nullptr;
    Operand operand;
  };
  Scalar operand(std::string_view name);
  ir::Expr integer(std::string_view name);
  ir::Expr integer(std::string_view name, int64_t otherwise);
  /// An integer that has to be known.
  int64_t fixed(std::string_view name);
  int64_t fixed(std::string_view name, int64_t otherwise);
  bool boolean(std::string_view name, bool otherwise);
  /// A float, an integer or a bool as a number.
  double number(std::string_view name);
  double number(std::string_view name, double otherwise);
  std::string text(std::string_view name, std::string_view otherwise);
  Sizes sizes(std::string_view name);
  std::vector<int64_t> fixed_list(std::string_view name);
  std::vector<int64_t> fixed_list(std::string_view name, std::vector<int64_t> otherwise);
  std::vector<double> numbers(std::string_view name);
  std::optional<DType> dtype(std::string_view name) const;
  /// An axis, counted from the front. Throws where it is not within RANK (0 counts as 1).
  int64_t axis(std::string_view name, size_t rank, std::optional<int64_t> otherwise = {});
  /// A list of axes, or one; all of them where it is absent or empty.
  std::vector<int64_t> axes(std::string_view name, size_t rank);

  // Outputs.
  size_t output_count() const { return node.outputs().size(); }
  /// Whether anyone reads the output.
  bool is_used(size_t index) const { return !node.output(index)->uses().empty(); }
  /// What the program says of the output. Throws where it does not know dtype or rank.
  TensorType output_type(size_t index = 0) const;
  DType output_dtype(size_t index = 0) const { return output_type(index).dtype; }
  const Sizes output_sizes(size_t index = 0) const { return output_type(index).sizes; }
  /// VALUE is output INDEX; it is cast to the dtype that the program says. Throws where the number
  /// of dimensions is another one.
  void give(Value* value, size_t index = 0);

  // What many lowerings do.
  /// The operands cast to the dtype that PyTorch computes with; DTYPE, where given, instead of it.
  std::vector<Value*> promoted(std::initializer_list<std::string_view> names,
                               std::optional<DType> dtype = {});
  /// The same, float32 where that would be bool or an integer.
  std::vector<Value*> floating(std::initializer_list<std::string_view> names);
  /// float32 for bool and integers, as functions of real numbers take them.
  Value* floating(Value* x);
  Value* floating(std::string_view name) { return floating(tensor(name)); }

 private:
  friend class ProgramLowering;
  const ir::Attribute& required(std::string_view name) const;
  Value* value_of(const ir::Value* value);
  Value* tensor_of(const ir::Attribute& attribute, std::string_view name);
  ir::Expr expr_of(const ir::Attribute& attribute, std::string_view name);

  ValueMap& values_;
};

using Lower = void (*)(Call&);

/// float32 for complex64, float64 for complex128; nothing for other dtypes.
std::optional<DType> part_dtype(DType dtype);
bool is_complex(const ir::Value* value);

/// One operator. The tables of lower/ are sorted by nobody: op_table.cpp finds rows by name.
struct Row {
  std::string_view op;  // "aten::add"
  Lower lower = nullptr;
};

}  // namespace mlc::onnx
