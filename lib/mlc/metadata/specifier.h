// Conditions on versions, as in "torch>=1.13,<3": clauses, sets of clauses, requirements.
//
// The rules are those of PEP 440, "Version specifiers": a local part counts only if the clause
// names one, ">1.7" rejects 1.7.0.post1, "<2.0" rejects 2.0rc1.
#pragma once

#include "mlc/metadata/pep440.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlc {

/// What can be said about a clause.
enum class Verdict { satisfied, unsatisfied, unknown };
std::string_view to_string(Verdict verdict);

/// One clause, such as ">=1.13" or "==2.*".
class Specifier {
 public:
  enum class Op {
    compatible,
    equal,
    not_equal,
    less_equal,
    greater_equal,
    less,
    greater,
    identical
  };

  static Result<Specifier> parse(std::string_view text);

  Op op() const { return op_; }
  /// Whether the clause names a pre-release, which makes pre-releases acceptable to its set.
  bool names_prerelease() const;
  /// Operator and version without spaces, as written.
  std::string to_string() const;

  /// Whether VERSION, written TEXT, meets the clause, pre-releases judged like any other version.
  /// TEXT matters to "===" only, which compares spellings.
  bool accepts(const Version& version, std::string_view text) const;
  /// The same for a version of which only a lower bound is known.
  Verdict judge_floor(const Version& floor) const;

 private:
  friend class SpecifierSet;

  Op op_ = Op::equal;
  std::string text_;     // of the version, with ".*" if any
  Version version_;      // of "===": 0 if the text is not a version
  bool prefix_ = false;  // ==V.* and !=V.*
  bool is_version_ = true;
};

/// Clauses that must all hold. The empty set accepts every final version.
class SpecifierSet {
 public:
  /// ">=1.13, <2.3": clauses between commas; empty text is the empty set. Error: usage.
  static Result<SpecifierSet> parse(std::string_view text);

  const std::vector<Specifier>& clauses() const { return clauses_; }
  bool names_prerelease() const;
  std::string to_string() const;

  /// All clauses, and VERSION is no pre-release unless a clause names one or ALLOW_PRE is set.
  bool contains(const Version& version, std::string_view text, bool allow_pre = false) const;
  /// Whether no version at all meets the clauses, as of <1,>3. Only sets of plain release numbers
  /// are judged: false for one that names a pre-, post-, development or local release, or "===".
  bool contradicts_itself() const;

 private:
  std::vector<Specifier> clauses_;
};

/// "torch>=1.13,<3": what must be there in which version.
struct Requirement {
  std::string name;  // in the normal form of normalized_name()
  SpecifierSet versions;

  /// Name, then clauses, the latter in parentheses if one likes. Extras, markers and URLs, which
  /// belong to package installers, are refused. Error: usage.
  static Result<Requirement> parse(std::string_view text);
  std::string to_string() const { return name + versions.to_string(); }
};

/// Lower case, runs of ".", "-" and "_" as one "-" (PEP 503).
std::string normalized_name(std::string_view name);

}  // namespace mlc
