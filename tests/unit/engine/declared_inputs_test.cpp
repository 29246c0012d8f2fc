#include "mlc/engine/declared_inputs.h"

#include "catch.h"

using namespace mlc;

namespace {

arch::Architecture with_inputs(const std::string& inputs) {
  auto made = arch::Architecture::parse("mlc: architecture/1\ninputs: " + inputs +
                                            "\nmodules: {}\nforward: |\n  def forward(self, x):\n"
                                            "    return x\n",
                                        "a.yaml");
  REQUIRE(made.ok());
  return std::move(*made);
}

NamedValue value(const std::string& name, DType dtype, std::vector<int64_t> sizes) {
  uint64_t bytes = element_bytes(dtype);
  for (const int64_t size : sizes) bytes *= static_cast<uint64_t>(size);
  auto tensor = make_host_tensor(dtype, std::move(sizes), std::string(bytes, '\0'));
  REQUIRE(tensor.ok());
  return {name, std::move(*tensor)};
}

std::string complaint(const std::string& inputs, const std::vector<NamedValue>& values,
                      bool cast = false) {
  const auto declared = read_declared_inputs(with_inputs(inputs));
  REQUIRE(declared.ok());
  const Status status = check_declared(declared->specs, values, cast);
  return status.ok() ? "" : status.error().message();
}

}  // namespace

TEST_CASE("declared inputs are read in their order") {
  const auto declared = read_declared_inputs(
      with_inputs(R"(["ids:i64[batch=2,seq=8..512]=0..99", "mask:f32[seq=8]"])"));
  REQUIRE(declared.ok());
  REQUIRE(declared->for_engine.size() == 2);
  CHECK(declared->for_engine[0].name == "ids");
  CHECK(declared->for_engine[0].sizes == std::vector<int64_t>{2, 8});
  CHECK(declared->for_engine[0].text == "i64[batch=2,seq=8..512]=0..99");
}

TEST_CASE("a declared input that cannot be read points at its place") {
  const auto declared = read_declared_inputs(with_inputs(R"(["x:f32[2", "y:f32[2]"])"));
  REQUIRE(!declared.ok());
  CHECK(declared.error().message().starts_with("2:18: expected , or ]\n  inputs: "));
}

TEST_CASE("a declared input is no file") {
  CHECK(!read_declared_inputs(with_inputs(R"(["x=@x.npy"])")).ok());
}

TEST_CASE("values are compared with what is declared") {
  const std::string inputs = R"(["a:f32[batch=1..4,3]", "b:i64[batch=1..4]"])";
  CHECK(complaint(inputs, {value("a", DType::f32, {2, 3}), value("b", DType::i64, {2})}).empty());
  CHECK(complaint(inputs, {value("other", DType::u8, {9})}).empty());
  CHECK(complaint(inputs, {value("a", DType::f32, {5, 3})}) ==
        "input \"a\" is f32[5, 3], dimension 0: batch must be 1 to 4");
  CHECK(complaint(inputs, {value("a", DType::f32, {2, 3}), value("b", DType::i64, {3})}) ==
        "input \"b\" is i64[3], dimension 0: batch is 2 in a");
  CHECK(complaint(inputs, {value("a", DType::f64, {2, 3})}) ==
        "input \"a\" is f64[2, 3], must be of type f32");
  CHECK(complaint(inputs, {value("a", DType::f64, {2, 3})}, true).empty());
  CHECK(complaint(inputs, {value("b", DType::i64, {2, 1})}) ==
        "input \"b\" is i64[2, 1], must have 1 dimension");
}

TEST_CASE("sizes that vary are compared with what is declared") {
  const auto declared =
      read_declared_inputs(with_inputs(R"(["a:f32[batch=1..4,seq=2..9,3]", "b:i64[batch=1..4]"])"));
  REQUIRE(declared.ok());
  const auto said = [&](const std::vector<std::string>& texts) {
    const Status status = check_varying(*parse_input_specs(texts), declared->specs);
    return status.ok() ? "" : status.error().message();
  };
  CHECK(said({"a:f32[n=2,s=2..9,3]", "b:i64[n=2]"}).empty());
  CHECK(said({"a:f32[2,5,3]", "b:i64[2]", "c:f32[m=1..99]"}).empty());
  CHECK(said({"a:f32[n=1..5,s=1..9,3]"}) ==
        "input \"a\": dimension 0 may be batch=1..4, not n=1..5; "
        "input \"a\": dimension 1 may be seq=2..9, not s=1..9");
  CHECK(said({"a:f32[2,5,d=3]"}) == "input \"a\": dimension 2 must be 3 and cannot vary");
  CHECK(said({"a:f32[n=2,5,3]", "b:i64[m=2]"}) ==
        "input \"b\": dimension 0 is the size that is called n elsewhere, batch");
}

TEST_CASE("named sizes get the bounds that are declared at their place") {
  const auto declared = read_declared_inputs(with_inputs(R"(["a:f32[batch=1..4,3]"])"));
  REQUIRE(declared.ok());
  const std::vector<std::string> texts = {"a:f32[n=2,3]", "b:f32[m=2]"};
  auto given = parse_input_specs(texts);
  REQUIRE(given.ok());
  const auto specs = with_declared_bounds(*given, declared->specs);
  CHECK(specs[0].dims[0].bounds == std::pair<int64_t, int64_t>(1, 4));
  CHECK(specs[0].dims[0].example == 2);
  CHECK(!specs[0].dims[1].bounds);
  CHECK(!specs[1].dims[0].bounds);
}
