// Other tensors for names of a state_dict, of which some are one tensor under several names.
#pragma once

#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"
#include "mlc/checkpoint/state_dict.h"
#include "mlc/checkpoint/tensor_identity.h"
#include "mlc/compress/exchange_entries.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace mlc::cli {

/// Names that were one tensor stay one as long as they get the same bytes, be it those that they
/// have.
class SharedExchange {
 public:
  /// Both must outlive it.
  SharedExchange(Checkpoint& checkpoint, StateDict& state_dict);

  /// The tensor of ENTRY becomes one of SIZES that holds BYTES, of the type that it has. Errors:
  /// those of reading it.
  Status put(const StateDictEntry& entry, std::vector<int64_t> sizes,
             std::shared_ptr<const std::string> bytes);

  using Names = std::vector<std::string>;
  /// Exchanges what was put; the state_dict is read anew. The names that were one tensor each and
  /// are not any more.
  std::vector<Names> finish();

 private:
  /// What some of the names of a tensor have now.
  struct Version {
    std::vector<int64_t> sizes;
    std::shared_ptr<const std::string> bytes;
    std::map<uint32_t, uint32_t> tensors{};  // by the object that a name had: one stays one
    bool is_old = false;
    size_t names = 0;
  };
  struct Shared {
    Names names;  // all, in the order of the state_dict
    std::vector<Version> versions;
  };

  Status add_old(uint32_t tensor, Shared& shared) const;
  uint32_t tensor_of(Version& version, uint32_t old);

  Checkpoint& checkpoint_;
  StateDict& state_dict_;
  std::map<TensorIdentity, Shared> shared_;
  std::map<uint32_t, NewEntries> changed_;
};

}  // namespace mlc::cli
