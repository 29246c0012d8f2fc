// Recurrent layers, their cells, and packed sequences.
//
// A layer of PyTorch is one node of ONNX: LSTM, GRU or RNN, both directions in it. The gates stand
// in another order there, so that weights are reordered; PyTorch's GRU resets behind the product
// (linear_before_reset).
//
// An LSTM that projects its state h = W_hr*h' is one that does not, with W_hh*W_hr in place of
// W_hh, whose h' is projected behind it. The state that it begins with is projected already: where
// it is not zero, the first step has it as an input of its own, with W_hh as the weights.
//
// Packed sequences hold the steps of all sequences one after the other, without the padding. ONNX
// has none: a layer pads them, runs with the lengths, and packs its result again, unless what is
// packed was padded before.
#include "mlc/onnx/constants.h"
#include "mlc/onnx/kernels.h"
#include "mlc/onnx/lower/common.h"
#include "mlc/onnx/op_table.h"
#include "mlc/onnx/patterns.h"

#include <algorithm>
#include <string>
#include <utility>

namespace mlc::onnx {
namespace {

struct Kind {
  std::string_view name;  // of PyTorch's operator
  std::string_view op;
  std::vector<int64_t> order;  // PyTorch's gates in the order of ONNX
  std::string activation;      // where it is not ONNX's default
};

const Kind& kind_of(std::string_view name) {
  static const std::vector<Kind> kinds = {
      {"lstm", "LSTM", {0, 3, 1, 2}, ""},
      {"gru", "GRU", {1, 0, 2}, ""},
      {"rnn_tanh", "RNN", {0}, ""},
      {"rnn_relu", "RNN", {0}, "Relu"},
  };
  const auto found = std::ranges::find(kinds, name, &Kind::name);
  if (found == kinds.end()) Call::refuse("its kind of recurrence is not known");
  return *found;
}

/// W with its gates in the order of ONNX.
Value* reordered(Builder& b, Value* w, const std::vector<int64_t>& order) {
  if (order.size() == 1) return w;
  if (w->data != nullptr) return b.constant(reorder_data(w->data, order));
  const ir::Expr each =
      b.symbols().floor_divide(b.size_of(w, 0), b.expr(static_cast<int64_t>(order.size())));
  const auto blocks = b.split(w, 0, Sizes(order.size(), each));
  Inputs parts;
  for (const int64_t at : order) parts.push_back(blocks[static_cast<size_t>(at)]);
  return b.concat(parts, 0);
}

Value* joined(Builder& b, const Inputs& parts) {
  std::vector<DataRef> data;
  for (const Value* part : parts) {
    if (part->data != nullptr) data.push_back(part->data);
  }
  return data.size() == parts.size() ? b.constant(join_data(data)) : b.concat(parts, 0);
}

/// The weights of one layer: those of each direction behind the other.
struct LayerWeights {
  Value* input = nullptr;    // [directions, gates * hidden, in]
  Value* hidden = nullptr;   // [directions, gates * hidden, hidden]
  Value* bias = nullptr;     // [directions, 2 * gates * hidden]; may be null
  Value* project = nullptr;  // [directions, hidden, projected]; null where nothing is projected
};

/// The part of the weights of direction OF for what the first step of direction D begins with.
Value* weights_of_state(Builder& b, Value* w, size_t d, size_t of) {
  if (d == of) return w;
  return b.expand(b.number(0.0, w->type.dtype), w->type.sizes);
}

/// BEGINS: the input holds the states that each direction begins with, behind its features.
LayerWeights layer_weights(Builder& b, const Kind& kind, std::span<Value* const> params,
                           size_t directions, DType dtype, bool begins) {
  const size_t each = params.size() / directions;
  Inputs input;
  Inputs hidden;
  Inputs bias;
  Inputs project;
  const auto ready = [&](Value* w) { return reordered(b, b.cast(w, dtype), kind.order); };
  for (size_t d = 0; d < directions; ++d) {
    const auto own = params.subspan(d * each, each);
    Value* of_input = ready(own[0]);
    Value* of_hidden = ready(own[1]);
    if (each % 2 == 1) {
      Inputs all = {of_input};
      for (size_t of = 0; begins && of < directions; ++of) {
        all.push_back(weights_of_state(b, of_hidden, d, of));
      }
      of_input = b.concat(all, 1);
      Value* projecting = b.cast(own[each - 1], dtype);
      of_hidden = b.matmul(of_hidden, projecting);
      project.push_back(b.unsqueeze(b.swap_axes(projecting, 0, 1), {0}));
    }
    input.push_back(b.unsqueeze(of_input, {0}));
    hidden.push_back(b.unsqueeze(of_hidden, {0}));
    if (each < 4) continue;
    bias.push_back(b.unsqueeze(joined(b, {ready(own[2]), ready(own[3])}), {0}));
  }
  return {joined(b, input), joined(b, hidden), bias.empty() ? nullptr : joined(b, bias),
          project.empty() ? nullptr : joined(b, project)};
}

bool is_zero(Builder& b, const Value* x) {
  if (x->data != nullptr) {
    if (x->data->count() == 0 || x->data->count() > 65536) return false;
    const auto known = array_of(*x->data);
    return known && std::ranges::all_of(known->doubles, [](double one) { return one == 0; });
  }
  for (const std::string_view op : {"Expand", "Reshape", "Unsqueeze", "Squeeze", "Cast"}) {
    if (is_made_by(x, op)) return is_zero(b, x->producer->inputs[0]);
  }
  if (!is_made_by(x, "ConstantOfShape")) return false;
  const AttributeValue* fill = x->producer->find("value");
  if (fill == nullptr) return true;
  const auto known = array_of(**std::get_if<DataRef>(fill));
  return known && known->count() == 1 && known->is_floating() && known->doubles[0] == 0;
}

struct Layers {
  const Kind* kind = nullptr;
  Value* input = nullptr;  // [steps, batch, features]
  Inputs states;           // [layers * directions, batch, hidden]: h, and c of an LSTM
  std::vector<Value*> params;
  Value* lengths = nullptr;  // int32, one for each sequence; null: all have all steps
  size_t directions = 1;
  size_t count = 1;
  bool backwards = false;  // of one direction
  bool projects = false;   // its state
};

struct LayersResult {
  Value* output = nullptr;  // [steps, batch, directions * hidden]
  Inputs states;
};

std::string direction_of(const Layers& all) {
  if (all.directions == 2) return "bidirectional";
  return all.backwards ? "reverse" : "forward";
}

/// [STEPS, batch, 1], true in the last step of each sequence.
Value* last_steps(Builder& b, Value* lengths, ir::Expr steps) {
  Value* last = b.sub(b.cast(lengths, DType::i64), b.number(int64_t{1}, DType::i64));
  Value* step = b.unsqueeze(counting(b, steps), {1});
  return b.unsqueeze(b.compare("Equal", step, b.unsqueeze(last, {0})), {2});
}

/// X, the features of all steps, with the states [directions, batch, projected] behind them that
/// the layer begins with: in the first step of each direction, and zeros in all others.
Value* with_first_states(Builder& b, const Layers& all, Value* x, Value* states) {
  const ir::Expr rest = b.symbols().subtract(b.size_of(x, 0), b.expr(1));
  Inputs parts = {x};
  for (size_t d = 0; d < all.directions; ++d) {
    const auto at = static_cast<int64_t>(d);
    Value* own = b.slice(states, 0, b.expr(at), b.expr(at + 1));
    Sizes none(3, b.expr(0));
    Sizes others = {rest, b.expr(0), b.expr(0)};
    const bool is_last = d == 1 || all.backwards;
    Value* zero = b.number(0.0, x->type.dtype);
    if (is_last && all.lengths != nullptr) {
      parts.push_back(b.where(last_steps(b, all.lengths, b.size_of(x, 0)), own, zero));
      continue;
    }
    parts.push_back(b.pad(own, is_last ? others : none, is_last ? none : others, "constant", zero));
  }
  return b.concat(parts, 2);
}

/// One layer: its output [steps, directions, batch, hidden], its last states [directions, batch,
/// hidden].
std::vector<Value*> run_layer(Builder& b, const Layers& all, size_t layer, Value* x) {
  const Kind& kind = *all.kind;
  const size_t each = all.params.size() / all.count;
  const bool begins = all.projects && !is_zero(b, all.states[0]);
  const auto w =
      layer_weights(b, kind, std::span<Value* const>(all.params).subspan(layer * each, each),
                    all.directions, x->type.dtype, begins);
  const ir::Expr directions = b.expr(static_cast<int64_t>(all.directions));
  const ir::Expr hidden = b.size_of(w.hidden, 2);
  Inputs states;
  for (Value* state : all.states) {
    const auto first = static_cast<int64_t>(layer * all.directions);
    Value* own = b.slice(b.cast(state, x->type.dtype), 0, b.expr(first),
                         b.expr(first + static_cast<int64_t>(all.directions)));
    states.push_back(is_zero(b, state) ? nullptr : own);
  }
  if (begins) x = with_first_states(b, all, x, std::exchange(states[0], nullptr));
  Inputs inputs = {x, w.input, w.hidden, w.bias, all.lengths};
  inputs.insert(inputs.end(), states.begin(), states.end());
  Attributes attributes = {{"hidden_size", b.symbols().constant_value(hidden).value_or(0)}};
  if (direction_of(all) != "forward") attributes.push_back({"direction", direction_of(all)});
  if (kind.op == "GRU") attributes.push_back({"linear_before_reset", int64_t{1}});
  if (!kind.activation.empty()) {
    attributes.push_back(
        {"activations", std::vector<std::string>(all.directions, kind.activation)});
  }
  const Sizes last = {directions, b.size_of(x, 1), hidden};
  std::vector<TensorType> types = {
      {x->type.dtype, {b.size_of(x, 0), directions, b.size_of(x, 1), hidden}}};
  types.resize(1 + all.states.size(), {x->type.dtype, last});
  auto made = b.nodes(kind.op, std::move(inputs), std::move(attributes), std::move(types));
  for (size_t i = 0; w.project != nullptr && i < 2; ++i) made[i] = b.matmul(made[i], w.project);
  return made;
}

LayersResult run_layers(Builder& b, const Layers& all) {
  const DType dtype = all.input->type.dtype;
  Value* x = b.cast(all.input, kernel_dtype(all.kind->op, dtype));
  std::vector<Inputs> last(all.states.size());
  for (size_t layer = 0; layer < all.count; ++layer) {
    const auto made = run_layer(b, all, layer, x);
    for (size_t i = 0; i < last.size(); ++i) last[i].push_back(made[i + 1]);
    const Sizes& y = made[0]->type.sizes;
    const Sizes joint = {y[0], y[2], b.symbols().multiply(y[1], y[3])};
    x = b.reshape(b.transpose(made[0], {0, 2, 1, 3}), joint);
  }
  LayersResult out{b.cast(x, dtype), {}};
  for (const Inputs& each : last) out.states.push_back(b.cast(b.concat(each, 0), dtype));
  return out;
}

void refuse_training(Call& c) {
  if (c.boolean("train", false) && c.number("dropout", 0) != 0) {
    Call::refuse("it drops values at random, because the model is in training mode: call eval()");
  }
}

/// The arguments that all kinds share; the input is not read.
Layers read_layers(Call& c) {
  refuse_training(c);
  Layers all;
  all.kind = &kind_of(c.node.op().name);
  all.params = c.tensors("params");
  all.count = static_cast<size_t>(c.fixed("num_layers"));
  all.directions = c.boolean("bidirectional", false) ? 2 : 1;
  const bool is_list = all.kind->op == "LSTM";
  all.states = is_list ? c.tensors("hx") : Inputs{c.tensor("hx")};
  const size_t each = c.boolean("has_biases", true) ? 4 : 2;
  if (all.count == 0 || all.params.size() % (all.count * all.directions) != 0) {
    Call::refuse("its weights do not fit its number of layers");
  }
  all.projects = all.params.size() == all.count * all.directions * (each + 1);
  if (!all.projects && all.params.size() != all.count * all.directions * each) {
    Call::refuse("its weights do not fit its number of layers");
  }
  return all;
}

// Packed sequences. A mask of [steps, batch] says which steps each sequence has.

/// The rows of X [steps, batch, ...] where MASK holds; COUNT of them.
Value* packed(Builder& b, Value* x, Value* mask, ir::Expr count) {
  Sizes sizes = x->type.sizes;
  sizes.erase(sizes.begin());
  sizes[0] = b.product(std::span(x->type.sizes).first(2));
  Value* rows = b.reshape(x, sizes);
  Value* flat = b.reshape(mask, {sizes[0]});
  sizes[0] = count;
  return b.node("Compress", {rows, flat}, {{"axis", int64_t{0}}}, {x->type.dtype, sizes});
}

/// The opposite of packed(): FILL where MASK does not hold.
Value* padded(Builder& b, Value* data, Value* mask, double fill) {
  const ir::Expr all = b.product(mask->type.sizes);
  Value* flat = b.cast(b.reshape(mask, {all}), DType::i64);
  Value* one = b.number(int64_t{1}, DType::i64);
  Value* zero = b.number(int64_t{0}, DType::i64);
  Value* place = b.node("CumSum", {flat, zero}, {}, flat->type);
  Value* rows = b.gather(data, b.binary("Max", b.sub(place, one), zero), 0);
  Sizes sizes = mask->type.sizes;
  sizes.insert(sizes.end(), data->type.sizes.begin() + 1, data->type.sizes.end());
  Sizes wide = mask->type.sizes;
  wide.resize(sizes.size(), b.expr(1));
  return b.where(b.reshape(mask, wide), b.reshape(rows, sizes), b.number(fill, data->type.dtype));
}

/// true where step < the length of a sequence, from how many sequences have each step.
Value* mask_of_counts(Builder& b, Value* counts, ir::Expr batch) {
  return b.compare("Greater", b.unsqueeze(counts, {1}), counting(b, batch));
}

/// The padded tensor that DATA was packed from, where packed() made it.
Value* before_packing(Builder& b, Value* data, Value*& mask) {
  if (!is_made_by(data, "Compress")) return nullptr;
  const Node& pack = *data->producer;
  if (!is_made_by(pack.inputs[0], "Reshape") || !is_made_by(pack.inputs[1], "Reshape")) {
    return nullptr;
  }
  Value* x = pack.inputs[0]->producer->inputs[0];
  Value* from = pack.inputs[1]->producer->inputs[0];
  if (from->type.sizes.size() != 2 || x->type.sizes.size() < 3) return nullptr;
  if (b.product(std::span(x->type.sizes).first(2)) != b.product(from->type.sizes)) return nullptr;
  mask = from;
  return x;
}

void lower_pack(Call& c) {
  Builder& b = c.b;
  Value* x = c.tensor("input");
  if (c.boolean("batch_first", false)) x = b.swap_axes(x, 0, 1);
  Value* lengths = b.cast(c.tensor("lengths"), DType::i64);
  Value* steps = b.unsqueeze(counting(b, b.size_of(x, 0)), {1});
  Value* mask = b.compare("Less", steps, b.unsqueeze(lengths, {0}));
  c.give(packed(b, x, mask, c.output_sizes(0).at(0)), 0);
  Value* counts = b.reduce("ReduceSum", b.cast(mask, DType::i64), {1}, false);
  // Steps that no sequence has are none.
  Value* any = b.cast(counts, DType::boolean);
  c.give(b.node("Compress", {counts, any}, {{"axis", int64_t{0}}},
                {DType::i64, {c.output_sizes(1).at(0)}}),
         1);
}

void lower_pad(Call& c) {
  Builder& b = c.b;
  const bool batch_first = c.boolean("batch_first", false);
  Value* data = c.tensor("data");
  Value* counts = b.cast(c.tensor("batch_sizes"), DType::i64);
  const ir::Expr batch = c.output_sizes(1).at(0);
  const ir::Expr steps = b.size_of(counts, 0);
  Value* mask = mask_of_counts(b, counts, batch);
  Value* y = padded(b, data, mask, c.number("padding_value", 0));
  const ir::Expr wanted = c.integer("total_length", -1);
  const auto known = b.symbols().constant_value(wanted);
  if (known.value_or(1) > 0 && wanted != steps) {
    Sizes none(y->type.sizes.size(), b.expr(0));
    Sizes after = none;
    after[0] = b.symbols().subtract(wanted, steps);
    y = b.pad(y, none, after, "constant", b.number(c.number("padding_value", 0), y->type.dtype));
  }
  c.give(batch_first ? b.swap_axes(y, 0, 1) : y, 0);
  c.give(b.reduce("ReduceSum", b.cast(mask, DType::i64), {0}, false), 1);
}

void give_layers(Call& c, const LayersResult& result) {
  c.give(result.output, 0);
  for (size_t i = 0; i < result.states.size(); ++i) c.give(result.states[i], i + 1);
}

void lower_packed_layers(Call& c) {
  Builder& b = c.b;
  Layers all = read_layers(c);
  Value* data = c.tensor("data");
  Value* counts = b.cast(c.tensor("batch_sizes"), DType::i64);
  Value* mask = nullptr;
  all.input = before_packing(b, data, mask);
  if (all.input == nullptr) {
    mask = mask_of_counts(b, counts, b.size_of(all.states[0], 1));
    all.input = padded(b, data, mask, 0);
  }
  all.lengths = b.cast(b.reduce("ReduceSum", b.cast(mask, DType::i64), {0}, false), DType::i32);
  LayersResult result = run_layers(b, all);
  result.output = packed(b, result.output, mask, b.size_of(data, 0));
  give_layers(c, result);
}

void lower_layers(Call& c) {
  if (c.has("batch_sizes")) return lower_packed_layers(c);
  Layers all = read_layers(c);
  Value* x = c.tensor("input");
  if (x->type.sizes.size() != 3) Call::refuse("its input has another number of dimensions");
  const bool batch_first = c.boolean("batch_first", false);
  all.input = batch_first ? c.b.swap_axes(x, 0, 1) : x;
  LayersResult result = run_layers(c.b, all);
  if (batch_first) result.output = c.b.swap_axes(result.output, 0, 1);
  give_layers(c, result);
}

/// What decomposing an LSTM gives: one direction of one layer.
void lower_mkldnn_layer(Call& c) {
  Layers all;
  if (c.fixed("mode") != 2) Call::refuse("it is no LSTM");
  all.kind = &kind_of("lstm");
  all.input = c.tensor("input");
  all.params = {c.tensor("weight0"), c.tensor("weight1")};
  if (c.boolean("has_biases", true)) {
    all.params.push_back(c.tensor("weight2"));
    all.params.push_back(c.tensor("weight3"));
  }
  all.backwards = c.boolean("reverse", false);
  const Sizes state_sizes = c.output_sizes(1);
  for (const std::string_view name : {"hx_", "cx_"}) {
    Value* state = c.tensor(name);
    all.states.push_back(state->type.sizes.size() == 2 ? c.b.unsqueeze(state, {0}) : state);
  }
  LayersResult result = run_layers(c.b, all);
  c.give(result.output, 0);
  for (size_t i = 0; i < 2; ++i) {
    Value* state = result.states[i];
    c.give(c.output_sizes(i + 1).size() == 2 ? c.b.squeeze(state, {0}) : state, i + 1);
  }
}

// Cells: one step, of the parts that everyone has.

Value* product(Call& c, Value* x, std::string_view weight, std::string_view bias) {
  Value* y = c.b.matmul(x, c.b.swap_axes(c.tensor(weight), 0, 1));
  return c.has(bias) ? c.b.add(y, c.tensor(bias)) : y;
}

std::vector<Value*> gates(Builder& b, Value* x, int64_t count) {
  const ir::Expr each = b.symbols().floor_divide(b.size_of(x, -1), b.expr(count));
  return b.split(x, -1, Sizes(static_cast<size_t>(count), each));
}

void lstm_step(Call& c, Value* sum, Value* cell) {
  Builder& b = c.b;
  const auto g = gates(b, sum, 4);
  Value* kept = b.mul(b.unary("Sigmoid", g[1]), cell);
  Value* added = b.mul(b.unary("Sigmoid", g[0]), b.unary("Tanh", g[2]));
  Value* next = b.add(kept, added);
  c.give(b.mul(b.unary("Sigmoid", g[3]), b.unary("Tanh", next)), 0);
  c.give(next, 1);
}

void gru_step(Call& c, Value* input, Value* hidden, Value* state) {
  Builder& b = c.b;
  const auto x = gates(b, input, 3);
  const auto h = gates(b, hidden, 3);
  Value* reset = b.unary("Sigmoid", b.add(x[0], h[0]));
  Value* update = b.unary("Sigmoid", b.add(x[1], h[1]));
  Value* fresh = b.unary("Tanh", b.add(x[2], b.mul(reset, h[2])));
  c.give(b.add(fresh, b.mul(update, b.sub(state, fresh))), 0);
}

void lower_lstm_cell(Call& c) {
  const auto states = c.tensors("hx");
  Value* sum = c.b.add(product(c, c.tensor("input"), "w_ih", "b_ih"),
                       product(c, states.at(0), "w_hh", "b_hh"));
  lstm_step(c, sum, states.at(1));
}

void lower_gru_cell(Call& c) {
  Value* state = c.tensor("hx");
  gru_step(c, product(c, c.tensor("input"), "w_ih", "b_ih"), product(c, state, "w_hh", "b_hh"),
           state);
}

template <const char* kActivation>
void lower_rnn_cell(Call& c) {
  Value* sum = c.b.add(product(c, c.tensor("input"), "w_ih", "b_ih"),
                       product(c, c.tensor("hx"), "w_hh", "b_hh"));
  c.give(c.b.unary(kActivation, sum));
}
constexpr char kTanh[] = "Tanh", kRelu[] = "Relu";

/// The products are made already.
void lower_fused_lstm_cell(Call& c) {
  if (c.is_used(2)) Call::refuse("what it keeps for training is used");
  Value* sum = c.b.add(c.tensor("input_gates"), c.tensor("hidden_gates"));
  if (c.has("input_bias")) sum = c.b.add(sum, c.tensor("input_bias"));
  if (c.has("hidden_bias")) sum = c.b.add(sum, c.tensor("hidden_bias"));
  lstm_step(c, sum, c.tensor("cx"));
}

constexpr Row kRows[] = {
    {"aten::_pack_padded_sequence", lower_pack},
    {"aten::_pad_packed_sequence", lower_pad},
    {"aten::_thnn_fused_lstm_cell", lower_fused_lstm_cell},
    {"aten::gru", lower_layers},
    {"aten::gru_cell", lower_gru_cell},
    {"aten::lstm", lower_layers},
    {"aten::lstm_cell", lower_lstm_cell},
    {"aten::mkldnn_rnn_layer", lower_mkldnn_layer},
    {"aten::rnn_relu", lower_layers},
    {"aten::rnn_relu_cell", lower_rnn_cell<kRelu>},
    {"aten::rnn_tanh", lower_layers},
    {"aten::rnn_tanh_cell", lower_rnn_cell<kTanh>},
};

}  // namespace

std::span<const Row> recurrent_rows() {
  return kRows;
}

}  // namespace mlc::onnx
