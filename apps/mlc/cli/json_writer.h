// JSON text, written as it is produced: no tree, so that 100,000 tensors cost little more than
// their bytes.
//
//   JsonWriter json(writer);
//   json.begin_object();
//   json.field("schema", "mlc.load/1");
//   json.key("tensors");
//   json.begin_array();
//   for (...) { json.begin_object(); json.field("name", key); json.field("shape", dims);
//   json.end_object(); } json.end_array(); json.end_object();
//
// Members appear in the order written. Layout: the outermost object and the arrays and objects
// directly in it are spread over lines; what lies deeper is one line, so one tensor is one line for
// grep. Strings become valid UTF-8 whatever a file put there: each byte that is not part of a
// well-formed sequence becomes U+FFFD, control characters (C1 and DEL too) become \u00XX. Numbers
// that are not finite become null.
#pragma once

#include "cli/writer.h"

#include <array>
#include <charconv>
#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace mlc::cli {

enum class JsonLayout {
  lines,    // as above, ends with a newline
  compact,  // one line, no newline
};

/// Requires of the caller: balanced begin/end, a key before each member of an object.
class JsonWriter {
 public:
  explicit JsonWriter(Writer& out, JsonLayout layout = JsonLayout::lines)
      : out_(out), text_(out.pending()), layout_(layout) {}
  JsonWriter(const JsonWriter&) = delete;
  JsonWriter& operator=(const JsonWriter&) = delete;

  void begin_object() { open('{'); }
  void end_object() { close('}'); }
  void begin_array() { open('['); }
  void end_array() { close(']'); }
  void key(std::string_view name);

  void value(std::string_view text);
  void value(const char* text) { value(std::string_view(text)); }
  void value(const std::string& text) { value(std::string_view(text)); }
  void value(bool truth) { scalar(truth ? "true" : "false"); }
  void value(double number);
  void value(std::signed_integral auto number) { integer(number); }
  void value(std::unsigned_integral auto number) { integer(number); }
  void null() { scalar("null"); }
  /// null where there is none.
  template <class T>
  void value(const std::optional<T>& v) {
    if (v) return value(*v);
    null();
  }
  /// A complete JSON value made elsewhere.
  void raw(std::string_view json) { scalar(json); }

  template <class T>
  void field(std::string_view name, const T& v) {
    key(name);
    value(v);
  }
  /// A list of anything value() takes: strings, numbers, a shape.
  template <class Range>
  void list(std::string_view name, const Range& values) {
    key(name);
    begin_array();
    for (const auto& v : values) value(v);
    end_array();
  }

 private:
  static constexpr int kSpreadDepth = 2;
  void open(char bracket);
  void close(char bracket);
  void scalar(std::string_view text);
  void separate();
  bool spread(int depth) const { return layout_ == JsonLayout::lines && depth <= kSpreadDepth; }

  void integer(auto number) {
    std::array<char, 24> digits{};
    const char* const end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
    scalar({digits.data(), static_cast<size_t>(end - digits.data())});
  }

  Writer& out_;
  std::string& text_;  // of out_
  JsonLayout layout_;
  int depth_ = 0;
  bool first_ = true;
  bool after_key_ = false;
};

/// TEXT as a JSON string with its quotes, appended to OUT.
void append_json_string(std::string& out, std::string_view text);

}  // namespace mlc::cli
