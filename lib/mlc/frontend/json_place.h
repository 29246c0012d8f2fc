// A value in a JSON document from a file, and where it stands, for errors.
#pragma once

#include "mlc/base/result.h"

#include <cstdint>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace mlc {

/// Borrows the document. Places are "graph_module.graph.nodes[3].target".
class JsonPlace {
 public:
  JsonPlace(const nlohmann::json& value, std::string place)
      : value_(&value), place_(std::move(place)) {}

  const nlohmann::json& value() const { return *value_; }
  const std::string& place() const { return place_; }

  bool is_null() const { return value_->is_null(); }
  /// Whether it is an object that has KEY, with a value that is not null.
  bool has(const char* key) const;
  /// Errors of all below: corrupt, naming the place, where the value is of another kind.
  Result<JsonPlace> at(const char* key) const;
  Result<JsonPlace> at(size_t index) const;
  Result<size_t> size() const;  // of an array
  Result<std::string> string() const;
  Result<int64_t> integer() const;
  Result<bool> boolean() const;
  /// Also "Infinity", "-Infinity" and "NaN", as PyTorch writes them.
  Result<double> number() const;
  /// The only member of an object: its name and its value, as schema.py writes unions.
  Result<std::pair<std::string, JsonPlace>> only() const;

  Error wrong(std::string_view wanted) const;

 private:
  const nlohmann::json* value_;
  std::string place_;
};

}  // namespace mlc
