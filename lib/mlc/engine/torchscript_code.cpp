#include "mlc/engine/torchscript_code.h"

#include <algorithm>
#include <array>
#include <vector>

namespace mlc {
namespace {

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/// Whether the text before AT ends a word or a dotted name that what begins there belongs to.
bool begins_name(std::string_view code, size_t at) {
  return at == 0 || (!is_word(code[at - 1]) && code[at - 1] != '.');
}

std::string_view word_at(std::string_view code, size_t at) {
  size_t end = at;
  while (end < code.size() && is_word(code[end])) ++end;
  return code.substr(at, end - at);
}

/// The length of the string that CODE begins with, quotes included; 0 where it is none. As the
/// lexer of TorchScript sees it: a newline ends the search but in three quotes.
size_t string_length(std::string_view code) {
  const char quote = code[0];
  if (quote != '"' && quote != '\'') return 0;
  const bool triple = code.size() > 2 && code[1] == quote && code[2] == quote;
  const std::string_view close = triple ? code.substr(0, 3) : code.substr(0, 1);
  for (size_t at = close.size(); at < code.size(); ++at) {
    if (code.substr(at).starts_with(close)) return at + close.size();
    if (code[at] == '\n' && !triple) return 0;
    if (code[at] == '\\') ++at;
  }
  return 0;
}

class DepthScan {
 public:
  explicit DepthScan(std::string_view code) : code_(code) {}

  CodeDepth run() {
    begin_line();
    while (at_ < code_.size()) step();
    const auto before = code_.substr(0, deepest_at_);
    return {deepest_, static_cast<size_t>(std::ranges::count(before, '\n')) + 1};
  }

 private:
  void step() {
    const char c = code_[at_];
    if (c == '\n') {
      // The lexer calls itself for each line that holds nothing.
      reach(++blank_lines_);
    } else if (c != ' ' && c != '\t' && c != '#' && c != '\\') {
      blank_lines_ = 0;
    }
    if (is_word(c)) return word();
    if (strings_ && (c == '"' || c == '\'')) {
      const size_t length = string_length(code_.substr(at_));
      // Without an end it is no string, and the lexer stops here: looking for others would take
      // the square of the time.
      strings_ = length > 0;
      at_ += std::max<size_t>(length, 1);
      return;
    }
    if (c == '#' && !code_.substr(at_).starts_with("# type:")) {
      at_ = std::min(code_.find('\n', at_), code_.size());
      return;
    }
    ++at_;
    if (c == '\\' && at_ < code_.size() && code_[at_] == '\n') {
      ++at_;  // the statement goes on
      reach(++blank_lines_);
    } else if (c == '\n' && open_.empty()) {
      begin_line();
    } else if (c == ',') {
      total_ -= here_;
      here_ = 0;
    } else if (kOpening.find(c) != kOpening.npos) {
      add();  // f(a)(b)(c) is as deep as it is long
      open_.push_back(here_);
      here_ = 0;
    } else if (kClosing.find(c) != kClosing.npos && !open_.empty()) {
      total_ -= here_;
      here_ = open_.back();
      open_.pop_back();
    } else if (kOperators.find(c) != kOperators.npos) {
      add();
    }
  }

  void begin_line() {
    size_t indent = 0;
    while (at_ < code_.size() && (code_[at_] == ' ' || code_[at_] == '\t')) ++at_, ++indent;
    here_ = 0;
    total_ = indent;
    const std::string_view first = word_at(code_, at_);
    if (first == "def") elifs_ = 0;
    if (first == "elif") ++elifs_;
    total_ += elifs_;
    reach(total_);
  }

  void word() {
    const std::string_view word = word_at(code_, at_);
    at_ += word.size();
    if (std::ranges::find(kWords, word) != kWords.end()) add();
  }

  void add() {
    ++here_;
    reach(++total_);
  }

  void reach(size_t depth) {
    if (depth <= deepest_) return;
    deepest_ = depth;
    deepest_at_ = std::min(at_, code_.size());
  }

  static constexpr std::string_view kOpening = "([{", kClosing = ")]}";
  static constexpr std::string_view kOperators = ".+-*/%@&|^~<>=!";
  static constexpr std::array<std::string_view, 8> kWords = {"and",  "or", "not", "if",
                                                             "else", "is", "in",  "for"};

  std::string_view code_;
  size_t at_ = 0;
  bool strings_ = true;
  size_t here_ = 0;           // operators since the comma or bracket before, which is open
  std::vector<size_t> open_;  // the same before each bracket that is open
  size_t total_ = 0;          // all of them, and what the line is in
  size_t elifs_ = 0;          // in this function
  size_t blank_lines_ = 0;    // in a row
  size_t deepest_ = 0;
  size_t deepest_at_ = 0;
};

}  // namespace

void collect_operators(std::string_view code, std::set<std::string>& names) {
  constexpr std::string_view kOps = "ops.";
  for (size_t at = code.find(kOps); at != code.npos; at = code.find(kOps, at + 1)) {
    if (!begins_name(code, at)) continue;
    const std::string_view space = word_at(code, at + kOps.size());
    const size_t dot = at + kOps.size() + space.size();
    if (space.empty() || dot >= code.size() || code[dot] != '.') continue;
    const std::string_view name = word_at(code, dot + 1);
    const size_t call = dot + 1 + name.size();
    if (name.empty() || call >= code.size() || code[call] != '(') continue;
    names.insert(std::string(space) + "::" + std::string(name));
  }
}

void collect_custom_classes(std::string_view code, std::set<std::string>& names) {
  constexpr std::string_view kClasses = "__torch__.torch.classes.";
  for (size_t at = code.find(kClasses); at != code.npos; at = code.find(kClasses, at + 1)) {
    size_t end = at;
    while (end < code.size() && (is_word(code[end]) || code[end] == '.')) ++end;
    names.insert(std::string(code.substr(at, end - at)));
  }
}

bool has_recurrence(std::string_view code) {
  constexpr std::array<std::string_view, 5> kCalls = {
      "torch.lstm(", "torch.gru(", "torch.rnn_tanh(", "torch.rnn_relu(", "torch.mkldnn_rnn_layer("};
  return std::ranges::any_of(kCalls, [&](auto call) { return code.find(call) != code.npos; });
}

CodeDepth depth_of_code(std::string_view code) {
  return DepthScan(code).run();
}

}  // namespace mlc
