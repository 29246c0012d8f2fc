// Every place that may hold the metadata of a file: the file itself and a sidecar. A YAML file is
// its own sidecar, so that verbs on metadata take it as input too.
#pragma once

#include "cli/json_writer.h"
#include "mlc/base/reporter.h"
#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"
#include "mlc/metadata/metadata.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace mlc::cli {

struct MetadataSources {
  std::unique_ptr<Checkpoint> checkpoint;  // none where the input is YAML
  std::optional<Metadata> embedded;
  std::optional<Metadata> beside;
  /// Where `beside` came from; without it, where a sidecar belongs.
  std::string sidecar;
  /// Why what is there cannot be read, where read_metadata_sources() was told to go on.
  std::optional<Error> broken_embedded;
  std::optional<Error> broken_beside;

  /// What counts: the embedded metadata, else the sidecar; null pointer without either.
  const Metadata* trusted() const;
  /// Whether mlc can write metadata into such a file.
  bool has_place() const;
  /// Both exist and do not say the same; provenance is left aside.
  bool differ() const;
  /// "the metadata in the file and in x.mlc.yaml differ in name; that in the file counts".
  std::string disagreement() const;
};

/// The sidecars that exist for the file at PATH: NAME.EXT.mlc.yaml, NAME.mlc.yaml.
std::vector<std::string> sidecars_of(const std::string& path);
/// The first of them, or else where one belongs.
std::string sidecar_for(const std::string& path);

/// Says of a sidecar that lies at OUTPUT, a new file with the metadata YAML in it or none, what it
/// is taken for: it was written for another file, or disagrees.
void warn_of_sidecar(const std::string& output, const std::optional<std::string>& yaml,
                     Reporter& reporter);

/// Opens PATH and looks for NAME.EXT.mlc.yaml, then NAME.mlc.yaml beside it. What the reader of the
/// checkpoint noticed is a detail here. Errors: as open_checkpoint(), as Metadata::parse(), which
/// IF_BROKEN may keep for whoever is about to write all of it anew.
enum class IfBroken : uint8_t { fail, keep_error };
Result<MetadataSources> read_metadata_sources(const std::string& path, Reporter& reporter,
                                              IfBroken if_broken = IfBroken::fail);

/// The metadata that counts for a checkpoint, if there is any.
struct FoundMetadata {
  std::optional<Metadata> metadata;
  std::string sidecar;  // where it lies beside the file; empty where it is in it
};
/// That in the file, else that of its sidecar. Errors: as Metadata::parse().
Result<FoundMetadata> find_metadata(const Checkpoint& checkpoint);

/// What an output made of CHECKPOINT should carry: the metadata in the file, else that of its
/// sidecar, which it would be parted from; and which PyTorch wrote it, where only its format says
/// that, as .pt2 does. Errors: as Metadata::parse().
Result<std::optional<Metadata>> metadata_to_carry(const Checkpoint& checkpoint);

/// Warns of what looks like a mistake in `framework`.
void warn_of_frameworks(const Metadata& metadata, Reporter& reporter);

/// The top-level keys in which the two differ, without provenance, in the order of the format.
std::vector<std::string> differing_keys(const Metadata& a, const Metadata& b);

/// VALUE as JSON in the layout of JSON. Numbers that JSON lacks are the strings ".inf", "-.inf" and
/// ".nan".
void write_value(JsonWriter& json, const MetaValue& value);

/// Whether PATH is named like YAML.
bool is_yaml_path(const std::string& path);

}  // namespace mlc::cli
