// The inputs that an architecture declares: what a run takes when nobody says otherwise, and what
// given inputs are compared with before a model sees them.
#pragma once

#include "mlc/base/result.h"
#include "mlc/engine/architecture_source.h"
#include "mlc/engine/host_tensor.h"
#include "mlc/engine/input_spec.h"
#include "mlc/frontend/architecture.h"

#include <span>
#include <vector>

namespace mlc {

struct DeclaredInputs {
  std::vector<InputSpec> specs;  // in the order of the YAML
  std::vector<DeclaredInput> for_engine;
};

/// Errors: usage at the line of the YAML.
Result<DeclaredInputs> read_declared_inputs(const arch::Architecture& architecture);

/// Whether type, rank, sizes and bounds of VALUES are those of SPECS. Any floating type stands for
/// any other where CAST. A symbol must have one size in all inputs. Errors: usage naming all that
/// differs. Inputs that SPECS does not know pass.
Status check_declared(std::span<const InputSpec> specs, std::span<const NamedValue> values,
                      bool cast);

/// Whether the sizes that vary in SPECS are ones that vary in DECLARED, within its bounds, and
/// under one name where DECLARED has one. Errors: usage naming all that differs. Inputs that
/// DECLARED does not know pass, and sizes that do not vary, which check_declared() compares.
Status check_varying(std::span<const InputSpec> specs, std::span<const InputSpec> declared);

/// SPECS, where named sizes without bounds get those that DECLARED has at their place: other sizes
/// to try are then sizes that the architecture allows.
std::vector<InputSpec> with_declared_bounds(std::vector<InputSpec> specs,
                                            std::span<const InputSpec> declared);

}  // namespace mlc
