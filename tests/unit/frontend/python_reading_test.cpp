#include "mlc/frontend/python_reading.h"

#include "catch.h"

#include <string>
#include <string_view>
#include <utility>

using namespace mlc::arch;

namespace {

/// Where STATEMENT would compute something twice that must not be.
size_t twice(std::string_view statement, ComputedTwice::What what) {
  const PythonReading reading = read_as_python(statement);
  REQUIRE(reading.twice);
  CHECK(reading.twice->what == what);
  return reading.twice->offset;
}

/// STATEMENT with what it needs.
std::string read(std::string statement) {
  const PythonReading reading = read_as_python(statement);
  CHECK_FALSE(reading.twice);
  for (auto one = reading.changes.rbegin(); one != reading.changes.rend(); ++one) {
    statement.replace(one->offset, one->replaces, one->text);
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
      {"if a or b and c or d:", "if a or (b and c) or d:"},
      {"if a or not b and c:", "if a or (not b and c):"},
      {"y = 0 < n < 2", "y = (0 < n and n < 2)"},
      {"y = p or 0 < n[0] < -m < 2 and q",
       "y = __flag__(p) or ((0 < n[0] and n[0] < -m and -m < 2) and __flag__(q))"},
      {"y = n is None is not None", "y = (n is None and None is not None)"},
      {"y = f(~a & b, k=~a | b)[0 < x.size( 1) < 2]",
       "y = f((~a) & b, k=(~a) | b)[(0 < x.size( 1) and x.size( 1) < 2)]"},
      {"y = [v if c else w for v in ~a | b]", "y = [(v if c else w) for v in (~a) | b]"},
      {"y = (~a  # not a\n  & b)", "y = ((~a)  # not a\n  & b)"},
      {"d[~a & b] += ~a & b", "d[(~a) & b] += (~a) & b"},
  };
  for (const auto& [written, wanted] : cases) CHECK(read(written) == wanted);
}

TEST_CASE("values of and, or are marked where they are used as values") {
  const std::pair<const char*, const char*> cases[] = {
      {"k = a or 8", "k = __flag__(a) or __flag__(8)"},
      {"return a or b < c and d", "return __flag__(a) or (b < c and __flag__(d))"},
      {"f((a and (not b or c)), k=(a if b or c else d) or e)",
       "f((__flag__(a) and (not b or __flag__(c))), k=__flag__((a if b or c else d)) or "
       "__flag__(e))"},
      {"while (a or b) and c:", "while (a or b) and c:"},
      {"assert a or b, c or d", "assert a or b, __flag__(c) or __flag__(d)"},
      {"y = not (a or b)", "y = not (a or b)"},
      {"y = bool(a or b) + (a or b)", "y = bool(a or b) + (__flag__(a) or __flag__(b))"},
      {"y = 1 if a or b else (c or d).e", "y = 1 if a or b else (__flag__(c) or __flag__(d)).e"},
      {"y = x.any() or p is None or True", "y = x.any() or p is None or True"},
      {"y = (~a & b) or c", "y = __flag__(((~a) & b)) or __flag__(c)"},
  };
  for (const auto& [written, wanted] : cases) CHECK(read(written) == wanted);
}

TEST_CASE("assignments that TorchScript computes otherwise become calls") {
  const std::pair<const char*, const char*> cases[] = {
      {"n %= 3", "n = __imod__(n, 3)"},
      {"x[ 0, 1:]**=a if b else c  # d", "x[ 0, 1:]= __ipow__(x[ 0, 1:],a if b else c)  # d"},
      {"self.w &= ~a | b", "self.w = __iand__(self.w, (~a) | b)"},
      {"x[a > 0] @= (y +\n  1)", "x[a > 0] = __imatmul__(x[a > 0], (y +\n  1))"},
      {"y = ~x[0].bool() & f(a.b.bfloat16())",
       "y = (~x[0].to(torch.bool)) & f(a.b.to(torch.bfloat16))"},
      {"y = x / x.norm(dim=-1, keepdim=True)", "y = x / x.norm(2, dim=-1, keepdim=True)"},
      {"y = self.w.norm(keepdim=True, dim=1)", "y = self.w.norm(2, keepdim=True, dim=1)"},
      {"d['a'] += 1", "d['a'] = __iadd__(d['a'], 1)"},
      {"x[0] += 1", "x[0] += 1"},
      {"x = f(a == 1)", "x = f(a == 1)"},
      {"x %=", "x %="},
  };
  for (const auto& [written, wanted] : cases) CHECK(read(written) == wanted);
}

TEST_CASE("what TorchScript reads as Python does stays as it is") {
  for (const char* const same :
       {"y = ~a", "y = f(~a, ~b) if ~c else ~d", "if a and b or c:", "y = a & ~b",
        "y = -x ** -2 @ z", "y = not a == b", "def f(self, *, a: int = 3) -> Dict[str, Tensor]:",
        "for i, (a, b) in enumerate(zip(x, y)):", "x[..., 1:, ::-1] = 'a < b < c ~d & e'",
        "y = (a < b) < c", "pass", "y = f(bool(x), x.bool)", "y = x.bool(memory)",
        "y = x.norm() + self.norm(x) + x.norm(dim=1, p=1)",
        "y = self.norm(dim=1) + torch.norm(dim=1, input=x) + self.a.norm(dim=1, x=x)",
        "raise ValueError('~a & b')"}) {
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
  for (const char* const one :
       {"y = 0 < f(x) < 2", "y = 0 < x.sum() + 1 < 2", "y = 0 < a @ b < 2"}) {
    CHECK(twice(one, ComputedTwice::What::middle) == 8);
  }
  CHECK(twice("x[f(y)] **= 2", ComputedTwice::What::target) == 0);
  CHECK_FALSE(read_as_python("y = 0 < f(x) and f(x) < 2").twice);
  CHECK_FALSE(read_as_python("y = f(x) < 2 * len(y) < f(x)").twice);
}
