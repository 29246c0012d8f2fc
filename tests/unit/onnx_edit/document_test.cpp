#include "mlc/onnx_edit/document.h"

#include "catch.h"
#include "mlc/onnx_file/proto_writer.h"

#include <string>
#include <vector>

using namespace mlc;
using namespace mlc::onnx;

namespace {

std::string message(std::initializer_list<std::pair<uint32_t, std::string>> fields) {
  std::string out;
  for (const auto& [number, content] : fields) ProtoWriter(out).bytes(number, content);
  return out;
}

std::string node(const std::string& op, const std::string& in, const std::string& out,
                 const std::string& more = "") {
  return message({{1, in}, {2, out}, {4, op}}) + more;
}

std::string tensor(const std::string& name, float value) {
  std::string out;
  ProtoWriter writer(out);
  writer.integer(1, 1);
  writer.integer(2, 1);
  writer.bytes(8, name);
  writer.bytes(9, std::string(reinterpret_cast<const char*>(&value), sizeof value));
  return out;
}

std::string model(const std::string& graph) {
  std::string out;
  ProtoWriter writer(out);
  writer.integer(1, 8);
  writer.bytes(7, graph);
  std::string opset;
  ProtoWriter(opset).integer(2, 17);
  writer.bytes(8, opset);
  return out;
}

/// BYTES must outlive what comes out: attributes are read where they lie.
Document parsed(const std::string& bytes) {
  auto out = Document::parse(as_bytes(bytes), nullptr, "/nonexistent");
  REQUIRE(out.ok());
  return std::move(*out);
}

}  // namespace

TEST_CASE("names that inner graphs make or read are taken") {
  const std::string inner =
      message({{1, node("Neg", "w", "inner_made")}, {12, message({{1, "inner_made"}})}});
  const std::string attribute = message({{1, "then_branch"}, {6, inner}});
  const std::string bytes =
      model(message({{1, node("If", "x", "y", message({{5, attribute}}))}, {5, tensor("w", 1)}}));
  Document document = parsed(bytes);
  CHECK(document.nodes[0].inner_names == std::vector<std::string>{"w", "inner_made"});
  CHECK(document.unused_name("inner_made") == "inner_made_1");
  CHECK(document.unused_name("inner_made") == "inner_made_2");
  document.drop_unused_tensors();
  CHECK(document.find_tensor("w") != nullptr);
}

TEST_CASE("attributes are read as they lie and made anew") {
  std::string number = message({{1, "axis"}});
  ProtoWriter(number).integer(3, -1);
  std::string real = message({{1, "alpha"}});
  ProtoWriter(real).float32(2, 0.5F);
  const std::string bytes =
      model(message({{1, node("Gemm", "x", "y", message({{5, number}, {5, real}}))}}));
  Document document = parsed(bytes);
  DocNode& made = document.nodes[0];
  CHECK(made.integer("axis", 7) == -1);
  CHECK(made.real("alpha", 1) == 0.5F);
  CHECK(made.integer("alpha", 7) == 7);
  CHECK(made.integer("nothing", 7) == 7);
  const std::vector<int64_t> perm{1, 0};
  made.attributes.push_back(document.attribute("perm", perm));
  made.attributes.push_back(document.attribute("to", int64_t{10}));
  CHECK(made.find("perm")->integers() == perm);
  CHECK(made.integer("to", 0) == 10);
}

TEST_CASE("a weight that is an input too can become a constant") {
  const std::string bytes = model(message({{1, node("Neg", "w", "y")},
                                           {5, tensor("w", 2)},
                                           {11, message({{1, "w"}})},
                                           {11, message({{1, "x"}})}}));
  Document document = parsed(bytes);
  CHECK(document.input_names() == std::vector<std::string>{"w", "x"});
  CHECK(document.fix_overridable() == std::vector<std::string>{"w"});
  CHECK(document.input_names() == std::vector<std::string>{"x"});
  CHECK(document.skeleton().graph_tail == message({{11, message({{1, "x"}})}}));
}

TEST_CASE("metadata, domains and versions are changed in place") {
  Document document = parsed(model(message({{1, node("Neg", "x", "y")}})));
  CHECK(document.opset() == 17);
  document.set_metadata("a", "1");
  document.set_metadata("a", "2");
  document.import_domain("com.microsoft", 1);
  document.import_domain("com.microsoft", 1);
  document.set_producer("mlc", "9");
  document.raise_ir_version(7);
  CHECK(document.metadata("a") == std::string("2"));
  const Skeleton skeleton = document.skeleton();
  std::string head;
  ProtoWriter(head).integer(1, 8);
  CHECK(skeleton.model_head == head + message({{2, "mlc"}, {3, "9"}}));
  CHECK(skeleton.model_tail.find("com.microsoft") == skeleton.model_tail.rfind("com.microsoft"));
}
