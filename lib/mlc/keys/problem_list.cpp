#include "mlc/keys/problem_list.h"

#include "mlc/base/text.h"

namespace mlc {

void ProblemList::add(std::string problem) {
  if (shown_.size() < kShown) shown_.push_back(std::move(problem));
  ++count_;
}

std::string ProblemList::text(const std::string& heading) const {
  if (count_ == 1) return shown_.front();
  std::string out = format_count(count_) + " " + heading;
  for (const std::string& problem : shown_) out += "\n  " + problem;
  if (count_ > shown_.size()) out += "\n  and " + format_count(count_ - shown_.size()) + " more";
  return out;
}

}  // namespace mlc
