#include "command.h"

#include "cli/parse.h"
#include "mlc/base/parallel.h"
#include "mlc/base/shell_word.h"
#include "mlc/base/text.h"

#include <algorithm>
#include <optional>

#include <unistd.h>

namespace mlc::cli {
namespace {

/// What someone who types WORD as a verb most likely wants ("convert": "save"), or nothing.
std::optional<std::string_view> command_meant_by(std::string_view word) {
  struct Row {
    std::string_view verb;
    std::vector<std::string_view> words;
  };
  // Verbs of other tools for the same things, and what people call them.
  static const Row kRows[] = {
      {"load",
       {"info", "inspect", "show", "list", "ls", "cat", "dump", "print", "open", "read", "view",
        "keys", "tree", "stats", "summary", "check", "verify", "describe"}},
      {"diff", {"compare", "cmp"}},
      {"save",
       {"convert", "merge", "cast", "copy", "cp", "write", "shard", "split", "extract", "select",
        "export", "half", "to-safetensors"}},
      {"strip-module-prefix", {"strip", "strip-prefix", "strip-module", "unwrap", "add-prefix"}},
      {"remap-keys", {"rename", "rename-keys", "remap", "map", "mv", "drop", "edit", "rekey"}},
      {"metadata", {"meta", "annotate", "set", "get"}},
      {"validate-version", {"validate", "require", "requires", "versions"}},
      {"--version", {"version"}},
      {"trace", {"script", "jit", "torchscript", "freeze", "compile"}},
      {"quantize", {"quantise", "quant", "compress", "int8", "int4"}},
      {"dequantize", {"dequantise", "dequant", "unquantize"}},
      {"prune", {"sparsify", "sparse", "zero"}},
      {"completion", {"complete", "completions"}},
  };
  for (const Row& row : kRows) {
    if (std::ranges::find(row.words, word) != row.words.end()) return row.verb;
  }
  return std::nullopt;
}

}  // namespace

// In cmd_<verb>.cpp each.
Command load_command();
Command diff_command();
Command save_command();
Command strip_module_prefix_command();
Command remap_keys_command();
Command metadata_command();
Command validate_version_command();
Command trace_command();
Command quantize_command();
Command dequantize_command();
Command prune_command();
Command export_onnx_command();
Command verify_command();
Command run_command();
Command bench_command();
Command doctor_command();
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
      trace_command(),
      export_onnx_command(),
      quantize_command(),
      dequantize_command(),
      prune_command(),
      verify_command(),
      run_command(),
      bench_command(),
      doctor_command(),
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

Error unknown_verb(const std::string& word) {
  std::string hint;
  if (const auto meant = command_meant_by(word)) {
    hint = "did you mean `mlc " + std::string(*meant) + "`?";
  } else if (access(word.c_str(), F_OK) == 0) {
    hint = "did you mean `mlc load " + shell_word(word) + "`?";
  } else {
    std::vector<std::string> names = command_names();
    names.emplace_back("help");
    hint = did_you_mean(word, names);
  }
  if (hint.empty()) hint = "`mlc --help` lists the verbs";
  return usage_error("unknown verb " + quoted(word), hint);
}

std::span<const GroupRow> groups() {
  static constexpr GroupRow kGroups[] = {
      {Group::inspect, "inspect"}, {Group::edit, "edit"}, {Group::convert, "convert"},
      {Group::check, "check"},     {Group::run, "run"},   {Group::more, "more"},
  };
  return kGroups;
}

unsigned Context::threads() const {
  return shared.threads > 0 ? shared.threads : default_threads();
}

}  // namespace mlc::cli
