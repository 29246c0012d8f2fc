// What torch.load(weights_only=True) would refuse, and a checkpoint without it.
#pragma once

#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"

#include <string>
#include <vector>

namespace mlc::cli {

struct PlainMapping {
  std::string name;                     // the class that it was of
  std::vector<std::string> attributes;  // what was dropped with it, for people
};

/// Where NODE is an instance of a class that weights_only=True refuses and was made of entries
/// alone (a subclass of dict without arguments), makes a dict of it, an OrderedDict where it has a
/// `_metadata`, or a defaultdict; other attributes go, for they are the class's. `name` is empty
/// for any other node.
PlainMapping make_plain_mapping(Checkpoint& checkpoint, NodeId node);

/// What to do about what is refused, as the end of a sentence: which options leave them out
/// (WEIGHTS_ONLY: not the one that is given), or, where tensors themselves are refused, that and
/// how to do without.
std::string refusal_way_out(const Checkpoint& checkpoint, bool weights_only);

/// Removes the values that it would refuse: entries of mappings, as deep as possible, and
/// attributes of an OrderedDict. Returns their paths. Errors: unsupported if the root itself is
/// one, or if no tensor is left of some.
Result<std::vector<std::string>> drop_unsafe_values(Checkpoint& checkpoint);

}  // namespace mlc::cli
