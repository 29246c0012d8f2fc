// What a file says of its quantised weights, after their keys were renamed.
#pragma once

#include "mlc/base/result.h"
#include "mlc/compress/quantized_record.h"
#include "mlc/keys/plan.h"

namespace mlc {

/// RECORD as it is right after PLAN: weights whose parts (part_names()) all got other names have
/// theirs, those that are dropped are gone, those that PLAN does not know stay. Errors: conflict
/// where the parts of a weight would not stay together, or are split, joined or transposed.
Result<QuantizedRecord> followed_record(QuantizedRecord record, const Plan& plan);

}  // namespace mlc
