#include "mlc/base/shell_word.h"

#include "catch.h"

using mlc::shell_word;

TEST_CASE("shells read a word back as it was") {
  CHECK(shell_word("runs/model-1_a.pt") == "runs/model-1_a.pt");
  CHECK(shell_word("") == "''");
  CHECK(shell_word("my run.pt") == "'my run.pt'");
  CHECK(shell_word("it's.pt") == R"('it'\''s.pt')");
  CHECK(shell_word("layer.*") == "'layer.*'");
  CHECK(shell_word("$HOME") == "'$HOME'");
  CHECK(shell_word("a\x1b'\\") == R"($'a\x1b\'\\')");
  CHECK(shell_word("caf\xc3\xa9.pt") == "caf\xc3\xa9.pt");
}
