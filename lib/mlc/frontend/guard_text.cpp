#include "mlc/frontend/guard_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>
#include <utility>

namespace mlc {
namespace {

struct Word {
  std::string_view text;
  GuardOp op;
};
constexpr Word kComparisons[] = {
    {"==", GuardOp::equal},         {"!=", GuardOp::not_equal}, {"<=", GuardOp::less_equal},
    {">=", GuardOp::greater_equal}, {"<", GuardOp::less},       {">", GuardOp::greater},
};
// Longer ones first: "//" before "/".
constexpr Word kProducts[] = {
    {"//", GuardOp::floor_divide},
    {"/", GuardOp::divide},
    {"*", GuardOp::multiply},
    {"%", GuardOp::remainder},
};
constexpr Word kFunctions[] = {
    {"abs(", GuardOp::absolute},
    {"math.trunc(", GuardOp::truncate},
    {"math.floor(", GuardOp::round_down},
    {"math.ceil(", GuardOp::round_up},
    {"round(", GuardOp::round_even},
    {"torch._sym_sqrt(", GuardOp::square_root},
    {"torch.sym_sqrt(", GuardOp::square_root},
    {"math.sqrt(", GuardOp::square_root},
};
constexpr Word kChoices[] = {
    {"min(", GuardOp::minimum},
    {"max(", GuardOp::maximum},
    {"torch.sym_min(", GuardOp::minimum},
    {"torch.sym_max(", GuardOp::maximum},
};

bool is_word(char c) {
  return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/// Reads by precedence; gives up (false) at everything that it does not know.
class GuardReader {
 public:
  explicit GuardReader(std::string_view text) : text_(text) {}

  bool run() {
    if (!disjunction()) return false;
    skip();
    const GuardOp last = guard.steps.back().op;
    const bool is_truth =
        (last >= GuardOp::equal && last <= GuardOp::either) || last == GuardOp::no;
    guard.text += text_.substr(copied_);
    return at_ == text_.size() && is_truth;
  }
  Guard guard;

 private:
  static constexpr int kDeepest = 100;

  void skip() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  }
  bool take(std::string_view word) {
    skip();
    if (!text_.substr(at_).starts_with(word)) return false;
    if (is_word(word.back()) && at_ + word.size() < text_.size() &&
        is_word(text_[at_ + word.size()])) {
      return false;
    }
    at_ += word.size();
    return true;
  }
  template <size_t N>
  const Word* take_one(const Word (&words)[N]) {
    const auto row = std::find_if(std::begin(words), std::end(words),
                                  [&](const Word& one) { return take(one.text); });
    return row == std::end(words) ? nullptr : row;
  }
  bool emit(GuardOp op) {
    guard.steps.push_back({op, 0, {}, {}});
    return true;
  }
  /// In the text for people, NOW stands for what was read from FROM on.
  bool say(size_t from, std::string_view now) {
    guard.text += text_.substr(copied_, from - copied_);
    guard.text += now;
    copied_ = at_;
    return true;
  }

  bool disjunction();
  bool conjunction();
  bool condition();
  bool comparison();
  bool sum();
  bool product();
  bool factor();
  bool power();
  bool atom();
  bool choice(GuardOp op);
  bool real();
  bool size();
  bool key(std::string& name);
  bool integer(int64_t& value);
  bool number();

  std::string_view text_;
  size_t at_ = 0;
  size_t copied_ = 0;  // up to here the text for people is made
  int depth_ = 0;
};

bool GuardReader::disjunction() {
  if (!conjunction()) return false;
  while (take("or")) {
    if (!conjunction() || !emit(GuardOp::either)) return false;
  }
  return true;
}

bool GuardReader::conjunction() {
  if (!condition()) return false;
  while (take("and")) {
    if (!condition() || !emit(GuardOp::both)) return false;
  }
  return true;
}

bool GuardReader::condition() {
  if (++depth_ > kDeepest) return false;
  const bool done = take("not") ? condition() && emit(GuardOp::no) : comparison();
  --depth_;
  return done;
}

bool GuardReader::comparison() {
  if (!sum()) return false;
  const Word* row = take_one(kComparisons);
  return row == nullptr || (sum() && emit(row->op));
}

bool GuardReader::sum() {
  if (!product()) return false;
  for (;;) {
    if (take("+")) {
      if (!product() || !emit(GuardOp::add)) return false;
    } else if (take("-")) {
      if (!product() || !emit(GuardOp::subtract)) return false;
    } else {
      return true;
    }
  }
}

bool GuardReader::product() {
  if (!factor()) return false;
  for (;;) {
    skip();
    if (text_.substr(at_).starts_with("**")) return false;
    const Word* row = take_one(kProducts);
    if (row == nullptr) return true;
    if (!factor() || !emit(row->op)) return false;
  }
}

bool GuardReader::factor() {
  if (++depth_ > kDeepest) return false;
  const bool done = take("-") ? factor() && emit(GuardOp::negate) : power();
  --depth_;
  return done;
}

bool GuardReader::power() {
  if (!atom()) return false;
  return !take("**") || (factor() && emit(GuardOp::power));
}

bool GuardReader::atom() {
  skip();
  const size_t start = at_;
  if (take("(")) return disjunction() && take(")");
  if (take("L[")) {
    at_ = start;
    return size();
  }
  if (take("torch.sym_float(")) {
    say(start, "float(");
    return disjunction() && take(")");
  }
  if (const Word* row = take_one(kChoices)) return choice(row->op);
  if (const Word* row = take_one(kFunctions)) {
    const std::string_view name = row->text;
    say(start, name.substr(name.rfind('.') == name.npos ? 0 : name.rfind('.') + 1));
    return disjunction() && take(")") && emit(row->op);
  }
  return number();
}

bool GuardReader::choice(GuardOp op) {
  if (!sum()) return false;
  while (take(",")) {
    if (!sum() || !emit(op)) return false;
  }
  return take(")");
}

/// One step of a path, "'key']" or "3]", as a part of the name of an input.
bool GuardReader::key(std::string& name) {
  if (!take("'")) {
    int64_t index = 0;
    if (!integer(index)) return false;
    name += std::to_string(index);
    return take("]");
  }
  const size_t end = text_.find('\'', at_);
  if (end == text_.npos) return false;
  name += text_.substr(at_, end - at_);
  at_ = end + 1;
  return take("]");
}

// L['x'].size()[1], L['kv'][0].size()[2], L['n']. The names are those that torch.export gives the
// inputs (placeholder_naming_pass in torch/_export/utils.py).
bool GuardReader::size() {
  const size_t start = at_;
  GuardStep step;
  step.op = GuardOp::size;
  if (!take("L[") || !key(step.input)) return false;
  for (;;) {
    if (take(".size()[")) {
      int64_t dim = 0;
      if (!integer(dim) || !take("]")) return false;
      step.dim = dim;
      break;
    }
    if (at_ < text_.size() && text_[at_] == '[') {
      ++at_;
      step.input += "_";
      if (!key(step.input)) return false;
    } else if (at_ < text_.size() && text_[at_] == '.') {
      const size_t from = ++at_;
      while (at_ < text_.size() && is_word(text_[at_])) ++at_;
      if (at_ == from) return false;
      step.input += "_" + std::string(text_.substr(from, at_ - from));
    } else {
      break;
    }
  }
  say(start, step.dim ? step.input + ".size(" + std::to_string(*step.dim) + ")" : step.input);
  guard.steps.push_back(std::move(step));
  return true;
}

bool GuardReader::integer(int64_t& value) {
  skip();
  const char* end = text_.data() + text_.size();
  const auto [at, problem] = std::from_chars(text_.data() + at_, end, value);
  if (problem != std::errc{} || value < 0) return false;
  at_ = static_cast<size_t>(at - text_.data());
  return true;
}

bool GuardReader::number() {
  skip();
  if (at_ == text_.size() || text_[at_] < '0' || text_[at_] > '9') return false;
  double value = 0;
  const char* end = text_.data() + text_.size();
  const auto [at, problem] = std::from_chars(text_.data() + at_, end, value);
  if (problem != std::errc{}) return false;
  at_ = static_cast<size_t>(at - text_.data());
  guard.steps.push_back({GuardOp::number, value, {}, {}});
  return true;
}

}  // namespace

std::optional<Guard> read_guard(std::string_view code) {
  GuardReader reader(code);
  if (!reader.run()) return std::nullopt;
  return std::move(reader.guard);
}

}  // namespace mlc
