#include "compress/script_numbers.h"

#include "mlc/base/text.h"

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace mlc::cli {
namespace {

using onnx::Labels;
using Stated = ScriptNumbers::Stated;

/// "aten::view in layer1.0".
std::string text_of(const ProgramSite& site) {
  return site.op + (site.scope.empty() ? "" : " in " + printable(site.scope));
}

/// One call of an operator: what it is given, and the channels of what it takes and gives.
class SiteReader {
 public:
  SiteReader(const ProgramSite& site, const onnx::ValueAxes& values, onnx::ChannelGraph& graph,
             bool sizes_vary, std::vector<Stated>& out)
      : site_(site), values_(values), graph_(graph), sizes_vary_(sizes_vary), out_(out) {}

  const std::vector<SiteTensor>& outputs() const { return site_.outputs; }
  /// Requires: the operator takes it.
  const SiteTensor* input(std::string_view argument) const {
    const auto found = std::ranges::find(site_.inputs, argument, &SiteTensor::argument);
    return found == site_.inputs.end() ? nullptr : &*found;
  }
  const ProgramNumber* number(std::string_view argument,
                              std::optional<size_t> element = std::nullopt) const {
    const auto found = std::ranges::find_if(site_.numbers, [&](const ProgramNumber& one) {
      return one.argument == argument && one.element == element;
    });
    return found == site_.numbers.end() ? nullptr : &*found;
  }
  int64_t value(std::string_view argument, int64_t otherwise) const {
    const ProgramNumber* const found = number(argument);
    return found == nullptr ? otherwise : found->value;
  }
  /// What ARGUMENT says of an axis of a tensor of RANK; nothing where it is none.
  std::optional<size_t> axis(std::string_view argument, size_t rank) const {
    const int64_t given = value(argument, 0);
    const int64_t axis = given < 0 ? given + static_cast<int64_t>(rank) : given;
    if (axis < 0 || axis >= static_cast<int64_t>(rank)) return std::nullopt;
    return static_cast<size_t>(axis);
  }
  Labels labels(const SiteTensor* tensor, size_t axis) const {
    if (tensor == nullptr) return {};
    const auto found = values_.find(tensor->value);
    const bool known = found != values_.end() && axis < found->second.size();
    return known ? found->second[axis] : Labels();
  }
  bool has_labels(const std::string& weight, size_t axis) const {
    const auto found = graph_.axes.find({weight, axis});
    return found != graph_.axes.end() && !found->second.labels.empty();
  }

  void freeze(const Labels& labels, const std::string& why) const {
    for (const onnx::Atom each : labels) graph_.atoms.freeze(each, why);
  }
  /// A number is how many of LABELS stay, times TIMES / DIVISOR.
  void state(const ProgramNumber* number, const Labels& labels, int64_t times = 1,
             int64_t divisor = 1) {
    const std::string where = text_of(site_);
    if (number == nullptr) return freeze(labels, where + " is given a size that varies");
    if (number->value == -1 && times > 0) return;  // what is left
    const auto count = static_cast<int64_t>(labels.size());
    if (!labels.empty() && number->value * divisor != count * times) {
      if (number->is_computed)
        out_.push_back({number->place, number->value, {}, 1, 1, where, true});
      return freeze(labels, fmt::format("{} is given {}", where, number->value));
    }
    if (!labels.empty() && number->is_computed && !sizes_vary_) {
      return freeze(labels,
                    fmt::format("the program computes the {} that {} is given, and takes no "
                                "other number of inputs",
                                number->value, where));
    }
    out_.push_back(
        {number->place, number->value, labels, times, divisor, where, number->is_computed});
  }
  /// All outputs have as many along AXIS.
  void alike(size_t axis) const {
    const std::string why = text_of(site_) + " gives parts of one size";
    const Labels first = labels(&site_.outputs.front(), axis);
    for (const SiteTensor& one : site_.outputs) {
      const Labels other = labels(&one, axis);
      if (first.size() != other.size()) {
        freeze(first, why);
        freeze(other, why);
        continue;
      }
      for (size_t i = 0; i < first.size(); ++i) graph_.atoms.unite(first[i], other[i], why);
    }
  }

 private:
  const ProgramSite& site_;
  const onnx::ValueAxes& values_;
  onnx::ChannelGraph& graph_;
  bool sizes_vary_;
  std::vector<Stated>& out_;
};

/// The sizes of the output, one for each of its axes.
void output_sizes(SiteReader& site, std::string_view argument) {
  if (site.outputs().size() != 1) return;
  const SiteTensor& out = site.outputs()[0];
  for (size_t i = 0; i < out.rank; ++i) site.state(site.number(argument, i), site.labels(&out, i));
}

void view(SiteReader& site) {
  // view(dtype) gives no sizes, and those that vary are no numbers.
  const size_t rank = site.outputs().size() == 1 ? site.outputs()[0].rank : 0;
  for (size_t i = 0; i < rank; ++i) {
    if (site.number("size", i) != nullptr) return output_sizes(site, "size");
  }
}
void reshape(SiteReader& site) {
  output_sizes(site, "shape");
}
void expand(SiteReader& site) {
  output_sizes(site, "size");
}

void unflatten(SiteReader& site) {
  const SiteTensor* const x = site.input("self");
  const auto axis = x == nullptr ? std::nullopt : site.axis("dim", x->rank);
  if (!axis || site.outputs().size() != 1) return;
  const SiteTensor& out = site.outputs()[0];
  const size_t count = out.rank + 1 - x->rank;
  for (size_t i = 0; i < count; ++i)
    site.state(site.number("sizes", i), site.labels(&out, *axis + i));
}

/// split() into parts of one size, or of a list of them; chunk().
void split(SiteReader& site) {
  const SiteTensor* const x = site.input("self");
  const auto axis = x == nullptr ? std::nullopt : site.axis("dim", x->rank);
  if (!axis || site.outputs().empty()) return;
  for (const char* const argument : {"split_size", "split_sizes"}) {
    const bool is_list = site.number(argument, 0) != nullptr;
    for (size_t i = 0; is_list && i < site.outputs().size(); ++i)
      site.state(site.number(argument, i), site.labels(&site.outputs()[i], *axis));
    if (is_list) return;
  }
  site.alike(*axis);
  if (const ProgramNumber* const size = site.number("split_size"))
    site.state(size, site.labels(&site.outputs()[0], *axis));
}

/// Parts between indices, which are other ones where something before them goes.
void tensor_split(SiteReader& site) {
  const SiteTensor* const x = site.input("self");
  const auto axis = x == nullptr ? std::nullopt : site.axis("dim", x->rank);
  if (!axis || site.outputs().empty()) return;
  if (site.number("sections") != nullptr) return site.alike(*axis);
  site.freeze(site.labels(x, *axis), "aten::tensor_split is given places in it");
}

/// A place in an axis, from the front or from the end.
void place(SiteReader& site, const ProgramNumber* number, const Labels& all) {
  if (number == nullptr) return;
  if (all.empty()) return site.state(number, all);
  const auto count = static_cast<int64_t>(all.size());
  if (number->value >= count) return;  // its end, wherever that is
  if (number->value >= 0) {
    return site.state(number, Labels(all.begin(), all.begin() + number->value));
  }
  const int64_t from = count + number->value;
  if (from >= 0) site.state(number, Labels(all.begin() + from, all.end()), -1);
}

void slice(SiteReader& site) {
  const SiteTensor* const x = site.input("self");
  const auto axis = x == nullptr ? std::nullopt : site.axis("dim", x->rank);
  if (!axis) return;
  const Labels all = site.labels(x, *axis);
  if (site.value("step", 1) != 1) return site.freeze(all, "aten::slice takes parts of it");
  place(site, site.number("start"), all);
  place(site, site.number("end"), all);
}

void narrow(SiteReader& site) {
  const SiteTensor* const x = site.input("self");
  const auto axis = x == nullptr ? std::nullopt : site.axis("dim", x->rank);
  if (!axis || site.outputs().size() != 1) return;
  place(site, site.number("start"), site.labels(x, *axis));
  site.state(site.number("length"), site.labels(&site.outputs()[0], *axis));
}

/// Whole groups go.
void group_norm(SiteReader& site) {
  const Labels labels = site.labels(site.input("input"), 1);
  const auto count = static_cast<int64_t>(labels.size());
  const int64_t groups = site.value("num_groups", 1);
  site.state(site.number("num_groups"), labels, groups, std::max<int64_t>(count, 1));
}

/// Whole groups go, or the same channels of all groups, which then are as many.
void convolution(SiteReader& site) {
  const SiteTensor* const x = site.input("input");
  const SiteTensor* const weight = site.input("weight");
  const ProgramNumber* const groups = site.number("groups");
  if (x == nullptr || weight == nullptr || groups == nullptr) return;
  const bool one = groups->value == 1 || site.has_labels(weight->value, 1);
  const Labels labels =
      one ? Labels() : site.labels(x, x->rank == weight->rank ? size_t{1} : size_t{0});
  const auto count = static_cast<int64_t>(labels.size());
  site.state(groups, labels, groups->value, std::max<int64_t>(count, 1));
}

void layer_norm(SiteReader& site) {
  const SiteTensor* const x = site.input("input");
  size_t count = 0;
  while (site.number("normalized_shape", count) != nullptr) ++count;
  for (size_t i = 0; x != nullptr && i < count && count <= x->rank; ++i)
    site.state(site.number("normalized_shape", i), site.labels(x, x->rank - count + i));
}

struct SiteRow {
  std::string_view op;
  void (*read)(SiteReader& site);
};

constexpr std::array kRows = {
    SiteRow{"aten::view", view},
    SiteRow{"aten::view_copy", view},
    SiteRow{"aten::_unsafe_view", view},
    SiteRow{"aten::_reshape_alias", view},
    SiteRow{"aten::reshape", reshape},
    SiteRow{"aten::expand", expand},
    SiteRow{"aten::broadcast_to", expand},
    SiteRow{"aten::unflatten", unflatten},
    SiteRow{"aten::split", split},
    SiteRow{"aten::split_with_sizes", split},
    SiteRow{"aten::unsafe_split", split},
    SiteRow{"aten::unsafe_split_with_sizes", split},
    SiteRow{"aten::chunk", split},
    SiteRow{"aten::unsafe_chunk", split},
    SiteRow{"aten::tensor_split", tensor_split},
    SiteRow{"aten::slice", slice},
    SiteRow{"aten::narrow", narrow},
    SiteRow{"aten::group_norm", group_norm},
    SiteRow{"aten::layer_norm", layer_norm},
    SiteRow{"aten::conv1d", convolution},
    SiteRow{"aten::conv2d", convolution},
    SiteRow{"aten::conv3d", convolution},
    SiteRow{"aten::conv_transpose1d", convolution},
    SiteRow{"aten::conv_transpose2d", convolution},
    SiteRow{"aten::conv_transpose3d", convolution},
    SiteRow{"aten::convolution", convolution},
    SiteRow{"aten::_convolution", convolution},
};

const SiteRow* find_row(std::string_view op) {
  const auto found = std::ranges::find(kRows, op, &SiteRow::op);
  return found == kRows.end() ? nullptr : &*found;
}

}  // namespace

/// Other operators than those of the table may be given numbers of channels too: where one of
/// theirs changes in the picture, what it counts stays.
void ScriptNumbers::freeze_unknown(const onnx::Document& whole, onnx::ChannelGraph& graph) const {
  for (const onnx::NumberEdit& edit : graph.edits) {
    const onnx::DocNode& node = whole.nodes[edit.node];
    const std::string& op = picture_.source_of(node.name);
    if (op.empty() || find_row(op) != nullptr) continue;
    for (const onnx::EditedNumber& number : edit.numbers) {
      const auto count = static_cast<int64_t>(number.counted.size()) / number.divisor;
      const bool is_given = std::ranges::any_of(picture_.sites(), [&](const ProgramSite& site) {
        return site.op == op && site.scope == module_path(node) &&
               std::ranges::find(site.numbers, count, &ProgramNumber::value) != site.numbers.end();
      });
      if (!is_given || number.counted.empty()) continue;
      for (const onnx::Atom each : number.counted)
        graph.atoms.freeze(each, fmt::format("{} is given {}", op, count));
    }
  }
}

/// What one number counts here and there goes here and there.
void ScriptNumbers::agree(onnx::ChannelGraph& graph) const {
  std::map<size_t, std::vector<const Stated*>> by_place;
  for (const Stated& one : stated_) by_place[one.place].push_back(&one);
  for (const auto& [place, all] : by_place) {
    const Stated& first = *all.front();
    const std::string why = "a number that " + first.where + " is given counts others too";
    const bool alike = std::ranges::all_of(all, [&](const Stated* one) {
      return one->counted.size() == first.counted.size() && one->times == first.times &&
             one->divisor == first.divisor;
    });
    for (const Stated* const one : all) {
      for (size_t i = 0; i < one->counted.size(); ++i) {
        if (alike) {
          graph.atoms.unite(first.counted[i], one->counted[i], why);
        } else {
          graph.atoms.freeze(one->counted[i], why);
        }
      }
    }
  }
}

void ScriptNumbers::restrict(const onnx::Document& whole, const onnx::ValueAxes& values,
                             onnx::ChannelGraph& graph) {
  for (const ProgramSite& site : picture_.sites()) {
    const SiteRow* const row = find_row(site.op);
    if (row == nullptr) continue;
    SiteReader reader(site, values, graph, sizes_vary_, stated_);
    row->read(reader);
  }
  freeze_unknown(whole, graph);
  agree(graph);
}

std::map<size_t, int64_t> ScriptNumbers::changed(onnx::ChannelPlan& plan, bool fixes) const {
  std::map<size_t, int64_t> out;
  std::set<size_t> unlike;  // places that calls need to be two numbers
  for (const Stated& one : stated_) {
    const bool is_fixed = fixes && one.is_computed;
    if (one.counted.empty() && !is_fixed) continue;
    const auto kept = static_cast<int64_t>(plan.kept_of(one.counted).size());
    const int64_t number = one.counted.empty() ? one.value : kept * one.times / one.divisor;
    if (number == one.value && !is_fixed) continue;
    const auto [known, is_new] = out.emplace(one.place, number);
    if (!is_new && known->second != number) unlike.insert(one.place);
  }
  if (fixes) std::erase_if(out, [&](const auto& each) { return unlike.contains(each.first); });
  return out;
}

}  // namespace mlc::cli
