#include "mlc/base/missing_folder.h"

#include "mlc/base/shell_word.h"

#include <cerrno>
#include <utility>

#include <unistd.h>

namespace mlc {

Error hint_at_missing_folder(Error error, int errno_value, std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  const size_t slash = path.rfind('/');
  if (errno_value != ENOENT || slash == std::string::npos || slash == 0) return error;
  const std::string folder = path.substr(0, slash);
  if (access(folder.c_str(), F_OK) == 0) return error;
  const char* const command = folder.starts_with('-') ? "`mkdir -p -- " : "`mkdir -p ";
  return std::move(error).with_hint(command + shell_word(folder) + "` makes it");
}

}  // namespace mlc
