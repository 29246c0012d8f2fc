// The YAML that travels with a checkpoint: who it is, what wrote it, what may read it, where it
// came from. Format "metadata/1", described by schemas/metadata.schema.json.
//
// A Metadata is always valid: parse() and every change check it, and a change that would make it
// invalid leaves it as it was. Values are plain trees (MetaValue); nothing refers to the YAML
// parser.
#pragma once

#include "mlc/metadata/meta_value.h"
#include "mlc/metadata/specifier.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlc {

inline constexpr uint64_t kMaxMetadataBytes = 16U << 20U;
inline constexpr std::string_view kMetadataFormat = "metadata/1";

/// What one run of mlc did, for the provenance list. The version of mlc is added to it.
struct ProvenanceEntry {
  std::string verb;
  MetaValue::Map options;
  std::string input_sha256;  // 64 hexadecimal digits, or empty if the input was not hashed
};

class Metadata {
 public:
  /// Metadata that says nothing but its format.
  Metadata();

  /// Scalars without quotes stay the text they are where the format wants text (version: 2.10), and
  /// where only an identifier looks like them: 0123, -007, 0x1F, 0o17, and digits around an "e"
  /// alone, such as 12e5 and the short hash 4812e93. Anything else is YAML 1.2.
  /// Errors of KIND point at line and column; unsupported for a format other than metadata/1. FILE
  /// is used in messages only. KIND: usage for files people write, corrupt for what lay in a
  /// checkpoint.
  static Result<Metadata> parse(std::string text, const std::string& file,
                                ErrorKind kind = ErrorKind::usage);
  /// Errors: not_found, read_failed, and those of parse().
  static Result<Metadata> parse_file(const std::string& path, ErrorKind kind = ErrorKind::usage);

  std::optional<std::string> name() const { return text_at("name"); }
  std::optional<std::string> version() const { return text_at("version"); }
  /// framework.PART, e.g. "torch".
  std::optional<std::string> framework(std::string_view part) const;
  /// What looks like a mistake in `framework`, which the format allows all the same: names near to
  /// those of known packages, and versions that PEP 440 cannot compare.
  std::vector<std::string> framework_doubts() const;
  /// The entries of `requires`, which is a reserved word in C++.
  std::vector<Requirement> requirements() const;

  /// Whether there is nothing but the format.
  bool empty() const;
  const MetaValue& root() const { return root_; }

  // A path names a value: "training.metrics.top1", "requires.0". A dot or backslash within a key is
  // written with a backslash before it.

  /// The value at PATH, or null pointer.
  const MetaValue* get(std::string_view path) const;
  /// Sets PATH to YAML, read as parse() reads it. Mappings on the way are created. Error: usage,
  /// also where a part of PATH is no mapping.
  Status set(std::string_view path, std::string_view yaml);
  Status set_value(std::string_view path, MetaValue value);
  /// Whether there was something to remove. Error: usage for a path that mlc writes itself.
  Result<bool> remove(std::string_view path);
  /// OTHER wins; mappings are merged at every depth, lists replaced, provenance appended.
  void merge_from(const Metadata& other);
  void append_provenance(const ProvenanceEntry& entry);

  /// Keys in the order of the format, then in the order they came. Same values, same text.
  std::string to_yaml() const;
  std::string to_json() const { return root_.to_json(); }

  bool operator==(const Metadata&) const = default;

 private:
  explicit Metadata(MetaValue root) : root_(std::move(root)) {}
  std::optional<std::string> text_at(std::string_view key) const;
  Status adopt(MetaValue root);

  MetaValue root_;  // a mapping, valid, in the order of the format
};

/// The parts of a dotted path. Error: usage for an empty part.
Result<std::vector<std::string>> split_path(std::string_view path);

}  // namespace mlc
