#include "mlc/frontend/resize.h"

#include "mlc/base/text.h"
#include "mlc/frontend/expression.h"
#include "mlc/tensor/shape.h"

#include <algorithm>
#include <optional>
#include <set>

#include <fmt/format.h>

namespace mlc::arch {
namespace {

/// Which arguments of a type give the sizes of its tensors.
struct SizedType {
  std::string_view name;  // also with 1d, 2d and 3d behind it
  std::string_view first;
  std::string_view second;  // of the weight; empty: it has one axis
  std::string_view other;   // of tensors of one axis beside it
  bool is_grouped = false;  // the second is divided by `groups`
};

constexpr SizedType kSizedTypes[] = {
    {"Linear", "out_features", "in_features", "out_features"},
    {"Conv", "out_channels", "in_channels", "out_channels", true},
    {"ConvTranspose", "in_channels", "out_channels", "out_channels", true},
    {"BatchNorm", "num_features", "", "num_features"},
    {"InstanceNorm", "num_features", "", "num_features"},
    {"GroupNorm", "num_channels", "", "num_channels"},
    {"LayerNorm", "normalized_shape", "", "normalized_shape"},
    {"RMSNorm", "normalized_shape", "", "normalized_shape"},
    {"Embedding", "num_embeddings", "embedding_dim", ""},
    {"PReLU", "num_parameters", "", ""},
};

const SizedType* find_sized(std::string_view type) {
  for (const SizedType& row : kSizedTypes) {
    if (!type.starts_with(row.name)) continue;
    const std::string_view rest = type.substr(row.name.size());
    if (rest.empty() || rest == "1d" || rest == "2d" || rest == "3d") return &row;
  }
  return nullptr;
}

/// The argument that gives AXIS of a tensor of ROW; empty: none does.
std::string_view argument_of(const SizedType& row, const ScriptTensor& tensor, size_t axis) {
  if (tensor.name != "weight") return axis == 0 && tensor.shape.size() == 1 ? row.other : "";
  return axis == 0 ? row.first : axis == 1 ? row.second : "";
}

const Value* find_value(const std::vector<Constant>& all, std::string_view name) {
  const auto found = std::ranges::find(all, name, &Constant::name);
  return found == all.end() ? nullptr : &found->value;
}

/// An integer, or a list of one.
std::optional<int64_t> as_size(const Value& value) {
  if (const auto* const one = std::get_if<int64_t>(&value)) return *one;
  const auto* const list = std::get_if<Ints>(&value);
  return list != nullptr && list->size() == 1 ? std::optional(list->front()) : std::nullopt;
}

using ByPath = std::map<std::string, const ModuleOrigins*>;

ByPath by_path(const ValueOrigins& origins) {
  ByPath out;
  for (const ModuleOrigins& each : origins.modules) out.emplace(each.path, &each);
  return out;
}

OriginId origin_of(const ModuleOrigins& module, std::string_view argument) {
  for (const auto& [name, origin] : module.arguments) {
    if (name == argument) return origin;
  }
  return 0;
}

template <class Look>
void for_each_module(const ScriptModule& module, const Look& look) {
  look(module);
  for (const ScriptModule& child : module.children) for_each_module(child, look);
}

template <class Look>
void for_each_tensor(const ScriptModule& module, const Look& look) {
  for (const auto* const list : {&module.parameters, &module.buffers}) {
    for (const ScriptTensor& each : *list) look(each);
  }
}

/// Why the YAML cannot give AXIS of TENSOR another size; empty: it can.
std::string why_rigid(const ScriptModule& module, const ScriptTensor& tensor, size_t axis,
                      const ValueOrigins& origins, const ByPath& paths) {
  if (const auto own = origins.tensors.find(tensor.path); own != origins.tensors.end()) {
    if (axis < own->second.size() && own->second[axis] != 0) return "";
    return "the architecture states the shape of " + printable(tensor.path) + " as no number";
  }
  const SizedType* const row = find_sized(module.type);
  const std::string_view argument = row == nullptr ? "" : argument_of(*row, tensor, axis);
  if (argument.empty())
    return fmt::format("{} of the architecture has no argument for it", module.type);
  const auto found = paths.find(module.path);
  if (found != paths.end() && origin_of(*found->second, argument) != 0) return "";
  return fmt::format("the module above {} gives its {}", printable(module.path), argument);
}

struct Demand {
  OriginId origin = 0;
  int64_t value = 0;
  std::string what;
};

using Place = std::pair<size_t, size_t>;

class Resizer {
 public:
  Resizer(const Architecture& architecture, const ValueOrigins& origins, const SizeWishes& wishes)
      : architecture_(architecture), origins_(origins), wishes_(wishes), paths_(by_path(origins)) {}

  Result<std::string> run();

 private:
  Status collect();
  void collect_leaf(const ScriptModule& module, const ModuleOrigins& from);
  void demand(OriginId origin, int64_t value, std::string what);
  std::optional<int64_t> wished(const ScriptModule& module, std::string_view argument) const;

  Result<bool> settle();
  Result<bool> decide(OriginId id);
  Result<bool> pass_on(OriginId id);
  bool agrees(OriginId id) const;
  Result<bool> make_literal(OriginId id);
  std::optional<int64_t> solve(const ValueOrigin& from, int64_t value) const;

  Place place(OriginId id) const {
    return {origins_.at(id).node.line(), origins_.at(id).node.column()};
  }
  bool is_expression(OriginId id) const {
    return !origins_.at(id).names.empty() && !literal_.contains(place(id));
  }
  Error clash(OriginId id, int64_t one, const std::string& why, int64_t other,
              const std::string& other_why) const;
  Result<std::map<Place, std::string>> edits() const;
  Result<std::string> edited(const std::map<Place, std::string>& all) const;
  Status check(const Architecture& made) const;

  const Architecture& architecture_;
  const ValueOrigins& origins_;
  const SizeWishes& wishes_;
  ByPath paths_;
  std::vector<Demand> demands_;
  std::set<OriginId> passed_on_;  // to modules with sizes
  std::set<Place> literal_;       // expressions that become numbers

  struct Vote {
    int64_t value = 0;
    OriginId user = 0;  // 0: a module itself
    std::string what;
  };
  std::vector<std::vector<Vote>> votes_;  // by origin
  std::map<OriginId, Vote> decided_;
};

void Resizer::demand(OriginId origin, int64_t value, std::string what) {
  if (origin != 0) demands_.push_back({origin, value, std::move(what)});
}

/// The size that ARGUMENT of MODULE gets by the shapes of its tensors.
std::optional<int64_t> Resizer::wished(const ScriptModule& module,
                                       std::string_view argument) const {
  const SizedType* const row = find_sized(module.type);
  if (row == nullptr) return std::nullopt;
  const auto groups = wishes_.groups.find(module.path);
  if (row->is_grouped && argument == "groups" && groups != wishes_.groups.end())
    return groups->second;
  std::optional<int64_t> out;
  for_each_tensor(module, [&](const ScriptTensor& tensor) {
    const auto shape = wishes_.shapes.find(tensor.path);
    if (shape == wishes_.shapes.end()) return;
    for (size_t axis = 0; axis < shape->second.size() && axis < 2; ++axis) {
      if (argument_of(*row, tensor, axis) != argument) continue;
      int64_t size = shape->second[axis];
      if (row->is_grouped && axis == 1) {
        const Value* const before = find_value(module.arguments, "groups");
        size *= groups != wishes_.groups.end() ? groups->second
                : before != nullptr            ? as_size(*before).value_or(1)
                                               : 1;
      }
      out = size;
    }
  });
  return out;
}

void Resizer::collect_leaf(const ScriptModule& module, const ModuleOrigins& from) {
  const bool is_sized = find_sized(module.type) != nullptr;
  for (const auto& [name, origin] : from.arguments) {
    // What a module passes on is decided where it ends.
    if (!is_sized && passed_on_.contains(origin)) continue;
    const Value* const now = find_value(module.arguments, name);
    const auto size = now == nullptr ? std::nullopt : as_size(*now);
    if (size)
      demand(origin, wished(module, name).value_or(*size), name + " of " + printable(module.path));
  }
}

Status Resizer::collect() {
  for (const ModuleOrigins& each : origins_.modules) {
    if (find_sized(each.type) == nullptr || each.is_class) continue;
    for (const auto& [name, origin] : each.arguments) passed_on_.insert(origin);
  }
  for_each_module(architecture_.root(), [&](const ScriptModule& module) {
    const auto from = paths_.find(module.path);
    if (from == paths_.end()) return;
    if (!from->second->is_class) collect_leaf(module, *from->second);
    for_each_tensor(module, [&](const ScriptTensor& tensor) {
      const auto own = origins_.tensors.find(tensor.path);
      if (own == origins_.tensors.end()) return;
      const auto shape = wishes_.shapes.find(tensor.path);
      const Ints& sizes = shape == wishes_.shapes.end() ? tensor.shape : shape->second;
      for (size_t i = 0; i < std::min(sizes.size(), own->second.size()); ++i)
        demand(own->second[i], sizes[i], "the shape of " + printable(tensor.path));
    });
  });
  for (const auto& [name, value] : wishes_.arguments) {
    const auto from = paths_.find(name.first);
    if (from == paths_.end()) return internal_error("no class at " + name.first);
    demand(origin_of(*from->second, name.second), value,
           name.second + " of " + printable(name.first));
  }
  return {};
}

Error Resizer::clash(OriginId id, int64_t one, const std::string& why, int64_t other,
                     const std::string& other_why) const {
  const yaml::Node& node = origins_.at(id).node;
  return Error(ErrorKind::conflict,
               fmt::format("{}:{}:{}: {} would have to be {} for {} and {} for {}",
                           printable(architecture_.file()), node.line(), node.column(),
                           quoted(node.scalar()), one, why, other, other_why),
               "a share of each group, --amount 0.5 with --scope layer, takes the same of each; "
               "--exclude leaves channels whole; modules that are written one by one can differ");
}

/// Where the names in FROM give VALUE; nothing where no value of a single name does.
std::optional<int64_t> Resizer::solve(const ValueOrigin& from, int64_t value) const {
  if (from.names.size() != 1 || from.names[0].second == 0) return std::nullopt;
  const int64_t now = origins_.at(from.names[0].second).value;
  const auto at = [&](int64_t x) -> std::optional<int64_t> {
    const auto found = evaluate_int(from.node, {{from.names[0].first, x, 0}});
    return found.ok() ? std::optional(*found) : std::nullopt;
  };
  const auto twice = at(2 * now);
  if (!twice || *twice == from.value) return std::nullopt;
  const double slope = static_cast<double>(*twice - from.value) / static_cast<double>(now);
  const auto guess = now + static_cast<int64_t>(static_cast<double>(value - from.value) / slope);
  for (const int64_t x : {guess, guess - 1, guess + 1}) {
    if (x > 0 && at(x) == value) return x;
  }
  return std::nullopt;
}

/// Whether the expression of ID gives what it has to with what its names become.
bool Resizer::agrees(OriginId id) const {
  Scope scope;
  for (const auto& [name, origin] : origins_.at(id).names) {
    if (origin == 0) return decided_.at(id).value == origins_.at(id).value;
    const auto found = decided_.find(origin);
    scope.push_back(
        {name, found == decided_.end() ? origins_.at(origin).value : found->second.value, 0});
  }
  const auto value = evaluate_int(origins_.at(id).node, scope);
  return value.ok() && *value == decided_.at(id).value;
}

/// True: all has to be settled anew.
Result<bool> Resizer::make_literal(OriginId id) {
  if (!literal_.insert(place(id)).second)
    return internal_error("an expression is a number already");
  return true;
}

/// Hands what ID has to be to the name in its expression.
Result<bool> Resizer::pass_on(OriginId id) {
  const ValueOrigin& from = origins_.at(id);
  if (!is_expression(id)) return false;
  const Vote& vote = decided_.at(id);
  if (from.names.size() != 1 || from.names[0].second == 0) return false;  // agrees() tells later
  if (vote.value == from.value) {
    votes_[from.names[0].second].push_back(
        {origins_.at(from.names[0].second).value, id, vote.what});
    return false;
  }
  const auto needed = solve(from, vote.value);
  if (!needed) return make_literal(id);
  votes_[from.names[0].second].push_back({*needed, id, vote.what});
  return false;
}

/// What most of those that use ID need. The others become numbers.
Result<bool> Resizer::decide(OriginId id) {
  const std::vector<Vote>& all = votes_[id];
  if (all.empty()) return false;
  const auto count = [&](const Vote& vote) {
    return std::ranges::count(all, vote.value, &Vote::value);
  };
  const Vote& best = *std::ranges::max_element(all, {}, count);
  for (const Vote& other : all) {
    if (other.value == best.value) continue;
    // A lone `$name` that another copy of the same text also is cannot tell them apart.
    if (other.user != 0 && !literal_.contains(place(other.user))) return make_literal(other.user);
    return clash(id, best.value, best.what, other.value, other.what);
  }
  decided_[id] = best;
  return pass_on(id);
}

/// True where another expression became a number.
Result<bool> Resizer::settle() {
  votes_.assign(origins_.values.size() + 1, {});
  decided_.clear();
  for (const Demand& each : demands_) votes_[each.origin].push_back({each.value, 0, each.what});
  // Those that a text names were there before it.
  for (OriginId id = origins_.values.size(); id > 0; --id) {
    MLC_TRY(const bool again, decide(id));
    if (again) return true;
  }
  for (const auto& [id, vote] : decided_) {
    if (is_expression(id) && !agrees(id)) return make_literal(id);
  }
  return false;
}

Result<std::map<Place, std::string>> Resizer::edits() const {
  std::map<Place, std::string> out;
  std::map<Place, std::pair<OriginId, const Vote*>> seen;
  for (const auto& [id, vote] : decided_) {
    if (is_expression(id)) continue;
    const auto [first, is_new] = seen.emplace(place(id), std::pair(id, &vote));
    const Vote& other = *first->second.second;
    if (!is_new && other.value != vote.value)
      return clash(id, other.value, other.what, vote.value, vote.what);
    if (vote.value != origins_.at(id).value || literal_.contains(place(id)))
      out[place(id)] = std::to_string(vote.value);
  }
  return out;
}

Result<std::string> Resizer::edited(const std::map<Place, std::string>& all) const {
  const std::string& text = architecture_.text();
  std::vector<size_t> lines = {0};
  for (size_t at = text.find('\n'); at != text.npos; at = text.find('\n', at + 1))
    lines.push_back(at + 1);
  std::map<Place, std::string> before;
  for (const ValueOrigin& each : origins_.values)
    before[{each.node.line(), each.node.column()}] = each.node.scalar();
  std::string out;
  size_t done = 0;
  for (const auto& [where, value] : all) {
    const size_t from = lines[where.first - 1] + where.second - 1;
    const std::string& old = before[where];
    if (text.compare(from, old.size(), old) != 0) {
      return conflict(fmt::format("{}:{}:{}: the number to change is not written on one line",
                                  printable(architecture_.file()), where.first, where.second));
    }
    out += text.substr(done, from - done) + value;
    done = from + old.size();
  }
  return out + text.substr(done);
}

/// Whether nothing but what was wished for is another.
Status Resizer::check(const Architecture& made) const {
  std::map<std::string, Ints> before;
  for (StateDictTensor& row : state_dict_of(architecture_)) before[row.name] = std::move(row.shape);
  for (const auto& [name, shape] : wishes_.shapes) before[name] = shape;
  for (const StateDictTensor& row : state_dict_of(made)) {
    if (before[row.name] == row.shape) continue;
    return conflict(
        fmt::format("the architecture cannot be written with other numbers alone: {} "
                    "would be {} instead of {}",
                    printable(row.name), format_shape(row.shape), format_shape(before[row.name])),
        "--exclude leaves its channels whole");
  }
  std::map<std::string, const ScriptModule*> modules;
  for_each_module(made.root(), [&](const ScriptModule& module) { modules[module.path] = &module; });
  std::vector<std::string> changed;
  for_each_module(architecture_.root(), [&](const ScriptModule& module) {
    const auto from = paths_.find(module.path);
    const auto to = modules.find(module.path);
    if (to == modules.end()) changed.push_back(printable(module.path));
    if (to == modules.end() || from == paths_.end() || from->second->is_class) return;
    for (const Constant& each : module.arguments) {
      const Value* const now = find_value(to->second->arguments, each.name);
      const bool is_size = origin_of(*from->second, each.name) != 0;
      if (!is_size && (now == nullptr || *now != each.value))
        changed.push_back(each.name + " of " + printable(module.path));
    }
  });
  if (changed.empty()) return {};
  return conflict("the architecture cannot be written with other numbers alone: " +
                      join_list(changed) + " would change too",
                  "--exclude leaves channels whole");
}

Result<std::string> Resizer::run() {
  MLC_CHECK(collect());
  for (;;) {
    MLC_TRY(const bool again, settle());
    if (!again) break;
  }
  MLC_TRY(const auto changes, edits());
  MLC_TRY(std::string text, edited(changes));
  MLC_TRY(const Architecture made, Architecture::parse(text, architecture_.file()));
  MLC_CHECK(check(made));
  return text;
}

}  // namespace

std::vector<RigidAxis> rigid_axes(const Architecture& architecture, const ValueOrigins& origins) {
  const ByPath paths = by_path(origins);
  std::vector<RigidAxis> out;
  for_each_module(architecture.root(), [&](const ScriptModule& module) {
    for_each_tensor(module, [&](const ScriptTensor& tensor) {
      for (size_t axis = 0; axis < tensor.shape.size(); ++axis) {
        std::string why = why_rigid(module, tensor, axis, origins, paths);
        if (!why.empty()) out.push_back({tensor.path, axis, std::move(why)});
      }
    });
  });
  return out;
}

Result<std::string> resize(const Architecture& architecture, const ValueOrigins& origins,
                           const SizeWishes& wishes) {
  return Resizer(architecture, origins, wishes).run();
}

}  // namespace mlc::arch
