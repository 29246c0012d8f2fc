#include "mlc/pickle/render.h"

#include "mlc/base/text.h"
#include "mlc/pickle/byte_spellings.h"
#include "mlc/pickle/known_objects.h"
#include "mlc/pickle/names_today.h"
#include "mlc/pickle/python_literals.h"
#include "mlc/pickle/text_values.h"

#include <algorithm>
#include <utility>

namespace mlc::pickle {
namespace {

constexpr size_t kMaxDepth = 200;        // of the recursion below, whatever the options say
constexpr size_t kMaxIntegerBytes = 64;  // of an integer that is shown in full
constexpr std::string_view kMore = "...";

class Renderer {
 public:
  Renderer(const Graph& graph, const RenderOptions& options) : graph_(graph), options_(options) {}

  std::string run(NodeId root) {
    value(root);
    return std::move(out_);
  }

  std::optional<std::string> run_canonical(NodeId root,
                                           const std::function<bool(NodeId)>& is_left_out) {
    canonical_ = true;
    is_left_out_ = is_left_out;
    value(root);
    if (is_cut_) return std::nullopt;
    return std::move(out_);
  }

 private:
  void value(NodeId id);
  void container(NodeId id);
  void bytes(std::string_view bytes);
  void byte_array(std::string_view content);
  void big_integer(std::string_view bytes);
  void name(NodeId global);
  void object(NodeId id);
  bool known_call(NodeId id);
  void plain_call(NodeId id);
  void persistent(NodeId id);
  void keywords(const std::vector<Entry>& entries);
  void fields(NodeId state);

  // Writes "a, b, ..." between the brackets; SHOW shows one item.
  template <class Items, class Show>
  void list(const Items& items, Show show);
  void values(std::span<const NodeId> items) {
    list(items, [this](NodeId item) { value(item); });
  }
  void pairs(std::span<const Entry> entries);
  void separate();
  void set(std::span<const NodeId> items, bool frozen);
  void sorted(std::span<const NodeId> items);
  void cut() {
    out_ += kMore;
    is_cut_ = true;
  }

  const Graph& graph_;
  const RenderOptions& options_;
  bool canonical_ = false;
  std::function<bool(NodeId)> is_left_out_;
  bool is_cut_ = false;  // something is not shown
  size_t shown_ = 0;
  std::vector<NodeId> path_;
  std::string out_;
};

// A comma, unless nothing stands before.
void Renderer::separate() {
  if (!out_.ends_with('(') && !out_.ends_with('[') && !out_.ends_with('{')) out_ += ", ";
}

template <class Items, class Show>
void Renderer::list(const Items& items, Show show) {
  for (const auto& item : items) {
    separate();
    if (shown_ >= options_.max_nodes) return cut();
    show(item);
  }
}

void Renderer::pairs(std::span<const Entry> entries) {
  out_ += '{';
  list(entries, [this](const Entry& entry) {
    value(entry.first);
    out_ += ": ";
    value(entry.second);
  });
  out_ += '}';
}

void Renderer::bytes(std::string_view bytes) {
  const std::string_view shown = bytes.substr(0, options_.max_text);
  std::string latin = python_text(latin1_to_utf8(shown));
  out_ += 'b';
  for (size_t i = 0; i < latin.size(); ++i) {  // U+00A0 to U+00FF are left: C2 A0 to C3 BF
    const auto c = static_cast<unsigned char>(latin[i]);
    if (c < 0x80) {
      out_ += latin[i];
      continue;
    }
    const auto code = static_cast<unsigned>((c & 0x03U) << 6U | (latin[++i] & 0x3F));
    out_ += "\\x";
    out_ += "0123456789abcdef"[code >> 4U];
    out_ += "0123456789abcdef"[code & 0xFU];
  }
  if (shown.size() < bytes.size()) cut();
}

void Renderer::byte_array(std::string_view content) {
  out_ += "bytearray(";
  bytes(content);
  out_ += ')';
}

void Renderer::big_integer(std::string_view bytes) {
  if (bytes.size() <= kMaxIntegerBytes) {
    out_ += big_integer_to_decimal(bytes);
  } else {
    out_ += "<integer of " + plural(bytes.size(), "byte") + ">";
    if (canonical_) out_ += latin1_to_utf8(bytes);  // decimals of long ones take too long
  }
}

void Renderer::name(NodeId global) {
  const std::string_view module = graph_.global_module(global);
  if (canonical_) {
    out_ += printable(path_today(module, graph_.global_name(global)));
    return;
  }
  const bool builtin = module == "builtins" || module == "__builtin__";
  out_ += printable(builtin ? std::string(graph_.global_name(global)) : graph_.global_path(global));
}

void Renderer::value(NodeId id) {
  if (shown_ >= options_.max_nodes) return cut();
  ++shown_;
  if (is_left_out_ && is_left_out_(id)) {
    out_ += "<left out>";
    return;
  }
  switch (graph_.kind(id)) {
    case NodeKind::none:
      out_ += "None";
      return;
    case NodeKind::boolean:
      out_ += graph_.boolean(id) ? "True" : "False";
      return;
    case NodeKind::integer:
      out_ += std::to_string(graph_.integer(id));
      return;
    case NodeKind::big_integer:
      return big_integer(graph_.text(id));
    case NodeKind::real:
      out_ += python_float(canonical_ ? graph_.real(id) + 0.0 : graph_.real(id));  // no -0.0
      return;
    case NodeKind::text:
      out_ += python_text(graph_.text(id), options_.max_text);
      return;
    case NodeKind::old_string:
      if (!is_utf8(graph_.text(id))) return bytes(graph_.text(id));
      out_ += python_text(graph_.text(id), options_.max_text);
      return;
    case NodeKind::bytes:
      return bytes(graph_.text(id));
    case NodeKind::bytearray:
      return byte_array(graph_.text(id));
    case NodeKind::global:
      return name(id);
    case NodeKind::tensor:
      out_ += "<tensor " + std::to_string(graph_.tensor(id)) + ">";
      return;
    default:
      break;
  }
  const bool inside_itself = std::ranges::find(path_, id) != path_.end();
  if (inside_itself || path_.size() >= std::min(options_.max_depth, kMaxDepth)) return cut();
  path_.push_back(id);
  container(id);
  path_.pop_back();
}

void Renderer::container(NodeId id) {
  switch (graph_.kind(id)) {
    case NodeKind::tuple:
      out_ += '(';
      values(graph_.tuple(id));
      out_ += graph_.tuple(id).size() == 1 ? ",)" : ")";
      return;
    case NodeKind::list:
      out_ += '[';
      values(graph_.list(id));
      out_ += ']';
      return;
    case NodeKind::set:
    case NodeKind::frozenset:
      return set(graph_.list(id), graph_.is(id, NodeKind::frozenset));
    case NodeKind::dict:
      return pairs(graph_.dict(id));
    case NodeKind::persistent:
      return persistent(id);
    default:
      return object(id);
  }
}

void Renderer::set(std::span<const NodeId> items, bool frozen) {
  const bool empty = items.empty();
  out_ += empty ? (frozen ? "frozenset(" : "set(") : (frozen ? "frozenset({" : "{");
  if (canonical_)
    sorted(items);
  else
    values(items);
  out_ += empty ? ")" : (frozen ? "})" : "}");
}

// A set has no order, only the one in which its hashes were met, and holds an item once.
void Renderer::sorted(std::span<const NodeId> items) {
  std::vector<std::string> texts;
  std::string around = std::exchange(out_, {});
  for (const NodeId item : items) {
    value(item);
    texts.push_back(std::exchange(out_, {}));
    if (is_cut_) break;
  }
  out_ = std::move(around);
  std::ranges::sort(texts);
  texts.erase(std::unique(texts.begin(), texts.end()), texts.end());
  for (const std::string& text : texts) {
    separate();
    out_ += text;
  }
}

// The storages of PyTorch: ('storage', type, key, location, count).
void Renderer::persistent(NodeId id) {
  const NodeId inner = graph_.persistent_id(id);
  out_ += '<';
  if (graph_.is(inner, NodeKind::tuple) && graph_.tuple(inner).size() >= 3 &&
      graph_.is(graph_.tuple(inner)[1], NodeKind::global) &&
      graph_.is(graph_.tuple(inner)[2], NodeKind::text)) {
    name(graph_.tuple(inner)[1]);
    const std::string_view key = graph_.text(graph_.tuple(inner)[2]);
    out_ += ' ' + printable(key.substr(0, options_.max_text));
  } else {
    out_ += "persistent ";
    value(inner);
  }
  out_ += '>';
}

// Calls that stand for a literal (bytes, sets), or show what they made as Python would.
bool Renderer::known_call(NodeId id) {
  if (const auto raw = bytes_of_call(graph_, id)) return bytes(*raw), true;
  if (const auto raw = bytearray_of_call(graph_, id)) return byte_array(*raw), true;
  if (auto scalar = numpy_scalar(graph_, id)) {
    if (canonical_) scalar->real += 0.0;  // no -0.0
    if (canonical_) scalar->imaginary += 0.0;
    out_ += numpy_repr(*scalar);
    return true;
  }
  const auto args = graph_.tuple(graph_.args(id));
  if (const auto date = open_date_repr(graph_, id)) {
    out_ += *date;
    if (args.size() == 2) {
      out_ += ", tzinfo=";
      value(args[1]);
    }
    out_ += ')';
    return true;
  }
  const auto is_call_of = [&](std::string_view name) {
    return graph_.is_call_of(id, "__builtin__", name) || graph_.is_call_of(id, "builtins", name);
  };
  const bool frozen = is_call_of("frozenset");
  if ((frozen || is_call_of("set")) && args.size() == 1 && graph_.is(args[0], NodeKind::list)) {
    set(graph_.list(args[0]), frozen);
    return true;
  }
  return false;
}

void Renderer::object(NodeId id) {
  if (graph_.is(graph_.args(id), NodeKind::tuple) && known_call(id)) return;
  plain_call(id);
}

void Renderer::keywords(const std::vector<Entry>& entries) {
  list(entries, [this](const Entry& entry) {
    if (graph_.is(entry.first, NodeKind::text)) {
      ++shown_;
      out_ += printable(graph_.text(entry.first).substr(0, options_.max_text));
    } else {
      value(entry.first);
    }
    out_ += '=';
    value(entry.second);
  });
}

// A state: a dict of attributes, or anything that only the class understands.
void Renderer::fields(NodeId state) {
  if (graph_.is(state, NodeKind::dict)) return keywords(graph_.dict(state));
  separate();
  out_ += "state=";
  value(state);
}

void Renderer::plain_call(NodeId id) {
  const NodeId callable = graph_.callable(id);
  auto args = graph_.sequence(graph_.args(id));
  const bool old_style = graph_.is_call_of(id, "copy_reg", "_reconstructor") ||
                         graph_.is_call_of(id, "copyreg", "_reconstructor");
  if (old_style && args.size() == 3) {
    value(args[0]);  // the class; its base and the base's value are object and None
    args = {};
  } else if (graph_.is(callable, NodeKind::global) &&
             graph_.global_module(callable) == "collections") {
    out_ += printable(graph_.global_name(callable));
  } else {
    value(callable);
  }
  out_ += '(';
  values(args);
  if (const NodeId extra = graph_.keyword_args(id); extra != kNoNode) keywords(graph_.dict(extra));
  if (const ObjectContent* content = graph_.content(id); content != nullptr) {
    if (!content->appended.empty()) {
      separate();
      out_ += '[';
      values(content->appended);
      out_ += ']';
    }
    if (!content->items.empty()) {
      separate();
      pairs(content->items);
    }
    if (content->state != kNoNode) fields(content->state);
  }
  out_ += ')';
}

}  // namespace

std::string render(const Graph& graph, NodeId root, const RenderOptions& options) {
  return Renderer(graph, options).run(root);
}

std::optional<std::string> canonical_text(const Graph& graph, NodeId root, size_t max_nodes,
                                          const std::function<bool(NodeId)>& is_left_out) {
  const RenderOptions all{.max_nodes = max_nodes, .max_depth = SIZE_MAX, .max_text = SIZE_MAX};
  return Renderer(graph, all).run_canonical(root, is_left_out);
}

}  // namespace mlc::pickle
