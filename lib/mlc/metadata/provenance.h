// SHA-256, so that provenance can say which bytes an output was made from.
//
// OpenSSL's libcrypto is opened when the first digest begins, so that only the verbs that hash pay
// for it; it is several times faster than portable code where the processor has SHA instructions.
#pragma once

#include "mlc/base/bytes.h"
#include "mlc/base/file.h"
#include "mlc/base/reporter.h"
#include "mlc/base/result.h"

#include <memory>
#include <span>
#include <string>

namespace mlc {

class Sha256 {
 public:
  /// Error: unsupported, if the library is missing. LIBRARY: another name for it, for tests.
  static Result<Sha256> create(const char* library = "libcrypto.so.3");
  ~Sha256();
  Sha256(Sha256&& other) noexcept;
  Sha256& operator=(Sha256&&) = delete;

  /// Error: internal, if libcrypto fails.
  Status update(Bytes bytes);
  /// 64 lower-case hexadecimal digits; nothing may be called after it.
  Result<std::string> finish();

 private:
  struct State;
  explicit Sha256(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// Of the whole file, read in blocks. Errors: read_failed (also if the file changed meanwhile),
/// unsupported, interrupted. Reports progress in bytes.
Result<std::string> sha256_file(const InputFile& file, Reporter& reporter);

/// Of all files of a checkpoint. One file: its own. Several (shards with their index, a folder): of
/// the text that `sha256sum` prints for them, "HASH  NAME\n" each, in the bytewise order of the
/// names, which are relative to the folder of the first. Errors as above. Requires: at least one.
Result<std::string> sha256_files(std::span<const std::shared_ptr<const InputFile>> files,
                                 Reporter& reporter);

}  // namespace mlc
