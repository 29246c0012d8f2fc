#include "cli/parse.h"

#include "catch.h"
#include "cli/shared_options.h"

#include <algorithm>

namespace mlc::cli {
namespace {

enum class Dtype { f32, f16 };
constexpr std::pair<std::string_view, Dtype> kDtypes[] = {{"f32", Dtype::f32}, {"f16", Dtype::f16}};

// One option of every kind.
struct Everything {
  OptionSet set;
  bool json = false;
  int verbose = 0;
  std::string output;
  std::optional<std::string> key;
  std::vector<std::string> include;
  std::vector<OrderedValue> rules;
  int64_t offset = 7;
  unsigned threads = 1;
  double ratio = 0;
  uint64_t shard = 0;
  Dtype dtype = Dtype::f32;
  std::vector<std::string> inputs;

  Everything() {
    set.flag("--json", json, "JSON");
    set.count("-v, --verbose", verbose, "more");
    set.file("-o, --output", output, "FILE", "output");
    set.text("--key", key, "PATH", "key");
    set.list("--include", include, "GLOB", "keys");
    set.ordered("--map", rules, "OLD=NEW", "rename");
    set.ordered("--drop", rules, "GLOB", "drop");
    set.integer("--offset", offset, "N", "offset", -10, 10);
    set.integer("-j, --threads", threads, "N", "threads", 1, 64);
    set.real("--ratio", ratio, "R", "ratio", 0, 1);
    set.size("--shard", shard, "SIZE", "size");
    set.choice("--dtype", dtype, kDtypes, "dtype");
    set.positionals("INPUT", inputs, 1, "files", 3);
  }

  Status parse(std::vector<std::string> arguments) { return cli::parse(set, arguments, "verb"); }
};

std::string message_of(std::vector<std::string> arguments) {
  Everything all;
  const Status status = all.parse(std::move(arguments));
  if (status.ok()) return "accepted";
  CHECK(status.error().kind() == ErrorKind::usage);
  return status.error().text();
}

std::string hint_of(std::vector<std::string> arguments) {
  Everything all;
  const Status status = all.parse(std::move(arguments));
  return status.ok() ? "accepted" : status.error().hint();
}

TEST_CASE("flags and positionals mix in any order") {
  Everything all;
  REQUIRE(all.parse({"a.pt", "--json", "-o", "out.pt", "b.pt", "-vv", "--key=model", "--verbose"})
              .ok());
  CHECK(all.json);
  CHECK(all.verbose == 3);
  CHECK(all.output == "out.pt");
  CHECK(all.key == "model");
  CHECK(all.inputs == std::vector<std::string>{"a.pt", "b.pt"});
}

TEST_CASE("what is not given keeps its default") {
  Everything all;
  REQUIRE(all.parse({"a.pt"}).ok());
  CHECK(all.offset == 7);
  CHECK_FALSE(all.key.has_value());
  CHECK_FALSE(all.json);
}

TEST_CASE("two dashes end the flags") {
  Everything all;
  REQUIRE(all.parse({"--json", "--", "--key", "-x", "--"}).ok());
  CHECK(all.json);
  CHECK(all.inputs == std::vector<std::string>{"--key", "-x", "--"});
}

TEST_CASE("a single dash is no file") {
  Everything all;
  const Status status = all.parse({"-"});
  REQUIRE_FALSE(status.ok());
  CHECK(status.error().kind() == ErrorKind::usage);
  CHECK(all.inputs.empty());
}

TEST_CASE("values are taken as they are") {
  Everything all;
  // Brackets, commas, braces and a leading dash mean something to CLI11.
  REQUIRE(
      all.parse({"a", "--include", "[a,b]", "--include=-x", "--include", "{}", "--offset", "-3"})
          .ok());
  CHECK(all.include == std::vector<std::string>{"[a,b]", "-x", "{}"});
  CHECK(all.offset == -3);
  Everything bracketed;
  REQUIRE(bracketed.parse({"[a,b]", "%%"}).ok());
  CHECK(bracketed.inputs == std::vector<std::string>{"[a,b]", "%%"});
}

TEST_CASE("ordered options keep their common order") {
  Everything all;
  REQUIRE(all.parse({"--map", "a=b", "x", "--drop=c", "--map", "d="}).ok());
  REQUIRE(all.rules.size() == 3);
  CHECK(all.rules[0].option == "--map");
  CHECK(all.rules[1].option == "--drop");
  CHECK(all.rules[1].value == "c");
  CHECK(all.rules[2].value == "d=");
}

TEST_CASE("short values may be attached") {
  Everything all;
  REQUIRE(all.parse({"x", "-j4"}).ok());
  CHECK(all.threads == 4);
}

TEST_CASE("sizes have units") {
  const auto size = [](const std::string& text) {
    Everything all;
    REQUIRE(all.parse({"x", "--shard", text}).ok());
    return all.shard;
  };
  CHECK(size("4096B") == 4096);
  CHECK(size("4096") == 4096);
  CHECK(size("1.5GB") == 1'500'000'000);
  CHECK(size("5GB") == 5'000'000'000);
  CHECK(size("64MiB") == 67'108'864);
  CHECK(size("2 kB") == 2000);
  for (const char* bad :
       {"", "GB", "5XB", "5", "999", "4096.5", "-1", "99999999999999TB", "18446744073709551616"}) {
    INFO(bad);
    CHECK(message_of({"x", "--shard", bad}) != "accepted");
  }
}

TEST_CASE("numbers are checked whole and by range") {
  CHECK(message_of({"x", "--offset", "3x"}) == "--offset: \"3x\" is not a whole number");
  CHECK(message_of({"x", "--offset", ""}) == "--offset: \"\" is not a whole number");
  CHECK(message_of({"x", "--offset", "11"}) ==
        "--offset: 11 is out of range; allowed are -10 to 10");
  CHECK(message_of({"x", "--offset", "99999999999999999999"}) ==
        "--offset: 99999999999999999999 is out of range; allowed are -10 to 10");
  CHECK(message_of({"x", "-j", "0"}) == "--threads: 0 is out of range; allowed are 1 to 64");
  CHECK(message_of({"x", "--ratio", "nan"}) == "--ratio: \"nan\" is not a number");
  CHECK(message_of({"x", "--ratio", "1.5"}) == "--ratio: 1.5 is out of range");
  CHECK(message_of({"x", "--ratio", "0.5"}) == "accepted");
}

TEST_CASE("choices list themselves") {
  CHECK(message_of({"x", "--dtype", "f31"}) == "--dtype: \"f31\" is not one of f32 and f16");
  CHECK(hint_of({"x", "--dtype", "f31"}) == "did you mean `f32`?");
  Everything all;
  REQUIRE(all.parse({"x", "--dtype=f16"}).ok());
  CHECK(all.dtype == Dtype::f16);
}

TEST_CASE("mistakes are named") {
  CHECK(message_of({}) == "missing INPUT");
  CHECK(message_of({"a", "b", "c", "d"}) == "unexpected argument \"d\"");
  CHECK(message_of({"x", "--ouput", "y"}) == "unknown flag \"--ouput\"");
  CHECK(hint_of({"x", "--ouput", "y"}) == "did you mean `--output`?");
  CHECK(hint_of({"x", "--zzzzzz"}) == "`mlc verb --help` lists the flags");
  CHECK(message_of({"x", "-z"}) == "unknown flag \"-z\"");
  CHECK(message_of({"x", "--out", "y"}) == "unknown flag \"--out\"");  // no abbreviations
  CHECK(hint_of({"x", "--out", "y"}) == "here it is `--output`");
  CHECK(hint_of({"x", "--outp", "y"}) == "did you mean `--output`?");
  CHECK(message_of({"x", "--output"}) == "--output needs a value");
  CHECK(message_of({"x", "-o"}) == "--output needs a value");
  CHECK(message_of({"--output=", "x"}) == "--output needs a value");
  CHECK(message_of({"x", "-o", "--json"}) ==
        "--output needs a value, but is followed by the flag --json");
  CHECK(message_of({"x", "-o", "a", "--output", "b"}) == "--output is given twice");
  CHECK(message_of({"x", "--json=yes"}) == "--json takes no value");
  CHECK(message_of({"x", "--json", "--json"}) == "accepted");
}

TEST_CASE("conditions over several options are looked at last") {
  OptionSet set;
  WritingOptions options;
  add_writing_options(set, options);
  const std::vector<std::string> arguments = {"-o", "a", "--out-dir", "b"};
  const Status status = parse(set, arguments, "verb");
  REQUIRE_FALSE(status.ok());
  CHECK(status.error().message() == "only one of --output, --out-dir and --in-place can be given");
}

TEST_CASE("no two shared options have one name") {
  OptionSet set;
  SharedOptions shared;
  WritingOptions writing;
  SelectOptions select;
  add_select_options(set, select);
  add_writing_options(set, writing);
  add_shared_options(set, shared);
  std::vector<std::string> names;
  for (const Option& option : set.options()) {
    names.push_back(option.long_name);
    if (option.short_name != 0) names.emplace_back(1, option.short_name);
    CHECK_FALSE(option.help.empty());
    CHECK_FALSE(option.help.ends_with('.'));
  }
  std::sort(names.begin(), names.end());
  CHECK(std::adjacent_find(names.begin(), names.end()) == names.end());
}

}  // namespace
}  // namespace mlc::cli
