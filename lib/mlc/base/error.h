// What went wrong, carried as a value through every layer of mlc.
//
// An Error names its kind (which decides the exit code), says what happened in one lower-case
// sentence without a full stop, may hint at the command or flag that fixes it, and collects on its
// way up what each layer was doing. Nothing in lib/ prints or logs it; apps/mlc renders it once.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace mlc {

enum class ErrorKind {
  usage,         // the caller asked for something that makes no sense
  not_found,     // an input, key or path does not exist
  read_failed,   // the operating system refused or broke off a read
  corrupt,       // the bytes contradict their format, or a limit for hostile files was hit
  unsupported,   // well-formed, but a feature that mlc does not have
  conflict,      // the request and the data contradict: colliding keys, half-stripped prefixes
  exists,        // the output is there already
  write_failed,  // the operating system refused or broke off a write
  interrupted,   // the user pressed Ctrl-C
  internal,      // a defect of mlc
};

/// The stable name of a kind, as `--json` prints it: "corrupt", "write_failed", ...
std::string_view to_string(ErrorKind kind);

/// One pointer wide, so that a Result<T> of a small T stays small. Move-only.
class Error {
 public:
  Error(ErrorKind kind, std::string message, std::string hint = {});

  ErrorKind kind() const { return info_->kind; }
  const std::string& message() const { return info_->message; }
  const std::string& hint() const { return info_->hint; }
  /// The file the error is about; empty where none is.
  const std::string& file() const { return info_->file; }
  /// What the layers were doing, innermost first.
  const std::vector<std::string>& context() const { return info_->context; }

  /// Adds what the caller was doing: "reading tensor layer1.weight". Returns itself for chaining.
  Error&& during(std::string what) &&;
  /// Names the file, unless a lower layer has named it already.
  Error&& in_file(std::string path) &&;
  /// Sets the hint, unless a lower layer, which knows more, has set it already.
  Error&& with_hint(std::string hint) &&;

  /// "context: context: message", outermost context first, without file and hint.
  std::string text() const;

 private:
  struct Info {
    ErrorKind kind;
    std::string message;
    std::string hint;
    std::string file;
    std::vector<std::string> context;
  };
  std::unique_ptr<Info> info_;
};

Error usage_error(std::string message, std::string hint = {});
Error not_found(std::string message, std::string hint = {});
Error corrupt(std::string message, std::string hint = {});
Error unsupported(std::string message, std::string hint = {});
Error conflict(std::string message, std::string hint = {});
Error internal_error(std::string message);
/// A failed system call: "WHAT: strerror(errno_value)".
Error read_failed(std::string_view what, int errno_value);
Error write_failed(std::string_view what, int errno_value);

}  // namespace mlc
