// Which channels of an ONNX model can go, which of them go together, and what changes when they do.
//
// Every axis of every value gets atoms (atoms.h), node after node: those with weights make new ones
// and read others, the rest passes them on. Where an operator computes across channels (norms,
// softmax, sums), is not known, or gives an output of the graph, they stay, with the reason. So
// what is left computes exactly what the whole model does when nobody reads the channels that went.
// The idea of a graph of dependencies is that of DepGraph (Fang et al., CVPR 2023).
#pragma once

#include "mlc/base/result.h"
#include "mlc/onnx_edit/document.h"
#include "mlc/onnx_prune/atoms.h"
#include "mlc/onnx_write/check.h"

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace mlc::onnx {

/// One axis of an initializer.
struct WeightAxis {
  Labels labels;          // empty: it stays whole
  bool is_fixed = false;  // someone needs it whole
  bool makes = false;     // its indices are what a node gives: filters, rows
  bool reads = false;     // its indices are what a node reads
  bool scales = false;    // gamma of a norm: how much of a channel goes on
  std::set<size_t> nodes;
};
using WeightAxes = std::map<std::pair<std::string, size_t>, WeightAxis>;

/// A number that depends on how many channels stay.
struct EditedNumber {
  int64_t number = 0;  // where COUNTED is empty
  Labels counted;      // else how many of these stay, divided by DIVISOR
  int64_t divisor = 1;
};

/// Numbers of a node that change: an attribute, or an input that is constant.
struct NumberEdit {
  size_t node = 0;
  std::string attribute;  // empty: it is input INPUT
  size_t input = 0;
  bool is_scalar = false;
  std::vector<EditedNumber> numbers = {};
  /// Also written anew where any of these goes: numbers that count from the end.
  Labels depends = {};
};

/// A set of new atoms, as one weight made them.
struct ChannelSource {
  std::string weight;
  size_t axis = 0;
  size_t node = 0;
  Labels labels;
};

struct ChannelGraph {
  Atoms atoms;
  WeightAxes axes;
  std::vector<ChannelSource> sources;  // in the order of the graph
  std::vector<NumberEdit> edits;
  /// Of each of these lists one atom has to stay, or a tensor would be empty.
  std::vector<Labels> spans;
  /// Inner values whose sizes change with them, where the file may state others.
  std::set<std::string, std::less<>> resized;
  /// Inputs of nodes that read channels: the value and its axis, for each node with weights.
  struct Reader {
    size_t node = 0;
    std::string value;
    size_t axis = 0;  // of the value
    std::string weight;
    size_t weight_axis = 0;
  };
  std::vector<Reader> readers;
  std::vector<std::string> notes;  // what does not divide, and such, for people
};

/// An axis that has to stay whole for a reason that the model does not show.
struct KeptAxis {
  std::string why;
  bool only_weights = false;  // only where a node makes or reads channels with it
};
/// By initializer and axis.
using KeptAxes = std::map<std::pair<std::string, size_t>, KeptAxis>;

/// The axes of values of which something may go; the last of them may be absent.
using ValueAxes = std::map<std::string, std::vector<Labels>, std::less<>>;

/// Requires: lift_constants() and fix_overridable() were called, SIZES are those of DOCUMENT.
/// Fills VALUES, where it is not null. Errors: those of reading constants.
Result<ChannelGraph> find_channels(const Document& document, const InferredSizes& sizes,
                                   const KeptAxes& kept = {}, ValueAxes* values = nullptr);

}  // namespace mlc::onnx
