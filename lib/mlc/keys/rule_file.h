// Reads the rules of a rule file. Part of key_rules.h, which describes the file.
#pragma once

#include "mlc/base/result.h"
#include "mlc/keys/rule.h"
#include "mlc/yaml/document.h"

#include <string>
#include <vector>

namespace mlc {

/// The rules of the file whose root node is ROOT. Errors: usage, pointing into FILE.
Result<std::vector<Rule>> read_rule_file(const yaml::Node& root, const std::string& file);

}  // namespace mlc
