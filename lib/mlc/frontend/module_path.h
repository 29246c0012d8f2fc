// References to modules in the text of a method: `self.layers[0].norm`, or through the variable of
// a loop over modules.
#pragma once

#include "mlc/frontend/script_module.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlc::arch {

/// A name that stands for a module, self or the variable of a loop that is written out; or for the
/// number of such a loop's turn, which may stand in an index.
struct Alias {
  std::string name;
  std::string text;  // what it is written as: "self", "getattr(self.blocks, \"0\")", "2"
  const ScriptModule* module = nullptr;  // null: a number
};

struct ModulePath {
  std::string text;                      // as TorchScript's compiler understands it
  const ScriptModule* module = nullptr;  // where it leads; null: beyond the end of a list
  size_t length = 0;                     // characters of the original text
  bool changed = false;                  // whether `text` differs from the original
  bool counted = false;                  // whether an index names a number among the aliases
  std::string bad_index;  // "index 4 is outside of self.blocks, which has 4 modules"; then the rest
                          // is meaningless
};

bool is_name_start(char c);
bool is_name_char(char c);
bool is_identifier(std::string_view text);
/// Whether a module can be iterated over and indexed.
bool is_container(const ScriptModule& module);
/// What TEXT says: "3", "-1", or the name of a number in ALIASES, "i", with one added to it or
/// taken away, "i + 1". Nothing for all else.
std::optional<int64_t> read_number(std::string_view text, const std::vector<Alias>& aliases);
/// "BASE.NAME", or getattr(BASE, "NAME") for names that are no identifiers.
std::string child_text(const std::string& base, const std::string& name);

/// The longest path of modules that TEXT, which begins with a name, begins with. Nothing if the
/// name is none of ALIASES.
std::optional<ModulePath> read_module_path(std::string_view text,
                                           const std::vector<Alias>& aliases);

}  // namespace mlc::arch
