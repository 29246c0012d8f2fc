#include "mlc/checkpoint/weights_only.h"

#include "mlc/base/text.h"
#include "mlc/pickle/globals.h"
#include "mlc/pickle/traverse.h"

#include <algorithm>
#include <utility>

namespace mlc {
namespace {

using pickle::Graph;
using pickle::NodeKind;

struct FormatRow {
  Format format;
  std::string_view refused;       // torch.load is asked for these, and refuses all of them
  std::string_view other_reader;  // or these are not for torch.load
};

constexpr FormatRow kFormats[] = {
    {Format::torch_zip, "", ""},
    {Format::torch_legacy, "", ""},
    {Format::torch_tar, "tar files of PyTorch up to 0.1.9", ""},
    {Format::torchscript, "TorchScript archives", ""},
    {Format::plain_pickle, "files that torch.save did not write", ""},
    {Format::pt2, "", "torch.export.load"},
    {Format::safetensors, "", "safetensors"},
    {Format::sharded, "", ""},
    {Format::dcp, "", "torch.distributed.checkpoint.load"},
    {Format::npz, "", "numpy.load"},
    {Format::npy, "", "numpy.load"},
};

const FormatRow& row_of(Format format) {
  return *std::ranges::find(kFormats, format, &FormatRow::format);
}

/// Names that PyTorch knows once a package was imported, which add_safe_globals() there adds.
struct ImportRow {
  std::string_view path;
  std::string_view package;
};

constexpr ImportRow kImports[] = {
    {"torch._dynamo.decorators._DimRange", "torch._dynamo"},
    {"torch.distributed.device_mesh.DeviceMesh", "torch.distributed.tensor"},
    {"torch.distributed.tensor.DTensor", "torch.distributed.tensor"},
    {"torch.distributed.tensor._dtensor_spec.DTensorSpec", "torch.distributed.tensor"},
    {"torch.distributed.tensor._dtensor_spec.ShardOrderEntry", "torch.distributed.tensor"},
    {"torch.distributed.tensor._dtensor_spec.TensorMeta", "torch.distributed.tensor"},
    {"torch.distributed.tensor.placement_types.Partial", "torch.distributed.tensor"},
    {"torch.distributed.tensor.placement_types.Replicate", "torch.distributed.tensor"},
    {"torch.distributed.tensor.placement_types.Shard", "torch.distributed.tensor"},
    {"torch.distributed.tensor.placement_types._StridedShard", "torch.distributed.tensor"},
};

std::string callable_name(const Graph& graph, NodeId object) {
  const NodeId callable = graph.callable(object);
  return graph.is(callable, NodeKind::global) ? graph.global_path(callable) : "a value";
}

/// SETITEM is for dict, OrderedDict and Counter, APPEND for list, and only names are called.
std::string refused_use(const Graph& graph, NodeId object) {
  if (!graph.is(graph.callable(object), NodeKind::global)) return "calls of something without name";
  const pickle::ObjectContent* content = graph.content(object);
  if (content == nullptr) return {};
  const bool mapping = graph.is_call_of(object, "collections", "OrderedDict") ||
                       graph.is_call_of(object, "collections", "Counter");
  if (!content->items.empty() && !mapping) return "items in a " + callable_name(graph, object);
  if (!content->appended.empty()) return "items appended to a " + callable_name(graph, object);
  return {};
}

void add_once(std::vector<std::string>& out, std::string text) {
  if (std::ranges::find(out, text) == out.end()) out.push_back(std::move(text));
}

/// What an import would do about VERDICT, which is complete.
void add_imports(WeightsOnlyVerdict& verdict) {
  if (!verdict.refused.empty()) return;
  std::vector<std::string> packages;
  for (const std::string& path : verdict.refused_globals) {
    const auto row = std::ranges::find(kImports, path, &ImportRow::path);
    if (row == std::end(kImports)) return;
    add_once(packages, std::string(row->package));
  }
  verdict.imports = std::move(packages);
}

void add_uses(const Graph& graph, std::vector<std::string>& out) {
  for (NodeId node = 0; node < graph.size(); ++node) {
    if (!graph.is(node, NodeKind::object)) continue;
    std::string refused = refused_use(graph, node);
    if (!refused.empty()) add_once(out, std::move(refused));
  }
}

bool looks_like_class(const pickle::GlobalUse& use) {
  const char first = use.name[use.name.rfind('.') + 1];  // npos + 1 is 0
  return first >= 'A' && first <= 'Z';
}

/// What a reader should see first has the least.
int rank(const pickle::GlobalUse& use) {
  if (pickle::runs_code(use.module, use.name)) return use.called ? 0 : 1;
  return looks_like_class(use) ? 3 : 2;
}

/// Which names count.
enum class Reach : uint8_t { everywhere, from_root };

void add_globals(const Checkpoint& checkpoint, Reach reach, WeightsOnlyVerdict& verdict) {
  if (pickle::weights_only_allows_all(checkpoint.graph)) return;
  auto uses = pickle::list_globals(checkpoint.graph, checkpoint.root);
  std::erase_if(uses, [reach](const pickle::GlobalUse& use) {
    return pickle::weights_only_allows(use.module, use.name) ||
           (reach == Reach::from_root && !use.reachable);
  });
  std::ranges::stable_sort(uses, {}, rank);
  for (const pickle::GlobalUse& use : uses) {
    std::string path = use.module + "." + use.name;
    if (rank(use) == 0) ++verdict.called_code;
    if (rank(use) <= 1) verdict.code_globals.push_back(path);
    verdict.refused_globals.push_back(std::move(path));
  }
}

/// The name that pickle::write() gives what is no call in the graph, as Python 3 spells it; empty
/// for what it needs none for.
std::string_view implicit_name(const Graph& graph, NodeId node) {
  if (graph.is(node, NodeKind::frozenset)) return "frozenset";
  if (graph.is(node, NodeKind::bytes) && graph.text(node).empty()) return "bytes";
  return {};
}

constexpr size_t kShortest = 255;  // bytes that LONG1 and SHORT_BINSTRING can have

/// What pickle::write() has to use an opcode for that torch.load does not run.
std::string_view refused_form(const Graph& graph, NodeId node) {
  switch (graph.kind(node)) {
    case NodeKind::big_integer:
      return graph.text(node).size() > kShortest ? "integers of more than 255 bytes" : "";
    case NodeKind::old_string:
      return graph.text(node).size() > kShortest ? "texts of Python 2 of more than 255 bytes" : "";
    case NodeKind::object:
      return graph.object_form(node) == pickle::ObjectForm::new_object_ex
                 ? "calls with keyword arguments"
                 : "";
    default:
      return {};
  }
}

/// A name that `verdict.refused_globals` may have already, from a pickle that spells it out.
void add_implicit(const Graph& graph, NodeId node, WeightsOnlyVerdict& verdict) {
  const std::string_view name = implicit_name(graph, node);
  if (name.empty() || pickle::weights_only_allows("builtins", name)) return;
  const std::string own = "builtins." + std::string(name);
  const std::string older = "__builtin__." + std::string(name);
  const auto& known = verdict.refused_globals;
  if (std::ranges::find(known, older) == known.end()) add_once(verdict.refused_globals, own);
}

}  // namespace

std::vector<std::string> WeightsOnlyVerdict::marked_globals() const {
  std::vector<std::string> shown = printable_all(refused_globals);
  for (size_t i = 0; i < code_globals.size(); ++i) {
    shown[i] += i < called_code ? " (runs code)" : " (code, not called)";
  }
  return shown;
}

std::string WeightsOnlyVerdict::globals_text() const {
  constexpr size_t kShown = 3;
  constexpr size_t kMostShown = 10;  // of a file that means to hide one among many
  return join_list(marked_globals(), std::clamp(code_globals.size() + 1, kShown, kMostShown));
}

std::string WeightsOnlyVerdict::without_imports() const {
  std::vector<std::string> lines;
  for (const std::string& package : imports) lines.push_back("`import " + package + "`");
  return lines.empty() ? "" : " without " + join_list(lines);
}

std::vector<std::string> WeightsOnlyVerdict::texts() const {
  std::vector<std::string> out = marked_globals();
  for (const std::string& text : refused) out.push_back(printable(text));
  return out;
}

std::string refused_once_written(const Graph& graph, NodeId node) {
  if (graph.is(node, NodeKind::global)) {
    const bool allowed =
        pickle::weights_only_allows(graph.global_module(node), graph.global_name(node));
    return allowed ? "" : graph.global_path(node);
  }
  const std::string_view name = implicit_name(graph, node);
  if (!name.empty() && !pickle::weights_only_allows("builtins", name)) {
    return "builtins." + std::string(name);
  }
  std::string form(refused_form(graph, node));
  if (form.empty() && graph.is(node, NodeKind::object)) form = refused_use(graph, node);
  return form;
}

WeightsOnlyVerdict verdict_once_written(const Checkpoint& checkpoint) {
  WeightsOnlyVerdict verdict;
  add_globals(checkpoint, Reach::from_root, verdict);
  const Graph& graph = checkpoint.graph;
  pickle::for_each_reachable(graph, checkpoint.root, [&](NodeId node) {
    if (graph.is(node, NodeKind::global)) return;
    if (!implicit_name(graph, node).empty()) return add_implicit(graph, node, verdict);
    const bool is_named = graph.is(node, NodeKind::object) &&
                          !refused_once_written(graph, graph.callable(node)).empty();
    std::string refused = refused_once_written(graph, node);
    if (!refused.empty() && !is_named) add_once(verdict.refused, std::move(refused));
  });
  add_imports(verdict);
  return verdict;
}

WeightsOnlyVerdict weights_only_verdict(const Checkpoint& checkpoint) {
  WeightsOnlyVerdict verdict;
  const FormatRow& row = row_of(checkpoint.format);
  verdict.other_reader = row.other_reader;
  // Shards are read one by one, by what reads their own format.
  if (checkpoint.format == Format::sharded && checkpoint.archives.empty()) {
    verdict.other_reader = row_of(Format::safetensors).other_reader;
  }
  if (!row.refused.empty()) verdict.refused.emplace_back(row.refused);
  // An attribute of a script is no Python name, and the classes of a DCP folder are its own.
  if (checkpoint.format == Format::torchscript || checkpoint.format == Format::dcp) return verdict;
  add_globals(checkpoint, Reach::everywhere, verdict);
  if (!verdict.other_reader.empty()) return verdict;
  if (!checkpoint.refused_opcode.empty()) {
    verdict.refused.push_back("the pickle opcode " + std::string(checkpoint.refused_opcode) +
                              " (protocol " + std::to_string(checkpoint.pickle_protocol) + ")");
  }
  add_uses(checkpoint.graph, verdict.refused);
  const bool untyped = std::ranges::any_of(checkpoint.storages, &Storage::untyped);
  if (untyped && checkpoint.format == Format::torch_legacy) {
    verdict.refused.emplace_back(
        "UntypedStorage in the legacy format, which torch.load reads in no mode; `mlc save` writes "
        "a .pt that it reads");
  }
  add_imports(verdict);
  return verdict;
}

}  // namespace mlc
