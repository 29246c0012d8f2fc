// Which operators of a model compute with bytes, and which activations they need ranges of.
//
// Conv, Gemm and MatMul with constant weights, then what lies between them and can do with bytes:
// residual Add, pools, Concat, operators that only move elements. Relu and Clip after one of them
// are what bytes do at their ends, and fall away. Softmax, norms and all else stay in floats.
#pragma once

#include "mlc/onnx_edit/document.h"
#include "mlc/onnx_quant/quantize.h"

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace mlc::onnx {

struct StaticPlan {
  std::set<size_t> nodes;             // that compute with bytes, by index in Document::nodes
  std::map<size_t, size_t> folded;    // those of them whose Relu or Clip falls away, and which
  std::set<std::string> activations;  // that become bytes
  /// Activations that have the scale of another one, because an operator between them moves
  /// elements only.
  std::map<std::string, std::string> same_scale;
  std::map<size_t, std::string> turned;    // MatMuls that read Transpose of a weight, which one
  std::map<std::string, KeptReason> kept;  // weights that stay as they are, and why
  std::set<std::string> halves;  // what nodes read and give that is float16 in the float model

  /// The activation that has the scale of NAME.
  const std::string& root(const std::string& name) const;
  /// The weight of node I, which has one.
  const std::string& weight(const Document& document, size_t i) const;
  /// All roots: what has to be observed.
  std::vector<std::string> observed() const;
  /// The activation that node I gives: of its Relu, where that falls away.
  const std::string& output(const Document& document, size_t i) const;
};

StaticPlan plan_static(const Document& document, const QuantOptions& options);

}  // namespace mlc::onnx
