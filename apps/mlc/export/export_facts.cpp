#include "export/export_facts.h"

#include "files/metadata_sources.h"
#include "files/provenance_options.h"
#include "mlc/base/text.h"
#include "mlc/onnx/randomness.h"
#include "mlc/onnx_write/check.h"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include <fmt/format.h>

namespace mlc::cli {
namespace {

std::string type_text(const onnx::Model& model, const onnx::TensorType& type) {
  std::vector<std::string> sizes;
  for (const ir::Expr size : type.sizes) sizes.push_back(model.symbols().text(size));
  return fmt::format("{}[{}]", info(type.dtype).brief, fmt::join(sizes, ", "));
}

/// The name of what lies at PATH: where it lay says nothing of the model.
std::string name_at(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path.substr(path.rfind('/') + 1);
}

/// "image=@folder/sample.npy" without the folder.
std::string without_folder(const std::string& input) {
  const size_t at = input.find('@');
  const bool is_file = at != std::string::npos && (at == 0 || input[at - 1] == '=');
  return is_file ? input.substr(0, at + 1) + name_at(input.substr(at + 1)) : input;
}

ProvenanceOptions provenance_of(const ExportOptions& options) {
  ProvenanceOptions out;
  out.text("model", name_at(options.model)).text("arch", name_at(options.engine.architecture));
  out.text("opset", options.opset == 0 ? "" : std::to_string(options.opset));
  out.text("key", options.engine.key);
  for (const std::string& input : options.engine.inputs) out.add("input", without_folder(input));
  out.text("dtype", options.engine.dtype);
  out.list("dim", options.dims).flag("partial", options.partial).flag("origins", options.origins);
  return out.text("op_map", name_at(options.op_map));
}

}  // namespace

void describe_export(const onnx::Model& model, const onnx::ModelFile& file,
                     const ExportOptions& options, ExportAnswer& answer) {
  const onnx::WriteSummary& summary = file.summary();
  answer.model = options.model;
  answer.output = options.output;
  answer.dry_run = options.dry_run;
  answer.opset = model.opset;
  std::map<std::string, uint64_t> operators;
  for (const onnx::Node* node : model.graph.nodes) {
    ++operators[node->op];
    if (options.opset == 0 && model.opset > 17 && node->opset == model.opset &&
        answer.opset_reason.empty()) {
      answer.opset_reason = node->op + " needs it";
    }
    if (onnx::is_random(node->op)) answer.random.push_back(node->name);
  }
  answer.random_outputs = exported_random(model);
  answer.operators.assign(operators.begin(), operators.end());
  answer.nodes = summary.nodes;
  answer.initializers = summary.initializers;
  answer.initializer_bytes = summary.initializer_bytes;
  answer.file_bytes = summary.file_bytes;
  answer.sidecar_bytes = summary.sidecar_bytes;
  for (const onnx::Value* input : model.graph.inputs) {
    answer.inputs.push_back({input->name, type_text(model, input->type)});
  }
  for (const onnx::GraphOutput& output : model.graph.outputs) {
    answer.outputs.push_back({output.name, type_text(model, output.value->type)});
  }
  for (const onnx::Initializer& one : file.skeleton().initializers) {
    const std::string type =
        fmt::format("{}[{}]", info(one.data->dtype).brief, fmt::join(one.data->sizes, ", "));
    answer.weights.push_back({one.name, type, one.data->byte_size()});
  }
  if (auto version = onnx::checker_version(); version.ok()) answer.checker = *version;
}

Status add_export_metadata(const Checkpoint& checkpoint, const ExportOptions& options,
                           std::span<const ExportedSize> varying, const std::string& frozen,
                           Reporter& reporter, onnx::Model& model) {
  std::vector<std::string> sizes;
  for (const ExportedSize& size : varying) {
    sizes.push_back(
        fmt::format("{}={}..{}", size.name, size.low, size.high ? std::to_string(*size.high) : ""));
  }
  if (!sizes.empty()) {
    model.metadata.emplace_back("mlc.sizes", fmt::format("{}", fmt::join(sizes, ", ")));
  }
  if (!frozen.empty()) model.metadata.emplace_back("mlc.frozen", frozen);
  MLC_TRY(auto metadata, metadata_to_carry(checkpoint));
  // A model says what it was made from, also where its source says nothing of itself.
  if (!metadata) metadata.emplace();
  const auto yaml = with_provenance(std::move(metadata), "export-onnx", provenance_of(options));
  model.metadata.emplace_back("mlc.metadata", *yaml);
  warn_of_sidecar(options.output, yaml, reporter);
  return {};
}

Error contradicted_program(Error problem, const onnx::Model& model) {
  if (problem.kind() != ErrorKind::internal) return problem;
  constexpr std::string_view kName = "node name: ";
  const std::string& text = problem.message();
  const size_t at = text.find(kName);
  std::string where;
  if (at != std::string::npos) {
    const size_t begin = at + kName.size();
    const std::string name = text.substr(begin, text.find(')', begin) - begin);
    const auto node = std::ranges::find(model.graph.nodes, name, &onnx::Node::name);
    if (node != model.graph.nodes.end()) {
      const ir::Origin& origin = (*node)->origin;
      where = " for " + printable((*node)->source);
      if (!origin.scope.empty()) where += " in " + printable(origin.scope);
      if (!origin.text.empty()) where += ", " + printable(origin.text);
    }
  }
  return corrupt(
      "the program states sizes or dtypes" + where + " that its operators do not give: " + text,
      "save it again; if PyTorch runs this very file, it is a defect of mlc to report");
}

}  // namespace mlc::cli
