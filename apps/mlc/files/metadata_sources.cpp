#include "files/metadata_sources.h"

#include "files/open_input.h"
#include "mlc/base/shell_word.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/format.h"
#include "mlc/checkpoint/rewrite_zip.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include <unistd.h>

namespace mlc::cli {
namespace {

constexpr std::string_view kSidecar = ".mlc.yaml";

/// The whole name first: model.pt and model.safetensors may have different metadata.
std::array<std::string, 2> sidecar_paths(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  const size_t name = path.rfind('/') + 1;
  const size_t dot = path.rfind('.');
  const bool has_extension = dot != std::string::npos && dot > name;
  std::string stem = has_extension ? path.substr(0, dot) : path;
  return {path + std::string(kSidecar), stem + std::string(kSidecar)};
}

Status find_sidecar(const std::string& path, MetadataSources& sources) {
  const auto candidates = sidecar_paths(path);
  sources.sidecar = candidates[0];
  for (const std::string& candidate : candidates) {
    // A name that no file can have belongs to no sidecar.
    if (access(candidate.c_str(), F_OK) != 0 && errno == ENAMETOOLONG) continue;
    auto read = Metadata::parse_file(candidate, ErrorKind::corrupt);
    if (!read.ok() && read.error().kind() == ErrorKind::not_found) continue;
    sources.sidecar = candidate;
    if (!read.ok()) {
      return std::move(read).error().with_hint("`mlc metadata " + shell_word(path) +
                                               " --clear --sidecar` begins it anew");
    }
    sources.beside = std::move(read).value();
    break;
  }
  return {};
}

}  // namespace

std::vector<std::string> sidecars_of(const std::string& path) {
  std::vector<std::string> found;
  for (const std::string& candidate : sidecar_paths(path)) {
    if (access(candidate.c_str(), F_OK) == 0) found.push_back(candidate);
  }
  return found;
}

std::string sidecar_for(const std::string& path) {
  const std::vector<std::string> found = sidecars_of(path);
  return found.empty() ? sidecar_paths(path)[0] : found[0];
}

void warn_of_sidecar(const std::string& output, const std::optional<std::string>& yaml,
                     Reporter& reporter) {
  if (output.empty()) return;
  const std::vector<std::string> found = sidecars_of(output);
  if (found.empty()) return;
  if (!yaml) {
    reporter.warn(printable(found[0]) + " was there before and counts as the metadata of " +
                  printable(output) + " now; remove it if it is of another file");
    return;
  }
  MetadataSources sources;
  auto embedded = Metadata::parse(*yaml, output, ErrorKind::internal);
  if (!embedded.ok() || !find_sidecar(output, sources).ok()) return;
  sources.embedded = std::move(embedded).value();
  if (sources.differ()) reporter.warn(sources.disagreement());
}

const Metadata* MetadataSources::trusted() const {
  if (embedded) return &*embedded;
  return beside ? &*beside : nullptr;
}

bool MetadataSources::has_place() const {
  return checkpoint == nullptr || checkpoint->format == Format::safetensors ||
         has_place_for_metadata(*checkpoint);
}

bool MetadataSources::differ() const {
  return embedded && beside && !differing_keys(*embedded, *beside).empty();
}

std::string MetadataSources::disagreement() const {
  return "the metadata in the file and in " + printable(sidecar) + " differ in " +
         join_list(differing_keys(*embedded, *beside)) + "; that in the file counts";
}

std::vector<std::string> differing_keys(const Metadata& a, const Metadata& b) {
  std::vector<std::string> keys;
  for (const Metadata* metadata : {&a, &b}) {
    for (const auto& [key, value] : *metadata->root().as_map()) {
      const MetaValue* left = a.root().find(key);
      const MetaValue* right = b.root().find(key);
      const bool same = left != nullptr && right != nullptr && *left == *right;
      if (same || key == "provenance" || std::ranges::find(keys, key) != keys.end()) continue;
      keys.push_back(key);
    }
  }
  return keys;
}

void warn_of_frameworks(const Metadata& metadata, Reporter& reporter) {
  for (const std::string& doubt : metadata.framework_doubts()) reporter.warn(doubt);
}

void write_value(JsonWriter& json, const MetaValue& value) {
  if (const MetaValue::Map* map = value.as_map()) {
    json.begin_object();
    for (const auto& [key, item] : *map) {
      json.key(key);
      write_value(json, item);
    }
    return json.end_object();
  }
  if (const MetaValue::List* list = value.as_list()) {
    json.begin_array();
    for (const MetaValue& item : *list) write_value(json, item);
    return json.end_array();
  }
  json.raw(value.to_json());
}

bool is_yaml_path(const std::string& path) {
  return path.ends_with(".yaml") || path.ends_with(".yml");
}

namespace {

/// Keeps in BROKEN why nothing could be read, if that is wanted and no matter of the system.
Status or_keep(Status read, IfBroken if_broken, std::optional<Error>& broken) {
  if (read.ok() || if_broken == IfBroken::fail) return read;
  const ErrorKind kind = read.error().kind();
  if (kind == ErrorKind::not_found || kind == ErrorKind::read_failed) return read;
  broken = std::move(read).error();
  return {};
}

Status read_yaml(const std::string& path, MetadataSources& sources) {
  sources.sidecar = path;
  MLC_TRY(sources.beside, Metadata::parse_file(path));
  return {};
}

Status read_embedded(MetadataSources& sources) {
  MLC_TRY(sources.embedded, read_metadata(*sources.checkpoint));
  return {};
}

/// Puts into METADATA, made where there is none, which PyTorch wrote CHECKPOINT, where its format
/// says that, as .pt2 does. What is there stays.
Status record_framework(const Checkpoint& checkpoint, std::optional<Metadata>& metadata) {
  const std::string& version = checkpoint.origin.torch_exactly;
  if (version.empty() || (metadata && metadata->framework("torch"))) return {};
  if (!metadata) metadata.emplace();
  return metadata->set_value("framework.torch", MetaValue(version));
}

}  // namespace

Result<MetadataSources> read_metadata_sources(const std::string& path, Reporter& reporter,
                                              IfBroken if_broken) {
  MetadataSources sources;
  if (is_yaml_path(path)) {
    MLC_CHECK(or_keep(read_yaml(path, sources), if_broken, sources.broken_beside));
    return sources;
  }
  MLC_TRY(sources.checkpoint, open_checkpoint(path));
  for (const std::string& warning : sources.checkpoint->warnings) reporter.detail(warning);
  MLC_CHECK(or_keep(read_embedded(sources), if_broken, sources.broken_embedded));
  MLC_CHECK(
      or_keep(find_sidecar(sources.checkpoint->path, sources), if_broken, sources.broken_beside));
  return sources;
}

Result<FoundMetadata> find_metadata(const Checkpoint& checkpoint) {
  FoundMetadata found;
  MLC_TRY(found.metadata, read_metadata(checkpoint));
  if (found.metadata) return found;
  MetadataSources sources;
  MLC_CHECK(find_sidecar(checkpoint.path, sources));
  if (!sources.beside) return found;
  found.metadata = std::move(sources.beside);
  found.sidecar = std::move(sources.sidecar);
  return found;
}

Result<std::optional<Metadata>> metadata_to_carry(const Checkpoint& checkpoint) {
  MLC_TRY(FoundMetadata found, find_metadata(checkpoint));
  MLC_CHECK(record_framework(checkpoint, found.metadata));
  return std::move(found.metadata);
}

}  // namespace mlc::cli
