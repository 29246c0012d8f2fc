#include "mlc/ort/ort_session.h"

#include "mlc/base/text.h"
#include "mlc/engine/host_tensor.h"
#include "mlc/engine/symbol_names.h"

#include <algorithm>
#include <charconv>

namespace mlc::ort_module {
namespace {

constexpr std::string_view kCuda = "CUDAExecutionProvider";

template <class T>
Owned<T> own(T* object, void (*release)(T*)) {
  return Owned<T>(object, Releaser<T>{release});
}

Error no_cuda_device(OrtCode /*code*/, std::string_view message) {
  return unsupported("ONNX Runtime cannot use CUDA: " + ort_sentence(message),
                     "are the driver (nvidia-smi), CUDA and cuDNN installed? --device cpu runs "
                     "without");
}

/// Makes CUDA device INDEX the one that OPTIONS prefer. Error: unsupported.
Status add_cuda(const OrtLibrary& library, OrtSessionOptions* options, int index) {
  if (!library.has_provider(kCuda)) {
    return unsupported("this ONNX Runtime (" + library.version() + ", " +
                           printable(library.path()) + ") is built without CUDA",
                       "set MLC_ONNXRUNTIME to the capi folder of the onnxruntime-gpu wheel, or "
                       "use --device cpu");
  }
  OrtCUDAProviderOptions cuda{};
  cuda.device_id = index;
  return library.check(library.api().SessionOptionsAppendExecutionProvider_CUDA(options, &cuda),
                       no_cuda_device);
}

/// The number of "cuda:1"; nothing for the CPU.
Result<std::optional<int>> cuda_index(const std::string& device) {
  if (device == "cpu") return std::optional<int>();
  if (device == "cuda" || device == "auto") return std::optional(0);
  if (device.starts_with("cuda:")) {
    int index = 0;
    const char* const begin = device.data() + 5;
    const char* const end = device.data() + device.size();
    const auto [stop, error] = std::from_chars(begin, end, index);
    if (error == std::errc() && stop == end && index >= 0) return std::optional(index);
  }
  return usage_error("no device is called " + quoted(device),
                     "devices are cpu, cuda, cuda:N and auto");
}

struct Prepared {
  Owned<OrtSessionOptions> options;
  std::string device;
};

Result<Prepared> prepare(const OrtLibrary& library, const LoadOptions& options) {
  const OrtApi& api = library.api();
  OrtSessionOptions* raw = nullptr;
  MLC_CHECK(library.check(api.CreateSessionOptions(&raw)));
  Prepared out{own(raw, api.ReleaseSessionOptions), "cpu"};
  // What users of ONNX Runtime get by default: other levels give other bits.
  MLC_CHECK(library.check(api.SetSessionGraphOptimizationLevel(raw, ORT_ENABLE_ALL)));
  MLC_CHECK(library.check(api.SetSessionExecutionMode(raw, ORT_SEQUENTIAL)));
  MLC_CHECK(library.check(api.SetInterOpNumThreads(raw, 1)));
  MLC_CHECK(library.check(api.SetIntraOpNumThreads(raw, static_cast<int>(options.threads))));
  if (options.purpose == Purpose::once) {
    // Threads that spin while they wait pay only between many calls.
    MLC_CHECK(
        library.check(api.AddSessionConfigEntry(raw, "session.intra_op.allow_spinning", "0")));
  }
  MLC_TRY(const std::optional<int> index, cuda_index(options.device));
  if (!index) return out;
  Status added = add_cuda(library, raw, *index);
  if (added.ok()) {
    out.device = "cuda:" + std::to_string(*index);
  } else if (options.device != "auto") {
    return std::move(added).error();
  }
  return out;
}

}  // namespace

std::optional<DType> dtype_from_ort(ONNXTensorElementDataType type) {
  for (const DTypeInfo& row : dtype_table()) {
    // Four bits make a pack of two in PyTorch, and one element here.
    if (row.onnx == static_cast<int>(type) && row.per_element == 1) return row.dtype;
  }
  return std::nullopt;
}

namespace {

std::string kind_name(ONNXType kind) {
  switch (kind) {
    case ONNX_TYPE_SEQUENCE:
      return "a sequence";
    case ONNX_TYPE_MAP:
      return "a map";
    case ONNX_TYPE_OPTIONAL:
      return "an optional value";
    case ONNX_TYPE_SPARSETENSOR:
      return "a sparse tensor";
    default:
      return "a tensor of strings or of another type that mlc does not have";
  }
}

struct TensorType {
  DType dtype = DType::f32;
  std::vector<int64_t> sizes;
  std::vector<std::string> symbols;  // empty where the file gives a dimension no name
};

/// What INFO, the type of the input or output WHAT, says. Error: unsupported for all but tensors.
Result<TensorType> tensor_type(const OrtLibrary& library, const OrtTypeInfo& type,
                               const std::string& what) {
  const OrtApi& api = library.api();
  ONNXType kind = ONNX_TYPE_UNKNOWN;
  MLC_CHECK(library.check(api.GetOnnxTypeFromTypeInfo(&type, &kind)));
  if (kind != ONNX_TYPE_TENSOR) return unsupported(what + " is " + kind_name(kind));
  const OrtTensorTypeAndShapeInfo* shape = nullptr;
  MLC_CHECK(library.check(api.CastTypeInfoToTensorInfo(&type, &shape)));
  ONNXTensorElementDataType element = ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
  MLC_CHECK(library.check(api.GetTensorElementType(shape, &element)));
  TensorType out;
  const std::optional<DType> dtype = dtype_from_ort(element);
  if (!dtype) return unsupported(what + " is " + kind_name(kind));
  out.dtype = *dtype;
  size_t rank = 0;
  MLC_CHECK(library.check(api.GetDimensionsCount(shape, &rank)));
  out.sizes.resize(rank);
  MLC_CHECK(library.check(api.GetDimensions(shape, out.sizes.data(), rank)));
  std::vector<const char*> symbols(rank, nullptr);
  MLC_CHECK(library.check(api.GetSymbolicDimensions(shape, symbols.data(), rank)));
  for (const char* const symbol : symbols)
    out.symbols.emplace_back(symbol == nullptr ? "" : symbol);
  return out;
}

/// "f32[batch=1,3,224,224]", as --input takes it.
std::string declared(const std::string& name, const TensorType& type, SymbolNames& names) {
  std::string out = std::string(info(type.dtype).brief) + "[";
  for (size_t i = 0; i < type.sizes.size(); ++i) {
    if (i > 0) out += ",";
    if (type.sizes[i] >= 0) {
      out += std::to_string(type.sizes[i]);
      continue;
    }
    const std::string own_name = name + "_" + std::to_string(i);
    out += names.of(type.symbols[i].empty() ? own_name : type.symbols[i]) + "=1";
  }
  return out + "]";
}

/// A name that the session gives, which its allocator owns.
Result<std::string> name_of(const OrtLibrary& library, const OrtSession* session, size_t index,
                            decltype(OrtApi::SessionGetInputName) get) {
  OrtAllocator* allocator = nullptr;
  MLC_CHECK(library.check(library.api().GetAllocatorWithDefaultOptions(&allocator)));
  char* raw = nullptr;
  MLC_CHECK(library.check(get(session, index, allocator, &raw)));
  std::string name(raw);
  MLC_CHECK(library.check(library.api().AllocatorFree(allocator, raw)));
  return name;
}

Status read_inputs(const OrtLibrary& library, LoadedSession& out) {
  const OrtApi& api = library.api();
  size_t count = 0;
  MLC_CHECK(library.check(api.SessionGetInputCount(out.session.get(), &count)));
  SymbolNames names;
  for (size_t i = 0; i < count; ++i) {
    MLC_TRY(const std::string name,
            name_of(library, out.session.get(), i, api.SessionGetInputName));
    OrtTypeInfo* raw = nullptr;
    MLC_CHECK(library.check(api.SessionGetInputTypeInfo(out.session.get(), i, &raw)));
    const auto type = own(raw, api.ReleaseTypeInfo);
    MLC_TRY(TensorType tensor, tensor_type(library, *type, "input " + quoted(name)));
    InputInfo& input = out.signature.inputs.emplace_back();
    input.name = name;
    input.type = "tensor of " + std::string(info(tensor.dtype).brief);
    input.dtype = tensor.dtype;
    // Rank 0 may also mean any rank: ONNX Runtime does not tell.
    if (!tensor.sizes.empty()) input.declared = declared(name, tensor, names);
    out.inputs.push_back({name, tensor.dtype, std::move(tensor.sizes)});
  }
  return {};
}

Status read_outputs(const OrtLibrary& library, LoadedSession& out) {
  const OrtApi& api = library.api();
  size_t count = 0;
  MLC_CHECK(library.check(api.SessionGetOutputCount(out.session.get(), &count)));
  for (size_t i = 0; i < count; ++i) {
    MLC_TRY(std::string name, name_of(library, out.session.get(), i, api.SessionGetOutputName));
    OrtTypeInfo* raw = nullptr;
    MLC_CHECK(library.check(api.SessionGetOutputTypeInfo(out.session.get(), i, &raw)));
    const auto type = own(raw, api.ReleaseTypeInfo);
    MLC_CHECK(tensor_type(library, *type, "output " + quoted(name)));
    out.outputs.push_back(std::move(name));
  }
  return {};
}

}  // namespace

Result<LoadedSession> load_session(OrtLibrary& library, const std::string& path,
                                   const LoadOptions& options) {
  MLC_TRY(Prepared prepared, prepare(library, options));
  OrtSession* raw = nullptr;
  MLC_CHECK(library.check(library.api().CreateSession(library.environment(), path.c_str(),
                                                      prepared.options.get(), &raw),
                          error_of_ort_load));
  LoadedSession out;
  out.session = own(raw, library.api().ReleaseSession);
  out.device = std::move(prepared.device);
  MLC_CHECK(read_inputs(library, out));
  MLC_CHECK(read_outputs(library, out));
  return out;
}

std::string cuda_problem(OrtLibrary& library) {
  OrtSessionOptions* raw = nullptr;
  if (!library.check(library.api().CreateSessionOptions(&raw)).ok()) return "unknown reason";
  const auto options = own(raw, library.api().ReleaseSessionOptions);
  const Status added = add_cuda(library, raw, 0);
  return added.ok() ? "" : added.error().message();
}

}  // namespace mlc::ort_module
