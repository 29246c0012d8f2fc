#include "cli/help.h"

#include "catch.h"
#include "mlc/base/text.h"

#include <algorithm>
#include <set>

namespace mlc::cli {
namespace {

size_t widest(const std::string& text) {
  size_t width = 0;
  for (const std::string_view line : split(text, '\n')) width = std::max(width, line.size());
  return width;
}

TEST_CASE("text is wrapped at blanks") {
  CHECK(wrapped("one two three", 0, 2, 8) == "one two\n  three");
  CHECK(wrapped("a b", 6, 4, 8) == "a\n    b");
  CHECK(wrapped("unbreakable", 0, 0, 4) == "unbreakable");
  CHECK(wrapped("one\ntwo\n\nthree", 0, 0, 80) == "one two\n\nthree");
  CHECK(wrapped("", 0, 0, 80).empty());
}

TEST_CASE("every row of the table is complete") {
  std::set<std::string_view> names;
  for (const Command& command : commands()) {
    INFO(command.name);
    CHECK(names.insert(command.name).second);
    CHECK_FALSE(command.summary.empty());
    CHECK(command.summary.size() <= 60);
    CHECK_FALSE(command.summary.ends_with('.'));
    CHECK(command.examples.size() >= 2);
    for (const Example& example : command.examples) {
      CHECK(example.command.size() <= 76);
      CHECK(example.command.find("mlc " + std::string(command.name)) != std::string_view::npos);
      CHECK_FALSE(example.purpose.ends_with('.'));
    }
    REQUIRE(command.setup != nullptr);
    CHECK(widest(verb_help(command)) <= kHelpWidth);
  }
}

TEST_CASE("no verb has an option twice") {
  for (const Command& command : commands()) {
    const DescribedOptions described(command);
    std::set<std::string> seen;
    for (const Option& option : described.set().options()) {
      INFO(command.name << " --" << option.long_name);
      CHECK(seen.insert(option.long_name).second);
      if (option.short_name != 0) CHECK(seen.insert(std::string(1, option.short_name)).second);
      CHECK_FALSE(option.help.empty());
      CHECK_FALSE(option.help.ends_with('.'));
    }
  }
}

TEST_CASE("the overview is about ten lines") {
  const std::string text = overview();
  CHECK(std::ranges::count(text, '\n') <= 12);
  CHECK(widest(text) <= kHelpWidth);
  CHECK(widest(full_help()) <= kHelpWidth);
  for (const std::string& name : command_names()) CHECK(text.find(name) != std::string::npos);
}

TEST_CASE("exit codes follow the kind of error") {
  CHECK(exit_code_of(ErrorKind::usage) == ExitCode::usage);
  CHECK(exit_code_of(ErrorKind::conflict) == ExitCode::no);
  CHECK(exit_code_of(ErrorKind::not_found) == ExitCode::input);
  CHECK(exit_code_of(ErrorKind::read_failed) == ExitCode::input);
  CHECK(exit_code_of(ErrorKind::corrupt) == ExitCode::input);
  CHECK(exit_code_of(ErrorKind::unsupported) == ExitCode::unsupported);
  CHECK(exit_code_of(ErrorKind::exists) == ExitCode::output);
  CHECK(exit_code_of(ErrorKind::write_failed) == ExitCode::output);
  CHECK(exit_code_of(ErrorKind::interrupted) == ExitCode::interrupted);
  CHECK(exit_code_of(ErrorKind::internal) == ExitCode::internal);
}

TEST_CASE("the worst code has a fixed order") {
  const ExitCode order[] = {ExitCode::interrupted, ExitCode::internal,    ExitCode::output,
                            ExitCode::input,       ExitCode::unsupported, ExitCode::usage,
                            ExitCode::no,          ExitCode::done};
  for (size_t i = 0; i + 1 < std::size(order); ++i) {
    CHECK(worst(order[i], order[i + 1]) == order[i]);
    CHECK(worst(order[i + 1], order[i]) == order[i]);
  }
}

TEST_CASE("progress says amount, rate and time left") {
  CHECK(progress_text("hashing", "", 219'000'000, 438'000'000, 0.5) ==
        "hashing  50%  219.0 MB of 438.0 MB  438.0 MB/s  0:01 left");
  CHECK(progress_text("checking", "tensors", 1, 4, 0.1) == "checking  25%  1 tensors of 4 tensors");
  CHECK(progress_text("reading", "", 5'000'000, 0, 1) == "reading  5.0 MB  5.0 MB/s");
  CHECK(progress_text("x", "", 900, 100, 1) == "x  100%  100 B of 100 B  100 B/s  0:00 left");
  CHECK(progress_text("x", "", 1'000'000, 8'000'000'000, 1).ends_with("2:13:19 left"));
}

}  // namespace
}  // namespace mlc::cli
