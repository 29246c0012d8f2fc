// A session as mlc::Model.
#pragma once

#include "mlc/base/reporter.h"
#include "mlc/engine/engine.h"
#include "mlc/ort/ort_session.h"

#include <memory>

namespace mlc::ort_module {

/// LIBRARY and REPORTER must outlive the model.
std::unique_ptr<Model> make_model(OrtLibrary& library, LoadedSession session, Reporter& reporter);

}  // namespace mlc::ort_module
