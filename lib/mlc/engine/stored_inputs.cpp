#include "mlc/engine/stored_inputs.h"

#include "mlc/base/text.h"

namespace mlc {

std::string stored_inputs(std::span<const InputSpec> specs, std::span<const NamedValue> values) {
  std::string out;
  for (size_t i = 0; i < specs.size(); ++i) {
    InputSpec spec = specs[i];
    if (!spec.file.empty()) {
      spec.file.clear();
      spec.dtype = values[i].tensor.dtype;
      spec.dims.clear();
      for (const int64_t size : values[i].tensor.sizes) spec.dims.push_back({"", size, {}});
    }
    out += to_text(spec) + "\n";
  }
  return out;
}

Result<std::vector<InputSpec>> parse_stored_inputs(std::string_view text, const std::string& file) {
  std::vector<InputSpec> out;
  for (const std::string_view line : split(text, '\n')) {
    if (trim(line).empty()) continue;
    auto spec = parse_input_spec(line);
    // A file that somebody else wrote there would be read from wherever it says.
    if (!spec.ok() || !spec->file.empty()) {
      return corrupt("its record extra/mlc/inputs.txt holds " + quoted(line, 80) +
                     ", which is no input")
          .in_file(file);
    }
    out.push_back(std::move(*spec));
  }
  return out;
}

}  // namespace mlc
