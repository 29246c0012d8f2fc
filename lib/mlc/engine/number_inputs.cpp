#include "mlc/engine/number_inputs.h"

#include "mlc/base/text.h"
#include "mlc/engine/wrapped_model.h"
#include "mlc/tensor/convert.h"

#include <algorithm>
#include <utility>

namespace mlc {
namespace {

/// TENSOR, of one element, as a number of type WANTED.
Result<HostTensor> as_number(const HostTensor& tensor, DType wanted) {
  std::string bytes(element_bytes(wanted), '\0');
  const auto out = std::as_writable_bytes(std::span(bytes));
  MLC_CHECK(convert_block(tensor.dtype, as_bytes(*tensor.bytes), wanted, out));
  return make_host_tensor(wanted, {}, std::move(bytes));
}

class WithNumbers : public WrappedModel {
 public:
  WithNumbers(std::unique_ptr<Model> model, NumberInputs numbers)
      : WrappedModel(std::move(model)), numbers_(std::move(numbers)) {}

  Status set_inputs(std::span<const NamedValue> inputs) override {
    std::vector<NamedValue> fitting;
    for (const NamedValue& one : inputs) {
      if (numbers_.frozen.contains(one.name)) continue;
      fitting.push_back(one);
      const auto& known = model_->signature().inputs;
      const auto input = std::ranges::find(known, one.name, &InputInfo::name);
      const bool is_number = std::ranges::find(numbers_.kept, one.name) != numbers_.kept.end();
      if (!is_number || input == known.end() || !input->dtype) continue;
      MLC_TRY_CTX(fitting.back().tensor, as_number(one.tensor, *input->dtype),
                  "input " + quoted(one.name));
    }
    return model_->set_inputs(fitting);
  }

 private:
  NumberInputs numbers_;
};

}  // namespace

std::unique_ptr<Model> with_number_inputs(std::unique_ptr<Model> model, NumberInputs numbers) {
  return std::make_unique<WithNumbers>(std::move(model), std::move(numbers));
}

}  // namespace mlc
