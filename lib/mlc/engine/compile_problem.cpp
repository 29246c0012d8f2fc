#include "mlc/engine/compile_problem.h"

#include "mlc/base/text.h"
#include "mlc/engine/exception_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>
#include <vector>

namespace mlc {
namespace {

constexpr std::string_view kFile = "  File \"";
constexpr std::string_view kPlace = "  File \"<string>\", line ";

/// What REST, which follows "line ", says: the number of the line, and the column under which
/// LibTorch puts its marks.
TextPlace place_at(std::string_view rest) {
  TextPlace out;
  std::from_chars(rest.data(), rest.data() + rest.size(), out.line);
  for (const std::string_view line : split(rest, '\n')) {
    if (line.starts_with(kFile)) return out;
    const size_t first = line.find_first_not_of(' ');
    if (first == line.npos || line[first] != '~') continue;
    out.column = first + 1;
    return out;
  }
  return out;
}

/// Where the first place that WHAT names lies.
void read_place(std::string_view what, CompileProblem& problem) {
  const size_t at = what.find(kPlace);
  if (at == what.npos) return;
  const TextPlace place = place_at(what.substr(at + kPlace.size()));
  problem.line = place.line;
  problem.column = place.column;
}

/// "relu(Tensor self) -> Tensor" of the line "aten::relu(Tensor self) -> Tensor:".
std::string_view schema_in(std::string_view line) {
  line = trim(line);
  if (line.find("->") == line.npos) return {};
  if (line.ends_with(':')) line.remove_suffix(1);
  const size_t space = line.substr(0, line.find('(')).rfind("::");
  return space == line.npos ? line : line.substr(space + 2);
}

/// SCHEMA of a function of mlc's own without the number of its variant: interpolate__1(...).
std::string without_number(std::string schema) {
  const size_t open = std::min(schema.find('('), schema.size());
  const size_t at = schema.substr(0, open).rfind("__");
  const bool numbered = at != schema.npos && at > 0 && at + 2 < open &&
                        schema.find_first_not_of("0123456789", at + 2) == open;
  return numbered ? schema.erase(at, open - at) : schema;
}

/// What to write where REASON, of a call, is an integer where floats are taken; else empty.
std::string advice_on_integers(std::string_view reason) {
  const bool wants_float = reason.find("'float' for argument") != reason.npos ||
                           reason.find("'Optional[float]' for argument") != reason.npos;
  if (!wants_float || reason.find("found type 'int'") == reason.npos) return {};
  return "write floats with a point, 3.0 for 3; ";
}

/// Of a call that fits no variant: what is wrong with the first, and how the variants read.
void read_variants(std::string_view what, CompileProblem& problem) {
  constexpr size_t kShown = 3;
  std::vector<std::string> schemas;
  std::string reason;
  for (const std::string_view line : split(what, '\n')) {
    if (line.find("original call is") != line.npos || line.starts_with(kPlace)) break;
    if (const std::string_view schema = schema_in(line); !schema.empty()) {
      if (line.find("Tensor(a!) out)") == line.npos)
        schemas.push_back(without_number(printable(schema)));
    } else if (reason.empty() && !schemas.empty() && !trim(line).empty()) {
      reason = exception_sentence(line);
    }
  }
  if (!reason.empty()) problem.message = "the arguments do not fit: " + reason;
  if (schemas.empty()) return;
  problem.hint = advice_on_integers(reason) + "it is called as ";
  for (size_t i = 0; i < std::min(schemas.size(), kShown); ++i) {
    problem.hint += (i == 0 ? "" : " or ") + schemas[i];
  }
}

/// Without " (inferred)", "__torch__.mlc.", "___torch_mangle_3." and " (of Python compilation unit
/// at: 0x5649)".
std::string without_class_paths(std::string text) {
  constexpr std::string_view kMangle = "___torch_mangle_";
  constexpr std::string_view kUnit = " (of Python compilation unit";
  constexpr std::string_view kInferred = " (inferred)";
  for (size_t at = text.find(kInferred); at != text.npos; at = text.find(kInferred)) {
    text.erase(at, kInferred.size());
  }
  for (size_t at = text.find(kUnit); at != text.npos; at = text.find(kUnit)) {
    const size_t end = text.find(')', at);
    text.erase(at, end == text.npos ? end : end + 1 - at);
  }
  for (const std::string_view one :
       {kMangle, std::string_view("__torch__."), std::string_view("mlc.")}) {
    for (size_t at = text.find(one); at != text.npos; at = text.find(one, at)) {
      const size_t end = one == kMangle ? text.find('.', at) : at + one.size() - 1;
      text.erase(at, end == text.npos ? end : end + 1 - at);
    }
  }
  return text;
}

/// "'Block' object has no attribute or method 'convv'": fills in `attribute`.
void read_attribute(CompileProblem& problem) {
  constexpr std::string_view kLacks = "has no attribute or method '";
  const size_t at = problem.message.find(kLacks);
  if (at == std::string::npos) return;
  const size_t begin = at + kLacks.size();
  const size_t end = problem.message.find('\'', begin);
  if (end == std::string::npos) return;
  problem.attribute = problem.message.substr(begin, end - begin);
  problem.message.resize(end + 1);  // what follows speaks of __init__(), which nobody wrote here
}

constexpr std::string_view kSliceOfList =
    "TorchScript cannot write into a slice of a list; make a new list of its parts";

/// Sentences that send people to places where they cannot be helped.
std::string in_our_words(std::string message) {
  constexpr auto kBefore = std::to_array<std::pair<std::string_view, std::string_view>>({
      {"undefined value ", "no such name: "},
      {"cannot call a closure",
       "a function defined in another one cannot be called; make it a method"},
      {"cannot statically infer the expected size of a list",
       "* takes a list whose length is known before the run"},
      {"unexpected starred expansion", "this is no Python expression"},
      {"sliced expression not yet supported for subscripted assignment", kSliceOfList},
      {"cannot emit expr for: (slice", kSliceOfList},
  });
  for (const auto& [theirs, ours] : kBefore) {
    if (!message.starts_with(theirs)) continue;
    const bool whole = ours.back() != ' ';
    return std::string(ours) + (whole ? "" : message.substr(theirs.size()));
  }
  constexpr auto kTokens = std::to_array<std::pair<std::string_view, std::string_view>>({
      {"'string_literal'", "a text"},
      {"'ident'", "a name"},
      {"'indent'", "more indentation"},
      {"'dedent'", "less indentation"},
      {"'newline'", "the end of the line"},
      {"expected ident ", "expected a name "},
      {"expected indent ", "expected a new, indented line "},
      {"expected newline ", "expected the end of the line "},
  });
  for (const auto& [theirs, ours] : kTokens) {
    const size_t at = message.find(theirs);
    if (at != std::string::npos && message.starts_with("expected ")) {
      message.replace(at, theirs.size(), ours);
    }
  }
  for (const std::string_view end : {" here", ". File a bug report"}) {
    if (message.ends_with(end)) message.resize(message.size() - end.size());
  }
  return message;
}

}  // namespace

CompileProblem read_compile_problem(std::string_view what) {
  CompileProblem problem;
  read_place(what, problem);
  const std::string said = without_class_paths(std::string(what.substr(0, what.find(kPlace))));
  problem.message = in_our_words(exception_sentence(said));
  read_attribute(problem);
  if (said.find("have an op for aten::Delete") != said.npos) {
    problem.message = "del takes an element out of a list or a dict, and this is neither";
    problem.statement = "del";
    return problem;
  }
  read_variants(said, problem);
  return problem;
}

std::optional<TextPlace> read_traceback(std::string_view what, std::string_view file) {
  const std::string mark = std::string(kFile) + std::string(file) + "\", line ";
  const size_t at = what.rfind(mark);
  if (at == what.npos) return std::nullopt;
  const TextPlace place = place_at(what.substr(at + mark.size()));
  if (place.line == 0) return std::nullopt;
  return place;
}

}  // namespace mlc
