#include "mlc/engine/onnx_artefact.h"

#include "mlc/base/text.h"
#include "mlc/engine/symbol_names.h"
#include "mlc/ir/symbols.h"
#include "mlc/onnx_file/element_type.h"
#include "mlc/onnx_file/external_data.h"

#include <algorithm>
#include <array>

namespace mlc {
namespace {

/// Domains whose operators are part of ONNX or of ONNX Runtime itself.
constexpr std::array<std::string_view, 9> kKnownDomains = {"",
                                                           "ai.onnx.ml",
                                                           "ai.onnx.training",
                                                           "ai.onnx.preview",
                                                           "ai.onnx.preview.training",
                                                           "com.microsoft",
                                                           "com.microsoft.experimental",
                                                           "com.microsoft.nchwc",
                                                           "com.ms.internal.nhwc"};

Status check_operators(const OnnxFile& file) {
  std::vector<std::string> unknown;
  for (const OnnxOperator& one : file.operators) {
    if (std::ranges::find(kKnownDomains, one.domain) != kKnownDomains.end()) continue;
    unknown.push_back(printable(one.domain + "." + one.type) + " x" + std::to_string(one.count));
  }
  if (unknown.empty()) return {};
  return unsupported("it uses " + plural(unknown.size(), "custom operator") +
                         " that ONNX Runtime does not have: " + join_list(unknown),
                     "mlc loads no operator libraries: export the model with standard operators, "
                     "or with the operators as functions of the model");
}

Error no_tensor(std::string_view role, const OnnxValue& value) {
  const std::string what = value.kind == OnnxKind::tensor
                               ? "a tensor of type " + onnx_type_name(value.element)
                               : std::string(to_string(value.kind));
  // What scikit-learn's converter makes of probabilities unless it is told otherwise.
  const bool zipped = role == "output" && value.kind == OnnxKind::sequence;
  return unsupported(
      std::string(role) + " " + quoted(value.name) + " is " + what +
          "; mlc runs models from tensors of numbers to tensors of numbers",
      zipped ? "a model of skl2onnx gives tensors with options={'zipmap': False}" : "");
}

/// Sizes that are made of others: "past + 1". Every plain name is 1.
class SizeExamples {
 public:
  explicit SizeExamples(const OnnxFile& file) {
    for (const OnnxValue& input : file.inputs) {
      if (!input.dims) continue;
      for (const OnnxDim& dim : *input.dims) {
        if (!ir::is_symbol_name(dim.symbol) || symbols_.find(dim.symbol)) continue;
        symbols_.symbol(dim.symbol, {0, ir::kUnbounded});
      }
    }
  }

  int64_t of(const std::string& text) {
    constexpr size_t kLongest = 200;
    if (text.empty() || text.size() > kLongest || symbols_.find(text)) return 1;
    const auto parsed = symbols_.parse(text);
    if (!parsed.ok()) return 1;
    const std::vector<std::optional<int64_t>> ones(symbols_.all().size(), 1);
    return std::max<int64_t>(ir::Evaluator(symbols_, ones)(*parsed).value_or(1), 1);
  }

 private:
  ir::Symbols symbols_;
};

}  // namespace

Result<std::vector<InputSpec>> onnx_inputs(const OnnxFile& file) {
  SymbolNames names;
  SizeExamples examples(file);
  std::vector<InputSpec> out;
  for (const OnnxValue& input : file.inputs) {
    const auto dtype = dtype_from_onnx(input.element);
    if (input.kind != OnnxKind::tensor || !dtype) return no_tensor("input", input);
    if (!input.dims) continue;
    InputSpec spec;
    spec.name = input.name;
    spec.dtype = *dtype;
    for (size_t i = 0; i < input.dims->size(); ++i) {
      const OnnxDim& dim = (*input.dims)[i];
      InputDim& made = spec.dims.emplace_back();
      made.example = dim.size.value_or(examples.of(dim.symbol));
      if (dim.size) continue;
      const std::string own = input.name + "_" + std::to_string(i);
      made.symbol = names.of(dim.symbol.empty() ? own : dim.symbol);
    }
    out.push_back(std::move(spec));
  }
  return out;
}

Result<std::optional<OnnxArtefact>> OnnxArtefact::open(const std::string& path) {
  // What cannot be opened is told by those who open checkpoints.
  const auto file = InputFile::open(path);
  if (!file.ok()) return std::optional<OnnxArtefact>();
  MLC_TRY(const Bytes bytes, (*file)->map());
  if (!looks_like_onnx(bytes)) return std::optional<OnnxArtefact>();
  OnnxArtefact out;
  MLC_TRY(out.file_, read_onnx(bytes));
  MLC_CHECK(check_operators(out.file_));
  MLC_TRY(const uint64_t beside, check_external_data(out.file_.external, path));
  out.bytes_ = (*file)->size() + beside;
  MLC_TRY(out.inputs_, onnx_inputs(out.file_));
  for (const OnnxValue& output : out.file_.outputs) {
    // A type of its own may be missing: what a node gives is then the runtime's to find.
    const bool tensor = output.kind == OnnxKind::tensor || output.kind == OnnxKind::unknown;
    const bool known = output.element == 0 || dtype_from_onnx(output.element).has_value();
    if (!tensor || !known) return no_tensor("output", output);
  }
  return std::optional<OnnxArtefact>(std::move(out));
}

Result<std::unique_ptr<Model>> OnnxArtefact::load(const std::string& path, Engine& engine,
                                                  const LoadOptions& options,
                                                  Reporter& reporter) const {
  if (options.dtype) {
    return unsupported(
        "the types of an ONNX model are written into its graph, and --dtype cannot "
        "cast them",
        "leave --dtype out, or export the model in that type");
  }
  return engine.load(path, options, reporter);
}

}  // namespace mlc
