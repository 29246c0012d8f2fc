#include "mlc/torch/torchscript_file.h"

#include "mlc/base/text.h"
#include "mlc/engine/torchscript_code.h"
#include "mlc/torch/guarded.h"
#include "mlc/torch/torch_values.h"

#include <set>

#include <caffe2/serialize/inline_container.h>
#include <torch/csrc/jit/runtime/operator.h>
#include <torch/csrc/jit/serialization/import_read.h>
#include <torch/custom_class.h>

namespace mlc::torch_module {
namespace {

using caffe2::serialize::PyTorchStreamReader;

struct Names {
  std::set<std::string> operators;
  std::set<std::string> classes;
  CodeFacts facts;
  size_t depth = 0;
};

/// Whoever made the file may have written anything there.
std::vector<std::string> output_names_in(PyTorchStreamReader& reader) {
  constexpr size_t kMostBytes = 1U << 20U;
  const std::string record = std::string("extra/") + kOutputsRecord;
  if (!reader.hasRecord(record) || reader.getRecordSize(record) > kMostBytes) return {};
  const auto [data, size] = reader.getRecord(record);
  std::vector<std::string> out;
  std::set<std::string_view> known;
  const std::string_view text(static_cast<const char*>(data.get()), size);
  for (const std::string_view line : split(text, '\n')) {
    if (line.empty()) continue;
    if (!known.insert(line).second) return {};
    out.emplace_back(line);
  }
  return out;
}

Names names_in(PyTorchStreamReader& reader) {
  Names names;
  names.facts.output_names = output_names_in(reader);
  for (const std::string& record : reader.getAllRecords()) {
    if (!record.starts_with("code/") || !record.ends_with(".py")) continue;
    const auto [data, size] = reader.getRecord(record);
    const std::string_view code(static_cast<const char*>(data.get()), size);
    collect_operators(code, names.operators);
    collect_custom_classes(code, names.classes);
    if (has_recurrence(code)) names.facts.recurrence = true;
    names.depth = std::max(names.depth, depth_of_code(code).depth);
  }
  return names;
}

bool is_known(const std::string& name) {
  // The compiler itself knows the names of these; the registry need not.
  if (name.starts_with("prim::") || name.starts_with("aten::")) return true;
  return !torch::jit::getAllOperatorsFor(c10::Symbol::fromQualString(name)).empty();
}

}  // namespace

Result<std::vector<TracedInput>> traced_inputs(const std::string& path) {
  return guarded(ErrorKind::corrupt, [&]() -> Result<std::vector<TracedInput>> {
    PyTorchStreamReader reader(path);
    std::vector<TracedInput> out;
    if (!reader.hasRecord("traced_inputs.pkl")) return out;
    const c10::IValue all = torch::jit::readArchiveAndTensors(
        "traced_inputs", "", "traced_inputs/", std::nullopt, std::nullopt, std::nullopt, reader);
    if (!all.isGenericDict()) return out;
    for (const auto& entry : all.toGenericDict()) {
      if (!entry.key().isString() || entry.key().toStringRef() != "forward") continue;
      const c10::IValue& arguments = entry.value();
      if (!arguments.isTuple() && !arguments.isList()) return out;
      const std::vector<c10::IValue> values = arguments.isTuple()
                                                  ? arguments.toTupleRef().elements().vec()
                                                  : arguments.toListRef().vec();
      for (const c10::IValue& value : values) {
        if (!value.isTensor()) return std::vector<TracedInput>();
        // Their storages are empty: only type and sizes may be looked at.
        const at::Tensor& tensor = value.toTensor();
        MLC_TRY(const DType dtype, dtype_of(tensor.scalar_type()));
        out.push_back({dtype, tensor.sizes().vec()});
      }
    }
    return out;
  });
}

Result<CodeFacts> check_code(const std::string& path) {
  return guarded(ErrorKind::corrupt, [&]() -> Result<CodeFacts> {
    PyTorchStreamReader reader(path);
    const Names names = names_in(reader);
    if (names.depth > kMaxCodeDepth) {
      return unsupported("the code of the model is nested " + format_count(names.depth) +
                             " deep, and no more than " + format_count(kMaxCodeDepth) +
                             " can be compiled",
                         "what PyTorch writes is not; save the model again");
    }
    std::vector<std::string> missing;
    for (const std::string& name : names.operators) {
      if (!is_known(name)) missing.push_back(name);
    }
    for (const std::string& name : names.classes) {
      if (torch::getCustomClass(name) == nullptr) missing.push_back("class " + name);
    }
    if (missing.empty()) return names.facts;
    return unsupported("the model uses " + plural(missing.size(), "custom operator") +
                           " that LibTorch does not have: " + join_list(missing),
                       "they come from a library that extends PyTorch, which mlc does not load; "
                       "of a .pt2, what torch.export.save() writes, --partial and --op-map take "
                       "them along; else export the model without them");
  });
}

}  // namespace mlc::torch_module
