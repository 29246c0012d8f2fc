#include "load/load_tree.h"

#include "files/open_input.h"
#include "mlc/base/parallel.h"
#include "mlc/base/shell_word.h"
#include "mlc/base/text.h"
#include "mlc/base/text_input.h"
#include "mlc/checkpoint/derive.h"
#include "mlc/checkpoint/every_tensor.h"
#include "mlc/checkpoint/format.h"
#include "mlc/checkpoint/mapping_object.h"
#include "mlc/checkpoint/numpy_pickle.h"
#include "mlc/checkpoint/save.h"
#include "mlc/checkpoint/tensor_identity.h"
#include "mlc/engine/architecture_model.h"
#include "mlc/engine/tied_tensors.h"
#include "mlc/frontend/architecture.h"
#include "mlc/metadata/provenance.h"
#include "mlc/pickle/render.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <span>
#include <unordered_set>

namespace mlc::cli {
namespace {

using pickle::Graph;
using pickle::NodeKind;

constexpr size_t kMaxLines = 2000;
constexpr size_t kMaxItems = 100;  // of one collection
constexpr size_t kMaxDepth = 12;
constexpr uint64_t kMaxManifestBytes = 256U << 20U;

class TreeRenderer {
 public:
  explicit TreeRenderer(const Checkpoint& checkpoint)
      : checkpoint_(checkpoint), graph_(checkpoint.graph), reach_(checkpoint) {}

  std::string run() {
    visit("", checkpoint_.root, 0);
    if (lines_ >= kMaxLines) out_ += "...\n";
    return std::move(out_);
  }

 private:
  void visit(const std::string& label, NodeId node, size_t depth) {
    if (lines_ >= kMaxLines) return;
    ++lines_;
    out_ += std::string(2 * depth, ' ') + label + describe(node) + "\n";
    const bool leaf = checkpoint_.tensor_at(node) != kNoIndex || !opens(node);
    if (leaf || depth >= kMaxDepth || !open_.insert(node).second) return;
    size_t shown = 0;
    if (const auto* entries = graph_.entries(node)) {
      for (const auto& [key, value] : *entries) {
        if (!more(shown++, entries->size(), depth)) break;
        visit(pickle::render(graph_, key) + ": ", value, depth + 1);
      }
    }
    const auto items = graph_.sequence(node);
    for (size_t i = 0; i < items.size(); ++i) {
      if (!more(shown++, items.size(), depth)) break;
      visit(std::to_string(i) + ": ", items[i], depth + 1);
    }
    const auto args = arguments_of(node);
    for (size_t i = 0; i < args.size(); ++i) {
      if (!more(shown++, args.size(), depth)) break;
      visit("(" + std::to_string(i) + "): ", args[i], depth + 1);
    }
    const auto attributes = attributes_beside(graph_, node);
    for (const auto& [name, value] : attributes) {
      if (!more(shown++, attributes.size(), depth)) break;
      visit("." + printable(name) + ": ", value, depth + 1);
    }
    if (const NodeId state = state_of(node); state != kNoNode) {
      for (const auto& [key, value] : graph_.dict(state)) {
        if (!more(shown++, graph_.dict(state).size(), depth)) break;
        visit(pickle::render(graph_, key) + ": ", value, depth + 1);
      }
    }
    open_.erase(node);
  }

  /// What an object was made from, where that has tensors in it.
  std::span<const NodeId> arguments_of(NodeId node) const {
    if (!graph_.is(node, NodeKind::object)) return {};
    const auto args = graph_.sequence(graph_.args(node));
    return std::ranges::any_of(args, [this](NodeId one) { return reach_.from(one); })
               ? args
               : std::span<const NodeId>();
  }

  /// The attributes of a Python object, where they are a plain dict.
  NodeId state_of(NodeId node) const {
    if (!graph_.is(node, NodeKind::object) || graph_.entries(node) != nullptr) return kNoNode;
    const pickle::ObjectContent* content = graph_.content(node);
    const bool dict = content != nullptr && content->state != kNoNode &&
                      graph_.is(content->state, NodeKind::dict);
    return dict ? content->state : kNoNode;
  }

  bool more(size_t shown, size_t total, size_t depth) {
    if (shown < kMaxItems) return true;
    out_ +=
        std::string(2 * depth + 2, ' ') + "... and " + std::to_string(total - shown) + " more\n";
    return false;
  }

  /// Whether the values inside get lines of their own: not for short lists of numbers.
  bool opens(NodeId node) const {
    if (const auto* entries = graph_.entries(node); entries != nullptr && !entries->empty()) {
      return true;
    }
    if (!arguments_of(node).empty() || !attributes_beside(graph_, node).empty()) return true;
    if (graph_.entries(node) != nullptr) return false;
    if (state_of(node) != kNoNode) return true;
    for (const NodeId item : graph_.sequence(node)) {
      if (graph_.entries(item) != nullptr || checkpoint_.tensor_at(item) != kNoIndex) return true;
    }
    return false;
  }

  std::string describe(NodeId node) const {
    if (const uint32_t index = checkpoint_.tensor_at(node); index != kNoIndex) {
      const Tensor& tensor = checkpoint_.tensors[index];
      return std::string(info(tensor.dtype).brief) + format_shape(checkpoint_.sizes(tensor));
    }
    if (std::string array = numpy_array_text(graph_, node); !array.empty()) return array;
    if (const auto* entries = graph_.entries(node)) {
      return std::string(graph_.is(node, NodeKind::dict) ? "dict" : class_name(node)) + " of " +
             std::to_string(entries->size());
    }
    if (state_of(node) != kNoNode || !arguments_of(node).empty()) {
      return std::string(class_name(node)) + " object";
    }
    if (opens(node)) {
      return (graph_.is(node, NodeKind::tuple) ? "tuple of " : "list of ") +
             std::to_string(graph_.sequence(node).size());
    }
    return pickle::render(graph_, node, {.max_nodes = 40, .max_depth = 6, .max_text = 60});
  }

  std::string_view class_name(NodeId node) const {
    const NodeId callable = graph_.callable(node);
    return graph_.is(callable, NodeKind::global) ? graph_.global_name(callable) : "object";
  }

  const Checkpoint& checkpoint_;
  const Graph& graph_;
  mutable TensorReach reach_;
  std::string out_;
  size_t lines_ = 0;
  std::unordered_set<NodeId> open_;
};

}  // namespace

std::string render_tree(const Checkpoint& checkpoint) {
  return TreeRenderer(checkpoint).run();
}

Status parallel_hash(const Checkpoint& checkpoint, const std::vector<NamedTensor>& tensors,
                     unsigned threads, std::vector<std::string>& out) {
  // Tied tensors are hashed once.
  std::map<TensorIdentity, size_t> first;
  std::vector<size_t> same(tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    const Tensor& tensor = checkpoint.tensors[tensors[i].tensor];
    same[i] = first.try_emplace(identity_of(checkpoint, tensor), i).first->second;
  }
  const auto hash_one = [&](size_t i) -> Status {
    const Tensor& tensor = checkpoint.tensors[tensors[i].tensor];
    if (tensor.kind != TensorKind::dense || same[i] != i) return {};
    MLC_TRY(Sha256 hash, Sha256::create());
    MLC_CHECK(stream_tensor(checkpoint, tensors[i].tensor,
                            [&hash](Bytes block) { return hash.update(block); }));
    MLC_TRY(out[i], hash.finish());
    return {};
  };
  MLC_CHECK(parallel_for(tensors.size(), threads, hash_one));
  for (size_t i = 0; i < tensors.size(); ++i) out[i] = out[same[i]];
  return {};
}

namespace {

enum class Expectation { checkpoint, manifest, architecture };

/// By content: a manifest is a JSON object that is no shard index, an architecture YAML that says
/// so.
Result<Expectation> expectation_in(const std::string& path) {
  constexpr uint64_t kHead = 64U << 10U;
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) return Expectation::checkpoint;  // a DCP folder
  MLC_TRY(const auto file, open_text_input(path));
  MLC_TRY(const std::string head, file->read_string(0, std::min<uint64_t>(file->size(), kHead)));
  if (arch::looks_like_architecture(head)) return Expectation::architecture;
  const std::string_view first = std::string_view(head).substr(0, 64);
  const bool manifest = looks_like_json_object(first) &&
                        first.find("weight_map") == std::string::npos &&
                        !path.ends_with(".index.json");
  return manifest ? Expectation::manifest : Expectation::checkpoint;
}

Result<std::vector<ExpectedTensor>> read_architecture(const std::string& path) {
  MLC_TRY(const auto architecture, arch::Architecture::parse_file(path));
  return tensors_of(architecture);
}

}  // namespace

Result<std::vector<ExpectedTensor>> read_expected(const std::string& path,
                                                  const std::string& own_key, ManifestFor use,
                                                  const std::string& key, Reporter& reporter) {
  MLC_TRY(const Expectation kind, expectation_in(path));
  if (kind == Expectation::checkpoint) {
    if (is_stream(path)) {
      return usage_error("the stream holds neither a manifest nor an architecture",
                         "a checkpoint must be a file")
          .in_file(path);
    }
    MLC_TRY(Input input, open_input(path, reporter));
    MLC_TRY(const StateDict* chosen, choose_other_state_dict(input, own_key, key, "--expect-key"));
    return expected_keys(*input.checkpoint, *chosen);
  }
  const bool is_manifest = kind == Expectation::manifest;
  if (!key.empty()) {
    const std::string_view kind_text = is_manifest ? "a manifest" : "an architecture";
    return usage_error("--expect-key needs a checkpoint, not " + std::string(kind_text),
                       is_manifest ? "a manifest has one state_dict: `mlc load FILE --key " +
                                         shell_word(key) + " --json` writes it"
                                   : "")
        .in_file(path);
  }
  if (!is_manifest) return read_architecture(path);
  MLC_TRY(const auto file, open_text_input(path));
  if (file->size() > kMaxManifestBytes) return unsupported("a manifest above 256 MB").in_file(path);
  MLC_TRY(const std::string text, file->read_string(0, file->size()));
  auto expected = parse_manifest(text, use);
  if (!expected.ok()) return std::move(expected).error().in_file(path);
  return expected;
}

void warn_of_ties(const std::string& path, const Checkpoint& checkpoint,
                  const StateDict& state_dict, Reporter& reporter) {
  if (is_stream(path)) return;
  const auto kind = expectation_in(path);
  if (!kind.ok() || *kind != Expectation::architecture) return;
  const auto architecture = arch::Architecture::parse_file(path);
  if (!architecture.ok()) return;
  Weights weights(checkpoint, state_dict);
  // Values that cannot be compared are for those to tell who need them.
  const auto ties = differing_ties(architecture->root(), weights);
  if (!ties.ok()) return;
  for (const DifferingTie& tie : *ties) reporter.warn(checkpoint.path + ": " + tie.text());
}

uint64_t total_size(const Checkpoint& checkpoint) {
  uint64_t sum = 0;
  for (const auto& file : checkpoint.files) sum += file->size();
  return sum;
}

}  // namespace mlc::cli
