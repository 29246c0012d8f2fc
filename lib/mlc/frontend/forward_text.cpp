#include "mlc/frontend/forward_text.h"

#include "mlc/base/text.h"
#include "mlc/frontend/text_lines.h"

#include <algorithm>

namespace mlc::arch {
namespace {

/// The offset of "def NAME" at the start of a line, or npos.
size_t find_method(std::string_view source, std::string_view name) {
  const std::string wanted = "def " + std::string(name);
  for (size_t at = source.find(wanted); at != source.npos; at = source.find(wanted, at + 1)) {
    const bool starts_line = at == 0 || source[at - 1] == '\n';
    const size_t end = at + wanted.size();
    if (starts_line && end < source.size() && (source[end] == '(' || source[end] == ' ')) return at;
  }
  return source.npos;
}

/// Comments become nothing and line ends spaces; text in quotes stays.
std::string joined_lines(std::string_view text) {
  std::string out;
  Quotes quotes;
  bool comment = false;
  for (const char c : text) {
    if (c == '\n') comment = false;
    if (comment) continue;
    if (!quotes.hold(c) && c == '#') {
      comment = true;
      continue;
    }
    out += c == '\n' || c == '\r' ? ' ' : c;
  }
  return out;
}

/// The offset of the first of STOPS in TEXT outside of brackets and quotes, from FROM on, or npos.
size_t find_outside(std::string_view text, std::string_view stops, size_t from = 0) {
  int depth = 0;
  Quotes quotes;
  for (size_t i = from; i < text.size(); ++i) {
    const char c = text[i];
    if (quotes.hold(c)) continue;
    if (depth == 0 && stops.find(c) != stops.npos) return i;
    if (c == '(' || c == '[' || c == '{') ++depth;
    if (c == ')' || c == ']' || c == '}') --depth;
  }
  return text.npos;
}

ForwardParameter read_parameter(std::string_view text) {
  ForwardParameter out;
  const size_t equals = find_outside(text, "=");
  if (equals != text.npos) out.default_value = trim(text.substr(equals + 1));
  text = text.substr(0, equals);
  const size_t colon = find_outside(text, ":");
  out.name = trim(text.substr(0, colon));
  out.type = colon == text.npos ? "Tensor" : std::string(trim(text.substr(colon + 1)));
  return out;
}

std::vector<ForwardParameter> read_parameters(std::string_view text) {
  std::vector<ForwardParameter> out;
  bool keyword_only = false;
  while (!text.empty()) {
    const size_t comma = find_outside(text, ",");
    const std::string_view one = trim(text.substr(0, comma));
    text = comma == text.npos ? std::string_view() : text.substr(comma + 1);
    if (one == "*") {
      keyword_only = true;
    } else if (!one.empty()) {
      out.push_back(read_parameter(one));
      out.back().keyword_only = keyword_only;
    }
  }
  if (!out.empty()) out.erase(out.begin());  // self
  return out;
}

}  // namespace

std::optional<ForwardHeader> forward_header(std::string_view source) {
  const size_t begin = find_method(source, "forward");
  if (begin == source.npos) return std::nullopt;
  const std::string text = joined_lines(source.substr(begin));
  const size_t open = text.find('(');
  const size_t close = open == text.npos ? open : find_outside(text, ")", open + 1);
  if (close == text.npos) return std::nullopt;
  const size_t colon = find_outside(text, ":", close + 1);
  if (colon == text.npos) return std::nullopt;
  ForwardHeader out;
  out.parameters = read_parameters(std::string_view(text).substr(open + 1, close - open - 1));
  const std::string_view tail = trim(std::string_view(text).substr(close + 1, colon - close - 1));
  if (tail.starts_with("->")) out.returns = trim(tail.substr(2));
  return out;
}

std::string call_method(std::string_view source) {
  const auto header = forward_header(source);
  if (!header || find_method(source, "__call__") != source.npos) return {};
  std::string declared = "self";
  std::string passed;
  bool after_star = false;
  for (const ForwardParameter& one : header->parameters) {
    if (one.keyword_only && !after_star) declared += ", *";
    after_star = one.keyword_only;
    declared += ", " + one.name + ": " + one.type;
    if (!one.default_value.empty()) declared += "=" + one.default_value;
    passed += (passed.empty() ? "" : ", ") + (one.keyword_only ? one.name + "=" : "") + one.name;
  }
  const std::string returns = header->returns.empty() ? "" : " -> " + header->returns;
  return "def __call__(" + declared + ")" + returns + ":\n    return self.forward(" + passed +
         ")\n";
}

}  // namespace mlc::arch
