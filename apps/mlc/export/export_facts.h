// What the answer and the file of `mlc export-onnx` say of the model besides its graph.
#pragma once

#include "export/export_options.h"
#include "export/export_view.h"
#include "mlc/base/reporter.h"
#include "mlc/checkpoint/state_dict.h"
#include "mlc/onnx/model.h"
#include "mlc/onnx_write/write.h"

#include <span>

namespace mlc::cli {

/// Fills ANSWER with what MODEL and FILE, which is to hold it, are made of.
void describe_export(const onnx::Model& model, const onnx::ModelFile& file,
                     const ExportOptions& options, ExportAnswer& answer);

/// Adds to MODEL the bounds of sizes that vary, FROZEN, which is frozen_text(), the metadata of its
/// source and where it comes from.
/// Errors: those of metadata that cannot be read.
Status add_export_metadata(const Checkpoint& checkpoint, const ExportOptions& options,
                           std::span<const ExportedSize> varying, const std::string& frozen,
                           Reporter& reporter, onnx::Model& model);

/// A .pt2 states the type of every tensor, which mlc takes as it is. PROBLEM is what ONNX says of a
/// model that was made of statements that do not fit the operators.
Error contradicted_program(Error problem, const onnx::Model& model);

}  // namespace mlc::cli
