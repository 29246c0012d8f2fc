#include "mlc/engine/input_spec.h"

#include "mlc/base/source_text.h"
#include "mlc/base/text.h"
#include "mlc/ir/symbols.h"
#include "mlc/tensor/convert.h"
#include "mlc/tensor/element_values.h"
#include "mlc/tensor/shape.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <map>

#include <fmt/format.h>

namespace mlc {
namespace {

constexpr std::string_view kGrammar =
    "inputs look like 'image:f32[batch=2,3,224,224]', 'ids:i64[2,seq=8..512]=0..999' or "
    "image=@cat.npy";

bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

bool is_name_char(char c) {
  return is_name_start(c) || (c >= '0' && c <= '9');
}

/// Brief names of all types, for "did you mean".
std::vector<std::string> dtype_names() {
  std::vector<std::string> names;
  for (const DTypeInfo& row : dtype_table()) {
    if (row.kind == DTypeClass::quantized || row.kind == DTypeClass::opaque) continue;
    names.emplace_back(row.brief);
    names.emplace_back(row.torch);
  }
  return names;
}

/// How names of files with inputs end.
constexpr std::array<std::string_view, 4> kDataFiles = {".npy", ".npz", ".safetensors", ".pt"};

class SpecParser {
 public:
  SpecParser(std::string_view text, std::string_view source) : text_(text), source_(source) {}

  /// A dimension that is computed from names, or is a name that another dimension has to explain.
  struct Computed {
    size_t dim;  // its index
    size_t at;   // in the text
  };

  Result<InputSpec> run() {
    InputSpec spec;
    const size_t end = name_end();
    spec.name = text_.substr(0, end);
    if (trim(spec.name).empty()) return fail(0, "the name of the input is missing");
    if (end == text_.size() && names_a_file()) {
      const std::string_view file = text_.substr(text_.starts_with('@') ? 1 : 0);
      return fail(0, "a file, and not of which input it is",
                  "its name comes first, as in image=@" + printable(file) +
                      "; without --input, `mlc run` shows what the model takes");
    }
    if (const size_t odd = spec.name.find_first_of(" \t\r\n[],@"); odd != std::string::npos) {
      return fail(odd, "a name has no " + quoted(text_.substr(odd, 1)));
    }
    if (end == text_.size()) return fail(end, "expected : and a type, or =@ and a file");
    at_ = end + 1;
    if (text_[end] == '=') {
      MLC_CHECK(read_file(spec));
      return spec;
    }
    MLC_CHECK(read_dtype(spec));
    MLC_CHECK(read_dims(spec));
    MLC_CHECK(read_values(spec));
    return spec;
  }
  const std::vector<Computed>& computed() const { return computed_; }
  /// Behind the word NAME, which is in the text from AT on.
  size_t behind(const std::string& name, size_t at) const {
    return text_.find(name, at) + name.size();
  }

  Error fail(size_t at, std::string message, std::string hint = std::string(kGrammar)) const {
    return error_at(ErrorKind::usage, std::string(source_), text_, 1, at + 1, std::move(message),
                    std::move(hint));
  }

 private:
  /// Where the : or = behind the name is, or the end. Names of ONNX have colons of their own:
  /// "serving_default_x:0".
  size_t name_end() const {
    const size_t file = text_.find("=@");
    const size_t bracket = text_.find('[');
    if (file != text_.npos && file < bracket) return file;
    const std::string_view head = text_.substr(0, std::min(bracket, text_.find('=')));
    const size_t colon = head.rfind(':');
    return colon != head.npos ? colon : std::min(text_.find_first_of(":="), text_.size());
  }

  /// What looks like a file that stands where a name should.
  bool names_a_file() const {
    return text_.starts_with('@') || std::ranges::any_of(kDataFiles, [this](std::string_view end) {
             return text_.ends_with(end);
           });
  }

  bool at_char(char c) const { return at_ < text_.size() && text_[at_] == c; }
  bool take(char c) {
    if (!at_char(c)) return false;
    ++at_;
    return true;
  }

  Status read_file(InputSpec& spec) {
    if (!take('@')) {
      return fail(at_, "expected @ and a file, or : and a type after the name");
    }
    spec.file = text_.substr(at_);
    if (spec.file.empty()) return fail(at_, "expected a file after @");
    return {};
  }

  Status read_dtype(InputSpec& spec) {
    const size_t begin = at_;
    at_ = std::min(text_.find_first_of("[=", begin), text_.size());
    const std::string word(text_.substr(begin, at_ - begin));
    const auto dtype = dtype_from_name(word);
    if (!dtype) {
      const auto near = nearest(word, dtype_names());
      return fail(begin, word.empty() ? "expected a type" : "unknown type " + quoted(word),
                  near ? "did you mean " + *near + "?"
                       : "types are f32, f16, bf16, f64, i64, i32, i16, i8, u8, bool, ...");
    }
    const DTypeClass kind = info(*dtype).kind;
    if (kind == DTypeClass::quantized || kind == DTypeClass::opaque ||
        info(*dtype).per_element > 1) {
      return fail(begin, "an input cannot be " + word);
    }
    spec.dtype = *dtype;
    return {};
  }

  Status read_dims(InputSpec& spec) {
    if (!take('[')) {
      return fail(at_, "expected [ and the sizes",
                  "a number alone has no sizes: " + quoted(text_.substr(0, at_)) + " + []");
    }
    if (take(']')) return {};
    for (;;) {
      skip_blanks();
      const size_t begin = at_;
      MLC_TRY(InputDim dim, read_dim());
      if (!dim.computed.empty()) computed_.push_back({spec.dims.size(), begin});
      if (spec.dims.size() == kMaxRank) return fail(at_, "a tensor has at most 64 dimensions");
      spec.dims.push_back(std::move(dim));
      skip_blanks();
      if (take(']')) break;
      if (!take(',')) return fail(at_, "expected , or ]");
    }
    if (!element_count(spec.sizes())) return fail(text_.find('['), "the sizes are too large");
    return {};
  }

  void skip_blanks() { at_ = std::min(text_.find_first_not_of(' ', at_), text_.size()); }

  /// One whose names stand elsewhere: "batch", "past+seq", "past+seq=13".
  Result<InputDim> read_computed(std::string text) {
    InputDim dim;
    dim.computed = std::move(text);
    at_ = std::min(text_.find_first_of("=,]", at_), text_.size());
    if (take('=')) {
      MLC_TRY(dim.example, read_size());
    }
    return dim;
  }

  Result<InputDim> read_dim() {
    InputDim dim;
    const size_t begin = at_;
    const size_t end = std::min(text_.find_first_of("=,]", begin), text_.size());
    std::string text(text_.substr(begin, end - begin));
    std::erase(text, ' ');
    if (std::ranges::any_of(text, is_name_start)) {
      // Also one that expressions keep for themselves: models call dimensions "min" too.
      const bool is_name = is_name_start(text[0]) && std::ranges::all_of(text, is_name_char);
      const bool has_size = end < text_.size() && text_[end] == '=';
      if (!is_name || !has_size) return read_computed(std::move(text));
      dim.symbol = std::move(text);
      at_ = end + 1;
    }
    MLC_TRY(dim.example, read_size());
    if (text_.substr(at_).starts_with("..")) {
      const size_t dots = at_;
      at_ += 2;
      if (dim.symbol.empty()) return fail(begin, "a dimension that varies needs a name");
      MLC_TRY(const int64_t highest, read_size());
      if (highest < dim.example) return fail(dots, "the bounds are the wrong way round");
      dim.bounds = {dim.example, highest};
    }
    return dim;
  }

  Result<int64_t> read_size() {
    int64_t value = 0;
    const char* const begin = text_.data() + at_;
    const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), value);
    if (error == std::errc::result_out_of_range) return fail(at_, "the size is too large");
    if (error != std::errc()) return fail(at_, "expected a size");
    if (value < 0) return fail(at_, "a size is not negative");
    at_ += static_cast<size_t>(end - begin);
    return value;
  }

  Status read_values(InputSpec& spec) {
    if (at_ == text_.size()) return {};
    if (!take('=')) return fail(at_, "expected the end, or = and the values");
    const DTypeClass kind = info(spec.dtype).kind;
    if (kind == DTypeClass::complex) return fail(at_, "complex inputs have no range of values");
    const std::string_view rest = text_.substr(at_);
    const size_t dots = rest.find("..");
    const std::string_view low = rest.substr(0, dots);
    const std::string_view high = dots == rest.npos ? low : rest.substr(dots + 2);
    const size_t high_at = dots == rest.npos ? at_ : at_ + dots + 2;
    ValueRange range;
    if (kind == DTypeClass::floating) {
      MLC_TRY(range.low, number<double>(low, at_));
      MLC_TRY(range.high, number<double>(high, high_at));
      if (range.high < range.low) return fail(at_, "the values are the wrong way round");
      MLC_CHECK(fits_float(spec.dtype, range.low, at_));
      MLC_CHECK(fits_float(spec.dtype, range.high, high_at));
    } else {
      MLC_TRY(range.int_low, integer(spec.dtype, low, at_));
      MLC_TRY(range.int_high, integer(spec.dtype, high, high_at));
      if (range.int_high < range.int_low) return fail(at_, "the values are the wrong way round");
      MLC_CHECK(fits(spec.dtype, range));
    }
    spec.values = range;
    return {};
  }

  /// VALUE must not become infinite in DTYPE.
  Status fits_float(DType dtype, double value, size_t at) const {
    std::array<std::byte, sizeof(double)> stored{};
    const auto bytes = std::span(stored).first(static_cast<size_t>(element_bytes(dtype)));
    MLC_CHECK(convert_block(DType::f64, std::as_bytes(std::span(&value, 1)), dtype, bytes));
    double held = 0;
    load_values(dtype, bytes, &held);
    if (std::isfinite(held)) return {};
    return fail(at, fmt::format("{} is beyond what {} holds", value, info(dtype).brief));
  }

  Status fits(DType dtype, const ValueRange& range) const {
    const bool is_signed =
        dtype == DType::i8 || dtype == DType::i16 || dtype == DType::i32 || dtype == DType::i64;
    const int bits = dtype == DType::boolean ? 1 : static_cast<int>(8 * element_bytes(dtype));
    const int64_t highest =
        bits >= 63 ? INT64_MAX : (int64_t{1} << (bits - (is_signed ? 1 : 0))) - 1;
    const int64_t lowest = is_signed ? -highest - 1 : 0;
    if (range.int_low >= lowest && range.int_high <= highest) return {};
    return fail(at_, fmt::format("{} holds {} to {}", info(dtype).brief, lowest, highest));
  }

  Result<int64_t> integer(DType dtype, std::string_view word, size_t at) const {
    if (dtype == DType::boolean && (word == "true" || word == "false")) return word == "true";
    return number<int64_t>(word, at);
  }

  template <class T>
  Result<T> number(std::string_view word, size_t at) const {
    T value{};
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (error != std::errc() || end != word.data() + word.size() || word.empty()) {
      return fail(at, std::is_integral_v<T> ? "expected a whole number" : "expected a number");
    }
    if constexpr (!std::is_integral_v<T>) {
      if (!std::isfinite(value)) return fail(at, "expected a finite number");
    }
    return value;
  }

  std::string_view text_;
  std::string_view source_;
  size_t at_ = 0;
  std::vector<Computed> computed_;
};

/// The dimensions of some inputs that have a name, and what others are in terms of them.
class NamedSizes {
 public:
  explicit NamedSizes(std::span<const InputSpec> specs) {
    for (const InputSpec& spec : specs) {
      for (const InputDim& dim : spec.dims) {
        if (!ir::is_symbol_name(dim.symbol) || symbols_.find(dim.symbol)) continue;
        symbols_.symbol(dim.symbol, {0, ir::kUnbounded});
        dims_.push_back(&dim);
        values_.emplace_back(dim.example);
      }
    }
  }

  /// The dimension that gives the name TEXT its size; null where TEXT is none, or unknown.
  const InputDim* named(const std::string& text) const {
    const auto at = std::ranges::find(dims_, text, [](const InputDim* dim) { return dim->symbol; });
    return at == dims_.end() ? nullptr : *at;
  }
  /// A name in TEXT that no dimension has; empty where it has none.
  std::string unknown_name(std::string_view text) const {
    for (size_t at = 0; at < text.size();) {
      size_t end = at;
      while (end < text.size() && is_name_char(text[end])) ++end;
      const std::string word(text.substr(at, end - at));
      if (!word.empty() && is_name_start(word[0]) && named(word) == nullptr) return word;
      at = std::max(end, at + 1);
    }
    return "";
  }
  /// Errors: corrupt for what is no expression; usage for one without a value, or below 0.
  Result<int64_t> size_of(const std::string& text) {
    MLC_TRY(const ir::Expr size, symbols_.parse(text));
    const auto value = ir::Evaluator(symbols_, values_)(size);
    if (!value) return usage_error(text + " has no value");
    if (*value < 0) return usage_error(text + " is " + std::to_string(*value));
    return *value;
  }

 private:
  ir::Symbols symbols_;
  std::vector<const InputDim*> dims_;
  std::vector<std::optional<int64_t>> values_;
};

/// Explains what PARSER found to be computed in SPEC by the names of SPECS.
Status resolve(InputSpec& spec, const SpecParser& parser, const std::vector<InputSpec>& specs) {
  NamedSizes sizes(specs);
  for (const SpecParser::Computed& place : parser.computed()) {
    InputDim& dim = spec.dims[place.dim];
    if (const InputDim* named = sizes.named(dim.computed)) {
      dim = *named;
      continue;
    }
    if (const std::string name = sizes.unknown_name(dim.computed); !name.empty()) {
      return parser.fail(parser.behind(name, place.at), "dimension " + name + " needs a size",
                         "as in " + name + "=2, or " + name + "=1..16 where it may vary");
    }
    const auto size = sizes.size_of(dim.computed);
    if (!size.ok()) {
      return parser.fail(place.at, "this is no size: " + size.error().message(),
                         "sizes are computed from named ones, as in past+seq or 2*seq-1");
    }
    if (dim.example != 0 && dim.example != *size) {
      return parser.fail(place.at,
                         fmt::format("{} is {}, not {}", dim.computed, *size, dim.example),
                         "leave the number out, or give the names other sizes");
    }
    dim.example = *size;
  }
  return {};
}

std::string text_of(const InputDim& dim) {
  if (!dim.computed.empty()) return dim.computed;
  const std::string name = dim.symbol.empty() ? "" : dim.symbol + "=";
  if (!dim.bounds) return name + std::to_string(dim.example);
  return fmt::format("{}{}..{}", name, dim.bounds->first, dim.bounds->second);
}

}  // namespace

std::vector<int64_t> InputSpec::sizes() const {
  std::vector<int64_t> out;
  for (const InputDim& dim : dims) out.push_back(dim.example);
  return out;
}

Result<InputSpec> parse_input_spec(std::string_view text, std::string_view source) {
  const std::string one(text);
  MLC_TRY(std::vector<InputSpec> specs, parse_input_specs({&one, 1}, source));
  return std::move(specs[0]);
}

Result<std::vector<InputSpec>> parse_input_specs(std::span<const std::string> texts,
                                                 std::string_view source) {
  std::vector<InputSpec> specs;
  std::vector<SpecParser> parsers;
  std::map<std::string, std::pair<int64_t, std::string>> symbols;  // size, input
  for (const std::string& text : texts) {
    parsers.emplace_back(text, source);
    MLC_TRY(InputSpec spec, parsers.back().run());
    if (std::ranges::find(specs, spec.name, &InputSpec::name) != specs.end()) {
      return usage_error("input " + quoted(spec.name) + " is given twice", "leave one of them out");
    }
    for (const InputDim& dim : spec.dims) {
      if (dim.symbol.empty()) continue;
      const auto [known, added] = symbols.try_emplace(dim.symbol, dim.example, spec.name);
      if (added || known->second.first == dim.example) continue;
      return usage_error(
          fmt::format("dimension {} is {} in {} and {} in {}", dim.symbol, known->second.first,
                      quoted(known->second.second), dim.example, quoted(spec.name)),
          "a name stands for one size; give the dimensions different names");
    }
    specs.push_back(std::move(spec));
  }
  const std::vector<InputSpec> as_written = specs;
  for (size_t i = 0; i < specs.size(); ++i) {
    MLC_CHECK(resolve(specs[i], parsers[i], as_written));
    const std::string_view text = texts[i];
    if (!element_count(specs[i].sizes())) {
      return parsers[i].fail(text.find('['), "the sizes are too large");
    }
  }
  return specs;
}

void compute_sizes(std::span<InputSpec> specs) {
  const auto is_computed = [](const InputDim& dim) { return !dim.computed.empty(); };
  const bool any = std::any_of(specs.begin(), specs.end(), [&](const InputSpec& spec) {
    return std::ranges::any_of(spec.dims, is_computed);
  });
  if (!any) return;
  NamedSizes sizes(specs);
  for (InputSpec& spec : specs) {
    for (InputDim& dim : spec.dims) {
      if (!is_computed(dim)) continue;
      if (const auto size = sizes.size_of(dim.computed); size.ok()) dim.example = *size;
    }
  }
}

std::string to_text(const InputSpec& spec) {
  if (!spec.file.empty()) return spec.name + "=@" + spec.file;
  std::string out = spec.name + ":" + std::string(info(spec.dtype).brief) + "[";
  for (size_t i = 0; i < spec.dims.size(); ++i) {
    out += (i == 0 ? "" : ",") + text_of(spec.dims[i]);
  }
  out += "]";
  if (!spec.values) return out;
  const ValueRange& values = *spec.values;
  if (info(spec.dtype).kind == DTypeClass::floating) {
    out += fmt::format("={}", values.low);
    return values.low == values.high ? out : out + fmt::format("..{}", values.high);
  }
  out += fmt::format("={}", values.int_low);
  return values.int_low == values.int_high ? out : out + fmt::format("..{}", values.int_high);
}

}  // namespace mlc
