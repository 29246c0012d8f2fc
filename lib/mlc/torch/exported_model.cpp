#include "mlc/torch/exported_model.h"

#include "mlc/base/checked_math.h"
#include "mlc/base/text.h"
#include "mlc/engine/cast_error.h"
#include "mlc/engine/program_inputs.h"
#include "mlc/engine/size_names.h"
#include "mlc/frontend/size_guards.h"
#include "mlc/ir/linear_size.h"
#include "mlc/torch/compiled_block.h"
#include "mlc/torch/guarded.h"
#include "mlc/torch/program_to_script.h"
#include "mlc/torch/torch_library.h"
#include "mlc/torch/torch_values.h"
#include "mlc/torch/write_torchscript.h"

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <map>
#include <set>
#include <utility>

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>

namespace mlc::torch_module {
namespace {

using c10::IValue;

/// "1 to 64", "1 or more".
std::string range_text(const ir::Bounds& bounds) {
  if (bounds.high == ir::kUnbounded) return std::to_string(bounds.low) + " or more";
  return std::to_string(bounds.low) + " to " + std::to_string(bounds.high);
}

/// ", such as 40 or 48": the sizes around WANTED that SIZE can be.
std::string such_as(const ir::Symbols& symbols, ir::Expr size, int64_t wanted) {
  const auto given = ir::linear_size(symbols, size);
  int64_t rest = 0;
  // A size is no less than 0, so REST is not the one number that -1 does not divide.
  if (!given || wanted < 0 || __builtin_sub_overflow(wanted, given->offset, &rest)) return "";
  const ir::Bounds& bounds = symbols.all()[given->symbol].bounds;
  // Division rounds towards zero, so the nearest on both sides are among these.
  std::set<int64_t> sizes;
  for (const int64_t step : {int64_t{-1}, int64_t{0}, int64_t{1}}) {
    const auto value = checked_add(rest / given->factor, step);
    if (!value || *value < bounds.low || *value > bounds.high) continue;
    if (const auto one = given->at(*value); one && *one >= 0) sizes.insert(*one);
  }
  const auto above = sizes.upper_bound(wanted);
  std::string out;
  if (above != sizes.begin()) out += ", such as " + std::to_string(*std::prev(above));
  if (above != sizes.end()) out += (out.empty() ? ", such as " : " or ") + std::to_string(*above);
  return out;
}

/// MISSING: how often the program uses which operators.
Error lacks(const std::map<std::string, size_t>& missing) {
  std::vector<std::string> customs;
  std::vector<std::string> controls;  // what runs parts of a program
  for (const auto& [name, count] : missing) {
    const bool is_control = name.starts_with("higher_order::");
    (is_control ? controls : customs)
        .push_back(name + (count > 1 ? " (" + std::to_string(count) + " times)" : ""));
  }
  std::string message;
  std::string hint;
  if (!customs.empty()) {
    message = "the program uses " + plural(customs.size(), "operator") +
              " that LibTorch does not have: " + join_list(customs);
    hint =
        "custom operators come from a library that extends PyTorch, which mlc does not load; "
        "run_decompositions() takes some others out of a program";
  }
  if (!controls.empty()) {
    message += (message.empty() ? "the program uses " : "; ") +
               plural(controls.size(), "operator") +
               " on parts of itself that mlc does not run: " + join_list(controls);
    hint += std::string(hint.empty() ? "" : "; ") +
            "of these mlc runs torch.cond and while_loop, and a plain loop of Python is unrolled "
            "by the export";
  }
  return unsupported(std::move(message), std::move(hint));
}

/// Of all floating parameters, if it is one.
std::optional<DType> parameter_type(const ExportedProgram& program) {
  std::optional<DType> out;
  for (const ProgramWeight& weight : program.weights) {
    if (weight.value->kind() != ir::ValueKind::parameter) continue;
    const std::optional<DType> type = weight.value->tensor()->dtype;
    if (!type || info(*type).kind != DTypeClass::floating) continue;
    if (out && *out != *type) return std::nullopt;
    out = type;
  }
  return out;
}

/// "f32[batch=2,2*batch]": SPEC of an input of type TENSOR, sizes that hang on others, which inputs
/// have, in words.
std::string declared_text(const ExportedProgram& program, const ir::TensorType& tensor,
                          InputSpec spec) {
  const ir::Symbols& symbols = program.graph.symbols();
  const auto names = usual_size_names(program);
  for (size_t i = 0; i < spec.dims.size(); ++i) {
    const ir::Expr size = (*tensor.sizes)[i];
    const auto is_named = [&](size_t at) { return names.contains(symbols.all()[at].name); };
    const std::vector<size_t> used = symbols.symbols_of(size);
    if (!spec.dims[i].symbol.empty() || used.empty()) continue;
    if (!std::ranges::all_of(used, is_named)) continue;
    spec.dims[i].computed = text_with_names(symbols, size, names);
  }
  return to_text(spec).substr(spec.name.size() + 1);
}

Signature signature_of(const ExportedProgram& program) {
  Signature out;
  const std::vector<InputSpec> specs = program_inputs(program);
  for (const ProgramInput& input : program.inputs) {
    InputInfo one;
    one.name = input.name;
    one.type = "int";
    if (input.value == nullptr) {
      one.type = "only " + input.fixed + ", which the export fixed";
      one.required = false;
      out.inputs.push_back(std::move(one));
      continue;
    }
    if (const ir::TensorType* tensor = input.value->tensor()) {
      one.type = "Tensor";
      one.dtype = tensor->dtype;
      const auto spec = std::ranges::find(specs, input.name, &InputSpec::name);
      one.declared = declared_text(program, *tensor, *spec);
    }
    out.inputs.push_back(std::move(one));
  }
  out.parameters = parameter_type(program);
  return out;
}

/// Whether TENSOR is the one number that TEXT says, as JSON writes it.
bool is_number(const HostTensor& tensor, const std::string& text) {
  const auto value = to_torch(tensor, c10::kCPU, std::nullopt);
  if (!value.ok() || value->numel() != 1) return false;
  const c10::Scalar number = value->item();
  if (number.isBoolean()) return text == (number.toBool() ? "true" : "false");
  if (number.isIntegral(false)) return text == std::to_string(number.toLong());
  char* end = nullptr;
  const double wanted = std::strtod(text.c_str(), &end);
  return end == text.c_str() + text.size() && wanted == number.toDouble();
}

class ExportedModel : public Model {
 public:
  ExportedModel(std::shared_ptr<const ExportedProgram> program, std::string device,
                const LoadOptions& options)
      : program_(std::move(program)),
        memory_(program_->graph),
        surroundings_{
            [this](const ir::Value* value) -> const IValue& { return memory_.get(value); },
            [this](ir::Expr size) { return memory_.integer(size); }},
        signature_(signature_of(*program_)),
        size_names_(usual_size_names(*program_)),
        guards_(program_->guards),
        device_(std::move(device)),
        floating_(options.dtype),
        seed_(options.seed) {}

  Status prepare(const ProgramSource& source);

  const Signature& signature() const override { return signature_; }
  const std::string& device() const override { return device_; }
  Status set_inputs(std::span<const NamedValue> inputs) override;
  Status run() override;
  Result<std::vector<NamedValue>> outputs() override;
  std::vector<NamedText> texts() const override { return texts_; }
  Result<TraceFacts> write_torchscript(const TraceOptions& options, const ByteSink& sink) override;

 private:
  Result<at::Tensor> weight(const ProgramSource& source, const ProgramWeight& weight) const;
  Status set_input(const ProgramInput& input, const NamedValue& given);
  Status check_sizes(const ProgramInput& input, const std::vector<int64_t>& sizes);
  Status check_guards(std::span<const NamedValue> inputs) const;

  std::shared_ptr<const ExportedProgram> program_;
  Memory memory_;
  Surroundings surroundings_;
  CompiledBlock body_;
  Signature signature_;
  std::map<std::string, std::string> size_names_;
  SizeGuards guards_;
  std::string device_;
  std::optional<DType> floating_;  // what the program was cast to
  uint64_t seed_;
  std::vector<NamedText> texts_;  // of the last outputs()
};

Result<at::Tensor> ExportedModel::weight(const ProgramSource& source,
                                         const ProgramWeight& weight) const {
  MLC_TRY(const Weight held, source.weight(weight));
  MLC_TRY(const c10::ScalarType type, scalar_type(held.dtype));
  at::Tensor out = in_place(held, type);
  const bool has_strides = weight.strides.size() == held.sizes.size();
  if (has_strides && out.numel() > 1 && !std::ranges::equal(out.strides(), weight.strides)) {
    const bool overlaps = std::ranges::any_of(weight.strides, [](int64_t one) { return one <= 0; });
    if (!overlaps) {
      out = at::empty_strided(held.sizes, weight.strides, at::TensorOptions(type)).copy_(out);
    }
  }
  return out.to(c10::Device(device_));
}

Status ExportedModel::prepare(const ProgramSource& source) {
  std::map<std::string, at::Tensor> tied;
  for (const ProgramWeight& one : program_->weights) {
    memory_.add(one.value);
    at::Tensor& known = tied[one.key];
    if (!known.defined()) {
      MLC_TRY(known, weight(source, one));
    }
    memory_.set(one.value, known);
  }
  std::map<std::string, size_t> missing;
  MLC_TRY(body_, CompiledBlock::make(program_->graph, program_->graph.body(), c10::Device(device_),
                                     memory_, missing));
  return missing.empty() ? Status() : lacks(missing);
}

Status ExportedModel::check_sizes(const ProgramInput& input, const std::vector<int64_t>& sizes) {
  const ir::Symbols& symbols = program_->graph.symbols();
  const std::vector<ir::Expr>& wanted = *input.value->tensor()->sizes;
  const std::string name = "input " + mlc::quoted(input.name);
  if (sizes.size() != wanted.size()) {
    return usage_error(name + " must have " + plural(wanted.size(), "dimension") + ", not " +
                       std::to_string(sizes.size()));
  }
  for (size_t i = 0; i < sizes.size(); ++i) {
    const std::string place = name + ": dimension " + std::to_string(i);
    const std::string given = ", not " + std::to_string(sizes[i]);
    if (const auto fixed = symbols.constant_value(wanted[i])) {
      if (*fixed == sizes[i]) continue;
      return usage_error(place + " must be " + std::to_string(*fixed) + ", which the export fixed" +
                         given);
    }
    const std::string symbol = text_with_names(symbols, wanted[i], size_names_);
    const ir::Bounds bounds = symbols.bounds(wanted[i]);
    if (sizes[i] < bounds.low || sizes[i] > bounds.high) {
      return usage_error(place + " (" + symbol + ") must be " + range_text(bounds) +
                         ", as exported" + given);
    }
    if (!memory_.define(wanted[i], sizes[i])) {
      const auto known = memory_.find(wanted[i]);
      const std::string here = known ? ", which is " + std::to_string(*known) + " here"
                                     : such_as(symbols, wanted[i], sizes[i]);
      return usage_error(place + " must be " + symbol + here + given);
    }
  }
  return {};
}

Status ExportedModel::set_input(const ProgramInput& input, const NamedValue& given) {
  const ir::TensorType* tensor = input.value->tensor();
  const HostTensor& value = given.tensor;
  const DType wanted = tensor != nullptr ? *tensor->dtype : DType::i64;
  const auto is_floating = [](DType one) { return info(one).kind == DTypeClass::floating; };
  const bool casts = floating_ && is_floating(wanted) && is_floating(value.dtype);
  if (value.dtype != wanted && !casts) {
    return usage_error("input " + mlc::quoted(input.name) + " must be of type " +
                           std::string(info(wanted).brief) + ", as exported, not " +
                           std::string(info(value.dtype).brief),
                       "a file has to hold that type: x.astype(\"" +
                           std::string(info(wanted).torch) + "\") in numpy");
  }
  if (tensor != nullptr) MLC_CHECK(check_sizes(input, value.sizes));
  const c10::InferenceMode inference;
  std::optional<c10::ScalarType> type;
  if (casts) {
    MLC_TRY(type, scalar_type(wanted));
  }
  MLC_TRY(at::Tensor made, to_torch(value, c10::Device(device_), type));
  if (tensor != nullptr) {
    memory_.set(input.value, std::move(made));
    return {};
  }
  if (made.numel() != 1) {
    return usage_error("input " + mlc::quoted(input.name) + " is one number",
                       "as in '" + printable(input.name) + ":i64[]=5'");
  }
  memory_.set(input.value, made.item().toLong());
  return {};
}

Status ExportedModel::check_guards(std::span<const NamedValue> inputs) const {
  const auto size_of = [&](std::string_view name,
                           const std::optional<int64_t>& dim) -> std::optional<int64_t> {
    const auto at = std::ranges::find(inputs, name, &NamedValue::name);
    if (at == inputs.end()) return std::nullopt;
    if (dim) {
      const auto index = static_cast<size_t>(*dim);
      return index < at->tensor.sizes.size() ? std::optional(at->tensor.sizes[index])
                                             : std::nullopt;
    }
    // An integer, which memory_ has as one.
    const auto input = std::ranges::find(program_->inputs, name, &ProgramInput::name);
    if (input == program_->inputs.end() || input->value == nullptr) return std::nullopt;
    const IValue& value = memory_.get(input->value);
    return value.isInt() ? std::optional(value.toInt()) : std::nullopt;
  };
  const auto broken = guards_.broken(size_of);
  if (!broken) return {};
  return usage_error("the program holds only where " + printable(*broken),
                     "that is a guard of torch.export; the sizes of these inputs break it");
}

Status ExportedModel::set_inputs(std::span<const NamedValue> inputs) {
  return guarded(ErrorKind::usage, [&]() -> Status {
    at::manual_seed(seed_);
    memory_.forget_sizes();
    for (const NamedValue& one : inputs) {
      if (std::ranges::find(program_->inputs, one.name, &ProgramInput::name) ==
          program_->inputs.end()) {
        return usage_error("the model has no input " + mlc::quoted(one.name));
      }
    }
    for (const ProgramInput& input : program_->inputs) {
      const auto given = std::ranges::find(inputs, input.name, &NamedValue::name);
      if (input.value == nullptr) {
        if (given == inputs.end() || is_number(given->tensor, input.fixed)) continue;
        return usage_error("input " + mlc::quoted(input.name) + " is fixed in the export: it is " +
                           input.fixed);
      }
      if (given == inputs.end()) {
        return usage_error("input " + mlc::quoted(input.name) + " is missing");
      }
      MLC_CHECK(set_input(input, *given));
    }
    return check_guards(inputs);
  });
}

/// Both methods are one: the export has decided what control flow hangs on.
Result<TraceFacts> ExportedModel::write_torchscript(const TraceOptions& options,
                                                    const ByteSink& sink) {
  return guarded(ErrorKind::unsupported, [&]() -> Result<TraceFacts> {
    MLC_TRY(torch::jit::Module module,
            program_to_script(*program_, c10::Device(device_), [this](const ir::Value* value) {
              return memory_.get(value).toTensor();
            }));
    if (options.freeze || options.optimize) {
      MLC_TRY(module, freeze_for_file(module, options.optimize));
    }
    MLC_CHECK(write_archive(module, options.extra, sink));
    return TraceFacts();
  });
}

Status ExportedModel::run() {
  const auto read = [this](std::string_view what) {
    Error error = error_of_exception_text(what, ErrorKind::usage);
    if (floating_) error = of_cast_model(std::move(error), *floating_);
    return error;
  };
  return guarded_by(read, [&]() -> Status {
    const c10::InferenceMode inference;
    body_.run(memory_, surroundings_);
    if (!program_->mutations.empty()) {
      const std::vector<IValue> results = body_.results(memory_);
      for (const ProgramMutation& one : program_->mutations) {
        at::Tensor target = memory_.get(one.target).toTensor();
        target.copy_(results.at(one.result).toTensor());
      }
    }
    synchronize(device_);
    return {};
  });
}

Result<std::vector<NamedValue>> ExportedModel::outputs() {
  return guarded(ErrorKind::internal, [&]() -> Result<std::vector<NamedValue>> {
    const c10::InferenceMode inference;
    const std::vector<IValue> results = body_.results(memory_);
    std::vector<NamedValue> out;
    texts_.clear();
    for (const ProgramOutput& output : program_->outputs) {
      const IValue& value = results.at(output.result);
      if (value.isString()) texts_.push_back({output.name, value.toStringRef()});
      if (value.isNone() || value.isString()) continue;
      const at::Tensor tensor =
          value.isTensor() ? value.toTensor()
                           : at::scalar_tensor(value.toScalar(), value.isInt()    ? at::kLong
                                                                 : value.isBool() ? at::kBool
                                                                                  : at::kDouble);
      MLC_TRY_CTX(HostTensor host, to_host(tensor), "output " + mlc::quoted(output.name));
      out.push_back({output.name, std::move(host)});
    }
    return out;
  });
}

}  // namespace

Result<std::unique_ptr<Model>> interpret_program(const ProgramSource& source,
                                                 const std::string& device,
                                                 const LoadOptions& options) {
  return guarded(ErrorKind::corrupt, [&]() -> Result<std::unique_ptr<Model>> {
    auto model = std::make_unique<ExportedModel>(source.program, device, options);
    MLC_CHECK(model->prepare(source));
    return std::unique_ptr<Model>(std::move(model));
  });
}

}  // namespace mlc::torch_module
