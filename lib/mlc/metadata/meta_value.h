// The values of a metadata document: an ordered tree of plain types.
#pragma once

#include "mlc/base/result.h"
#include "mlc/yaml/document.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace mlc {

/// null, bool, integer, double, text, list or mapping. Copyable; mappings keep their order.
class MetaValue {
 public:
  using List = std::vector<MetaValue>;
  using Map = std::vector<std::pair<std::string, MetaValue>>;

  MetaValue() = default;
  MetaValue(bool value) : data_(value) {}                           // NOLINT: implicit, like JSON
  MetaValue(int64_t value) : data_(value) {}                        // NOLINT
  MetaValue(int value) : data_(int64_t{value}) {}                   // NOLINT
  MetaValue(double value) : data_(Real{value, ""}) {}               // NOLINT
  MetaValue(std::string value) : data_(std::move(value)) {}         // NOLINT
  MetaValue(std::string_view value) : data_(std::string(value)) {}  // NOLINT
  MetaValue(const char* value) : data_(std::string(value)) {}       // NOLINT
  MetaValue(List value) : data_(std::move(value)) {}                // NOLINT
  MetaValue(Map value) : data_(std::move(value)) {}                 // NOLINT

  /// A number that is written as DECIMAL, as people mean versions: 1.10 is no 1.1 to them.
  static MetaValue spelled(double value, std::string decimal);

  /// By the YAML 1.2 core schema. Error: an integer beyond 64 bits, at its position.
  static Result<MetaValue> from_yaml(const yaml::Node& node);

  bool is_null() const { return std::holds_alternative<std::monostate>(data_); }
  // Null pointer unless the value is of the type.
  const bool* as_bool() const { return std::get_if<bool>(&data_); }
  const int64_t* as_int() const { return std::get_if<int64_t>(&data_); }
  const double* as_double() const {
    const Real* real = std::get_if<Real>(&data_);
    return real != nullptr ? &real->value : nullptr;
  }
  /// How a number was spelled; empty for the shortest way.
  std::string_view spelling() const {
    const Real* real = std::get_if<Real>(&data_);
    return real != nullptr ? std::string_view(real->spelling) : std::string_view();
  }
  const std::string* as_text() const { return std::get_if<std::string>(&data_); }
  const List* as_list() const { return std::get_if<List>(&data_); }
  const Map* as_map() const { return std::get_if<Map>(&data_); }
  List* as_list() { return std::get_if<List>(&data_); }
  Map* as_map() { return std::get_if<Map>(&data_); }

  /// "a mapping", "a list", "an integer", ... for messages.
  std::string describe() const;
  /// The value under KEY of a mapping, or null pointer.
  const MetaValue* find(std::string_view key) const;
  MetaValue* find(std::string_view key);
  /// Levels of nesting, 1 for a scalar.
  int height() const;

  /// As block style YAML, ending in a newline; a scalar as it would stand behind its key.
  std::string to_yaml() const;
  /// As JSON with two spaces of indentation, without a newline at the end. Numbers that JSON lacks
  /// are written as the strings ".inf", "-.inf" and ".nan".
  std::string to_json() const;

  /// Numbers compare by value, not by spelling; a NaN equals a NaN.
  bool operator==(const MetaValue& other) const;

 private:
  struct Real {
    double value = 0;
    std::string spelling;
    bool operator==(const Real& other) const { return value == other.value; }
  };
  std::variant<std::monostate, bool, int64_t, Real, std::string, List, Map> data_;
};

}  // namespace mlc
