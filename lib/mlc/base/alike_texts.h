// Warnings about many files of one run, those of one kind said once: thousands of shards would bury
// everything else.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace mlc {

class AlikeTexts {
 public:
  /// TEXT is about FILE, as both are shown. Texts are alike that differ in that name and in numbers
  /// only.
  void add(std::string_view file, std::string text);

  /// What was added, in the order of the first of each kind: up to three of a kind as they are, of
  /// more the first with the number of the others and two of their names. Nothing is left.
  std::vector<std::string> take();

 private:
  struct Kind {
    std::vector<std::string> texts;  // up to kAllShown
    std::vector<std::string> files;  // of all
  };
  static constexpr size_t kAllShown = 3;

  std::vector<Kind> kinds_;
  std::unordered_map<std::string, size_t> kind_by_pattern_;
};

}  // namespace mlc
