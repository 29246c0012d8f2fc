#include "diff/diff_report.h"
#include "mlc/base/sentence_key.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/stored_parts.h"

#include <algorithm>
#include <optional>
#include <span>

#include <fmt/format.h>

namespace mlc::cli {
namespace {

constexpr size_t kShownDifferences = 50;

std::string dtype_text(const Checkpoint&, const Tensor& tensor) {
  return std::string(info(tensor.dtype).brief);
}

/// How many of the values differ: "all", "1 of 108" or "none".
std::string count_text(const CompareResult& values) {
  if (values.mismatches == 0) return "none";
  if (values.mismatches == values.count) return "all";
  return format_count(values.mismatches) + " of " + format_count(values.count);
}

/// Numbers of values that were compared; dashes where there are none.
void add_distances(Table& table, const std::optional<CompareResult>& values,
                   const DiffColumns& columns) {
  const auto text = [](const std::optional<double>& value, const char* format) {
    return value ? fmt::format(fmt::runtime(format), *value) : std::string("-");
  };
  table.cell(values ? count_text(*values) : "-");
  table.cell(values ? text(values->max_abs, "{:.4g}") : "-");
  table.cell(values ? text(values->max_rel, "{:.4g}") : "-");
  if (!columns.directions) return;
  table.cell(values ? text(values->rel_norm, "{:.4g}") : "-");
  table.cell(values ? text(values->cosine, "{:.8g}") : "-");
}

}  // namespace

/// Row-major index of the first mismatch; empty if there is none, or for packed types.
std::vector<int64_t> FileDiff::first_index(const Difference& difference) const {
  const Checkpoint& checkpoint = *a_.input.checkpoint;
  const Tensor& tensor = checkpoint.tensors[difference.a];
  if (!difference.values->first_mismatch || info(tensor.dtype).per_element != 1) return {};
  auto left = static_cast<int64_t>(*difference.values->first_mismatch);
  const Dims sizes = checkpoint.sizes(tensor);
  std::vector<int64_t> index(sizes.size());
  for (size_t d = sizes.size(); d-- > 0; left /= sizes[d]) index[d] = left % sizes[d];
  return index;
}

/// What TEXT says of both tensors, once where it is the same.
std::string FileDiff::both(const Difference& difference, TensorText text) const {
  const auto of = [text](const DiffSide& side, uint32_t index) {
    const Checkpoint& checkpoint = *side.input.checkpoint;
    return index == kNoIndex ? std::string() : text(checkpoint, checkpoint.tensors[index]);
  };
  const std::string in_a = of(a_, difference.a);
  const std::string in_b = of(b_, difference.b);
  if (in_a == in_b || in_b.empty()) return in_a;
  return in_a.empty() ? in_b : in_a + " -> " + in_b;
}

/// What the other columns have no place for.
std::string FileDiff::remark(const Difference& difference, const DiffColumns& columns) const {
  if (difference.kind == DiffKind::layout) return both(difference, layout_name);
  if (!difference.values) return difference.reason;
  const CompareResult& values = *difference.values;
  std::vector<std::string> parts;
  if (!difference.reason.empty()) parts.push_back(difference.reason);
  if (values.nan_pairs > 0) parts.push_back(format_count(values.nan_pairs) + " NaN on one side");
  if (values.infinite_pairs > 0) {
    parts.push_back(format_count(values.infinite_pairs) + " infinitely far apart");
  }
  if (!parts.empty() && (values.rel_norm || values.cosine)) {
    parts.back() += ", which rel norm and cosine leave out";
  }
  const std::vector<int64_t> first = first_index(difference);
  if (!first.empty() && values.mismatches < values.count && columns.directions) {
    parts.push_back("first at " + format_shape(first));
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

void FileDiff::add_row(Table& table, const Difference& difference,
                       const DiffColumns& columns) const {
  const bool root = a_.is_whole && a_.tensors.size() == 1 && difference.key.empty();
  table.cell(root ? "." : shown_key(difference.key));
  table.cell(kDiffKindTexts[static_cast<size_t>(difference.kind)].label);
  table.cell(both(difference, dtype_text));
  table.cell(both(difference, shape_text));
  if (columns.values) add_distances(table, difference.values, columns);
  if (columns.remarks) table.cell(remark(difference, columns));
}

/// The first ROWS of the tensors that differ.
void FileDiff::show_table(size_t rows) {
  if (rows == 0) return;
  const std::span<const Difference> shown(report_.differences.data(), rows);
  // Names matter most where not all has room.
  constexpr size_t kRoomForAll = 110;
  const size_t width = context_.console.out_width();
  DiffColumns use;
  use.directions = width == 0 || width >= kRoomForAll || arguments_.sort == DiffOrder::movement;
  for (const Difference& one : shown) {
    use.values |= one.values.has_value();
    use.remarks |= !remark(one, use).empty();
  }
  std::vector<Column> columns = {{"NAME", Align::left, true},
                                 {"WHAT", Align::left},
                                 {"DTYPE", Align::left},
                                 {"SHAPE", Align::left}};
  if (use.values) {
    const char* count = exact() ? "DIFFER" : "BEYOND";  // the tolerance
    const std::string_view titles[] = {count, "MAX ABS", "MAX REL", "REL NORM", "COSINE"};
    for (const std::string_view title : std::span(titles).first(use.directions ? 5 : 3)) {
      columns.push_back({std::string(title), Align::right});
    }
  }
  if (use.remarks) columns.push_back({"NOTE", Align::left});
  Table table(columns);
  table.reserve(rows);
  for (const Difference& one : shown) add_row(table, one, use);
  table.render(context_.out(), width);
}

/// A line for each difference of what is no tensor.
std::vector<std::string> FileDiff::other_lines() const {
  std::vector<std::string> lines;
  const auto or_nothing = [](const std::string& value) {
    return value.empty() ? "nothing" : value;
  };
  for (const auto& [path, a, b] : values_) {
    lines.push_back(fmt::format("other value: {}: {} and {}",
                                path.empty() ? "." : sentence_key(path), or_nothing(a),
                                or_nothing(b)));
  }
  for (const MetadataDifference& row : metadata_) {
    const auto side = [](const MetaValue* value) {
      return value != nullptr ? brief_value(*value) : std::string("nothing");
    };
    lines.push_back(
        fmt::format("metadata: {}: {} and {}", printable(row.path), side(row.a), side(row.b)));
  }
  return lines;
}

/// "198 of 199 tensors equal", or an empty text where there are none.
std::string FileDiff::equal_text() const {
  const uint64_t all = all_keys();
  if (all == 0) return {};
  const std::string count = format_count(equal_tensors()) + " of ";
  if (arguments_.keys_only) return count + plural(all, "key") + " in both";
  return count + plural(all, "tensor") +
         (arguments_.no_values ? " equal in shape and type" : " equal");
}

std::string FileDiff::summary() const {
  if (equal() && arguments_.keys_only) return "equal: " + plural(report_.common, "key");
  if (equal()) {
    return "equal: " + plural(report_.common, "tensor") + ", " +
           (arguments_.no_values ? "values not compared" : format_bytes(report_.bytes)) +
           (values_compared_ && !holds_program() ? ", and every other value" : "") +
           (others_compared_ > 0 ? ", and " + plural(others_compared_, "other value") : "");
  }
  std::vector<std::string> parts;
  for (const DiffKindText& row : kDiffKindTexts) {
    const uint64_t count = report_.count(row.kind);
    if (count > 0) parts.push_back(plural(count, row.one, row.many));
  }
  if (!values_.empty()) parts.push_back(plural(values_.size(), "other value"));
  if (!metadata_.empty()) parts.push_back(format_count(metadata_.size()) + " metadata");
  const std::string same = equal_text();
  return fmt::format("different: {}{}{}", fmt::join(parts, ", "), same.empty() ? "" : "; ", same);
}

void FileDiff::show_text() {
  const std::vector<std::string> others = other_lines();
  const size_t differences = report_.differences.size();
  const size_t all = differences + others.size();
  const size_t most = context_.console.verbosity() > 0 ? all : std::min(all, kShownDifferences);
  const size_t rows = std::min(most, differences);
  show_table(rows);
  for (size_t i = 0; i < most - rows; ++i) context_.out().line(others[i]);
  if (most < all) {
    context_.out().line("and " + format_count(all - most) + " more; -v shows all");
  }
  context_.out().line(summary());
  static_cast<void>(context_.out().flush());  // the notes come last on a terminal
  for (const std::string& text : notes_) context_.console.note(text);
}

}  // namespace mlc::cli
