#include "mlc/base/source_text.h"
#include "mlc/base/text.h"
#include "mlc/yaml/node_data.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

namespace mlc::yaml {
namespace {

std::string_view name_of(PlainType type) {
  switch (type) {
    case PlainType::null:
      return "null";
    case PlainType::boolean:
      return "a boolean";
    case PlainType::integer:
      return "an integer";
    case PlainType::number:
      return "a number";
    case PlainType::string:
      return "a string";
  }
  return "a string";
}

std::string_view without_return(std::string_view line) {
  return line.ends_with('\r') ? line.substr(0, line.size() - 1) : line;
}

void drop_line(std::string_view& text) {
  const size_t end = text.find('\n');
  text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
}

std::string_view nth_line(std::string_view text, size_t index) {
  for (; index > 0 && !text.empty(); --index) drop_line(text);
  return text.substr(0, text.find('\n'));
}

// "expected an integer, found "abc" (a string)".
Error mismatch(const Node& node, std::string_view expected, std::string hint = {}) {
  std::string message = "expected " + std::string(expected) + ", found ";
  if (node.kind() == Kind::scalar) {
    message += quoted(node.scalar(), 60) + " (" + node.describe() + ")";
  } else {
    message += node.describe();
  }
  return node.error(std::move(message), std::move(hint));
}

}  // namespace

Error Source::error(size_t line, size_t column, std::string message, std::string hint) const {
  return error_at(kind, file, text, line, column, std::move(message), std::move(hint));
}

size_t Node::Data::index_of(std::string_view key) const {
  const auto it = std::lower_bound(
      by_key.begin(), by_key.end(), key,
      [this](uint32_t i, std::string_view wanted) { return entries[i].first < wanted; });
  return it != by_key.end() && entries[*it].first == key ? *it : entries.size();
}

Node::Node(std::shared_ptr<const Source> source, std::shared_ptr<const Data> data)
    : source_(std::move(source)), data_(std::move(data)) {}

Kind Node::kind() const {
  return data_->kind;
}
size_t Node::line() const {
  return data_->line;
}
size_t Node::column() const {
  return data_->column;
}
const std::string& Node::scalar() const {
  return data_->text;
}
bool Node::is_quoted() const {
  return data_->quoted;
}
const std::vector<Node>& Node::items() const {
  return data_->items;
}
const std::vector<std::pair<std::string, Node>>& Node::entries() const {
  return data_->entries;
}

PlainType Node::type() const {
  return data_->quoted ? PlainType::string : plain_type(data_->text);
}

std::string Node::describe() const {
  switch (kind()) {
    case Kind::null:
      return "null";
    case Kind::sequence:
      return "a list";
    case Kind::mapping:
      return "a mapping";
    case Kind::scalar:
      break;
  }
  return std::string(name_of(type()));
}

Result<std::string> Node::as_string() const {
  if (kind() != Kind::scalar) return mismatch(*this, "a string");
  return scalar();
}

Result<int64_t> Node::as_int() const {
  if (kind() != Kind::scalar) return mismatch(*this, "an integer");
  if (type() != PlainType::integer) {
    const bool unquotable = is_quoted() && plain_type(scalar()) == PlainType::integer;
    return mismatch(*this, "an integer", unquotable ? "remove the quotes" : "");
  }
  std::string_view digits = scalar();
  int base = 10;
  if (digits.starts_with("0x") || digits.starts_with("0o")) {
    base = digits[1] == 'x' ? 16 : 8;
    digits.remove_prefix(2);
  } else if (digits.starts_with('+')) {
    digits.remove_prefix(1);
  }
  int64_t value = 0;
  const auto [end, code] =
      std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
  if (code != std::errc() || end != digits.data() + digits.size()) {
    return error("the integer " + quoted(scalar(), 60) + " does not fit 64 bits",
                 "put it in quotes to make it a string");
  }
  return value;
}

Result<double> Node::as_double() const {
  const PlainType found = kind() == Kind::scalar ? type() : PlainType::null;
  if (found != PlainType::integer && found != PlainType::number) {
    const PlainType bare = plain_type(scalar());
    const bool unquotable =
        is_quoted() && (bare == PlainType::integer || bare == PlainType::number);
    return mismatch(*this, "a number", unquotable ? "remove the quotes" : "");
  }
  std::string_view digits = scalar();
  if (digits.starts_with("0x") || digits.starts_with("0o")) {
    MLC_TRY(const int64_t value, as_int());
    return static_cast<double>(value);
  }
  const bool negative = digits.starts_with('-');
  if (negative || digits.starts_with('+')) digits.remove_prefix(1);
  double value = 0;
  if (digits.starts_with(".i") || digits.starts_with(".I")) {
    value = std::numeric_limits<double>::infinity();
  } else if (digits.starts_with(".n") || digits.starts_with(".N")) {
    value = std::numeric_limits<double>::quiet_NaN();
  } else {
    const char* end = digits.data() + digits.size();
    const auto [stop, code] = std::from_chars(digits.data(), end, value);
    if (code != std::errc() || stop != end) {
      return error("the number " + quoted(scalar(), 60) + " does not fit a double");
    }
  }
  return negative ? -value : value;
}

Result<bool> Node::as_bool() const {
  if (kind() != Kind::scalar || type() != PlainType::boolean) {
    return mismatch(*this, "true or false");
  }
  return scalar()[0] == 't' || scalar()[0] == 'T';
}

Result<std::vector<std::string>> Node::as_string_list() const {
  std::vector<std::string> out;
  if (kind() == Kind::scalar) {
    out.push_back(scalar());
    return out;
  }
  if (kind() != Kind::sequence) return mismatch(*this, "a list of strings");
  out.reserve(items().size());
  for (const Node& item : items()) {
    MLC_TRY(std::string text, item.as_string());
    out.push_back(std::move(text));
  }
  return out;
}

const Node* Node::find(std::string_view key) const {
  const size_t index = data_->index_of(key);
  return index < data_->entries.size() ? &data_->entries[index].second : nullptr;
}

Error Node::key_error(std::string_view key, std::string message, std::string hint) const {
  const size_t index = data_->index_of(key);
  if (index >= data_->entries.size()) return error(std::move(message), std::move(hint));
  const auto [line, column] = data_->key_positions[index];
  return source_->error(line, column, std::move(message), std::move(hint));
}

Error Node::error(std::string message, std::string hint) const {
  return source_->error(data_->line, data_->column, std::move(message), std::move(hint));
}

const std::string& Node::document_text() const {
  return source_->text;
}

const std::string& Node::document_name() const {
  return source_->file;
}

Error Node::error_at(size_t line, size_t column, std::string message, std::string hint) const {
  return source_->error(line, column, std::move(message), std::move(hint));
}

std::vector<std::pair<size_t, size_t>> Node::text_positions(size_t count) const {
  const std::string_view first = nth_line(source_->text, line() - 1);
  const std::string_view here = first.substr(std::min(column() - 1, first.size()));
  if (!here.starts_with('|')) {
    const bool quote = here.starts_with('"') || here.starts_with('\'');
    std::vector<std::pair<size_t, size_t>> out(count, {line(), column()});
    if (quote && count > 0) ++out[0].second;
    return out;
  }
  std::vector<std::pair<size_t, size_t>> out;
  std::string_view texts = scalar();
  std::string_view file(first.data(), static_cast<size_t>(source_->text.data() +
                                                          source_->text.size() - first.data()));
  for (size_t i = 0; i < count; ++i) {
    drop_line(file);
    const std::string_view text = without_return(nth_line(texts, 0));
    const std::string_view written = without_return(nth_line(file, 0));
    const bool is_there = written.ends_with(text);
    out.emplace_back(is_there ? line() + 1 + i : line(),
                     is_there ? written.size() - text.size() + 1 : column());
    drop_line(texts);
  }
  return out;
}

Status Node::only_keys(std::initializer_list<std::string_view> allowed) const {
  for (const auto& [key, value] : entries()) {
    if (std::find(allowed.begin(), allowed.end(), key) != allowed.end()) continue;
    const std::vector<std::string> names(allowed.begin(), allowed.end());
    const auto guess = nearest(key, names);
    std::string hint = guess ? "did you mean " + quoted(*guess) + "?"
                             : "known here: " + join_list(names, names.size());
    return key_error(key, "unknown key " + quoted(key, 60), std::move(hint));
  }
  return {};
}

}  // namespace mlc::yaml
