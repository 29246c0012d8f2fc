#include "mlc/onnx_quant/input_gram.h"

#include "../compress/random_weights.h"
#include "catch.h"

#include <cmath>
#include <vector>

using mlc::onnx::InputGram;

namespace {

void add(InputGram& gram, const std::vector<float>& values, size_t first_part = 0) {
  const InputGram::Panels panels(values, gram.channels());
  for (size_t part = 0; part < gram.parts(); ++part)
    gram.add_part(panels, (part + first_part) % gram.parts());
  gram.count(panels);
}

}  // namespace

TEST_CASE("sums of products are those of a plain loop") {
  // Neither the panels nor the strips of rows are whole.
  for (const size_t channels : {1U, 5U, 16U, 37U}) {
    for (const size_t rows : {1U, 255U, 600U}) {
      const std::vector<float> first = random_weights(Shape::gaussian, rows * channels, 1);
      const std::vector<float> second = random_weights(Shape::gaussian, 3 * channels, 2);
      std::vector<double> want(channels * channels);
      for (const auto* values : {&first, &second}) {
        for (size_t at = 0; at < values->size(); at += channels) {
          for (size_t i = 0; i < channels; ++i) {
            for (size_t j = 0; j < channels; ++j)
              want[i * channels + j] += double{(*values)[at + i]} * (*values)[at + j];
          }
        }
      }
      InputGram gram(channels);
      add(gram, first);
      add(gram, second, 1);
      gram.finish();
      REQUIRE(gram.rows() == rows + 3);
      double largest = 0;
      for (size_t i = 0; i < want.size(); ++i)
        largest = std::max(largest, std::abs(want[i] - double{gram.matrix()[i]}));
      CHECK(largest < 1e-5 * static_cast<double>(rows + 3));
      for (size_t i = 0; i < channels; ++i)
        CHECK(gram.squares()[i] == double{gram.matrix()[i * channels + i]});
    }
  }
}

TEST_CASE("rows that are not there say nothing") {
  InputGram gram(4);
  add(gram, {});
  gram.finish();
  CHECK(gram.rows() == 0);
  CHECK(gram.matrix() == std::vector<float>(16));
}
