#include "mlc/frontend/json_place.h"

#include "mlc/base/text.h"

#include <limits>
#include <utility>

namespace mlc {

Error JsonPlace::wrong(std::string_view wanted) const {
  return corrupt(printable(place_) + " is no " + std::string(wanted));
}

bool JsonPlace::has(const char* key) const {
  if (!value_->is_object()) return false;
  const auto found = value_->find(key);
  return found != value_->end() && !found->is_null();
}

Result<JsonPlace> JsonPlace::at(const char* key) const {
  if (!value_->is_object()) return wrong("object");
  const auto found = value_->find(key);
  if (found == value_->end()) return corrupt(printable(place_) + " has no " + quoted(key));
  return JsonPlace(*found, place_.empty() ? key : place_ + "." + key);
}

Result<JsonPlace> JsonPlace::at(size_t index) const {
  if (!value_->is_array() || index >= value_->size()) return wrong("array that long");
  return JsonPlace((*value_)[index], place_ + "[" + std::to_string(index) + "]");
}

Result<size_t> JsonPlace::size() const {
  if (!value_->is_array()) return wrong("array");
  return value_->size();
}

Result<std::string> JsonPlace::string() const {
  if (!value_->is_string()) return wrong("text");
  return value_->get<std::string>();
}

Result<int64_t> JsonPlace::integer() const {
  const bool fits = value_->is_number_integer() &&
                    !(value_->is_number_unsigned() &&
                      value_->get<uint64_t>() > uint64_t{std::numeric_limits<int64_t>::max()});
  if (!fits) return wrong("integer of 64 bits");
  return value_->get<int64_t>();
}

Result<bool> JsonPlace::boolean() const {
  if (!value_->is_boolean()) return wrong("boolean");
  return value_->get<bool>();
}

Result<double> JsonPlace::number() const {
  if (value_->is_number()) return value_->get<double>();
  if (value_->is_string()) {
    const auto& text = value_->get_ref<const std::string&>();
    if (text == "Infinity") return std::numeric_limits<double>::infinity();
    if (text == "-Infinity") return -std::numeric_limits<double>::infinity();
    if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
  }
  return wrong("number");
}

Result<std::pair<std::string, JsonPlace>> JsonPlace::only() const {
  if (!value_->is_object() || value_->size() != 1) return wrong("object of one member");
  const auto member = value_->begin();
  return std::pair(member.key(), JsonPlace(member.value(), place_ + "." + member.key()));
}

}  // namespace mlc
