#include "mlc/torch/yaml_places.h"

#include <algorithm>
#include <utility>

namespace mlc::torch_module {

using torch::jit::SourceRange;

YamlPlaces::YamlPlaces(const arch::ScriptModule& from, std::shared_ptr<torch::jit::Source> yaml)
    : yaml_(std::move(yaml)) {
  places_.position = from.position;
  places_.lines = from.lines;
}

std::optional<SourceRange> YamlPlaces::findSourceRangeThatGenerated(const SourceRange& range) {
  const auto& source = range.source();
  if (!enabled_ || !source) return std::nullopt;
  const size_t line = source->lineno_for_offset(range.start());
  if (line >= places_.lines.size() || places_.lines[line].position.line == 0) return std::nullopt;
  const size_t column = range.start() - source->offset_for_line(line) + 1;
  const arch::Position place = arch::position_in_yaml(places_, line + 1, column);
  if (place.line > yaml_->num_lines()) return std::nullopt;
  const size_t begin =
      std::min(yaml_->offset_for_line(place.line - 1) + place.column - 1, yaml_->size());
  // Marks go to the end of the line at most: the next one may lie elsewhere.
  const size_t line_end =
      place.line < yaml_->num_lines() ? yaml_->offset_for_line(place.line) - 1 : yaml_->size();
  const size_t end = std::min(begin + range.size(), std::max(line_end, begin));
  return SourceRange(yaml_, begin, end);
}

}  // namespace mlc::torch_module
