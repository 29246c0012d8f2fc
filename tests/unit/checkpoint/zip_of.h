// Small stored archives from names and contents.
#pragma once

#include "checkpoint_testing.h"
#include "mlc/container/zip_writer.h"

#include <string>
#include <utility>
#include <vector>

namespace mlc::test {

using Records = std::vector<std::pair<std::string, std::string>>;

/// Writes RECORDS below ROOT (none: "") to PATH.
inline void write_zip(const std::string& path, const std::string& root, const Records& records) {
  auto out = OutputFile::create(path, {});
  REQUIRE(out.ok());
  ZipWriter zip(*out, root);
  for (const auto& [name, content] : records) REQUIRE(zip.add(name, as_bytes(content)).ok());
  REQUIRE(zip.finish().ok());
  REQUIRE(out->publish().ok());
}

inline std::string error_of_zip(const std::string& root, const Records& records) {
  const ScratchFolder folder;
  write_zip(folder / "file", root, records);
  return error_at(folder / "file");
}

inline std::unique_ptr<Checkpoint> open_zip(const std::string& root, const Records& records) {
  const ScratchFolder folder;
  write_zip(folder / "file", root, records);
  auto opened = open_checkpoint(folder / "file");
  if (!opened.ok()) FAIL(opened.error().text());
  return std::move(*opened);
}

}  // namespace mlc::test
