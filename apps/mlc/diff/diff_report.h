// What `mlc diff` found out about two files, and the two ways to show it: text (diff_text.cpp) and
// JSON (diff_json.cpp).
#pragma once

#include "cli/json_writer.h"
#include "cli/table.h"
#include "diff/diff_metadata.h"
#include "diff/diff_view.h"
#include "files/key_filter.h"
#include "files/open_input.h"
#include "mlc/checkpoint/diff.h"
#include "mlc/checkpoint/diff_values.h"
#include "mlc/checkpoint/expect.h"
#include "mlc/metadata/metadata.h"

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace mlc::cli {

/// One input with what of it is compared.
struct DiffSide {
  Input input;
  std::string key;  // of the state_dict; "." for the root
  std::vector<NamedTensor> tensors;
  const StateDict* state_dict = nullptr;  // what is compared, where it is one
  bool is_whole = false;                  // not a state_dict in the file, but all of it
  std::vector<std::string> beside;        // values of the file that stand beside the state_dict
  std::vector<NodeId> stripped_in;        // mappings of a whole file that --strip-prefix is for,
  std::set<std::string> fronts = {""};    // and what stands before their keys in paths
  uint64_t keys = 0;                      // before --include and --exclude
  uint64_t stripped = 0;                  // of them, by --strip-prefix
  Metadata metadata;
};

/// How a kind is shown: in its rows, and counted in the last line.
struct DiffKindText {
  DiffKind kind;
  std::string_view label;
  std::string_view one;
  std::string_view many;
};
inline constexpr DiffKindText kDiffKindTexts[] = {
    {DiffKind::only_in_a, "only in A", "only in A", "only in A"},
    {DiffKind::only_in_b, "only in B", "only in B", "only in B"},
    {DiffKind::key_type, "key type", "key of another type", "keys of another type"},
    {DiffKind::layout, "layout", "layout", "layouts"},
    {DiffKind::shape, "shape", "shape", "shapes"},
    {DiffKind::dtype, "dtype", "dtype", "dtypes"},
    {DiffKind::value, "values", "tensor with other values", "tensors with other values"},
    {DiffKind::uncompared, "not compared", "not compared", "not compared"},
};

/// Which columns the table has beside the names.
struct DiffColumns {
  bool values = false;
  bool directions = true;  // rel norm, cosine and where the first difference is
  bool remarks = false;
};

/// What a cell says of one side's tensor.
using TensorText = std::string (*)(const Checkpoint&, const Tensor&);

class FileDiff {
 public:
  FileDiff(const DiffArguments& arguments, Context& context)
      : arguments_(arguments), context_(context), filter_(arguments.include, arguments.exclude) {}

  Result<ExitCode> run();

 private:
  Result<DiffSide> open(const std::string& path, const std::string& key);
  DiffOptions options() const;
  Status strip(DiffSide& side) const;
  Error both_forms(const DiffSide& side, std::string_view key) const;
  Status check_values_stripped(const DiffSide& side) const;
  void count_stripped(DiffSide& side) const;
  void find_prefixed(DiffSide& side) const;
  bool take_off_prefix(DiffSide& side, NamedTensor& named) const;
  static void take_framework(DiffSide& side, const DiffSide& other);
  static bool name_bare(DiffSide& side, const DiffSide& other);
  bool compares_others() const;
  void add_tensors_in_values(DiffSide& side);
  Status compare_values();
  void compare_others();
  void keep(ValueDiff found);
  void collect_notes();
  void note_stripped();
  void note_beside();
  void note_strings();
  void note_versions(std::string_view what, const std::vector<std::string>& paths);
  void note_autograd();
  void note_codes();
  bool holds_program() const;
  void note_prefix(const ExpectReport& fit);
  void note_sharing(const std::vector<std::vector<std::string>>& groups, std::string_view side);
  bool exact() const { return arguments_.atol == 0 && arguments_.rtol == 0; }
  uint64_t all_keys() const;
  uint64_t equal_tensors() const;
  bool equal() const { return report_.equal() && metadata_.empty() && values_.empty(); }
  void show_text();
  void show_table(size_t rows);
  void add_row(Table& table, const Difference& difference, const DiffColumns& columns) const;
  std::string both(const Difference& difference, TensorText text) const;
  std::string remark(const Difference& difference, const DiffColumns& columns) const;
  std::vector<std::string> other_lines() const;
  std::vector<int64_t> first_index(const Difference& difference) const;
  std::string equal_text() const;
  std::string summary() const;
  void show_json();
  void side_json(JsonWriter& json, std::string_view name, const DiffSide& side) const;
  void tensor_json(JsonWriter& json, std::string_view name, const DiffSide& side,
                   uint32_t index) const;
  void difference_json(JsonWriter& json, const Difference& difference) const;
  void values_json(JsonWriter& json, const Difference& difference) const;

  const DiffArguments& arguments_;
  Context& context_;
  KeyFilter filter_;
  DiffSide a_;
  DiffSide b_;
  DiffReport report_;
  std::vector<ValueDifference> values_;  // of what is no tensor
  ValueDiff others_;         // what of it does not count; its differences are in values_
  bool named_bare_ = false;  // a tensor without a name is compared with one that has one
  bool values_compared_ = false;
  size_t others_compared_ = 0;  // values of the state_dicts that are no tensors
  std::vector<MetadataDifference> metadata_;
  std::vector<std::string> notes_;
};

}  // namespace mlc::cli
