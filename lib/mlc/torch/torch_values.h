// Between mlc's tensors and LibTorch's.
#pragma once

#include "mlc/base/result.h"
#include "mlc/engine/architecture_source.h"
#include "mlc/engine/host_tensor.h"

#include <optional>
#include <string>

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>
#include <c10/core/ScalarType.h>

namespace mlc::torch_module {

/// Errors: unsupported for types that no input or output can have.
Result<c10::ScalarType> scalar_type(DType dtype);
Result<DType> dtype_of(c10::ScalarType type);

/// A copy on DEVICE, cast to FLOATING where it is given and the tensor holds floating numbers.
Result<at::Tensor> to_torch(const HostTensor& tensor, c10::Device device,
                            std::optional<c10::ScalarType> floating);

/// The elements where they lie, which live as long as the tensor does; copied where they are not
/// aligned for their type.
at::Tensor in_place(const Weight& weight, c10::ScalarType type);

/// What tells tensors apart: those that agree in it are one.
std::string identity(const at::Tensor& tensor);

/// A contiguous copy in plain memory. Errors: unsupported for sparse and quantised tensors.
Result<HostTensor> to_host(const at::Tensor& tensor);

}  // namespace mlc::torch_module
