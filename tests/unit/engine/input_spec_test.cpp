#include "mlc/engine/input_spec.h"

#include "catch.h"

using namespace mlc;

namespace {

InputSpec parsed(std::string_view text) {
  auto spec = parse_input_spec(text);
  INFO(text << ": " << (spec.ok() ? "" : spec.error().text()));
  REQUIRE(spec.ok());
  return std::move(*spec);
}

/// Column, message and hint of the error.
struct Complaint {
  size_t column;
  std::string message;
  std::string hint;
};

Complaint complaint(std::string_view text) {
  const auto spec = parse_input_spec(text);
  INFO(text);
  REQUIRE(!spec.ok());
  CHECK(spec.error().kind() == ErrorKind::usage);
  CHECK(spec.error().file() == "--input");
  const std::string message = spec.error().message();
  CHECK((text.empty() || message.ends_with("^")));
  REQUIRE(message.starts_with("1:"));
  const size_t end = message.find(": ");
  return {std::stoul(message.substr(2)), message.substr(end + 2, message.find('\n') - end - 2),
          spec.error().hint()};
}

}  // namespace

TEST_CASE("fixed sizes") {
  const InputSpec spec = parsed("image:f32[1,3,224,224]");
  CHECK(spec.name == "image");
  CHECK(spec.dtype == DType::f32);
  CHECK(spec.sizes() == std::vector<int64_t>{1, 3, 224, 224});
  CHECK(spec.dims[0].symbol.empty());
  CHECK(!spec.values);
}

TEST_CASE("names that have colons") {
  CHECK(parsed("serving_default_x:0:f32[2]=0..1").name == "serving_default_x:0");
  CHECK(parsed("onnx::MatMul_3:i64[]").dtype == DType::i64);
  const InputSpec spec = parsed("x:0=@folder[1]:a=@b.npy");
  CHECK((spec.name == "x:0" && spec.file == "folder[1]:a=@b.npy"));
  CHECK(complaint("x:0:f33[2]").column == 5);
}

TEST_CASE("named dimensions with examples and bounds") {
  const InputSpec spec = parsed("ids:i64[batch=2,seq=8..512]");
  CHECK(spec.sizes() == std::vector<int64_t>{2, 8});
  CHECK(spec.dims[0] == InputDim{"batch", 2, std::nullopt});
  CHECK(spec.dims[1] == InputDim{"seq", 8, std::pair<int64_t, int64_t>{8, 512}});
}

TEST_CASE("sizes that are computed from names") {
  const std::vector<std::string> texts = {"ids:i64[b=2,s=3]", "mask:i64[b, past + s]=1",
                                          "kv:f32[b=2,past=5..9,8]", "x:f32[2*s-1,past+s=8]"};
  const auto specs = parse_input_specs(texts);
  REQUIRE(specs.ok());
  const InputSpec& mask = (*specs)[1];
  CHECK(mask.sizes() == std::vector<int64_t>{2, 8});
  CHECK(mask.dims[0] == InputDim{"b", 2, std::nullopt});
  CHECK((mask.dims[1].symbol.empty() && mask.dims[1].computed == "past+s"));
  CHECK(to_text(mask) == "mask:i64[b=2,past+s]=1");
  CHECK((*specs)[3].sizes() == std::vector<int64_t>{5, 8});

  std::vector<InputSpec> others = *specs;
  others[0].dims[1].example = 7;
  compute_sizes(others);
  CHECK(others[1].sizes() == std::vector<int64_t>{2, 12});
  CHECK(others[3].sizes() == std::vector<int64_t>{13, 12});
}

TEST_CASE("sizes that cannot be computed") {
  const auto check = [](std::string_view text, size_t column, std::string_view message) {
    const Complaint found = complaint(text);
    INFO(text);
    CHECK(found.column == column);
    CHECK(found.message.starts_with(message));
  };
  check("x:f32[s=3,p+s]", 12, "dimension p needs a size");
  check("x:f32[s=3,s+s=7]", 11, "s+s is 6, not 7");
  check("x:f32[s=3,2-s]", 11, "this is no size: 2-s is -1");
  check("x:f32[s=3,s+]", 11, "this is no size: ");
  check("x:f32[s=3,s//0]", 11, "this is no size: ");
  check("x:f32[s=4294967296,s]", 6, "the sizes are too large");
}

TEST_CASE("every spelling of a type") {
  for (const char* name : {"f32", "fp32", "float32", "torch.float32", "float", "F32"}) {
    CHECK(parsed(std::string("x:") + name + "[2]").dtype == DType::f32);
  }
  CHECK(parsed("x:bool[]").dtype == DType::boolean);
  CHECK(parsed("x:bf16[0]").sizes() == std::vector<int64_t>{0});
  CHECK(parsed("x:c64[2]").dtype == DType::c64);
}

TEST_CASE("names may have dots and dashes") {
  CHECK(parsed("a.b-c/d_1:f32[]").name == "a.b-c/d_1");
}

TEST_CASE("ranges of values") {
  const ValueRange ids = *parsed("ids:i64[2]=0..30521").values;
  CHECK(ids.int_low == 0);
  CHECK(ids.int_high == 30521);
  const ValueRange pixels = *parsed("x:f32[2]=-1.5..2e3").values;
  CHECK(pixels.low == -1.5);
  CHECK(pixels.high == 2000);
  CHECK(parsed("mask:i64[2]=1").values->int_high == 1);
  CHECK(parsed("x:u64[2]=0..9223372036854775807").values->int_high == INT64_MAX);
  CHECK(parsed("x:i8[2]=-128..127").values->int_low == -128);
  CHECK(parsed("x:bool[2]=1").values->int_low == 1);
  CHECK(parsed("x:bool[2]=true").values->int_low == 1);
  CHECK(parsed("x:bool[2]=false..true").values->int_high == 1);
  CHECK(parsed("x:f32[ batch=2 , 3 ]").sizes() == std::vector<int64_t>{2, 3});
}

TEST_CASE("files") {
  const InputSpec spec = parsed("image=@dir/a b:c=d.npy");
  CHECK(spec.name == "image");
  CHECK(spec.file == "dir/a b:c=d.npy");
}

TEST_CASE("errors point at the column") {
  const auto check = [](std::string_view text, size_t column, std::string_view message) {
    const Complaint found = complaint(text);
    INFO(text);
    CHECK(found.column == column);
    CHECK(found.message == message);
    CHECK(!found.hint.empty());
  };
  check("", 1, "the name of the input is missing");
  check(":f32[2]", 1, "the name of the input is missing");
  check("image", 6, "expected : and a type, or =@ and a file");
  check("a b:f32[2]", 2, "a name has no \" \"");
  check("x=2", 3, "expected @ and a file, or : and a type after the name");
  check("x=@", 4, "expected a file after @");
  check("x:", 3, "expected a type");
  check("x:f33[2]", 3, "unknown type \"f33\"");
  check("x:qi8[2]", 3, "an input cannot be qi8");
  check("x:f32", 6, "expected [ and the sizes");
  check("x:f32[", 7, "expected a size");
  check("x:f32[2", 8, "expected , or ]");
  check("x:f32[2,]", 9, "expected a size");
  check("x:f32[-1]", 7, "a size is not negative");
  check("x:f32[2;3]", 8, "expected , or ]");
  check("x:f32[99999999999999999999]", 7, "the size is too large");
  check("x:f32[4294967296,4294967296]", 6, "the sizes are too large");
  check("x:f32[n]", 8, "dimension n needs a size");
  check("x:f32[n=]", 9, "expected a size");
  check("x:f32[n=8..2]", 10, "the bounds are the wrong way round");
  check("x:f32[1..8]", 7, "a dimension that varies needs a name");
  check("x:f32[2]y", 9, "expected the end, or = and the values");
  check("x:f32[2]=", 10, "expected a number");
  check("x:f32[2]=1..", 13, "expected a number");
  check("x:f32[2]=nan", 10, "expected a finite number");
  check("x:f32[2]=1e39", 10, "1e+39 is beyond what f32 holds");
  check("x:f16[2]=0..7e4", 13, "70000 is beyond what f16 holds");
  check("x:f32[2]=2..1", 10, "the values are the wrong way round");
  check("x:i64[2]=0.5", 10, "expected a whole number");
  check("x:i8[2]=0..128", 9, "i8 holds -128 to 127");
  check("x:u8[2]=-1..5", 9, "u8 holds 0 to 255");
  check("x:bool[2]=0..2", 11, "bool holds 0 to 1");
  check("x:i64[2]=true", 10, "expected a whole number");
  check("x:c64[2]=0..2", 10, "complex inputs have no range of values");
}

TEST_CASE("a type that is nearly right is suggested") {
  CHECK(complaint("x:flaot32[2]").hint == "did you mean float32?");
}

TEST_CASE("too many dimensions are an error, not a crash") {
  std::string text = "x:f32[1";
  for (int i = 0; i < 64; ++i) text += ",1";
  CHECK(complaint(text + "]").message == "a tensor has at most 64 dimensions");
}

TEST_CASE("inputs of one call fit together") {
  const std::vector<std::string> good = {"a:f32[n=2,3]", "b:i64[n=2]", "c=@x.npy"};
  REQUIRE(parse_input_specs(good).ok());
  const std::vector<std::string> twice = {"a:f32[2]", "a=@x.npy"};
  CHECK(parse_input_specs(twice).error().message() == "input \"a\" is given twice");
  const std::vector<std::string> sizes = {"a:f32[n=2]", "b:i64[n=3]"};
  CHECK(parse_input_specs(sizes).error().message() == "dimension n is 2 in \"a\" and 3 in \"b\"");
}

TEST_CASE("text and back") {
  for (const char* text :
       {"image:f32[batch=2,3,h=224,w=224]", "ids:i64[batch=2,seq=8..512]=0..30521", "x:bool[]",
        "m:i64[2]=1", "x:f64[2]=-0.1..1e-07", "image=@sample.npy", "x:c128[1]"}) {
    CHECK(to_text(parsed(text)) == text);
    CHECK(parsed(to_text(parsed(text))) == parsed(text));
  }
}

TEST_CASE("a dimension may be called as a function of sizes is") {
  for (const char* text : {"x:f32[min=3]", "x:f32[trunc=3,max=4]"}) {
    const auto spec = mlc::parse_input_spec(text);
    REQUIRE(spec.ok());
    CHECK(mlc::to_text(*spec) == text);
  }
}
