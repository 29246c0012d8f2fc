#include "mlc/checkpoint/model_names.h"

#include <algorithm>
#include <array>
#include <string>

namespace mlc {
namespace {

/// Words that start the keys under which training code keeps what is no model.
constexpr std::array<std::string_view, 6> kNotModels = {"optim", "lr_sched", "scheduler",
                                                        "rng",   "loops",    "callbacks"};

}  // namespace

bool is_model_key(std::string_view key) {
  return std::none_of(kNotModels.begin(), kNotModels.end(),
                      [key](std::string_view word) { return key.starts_with(word); });
}

bool names_model(std::string_view path) {
  constexpr std::array<std::string_view, 19> kWords = {
      "module",  "modules",   "state",         "sd",  "weights", "params", "parameters",
      "teacher", "generator", "discriminator", "ema", "student", "actor",  "critic",
      "policy",  "encoder",   "decoder",       "g",   "d"};
  const auto is_model_word = [&](std::string_view word) {
    const auto has = [word](std::string_view part) {
      return word.starts_with(part) || word.ends_with(part);
    };
    return has("model") || has("net") || std::ranges::find(kWords, word) != kWords.end();
  };
  std::string word;
  for (const char c : path) {
    const bool upper = c >= 'A' && c <= 'Z';
    if (c != '.' && c != '_' && c != '-') {
      word += upper ? static_cast<char>(c - 'A' + 'a') : c;
      continue;
    }
    if (is_model_word(word)) return true;
    word.clear();
  }
  return is_model_word(word);
}

bool is_inside(const StateDict& inner, const StateDict& outer) {
  return inner.path.size() > outer.path.size() && inner.path.starts_with(outer.path) &&
         (outer.path.empty() || inner.path[outer.path.size()] == '.');
}

std::string_view last_key(std::string_view path) {
  return path.substr(path.rfind('.') + 1);
}

bool is_extra_state(std::string_view key) {
  constexpr std::string_view kName = "_extra_state";
  return last_key(key) == kName;
}

std::string_view path_within(const StateDict& outer, const StateDict& inner) {
  constexpr std::array<std::string_view, 3> kWrappers = {"module.", "_orig_mod.",
                                                         "_fsdp_wrapped_module."};
  const std::string_view path =
      std::string_view(inner.path).substr(outer.path.empty() ? 0 : outer.path.size() + 1);
  size_t taken = 0;
  const auto wraps = [&](std::string_view wrapper) {
    const std::string_view head = path.substr(0, taken + wrapper.size());
    return path.substr(taken).starts_with(wrapper) &&
           std::ranges::any_of(outer.entries, [head](const StateDictEntry& entry) {
             return entry.key.starts_with(head);
           });
  };
  for (auto found = kWrappers.end();; taken += found->size()) {
    found = std::ranges::find_if(kWrappers, wraps);
    if (found == kWrappers.end()) return path.substr(taken);
  }
}

namespace {

bool has_dots(const StateDictEntry& entry) {
  return entry.key.find('.') != entry.key.npos;
}

/// Whether KEY may be that of what training code keeps beside a model: loss, step, class_weights.
bool is_loose(const StateDictEntry& entry) {
  constexpr std::array<std::string_view, 5> kOfModules = {"weight", "bias", "running_",
                                                          "num_batches_tracked", "in_proj_"};
  return !has_dots(entry) && std::ranges::none_of(kOfModules, [&entry](std::string_view word) {
    return entry.key.starts_with(word);
  });
}

}  // namespace

LooseTensors::LooseTensors(const Checkpoint& checkpoint, const StateDict& outer) : outer_(outer) {
  const auto is_vector = [&checkpoint](const StateDictEntry& entry) {
    const Dims sizes = checkpoint.sizes(checkpoint.tensors[entry.tensor]);
    return std::ranges::count_if(sizes, [](int64_t size) { return size > 1; }) <= 1;
  };
  // A mapping with versions of modules is a state_dict; a matrix may be a parameter of its model.
  loose_ = outer.metadata == kNoNode && !names_model(last_key(outer.path)) &&
           std::ranges::all_of(outer.entries, is_loose) &&
           std::ranges::all_of(outer.entries, is_vector);
}

// Vectors beside it (numbers, states of generators, means of channels) may be parameters of a model
// of which it is a part ("encoder", "model_config") or a copy ("model" of averages): the name has
// to be that of a whole model, and of its keys one not among theirs.
bool LooseTensors::lie_beside(const StateDict& inner) const {
  constexpr std::array<std::string_view, 9> kWhole = {
      "model",       "net",        "network",        "module",          "state_dict",
      "model_state", "model_dict", "net_state_dict", "model_state_dict"};
  if (!loose_ || path_within(outer_, inner) != last_key(inner.path)) return false;
  if (std::ranges::find(kWhole, last_key(inner.path)) == kWhole.end()) return false;
  return std::ranges::any_of(inner.entries, [this](const StateDictEntry& entry) {
    return std::ranges::find(outer_.entries, entry.key, &StateDictEntry::key) ==
           outer_.entries.end();
  });
}

}  // namespace mlc
