#include "mlc/base/error.h"

#include <cerrno>
#include <cstring>
#include <utility>

namespace mlc {

std::string_view to_string(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::usage:
      return "usage";
    case ErrorKind::not_found:
      return "not_found";
    case ErrorKind::read_failed:
      return "read_failed";
    case ErrorKind::corrupt:
      return "corrupt";
    case ErrorKind::unsupported:
      return "unsupported";
    case ErrorKind::conflict:
      return "conflict";
    case ErrorKind::exists:
      return "exists";
    case ErrorKind::write_failed:
      return "write_failed";
    case ErrorKind::interrupted:
      return "interrupted";
    case ErrorKind::internal:
      return "internal";
  }
  return "internal";
}

Error::Error(ErrorKind kind, std::string message, std::string hint)
    : info_(std::make_unique<Info>(
          Info{kind, std::move(message), std::move(hint), std::string(), {}})) {}

Error&& Error::during(std::string what) && {
  info_->context.push_back(std::move(what));
  return std::move(*this);
}

Error&& Error::in_file(std::string path) && {
  if (info_->file.empty()) info_->file = std::move(path);
  return std::move(*this);
}

Error&& Error::with_hint(std::string hint) && {
  if (info_->hint.empty()) info_->hint = std::move(hint);
  return std::move(*this);
}

std::string Error::text() const {
  std::string out;
  for (auto it = info_->context.rbegin(); it != info_->context.rend(); ++it) {
    out += *it;
    out += ": ";
  }
  return out + info_->message;
}

Error usage_error(std::string message, std::string hint) {
  return Error(ErrorKind::usage, std::move(message), std::move(hint));
}
Error not_found(std::string message, std::string hint) {
  return Error(ErrorKind::not_found, std::move(message), std::move(hint));
}
Error corrupt(std::string message, std::string hint) {
  return Error(ErrorKind::corrupt, std::move(message), std::move(hint));
}
Error unsupported(std::string message, std::string hint) {
  return Error(ErrorKind::unsupported, std::move(message), std::move(hint));
}
Error conflict(std::string message, std::string hint) {
  return Error(ErrorKind::conflict, std::move(message), std::move(hint));
}
Error internal_error(std::string message) {
  return Error(ErrorKind::internal, std::move(message),
               "this is a defect of mlc; please report it with `mlc --version` and the command");
}

namespace {
std::string describe(std::string_view what, int errno_value) {
  return std::string(what) + ": " + std::strerror(errno_value);
}

/// What helps where the system says no; mostly nothing that mlc knows.
std::string system_hint(int errno_value) {
  if (errno_value == EMFILE) {
    return "so many files at once are beyond the limit that `ulimit -Hn` shows: raise it with "
           "`ulimit -n`, as root, or in /etc/security/limits.conf";
  }
  if (errno_value == ENFILE) return "`sysctl fs.file-max` shows the limit of the whole system";
  return {};
}
}  // namespace

Error read_failed(std::string_view what, int errno_value) {
  const bool missing = errno_value == ENOENT || errno_value == ENOTDIR;
  return Error(missing ? ErrorKind::not_found : ErrorKind::read_failed, describe(what, errno_value),
               system_hint(errno_value));
}
Error write_failed(std::string_view what, int errno_value) {
  if (errno_value == EEXIST) return Error(ErrorKind::exists, describe(what, errno_value));
  return Error(ErrorKind::write_failed, describe(what, errno_value), system_hint(errno_value));
}

}  // namespace mlc
