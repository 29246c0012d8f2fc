// Every tensor of a file, those that no name leads to included: what a diff has to look at before
// it calls two files equal.
#pragma once

#include "mlc/checkpoint/checkpoint.h"
#include "mlc/checkpoint/state_dict.h"

#include <vector>

namespace mlc {

/// What all_tensors() finds, and also: arguments of calls (`a.(0)`, `a.(name)`), what is called if
/// it is no name (`a.()`), items of sets (`a.{0}`, in the order of the pickle), what is in
/// keys of mappings (`a.{key 0}`) and under such keys (`a.{value 0}`), attributes of tensors
/// (`a.__dict__.g`), and storages without a tensor, which become tensors of CHECKPOINT: of one
/// dimension and of the storage's type, or of bytes where that type is quantized.
std::vector<NamedTensor> every_tensor(Checkpoint& checkpoint, NodeId node);

/// The same of what tensors_in_values() looks at, and the attributes of the tensors of STATE_DICT.
std::vector<NamedTensor> every_tensor_in_values(Checkpoint& checkpoint,
                                                const StateDict& state_dict);

/// The attributes that were given to the tensor at NODE in Python, and pickled with it: mostly one
/// dict, or none. Empty dicts are left out. Of kinds that mlc cannot look into (TensorKind::other)
/// they are parts of the tensor, and none here.
std::vector<NodeId> tensor_attributes(const Checkpoint& checkpoint, NodeId node);

/// Which nodes are tensors or storages, or lead to one.
class TensorReach {
 public:
  /// Looks at nothing until it is asked. Nodes that are added to the graph later lead nowhere.
  explicit TensorReach(const Checkpoint& checkpoint) : checkpoint_(checkpoint) {}

  bool from(NodeId node);

 private:
  void build();

  const Checkpoint& checkpoint_;
  bool is_built_ = false;
  std::vector<bool> reach_;
};

}  // namespace mlc
