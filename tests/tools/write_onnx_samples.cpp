// Writes the models of tests/unit/onnx_write/sample_models.h, for tests that read them with others.
//
//   write_onnx_samples DIR            NAME.onnx, and three_tensors_outside.onnx with a sidecar
//   write_onnx_samples DIR COUNT SIDE wide.onnx with so many weights of SIDE x SIDE
//
// Prints the peak of resident memory in KiB.
#include "mlc/onnx_write/check.h"
#include "mlc/onnx_write/write.h"
#include "onnx_write/sample_models.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

using namespace mlc;
using namespace mlc::onnx;

namespace {

Status write(const std::string& path, const sample::Sketch& sketch, ExternalData external) {
  MLC_TRY(const ModelFile file,
          ModelFile::plan(sketch.model, {external, path.substr(path.rfind('/') + 1) + ".data"}));
  MLC_CHECK(check_skeleton(file.skeleton()));
  MLC_TRY(OutputFile out, OutputFile::create(path, {}));
  if (!file.has_sidecar()) {
    MLC_CHECK(file.write(out, nullptr));
    return out.publish();
  }
  MLC_TRY(OutputFile sidecar, OutputFile::create(path + ".data", {}));
  MLC_CHECK(file.write(out, &sidecar));
  MLC_CHECK(sidecar.publish());
  return out.publish();
}

Status write_all(const std::string& folder) {
  for (const auto& [name, make] : sample::all())
    MLC_CHECK_CTX(
        write(folder + "/" + std::string(name) + ".onnx", make(), ExternalData::automatic),
        std::string(name));
  return write(folder + "/three_tensors_outside.onnx", sample::three_tensors(),
               ExternalData::always);
}

/// getrusage() would count what the process held that started this one.
long peak_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::atol(line.c_str() + 6);
  }
  return -1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2 && argc != 4) return 2;
  const std::string folder = argv[1];
  const Status did =
      argc == 2 ? write_all(folder)
                : write(folder + "/wide.onnx",
                        sample::wide(std::strtoul(argv[2], nullptr, 10), std::atol(argv[3])),
                        ExternalData::automatic);
  if (!did.ok()) std::fprintf(stderr, "%s\n", did.error().text().c_str());
  std::printf("%ld\n", peak_kib());
  return did.ok() ? 0 : 1;
}
