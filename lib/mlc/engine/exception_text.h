// What libraries say when they throw, made fit for people: the sentence that tells what is wrong,
// without stack frames, C++ symbols, source paths and advice for other programs.
#pragma once

#include "mlc/base/error.h"

#include <string>
#include <string_view>

namespace mlc {

/// The first meaningful sentence of what LibTorch throws: of a traceback the exception at its end,
/// of a check that failed inside the library what follows it. One line, printable, no full stop,
/// types by mlc's names, first letter small. "unknown reason" where nothing is left.
std::string exception_sentence(std::string_view what);

/// read_failed, for exceptions that say so by their type.
Error not_enough_memory(std::string_view what);

/// An Error of the kind that the sentence tells: memory that does not suffice (read_failed),
/// operators and types that do not exist (unsupported), else FALLBACK. Always FALLBACK for what the
/// model itself raises.
Error error_of_exception_text(std::string_view what, ErrorKind fallback);

/// Whether ERROR is what error_of_exception_text() made of a `raise` or `assert` of the model.
bool is_raised_by_model(const Error& error);

}  // namespace mlc
