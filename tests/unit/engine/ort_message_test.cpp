#include "mlc/engine/ort_message.h"

#include "catch.h"
#include "mlc/engine/onnxruntime_library.h"
#include "mlc/engine/symbol_names.h"

using namespace mlc;

// Messages of ONNX Runtime 1.31, as the C API gives them.

TEST_CASE("positions, signatures and conditions are taken off") {
  CHECK(ort_sentence("Non-zero status code returned while running Add node. Name:'/add' Status "
                     "Message: /onnxruntime_src/onnxruntime/core/providers/cpu/math/"
                     "element_wise_ops.h:563 void onnxruntime::BroadcastIterator::Init(ptrdiff_t, "
                     "ptrdiff_t) axis == 1 || axis == largest was false. Attempting to broadcast "
                     "an axis by a dimension other than 1. 2 by 3\n") ==
        "attempting to broadcast an axis by a dimension other than 1. 2 by 3");
  CHECK(ort_sentence("/a/b.cc:12 T onnxruntime::f(const std::pair<int (*)(int), T>&) const [with T "
                     "= float] Something broke") == "something broke");
  CHECK(ort_sentence("Status Message: matmul_helper.h:59 Compute MatMul dimension mismatch") ==
        "MatMul dimension mismatch");
  CHECK(ort_sentence("") == "unknown reason");
}

TEST_CASE("what this ONNX Runtime lacks is unsupported, in words of mlc") {
  const auto load = [](const char* text) { return error_of_ort_load(OrtCode::fail, text); };
  const Error ir = load(
      "Load model from m.onnx failed:/s/model.cc:256 onnxruntime::Model::Model(onnx::ModelProto&&, "
      "const onnxruntime::PathString&) Unsupported model IR version: 99, max supported IR version: "
      "13\n");
  CHECK(ir.kind() == ErrorKind::unsupported);
  CHECK(ir.message() == "its IR version is 99, and this ONNX Runtime reads 13 at most");
  const Error opset = load(
      "Load model from m.onnx failed:/s/model_load_utils.h:46 void f(int) ONNX Runtime only "
      "*guarantees* support for models stamped with official released onnx opset versions. Opset "
      "99 "
      "is under development and support for this is limited. Current official support for domain "
      "ai.onnx is till opset 26.");
  CHECK(opset.kind() == ErrorKind::unsupported);
  CHECK(opset.message() == "it is for opset 99 of ai.onnx, and this ONNX Runtime has 26 at most");
  CHECK(load("Load model from m.onnx failed:Fatal error: com.x:Foo(-1) is not a registered "
             "function/op")
            .message() == "ONNX Runtime has no operator com.x:Foo");
  CHECK(
      load("This is an invalid model. In Node, (\"n1\", Foo, \"\", -1) : , Error No Op registered "
           "for Foo with domain_version of 17")
          .message() == "ONNX Runtime has no operator Foo at opset 17");
  CHECK(load("Could not find an implementation for Add(14) node with name 'n1'").message() ==
        "ONNX Runtime has no implementation of Add(14) for the types of node \"n1\"");
}

TEST_CASE("everything else about a file is damage") {
  CHECK(error_of_ort_load(OrtCode::invalid_protobuf, "Protobuf parsing failed.").kind() ==
        ErrorKind::corrupt);
  const Error error = error_of_ort_load(
      OrtCode::fail,
      "Load model from m.onnx failed:Type Error: Type parameter (T) of Optype (Add) "
      "bound to different types (tensor(float) and tensor(int64) in node (/add).");
  CHECK(error.kind() == ErrorKind::corrupt);
  CHECK(error.message().starts_with("ONNX Runtime refuses it: type"));
}

TEST_CASE("a failing run names its node") {
  const Error error = error_of_ort_run(
      OrtCode::invalid_argument,
      "Non-zero status code returned while running Gather node. Name:'g' Status Message: indices "
      "element out of data bounds, idx=5 must be within the inclusive range [-2,1]");
  CHECK(error.kind() == ErrorKind::usage);
  CHECK(error.message() ==
        "node g (Gather): indices element out of data bounds, idx=5 must be within the inclusive "
        "range [-2,1]");
}

TEST_CASE("memory that does not suffice is no fault of the inputs") {
  const Error error = error_of_ort_run(
      OrtCode::fail,
      "Non-zero status code returned while running ConstantOfShape node. Name:'cs' Status Message: "
      "/s/bfc_arena.cc:360 void* f(size_t, bool) Failed to allocate memory for requested buffer of "
      "size 400000000000000\n");
  CHECK(error.kind() == ErrorKind::read_failed);
  CHECK(error.message() ==
        "not enough memory: node cs (ConstantOfShape): it asks for 400000000000000 bytes");
}

TEST_CASE("versions of ONNX Runtime tell its interface") {
  CHECK(onnxruntime_interface("1.31.1") == 31U);
  CHECK(onnxruntime_interface("1.9") == 9U);
  for (const char* text : {"", "2.0.0", "1.", "1.x", "1.3x"}) CHECK(!onnxruntime_interface(text));
}

TEST_CASE("names of sizes fit the grammar and stay apart") {
  SymbolNames names;
  CHECK(names.of("batch") == "batch");
  CHECK(names.of("past + 1") == "past___1");
  CHECK(names.of("past - 1") == "past___1_");
  CHECK(names.of("past + 1") == "past___1");
  CHECK(names.of("0") == "d0");
  CHECK(names.of("") == "d");
}
