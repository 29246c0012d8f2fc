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

#include "mlc/base/bytes.h"
#include "mlc/base/reporter.h"
#include "mlc/base/result.h"
#include "mlc/engine/architecture_source.h"
#include "mlc/engine/capture_request.h"
#include "mlc/engine/host_tensor.h"
#include "mlc/engine/program_sites.h"
#include "mlc/engine/program_source.h"
#include "mlc/engine/script_quantization.h"
#include "mlc/tensor/dtype.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
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
  std::string library;                 // path of the library, where the module has found it itself
  std::vector<std::string> providers;  // of ONNX Runtime: "CPUExecutionProvider", ...
  unsigned threads = 1;                // that it uses when nobody says otherwise
  bool has_cuda = false;               // built with CUDA, whether a GPU is there or not
  std::string cuda_problem;            // why there is no CUDA device; empty if there is one
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

/// A device that a program names, and how often.
struct NamedDevice {
  std::string name;  // "cuda:0"
  uint64_t count = 0;
};

struct Signature {
  std::vector<InputInfo> inputs;
  /// Devices of another kind than the model's that its program names. They became the model's where
  /// LoadOptions::move_devices.
  std::vector<NamedDevice> devices;
  /// The type of all floating parameters, where they have one, after LoadOptions::dtype.
  std::optional<DType> parameters;
};

/// Whether a model runs once, where preparing costs more than it gains, or again and again.
enum class Purpose : uint8_t { once, repeated };

/// Whether images lie in memory pixel by pixel instead of channel by channel, which convolutions of
/// CPUs like better. Automatic: where it pays and the model runs that way.
enum class ChannelsLast : uint8_t { automatic, on, off };

struct LoadOptions {
  std::string device = "cpu";  // "cpu", "cuda", "cuda:1", "auto": CUDA if there is a device
  std::optional<DType> dtype;  // floating parameters, buffers and inputs are cast to it
  unsigned threads = 0;        // 0: the engine's own choice
  uint64_t seed = 0;           // of the random numbers that the model draws after set_inputs()
  Purpose purpose = Purpose::once;
  bool move_devices = false;  // those that the program names become the model's
  ChannelsLast channels_last = ChannelsLast::automatic;
};

/// What is in a TorchScript file besides the model: names below `extra/`, and contents.
using ExtraFiles = std::vector<std::pair<std::string, std::string>>;
/// Takes the bytes of a file, in order.
using ByteSink = std::function<Status(Bytes)>;

/// script: the program as it is, with its control flow. trace: what it did with the inputs of the
/// last set_inputs(), as one straight program.
enum class TraceMethod : uint8_t { script, trace };

struct TraceOptions {
  TraceMethod method = TraceMethod::script;
  bool freeze = false;    // parameters become constants of the code
  bool optimize = false;  // and are folded: batch norms into convolutions
  ExtraFiles extra;
};

/// Control flow that hung on the inputs, and that a trace decided once and for all.
struct TraceDecision {
  std::string place;    // the line of the source, with file and number: "if n > 2: (net.py:22)"
  int64_t outcome = 0;  // 1 and 0 for a branch, the rounds of a loop
  bool is_loop = false;
  // In the YAML of an architecture, from 1; 0: there is none.
  size_t line = 0;
  size_t column = 0;
  friend bool operator==(const TraceDecision&, const TraceDecision&) = default;
};

struct TraceFacts {
  std::vector<TraceDecision> decisions;  // in the order in which they were made
};

/// A result that is a text, which no tensor holds.
struct NamedText {
  std::string name;
  std::string text;
  friend bool operator==(const NamedText&, const NamedText&) = default;
};

/// A loaded model on its device.
class Model {
 public:
  virtual ~Model() = default;
  virtual const Signature& signature() const = 0;
  /// Where it runs: "cpu", "cuda:0".
  virtual const std::string& device() const = 0;
  /// What became of LoadOptions::channels_last; after run() it is final.
  virtual bool channels_last() const { return false; }
  /// Copies the inputs to the device, in any order. Required arguments must be there. Errors: usage
  /// for names and types that the model does not have; those of run() where the engine has to try
  /// the inputs before it can run them fast.
  virtual Status set_inputs(std::span<const NamedValue> inputs) = 0;
  /// Runs on the inputs and waits for the device. Errors: usage where the model refuses the inputs,
  /// unsupported, read_failed where memory does not suffice.
  virtual Status run() = 0;
  /// Copies of what the last run gave. Names: "output", "output.1" of tuples and lists, the keys of
  /// dictionaries. Errors: unsupported for results that are neither tensors, numbers nor texts.
  virtual Result<std::vector<NamedValue>> outputs() = 0;
  /// Whether names of the last outputs() are keys of dictionaries: what has other ones is another
  /// result.
  virtual bool has_keys() const { return false; }
  /// The texts among what the last outputs() went through, which left them out.
  virtual std::vector<NamedText> texts() const { return {}; }
  /// Gives SINK the model as a TorchScript file: the same model, inputs and options, the same
  /// bytes. Errors: those of SINK; unsupported where the model is none that TorchScript can hold,
  /// or has what a trace or a frozen program cannot hold.
  virtual Result<TraceFacts> write_torchscript(const TraceOptions& options,
                                               const ByteSink& sink) = 0;
  /// The model as a graph with expressions for sizes, which ProgramSource takes. Runs it at a few
  /// small sizes in the bounds of the symbols. Errors: unsupported naming all that a graph cannot
  /// hold, with the places in the source; usage where the model refuses other sizes than those it
  /// was made with, or the inputs.
  virtual Result<CapturedProgram> capture(const CaptureRequest& /*request*/) {
    return unsupported("this model cannot be captured: it is no TorchScript");
  }
  /// Gives SINK a TorchScript file in which layers compute with bytes, frozen and with batch norms
  /// folded; the same model and options, the same bytes. EXTRA: as TraceOptions has it. Runs the
  /// samples where ranges are asked for. Errors: those of SINK, of run() and of the functions in
  /// OPTIONS; unsupported where the model cannot be frozen, or LibTorch cannot multiply bytes;
  /// conflict for a model that is quantised already. A report without layers: nothing was there to
  /// do.
  virtual Result<ScriptQuantReport> write_quantized(const ScriptQuantOptions& /*options*/,
                                                    const ExtraFiles& /*extra*/,
                                                    const ByteSink& /*sink*/) {
    return unsupported("this model is no TorchScript", "`mlc trace` makes TorchScript of others");
  }
  /// Runs the samples and looks at what linear layers and convolutions of one group multiply with
  /// their weights. Inputs that several weights share are one. Errors: those of run();
  /// unsupported where the model cannot be frozen.
  virtual Result<std::vector<LayerInput>> layer_inputs(const LayerInputRequest& /*request*/) {
    return unsupported("this model is no TorchScript", "`mlc trace` makes TorchScript of others");
  }
  /// Calls of operators that are given numbers, in the order in which the last capture() met them;
  /// names of values are those of its graph.
  virtual std::vector<ProgramSite> sites() const { return {}; }
  /// Gives the program other tensors, cast to the types of the old ones, and other numbers: of
  /// sites(). Names that share a tensor go on sharing one. Call it before the model runs.
  /// Errors: unsupported for a function of the program that would need one number to be two.
  virtual Status resize(const ResizeRequest& /*request*/) {
    return unsupported("the sizes of this model cannot be changed: it is no TorchScript");
  }
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
  /// Prepares an exported program to be run operator by operator. SOURCE must give the weights
  /// until this returns. Errors: those of the weights; unsupported, naming all operators that the
  /// engine lacks; corrupt where arguments do not fit them.
  virtual Result<std::unique_ptr<Model>> interpret(const ProgramSource& source,
                                                   const LoadOptions& options,
                                                   Reporter& reporter) = 0;
};

}  // namespace mlc
