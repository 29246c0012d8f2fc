#include "mlc/keys/plan.h"

#include "mlc/base/sentence_key.h"
#include "mlc/base/text.h"
#include "mlc/keys/problem_list.h"

#include <algorithm>

namespace mlc {
namespace {

using Op = PlanItem::Op;

std::string source_text(const PlanItem& item, const Plan& plan) {
  std::string out;
  for (const uint32_t source : item.sources) {
    if (!out.empty()) out += " + ";
    out += sentence_key(plan.names[source]);
  }
  return out;
}

std::string numbers(std::span<const int64_t> values) {
  std::string out;
  for (const int64_t value : values) {
    if (!out.empty()) out += ",";
    out += std::to_string(value);
  }
  return out;
}

std::string operation_text(const PlanItem& item) {
  switch (item.op) {
    case Op::keep:
    case Op::rename:
      return {};
    case Op::split:
      return "split dim " + std::to_string(item.dim) + ", part " + std::to_string(item.part + 1) +
             " of " + std::to_string(item.parts);
    case Op::concat:
      return "concat dim " + std::to_string(item.dim);
    case Op::transpose:
      return "transpose " + numbers(item.permutation);
  }
  return {};
}

// Moved once into its own place: a tensor with its own item, not one of several parts or sources.
bool has_own_item(const PlanItem& item) {
  return item.op == Op::keep || item.op == Op::rename || item.op == Op::transpose;
}

std::string_view old_name(const Plan& plan, uint32_t item) {
  return plan.names[plan.items[item].sources[0]];
}

}  // namespace

int64_t PlanItem::part_offset() const {
  int64_t offset = 0;
  for (uint32_t i = 0; i < part; ++i) offset += sizes[i];
  return offset;
}

void Plan::add_name(const KeyInfo& key) {
  if (!key.is_tensor) first_other = std::min(first_other, static_cast<uint32_t>(names.size()));
  names.emplace_back(key.name);
}

PlanCounts Plan::counts() const {
  PlanCounts counts;
  counts.dropped = dropped.size();
  uint32_t last_split = NameIndex::kNone;
  for (const PlanItem& item : items) {
    switch (item.op) {
      case Op::keep:
        ++counts.untouched;
        break;
      case Op::rename:
        ++counts.renamed;
        break;
      case Op::concat:
        ++counts.concatenated;
        break;
      case Op::transpose:
        ++counts.transposed;
        break;
      case Op::split:  // the parts of one source stand together
        if (item.sources[0] != last_split) ++counts.split;
        last_split = item.sources[0];
        break;
    }
  }
  return counts;
}

bool Plan::is_emptied() const {
  const auto of_tensors = [this](const auto& one) { return is_tensor(one.source); };
  return std::any_of(dropped.begin(), dropped.end(), of_tensors) &&
         std::none_of(items.begin(), items.end(),
                      [this](const PlanItem& item) { return is_tensor(item.sources[0]); });
}

bool Plan::changes_anything() const {
  return !dropped.empty() ||
         std::any_of(items.begin(), items.end(), [](const auto& i) { return i.op != Op::keep; });
}

bool Plan::is_pure_rename() const {
  return std::all_of(items.begin(), items.end(), [](const PlanItem& item) {
    return item.op == Op::keep || item.op == Op::rename;
  });
}

void Plan::index_items() const {
  item_by_old_name_ = NameIndex(items.size());
  is_indexed_ = true;
  for (uint32_t i = 0; i < items.size(); ++i) {
    if (has_own_item(items[i]))
      item_by_old_name_.insert(old_name(*this, i), i,
                               [&](uint32_t j) { return old_name(*this, j); });
  }
}

std::optional<std::string> Plan::new_name_of(std::string_view old) const {
  if (!is_indexed_) index_items();
  const uint32_t item = item_by_old_name_.find(old, [&](uint32_t i) { return old_name(*this, i); });
  if (item == NameIndex::kNone) return std::nullopt;
  return items[item].name;
}

Status Plan::check_names() const {
  NameIndex by_new_name(items.size());
  ProblemList collisions;
  for (uint32_t i = 0; i < items.size(); ++i) {
    const PlanItem& item = items[i];
    if (item.name.empty() && item.op != Op::keep)
      return conflict(source_text(item, *this) + " would get an empty name");
    const uint32_t other = by_new_name.insert(
        item.name, i, [&](uint32_t j) { return std::string_view(items[j].name); });
    if (other == NameIndex::kNone) continue;
    if (item.op == Op::keep && !is_tensor(item.sources[0])) {
      collisions.add(source_text(items[other], *this) + " would become " + sentence_key(item.name) +
                     ", but " + sentence_key(item.name) + " is there already, and no tensor");
      continue;
    }
    collisions.add(source_text(items[other], *this) + " and " + source_text(item, *this) +
                   " both become " + sentence_key(item.name));
  }
  if (collisions.empty()) return {};
  return conflict(collisions.text("names would be given twice"));
}

std::string describe(const PlanItem& item, const Plan& plan) {
  if (item.op == Op::keep) return sentence_key(item.name);
  std::string out = source_text(item, plan) + " -> " + sentence_key(item.name);
  std::string why;
  for (const uint32_t rule : item.rules) {
    if (!why.empty()) why += ", ";
    why += plan.uses[rule].label;
  }
  if (const std::string operation = operation_text(item); !operation.empty())
    why += (why.empty() ? "" : ", ") + operation;
  if (!why.empty()) out += "  (" + why + ")";
  return out;
}

std::string describe(const DroppedKey& key, const Plan& plan) {
  std::string out = "drop " + sentence_key(plan.names[key.source]);
  if (key.name != plan.names[key.source]) out += " as " + sentence_key(key.name);
  return out + "  (" + plan.uses[key.rule].label + ")";
}

}  // namespace mlc
