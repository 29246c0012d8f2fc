#include "mlc/engine/architecture_model.h"

#include "mlc/base/text.h"
#include "mlc/checkpoint/sibling_files.h"
#include "mlc/engine/tied_tensors.h"
#include "mlc/metadata/metadata.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <functional>
#include <memory>
#include <set>

#include <sys/mman.h>

namespace mlc {
namespace {

Result<arch::Architecture> beside(const Checkpoint& checkpoint, const std::string& name) {
  const std::string folder = std::filesystem::path(checkpoint.path).parent_path().string();
  const auto read = [&]() -> Result<arch::Architecture> {
    MLC_TRY(const auto file, open_sibling(folder.empty() ? "." : folder, name));
    if (file->size() > arch::kMaxArchitectureBytes) {
      return unsupported("an architecture above 16 MB").in_file(file->path());
    }
    MLC_TRY(std::string text, file->read_string(0, file->size()));
    return arch::Architecture::parse(std::move(text), file->path());
  };
  auto found = read();
  if (found.ok()) return found;
  return std::move(found)
      .error()
      .during("the architecture " + mlc::quoted(name) + " that the metadata of the checkpoint name")
      .with_hint("--arch FILE.yaml gives it another");
}

/// All but the weights. What is built of it keeps ARCHITECTURE for the places in its errors.
ArchitectureSource source_of(const std::shared_ptr<const arch::Architecture>& architecture,
                             const DeclaredInputs& inputs) {
  ArchitectureSource source;
  source.root = &architecture->root();
  source.yaml = architecture->text();
  source.name = std::filesystem::path(architecture->file()).filename().string();
  source.inputs = inputs.for_engine;
  for (const arch::PositionedText& one : architecture->outputs()) {
    source.outputs.push_back(one.text);
  }
  source.error_at = [architecture](arch::Position position, std::string message, std::string hint) {
    return architecture->error_at(position, std::move(message), std::move(hint));
  };
  source.source_error = [architecture](const arch::ScriptModule& module, size_t line, size_t column,
                                       std::string message, std::string hint) {
    return architecture->error_at(arch::position_in_yaml(module, line, column), std::move(message),
                                  std::move(hint));
  };
  return source;
}

/// ARCHITECTURE as one that its caller owns, who keeps it longer than what is built of it.
std::shared_ptr<const arch::Architecture> borrowed(const arch::Architecture& architecture) {
  return {std::shared_ptr<void>(), &architecture};
}

uint64_t bytes_of(const arch::ScriptTensor& tensor) {
  uint64_t out = element_bytes(tensor.dtype);
  for (const int64_t size : tensor.shape) out *= static_cast<uint64_t>(size);  // fits 63 bits
  return out;
}

uint64_t largest_tensor(const arch::ScriptModule& module) {
  uint64_t out = 1;
  for (const auto* tensors : {&module.parameters, &module.buffers}) {
    for (const arch::ScriptTensor& one : *tensors) out = std::max(out, bytes_of(one));
  }
  for (const arch::ScriptModule& child : module.children) {
    out = std::max(out, largest_tensor(child));
  }
  return out;
}

/// What load_state_dict() gives to a counter that an old file lacks.
Weight zeros(const arch::ScriptTensor& tensor) {
  const auto owner = std::make_shared<const std::string>(bytes_of(tensor), '\0');
  return {tensor.dtype, tensor.shape, as_bytes(*owner), owner};
}

/// Says, for -v, where the values of keys come from that STATE_DICT may lack.
void note_missing(const arch::Architecture& architecture, const Weights& weights,
                  Reporter& reporter) {
  const auto names = stored_names(architecture.root(), weights);
  for (const arch::StateDictTensor& row : arch::state_dict_of(architecture)) {
    if (weights.has(row.name)) continue;
    const auto name = names.find(row.tied_to.empty() ? row.name : row.tied_to);
    reporter.detail("the checkpoint has no " + mlc::quoted(row.name) + ": " +
                    (name == names.end() ? "it starts at zero, as in old batch norms"
                                         : "it is tied to " + mlc::quoted(name->second)));
  }
}

/// Names the keys of STATE_DICT that hold no tensors and that ARCHITECTURE lacks: load_state_dict
/// refuses them, but no value of the model depends on them.
void warn_of_unexpected(const arch::Architecture& architecture, const Checkpoint& checkpoint,
                        const StateDict& state_dict, Reporter& reporter) {
  std::set<std::string, std::less<>> known;
  for (arch::StateDictTensor& row : arch::state_dict_of(architecture)) {
    known.insert(std::move(row.name));
  }
  std::vector<std::string> unexpected;
  for (const StateDictEntry& other : state_dict.others) {
    if (!known.contains(other.key)) unexpected.push_back(mlc::quoted(other.key));
  }
  if (unexpected.empty()) return;
  reporter.warn(checkpoint.path + ": left out " + plural(unexpected.size(), "key") +
                " that the architecture lacks: " + join_list(unexpected) +
                "; load_state_dict of PyTorch refuses them unless strict=False");
}

/// Zeros that take no memory as long as nobody writes them.
class ZeroPages {
 public:
  static Result<std::shared_ptr<ZeroPages>> make(uint64_t size) {
    void* const address = ::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (address == MAP_FAILED) return read_failed("mapping " + format_bytes(size), errno);
    return std::shared_ptr<ZeroPages>(new ZeroPages(address, size));
  }
  ~ZeroPages() { ::munmap(address_, size_); }
  ZeroPages(const ZeroPages&) = delete;
  ZeroPages& operator=(const ZeroPages&) = delete;

  Bytes first(uint64_t size) const { return {static_cast<const std::byte*>(address_), size}; }

 private:
  ZeroPages(void* address, uint64_t size) : address_(address), size_(size) {}
  void* address_;
  uint64_t size_;
};

/// Whether `mlc quantize` wrote CHECKPOINT, as its metadata say.
bool is_quantized(const Checkpoint& checkpoint) {
  if (!checkpoint.metadata_yaml) return false;
  const auto metadata =
      Metadata::parse(*checkpoint.metadata_yaml, checkpoint.path, ErrorKind::corrupt);
  return metadata.ok() && metadata->get("quantization") != nullptr;
}

Error quantized(const std::string& path) {
  return unsupported("is quantised, and the modules of an architecture take weights that are not",
                     "`mlc dequantize " + printable(path) +
                         " -o FILE` writes them as they count, and `mlc run FILE` runs that")
      .in_file(path);
}

}  // namespace

Result<std::optional<arch::Architecture>> find_architecture(const Checkpoint& checkpoint,
                                                            const std::string& path) {
  using Found = std::optional<arch::Architecture>;
  if (!path.empty()) {
    MLC_TRY(arch::Architecture given, arch::Architecture::parse_file(path));
    return Found(std::move(given));
  }
  if (!checkpoint.metadata_yaml) return Found();
  MLC_TRY(const Metadata metadata,
          Metadata::parse(*checkpoint.metadata_yaml, checkpoint.path, ErrorKind::corrupt));
  const MetaValue* value = metadata.get("architecture");
  if (value == nullptr) return Found();
  if (const std::string* name = value->as_text()) {
    MLC_TRY(arch::Architecture named, beside(checkpoint, *name));
    return Found(std::move(named));
  }
  MLC_TRY(arch::Architecture held,
          arch::Architecture::parse(value->to_yaml(), checkpoint.path + " (its architecture)"));
  return Found(std::move(held));
}

std::vector<ExpectedTensor> tensors_of(const arch::Architecture& architecture) {
  std::vector<ExpectedTensor> out;
  for (arch::StateDictTensor& row : arch::state_dict_of(architecture)) {
    out.push_back({std::move(row.name), std::move(row.shape)});
    out.back().form = "dense";
    out.back().tied_to = std::move(row.tied_to);
  }
  return out;
}

Status check_fit(const Checkpoint& checkpoint, const StateDict& state_dict,
                 const arch::Architecture& architecture) {
  std::vector<NamedTensor> tensors;
  for (const StateDictEntry& entry : state_dict.entries) {
    tensors.push_back({std::string(entry.key), entry.tensor});
  }
  ExpectOptions options;
  options.module_version = [&](std::string_view module) {
    return module_version(checkpoint, state_dict, module);
  };
  const ExpectReport report =
      check_expected(expected_tensors(checkpoint, tensors), tensors_of(architecture), options);
  if (report.satisfied) return {};
  return conflict("does not fit the architecture. " + std::string(trim(report.text())), report.hint)
      .in_file(checkpoint.path);
}

Status compile_architecture(const arch::Architecture& architecture, Engine& engine,
                            Reporter& reporter) {
  MLC_TRY(const DeclaredInputs inputs, read_declared_inputs(architecture));
  MLC_TRY(const auto zeros, ZeroPages::make(largest_tensor(architecture.root())));
  ArchitectureSource source = source_of(borrowed(architecture), inputs);
  source.weight = [&](const arch::ScriptTensor& tensor) -> Result<Weight> {
    Weight out{tensor.dtype, tensor.shape, {}, zeros};
    out.bytes = zeros->first(bytes_of(tensor));
    return out;
  };
  auto built = engine.build(source, {}, reporter);
  if (!built.ok()) return std::move(built).error();
  return {};
}

WeightSource stored_weights(const arch::Architecture& architecture, Weights& weights) {
  return [&weights, names = stored_names(architecture.root(), weights)](
             const arch::ScriptTensor& tensor) -> Result<Weight> {
    const auto name = names.find(tensor.path);
    arch::ScriptTensor stored = tensor;
    if (name != names.end()) stored.path = name->second;
    if (!weights.has(stored.path) && stored.path.ends_with("num_batches_tracked")) {
      return zeros(tensor);
    }
    return weights.get(stored);
  };
}

Result<std::unique_ptr<Model>> build_with(const arch::Architecture& architecture,
                                          const WeightSource& weight, Engine& engine,
                                          const LoadOptions& options, Reporter& reporter) {
  MLC_TRY(const DeclaredInputs inputs, read_declared_inputs(architecture));
  ArchitectureSource source = source_of(borrowed(architecture), inputs);
  source.weight = weight;
  return engine.build(source, options, reporter);
}

Result<ArchitectureModel> ArchitectureModel::open(std::unique_ptr<Checkpoint> checkpoint,
                                                  arch::Architecture architecture,
                                                  const std::string& key) {
  ArchitectureModel out(std::move(checkpoint), std::move(architecture));
  const std::string& path = out.checkpoint_->path;
  auto all = find_state_dicts(*out.checkpoint_);
  if (!all.ok()) return std::move(all).error().in_file(path);
  // A model without tensors has an empty state_dict, which is none to select.
  const bool needs_none = arch::state_dict_of(*out.architecture_).empty() && all->empty();
  if (!needs_none) {
    auto chosen = select_state_dict(*all, key, "--key");
    if (!chosen.ok()) return std::move(chosen).error().in_file(path);
    out.state_dict_ = **chosen;
  }
  if (auto fits = check_fit(*out.checkpoint_, out.state_dict_, *out.architecture_); !fits.ok()) {
    if (is_quantized(*out.checkpoint_)) return quantized(path);
    // Who wants to run it has asked for what it is not, which is no answer of a check.
    const Error& misfit = fits.error();
    return usage_error(misfit.message(), misfit.hint()).in_file(misfit.file());
  }
  MLC_TRY(out.inputs_, read_declared_inputs(*out.architecture_));
  return out;
}

std::optional<DType> ArchitectureModel::weights_type() const {
  std::optional<DType> type;
  for (const StateDictEntry& entry : state_dict_.entries) {
    const DType one = checkpoint_->tensors[entry.tensor].dtype;
    if (info(one).kind != DTypeClass::floating) continue;
    if (type && *type != one) return std::nullopt;
    type = one;
  }
  return type;
}

Result<std::unique_ptr<Model>> ArchitectureModel::build(Engine& engine, const LoadOptions& options,
                                                        Reporter& reporter) const {
  Weights weights(*checkpoint_, state_dict_);
  ArchitectureSource source = source_of(architecture_, inputs_);
  MLC_TRY(const std::vector<DifferingTie> ties, differing_ties(architecture_->root(), weights));
  for (const DifferingTie& tie : ties) reporter.warn(checkpoint_->path + ": " + tie.text());
  warn_of_unexpected(*architecture_, *checkpoint_, state_dict_, reporter);
  note_missing(*architecture_, weights, reporter);
  source.weight = stored_weights(*architecture_, weights);
  auto model = engine.build(source, options, reporter);
  for (const std::string& note : weights.notes()) reporter.warn(checkpoint_->path + ": " + note);
  return model;
}

}  // namespace mlc
