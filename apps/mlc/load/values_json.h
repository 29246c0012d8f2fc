// `values` of `mlc load --tree --json`: what stands around the tensors, for scripts.
#pragma once

#include "cli/json_writer.h"
#include "mlc/checkpoint/checkpoint.h"

namespace mlc::cli {

/// Writes the root of CHECKPOINT as JSON: mappings with their keys as paths show them, lists,
/// tuples and sets as arrays, numbers (NumPy's too), texts, true, false, null; NaN and infinities
/// as "nan", "inf" and "-inf". What JSON has no form for is an object whose members begin with $:
///   {"$tensor": "f32[3, 4]"}              a tensor
///   {"$object": "argparse.Namespace", ..}  an object, its attributes beside the name of its class;
///                                          those that are no dict as text: "$text"
///   {"$more": 12}                          so many values are left out, here or in this mapping:
///                                          very long collections are cut, very deep ones too
void values_json(JsonWriter& json, const Checkpoint& checkpoint);

}  // namespace mlc::cli
