// MultiheadAttention, on inputs with a batch dimension. The text works batch first and keeps every
// size but those of the arguments dynamic. `is_causal` does what PyTorch does outside of its fast
// path: it needs a mask, and takes the place of that mask where nobody asks for the weights and no
// keys are padded.
#include "mlc/frontend/module_types.h"

#include <cmath>

namespace mlc::arch {
namespace {

struct Attention {
  int64_t width = 0;  // embed_dim
  int64_t heads = 0;
  bool packed = true;  // one in_proj_weight instead of three weights
};

Result<Attention> read_attention(const LeafBuilder& leaf) {
  Attention out{leaf.integer("embed_dim"), leaf.integer("num_heads"), true};
  if (out.width % out.heads != 0) {
    return leaf.error("num_heads", leaf.filled("embed_dim {embed_dim} is not divisible by "
                                               "num_heads {num_heads}"));
  }
  for (const std::string_view name : {"kdim", "vdim"}) {
    if (!leaf.is_none(name) && leaf.integer(name) != out.width) out.packed = false;
  }
  return out;
}

void add_projections(LeafBuilder& leaf, const Attention& shape) {
  const int64_t width = shape.width;
  const auto dim = [&](std::string_view name) {
    return leaf.is_none(name) ? width : leaf.integer(name);
  };
  const Init init = uniform_for(width);
  if (shape.packed) {
    leaf.parameter("in_proj_weight", {saturating_mul(3, width), width}, init);
    for (const char* name : {"q_proj_weight", "k_proj_weight", "v_proj_weight"}) leaf.none(name);
  } else {
    leaf.parameter("q_proj_weight", {width, width}, init);
    leaf.parameter("k_proj_weight", {width, dim("kdim")}, init);
    leaf.parameter("v_proj_weight", {width, dim("vdim")}, init);
    leaf.none("in_proj_weight");
  }
  if (leaf.flag("bias")) {
    leaf.parameter("in_proj_bias", {saturating_mul(3, width)}, full(0));
  } else {
    leaf.none("in_proj_bias");
  }
  for (const char* name : {"bias_k", "bias_v"}) {
    if (leaf.flag("add_bias_kv")) {
      leaf.parameter(name, {1, 1, width}, normal(1 / std::sqrt(static_cast<double>(width))));
    } else {
      leaf.none(name);
    }
  }
}

/// "self.in_proj_weight[16:32]" for the part with number INDEX.
std::string part(const std::string& name, int64_t index, int64_t width) {
  return "self." + name + "[" + std::to_string(index * width) + ":" +
         std::to_string((index + 1) * width) + "]";
}

/// What the inputs must be, and whether `is_causal` takes the place of the mask.
std::string checks(const LeafBuilder& leaf) {
  std::string out;
  for (const char* name : {"query", "key", "value"}) out += require_dims(leaf.type(), name, 3);
  return out +
         require_text("not is_causal or attn_mask is not None",
                      "\"Need attn_mask if specifying the is_causal hint\"") +
         "causal = is_causal and key_padding_mask is None and not need_weights\n";
}

std::string projections(const LeafBuilder& leaf, const Attention& shape) {
  static constexpr const char* kInputs[] = {"query", "key", "value"};
  static constexpr const char* kWeights[] = {"q_proj_weight", "k_proj_weight", "v_proj_weight"};
  static constexpr const char* kOutputs[] = {"q", "k", "v"};
  std::string out;
  for (size_t i = 0; i < 3; ++i) {
    const auto index = static_cast<int64_t>(i);
    const std::string input = leaf.flag("batch_first")
                                  ? kInputs[i]
                                  : "torch.transpose(" + std::string(kInputs[i]) + ", 0, 1)";
    const std::string weight = shape.packed ? part("in_proj_weight", index, shape.width)
                                            : "self." + std::string(kWeights[i]);
    const std::string bias = leaf.flag("bias") ? part("in_proj_bias", index, shape.width) : "None";
    out +=
        kOutputs[i] + std::string(" = torch.linear(") + input + ", " + weight + ", " + bias + ")\n";
  }
  out += "batch = q.size(0)\n";
  if (leaf.flag("add_bias_kv")) {
    out +=
        "k = torch.cat([k, self.bias_k.expand([batch, -1, -1])], 1)\n"
        "v = torch.cat([v, self.bias_v.expand([batch, -1, -1])], 1)\n";
  }
  const std::string split = ", [batch, -1, " + std::to_string(shape.heads) + ", " +
                            std::to_string(shape.width / shape.heads) + "]), 1, 2)\n";
  for (const char* name : kOutputs) {
    out += name + std::string(" = torch.transpose(torch.reshape(") + name + split;
  }
  if (leaf.flag("add_zero_attn")) {
    const std::string zeros = ", torch.zeros([batch, " + std::to_string(shape.heads) + ", 1, " +
                              std::to_string(shape.width / shape.heads) +
                              "], dtype=q.dtype, device=q.device)], 2)\n";
    out += "k = torch.cat([k" + zeros + "v = torch.cat([v" + zeros;
  }
  return out;
}

/// Boolean masks become -inf where they are true (11 is torch.bool); keys that the module adds
/// itself are never masked.
std::string masks(const LeafBuilder& leaf, const Attention& shape) {
  const int added = int(leaf.flag("add_bias_kv")) + int(leaf.flag("add_zero_attn"));
  const auto prepared = [added](const std::string& name, const std::string& from) {
    std::string out = "    " + name + " = " + from + "\n    if " + name +
                      ".dtype == 11:\n        " + name + " = torch.masked_fill(torch.zeros_like(" +
                      name + ", dtype=q.dtype), " + name + ", float(\"-inf\"))\n";
    if (added > 0) {
      out += "    " + name + " = torch.constant_pad_nd(" + name + ", [0, " + std::to_string(added) +
             "], 0.0)\n";
    }
    return out;
  };
  return "mask: Optional[Tensor] = None\nif attn_mask is not None and not causal:\n" +
         prepared("pairs", "attn_mask") +
         "    if pairs.dim() == 3:\n"
         "        pairs = torch.reshape(pairs, [batch, " +
         std::to_string(shape.heads) +
         ", pairs.size(1), pairs.size(2)])\n"
         "    mask = pairs\n"
         "if key_padding_mask is not None:\n" +
         prepared("keys", "key_padding_mask") +
         "    keys = torch.unsqueeze(torch.unsqueeze(keys, 1), 1)\n"
         "    if mask is None:\n"
         "        mask = keys\n"
         "    else:\n"
         "        mask = mask + keys\n";
}

std::string attend(const LeafBuilder& leaf, const Attention& shape) {
  const double scale = 1 / std::sqrt(static_cast<double>(shape.width / shape.heads));
  std::string out =
      "weights: Optional[Tensor] = None\nif need_weights:\n"
      "    scores = torch.matmul(q * " +
      python_literal(scale) +
      ", torch.transpose(k, 2, 3))\n"
      "    if mask is not None:\n"
      "        scores = scores + mask\n"
      "    found = torch.dropout(torch.softmax(scores, -1), {dropout}, self.training)\n"
      "    joined = torch.matmul(found, v)\n"
      "    weights = torch.mean(found, [1]) if average_attn_weights else found\n"
      "else:\n"
      "    rate = {dropout} if self.training else 0.0\n"
      "    joined = torch.scaled_dot_product_attention(q, k, v, mask, rate, causal)\n"
      "joined = torch.flatten(torch.transpose(joined, 1, 2), 2)\n"
      "output = self.out_proj.forward(joined)\n";
  if (!leaf.flag("batch_first")) out += "output = torch.transpose(output, 0, 1)\n";
  return leaf.filled(out + "return output, weights");
}

Status build_attention(LeafBuilder& leaf) {
  MLC_TRY(const Attention shape, read_attention(leaf));
  add_projections(leaf, shape);
  MLC_CHECK(leaf.child("out_proj", "Linear",
                       {given("in_features", shape.width), given("out_features", shape.width),
                        given("bias", leaf.flag("bias"))}));
  leaf.forward(
      "query: Tensor, key: Tensor, value: Tensor, key_padding_mask: Optional[Tensor]=None, "
      "need_weights: bool=True, attn_mask: Optional[Tensor]=None, "
      "average_attn_weights: bool=True, is_causal: bool=False",
      "Tuple[Tensor, Optional[Tensor]]",
      checks(leaf) + projections(leaf, shape) + masks(leaf, shape) + attend(leaf, shape));
  return {};
}

constexpr ModuleType kRows[] = {
    {"MultiheadAttention",
     "embed_dim: pos, num_heads: pos, dropout: float = 0.0, bias: bool = True, "
     "add_bias_kv: bool = False, add_zero_attn: bool = False, kdim: pos? = None, "
     "vdim: pos? = None, batch_first: bool = False, dtype: dtype? = None",
     "", build_attention},
};

}  // namespace

std::span<const ModuleType> attention_types() {
  return kRows;
}

}  // namespace mlc::arch
