// `--compress`: records of a .pt that are mostly zeros are deflated, as torch.load reads them.
#pragma once

#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"
#include "mlc/checkpoint/state_dict.h"
#include "mlc/compress/quantize_plan.h"

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace mlc::cli {

/// automatic: those that are half zeros.
enum class DeflateZeros { automatic, deflate, none };

inline constexpr std::pair<std::string_view, DeflateZeros> kDeflateZeros[] = {
    {"auto", DeflateZeros::automatic},
    {"deflate", DeflateZeros::deflate},
    {"none", DeflateZeros::none}};

/// Names of the weights of PLAN whose codes are to be deflated, by the zeros in a part of each.
/// Errors: those of reading CHECKPOINT, in which the weights are still floats.
Result<std::vector<std::string>> names_to_deflate(const Checkpoint& checkpoint,
                                                  const QuantizePlan& plan, DeflateZeros how);

/// The storages that hold the codes of NAMES in STATE_DICT, which is quantised.
std::vector<uint32_t> storages_of_codes(const Checkpoint& checkpoint, const StateDict& state_dict,
                                        const std::vector<std::string>& names);

}  // namespace mlc::cli
