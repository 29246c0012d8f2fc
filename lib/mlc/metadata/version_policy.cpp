#include "mlc/metadata/version_policy.h"

#include "mlc/base/text.h"
#include "mlc/base/version.h"

#include <algorithm>

namespace mlc {
namespace {

// A fact whose version could be read.
struct Known {
  VersionFact fact;
  Version version;
};

std::string from(const VersionFact& fact) {
  return " (from " + fact.source + ")";
}

// "torch version" and "version" before the version.
std::string version_of(const std::string& subject) {
  return subject == kOwnVersion ? subject : subject + " version";
}

class Judge {
 public:
  Judge(std::span<const VersionFact> facts, const PolicyOptions& options)
      : facts_(facts), options_(options) {}

  RequirementVerdict judge(const Requirement& requirement) {
    RequirementVerdict out;
    out.requirement = requirement;
    std::string unreadable;
    const auto known = best_fact(requirement.name, unreadable);
    if (!known) {
      explain_missing(out, unreadable);
      return out;
    }
    out.fact = known->fact;
    const Version version = options_.base_version ? known->version.base() : known->version;
    out.compared = version.to_string();
    if (known->fact.floor) {
      judge_floor(out, version);
    } else {
      judge_exact(out, version);
    }
    if (disproof_ && out.verdict == Verdict::satisfied) return judge_disproof(requirement, out);
    return out;
  }

  std::vector<std::string> warnings;

 private:
  // Reads the version of FACT; a warning says what a lenient reading dropped.
  std::optional<Version> read(const VersionFact& fact) {
    if (options_.strict) {
      auto version = Version::parse(fact.version);
      return version.ok() ? std::optional(std::move(version).value()) : std::nullopt;
    }
    auto lenient = Version::parse_lenient(fact.version);
    if (!lenient.ok()) return std::nullopt;
    if (!lenient->dropped.empty()) {
      warn(version_of(fact.subject) + " " + quoted(fact.version, 60) + " is not PEP 440; read as " +
           lenient->version.to_string() + " without " + quoted(lenient->dropped, 60) + from(fact));
    }
    return std::move(lenient->version);
  }

  std::optional<Known> best_fact(const std::string& subject, std::string& unreadable) {
    if (subject == "mlc") {
      const VersionFact fact{subject, std::string(mlc_version()), "this mlc", false};
      return Known{fact, *Version::parse(fact.version)};
    }
    disproof_.reset();
    std::optional<Known> exact;
    std::optional<Known> floor;
    for (const VersionFact& fact : facts_) {
      if (normalized_name(fact.subject) != subject) continue;
      const auto version = read(fact);
      if (!version) {
        const std::string what = version_of(subject) + " " + quoted(fact.version, 60) +
                                 (options_.strict ? " is not PEP 440" : " is not a version") +
                                 from(fact);
        if (unreadable.empty()) unreadable = what;
        continue;
      }
      if (fact.floor) {
        if (!floor || *version > floor->version) floor = Known{fact, *version};
      } else if (!exact) {
        exact = Known{fact, *version};
      } else if (*version != exact->version) {
        warn(subject + " is " + exact->fact.version + from(exact->fact) + " but " + fact.version +
             from(fact) + "; the first counts");
      }
    }
    if ((exact || floor) && !unreadable.empty()) warn(unreadable);
    if (exact && floor && exact->version < floor->version) {
      warn(subject + " is " + exact->fact.version + from(exact->fact) + " but at least " +
           floor->fact.version + from(floor->fact) +
           (options_.strict ? "; both have to satisfy" : "; the first counts"));
      if (options_.strict) disproof_ = floor;
    }
    return exact ? exact : floor;
  }

  void explain_missing(RequirementVerdict& out, const std::string& unreadable) const {
    for (const Specifier& clause : out.requirement.versions.clauses()) {
      out.clauses.push_back({clause.to_string(), Verdict::unknown});
    }
    const std::string needed = out.requirement.versions.to_string();
    if (unreadable.empty()) {
      const std::string& name = out.requirement.name;
      out.reason = (name == kOwnVersion ? "the file's own version" : "the version of " + name) +
                   " is not known";
    } else {
      out.reason = unreadable;
    }
    if (!needed.empty()) out.reason += ", needed is " + needed;
    if (options_.strict && !unreadable.empty()) {
      out.hint = "without --strict such versions are read as far as possible";
    } else {
      out.unrecorded = true;
      out.hint = "record it in the metadata, or say what unknown means with --if-unknown";
    }
  }

  void judge_exact(RequirementVerdict& out, const Version& version) const {
    const std::string& text = options_.base_version ? out.compared : out.fact->version;
    const SpecifierSet& wanted = out.requirement.versions;
    std::string failed;
    for (const Specifier& clause : wanted.clauses()) {
      const bool holds = clause.accepts(version, text);
      out.clauses.push_back(
          {clause.to_string(), holds ? Verdict::satisfied : Verdict::unsatisfied});
      if (!holds) failed += (failed.empty() ? "" : ",") + clause.to_string();
    }
    const std::string subject = out.requirement.name + " " + out.compared;
    out.prerelease_rejected = failed.empty() && !wanted.contains(version, text, options_.allow_pre);
    if (out.prerelease_rejected) {
      out.reason =
          subject + " is a pre-release, which " +
          (wanted.clauses().empty() ? "is not accepted" : wanted.to_string() + " does not accept");
      out.hint = "accept pre-releases with --pre, or compare release numbers with --base-version";
    } else if (!failed.empty()) {
      out.reason = subject + " does not satisfy " + failed;
    } else {
      out.reason =
          subject + " satisfies " + (wanted.clauses().empty() ? "any version" : wanted.to_string());
    }
    out.reason += from(*out.fact);
    const bool holds = failed.empty() && !out.prerelease_rejected;
    out.verdict = holds ? Verdict::satisfied : Verdict::unsatisfied;
  }

  static void judge_floor(RequirementVerdict& out, const Version& floor) {
    std::string failed;
    std::string open;
    out.floor_fits = true;
    for (const Specifier& clause : out.requirement.versions.clauses()) {
      const Verdict verdict = clause.judge_floor(floor);
      out.clauses.push_back({clause.to_string(), verdict});
      out.floor_fits = out.floor_fits && clause.accepts(floor, out.compared);
      std::string& list = verdict == Verdict::unsatisfied ? failed : open;
      if (verdict != Verdict::satisfied) list += (list.empty() ? "" : ",") + clause.to_string();
    }
    const std::string subject = out.requirement.name + " is at least " + out.compared;
    if (!failed.empty()) {
      out.verdict = Verdict::unsatisfied;
      out.reason = subject + ", which does not satisfy " + failed;
    } else if (!open.empty()) {
      out.verdict = Verdict::unknown;
      out.reason = subject + ", which does not decide " + open;
      out.unrecorded = true;
      out.hint = "record it in the metadata, or say what unknown means with --if-unknown";
    } else {
      out.verdict = Verdict::satisfied;
      out.reason = subject + ", which satisfies " +
                   (out.clauses.empty() ? "any version" : out.requirement.versions.to_string());
    }
    out.reason += from(*out.fact);
  }

  // A claim about a file cannot make good what its bytes prove to be wrong.
  RequirementVerdict judge_disproof(const Requirement& requirement,
                                    const RequirementVerdict& claimed) const {
    RequirementVerdict proven;
    proven.requirement = requirement;
    proven.fact = disproof_->fact;
    const Version floor = options_.base_version ? disproof_->version.base() : disproof_->version;
    proven.compared = floor.to_string();
    judge_floor(proven, floor);
    return proven.verdict == Verdict::unsatisfied ? proven : claimed;
  }

  // The same fact may be asked about by several requirements.
  void warn(std::string text) {
    if (std::find(warnings.begin(), warnings.end(), text) == warnings.end()) {
      warnings.push_back(std::move(text));
    }
  }

  std::span<const VersionFact> facts_;
  const PolicyOptions& options_;
  std::optional<Known> disproof_;  // a floor above the exact version that counts
};

bool passes_unknown(const RequirementVerdict& one, IfUnknown if_unknown) {
  if (if_unknown == IfUnknown::floor) return one.floor_fits;
  return if_unknown != IfUnknown::fail;
}

}  // namespace

PolicyReport check_versions(std::span<const VersionFact> facts,
                            std::span<const Requirement> requirements,
                            const PolicyOptions& options) {
  PolicyReport report;
  Judge judge(facts, options);
  for (const Requirement& requirement : requirements) {
    report.requirements.push_back(judge.judge(requirement));
    RequirementVerdict& judged = report.requirements.back();
    if (options.if_unknown == IfUnknown::floor && judged.verdict == Verdict::unknown &&
        judged.floor_fits) {
      judged.reason += "; the lowest version counts";
      judged.hint.clear();
      judged.unrecorded = false;
    }
    const Verdict verdict = report.requirements.back().verdict;
    // One "no" decides; else one "unknown" does.
    if (verdict == Verdict::unsatisfied ||
        (verdict == Verdict::unknown && report.verdict == Verdict::satisfied)) {
      report.verdict = verdict;
    }
    if (verdict == Verdict::unknown && options.if_unknown == IfUnknown::warn) {
      judge.warnings.push_back(report.requirements.back().reason);
    }
  }
  report.warnings = std::move(judge.warnings);
  report.passes = report.verdict != Verdict::unsatisfied &&
                  std::all_of(report.requirements.begin(), report.requirements.end(),
                              [&](const RequirementVerdict& one) {
                                return one.verdict == Verdict::satisfied ||
                                       passes_unknown(one, options.if_unknown);
                              });
  return report;
}

}  // namespace mlc
