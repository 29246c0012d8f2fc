#include "compress/layer_samples.h"

#include "compress/sample_warnings.h"
#include "mlc/engine/artefact.h"
#include "mlc/engine/module_loader.h"

#include <algorithm>

namespace mlc::cli {

std::vector<OnnxValue> calibration_inputs(const Signature& signature,
                                          std::span<const InputSpec> specs) {
  std::vector<OnnxValue> out;
  for (const InputInfo& input : signature.inputs) {
    if (!input.required) continue;
    OnnxValue& value = out.emplace_back();
    value.name = input.name;
    if (input.dtype) value.element = info(*input.dtype).onnx;
    const auto spec = std::ranges::find(specs, input.name, &InputSpec::name);
    if (spec == specs.end() || !spec->file.empty()) continue;
    value.element = info(spec->dtype).onnx;
    value.dims.emplace();
    for (const InputDim& dim : spec->dims) {
      OnnxDim& size = value.dims->emplace_back();
      if (dim.symbol.empty() && dim.computed.empty()) size.size = dim.example;
    }
  }
  return out;
}

Result<LayerSamples> sample_layers(FileTask& task, const LayerSampleOptions& options) {
  MLC_TRY(const Artefact source,
          Artefact::open(task.input, {options.architecture, options.key}, task.reporter));
  if (source.engine() != EngineKind::torch || source.exported() != nullptr) {
    return unsupported("its layers cannot be watched: it is no TorchScript and has no architecture",
                       "--arch FILE.yaml gives a checkpoint one")
        .in_file(task.input);
  }
  MLC_TRY(const auto engine, open_engine(EngineKind::torch));
  LoadOptions how;
  how.threads = task.threads;
  how.dtype = DType::f32;  // of half a precision sums would be worth little
  MLC_TRY(const auto model, source.load(*engine, how, task.reporter));
  MLC_TRY(
      const CalibrationData data,
      CalibrationData::open(
          options.calib, calibration_inputs(model->signature(), source.declared()), task.reporter));
  warn_of_samples(data, "of inputs", task.reporter);
  const ProgressScope progress(task.reporter, "running the model (samples)", data.samples());
  LayerInputRequest request;
  request.gram = true;
  request.wanted = options.wanted;
  request.samples.count = data.samples();
  request.samples.at = [&](uint64_t i) -> Result<std::vector<NamedValue>> {
    if (task.reporter.interrupted()) return Error(ErrorKind::interrupted, "interrupted");
    task.reporter.advance(1);
    return data.sample(i);
  };
  LayerSamples out;
  auto inputs = model->layer_inputs(request);
  if (!inputs.ok()) return std::move(inputs).error().in_file(task.input);
  UnseenInputs unseen;
  for (LayerInput& one : *inputs) {
    unseen.add(one.weights.front(), one.max_abs);
    out.sums.push_back({std::move(one.weights), one.columns, std::move(one.gram),
                        std::move(one.sum_square), std::move(one.sum_abs), one.rows});
  }
  unseen.warn(options.unseen, task.reporter);
  out.samples = data.samples();
  return out;
}

}  // namespace mlc::cli
