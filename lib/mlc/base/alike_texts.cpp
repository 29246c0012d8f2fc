#include "mlc/base/alike_texts.h"

#include "mlc/base/text.h"

#include <utility>

namespace mlc {
namespace {

/// TEXT without FILE and with every number the same.
std::string pattern_of(std::string_view text, std::string_view file) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    if (!file.empty() && text.substr(i).starts_with(file)) {
      out += '\0';
      i += file.size();
    } else if (text[i] >= '0' && text[i] <= '9') {
      if (!out.ends_with('\1')) out += '\1';
      ++i;
    } else {
      out += text[i++];
    }
  }
  return out;
}

}  // namespace

void AlikeTexts::add(std::string_view file, std::string text) {
  const auto [at, is_new] = kind_by_pattern_.try_emplace(pattern_of(text, file), kinds_.size());
  if (is_new) kinds_.emplace_back();
  Kind& kind = kinds_[at->second];
  kind.files.emplace_back(file);
  if (kind.texts.size() < kAllShown) kind.texts.push_back(std::move(text));
}

std::vector<std::string> AlikeTexts::take() {
  std::vector<std::string> out;
  for (Kind& kind : kinds_) {
    if (kind.files.size() <= kAllShown) {
      for (std::string& text : kind.texts) out.push_back(std::move(text));
      continue;
    }
    kind.files.erase(kind.files.begin());
    out.push_back(std::move(kind.texts[0]) + "; likewise of " +
                  plural(kind.files.size(), "more file", "more files") + ": " +
                  join_list(kind.files, 2));
  }
  kinds_.clear();
  kind_by_pattern_.clear();
  return out;
}

}  // namespace mlc
