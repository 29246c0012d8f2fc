#include "mlc/onnx_quant/run_samples.h"

#include "mlc/engine/match_inputs.h"

namespace mlc::onnx {

Status run_samples(mlc::Model& model, const CalibrationData& data, std::string_view title,
                   Reporter& reporter,
                   const std::function<Status(std::span<const NamedValue>)>& visit) {
  const ProgressScope progress(reporter, title, data.samples());
  for (uint64_t i = 0; i < data.samples(); ++i) {
    if (reporter.interrupted()) return Error(ErrorKind::interrupted, "interrupted");
    MLC_TRY(const auto inputs, data.sample(i));
    Status ran = model.set_inputs(inputs);
    if (ran.ok()) ran = model.run();
    if (!ran.ok()) return explain_run_error(std::move(ran).error(), model.signature(), inputs);
    MLC_TRY(const auto outputs, model.outputs());
    MLC_CHECK(visit(inputs));
    MLC_CHECK(visit(outputs));
    reporter.advance(1);
  }
  return {};
}

}  // namespace mlc::onnx
