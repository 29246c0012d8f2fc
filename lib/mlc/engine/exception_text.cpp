#include "mlc/engine/exception_text.h"

#include "mlc/base/text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <span>
#include <vector>

namespace mlc {
namespace {

/// What `raise` and `assert` of the model's own text become.
constexpr std::string_view kRaises = "the model itself raises: ";

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

/// Without " (of Python compilation unit at: 0x5649)" behind the names of classes.
std::string without_units(std::string text) {
  constexpr std::string_view kUnit = " (of Python compilation unit";
  for (size_t at = text.find(kUnit); at != text.npos; at = text.find(kUnit)) {
    const size_t end = text.find(')', at);
    text.erase(at, end == text.npos ? end : end + 1 - at);
  }
  return text;
}

/// Cut before C++ names, source positions and what to do in Python.
std::string_view without_symbols(std::string_view line) {
  for (const std::string_view mark :
       {" (function ", " at /", " at ../", " at aten/", " at \"", "(Could this error message",
        ". Run workload with environment variable",
        ". Did you forget to initialize an attribute"}) {
    line = line.substr(0, line.find(mark));
  }
  return line;
}

struct OurWords {
  std::string_view library;  // that the line holds
  std::string_view ours;
};

/// Sentences of the library that speak of its own code.
constexpr std::array<OurWords, 4> kOurWords = {{
    {"scale_factors->size()) == spatial_dimensions",
     "the input has a number of dimensions that this way to resample does not take"},
    {"primitive descriptor for the convolution",
     "there is no convolution of these sizes and types on this processor"},
    {"primitive descriptor for the deconvolution",
     "there is no transposed convolution of these sizes and types on this processor"},
    {"could not create a primitive",
     "an operation cannot be computed for these sizes and types on this processor"},
}};

/// The bytes of "DefaultCPUAllocator: can't allocate memory: you tried to allocate 12 bytes."
std::optional<uint64_t> bytes_asked_for(std::string_view line) {
  constexpr std::string_view kMark = "DefaultCPUAllocator: ";
  constexpr std::string_view kAsked = "you tried to allocate ";
  const size_t at = line.find(kAsked);
  if (line.find(kMark) == line.npos || at == line.npos) return std::nullopt;
  const std::string_view number = line.substr(at + kAsked.size());
  uint64_t out = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), out);
  const bool is_whole =
      number.substr(static_cast<size_t>(end - number.data())).starts_with(" bytes");
  return error == std::errc() && is_whole ? std::optional(out) : std::nullopt;
}

struct Chosen {
  std::string line;
  bool by_model = false;  // the model raised it, and its words say nothing about the library
};

/// LINE, with the one that follows it in LINES where it ends before the reason.
std::string with_reason(std::string_view line, std::span<const std::string_view> following) {
  if (!line.ends_with(':')) return std::string(line);
  line.remove_suffix(1);
  constexpr std::string_view kUnexpected = " got an unexpected error";
  if (line.ends_with(kUnexpected)) line.remove_suffix(kUnexpected.size());
  std::string out(line);
  for (const std::string_view raw : following) {
    const std::string_view next = trim(raw);
    if (next.starts_with("Exception raised from")) break;
    if (!is_noise(next)) return out + ": " + std::string(next);
  }
  return out;
}

Chosen chosen_line(std::string_view what) {
  std::string first;
  Chosen raised;
  const std::vector<std::string_view> lines = split(what, '\n');
  for (size_t i = 0; i < lines.size(); ++i) {
    const std::string_view line = trim(lines[i]);
    const auto following = std::span(lines).subspan(i + 1);
    if (is_noise(line)) {
      if (line.starts_with("Exception raised from")) break;
      continue;
    }
    if (const std::string_view message = after_exception_name(line); !message.empty()) {
      // "builtins.ValueError: ", where the library's own are plain RuntimeErrors.
      raised = {with_reason(message, following),
                line.substr(0, line.find(": ")).find('.') != line.npos};
    }
    if (first.empty()) first = with_reason(line, following);
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

constexpr std::array<TypeName, 23> kTypeNames = {{{"c10::BFloat16", "bf16"},
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
                                                  {"Long", "i64"},
                                                  {"Int", "i32"},
                                                  {"Short", "i16"},
                                                  {"Char", "i8"},
                                                  {"Byte", "u8"},
                                                  {"Bool", "bool"},
                                                  {"ComplexHalf", "c32"},
                                                  {"ComplexFloat", "c64"},
                                                  {"ComplexDouble", "c128"}}};

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/// The length of "CPU...Type" around the name of a type at the start of TEXT, 0 where there is
/// none.
size_t tensor_type(std::string_view text, std::string_view& name) {
  constexpr std::string_view kEnd = "Type";
  for (const std::string_view device : {"CPU", "CUDA"}) {
    if (!text.starts_with(device)) continue;
    const size_t end =
        static_cast<size_t>(std::ranges::find_if_not(text, is_letter) - text.begin());
    const std::string_view word = text.substr(0, end);
    if (!word.ends_with(kEnd) || word.size() <= device.size() + kEnd.size()) continue;
    name = word.substr(device.size(), word.size() - device.size() - kEnd.size());
    return end;
  }
  return 0;
}

/// "expected f32 but found bf16" of "expected Float but found c10::BFloat16", "i64" of
/// "CPULongType".
std::string with_our_types(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const bool inside = !out.empty() && is_letter(out.back());
    std::string_view of_tensor;
    if (const size_t length = inside ? 0 : tensor_type(text, of_tensor); length > 0) {
      const auto known = std::ranges::find(kTypeNames, of_tensor, &TypeName::library);
      out += known == kTypeNames.end() ? of_tensor : known->ours;
      text.remove_prefix(length);
      continue;
    }
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
  if (!chosen.by_model) {
    const auto known = std::ranges::find_if(kOurWords, [&](const OurWords& one) {
      return chosen.line.find(one.library) != chosen.line.npos;
    });
    if (known != kOurWords.end()) return std::string(known->ours);
    if (const auto bytes = bytes_asked_for(chosen.line)) {
      return format_bytes(*bytes) + " were asked for at once";
    }
  }
  const std::string plain = without_units(chosen.line);
  std::string_view line = trim(without_symbols(without_check(plain)));
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

bool is_raised_by_model(const Error& error) {
  // An assert of TorchScript says its own name.
  return error.message().find(kRaises) != std::string::npos ||
         error.message().find("AssertionError") != std::string::npos;
}

Error error_of_exception_text(std::string_view what, ErrorKind fallback) {
  const Chosen chosen = chosen_line(what);
  if (chosen.by_model) return Error(fallback, std::string(kRaises) + exception_sentence(what));
  if (mentions(chosen.line, {"without ATen_cuda library", "not compiled with CUDA enabled",
                             "not linked with support for cuda"})) {
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
