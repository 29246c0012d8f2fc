// What a file says of its quantised weights, after its tensors changed.
#pragma once

#include "mlc/base/result.h"
#include "mlc/checkpoint/state_dict.h"
#include "mlc/compress/quantized_record.h"
#include "mlc/keys/plan.h"

namespace mlc {

/// RECORD as it is right after PLAN: weights whose parts (part_names()) all got other names have
/// theirs, those that are dropped are gone, those that PLAN does not know stay. Errors: conflict
/// where the parts of a weight would not stay together, or are split, joined or transposed.
Result<QuantizedRecord> followed_record(QuantizedRecord record, const Plan& plan);

/// RECORD without the weights of which STATE_DICT has no part any more. Errors: conflict where
/// parts of a weight are left out, or its codes are codes no more.
Result<QuantizedRecord> kept_record(const QuantizedRecord& record, const Checkpoint& checkpoint,
                                    const StateDict& state_dict);

/// Adds to RECORD the weights of OTHER, of a file that was merged into its own. Error: conflict for
/// another format.
Status join_record(QuantizedRecord& record, const QuantizedRecord& other);

}  // namespace mlc
