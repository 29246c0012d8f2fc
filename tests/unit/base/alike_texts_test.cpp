#include "mlc/base/alike_texts.h"

#include "catch.h"

using namespace mlc;
using Texts = std::vector<std::string>;

TEST_CASE("thousands of warnings of one kind are one") {
  AlikeTexts texts;
  for (int i = 1; i <= 3000; ++i) {
    const std::string file = "part" + std::to_string(i) + ".pt";
    texts.add(file, file + " is shard " + std::to_string(i) + " of 3,000");
    if (i == 7) texts.add(file, file + " is damaged");
  }
  CHECK(texts.take() ==
        Texts{"part1.pt is shard 1 of 3,000; likewise of 2,999 more files: part2.pt, part3.pt and "
              "2,997 more",
              "part7.pt is damaged"});
  CHECK(texts.take().empty());
}

TEST_CASE("up to three warnings of one kind are said each") {
  AlikeTexts texts;
  for (const char* file : {"a", "b", "c"}) texts.add(file, "left out of " + std::string(file));
  CHECK(texts.take() == Texts{"left out of a", "left out of b", "left out of c"});
}

TEST_CASE("warnings that name other keys are not alike") {
  AlikeTexts texts;
  for (const char* file : {"a.pt", "b.pt", "c.pt", "d.pt", "e.pt"}) {
    texts.add(file, std::string(file) + " lacks " + (file[0] < 'c' ? "epoch" : "step"));
  }
  CHECK(texts.take().size() == 5);
}
