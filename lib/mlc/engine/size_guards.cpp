#include "mlc/engine/size_guards.h"

#include "mlc/base/checked_math.h"

#include <algorithm>
#include <array>
#include <utility>

namespace mlc {

/// Reads one comparison of Python, by precedence; gives up (false) at everything else.
class GuardParser {
 public:
  explicit GuardParser(std::string_view text) : text_(text) {}

  bool parse() { return comparison() && (skip(), at_ == text_.size()); }
  std::vector<SizeGuards::Step> steps;

 private:
  using Kind = SizeGuards::Kind;
  static constexpr int kDeepest = 100;

  void skip() {
    while (at_ < text_.size() && text_[at_] == ' ') ++at_;
  }
  bool take(std::string_view word) {
    skip();
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }
  bool emit(Kind kind) {
    steps.push_back({kind, 0, {}});
    return true;
  }

  bool comparison() {
    static constexpr std::array<std::pair<std::string_view, Kind>, 6> kWords = {{
        {"==", Kind::equal},
        {"!=", Kind::not_equal},
        {"<=", Kind::less_equal},
        {">=", Kind::greater_equal},
        {"<", Kind::less},
        {">", Kind::greater},
    }};
    if (!sum()) return false;
    const auto row = std::ranges::find_if(kWords, [&](const auto& one) { return take(one.first); });
    return row != kWords.end() && sum() && emit(row->second);
  }

  bool sum() {
    if (!product()) return false;
    for (;;) {
      if (take("+")) {
        if (!product() || !emit(Kind::add)) return false;
      } else if (take("-")) {
        if (!product() || !emit(Kind::subtract)) return false;
      } else {
        return true;
      }
    }
  }

  bool product() {
    if (!factor()) return false;
    for (;;) {
      if (take("//")) {
        if (!factor() || !emit(Kind::divide)) return false;
      } else if (take("*")) {
        if (!factor() || !emit(Kind::multiply)) return false;
      } else if (take("%")) {
        if (!factor() || !emit(Kind::remainder)) return false;
      } else {
        return true;
      }
    }
  }

  bool factor() {
    if (++depth_ > kDeepest) return false;
    const bool done = take("-")      ? factor() && emit(Kind::negate)
                      : take("(")    ? sum() && take(")")
                      : take("min(") ? two(Kind::minimum)
                      : take("max(") ? two(Kind::maximum)
                      : take("L['")  ? size()
                                     : number();
    --depth_;
    return done;
  }

  bool two(Kind kind) { return sum() && take(",") && sum() && take(")") && emit(kind); }

  bool size() {
    const size_t end = text_.find('\'', at_);
    if (end == std::string_view::npos) return false;
    std::string name(text_.substr(at_, end - at_));
    at_ = end;
    if (!take("'].size()[") || !number() || !take("]")) return false;
    steps.back().kind = Kind::size;
    steps.back().input = std::move(name);
    return true;
  }

  bool number() {
    skip();
    constexpr size_t kMostDigits = 18;
    size_t end = at_;
    int64_t value = 0;
    while (end < text_.size() && text_[end] >= '0' && text_[end] <= '9') {
      if (end - at_ == kMostDigits) return false;
      value = value * 10 + (text_[end++] - '0');
    }
    if (end == at_) return false;
    at_ = end;
    steps.push_back({Kind::number, value, {}});
    return true;
  }

  std::string_view text_;
  size_t at_ = 0;
  int depth_ = 0;
};

namespace {

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

std::optional<int64_t> difference(int64_t a, int64_t b) {
  int64_t out = 0;
  return __builtin_sub_overflow(a, b, &out) ? std::nullopt : std::optional(out);
}

/// As one writes it in Python.
std::string readable(std::string text) {
  replace_all(text, "L['", "");
  replace_all(text, "'].size()[", ".size(");
  replace_all(text, "]", ")");
  return text;
}

}  // namespace

SizeGuards::SizeGuards(std::span<const std::string> codes) {
  for (const std::string& code : codes) {
    GuardParser parser(code);
    if (parser.parse()) guards_.push_back({readable(code), std::move(parser.steps)});
  }
}

std::optional<int64_t> SizeGuards::apply(Kind kind, int64_t a, int64_t b) {
  switch (kind) {
    case Kind::add:
      return checked_add(a, b);
    case Kind::subtract:
      return difference(a, b);
    case Kind::multiply:
      return checked_mul(a, b);
    case Kind::divide:
    case Kind::remainder: {
      // Rounded down, as Python does.
      if (b == 0 || b == -1)
        return b == 0 ? std::nullopt : kind == Kind::divide ? difference(0, a) : 0;
      const int64_t quotient = a / b - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0);
      return kind == Kind::divide ? quotient : a - quotient * b;
    }
    case Kind::minimum:
      return std::min(a, b);
    case Kind::maximum:
      return std::max(a, b);
    case Kind::equal:
      return int64_t{a == b};
    case Kind::not_equal:
      return int64_t{a != b};
    case Kind::less:
      return int64_t{a < b};
    case Kind::less_equal:
      return int64_t{a <= b};
    case Kind::greater:
      return int64_t{a > b};
    case Kind::greater_equal:
      return int64_t{a >= b};
    case Kind::number:
    case Kind::size:
    case Kind::negate:
      break;
  }
  return std::nullopt;
}

std::optional<int64_t> SizeGuards::value(const Guard& guard, const SizeOf& size_of) {
  std::vector<int64_t> stack;
  for (const Step& step : guard.steps) {
    std::optional<int64_t> made;
    if (step.kind == Kind::number) {
      made = step.number;
    } else if (step.kind == Kind::size) {
      made = size_of(step.input, step.number);
    } else if (step.kind == Kind::negate) {
      made = difference(0, stack.back());
      stack.pop_back();
    } else {
      const int64_t b = stack.back();
      stack.pop_back();
      made = apply(step.kind, stack.back(), b);
      stack.pop_back();
    }
    if (!made) return std::nullopt;
    stack.push_back(*made);
  }
  return stack.back();
}

std::optional<std::string> SizeGuards::broken(const SizeOf& size_of) const {
  for (const Guard& guard : guards_) {
    if (value(guard, size_of) == 0) return guard.text;
  }
  return std::nullopt;
}

}  // namespace mlc
