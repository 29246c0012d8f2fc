#include "mlc/keys/optimizer_owners.h"

#include "mlc/keys/path_affinity.h"

#include <algorithm>
#include <optional>

namespace mlc {
namespace {

/// The prefixes that a trainer may give the names of STATE_DICT's tensors: none, or its place.
std::vector<std::string> prefixes_of(const StateDict& state_dict) {
  std::vector<std::string> prefixes = {""};
  const auto add = [&prefixes](std::string_view path) {
    const std::string prefix = std::string(path) + ".";
    if (!path.empty() && std::ranges::find(prefixes, prefix) == prefixes.end()) {
      prefixes.push_back(prefix);
    }
  };
  std::vector<std::string> paths = state_dict.other_paths;
  paths.insert(paths.begin(), state_dict.path);
  for (const std::string_view path : paths) {
    add(path);
    add(path.substr(path.rfind('.') + 1));  // npos + 1 is 0
  }
  return prefixes;
}

}  // namespace

OptimizerOwners::OptimizerOwners(const Checkpoint& checkpoint, std::vector<const StateDict*> all)
    : checkpoint_(checkpoint), all_(std::move(all)) {
  for (const StateDict* one : all_) {
    auto& keys = keys_.emplace_back();
    for (const StateDictEntry& entry : one->entries) keys.emplace(entry.key, &entry);
  }
}

const StateDictEntry* OptimizerOwners::entry_of(size_t state_dict, std::string_view key) const {
  const auto it = keys_[state_dict].find(key);
  return it == keys_[state_dict].end() ? nullptr : it->second;
}

/// Whether no moment of PARAMETER has another shape than ENTRY.
bool OptimizerOwners::fits(const OptimizerParameter& parameter, const StateDictEntry& entry) const {
  const Dims shape = checkpoint_.sizes(checkpoint_.tensors[entry.tensor]);
  return std::ranges::all_of(parameter.moments, [&](NodeId moment) {
    const uint32_t tensor = checkpoint_.tensor_at(moment);
    return tensor == kNoIndex ||
           std::ranges::equal(checkpoint_.sizes(checkpoint_.tensors[tensor]), shape);
  });
}

/// Every state_dict, under each of its prefixes, that has names of PARAMETERS and none in another
/// shape.
std::vector<OptimizerOwners::Candidate> OptimizerOwners::candidates(
    const std::vector<OptimizerParameter>& parameters) const {
  std::vector<Candidate> found;
  for (size_t i = 0; i < all_.size(); ++i) {
    for (const std::string& prefix : prefixes_of(*all_[i])) {
      Candidate candidate{{i, prefix.size()}, {}};
      bool all_fit = true;
      for (size_t p = 0; p < parameters.size() && all_fit; ++p) {
        const std::string_view name = parameters[p].name;
        if (!name.starts_with(prefix)) continue;
        const StateDictEntry* entry = entry_of(i, name.substr(prefix.size()));
        if (entry == nullptr) continue;
        all_fit = fits(parameters[p], *entry);
        candidate.found.push_back(p);
      }
      if (all_fit && !candidate.found.empty()) found.push_back(std::move(candidate));
    }
  }
  return found;
}

/// Gives the names away, to the candidate with most of them first.
class OptimizerOwners::Search {
 public:
  Search(const OptimizerOwners& owners, std::string_view path,
         const std::vector<OptimizerParameter>& parameters)
      : owners_(owners), parameters_(parameters), candidates_(owners.candidates(parameters)) {
    const std::vector<std::string> words = telling_words(path);
    for (const StateDict* one : owners.all_) {
      affinity_.push_back(word_affinity(words, telling_words(one->path)));
    }
    given_.resize(parameters.size(), false);
  }

  ParameterClaims run() {
    ParameterClaims claims;
    for (const OptimizerParameter& parameter : parameters_) claims[parameter.name];
    if (is_of_another()) return claims;
    for (auto rivals = largest(); !rivals.empty(); rivals = largest()) {
      for (const Candidate* one : likeliest(std::move(rivals))) {
        for (const size_t p : one->found) {
          given_[p] = true;
          claims[parameters_[p].name].push_back(one->claim);
        }
      }
    }
    return claims;
  }

 private:
  uint32_t affinity(const Candidate& one) const { return affinity_[one.claim.state_dict]; }

  /// Whether the optimizer is called like a state_dict, but only others have its names.
  bool is_of_another() const {
    return std::ranges::any_of(affinity_, [](uint32_t one) { return one > 0; }) &&
           std::ranges::none_of(candidates_, [this](const auto& one) { return affinity(one) > 0; });
  }

  /// A candidate with most names, of which none is given away, and those with as many that want
  /// some of the same.
  std::vector<const Candidate*> largest() const {
    std::vector<const Candidate*> best;
    for (const Candidate& one : candidates_) {
      if (std::ranges::any_of(one.found, [this](size_t p) { return given_[p]; })) continue;
      if (!best.empty() && one.found.size() > best[0]->found.size()) best.clear();
      if (best.empty() || (one.found.size() == best[0]->found.size() && overlap(one, *best[0]))) {
        best.push_back(&one);
      }
    }
    return best;
  }

  static bool overlap(const Candidate& a, const Candidate& b) {
    return std::ranges::any_of(a.found,
                               [&b](size_t p) { return std::ranges::binary_search(b.found, p); });
  }

  /// Those of RIVALS, which are some, that are called like the optimizer.
  std::vector<const Candidate*> likeliest(std::vector<const Candidate*> rivals) const {
    if (is_repeated(*rivals[0])) return rivals;
    uint32_t most = 0;
    for (const Candidate* one : rivals) most = std::max(most, affinity(*one));
    std::erase_if(rivals, [&](const Candidate* one) { return affinity(*one) < most; });
    const auto is_copy = [this](const Candidate* one) {
      return names_copy(owners_.all_[one->claim.state_dict]->path);
    };
    if (!std::ranges::all_of(rivals, is_copy)) std::erase_if(rivals, is_copy);
    return rivals;
  }

  /// Whether the optimizer steps two parameters of one name: they belong to two models.
  bool is_repeated(const Candidate& candidate) const {
    return std::ranges::any_of(candidate.found,
                               [this](size_t p) { return parameters_[p].times > 1; });
  }

  const OptimizerOwners& owners_;
  const std::vector<OptimizerParameter>& parameters_;
  std::vector<Candidate> candidates_;
  std::vector<uint32_t> affinity_;  // of each state_dict
  std::vector<bool> given_;         // of each parameter
};

ParameterClaims OptimizerOwners::claims(std::string_view path,
                                        const std::vector<OptimizerParameter>& parameters) const {
  return Search(*this, path, parameters).run();
}

}  // namespace mlc
