#include "compress/script_inputs.h"

#include <string>
#include <utility>

namespace mlc::cli {
namespace {

InputSpec fixed_input(std::string name, DType dtype, const std::vector<int64_t>& sizes) {
  InputSpec out;
  out.name = std::move(name);
  out.dtype = dtype;
  for (const int64_t size : sizes) out.dims.push_back({"", size, std::nullopt});
  return out;
}

}  // namespace

std::vector<InputSpec> traced_inputs(const Signature& signature) {
  std::vector<InputSpec> out;
  for (const InputInfo& input : signature.inputs) {
    if (!input.required) continue;
    if (!input.dtype || !input.sizes) return {};
    out.push_back(fixed_input(input.name, *input.dtype, *input.sizes));
  }
  return out;
}

Result<std::vector<InputSpec>> sampled_inputs(const CalibrationData& data) {
  std::vector<InputSpec> out;
  MLC_TRY(const auto first, data.sample(0));
  for (const NamedValue& value : first)
    out.push_back(fixed_input(value.name, value.tensor.dtype, value.tensor.sizes));
  return out;
}

}  // namespace mlc::cli
