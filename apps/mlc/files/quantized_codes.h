// Steps that take tensors for values, on files whose tensors are codes of quantised weights.
#pragma once

#include "mlc/base/reporter.h"
#include "mlc/base/result.h"
#include "mlc/checkpoint/state_dict.h"
#include "mlc/compress/quantized_record.h"
#include "mlc/metadata/metadata.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlc::cli {

/// What the metadata of CHECKPOINT say of its quantised weights, if anything. Errors: as
/// Metadata::parse() and quantized_record().
Result<std::optional<QuantizedRecord>> recorded_weights(const Checkpoint& checkpoint);

/// Error: conflict where weights of STATE_DICT are quantised, by mlc or as compressed-tensors:
/// codes mean nothing without their scales, so OPTION, which matches names, would give other
/// weights.
Status refuse_codes(const Checkpoint& checkpoint, const StateDict& state_dict,
                    std::string_view option);

/// Warns that scales of quantised weights became DTYPE, which rounds every weight of theirs.
/// Requires: called before the cast.
void warn_of_scales(const Checkpoint& checkpoint, const StateDict& state_dict, DType dtype,
                    Reporter& reporter);

/// Makes METADATA say of quantised weights what STATE_DICT holds of those that it, and the records
/// MERGED of files that were added, name. Errors: as kept_record() and join_record().
Status follow_codes(Metadata& metadata, const std::vector<QuantizedRecord>& merged,
                    const Checkpoint& checkpoint, const StateDict& state_dict);

}  // namespace mlc::cli
