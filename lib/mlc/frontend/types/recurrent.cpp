// RNN, LSTM, GRU and their cells. Gates lie one below the other in the weights: 4 of an LSTM, 3 of
// a GRU. Inputs without a batch dimension are refused; states that are not given are zeros of that
// batch.
#include "mlc/frontend/module_types.h"
#include "mlc/frontend/packed_forward.h"

namespace mlc::arch {
namespace {

constexpr int64_t kMaxLayers = 10'000;

struct Recurrence {
  int64_t gates = 1;
  int64_t directions = 1;
  int64_t projected = 0;  // proj_size, 0 for none
  int64_t output = 0;     // of one direction
};

bool has(const LeafBuilder& leaf, std::string_view type) {
  return leaf.type().starts_with(type);
}

int64_t gates_of(const LeafBuilder& leaf) {
  return has(leaf, "LSTM") ? 4 : has(leaf, "GRU") ? 3 : 1;
}

Result<Recurrence> read_recurrence(const LeafBuilder& leaf) {
  Recurrence out;
  out.gates = gates_of(leaf);
  out.directions = leaf.flag("bidirectional") ? 2 : 1;
  out.output = leaf.integer("hidden_size");
  if (has(leaf, "LSTM")) out.projected = leaf.integer("proj_size");
  if (out.projected > 0) {
    if (out.projected >= out.output) {
      return leaf.error("proj_size", "proj_size must be smaller than hidden_size");
    }
    out.output = out.projected;
  }
  if (leaf.integer("num_layers") > kMaxLayers) {
    return leaf.error("num_layers", "more than 10,000 layers");
  }
  return out;
}

/// Adds the tensors of all layers; their names in the order in which the operator takes them.
std::string add_weights(LeafBuilder& leaf, const Recurrence& shape) {
  const Init init = uniform_for(leaf.integer("hidden_size"));
  const int64_t rows = saturating_mul(shape.gates, leaf.integer("hidden_size"));
  std::string names;
  const auto add = [&](const std::string& name, Ints sizes) {
    names += (names.empty() ? "self." : ", self.") + name;
    leaf.parameter(name, std::move(sizes), init);
  };
  for (int64_t layer = 0; layer < leaf.integer("num_layers"); ++layer) {
    const int64_t inputs =
        layer == 0 ? leaf.integer("input_size") : saturating_mul(shape.output, shape.directions);
    for (int64_t direction = 0; direction < shape.directions; ++direction) {
      const std::string end = "_l" + std::to_string(layer) + (direction == 1 ? "_reverse" : "");
      add("weight_ih" + end, {rows, inputs});
      add("weight_hh" + end, {rows, shape.output});
      if (leaf.flag("bias")) add("bias_ih" + end, {rows});
      if (leaf.flag("bias")) add("bias_hh" + end, {rows});
      if (shape.projected > 0) {
        add("weight_hr" + end, {shape.projected, leaf.integer("hidden_size")});
      }
    }
  }
  return "[" + names + "]";
}

/// A state of zeros like INPUT with FEATURES elements for each layer, direction and one of BATCH
/// samples.
std::string zero_state(const LeafBuilder& leaf, const Recurrence& shape, int64_t features,
                       const std::string& input, const std::string& batch) {
  const int64_t layers = saturating_mul(leaf.integer("num_layers"), shape.directions);
  return "torch.zeros([" + std::to_string(layers) + ", " + batch + ", " + std::to_string(features) +
         "], dtype=" + input + ".dtype, device=" + input + ".device)";
}

std::string zero_state(const LeafBuilder& leaf, const Recurrence& shape, int64_t features) {
  return zero_state(leaf, shape, features, "input",
                    leaf.flag("batch_first") ? "input.size(0)" : "input.size(1)");
}

/// The same for a packed input.
std::string zero_packed_state(const LeafBuilder& leaf, const Recurrence& shape, int64_t features) {
  return zero_state(leaf, shape, features, "data", "int(sizes[0])");
}

std::string options_text(const LeafBuilder& leaf) {
  return leaf.filled(
      ", {bias}, {num_layers}, {dropout}, self.training, {bidirectional}, {batch_first})\n");
}

std::string packed_options_text(const LeafBuilder& leaf) {
  return leaf.filled(", {bias}, {num_layers}, {dropout}, self.training, {bidirectional})\n");
}

std::string packed_parts(const LeafBuilder& leaf) {
  return "data, sizes, order, back = input\n" +
         require_text("data.dim() == 2", "\"" + leaf.type() +
                                             " takes sequences of 2 dimensions, found {}\"."
                                             "format(data.dim())");
}

/// Puts the samples of STATE into the order ORDER, a list of indices or None.
std::string reordered(const std::string& state, const std::string& order) {
  return "if " + order + " is not None:\n    " + state + " = " + state + ".index_select(1, " +
         order + ")\n";
}

constexpr std::string_view kPackedOutput = "PackedSequence(output, sizes, order, back)";

Status build_lstm(LeafBuilder& leaf) {
  MLC_TRY(const Recurrence shape, read_recurrence(leaf));
  const std::string weights = add_weights(leaf, shape);
  leaf.forward("input: Tensor, hx: Optional[Tuple[Tensor, Tensor]]=None",
               "Tuple[Tensor, Tuple[Tensor, Tensor]]",
               require_dims(leaf.type(), "input", 3) +
                   "if hx is None:\n    h = " + zero_state(leaf, shape, shape.output) +
                   "\n    c = " + zero_state(leaf, shape, leaf.integer("hidden_size")) +
                   "\nelse:\n    h, c = hx\noutput, h_n, c_n = torch.lstm(input, [h, c], " +
                   weights + options_text(leaf) + "return output, (h_n, c_n)");
  leaf.method(kPackedForward, "input: PackedSequence, hx: Optional[Tuple[Tensor, Tensor]]=None",
              "Tuple[PackedSequence, Tuple[Tensor, Tensor]]",
              packed_parts(leaf) +
                  "if hx is None:\n    h = " + zero_packed_state(leaf, shape, shape.output) +
                  "\n    c = " + zero_packed_state(leaf, shape, leaf.integer("hidden_size")) +
                  "\nelse:\n    h, c = hx\n    if order is not None:\n"
                  "        h = h.index_select(1, order)\n        c = c.index_select(1, order)\n"
                  "output, h_n, c_n = torch.lstm(data, sizes, [h, c], " +
                  weights + packed_options_text(leaf) + reordered("h_n", "back") +
                  reordered("c_n", "back") + "return " + std::string(kPackedOutput) +
                  ", (h_n, c_n)");
  return {};
}

// RNN and GRU: one state.
Status build_single_state(LeafBuilder& leaf) {
  MLC_TRY(const Recurrence shape, read_recurrence(leaf));
  const std::string weights = add_weights(leaf, shape);
  const std::string function = has(leaf, "GRU") ? "gru" : "rnn_" + leaf.text("nonlinearity");
  leaf.forward("input: Tensor, hx: Optional[Tensor]=None", "Tuple[Tensor, Tensor]",
               require_dims(leaf.type(), "input", 3) +
                   "if hx is None:\n    h = " + zero_state(leaf, shape, shape.output) +
                   "\nelse:\n    h = hx\noutput, h_n = torch." + function + "(input, h, " +
                   weights + options_text(leaf) + "return output, h_n");
  leaf.method(kPackedForward, "input: PackedSequence, hx: Optional[Tensor]=None",
              "Tuple[PackedSequence, Tensor]",
              packed_parts(leaf) +
                  "if hx is None:\n    h = " + zero_packed_state(leaf, shape, shape.output) +
                  "\nelse:\n    h = hx\n    if order is not None:\n"
                  "        h = h.index_select(1, order)\noutput, h_n = torch." +
                  function + "(data, sizes, h, " + weights + packed_options_text(leaf) +
                  reordered("h_n", "back") + "return " + std::string(kPackedOutput) + ", h_n");
  return {};
}

void add_cell_weights(LeafBuilder& leaf) {
  const int64_t hidden = leaf.integer("hidden_size");
  const int64_t rows = saturating_mul(gates_of(leaf), hidden);
  const Init init = uniform_for(hidden);
  leaf.parameter("weight_ih", {rows, leaf.integer("input_size")}, init);
  leaf.parameter("weight_hh", {rows, hidden}, init);
  for (const char* name : {"bias_ih", "bias_hh"}) {
    if (leaf.flag("bias")) {
      leaf.parameter(name, {rows}, init);
    } else {
      leaf.none(name);
    }
  }
}

constexpr std::string_view kCellWeights =
    "self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)";

std::string zero_cell_state(const LeafBuilder& leaf) {
  return leaf.filled(
      "torch.zeros([input.size(0), {hidden_size}], dtype=input.dtype, device=input.device)");
}

Status build_cell(LeafBuilder& leaf) {
  add_cell_weights(leaf);
  const std::string function = has(leaf, "GRU") ? "gru" : "rnn_" + leaf.text("nonlinearity");
  leaf.forward("input: Tensor, hx: Optional[Tensor]=None", "Tensor",
               require_dims(leaf.type(), "input", 2) + "if hx is None:\n    h = " +
                   zero_cell_state(leaf) + "\nelse:\n    h = hx\nreturn torch." + function +
                   "_cell(input, h, " + std::string(kCellWeights));
  return {};
}

Status build_lstm_cell(LeafBuilder& leaf) {
  add_cell_weights(leaf);
  leaf.forward("input: Tensor, hx: Optional[Tuple[Tensor, Tensor]]=None", "Tuple[Tensor, Tensor]",
               require_dims(leaf.type(), "input", 2) + "if hx is None:\n    h = " +
                   zero_cell_state(leaf) + "\n    c = " + zero_cell_state(leaf) +
                   "\nelse:\n    h, c = hx\nh_n, c_n = torch.lstm_cell(input, [h, c], " +
                   std::string(kCellWeights) + "\nreturn h_n, c_n");
  return {};
}

#define MLC_SIZES "input_size: pos, hidden_size: pos"
#define MLC_LAYERS                                                                           \
  "bias: bool = True, batch_first: bool = False, dropout: float = 0.0, bidirectional: bool " \
  "= False"
#define MLC_DTYPE ", dtype: dtype? = None"
#define MLC_NONLINEARITY "nonlinearity: {tanh relu} = tanh"

constexpr ModuleType kRows[] = {
    {"RNN", MLC_SIZES ", num_layers: pos = 1, " MLC_NONLINEARITY ", " MLC_LAYERS MLC_DTYPE, "",
     build_single_state},
    {"LSTM", MLC_SIZES ", num_layers: pos = 1, " MLC_LAYERS ", proj_size: nat = 0" MLC_DTYPE, "",
     build_lstm},
    {"GRU", MLC_SIZES ", num_layers: pos = 1, " MLC_LAYERS MLC_DTYPE, "", build_single_state},
    {"RNNCell", MLC_SIZES ", bias: bool = True, " MLC_NONLINEARITY MLC_DTYPE, "", build_cell},
    {"LSTMCell", MLC_SIZES ", bias: bool = True" MLC_DTYPE, "", build_lstm_cell},
    {"GRUCell", MLC_SIZES ", bias: bool = True" MLC_DTYPE, "", build_cell},
};

}  // namespace

std::span<const ModuleType> recurrent_types() {
  return kRows;
}

}  // namespace mlc::arch
