// Recipes of mlc quantize. What is read is written as a recipe that reads the same.
#include "mlc/compress/recipe.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <utility>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string text(reinterpret_cast<const char*>(data), size);
  const auto recipe = mlc::parse_recipe(std::move(text), "recipe.yaml");
  if (!recipe.ok()) return 0;
  const std::string written = mlc::recipe_yaml(*recipe);
  const auto again = mlc::parse_recipe(written, "written.yaml");
  if (!again.ok() || mlc::recipe_yaml(*again) != written) std::abort();
  return 0;
}
