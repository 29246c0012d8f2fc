// A folder for a moment, in which open files have names: for readers that follow names from one
// file to another before either has its own.
#pragma once

#include "mlc/base/result.h"

#include <string>
#include <vector>

namespace mlc {

/// The folder and the names in it go with the object; the files stay as long as they are open or
/// have another name. What a process that was killed leaves there, the next one takes away: a
/// folder is locked as long as its process lives.
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
  LinkedFolder(std::string folder, int lock) : folder_(std::move(folder)), lock_(lock) {}

  std::string folder_;
  int lock_ = -1;
  std::vector<std::string> names_;
};

}  // namespace mlc
