// What runs models: one interface for LibTorch and for ONNX Runtime, each in a module that is
// opened when a verb needs it (module_loader.h). Nothing here names either of them.
//
//   MLC_TRY(auto engine, open_engine(EngineKind::torch));
//   MLC_TRY(auto model, engine->load("model.pt", {.device = "cpu"}, reporter));
//   MLC_CHECK(model->set_inputs(inputs));
//   MLC_CHECK(model->run());
//   MLC_TRY(const std::vector<NamedValue> outputs, model->outputs());
//
// An engine serves one thread at a time; its own threads are its own. Exceptions of the library
// behind it end in the module: every failure is an Error in mlc's words.
#pragma once

#include "mlc/base/reporter.h"
#include "mlc/base/result.h"
#include "mlc/engine/architecture_source.h"
#include "mlc/engine/host_tensor.h"
#include "mlc/tensor/dtype.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace mlc {

struct EngineInfo {
  std::string name;     // "LibTorch"
  std::string version;  // "2.13.0", of the library that is loaded
  /// What it was built with and found in the machine, as pairs for people: {"oneDNN", "3.12.0"}.
  std::vector<std::pair<std::string, std::string>> build;
  std::vector<std::string> devices;            // "cpu", "cuda:0", ...
  std::vector<std::string> quantized_engines;  // "fbgemm", "onednn", ...
  std::string cpu_capability;                  // the instruction set its kernels use: "AVX512"
  unsigned threads = 1;                        // that it uses when nobody says otherwise
  bool has_cuda = false;                       // built with CUDA, whether a GPU is there or not
  std::string cuda_problem;                    // why there is no CUDA device; empty if there is one
};

/// An argument of a model.
struct InputInfo {
  std::string name;
  std::string type;      // as the engine writes it: "Tensor", "Optional[Tensor]", "int"
  bool required = true;  // false: it has a default
  /// With which the model was traced or exported, where the file tells.
  std::optional<DType> dtype;
  std::optional<std::vector<int64_t>> sizes;
  /// As an architecture declares it: "f32[batch=1..1024,1,8,8]"; empty where no one does.
  std::string declared;
};

struct Signature {
  std::vector<InputInfo> inputs;
  /// The type of all floating parameters, where they have one, after LoadOptions::dtype.
  std::optional<DType> parameters;
};

/// Whether a model runs once, where preparing costs more than it gains, or again and again.
enum class Purpose : uint8_t { once, repeated };

struct LoadOptions {
  std::string device = "cpu";  // "cpu", "cuda", "cuda:1", "auto": CUDA if there is a device
  std::optional<DType> dtype;  // floating parameters, buffers and inputs are cast to it
  unsigned threads = 0;        // 0: the engine's own choice
  uint64_t seed = 0;           // of the random numbers that the model draws after set_inputs()
  Purpose purpose = Purpose::once;
};

/// A loaded model on its device.
class Model {
 public:
  virtual ~Model() = default;
  virtual const Signature& signature() const = 0;
  /// Where it runs: "cpu", "cuda:0".
  virtual const std::string& device() const = 0;
  /// Copies the inputs to the device, in any order. Required arguments must be there. Errors: usage
  /// for names and types that the model does not have; those of run() where the engine has to try
  /// the inputs before it can run them fast.
  virtual Status set_inputs(std::span<const NamedValue> inputs) = 0;
  /// Runs on the inputs and waits for the device. Errors: usage where the model refuses the inputs,
  /// unsupported, read_failed where memory does not suffice.
  virtual Status run() = 0;
  /// Copies of what the last run gave. Names: "output", "output.1" of tuples and lists, the keys of
  /// dictionaries. Errors: unsupported for results that are no tensors.
  virtual Result<std::vector<NamedValue>> outputs() = 0;
};

class Engine {
 public:
  virtual ~Engine() = default;
  /// "LibTorch 2.13.0".
  virtual std::string title() = 0;
  /// Everything else; looks for devices, which may take a while.
  virtual Result<EngineInfo> info() = 0;
  /// Loads the artefact at PATH. REPORTER, which must outlive the model, hears warnings, and what
  /// the model itself prints. Errors: corrupt, not_found; unsupported naming what the file needs
  /// and the engine lacks: operators, devices, a format.
  virtual Result<std::unique_ptr<Model>> load(const std::string& path, const LoadOptions& options,
                                              Reporter& reporter) = 0;
  /// Builds a model from an architecture and its weights, which SOURCE must give until this
  /// returns. Errors: usage pointing into the YAML for a `forward` that does not compile and for
  /// declared inputs that it does not take; those of the weights; unsupported.
  virtual Result<std::unique_ptr<Model>> build(const ArchitectureSource& source,
                                               const LoadOptions& options, Reporter& reporter) = 0;
};

}  // namespace mlc
