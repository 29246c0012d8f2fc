#include "mlc/engine/ort_message.h"

#include "mlc/base/text.h"
#include "mlc/engine/exception_text.h"

#include <algorithm>
#include <array>
#include <optional>

namespace mlc {
namespace {

/// What stands between BEFORE and AFTER in TEXT, if both are there.
std::optional<std::string_view> between(std::string_view text, std::string_view before,
                                        std::string_view after) {
  const size_t begin = text.find(before);
  if (begin == text.npos) return std::nullopt;
  text.remove_prefix(begin + before.size());
  const size_t end = text.find(after);
  if (end == text.npos) return std::nullopt;
  return text.substr(0, end);
}

/// Behind BEFORE the characters of WHICH.
std::optional<std::string_view> behind(std::string_view text, std::string_view before,
                                       std::string_view which) {
  const size_t begin = text.find(before);
  if (begin == text.npos) return std::nullopt;
  text.remove_prefix(begin + before.size());
  text = text.substr(0, text.find_first_not_of(which));
  return text.empty() ? std::nullopt : std::optional(text);
}

constexpr std::string_view kDigits = "0123456789";

/// Behind the signature of a function: "f(int, g<(a)>) const [with T = float] ".
std::string_view without_signature(std::string_view text) {
  int depth = 0;
  const size_t open = text.find('(');
  for (size_t i = open; i < text.size(); ++i) {
    if (text[i] == '(') ++depth;
    if (text[i] != ')' || --depth > 0) continue;
    text = trim(text.substr(i + 1));
    for (const std::string_view word : {"const ", "mutable "}) {
      if (text.starts_with(word)) text.remove_prefix(word.size());
    }
    const size_t bracket = text.find(']');
    if (text.starts_with("[with ") && bracket != text.npos) text = trim(text.substr(bracket + 1));
    return text;
  }
  return text;
}

/// Without "/path/file.cc:12 void f(int) a == b was false. " in front.
std::string_view without_position(std::string_view text) {
  text = trim(text);
  const size_t space = text.find(' ');
  const std::string_view word = text.substr(0, space);
  const bool source = word.find(".cc:") != word.npos || word.find(".h:") != word.npos ||
                      word.find(".cpp:") != word.npos;
  if (space == text.npos || !source) return text;
  std::string_view rest = text.substr(space + 1);
  if (!word.starts_with('/')) {
    // "matmul_helper.h:59 Compute MatMul dimension mismatch": the function has no arguments.
    const size_t end = rest.find(' ');
    return end == rest.npos ? rest : rest.substr(end + 1);
  }
  rest = without_signature(rest);
  constexpr std::string_view kFalse = " was false. ";
  const size_t condition = rest.find(kFalse);
  return condition == rest.npos ? rest : rest.substr(condition + kFalse.size());
}

/// Without what the layers of ONNX Runtime put around the message of another one.
std::string_view innermost(std::string_view text) {
  constexpr std::array<std::string_view, 5> kWrappers = {
      " failed:", "Status Message: ", "Exception during initialization: ", "Exception caught: ",
      "Type Error: "};
  if (text.starts_with("Load model from ")) {
    const size_t end = text.find(kWrappers[0]);
    if (end != text.npos) text.remove_prefix(end + kWrappers[0].size());
  }
  for (size_t i = 1; i < kWrappers.size(); ++i) {
    const size_t at = text.find(kWrappers[i]);
    if (at != text.npos) text.remove_prefix(at + kWrappers[i].size());
  }
  text = without_position(text);
  if (text.starts_with("[ONNXRuntimeError]")) {
    // "[ONNXRuntimeError] : 1 : FAIL : message"
    for (int i = 0; i < 3; ++i) {
      const size_t colon = text.find(" : ");
      if (colon == text.npos) break;
      text.remove_prefix(colon + 3);
    }
    text = without_position(text);
  }
  return text;
}

bool mentions(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::ranges::any_of(words, [&](auto word) { return text.find(word) != text.npos; });
}

bool lacks_memory(std::string_view message) {
  return mentions(message, {"Failed to allocate memory", "bad_alloc", "bad allocation",
                            "out of memory", "CUDA failure 2"});
}

Error not_enough(std::string what) {
  return Error(ErrorKind::read_failed, "not enough memory: " + std::move(what),
               "smaller inputs need less");
}

/// "node /add (Add)" of "... running Add node. Name:'/add' Status Message: ...".
std::string node_in(std::string_view message) {
  const auto type = between(message, "while running ", " node.");
  const auto name = between(message, "Name:'", "'");
  if (!type) return "";
  return name && !name->empty() ? "node " + printable(*name) + " (" + printable(*type) + ")"
                                : "a node " + printable(*type);
}

/// What this ONNX Runtime lacks, if that is what MESSAGE says.
std::optional<Error> missing(std::string_view message) {
  constexpr const char* kNewer =
      "a newer ONNX Runtime may have it (`mlc doctor` shows this one); or export the model for an "
      "older opset";
  if (const auto ir = behind(message, "Unsupported model IR version: ", kDigits)) {
    const auto most = behind(message, "max supported IR version: ", kDigits);
    return unsupported("its IR version is " + std::string(*ir) + ", and this ONNX Runtime reads " +
                           std::string(most.value_or("lower ones")) + " at most",
                       kNewer);
  }
  if (const auto opset = behind(message, " opset versions. Opset ", kDigits)) {
    const auto domain = between(message, "support for domain ", " is till");
    const auto most = behind(message, "is till opset ", kDigits);
    return unsupported("it is for opset " + std::string(*opset) + " of " +
                           printable(domain.value_or("a domain")) + ", and this ONNX Runtime has " +
                           std::string(most.value_or("lower ones")) + " at most",
                       kNewer);
  }
  if (const auto op = between(message, "No Op registered for ", " with domain_version of ")) {
    const auto opset = behind(message, "with domain_version of ", kDigits);
    return unsupported("ONNX Runtime has no operator " + printable(*op) + " at opset " +
                           std::string(opset.value_or("?")),
                       kNewer);
  }
  if (const auto op = between(message, "Fatal error: ", "(-1) is not a registered")) {
    return unsupported("ONNX Runtime has no operator " + printable(*op), kNewer);
  }
  if (const auto op = between(message, "Could not find an implementation for ", " node with")) {
    const auto node = between(message, "with name '", "'");
    return unsupported("ONNX Runtime has no implementation of " + printable(*op) +
                           " for the types of node " + quoted(node.value_or("")),
                       "bf16 and f16 are often missing on CPUs: export the model in f32");
  }
  return std::nullopt;
}

}  // namespace

std::string ort_sentence(std::string_view message) {
  return exception_sentence(innermost(message));
}

Error error_of_ort_load(OrtCode code, std::string_view message) {
  if (lacks_memory(message)) return not_enough(ort_sentence(message));
  if (auto error = missing(message)) return std::move(*error);
  if (code == OrtCode::not_implemented) return unsupported(ort_sentence(message));
  if (code == OrtCode::no_such_file) return not_found(ort_sentence(message));
  if (code == OrtCode::invalid_protobuf) {
    return corrupt("ONNX Runtime cannot parse it", "fetch or export the file again");
  }
  return corrupt("ONNX Runtime refuses it: " + ort_sentence(message));
}

Error error_of_ort_run(OrtCode code, std::string_view message) {
  const std::string node = node_in(message);
  const std::string in_node = node.empty() ? "" : node + ": ";
  if (lacks_memory(message)) {
    const auto bytes = behind(message, "requested buffer of size ", kDigits);
    return not_enough(in_node + (bytes ? "it asks for " + std::string(*bytes) + " bytes"
                                       : ort_sentence(message)));
  }
  if (auto error = missing(message)) return std::move(*error);
  if (code == OrtCode::not_implemented) return unsupported(in_node + ort_sentence(message));
  return usage_error(in_node + ort_sentence(message));
}

}  // namespace mlc
