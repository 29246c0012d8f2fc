// Several problems of one kind in one message: the first ten, then how many more there are.
#pragma once

#include <string>
#include <vector>

namespace mlc {

class ProblemList {
 public:
  static constexpr size_t kShown = 10;

  void add(std::string problem);
  bool empty() const { return count_ == 0; }
  size_t count() const { return count_; }

  /// The problem alone if there is one; else "HEADING" and one indented line for each of the first
  /// ten. HEADING stands behind the count: "12 names are used twice".
  std::string text(const std::string& heading) const;

 private:
  std::vector<std::string> shown_;
  size_t count_ = 0;
};

}  // namespace mlc
