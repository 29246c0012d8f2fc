#include "mlc/engine/module_loader.h"

#include "catch.h"
#include "mlc/engine/module_abi.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>

using namespace mlc;

namespace {

std::string fake(const std::string& name) {
  return std::string(FAKE_MODULES) + "/lib" + name + ".so";
}

/// Sets a variable for one test.
class Environment {
 public:
  Environment(const char* name, const std::string& value) : name_(name) {
    ::setenv(name, value.c_str(), 1);
  }
  ~Environment() { ::unsetenv(name_); }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  const char* name_;
};

}  // namespace

TEST_CASE("a module of this build gives its engine") {
  auto engine = open_module(EngineKind::torch, fake("fake_good"));
  REQUIRE(engine.ok());
  CHECK((*engine)->info()->name == "fake");
}

TEST_CASE("a module of another interface is refused with both versions") {
  const auto engine = open_module(EngineKind::torch, fake("fake_abi"));
  REQUIRE(!engine.ok());
  CHECK(engine.error().kind() == ErrorKind::unsupported);
  CHECK(engine.error().message().find("interface 9999") != std::string::npos);
  CHECK(engine.error().message().find("interface " + std::to_string(kEngineAbi)) !=
        std::string::npos);
  CHECK(engine.error().hint().find("MLC_TORCH_MODULE") != std::string::npos);
}

TEST_CASE("a module of another mlc is refused with both versions") {
  const auto engine = open_module(EngineKind::torch, fake("fake_build"));
  REQUIRE(!engine.ok());
  CHECK(engine.error().kind() == ErrorKind::unsupported);
  CHECK(engine.error().message().find("mlc 9.9.9, GNU 99") != std::string::npos);
  CHECK(engine.error().message().find(engine_build()) != std::string::npos);
}

TEST_CASE("a library that is no module is told as one") {
  const auto engine = open_module(EngineKind::torch, fake("fake_empty"));
  REQUIRE(!engine.ok());
  CHECK(engine.error().kind() == ErrorKind::unsupported);
  CHECK(engine.error().message().find("is no module of mlc") != std::string::npos);
}

TEST_CASE("a file that is no library is told without a crash") {
  const auto engine = open_module(EngineKind::torch, std::string(MLC_SOURCE_DIR) + "/README.md");
  REQUIRE(!engine.ok());
  CHECK(engine.error().kind() == ErrorKind::unsupported);
  CHECK(engine.error().message().find("cannot open") != std::string::npos);
  CHECK(!engine.error().hint().empty());
}

TEST_CASE("the environment names the module") {
  const Environment set("MLC_TORCH_MODULE", fake("fake_good"));
  REQUIRE(find_module(EngineKind::torch).ok());
  CHECK(*find_module(EngineKind::torch) == fake("fake_good"));
  CHECK(open_engine(EngineKind::torch).ok());
}

TEST_CASE("a module that the environment names and that is not there is no fallback") {
  const Environment set("MLC_TORCH_MODULE", "/nowhere/module.so");
  const auto found = find_module(EngineKind::torch);
  REQUIRE(!found.ok());
  CHECK(found.error().kind() == ErrorKind::unsupported);
  CHECK(found.error().message().find("MLC_TORCH_MODULE") != std::string::npos);
}
