// TransformerEncoderLayer, TransformerDecoderLayer, their stacks, and Transformer. Of a padded
// batch PyTorch's fast path zeroes the padded positions in eval(); here they hold what the slow
// path computes there, and all others are the same.
#include "mlc/frontend/module_types.h"

namespace mlc::arch {
namespace {

constexpr int64_t kMaxLayers = 10'000;

using Given = std::vector<GivenArgument>;

/// The arguments that the layers of a Transformer and its norms share with it.
Given copied(const LeafBuilder& leaf, std::initializer_list<std::string_view> names) {
  Given out;
  for (const std::string_view name : names) {
    out.push_back(leaf.passed(std::string(name), name));
  }
  return out;
}

Status add_attention(LeafBuilder& leaf, std::string name) {
  return leaf.child(
      std::move(name), "MultiheadAttention",
      {given("embed_dim", leaf.value("d_model")), given("num_heads", leaf.value("nhead")),
       given("dropout", leaf.value("dropout")), given("bias", leaf.value("bias")),
       given("batch_first", leaf.value("batch_first"))});
}

Status add_feed_forward(LeafBuilder& leaf) {
  const auto inner = [&](std::string name) {
    return leaf.passed(std::move(name), "dim_feedforward");
  };
  const Value& model = leaf.value("d_model");
  const Value& bias = leaf.value("bias");
  MLC_CHECK(leaf.child("linear1", "Linear",
                       {given("in_features", model), inner("out_features"), given("bias", bias)}));
  MLC_CHECK(leaf.child("dropout", "Dropout", {given("p", leaf.value("dropout"))}));
  return leaf.child("linear2", "Linear",
                    {inner("in_features"), given("out_features", model), given("bias", bias)});
}

Status add_norm(LeafBuilder& leaf, std::string name) {
  return leaf.child(
      std::move(name), "LayerNorm",
      {given("normalized_shape", leaf.value("d_model")), given("eps", leaf.value("layer_norm_eps")),
       given("bias", leaf.value("bias"))});
}

/// norm1, norm2, ... and dropout1, dropout2, ...
Status add_norms_and_dropouts(LeafBuilder& leaf, int count) {
  for (int i = 1; i <= count; ++i) MLC_CHECK(add_norm(leaf, "norm" + std::to_string(i)));
  for (int i = 1; i <= count; ++i) {
    MLC_CHECK(
        leaf.child("dropout" + std::to_string(i), "Dropout", {given("p", leaf.value("dropout"))}));
  }
  return {};
}

/// "x = x + BLOCK" with the norm before or after, BLOCK of the text INPUT.
std::string residual(const LeafBuilder& leaf, const std::string& number, std::string_view before,
                     std::string_view after) {
  const std::string norm = "self.norm" + number + ".forward(";
  const std::string dropout = "self.dropout" + number + ".forward(";
  if (leaf.flag("norm_first")) {
    return "y = " + norm + "x)\nx = x + " + dropout + std::string(before) + "y" +
           std::string(after) + ")\n";
  }
  return "y = x\nx = " + norm + "x + " + dropout + std::string(before) + "y" + std::string(after) +
         "))\n";
}

std::string feed_forward(const LeafBuilder& leaf, const std::string& number) {
  return residual(leaf, number,
                  "self.linear2.forward(self.dropout.forward(torch." + leaf.text("activation") +
                      "(self.linear1.forward(",
                  "))))");
}

Status build_encoder_layer(LeafBuilder& leaf) {
  MLC_CHECK(add_attention(leaf, "self_attn"));
  MLC_CHECK(add_feed_forward(leaf));
  MLC_CHECK(add_norms_and_dropouts(leaf, 2));
  leaf.forward(
      "src: Tensor, src_mask: Optional[Tensor]=None, src_key_padding_mask: Optional[Tensor]=None, "
      "is_causal: bool=False",
      "Tensor",
      "x = src\n" +
          residual(leaf, "1", "self.self_attn.forward(y, y, ",
                   ", src_key_padding_mask, False, src_mask, True, is_causal)[0]") +
          feed_forward(leaf, "2") + "return x");
  return {};
}

Status build_decoder_layer(LeafBuilder& leaf) {
  MLC_CHECK(add_attention(leaf, "self_attn"));
  MLC_CHECK(add_attention(leaf, "multihead_attn"));
  MLC_CHECK(add_feed_forward(leaf));
  MLC_CHECK(add_norms_and_dropouts(leaf, 3));
  leaf.forward(
      "tgt: Tensor, memory: Tensor, tgt_mask: Optional[Tensor]=None, "
      "memory_mask: Optional[Tensor]=None, tgt_key_padding_mask: Optional[Tensor]=None, "
      "memory_key_padding_mask: Optional[Tensor]=None, tgt_is_causal: bool=False, "
      "memory_is_causal: bool=False",
      "Tensor",
      "x = tgt\n" +
          residual(leaf, "1", "self.self_attn.forward(y, y, ",
                   ", tgt_key_padding_mask, False, tgt_mask, True, tgt_is_causal)[0]") +
          residual(leaf, "2", "self.multihead_attn.forward(",
                   ", memory, memory, memory_key_padding_mask, False, memory_mask, True, "
                   "memory_is_causal)[0]") +
          feed_forward(leaf, "3") + "return x");
  return {};
}

std::string layer_calls(int64_t count, std::string_view arguments, bool has_norm) {
  std::string out;
  for (int64_t i = 0; i < count; ++i) {
    out += "x = getattr(self.layers, \"" + std::to_string(i) + "\").forward(x, " +
           std::string(arguments) + ")\n";
  }
  return out + (has_norm ? "return self.norm.forward(x)" : "return x");
}

void encoder_forward(LeafBuilder& leaf, int64_t count, bool has_norm) {
  leaf.forward(
      "src: Tensor, mask: Optional[Tensor]=None, src_key_padding_mask: Optional[Tensor]=None, "
      "is_causal: Optional[bool]=None",
      "Tensor",
      "x = src\ncausal = False if is_causal is None else is_causal\n" +
          layer_calls(count, "mask, src_key_padding_mask, causal", has_norm));
}

void decoder_forward(LeafBuilder& leaf, int64_t count, bool has_norm) {
  leaf.forward(
      "tgt: Tensor, memory: Tensor, tgt_mask: Optional[Tensor]=None, "
      "memory_mask: Optional[Tensor]=None, tgt_key_padding_mask: Optional[Tensor]=None, "
      "memory_key_padding_mask: Optional[Tensor]=None, tgt_is_causal: Optional[bool]=None, "
      "memory_is_causal: bool=False",
      "Tensor",
      "x = tgt\ncausal = False if tgt_is_causal is None else tgt_is_causal\n" +
          layer_calls(count,
                      "memory, tgt_mask, memory_mask, tgt_key_padding_mask, "
                      "memory_key_padding_mask, causal, memory_is_causal",
                      has_norm));
}

/// Of an encoder, whose forward PyTorch begins with a look at its first layer, or a decoder.
Status check_layers(const LeafBuilder& leaf, std::string_view name, bool encodes) {
  if (encodes && leaf.integer(name) == 0) {
    return leaf.error(name, "an encoder without layers cannot be called: index 0 is out of range");
  }
  if (leaf.integer(name) > kMaxLayers) return leaf.error(name, "more than 10,000 layers");
  return {};
}

/// The layers of a stack from the module that the argument LAYER describes, and its norm.
Status add_stack(LeafBuilder& leaf, std::string_view layer) {
  MLC_CHECK(check_layers(leaf, "num_layers", layer == "encoder_layer"));
  MLC_CHECK(leaf.copies_from("layers", layer, leaf.integer("num_layers")));
  if (leaf.has_module("norm")) return leaf.child_from("norm", "norm");
  leaf.none("norm");
  return {};
}

Status build_encoder(LeafBuilder& leaf) {
  MLC_CHECK(add_stack(leaf, "encoder_layer"));
  encoder_forward(leaf, leaf.integer("num_layers"), leaf.has_module("norm"));
  return {};
}

Status build_decoder(LeafBuilder& leaf) {
  MLC_CHECK(add_stack(leaf, "decoder_layer"));
  decoder_forward(leaf, leaf.integer("num_layers"), leaf.has_module("norm"));
  return {};
}

Status build_transformer(LeafBuilder& leaf) {
  const Given layer = copied(leaf, {"d_model", "nhead", "dim_feedforward", "dropout", "activation",
                                    "layer_norm_eps", "batch_first", "norm_first", "bias"});
  for (const bool encodes : {true, false}) {
    const std::string name = encodes ? "encoder" : "decoder";
    const std::string type = encodes ? "TransformerEncoder" : "TransformerDecoder";
    const std::string count_name = "num_" + name + "_layers";
    MLC_CHECK(check_layers(leaf, count_name, encodes));
    const int64_t count = leaf.integer(count_name);
    const auto fill = [&](LeafBuilder& stack) -> Status {
      MLC_CHECK(stack.copies("layers", type + "Layer", layer, count));
      MLC_CHECK(add_norm(stack, "norm"));
      encodes ? encoder_forward(stack, count, true) : decoder_forward(stack, count, true);
      return {};
    };
    MLC_CHECK(leaf.nested(name, type, fill));
  }
  leaf.forward(
      "src: Tensor, tgt: Tensor, src_mask: Optional[Tensor]=None, "
      "tgt_mask: Optional[Tensor]=None, memory_mask: Optional[Tensor]=None, "
      "src_key_padding_mask: Optional[Tensor]=None, tgt_key_padding_mask: Optional[Tensor]=None, "
      "memory_key_padding_mask: Optional[Tensor]=None, src_is_causal: Optional[bool]=None, "
      "tgt_is_causal: Optional[bool]=None, memory_is_causal: bool=False",
      "Tensor",
      "memory = self.encoder.forward(src, src_mask, src_key_padding_mask, src_is_causal)\n"
      "return self.decoder.forward(tgt, memory, tgt_mask, memory_mask, tgt_key_padding_mask, "
      "memory_key_padding_mask, tgt_is_causal, memory_is_causal)");
  return {};
}

#define MLC_LAYER_OPTIONS                                                                \
  "dim_feedforward: pos = 2048, dropout: float = 0.1, activation: {relu gelu} = relu, "  \
  "layer_norm_eps: float = 1e-05, batch_first: bool = False, norm_first: bool = False, " \
  "bias: bool = True, dtype: dtype? = None"
constexpr std::string_view kLayer = "d_model: pos, nhead: pos, " MLC_LAYER_OPTIONS;

constexpr ModuleType kRows[] = {
    {"TransformerEncoderLayer", kLayer, "", build_encoder_layer},
    {"TransformerDecoderLayer", kLayer, "", build_decoder_layer},
    {"TransformerEncoder",
     "encoder_layer: module, num_layers: nat, norm: module? = None, "
     "enable_nested_tensor: bool = True, mask_check: bool = True",
     "", build_encoder},
    {"TransformerDecoder", "decoder_layer: module, num_layers: nat, norm: module? = None", "",
     build_decoder},
    {"Transformer",
     "d_model: pos = 512, nhead: pos = 8, num_encoder_layers: nat = 6, "
     "num_decoder_layers: nat = 6, " MLC_LAYER_OPTIONS,
     "", build_transformer},
};

}  // namespace

std::span<const ModuleType> transformer_types() {
  return kRows;
}

}  // namespace mlc::arch
