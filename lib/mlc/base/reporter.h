// How the silent library says something before it is done: progress and warnings.
//
// apps/mlc implements it on the terminal; tests collect what was said. One Reporter is used from
// one thread at a time, except advance(), which may be called from several.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace mlc {

class Reporter {
 public:
  virtual ~Reporter() = default;

  /// A long step begins: TOTAL units (bytes unless WHAT says otherwise), 0 if unknown.
  virtual void begin(std::string_view what, uint64_t total) = 0;
  /// AMOUNT more units are done. Cheap; callable from several threads.
  virtual void advance(uint64_t amount) = 0;
  virtual void end() = 0;

  /// Something that does not stop the work but that the user must know.
  virtual void warn(std::string message) = 0;
  /// A detail for -v.
  virtual void detail(std::string message) = 0;

  /// True once the user asked to stop; long loops poll it and return ErrorKind::interrupted.
  virtual bool interrupted() const { return false; }
};

/// Hears everything and says nothing.
Reporter& null_reporter();

/// begin() on construction, end() on destruction.
class ProgressScope {
 public:
  ProgressScope(Reporter& reporter, std::string_view what, uint64_t total) : reporter_(reporter) {
    reporter_.begin(what, total);
  }
  ~ProgressScope() { reporter_.end(); }
  ProgressScope(const ProgressScope&) = delete;
  ProgressScope& operator=(const ProgressScope&) = delete;

 private:
  Reporter& reporter_;
};

}  // namespace mlc
