#include "mlc/torch/source_place.h"

#include "mlc/base/text.h"

namespace mlc::torch_module {

std::string source_place(const torch::jit::Node& node) {
  torch::jit::SourceRange range = node.sourceRange();
  if (!range.source()) return "";
  // Code in an archive remembers the text that it was made from.
  if (const auto original = range.findSourceRangeThatGenerated()) range = *original;
  const auto line = range.source()->lineno_for_offset(range.start());
  std::string out = printable(trim(range.source()->get_line(line).str()));
  // A trace has the places of Python's stack for a source: "/home/me/net.py(12): forward".
  const size_t call = out.find("): ");
  if (out.starts_with('/') && call != std::string::npos) out.erase(0, call + 3);
  const auto where = range.file_line_col();
  if (!where) return out;
  const auto& [file, number, column] = *where;
  if (file.starts_with('<')) return out;  // text that no file has
  return out + " (" + printable(file.substr(file.rfind('/') + 1)) + ":" + std::to_string(number) +
         ")";
}

}  // namespace mlc::torch_module
