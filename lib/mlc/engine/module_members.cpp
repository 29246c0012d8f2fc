#include "mlc/engine/module_members.h"

#include "mlc/base/text.h"

#include <algorithm>
#include <cstdint>
#include <string_view>

namespace mlc {
namespace {

constexpr uint64_t kMostBytes = 256U << 20U;  // of one record

struct ClassName {
  std::string module;
  std::string name;
};

/// The class of the object in PICKLE: LibTorch writes the protocol and then at once its GLOBAL,
/// `c`, with two lines. Empty where something else stands there.
ClassName root_class(std::string_view pickle) {
  constexpr std::string_view kHead =
      "\x80\x02"
      "c";
  if (!pickle.starts_with(kHead)) return {};
  pickle.remove_prefix(kHead.size());
  const size_t first = pickle.find('\n');
  if (first == std::string_view::npos) return {};
  const size_t second = pickle.find('\n', first + 1);
  if (second == std::string_view::npos) return {};
  return {std::string(pickle.substr(0, first)),
          std::string(pickle.substr(first + 1, second - first - 1))};
}

/// The lines of `class NAME` in CODE, without its head.
std::string_view class_text(std::string_view code, const std::string& name) {
  const std::string head = "class " + name + "(Module):\n";
  size_t begin = code.starts_with(head) ? 0 : code.find("\n" + head);
  if (begin == std::string_view::npos) return {};
  begin = code.find('\n', begin + 1) + 1;
  const size_t end = code.find("\nclass ", begin);
  return code.substr(begin, end == std::string_view::npos ? end : end - begin);
}

std::string_view name_at_start(std::string_view text) {
  const auto end = std::ranges::find_if_not(text, [](char one) {
    return one == '_' || (one >= '0' && one <= '9') || (one >= 'a' && one <= 'z') ||
           (one >= 'A' && one <= 'Z');
  });
  return text.substr(0, static_cast<size_t>(end - text.begin()));
}

bool is_private(std::string_view name) {
  return name.starts_with("_");
}

void add_method(std::string_view text, std::string_view name, ModuleMembers& out) {
  if (name == "forward" || name.starts_with("__")) return;
  const bool is_called = text.find("." + std::string(name) + "(") != std::string_view::npos;
  if (!is_private(name) || !is_called) out.methods.emplace_back(name);
}

/// TYPE is what stands behind the name: "int", "Final[int] = 4", "Optional[Tensor]".
void add_attribute(std::string_view name, std::string_view type, ModuleMembers& out) {
  constexpr std::string_view kOptional = "Optional[";
  if (type.starts_with(kOptional)) type.remove_prefix(kOptional.size());
  const bool is_state = type.starts_with("Tensor") || type.starts_with("__torch__.");
  if (!is_state && !is_private(name) && name != "training") out.attributes.emplace_back(name);
}

}  // namespace

Result<ModuleMembers> module_members(const ZipReader& zip) {
  ModuleMembers out;
  const ZipEntry* const pickle = zip.record("data.pkl");
  if (pickle == nullptr) return out;
  MLC_TRY(const std::string bytes, zip.read(*pickle, kMostBytes));
  const ClassName root = root_class(bytes);
  std::string record = "code/" + root.module + ".py";
  std::ranges::replace(record.begin(), record.end() - 3, '.', '/');
  const ZipEntry* const entry = zip.record(record);
  if (entry == nullptr) return out;
  MLC_TRY(const std::string code, zip.read(*entry, kMostBytes));
  const std::string_view text = class_text(code, root.name);
  constexpr std::string_view kIndent = "  ";
  constexpr std::string_view kMethod = "def ";
  for (std::string_view line : split(text, '\n')) {
    if (!line.starts_with(kIndent)) continue;
    line.remove_prefix(kIndent.size());
    if (line.starts_with(kMethod)) {
      add_method(text, name_at_start(line.substr(kMethod.size())), out);
      continue;
    }
    const std::string_view name = name_at_start(line);
    constexpr std::string_view kColon = " : ";
    if (name.empty() || !line.substr(name.size()).starts_with(kColon)) continue;
    add_attribute(name, line.substr(name.size() + kColon.size()), out);
  }
  return out;
}

std::vector<std::string> names_lost(const std::vector<std::string>& before,
                                    const std::vector<std::string>& after) {
  std::vector<std::string> out;
  for (const std::string& name : before) {
    if (std::ranges::find(after, name) == after.end()) out.push_back(name);
  }
  return out;
}

}  // namespace mlc
