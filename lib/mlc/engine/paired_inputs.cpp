#include "mlc/engine/paired_inputs.h"

#include "mlc/base/text.h"
#include "mlc/engine/match_inputs.h"
#include "mlc/engine/wrapped_model.h"

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

namespace mlc {
namespace {

using Names = std::map<std::string, std::string>;  // of the specs -> of the model

class RenamedInputs : public WrappedModel {
 public:
  RenamedInputs(std::unique_ptr<Model> model, Names names)
      : WrappedModel(std::move(model)), names_(std::move(names)), signature_(model_->signature()) {
    for (InputInfo& input : signature_.inputs) {
      const auto known = std::ranges::find(names_, input.name, &Names::value_type::second);
      if (known != names_.end()) input.name = known->first;
    }
  }

  const Signature& signature() const override { return signature_; }
  Status set_inputs(std::span<const NamedValue> inputs) override {
    std::vector<NamedValue> renamed(inputs.begin(), inputs.end());
    for (NamedValue& input : renamed) {
      const auto known = names_.find(input.name);
      if (known != names_.end()) input.name = known->second;
    }
    return model_->set_inputs(renamed);
  }

 private:
  Names names_;
  Signature signature_;
};

/// The names of the inputs that must be given, if they are as many as SPECS and none is among them,
/// not even with a typing error.
std::vector<std::string> others(const Signature& signature, std::span<const InputSpec> specs) {
  std::vector<std::string> out;
  for (const InputInfo& input : signature.inputs) {
    if (std::ranges::find(specs, input.name, &InputSpec::name) != specs.end()) return {};
    if (input.required) out.push_back(input.name);
  }
  for (const InputSpec& spec : specs) {
    if (nearest(spec.name, out)) return {};
  }
  return out.size() == specs.size() ? out : std::vector<std::string>();
}

}  // namespace

Result<PairedModel> pair_inputs(std::unique_ptr<Model> model, std::span<const InputSpec> specs) {
  Status same = match_inputs(model->signature(), specs);
  if (same.ok()) return PairedModel{std::move(model), ""};
  const std::vector<std::string> wanted = others(model->signature(), specs);
  if (wanted.empty()) return std::move(same).error();
  Names names;
  std::vector<std::string> pairs;
  for (size_t i = 0; i < wanted.size(); ++i) {
    names.emplace(specs[i].name, wanted[i]);
    pairs.push_back(printable(specs[i].name) + " as " + printable(wanted[i]));
  }
  return PairedModel{std::make_unique<RenamedInputs>(std::move(model), std::move(names)),
                     join_list(pairs)};
}

}  // namespace mlc
