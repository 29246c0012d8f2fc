#include "cli/exit_code.h"

#include "mlc/base/text.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <exception>
#include <new>

namespace mlc::cli {
namespace {

constexpr ExitCodeRow kRows[] = {
    {ExitCode::done, "done, or the answer is yes"},
    {ExitCode::no, "the answer of a check is no, or keys conflict"},
    {ExitCode::usage, "the command line makes no sense, or asks for what no input has"},
    {ExitCode::input, "an input is missing, unreadable or corrupt"},
    {ExitCode::unsupported, "not supported: operator, dtype or format feature"},
    {ExitCode::output, "an output exists already or could not be written"},
    {ExitCode::internal, "internal error, a defect of mlc"},
    {ExitCode::interrupted, "interrupted"},
};

constexpr std::array kFromBestToWorst = {
    ExitCode::done,  ExitCode::no,     ExitCode::usage,    ExitCode::unsupported,
    ExitCode::input, ExitCode::output, ExitCode::internal, ExitCode::interrupted,
};

}  // namespace

std::span<const ExitCodeRow> exit_codes() {
  return kRows;
}

ExitCode exit_code_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::usage:
      return ExitCode::usage;
    case ErrorKind::conflict:
      return ExitCode::no;
    case ErrorKind::not_found:
    case ErrorKind::read_failed:
    case ErrorKind::corrupt:
      return ExitCode::input;
    case ErrorKind::unsupported:
      return ExitCode::unsupported;
    case ErrorKind::exists:
    case ErrorKind::write_failed:
      return ExitCode::output;
    case ErrorKind::interrupted:
      return ExitCode::interrupted;
    case ErrorKind::internal:
      return ExitCode::internal;
  }
  return ExitCode::internal;
}

Error error_of_exception() {
  try {
    throw;
  } catch (const std::bad_alloc&) {
    return read_failed("not enough memory", ENOMEM);
  } catch (const std::exception& error) {
    return internal_error("unexpected exception: " + printable(error.what()));
  } catch (...) {
    return internal_error("unexpected exception");
  }
}

ExitCode worst(ExitCode a, ExitCode b) {
  const auto rank = [](ExitCode code) { return std::ranges::find(kFromBestToWorst, code); };
  return rank(a) < rank(b) ? b : a;
}

std::string worst_first() {
  std::string text = "of several files the worst counts, from worst to best: ";
  for (size_t i = kFromBestToWorst.size(); i-- > 0;) {
    text += std::to_string(static_cast<int>(kFromBestToWorst[i])) + (i > 0 ? ", " : "");
  }
  return text;
}

}  // namespace mlc::cli
