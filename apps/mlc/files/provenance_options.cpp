#include "files/provenance_options.h"

#include <algorithm>

namespace mlc::cli {

ProvenanceOptions& ProvenanceOptions::add(std::string_view name, MetaValue value) {
  const auto known =
      std::ranges::find_if(map_, [name](const auto& entry) { return entry.first == name; });
  if (known == map_.end()) {
    map_.emplace_back(name, std::move(value));
    return *this;
  }
  if (known->second.as_list() == nullptr) {
    MetaValue::List both;
    both.push_back(std::move(known->second));
    known->second = std::move(both);
  }
  known->second.as_list()->push_back(std::move(value));
  return *this;
}

ProvenanceOptions& ProvenanceOptions::flag(std::string_view name, bool given) {
  return given ? add(name, true) : *this;
}

ProvenanceOptions& ProvenanceOptions::text(std::string_view name, std::string_view value) {
  return value.empty() ? *this : add(name, value);
}

ProvenanceOptions& ProvenanceOptions::list(std::string_view name,
                                           const std::vector<std::string>& values) {
  for (const std::string& value : values) add(name, value);
  return *this;
}

std::optional<std::string> with_provenance(std::optional<Metadata> metadata, std::string verb,
                                           const ProvenanceOptions& options,
                                           std::string input_sha256) {
  if (!metadata) return std::nullopt;
  metadata->append_provenance({std::move(verb), options.map(), std::move(input_sha256)});
  return metadata->to_yaml();
}

}  // namespace mlc::cli
