#include "mlc/torch/source_place.h"

#include "mlc/base/text.h"

namespace mlc::torch_module {

std::string source_place(const torch::jit::Node& node) {
  const auto range = node.sourceRange();
  if (!range.source()) return "";
  const auto line = range.source()->lineno_for_offset(range.start());
  std::string out = printable(trim(range.source()->get_line(line).str()));
  const auto where = range.file_line_col();
  if (!where) return out;
  const auto& [file, number, column] = *where;
  if (file.starts_with('<')) return out;  // text that no file has
  return out + " (" + printable(file.substr(file.rfind('/') + 1)) + ":" + std::to_string(number) +
         ")";
}

}  // namespace mlc::torch_module
