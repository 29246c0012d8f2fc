// Where exceptions of LibTorch end: every call into it runs inside guarded().
#pragma once

#include "mlc/base/error.h"
#include "mlc/engine/exception_text.h"

#include <exception>
#include <new>

#include <c10/util/Exception.h>

namespace mlc::torch_module {

/// The value of BODY(), or the Error that what it throws amounts to; READ makes it of the text.
template <class Read, class Body>
auto guarded_by(const Read& read, Body&& body) -> decltype(body()) {
  try {
    return body();
  } catch (const c10::OutOfMemoryError& error) {
    return not_enough_memory(error.what_without_backtrace());
  } catch (const std::bad_alloc& error) {
    return not_enough_memory(error.what());
  } catch (const c10::Error& error) {
    // what() carries some 40 stack frames.
    return read(error.what_without_backtrace());
  } catch (const std::exception& error) {
    return read(error.what());
  }
}

/// The same; FALLBACK is the kind of the error where the text does not tell.
template <class Body>
auto guarded(ErrorKind fallback, Body&& body) -> decltype(body()) {
  const auto read = [fallback](std::string_view what) {
    return error_of_exception_text(what, fallback);
  };
  return guarded_by(read, std::forward<Body>(body));
}

}  // namespace mlc::torch_module
