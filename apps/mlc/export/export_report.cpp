#include "export/export_report.h"

#include "cli/html_page.h"
#include "mlc/base/text.h"
#include "mlc/base/version.h"

#include <algorithm>

#include <fmt/format.h>

namespace mlc::cli {
namespace {

std::string verdict_of(const ExportAnswer& answer) {
  if (!answer.not_verified.empty()) {
    return "<p><strong>Not compared with its source</strong>: " +
           escaped_html(answer.not_verified) + ".</p>\n";
  }
  const auto& check = answer.check;
  std::string out = "<p>" + escaped_html(check.engine) + " ran the source, " +
                    escaped_html(check.engine_b) + " the new model. ";
  if (check.passed()) {
    out += fmt::format("<strong>The same in {}</strong>", plural(check.cases.size(), "case"));
  } else {
    out += "<strong>Not the same, so no model was written</strong>: " +
           escaped_html(first_problem(check));
  }
  return out + "; the same means " + escaped_html(same_if(check)) + ".</p>\n";
}

std::string facts_table(const ExportAnswer& answer) {
  std::vector<std::vector<std::string>> rows = {
      {"source", answer.model},
      {"model", answer.output},
      {"opset", fmt::format("{}{}", answer.opset,
                            answer.opset_reason.empty() ? "" : ", " + answer.opset_reason)},
      {"size", format_bytes(answer.file_bytes + answer.sidecar_bytes)},
      {"weights", fmt::format("{} in {}", format_bytes(answer.initializer_bytes),
                              plural(answer.initializers, "initializer"))},
      {"nodes", fmt::format("{}, from {} of PyTorch", format_count(answer.nodes),
                            plural(answer.program_nodes, "operator"))},
  };
  if (answer.sidecar_bytes > 0) {
    rows.push_back(
        {"weights beside it", answer.output + ".data, " + format_bytes(answer.sidecar_bytes)});
  }
  if (answer.folded_norms > 0) {
    rows.push_back(
        {"folded", plural(answer.folded_norms, "batch norm") + " into the weights before them"});
  }
  if (!answer.dtype.empty()) rows.push_back({"dtype", dtype_text(answer)});
  if (!answer.frozen.empty()) rows.push_back({"arguments that froze", frozen_text(answer)});
  for (const std::string& name : answer.narrowed.too_large) {
    rows.push_back({"float32, for its size", name});
  }
  for (const ExportedRandom& one : answer.random_outputs) {
    rows.push_back({"random", fmt::format("{}: {}", one.name, fmt::join(one.sources, "; "))});
  }
  rows.push_back({"made by", "mlc " + std::string(mlc_version())});
  if (!answer.checker.empty()) rows.push_back({"checked by", "ONNX " + answer.checker});
  return html_table({}, rows, TableKind::text);
}

std::string interface_table(const ExportAnswer& answer) {
  std::vector<std::vector<std::string>> rows;
  for (const ExportedValue& one : answer.inputs) rows.push_back({one.name, "input", one.type});
  for (const ExportedValue& one : answer.outputs) rows.push_back({one.name, "output", one.type});
  std::string out = html_table({"name", "", "type"}, rows, TableKind::text);
  if (answer.sizes.empty()) return out;
  std::vector<std::vector<std::string>> sizes;
  for (const ExportedSize& one : answer.sizes) {
    sizes.push_back({one.name, std::to_string(one.low),
                     one.high ? std::to_string(*one.high) : std::string("any")});
  }
  return out + "<p>Sizes that vary:</p>\n" + html_table({"size", "from", "to"}, sizes);
}

std::string operators_plot(const ExportAnswer& answer) {
  auto rows = answer.operators;
  std::ranges::stable_sort(rows, [](const auto& a, const auto& b) { return a.second > b.second; });
  std::vector<Bar> bars;
  for (const auto& [name, count] : rows) {
    bars.push_back({name, static_cast<double>(count), std::nullopt, format_count(count)});
  }
  return bar_plot("Nodes by operator", "Of ONNX, those within branches and loops not counted.",
                  bars);
}

std::string weights_plot(const ExportAnswer& answer) {
  constexpr size_t kMost = 25;
  auto rows = answer.weights;
  std::ranges::stable_sort(rows, [](const auto& a, const auto& b) { return a.bytes > b.bytes; });
  std::vector<Bar> bars;
  uint64_t rest = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (i >= kMost) {
      rest += rows[i].bytes;
      continue;
    }
    bars.push_back({rows[i].name + ": " + rows[i].type, static_cast<double>(rows[i].bytes),
                    std::nullopt, format_bytes(rows[i].bytes)});
  }
  std::string note = "Initializers, the largest first.";
  if (rows.size() > kMost) {
    note += fmt::format(" {} more have {} together.", rows.size() - kMost, format_bytes(rest));
  }
  return bar_plot("Weights", note, bars);
}

std::string number(const std::optional<double>& value, std::string_view format) {
  return value ? fmt::format(fmt::runtime(format), *value) : "-";
}

std::string cases_table(const VerifyAnswer& check) {
  std::vector<std::vector<std::string>> rows;
  for (const CaseResult& one : check.cases) {
    if (!one.failure.empty()) rows.push_back({one.label, "-", "-", "-", "-", "-", one.failure});
    for (const OutputDifference& output : one.comparison.outputs) {
      const auto& values = output.values;
      rows.push_back({one.label, output.name, fmt::format("{:.3g}", values.max_abs),
                      fmt::format("{:.3g}", values.max_rel), number(values.cosine, "{:.8g}"),
                      number(output.top1, "{:.4g}"), output_verdict(output, check.gates)});
    }
  }
  for (const CaseResult& one : check.not_checked) {
    rows.push_back({one.label, "-", "-", "-", "-", "-", "not checked: " + one.not_checked});
  }
  return html_table({"case", "output", "max abs", "max rel", "cosine", "top-1", "verdict"}, rows);
}

}  // namespace

std::string export_html(const ExportAnswer& answer) {
  std::string out = verdict_of(answer) + facts_table(answer);
  out += html_section("Inputs and outputs", "Sizes with names may vary.", interface_table(answer));
  if (answer.not_verified.empty()) {
    out +=
        html_section("Comparison",
                     "The source and the new model on the same inputs: random ones, then another "
                     "size of each dimension that may vary.",
                     cases_table(answer.check));
  }
  out += operators_plot(answer) + weights_plot(answer);
  return html_page("mlc export-onnx", out);
}

}  // namespace mlc::cli
