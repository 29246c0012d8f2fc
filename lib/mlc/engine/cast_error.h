// What a model that --dtype has cast says when it cannot run that way.
#pragma once

#include "mlc/base/error.h"
#include "mlc/tensor/dtype.h"

namespace mlc {

/// ERROR of a run of a model that was cast to DTYPE: unsupported, and naming --dtype, where its
/// text speaks of that type by mlc's name, as exception_sentence() has them; else ERROR itself.
Error of_cast_model(Error error, DType dtype);

}  // namespace mlc
