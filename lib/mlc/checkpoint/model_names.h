// What the keys on the way to a mapping of tensors say of it: a model, a part of one, or what
// training code keeps beside it.
#pragma once

#include "mlc/checkpoint/checkpoint.h"
#include "mlc/checkpoint/state_dict.h"

#include <string_view>

namespace mlc {

/// Whether a model may stand under KEY: not where training code keeps an optimizer or a scheduler.
bool is_model_key(std::string_view key);

/// Whether the words of PATH name a model, as training code does: "model", "state_dict", "netG",
/// "ema.weights", "my_unet".
bool names_model(std::string_view path);

/// Whether INNER lies below OUTER in the tree.
bool is_inside(const StateDict& inner, const StateDict& outer);

std::string_view last_key(std::string_view path);

/// Of what torch.nn.Module.get_extra_state returned for a module: "_extra_state",
/// "encoder._extra_state".
bool is_extra_state(std::string_view key);

/// Where INNER is, from OUTER on, without what wrappers put before the keys of OUTER's tensors:
/// `module.` names no model there.
std::string_view path_within(const StateDict& outer, const StateDict& inner);

/// A mapping around others that may be a checkpoint with loose tensors beside its model rather than
/// a state_dict.
class LooseTensors {
 public:
  /// Both must live longer.
  LooseTensors(const Checkpoint& checkpoint, const StateDict& outer);

  /// Whether INNER, which lies in it, is plainly the model that they lie beside.
  bool lie_beside(const StateDict& inner) const;

 private:
  const StateDict& outer_;
  bool loose_ = false;  // all are vectors without the name of a tensor in a module
};

}  // namespace mlc
