// What `mlc quantize` and `mlc prune` made as one HTML page (html_page.h): sizes, what was lost
// where, what was kept and why. Deterministic but for measured times: no date, no machine's name.
#pragma once

#include "compress/prune_onnx_view.h"
#include "compress/prune_view.h"
#include "compress/quantize_onnx_view.h"
#include "compress/quantize_script_view.h"
#include "compress/quantize_view.h"
#include "mlc/base/output_file.h"

#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace mlc::cli {

std::string quantized_html(const QuantizeAnswer& answer, const FileTask& task);
/// REFUSED: why the model was not written; empty where it was.
std::string quantized_onnx_html(const QuantizeOnnxAnswer& answer, const FileTask& task,
                                std::string_view refused);
std::string quantized_script_html(const QuantizeScriptAnswer& answer, const FileTask& task,
                                  std::string_view refused);
std::string pruned_html(const PruneAnswer& answer, const FileTask& task, std::string_view refused);
std::string pruned_channels_html(const PruneOnnxAnswer& answer, const FileTask& task,
                                 std::string_view refused);

/// Writes PAGE to the file PATH; SOURCES are the files that are read. Errors: those of OutputFile.
Status write_html(const std::string& page, const std::string& path, const OutputOptions& options,
                  std::span<const std::shared_ptr<const InputFile>> sources);

}  // namespace mlc::cli
