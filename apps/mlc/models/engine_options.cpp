#include "models/engine_options.h"

#include "cli/input_guard.h"

#include <array>

namespace mlc::cli {
namespace {

constexpr std::array<std::string_view, 3> kTypes = {"fp32", "bf16", "fp16"};
constexpr std::array<std::pair<std::string_view, std::string_view>, 9> kOtherNames = {{
    {"f32", "fp32"},
    {"float32", "fp32"},
    {"float", "fp32"},
    {"bfloat16", "bf16"},
    {"BF16", "bf16"},
    {"f16", "fp16"},
    {"float16", "fp16"},
    {"half", "fp16"},
    {"F16", "fp16"},
}};
constexpr std::array<std::string_view, 3> kAutoOnOff = {"auto", "on", "off"};

}  // namespace

void add_engine_options(OptionSet& set, EngineOptions& options, std::string_view dtype_help) {
  set.group("Architecture");
  set.file("--arch", options.architecture, "FILE",
           "architecture YAML of a checkpoint (default: the one in its metadata)");
  set.text("--key", options.key, "PATH", "of the state_dict in a checkpoint that has several");
  set.group("Inputs");
  set.list(
      "--input", options.inputs, "SPEC",
      "'NAME:DTYPE[DIM,...]' for random values, '...]=LOW..HIGH' within bounds, '...]=VALUE' for "
      "one value, NAME=@FILE from .npy, .npz, .pt or .safetensors; a DIM is a size, NAME=SIZE, "
      "NAME=LOW..HIGH or of names, as past+seq; repeatable (default: the inputs that the model "
      "declares, "
      "with the values that a .pt2 or traced file holds)");
  set.is_input_spec();
  set.integer("--seed", options.seed, "N", "of the random values and of the model (default 0)", 0);
  set.group("Engine");
  set.text("--device", options.device, "DEVICE", "cpu (the default), cuda, cuda:N or auto");
  set.choice("--dtype", options.dtype, kTypes, dtype_help);
  for (const auto& [other, type] : kOtherNames) set.alias(std::string(other), std::string(type));
  set.choice(
      "--channels-last", options.channels_last, kAutoOnOff,
      "images pixel by pixel in memory, for convolutions; auto (the default): bench on a CPU, "
      "where it was measured to pay, if the model runs that way");
}

LoadOptions EngineOptions::load_options(const Context& context, Purpose purpose) const {
  LoadOptions options;
  options.device = device;
  if (!dtype.empty()) options.dtype = dtype_from_name(dtype);
  options.threads = context.threads();
  options.seed = static_cast<uint64_t>(seed);
  options.purpose = purpose;
  if (channels_last == "on") options.channels_last = ChannelsLast::on;
  if (channels_last == "off") options.channels_last = ChannelsLast::off;
  return options;
}

std::set<std::string> EngineOptions::typed_ranges() const {
  std::set<std::string> out;
  const auto typed = parse_input_specs(inputs);
  if (!typed.ok()) return out;
  for (const InputSpec& spec : *typed) {
    for (const InputDim& dim : spec.dims) {
      if (dim.bounds) out.insert(dim.symbol);
    }
  }
  return out;
}

Result<std::vector<InputSpec>> choose_inputs(const EngineOptions& options,
                                             const Artefact& artefact) {
  if (options.inputs.empty()) return artefact.inputs();
  return parse_input_specs(options.inputs);
}

Status refuse_output_over_model(const std::string& output, const std::string& model) {
  if (output.empty()) return {};
  FilePlan plan;
  plan.writes.push_back({output, ""});
  plan.reads.push_back({model, "the model"});
  return refuse_replaced_inputs(plan);
}

}  // namespace mlc::cli
