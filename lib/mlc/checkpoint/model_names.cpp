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
  loose_ = !names_model(last_key(outer.path)) && std::ranges::all_of(outer.entries, is_loose);
  vectors_ = std::ranges::all_of(outer.entries, [&checkpoint](const StateDictEntry& entry) {
    const Dims sizes = checkpoint.sizes(checkpoint.tensors[entry.tensor]);
    return std::ranges::count_if(sizes, [](int64_t size) { return size > 1; }) <= 1;
  });
}

// A name of a model may be that of a part ("encoder"), so that of three signs two are needed: a
// name that is nothing else; keys with dots, or a pickled module; nothing but vectors beside it
// (numbers, states of generators, means of channels).
bool LooseTensors::lie_beside(const StateDict& inner) const {
  if (!loose_ || !names_model(path_within(outer_, inner))) return false;
  constexpr std::array<std::string_view, 3> kSure = {"model", "net", "state_dict"};
  const std::string_view name = last_key(inner.path);
  const bool named = std::ranges::any_of(kSure, [name](std::string_view word) {
    return name.starts_with(word) || name.ends_with(word);
  });
  const bool dotted = inner.module != kNoNode || std::ranges::any_of(inner.entries, has_dots);
  return named + dotted + vectors_ >= 2;
}

}  // namespace mlc
