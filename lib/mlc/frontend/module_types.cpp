#include "mlc/frontend/module_types.h"

#include <algorithm>
#include <iterator>

namespace mlc::arch {
namespace {

constexpr std::span<const ModuleType> (*kFamilies[])() = {
    convolution_types, linear_types,    norm_types,       pool_types,
    activation_types,  embedding_types, recurrent_types,  attention_types,
    transformer_types, padding_types,   resampling_types, shape_types};

struct Loss {
  std::string_view type;
  std::string_view function;  // of torch.nn.functional
};

constexpr Loss kLosses[] = {
    {"L1Loss", "l1_loss"},
    {"MSELoss", "mse_loss"},
    {"NLLLoss", "nll_loss"},
    {"NLLLoss2d", "nll_loss"},
    {"CrossEntropyLoss", "cross_entropy"},
    {"BCELoss", "binary_cross_entropy"},
    {"BCEWithLogitsLoss", "binary_cross_entropy_with_logits"},
    {"KLDivLoss", "kl_div"},
    {"PoissonNLLLoss", "poisson_nll_loss"},
    {"GaussianNLLLoss", "gaussian_nll_loss"},
    {"SmoothL1Loss", "smooth_l1_loss"},
    {"HuberLoss", "huber_loss"},
    {"SoftMarginLoss", "soft_margin_loss"},
    {"MultiMarginLoss", "multi_margin_loss"},
    {"MultiLabelMarginLoss", "multilabel_margin_loss"},
    {"MultiLabelSoftMarginLoss", "multilabel_soft_margin_loss"},
    {"HingeEmbeddingLoss", "hinge_embedding_loss"},
    {"CosineEmbeddingLoss", "cosine_embedding_loss"},
    {"MarginRankingLoss", "margin_ranking_loss"},
    {"TripletMarginLoss", "triplet_margin_loss"},
    {"TripletMarginWithDistanceLoss", "triplet_margin_loss"},
    {"CTCLoss", "ctc_loss"},
};

constexpr std::string_view kMissing[] = {
    "AdaptiveLogSoftmaxWithLoss", "Container", "CrossMapLRN2d", "DataParallel",
    "LinearCrossEntropyLoss",     "RNNBase",   "RNNCellBase"};

constexpr std::string_view kLazy = "Lazy";

}  // namespace

std::string advice_on_missing(std::string_view name) {
  const auto loss = std::find_if(std::begin(kLosses), std::end(kLosses),
                                 [name](const Loss& one) { return one.type == name; });
  if (loss != std::end(kLosses)) {
    return "losses are no modules here: call F." + std::string(loss->function) + " in forward";
  }
  if (name == "ParameterList" || name == "ParameterDict") {
    return "a module with parameters has the same keys, as scales: {parameters: {'0': {shape: "
           "[4]}}}; forward reads getattr(self.scales, '0')";
  }
  const std::string_view plain = name.starts_with(kLazy) ? name.substr(kLazy.size()) : "";
  if (find_module_type(plain) != nullptr) {
    return "torch.nn has it, mlc does not: write " + std::string(plain) + " with the sizes that " +
           std::string(name) + " finds";
  }
  const bool missing =
      std::find(std::begin(kMissing), std::end(kMissing), name) != std::end(kMissing);
  return missing ? "torch.nn has it, mlc does not" : "";
}

const ModuleType* find_module_type(std::string_view name) {
  for (const auto family : kFamilies) {
    const auto rows = family();
    const auto it = std::find_if(rows.begin(), rows.end(),
                                 [name](const ModuleType& row) { return row.name == name; });
    if (it != rows.end()) return &*it;
  }
  return nullptr;
}

std::vector<ModuleType> all_module_types() {
  std::vector<ModuleType> out;
  for (const auto family : kFamilies) {
    const auto rows = family();
    out.insert(out.end(), rows.begin(), rows.end());
  }
  return out;
}

std::vector<std::string> module_type_names() {
  std::vector<std::string> out(std::begin(kContainers), std::end(kContainers));
  for (const ModuleType& row : all_module_types()) out.emplace_back(row.name);
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace mlc::arch
