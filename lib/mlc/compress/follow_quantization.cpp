#include "mlc/compress/follow_quantization.h"

#include "mlc/base/sentence_key.h"
#include "mlc/base/text.h"

#include <algorithm>
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
  /// Adds to OUT what becomes of WEIGHT: nothing where all of it is dropped.
  Status follow(const QuantizedTensor& weight, std::vector<QuantizedTensor>& out) const {
    const PartNames parts = part_names(format_, weight);
    if (!names_.contains(parts.codes)) {
      out.push_back(weight);
      return {};
    }
    if (all_dropped(parts)) return {};
    const auto codes = plan_.new_name_of(parts.codes);
    const std::string suffix = parts.codes.substr(weight.name.size());
    if (!codes || !codes->ends_with(suffix)) return apart(weight, parts.codes);
    QuantizedTensor renamed = weight;
    renamed.name = codes->substr(0, codes->size() - suffix.size());
    const PartNames wanted = part_names(format_, renamed);
    for (const auto part : {&PartNames::scale, &PartNames::zero_point, &PartNames::shape}) {
      const std::string& old = parts.*part;
      if (old.empty() || !names_.contains(old)) continue;
      if (plan_.new_name_of(old) != wanted.*part) return apart(weight, old);
    }
    out.push_back(std::move(renamed));
    return {};
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
                        " would not stay together: " + sentence_key(part),
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
    MLC_CHECK(follower.follow(one, out.tensors));
  }
  return out;
}

}  // namespace mlc
