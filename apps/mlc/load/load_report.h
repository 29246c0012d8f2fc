// What `mlc load` found out about one file, and the two ways to show it: text (load_view.cpp) and
// JSON (load_json.cpp).
#pragma once

#include "files/key_filter.h"
#include "files/open_input.h"
#include "load/load_view.h"
#include "mlc/checkpoint/deepspeed.h"
#include "mlc/checkpoint/expect.h"
#include "mlc/checkpoint/integrity.h"
#include "mlc/checkpoint/summary.h"
#include "mlc/checkpoint/weights_only.h"
#include "mlc/checkpoint/zero_tail.h"
#include "mlc/pickle/globals.h"
#include "mlc/tensor/stats.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace mlc::cli {

class LoadReport {
 public:
  LoadReport(FileTask& task, const LoadOptions& options)
      : task_(task), options_(options), filter_(options.include, options.exclude) {}

  Result<FileReport> run();

 private:
  Status select();
  Status filter();
  void count_parameters();
  void count_arrays();
  void find_codes();
  void map_devices();
  void find_own_metadata();
  Status check();
  Status expect();
  Status compute_stats();
  /// Than one line can say of a file among several.
  bool asks_for_more() const {
    return !options_.summary_only && (options_.stats || options_.tree || options_.globals);
  }
  void show_text();
  void show_lines();
  void show_table();
  void show_globals();
  void show_architecture();
  void show_deflated();
  void show_deepspeed();
  void show_codes();
  void show_arrays();
  void show_verdict();
  void show_check();
  void show_expected();
  void show_json();
  void contents_json(JsonWriter& json) const;
  void summary_json(JsonWriter& json) const;
  void verdict_json(JsonWriter& json) const;
  void metadata_json(JsonWriter& json) const;
  void integrity_json(JsonWriter& json) const;
  void expect_json(JsonWriter& json) const;
  void deepspeed_json(JsonWriter& json) const;
  void codes_json(JsonWriter& json) const;
  void tensor_json(JsonWriter& json, size_t i);
  void line(std::string_view label, std::string_view text);
  std::string kind_text(uint32_t index) const;
  std::string location_of(const Tensor& tensor) const;
  std::string integrity_text() const;
  std::vector<std::string> damaged_tensors(const DamagedRecord& record) const;
  uint64_t tensors_without_crc() const;
  Error damage_error() const;
  std::string tensor_of(uint32_t storage) const;
  void warn_of_zero_tails();
  std::string values_text() const;
  std::string summary_line() const;
  std::string safety_text() const;
  std::vector<std::string> hints_of_prefixes() const;
  bool holds_state_dict(std::string_view path) const;
  std::vector<std::string> other_values() const;
  std::vector<std::string> others_text(const std::vector<std::string>& others) const;

  FileTask& task_;
  const LoadOptions& options_;
  KeyFilter filter_;
  Input input_;
  const StateDict* state_dict_ = nullptr;  // null: the whole tree is shown
  std::string below_;                      // the place that --key names, where it is no state_dict
  std::vector<NamedTensor> tensors_;
  size_t entries_ = SIZE_MAX;  // behind so many of them are those in values of the state_dict
  std::set<std::string, std::less<>> paths_in_values_;  // of these, as values beside print
  Summary summary_;
  std::vector<pickle::GlobalUse> globals_;
  WeightsOnlyVerdict verdict_;
  std::optional<Metadata> metadata_;
  std::string sidecar_;  // where it came from, if not from the file
  std::optional<IntegrityReport> integrity_;
  std::vector<ZeroTail> zero_tails_;  // with --check crc
  std::optional<ExpectReport> expected_;
  DeepSpeedParts deepspeed_;
  std::vector<std::string> codes_;  // "w (w_scale_inv)": FP8 with scales beside it
  std::string file_hash_;
  std::vector<std::optional<TensorStats>> stats_;  // nothing for those that are not plain
  std::vector<std::string> hashes_;
  uint64_t arrays_ = 0;   // of NumPy, where they stand as tensors would
  uint64_t outside_ = 0;  // tensors in none of several state_dicts
  bool show_devices_ = false;
};

}  // namespace mlc::cli
