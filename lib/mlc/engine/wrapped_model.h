// A model around another one, which does what that does but for what is overridden.
#pragma once

#include "mlc/base/result.h"
#include "mlc/engine/engine.h"

#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace mlc {

class WrappedModel : public Model {
 public:
  explicit WrappedModel(std::unique_ptr<Model> model) : model_(std::move(model)) {}

  const Signature& signature() const override { return model_->signature(); }
  const std::string& device() const override { return model_->device(); }
  bool channels_last() const override { return model_->channels_last(); }
  Status set_inputs(std::span<const NamedValue> inputs) override {
    return model_->set_inputs(inputs);
  }
  Status run() override { return model_->run(); }
  Result<std::vector<NamedValue>> outputs() override { return model_->outputs(); }
  bool has_keys() const override { return model_->has_keys(); }
  std::vector<NamedText> texts() const override { return model_->texts(); }
  Result<TraceFacts> write_torchscript(const TraceOptions& options, const ByteSink& sink) override {
    return model_->write_torchscript(options, sink);
  }

 protected:
  std::unique_ptr<Model> model_;
};

}  // namespace mlc
