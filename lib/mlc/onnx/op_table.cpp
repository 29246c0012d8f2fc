#include "mlc/onnx/op_table.h"

#include <algorithm>
#include <unordered_map>

namespace mlc::onnx {
namespace {

using Table = std::span<const Row> (*)();
constexpr Table kTables[] = {
    activation_rows,  arithmetic_rows, assemble_rows, attention_rows, comparison_rows,
    convolution_rows, creation_rows,   diagonal_rows, distance_rows,  embedding_bag_rows,
    gamma_rows,       index_rows,      join_rows,     linear_rows,    loss_rows,
    norm_rows,        pass_rows,       pool_rows,     quantize_rows,  rare_rows,
    recurrent_rows,   reduction_rows,  resample_rows, scan_rows,      search_rows,
    shape_rows,       special_rows,    symbolic_rows, vision_rows,    window_rows,
};
constexpr Table kComplexTables[] = {complex_rows, spectral_rows};

constexpr std::string_view kControl[] = {"higher_order::cond", "higher_order::scan",
                                         "higher_order::while_loop", "prim::If"};
constexpr std::string_view kWrappers[] = {"higher_order::hints_wrapper",
                                          "higher_order::invoke_subgraph",
                                          "higher_order::strict_mode",
                                          "higher_order::tag_activation_checkpoint",
                                          "higher_order::wrap",
                                          "higher_order::wrap_activation_checkpoint",
                                          "higher_order::wrap_with_autocast",
                                          "higher_order::wrap_with_set_grad_enabled"};

// Operators on quantised tensors and packed weights, which a capture says with others: the table in
// torch/quantized_rows.cpp.
constexpr std::string_view kCaptured[] = {
    "aten::quantized_batch_norm",
    "quantized::add",
    "quantized::add_relu",
    "quantized::add_scalar",
    "quantized::add_scalar_relu",
    "quantized::batch_norm",
    "quantized::batch_norm1d",
    "quantized::batch_norm1d_relu",
    "quantized::batch_norm2d",
    "quantized::batch_norm2d_relu",
    "quantized::batch_norm3d",
    "quantized::batch_norm3d_relu",
    "quantized::batch_norm_relu",
    "quantized::cat",
    "quantized::cat_relu",
    "quantized::celu",
    "quantized::clamp",
    "quantized::conv1d",
    "quantized::conv1d_relu",
    "quantized::conv2d",
    "quantized::conv2d_relu",
    "quantized::conv3d",
    "quantized::conv3d_relu",
    "quantized::conv_transpose1d",
    "quantized::conv_transpose2d",
    "quantized::conv_transpose3d",
    "quantized::dropout",
    "quantized::elu",
    "quantized::embedding_bag_byte",
    "quantized::embedding_byte",
    "quantized::group_norm",
    "quantized::hardswish",
    "quantized::instance_norm",
    "quantized::layer_norm",
    "quantized::leaky_relu",
    "quantized::linear",
    "quantized::linear_dynamic",
    "quantized::linear_relu",
    "quantized::linear_relu_dynamic",
    "quantized::matmul",
    "quantized::max_pool1d",
    "quantized::max_pool2d",
    "quantized::mul",
    "quantized::mul_relu",
    "quantized::mul_scalar",
    "quantized::mul_scalar_relu",
    "quantized::prelu",
    "quantized::relu6",
    "quantized::sigmoid",
    "quantized::softmax",
    "quantized::threshold",
};

/// Second names that operators have in programs as torch.export writes them; TorchScript gives them
/// their first ones (torch/csrc/jit/passes/normalize_ops.cpp).
constexpr std::pair<std::string_view, std::string_view> kAliases[] = {
    {"aten::absolute", "aten::abs"},
    {"aten::arccos", "aten::acos"},
    {"aten::arccosh", "aten::acosh"},
    {"aten::arcsin", "aten::asin"},
    {"aten::arcsinh", "aten::asinh"},
    {"aten::arctan", "aten::atan"},
    {"aten::arctan2", "aten::atan2"},
    {"aten::arctanh", "aten::atanh"},
    {"aten::linalg_matmul", "aten::matmul"},
    {"aten::special_digamma", "aten::digamma"},
    {"aten::special_erf", "aten::erf"},
    {"aten::special_erfc", "aten::erfc"},
    {"aten::special_erfinv", "aten::erfinv"},
    {"aten::special_exp2", "aten::exp2"},
    {"aten::special_gammainc", "aten::igamma"},
    {"aten::special_gammaincc", "aten::igammac"},
    {"aten::special_gammaln", "aten::lgamma"},
    {"aten::special_i0", "aten::i0"},
    {"aten::special_log1p", "aten::log1p"},
    {"aten::special_log_softmax", "aten::log_softmax"},
    {"aten::special_logit", "aten::logit"},
    {"aten::special_multigammaln", "aten::mvlgamma"},
    {"aten::special_polygamma", "aten::polygamma"},
    {"aten::special_psi", "aten::digamma"},
    {"aten::special_round", "aten::round"},
    {"aten::special_sinc", "aten::sinc"},
    {"aten::special_softmax", "aten::softmax"},
    {"aten::special_xlogy", "aten::xlogy"},
};

const std::unordered_map<std::string_view, const Row*>& all_rows() {
  static const auto rows = [] {
    std::unordered_map<std::string_view, const Row*> out;
    for (const Table table : kTables) {
      for (const Row& row : table()) out.emplace(row.op, &row);
    }
    for (const auto& [alias, op] : kAliases) out.emplace(alias, out.at(op));
    // Those that make complex numbers, or take nothing else.
    for (const Table table : kComplexTables) {
      for (const Row& row : table()) {
        if (row.lower != nullptr) out.emplace(row.op, &row);
      }
    }
    return out;
  }();
  return rows;
}

}  // namespace

const Row* find_row(std::string_view op) {
  const auto found = all_rows().find(op);
  return found == all_rows().end() ? nullptr : found->second;
}

const Row* find_complex_row(std::string_view op) {
  for (const Table table : kComplexTables) {
    const auto rows = table();
    const auto found = std::ranges::find(rows, op, &Row::op);
    if (found != rows.end()) return &*found;
  }
  return nullptr;
}

bool wraps_block(std::string_view op) {
  return std::ranges::find(kWrappers, op) != std::end(kWrappers);
}

bool has_blocks(std::string_view op) {
  return wraps_block(op) || std::ranges::find(kControl, op) != std::end(kControl);
}

std::vector<std::string_view> known_operators() {
  std::vector<std::string_view> out;
  for (const auto& [name, row] : all_rows()) out.push_back(name);
  out.insert(out.end(), std::begin(kControl), std::end(kControl));
  out.insert(out.end(), std::begin(kWrappers), std::end(kWrappers));
  out.insert(out.end(), std::begin(kCaptured), std::end(kCaptured));
  std::ranges::sort(out);
  return out;
}

}  // namespace mlc::onnx
