// `mlc load --stats`: the values of tensors as text and JSON, whatever file they lie in.
#pragma once

#include "cli/json_writer.h"
#include "cli/table.h"
#include "mlc/tensor/stats.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace mlc::cli {

/// NaN and Inf in all tensors that --stats was asked for, which is asked most: has training
/// diverged?
struct NonFinite {
  uint64_t nans = 0;
  uint64_t infs = 0;
  uint64_t tensors = 0;  // that have some
  uint64_t unseen = 0;   // tensors that are not plain
  uint64_t asked = 0;    // all tensors

  /// "no NaN or Inf, 2 tensors not examined".
  std::string text() const;
  /// As members of the object that JSON is in.
  void write(JsonWriter& json) const;
};

/// Nothing stands for tensors whose elements were not read; here and below.
NonFinite count_non_finite(std::span<const std::optional<TensorStats>> stats);

/// ": fc.weight and fc.bias", the first tensors with such values; NAME gives that of each.
std::string non_finite_names(std::span<const std::optional<TensorStats>> stats,
                             const std::function<std::string(size_t)>& name);

/// The columns of a table that add_stats() fills, cell by cell.
void add_stats_columns(std::vector<Column>& columns);
void add_stats(Table& table, const std::optional<TensorStats>& examined);
/// An object; of a tensor whose elements were not read with nulls.
void stats_json(JsonWriter& json, const std::optional<TensorStats>& examined);

}  // namespace mlc::cli
