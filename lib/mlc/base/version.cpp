#include "mlc/base/version.h"

namespace mlc {

std::string_view mlc_version() {
  return MLC_VERSION;
}
std::string_view mlc_commit() {
  return MLC_COMMIT;
}
std::string_view mlc_compiler() {
  return MLC_COMPILER;
}

}  // namespace mlc
