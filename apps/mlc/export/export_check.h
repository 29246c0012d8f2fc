// How an exported model is compared with its source, before it has its name.
#pragma once

#include "command.h"
#include "export/export_options.h"
#include "export/export_view.h"
#include "mlc/engine/artefact.h"
#include "mlc/engine/engine.h"
#include "mlc/engine/verify.h"
#include "mlc/onnx/model.h"
#include "mlc/onnx_write/model_output.h"
#include "models/onnx_draft.h"

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace mlc::cli {

/// Has to stay until OUT is published.
class ExportCheck {
 public:
  /// All of them must outlive this object. TORCH: where it is open already, else null.
  ExportCheck(const ExportOptions& options, Context& context, ExportAnswer& answer,
              std::unique_ptr<Engine> torch)
      : options_(options), context_(context), answer_(answer), torch_(std::move(torch)) {}

  /// Runs OUT, which holds MODEL, beside SOURCE at SPECS and at other sizes, none below LEAST
  /// (by name), and leaves what comes out in the answer; or why it could not, where that is no
  /// error. Returns whether it ran. Errors: those of the source and of reading OUT; unsupported
  /// where --verify asks for what cannot be.
  Result<bool> run(const Artefact& source, const onnx::Model& model, const onnx::ModelOutput& out,
                   const std::vector<InputSpec>& specs,
                   const std::map<std::string, int64_t>& least);

 private:
  Result<bool> cannot_verify(Error why);
  Result<bool> can_verify(const onnx::Model& model);
  Result<std::unique_ptr<Model>> load_written();
  Error at_given_sizes(Error error, Model& written, std::span<const VerifyCase> cases);
  std::vector<VerifyCase> all_cases(const Artefact& source, const std::vector<InputSpec>& specs,
                                    const std::map<std::string, int64_t>& least) const;
  void add_range_ends(const std::vector<InputSpec>& specs, uint64_t seed,
                      std::vector<VerifyCase>& cases) const;
  Status compare(const onnx::Model& model, const std::vector<InputSpec>& specs,
                 const std::vector<VerifyCase>& cases);

  const ExportOptions& options_;
  Context& context_;
  ExportAnswer& answer_;
  std::unique_ptr<Engine> torch_;
  std::unique_ptr<Engine> onnxruntime_;
  std::optional<Artefact> source_;  // which its model asks for places in the YAML
  std::unique_ptr<Model> source_model_;
  std::optional<ReadableModel> written_;
  VerifyGates gates_;
};

}  // namespace mlc::cli
