#include "mlc/metadata/meta_yaml.h"

#include "mlc/base/text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

namespace mlc {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// Words that YAML 1.1 takes for booleans, merge keys or default values.
bool is_old_word(std::string_view text) {
  static constexpr std::array<std::string_view, 18> kWords = {
      "y",  "Y",  "yes", "Yes", "YES", "n",   "N",   "no", "No",
      "NO", "on", "On",  "ON",  "off", "Off", "OFF", "<<", "="};
  return std::find(kWords.begin(), kWords.end(), text) != kWords.end();
}

// Whether YAML 1.1 might see a number, a time or a date: digits with _ or :, 0b1, 2024-01-01.
bool is_old_number(std::string_view text) {
  const size_t first = text.find_first_not_of("+-.");
  if (first == std::string_view::npos || first > 2 || !is_digit(text[first])) return false;
  const bool numeric =
      text.find_first_not_of("0123456789abcdefABCDEFxXoO_.:+-") == std::string_view::npos;
  if (numeric && text.find_first_of("_:") != std::string_view::npos) return true;
  const std::string_view digits = text.substr(first);
  if (yaml::plain_type(digits) == yaml::PlainType::integer) return true;  // -0x10
  if (digits.starts_with("0b")) return digits.find_first_not_of("01_", 2) == std::string_view::npos;
  return text.size() >= 8 && text[4] == '-' &&
         std::all_of(text.begin(), text.begin() + 4, is_digit);
}

// Characters that cannot stand in YAML as they are, or that a person would not see.
bool needs_escape(std::string_view text) {
  if (!is_utf8(text)) return true;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c < 0x20 || c == 0x7F) return true;
    if (c == 0xC2 && static_cast<unsigned char>(text[i + 1]) < 0xA0) return true;  // C1 controls
    const std::string_view three = text.substr(i, 3);
    if (three == "\xE2\x80\xA8" || three == "\xE2\x80\xA9" || three == "\xEF\xBB\xBF") return true;
  }
  return false;
}

bool can_be_plain(std::string_view text, bool flow) {
  if (yaml::plain_type(text) != yaml::PlainType::string) return false;
  if (is_old_word(text) || is_old_number(text) || needs_escape(text)) return false;
  if (text.front() == ' ' || text.back() == ' ' || text.back() == ':') return false;
  if (std::string_view("-?:,[]{}#&*!|>'\"%@`").find(text.front()) != std::string_view::npos) {
    return false;
  }
  if (text.find(": ") != std::string_view::npos || text.find(" #") != std::string_view::npos) {
    return false;
  }
  if (text.starts_with("...")) return false;
  // The question mark is for PyYAML.
  return !flow || text.find_first_of(",[]{}?") == std::string_view::npos;
}

// Requires: TEXT is UTF-8.
std::string double_quoted(std::string_view text) {
  std::string out = "\"";
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const auto byte = static_cast<unsigned char>(c);
    const std::string_view three = text.substr(i, 3);
    if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c == '\r') {
      out += "\\r";
    } else if (byte < 0x20 || byte == 0x7F) {
      out += fmt::format("\\x{:02x}", byte);
    } else if (byte == 0xC2 && static_cast<unsigned char>(text[i + 1]) < 0xA0) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[++i]));
    } else if (three == "\xE2\x80\xA8" || three == "\xE2\x80\xA9" || three == "\xEF\xBB\xBF") {
      out += byte == 0xEF ? "\\ufeff" : three.back() == '\xA8' ? "\\u2028" : "\\u2029";
      i += 2;
    } else {
      out += c;
    }
  }
  return out + '"';
}

// Whether TEXT can be a literal block ("|" or "|-") and read back exactly.
bool can_be_literal(std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  if (text.find('\n') == std::string_view::npos || text.ends_with('\n')) return false;
  bool first = true;
  for (const std::string_view line : split(text, '\n')) {
    if (needs_escape(line) || (first && (line.empty() || line[0] == ' '))) return false;
    if (!line.empty() && line.find_first_not_of(' ') == std::string_view::npos) return false;
    first = false;
  }
  return true;
}

class Writer {
 public:
  std::string out;

  // What follows "KEY:" or "-": a scalar on the same line, or a block below it.
  void after_key(const MetaValue& value, size_t indent) {
    if (const auto* map = value.as_map(); map != nullptr && !map->empty()) {
      out += '\n';
      return entries(*map, indent);
    }
    if (const auto* list = value.as_list(); list != nullptr && !list->empty()) {
      out += '\n';
      return items(*list, indent);
    }
    const std::string* text = value.as_text();
    if (text != nullptr && can_be_literal(*text)) return literal(*text, indent);
    out += ' ';
    flow(value, false);
    out += '\n';
  }

  void entries(const MetaValue::Map& map, size_t indent) {
    for (const auto& [key, value] : map) {
      out.append(indent, ' ');
      entry(key, value, indent);
    }
  }

  void entry(std::string_view key, const MetaValue& value, size_t indent) {
    out += key_text(key, false);
    after_key(value, indent + 2);
  }

  void items(const MetaValue::List& list, size_t indent) {
    for (const MetaValue& item : list) {
      out.append(indent, ' ');
      out += '-';
      const auto* map = item.as_map();
      if (map == nullptr || map->empty()) {
        after_key(item, indent + 2);
        continue;
      }
      out += ' ';
      entry(map->front().first, map->front().second, indent + 2);
      for (size_t i = 1; i < map->size(); ++i) {
        out.append(indent + 2, ' ');
        entry((*map)[i].first, (*map)[i].second, indent + 2);
      }
    }
  }

  void flow(const MetaValue& value, bool nested) {
    if (const bool* b = value.as_bool()) {
      out += *b ? "true" : "false";
    } else if (const int64_t* i = value.as_int()) {
      out += std::to_string(*i);
    } else if (const double* d = value.as_double()) {
      const std::string_view spelling = value.spelling();
      out += spelling.empty() ? yaml_double(*d) : std::string(spelling);
    } else if (const std::string* text = value.as_text()) {
      out += yaml_text(*text, nested);
    } else if (const auto* list = value.as_list()) {
      out += '[';
      for (const MetaValue& item : *list) {
        if (&item != &list->front()) out += ", ";
        flow(item, true);
      }
      out += ']';
    } else if (const auto* map = value.as_map()) {
      out += '{';
      for (const auto& entry : *map) {
        if (&entry != &map->front()) out += ", ";
        out += key_text(entry.first, true) + ' ';
        flow(entry.second, true);
      }
      out += '}';
    } else {
      out += "null";
    }
  }

 private:
  // Metadata refuses keys so long that YAML would want them announced by "? ".
  static std::string key_text(std::string_view key, bool nested) {
    return yaml_text(key, nested) + ':';
  }

  void literal(std::string_view text, size_t indent) {
    out += text.ends_with('\n') ? " |\n" : " |-\n";
    if (text.ends_with('\n')) text.remove_suffix(1);
    for (const std::string_view line : split(text, '\n')) {
      if (!line.empty()) out.append(indent, ' ').append(line);
      out += '\n';
    }
  }
};

}  // namespace

std::string yaml_double(double value) {
  if (std::isnan(value)) return ".nan";
  if (std::isinf(value)) return value > 0 ? ".inf" : "-.inf";
  std::array<char, 32> buffer{};
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value).ptr;
  std::string out(buffer.data(), end);
  if (out.find('.') != std::string::npos) return out;
  const size_t exponent = out.find('e');
  return out.insert(exponent == std::string::npos ? out.size() : exponent, ".0");
}

std::string yaml_text(std::string_view text, bool flow) {
  // YAML cannot hold other bytes; they are told as \xNN, which no longer reads back as the same.
  if (!is_utf8(text)) return double_quoted(printable(text));
  return can_be_plain(text, flow) ? std::string(text) : double_quoted(text);
}

std::string write_yaml(const MetaValue& value) {
  Writer writer;
  const auto* map = value.as_map();
  const auto* list = value.as_list();
  if (map != nullptr && !map->empty()) {
    writer.entries(*map, 0);
  } else if (list != nullptr && !list->empty()) {
    writer.items(*list, 0);
  } else {
    writer.flow(value, false);
    writer.out += '\n';
  }
  return std::move(writer.out);
}

std::string write_yaml_flow(const MetaValue& value) {
  Writer writer;
  writer.flow(value, true);
  return std::move(writer.out);
}

std::string write_yaml_entry(std::string_view key, const MetaValue& value) {
  Writer writer;
  writer.entry(key, value, 0);
  return std::move(writer.out);
}

}  // namespace mlc
