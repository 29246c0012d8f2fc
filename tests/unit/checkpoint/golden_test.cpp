// Files that PyTorch 1.7 to 2.13, safetensors and NumPy wrote, against what these read from them.
#include "checkpoint_testing.h"
#include "mlc/metadata/provenance.h"

#include <map>

#include <nlohmann/json.hpp>

namespace mlc::test {
namespace {

using Json = nlohmann::ordered_json;

std::string digest(const Checkpoint& checkpoint, uint32_t tensor) {
  auto hash = Sha256::create();
  REQUIRE(hash.ok());
  const auto view = checkpoint.view(tensor);
  if (!view.ok()) FAIL(view.error().text());
  REQUIRE(for_each_block(*view, [&](Bytes block) { return hash->update(block); }).ok());
  auto digits = hash->finish();
  REQUIRE(digits.ok());
  return *digits;
}

void check_tensor(const Checkpoint& checkpoint, uint32_t index, const Json& wanted) {
  const Tensor& tensor = checkpoint.tensors[index];
  CHECK(info(tensor.dtype).torch == wanted["dtype"].get<std::string>());
  const Dims sizes = checkpoint.sizes(tensor);
  CHECK(std::vector<int64_t>(sizes.begin(), sizes.end()) ==
        wanted["shape"].get<std::vector<int64_t>>());
  CHECK(digest(checkpoint, index) == wanted["sha256"].get<std::string>());
}

std::unique_ptr<Checkpoint> open(const std::string& path) {
  auto opened = open_checkpoint(path);
  if (!opened.ok()) FAIL(opened.error().text());
  return std::move(*opened);
}

StateDict state_dict_of(Checkpoint& checkpoint, const std::string& key) {
  auto all = find_state_dicts(checkpoint);
  REQUIRE(all.ok());
  const auto chosen = select_state_dict(*all, key);
  if (!chosen.ok()) FAIL(chosen.error().text());
  return **chosen;
}

TEST_CASE("files of old PyTorch versions have the tensors PyTorch reads") {
  const std::string folder = MLC_SOURCE_DIR "/tests/golden/";
  const Json expected = Json::parse(read_file(folder + "expected.json"));
  REQUIRE(expected.size() >= 16);
  for (const auto& [file, row] : expected.items()) {
    INFO(file);
    const auto checkpoint = open(folder + file);
    const StateDict dict = state_dict_of(
        *checkpoint, row["key"].is_null() ? std::string() : row["key"].get<std::string>());
    std::map<std::string, uint32_t> tensors;
    for (const StateDictEntry& entry : dict.entries) tensors.emplace(entry.key, entry.tensor);
    CHECK(tensors.size() == row["tensors"].size());
    for (const auto& [name, wanted] : row["tensors"].items()) {
      INFO(name);
      REQUIRE(tensors.count(name) == 1);
      check_tensor(*checkpoint, tensors.at(name), wanted);
    }
  }
}

TEST_CASE("files of today's writers have the tensors their readers find, in order") {
  const Json expected = Json::parse(read_file(fixture("expected.json")));
  REQUIRE(expected.size() >= 15);
  for (const auto& [file, row] : expected.items()) {
    INFO(file);
    const auto checkpoint = open(fixture(file));
    const std::string key = row["key"].get<std::string>();
    const StateDict dict = state_dict_of(*checkpoint, key.empty() ? "." : key);
    REQUIRE(dict.entries.size() == row["tensors"].size());
    // safetensors' own reader sorts by name, so that order says nothing about the file.
    const bool ordered = checkpoint->format != Format::safetensors;
    for (size_t i = 0; i < dict.entries.size(); ++i) {
      const std::string name(dict.entries[i].key);
      INFO(name);
      const Json* wanted = ordered ? &row["tensors"][i] : nullptr;
      for (const Json& candidate : row["tensors"]) {
        if (!ordered && candidate["name"] == name) wanted = &candidate;
      }
      REQUIRE(wanted != nullptr);
      CHECK((*wanted)["name"] == name);
      check_tensor(*checkpoint, dict.entries[i].tensor, *wanted);
    }
  }
}

TEST_CASE("mlc's metadata comes back from every container that can carry it") {
  for (const char* file : {"dtypes.safetensors", "script.pt", "exported.pt2"}) {
    INFO(file);
    CHECK(open(fixture(file))->metadata_yaml == "mlc: metadata/1\n");
  }
}

}  // namespace
}  // namespace mlc::test
