#include "mlc/ort/ort_model.h"

#include "mlc/base/text.h"
#include "mlc/engine/exception_text.h"

#include <algorithm>
#include <new>
#include <optional>

namespace mlc::ort_module {
namespace {

using Values = std::vector<Owned<OrtValue>>;

class OrtModel : public Model {
 public:
  OrtModel(OrtLibrary& library, LoadedSession session, Reporter& reporter)
      : library_(library), api_(library.api()), loaded_(std::move(session)), reporter_(reporter) {
    for (const std::string& name : loaded_.outputs) output_names_.push_back(name.c_str());
  }

  const Signature& signature() const override { return loaded_.signature; }
  const std::string& device() const override { return loaded_.device; }

  Status set_inputs(std::span<const NamedValue> inputs) override {
    MLC_CHECK(check_names(inputs));
    MLC_CHECK(check_types(inputs));
    OrtMemoryInfo* raw = nullptr;
    MLC_CHECK(library_.check(api_.CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &raw)));
    const Owned<OrtMemoryInfo> memory(raw, {api_.ReleaseMemoryInfo});
    input_names_.clear();
    input_pointers_.clear();
    values_.clear();
    given_.assign(inputs.begin(), inputs.end());
    for (const NamedValue& input : given_) {
      MLC_TRY(Owned<OrtValue> value, borrowed(input.tensor, *memory));
      input_names_.push_back(input.name.c_str());
      input_pointers_.push_back(value.get());
      values_.push_back(std::move(value));
    }
    return on_cpu() ? Status() : bind(*memory);
  }

  Status run() override {
    Status done = on_cpu() ? run_on_cpu() : run_bound();
    library_.report(reporter_);
    return done;
  }

  Result<std::vector<NamedValue>> outputs() override {
    if (!on_cpu()) MLC_CHECK(take_bound());
    std::vector<NamedValue> out;
    for (size_t i = 0; i < results_.size(); ++i) {
      const std::string& name = loaded_.outputs[i];
      if (results_[i] == nullptr) continue;  // an optional output that this run did not give
      MLC_TRY_CTX(HostTensor tensor, copied(*results_[i]), "output " + quoted(name));
      out.push_back({name, std::move(tensor)});
    }
    return out;
  }

  Result<TraceFacts> write_torchscript(const TraceOptions& /*options*/,
                                       const ByteSink& /*sink*/) override {
    return unsupported("an ONNX model cannot be written as TorchScript");
  }

 private:
  bool on_cpu() const { return loaded_.device == "cpu"; }

  const SessionInput* find(const std::string& name) const {
    const auto at = std::ranges::find(loaded_.inputs, name, &SessionInput::name);
    return at == loaded_.inputs.end() ? nullptr : &*at;
  }

  Status check_names(std::span<const NamedValue> inputs) const {
    for (const NamedValue& input : inputs) {
      if (find(input.name) == nullptr) {
        return usage_error("the model has no input " + quoted(input.name));
      }
    }
    for (const SessionInput& wanted : loaded_.inputs) {
      if (std::ranges::find(inputs, wanted.name, &NamedValue::name) == inputs.end()) {
        return usage_error("input " + quoted(wanted.name) + " is missing");
      }
    }
    return {};
  }

  /// All that differ, at once; ONNX Runtime tells one.
  Status check_types(std::span<const NamedValue> inputs) const {
    std::string problems;
    std::string wanted;
    std::string cast;
    for (const NamedValue& input : inputs) {
      const std::string problem = wrong(*find(input.name), input.tensor);
      if (problem.empty()) continue;
      problems += (problems.empty() ? "" : "; ") + ("input " + quoted(input.name)) + " is " +
                  describe(input.tensor.dtype, input.tensor.sizes) + ", " + problem;
      if (find(input.name)->dtype != input.tensor.dtype) {
        cast = "; a file has to hold that type: x.astype(\"" +
               std::string(mlc::info(find(input.name)->dtype).torch) + "\") in numpy";
      }
      const auto known = std::ranges::find(loaded_.signature.inputs, input.name, &InputInfo::name);
      if (known->declared.empty()) continue;
      wanted += (wanted.empty() ? "as in --input '" : " --input '") + printable(input.name) + ":" +
                printable(known->declared) + "'";
    }
    return problems.empty() ? Status() : usage_error(problems, wanted + cast);
  }

  static std::string wrong(const SessionInput& wanted, const HostTensor& given) {
    if (wanted.dtype != given.dtype) {
      return "must be of type " + std::string(info(wanted.dtype).brief);
    }
    if (wanted.sizes.empty()) return "";
    if (wanted.sizes.size() != given.sizes.size()) {
      return "must have " + plural(wanted.sizes.size(), "dimension");
    }
    for (size_t i = 0; i < given.sizes.size(); ++i) {
      if (wanted.sizes[i] < 0 || wanted.sizes[i] == given.sizes[i]) continue;
      return "dimension " + std::to_string(i) + ": must be " + std::to_string(wanted.sizes[i]);
    }
    return "";
  }

  /// TENSOR's own bytes, which given_ keeps; ONNX Runtime does not write into inputs.
  Result<Owned<OrtValue>> borrowed(const HostTensor& tensor, const OrtMemoryInfo& memory) const {
    OrtValue* raw = nullptr;
    const auto type = static_cast<ONNXTensorElementDataType>(info(tensor.dtype).onnx);
    MLC_CHECK(library_.check(api_.CreateTensorWithDataAsOrtValue(
        &memory, const_cast<char*>(tensor.bytes->data()), tensor.bytes->size(), tensor.sizes.data(),
        tensor.sizes.size(), type, &raw)));
    return Owned<OrtValue>(raw, {api_.ReleaseValue});
  }

  Status run_on_cpu() {
    results_.clear();
    std::vector<OrtValue*> raw(output_names_.size(), nullptr);
    OrtStatus* const status =
        api_.Run(loaded_.session.get(), nullptr, input_names_.data(), input_pointers_.data(),
                 input_pointers_.size(), output_names_.data(), raw.size(), raw.data());
    for (OrtValue* const value : raw)
      results_.emplace_back(value, Releaser<OrtValue>{api_.ReleaseValue});
    return library_.check(status, error_of_ort_run);
  }

  /// Inputs are copied to the device here, and not in every run; outputs come back to the host.
  Status bind(const OrtMemoryInfo& host) {
    OrtIoBinding* raw = nullptr;
    MLC_CHECK(library_.check(api_.CreateIoBinding(loaded_.session.get(), &raw)));
    binding_ = Owned<OrtIoBinding>(raw, {api_.ReleaseIoBinding});
    for (size_t i = 0; i < input_names_.size(); ++i) {
      MLC_CHECK(library_.check(api_.BindInput(raw, input_names_[i], input_pointers_[i]),
                               error_of_ort_run));
    }
    for (const char* const name : output_names_) {
      MLC_CHECK(library_.check(api_.BindOutputToDevice(raw, name, &host)));
    }
    return library_.check(api_.SynchronizeBoundInputs(raw), error_of_ort_run);
  }

  Status run_bound() {
    MLC_CHECK(library_.check(api_.RunWithBinding(loaded_.session.get(), nullptr, binding_.get()),
                             error_of_ort_run));
    return library_.check(api_.SynchronizeBoundOutputs(binding_.get()), error_of_ort_run);
  }

  Status take_bound() {
    OrtAllocator* allocator = nullptr;
    MLC_CHECK(library_.check(api_.GetAllocatorWithDefaultOptions(&allocator)));
    OrtValue** raw = nullptr;
    size_t count = 0;
    MLC_CHECK(library_.check(api_.GetBoundOutputValues(binding_.get(), allocator, &raw, &count)));
    results_.clear();
    for (size_t i = 0; i < count; ++i)
      results_.emplace_back(raw[i], Releaser<OrtValue>{api_.ReleaseValue});
    return raw == nullptr ? Status() : library_.check(api_.AllocatorFree(allocator, raw));
  }

  Result<HostTensor> copied(const OrtValue& value) const {
    ONNXType kind = ONNX_TYPE_UNKNOWN;
    MLC_CHECK(library_.check(api_.GetValueType(&value, &kind)));
    if (kind != ONNX_TYPE_TENSOR) return unsupported("it is no tensor");
    OrtTensorTypeAndShapeInfo* raw = nullptr;
    MLC_CHECK(library_.check(api_.GetTensorTypeAndShape(&value, &raw)));
    const Owned<OrtTensorTypeAndShapeInfo> shape(raw, {api_.ReleaseTensorTypeAndShapeInfo});
    ONNXTensorElementDataType element = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
    MLC_CHECK(library_.check(api_.GetTensorElementType(raw, &element)));
    const std::optional<DType> dtype = dtype_from_ort(element);
    if (!dtype) return unsupported("its type is none that mlc has");
    size_t rank = 0;
    MLC_CHECK(library_.check(api_.GetDimensionsCount(raw, &rank)));
    std::vector<int64_t> sizes(rank);
    MLC_CHECK(library_.check(api_.GetDimensions(raw, sizes.data(), rank)));
    const auto count = element_count(sizes);
    if (!count) return internal_error("an output of impossible sizes");
    void* data = nullptr;
    MLC_CHECK(library_.check(api_.GetTensorMutableData(const_cast<OrtValue*>(&value), &data)));
    const auto bytes = static_cast<size_t>(*count) * static_cast<size_t>(element_bytes(*dtype));
    try {
      std::string copy(bytes > 0 ? static_cast<const char*>(data) : "", bytes);
      return make_host_tensor(*dtype, std::move(sizes), std::move(copy));
    } catch (const std::bad_alloc& error) {
      return not_enough_memory(error.what());
    }
  }

  OrtLibrary& library_;
  const OrtApi& api_;
  LoadedSession loaded_;
  Reporter& reporter_;
  std::vector<const char*> output_names_;
  std::vector<NamedValue> given_;  // keeps names and bytes that values_ point to
  Values values_;
  std::vector<const char*> input_names_;
  std::vector<const OrtValue*> input_pointers_;
  Owned<OrtIoBinding> binding_;
  Values results_;
};

}  // namespace

std::unique_ptr<Model> make_model(OrtLibrary& library, LoadedSession session, Reporter& reporter) {
  return std::make_unique<OrtModel>(library, std::move(session), reporter);
}

}  // namespace mlc::ort_module
