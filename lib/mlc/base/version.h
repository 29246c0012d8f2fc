// The version of mlc itself, from CMakeLists.txt.
#pragma once

#include <string_view>

namespace mlc {

/// "0.1.0", a PEP 440 version.
std::string_view mlc_version();
/// Short commit hash of the build, or "unknown" outside a git checkout.
std::string_view mlc_commit();
/// "g++ 12.2.0".
std::string_view mlc_compiler();

}  // namespace mlc
