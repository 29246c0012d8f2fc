// The decision of `mlc validate-version`: do the versions that a file tells meet the requirements?
//
// Free of file formats: the caller collects facts (metadata in the file, sidecar, TorchScript
// producer, zip format) in order of trust and prints what comes back. Nothing here fails; what
// cannot be decided is Verdict::unknown.
#pragma once

#include "mlc/metadata/specifier.h"

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mlc {

/// The subject of what a file says about the version of itself.
inline constexpr std::string_view kOwnVersion = "version";

/// Something a file says about the version of something.
struct VersionFact {
  std::string subject;  // "torch", "python", "cuda", "format", kOwnVersion, a model's name
  std::string version;  // as written there
  std::string source;   // for people: "x.mlc.yaml", "zip format record"
  bool floor = false;   // only known to be this version or a later one
};

/// What becomes of a requirement that cannot be decided. FLOOR: it passes where the least version
/// that is known, and could be the one, satisfies it.
enum class IfUnknown { fail, warn, pass, floor };

struct PolicyOptions {
  // Versions outside PEP 440 are unknown instead of read leniently, and what the bytes of the file
  // prove holds beside what its metadata claims.
  bool strict = false;
  bool base_version = false;  // compare epoch and release only: 2.1.0a0+git counts as 2.1.0
  bool allow_pre = false;     // pre-releases are acceptable everywhere
  IfUnknown if_unknown = IfUnknown::fail;
};

struct ClauseVerdict {
  std::string clause;  // ">=1.13"
  Verdict verdict = Verdict::unknown;
};

struct RequirementVerdict {
  Requirement requirement;
  Verdict verdict = Verdict::unknown;
  std::vector<ClauseVerdict> clauses;
  bool prerelease_rejected = false;  // the clauses hold, but for a pre-release nobody asked for
  std::optional<VersionFact> fact;   // what was compared; nothing if no version is known
  std::string compared;              // its version in normal form, as it was compared
  std::string reason;                // "torch 1.9.0 does not satisfy >=1.13 (from x.mlc.yaml)"
  std::string hint;                  // what the user can do about it, or empty
  bool floor_fits = false;           // unknown, but the least version would satisfy
  bool unrecorded = false;           // unknown, but would not be if the metadata told the version
};

struct PolicyReport {
  Verdict verdict = Verdict::satisfied;
  bool passes = true;  // the verdict once PolicyOptions::if_unknown is applied
  std::vector<RequirementVerdict> requirements;  // in the order asked
  std::vector<std::string> warnings;
};

/// Judges REQUIREMENTS by FACTS, which come in order of trust: the first exact fact about a subject
/// that can be read counts, else its highest floor. Where the floor is above the exact one, which
/// is then wrong, a warning says so; with `strict` both have to satisfy. "mlc" is this binary,
/// whatever the facts say, because `requires` names what may read a file. Without requirements all
/// is satisfied.
PolicyReport check_versions(std::span<const VersionFact> facts,
                            std::span<const Requirement> requirements,
                            const PolicyOptions& options);

}  // namespace mlc
