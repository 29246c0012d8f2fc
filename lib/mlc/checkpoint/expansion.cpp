#include "mlc/checkpoint/expansion.h"

#include "mlc/base/checked_math.h"
#include "mlc/base/sentence_key.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/tensor_identity.h"

#include <set>

namespace mlc {
namespace {

constexpr uint64_t kHarmless = uint64_t{1} << 30U;
constexpr uint64_t kFactor = 64;
constexpr const char* kHint = "leave it out with --exclude, or save as .pt without changing it";
constexpr const char* kReadHint = "leave it out with --exclude";

bool is_too_much(uint64_t made, uint64_t stored) {
  return made > kHarmless && made / kFactor > stored;
}

}  // namespace

Status ExpansionBudget::add(uint32_t index) {
  const Tensor& tensor = checkpoint_.tensors[index];
  const Dims sizes = checkpoint_.sizes(tensor);
  return add(index, repeats_ == Repeats::counted
                        ? sizes
                        : Dims(sizes_without_repeats(sizes, checkpoint_.strides(tensor))));
}

Status ExpansionBudget::add(uint32_t index, Dims sizes) {
  const Tensor& tensor = checkpoint_.tensors[index];
  if (tensor.storage == kNoIndex) return {};
  const uint64_t stored = checkpoint_.storages[tensor.storage].byte_size();
  const uint64_t width = element_bytes(tensor.dtype);
  const auto count = static_cast<uint64_t>(element_count(sizes).value_or(0));
  const uint64_t made = checked_mul(count, width).value_or(UINT64_MAX);
  if (is_too_much(made, stored)) {
    return unsupported("a tensor of " + format_count(count) + " elements, of which only " +
                           format_count(stored / width) + " are in the file, would be made in full",
                       hint());
  }
  ++tensors_;
  made_ = checked_add(made_, made).value_or(UINT64_MAX);
  if (storages_.insert(tensor.storage).second) stored_ += stored;
  return {};
}

/// Who passes repeated elements over writes nothing.
const char* ExpansionBudget::hint() const {
  return repeats_ == Repeats::counted ? kHint : kReadHint;
}

Status ExpansionBudget::check() const {
  if (!is_too_much(made_, stored_)) return {};
  return unsupported(plural(tensors_, "tensor") + " of " + format_bytes(made_) +
                         " in all, of which only " + format_bytes(stored_) +
                         " are in the file, would be made in full",
                     hint());
}

Status check_expansion(const Checkpoint& checkpoint, const std::vector<NamedTensor>& tensors,
                       Repeats repeats) {
  ExpansionBudget budget(checkpoint, repeats);
  std::set<TensorIdentity> seen;
  for (const NamedTensor& named : tensors) {
    const Tensor& tensor = checkpoint.tensors[named.tensor];
    if (tensor.storage == kNoIndex) continue;
    if (!seen.insert(identity_of(checkpoint, tensor)).second) continue;
    MLC_CHECK_CTX(budget.add(named.tensor), "tensor " + sentence_key(named.path));
  }
  return budget.check();
}

}  // namespace mlc
