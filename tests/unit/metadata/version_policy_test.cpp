#include "mlc/metadata/version_policy.h"

#include "catch.h"
#include "mlc/base/version.h"

using namespace mlc;

namespace {

const VersionFact kOld{"torch", "1.9.0", "x.mlc.yaml", false};
const VersionFact kNew{"torch", "2.1.0+cu118", "metadata in x.pt", false};
const VersionFact kNightly{"torch", "2.2.0.dev20231001+cu121", "metadata in x.pt", false};
const VersionFact kVendor{"torch", "2.0.0.nv23.05", "TorchScript producer", false};
const VersionFact kFloor{"torch", "1.6", "zip format record", true};

PolicyReport check(std::vector<VersionFact> facts, const std::vector<std::string>& requirements,
                   PolicyOptions options = {}) {
  std::vector<Requirement> parsed;
  for (const std::string& text : requirements) {
    auto requirement = Requirement::parse(text);
    if (!requirement.ok()) FAIL(requirement.error().text());
    parsed.push_back(std::move(requirement).value());
  }
  return check_versions(facts, parsed, options);
}

// "verdict: reason" of the one requirement.
std::string line(const PolicyReport& report) {
  REQUIRE(report.requirements.size() == 1);
  const RequirementVerdict& only = report.requirements[0];
  CHECK(only.verdict == report.verdict);
  return std::string(to_string(only.verdict)) + ": " + only.reason;
}

}  // namespace

TEST_CASE("an exact version is judged clause by clause") {
  CHECK(line(check({kOld}, {"torch>=1.13"})) ==
        "unsatisfied: torch 1.9.0 does not satisfy >=1.13 (from x.mlc.yaml)");
  CHECK(line(check({kNew}, {"torch>=1.13,<3"})) ==
        "satisfied: torch 2.1.0+cu118 satisfies >=1.13,<3 (from metadata in x.pt)");
  CHECK(line(check({kNew}, {"Torch==2.1.0"})) ==
        "satisfied: torch 2.1.0+cu118 satisfies ==2.1.0 (from metadata in x.pt)");
  CHECK(line(check({kNew}, {"torch"})) ==
        "satisfied: torch 2.1.0+cu118 satisfies any version (from metadata in x.pt)");
  const PolicyReport report = check({kOld}, {"torch>=1.13,<2,!=1.9.*"});
  CHECK(report.requirements[0].reason ==
        "torch 1.9.0 does not satisfy >=1.13,!=1.9.* (from x.mlc.yaml)");
  REQUIRE(report.requirements[0].clauses.size() == 3);
  CHECK(report.requirements[0].clauses[0].clause == ">=1.13");
  CHECK(report.requirements[0].clauses[0].verdict == Verdict::unsatisfied);
  CHECK(report.requirements[0].clauses[1].verdict == Verdict::satisfied);
  CHECK(report.requirements[0].clauses[2].verdict == Verdict::unsatisfied);
  CHECK_FALSE(report.passes);
}

TEST_CASE("pre-releases need leave") {
  const PolicyReport report = check({kNightly}, {"torch>=1.13"});
  CHECK(line(report) ==
        "unsatisfied: torch 2.2.0.dev20231001+cu121 is a pre-release, which >=1.13 does not accept "
        "(from metadata in x.pt)");
  CHECK(report.requirements[0].prerelease_rejected);
  CHECK(report.requirements[0].hint.find("--pre") != std::string::npos);
  CHECK(check({kNightly}, {"torch>=1.13"}, {.allow_pre = true}).passes);
  CHECK(check({kNightly}, {"torch>=2.2.0.dev0"}).passes);
  CHECK_FALSE(check({kNightly}, {"torch>=2.2"}, {.allow_pre = true}).passes);
  const PolicyReport base = check({kNightly}, {"torch>=2.2"}, {.base_version = true});
  CHECK(base.passes);
  CHECK(base.requirements[0].compared == "2.2.0");
  CHECK_FALSE(check({kNightly}, {"torch"}).passes);
}

TEST_CASE("vendor versions are read leniently unless forbidden") {
  const PolicyReport lenient = check({kVendor}, {"torch>=2.0", "torch<3"});
  CHECK(lenient.passes);
  REQUIRE(lenient.warnings.size() == 1);
  CHECK(lenient.warnings[0] ==
        "torch version \"2.0.0.nv23.05\" is not PEP 440; read as 2.0.0 without \".nv23.05\" (from "
        "TorchScript producer)");
  const PolicyReport strict = check({kVendor}, {"torch>=2.0"}, {.strict = true});
  CHECK(
      line(strict) ==
      "unknown: torch version \"2.0.0.nv23.05\" is not PEP 440 (from TorchScript producer), needed "
      "is >=2.0");
  CHECK_FALSE(strict.passes);
  CHECK(strict.requirements[0].hint.find("--strict") != std::string::npos);
  CHECK(line(check({{"torch", "nightly", "x.yaml", false}}, {"torch>=2.0"})) ==
        "unknown: torch version \"nightly\" is not a version (from x.yaml), needed is >=2.0");
  const PolicyReport next = check({{"torch", "nightly", "x.yaml", false}, kNew}, {"torch>=2.0"});
  CHECK(next.passes);
  CHECK(next.warnings ==
        std::vector<std::string>{"torch version \"nightly\" is not a version (from x.yaml)"});
}

TEST_CASE("what is not known is unknown, and the caller says what that means") {
  const PolicyReport fail = check({kNew}, {"python>=3.8"});
  CHECK(line(fail) == "unknown: the version of python is not known, needed is >=3.8");
  CHECK_FALSE(fail.passes);
  CHECK(fail.warnings.empty());
  CHECK(fail.requirements[0].clauses[0].verdict == Verdict::unknown);
  CHECK_FALSE(fail.requirements[0].fact.has_value());
  const PolicyReport warn = check({}, {"python>=3.8"}, {.if_unknown = IfUnknown::warn});
  CHECK(warn.verdict == Verdict::unknown);
  CHECK(warn.passes);
  CHECK(warn.warnings ==
        std::vector<std::string>{"the version of python is not known, needed is >=3.8"});
  const PolicyReport pass = check({}, {"python>=3.8"}, {.if_unknown = IfUnknown::pass});
  CHECK(pass.passes);
  CHECK(pass.warnings.empty());
}

TEST_CASE("a floor decides only what it implies") {
  CHECK(line(check({kFloor}, {"torch>=1.5"})) ==
        "satisfied: torch is at least 1.6, which satisfies >=1.5 (from zip format record)");
  CHECK(line(check({kFloor}, {"torch>=1.6"})).starts_with("satisfied"));
  CHECK(line(check({kFloor}, {"torch>=1.13"})) ==
        "unknown: torch is at least 1.6, which does not decide >=1.13 (from zip format record)");
  CHECK(line(check({kFloor}, {"torch>=1.5,<3"})) ==
        "unknown: torch is at least 1.6, which does not decide <3 (from zip format record)");
  CHECK(line(check({kFloor}, {"torch<1.6"})) ==
        "unsatisfied: torch is at least 1.6, which does not satisfy <1.6 (from zip format record)");
  // "A PyTorch 2" could not be asked for: layouts tell the least version only.
  const auto passes = [](const VersionFact& fact, const char* requirement) {
    return check({fact}, {requirement}, {.if_unknown = IfUnknown::floor}).passes;
  };
  CHECK(passes(kFloor, "torch>=1.5,<3"));
  CHECK(passes(kFloor, "torch~=1.2"));
  CHECK_FALSE(passes(kFloor, "torch>=1.13"));
  CHECK_FALSE(passes(kFloor, "torch<1.6"));
  CHECK_FALSE(check({}, {"torch<3"}, {.if_unknown = IfUnknown::floor}).passes);
  CHECK(check({kFloor}, {"torch<3"}, {.if_unknown = IfUnknown::floor}).verdict == Verdict::unknown);
  const VersionFact higher{"torch", "1.13", "storage alignment", true};
  CHECK(check({kFloor, higher}, {"torch>=1.13"}).passes);
  CHECK(check({kFloor, kOld}, {"torch>=1.7"}).passes);
}

TEST_CASE("the first exact fact counts, and contradictions are told") {
  const PolicyReport report = check({kNew, kOld}, {"torch>=2"});
  CHECK(report.passes);
  CHECK(report.warnings ==
        std::vector<std::string>{"torch is 2.1.0+cu118 (from metadata in x.pt) but 1.9.0 (from "
                                 "x.mlc.yaml); the first counts"});
  CHECK(check({kOld, {"torch", "1.9", "elsewhere", false}}, {"torch>=1"}).warnings.empty());
  const PolicyReport older = check({{"torch", "1.4.0", "x.yaml", false}, kFloor}, {"torch<1.5"});
  CHECK(older.passes);
  const std::vector<VersionFact> wrong = {{"torch", "1.4.0", "x.yaml", false}, kFloor};
  PolicyOptions strict;
  strict.strict = true;
  CHECK(line(check(wrong, {"torch<1.5"}, strict)) ==
        "unsatisfied: torch is at least 1.6, which does not satisfy <1.5 (from zip format record)");
  CHECK(check(wrong, {"torch<1.9"}, strict).passes);
  CHECK(!check(wrong, {"torch>=1.5"}, strict).passes);
  CHECK(older.warnings ==
        std::vector<std::string>{"torch is 1.4.0 (from x.yaml) but at least 1.6 (from zip format "
                                 "record); the first counts"});
}

TEST_CASE("mlc is this binary, whatever the file was written by") {
  const VersionFact writer{"mlc", "99.0", "metadata in x.pt", false};
  const std::string version(mlc_version());
  CHECK(line(check({writer}, {"mlc<99"})) ==
        "satisfied: mlc " + version + " satisfies <99 (from this mlc)");
  CHECK_FALSE(check({writer}, {"mlc>=99"}).passes);
}

TEST_CASE("several requirements: one no decides, then one unknown") {
  CHECK(check({kNew}, {"torch>=2", "python>=3.8"}).verdict == Verdict::unknown);
  CHECK(check({kOld}, {"python>=3.8", "torch>=2"}).verdict == Verdict::unsatisfied);
  CHECK(check({kOld}, {"torch>=2", "python>=3.8"}, {.if_unknown = IfUnknown::pass}).verdict ==
        Verdict::unsatisfied);
  CHECK(check({}, {}).passes);
}
