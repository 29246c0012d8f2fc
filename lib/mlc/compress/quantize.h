// A plan carried out on a checkpoint in memory, compared with what was written, and undone.
#pragma once

#include "mlc/base/reporter.h"
#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"
#include "mlc/checkpoint/derive.h"
#include "mlc/checkpoint/state_dict.h"
#include "mlc/compress/quantize_plan.h"
#include "mlc/compress/quantized_record.h"

#include <functional>
#include <string>

namespace mlc {

/// Puts the parts of every quantised weight (part_names()) where the weight stood in STATE_DICT,
/// which is read anew; tied names get the same parts. They are computed while they are written.
/// PLAN, scanned, must live until then. Returns the record for the metadata. Errors: conflict
/// where a part's name is taken.
Result<QuantizedRecord> apply_quantization(Checkpoint& checkpoint, StateDict& state_dict,
                                           const QuantizePlan& plan);

/// Opens the file at PATH and looks at every quantised weight as a reader would who has nothing but
/// that file: each code must be the nearest one to the weight in SOURCE that it stands for. Sets
/// the sums of PLAN. KEY: the path of the state_dict. Errors: internal for any difference, those of
/// reading.
Status check_written(const Checkpoint& source, QuantizePlan& plan, const std::string& path,
                     const std::string& key, unsigned threads, Reporter& reporter);

/// The counts of what happens to the values of a tensor when they get their type: they must live
/// until the output is written.
using CountsOfTensor = std::function<CastCounts&(const std::string& name)>;

/// The opposite of apply_quantization(): the weights in their old type, computed while they are
/// written. COUNTS_OF, where it is not empty, is asked for each. Errors: corrupt where parts are
/// missing or contradict the record.
Status restore_weights(Checkpoint& checkpoint, StateDict& state_dict, const QuantizedRecord& record,
                       const CountsOfTensor& counts_of = {});

}  // namespace mlc
