#include "mlc/engine/module_abi.h"

#include "mlc/base/version.h"

namespace mlc {

const std::string& engine_build() {
  static const std::string kBuild =
      "mlc " + std::string(mlc_version()) + ", " + std::string(mlc_compiler());
  return kBuild;
}

}  // namespace mlc
