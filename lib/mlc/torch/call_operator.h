// One operator of LibTorch called with the arguments of a graph's node.
#pragma once

#include "mlc/base/result.h"
#include "mlc/ir/graph.h"

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/ivalue.h>
#include <c10/core/Device.h>

namespace mlc::torch_module {

/// What a running program knows: the content of values and of expressions.
struct Surroundings {
  std::function<const c10::IValue&(const ir::Value*)> value;
  /// Throws c10::Error for a size that nothing defines.
  std::function<int64_t(ir::Expr)> integer;
};

/// Whether the operator NAME ("aten::save") writes or reads files: no program may.
bool touches_files(std::string_view name);

/// The overload that OP names, or nothing: also for operators that touch files.
std::optional<c10::OperatorHandle> find_operator(const ir::OpName& op);

/// Throws c10::Error where the operator of SCHEMA crashes LibTorch (2.13) with ARGUMENTS.
void refuse_crash(const c10::FunctionSchema& schema, const std::vector<c10::IValue>& arguments);

/// What ATTRIBUTE, which holds no values and no sizes that vary, is as an argument of type TYPE.
c10::IValue constant_argument(const ir::Attribute& attribute, const c10::TypePtr& type,
                              c10::Device device);

class OperatorCall {
 public:
  /// Arranges the arguments of NODE for the schema of HANDLE. Devices become DEVICE: the program
  /// runs where the model is. Errors: corrupt for arguments that the schema lacks, or that it needs
  /// and NODE does not have; unsupported for types that no argument can have.
  static Result<OperatorCall> make(const ir::Graph& graph, const ir::Node& node,
                                   c10::OperatorHandle handle, c10::Device device);

  /// What the operator gives, lists of tensors taken apart. Throws what LibTorch throws.
  std::vector<c10::IValue> run(const Surroundings& surroundings) const;

 private:
  struct Slot {
    c10::IValue constant;                    // where nothing below is set
    const ir::Attribute* varying = nullptr;  // holds values or sizes that vary
    c10::TypePtr type;
    int32_t repeat = 0;  // of a list with a fixed length: what one number stands for
  };

  explicit OperatorCall(c10::OperatorHandle handle) : handle_(std::move(handle)) {}

  c10::OperatorHandle handle_;
  c10::Device device_ = c10::kCPU;
  std::vector<Slot> slots_;
};

}  // namespace mlc::torch_module
