// The library that is opened, its environment, and what it would print.
//
// ONNX Runtime's C API is a table of functions that only grows (OrtApi): a table of interface 14 is
// the beginning of any later one, so whatever is newer than 1.13 can be used, whichever header this
// was built with. Its functions throw nothing; they return a status, which check() takes.
#pragma once

#include "mlc/base/reporter.h"
#include "mlc/base/result.h"
#include "mlc/engine/ort_message.h"

#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <onnxruntime_c_api.h>

namespace mlc::ort_module {

/// All functions that this room calls are in it.
inline constexpr uint32_t kOldestInterface = 14;
static_assert(ORT_API_VERSION >= kOldestInterface, "the header of ONNX Runtime 1.14 or newer");

/// Ends an object of the C API by the function of its table.
template <class T>
struct Releaser {
  void (*release)(T*) = nullptr;
  void operator()(T* object) const { release(object); }
};
template <class T>
using Owned = std::unique_ptr<T, Releaser<T>>;

class OrtLibrary {
 public:
  /// Errors: unsupported where none is found, or only one older than 1.14.
  static Result<std::unique_ptr<OrtLibrary>> open();
  ~OrtLibrary();
  OrtLibrary(const OrtLibrary&) = delete;
  OrtLibrary& operator=(const OrtLibrary&) = delete;

  const OrtApi& api() const { return *api_; }
  OrtEnv* environment() const { return environment_; }
  const std::string& path() const { return path_; }
  const std::string& version() const { return version_; }
  /// "CPUExecutionProvider", ..., those that this library was built with.
  std::vector<std::string> providers() const;
  bool has_provider(std::string_view name) const;

  /// Whether STATUS, which it takes, is a success; else what TRANSLATE makes of its code and text.
  Status check(OrtStatus* status, Error (*translate)(OrtCode, std::string_view)) const;
  /// The same for calls that cannot fail but for a defect.
  Status check(OrtStatus* status) const;

  /// Tells REPORTER what was logged since the last call: each kind of warning once, the others as
  /// details.
  void report(Reporter& reporter);

 private:
  struct Line {
    std::string place;  // in ONNX Runtime's sources, by which kinds are told apart
    std::string text;
  };

  OrtLibrary() = default;
  Status create_environment();
  static void log(void* self, OrtLoggingLevel severity, const char* category, const char* id,
                  const char* place, const char* message);

  const OrtApi* api_ = nullptr;
  OrtEnv* environment_ = nullptr;
  std::string path_;
  std::string version_;
  std::mutex mutex_;  // its threads log too
  std::atomic<bool> has_lines_ = false;
  std::vector<Line> lines_;
  std::set<std::string> warned_;
};

}  // namespace mlc::ort_module
