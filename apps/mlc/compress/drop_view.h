// What --max-drop found of a model, as text, as JSON and as a part of a page.
#pragma once

#include "cli/json_writer.h"
#include "files/batch.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlc::cli {

/// What a drop is of, from 0, nothing lost, to 1.
enum class DropOf : uint8_t {
  cosine,  // 1 - the least cosine of any output in any sample
  top1,    // rows of the output that is worst whose largest value is in another place
  labels,  // the part of --labels that the float model tells, less that of the quantised one
};
std::string_view to_string(DropOf of);

struct DropGoal {
  DropOf of = DropOf::cosine;
  double limit = 0;
};

/// A layer that was quantised alone.
struct LayerDrop {
  std::string weight;
  double noise = 0;  // squares of the error over those of the outputs, of all outputs together
};

struct DropRun {
  uint64_t bytes = 0;   // layers with eight bits in place of four
  uint64_t floats = 0;  // layers that stayed in floats
  double drop = 0;
};

/// Of labels that count, how many a model tells.
struct RightLabels {
  uint64_t right = 0;
  uint64_t all = 0;

  double share() const {
    return static_cast<double>(right) / static_cast<double>(all > 0 ? all : 1);
  }
};

struct DropAnswer {
  DropGoal goal;
  bool reached = false;
  int64_t samples = 0;
  int64_t layer_samples = 0;          // that layers were measured alone on; 0: they were not
  std::optional<RightLabels> right;   // in floats; none without labels
  std::vector<LayerDrop> layers;      // the worst first
  std::vector<DropRun> trail;         // in the order of the runs
  size_t best = 0;                    // of the trail: what was chosen, or lost least
  std::vector<std::string> in_bytes;  // weights, the worst first
  std::vector<std::string> in_floats;

  uint64_t runs() const { return trail.size() + layers.size(); }
};

/// "0.82 %".
std::string drop_text(double drop);
/// "0.82 % of cosine with 3 of 12 weights in floats".
std::string drop_result_text(const DropAnswer& answer);
/// "321 of 360 labels told by the float model"; empty without labels.
std::string right_text(const DropAnswer& answer);
/// Error: conflict where the goal was not reached. CUTS_SUMS: as in JudgeGates.
Status check_drop(const std::optional<DropAnswer>& answer, bool cuts_sums);
/// Tables of the runs and of the layers that cost most.
void show_drop(const DropAnswer& answer, FileTask& task);
/// The field "max_drop".
void drop_json(const DropAnswer& answer, JsonWriter& json);
/// The same tables as a section of a page.
std::string drop_html(const DropAnswer& answer);

}  // namespace mlc::cli
