#include "mlc/onnx_prune/shrink.h"

#include <algorithm>
#include <cstring>
#include <map>

namespace mlc::onnx {
namespace {

using Kept = std::map<size_t, std::vector<int64_t>>;  // by axis

/// Parts of a tensor: for one axis the indices KEPT, INNER bytes each, of SIZE indices.
std::string cut_axis(std::string_view from, size_t inner, size_t size,
                     const std::vector<int64_t>& kept) {
  std::string out;
  const size_t block = inner * size;
  out.reserve(block == 0 ? 0 : from.size() / size * kept.size());
  for (size_t at = 0; block > 0 && at < from.size(); at += block) {
    for (size_t i = 0; i < kept.size();) {
      size_t run = 1;
      while (i + run < kept.size() && kept[i + run] == kept[i] + static_cast<int64_t>(run)) ++run;
      out += from.substr(at + static_cast<size_t>(kept[i]) * inner, run * inner);
      i += run;
    }
  }
  return out;
}

DataRef cut(const DataRef& source, const Kept& kept) {
  auto out = std::make_shared<TensorData>(*source);
  out->key.clear();
  out->identity.clear();
  for (const auto& [axis, indices] : kept) out->sizes[axis] = static_cast<int64_t>(indices.size());
  out->produce = [source, kept]() -> Result<Buffer> {
    MLC_TRY(const Buffer buffer, source->produce());
    std::string bytes;
    std::string_view from = as_text(buffer.bytes);
    // From the last axis on, so that the sizes in front are still those of the source.
    std::vector<int64_t> sizes = source->sizes;
    for (auto each = kept.rbegin(); each != kept.rend(); ++each) {
      size_t inner = element_bytes(source->dtype);
      for (size_t i = each->first + 1; i < sizes.size(); ++i)
        inner *= static_cast<size_t>(sizes[i]);
      bytes = cut_axis(from, inner, static_cast<size_t>(sizes[each->first]), each->second);
      sizes[each->first] = static_cast<int64_t>(each->second.size());
      from = bytes;
    }
    const auto owner = std::make_shared<const std::string>(std::move(bytes));
    return Buffer{as_bytes(*owner), owner};
  };
  return out;
}

/// SOURCE with zeros at the indices of axes that are not KEPT.
DataRef zeroed(const DataRef& source, const Kept& kept) {
  auto out = std::make_shared<TensorData>(*source);
  out->key.clear();
  out->identity.clear();
  out->produce = [source, kept]() -> Result<Buffer> {
    MLC_TRY(const Buffer buffer, source->produce());
    const auto owner = std::make_shared<std::string>(as_text(buffer.bytes));
    for (const auto& [axis, indices] : kept) {
      size_t inner = element_bytes(source->dtype);
      for (size_t i = axis + 1; i < source->sizes.size(); ++i)
        inner *= static_cast<size_t>(source->sizes[i]);
      const auto count = static_cast<size_t>(source->sizes[axis]);
      std::vector<bool> stays(count, false);
      for (const int64_t each : indices) stays[static_cast<size_t>(each)] = true;
      for (size_t at = 0, index = 0; at < owner->size(); at += inner, ++index) {
        if (!stays[index % count]) std::memset(owner->data() + at, 0, inner);
      }
    }
    return Buffer{as_bytes(*owner), owner};
  };
  return out;
}

/// What stays of each weight that loses something along an axis for which WHICH holds.
template <class Which>
std::map<std::string, Kept> kept_axes(ChannelPlan& plan, Which which) {
  std::map<std::string, Kept> out;
  for (const auto& [place, axis] : plan.graph.axes) {
    if (!which(axis)) continue;
    auto kept = plan.kept_of(axis.labels);
    if (kept.size() < axis.labels.size()) out[place.first].emplace(place.second, std::move(kept));
  }
  return out;
}

bool changes(const NumberEdit& edit, ChannelPlan& plan) {
  if (plan.kept_of(edit.depends).size() < edit.depends.size()) return true;
  return std::ranges::any_of(edit.numbers, [&](const EditedNumber& each) {
    return plan.kept_of(each.counted).size() < each.counted.size();
  });
}

DataRef integers(const std::vector<int64_t>& values, DType dtype, bool is_scalar) {
  std::string bytes;
  for (const int64_t each : values) {
    if (dtype == DType::i32) {
      append_le(bytes, static_cast<int32_t>(each));
    } else {
      append_le(bytes, each);
    }
  }
  auto out = std::make_shared<TensorData>();
  out->dtype = dtype;
  if (!is_scalar) out->sizes = {static_cast<int64_t>(values.size())};
  const auto owner = std::make_shared<const std::string>(std::move(bytes));
  out->produce = [owner]() -> Result<Buffer> { return Buffer{as_bytes(*owner), owner}; };
  return out;
}

void apply(Document& document, const NumberEdit& edit, ChannelPlan& plan) {
  std::vector<int64_t> numbers;
  for (const EditedNumber& each : edit.numbers) {
    const auto count = static_cast<int64_t>(plan.kept_of(each.counted).size());
    numbers.push_back(each.counted.empty() ? each.number : count / each.divisor);
  }
  DocNode& node = document.nodes[edit.node];
  if (!edit.attribute.empty()) {
    std::erase_if(node.attributes,
                  [&](const DocAttribute& each) { return each.name == edit.attribute; });
    node.attributes.push_back(edit.is_scalar ? document.attribute(edit.attribute, numbers[0])
                                             : document.attribute(edit.attribute, numbers));
    return;
  }
  const DocTensor* const before = document.find_tensor(node.input(edit.input));
  const DType dtype = before != nullptr ? before->dtype().value_or(DType::i64) : DType::i64;
  const std::string name = before != nullptr ? before->name : node.outputs[0] + "_sizes";
  if (node.inputs.size() <= edit.input) node.inputs.resize(edit.input + 1);
  node.inputs[edit.input] = document.add_tensor(name, integers(numbers, dtype, edit.is_scalar));
  std::erase_if(node.attributes,
                [](const DocAttribute& each) { return each.name == "num_outputs"; });
}

}  // namespace

Status shrink(Document& document, ChannelPlan& plan) {
  for (const auto& [name, kept] : kept_axes(plan, [](const WeightAxis&) { return true; })) {
    DocTensor& tensor = *document.find_tensor(name);
    tensor.data = cut(tensor.data, kept);
    tensor.sizes = tensor.data->sizes;
  }
  for (const NumberEdit& edit : plan.graph.edits) {
    if (changes(edit, plan)) apply(document, edit, plan);
  }
  document.drop_value_info(plan.graph.resized);
  document.drop_unused_tensors();
  return {};
}

Status unread(Document& document, ChannelPlan& plan) {
  for (const auto& [name, kept] :
       kept_axes(plan, [](const WeightAxis& axis) { return axis.reads; })) {
    DocTensor& tensor = *document.find_tensor(name);
    tensor.data = zeroed(tensor.data, kept);
  }
  return {};
}

}  // namespace mlc::onnx
