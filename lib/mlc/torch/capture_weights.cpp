#include "mlc/torch/capturer.h"
#include "mlc/torch/torch_values.h"

#include <algorithm>
#include <tuple>

#include <ATen/Functions.h>

namespace mlc::torch_module {
Result<Weight> weight_of(const at::Tensor& tensor) {
  const auto held = std::make_shared<at::Tensor>(
      tensor.detach().to(at::kCPU).resolve_conj().resolve_neg().contiguous());
  Weight out;
  MLC_TRY(out.dtype, dtype_of(held->scalar_type()));
  out.sizes = held->sizes().vec();
  out.bytes = Bytes(static_cast<const std::byte*>(held->const_data_ptr()), held->nbytes());
  out.owner = held;
  return out;
}

/// A view of a copy of the storage, so that views of one storage stay views of one.
at::Tensor Capturer::lane_copy(const at::Tensor& tensor, size_t lane) {
  const void* storage = tensor.storage().unsafeGetStorageImpl();
  at::Tensor& copy = copies_[{storage, lane}];
  if (!copy.defined()) {
    const auto count = static_cast<int64_t>(tensor.storage().nbytes() / tensor.element_size());
    copy = tensor.detach().as_strided({count}, {1}, 0).clone();
  }
  return copy.as_strided(tensor.sizes(), tensor.strides(), tensor.storage_offset());
}

void Capturer::name_weights() {
  for (const auto& one : target_.module.named_parameters()) {
    names_.try_emplace(identity(one.value), one.name, ir::ValueKind::parameter);
  }
  for (const auto& one : target_.module.named_buffers()) {
    names_.try_emplace(identity(one.value), one.name, ir::ValueKind::buffer);
  }
}

TensorRef Capturer::weight(const at::Tensor& tensor, ir::ValueKind kind, const std::string& given,
                           bool persistent) {
  if (names_.empty()) name_weights();
  std::string name = given;
  const std::string id = identity(tensor);
  TensorRef& known = weights_[id];
  if (known != nullptr && tensor.numel() > 0) return known;
  // A list of weights, as recurrent layers keep, has the names that the state_dict has for them.
  if (const auto named = names_.find(id); named != names_.end() && !keys_.contains(given)) {
    if (tensor.numel() > 0) std::tie(name, kind) = named->second;
  }
  // What the program holds beside the state_dict must not take a name of it.
  const auto has_name = [&](const auto& one) { return one.second.first == name; };
  if (kind == ir::ValueKind::constant && std::ranges::any_of(names_, has_name)) name += "_";
  auto item = std::make_shared<TensorItem>();
  const bool written =
      tensor.has_storage() && attempt_.written.contains(tensor.storage().unsafeGetStorageImpl());
  for (size_t i = 0; i < lanes(); ++i) {
    item->lanes.push_back(written ? lane_copy(tensor, i) : tensor);
  }
  if (!written && tensor.has_storage()) {
    weight_storages_.insert(tensor.storage().unsafeGetStorageImpl());
  }
  ir::TensorType type;
  const auto dtype = dtype_of(tensor.scalar_type());
  if (dtype.ok()) type.dtype = *dtype;
  type.sizes.emplace();
  for (const int64_t size : tensor.sizes()) type.sizes->push_back(symbols().constant(size));
  item->value = out_.program.graph.add_weight(kind, name, std::move(type));
  ProgramWeight weight;
  weight.value = item->value;
  weight.key = keys_.insert(name).second ? name : item->value->name();
  keys_.insert(weight.key);
  weight.strides = tensor.strides().vec();
  weight.persistent = persistent;
  out_.program.weights.push_back(std::move(weight));
  weight_tensors_.push_back(tensor);
  known = item;
  return item;
}

TensorRef Capturer::constant(const at::Tensor& tensor, const std::string& name) {
  TensorRef out = weight(tensor, ir::ValueKind::constant, name, false);
  return out;
}

}  // namespace mlc::torch_module
