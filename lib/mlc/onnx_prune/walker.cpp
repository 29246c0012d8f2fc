#include "mlc/onnx_prune/walker.h"

#include "mlc/base/text.h"
#include "mlc/onnx_prune/rules.h"

#include <algorithm>

#include <fmt/format.h>

namespace mlc::onnx {
namespace {

constexpr size_t kMostAxes = 64;
constexpr size_t kMostIntegers = 4096;  // of a constant that may be a shape

Result<std::vector<int64_t>> read_integers(const DocTensor& tensor) {
  MLC_TRY(const Buffer buffer, tensor.data->produce());
  std::vector<int64_t> out;
  const size_t each = element_bytes(*tensor.dtype());
  for (size_t at = 0; at + each <= buffer.bytes.size(); at += each) {
    const std::byte* const from = buffer.bytes.data() + at;
    out.push_back(each == 8 ? load_le<int64_t>(from) : load_le<int32_t>(from));
  }
  return out;
}

/// The roots of LABELS, each as often as it is there, in order.
Labels roots(Atoms& atoms, const Labels& labels) {
  Labels out;
  for (const Atom each : labels) out.push_back(atoms.find(each));
  std::ranges::sort(out);
  return out;
}

}  // namespace

std::string Walker::here() const {
  const DocNode& at = node();
  const std::string& name = !at.name.empty() || at.outputs.empty() ? at.name : at.outputs[0];
  return at.op + " " + printable(name);
}

std::optional<size_t> Walker::rank(const std::string& name) const {
  if (const auto found = constants_.find(name); found != constants_.end())
    return found->second.axes.size();
  const auto found = sizes_.find(name);
  return found == sizes_.end() ? std::nullopt : std::optional(found->second.size());
}

std::optional<int64_t> Walker::size(const std::string& name, size_t axis) const {
  if (const auto found = constants_.find(name); found != constants_.end()) {
    const DocTensor* const tensor = document_.find_tensor(found->second.tensor);
    return tensor->sizes[found->second.axes[axis]];
  }
  const auto found = sizes_.find(name);
  if (found == sizes_.end() || axis >= found->second.size()) return std::nullopt;
  if (found->second[axis].size) return found->second[axis].size;
  if (const auto own = learnt_.find({name, axis}); own != learnt_.end()) return own->second;
  const Labels known = labels(name, axis);
  return known.empty() ? std::nullopt : std::optional(static_cast<int64_t>(known.size()));
}

void Walker::learn(const std::string& name, size_t axis, std::optional<int64_t> size) {
  if (size) learnt_[{name, axis}] = *size;
}

bool Walker::same_size(const std::string& a, size_t i, const std::string& b, size_t k) const {
  const auto one = size(a, i);
  const auto other = size(b, k);
  if (one && other) return *one == *other;
  const auto first = sizes_.find(a);
  const auto second = sizes_.find(b);
  if (first == sizes_.end() || second == sizes_.end()) return false;
  const std::string& symbol = first->second[i].symbol;
  return !symbol.empty() && symbol == second->second[k].symbol;
}

bool Walker::is_open(const std::string& name, size_t axis) const {
  return !is_constant(name) && labels(name, axis).empty() && !size(name, axis);
}

bool Walker::only_changes_places(const std::string& name) const {
  const auto read_by = [&](const std::string& value, std::string_view op, const auto& each) {
    return std::ranges::all_of(document_.nodes, [&](const DocNode& node) {
      const bool reads = std::ranges::find(node.inputs, value) != node.inputs.end();
      return !reads || (node.is(op) && each(node));
    });
  };
  return read_by(name, "Transpose", [&](const DocNode& moved) {
    return read_by(moved.outputs[0], "Reshape", [](const DocNode&) { return true; });
  });
}

std::optional<std::vector<int64_t>> Walker::integers(const std::string& name) const {
  const auto found = integers_.find(name);
  return found == integers_.end() ? std::nullopt : std::optional(found->second);
}

std::optional<std::vector<int64_t>> Walker::integers(std::string_view attribute,
                                                     size_t input) const {
  if (const DocAttribute* const found = node().find(attribute)) return found->integers();
  return node().input(input).empty() ? std::nullopt : integers(node().input(input));
}

Labels Walker::labels(const std::string& name, size_t axis) const {
  const auto found = labels_.find(name);
  if (found == labels_.end() || axis >= found->second.size()) return {};
  return found->second[axis];
}

bool Walker::has_labels(const std::string& name) const {
  const auto found = labels_.find(name);
  return found != labels_.end() &&
         std::ranges::any_of(found->second, [](const Labels& each) { return !each.empty(); });
}

void Walker::give(const std::string& name, size_t axis, Labels labels) {
  const bool stays = std::ranges::all_of(
      labels, [&](Atom each) { return graph_.atoms.find(each) == Atoms::kStays; });
  if (name.empty() || stays) return;
  // What a file says of axes may be anything.
  if (axis >= rank(name).value_or(kMostAxes)) return freeze(labels, here() + " reads it");
  std::vector<Labels>& all = labels_[name];
  if (all.size() <= axis) all.resize(axis + 1);
  all[axis] = std::move(labels);
}

void Walker::pass(const std::string& from, const std::string& to) {
  const auto found = labels_.find(from);
  if (found != labels_.end() && !to.empty()) labels_[to] = std::vector(found->second);
}

void Walker::freeze(const Labels& labels, const std::string& why) {
  for (const Atom each : labels) graph_.atoms.freeze(each, why);
}

void Walker::freeze_value(const std::string& name, const std::string& why) {
  const auto found = labels_.find(name);
  if (found == labels_.end()) return;
  for (const Labels& each : found->second) freeze(each, why);
}

Labels Walker::unite(const Labels& a, const Labels& b, const std::string& why) {
  if (a.size() != b.size()) {
    freeze(a, why);
    freeze(b, why);
    return {};
  }
  for (size_t i = 0; i < a.size(); ++i) graph_.atoms.unite(a[i], b[i], why);
  return a;
}

Labels Walker::spread(const Labels& labels, int64_t count) {
  return labels.empty() ? Labels(static_cast<size_t>(count), Atoms::kStays) : labels;
}

size_t Walker::distinct(const Labels& labels) {
  Labels all = roots(graph_.atoms, labels);
  return static_cast<size_t>(std::unique(all.begin(), all.end()) - all.begin());
}

WeightAxis* Walker::axis(const std::string& name, size_t axis) {
  const auto found = constants_.find(name);
  if (found == constants_.end() || axis >= found->second.axes.size()) return nullptr;
  WeightAxis& out = graph_.axes[{found->second.tensor, found->second.axes[axis]}];
  out.nodes.insert(index_);
  return &out;
}

void Walker::tie(WeightAxis& axis, size_t count, const Labels& labels) {
  const auto why = [&] { return "a weight of " + here() + " is needed whole"; };
  if (labels.empty() || labels.size() != count || axis.is_fixed) {
    axis.is_fixed = true;
    freeze(axis.labels, why());
    freeze(labels, why());
    return;
  }
  if (axis.labels.empty()) {
    axis.labels = labels;
  } else {
    unite(axis.labels, labels, why());
  }
}

Labels Walker::make(const std::string& name, size_t i) {
  WeightAxis* const found = axis(name, i);
  const auto count = size(name, i);
  if (found == nullptr || !count || found->is_fixed) return {};
  found->makes = true;
  if (!found->labels.empty()) return found->labels;
  for (int64_t k = 0; k < *count; ++k) found->labels.push_back(graph_.atoms.add());
  const Constant& constant = constants_.find(name)->second;
  graph_.sources.push_back({constant.tensor, constant.axes[i], index_, found->labels});
  return found->labels;
}

void Walker::read(const std::string& name, size_t i, const Labels& labels, const std::string& value,
                  size_t value_axis) {
  WeightAxis* const found = axis(name, i);
  if (found == nullptr) return freeze(labels, here() + " reads it");
  tie(*found, static_cast<size_t>(size(name, i).value_or(0)), labels);
  if (labels.empty()) return;
  found->reads = true;
  const Constant& constant = constants_.find(name)->second;
  graph_.readers.push_back({index_, value, value_axis, constant.tensor, constant.axes[i]});
}

void Walker::follow(const std::string& name, size_t i, const Labels& labels, bool scales) {
  if (name.empty()) return;
  WeightAxis* const found = axis(name, i);
  if (found == nullptr) return freeze(labels, here() + " reads what is not constant");
  // A number for all channels stays as it is.
  if (size(name, i) == 1 && labels.size() != 1) return;
  tie(*found, static_cast<size_t>(size(name, i).value_or(0)), labels);
  found->scales = found->scales || scales;
}

void Walker::follow_maker(const std::string& name, size_t i, const Labels& labels) {
  follow(name, i, labels);
  if (WeightAxis* const found = axis(name, i)) found->makes = true;
}

void Walker::keep_axis(const std::string& name, size_t i) {
  if (WeightAxis* const found = axis(name, i)) tie(*found, 0, {});
}

void Walker::keep_constant(const std::string& name) {
  const auto found = constants_.find(name);
  if (found == constants_.end()) return;
  for (size_t i = 0; i < found->second.axes.size(); ++i) keep_axis(name, i);
}

void Walker::keep_input(const std::string& name, const std::string& why) {
  freeze_value(name, why);
  keep_constant(name);
}

void Walker::alias(const std::string& name, const std::string& of,
                   const std::vector<int64_t>& perm) {
  Constant made{constants_.find(of)->second.tensor, {}};
  for (const int64_t each : perm)
    made.axes.push_back(constants_.find(of)->second.axes[static_cast<size_t>(each)]);
  constants_[name] = std::move(made);
}

const SizeItems* Walker::items(const std::string& name) const {
  const auto found = items_.find(name);
  return found == items_.end() ? nullptr : &found->second;
}

std::optional<SizeItems> Walker::input_items(size_t input) const {
  const std::string& name = node().input(input);
  if (const SizeItems* const known = items(name)) return *known;
  const auto numbers = integers(name);
  if (!numbers) return std::nullopt;
  SizeItems out;
  for (size_t i = 0; i < numbers->size(); ++i) {
    SizeItem& each = out.emplace_back();
    each.kind = SizeItem::Kind::number;
    each.number = (*numbers)[i];
    each.place = {index_, input};
    each.element = i;
    each.is_scalar = rank(name) == 0;
  }
  return out;
}

void Walker::edit_item(const SizeItem& item, const Labels& labels) {
  const auto same = [&](const NumberEdit& each) {
    return each.attribute.empty() && std::pair(each.node, each.input) == *item.place;
  };
  auto found = std::ranges::find_if(graph_.edits, same);
  if (found == graph_.edits.end()) {
    const DocNode& at = document_.nodes[item.place->first];
    NumberEdit made;
    made.node = item.place->first;
    made.input = item.place->second;
    made.is_scalar = item.is_scalar;
    for (const int64_t number : integers(at.input(made.input)).value_or(std::vector<int64_t>{0}))
      made.numbers.push_back({.number = number, .counted = {}});
    graph_.edits.push_back(std::move(made));
    found = graph_.edits.end() - 1;
  }
  EditedNumber& number = found->numbers[item.element];
  if (!number.counted.empty()) same_count(number.counted, labels);
  number.counted = labels;
}

size_t Walker::choice(size_t candidates) {
  const auto found = choices_.find(index_);
  return found == choices_.end() ? 0 : std::min(found->second, candidates - 1);
}

Status Walker::collect_constants() {
  for (const DocTensor& tensor : document_.tensors) {
    Constant made{tensor.name, {}};
    for (size_t i = 0; i < tensor.sizes.size(); ++i) made.axes.push_back(i);
    const auto dtype = tensor.dtype();
    const bool whole = dtype == DType::i64 || dtype == DType::i32;
    if (whole && tensor.sizes.size() <= 1 && tensor.data->count() <= kMostIntegers) {
      MLC_TRY(integers_[tensor.name], read_integers(tensor));
    }
    const bool visible = outputs_.contains(tensor.name) || inner_.contains(tensor.name) || !dtype;
    constants_.emplace(tensor.name, std::move(made));
    for (size_t i = 0; visible && i < tensor.sizes.size(); ++i)
      graph_.axes[{tensor.name, i}].is_fixed = true;
  }
  return {};
}

void Walker::count_item(const SizeItem& item, const Labels& labels, const std::string& why) {
  if (item.kind == SizeItem::Kind::size_of) {
    const Labels own = this->labels(item.value, item.axis);
    if (!own.empty() || !item.place) {
      counts_.push_back({own, labels, here(), std::nullopt});
      if (item.place) counts_.back().item = item;
      return;
    }
  }
  if (item.kind != SizeItem::Kind::unknown && item.place) return edit_item(item, labels);
  freeze(labels, why);
}

void Walker::fix_item(const SizeItem& item) {
  if (item.place) fixed_items_.insert({*item.place, item.element});
}

void Walker::freeze_items(const std::string& name) {
  const SizeItems* const known = items(name);
  if (known == nullptr) return;
  for (const SizeItem& each : *known) {
    fix_item(each);
    if (each.kind == SizeItem::Kind::size_of)
      freeze(labels(each.value, each.axis), here() + " computes with its size");
  }
}

/// Sizes of channels that numbers are made of, anywhere but in shapes, have to stay.
void Walker::look_at_items() {
  if (is_shape_rule(node())) return;
  for (const std::string& input : node().inputs) freeze_items(input);
}

void Walker::look_at_outputs() {
  for (const std::string& name : node().outputs) {
    if (outputs_.contains(name)) freeze_value(name, "it is in the output " + printable(name));
    if (inner_.contains(name)) freeze_value(name, "an inner graph reads " + printable(name));
    if (outputs_.contains(name) || inner_.contains(name)) keep_constant(name);
    if (outputs_.contains(name) || inner_.contains(name)) freeze_items(name);
  }
}

void Walker::settle() {
  for (size_t i = 0; i < counts_.size(); ++i) {  // exchanging a number can add to them
    const Counts each = counts_[i];
    if (roots(graph_.atoms, each.a) == roots(graph_.atoms, each.b)) continue;
    if (each.item) {
      edit_item(*each.item, each.b);
      continue;
    }
    freeze(each.a, each.why + " needs its size");
    freeze(each.b, each.why + " needs its size");
  }
  for (const NumberEdit& edit : graph_.edits) {
    for (size_t i = 0; edit.attribute.empty() && i < edit.numbers.size(); ++i) {
      if (fixed_items_.contains({{edit.node, edit.input}, i}))
        freeze(edit.numbers[i].counted, "its size is a number of another shape too");
    }
  }
  for (const auto& [name, all] : labels_) {
    if (has_labels(name)) graph_.resized.insert(name);
  }
  for (const auto& [name, made] : constants_) {
    if (name != made.tensor) graph_.resized.insert(name);
  }
}

Status Walker::run() {
  outputs_.insert(document_.output_names().begin(), document_.output_names().end());
  for (const DocNode& each : document_.nodes)
    inner_.insert(each.inner_names.begin(), each.inner_names.end());
  MLC_CHECK(collect_constants());
  for (index_ = 0; index_ < document_.nodes.size(); ++index_) {
    look_at_items();
    apply_rule(*this);
    look_at_outputs();
  }
  settle();
  return {};
}

}  // namespace mlc::onnx
