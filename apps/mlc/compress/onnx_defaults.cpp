#include "compress/onnx_defaults.h"

#include "mlc/base/text.h"

namespace mlc::cli {

void tell_of_defaults(const std::vector<std::string>& names, const OnnxFile& facts,
                      Reporter& reporter) {
  constexpr int64_t kIrOfInitializers = 4;  // before it every initializer had to be an input too
  if (names.empty()) return;
  if (facts.ir_version < kIrOfInitializers) {
    return reporter.detail(plural(names.size(), "initializer") +
                           " that callers could exchange became constants");
  }
  reporter.warn((names.size() == 1 ? "the input " : "the inputs ") +
                join_list(printable_all(names)) +
                (names.size() == 1 ? " with its default became a constant"
                                   : " with their defaults became constants") +
                ", which no caller can exchange");
}

}  // namespace mlc::cli
