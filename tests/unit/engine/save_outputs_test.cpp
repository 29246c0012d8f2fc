#include "mlc/engine/save_outputs.h"

#include "catch.h"

#include <filesystem>

using namespace mlc;

TEST_CASE("the extension decides the format") {
  CHECK(*outputs_format_of("a.npz") == OutputsFormat::npz);
  CHECK(*outputs_format_of("a.safetensors") == OutputsFormat::safetensors);
  CHECK(*outputs_format_of("a.pt") == OutputsFormat::torch_zip);
  CHECK(outputs_format_of("a.txt").error().kind() == ErrorKind::usage);
}

TEST_CASE("what NumPy lacks is named, with the format that has it") {
  const std::string path = std::filesystem::temp_directory_path() / "mlc_save_outputs_test.npz";
  const std::vector<NamedValue> values = {
      {"logits", *make_host_tensor(DType::bf16, {1}, std::string(2, '\0'))}};
  const auto saved = save_outputs(values, path, {}, null_reporter());
  REQUIRE(!saved.ok());
  CHECK(saved.error().kind() == ErrorKind::unsupported);
  CHECK(saved.error().text().find("logits") != std::string::npos);
  CHECK(saved.error().hint().find(".safetensors") != std::string::npos);
  CHECK(!std::filesystem::exists(path));
}

TEST_CASE("bytes that do not fill the shape are a defect, not a tensor") {
  CHECK(make_host_tensor(DType::f32, {2}, "abc").error().kind() == ErrorKind::internal);
}
