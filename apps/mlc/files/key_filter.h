// --include and --exclude of the verbs that show keys.
#pragma once

#include "mlc/base/reporter.h"

#include <string>
#include <string_view>
#include <vector>

namespace mlc::cli {

/// Borrows its globs.
class KeyFilter {
 public:
  KeyFilter(const std::vector<std::string>& include, const std::vector<std::string>& exclude);

  /// Whether there is anything to leave out.
  bool is_active() const { return !include_.globs.empty() || !exclude_.globs.empty(); }
  /// Whether KEY matches one of the first, where there are some, and none of the others.
  bool selects(std::string_view key);
  /// Globs that matched no key of those asked about are mostly misspelt.
  void warn_of_unused(Reporter& reporter) const;

 private:
  struct Globs {
    std::string_view option;
    const std::vector<std::string>& globs;
    std::vector<bool> used;
  };
  static bool match(Globs& all, std::string_view key);

  Globs include_;
  Globs exclude_;
};

}  // namespace mlc::cli
