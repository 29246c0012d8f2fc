#include "command.h"

#include "mlc/base/parallel.h"

#include <algorithm>

namespace mlc::cli {

// In cmd_<verb>.cpp each.
Command load_command();
Command diff_command();
Command save_command();
Command strip_module_prefix_command();
Command remap_keys_command();
Command metadata_command();
Command validate_version_command();
Command completion_command();
Command man_command();

std::span<const Command> commands() {
  static const Command kCommands[] = {
      load_command(),
      diff_command(),
      save_command(),
      strip_module_prefix_command(),
      remap_keys_command(),
      metadata_command(),
      validate_version_command(),
      completion_command(),
      man_command(),
  };
  return kCommands;
}

const Command* find_command(std::string_view name) {
  const auto at = std::ranges::find(commands(), name, &Command::name);
  return at == commands().end() ? nullptr : &*at;
}

std::vector<std::string> command_names() {
  std::vector<std::string> names;
  for (const Command& command : commands()) names.emplace_back(command.name);
  return names;
}

std::span<const GroupRow> groups() {
  static constexpr GroupRow kGroups[] = {
      {Group::inspect, "inspect"}, {Group::edit, "edit"}, {Group::convert, "convert"},
      {Group::check, "check"},     {Group::more, "more"},
  };
  return kGroups;
}

unsigned Context::threads() const {
  return shared.threads > 0 ? shared.threads : default_threads();
}

}  // namespace mlc::cli
