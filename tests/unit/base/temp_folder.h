// A folder of its own for one test, removed with everything in it.
#pragma once

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include <stdlib.h>

struct TempFolder {
  std::string path;

  TempFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "mlc-test-XXXXXX").string();
    path = mkdtemp(pattern.data());
  }
  ~TempFolder() { std::filesystem::remove_all(path); }

  std::string file(const std::string& name, const std::string& content) const {
    std::ofstream(path + "/" + name, std::ios::binary) << content;
    return path + "/" + name;
  }
  std::string read(const std::string& name) const {
    std::ostringstream out;
    out << std::ifstream(path + "/" + name, std::ios::binary).rdbuf();
    return out.str();
  }
  size_t count() const {
    size_t n = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(path)) ++n;
    return n;
  }
};
