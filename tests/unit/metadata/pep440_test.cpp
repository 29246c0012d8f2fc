#include "mlc/metadata/pep440.h"

#include "catch.h"
#include "mlc/base/text.h"
#include "mlc/metadata/specifier.h"

#include <fstream>
#include <map>

using namespace mlc;

namespace {

// The rows of pep440_oracle.txt, written by make_pep440_oracle.py.
std::map<std::string, std::vector<std::vector<std::string>>> read_oracle() {
  std::ifstream in(MLC_SOURCE_DIR "/tests/unit/metadata/pep440_oracle.txt");
  REQUIRE(in);
  std::map<std::string, std::vector<std::vector<std::string>>> out;
  std::string section;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with('[')) {
      section = line;
      continue;
    }
    std::vector<std::string> fields;
    for (const auto field : split(line, '\t')) fields.emplace_back(field);
    out[section].push_back(fields);
  }
  return out;
}

Version version(std::string_view text) {
  auto parsed = Version::parse(text);
  if (!parsed.ok()) FAIL(parsed.error().text());
  return *parsed;
}

bool contains(std::string_view set, std::string_view text, bool allow_pre = false) {
  auto parsed = SpecifierSet::parse(set);
  if (!parsed.ok()) FAIL(parsed.error().text());
  return parsed->contains(version(text), text, allow_pre);
}

std::string read_leniently(std::string_view text) {
  auto found = Version::parse_lenient(text);
  return found.ok() ? found->version.to_string() + "|" + found->dropped : found.error().text();
}

}  // namespace

TEST_CASE("versions read and order as in packaging") {
  const auto oracle = read_oracle();
  const auto& rows = oracle.at("[versions]");
  REQUIRE(rows.size() > 150);
  std::vector<std::pair<Version, int>> ranked;
  for (const auto& row : rows) {
    CAPTURE(row[0]);
    const Version v = version(row[0]);
    CHECK(v.to_string() == row[1]);
    CHECK(version(v.to_string()) == v);
    ranked.emplace_back(v, std::stoi(row[2]));
  }
  for (const auto& [a, rank_a] : ranked) {
    for (const auto& [b, rank_b] : ranked) {
      if ((a <=> b) == (rank_a <=> rank_b)) continue;
      FAIL_CHECK(a.to_string() << " against " << b.to_string());
    }
  }
  for (const auto& row : oracle.at("[invalid]")) {
    CAPTURE(row[0]);
    CHECK_FALSE(Version::parse(row[0]).ok());
  }
}

TEST_CASE("specifiers accept what packaging accepts") {
  const auto oracle = read_oracle();
  const auto& versions = oracle.at("[versions]");
  size_t pairs = 0;
  for (const auto& row : oracle.at("[specs]")) {
    REQUIRE(row[1].size() == versions.size());
    for (size_t i = 0; i < versions.size(); ++i, ++pairs) {
      const std::string& text = versions[i][0];
      const int expected = row[1][i] - '0';
      const int found = contains(row[0], text) + 2 * contains(row[0], text, true);
      if (found != expected) FAIL_CHECK(text << " in \"" << row[0] << "\": " << found);
    }
  }
  CHECK(pairs > 10'000);
  for (const auto& row : oracle.at("[badspecs]")) {
    CAPTURE(row[0]);
    CHECK_FALSE(SpecifierSet::parse(row[0]).ok());
  }
}

TEST_CASE("text around and beyond a version") {
  CHECK(version(" \t1.0\n") == version("1"));
  CHECK_FALSE(Version::parse("").ok());
  CHECK_FALSE(Version::parse("18446744073709551616").ok());
  CHECK_FALSE(Version::parse(std::string(2000, '1')).ok());
  CHECK(Version::parse("abc").error().text() == "\"abc\" is not a PEP 440 version");
  CHECK(Version::parse("abc").error().kind() == ErrorKind::usage);
}

TEST_CASE("vendor strings are read leniently and say what was dropped") {
  CHECK(read_leniently("1.13.1+cpu") == "1.13.1+cpu|");
  CHECK(read_leniently("2.1.0a0+git1234567") == "2.1.0a0+git1234567|");
  CHECK(read_leniently("2.0.0.nv23.05") == "2.0.0|.nv23.05");
  CHECK(read_leniently("1.13.1-debian") == "1.13.1|-debian");
  CHECK(read_leniently("1.8.0.cuda11") == "1.8.0|.cuda11");
  CHECK(read_leniently("1.8.0cuda11") == "1.8.0|cuda11");
  CHECK(read_leniently("2.0.0a0+git1a2b…dirty") == "2.0.0a0+git1a2b|…dirty");
  CHECK(read_leniently("2.1.0a0+b5021ba9.nv23.07") == "2.1.0a0+b5021ba9.nv23.7|");
  CHECK(read_leniently("3.8.10 (default, Nov 14 2022)") == "3.8.10| (default, Nov 14 2022)");
  CHECK(read_leniently("2.0.0-rc1-custom") == "2.0.0rc1|-custom");
  CHECK(read_leniently("debian") == "\"debian\" does not begin with a version");
  CHECK(read_leniently("") == "\"\" does not begin with a version");
}

TEST_CASE("requirements") {
  auto torch = Requirement::parse("Torch_Vision >=1.13, <3");
  REQUIRE(torch.ok());
  CHECK(torch->name == "torch-vision");
  CHECK(torch->to_string() == "torch-vision>=1.13,<3");
  CHECK(Requirement::parse("torch")->versions.clauses().empty());
  CHECK(Requirement::parse("torch (>=1.13)")->to_string() == "torch>=1.13");
  const auto message = [](std::string_view text) {
    auto bad = Requirement::parse(text);
    return bad.ok() ? "no error" : bad.error().text();
  };
  CHECK(message(">=1.13") == "\">=1.13\" is not a requirement: it does not begin with a name");
  CHECK(
      message("torch>=x") ==
      "\"torch>=x\" is not a requirement: \">=x\" is not a version clause: \"x\" is not a PEP 440 "
      "version");
  CHECK(
      message("torch 1.13") ==
      "\"torch 1.13\" is not a requirement: \"1.13\" is not a version clause: it begins with none "
      "of ~= == != <= >= < > ===");
  CHECK(message("torch[cuda]>=1") ==
        "\"torch[cuda]>=1\" is not a requirement: extras, URLs and markers are not supported");
  CHECK(message("torch>=1.13 <2") ==
        "\"torch>=1.13 <2\" is not a requirement: \">=1.13 <2\" is not a version clause: it "
        "contains a space");
}

TEST_CASE("a floor decides what every version above it would decide alike") {
  const auto judge = [](std::string_view clause, std::string_view floor) {
    return to_string(Specifier::parse(clause)->judge_floor(version(floor)));
  };
  CHECK(judge(">=1.6", "1.6") == "satisfied");
  CHECK(judge(">=1.5", "1.6") == "satisfied");
  CHECK(judge(">=1.7", "1.6") == "unknown");
  CHECK(judge(">1.5", "1.6") == "satisfied");
  CHECK(judge(">1.6", "1.6") == "unknown");
  CHECK(judge("<1.6", "1.6") == "unsatisfied");
  CHECK(judge("<2", "1.6") == "unknown");
  CHECK(judge("<=1.5", "1.6") == "unsatisfied");
  CHECK(judge("<=1.6", "1.6") == "unknown");
  CHECK(judge("==1.5", "1.6") == "unsatisfied");
  CHECK(judge("==1.6", "1.6") == "unknown");
  CHECK(judge("==1.*", "1.6") == "unknown");
  CHECK(judge("==1.*", "2.0") == "unsatisfied");
  CHECK(judge("!=1.5", "1.6") == "satisfied");
  CHECK(judge("!=1.5.*", "1.6") == "satisfied");
  CHECK(judge("!=1.7", "1.6") == "unknown");
  CHECK(judge("~=1.4.2", "1.6") == "unsatisfied");
  CHECK(judge("~=1.4", "1.6") == "unknown");
  CHECK(judge("===1.0", "1.6") == "unknown");
}
