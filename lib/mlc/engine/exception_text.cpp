#include "mlc/engine/exception_text.h"

#include "mlc/base/text.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <vector>

namespace mlc {
namespace {

constexpr size_t kLongest = 300;

/// Whether LINE belongs to the machinery around the message.
bool is_noise(std::string_view line) {
  constexpr std::array<std::string_view, 10> kBeginnings = {"Exception raised from",
                                                            "frame #",
                                                            "Traceback of TorchScript",
                                                            "File \"",
                                                            "CPU:",
                                                            "<omitting ",
                                                            "C++ CapturedTraceback",
                                                            "Debug info for",
                                                            "The following operation failed",
                                                            "This error might"};
  return line.empty() || line.find_first_not_of("~^-. ") == line.npos ||
         std::ranges::any_of(kBeginnings, [&](auto start) { return line.starts_with(start); });
}

/// What follows "RuntimeError: " or "torch.foo.BarError: ", or nothing.
std::string_view after_exception_name(std::string_view line) {
  const size_t colon = line.find(": ");
  if (colon == line.npos) return {};
  const std::string_view name = line.substr(0, colon);
  const bool word = std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '_';
  });
  const bool exception = name.ends_with("Error") || name.ends_with("Exception");
  return word && exception ? line.substr(colon + 2) : std::string_view();
}

/// Without "[enforce fail at alloc_cpu.cpp:119] err == 0. " and "... INTERNAL ASSERT FAILED at
/// "a.cpp":12, please report a bug to PyTorch. ".
std::string_view without_check(std::string_view line) {
  if (line.starts_with("[enforce fail at")) {
    const size_t bracket = line.find("] ");
    const size_t end = bracket == line.npos ? line.npos : line.find(". ", bracket);
    if (end != line.npos && end + 2 < line.size()) return line.substr(end + 2);
  }
  constexpr std::string_view kReport = "please report a bug to PyTorch.";
  if (const size_t report = line.find(kReport); report != line.npos) {
    const std::string_view rest = trim(line.substr(report + kReport.size()));
    return rest.empty() ? "an internal check of LibTorch failed" : rest;
  }
  return line;
}

/// Cut before C++ names and source positions.
std::string_view without_symbols(std::string_view line) {
  for (const std::string_view mark : {" (function ", " at /", " at ../", " at aten/", " at \""}) {
    line = line.substr(0, line.find(mark));
  }
  return line;
}

struct Chosen {
  std::string_view line;
  bool by_model = false;  // the model raised it, and its words say nothing about the library
};

Chosen chosen_line(std::string_view what) {
  std::string_view first;
  Chosen raised;
  for (const std::string_view raw : split(what, '\n')) {
    const std::string_view line = trim(raw);
    if (is_noise(line)) {
      if (line.starts_with("Exception raised from")) break;
      continue;
    }
    if (const std::string_view message = after_exception_name(line); !message.empty()) {
      // "builtins.ValueError: ", where the library's own are plain RuntimeErrors.
      raised = {message, line.substr(0, line.find(": ")).find('.') != line.npos};
    }
    if (first.empty()) first = line;
  }
  return raised.line.empty() ? Chosen{first} : raised;
}

/// "CUDA" of "Could not run 'aten::empty.memory_format' with arguments from the 'CUDA' backend".
std::string_view missing_backend(std::string_view line) {
  constexpr std::string_view kMark = "with arguments from the '";
  const size_t at = line.find(kMark);
  if (!line.starts_with("Could not run '") || at == line.npos) return {};
  const std::string_view rest = line.substr(at + kMark.size());
  return rest.substr(0, rest.find('\''));
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

Error without_device(const std::string& device) {
  return unsupported(
      "the model creates tensors on " + device + ", where this LibTorch cannot run it",
      "the device is written into its code: save the model on the device where it is to run");
}

/// An operator that the library has, but not for these tensors.
Error without_kernel(std::string_view line, std::string_view backend) {
  for (const std::string_view device : {"CUDA", "MPS", "XPU", "HPU", "XLA"}) {
    if (!backend.ends_with(device)) continue;
    return without_device(lower(device));
  }
  const std::string_view rest = line.substr(line.find('\'') + 1);
  return unsupported("LibTorch has no " + printable(rest.substr(0, rest.find('\''))) + " for " +
                     printable(backend) + " tensors");
}

bool starts_plain_word(std::string_view text) {
  return text.size() > 1 && text[0] >= 'A' && text[0] <= 'Z' &&
         ((text[1] >= 'a' && text[1] <= 'z') || text[1] == ' ') &&
         text.substr(1, text.find(' ') - 1)
                 .find_first_of("._:0123456789()ABCDEFGHIJKLMNOPQRSTUVWXYZ") == text.npos;
}

struct TypeName {
  std::string_view library;
  std::string_view ours;
};

constexpr std::array<TypeName, 17> kTypeNames = {{{"c10::BFloat16", "bf16"},
                                                  {"c10::Half", "f16"},
                                                  {"c10::complex<float>", "c64"},
                                                  {"c10::complex<double>", "c128"},
                                                  {"(float)", "(f32)"},
                                                  {"(double)", "(f64)"},
                                                  {"float !=", "f32 !="},
                                                  {"double !=", "f64 !="},
                                                  {"!= float", "!= f32"},
                                                  {"!= double", "!= f64"},
                                                  {"BFloat16", "bf16"},
                                                  {"Half", "f16"},
                                                  {"Float", "f32"},
                                                  {"Double", "f64"},
                                                  {"ComplexHalf", "c32"},
                                                  {"ComplexFloat", "c64"},
                                                  {"ComplexDouble", "c128"}}};

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/// "expected f32 but found bf16" of "expected Float but found c10::BFloat16".
std::string with_our_types(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const bool inside = !out.empty() && is_letter(out.back());
    const auto name = std::ranges::find_if(kTypeNames, [&](const TypeName& one) {
      const bool begins = !inside && text.starts_with(one.library);
      const std::string_view rest = begins ? text.substr(one.library.size()) : text;
      return begins && (rest.empty() || !is_letter(rest[0]));
    });
    const bool found = name != kTypeNames.end();
    out += found ? name->ours : text.substr(0, 1);
    text.remove_prefix(found ? name->library.size() : 1);
  }
  return out;
}

bool mentions(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::ranges::any_of(words, [&](auto word) { return text.find(word) != text.npos; });
}

}  // namespace

std::string exception_sentence(std::string_view what) {
  const Chosen chosen = chosen_line(what);
  std::string_view line = trim(without_symbols(without_check(chosen.line)));
  line = line.substr(0, kLongest);
  while (line.ends_with('.') || line.ends_with(':') || line.ends_with(' ')) line.remove_suffix(1);
  if (line.empty()) return "unknown reason";
  std::string out = chosen.by_model ? printable(line) : printable(with_our_types(line));
  if (starts_plain_word(out)) out[0] = static_cast<char>(out[0] - 'A' + 'a');
  return out;
}

Error not_enough_memory(std::string_view what) {
  return Error(ErrorKind::read_failed, "not enough memory: " + exception_sentence(what),
               "smaller inputs or a smaller type (--dtype bf16) need less");
}

Error error_of_exception_text(std::string_view what, ErrorKind fallback) {
  const Chosen chosen = chosen_line(what);
  if (chosen.by_model) return Error(fallback, exception_sentence(what));
  if (mentions(chosen.line, {"without ATen_cuda library", "not compiled with CUDA enabled"})) {
    return without_device("cuda");
  }
  if (mentions(chosen.line, {"can't allocate memory", "out of memory", "std::bad_alloc"})) {
    return not_enough_memory(what);
  }
  if (const auto backend = missing_backend(chosen.line); !backend.empty()) {
    return without_kernel(chosen.line, backend);
  }
  if (mentions(chosen.line,
               {"not implemented for '", "Could not run '", "is not currently implemented",
                "is not implemented", "Unknown builtin op"})) {
    return unsupported(exception_sentence(what));
  }
  return Error(fallback, exception_sentence(what));
}

}  // namespace mlc
