// Every operator that mlc can lower: one row each, from the tables in lower/.
#pragma once

#include "mlc/onnx/lowering.h"

#include <span>
#include <string_view>
#include <vector>

namespace mlc::onnx {

// One table per file of lower/.
std::span<const Row> activation_rows();
std::span<const Row> arithmetic_rows();
std::span<const Row> assemble_rows();
std::span<const Row> attention_rows();
std::span<const Row> comparison_rows();
std::span<const Row> convolution_rows();
std::span<const Row> creation_rows();
std::span<const Row> diagonal_rows();
std::span<const Row> distance_rows();
std::span<const Row> embedding_bag_rows();
std::span<const Row> gamma_rows();
std::span<const Row> index_rows();
std::span<const Row> join_rows();
std::span<const Row> linear_rows();
std::span<const Row> loss_rows();
std::span<const Row> norm_rows();
std::span<const Row> pass_rows();
std::span<const Row> pool_rows();
std::span<const Row> quantize_rows();
std::span<const Row> rare_rows();
std::span<const Row> recurrent_rows();
std::span<const Row> reduction_rows();
std::span<const Row> resample_rows();
std::span<const Row> scan_rows();
std::span<const Row> search_rows();
std::span<const Row> shape_rows();
std::span<const Row> special_rows();
std::span<const Row> symbolic_rows();
std::span<const Row> vision_rows();
std::span<const Row> window_rows();

/// An operator on complex numbers: a lowering of its own on pairs, or none where the plain one does
/// it for the real parts and the imaginary parts.
std::span<const Row> complex_rows();
std::span<const Row> spectral_rows();
/// Null for an operator that mlc knows of real numbers only.
const Row* find_complex_row(std::string_view op);

/// Null for an operator that mlc does not know.
const Row* find_row(std::string_view op);
/// What has blocks: branches, loops, and what only says how its block is to be run (wraps_block).
/// lower_program() lowers them itself, they have no rows.
bool has_blocks(std::string_view op);
bool wraps_block(std::string_view op);
/// All that can be lowered, sorted by name.
std::vector<std::string_view> known_operators();

}  // namespace mlc::onnx
