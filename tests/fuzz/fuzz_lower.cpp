// Any graph: functionalize() and lower_program() end with a model, or with problems that they name.
#include "mlc/onnx/constants.h"
#include "mlc/onnx/finish.h"
#include "mlc/onnx/lower_program.h"
#include "mlc/passes/functionalize.h"
#include "mlc/tensor/shape.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace {

/// Zeros where a weight of a known size below 4 Ki elements is wanted.
mlc::onnx::DataRef weight_of(const mlc::ir::Graph& graph, const mlc::ir::Value& value) {
  const mlc::ir::TensorType* type = value.tensor();
  if (type == nullptr || !type->dtype || !type->sizes) return nullptr;
  const auto sizes = mlc::onnx::fixed_sizes(graph.symbols(), *type->sizes);
  const auto count = sizes ? mlc::element_count(*sizes) : std::nullopt;
  if (!count || *count > 4096) return nullptr;
  if (mlc::info(*type->dtype).kind == mlc::DTypeClass::complex) return nullptr;
  return mlc::onnx::tensor_of_integers(std::vector<int64_t>(static_cast<size_t>(*count), 0), *sizes,
                                       *type->dtype);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  auto parsed = mlc::ir::parse(text, "fuzz");
  if (!parsed.ok()) return 0;
  mlc::onnx::Program program;
  program.graph = std::make_shared<mlc::ir::Graph>(std::move(*parsed));
  if (!mlc::passes::functionalize(*program.graph).ok()) return 0;
  if (!mlc::ir::verify(*program.graph).ok()) __builtin_trap();
  for (mlc::ir::Value* input : program.graph->inputs()) {
    program.inputs.push_back({input->name(), input});
  }
  for (mlc::ir::Value* weight : program.graph->weights()) {
    mlc::onnx::DataRef made = weight_of(*program.graph, *weight);
    if (made == nullptr) return 0;
    program.weights.push_back({weight, std::move(made)});
  }
  const size_t results = program.graph->body().results()->arguments().size();
  for (size_t i = 0; i < results; ++i) program.outputs.push_back({"out" + std::to_string(i), i});
  auto lowered = mlc::onnx::lower_program(program, {});
  if (lowered.ok() && lowered->problems.empty()) mlc::onnx::finish(lowered->model);
  return 0;
}
