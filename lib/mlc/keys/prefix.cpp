#include "mlc/keys/prefix.h"

#include "mlc/base/sentence_key.h"
#include "mlc/base/shell_word.h"
#include "mlc/base/text.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <set>
#include <unordered_set>

namespace mlc {
namespace {

struct KnownPrefix {
  std::string_view prefix;
  bool at_front;  // stripped from the front by default, must be on all keys
  bool inside;    // stripped wherever it stands by default
};

// checkpoint-formats, section 6. Rows that are neither are ordinary attribute names: only hints.
constexpr std::array<KnownPrefix, 13> kKnown = {{
    {"module.", true, false},
    {"_orig_mod.", true, true},
    {"_fsdp_wrapped_module.", false, true},
    {"_checkpoint_wrapped_module.", false, true},
    {"_forward_module.", false, false},
    {"model.", false, false},
    {"net.", false, false},
    {"ema_model.", false, false},
    {"base_model.model.", false, false},
    {"student.", false, false},
    {"teacher.", false, false},
    {"backbone.", false, false},
    {"encoder.", false, false},
}};

// Buffers that a wrapper owns itself: AveragedModel, ema_pytorch, LitEma.
constexpr std::array<std::string_view, 5> kWrapperBuffers = {"n_averaged", "initted", "step",
                                                             "num_updates", "decay"};

bool is_wrapper_buffer(std::string_view key) {
  return std::find(kWrapperBuffers.begin(), kWrapperBuffers.end(), key) != kWrapperBuffers.end();
}

// Where PREFIX stands in KEY as whole components, from FROM on, with something behind it; or npos.
size_t find_components(std::string_view key, std::string_view prefix, size_t from) {
  for (size_t at = key.find(prefix, from); at != std::string_view::npos;
       at = key.find(prefix, at + 1)) {
    const bool is_whole = at == 0 || key[at - 1] == '.';
    if (is_whole && at + prefix.size() < key.size()) return at;
  }
  return std::string_view::npos;
}

bool starts_with_prefix(std::string_view key, std::string_view prefix) {
  return key.size() > prefix.size() && key.starts_with(prefix);
}

bool is_flat_parameter(std::string_view key) {
  const size_t dot = key.rfind('.');
  const std::string_view leaf = dot == std::string_view::npos ? key : key.substr(dot + 1);
  return leaf.starts_with("_flat_param") ||
         (leaf == "flat_param" && find_components(key, "_fsdp_wrapped_module.", 0) != key.npos);
}

class Stripper {
 public:
  Stripper(std::span<const KeyInfo> keys, const PrefixOptions& options)
      : keys_(keys), options_(options) {}
  Result<Plan> run();

 private:
  Status choose_prefixes();
  Status refuse_flat_parameters() const;
  void strip_inside();
  Status strip_front();
  std::string_view front_prefix(std::string_view key) const;
  Status check_mixed(std::span<const size_t> lengths, size_t with) const;
  std::string partial_hint(std::span<const size_t> lengths,
                           std::span<const std::string> names) const;
  bool contains_prefix(std::string_view key) const;
  void warn_of_deeper(std::span<const size_t> lengths, size_t with);
  void note_wrapper_buffers(Plan& plan) const;
  Result<Plan> plan();

  std::span<const KeyInfo> keys_;
  const PrefixOptions& options_;
  std::vector<std::string> front_;
  std::vector<std::string> inside_;
  // What is left of a key: its name from `begin` on, or, where something inside was cut out, that
  // text of cuts_ from `begin` on. Small, for there are many keys and few cuts.
  struct Rest {
    uint32_t begin = 0;
    uint32_t cut = NameIndex::kNone;
  };
  std::string_view rest(size_t i) const {
    const Rest& rest = rests_[i];
    const std::string_view all =
        rest.cut == NameIndex::kNone ? keys_[i].name : std::string_view(cuts_[rest.cut]);
    return all.substr(rest.begin);
  }
  void cut(size_t i, size_t at, size_t length);
  std::vector<Rest> rests_;
  std::vector<std::string> cuts_;
  std::vector<std::string> warnings_;
  bool front_found_ = false;
};

Status Stripper::choose_prefixes() {
  for (const std::string& prefix : options_.prefixes) {
    if (prefix.empty() || prefix == ".") return usage_error("a prefix to strip is empty");
    front_.push_back(prefix.back() == '.' ? prefix : prefix + ".");
  }
  if (front_.empty() && options_.add.empty()) {
    for (const KnownPrefix& known : kKnown) {
      if (known.at_front) front_.emplace_back(known.prefix);
      if (known.inside) inside_.emplace_back(known.prefix);
    }
  }
  if (options_.anywhere) {
    for (const std::string& prefix : front_) {
      if (std::find(inside_.begin(), inside_.end(), prefix) == inside_.end())
        inside_.push_back(prefix);
    }
  }
  return {};
}

Status Stripper::refuse_flat_parameters() const {
  for (const KeyInfo& key : keys_) {
    if (!is_flat_parameter(key.name)) continue;
    return unsupported(
        sentence_key(key.name) +
            " is a flattened parameter of FSDP: several tensors in one, whose names and "
            "shapes are not in the file",
        "save the model again under FSDP's StateDictType.FULL_STATE_DICT");
  }
  return {};
}

void Stripper::cut(size_t i, size_t at, size_t length) {
  if (rests_[i].cut == NameIndex::kNone) {
    cuts_.emplace_back(rest(i));
    rests_[i].cut = static_cast<uint32_t>(cuts_.size() - 1);
  }
  cuts_[rests_[i].cut].erase(at, length);
}

// Cuts components out of the middle, and those that are not front prefixes from the front as well.
void Stripper::strip_inside() {
  for (const std::string& prefix : inside_) {
    const bool may_lead = std::find(front_.begin(), front_.end(), prefix) == front_.end();
    for (size_t i = 0; i < keys_.size(); ++i) {
      size_t at = find_components(rest(i), prefix, may_lead ? 0 : 1);
      for (; at != std::string_view::npos;
           at = find_components(rest(i), prefix, may_lead ? 0 : 1)) {
        cut(i, at, prefix.size());
      }
    }
  }
}

std::string_view Stripper::front_prefix(std::string_view key) const {
  for (const std::string& prefix : front_) {
    if (starts_with_prefix(key, prefix)) return prefix;
  }
  return {};
}

bool Stripper::contains_prefix(std::string_view key) const {
  return std::any_of(front_.begin(), front_.end(), [&](const std::string& prefix) {
    return find_components(key, prefix, 0) != std::string_view::npos;
  });
}

// LENGTHS has the length of the prefix of each key, WITH how many have one.
Status Stripper::check_mixed(std::span<const size_t> lengths, size_t with) const {
  size_t without = 0;
  std::string_view first_with;
  std::string_view first_without;
  for (size_t i = 0; i < keys_.size(); ++i) {
    const std::string_view name = keys_[i].name;
    if (!keys_[i].is_tensor) continue;
    if (lengths[i] > 0) {
      if (first_with.empty()) first_with = name;
    } else if (!is_wrapper_buffer(rest(i)) && !(options_.anywhere && contains_prefix(name))) {
      if (without++ == 0) first_without = name;
    }
  }
  if (without == 0) return {};
  std::vector<std::string> names;
  std::ranges::copy_if(front_, std::back_inserter(names), [&](const std::string& prefix) {
    return std::ranges::any_of(
        keys_, [&](const KeyInfo& key) { return starts_with_prefix(key.name, prefix); });
  });
  return conflict(plural(with, "key begins", "keys begin") + " with " + join_list(names) +
                      " (first " + sentence_key(first_with) + "), but " +
                      plural(without, "key does", "keys do") + " not (first " +
                      sentence_key(first_without) + ")",
                  partial_hint(lengths, names));
}

// --partial, unless that would only fail in another way: two models may have been merged.
std::string Stripper::partial_hint(std::span<const size_t> lengths,
                                   std::span<const std::string> names) const {
  std::unordered_set<std::string_view> kept;
  for (size_t i = 0; i < keys_.size(); ++i) {
    if (lengths[i] == 0) kept.insert(rest(i));
  }
  uint64_t twice = 0;
  for (size_t i = 0; i < keys_.size(); ++i) {
    if (lengths[i] > 0 && kept.contains(rest(i).substr(lengths[i]))) ++twice;
  }
  if (twice == 0 || names.empty()) {
    return "--partial strips where there is something to strip and keeps the rest";
  }
  return plural(twice, "name") + " would be there twice, as of two models; `mlc save --include " +
         shell_word(names[0] + "*") + "` takes one of them out";
}

// LENGTHS and WITH as in check_mixed(). A submodule may truly be called so.
void Stripper::warn_of_deeper(std::span<const size_t> lengths, size_t with) {
  std::set<std::string> names;
  std::string_view first;
  for (size_t i = 0; i < keys_.size(); ++i) {
    if (!keys_[i].is_tensor || lengths[i] == 0) continue;
    names.emplace(rest(i).substr(0, lengths[i]));
    if (first.empty()) first = keys_[i].name;
  }
  warnings_.push_back(plural(with, "key still begins", "keys still begin") + " with " +
                      join_list(std::vector<std::string>(names.begin(), names.end())) + " (first " +
                      sentence_key(first) +
                      "): kept as the name of a submodule, for not all keys do; --partial strips "
                      "it, --max-depth says that it is meant to stay");
}

Status Stripper::strip_front() {
  std::vector<size_t> lengths(keys_.size());
  for (int depth = 0; depth != options_.max_depth; ++depth) {
    size_t with = 0;
    size_t without = 0;
    for (size_t i = 0; i < keys_.size(); ++i) {
      lengths[i] = front_prefix(rest(i)).size();
      if (!keys_[i].is_tensor) continue;
      if (lengths[i] > 0) {
        ++with;
      } else if (!is_wrapper_buffer(rest(i))) {
        ++without;
      }
    }
    if (with == 0) return {};
    if (!options_.partial && depth == 0) MLC_CHECK(check_mixed(lengths, with));
    if (!options_.partial && depth > 0 && without > 0) {
      warn_of_deeper(lengths, with);
      return {};
    }
    front_found_ = true;
    for (size_t i = 0; i < keys_.size(); ++i) rests_[i].begin += static_cast<uint32_t>(lengths[i]);
  }
  return {};
}

void Stripper::note_wrapper_buffers(Plan& plan) const {
  if (!front_found_) return;
  std::vector<std::string> kept;
  for (const KeyInfo& key : keys_) {
    if (key.is_tensor && is_wrapper_buffer(key.name)) kept.emplace_back(key.name);
  }
  if (!kept.empty()) plan.notes.push_back("kept beside the model: " + join_list(kept));
}

Result<Plan> Stripper::plan() {
  Plan plan;
  plan.warnings = std::move(warnings_);
  note_wrapper_buffers(plan);
  plan.names.reserve(keys_.size());
  plan.items.resize(keys_.size());
  for (uint32_t i = 0; i < keys_.size(); ++i) {
    plan.add_name(keys_[i]);
    PlanItem& item = plan.items[i];
    item.name.reserve(options_.add.size() + rest(i).size());
    if (!keys_[i].is_beside()) item.name += options_.add;
    item.name += rest(i);
    item.sources.push_back(i);
    if (item.name != keys_[i].name) item.op = PlanItem::Op::rename;
  }
  if (Status names = plan.check_names(); !names.ok()) {
    return std::move(names).error().with_hint(
        "two models may have been merged; `mlc save --include` takes one of them out");
  }
  return plan;
}

Result<Plan> Stripper::run() {
  MLC_CHECK(choose_prefixes());
  MLC_CHECK(refuse_flat_parameters());
  rests_.resize(keys_.size());
  strip_inside();
  MLC_CHECK(strip_front());
  return plan();
}

/// Says of a PREFIX that was asked for and is in no key, or begins none, that it is so.
std::string unused_prefix(std::span<const KeyInfo> keys, const std::string& given, bool anywhere) {
  const std::string prefix = given.ends_with('.') ? given : given + ".";
  bool inside = false;
  std::set<std::string> first;  // components, for the nearest
  for (const KeyInfo& key : keys) {
    if (starts_with_prefix(key.name, prefix)) return {};
    inside |= find_components(key.name, prefix, 0) != std::string_view::npos;
    const size_t dot = key.name.find('.');
    if (dot != key.name.npos) first.emplace(key.name.substr(0, dot + 1));
  }
  if (inside) {
    return anywhere ? ""
                    : "--prefix " + printable(prefix) +
                          " begins no key; --anywhere strips it within keys too";
  }
  const std::vector<std::string> candidates(first.begin(), first.end());
  const auto near = nearest(prefix, candidates);
  return "--prefix " + printable(prefix) + " is in no key" +
         (near ? "; did you mean " + printable(*near) + "?" : "");
}

void warn_of_wrapped_parts(Plan& plan) {
  std::vector<std::string_view> names;
  names.reserve(plan.items.size());
  for (const PlanItem& item : plan.items) names.push_back(item.name);
  const WrappedParts parts = wrapped_parts(names);
  if (parts.keys > 0) plan.warnings.push_back(parts.text() + "; --anywhere strips it there too");
}

/// Takes those out of PARENTS that have other children than PREFIX among KEYS.
void keep_only_children(std::span<const std::string_view> keys, std::string_view prefix,
                        std::vector<std::string_view>& parents) {
  std::unordered_set<std::string_view> left(parents.begin(), parents.end());
  for (const std::string_view key : keys) {
    for (size_t dot = key.find('.'); dot != key.npos; dot = key.find('.', dot + 1)) {
      if (!starts_with_prefix(key.substr(dot + 1), prefix)) left.erase(key.substr(0, dot));
    }
  }
  std::erase_if(parents, [&left](std::string_view parent) { return !left.contains(parent); });
}

}  // namespace

std::string WrappedParts::text() const {
  std::vector<std::string> names;
  for (const std::string& parent : parents) names.push_back(sentence_key(parent));
  return plural(keys, "key has", "keys have") + " module. behind " + join_list(names, 3);
}

WrappedParts wrapped_parts(std::span<const std::string_view> keys) {
  constexpr std::string_view kPrefix = "module.";
  std::vector<std::string_view> parents;
  std::unordered_set<std::string_view> known;
  const auto parent_of = [kPrefix](std::string_view key) {
    const size_t at = find_components(key, kPrefix, 1);
    return at == key.npos ? std::string_view() : key.substr(0, at - 1);
  };
  for (const std::string_view key : keys) {
    const std::string_view parent = parent_of(key);
    if (!parent.empty() && known.insert(parent).second) parents.push_back(parent);
  }
  if (parents.empty()) return {};
  keep_only_children(keys, kPrefix, parents);
  WrappedParts out;
  out.parents.assign(parents.begin(), parents.end());
  const std::unordered_set<std::string_view> left(parents.begin(), parents.end());
  for (const std::string_view key : keys) out.keys += left.contains(parent_of(key)) ? 1 : 0;
  return out;
}

Result<Plan> plan_strip_prefix(std::span<const KeyInfo> keys, const PrefixOptions& options) {
  MLC_TRY(Plan plan, Stripper(keys, options).run());
  const bool chosen = !options.prefixes.empty() || !options.add.empty() || options.anywhere;
  // Of a file that stays as it is, whoever asked for the plan tells of all prefixes.
  if (!chosen && options.max_depth < 0 && plan.changes_anything()) warn_of_wrapped_parts(plan);
  for (const std::string& prefix : options.prefixes) {
    std::string warning =
        unused_prefix(keys, prefix, options.anywhere || options.prefixes.size() > 1);
    if (!warning.empty()) plan.warnings.push_back(std::move(warning));
  }
  return plan;
}

std::vector<std::string> kept_by_wrappers(std::span<const KeyInfo> keys) {
  std::vector<std::string> names;
  for (const KeyInfo& key : keys) {
    if (is_wrapper_buffer(key.name)) names.emplace_back(key.name);
  }
  return names;
}

std::vector<PrefixHint> detect_prefixes(std::span<const KeyInfo> keys) {
  uint64_t buffers = 0;
  std::array<uint64_t, kKnown.size()> counts{};
  for (const KeyInfo& key : keys) {
    if (is_wrapper_buffer(key.name)) ++buffers;
    for (size_t i = 0; i < kKnown.size(); ++i) {
      const KnownPrefix& known = kKnown[i];
      const bool has = known.inside ? find_components(key.name, known.prefix, 0) != key.name.npos
                                    : starts_with_prefix(key.name, known.prefix);
      if (has) ++counts[i];
    }
  }
  std::vector<PrefixHint> hints;
  for (size_t i = 0; i < kKnown.size(); ++i) {
    const KnownPrefix& known = kKnown[i];
    if (counts[i] == 0) continue;
    hints.push_back({known.prefix, counts[i], keys.size() - buffers, known.at_front || known.inside,
                     known.inside});
  }
  return hints;
}

}  // namespace mlc
