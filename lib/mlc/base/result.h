// Result<T>: a value or an Error. The only way a function of mlc fails.
//
//   Result<Shape> parse_shape(std::string_view text);
//   MLC_TRY(Shape shape, parse_shape(text));            // returns the Error to the caller
//   MLC_TRY_CTX(auto t, read(i), "reading tensor " + name);   // and says what was being done
//   MLC_CHECK(file.seek(0));                            // for Status
#pragma once

#include "mlc/base/error.h"

#include <cassert>
#include <optional>
#include <utility>
#include <variant>

namespace mlc {

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  /// Requires: ok().
  T& value() & { return assert(ok()), *std::get_if<0>(&state_); }
  const T& value() const& { return assert(ok()), *std::get_if<0>(&state_); }
  T&& value() && { return assert(ok()), std::move(*std::get_if<0>(&state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  /// Requires: !ok().
  const Error& error() const& { return assert(!ok()), *std::get_if<1>(&state_); }
  Error&& error() && { return assert(!ok()), std::move(*std::get_if<1>(&state_)); }

 private:
  std::variant<T, Error> state_;
};

/// Success without a value, or an Error.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Error error) : error_(std::move(error)) {}  // NOLINT: implicit

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }
  const Error& error() const& { return assert(!ok()), *error_; }
  Error&& error() && { return assert(!ok()), std::move(*error_); }

 private:
  std::optional<Error> error_;
};

}  // namespace mlc

#define MLC_CONCAT_INNER(a, b) a##b
#define MLC_CONCAT(a, b) MLC_CONCAT_INNER(a, b)

#define MLC_TRY_IMPL(tmp, decl, expr, ...)                  \
  auto tmp = (expr);                                        \
  if (!tmp.ok()) return std::move(tmp).error() __VA_ARGS__; \
  decl = std::move(tmp).value()

/// Declares DECL from the value of EXPR, or returns its Error.
#define MLC_TRY(decl, ...) MLC_TRY_IMPL(MLC_CONCAT(mlc_try_, __COUNTER__), decl, (__VA_ARGS__), )

/// Like MLC_TRY, adding CONTEXT (a string) to the Error.
#define MLC_TRY_CTX(decl, expr, context) \
  MLC_TRY_IMPL(MLC_CONCAT(mlc_try_, __COUNTER__), decl, expr, .during(context))

/// Returns the Error of a Status or Result whose value is not needed.
#define MLC_CHECK(...)                                                                           \
  do {                                                                                           \
    if (auto mlc_status = (__VA_ARGS__); !mlc_status.ok()) return std::move(mlc_status).error(); \
  } while (false)

/// Like MLC_CHECK, adding CONTEXT (a string) to the Error.
#define MLC_CHECK_CTX(expr, context)                        \
  do {                                                      \
    if (auto mlc_status = (expr); !mlc_status.ok())         \
      return std::move(mlc_status).error().during(context); \
  } while (false)
