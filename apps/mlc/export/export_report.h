// What `mlc export-onnx` made as one HTML page (html_page.h).
#pragma once

#include "export/export_view.h"

#include <string>

namespace mlc::cli {

/// The whole page. Deterministic: no date, no name of the machine.
std::string export_html(const ExportAnswer& answer);

}  // namespace mlc::cli
