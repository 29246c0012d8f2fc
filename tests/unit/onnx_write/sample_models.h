// Small ONNX models made by hand, for the unit tests and for tests/tools/write_onnx_samples.cpp.
#pragma once

#include "mlc/onnx/model.h"

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sample {

/// A model that is being made: values get names as they come.
struct Sketch {
  mlc::onnx::Model model;

  explicit Sketch(int opset = 17);
  mlc::ir::Expr size(int64_t value) { return model.symbols().constant(value); }
  std::vector<mlc::ir::Expr> sizes(std::vector<int64_t> values);
  mlc::onnx::Value* value(std::string name, mlc::DType dtype, std::vector<mlc::ir::Expr> sizes);
  /// An input of the model.
  mlc::onnx::Value* input(std::string name, mlc::DType dtype, std::vector<mlc::ir::Expr> sizes);
  mlc::onnx::Value* floats(std::string name, std::vector<int64_t> sizes, std::vector<float> values);
  mlc::onnx::Value* integers(std::string name, std::vector<int64_t> values);
  /// A float32 weight all elements of which are FILL, made anew whenever it is asked for.
  mlc::onnx::Value* filled(std::string name, std::vector<int64_t> sizes, float fill);
  /// A node with one float32 output, in GRAPH or else in the model's.
  mlc::onnx::Value* node(std::string op, std::vector<mlc::onnx::Value*> inputs, std::string output,
                         std::vector<mlc::ir::Expr> sizes,
                         std::vector<mlc::onnx::Attribute> attributes = {},
                         mlc::onnx::Graph* graph = nullptr);
  void output(mlc::onnx::Value* value) { model.graph.outputs.push_back({value->name, value}); }
};

/// y[batch, 2] = x[batch, 3] @ [[1, 2], [3, 4], [5, 6]] + [10, 20].
Sketch linear();
/// y = x + outer if flag, else x * 2, where outer = x + 1 is a value of the outer graph.
Sketch branch();
/// y[n, 6] = reshape(x[n, 2, 3] + 1); half[n // 2, 6] is its first n // 2 rows.
Sketch symbolic();
/// m = mean(x[2, 3], axis 1); s = sum(x, axis 1) + m + sum(x, axis 0), opset OPSET.
Sketch reductions(int opset);
/// y = x + a + b + c, with 256, 300 and 4 elements.
Sketch three_tensors();
/// y and again are the same value, same is x itself.
Sketch passed_through();
/// y[8] = x[8] @ w1[8, 8] @ ... with COUNT weights of SIDE x SIDE zeros.
Sketch wide(size_t count, int64_t side);

struct Named {
  std::string_view name;
  std::function<Sketch()> make;
};
/// All of them, with the names of the files that the tool writes.
const std::vector<Named>& all();

}  // namespace sample
