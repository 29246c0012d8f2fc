// Versions as Python's packages number them: PEP 440, ordering and normal form included.
//
// parse() is the strict grammar of the PEP's appendix B; parse_lenient() also reads what vendors
// make of it ("2.0.0.nv23.05") and says what it ignored. Numbers beyond 64 bits are refused.
#pragma once

#include "mlc/base/result.h"

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace mlc {

struct LenientVersion;

class Version {
 public:
  enum class Phase { alpha, beta, candidate };
  struct Pre {
    Phase phase = Phase::alpha;
    uint64_t number = 0;
    auto operator<=>(const Pre&) const = default;
  };
  using LocalPart = std::variant<std::string, uint64_t>;

  /// The version 0.
  Version() = default;

  /// Accepts every spelling the PEP normalises ("v1.0-ALPHA.1", "1.0-1", surrounding space).
  /// Error: usage.
  static Result<Version> parse(std::string_view text);
  /// The longest leading part of TEXT that is a version and ends where a word or number ends.
  /// Error: usage, if there is none.
  static Result<LenientVersion> parse_lenient(std::string_view text);

  uint64_t epoch() const { return epoch_; }
  /// At least one number; trailing zeros are kept.
  const std::vector<uint64_t>& release() const { return release_; }
  const std::optional<Pre>& pre() const { return pre_; }
  std::optional<uint64_t> post() const { return post_; }
  std::optional<uint64_t> dev() const { return dev_; }
  const std::vector<LocalPart>& local() const { return local_; }
  bool is_prerelease() const { return pre_.has_value() || dev_.has_value(); }

  /// The normal form, "1!2.0rc1.post2.dev3+ubuntu.1".
  std::string to_string() const;
  /// Epoch and release only.
  Version base() const;
  /// Without the local part.
  Version without_local() const;
  /// The first of all versions whose release begins with this one's: "1.2" gives 1.2.dev0.
  Version first_of_prefix() const;
  /// The first version beyond all those: "1.2" gives 1.3.dev0.
  Version first_after_prefix() const;
  /// This version with its last release number removed. Requires: two or more.
  Version shorter_release() const;
  /// This version as its first development release.
  Version as_dev0() const;

  /// The order of the PEP; 1.0 and 1.0.0 are equal.
  std::strong_ordering operator<=>(const Version& other) const;
  bool operator==(const Version& other) const { return (*this <=> other) == 0; }

 private:
  friend class VersionParser;

  uint64_t epoch_ = 0;
  std::vector<uint64_t> release_ = {0};
  std::optional<Pre> pre_;
  std::optional<uint64_t> post_;
  std::optional<uint64_t> dev_;
  std::vector<LocalPart> local_;
};

struct LenientVersion {
  Version version;
  std::string dropped;  // the end of the text that was ignored; empty if the text is a version
};

}  // namespace mlc
