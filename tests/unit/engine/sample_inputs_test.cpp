#include "mlc/engine/sample_inputs.h"

#include "catch.h"
#include "mlc/container/crc32.h"
#include "mlc/engine/random_source.h"
#include "mlc/engine/save_outputs.h"
#include "mlc/tensor/npy.h"
#include "mlc/tensor/stats.h"

#include <cstdio>
#include <filesystem>
#include <fstream>

using namespace mlc;

namespace {

HostTensor sample(const std::string& text, uint64_t seed = 0) {
  const std::vector<std::string> texts = {text};
  const auto specs = parse_input_specs(texts);
  REQUIRE(specs.ok());
  auto values = sample_inputs(*specs, seed, null_reporter());
  INFO(text << ": " << (values.ok() ? "" : values.error().text()));
  REQUIRE(values.ok());
  return values->front().tensor;
}

TensorStats stats(const HostTensor& tensor) {
  return *tensor_stats(tensor.view(), 1);
}

std::string temporary(const std::string& name) {
  const auto folder = std::filesystem::temp_directory_path() / "mlc_sample_inputs_test";
  std::filesystem::create_directories(folder);
  return folder / name;
}

}  // namespace

// The bytes are a promise: a seed in a report or a bug gives the same inputs everywhere. The sums
// are those of the same definitions written in Python with whole numbers and fractions.
TEST_CASE("the same seed gives the same bytes, for ever") {
  CHECK(mlc::crc32(as_bytes(*sample("x:f32[1000]", 1).bytes)) == 0x5930632eU);
  CHECK(mlc::crc32(as_bytes(*sample("x:i64[1000]=-5..1000000000000", 1).bytes)) == 0x770666e6U);
  CHECK(mlc::crc32(as_bytes(*sample("x:bf16[1000]=-1..1", 1).bytes)) == 0xa8413cbcU);
  CHECK(mlc::crc32(as_bytes(*sample("x:bool[1000]", 1).bytes)) == 0x9a575aa5U);
}

TEST_CASE("seeds and names give different values") {
  CHECK(*sample("x:f32[8]", 1).bytes != *sample("x:f32[8]", 2).bytes);
  CHECK(*sample("x:f32[8]", 1).bytes != *sample("y:f32[8]", 1).bytes);
  CHECK(*sample("x:f32[8]", 1).bytes == *sample("x:f32[2,n=4]", 1).bytes);
}

TEST_CASE("floating values are near to normal") {
  const TensorStats values = stats(sample("x:f32[100000]"));
  CHECK(std::abs(*values.mean) < 0.02);
  CHECK(std::abs(*values.std - 1) < 0.02);
  CHECK(*values.max < 7);
  CHECK(*values.max > 3);
}

TEST_CASE("values stay in their range and reach its ends") {
  const TensorStats ids = stats(sample("x:i64[10000]=-3..12"));
  CHECK(*ids.min == -3);
  CHECK(*ids.max == 12);
  const TensorStats pixels = stats(sample("x:f32[10000]=2..3"));
  CHECK(*pixels.min >= 2);
  CHECK(*pixels.max <= 3);
  CHECK(std::abs(*pixels.mean - 2.5) < 0.02);
  const TensorStats ones = stats(sample("x:f16[100]=1"));
  CHECK(*ones.min == 1);
  CHECK(*ones.max == 1);
}

TEST_CASE("defaults of every kind of integer") {
  CHECK(*stats(sample("x:i32[1000]")).max == 9);
  CHECK(*stats(sample("x:i32[1000]")).min == 0);
  CHECK(*stats(sample("x:u8[10000]")).max == 255);
  CHECK(*stats(sample("x:i8[10000]")).min == -128);
  CHECK(*stats(sample("x:bool[1000]")).max == 1);
  CHECK(stats(sample("x:bool[1000]")).zeros > 400);
}

TEST_CASE("every type that an input can have") {
  for (const char* dtype : {"bool", "u8", "i8", "i16", "u16", "i32", "u32", "i64", "u64", "f16",
                            "bf16", "f32", "f64", "f8_e4m3fn", "f8_e5m2", "c32", "c64", "c128"}) {
    CHECK(sample(std::string("x:") + dtype + "[3,2]").view().count() == 6);
  }
  CHECK(sample("x:f32[0,3]").bytes->empty());
}

TEST_CASE("the whole range of 64 bits does not overflow") {
  const RandomSource source(0, "x");
  (void)source.integer(0, INT64_MIN, INT64_MAX);
  for (uint64_t i = 0; i < 100; ++i) CHECK(source.integer(i, INT64_MAX - 1, INT64_MAX) > 0);
}

TEST_CASE("more than the machine's memory is refused before it is allocated") {
  const std::vector<std::string> texts = {"x:f32[1000000,1000000,100]"};
  const auto values = sample_inputs(*parse_input_specs(texts), 0, null_reporter());
  REQUIRE(!values.ok());
  CHECK(values.error().kind() == ErrorKind::usage);
  CHECK(values.error().message().find("400") != std::string::npos);
}

TEST_CASE("inputs from files of every format") {
  const std::vector<NamedValue> values = {
      {"a", *make_host_tensor(DType::f32, {2}, std::string("\0\0\x80\x3f\0\0\0\x40", 8))},
      {"b", *make_host_tensor(DType::u8, {3}, "abc")}};
  for (const char* name : {"x.npz", "x.pt", "x.safetensors"}) {
    const std::string path = temporary(name);
    OutputOptions replace;
    replace.replace = true;
    REQUIRE(save_outputs(values, path, replace, null_reporter()).ok());
    CHECK(*sample("b=@" + path).bytes == "abc");
    CHECK(sample("a=@" + path).sizes == std::vector<int64_t>{2});
    const std::vector<std::string> other = {"c=@" + path};
    const auto missing = sample_inputs(*parse_input_specs(other), 0, null_reporter());
    REQUIRE(!missing.ok());
    CHECK(missing.error().kind() == ErrorKind::not_found);
    CHECK(missing.error().hint() == "it has a and b");
    CHECK(missing.error().file() == path);
  }
}

TEST_CASE("a .npy file holds the one tensor, whatever its name") {
  const std::string path = temporary("anything.npy");
  std::ofstream(path, std::ios::binary)
      << *make_npy_header(DType::i32, std::vector<int64_t>{1}) << std::string("\7\0\0\0", 4);
  CHECK(sample("x=@" + path).dtype == DType::i32);
}
