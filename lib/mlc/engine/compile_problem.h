// What the compiler of TorchScript says when it refuses a text, taken apart: where and what.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace mlc {

struct CompileProblem {
  std::string message;    // one sentence in mlc's words, without a full stop
  std::string hint;       // what the function takes instead; may be empty
  std::string attribute;  // that an object does not have; empty for all other problems
  std::string statement;  // where `line` is 0: what the statement begins with; may be empty
  size_t line = 0;        // in the text that was compiled, from 1; 0: it does not say
  size_t column = 1;
};

/// Reads WHAT, the text of the exception.
CompileProblem read_compile_problem(std::string_view what);

/// A place in a text, from 1.
struct TextPlace {
  size_t line = 0;
  size_t column = 1;
};

/// Where a program that runs was when it threw WHAT: of the calls that the traceback lists, the
/// innermost one that lies in FILE. Nothing where none does.
std::optional<TextPlace> read_traceback(std::string_view what, std::string_view file);

}  // namespace mlc
