#include "mlc/engine/capture_request.h"

#include "mlc/engine/sample_inputs.h"

#include <map>
#include <memory>
#include <utility>

namespace mlc {

Result<CaptureRequest> capture_request(std::vector<InputSpec> specs, uint64_t seed,
                                       Reporter& reporter) {
  const auto files = std::make_shared<std::map<std::string, HostTensor>>();
  for (InputSpec& spec : specs) {
    if (spec.file.empty()) continue;
    MLC_TRY(std::vector<NamedValue> read, sample_inputs({&spec, 1}, seed, reporter));
    HostTensor& tensor = read[0].tensor;
    spec.dtype = tensor.dtype;
    spec.dims.clear();
    for (const int64_t size : tensor.sizes) spec.dims.push_back({"", size, std::nullopt});
    files->emplace(spec.name, std::move(tensor));
  }
  CaptureRequest out;
  out.inputs = std::move(specs);
  out.sample = [files, seed](const InputSpec& spec, const std::vector<int64_t>& sizes,
                             uint64_t other) -> Result<HostTensor> {
    if (spec.held && spec.held->sizes == sizes && other == 0) return *spec.held;
    const auto file = files->find(spec.name);
    if (file != files->end()) return file->second;
    return random_tensor(spec, sizes, seed + other);
  };
  return out;
}

}  // namespace mlc
