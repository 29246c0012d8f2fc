// An Error as a person reads it and as a program does.
#pragma once

#include "cli/json_writer.h"
#include "mlc/base/error.h"

#include <string>
#include <string_view>

namespace mlc::cli {

struct ErrorText {
  std::string message;  // "FILE: context: what", may have several lines (a caret, a list)
  std::string hint;
};

/// Nothing in it can act on a terminal: the file name is escaped, and of the rest, which lib/
/// escapes where it comes from a file, only line breaks are kept of all control characters.
ErrorText error_text(const Error& error);

/// The mlc.error/1 object (schemas/error.schema.json) on one line.
std::string error_json(const Error& error);
/// The same as a value within a larger object; `schema` only where it stands alone.
void write_error(JsonWriter& json, const Error& error, bool with_schema);

/// The mlc.message/1 object (schemas/message.schema.json) of a warning or a detail on one line.
std::string message_json(std::string_view level, std::string_view text);

}  // namespace mlc::cli
