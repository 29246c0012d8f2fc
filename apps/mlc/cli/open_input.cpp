#include "cli/open_input.h"

#include "mlc/base/text.h"
#include "mlc/checkpoint/format.h"

#include <algorithm>

namespace mlc::cli {

Result<Input> open_input(const std::string& path, Reporter& reporter) {
  Input input;
  MLC_TRY(input.checkpoint, open_checkpoint(path));
  for (const std::string& warning : input.checkpoint->warnings) {
    reporter.warn(printable(path) + ": " + warning);
  }
  auto found = find_state_dicts(*input.checkpoint);
  if (!found.ok()) return std::move(found).error().in_file(path);
  input.state_dicts = std::move(found).value();
  return input;
}

Result<StateDict*> choose_state_dict(Input& input, const std::string& key) {
  auto chosen = select_state_dict(input.state_dicts, key, "--key");
  if (!chosen.ok()) return std::move(chosen).error().in_file(input.checkpoint->path);
  return &input.state_dicts[static_cast<size_t>(*chosen - input.state_dicts.data())];
}

Result<StateDict*> choose_other_state_dict(Input& other, const std::string& own_key,
                                           const std::string& key, std::string_view option) {
  const bool has_own = std::any_of(other.state_dicts.begin(), other.state_dicts.end(),
                                   [&](const StateDict& one) { return one.path == own_key; });
  auto chosen =
      select_state_dict(other.state_dicts, key.empty() && has_own ? own_key : key, option);
  if (!chosen.ok()) return std::move(chosen).error().in_file(other.checkpoint->path);
  return &other.state_dicts[static_cast<size_t>(*chosen - other.state_dicts.data())];
}

void replace_modules(Input& input, Reporter& reporter) {
  for (const std::string& path : materialize_modules(*input.checkpoint, input.state_dicts)) {
    reporter.warn(printable(input.checkpoint->path) + ": the pickled module at " + quoted(path) +
                  " is written as its state_dict; its class is not kept");
  }
}

Result<std::optional<Metadata>> read_metadata(const Checkpoint& checkpoint) {
  if (!checkpoint.metadata_yaml) return std::optional<Metadata>();
  MLC_TRY(Metadata metadata,
          Metadata::parse(*checkpoint.metadata_yaml, checkpoint.path, ErrorKind::corrupt));
  return std::optional(std::move(metadata));
}

}  // namespace mlc::cli
