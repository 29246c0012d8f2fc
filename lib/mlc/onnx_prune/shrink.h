// Taking channels away from a model, and the model that it must be equal to.
#pragma once

#include "mlc/base/result.h"
#include "mlc/onnx_edit/document.h"
#include "mlc/onnx_prune/choose.h"

namespace mlc::onnx {

/// Cuts all weights and numbers of DOCUMENT, of which PLAN was made, down to what stays.
Status shrink(Document& document, ChannelPlan& plan);

/// Sets to zero, in the weights of DOCUMENT, what reads channels that go: this model gives what the
/// shrunk one gives, up to rounding.
Status unread(Document& document, ChannelPlan& plan);

}  // namespace mlc::onnx
