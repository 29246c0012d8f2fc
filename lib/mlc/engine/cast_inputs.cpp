#include "mlc/engine/cast_inputs.h"

#include "mlc/base/text.h"
#include "mlc/engine/wrapped_model.h"
#include "mlc/tensor/convert.h"

#include <algorithm>
#include <string>
#include <utility>

namespace mlc {
namespace {

bool is_floating(std::optional<DType> dtype) {
  return dtype && info(*dtype).kind == DTypeClass::floating;
}

bool is_half(DType dtype) {
  return dtype == DType::f16 || dtype == DType::bf16;
}

/// Nothing where the input stays as it is.
std::optional<DType> wanted_type(const Signature& signature, std::optional<DType> computing,
                                 const NamedValue& given) {
  const auto input = std::ranges::find(signature.inputs, given.name, &InputInfo::name);
  const bool is_told = input != signature.inputs.end() && input->dtype;
  const std::optional<DType> wanted = is_told ? input->dtype : computing;
  const DType type = given.tensor.dtype;
  if (!is_floating(wanted) || !is_floating(type) || *wanted == type) return std::nullopt;
  return is_half(*wanted) || is_half(type) ? wanted : std::nullopt;
}

Result<HostTensor> cast(const HostTensor& tensor, DType wanted) {
  const size_t elements = tensor.bytes->size() / element_bytes(tensor.dtype);
  std::string bytes(elements * element_bytes(wanted), '\0');
  const auto out = std::as_writable_bytes(std::span(bytes));
  MLC_CHECK(convert_block(tensor.dtype, as_bytes(*tensor.bytes), wanted, out));
  return make_host_tensor(wanted, tensor.sizes, std::move(bytes));
}

class CastInputs : public WrappedModel {
 public:
  CastInputs(std::unique_ptr<Model> model, std::optional<DType> computing)
      : WrappedModel(std::move(model)), computing_(computing) {}

  Status set_inputs(std::span<const NamedValue> inputs) override {
    MLC_TRY(const std::vector<NamedValue> fitting,
            cast_inputs(model_->signature(), computing_, inputs));
    return model_->set_inputs(fitting);
  }

 private:
  std::optional<DType> computing_;
};

}  // namespace

std::optional<DType> computing_type(const Signature& signature,
                                    std::span<const InputSpec> made_with) {
  if (signature.parameters) return signature.parameters;
  const auto floating = std::ranges::find_if(
      signature.inputs, [](const InputInfo& input) { return is_floating(input.dtype); });
  if (floating != signature.inputs.end()) return floating->dtype;
  const auto kept = std::ranges::find_if(
      made_with, [](const InputSpec& spec) { return is_floating(spec.dtype); });
  return kept == made_with.end() ? std::nullopt : std::optional(kept->dtype);
}

Result<std::vector<NamedValue>> cast_inputs(const Signature& signature,
                                            std::optional<DType> computing,
                                            std::span<const NamedValue> inputs) {
  std::vector<NamedValue> out(inputs.begin(), inputs.end());
  for (NamedValue& one : out) {
    const auto wanted = wanted_type(signature, computing, one);
    if (!wanted) continue;
    MLC_TRY_CTX(one.tensor, cast(one.tensor, *wanted), "input " + quoted(one.name));
  }
  return out;
}

std::unique_ptr<Model> with_cast_inputs(std::unique_ptr<Model> model,
                                        std::optional<DType> computing) {
  return std::make_unique<CastInputs>(std::move(model), computing);
}

}  // namespace mlc
