#include "mlc/engine/machine.h"

#include "catch.h"
#include "mlc/engine/onnxruntime_library.h"

#include <cstdlib>

using namespace mlc;

TEST_CASE("processors of x86 and arm64") {
  const CpuInfo x86 = parse_cpuinfo(
      "processor\t: 0\nmodel name\t: AMD EPYC 9V74\nflags\t\t: fpu sse avx2 avx512f avx512_vnni\n"
      "processor\t: 1\nmodel name\t: Other\nflags\t\t: fma\n");
  CHECK(x86.model == "AMD EPYC 9V74");
  CHECK(x86.features == std::vector<std::string>{"avx2", "avx512f", "avx512_vnni"});
  const CpuInfo arm = parse_cpuinfo("processor\t: 0\nFeatures\t: fp asimd asimddp bf16\n");
  CHECK(arm.model == "unknown");
  CHECK(arm.features == std::vector<std::string>{"asimd", "asimddp", "bf16"});
  CHECK(parse_cpuinfo("").features.empty());
}

TEST_CASE("x86 without VNNI adds products of bytes in 16 bits") {
  CHECK(mlc::adds_products_in_16_bits(mlc::parse_cpuinfo("flags : avx avx2 fma\n")));
  CHECK_FALSE(mlc::adds_products_in_16_bits(mlc::parse_cpuinfo("flags : avx2 avx512_vnni\n")));
  CHECK_FALSE(mlc::adds_products_in_16_bits(mlc::parse_cpuinfo("flags : avx2 avx_vnni\n")));
  CHECK_FALSE(mlc::adds_products_in_16_bits(mlc::parse_cpuinfo("Features : asimd asimddp\n")));
}

TEST_CASE("this machine") {
  CHECK(this_cpu().processors >= 1);
  CHECK(memory_bytes() > 1'000'000);
}

TEST_CASE("a file that is no ONNX Runtime is told as one") {
  ::setenv("MLC_ONNXRUNTIME", "/dev/null", 1);
  const auto found = find_onnxruntime();
  ::unsetenv("MLC_ONNXRUNTIME");
  REQUIRE(!found.ok());
  CHECK(found.error().kind() == ErrorKind::unsupported);
  CHECK(found.error().hint().find("MLC_ONNXRUNTIME") != std::string::npos);
}

TEST_CASE("the driver names the graphics processors") {
  const auto gpus = nvidia_gpus(FAKE_MODULES "/libfake_driver.so");
  REQUIRE(gpus.size() == 2);
  CHECK(gpus[0].name == "Fake GPU 0");
  CHECK(gpus[0].memory_bytes == uint64_t{80} << 30U);
  CHECK(gpus[1].name == "Fake GPU 1");
  CHECK(gpus[1].memory_bytes == 0);
}

TEST_CASE("without a driver there are no graphics processors") {
  CHECK(nvidia_gpus("libnowhere.so.1").empty());
  CHECK(nvidia_gpus("libm.so.6").empty());
}
