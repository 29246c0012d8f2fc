// The words of the text form of graphs, which printing and parsing share.
#pragma once

#include "mlc/ir/graph.h"

#include <optional>
#include <string>
#include <string_view>

namespace mlc::ir {

/// "int", "float", "boolean", "string".
std::string_view scalar_name(ScalarKind kind);
std::optional<ScalarKind> scalar_from_name(std::string_view name);
/// "parameter", "buffer", "constant".
std::string_view weight_word(ValueKind kind);
std::optional<ValueKind> weight_from_word(std::string_view word);

/// In double quotes; bytes below space, quotes, backslashes and malformed UTF-8 as \xNN.
std::string string_text(std::string_view text);
/// A name as it stands where it is a word, else quoted.
std::string word_text(std::string_view name);
/// "%" and the name.
std::string value_text(std::string_view name);
/// A number that reads back to the same double and is no integer: "1.0", "1e-05", "inf", "nan".
std::string number_text(double value);
/// What may stand in a name without quotes: letters, digits, "_" and "."; a word begins with a
/// letter or "_", the name of a value behind its "%" with any of them.
bool is_word_char(char c);
bool is_word_start(char c);
/// By the name in DTypeInfo::brief only: "f32".
std::optional<DType> dtype_from_brief(std::string_view name);

}  // namespace mlc::ir
