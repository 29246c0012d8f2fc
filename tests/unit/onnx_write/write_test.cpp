#include "mlc/onnx_write/write.h"

#include "base/temp_folder.h"
#include "catch.h"
#include "mlc/onnx_file/onnx_file.h"
#include "onnx_write/sample_models.h"

#include <algorithm>
#include <memory>

#include <onnx/onnx_pb.h>

using namespace mlc;
using namespace mlc::onnx;
using Catch::Matchers::Contains;
using sample::Sketch;
namespace pb = ::onnx;

namespace {

struct Written {
  std::string model;
  std::string sidecar;
  WriteSummary summary;
};

ModelFile plan(const Sketch& sketch, ExternalData external = ExternalData::automatic) {
  auto file = ModelFile::plan(sketch.model, {external, "net.onnx.data"});
  INFO((file.ok() ? std::string() : file.error().text()));
  REQUIRE(file.ok());
  return std::move(*file);
}

Result<Written> write(const ModelFile& file) {
  const TempFolder folder;
  MLC_TRY(OutputFile out, OutputFile::create(folder.path + "/net.onnx", {}));
  MLC_TRY(OutputFile sidecar, OutputFile::create(folder.path + "/net.onnx.data", {}));
  MLC_CHECK(file.write(out, file.has_sidecar() ? &sidecar : nullptr));
  MLC_CHECK(out.publish());
  MLC_CHECK(sidecar.publish());
  return Written{folder.read("net.onnx"), folder.read("net.onnx.data"), file.summary()};
}

Written written(const Sketch& sketch, ExternalData external = ExternalData::automatic) {
  auto out = write(plan(sketch, external));
  INFO((out.ok() ? std::string() : out.error().text()));
  REQUIRE(out.ok());
  return std::move(*out);
}

/// DATA of a weight exchanged for what CHANGE makes of it.
void change(Value* weight, void (*change)(TensorData&)) {
  auto data = std::make_shared<TensorData>(*weight->data);
  change(*data);
  weight->data = data;
}

}  // namespace

TEST_CASE("a file has the bytes that protobuf would write") {
  for (const auto& [name, make] : sample::all()) {
    for (const ExternalData external : {ExternalData::never, ExternalData::always}) {
      INFO(name);
      const Written out = written(make(), external);
      pb::ModelProto model;
      REQUIRE(model.ParseFromString(out.model));
      CHECK(model.SerializeAsString() == out.model);
      CHECK(out.summary.file_bytes == out.model.size());
      CHECK(out.summary.sidecar_bytes == out.sidecar.size());
    }
  }
}

TEST_CASE("the same model gives the same bytes") {
  for (const auto& [name, make] : sample::all()) {
    INFO(name);
    CHECK(written(make()).model == written(make()).model);
  }
}

TEST_CASE("weights lie in the file, with their names and types") {
  const Written out = written(sample::linear());
  pb::ModelProto model;
  REQUIRE(model.ParseFromString(out.model));
  REQUIRE(model.graph().initializer_size() == 2);
  const pb::TensorProto& weight = model.graph().initializer(0);
  CHECK((weight.name() == "fc.weight" && weight.data_type() == pb::TensorProto::FLOAT));
  CHECK((weight.dims_size() == 2 && weight.dims(0) == 3 && weight.dims(1) == 2));
  const float values[] = {1, 2, 3, 4, 5, 6};
  CHECK(weight.raw_data() == std::string(reinterpret_cast<const char*>(values), sizeof values));
  CHECK((out.summary.nodes == 2 && out.summary.initializers == 2));
  CHECK((out.summary.initializer_bytes == 32 && out.summary.sidecar_bytes == 0));
}

TEST_CASE("large weights go into a file beside it, at pages of their own") {
  const Written out = written(sample::three_tensors(), ExternalData::always);
  const auto file = read_onnx(as_bytes(out.model));
  REQUIRE(file.ok());
  CHECK((file->initializers == 3 && file->weight_bytes == 1024 + 1200 + 4));
  REQUIRE(file->external.size() == 2);  // c has 4 bytes, too few
  const OnnxExternal& a = file->external[0];
  const OnnxExternal& b = file->external[1];
  CHECK((a.tensor == "a" && a.location == "net.onnx.data" && a.offset == 0 && a.length == 1024));
  CHECK((b.tensor == "b" && b.offset == 4096 && b.length == 1200));
  CHECK(out.sidecar.size() == 4096 + 1200);
  const float one = 1;
  const float two = 2;
  CHECK(out.sidecar.substr(1020, 4) == std::string(reinterpret_cast<const char*>(&one), 4));
  CHECK(out.sidecar.substr(1024, 3072) == std::string(3072, '\0'));
  CHECK(out.sidecar.substr(4096, 4) == std::string(reinterpret_cast<const char*>(&two), 4));
}

TEST_CASE("a model without large weights has no file beside it") {
  CHECK(!plan(sample::linear(), ExternalData::always).has_sidecar());
}

TEST_CASE("weights leave the file where it would come near 2 GiB") {
  // Weights are only asked for when they are written.
  CHECK(!plan(sample::wide(17, 5000)).has_sidecar());   // 1.70 GB
  const ModelFile file = plan(sample::wide(19, 5000));  // 1.90 GB
  CHECK(file.has_sidecar());
  CHECK((file.summary().file_bytes < 10'000 && file.summary().initializer_bytes == 1'900'000'000));
  CHECK(!plan(sample::wide(19, 5000), ExternalData::never).has_sidecar());
  const auto refused =
      ModelFile::plan(sample::wide(22, 5000).model, {ExternalData::never, "net.onnx.data"});
  REQUIRE(!refused.ok());
  CHECK(refused.error().kind() == ErrorKind::unsupported);
  CHECK(refused.error().message() == "one ONNX file cannot hold 2.2 GB");
}

TEST_CASE("a file beside it needs a name and a file") {
  const Sketch sketch = sample::three_tensors();
  const auto nameless = ModelFile::plan(sketch.model, {ExternalData::always, ""});
  REQUIRE(!nameless.ok());
  CHECK(nameless.error().kind() == ErrorKind::usage);

  const TempFolder folder;
  auto out = OutputFile::create(folder.path + "/net.onnx", {});
  REQUIRE(out.ok());
  const Status status = plan(sketch, ExternalData::always).write(*out, nullptr);
  REQUIRE(!status.ok());
  CHECK(status.error().kind() == ErrorKind::internal);
}

TEST_CASE("weights that cannot be had are named, also in the middle of a file") {
  Sketch sketch = sample::linear();
  Value* bias = sketch.model.graph.nodes[1]->inputs[1];
  SECTION("unreadable") {
    change(bias, [](TensorData& data) {
      data.produce = []() -> Result<Buffer> { return corrupt("gone"); };
    });
    const auto out = write(plan(sketch));
    REQUIRE(!out.ok());
    CHECK(out.error().kind() == ErrorKind::corrupt);
    CHECK(out.error().text() == "tensor fc.bias: gone");
  }
  SECTION("of another size") {
    change(bias, [](TensorData& data) { data.sizes = {3}; });
    const auto out = write(plan(sketch));
    REQUIRE(!out.ok());
    CHECK(out.error().kind() == ErrorKind::internal);
    CHECK(out.error().text() == "tensor fc.bias: it has 8 bytes instead of 12");
  }
}

TEST_CASE("no more than one weight is held at a time") {
  Sketch sketch = sample::wide(8, 64);
  auto held = std::make_shared<int>(0);
  auto most = std::make_shared<int>(0);
  for (Node* node : sketch.model.graph.nodes) {
    auto data = std::make_shared<TensorData>(*node->inputs[1]->data);
    data->produce = [held, most]() -> Result<Buffer> {
      *most = std::max(*most, ++*held);
      const std::shared_ptr<std::string> owner(new std::string(64 * 64 * 4, '\0'),
                                               [held](const std::string* bytes) {
                                                 --*held;
                                                 delete bytes;
                                               });
      return Buffer{as_bytes(*owner), owner};
    };
    node->inputs[1]->data = data;
  }
  for (const ExternalData external : {ExternalData::never, ExternalData::always}) {
    *most = 0;
    written(sketch, external);
    CHECK((*most == 1 && *held == 0));
  }
}
