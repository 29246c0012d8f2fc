#include "files/key_filter.h"

#include "mlc/base/glob.h"
#include "mlc/base/text.h"

namespace mlc::cli {

KeyFilter::KeyFilter(const std::vector<std::string>& include,
                     const std::vector<std::string>& exclude)
    : include_{"--include", include, std::vector<bool>(include.size())},
      exclude_{"--exclude", exclude, std::vector<bool>(exclude.size())} {}

/// Whether one of ALL matches KEY; all that do count as used.
bool KeyFilter::match(Globs& all, std::string_view key) {
  bool any = false;
  for (size_t i = 0; i < all.globs.size(); ++i) {
    if ((any && all.used[i]) || !glob_match(all.globs[i], key)) continue;
    any = true;
    all.used[i] = true;
  }
  return any;
}

bool KeyFilter::selects(std::string_view key) {
  const bool included = match(include_, key);
  const bool excluded = match(exclude_, key);
  return !excluded && (included || include_.globs.empty());
}

void KeyFilter::warn_of_unused(Reporter& reporter) const {
  for (const Globs* all : {&include_, &exclude_}) {
    for (size_t i = 0; i < all->globs.size(); ++i) {
      if (all->used[i]) continue;
      reporter.warn(std::string(all->option) + " " + quoted(all->globs[i]) + " matches no key");
    }
  }
}

}  // namespace mlc::cli
