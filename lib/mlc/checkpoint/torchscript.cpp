// TorchScript archives (torch.jit.save): the tree of module objects with flat attributes. Which of
// them are parameters and buffers is in the text of the classes (code/**.py), which is read, not
// run.
#include "mlc/base/text.h"
#include "mlc/checkpoint/every_tensor.h"
#include "mlc/checkpoint/readers.h"
#include "mlc/checkpoint/tensor_identity.h"
#include "mlc/checkpoint/zip_records.h"

#include <algorithm>
#include <map>
#include <set>

namespace mlc {
namespace {

using pickle::Entry;
using pickle::Graph;
using pickle::NodeKind;

constexpr uint64_t kMaxCodeBytes = 64U << 20U;
constexpr size_t kMaxNesting = 200;
constexpr size_t kMaxKeys = 1'000'000;

/// The two lists that TorchScript writes at the head of a module class.
struct ModuleClass {
  std::vector<std::string> parameters;
  std::vector<std::string> buffers;
  bool lists_buffers = false;  // since 1.7
};

/// `  __parameters__ = ["weight", "bias", ]`: names are identifiers, so there is nothing to
/// unescape.
std::vector<std::string> quoted_names(std::string_view line) {
  std::vector<std::string> names;
  for (size_t at = line.find('"'); at != line.npos; at = line.find('"', at + 1)) {
    const size_t end = line.find('"', at + 1);
    if (end == line.npos) break;
    names.emplace_back(line.substr(at + 1, end - at - 1));
    at = end;
  }
  return names;
}

/// The classes of one file of code. Everything but the three kinds of lines is passed over.
std::map<std::string, ModuleClass> parse_classes(std::string_view code) {
  std::map<std::string, ModuleClass> classes;
  ModuleClass* current = nullptr;
  for (const std::string_view line : split(code, '\n')) {
    constexpr std::string_view kClass = "class ";
    if (line.starts_with(kClass)) {
      const std::string_view rest = line.substr(kClass.size());
      current = &classes[std::string(rest.substr(0, rest.find_first_of("(:")))];
    } else if (current != nullptr && line.starts_with("  __parameters__ = [")) {
      current->parameters = quoted_names(line);
    } else if (current != nullptr && line.starts_with("  __buffers__ = [")) {
      current->buffers = quoted_names(line);
      current->lists_buffers = true;
    }
  }
  return classes;
}

/// Finds classes by their qualified name, reading each file of code once.
class CodeReader {
 public:
  explicit CodeReader(const ZipReader& zip) : zip_(zip) {}

  /// Null where the archive has no such class. Errors: corrupt for damaged code records.
  Result<const ModuleClass*> find(std::string_view module, std::string_view name) {
    std::string record = "code/" + std::string(module);
    std::replace(record.begin(), record.end(), '.', '/');
    record += ".py";
    auto it = files_.find(record);
    if (it == files_.end()) {
      std::map<std::string, ModuleClass> classes;
      if (const ZipEntry* entry = zip_.record(record)) {
        MLC_TRY(const std::string code, zip_.read(*entry, kMaxCodeBytes));
        classes = parse_classes(code);
      }
      it = files_.emplace(record, std::move(classes)).first;
    }
    const auto found = it->second.find(std::string(name));
    return found == it->second.end() ? nullptr : &found->second;
  }

 private:
  const ZipReader& zip_;
  std::map<std::string, std::map<std::string, ModuleClass>> files_;
};

/// Collects what torch.jit.load(...).state_dict() would: per module parameters, buffers,
/// submodules.
class Recovery {
 public:
  explicit Recovery(Checkpoint& checkpoint)
      : checkpoint_(checkpoint), graph_(checkpoint.graph), code_(checkpoint.archives[0]) {}

  Result<NodeId> run(NodeId module) {
    MLC_CHECK(visit(module, ""));
    const NodeId out = graph_.add_dict();
    graph_.dict(out) = std::move(items_);
    return out;
  }

 private:
  /// The attributes of a module object, or null for everything else.
  const std::vector<Entry>* attributes(NodeId node) const {
    if (!graph_.is(node, NodeKind::object)) return nullptr;
    const NodeId callable = graph_.callable(node);
    const pickle::ObjectContent* content = graph_.content(node);
    const bool module = graph_.is(callable, NodeKind::global) &&
                        graph_.global_module(callable).starts_with("__torch__") &&
                        content != nullptr && content->state != kNoNode;
    return module ? graph_.entries(content->state) : nullptr;
  }

  Status visit(NodeId module, const std::string& prefix) {
    if (open_.size() > kMaxNesting) return unsupported("modules nested deeper than 200");
    if (!open_.insert(module).second) return corrupt("a module that contains itself");
    // Shared submodules count wherever they occur: a small file can spell out an enormous tree.
    if (++visits_ > kMaxKeys) return unsupported("a model with over a million modules");
    const std::vector<Entry> members = *attributes(module);  // the graph grows below
    const NodeId callable = graph_.callable(module);
    MLC_TRY(const ModuleClass* type,
            code_.find(graph_.global_module(callable), graph_.global_name(callable)));
    MLC_CHECK(add_tensors(members, type, prefix));
    for (const auto& [key, value] : members) {
      if (!graph_.is(key, NodeKind::text) || attributes(value) == nullptr) continue;
      MLC_CHECK(visit(value, prefix + std::string(graph_.text(key)) + "."));
    }
    open_.erase(module);
    return {};
  }

  Status add_tensors(const std::vector<Entry>& members, const ModuleClass* type,
                     const std::string& prefix) {
    if (type == nullptr || !type->lists_buffers) {
      // Without the lists every tensor counts: a constant too many is better than a buffer lost.
      for (const auto& [key, value] : members) MLC_CHECK(add(key, value, prefix, nullptr));
      return {};
    }
    for (const bool parameters : {true, false}) {
      const auto& names = parameters ? type->parameters : type->buffers;
      const std::set<std::string_view> listed(names.begin(), names.end());
      for (const auto& [key, value] : members) {
        MLC_CHECK(add(key, value, prefix, &listed));
        if (parameters) mark_parameter(key, value, listed);
      }
    }
    return {};
  }

  Status add(NodeId key, NodeId value, const std::string& prefix,
             const std::set<std::string_view>* listed) {
    if (!graph_.is(key, NodeKind::text) || checkpoint_.tensor_at(value) == kNoIndex) return {};
    const std::string_view name = graph_.text(key);
    if (listed != nullptr && listed->count(name) == 0) return {};
    if (items_.size() >= kMaxKeys) return unsupported("a model with over a million tensors");
    const NodeId path = graph_.add_text(prefix + std::string(name));
    items_.emplace_back(path, value);
    return {};
  }

  void mark_parameter(NodeId key, NodeId value, const std::set<std::string_view>& listed) {
    const uint32_t tensor = checkpoint_.tensor_at(value);
    if (tensor == kNoIndex || !graph_.is(key, NodeKind::text)) return;
    if (listed.count(graph_.text(key)) != 0) checkpoint_.tensors[tensor].parameter = true;
  }

 public:
  bool is_module(NodeId node) const { return attributes(node) != nullptr; }

 private:
  Checkpoint& checkpoint_;
  Graph& graph_;
  CodeReader code_;
  std::set<NodeId> open_;
  size_t visits_ = 0;
  std::vector<Entry> items_;
};

/// Adds to CONSTANTS the tensors of the MODULE that are no WEIGHTS, under their paths: attributes,
/// lists of tensors, what quantised modules pack. torch.jit.load(...).state_dict() lacks them too.
void add_attributes(Checkpoint& checkpoint, NodeId module, NodeId weights, NodeId constants) {
  Graph& graph = checkpoint.graph;
  std::set<TensorIdentity> known;
  for (const NodeId dict : {weights, constants}) {
    for (const auto& [key, value] : graph.dict(dict)) {
      known.insert(identity_of(checkpoint, checkpoint.tensors[checkpoint.tensor_at(value)]));
    }
  }
  for (const NamedTensor& named : every_tensor(checkpoint, module)) {
    const Tensor& tensor = checkpoint.tensors[named.tensor];
    if (!known.insert(identity_of(checkpoint, tensor)).second) continue;
    const NodeId key = graph.add_text(named.path);
    graph.dict(constants).emplace_back(key, tensor.node);
  }
}

Origin origin_of(const ZipReader& zip) {
  struct Row {
    std::string_view record;
    std::string_view at_least;
  };
  static constexpr Row kRows[] = {
      {".data/serialization_id", "2.1"}, {"byteorder", "2.1"}, {"constants.pkl", "1.3"}};
  Origin origin;
  for (const Row& row : kRows) {
    if (zip.record(row.record) == nullptr) continue;
    origin.torch_at_least = row.at_least;
    break;
  }
  origin.writer = "torch.jit.save of PyTorch " + origin.torch_at_least + " or newer";
  return origin;
}

/// The tensors of the code, which freezing makes of parameters: `CONSTANTS.c0` is the first item of
/// constants.pkl.
Result<NodeId> read_constants(Checkpoint& checkpoint) {
  MLC_TRY(const NodeId root, read_zip_pickle(checkpoint, 0, "constants"));
  Graph& graph = checkpoint.graph;
  const NodeId out = graph.add_dict();
  const auto items = graph.sequence(root);
  const std::vector<NodeId> copy(items.begin(), items.end());  // the graph grows below
  for (size_t i = 0; i < copy.size(); ++i) {
    if (checkpoint.tensor_at(copy[i]) == kNoIndex) continue;
    const NodeId key = graph.add_text("c" + std::to_string(i));
    graph.dict(out).emplace_back(key, copy[i]);
  }
  return out;
}

}  // namespace

Status read_torchscript(Checkpoint& checkpoint) {
  const ZipReader& zip = checkpoint.archives[0];
  for (const std::string& warning : zip.warnings()) checkpoint.warnings.push_back(warning);
  checkpoint.origin = origin_of(zip);
  MLC_TRY(checkpoint.origin.format_version, number_record(zip, "version"));
  MLC_TRY(checkpoint.metadata_yaml, extra_metadata(zip));
  constexpr uint64_t kMostInputs = 1U << 20U;
  MLC_TRY(checkpoint.stored_inputs, optional_record(zip, "extra/mlc/inputs.txt", kMostInputs));
  MLC_TRY(checkpoint.root, read_zip_pickle(checkpoint, 0));
  Recovery recovery(checkpoint);
  if (!recovery.is_module(checkpoint.root)) return {};
  MLC_TRY(const NodeId weights, recovery.run(checkpoint.root));
  MLC_TRY(const NodeId constants, read_constants(checkpoint));
  add_attributes(checkpoint, checkpoint.root, weights, constants);
  checkpoint.root = join_program(checkpoint, weights, constants);
  return {};
}

}  // namespace mlc
