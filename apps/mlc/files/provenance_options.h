// What the metadata's provenance says of the options of one run: those that decide what is in the
// output, not where it goes.
#pragma once

#include "mlc/metadata/metadata.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlc::cli {

/// Collects options by their names on the command line, without dashes. What was not given leaves
/// no trace; an option given several times becomes a list.
class ProvenanceOptions {
 public:
  ProvenanceOptions& flag(std::string_view name, bool given);
  ProvenanceOptions& text(std::string_view name, std::string_view value);
  ProvenanceOptions& list(std::string_view name, const std::vector<std::string>& values);
  /// One more value of NAME.
  ProvenanceOptions& add(std::string_view name, MetaValue value);

  const MetaValue::Map& map() const { return map_; }

 private:
  MetaValue::Map map_;
};

/// The YAML for an output made by VERB with OPTIONS from a checkpoint that carried METADATA: with
/// one more line of provenance. Nothing where the input carried none.
std::optional<std::string> with_provenance(std::optional<Metadata> metadata, std::string verb,
                                           const ProvenanceOptions& options,
                                           std::string input_sha256 = {});

}  // namespace mlc::cli
