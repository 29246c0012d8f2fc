#include "mlc/compress/follow_quantization.h"

#include "mlc/base/sentence_key.h"
#include "mlc/base/text.h"

#include <algorithm>
#include <array>
#include <unordered_map>
#include <unordered_set>

namespace mlc {
namespace {

constexpr std::array kParts = {&PartNames::codes, &PartNames::scale, &PartNames::zero_point,
                               &PartNames::shape, &PartNames::input_scale};

class Follower {
 public:
  Follower(const Plan& plan, QuantFormat format) : plan_(plan), format_(format) {
    names_.insert(plan.names.begin(), plan.names.end());
    for (const DroppedKey& one : plan.dropped) dropped_.insert(plan.names[one.source]);
    for (const PlanItem& item : plan.items) {
      if (item.op == PlanItem::Op::transpose) transposed_.insert(plan.names[item.sources[0]]);
    }
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
    for (const auto part : kParts) {
      if (transposed_.contains(parts.*part)) return turned(weight, parts.*part);
    }
    const auto codes = plan_.new_name_of(parts.codes);
    const std::string suffix = parts.codes.substr(weight.name.size());
    if (!codes || !codes->ends_with(suffix)) return apart(weight, parts.codes);
    QuantizedTensor renamed = weight;
    renamed.name = codes->substr(0, codes->size() - suffix.size());
    const PartNames wanted = part_names(format_, renamed);
    for (const auto part : kParts) {
      const std::string& old = parts.*part;
      if (old.empty() || !names_.contains(old)) continue;
      if (plan_.new_name_of(old) != wanted.*part) return apart(weight, old);
    }
    out.push_back(std::move(renamed));
    return {};
  }

 private:
  bool all_dropped(const PartNames& parts) const {
    return std::ranges::all_of(kParts, [&](const auto part) {
      const std::string& name = parts.*part;
      return name.empty() || !names_.contains(name) || dropped_.contains(name);
    });
  }

  static Error apart(const QuantizedTensor& weight, const std::string& part) {
    return conflict("the parts of the quantised weight " + quoted(weight.name) +
                        " would not stay together: " + sentence_key(part),
                    "rules that rename them alike, as for a prefix; or `mlc dequantize` first");
  }

  static Error turned(const QuantizedTensor& weight, const std::string& part) {
    return conflict("the quantised weight " + quoted(weight.name) +
                        " cannot be transposed, its scales belong to rows: " + sentence_key(part),
                    "`mlc dequantize` first");
  }

  const Plan& plan_;
  QuantFormat format_;
  std::unordered_set<std::string> names_;
  std::unordered_set<std::string> dropped_;
  std::unordered_set<std::string> transposed_;
};

}  // namespace

Result<QuantizedRecord> kept_record(const QuantizedRecord& record, const Checkpoint& checkpoint,
                                    const StateDict& state_dict) {
  std::unordered_map<std::string_view, DType> types;
  for (const StateDictEntry& entry : state_dict.entries) {
    types.emplace(entry.key, checkpoint.tensors[entry.tensor].dtype);
  }
  QuantizedRecord out;
  out.format = record.format;
  for (const QuantizedTensor& one : record.tensors) {
    const PartNames parts = part_names(record.format, one);
    std::vector<std::string> there;
    std::vector<std::string> missing;
    for (const auto part : kParts) {
      const std::string& name = parts.*part;
      if (!name.empty()) (types.contains(name) ? there : missing).push_back(sentence_key(name));
    }
    if (there.empty()) continue;
    if (!missing.empty()) {
      return conflict("the quantised weight " + quoted(one.name) + " would lose a part: " +
                          join_list(missing) + " left out, " + join_list(there) + " kept",
                      "keep or leave out all of them, or `mlc dequantize` first");
    }
    if (types.at(parts.codes) != code_dtype(one.scheme)) {
      if (!one.scheme.is_integer()) continue;  // a float of another type is what it says
      return conflict("the quantised weight " + quoted(one.name) + " has a tensor of type " +
                          std::string(info(types.at(parts.codes)).torch) + " as its codes",
                      "`mlc dequantize` before files are merged");
    }
    out.tensors.push_back(one);
  }
  return out;
}

Status join_record(QuantizedRecord& record, const QuantizedRecord& other) {
  if (record.format != other.format) {
    return conflict("its weights are quantised in the format " +
                        std::string(to_string(other.format)) + ", those of the first file in " +
                        std::string(to_string(record.format)),
                    "`mlc dequantize` one of them first");
  }
  std::unordered_set<std::string> own;
  for (const QuantizedTensor& one : record.tensors) own.insert(one.name);
  for (const QuantizedTensor& one : other.tensors) {
    if (!own.contains(one.name)) record.tensors.push_back(one);
  }
  return {};
}

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
