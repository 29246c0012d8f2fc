#include "mlc/engine/compile_problem.h"

#include "catch.h"

using mlc::read_compile_problem;

TEST_CASE("a compile problem has line and column of the mark") {
  const auto problem = read_compile_problem(
      "\nundefined value foo:\n  File \"<string>\", line 3\ndef forward(x):\n    y = x\n    return "
      "foo(y) + 1\n           ~~~ <--- HERE\n");
  CHECK(problem.message == "no such name: foo");
  CHECK(problem.line == 3);
  CHECK(problem.column == 12);
  CHECK(problem.hint.empty());
}

TEST_CASE("a call that fits no variant says why and how it is called") {
  const auto problem = read_compile_problem(
      "\nArguments for call are not valid.\nThe following variants are available:\n  \n  "
      "aten::relu(Tensor self) -> Tensor:\n  Expected at most 1 arguments but found 3 positional "
      "arguments.\n  \n  aten::relu.out(Tensor self, *, Tensor(a!) out) -> Tensor(a!):\n  Argument "
      "out not provided.\n\nThe original call is:\n  File \"<string>\", line 2\ndef forward(x):\n  "
      " "
      " return torch.relu(x, 1, 2)\n           ~~~~~~~~~~ <--- HERE\n");
  CHECK(problem.message ==
        "the arguments do not fit: expected at most 1 arguments but found 3 positional arguments");
  CHECK(problem.hint == "it is called as relu(Tensor self) -> Tensor");
  CHECK(problem.line == 2);
  CHECK(problem.column == 12);
}

TEST_CASE("an integer where a float belongs is told how to be one") {
  const auto problem = read_compile_problem(
      "\npad(Tensor input, int[] pad, float? value=None) -> Tensor:\nExpected a value of type "
      "'Optional[float]' for argument 'value' but instead found type 'int'.\n:\n  File "
      "\"<string>\", "
      "line 2\n  return F.pad(x, [1], 3)\n         ~~~~~ <--- HERE\n");
  CHECK(problem.hint ==
        "write floats with a point, 3.0 for 3; it is called as pad(Tensor input, int[] pad, float? "
        "value=None) -> Tensor");
}

TEST_CASE("a missing attribute is named without class paths") {
  const auto problem = read_compile_problem(
      "\n'__torch__.mlc.___torch_mangle_3.Block (of Python compilation unit at: 0x5649)' object "
      "has "
      "no attribute or method 'convv'. Did you forget to initialize an attribute in __init__()?:\n "
      " "
      "File \"<string>\", line 2\n  return self.convv(x)\n         ~~~~~~~~~~ <--- HERE\n");
  CHECK(problem.message == "'Block' object has no attribute or method 'convv'");
  CHECK(problem.attribute == "convv");
  CHECK(problem.column == 10);
}

TEST_CASE("a tensor without annotation is a tensor") {
  const auto problem = read_compile_problem(
      "\n'Tensor (inferred)' object has no attribute or method 'viwe'.:\n  File \"<string>\", line "
      "2\n  return x.viwe(1)\n         ~~~~~~ <--- HERE\n");
  CHECK(problem.message == "'Tensor' object has no attribute or method 'viwe'");
  CHECK(problem.attribute == "viwe");
}

TEST_CASE("a mark over several lines counts from the first") {
  const auto problem = read_compile_problem(
      "\n\nz is not defined in the false branch:\n  File \"<string>\", line 2\ndef forward(x):\n  "
      "if "
      "bool(x.sum()):\n  ~~~~~~~~~~~~~~~~~\n    z = x\n    ~~~~~\n  return z\n  ~~~~~~ <--- "
      "HERE\nand was used here:\n  File \"<string>\", line 4\n  return z\n         ~ <--- HERE\n");
  CHECK(problem.message == "z is not defined in the false branch");
  CHECK(problem.line == 2);
  CHECK(problem.column == 3);
}

TEST_CASE("a text without a place is a problem of the whole") {
  const auto problem = read_compile_problem("something else");
  CHECK(problem.message == "something else");
  CHECK(problem.line == 0);
}

TEST_CASE("a traceback tells the innermost call in a file") {
  const std::string_view what =
      "The following operation failed in the TorchScript interpreter.\nTraceback of TorchScript, "
      "serialized code (most recent call last):\n  File \"<string>\", line 3, in forward\n    y = "
      "x\n    ~~ <--- HERE\n\nTraceback of TorchScript, original code (most recent call last):\n  "
      "File \"a.yaml\", line 7, in forward\n  def forward(self, x):\n      return self.half(x)\n   "
      "  "
      "        ~~~~~~~~~ <--- HERE\n  File \"a.yaml\", line 12, in half\n      return y.view(4)\n  "
      "  "
      "         ~~~~~~ <--- HERE\n  File \"<string>\", line 2, in other\n    x\n    ~ <--- "
      "HERE\nRuntimeError: shape '[4]' is invalid\n";
  const auto place = mlc::read_traceback(what, "a.yaml");
  REQUIRE(place);
  CHECK(place->line == 12);
  CHECK(place->column == 14);
  CHECK_FALSE(mlc::read_traceback(what, "b.yaml"));
  CHECK_FALSE(mlc::read_traceback("Traceback of File \"a.yaml\", line x", "a.yaml"));
}
