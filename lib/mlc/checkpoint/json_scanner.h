// Pulling values out of JSON from a file: strict RFC 8259, no tree, no copies.
//
// The caller says what it expects next, so that a header of 100,000 tensors costs no more than its
// text. The first mismatch is kept and everything after it returns false; take it with error().
// Text without escapes is borrowed from the input, the rest is put into a store the caller owns.
#pragma once

#include "mlc/base/result.h"

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

namespace mlc {

class JsonScanner {
 public:
  /// Containers may be nested MAX_DEPTH deep. TEXT and STORE must outlive every text handed out.
  JsonScanner(std::string_view text, int max_depth, std::deque<std::string>& store);

  /// Objects: begin_object(), then next_key() until it returns false; each key is followed by
  /// exactly one value read or skipped. Whether keys are distinct is for the caller to see. Arrays
  /// alike.
  bool begin_object();
  bool next_key(std::string_view& key);
  bool begin_array();
  bool next_item();

  bool string(std::string_view& out);
  /// Digits without sign, fraction, exponent or leading zeros, up to 2^63 - 1.
  bool integer(int64_t& out);
  bool boolean(bool& out);
  /// Any JSON number.
  bool number(double& out);
  /// Any value, checked but not kept.
  bool skip();
  /// Whether the next value is null; then it is consumed.
  bool null();
  /// The first character of the next value or token, '\0' at the end.
  char peek();
  /// Nothing but spaces is left.
  bool finish();
  /// Bytes consumed so far, for callers that keep pieces of the text as they are.
  size_t position() const { return position_; }

  bool ok() const { return !error_.has_value(); }
  /// Requires: !ok(). Kind corrupt, naming the byte.
  Error error() &&;
  bool fail(std::string_view what);

 private:
  bool begin(char bracket);
  bool next(char bracket, bool& more);
  bool escape(std::string& out);
  bool hex4(uint32_t& out);
  bool skip_number();
  bool word(std::string_view expected);

  std::string_view text_;
  size_t position_ = 0;
  int depth_ = 0;
  int max_depth_;
  bool first_ = false;  // a container was opened and nothing was read from it yet
  std::deque<std::string>& store_;
  std::optional<Error> error_;
};

}  // namespace mlc
