#include "cli/diff_view.h"

#include "cli/diff_metadata.h"
#include "cli/json_writer.h"
#include "cli/metadata_sources.h"
#include "cli/open_input.h"
#include "mlc/base/glob.h"
#include "mlc/base/shell_word.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/diff.h"
#include "mlc/checkpoint/diff_values.h"
#include "mlc/checkpoint/every_tensor.h"
#include "mlc/checkpoint/expect.h"
#include "mlc/checkpoint/save.h"
#include "mlc/checkpoint/stored_parts.h"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_set>

#include <fmt/format.h>

namespace mlc::cli {
namespace {

constexpr size_t kShownDifferences = 50;

/// One input with what of it is compared.
struct Side {
  Input input;
  std::string key;  // of the state_dict; "." for the root
  std::vector<NamedTensor> tensors;
  const StateDict* state_dict = nullptr;  // what is compared, where it is one
  bool is_whole = false;                  // not a state_dict in the file, but all of it
  std::vector<std::string> beside;        // values of the file that stand beside the state_dict
  Metadata metadata;
};

/// How a kind is shown: before its lines, and counted in the last one.
struct KindText {
  DiffKind kind;
  std::string_view label;
  std::string_view one;
  std::string_view many;
};
constexpr KindText kKindTexts[] = {
    {DiffKind::only_in_a, "only in A", "only in A", "only in A"},
    {DiffKind::only_in_b, "only in B", "only in B", "only in B"},
    {DiffKind::layout, "layout", "layout", "layouts"},
    {DiffKind::shape, "shape", "shape", "shapes"},
    {DiffKind::dtype, "dtype", "dtype", "dtypes"},
    {DiffKind::value, "value", "tensor with other values", "tensors with other values"},
    {DiffKind::uncompared, "not compared", "not compared", "not compared"},
};

class DiffView {
 public:
  DiffView(const DiffArguments& arguments, Context& context)
      : arguments_(arguments), context_(context) {}

  Result<ExitCode> run();

 private:
  Result<Side> open(const std::string& path, const std::string& key);
  bool selected(std::string_view key) const;
  DiffOptions options() const;
  Status strip(Side& side) const;
  bool compares_others() const;
  void add_tensors_in_values(Side& side) const;
  Status compare_values();
  void compare_others();
  void keep(ValueDiff found);
  void collect_notes();
  void note_beside();
  void note_strings();
  void note_versions();
  bool holds_program() const;
  void note_prefix(const ExpectReport& fit);
  void note_sharing(const std::vector<std::vector<std::string>>& groups, std::string_view side);
  bool exact() const { return arguments_.atol == 0 && arguments_.rtol == 0; }
  bool equal() const { return report_.equal() && metadata_.empty() && values_.empty(); }
  void show_text();
  std::string line(const Difference& difference) const;
  std::string tensor_text(const Side& side, uint32_t index) const;
  std::string values_text(const Difference& difference) const;
  std::vector<int64_t> first_index(const Difference& difference) const;
  std::string summary() const;
  void show_json();
  void side_json(JsonWriter& json, std::string_view name, const Side& side) const;
  void tensor_json(JsonWriter& json, std::string_view name, const Side& side, uint32_t index) const;
  void difference_json(JsonWriter& json, const Difference& difference) const;
  void values_json(JsonWriter& json, const Difference& difference) const;

  const DiffArguments& arguments_;
  Context& context_;
  Side a_;
  Side b_;
  DiffReport report_;
  std::vector<ValueDifference> values_;  // of what is no tensor
  std::vector<std::string> other_versions_;
  bool values_compared_ = false;
  size_t others_compared_ = 0;  // values of the state_dicts that are no tensors
  std::vector<MetadataDifference> metadata_;
  std::vector<std::string> notes_;
};

bool DiffView::selected(std::string_view key) const {
  const auto matches = [key](const std::string& glob) { return glob_match(glob, key); };
  if (std::ranges::any_of(arguments_.exclude, matches)) return false;
  return arguments_.include.empty() || std::ranges::any_of(arguments_.include, matches);
}

/// With a key what it names, else the only state_dict; every tensor where there is none.
Result<Side> DiffView::open(const std::string& path, const std::string& key) {
  Side side;
  MLC_TRY(side.input, open_input(path, context_.reporter));
  Checkpoint& checkpoint = *side.input.checkpoint;
  if ((key.empty() && side.input.state_dicts.empty()) || key == ".") {
    side.tensors = every_tensor(checkpoint, checkpoint.root);
    side.is_whole = true;
  } else if (key == "*" && !side.input.state_dicts.empty()) {
    side.key = key;
    side.tensors = tensors_of_all(side.input, arguments_.strip_prefix);
    side.beside = {"everything but the tensors under keys of state_dicts"};
  } else {
    MLC_TRY(Shown shown, choose_shown(side.input, key));
    const StateDict* chosen = shown.state_dict;
    side.key = chosen == nullptr ? key : chosen->path.empty() ? "." : chosen->path;
    side.tensors = chosen != nullptr ? std::move(shown.tensors)
                                     : every_tensor(checkpoint, node_at(checkpoint, key));
    side.state_dict = chosen;
    side.beside = chosen != nullptr ? printable_all(values_beside(checkpoint, *chosen))
                                    : std::vector{"what is no tensor below " + printable(key)};
  }
  MLC_CHECK(strip(side));
  std::erase_if(side.tensors, [this](const NamedTensor& named) { return !selected(named.path); });
  if (arguments_.no_metadata || arguments_.keys_only) return side;
  MLC_TRY(auto metadata, metadata_to_carry(checkpoint));
  if (metadata) side.metadata = std::move(*metadata);
  return side;
}

/// Takes --strip-prefix off. Errors: conflict where two keys become one.
Status DiffView::strip(Side& side) const {
  const std::string& prefix = arguments_.strip_prefix;
  if (prefix.empty()) return {};
  const bool is_off = side.key == "*";  // in each of the state_dicts
  std::unordered_set<std::string_view> names;
  for (NamedTensor& named : side.tensors) {
    if (!is_off && named.path.starts_with(prefix)) named.path.erase(0, prefix.size());
    if (names.insert(named.path).second) continue;
    return conflict(
               "has " + printable(named.path) + " with and without the prefix " + printable(prefix),
               "`mlc load` lists the keys")
        .in_file(side.input.checkpoint->path);
  }
  return {};
}

DiffOptions DiffView::options() const {
  DiffOptions options;
  options.tolerance.atol = arguments_.atol;
  options.tolerance.rtol = arguments_.rtol;
  options.ignore_dtype = arguments_.ignore_dtype;
  options.threads = context_.threads();
  if (arguments_.no_values) options.depth = DiffDepth::layouts;
  if (arguments_.keys_only) options.depth = DiffDepth::keys;
  return options;
}

Result<ExitCode> DiffView::run() {
  MLC_TRY(a_, open(arguments_.a, arguments_.key));
  MLC_TRY(b_, open(arguments_.b, arguments_.key_b.value_or(arguments_.key)));
  if (compares_others()) {
    add_tensors_in_values(a_);
    add_tensors_in_values(b_);
  }
  const bool filtered = !arguments_.include.empty() || !arguments_.exclude.empty();
  if (filtered && a_.tensors.empty() && b_.tensors.empty()) {
    return usage_error("no key of either file is selected",
                       "`mlc load` lists the keys that --include and --exclude choose from");
  }
  MLC_TRY(report_, diff_tensors(*a_.input.checkpoint, a_.tensors, *b_.input.checkpoint, b_.tensors,
                                options(), context_.reporter));
  if (arguments_.sort == DiffOrder::movement) sort_by_movement(report_.differences);
  MLC_CHECK(compare_values());
  metadata_ = diff_metadata(&a_.metadata.root(), &b_.metadata.root());
  collect_notes();
  if (context_.json())
    show_json();
  else
    show_text();
  return equal() ? ExitCode::done : ExitCode::no;
}

/// Whether the state_dicts can both hold more than tensors: what a format has no place for is no
/// difference.
bool DiffView::compares_others() const {
  const auto holds_values = [](const Side& side) {
    const Checkpoint& checkpoint = *side.input.checkpoint;
    const bool pickled = checkpoint.format != Format::sharded || !checkpoint.archives.empty();
    return side.state_dict != nullptr && pickled && checkpoint.format != Format::safetensors &&
           checkpoint.format != Format::npz;
  };
  return holds_values(a_) && holds_values(b_);
}

void DiffView::add_tensors_in_values(Side& side) const {
  for (NamedTensor& named : every_tensor_in_values(*side.input.checkpoint, *side.state_dict)) {
    // Under a key that is no text: all of it is compared.
    std::erase(side.beside, printable(join_path(side.state_dict->path, named.path)));
    const std::string& prefix = arguments_.strip_prefix;
    if (!prefix.empty() && named.path.starts_with(prefix)) named.path.erase(0, prefix.size());
    if (selected(named.path)) side.tensors.push_back(std::move(named));
  }
}

/// What in the state_dicts is no tensor.
void DiffView::compare_others() {
  std::vector<std::string> compared;
  keep(diff_state_dict_values(*a_.input.checkpoint, *a_.state_dict, *b_.input.checkpoint,
                              *b_.state_dict, arguments_.strip_prefix, compared));
  std::erase_if(values_, [this](const ValueDifference& one) { return !selected(one.path); });
  for (const std::string& key : compared) {
    others_compared_ += selected(key) ? 1 : 0;
    for (Side* side : {&a_, &b_}) {
      for (const std::string& old : {key, arguments_.strip_prefix + key}) {
        std::erase(side->beside, printable(join_path(side->state_dict->path, old)));
      }
    }
  }
}

void DiffView::keep(ValueDiff found) {
  values_ = std::move(found.differences);
  other_versions_ = std::move(found.other_versions);
}

Status DiffView::compare_values() {
  if (arguments_.no_values || arguments_.keys_only) return {};
  if (compares_others()) compare_others();
  if (!a_.is_whole || !b_.is_whole) return {};
  keep(diff_values(*a_.input.checkpoint, *b_.input.checkpoint));
  MLC_TRY(const auto records, diff_records(*a_.input.checkpoint, *b_.input.checkpoint));
  values_.insert(values_.end(), records.begin(), records.end());
  std::erase_if(values_, [this](const ValueDifference& one) { return !selected(one.path); });
  values_compared_ = true;
  return {};
}

void DiffView::note_sharing(const std::vector<std::vector<std::string>>& groups,
                            std::string_view side) {
  for (const auto& group : groups) {
    notes_.push_back(
        fmt::format("share a storage only in {}: {}", side, join_list(printable_all(group))));
  }
}

void DiffView::note_beside() {
  if (a_.beside.empty() && b_.beside.empty()) return;
  std::string text = "not compared: " + join_list(a_.beside.empty() ? b_.beside : a_.beside);
  if (a_.beside.empty() || b_.beside.empty()) {
    text += a_.beside.empty() ? " in B" : " in A";
  } else if (a_.beside != b_.beside) {
    text += " in A, " + join_list(b_.beside) + " in B";
  }
  // Roots of another build share no path: all that one could say of them is that they differ.
  if (a_.key == b_.key) {
    text += "; `--key .` compares every tensor and value, the optimizer's too";
  }
  notes_.push_back(text);
}

/// Strings of safetensors that differ. Other formats hold none, which says nothing.
void DiffView::note_strings() {
  const Checkpoint& a = *a_.input.checkpoint;
  const Checkpoint& b = *b_.input.checkpoint;
  const auto has_none = [](const Checkpoint& one) {
    return one.string_metadata.empty() && one.format != Format::safetensors;
  };
  if (arguments_.no_metadata || arguments_.keys_only || has_none(a) || has_none(b)) return;
  const std::map<std::string, std::string> in_a(a.string_metadata.begin(), a.string_metadata.end());
  const std::map<std::string, std::string> in_b(b.string_metadata.begin(), b.string_metadata.end());
  std::set<std::string> keys;
  for (const auto* side : {&in_a, &in_b}) {
    const auto& other = side == &in_a ? in_b : in_a;
    for (const auto& [key, value] : *side) {
      const auto at = other.find(key);
      const bool same = at != other.end() ? at->second == value : key == "format";
      if (!same) keys.insert(printable(key));
    }
  }
  if (keys.empty()) return;
  notes_.push_back("other strings in __metadata__, which do not count: " +
                   join_list(std::vector<std::string>(keys.begin(), keys.end())));
}

void DiffView::note_versions() {
  if (other_versions_.empty()) return;
  std::vector<std::string> places;
  for (const std::string& path : other_versions_) {
    places.push_back(path.empty() ? "." : printable(path));
  }
  notes_.push_back("other module versions in _metadata, which do not count: " +
                   join_list(std::move(places)));
}

/// Whether a file holds a program, which nothing here looks at.
bool DiffView::holds_program() const {
  const auto is_program = [](const Side& side) {
    const Format format = side.input.checkpoint->format;
    return format == Format::torchscript || format == Format::pt2;
  };
  return is_program(a_) || is_program(b_);
}

void DiffView::collect_notes() {
  if (report_.value_equal > 0) {
    notes_.push_back(plural(report_.value_equal, "tensor") +
                     (exact() ? " equal by value, not byte for byte" : " within the tolerance"));
  }
  if (report_.without_values > 0 && !arguments_.no_values && !arguments_.keys_only) {
    notes_.push_back(plural(report_.without_values, "tensor") +
                     " without values on both sides (meta): only shapes and types were compared");
  }
  note_sharing(report_.shared_in_a, "A");
  note_sharing(report_.shared_in_b, "B");
  note_beside();
  note_strings();
  note_versions();
  if (a_.is_whole && b_.is_whole && holds_program()) {
    notes_.push_back("not compared: the program, only its tensors");
  }
  if (report_.count(DiffKind::only_in_a) == 0 || report_.count(DiffKind::only_in_b) == 0) return;
  const auto fit = check_expected(expected_tensors(*a_.input.checkpoint, a_.tensors),
                                  expected_tensors(*b_.input.checkpoint, b_.tensors), {});
  if (!fit.extra_prefix.empty() || !fit.lacking_prefix.empty()) {
    note_prefix(fit);
  } else if (!fit.hint.empty()) {
    notes_.push_back(printable(arguments_.a) + ": " + fit.hint);
  }
}

/// The one difference behind many: one side was saved by a wrapper.
void DiffView::note_prefix(const ExpectReport& fit) {
  const bool in_a = !fit.extra_prefix.empty();
  const std::string& prefix = in_a ? fit.extra_prefix : fit.lacking_prefix;
  const std::string& longer = in_a ? arguments_.a : arguments_.b;
  notes_.push_back("the keys of " + printable(longer) + " equal those of " +
                   printable(in_a ? arguments_.b : arguments_.a) + " after stripping " +
                   printable(prefix) + "; to compare the values: --strip-prefix " +
                   shell_word(prefix));
}

std::string DiffView::tensor_text(const Side& side, uint32_t index) const {
  const Checkpoint& checkpoint = *side.input.checkpoint;
  const Tensor& tensor = checkpoint.tensors[index];
  return fmt::format("{} {}", info(tensor.dtype).brief, shape_text(checkpoint, tensor));
}

/// Row-major index of the first mismatch; empty if there is none, or for packed types.
std::vector<int64_t> DiffView::first_index(const Difference& difference) const {
  const Checkpoint& checkpoint = *a_.input.checkpoint;
  const Tensor& tensor = checkpoint.tensors[difference.a];
  if (!difference.values->first_mismatch || info(tensor.dtype).per_element != 1) return {};
  auto left = static_cast<int64_t>(*difference.values->first_mismatch);
  const Dims sizes = checkpoint.sizes(tensor);
  std::vector<int64_t> index(sizes.size());
  for (size_t d = sizes.size(); d-- > 0; left /= sizes[d]) index[d] = left % sizes[d];
  return index;
}

std::string DiffView::values_text(const Difference& difference) const {
  if (!difference.values) return {};
  const CompareResult& values = *difference.values;
  if (values.mismatches == 0 && values.max_abs == 0) return "equal values";
  std::string text =
      fmt::format("{} of {} {}, max abs {:.4g}, max rel {:.4g}", format_count(values.mismatches),
                  plural(values.count, "value"), exact() ? "differ" : "beyond the tolerance",
                  values.max_abs, values.max_rel);
  if (values.rel_norm) text += fmt::format(", rel norm {:.4g}", *values.rel_norm);
  if (values.cosine) text += fmt::format(", cosine {:.8g}", *values.cosine);
  if (values.nan_pairs > 0) {
    text += fmt::format(", {} NaN on one side", format_count(values.nan_pairs));
  }
  if (values.infinite_pairs > 0) {
    text += fmt::format(", {} infinitely far apart", format_count(values.infinite_pairs));
  }
  if (values.nan_pairs + values.infinite_pairs > 0 && (values.rel_norm || values.cosine)) {
    text += ", which rel norm and cosine leave out";
  }
  const std::vector<int64_t> first = first_index(difference);
  if (!first.empty()) text += ", first at " + format_shape(first);
  return text;
}

std::string DiffView::line(const Difference& difference) const {
  std::string text;
  const auto both = [&](const auto& part) {
    const auto of = [&](const Side& side, uint32_t index) {
      const Checkpoint& checkpoint = *side.input.checkpoint;
      return std::string(part(checkpoint, checkpoint.tensors[index]));
    };
    return of(a_, difference.a) + " and " + of(b_, difference.b);
  };
  switch (difference.kind) {
    case DiffKind::only_in_a:
      text = tensor_text(a_, difference.a);
      break;
    case DiffKind::only_in_b:
      text = tensor_text(b_, difference.b);
      break;
    case DiffKind::layout:
      text = printable(both(layout_name));
      break;
    case DiffKind::shape:
      text = both([](const Checkpoint& c, const Tensor& t) { return format_shape(c.sizes(t)); });
      break;
    case DiffKind::dtype:
      text = both([](const Checkpoint&, const Tensor& t) { return info(t.dtype).brief; });
      if (difference.values) text += ", " + values_text(difference);
      break;
    case DiffKind::value:
    case DiffKind::uncompared:
      text = difference.values ? values_text(difference) : printable(difference.reason);
      break;
  }
  const bool root = a_.is_whole && a_.tensors.size() == 1 && difference.key.empty();
  const std::string_view label = kKindTexts[static_cast<size_t>(difference.kind)].label;
  return fmt::format("{}: {}: {}\n", label, root ? "." : printable(shown_key(difference.key)),
                     text);
}

std::string DiffView::summary() const {
  if (equal() && arguments_.keys_only) return "equal: " + plural(report_.common, "key");
  if (equal()) {
    return "equal: " + plural(report_.common, "tensor") + ", " +
           (arguments_.no_values ? "values not compared" : format_bytes(report_.bytes)) +
           (values_compared_ && !holds_program() ? ", and every other value" : "") +
           (others_compared_ > 0 ? ", and " + plural(others_compared_, "other value") : "");
  }
  std::vector<std::string> parts;
  for (const KindText& row : kKindTexts) {
    const uint64_t count = report_.count(row.kind);
    if (count > 0) parts.push_back(plural(count, row.one, row.many));
  }
  if (!values_.empty()) parts.push_back(plural(values_.size(), "other value"));
  if (!metadata_.empty()) parts.push_back(format_count(metadata_.size()) + " metadata");
  return fmt::format("different: {}", fmt::join(parts, ", "));
}

void DiffView::show_text() {
  std::vector<std::string> lines;
  for (const Difference& difference : report_.differences) lines.push_back(line(difference));
  const auto or_nothing = [](const std::string& value) {
    return value.empty() ? "nothing" : value;
  };
  for (const auto& [path, a, b] : values_) {
    lines.push_back(fmt::format("other value: {}: {} and {}\n",
                                path.empty() ? "." : printable(path), or_nothing(a),
                                or_nothing(b)));
  }
  for (const MetadataDifference& row : metadata_) {
    const auto side = [](const MetaValue* value) {
      return value != nullptr ? brief_value(*value) : std::string("nothing");
    };
    lines.push_back(
        fmt::format("metadata: {}: {} and {}\n", printable(row.path), side(row.a), side(row.b)));
  }
  const size_t most = context_.console.verbosity() > 0 ? lines.size() : kShownDifferences;
  for (size_t i = 0; i < std::min(lines.size(), most); ++i) context_.out().write(lines[i]);
  if (most < lines.size()) {
    context_.out().line("and " + format_count(lines.size() - most) + " more; -v shows all");
  }
  context_.out().line(summary());
  static_cast<void>(context_.out().flush());  // the notes come last on a terminal
  for (const std::string& text : notes_) context_.console.note(text);
}

void DiffView::side_json(JsonWriter& json, std::string_view name, const Side& side) const {
  json.key(name);
  json.begin_object();
  json.field("file", side.input.checkpoint->path);
  json.field("format", format_name(side.input.checkpoint->format));
  json.key("key");
  if (side.key.empty())
    json.null();
  else
    json.value(side.key);
  json.field("tensors", side.tensors.size());
  json.end_object();
}

void DiffView::tensor_json(JsonWriter& json, std::string_view name, const Side& side,
                           uint32_t index) const {
  if (index == kNoIndex) return;
  const Checkpoint& checkpoint = *side.input.checkpoint;
  const Tensor& tensor = checkpoint.tensors[index];
  json.key(name);
  json.begin_object();
  json.field("layout", layout_name(checkpoint, tensor));
  json.field("dtype", info(tensor.dtype).torch);
  json.list("shape", checkpoint.sizes(tensor));
  json.end_object();
}

void DiffView::values_json(JsonWriter& json, const Difference& difference) const {
  const CompareResult& values = *difference.values;
  json.key("values");
  json.begin_object();
  json.field("count", values.count);
  json.field("mismatches", values.mismatches);
  if (values.first_mismatch) json.field("first_mismatch", *values.first_mismatch);
  json.field("max_abs", values.max_abs);
  json.field("max_rel", values.max_rel);
  json.field("nan_pairs", values.nan_pairs);
  json.field("infinite_pairs", values.infinite_pairs);
  json.field("rel_norm", values.rel_norm);
  json.field("cosine", values.cosine);
  json.end_object();
}

void DiffView::difference_json(JsonWriter& json, const Difference& difference) const {
  json.begin_object();
  json.field("kind", diff_kind_name(difference.kind));
  json.field("name", difference.key);
  tensor_json(json, "a", a_, difference.a);
  tensor_json(json, "b", b_, difference.b);
  if (difference.values) values_json(json, difference);
  if (!difference.reason.empty()) json.field("reason", difference.reason);
  json.end_object();
}

void DiffView::show_json() {
  JsonWriter json(context_.out());
  json.begin_object();
  json.field("schema", "mlc.diff/1");
  json.field("equal", equal());
  side_json(json, "a", a_);
  side_json(json, "b", b_);
  json.field("common", report_.common);
  json.field("bytes", report_.bytes);
  json.field("value_equal", report_.value_equal);
  json.key("counts");
  json.begin_object();
  for (const KindText& row : kKindTexts) {
    json.field(diff_kind_name(row.kind), report_.count(row.kind));
  }
  json.field("metadata", metadata_.size());
  json.field("other_values", values_.size());
  json.end_object();
  json.key("differences");
  json.begin_array();
  for (const Difference& difference : report_.differences) difference_json(json, difference);
  json.end_array();
  json.key("metadata");
  json.begin_array();
  for (const MetadataDifference& row : metadata_) {
    json.begin_object();
    json.field("path", row.path);
    for (const auto& [name, value] : {std::pair("a", row.a), std::pair("b", row.b)}) {
      if (value == nullptr) continue;
      json.key(name);
      json.raw(value->to_json());
    }
    json.end_object();
  }
  json.end_array();
  json.key("other_values");
  json.begin_array();
  for (const ValueDifference& row : values_) {
    json.begin_object();
    json.field("path", row.path);
    if (!row.a.empty()) json.field("a", row.a);
    if (!row.b.empty()) json.field("b", row.b);
    json.end_object();
  }
  json.end_array();
  json.list("notes", notes_);
  json.end_object();
}

}  // namespace

Result<ExitCode> diff_files(const DiffArguments& arguments, Context& context) {
  return DiffView(arguments, context).run();
}

}  // namespace mlc::cli
