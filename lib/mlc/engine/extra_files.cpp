#include "mlc/engine/extra_files.h"

#include <array>
#include <cstdint>
#include <string_view>

namespace mlc {
namespace {

constexpr uint64_t kMostBytes = 256U << 20U;  // they are held in memory until the file is written
/// Where torch.jit.save puts them, torch.export.save since 2.7, and before.
constexpr std::array<std::string_view, 2> kFolders = {"extra/", "extra_files/"};

/// The name of the extra file that the record NAME is; empty where it is none.
std::string_view extra_name(std::string_view name, Format format) {
  for (const std::string_view folder : kFolders) {
    if (format == Format::torchscript && folder != kFolders.front()) continue;
    if (name.starts_with(folder)) return name.substr(folder.size());
  }
  return {};
}

bool is_ours(std::string_view name) {
  return name == "mlc/metadata.yaml" || name == "mlc/inputs.txt" || name.starts_with("mlc/inputs/");
}

struct ExtraEntry {
  std::string_view name;
  const ZipEntry* entry;
};

std::vector<ExtraEntry> extra_entries(const Checkpoint& checkpoint) {
  std::vector<ExtraEntry> out;
  const bool has_extra =
      checkpoint.format == Format::torchscript || checkpoint.format == Format::pt2;
  if (!has_extra || checkpoint.archives.empty()) return out;
  const ZipReader& zip = checkpoint.archives[0];
  for (const ZipEntry& entry : zip.entries()) {
    if (entry.is_folder()) continue;
    const std::string_view name = extra_name(zip.relative_name(entry), checkpoint.format);
    if (!name.empty() && !is_ours(name)) out.push_back({name, &entry});
  }
  return out;
}

}  // namespace

std::vector<std::string> extra_file_names(const Checkpoint& checkpoint) {
  std::vector<std::string> names;
  for (const ExtraEntry& extra : extra_entries(checkpoint)) names.emplace_back(extra.name);
  return names;
}

Result<CarriedFiles> carried_files(const Checkpoint& checkpoint) {
  CarriedFiles out;
  uint64_t left = kMostBytes;
  for (const auto& [name, entry] : extra_entries(checkpoint)) {
    if (entry->size > left) {
      out.left_out.emplace_back(name);
      continue;
    }
    left -= entry->size;
    auto content = checkpoint.archives[0].read(*entry, entry->size);
    if (!content.ok()) return std::move(content).error().in_file(checkpoint.path);
    out.files.emplace_back(name, std::move(*content));
  }
  return out;
}

}  // namespace mlc
