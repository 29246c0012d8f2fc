// What operators do with channels: a row for each in the tables of rules_*.cpp.
#pragma once

#include "mlc/onnx_prune/walker.h"

#include <span>
#include <string_view>

namespace mlc::onnx {

/// Gives the outputs of the walker's node their atoms. What it has no row for keeps all channels
/// that it reads.
using ChannelRule = void (*)(Walker&);
struct RuleRow {
  std::string_view op;
  ChannelRule rule;
};

std::span<const RuleRow> weight_rules();  // convolutions, products, norms, tables
std::span<const RuleRow> pass_rules();    // element by element, pools, sums, parts
std::span<const RuleRow> shape_rules();   // Reshape and what computes its sizes

void apply_rule(Walker& walker);
/// Whether NODE may read sizes without using them as numbers.
bool is_shape_rule(const DocNode& node);
/// The rule of what nobody knows.
void keep_all_inputs(Walker& walker);

}  // namespace mlc::onnx
