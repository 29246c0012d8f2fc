#include "compress/onnx_drop.h"

#include "mlc/engine/module_loader.h"
#include "mlc/engine/onnx_artefact.h"
#include "models/onnx_draft.h"

namespace mlc::cli {

OnnxDropSubject::OnnxDropSubject(OnnxQuantizer& quantizer, const std::string& source,
                                 const onnx::QuantOptions& how, unsigned threads,
                                 std::unique_ptr<Engine>& engine)
    : quantizer_(quantizer), source_(source), how_(how), threads_(threads), engine_(engine) {
  quantizer_.expect_more();
}

LoadOptions OnnxDropSubject::load_options() const {
  LoadOptions how;
  how.threads = threads_;
  how.purpose = Purpose::repeated;
  return how;
}

Result<std::unique_ptr<Model>> OnnxDropSubject::source() {
  if (!engine_) {
    auto opened = open_engine(EngineKind::onnxruntime);
    if (!opened.ok()) return std::move(opened).error().during("--max-drop");
    engine_ = std::move(*opened);
  }
  MLC_TRY(const auto opened, OnnxArtefact::open(source_));
  if (!opened) return internal_error("the file is no ONNX model");
  return opened->load(source_, *engine_, load_options(), null_reporter());
}

Result<DropTrial> OnnxDropSubject::make(const Undone& undone) {
  onnx::QuantOptions how = how_;
  how.bytes.insert(undone.bytes.begin(), undone.bytes.end());
  how.floats.insert(undone.floats.begin(), undone.floats.end());
  MLC_TRY(OnnxQuantizer::Made made, quantizer_.make(how));
  MLC_TRY(OnnxDraft written, OnnxDraft::write(made.document, quantizer_.beside() + ".trial"));
  const auto draft = std::make_shared<const OnnxDraft>(std::move(written));
  DropTrial out;
  out.file = draft;
  for (const onnx::QuantizedLayer& layer : made.report.layers)
    out.layers.push_back({layer.weight, layer.scheme.starts_with("int4")});
  MLC_TRY(out.model, engine_->load(draft->path(), load_options(), null_reporter()));
  return out;
}

}  // namespace mlc::cli
