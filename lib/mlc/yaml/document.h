// YAML that a person wrote, read with positions, limits and good messages.
//
// The only folder that includes yaml-cpp for reading; its exceptions end here. Aliases are allowed
// but a document whose expanded size exceeds kMaxNodes is refused ("billion laughs"), as are
// duplicate keys, keys that are not scalars, merge keys (<<), tags outside the core schema, control
// characters, nesting beyond kMaxDepth, and more than one document in a file.
#pragma once

#include "mlc/base/result.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mlc::yaml {

inline constexpr size_t kMaxNodes = 1'000'000;
inline constexpr int kMaxDepth = 100;
inline constexpr uint64_t kMaxFileBytes = 64U << 20U;

enum class Kind { null, scalar, sequence, mapping };

/// What the YAML 1.2 core schema makes of a scalar without quotes.
enum class PlainType { null, boolean, integer, number, string };
PlainType plain_type(std::string_view text);

struct Source;  // the text, its name and the kind of its errors; defined in document.cpp

/// A node of a parsed document. Cheap to copy; keeps what it refers to alive.
class Node {
 public:
  struct Data;  // defined in document.cpp
  Node(std::shared_ptr<const Source> source, std::shared_ptr<const Data> data);

  Kind kind() const;
  /// "a mapping", "a list", "a string", "an integer", ... for messages.
  std::string describe() const;
  /// Position of the node in its file, from 1; columns count bytes.
  size_t line() const;
  size_t column() const;

  /// Text of a scalar as written, without quotes. Requires: kind() == scalar.
  const std::string& scalar() const;
  /// True for scalars written in quotes or block style: they are strings whatever they look like.
  bool is_quoted() const;
  /// The type of a scalar: string if quoted, else plain_type(scalar()). Requires: kind() == scalar.
  PlainType type() const;

  /// Typed readings of a scalar by the YAML 1.2 core schema. The error points at the node and says
  /// what was expected and found.
  Result<std::string> as_string() const;  // any scalar
  Result<int64_t> as_int() const;
  Result<double> as_double() const;
  Result<bool> as_bool() const;                             // true, false (yes/no are strings)
  Result<std::vector<std::string>> as_string_list() const;  // a list of scalars, or one scalar

  /// Items of a sequence; empty for other kinds.
  const std::vector<Node>& items() const;
  /// Entries of a mapping in the order of the file, keys as text; empty for other kinds.
  const std::vector<std::pair<std::string, Node>>& entries() const;
  /// The value under KEY, or null pointer.
  const Node* find(std::string_view key) const;
  /// The node of the key itself, for errors that point at it.
  Error key_error(std::string_view key, std::string message, std::string hint = {}) const;

  /// An error of the document's kind (usage unless parse() was told otherwise) that points at this
  /// node.
  Error error(std::string message, std::string hint = {}) const;

  /// The whole document, and the name that parse() was given for it.
  const std::string& document_text() const;
  const std::string& document_name() const;
  /// The same at another place of the document, from 1.
  Error error_at(size_t line, size_t column, std::string message, std::string hint = {}) const;
  /// Where each of the first COUNT lines of a scalar's text begins in the document, as {line,
  /// column}: exact for literal blocks (`|`) and for text on one line, else the node itself.
  /// Requires: kind() == scalar.
  std::vector<std::pair<size_t, size_t>> text_positions(size_t count) const;

  /// Refuses keys outside ALLOWED, with "did you mean".
  Status only_keys(std::initializer_list<std::string_view> allowed) const;

 private:
  std::shared_ptr<const Source> source_;
  std::shared_ptr<const Data> data_;
};

/// Parses TEXT; FILE is used in messages only. KIND is the kind of every error about the text, now
/// and later through Node::error(): usage for what a person wrote, corrupt for what a program did.
/// A text without content is a null node.
Result<Node> parse(std::string text, const std::string& file, ErrorKind kind = ErrorKind::usage);
/// Reads and parses a file. Errors: not_found, read_failed, usage (syntax).
Result<Node> parse_file(const std::string& path);

}  // namespace mlc::yaml
