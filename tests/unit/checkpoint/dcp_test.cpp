#include "checkpoint_testing.h"

namespace mlc::test {
namespace {

namespace fs = std::filesystem;

/// The folder of chunks with another of its .metadata files.
std::string error_with(const std::string& metadata) {
  const ScratchFolder folder;
  for (const char* file : {"__0_0.distcp", "__1_0.distcp"}) {
    fs::copy_file(fixture("dcp_chunks/") + file, folder / file);
  }
  fs::copy_file(fixture("dcp_chunks/") + metadata, folder / ".metadata");
  return error_at(folder / "");
}

TEST_CASE("the tree of a DCP folder is the one that was saved") {
  const auto opened = open_checkpoint(fixture("dcp"));
  REQUIRE(opened.ok());
  const Checkpoint& checkpoint = **opened;
  const pickle::Graph& graph = checkpoint.graph;
  const NodeId optim = graph.find(checkpoint.root, "optim");
  const NodeId groups = graph.find(optim, "param_groups");
  REQUIRE(graph.is(groups, pickle::NodeKind::list));
  REQUIRE(graph.list(groups).size() == 1);
  CHECK(graph.real(graph.find(graph.list(groups)[0], "lr")) == 0.5);
  CHECK(graph.tuple(graph.find(graph.list(groups)[0], "betas")).size() == 2);
  CHECK(graph.integer(graph.find(checkpoint.root, "epoch")) == 4);
  CHECK(checkpoint.format == Format::dcp);
}

TEST_CASE("lists in a DCP folder keep their order") {
  const auto opened = open_checkpoint(MLC_SOURCE_DIR "/tests/golden/dcp_2.6");
  REQUIRE(opened.ok());
  const auto& graph = (*opened)->graph;
  const NodeId state = graph.find(graph.find((*opened)->root, "optim"), "state");
  CHECK(graph.entries(state)->size() == 2);
}

TEST_CASE("damaged DCP metadata are named") {
  CHECK(error_with(".metadata").empty());
  struct Row {
    std::string file;
    std::string message;
  };
  const Row rows[] = {
      {"hole.metadata", "item \"whole\": its chunks cover 29 of 35 elements"},
      {"overlap.metadata", "overlaps the one at [0, 0]"},
      {"outside.metadata", "reaches out of [5, 6]"},
      {"rank.metadata", "another rank than [35]"},
      {"dtype.metadata", "its chunk at [0, 0] is i32 [3, 4], .metadata says i64 [3, 4]"},
      {"missing.metadata", "storage_data lacks its chunk at [0, 0]"},
      {"window.metadata", "reach beyond the end of \"__0_0.distcp\""},
      {"shared.metadata", "overlap in their file"},
      {"path.metadata", "\"../__0_0.distcp\" is not the name of a file"},
      {"transform.metadata", "unsupported: item \"whole\": it is stored compressed"},
  };
  for (const Row& row : rows) {
    const std::string error = error_with(row.file);
    INFO(row.file);
    INFO(error);
    CHECK(error.find(row.message) != std::string::npos);
  }
}

TEST_CASE("a .metadata that is something else is named") {
  const ScratchFolder folder;
  write_file(folder / ".metadata", "\x80\x02}.");
  CHECK(error_at(folder / "").find("is not torch.distributed.checkpoint's") != std::string::npos);
  write_file(folder / ".metadata", "\x80\x02");
  CHECK(error_at(folder / "").find(".metadata: ") != std::string::npos);
}

}  // namespace
}  // namespace mlc::test
