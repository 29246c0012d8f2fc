#include "mlc/engine/script_limits.h"

#include "mlc/base/text.h"

#include <algorithm>
#include <array>
#include <vector>

namespace mlc {
namespace {

bool is_word_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/// LINE with blanks for what is in quotes, and without its comment: as long as it was up to there.
std::string without_texts(std::string_view line) {
  std::string out;
  char quote = 0;
  for (size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (quote != 0 && c == '\\') {
      out.append(line.substr(i, 2).size(), ' ');
      ++i;
    } else if (quote != 0) {
      out += c == quote ? c : ' ';
      if (c == quote) quote = 0;
    } else {
      if (c == '#') break;
      if (c == '"' || c == '\'') quote = c;
      out += c;
    }
  }
  return out;
}

/// Where WORD stands in CODE by itself, or npos.
size_t find_word(std::string_view code, std::string_view word, size_t from = 0) {
  for (size_t at = code.find(word, from); at != code.npos; at = code.find(word, at + 1)) {
    const size_t end = at + word.size();
    const bool begins = at == 0 || (!is_word_char(code[at - 1]) && code[at - 1] != '.');
    if (begins && (end == code.size() || !is_word_char(code[end]))) return at;
  }
  return code.npos;
}

/// Whether CODE, without its indentation, begins with WORD.
size_t find_statement(std::string_view code, std::string_view word) {
  const size_t first = code.find_first_not_of(' ');
  return first != code.npos && find_word(code, word) == first ? first : code.npos;
}

size_t find_f_string(std::string_view code) {
  for (size_t i = 0; i + 1 < code.size(); ++i) {
    const bool is_f = code[i] == 'f' || code[i] == 'F';
    const bool begins = i == 0 || !is_word_char(code[i - 1]);
    if (is_f && begins && (code[i + 1] == '"' || code[i + 1] == '\'')) return i;
  }
  return code.npos;
}

struct Comprehension {
  size_t first_for = 0;
  size_t second_for = 0;  // 0: there is none; else relative to the line
  size_t condition = 0;   // of an `if` behind `in`, the same
  size_t pair_comma = 0;  // between `for` and `in`
  char bracket = '(';
};

/// The comprehensions that begin in CODE, innermost first where they are nested.
std::vector<Comprehension> comprehensions(std::string_view code) {
  struct Open {
    Comprehension it;
    bool has_for = false;
    bool has_in = false;
    bool has_else = false;
  };
  std::vector<Open> open;
  std::vector<Comprehension> out;
  const auto word_at = [&](size_t i, std::string_view word) {
    return code.substr(i).starts_with(word) && find_word(code, word, i) == i;
  };
  for (size_t i = 0; i < code.size(); ++i) {
    const char c = code[i];
    if (c == '(' || c == '[' || c == '{') {
      open.push_back({});
      open.back().it.bracket = c;
      continue;
    }
    if (open.empty()) continue;
    Open& here = open.back();
    if (c == ')' || c == ']' || c == '}') {
      if (here.has_for) out.push_back(here.it);
      open.pop_back();
    } else if (word_at(i, "for")) {
      (here.has_for ? here.it.second_for : here.it.first_for) = i;
      here.has_for = true;
    } else if (here.has_for && word_at(i, "in")) {
      here.has_in = true;
    } else if (here.has_for && !here.has_in && c == ',') {
      here.it.pair_comma = i;
    } else if (here.has_in && word_at(i, "else")) {
      here.it.condition = 0;
    } else if (here.has_in && word_at(i, "if")) {
      here.it.condition = i;
    }
  }
  return out;
}

constexpr std::string_view kWriteLoop = "write a loop that appends to a list";

size_t find_set(std::string_view code) {
  const size_t brace = code.find('{');
  if (brace == code.npos || code.find('}', brace) == code.npos) return code.npos;
  const std::string_view inside = code.substr(brace + 1, code.find('}', brace) - brace - 1);
  const bool empty = inside.find_first_not_of(' ') == inside.npos;
  return empty || inside.find(':') != inside.npos ? code.npos : brace;
}

size_t find_walrus(std::string_view code) {
  return code.find(":=");
}

size_t find_decorator(std::string_view code) {
  const size_t first = code.find_first_not_of(' ');
  return first != code.npos && code[first] == '@' ? first : code.npos;
}

size_t find_keyword_unpacking(std::string_view code) {
  for (size_t at = code.find("**"); at != code.npos; at = code.find("**", at + 2)) {
    const size_t before = code.substr(0, at).find_last_not_of(' ');
    if (before != code.npos && (code[before] == '(' || code[before] == ',')) return at;
  }
  return code.npos;
}

size_t find_inner_function(std::string_view code) {
  const size_t at = find_statement(code, "def");
  return at == 0 ? code.npos : at;
}

/// The star of `def forward(self, *xs)`.
size_t find_rest_arguments(std::string_view code) {
  if (find_statement(code, "def") == code.npos) return code.npos;
  const size_t star = code.find('*');
  const bool name = star != code.npos && star + 1 < code.size() && is_word_char(code[star + 1]);
  return name ? star : code.npos;
}

/// The underscore of 1_000.
size_t find_digit_groups(std::string_view code) {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  for (size_t i = 1; i + 1 < code.size(); ++i) {
    if (code[i] != '_' || !is_digit(code[i - 1]) || !is_digit(code[i + 1])) continue;
    size_t first = i;
    while (first > 0 && is_word_char(code[first - 1])) --first;
    if (is_digit(code[first])) return i;
  }
  return code.npos;
}

/// A plus with nothing to add to: `= +x`, `(+x`, `return +x`.
size_t find_unary_plus(std::string_view code) {
  for (size_t at = code.find('+'); at != code.npos; at = code.find('+', at + 1)) {
    const std::string_view before = code.substr(0, code.substr(0, at).find_last_not_of(' ') + 1);
    if (at + 1 >= code.size() || code[at + 1] == '=' || before.empty()) continue;
    constexpr std::string_view kBefore = "=([{,:<>";
    const bool returned = before.ends_with("return") && find_statement(code, "return") != code.npos;
    if (returned || kBefore.find(before.back()) != kBefore.npos) return at;
  }
  return code.npos;
}

/// The axis that NumPy calls so.
size_t find_axis(std::string_view code) {
  for (size_t at = find_word(code, "axis"); at != code.npos; at = find_word(code, "axis", at + 1)) {
    const size_t next = code.find_first_not_of(' ', at + 4);
    const bool given = next != code.npos && code[next] == '=' && code.substr(next, 2) != "==";
    const size_t last = code.substr(0, at).find_last_not_of(' ');
    if (given && last != code.npos && (code[last] == '(' || code[last] == ',')) return at;
  }
  return code.npos;
}

/// match is a word like others elsewhere.
size_t find_match(std::string_view code) {
  const size_t last = code.find_last_not_of(' ');
  return last != code.npos && code[last] == ':' ? find_statement(code, "match") : code.npos;
}

struct Row {
  std::string_view word;                            // empty: see `find`
  bool begins_statement = false;                    // only there
  size_t (*find)(std::string_view code) = nullptr;  // instead of a word
  std::string_view message;
  std::string_view hint;
};

constexpr std::string_view kNoEffect =
    "take it out: mlc runs models in evaluation mode, without gradients";
constexpr std::string_view kNoExceptions = "raise and assert end the run; nothing can catch them";

constexpr auto kRows = std::to_array<Row>({
    {"", false, find_f_string, "TorchScript has no f-strings", "as in \"{}\".format(x)"},
    {"lambda", false, nullptr, "TorchScript has no lambda",
     "write a method beside forward and call it as self.name(x)"},
    {"import", true, nullptr, "nothing is imported here",
     "torch, F (torch.nn.functional) and math are there already"},
    {"from", true, nullptr, "nothing is imported here",
     "torch, F (torch.nn.functional) and math are there already"},
    {"try", true, nullptr, "TorchScript has no try", kNoExceptions},
    {"except", true, nullptr, "TorchScript has no except", kNoExceptions},
    {"finally", true, nullptr, "TorchScript has no finally", kNoExceptions},
    {"class", true, nullptr, "a class cannot be defined in a method",
     "the YAML's `classes` are for modules"},
    {"", false, find_inner_function, "a function cannot be defined in another one",
     "write a method beside forward and call it as self.name(x)"},
    {"global", true, nullptr, "TorchScript has no global",
     "hand values over as arguments, or make a buffer"},
    {"nonlocal", true, nullptr, "TorchScript has no nonlocal", "hand values over as arguments"},
    {"", false, find_match, "TorchScript has no match", "write if and elif"},
    {"async", true, nullptr, "TorchScript has no async", "write an ordinary method"},
    {"await", false, nullptr, "TorchScript has no await", "write an ordinary call"},
    {"yield", false, nullptr, "TorchScript has no yield", "return a list"},
    {"", false, find_decorator, "a method has no decorators here", kNoEffect},
    {"", false, find_walrus, "TorchScript has no :=", "assign in a line of its own"},
    {"", false, find_keyword_unpacking, "TorchScript has no **", "write the arguments by name"},
    {"", false, find_rest_arguments, "TorchScript has no *arguments", "take a List[Tensor]"},
    {"", false, find_digit_groups, "TorchScript has no _ in numbers", "as in 1000"},
    {"", false, find_unary_plus, "TorchScript has no + before a value", "leave it out"},
    {"", false, find_axis, "TorchScript has no argument axis", "PyTorch's own name of it is dim"},
    {"", false, find_set, "TorchScript has no sets", "use a list, or a dict"},
    {"torch.autocast", false, nullptr, "TorchScript has no autocast here",
     "take it out; --dtype bf16 computes in that type"},
    {"with", true, nullptr, "TorchScript has no such context",
     "only torch.no_grad() and torch.inference_mode() are known, and do nothing"},
});

std::optional<ScriptLimit> limit_of(std::string_view message, std::string_view hint, size_t at) {
  return ScriptLimit{std::string(message), std::string(hint), at + 1};
}

std::optional<ScriptLimit> comprehension_limit(std::string_view code) {
  for (const Comprehension& one : comprehensions(code)) {
    if (one.condition != 0) {
      return limit_of("TorchScript has no comprehensions with a condition", kWriteLoop,
                      one.condition);
    }
    if (one.second_for != 0) {
      return limit_of("TorchScript has no comprehensions with two loops", kWriteLoop,
                      one.second_for);
    }
    if (one.pair_comma != 0) {
      return limit_of("TorchScript has no comprehensions over pairs", "write a loop",
                      one.first_for);
    }
    if (one.bracket == '(') {
      return limit_of("TorchScript has no generators", "make a list of it with [ ]", one.first_for);
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<ScriptLimit> script_limit(std::string_view line) {
  const std::string code = without_texts(line);
  if (auto found = comprehension_limit(code)) return found;
  for (const Row& row : kRows) {
    const size_t at = row.find != nullptr    ? row.find(code)
                      : row.begins_statement ? find_statement(code, row.word)
                                             : find_word(code, row.word);
    if (at != std::string::npos) return limit_of(row.message, row.hint, at);
  }
  return std::nullopt;
}

std::string advice_on_name(std::string_view name) {
  constexpr auto kNames = std::to_array<std::pair<std::string_view, std::string_view>>({
      {"np", "NumPy is not here; torch has the same functions for tensors"},
      {"numpy", "NumPy is not here; torch has the same functions for tensors"},
      {"super", "there is no class above this one: call its parts as self.name(x)"},
      {"nn", "modules are declared in the YAML; F has the functions"},
      {"open", "a model reads no files"},
      {"map", "write a loop that appends to a list"},
      {"filter", "write a loop that appends to a list"},
      {"functools", "write a loop"},
      {"itertools", "write a loop"},
  });
  const auto row = std::ranges::find(kNames, name, &decltype(kNames)::value_type::first);
  return row == kNames.end() ? std::string() : std::string(row->second);
}

std::string advice_on_loop_variable(std::string_view name, std::string_view text) {
  for (const std::string_view line : split(text, '\n')) {
    const size_t begin = find_statement(line, "for");
    if (begin == line.npos || name.empty()) continue;
    const std::string_view targets = line.substr(begin, line.find(" in ", begin) - begin);
    if (find_word(targets, name) == targets.npos) continue;
    return "the variable of a loop is gone behind it: keep its value under another name in the "
           "loop; a module has an index, as in self.blocks[-1]";
  }
  return {};
}

std::optional<ScriptLimit> misread_by_script(std::string_view line) {
  const std::string code = without_texts(line);
  for (const Comprehension& one : comprehensions(code)) {
    if (one.second_for == 0) continue;
    return limit_of("TorchScript has no comprehensions with two loops", kWriteLoop, one.second_for);
  }
  return std::nullopt;
}

}  // namespace mlc
