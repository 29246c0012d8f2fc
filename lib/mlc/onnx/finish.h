// The last steps on a lowered model: what nobody reads goes, norms are folded into the weights
// before them, everything gets its name.
#pragma once

#include "mlc/onnx/model.h"

#include <cstdint>
#include <span>

namespace mlc::onnx {

struct FinishFacts {
  uint64_t folded_norms = 0;  // batch norms that became part of the weights before them
};

/// Names: initializers have the keys of the state_dict, nodes the path of their module
/// ("/encoder/layer.0/MatMul"), values those of the nodes that make them, all of them once.
FinishFacts finish(Model& model);
/// The same without the names.
FinishFacts simplify(Model& model);

/// Takes out nodes none of whose outputs is read, or one of KEPT.
void remove_unused(Model& model, std::span<Value* const> kept = {});

/// Convolutions, their transposed form and linear layers whose only reader is a BatchNormalization
/// get its scale into their weights, computed in float64. Returns how many.
uint64_t fold_batch_norms(Model& model);

/// Additions before a LayerNormalization become one Sum. ONNX Runtime makes one operator of an Add
/// and the norm behind it, whose CPU kernel costs three times as much as both (1.31: 0.35 ms more
/// for 128 x 768 numbers, 7 % of BERT), but leaves a Sum alone.
void sum_before_norms(Model& model);

void give_names(Model& model);

/// How often a value is read, as an output of a graph too.
std::map<const Value*, uint64_t> count_uses(const Model& model);

}  // namespace mlc::onnx
