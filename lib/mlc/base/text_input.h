// Small texts that people write or pipe: rules, metadata, lists of names.
#pragma once

#include "mlc/base/file.h"
#include "mlc/base/result.h"

#include <memory>
#include <string>

namespace mlc {

/// The name of standard input where a text is read, as in other tools.
inline constexpr const char* kStandardInput = "-";

/// Whether PATH is "-", a pipe or a device: no file that has a size and offsets.
bool is_stream(const std::string& path);

/// As InputFile::open(), but PATH may also be a stream: "-" (standard input), /dev/stdin, a pipe.
/// A stream is read to its end, once in a process however often it is asked for. Errors: as there;
/// unsupported for a stream above 256 MB; usage for standard input that is a terminal. Thread-safe.
Result<std::shared_ptr<InputFile>> open_text_input(const std::string& path);

}  // namespace mlc
