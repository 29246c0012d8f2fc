// Embedding and EmbeddingBag. With max_norm PyTorch rescales the rows it uses within the weight.
// Where nothing else reads the weight, it stays here and a rescaled copy is used: that gives the
// same outputs, and ONNX has a form for it.
#include "mlc/frontend/module_types.h"

#include <algorithm>
#include <set>
#include <string>

namespace mlc::arch {
namespace {

constexpr std::string_view kInPlace = "renorm_in_place";

/// Adds the weight; the statements that give `weight`, and the check of padding_idx.
Result<std::string> add_weight(LeafBuilder& leaf) {
  const int64_t rows = leaf.integer("num_embeddings");
  leaf.parameter("weight", {rows, leaf.integer("embedding_dim")}, normal(1));
  if (!leaf.is_none("padding_idx")) {
    const int64_t index = leaf.integer("padding_idx");
    if (index < -rows || index >= rows) {
      return leaf.error("padding_idx", leaf.filled("padding_idx {padding_idx} is outside of "
                                                   "num_embeddings {num_embeddings}"));
    }
  }
  if (leaf.is_none("max_norm")) return std::string("weight = self.weight\n");
  leaf.constant(std::string(kInPlace), false);
  return leaf.filled(
      "weight = self.weight\n"
      "if self.renorm_in_place:\n"
      "    torch.embedding_renorm_(weight, input.contiguous(), {max_norm}, {norm_type})\n"
      "else:\n"
      "    norms = torch.linalg_vector_norm(weight, {norm_type}, [1], True)\n"
      "    weight = torch.where(norms > {max_norm}, weight * ({max_norm} / (norms + 1e-07)), "
      "weight)\n");
}

/// The row of padding_idx from 0 on, or OTHERWISE.
std::string padding_row(const LeafBuilder& leaf, std::string_view otherwise) {
  if (leaf.is_none("padding_idx")) return std::string(otherwise);
  const int64_t index = leaf.integer("padding_idx");
  return std::to_string(index < 0 ? index + leaf.integer("num_embeddings") : index);
}

Status build_embedding(LeafBuilder& leaf) {
  MLC_TRY(const std::string weight, add_weight(leaf));
  leaf.forward("input: Tensor", "Tensor",
               weight + "return torch.embedding(weight, input, " + padding_row(leaf, "-1") + ")");
  return {};
}

// Rows of a matrix are bags of one size; otherwise offsets say where each bag begins.
Status build_embedding_bag(LeafBuilder& leaf) {
  MLC_TRY(std::string body, add_weight(leaf));
  const std::string& mode = leaf.text("mode");
  const std::string number = mode == "sum" ? "0" : mode == "mean" ? "1" : "2";
  body += "last = " + leaf.literal("include_last_offset") + "\n";
  body +=
      "if offsets is None:\n"
      "    offsets = torch.arange(0, input.numel(), input.size(1), dtype=input.dtype, "
      "device=input.device)\n"
      "    input = torch.reshape(input, [-1])\n"
      "    last = False\n"
      "    if per_sample_weights is not None:\n"
      "        per_sample_weights = torch.reshape(per_sample_weights, [-1])\n";
  body += "bags, a, b, c = torch.embedding_bag(weight, input, offsets, False, " + number +
          ", False, per_sample_weights, last, " + padding_row(leaf, "None") + ")\nreturn bags";
  leaf.forward(
      "input: Tensor, offsets: Optional[Tensor]=None, per_sample_weights: Optional[Tensor]=None",
      "Tensor", body);
  return {};
}

constexpr ModuleType kRows[] = {
    {"Embedding",
     "num_embeddings: pos, embedding_dim: nat, padding_idx: int? = None, max_norm: float? = None, "
     "norm_type: float = 2.0, scale_grad_by_freq: bool = False, sparse: bool = False, "
     "dtype: dtype? = None",
     "", build_embedding},
    {"EmbeddingBag",
     "num_embeddings: pos, embedding_dim: nat, max_norm: float? = None, norm_type: float = 2.0, "
     "scale_grad_by_freq: bool = False, mode: {sum mean max} = mean, sparse: bool = False, "
     "include_last_offset: bool = False, padding_idx: int? = None, dtype: dtype? = None",
     "", build_embedding_bag},
};

/// The paths of all tensors below MODULE that are one with another.
void collect_tied(const ScriptModule& module, std::set<std::string>& tied) {
  for (const auto* tensors : {&module.parameters, &module.buffers}) {
    for (const ScriptTensor& one : *tensors) {
      if (!one.tied_to.empty()) tied.insert({one.path, one.tied_to});
    }
  }
  for (const ScriptModule& child : module.children) collect_tied(child, tied);
}

/// Whether a text that somebody wrote reads the weight of a module, whichever that is.
bool reads_a_weight(const ScriptModule& module) {
  const auto written = [](const SourceLine& line) { return line.position.line != 0; };
  if (std::ranges::any_of(module.lines, written) &&
      module.source.find(".weight") != std::string::npos) {
    return true;
  }
  return std::ranges::any_of(module.children, reads_a_weight);
}

void mark_shared(ScriptModule& module, const std::set<std::string>& tied, bool read) {
  const auto flag = std::ranges::find(module.constants, kInPlace, &Constant::name);
  if (flag != module.constants.end()) {
    flag->value = read || std::ranges::any_of(module.parameters, [&](const ScriptTensor& one) {
                    return tied.contains(one.path);
                  });
  }
  for (ScriptModule& child : module.children) mark_shared(child, tied, read);
}

}  // namespace

std::span<const ModuleType> embedding_types() {
  return kRows;
}

void renorm_shared_weights(ScriptModule& root) {
  std::set<std::string> tied;
  collect_tied(root, tied);
  mark_shared(root, tied, reads_a_weight(root));
}

}  // namespace mlc::arch
