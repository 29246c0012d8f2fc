#include "mlc/torch/source_place.h"

#include "mlc/base/text.h"

namespace mlc::torch_module {
namespace {

/// Code in an archive, or made from an architecture, remembers the text that it was made from.
torch::jit::SourceRange original_of(const torch::jit::SourceRange& range) {
  auto original = range.findSourceRangeThatGenerated();
  return original ? std::move(*original) : range;
}

/// A trace has the places of Python's stack for a source: "/home/me/net.py(12): forward". How much
/// of LINE comes before the last word; 0 where it is none.
size_t stack_prefix(std::string_view line) {
  const size_t call = line.find("): ");
  return line.starts_with('/') && call != line.npos ? call + 3 : 0;
}

/// Whose columns are those of the file: PyTorch takes the indentation off what it reads of Python.
bool has_columns(std::string_view file) {
  return file.ends_with(".yaml") || file.ends_with(".yml") || file.ends_with("(its architecture)");
}

}  // namespace

std::string source_place(const torch::jit::Node& node) {
  if (!node.sourceRange().source()) return "";
  const torch::jit::SourceRange range = original_of(node.sourceRange());
  const auto line = range.source()->lineno_for_offset(range.start());
  std::string out = printable(trim(range.source()->get_line(line).str()));
  out.erase(0, stack_prefix(out));
  const auto where = range.file_line_col();
  if (!where) return out;
  const auto& [file, number, column] = *where;
  if (file.starts_with('<')) return out;  // text that no file has
  out += " (" + printable(file.substr(file.rfind('/') + 1)) + ":" + std::to_string(number);
  return out + (has_columns(file) ? ":" + std::to_string(column + 1) : "") + ")";
}

bool is_of_trace(const torch::jit::Node& node) {
  if (!node.sourceRange().source()) return false;
  const torch::jit::SourceRange range = original_of(node.sourceRange());
  const auto line = range.source()->lineno_for_offset(range.start());
  return stack_prefix(range.source()->get_line(line).str()) > 0;
}

TextPlace original_place(const torch::jit::Node& node) {
  const torch::jit::SourceRange& range = node.sourceRange();
  const auto original = range.source() ? range.findSourceRangeThatGenerated() : std::nullopt;
  const auto where = original ? original->file_line_col() : std::nullopt;
  if (!where) return {};
  return {std::get<1>(*where), std::get<2>(*where) + 1};
}

}  // namespace mlc::torch_module
