#include "mlc/engine/match_inputs.h"

#include "catch.h"

using namespace mlc;

namespace {

Signature two_inputs() {
  Signature signature;
  signature.inputs.push_back(
      {"image", "Tensor", true, DType::f32, std::vector<int64_t>{1, 3, 8, 8}, ""});
  signature.inputs.push_back({"scale", "float", false, std::nullopt, std::nullopt, ""});
  return signature;
}

Status match(const std::vector<std::string>& texts) {
  return match_inputs(two_inputs(), *parse_input_specs(texts));
}

}  // namespace

TEST_CASE("inputs that fit") {
  CHECK(match({"image:f32[1,3,8,8]"}).ok());
  CHECK(match({"scale:f64[]", "image:f32[1,3,8,8]"}).ok());
}

TEST_CASE("a missing input is explained with a line that works") {
  const Status status = match({});
  REQUIRE(!status.ok());
  CHECK(status.error().kind() == ErrorKind::usage);
  CHECK(status.error().message() ==
        "input \"image\" is missing. The model takes\n"
        "  image: Tensor, traced with f32[1, 3, 8, 8]\n"
        "  scale: float, may be left out");
  CHECK(status.error().hint() == "as in --input 'image:f32[batch=1,3,8,8]'");
}

TEST_CASE("an unknown input is told together with the missing one") {
  const Status status = match({"imgae:f32[1]"});
  CHECK(status.error().message().starts_with(
      "the model has no input \"imgae\"; input \"image\" is missing."));
  CHECK(status.error().hint().starts_with("did you mean image? as in --input"));
}

TEST_CASE("an error of the run says what the model was traced with") {
  const std::vector<NamedValue> inputs = {{"image", *make_host_tensor(DType::u8, {1, 2}, "ab")}};
  const Error error = explain_run_error(usage_error("sizes differ"), two_inputs(), inputs);
  CHECK(error.hint() ==
        "image is u8[1, 2], the model was traced with f32[1, 3, 8, 8]; try --input "
        "'image:f32[batch=1,3,8,8]'");
}

TEST_CASE("lists, tuples and dictionaries are given by their parts") {
  Signature signature;
  const auto add = [&](const std::string& name, const std::string& type) {
    signature.inputs.push_back({name, type, true, std::nullopt, std::nullopt, ""});
  };
  add("xs", "List[Tensor]");
  add("pair", "Optional[Tuple[Tensor, Tensor]]");
  add("named", "Dict[str, Tensor]");
  add("x", "Tensor");
  const std::vector<std::string> all = {"xs.0:f32[1]", "pair.0:f32[1]", "pair.1:f32[1]",
                                        "named.a.b:f32[1]", "x:f32[1]"};
  CHECK(match_inputs(signature, *parse_input_specs(all)).ok());
  const Status wrong = match_inputs(signature, *parse_input_specs(std::vector{all[0], all[1]}));
  CHECK(wrong.error().message().find("input \"named\" is missing; input \"x\" is missing.") !=
        std::string::npos);
  const std::string example = example_options(signature);
  for (const std::string part : {"'xs.0:", "'pair.0:", "'pair.1:", "'named.KEY:", "'x:"}) {
    CHECK(example.find(part) != std::string::npos);
  }
  const Status part =
      match_inputs(signature, *parse_input_specs(std::vector<std::string>{"x.0:f32[1]"}));
  CHECK(part.error().message().find("no input \"x.0\"") != std::string::npos);
}
