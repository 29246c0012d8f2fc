// A checkpoint with an architecture: together something that runs.
#pragma once

#include "mlc/base/reporter.h"
#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"
#include "mlc/checkpoint/expect.h"
#include "mlc/checkpoint/state_dict.h"
#include "mlc/engine/declared_inputs.h"
#include "mlc/engine/engine.h"
#include "mlc/engine/weights.h"
#include "mlc/frontend/architecture.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace mlc {

/// The architecture of CHECKPOINT: that in the file at PATH, or, where PATH is empty, what the
/// metadata hold under `architecture`: the YAML itself, or the name of a file in the same folder.
/// Nothing where there is none. Errors: those of reading both.
Result<std::optional<arch::Architecture>> find_architecture(const Checkpoint& checkpoint,
                                                            const std::string& path);

/// The state_dict of ARCHITECTURE as check_expected() takes it, with its ties.
std::vector<ExpectedTensor> tensors_of(const arch::Architecture& architecture);

/// Whether load_state_dict would take STATE_DICT into ARCHITECTURE: as it is lenient with files of
/// old PyTorch, and of tied tensors one name is enough. Error: conflict in PyTorch's words with the
/// hints of check_expected().
Status check_fit(const Checkpoint& checkpoint, const StateDict& state_dict,
                 const arch::Architecture& architecture);

/// Whether `forward` and all other texts of ARCHITECTURE compile, found out by building it with
/// zeros for weights, which take no memory. Errors: those of Engine::build().
Status compile_architecture(const arch::Architecture& architecture, Engine& engine,
                            Reporter& reporter);

using WeightSource = std::function<Result<Weight>(const arch::ScriptTensor&)>;

/// What load_state_dict() leaves in the tensors of ARCHITECTURE of WEIGHTS, which passed
/// check_fit() and must outlive it: tied tensors have the values of the last of their names that is
/// there, a counter that an old batch norm lacks is zero. Errors: those of Weights::get().
WeightSource stored_weights(const arch::Architecture& architecture, Weights& weights);

/// The model of ARCHITECTURE, which must outlive it, with the values that WEIGHT gives. Errors:
/// those of read_declared_inputs() and Engine::build().
Result<std::unique_ptr<Model>> build_with(const arch::Architecture& architecture,
                                          const WeightSource& weight, Engine& engine,
                                          const LoadOptions& options, Reporter& reporter);

class ArchitectureModel {
 public:
  /// Chooses the state_dict at KEY, or the only one, and checks that it fits. Errors: those of
  /// find_state_dicts(), select_state_dict() and read_declared_inputs(); usage for what does not
  /// fit, which is no answer of a check here; unsupported for quantised weights.
  static Result<ArchitectureModel> open(std::unique_ptr<Checkpoint> checkpoint,
                                        arch::Architecture architecture, const std::string& key);

  const Checkpoint& checkpoint() const { return *checkpoint_; }
  const arch::Architecture& architecture() const { return *architecture_; }
  const std::vector<InputSpec>& inputs() const { return inputs_.specs; }
  /// Of all floating tensors of the state_dict, where they have one type in the file; the model
  /// computes in that of the architecture.
  std::optional<DType> weights_type() const;
  /// The weights stay in the mapped file, which the model keeps alive; it may outlive this.
  Result<std::unique_ptr<Model>> build(Engine& engine, const LoadOptions& options,
                                       Reporter& reporter) const;

 private:
  ArchitectureModel(std::unique_ptr<Checkpoint> checkpoint, arch::Architecture architecture)
      : checkpoint_(std::move(checkpoint)),
        architecture_(std::make_shared<const arch::Architecture>(std::move(architecture))) {}

  std::unique_ptr<Checkpoint> checkpoint_;
  std::shared_ptr<const arch::Architecture> architecture_;  // also of the models that it builds
  StateDict state_dict_;
  DeclaredInputs inputs_;
};

}  // namespace mlc
