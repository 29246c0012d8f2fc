#include "cli/render_error.h"

#include "mlc/base/text.h"

#include <algorithm>

namespace mlc::cli {
namespace {

std::string harmless(std::string_view text) {
  std::string out;
  for (const std::string_view line : split(text, '\n')) {
    if (!out.empty()) out += '\n';
    out += printable(line);
  }
  return out;
}

/// Whether TEXT begins with "3:14: ", as errors within a text do.
bool begins_with_position(std::string_view text) {
  for (int part = 0; part < 2; ++part) {
    const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
    if (digits == 0 || digits == text.size() || text[digits] != ':') return false;
    text.remove_prefix(digits + 1);
  }
  return text.starts_with(' ');
}

}  // namespace

ErrorText error_text(const Error& error) {
  std::string message;
  if (!error.file().empty()) {
    // "rules.yaml:3:14: ..." is what editors jump to.
    message = printable(error.file()) + (begins_with_position(error.text()) ? ":" : ": ");
  }
  return {message + harmless(error.text()), harmless(error.hint())};
}

void write_error(JsonWriter& json, const Error& error, bool with_schema) {
  json.begin_object();
  if (with_schema) json.field("schema", "mlc.error/1");
  json.field("kind", to_string(error.kind()));
  json.field("message", error.message());
  if (!error.file().empty()) json.field("file", error.file());
  json.list("context", error.context());
  if (!error.hint().empty()) json.field("hint", error.hint());
  json.end_object();
}

std::string error_json(const Error& error) {
  Writer text;
  JsonWriter json(text, JsonLayout::compact);
  write_error(json, error, true);
  return text.take();
}

std::string message_json(std::string_view level, std::string_view text) {
  Writer line;
  JsonWriter json(line, JsonLayout::compact);
  json.begin_object();
  json.field("schema", "mlc.message/1");
  json.field("level", level);
  json.field("message", text);
  json.end_object();
  return line.take();
}

}  // namespace mlc::cli
