// Which state_dicts of a checkpoint have the parameters that an optimizer names.
//
// An optimizer belongs to the state_dict with most of its names, one for several models to several.
// Where several have the names, the shapes of its moments tell; where these are the same (generator
// and discriminator of one class), what the two are called ("optimizer_d", "discriminator"). A copy
// by its name (ema) has no optimizer where something else can have it. What still fits several
// stays open: nothing may be changed by a guess.
#pragma once

#include "mlc/checkpoint/checkpoint.h"
#include "mlc/checkpoint/optimizer.h"
#include "mlc/checkpoint/state_dict.h"

#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace mlc {

/// The name of a parameter is the first PREFIX bytes ("student."), which are the path of the
/// state_dict or nothing, and a key of it.
struct ParameterClaim {
  size_t state_dict = 0;  // index
  size_t prefix = 0;
};
/// By name. Several claims: which of them is right cannot be told. None: nothing in the file.
using ParameterClaims = std::unordered_map<std::string_view, std::vector<ParameterClaim>>;

class OptimizerOwners {
 public:
  /// CHECKPOINT and ALL must live as long.
  OptimizerOwners(const Checkpoint& checkpoint, std::vector<const StateDict*> all);

  /// The claims to PARAMETERS, which are those of the optimizer at PATH. Names are views of them.
  ParameterClaims claims(std::string_view path,
                         const std::vector<OptimizerParameter>& parameters) const;

 private:
  struct Candidate {
    ParameterClaim claim;
    std::vector<size_t> found;  // indices of parameters
  };
  class Search;

  const StateDictEntry* entry_of(size_t state_dict, std::string_view key) const;
  bool fits(const OptimizerParameter& parameter, const StateDictEntry& entry) const;
  std::vector<Candidate> candidates(const std::vector<OptimizerParameter>& parameters) const;

  const Checkpoint& checkpoint_;
  std::vector<const StateDict*> all_;
  std::vector<std::unordered_map<std::string_view, const StateDictEntry*>> keys_;
};

}  // namespace mlc
