#include "mlc/metadata/meta_value.h"

#include "mlc/metadata/meta_yaml.h"

#include <algorithm>
#include <cmath>

#include <nlohmann/json.hpp>

namespace mlc {
namespace {

nlohmann::ordered_json json_of(const MetaValue& value) {
  if (const bool* b = value.as_bool()) return *b;
  if (const int64_t* i = value.as_int()) return *i;
  if (const double* d = value.as_double()) {
    if (!std::isfinite(*d)) return yaml_double(*d);
    return *d;
  }
  if (const std::string* text = value.as_text()) return *text;
  if (const MetaValue::List* list = value.as_list()) {
    auto out = nlohmann::ordered_json::array();
    for (const MetaValue& item : *list) out.push_back(json_of(item));
    return out;
  }
  if (const MetaValue::Map* map = value.as_map()) {
    auto out = nlohmann::ordered_json::object();
    // The map's own emplace() looks every key up again; keys are distinct by construction.
    using Object = nlohmann::ordered_json::object_t;
    Object::Container& entries = out.get_ref<Object&>();
    for (const auto& [key, item] : *map) entries.emplace_back(key, json_of(item));
    return out;
  }
  return nullptr;
}

/// "1.10", "-0.50": what YAML 1.1, YAML 1.2 and JSON all read as the same number.
bool is_decimal(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789";
  if (text.starts_with('-')) text.remove_prefix(1);
  const size_t point = text.find_first_not_of(kDigits);
  if (point == 0 || point == std::string_view::npos || text[point] != '.') return false;
  const bool padded = point > 1 && text[0] == '0';
  return !padded && point + 1 < text.size() &&
         text.find_first_not_of(kDigits, point + 1) == std::string_view::npos;
}

Result<MetaValue> scalar_of(const yaml::Node& node) {
  switch (node.type()) {
    case yaml::PlainType::null:
      return MetaValue();
    case yaml::PlainType::string:
      return MetaValue(node.scalar());
    case yaml::PlainType::boolean: {
      MLC_TRY(const bool value, node.as_bool());
      return MetaValue(value);
    }
    case yaml::PlainType::integer: {
      MLC_TRY(const int64_t value, node.as_int());
      return MetaValue(value);
    }
    case yaml::PlainType::number: {
      MLC_TRY(const double value, node.as_double());
      return is_decimal(node.scalar()) ? MetaValue::spelled(value, node.scalar())
                                       : MetaValue(value);
    }
  }
  return MetaValue();
}

}  // namespace

MetaValue MetaValue::spelled(double value, std::string decimal) {
  MetaValue out;
  out.data_ = Real{value, std::move(decimal)};
  return out;
}

Result<MetaValue> MetaValue::from_yaml(const yaml::Node& node) {
  switch (node.kind()) {
    case yaml::Kind::null:
      return MetaValue();
    case yaml::Kind::scalar:
      return scalar_of(node);
    case yaml::Kind::sequence: {
      List list;
      list.reserve(node.items().size());
      for (const yaml::Node& item : node.items()) {
        MLC_TRY(MetaValue value, from_yaml(item));
        list.push_back(std::move(value));
      }
      return MetaValue(std::move(list));
    }
    case yaml::Kind::mapping: {
      Map map;
      map.reserve(node.entries().size());
      for (const auto& [key, item] : node.entries()) {
        MLC_TRY(MetaValue value, from_yaml(item));
        map.emplace_back(key, std::move(value));
      }
      return MetaValue(std::move(map));
    }
  }
  return MetaValue();
}

std::string MetaValue::describe() const {
  static constexpr const char* kNames[] = {"null",     "a boolean", "an integer", "a number",
                                           "a string", "a list",    "a mapping"};
  return kNames[data_.index()];
}

const MetaValue* MetaValue::find(std::string_view key) const {
  const Map* map = as_map();
  if (map == nullptr) return nullptr;
  const auto it =
      std::find_if(map->begin(), map->end(), [&](const auto& entry) { return entry.first == key; });
  return it != map->end() ? &it->second : nullptr;
}

MetaValue* MetaValue::find(std::string_view key) {
  return const_cast<MetaValue*>(std::as_const(*this).find(key));
}

int MetaValue::height() const {
  int below = 0;
  if (const List* list = as_list()) {
    for (const MetaValue& item : *list) below = std::max(below, item.height());
  }
  if (const Map* map = as_map()) {
    for (const auto& [key, item] : *map) below = std::max(below, item.height());
  }
  return below + 1;
}

std::string MetaValue::to_yaml() const {
  return write_yaml(*this);
}

std::string MetaValue::to_json() const {
  // Text that is not UTF-8 cannot be told in JSON; the replacement keeps dump() from throwing.
  return json_of(*this).dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
}

bool MetaValue::operator==(const MetaValue& other) const {
  const double* a = as_double();
  const double* b = other.as_double();
  if (a != nullptr && b != nullptr && std::isnan(*a) && std::isnan(*b)) return true;
  return data_ == other.data_;
}

}  // namespace mlc
