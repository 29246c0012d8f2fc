#include "mlc/frontend/python_reading.h"

#include "catch.h"

#include <string>
#include <utility>

using namespace mlc::arch;

namespace {

/// STATEMENT with what it needs.
std::string read(std::string statement) {
  const PythonReading reading = read_as_python(statement);
  CHECK_FALSE(reading.twice);
  for (auto one = reading.insertions.rbegin(); one != reading.insertions.rend(); ++one) {
    statement.insert(one->offset, one->text);
  }
  return statement;
}

}  // namespace

TEST_CASE("what binds otherwise in TorchScript gets brackets") {
  const std::pair<const char*, const char*> cases[] = {
      {"y = ~a & b", "y = (~a) & b"},
      {"y = -~a * ~b", "y = -(~a) * ~b"},
      {"y = ~~a + 1", "y = (~(~a)) + 1"},
      {"y = ~a ** 2 in b", "y = (~a ** 2) in b"},
      {"return a or b and c or d", "return a or (b and c) or d"},
      {"if a or not b and c:", "if a or (not b and c):"},
      {"y = 0 < n < 2", "y = (0 < n and n < 2)"},
      {"y = p or 0 < n[0] < -m < 2 and q", "y = p or ((0 < n[0] and n[0] < -m and -m < 2) and q)"},
      {"y = n is None is not None", "y = (n is None and None is not None)"},
      {"y = f(~a & b, k=~a | b)[0 < x.size( 1) < 2]",
       "y = f((~a) & b, k=(~a) | b)[(0 < x.size( 1) and x.size( 1) < 2)]"},
      {"y = [v if c else w for v in ~a | b]", "y = [(v if c else w) for v in (~a) | b]"},
      {"y = (~a  # not a\n  & b)", "y = ((~a)  # not a\n  & b)"},
      {"d[~a & b] += ~a & b", "d[(~a) & b] += (~a) & b"},
  };
  for (const auto& [written, wanted] : cases) CHECK(read(written) == wanted);
}

TEST_CASE("what TorchScript reads as Python does stays as it is") {
  for (const char* const same :
       {"y = ~a", "y = f(~a, ~b) if ~c else ~d", "y = a and b or c", "y = a & ~b",
        "y = -x ** -2 @ z", "y = not a == b", "def f(self, *, a: int = 3) -> Dict[str, Tensor]:",
        "for i, (a, b) in enumerate(zip(x, y)):", "x[..., 1:, ::-1] = 'a < b < c ~d & e'",
        "y = (a < b) < c", "pass", "raise ValueError('~a & b')"}) {
    CHECK(read(same) == same);
  }
}

TEST_CASE("what is no Python stays for the compiler to complain about") {
  for (const char* const bad : {"y = ~a & b)", "y = (~a & b", "y = ~a & b c", "y = ~a & 'b",
                                "y = ~a & $b", "y = lambda: ~a & b", "y = a if ~b & c"}) {
    CHECK(read(bad) == bad);
  }
  CHECK(read(std::string(100'000, '(')).size() == 100'000);
}

TEST_CASE("only what has no effect and no cost is computed twice") {
  CHECK(read_as_python("y = 0 < f(x) < 2").twice == 8);
  CHECK(read_as_python("y = 0 < x.sum() + 1 < 2").twice == 8);
  CHECK(read_as_python("y = 0 < a @ b < 2").twice == 8);
  CHECK_FALSE(read_as_python("y = 0 < f(x) and f(x) < 2").twice);
  CHECK_FALSE(read_as_python("y = f(x) < 2 * len(y) < f(x)").twice);
}
