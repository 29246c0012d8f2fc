// `mlc save --map-location`: on which device the tensors of an output lie.
#pragma once

#include "mlc/base/reporter.h"
#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"

#include <string>
#include <string_view>
#include <vector>

namespace mlc::cli {

/// Whether each of the --map-location RULES, `cpu` or `cuda:0=cpu`, names a device that PyTorch
/// knows. Errors: usage.
Status check_locations(const std::vector<std::string>& rules);

/// Where torch.load's map_location would place what lies on LOCATION: the first rule that fits.
std::string mapped_location(std::string_view location, const std::vector<std::string>& rules);

/// Warns of those of the RULES that name a device on which nothing lies.
void warn_of_unused_locations(const Checkpoint& checkpoint, const std::vector<std::string>& rules,
                              Reporter& reporter);

/// Sets the location of every storage by such rules.
void map_locations(Checkpoint& checkpoint, const std::vector<std::string>& rules);

}  // namespace mlc::cli
