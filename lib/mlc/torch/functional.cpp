#include "mlc/torch/functional.h"

#include "mlc/base/text.h"
#include "mlc/torch/functional_table.h"
#include "mlc/torch/packed_sequences.h"

#include <algorithm>
#include <set>

namespace mlc::torch_module {
namespace {

/// Functions, where they are in the unit, and what stands before their names in each other's texts.
struct Family {
  const char* place;
  std::string_view prefix;
  std::span<const Function> functions;
};

constexpr const char* kFunctional = "__torch__.mlc.functional";
constexpr const char* kTorch = "__torch__.mlc.torch";
constexpr const char* kSequences = "__torch__.mlc.rnn";
constexpr const char* kTransformer = "__torch__.mlc.transformer";

/// Of the variant that has INDEX others of its name before it.
std::string variant_name(std::string_view name, size_t index) {
  return std::string(name) + (index == 0 ? "" : "__" + std::to_string(index));
}

constexpr std::string_view kBroadcasting = "BroadcastingList";
constexpr std::string_view kEquals = " = ";

/// ARGUMENTS without the defaults of broadcasting lists.
std::string without_list_defaults(std::string_view arguments) {
  std::string out;
  for (const std::string_view one : split(arguments, ',')) {
    const bool list = one.find(kBroadcasting) != one.npos;
    out += (out.empty() ? "" : ",") + std::string(list ? one.substr(0, one.find(kEquals)) : one);
  }
  return out;
}

/// What a broadcasting list of ARGUMENT's length has for default where the text says TEXT.
c10::IValue list_default(const c10::Argument& argument, std::string_view text) {
  if (text == "None") return {};
  const c10::List<int64_t> list;
  for (int i = 0; i < argument.N().value_or(1); ++i) list.push_back(text == "1" ? 1 : 0);
  return list;
}

/// Gives the broadcasting lists of FUNCTION the defaults that ARGUMENTS says.
void set_list_defaults(torch::jit::Function& function, std::string_view arguments) {
  std::vector<c10::Argument> out = function.getSchema().arguments();
  const std::vector<std::string_view> texts = split(arguments, ',');
  for (size_t i = 0; i < out.size(); ++i) {
    const size_t at = texts[i].find(kEquals);
    if (texts[i].find(kBroadcasting) == texts[i].npos || at == texts[i].npos) continue;
    const auto value = list_default(out[i], texts[i].substr(at + kEquals.size()));
    out[i] = c10::Argument(out[i].name(), out[i].type(), out[i].N(), value);
  }
  function.setSchema(function.getSchema().cloneWithArguments(std::move(out)));
}

std::string source_of(const Function& one, const std::string& name) {
  std::string out = "def " + name + "(" + without_list_defaults(one.arguments) + ") -> " +
                    std::string(one.type) + ":\n";
  const bool expression = one.body.find('\n') == one.body.npos;
  for (const std::string_view line : split(one.body, '\n')) {
    out += (expression ? "  return " : "  ") + std::string(line) + "\n";
  }
  return out;
}

bool is_word_char(char c) {
  return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/// Whether TEXT reads WANTED and nothing more.
bool reads(std::string_view text, const std::string& wanted) {
  for (size_t at = text.find(wanted); at != text.npos; at = text.find(wanted, at + 1)) {
    const size_t end = at + wanted.size();
    const bool longer = (end < text.size() && is_word_char(text[end])) ||
                        (at > 0 && is_word_char(wanted[0]) && is_word_char(text[at - 1]));
    if (!longer) return true;
  }
  return false;
}

/// Defines what SOURCE calls of FAMILY as PREFIX + NAME and is not there yet, and before it what
/// that calls.
void define_called(torch::jit::CompilationUnit& unit, std::string_view source, const Family& family,
                   std::string_view prefix, const torch::jit::ResolverPtr& resolver,
                   std::set<std::string>& begun) {
  const c10::QualifiedName place(family.place);
  size_t before = 0;  // rows of the same name
  std::string_view last;
  for (const Function& one : family.functions) {
    before = one.name == last ? before + 1 : 0;
    last = one.name;
    const std::string name = variant_name(one.name, before);
    if (!reads(source, std::string(prefix) + std::string(one.name))) continue;
    if (unit.find_function(c10::QualifiedName(place, name)) != nullptr) continue;
    if (!begun.insert(name).second) continue;
    // Their texts say torch.embedding for the operator, F.embedding for the function.
    define_called(unit, one.body, family, family.prefix, resolver, begun);
    for (auto* made : unit.define(place, source_of(one, name), resolver, nullptr)) {
      if (one.arguments.find(kBroadcasting) == one.arguments.npos) continue;
      made->ensure_defined();  // after which the schema is final
      set_list_defaults(*made, one.arguments);
    }
  }
}

std::vector<torch::jit::Function*> find_variants(torch::jit::CompilationUnit& unit,
                                                 const char* place, const std::string& name) {
  std::vector<torch::jit::Function*> found;
  const c10::QualifiedName prefix(place);
  for (size_t i = 0;; ++i) {
    auto* one = unit.find_function(c10::QualifiedName(prefix, variant_name(name, i)));
    if (one == nullptr) return found;
    found.push_back(one);
  }
}

}  // namespace

std::vector<std::string> functional_names() {
  std::vector<std::string> names;
  for (const Function& one : functions()) {
    if (!one.name.starts_with('_')) names.emplace_back(one.name);
  }
  return names;
}

std::vector<torch::jit::Function*> find_functions(torch::jit::CompilationUnit& unit,
                                                  const std::string& name) {
  return find_variants(unit, kFunctional, name);
}

std::vector<torch::jit::Function*> find_torch_functions(torch::jit::CompilationUnit& unit,
                                                        const std::string& name) {
  return find_variants(unit, kTorch, name);
}

std::vector<torch::jit::Function*> find_sequence_functions(torch::jit::CompilationUnit& unit,
                                                           const std::string& name) {
  return find_variants(unit, kSequences, name);
}

std::vector<torch::jit::Function*> find_transformer_functions(torch::jit::CompilationUnit& unit,
                                                              const std::string& name) {
  return find_variants(unit, kTransformer, name);
}

void define_functions(torch::jit::CompilationUnit& unit, const std::string& source,
                      const torch::jit::ResolverPtr& resolver) {
  std::set<std::string> begun;
  define_called(unit, source, {kFunctional, "F.", functions()}, ".", resolver, begun);
  define_called(unit, source, {kTorch, "torch.", torch_functions()}, "torch.", resolver, begun);
  define_called(unit, source, {kSequences, "", sequence_functions()}, "", resolver, begun);
  define_called(unit, source, {kTransformer, "Transformer.", transformer_functions()},
                "Transformer.", resolver, begun);
}

std::string advice_against(const std::string& name) {
  const auto row = std::ranges::find(advice(), name, &Advice::name);
  return row == advice().end() ? std::string() : std::string(row->text);
}

}  // namespace mlc::torch_module
