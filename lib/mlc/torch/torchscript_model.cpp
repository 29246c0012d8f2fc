#include "mlc/torch/torchscript_model.h"

#include "mlc/base/text.h"
#include "mlc/engine/cast_error.h"
#include "mlc/engine/compile_problem.h"
#include "mlc/engine/torchscript_code.h"
#include "mlc/torch/build_module.h"
#include "mlc/torch/call_operator.h"
#include "mlc/torch/capture.h"
#include "mlc/torch/chain_length.h"
#include "mlc/torch/channels_last.h"
#include "mlc/torch/guarded.h"
#include "mlc/torch/quantize_script.h"
#include "mlc/torch/record_trace.h"
#include "mlc/torch/resize_script.h"
#include "mlc/torch/script_inputs.h"
#include "mlc/torch/script_outputs.h"
#include "mlc/torch/torch_library.h"
#include "mlc/torch/torch_values.h"
#include "mlc/torch/torchscript_file.h"
#include "mlc/torch/write_torchscript.h"

#include <algorithm>
#include <set>

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/ir/ir.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/csrc/jit/serialization/import.h>

namespace mlc::torch_module {
namespace {

using torch::jit::IValue;

/// Of all floating parameters, if it is one.
std::optional<DType> parameter_type(const torch::jit::Module& module) {
  std::optional<c10::ScalarType> type;
  for (const at::Tensor& tensor : module.parameters()) {
    if (!tensor.is_floating_point()) continue;
    if (type && *type != tensor.scalar_type()) return std::nullopt;
    type = tensor.scalar_type();
  }
  if (!type) return std::nullopt;
  const auto known = dtype_of(*type);
  return known.ok() ? std::optional(*known) : std::nullopt;
}

/// Module::to(dtype) would cast integer buffers, positions among them, too, and leave buffers that
/// are in no state_dict, which are plain attributes.
void cast_floating(const torch::jit::Module& module, c10::ScalarType type) {
  for (const IValue& value : module.attributes()) {
    if (!value.isTensor()) continue;
    at::Tensor tensor = value.toTensor();
    if (tensor.defined() && tensor.is_floating_point()) tensor.set_data(tensor.to(type));
  }
}

/// As long as it lives.
class WithoutOneDnn {
 public:
  WithoutOneDnn() { at::globalContext().setUserEnabledMkldnn(false); }
  ~WithoutOneDnn() { at::globalContext().setUserEnabledMkldnn(before_); }
  WithoutOneDnn(const WithoutOneDnn&) = delete;
  WithoutOneDnn& operator=(const WithoutOneDnn&) = delete;

 private:
  bool before_ = at::globalContext().userEnabledMkldnn();
};

/// Whether BLOCK holds tensors of floating numbers, as torch.jit.freeze writes weights, in
/// another type than WANTED.
bool has_other_weights(const torch::jit::Block* block, c10::ScalarType wanted) {
  for (const torch::jit::Node* node : block->nodes()) {
    if (node->kind() == c10::prim::Constant && node->outputs().size() == 1) {
      const auto value = torch::jit::toIValue(node->output());
      if (value && value->isTensor() && value->toTensor().defined()) {
        const at::Tensor& tensor = value->toTensor();
        const bool weights = tensor.is_floating_point() && tensor.dim() > 0;
        if (weights && tensor.scalar_type() != wanted) return true;
      }
    }
    for (const torch::jit::Block* inner : node->blocks()) {
      if (has_other_weights(inner, wanted)) return true;
    }
  }
  return false;
}

/// Errors: unsupported where all weights are constants of the code, which nothing can cast.
Status check_castable(const torch::jit::Module& module, c10::ScalarType wanted) {
  const auto floating = [](const at::Tensor& tensor) { return tensor.is_floating_point(); };
  for (const at::Tensor& tensor : module.parameters()) {
    if (floating(tensor)) return {};
  }
  for (const at::Tensor& tensor : module.buffers()) {
    if (floating(tensor)) return {};
  }
  if (!has_other_weights(module.get_method("forward").graph()->block(), wanted)) return {};
  return unsupported(
      "the weights of the model are constants of its code, as torch.jit.freeze "
      "makes them, and --dtype cannot cast them",
      "leave --dtype out, or save the model again without freezing it");
}

/// Constants folded in where LibTorch can; a model that changes itself cannot be frozen and runs
/// as it is.
torch::jit::Module frozen(const torch::jit::Module& module, Reporter& reporter) {
  auto result = guarded(ErrorKind::unsupported,
                        [&]() -> Result<torch::jit::Module> { return torch::jit::freeze(module); });
  if (result.ok()) return std::move(*result);
  reporter.detail("not frozen: " + result.error().message());
  return module;
}

class TorchScriptModel : public Model {
 public:
  TorchScriptModel(torch::jit::Module module, Signature signature, std::string device,
                   const LoadOptions& options, std::optional<c10::ScalarType> floating,
                   bool try_first, Reporter& reporter)
      : source_(std::move(module)),
        convolutions_(source_),
        channels_last_(wants_channels_last(options, device, convolutions_)),
        on_trial_(channels_last_ && options.channels_last == ChannelsLast::automatic),
        arguments_(arguments_of(source_)),
        signature_(std::move(signature)),
        device_(std::move(device)),
        repeated_(options.purpose == Purpose::repeated),
        seed_(options.seed),
        cast_to_(options.dtype),
        floating_(floating),
        try_first_(try_first),
        reporter_(reporter) {
    if (channels_last_) convolutions_.apply();
    prepare();
    if (!on_trial_) forget_source();
  }

  const Signature& signature() const override { return signature_; }
  const std::string& device() const override { return device_; }
  bool channels_last() const override { return channels_last_; }

  Status set_inputs(std::span<const NamedValue> inputs) override {
    return guarded(ErrorKind::usage, [&]() -> Status {
      if (on_trial_) trial_inputs_.assign(inputs.begin(), inputs.end());
      at::manual_seed(seed_);
      stack_.clear();
      given_.clear();
      for (const NamedValue& input : inputs) {
        if (std::ranges::none_of(arguments_, [&](const c10::Argument& argument) {
              return argument.name() == input.name ||
                     (takes_parts(argument) && part_of(argument.name(), input.name));
            })) {
          return usage_error("the model has no input " + mlc::quoted(input.name));
        }
      }
      for (const c10::Argument& argument : arguments_) {
        if (takes_parts(argument)) {
          MLC_TRY_CTX(const Parts parts, parts_of(argument, inputs),
                      "input " + mlc::quoted(argument.name()));
          if (!parts.empty()) {
            MLC_TRY_CTX(IValue value, joined_parts(argument, parts),
                        "input " + mlc::quoted(argument.name()));
            given_.push_back(true);
            stack_.push_back(std::move(value));
            continue;
          }
        }
        const auto given = std::ranges::find(inputs, argument.name(), &NamedValue::name);
        if (given == inputs.end() && !argument.default_value()) {
          return usage_error("input " + mlc::quoted(argument.name()) + " is missing");
        }
        given_.push_back(given != inputs.end());
        if (given == inputs.end()) {
          stack_.push_back(*argument.default_value());
          continue;
        }
        MLC_TRY_CTX(IValue value, to_argument(argument, given->tensor),
                    "input " + mlc::quoted(argument.name()));
        stack_.push_back(std::move(value));
      }
      if (!try_first_) return {};
      const WithoutOneDnn plain;
      MLC_CHECK(run());
      at::manual_seed(seed_);
      return {};
    });
  }

  Status run() override {
    Status done = call();
    if (!on_trial_) return done;
    on_trial_ = false;
    const std::vector<NamedValue> inputs = std::move(trial_inputs_);
    if (done.ok()) {
      forget_source();
      return done;
    }
    reporter_.detail("without channels last: " + done.error().message());
    MLC_CHECK(guarded(ErrorKind::internal, [&]() -> Status {
      channels_last_ = false;
      convolutions_.undo();
      prepare();
      forget_source();
      return {};
    }));
    MLC_CHECK(set_inputs(inputs));
    return call();
  }

  Result<TraceFacts> write_torchscript(const TraceOptions& options, const ByteSink& sink) override {
    return guarded(ErrorKind::unsupported, [&]() -> Result<TraceFacts> {
      TraceFacts facts;
      torch::jit::Module module = module_;
      if (options.method == TraceMethod::trace) {
        const c10::InferenceMode inference;
        at::manual_seed(seed_);
        MLC_TRY(RecordedTrace recorded, record_trace(module_, arguments_, given_, stack_));
        MLC_CHECK(check_chains(recorded.module, "--method script keeps loops"));
        module = std::move(recorded.module);
        facts.decisions = std::move(recorded.decisions);
      }
      if (options.freeze || options.optimize) {
        MLC_TRY(module, freeze_for_file(module, options.optimize));
      }
      MLC_CHECK(write_archive(module, with_output_names(options.extra), sink));
      return facts;
    });
  }

  Result<ScriptQuantReport> write_quantized(const ScriptQuantOptions& options,
                                            const ExtraFiles& extra,
                                            const ByteSink& sink) override {
    return with_frozen(
        /*optimize=*/true,
        [&](torch::jit::Module& module, const WeightNames& names) -> Result<ScriptQuantReport> {
          MLC_TRY(const ScriptQuantReport report,
                  quantize_script(module, names, options, arguments_from(options.samples)));
          MLC_CHECK(write_archive(module, with_output_names(extra), sink));
          return report;
        });
  }

  Result<std::vector<LayerInput>> layer_inputs(const LayerInputRequest& request) override {
    return with_frozen(
        /*optimize=*/false, [&](torch::jit::Module& module, const WeightNames& names) {
          return layer_inputs_of(module, names, request, arguments_from(request.samples));
        });
  }

  Result<CapturedProgram> capture(const CaptureRequest& request) override {
    if (device_ != "cpu") {
      return unsupported("models are captured on the CPU only", "leave --device out");
    }
    return guarded(ErrorKind::unsupported, [&]() -> Result<CapturedProgram> {
      std::optional<WithoutOneDnn> plain;
      if (try_first_) plain.emplace();
      CaptureTarget target;
      target.module = module_;
      target.arguments = arguments_;
      target.output_names = output_names_;
      target.names_must_fit = names_must_fit_;
      target.reporter = &reporter_;
      target.places = &places_;
      target.to_argument = [this](const c10::Argument& argument, const HostTensor& tensor) {
        return to_argument(argument, tensor);
      };
      return torch_module::capture(target, request);
    });
  }

  std::vector<ProgramSite> sites() const override { return places_.sites; }

  Status resize(const ResizeRequest& request) override {
    return guarded(ErrorKind::internal,
                   [&]() -> Status { return resize_script(module_, places_, request); });
  }

  Result<std::vector<NamedValue>> outputs() override {
    return guarded(ErrorKind::internal, [&]() -> Result<std::vector<NamedValue>> {
      const c10::InferenceMode inference;
      MLC_TRY(ScriptOutputs found, collect_outputs(result_));
      texts_ = std::move(found.texts);
      has_keys_ = found.has_keys;
      if (!output_names_.empty() && !result_.isGenericDict()) {
        MLC_CHECK(name_outputs(found.values));
        has_keys_ = false;
      }
      return std::move(found.values);
    });
  }
  bool has_keys() const override { return has_keys_; }

  std::vector<NamedText> texts() const override { return texts_; }

  /// What outputs() calls results that have no names of their own. Names that need not fit count
  /// only where there are as many results.
  void set_output_names(std::vector<std::string> names, bool must_fit) {
    output_names_ = std::move(names);
    names_must_fit_ = must_fit;
  }
  /// Where errors of a run lie, which LOCATE turns into errors at a place of the YAML called NAME.
  void set_locate(decltype(ArchitectureSource::error_at) locate, std::string name) {
    locate_ = std::move(locate);
    yaml_name_ = std::move(name);
  }

 private:
  /// EXTRA, and the names of the results, which the program itself does not hold.
  ExtraFiles with_output_names(ExtraFiles extra) const {
    if (output_names_.empty()) return extra;
    std::string text;
    for (const std::string& name : output_names_) text += name + "\n";
    extra.emplace_back(kOutputsRecord, std::move(text));
    return extra;
  }

  /// Gives BODY a frozen copy of the model, as its file has it, and the names of weights.
  template <class Body>
  auto with_frozen(bool optimize, Body&& body)
      -> decltype(body(std::declval<torch::jit::Module&>(), std::declval<const WeightNames&>())) {
    if (device_ != "cpu")
      return unsupported("bytes are multiplied on the CPU only", "leave --device out");
    return guarded(ErrorKind::unsupported,
                   [&]() -> decltype(body(std::declval<torch::jit::Module&>(),
                                          std::declval<const WeightNames&>())) {
                     const WeightNames names(module_);
                     MLC_TRY(torch::jit::Module module, frozen_copy(optimize));
                     return body(module, names);
                   });
  }

  /// A file may be frozen already; then its program is copied.
  Result<torch::jit::Module> frozen_copy(bool optimize) const {
    if (!module_.hasattr("training")) return module_.clone();
    return freeze_for_file(module_, optimize);
  }

  ArgumentSource arguments_from(const SampleSource& samples) {
    return [this, &samples](uint64_t i) -> Result<torch::jit::Stack> {
      MLC_TRY(const std::vector<NamedValue> inputs, samples.at(i));
      MLC_CHECK(set_inputs(inputs));
      return torch::jit::Stack(stack_);
    };
  }

  void prepare() {
    module_ = repeated_ ? frozen(source_, reporter_) : source_;
    forward_ = module_.get_method("forward");
  }

  /// A frozen model has weights of its own.
  void forget_source() {
    source_ = torch::jit::Module();
    convolutions_ = ChannelsLastWeights();
  }

  /// Points at the line of the YAML that was running, if there is one.
  Error run_error(std::string_view what) const {
    Error error = error_of_exception_text(what, ErrorKind::usage);
    if (cast_to_) error = of_cast_model(std::move(error), *cast_to_);
    const auto place = locate_ ? read_traceback(what, yaml_name_) : std::nullopt;
    if (!place) return error;
    const Error there = locate_({place->line, place->column}, error.message(), "");
    return Error(error.kind(), there.message(), error.hint()).in_file(there.file());
  }

  Status call() {
    const auto read = [this](std::string_view what) { return run_error(what); };
    return guarded_by(read, [&]() -> Status {
      const c10::InferenceMode inference;
      const torch::jit::GraphOptimizerEnabledGuard optimizer(repeated_);
      result_ = (*forward_)(stack_);
      synchronize(device_);
      return {};
    });
  }

  Status name_outputs(std::vector<NamedValue>& values) const {
    if (values.size() != output_names_.size()) {
      if (!names_must_fit_) return {};
      return usage_error("the architecture declares " + plural(output_names_.size(), "output") +
                             " (" + join_list(output_names_) + "), and forward gives " +
                             std::to_string(values.size()),
                         "`outputs:` names the tensors that forward returns, in order");
    }
    for (size_t i = 0; i < values.size(); ++i) values[i].name = output_names_[i];
    return {};
  }

  /// The tensors among INPUTS that are parts of ARGUMENT.
  Result<Parts> parts_of(const c10::Argument& argument, std::span<const NamedValue> inputs) const {
    const c10::InferenceMode inference;
    Parts out;
    for (const NamedValue& input : inputs) {
      const auto part = part_of(argument.name(), input.name);
      if (!part) continue;
      MLC_TRY(at::Tensor value, to_torch(input.tensor, c10::Device(device_), floating_));
      out.emplace_back(*part, std::move(value));
    }
    return out;
  }

  Result<IValue> to_argument(const c10::Argument& argument, const HostTensor& tensor) const {
    const c10::TypePtr type = without_none(argument.type());
    // As the inputs of a model under InferenceMode are made.
    const c10::InferenceMode inference;
    MLC_TRY(at::Tensor value,
            to_torch(tensor, c10::Device(device_), is_tensor(type) ? floating_ : std::nullopt));
    if (is_tensor(type))
      return IValue(channels_last_ ? with_channels_last(value) : std::move(value));
    const bool scalar = value.numel() == 1;
    if (scalar && type->kind() == c10::TypeKind::IntType) {
      if (!at::isIntegralType(value.scalar_type(), /*includeBool=*/true)) {
        return usage_error("the model takes an int there, not " + spelled(tensor.dtype, {}),
                           "as in '" + printable(argument.name()) + ":i64[]=5'");
      }
      return IValue(value.item().toLong());
    }
    if (scalar && type->kind() == c10::TypeKind::FloatType) return IValue(value.item().toDouble());
    if (scalar && type->kind() == c10::TypeKind::BoolType) return IValue(value.item().toBool());
    return unsupported(
        "the model takes a " + type_text(argument) + " there, which cannot be made from " +
            describe(tensor.dtype, tensor.sizes),
        takes_parts(argument)
            ? "give its parts, as in '" + printable(argument.name()) +
                  (type->kind() == c10::TypeKind::DictType ? ".KEY" : ".0") + ":f32[1,3]'"
            : "inputs are tensors, or one number each for int, float and bool");
  }

  torch::jit::Module source_;  // as it was loaded
  ChannelsLastWeights convolutions_;
  bool channels_last_;
  bool on_trial_;  // nobody asked for channels last, so a model that refuses runs without
  torch::jit::Module module_;
  std::optional<torch::jit::Method> forward_;  // looking it up takes longer than calling it
  std::vector<c10::Argument> arguments_;
  Signature signature_;
  std::string device_;
  bool repeated_;
  uint64_t seed_;
  std::optional<DType> cast_to_;
  std::optional<c10::ScalarType> floating_;  // the same
  bool try_first_;                           // new inputs, without oneDNN: see has_recurrence()
  Reporter& reporter_;
  std::vector<NamedValue> trial_inputs_;
  std::vector<std::string> output_names_;
  bool names_must_fit_ = true;
  std::vector<NamedText> texts_;                   // of the last outputs()
  bool has_keys_ = false;                          // the last outputs()
  decltype(ArchitectureSource::error_at) locate_;  // empty but for architectures
  std::string yaml_name_;
  ProgramPlaces places_;  // of the program as it was captured
  torch::jit::Stack stack_;
  std::vector<bool> given_;  // which of arguments_ set_inputs() was given
  IValue result_;
};

const torch::jit::Node* file_access(const torch::jit::Block* block) {
  for (const torch::jit::Node* node : block->nodes()) {
    if (touches_files(node->kind().toQualString())) return node;
    for (const torch::jit::Block* inner : node->blocks()) {
      if (const auto* found = file_access(inner)) return found;
    }
  }
  return nullptr;
}

/// A program may compute; it may not write or read files of its choice.
Status refuse_file_access(const torch::jit::Module& module) {
  for (torch::jit::Function* function : module._ivalue()->compilation_unit()->get_functions()) {
    auto* const graph = torch::jit::tryToGraphFunction(*function);
    const auto* found = graph == nullptr ? nullptr : file_access(graph->graph()->block());
    if (found == nullptr) continue;
    return unsupported(std::string("the model calls ") + found->kind().toQualString() +
                           ", which writes or reads files of its choice",
                       "mlc runs no such program: take the call out of the model");
  }
  return {};
}

Result<torch::jit::Module> load_module(const std::string& path, const std::string& device,
                                       Reporter& reporter) {
  torch::jit::Module module = torch::jit::load(path, c10::Device(device));
  if (!module.find_method("forward")) {
    std::vector<std::string> methods;
    for (const auto& method : module.get_methods()) methods.push_back(method.name());
    return unsupported("the model has no method forward" +
                       (methods.empty() ? std::string() : "; it has " + join_list(methods)));
  }
  if (module.hasattr("training") && module.is_training()) {
    reporter.warn("the model was saved in training mode; it runs in evaluation mode");
  }
  module.eval();
  MLC_CHECK(refuse_file_access(module));
  return module;
}

std::string built(const torch::jit::Module& module) {
  std::set<const c10::ClassType*> classes;
  uint64_t modules = 0;
  for (const torch::jit::Module& one : module.modules()) {
    classes.insert(one.type().get());
    ++modules;
  }
  return "built " + plural(modules, "module") + " of " + plural(classes.size(), "class", "classes");
}

bool is_recurrent(const arch::ScriptModule& module) {
  return has_recurrence(module.source) || std::ranges::any_of(module.children, is_recurrent);
}

/// Adds what the architecture declares to the inputs of SIGNATURE. Error: usage for an input that
/// forward does not have.
Status declare_inputs(const ArchitectureSource& source, Signature& signature) {
  for (const DeclaredInput& one : source.inputs) {
    const auto input = std::ranges::find(signature.inputs, one.name, &InputInfo::name);
    if (input == signature.inputs.end()) {
      std::vector<std::string> names;
      for (const InputInfo& known : signature.inputs) names.push_back(known.name);
      return source.error_at(one.position, "forward has no argument " + mlc::quoted(one.name),
                             names.empty() ? "it takes none" : "it takes " + join_list(names));
    }
    input->dtype = one.dtype;
    input->sizes = one.sizes;
    input->declared = one.text;
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Model>> load_torchscript(const std::string& path, const std::string& device,
                                                const LoadOptions& options, Reporter& reporter) {
  MLC_TRY(const CodeFacts code, check_code(path));
  const bool once = options.purpose == Purpose::once;
  if (code.recurrence && once) at::globalContext().setUserEnabledMkldnn(false);
  MLC_TRY(const std::vector<TracedInput> traced, traced_inputs(path));
  return guarded(ErrorKind::corrupt, [&]() -> Result<std::unique_ptr<Model>> {
    MLC_TRY(torch::jit::Module module, load_module(path, device, reporter));
    MLC_CHECK(check_chains(module));
    std::optional<c10::ScalarType> floating;
    if (options.dtype) {
      MLC_TRY(floating, scalar_type(*options.dtype));
      MLC_CHECK(check_castable(module, *floating));
      cast_floating(module, *floating);
    }
    Signature signature = signature_of(arguments_of(module), traced);
    signature.parameters = parameter_type(module);
    signature.devices = named_devices(module, c10::Device(device), options.move_devices);
    auto model =
        std::make_unique<TorchScriptModel>(std::move(module), std::move(signature), device, options,
                                           floating, code.recurrence && !once, reporter);
    model->set_output_names(code.output_names, /*must_fit=*/false);
    return std::unique_ptr<Model>(std::move(model));
  });
}

Result<std::unique_ptr<Model>> build_torchscript(const ArchitectureSource& source,
                                                 const std::string& device,
                                                 const LoadOptions& options, Reporter& reporter) {
  const bool recurrence = is_recurrent(*source.root);
  const bool once = options.purpose == Purpose::once;
  if (recurrence && once) at::globalContext().setUserEnabledMkldnn(false);
  return guarded(ErrorKind::internal, [&]() -> Result<std::unique_ptr<Model>> {
    std::optional<c10::ScalarType> floating;
    if (options.dtype) {
      MLC_TRY(floating, scalar_type(*options.dtype));
    }
    MLC_TRY(torch::jit::Module module, build_module(source, c10::Device(device), floating));
    MLC_CHECK(refuse_file_access(module));
    MLC_CHECK(check_chains(module));
    reporter.detail(built(module));
    Signature signature = signature_of(arguments_of(module), {});
    MLC_CHECK(declare_inputs(source, signature));
    signature.parameters = parameter_type(module);
    auto model =
        std::make_unique<TorchScriptModel>(std::move(module), std::move(signature), device, options,
                                           floating, recurrence && !once, reporter);
    model->set_output_names(source.outputs, /*must_fit=*/true);
    model->set_locate(source.error_at, source.name);
    return std::unique_ptr<Model>(std::move(model));
  });
}

}  // namespace mlc::torch_module
