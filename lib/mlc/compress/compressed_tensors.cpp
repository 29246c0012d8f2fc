#include "mlc/compress/compressed_tensors.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace mlc {
namespace {

using Json = nlohmann::ordered_json;

/// "model.fc" of "model.fc.weight".
std::string module_of(const std::string& key) {
  constexpr std::string_view kWeight = ".weight";
  return key.substr(0, key.size() - kWeight.size());
}

Json weights_of(const QuantScheme& scheme) {
  Json out;
  out["num_bits"] = scheme.info().bits;
  out["type"] = "int";
  out["symmetric"] = true;
  out["strategy"] = scheme.group == 0 ? "channel" : "group";
  out["group_size"] = scheme.group == 0 ? Json() : Json(scheme.group);
  out["dynamic"] = false;
  return out;
}

/// The modules of each scheme, the scheme with most of them first.
std::vector<std::pair<QuantScheme, std::vector<std::string>>> by_scheme(const QuantizePlan& plan) {
  std::map<std::string, std::pair<QuantScheme, std::vector<std::string>>> found;
  for (const WeightPlan& weight : plan.weights) {
    if (!weight.is_quantized()) continue;
    auto& [scheme, modules] = found[weight.scheme.text()];
    scheme = weight.scheme;
    for (const std::string& name : weight.names) modules.push_back(module_of(name));
  }
  std::vector<std::pair<QuantScheme, std::vector<std::string>>> out;
  for (auto& [text, group] : found) out.push_back(std::move(group));
  std::ranges::stable_sort(
      out, [](const auto& a, const auto& b) { return a.second.size() > b.second.size(); });
  return out;
}

}  // namespace

Result<std::string> with_quantization_config(const std::string& config,
                                             const Checkpoint& checkpoint,
                                             const QuantizePlan& plan) {
  Json root = config.empty() ? Json::object() : Json::parse(config, nullptr, false);
  if (!root.is_object()) return corrupt("it is no JSON object");
  Json groups = Json::object();
  for (const auto& [scheme, modules] : by_scheme(plan)) {
    Json group;
    group["targets"] = groups.empty() ? Json::array({"Linear"}) : Json(modules);
    group["weights"] = weights_of(scheme);
    group["input_activations"] = nullptr;
    group["output_activations"] = nullptr;
    groups["group_" + std::to_string(groups.size())] = std::move(group);
  }
  Json ignore = Json::array();
  for (const WeightPlan& weight : plan.weights) {
    if (weight.is_quantized() || checkpoint.tensors[weight.tensor].rank != 2) continue;
    for (const std::string& name : weight.names) {
      if (name.ends_with(".weight")) ignore.push_back(module_of(name));
    }
  }
  Json& out = root["quantization_config"];
  out = Json::object();
  out["quant_method"] = "compressed-tensors";
  out["format"] = "pack-quantized";
  out["quantization_status"] = "compressed";
  out["config_groups"] = std::move(groups);
  out["ignore"] = std::move(ignore);
  return root.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace mlc
