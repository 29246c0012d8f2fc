#include "load/values_json.h"

#include "mlc/base/text.h"
#include "mlc/checkpoint/mapping_object.h"
#include "mlc/checkpoint/numpy_pickle.h"
#include "mlc/checkpoint/state_dict.h"
#include "mlc/checkpoint/torch_objects.h"
#include "mlc/pickle/byte_spellings.h"
#include "mlc/pickle/known_objects.h"
#include "mlc/pickle/names_today.h"
#include "mlc/pickle/python_literals.h"
#include "mlc/pickle/render.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <span>
#include <string>
#include <unordered_set>

namespace mlc::cli {
namespace {

using pickle::Graph;
using pickle::NodeKind;

constexpr size_t kMaxItems = 1000;        // of one collection
constexpr size_t kMaxBelowRoot = 10'000;  // values below one entry of the root
constexpr size_t kMaxValues = 50'000;
constexpr size_t kMaxDepth = 40;
constexpr size_t kMaxText = 1U << 20U;  // bytes of one text
constexpr size_t kMaxTexts = 16U << 20U;
constexpr size_t kMaxIntegerBytes = 64;

class ValuesWriter {
 public:
  ValuesWriter(JsonWriter& json, const Checkpoint& checkpoint)
      : json_(json), checkpoint_(checkpoint), graph_(checkpoint.graph) {}

  void run() { value(checkpoint_.root, 0); }

 private:
  using Items = std::span<const NodeId>;
  using Entries = std::vector<pickle::Entry>;

  void value(NodeId node, size_t depth);
  void collection(NodeId node, size_t depth);
  void array(Items items, size_t depth);
  void mapping(NodeId node, const Entries& entries, size_t depth);
  void object(NodeId node, size_t depth);
  void scalar(const pickle::NumpyScalar& scalar, NodeId node);
  void real(double number);
  void text(std::string_view text);
  void marked(std::string_view mark, std::string_view text);
  void members(const Entries& entries, size_t depth, std::set<std::string>& names);
  void member(std::string name, NodeId node, size_t depth, std::set<std::string>& names);
  void left_out(size_t count);
  std::string short_text(NodeId node) const;
  std::string class_path(NodeId node) const;
  const std::vector<NodeId>* items_of_set(NodeId node) const;
  const Entries* attributes_of(NodeId node) const;

  /// Whether one more value of a collection that has shown SHOWN is written.
  bool room(size_t shown) const { return shown < kMaxItems && used_ < limit_; }

  JsonWriter& json_;
  const Checkpoint& checkpoint_;
  const Graph& graph_;
  size_t used_ = 0;
  size_t limit_ = kMaxValues;  // of USED_, below the entry of the root that is written
  size_t texts_ = 0;           // bytes
  std::unordered_set<NodeId> open_;
};

void ValuesWriter::marked(std::string_view mark, std::string_view text) {
  json_.begin_object();
  json_.field(mark, text);
  json_.end_object();
}

void ValuesWriter::left_out(size_t count) {
  json_.begin_object();
  json_.field("$more", count);
  json_.end_object();
}

void ValuesWriter::real(double number) {
  if (std::isfinite(number)) return json_.value(number);
  json_.value(pickle::python_float(number));
}

void ValuesWriter::text(std::string_view text) {
  texts_ += text.size();
  if (text.size() <= kMaxText && texts_ <= kMaxTexts) return json_.value(text);
  texts_ -= text.size();
  json_.begin_object();
  json_.field("$text", pickle::python_text(text, 60));
  json_.field("$more", text.size() - std::min<size_t>(text.size(), 60));
  json_.end_object();
}

/// As --tree shows it.
std::string ValuesWriter::short_text(NodeId node) const {
  if (std::string array = numpy_array_text(graph_, node); !array.empty()) return array;
  return pickle::render(graph_, node, {.max_nodes = 40, .max_depth = 6, .max_text = 60});
}

std::string ValuesWriter::class_path(NodeId node) const {
  if (!graph_.is(node, NodeKind::object)) return {};
  NodeId callable = graph_.callable(node);
  const auto args = graph_.sequence(graph_.args(node));
  const bool old_style = graph_.is_call_of(node, "copy_reg", "_reconstructor") ||
                         graph_.is_call_of(node, "copyreg", "_reconstructor");
  if (old_style && !args.empty()) callable = args[0];
  if (!graph_.is(callable, NodeKind::global)) return "object";
  return pickle::path_today(graph_.global_module(callable), graph_.global_name(callable));
}

/// Of a set, which protocol 2 writes as a call with a list.
const std::vector<NodeId>* ValuesWriter::items_of_set(NodeId node) const {
  if (graph_.is(node, NodeKind::set) || graph_.is(node, NodeKind::frozenset)) {
    return &graph_.list(node);
  }
  const std::string path = class_path(node);
  if (path != "builtins.set" && path != "builtins.frozenset") return nullptr;
  const auto args = graph_.sequence(graph_.args(node));
  return args.size() == 1 && graph_.is(args[0], NodeKind::list) ? &graph_.list(args[0]) : nullptr;
}

const ValuesWriter::Entries* ValuesWriter::attributes_of(NodeId node) const {
  const pickle::ObjectContent* content = graph_.content(node);
  const bool dict =
      content != nullptr && content->state != kNoNode && graph_.is(content->state, NodeKind::dict);
  return dict ? &graph_.dict(content->state) : nullptr;
}

void ValuesWriter::scalar(const pickle::NumpyScalar& scalar, NodeId node) {
  if (scalar.kind == 'c') return marked("$text", short_text(node));
  if (scalar.kind == 'b') return json_.value(scalar.integer != 0);
  if (!std::isfinite(scalar.real)) return real(scalar.real);
  json_.raw(pickle::numpy_number(scalar));
}

void ValuesWriter::value(NodeId node, size_t depth) {
  ++used_;
  if (const uint32_t index = checkpoint_.tensor_at(node); index != kNoIndex) {
    const Tensor& tensor = checkpoint_.tensors[index];
    return marked("$tensor",
                  std::string(info(tensor.dtype).brief) + format_shape(checkpoint_.sizes(tensor)));
  }
  switch (graph_.kind(node)) {
    case NodeKind::none:
      return json_.null();
    case NodeKind::boolean:
      return json_.value(graph_.boolean(node));
    case NodeKind::integer:
      return json_.value(graph_.integer(node));
    case NodeKind::real:
      return real(graph_.real(node));
    case NodeKind::text:
      return text(graph_.text(node));
    case NodeKind::old_string:
      if (is_utf8(graph_.text(node))) return text(graph_.text(node));
      return marked("$text", short_text(node));
    case NodeKind::big_integer:
      if (graph_.text(node).size() <= kMaxIntegerBytes) return json_.raw(short_text(node));
      return marked("$text", short_text(node));
    case NodeKind::bytes:
    case NodeKind::bytearray:
    case NodeKind::global:
    case NodeKind::persistent:
      return marked("$text", short_text(node));
    default:
      break;
  }
  if (depth >= kMaxDepth || !open_.insert(node).second) return left_out(1);
  collection(node, depth);
  open_.erase(node);
}

void ValuesWriter::collection(NodeId node, size_t depth) {
  if (const auto* items = items_of_set(node)) return array(*items, depth);
  const NodeId inside = only_argument(graph_, node);
  const auto* entries = graph_.entries(inside != kNoNode ? inside : node);
  if (entries != nullptr) return mapping(node, *entries, depth);
  const bool plain = !graph_.is(node, NodeKind::object);
  const auto items = graph_.sequence(node);
  if (plain || (!items.empty() && attributes_of(node) == nullptr)) return array(items, depth);
  object(node, depth);
}

void ValuesWriter::array(Items items, size_t depth) {
  json_.begin_array();
  size_t shown = 0;
  while (shown < items.size() && room(shown)) value(items[shown++], depth + 1);
  if (shown < items.size()) left_out(items.size() - shown);
  json_.end_array();
}

/// A member under a name that none has yet.
void ValuesWriter::member(std::string name, NodeId node, size_t depth,
                          std::set<std::string>& names) {
  if (!names.insert(name).second) return;
  json_.key(name);
  value(node, depth + 1);
}

void ValuesWriter::members(const Entries& entries, size_t depth, std::set<std::string>& names) {
  size_t shown = 0;
  for (const auto& [key, node] : entries) {
    if (depth == 0) limit_ = std::min(kMaxValues, used_ + kMaxBelowRoot);
    if (!room(shown)) break;
    ++shown;
    std::string name = key_text(graph_, key);
    if (names.contains(name)) name = indexed_key(name, is_string(graph_, key));
    member(std::move(name), node, depth, names);
  }
  if (shown == entries.size()) return;
  json_.field(names.insert("$more").second ? "$more" : "$$more", entries.size() - shown);
}

void ValuesWriter::mapping(NodeId node, const Entries& entries, size_t depth) {
  std::set<std::string> names;
  json_.begin_object();
  members(entries, depth, names);
  for (auto& [name, attribute] : attributes_beside(graph_, node)) {
    if (room(0)) member("." + name, attribute, depth, names);
  }
  json_.end_object();
}

void ValuesWriter::object(NodeId node, size_t depth) {
  if (const auto number = pickle::numpy_scalar(graph_, node)) return scalar(*number, node);
  const bool is_bytes = pickle::bytes_of_call(graph_, node).has_value() ||
                        pickle::bytearray_of_call(graph_, node).has_value();
  if (is_bytes) return marked("$text", short_text(node));
  json_.begin_object();
  const bool is_array = !numpy_array_text(graph_, node).empty();
  json_.field("$object", is_array ? "numpy.ndarray" : class_path(node));
  if (const Entries* attributes = attributes_of(node)) {
    std::set<std::string> names = {"$object"};
    members(*attributes, depth, names);
  } else {
    json_.field("$text", short_text(node));
  }
  json_.end_object();
}

}  // namespace

void values_json(JsonWriter& json, const Checkpoint& checkpoint) {
  ValuesWriter(json, checkpoint).run();
}

}  // namespace mlc::cli
