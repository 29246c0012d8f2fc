#include "mlc/engine/exception_text.h"

#include "catch.h"
#include "mlc/engine/cast_error.h"

using namespace mlc;

TEST_CASE("the end of a TorchScript traceback is what counts") {
  CHECK(exception_sentence(
            "The following operation failed in the TorchScript interpreter.\n"
            "Traceback of TorchScript, serialized code (most recent call last):\n"
            "  File \"code/__torch__/torch/nn/modules/linear.py\", line 12, in forward\n"
            "    weight = self.weight\n"
            "    _0 = torch.linear(input, weight, bias)\n"
            "         ~~~~~~~~~~~~ <--- HERE\n"
            "    return _0\n\n"
            "Traceback of TorchScript, original code (most recent call last):\n"
            "/somewhere/linear.py(134): forward\n"
            "RuntimeError: mat1 and mat2 shapes cannot be multiplied (2x5 and 3x4)\n") ==
        "mat1 and mat2 shapes cannot be multiplied (2x5 and 3x4)");
}

TEST_CASE("stack frames and C++ symbols are left out") {
  CHECK(exception_sentence("Expected 4D input\nException raised from f at /a/b.cpp:3 (most recent "
                           "call first):\nframe #0: c10::Error::Error(c10::SourceLocation)\n") ==
        "expected 4D input");
  CHECK(exception_sentence("no such thing (function operator())") == "no such thing");
  CHECK(exception_sentence("size mismatch at ../aten/src/ATen/x.cpp:12") == "size mismatch");
}

TEST_CASE("checks inside the library become sentences") {
  CHECK(exception_sentence("[enforce fail at alloc_cpu.cpp:119] err == 0. DefaultCPUAllocator: "
                           "can't allocate memory: you tried to allocate 4000 bytes. Error code 12 "
                           "(Cannot allocate memory)") == "4.0 kB were asked for at once");
  CHECK(exception_sentence("[enforce fail at x.cpp:119] err == 0. others: no room here.") ==
        "others: no room here");
  CHECK(exception_sentence("x INTERNAL ASSERT FAILED at \"/b.cpp\":12, please report a bug to "
                           "PyTorch. Unknown type bool") == "unknown type bool");
  CHECK(exception_sentence("x INTERNAL ASSERT FAILED at \"/b.cpp\":12, please report a bug to "
                           "PyTorch.") == "an internal check of LibTorch failed");
}

TEST_CASE("empty and hostile texts") {
  CHECK(exception_sentence("") == "unknown reason");
  CHECK(exception_sentence("\n~~~\n  \n") == "unknown reason");
  CHECK(exception_sentence("a\x1b[31mb") == "a\\x1b[31mb");
  CHECK(exception_sentence(std::string(5000, 'x')).size() <= 300);
}

TEST_CASE("the kind follows from the text") {
  CHECK(error_of_exception_text("can't allocate memory: 1", ErrorKind::usage).kind() ==
        ErrorKind::read_failed);
  CHECK(error_of_exception_text("\"conv\" not implemented for 'Half'", ErrorKind::usage).kind() ==
        ErrorKind::unsupported);
  CHECK(error_of_exception_text("shapes", ErrorKind::usage).kind() == ErrorKind::usage);
}

TEST_CASE("types have the names that mlc has for them") {
  CHECK(exception_sentence("Input type (float) and bias type (c10::BFloat16) should be the same") ==
        "input type (f32) and bias type (bf16) should be the same");
  CHECK(exception_sentence("mat1 and mat2 must have the same dtype, but got Double and Half") ==
        "mat1 and mat2 must have the same dtype, but got f64 and f16");
  CHECK(exception_sentence("torch.FloatTensor, Floats, aHalf, ComplexFloat") ==
        "torch.FloatTensor, Floats, aHalf, c64");
  CHECK(exception_sentence("torch.foo.BarError: no Half") == "no Half");
}

TEST_CASE("a run that --dtype has broken names --dtype", "[regression]") {
  const Error types = of_cast_model(usage_error("but got f32 and bf16"), DType::bf16);
  CHECK(types.kind() == ErrorKind::unsupported);
  CHECK(types.message().find("--dtype") != std::string::npos);
  CHECK(of_cast_model(usage_error("shapes 2x3 and 4x5"), DType::bf16).kind() == ErrorKind::usage);
}

TEST_CASE("what a model raises is told in its words, whatever they mention") {
  const Error error = error_of_exception_text(
      "Traceback of TorchScript, serialized code (most recent call last):\n"
      "    _0 = \"Could not run 'x', std::bad_alloc\"\n"
      "builtins.ValueError: not implemented for 'you', out of memory\n",
      ErrorKind::usage);
  CHECK(error.kind() == ErrorKind::usage);
  CHECK(error.text() == "the model itself raises: not implemented for 'you', out of memory");
  CHECK(error_of_exception_text("    _0 = \"out of memory\"\nRuntimeError: shapes\n",
                                ErrorKind::usage)
            .kind() == ErrorKind::usage);
}

TEST_CASE("a device that the code names is told without advice for others") {
  const Error error = error_of_exception_text(
      "RuntimeError: Could not run 'aten::empty.memory_format' with arguments from the 'CUDA' "
      "backend. This could be because the operator doesn't exist for this backend. If you are a "
      "Facebook employee",
      ErrorKind::usage);
  CHECK(error.kind() == ErrorKind::unsupported);
  CHECK(error.text() == "the model creates tensors on cuda, where this LibTorch cannot run it");
  CHECK(error_of_exception_text("Could not run 'aten::nms' with arguments from the 'SparseCPU' "
                                "backend. This could be",
                                ErrorKind::usage)
            .text() == "LibTorch has no aten::nms for SparseCPU tensors");
}

TEST_CASE("advice for Python's users and code of the library are left out", "[regression]") {
  CHECK(exception_sentence(
            "RuntimeError: Expected static_cast<int64_t>(scale_factors->size()) == "
            "spatial_dimensions to be true, but got false.  (Could this error message be improved? "
            " If so, please report an enhancement request to PyTorch.)") ==
        "the input has a number of dimensions that this way to resample does not take");
  CHECK(exception_sentence("Expected a == b to be true, but got false.  (Could this error message "
                           "be improved?  If so, please report it.)") ==
        "expected a == b to be true, but got false");
  CHECK(exception_sentence(
            "could not create a primitive descriptor for the convolution forward propagation "
            "primitive. Run workload with environment variable ONEDNN_VERBOSE=all to get") ==
        "there is no convolution of these sizes and types on this processor");
}

TEST_CASE("types of tensors have our names too", "[regression]") {
  CHECK(exception_sentence("scalar types: Long, Int; but got CPUFloatType instead") ==
        "scalar types: i64, i32; but got f32 instead");
  CHECK(exception_sentence("got CUDABFloat16Type") == "got bf16");
  CHECK(exception_sentence("got CPUType, aCPULongType and CPUQInt8Type") ==
        "got CPUType, aCPULongType and QInt8");
}

TEST_CASE("a reason on the line that follows is told", "[regression]") {
  CHECK(exception_sentence("RuntimeError: unflatten got an unexpected error:\n"
                           "only one dimension can be inferred\n"
                           "Exception raised from x\n") ==
        "unflatten: only one dimension can be inferred");
  CHECK(exception_sentence("no reason:\n\nException raised from x\nframe #0\n") == "no reason");
}

TEST_CASE("an address of the compilation unit reached the user", "[regression]") {
  CHECK(exception_sentence("'__torch__.mlc.Conv2d (of Python compilation unit at: 0x563d428c4a20)' "
                           "object has no attribute or method 'forward'. Did you forget to "
                           "initialize an attribute in __init__()?:\ndef __call__(self):\n") ==
        "'__torch__.mlc.Conv2d' object has no attribute or method 'forward'");
}
