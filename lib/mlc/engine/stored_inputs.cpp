#include "mlc/engine/stored_inputs.h"

#include "mlc/base/checked_math.h"
#include "mlc/base/text.h"
#include "mlc/engine/held_inputs.h"
#include "mlc/tensor/convert.h"
#include "mlc/tensor/npy.h"

namespace mlc {
namespace {

constexpr uint64_t kMostBytes = 16U << 20U;  // of all values: a file is for the model
constexpr uint64_t kMostHeader = 4096;

std::string record_of(const std::string& name) {
  return "mlc/inputs/" + name + ".npy";
}

bool is_floating(DType dtype) {
  return info(dtype).kind == DTypeClass::floating;
}

Result<HostTensor> converted(const HostTensor& tensor, DType to) {
  if (tensor.dtype == to) return tensor;
  std::string bytes(static_cast<size_t>(tensor.view().count() * element_bytes(to)), '\0');
  MLC_CHECK(convert_block(tensor.dtype, as_bytes(*tensor.bytes), to,
                          std::as_writable_bytes(std::span(bytes))));
  return make_host_tensor(to, tensor.sizes, std::move(bytes));
}

/// The .npy file of TENSOR. Errors: unsupported where NumPy has no such type.
Result<std::string> npy_of(const HostTensor& tensor) {
  const bool widen = info(tensor.dtype).numpy.empty() && is_floating(tensor.dtype);
  MLC_TRY(const HostTensor kept, converted(tensor, widen ? DType::f32 : tensor.dtype));
  MLC_TRY(std::string out, make_npy_header(kept.dtype, kept.sizes));
  out += *kept.bytes;
  return out;
}

/// The tensor in the .npy file BYTES, of the type that SPEC says.
Result<HostTensor> read_npy(const InputSpec& spec, std::string bytes) {
  MLC_TRY(const NpyHeader header, parse_npy_header(as_bytes(bytes)));
  const bool same_type =
      header.dtype == spec.dtype || (header.dtype == DType::f32 && is_floating(spec.dtype));
  bool same_sizes = header.sizes.size() == spec.dims.size();
  for (size_t i = 0; same_sizes && i < spec.dims.size(); ++i) {
    const InputDim& dim = spec.dims[i];
    if (!dim.computed.empty()) continue;
    same_sizes = dim.bounds
                     ? header.sizes[i] >= dim.bounds->first && header.sizes[i] <= dim.bounds->second
                     : header.sizes[i] == dim.example;
  }
  if (!same_type || !same_sizes) {
    return corrupt("it holds " + describe(header.dtype, header.sizes) + ", and inputs.txt says " +
                   to_text(spec));
  }
  const auto end = checked_add(header.data_offset, header.data_bytes);
  if (header.fortran_order || header.big_endian || !end || *end != bytes.size()) {
    return corrupt("its data are not those of its header");
  }
  bytes.erase(0, static_cast<size_t>(header.data_offset));
  MLC_TRY(const HostTensor tensor, make_host_tensor(header.dtype, header.sizes, std::move(bytes)));
  return converted(tensor, spec.dtype);
}

Error no_input(std::string_view line) {
  return corrupt("its record extra/mlc/inputs.txt holds " + quoted(line, 80) +
                 ", which is no input");
}

/// The inputs of LINES, whose sizes may be computed from names in others of them.
Result<std::vector<InputSpec>> read_lines(std::span<const std::string> lines) {
  auto specs = parse_input_specs(lines);
  if (!specs.ok()) {
    const auto wrong = std::find_if(lines.begin(), lines.end(), [](const std::string& line) {
      return !parse_input_spec(line).ok();
    });
    return no_input(wrong == lines.end() ? lines.front() : *wrong);
  }
  for (size_t i = 0; i < lines.size(); ++i) {
    // A file that somebody else wrote there would be read from wherever it says.
    if (!(*specs)[i].file.empty()) return no_input(lines[i]);
  }
  return specs;
}

Status read_values(const ZipReader& zip, InputSpec& spec) {
  const std::string name = "extra/" + record_of(spec.name);
  const ZipEntry* entry = zip.record(name);
  if (entry == nullptr) return {};
  MLC_TRY(std::string bytes, zip.read(*entry, kMostBytes + kMostHeader));
  MLC_TRY_CTX(HostTensor tensor, read_npy(spec, std::move(bytes)), "record " + quoted(name));
  hold(spec, std::move(tensor));
  return {};
}

}  // namespace

Result<StoredInputs> store_inputs(std::span<const InputSpec> specs,
                                  std::span<const NamedValue> values, std::optional<DType> cast) {
  StoredInputs out;
  uint64_t left = kMostBytes;
  for (size_t i = 0; i < specs.size(); ++i) {
    InputSpec spec = specs[i];
    HostTensor tensor = values[i].tensor;
    const bool has_values = !spec.file.empty() || held_values(spec) != nullptr;
    const bool is_cast = cast && is_floating(has_values ? tensor.dtype : spec.dtype);
    if (is_cast) spec.dtype = *cast;
    if (has_values) {
      if (is_cast) {
        MLC_TRY(tensor, converted(tensor, *cast));
      }
      auto npy = npy_of(tensor);
      if (npy.ok() && npy->size() <= left) {
        left -= npy->size();
        out.files.emplace_back(record_of(spec.name), std::move(*npy));
      } else {
        out.left_out.push_back(spec.name);
      }
      hold(spec, std::move(tensor));
    }
    out.text += to_text(spec) + "\n";
  }
  out.files.emplace_back("mlc/inputs.txt", out.text);
  return out;
}

Result<std::vector<InputSpec>> read_stored_inputs(const Checkpoint& checkpoint) {
  if (!checkpoint.stored_inputs) return std::vector<InputSpec>();
  std::vector<std::string> lines;
  for (const std::string_view line : split(*checkpoint.stored_inputs, '\n')) {
    if (!trim(line).empty()) lines.emplace_back(line);
  }
  auto specs = read_lines(lines);
  if (!specs.ok()) return std::move(specs).error().in_file(checkpoint.path);
  for (InputSpec& spec : *specs) {
    Status read = read_values(checkpoint.archives[0], spec);
    if (!read.ok()) return std::move(read).error().in_file(checkpoint.path);
  }
  return specs;
}

}  // namespace mlc
