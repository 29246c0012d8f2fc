#include "mlc/engine/cast_error.h"

#include <string>

namespace mlc {

Error of_cast_model(Error error, DType dtype) {
  const bool refused = error.kind() == ErrorKind::usage || error.kind() == ErrorKind::unsupported;
  const std::string type(info(dtype).brief);
  if (!refused || error.message().find(type) == std::string::npos) return error;
  return unsupported("with --dtype the model cannot run: " + error.message(),
                     "its program fixes types itself, or " + type +
                         " is none of what an operator takes: run it without --dtype");
}

}  // namespace mlc
