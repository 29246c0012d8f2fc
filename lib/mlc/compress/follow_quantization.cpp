#include "mlc/compress/follow_quantization.h"

#include "mlc/base/text.h"

#include <algorithm>
#include <optional>
#include <unordered_set>

namespace mlc {
namespace {

class Follower {
 public:
  Follower(const Plan& plan, QuantFormat format) : plan_(plan), format_(format) {
    names_.insert(plan.names.begin(), plan.names.end());
    for (const DroppedKey& one : plan.dropped) dropped_.insert(plan.names[one.source]);
  }

  /// The weight under its new name; nothing where it is gone.
  Result<std::optional<QuantizedTensor>> follow(const QuantizedTensor& weight) const {
    const PartNames parts = part_names(format_, weight);
    if (!names_.contains(parts.codes)) return std::optional(weight);
    if (all_dropped(parts)) return std::optional<QuantizedTensor>();
    const auto codes = plan_.new_name_of(parts.codes);
    const std::string suffix = parts.codes.substr(weight.name.size());
    if (!codes || !codes->ends_with(suffix)) return apart(weight, parts.codes);
    QuantizedTensor out = weight;
    out.name = codes->substr(0, codes->size() - suffix.size());
    const PartNames wanted = part_names(format_, out);
    for (const auto part : {&PartNames::scale, &PartNames::zero_point, &PartNames::shape}) {
      const std::string& old = parts.*part;
      if (old.empty() || !names_.contains(old)) continue;
      if (plan_.new_name_of(old) != wanted.*part) return apart(weight, old);
    }
    return std::optional(std::move(out));
  }

 private:
  bool all_dropped(const PartNames& parts) const {
    return std::ranges::all_of(
        std::initializer_list<const std::string*>{&parts.codes, &parts.scale, &parts.zero_point,
                                                  &parts.shape},
        [&](const std::string* name) {
          return name->empty() || !names_.contains(*name) || dropped_.contains(*name);
        });
  }

  static Error apart(const QuantizedTensor& weight, const std::string& part) {
    return conflict("the parts of the quantised weight " + quoted(weight.name) +
                        " would not stay together: " + printable(part),
                    "rules that rename them alike, as for a prefix; or `mlc dequantize` first");
  }

  const Plan& plan_;
  QuantFormat format_;
  std::unordered_set<std::string> names_;
  std::unordered_set<std::string> dropped_;
};

}  // namespace

Result<QuantizedRecord> followed_record(QuantizedRecord record, const Plan& plan) {
  const Follower follower(plan, record.format);
  QuantizedRecord out;
  out.format = record.format;
  for (const QuantizedTensor& one : record.tensors) {
    MLC_TRY(std::optional<QuantizedTensor> followed, follower.follow(one));
    if (followed) out.tensors.push_back(std::move(*followed));
  }
  return out;
}

}  // namespace mlc
