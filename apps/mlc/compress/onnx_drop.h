// An ONNX model as --max-drop tries it.
#pragma once

#include "compress/max_drop.h"
#include "compress/onnx_quantizer.h"

#include <memory>
#include <string>

namespace mlc::cli {

class OnnxDropSubject : public DropSubject {
 public:
  /// Tries what QUANTIZER makes of the model at SOURCE by HOW. ENGINE, ONNX Runtime, is opened
  /// where it is null. All of them must outlive it.
  OnnxDropSubject(OnnxQuantizer& quantizer, const std::string& source,
                  const onnx::QuantOptions& how, unsigned threads, std::unique_ptr<Engine>& engine);

  /// Errors also: those of open_engine().
  Result<std::unique_ptr<Model>> source() override;
  Result<DropTrial> make(const Undone& undone) override;

 private:
  LoadOptions load_options() const;

  OnnxQuantizer& quantizer_;
  const std::string& source_;
  const onnx::QuantOptions& how_;
  unsigned threads_;
  std::unique_ptr<Engine>& engine_;
};

}  // namespace mlc::cli
