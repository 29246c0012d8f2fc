// A folder for a moment, in which open files have names: for readers that follow names from one
// file to another before either has its own.
#pragma once

#include "mlc/base/result.h"

#include <string>
#include <vector>

namespace mlc {

/// The folder and the names in it go with the object; the files stay as long as they are open or
/// have another name.
class LinkedFolder {
 public:
  /// In the folder of PATH, on whose file system the files have to be. Error: write_failed.
  static Result<LinkedFolder> create_beside(const std::string& path);
  LinkedFolder(LinkedFolder&& other) noexcept;
  LinkedFolder& operator=(LinkedFolder&&) = delete;
  ~LinkedFolder();

  /// Gives the open file FD the name NAME. Error: write_failed.
  Status add(int fd, const std::string& name);
  std::string path_of(const std::string& name) const { return folder_ + "/" + name; }

 private:
  explicit LinkedFolder(std::string folder) : folder_(std::move(folder)) {}

  std::string folder_;
  std::vector<std::string> names_;
};

}  // namespace mlc
