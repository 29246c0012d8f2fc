#include "mlc/keys/key_rules.h"

#include "mlc/keys/rule_file.h"

namespace mlc {

Result<RuleSet> RuleSet::parse(std::string text, const std::string& file) {
  MLC_TRY(const yaml::Node root, yaml::parse(std::move(text), file));
  RuleSet out;
  MLC_TRY(out.rules_, read_rule_file(root, file));
  out.file_rules_ = out.rules_.size();
  return out;
}

Result<RuleSet> RuleSet::parse_file(const std::string& path) {
  MLC_TRY(const yaml::Node root, yaml::parse_file(path));
  RuleSet out;
  MLC_TRY(out.rules_, read_rule_file(root, path));
  out.file_rules_ = out.rules_.size();
  return out;
}

}  // namespace mlc
