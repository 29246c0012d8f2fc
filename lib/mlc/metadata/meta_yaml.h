// Writing values as YAML that every reader takes for the same values.
//
// Output is deterministic: block style, two spaces, text quoted only where YAML 1.2 or one of the
// widespread YAML 1.1 readers would take it for something else ("no", 1e3, 1_000, 12:30:00,
// 2024-01-01), multi-line text as literal blocks where that is exact.
#pragma once

#include "mlc/metadata/meta_value.h"

#include <string>
#include <string_view>

namespace mlc {

/// VALUE as a block, ending in a newline.
std::string write_yaml(const MetaValue& value);
/// VALUE on one line, "{verb: save, options: {}}", without a newline.
std::string write_yaml_flow(const MetaValue& value);
/// "KEY: VALUE" as one entry of a block mapping at the left margin.
std::string write_yaml_entry(std::string_view key, const MetaValue& value);
/// TEXT as a scalar, quoted where needed; FLOW: inside [] or {}.
std::string yaml_text(std::string_view text, bool flow);
/// The shortest digits that read back as VALUE, always recognisable as a number with a point.
std::string yaml_double(double value);

}  // namespace mlc
