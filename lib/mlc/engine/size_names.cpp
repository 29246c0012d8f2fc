#include "mlc/engine/size_names.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <vector>

#include <fmt/format.h>

namespace mlc {
namespace {

bool is_number_of_export(std::string_view name) {
  return name.size() > 1 && name[0] == 's' &&
         std::ranges::all_of(name.substr(1), [](char c) { return c >= '0' && c <= '9'; });
}

/// IMAGE: both of the last two sizes vary, which keys of heads do not.
std::string usual(size_t rank, size_t axis, bool image) {
  if (axis == 0) return "batch";
  if (rank == 4 && image && axis >= 2) return axis == 2 ? "height" : "width";
  if (rank <= 3 && axis == 1) return "seq";
  return fmt::format("dim{}", axis);
}

}  // namespace

std::optional<size_t> lone_symbol(const ir::Symbols& symbols, ir::Expr size) {
  const std::vector<size_t> used = symbols.symbols_of(size);
  if (used.size() != 1 || symbols.text(size) != symbols.all()[used[0]].name) return std::nullopt;
  return used[0];
}

std::map<std::string, std::string> usual_size_names(const ExportedProgram& program) {
  const ir::Symbols& symbols = program.graph.symbols();
  std::set<std::string> taken;
  for (const ir::Symbol& symbol : symbols.all()) taken.insert(symbol.name);
  std::map<std::string, std::string> out;
  for (const ProgramInput& input : program.inputs) {
    const ir::TensorType* type = input.value == nullptr ? nullptr : input.value->tensor();
    if (type == nullptr || !type->sizes) continue;
    const auto varies = [&](ir::Expr size) { return !symbols.constant_value(size); };
    const size_t rank = type->sizes->size();
    const bool image = rank == 4 && varies((*type->sizes)[2]) && varies((*type->sizes)[3]);
    for (size_t axis = 0; axis < rank; ++axis) {
      const auto symbol = lone_symbol(symbols, (*type->sizes)[axis]);
      if (!symbol) continue;
      const std::string& old = symbols.all()[*symbol].name;
      if (!is_number_of_export(old) || out.contains(old)) continue;
      const std::string wanted = usual(rank, axis, image);
      // Two sizes are not one because they stand at the same place.
      std::string free = wanted;
      for (int n = 2; !taken.insert(free).second; ++n) free = fmt::format("{}_{}", wanted, n);
      out.emplace(old, free);
    }
  }
  return out;
}

std::string text_with_names(const ir::Symbols& symbols, ir::Expr size,
                            const std::map<std::string, std::string>& names) {
  const auto in_a_word = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.';
  };
  const std::string text = symbols.text(size);
  std::string out;
  for (size_t at = 0; at < text.size();) {
    size_t end = at;
    while (end < text.size() && in_a_word(text[end])) ++end;
    const std::string word = text.substr(at, std::max<size_t>(end - at, 1));
    const auto name = names.find(word);
    out += name == names.end() ? word : name->second;
    at += word.size();
  }
  return out;
}

}  // namespace mlc
