// Rule files: the text up to the first zero byte is a file, each line behind it a key. A plan that
// can be inverted must give the names back.
#include "mlc/base/text.h"
#include "mlc/keys/invert.h"
#include "mlc/keys/module_prefixes.h"
#include "mlc/keys/plan_builder.h"
#include "mlc/keys/prefix.h"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

namespace {

constexpr int64_t kShape[] = {6, 4};

std::vector<mlc::KeyInfo> keys_of(const std::vector<std::string_view>& names) {
  std::vector<mlc::KeyInfo> keys;
  for (const std::string_view name : names) keys.push_back({name, kShape, true});
  return keys;
}

bool changes_shapes(const mlc::Plan& plan) {
  return !plan.is_pure_rename();
}

// Only renames are carried out here: the shapes after a split or concat are the writer's business.
void check_inverse(const mlc::Plan& plan) {
  auto text = mlc::invert(plan);
  if (!text.ok()) return;
  auto rules = mlc::RuleSet::parse(*text, "inverse.yaml");
  if (!rules.ok()) std::abort();
  if (changes_shapes(plan)) return;
  std::vector<std::string_view> names;
  for (const mlc::PlanItem& item : plan.items) names.push_back(item.name);
  auto back = mlc::make_plan(keys_of(names), *rules);
  if (!back.ok()) std::abort();
  for (size_t i = 0; i < plan.names.size(); ++i) {
    if (back->items[i].name != plan.names[i]) std::abort();
  }
}

void describe_all(const mlc::Plan& plan) {
  for (const mlc::PlanItem& item : plan.items) (void)describe(item, plan);
  for (const mlc::DroppedKey& key : plan.dropped) (void)describe(key, plan);
  const std::vector<std::string> modules = {"", "a", "a.b"};
  (void)mlc::map_module_prefixes(modules, plan);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t end = std::min(input.find('\0'), input.size());
  const std::string_view list = end < input.size() ? input.substr(end + 1) : "a.b.weight\na.bias";
  const auto keys = keys_of(mlc::split(list, '\n'));

  if (auto plan = mlc::plan_strip_prefix(keys, {}); plan.ok()) describe_all(*plan);
  mlc::RuleSet short_forms;
  const std::string_view rule_text = input.substr(0, end);
  if (short_forms.add_regex(rule_text).ok() || short_forms.add_map(rule_text).ok()) {
    if (auto plan = mlc::make_plan(keys, short_forms); plan.ok()) check_inverse(*plan);
  }
  auto rules = mlc::RuleSet::parse(std::string(rule_text), "rules.yaml");
  if (!rules.ok()) return 0;
  auto plan = mlc::make_plan(keys, *rules);
  if (!plan.ok()) return 0;
  describe_all(*plan);
  check_inverse(*plan);
  return 0;
}
