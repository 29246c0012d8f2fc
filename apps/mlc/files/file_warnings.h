// The warnings about the files that one output is made of, said once where they are alike.
#pragma once

#include "mlc/base/alike_texts.h"
#include "mlc/base/reporter.h"

#include <string>

namespace mlc::cli {

/// Keeps warnings until say() or its end; everything else goes to PARENT at once.
class FileWarnings : public Reporter {
 public:
  explicit FileWarnings(Reporter& parent) : parent_(parent) {}
  ~FileWarnings() override { say(); }
  FileWarnings(const FileWarnings&) = delete;
  FileWarnings& operator=(const FileWarnings&) = delete;

  /// Itself; the warnings from now on are about the file at PATH.
  FileWarnings& of_file(const std::string& path);
  void say();

  void begin(std::string_view what, uint64_t total) override { parent_.begin(what, total); }
  void advance(uint64_t amount) override { parent_.advance(amount); }
  void end() override { parent_.end(); }
  void warn(std::string message) override;
  void detail(std::string message) override { parent_.detail(std::move(message)); }
  bool interrupted() const override { return parent_.interrupted(); }

 private:
  Reporter& parent_;
  std::string file_;  // as it is shown
  AlikeTexts texts_;
};

}  // namespace mlc::cli
