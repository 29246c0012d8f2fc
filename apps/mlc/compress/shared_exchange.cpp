#include "compress/shared_exchange.h"

#include "mlc/base/text.h"
#include "mlc/checkpoint/derive.h"
#include "mlc/compress/made_tensor.h"

#include <algorithm>
#include <utility>

namespace mlc::cli {

SharedExchange::SharedExchange(Checkpoint& checkpoint, StateDict& state_dict)
    : checkpoint_(checkpoint), state_dict_(state_dict) {
  for (const StateDictEntry& entry : state_dict.entries) {
    const TensorIdentity identity = identity_of(checkpoint, checkpoint.tensors[entry.tensor]);
    shared_[identity].names.emplace_back(entry.key);
  }
}

/// The tensor as it is: names that nobody puts have it, and it is the one to keep where nothing
/// changes.
Status SharedExchange::add_old(uint32_t tensor, Shared& shared) const {
  auto bytes = std::make_shared<std::string>();
  MLC_CHECK(stream_tensor(checkpoint_, tensor, [&](Bytes block) -> Status {
    bytes->append(as_text(block));
    return {};
  }));
  const Dims sizes = checkpoint_.sizes(checkpoint_.tensors[tensor]);
  Version& old = shared.versions.emplace_back();
  old.sizes.assign(sizes.begin(), sizes.end());
  old.bytes = std::move(bytes);
  old.is_old = true;
  old.names = shared.names.size();
  return {};
}

/// The tensor that stands for OLD, of which VERSION is another form.
uint32_t SharedExchange::tensor_of(Version& version, uint32_t old) {
  const auto found = version.tensors.find(old);
  if (found != version.tensors.end()) return found->second;
  const uint32_t made =
      version.tensors.empty()
          ? add_stored(checkpoint_, checkpoint_.tensors[old].dtype, version.sizes, version.bytes)
          : derive_twin(checkpoint_, version.tensors.begin()->second);
  version.tensors.emplace(old, made);
  return made;
}

Status SharedExchange::put(const StateDictEntry& entry, std::vector<int64_t> sizes,
                           std::shared_ptr<const std::string> bytes) {
  const Tensor& tensor = checkpoint_.tensors[entry.tensor];
  Shared& shared = shared_.at(identity_of(checkpoint_, tensor));
  const bool is_tied = shared.names.size() > 1 && tensor.storage != kNoIndex;
  if (is_tied && shared.versions.empty()) MLC_CHECK(add_old(entry.tensor, shared));
  auto version = std::ranges::find_if(shared.versions, [&](const Version& one) {
    return one.sizes == sizes && *one.bytes == *bytes;
  });
  if (version == shared.versions.end()) {
    shared.versions.push_back({.sizes = std::move(sizes), .bytes = std::move(bytes)});
    version = shared.versions.end() - 1;
  }
  if (version->is_old) return {};
  if (is_tied) --shared.versions.front().names;
  ++version->names;
  changed_[entry.position] = {{std::string(entry.key), tensor_of(*version, entry.tensor)}};
  return {};
}

std::vector<SharedExchange::Names> SharedExchange::finish() {
  std::vector<Names> parted;
  for (auto& [identity, shared] : shared_) {
    if (shared.versions.empty() || !shared.versions.front().is_old) continue;  // was not tied
    const auto left =
        std::ranges::count_if(shared.versions, [](const Version& one) { return one.names > 0; });
    if (left > 1) parted.push_back(std::move(shared.names));
  }
  exchange_entries(checkpoint_, state_dict_, changed_);
  return parted;
}

}  // namespace mlc::cli
