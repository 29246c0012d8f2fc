#include "export/stated_sizes.h"

#include "mlc/base/text.h"
#include "mlc/engine/wrapped_model.h"
#include "mlc/ir/symbols.h"
#include "mlc/tensor/shape.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

namespace mlc::cli {
namespace {

class WithStatedSizes : public WrappedModel {
 public:
  WithStatedSizes(std::unique_ptr<Model> runs, const onnx::Model& stated, std::string& problem)
      : WrappedModel(std::move(runs)), stated_(stated), problem_(problem) {}

  Status set_inputs(std::span<const NamedValue> inputs) override {
    symbols_.assign(stated_.symbols().all().size(), std::nullopt);
    contradicts_ = false;
    for (const onnx::Value* input : stated_.graph.inputs) {
      const auto given = std::ranges::find(inputs, input->name, &NamedValue::name);
      if (given != inputs.end()) learn(input->type.sizes, given->tensor.sizes);
    }
    return model_->set_inputs(inputs);
  }

  Result<std::vector<NamedValue>> outputs() override {
    MLC_TRY(auto out, model_->outputs());
    for (const onnx::GraphOutput& output : stated_.graph.outputs) {
      const auto got = std::ranges::find(out, output.name, &NamedValue::name);
      if (got != out.end() && problem_.empty() && !contradicts_) compare(output, got->tensor.sizes);
    }
    return out;
  }

 private:
  /// The symbols that stand alone as sizes.
  void learn(const std::vector<ir::Expr>& stated, const std::vector<int64_t>& given) {
    const ir::Symbols& symbols = stated_.symbols();
    for (size_t i = 0; i < std::min(stated.size(), given.size()); ++i) {
      const std::vector<size_t> used = symbols.symbols_of(stated[i]);
      if (used.size() != 1 || symbols.text(stated[i]) != symbols.all()[used[0]].name) continue;
      std::optional<int64_t>& known = symbols_[used[0]];
      contradicts_ = contradicts_ || (known && *known != given[i]);
      known = given[i];
    }
  }

  void compare(const onnx::GraphOutput& output, const std::vector<int64_t>& got) {
    const std::vector<ir::Expr>& stated = output.value->type.sizes;
    const ir::Evaluator evaluate(stated_.symbols(), symbols_);
    bool differs = stated.size() != got.size();
    std::vector<std::string> texts;
    for (size_t i = 0; i < stated.size(); ++i) {
      texts.push_back(stated_.symbols().text(stated[i]));
      const auto size = evaluate(stated[i]);
      differs = differs || (size && i < got.size() && *size != got[i]);
    }
    if (!differs) return;
    std::string text;
    for (const std::string& one : texts) text += (text.empty() ? "" : ", ") + one;
    problem_ = "output " + quoted(output.name) + " would be stated as [" + text + "], and is " +
               format_shape(got);
  }

  const onnx::Model& stated_;
  std::string& problem_;
  std::vector<std::optional<int64_t>> symbols_;
  bool contradicts_ = false;  // two sizes of one name differ, as --dim joins what it is told to
};

}  // namespace

std::unique_ptr<Model> with_stated_sizes(std::unique_ptr<Model> runs, const onnx::Model& stated,
                                         std::string& problem) {
  return std::make_unique<WithStatedSizes>(std::move(runs), stated, problem);
}

}  // namespace mlc::cli
