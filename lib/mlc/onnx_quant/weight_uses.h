// Which nodes of a model read which weight, and how: what decides whether it can be quantised.
#pragma once

#include "mlc/onnx_edit/document.h"
#include "mlc/onnx_quant/weight_matrix.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace mlc::onnx {

enum class Role : uint8_t {
  table,      // Gather along the first of two dimensions: an embedding
  matmul,     // the second operand of MatMul
  gemm,       // the second operand of Gemm, whose first is not transposed
  conv,       // the filters of Conv
  deconv,     // those of ConvTranspose
  recurrent,  // of LSTM, GRU, RNN
  stack,      // of Einsum, or matrices that MatMul takes in a stack or as its first operand
  other,
};

struct WeightUse {
  size_t node = 0;
  Role role = Role::other;
  Channels channels = Channels::first;  // of the tensor as it lies in the file
  bool through_transpose = false;       // MatMul reads what a Transpose makes of it
};

/// A floating-point constant of two or more dimensions, with all that reads it.
struct WeightUses {
  std::string tensor;
  std::vector<WeightUse> uses;
  bool is_visible = false;  // inner graphs, callers or outputs have it too

  bool has(Role role) const;
};

/// Identity of a constant is the constant: its readers get that. Transposes stay.
void skip_identities(Document& document);

/// Rows that Slice takes of a constant are a constant of their own, as the projections that PyTorch
/// keeps in one parameter. Errors: those of reading constants.
Status split_slices(Document& document);

/// Matrices that nothing but Transpose reads are stored as MatMul takes them: their names stay.
void turn_matrices(Document& document);

/// Values that a Transpose makes of a matrix, for its nodes alone, by name, and the matrix.
std::map<std::string, std::string, std::less<>> turned_constants(const Document& document);

/// All weights of the outermost graph, in the order of their first use.
std::vector<WeightUses> find_weights(const Document& document);

/// Takes away nodes whose results nobody reads, as far as they do nothing else.
void drop_dead_nodes(Document& document);

}  // namespace mlc::onnx
