#include "files/file_warnings.h"

#include "mlc/base/text.h"

namespace mlc::cli {

FileWarnings& FileWarnings::of_file(const std::string& path) {
  file_ = printable(path);
  return *this;
}

void FileWarnings::say() {
  for (std::string& text : texts_.take()) parent_.warn(std::move(text));
}

void FileWarnings::warn(std::string message) {
  texts_.add(file_, std::move(message));
}

}  // namespace mlc::cli
