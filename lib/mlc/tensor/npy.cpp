#include "mlc/tensor/npy.h"

#include "mlc/base/checked_math.h"
#include "mlc/base/text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include <fmt/format.h>

namespace mlc {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr uint64_t kMaxHeader = 1 << 20;  // NumPy itself reads 10,000 bytes of an untrusted file

// What the dictionary says, before it is understood.
struct Fields {
  std::optional<std::string> descr;
  std::optional<bool> fortran_order;
  std::optional<std::vector<int64_t>> shape;
};

// A Python dictionary of strings to strings, booleans and tuples of integers: no more is in a
// header.
class LiteralParser {
 public:
  explicit LiteralParser(std::string_view text) : text_(text) {}

  Result<Fields> parse() {
    MLC_CHECK(expect('{'));
    while (!accept('}')) {
      MLC_CHECK(entry());
      if (accept(',')) continue;
      MLC_CHECK(expect('}'));
      break;
    }
    skip_space();
    if (at_ != text_.size()) return error("text behind the dictionary");
    return std::move(fields_);
  }

 private:
  Error error(std::string_view what) const {
    return corrupt(fmt::format("npy header: {} at character {} of its dictionary", what, at_));
  }

  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t')) {
      ++at_;
    }
  }

  bool accept(char c) {
    skip_space();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  Status expect(char c) {
    if (!accept(c)) return error(fmt::format("expected '{}'", c));
    return {};
  }

  bool accept_word(std::string_view word) {
    skip_space();
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }

  Result<std::string> text_literal() {
    skip_space();
    if (at_ == text_.size() || (text_[at_] != '\'' && text_[at_] != '"')) {
      return error("expected a string");
    }
    const char quote = text_[at_++];
    const size_t end = text_.find(quote, at_);
    if (end == std::string_view::npos) return error("a string without its end");
    const std::string_view text = text_.substr(at_, end - at_);
    if (text.find_first_of("\\\n") != std::string_view::npos) return error("an escape in a string");
    at_ = end + 1;
    return std::string(text);
  }

  Result<int64_t> size_literal() {
    skip_space();
    int64_t value = 0;
    const char* first = text_.data() + at_;
    const auto [end, problem] = std::from_chars(first, text_.data() + text_.size(), value);
    if (problem == std::errc::result_out_of_range) return error("a size beyond 64 bits");
    if (problem != std::errc()) return error("expected a size");
    if (value < 0) return error("a negative size");
    at_ += static_cast<size_t>(end - first);
    if (at_ < text_.size() && text_[at_] == 'L') ++at_;  // as Python 2 wrote them
    return value;
  }

  Result<std::vector<int64_t>> shape_literal() {
    std::vector<int64_t> sizes;
    MLC_CHECK(expect('('));
    bool comma = false;
    while (!accept(')')) {
      if (!sizes.empty() && !comma) return error("expected ','");
      if (sizes.size() == kMaxRank) return error(fmt::format("more than {} dimensions", kMaxRank));
      MLC_TRY(const int64_t size, size_literal());
      sizes.push_back(size);
      comma = accept(',');
    }
    if (sizes.size() == 1 && !comma) return error("a number where a tuple belongs");
    return sizes;
  }

  Result<bool> bool_literal() {
    if (accept_word("True")) return true;
    if (accept_word("False")) return false;
    return error("expected True or False");
  }

  Status entry() {
    MLC_TRY(const std::string key, text_literal());
    MLC_CHECK(expect(':'));
    if (key == "descr" && !fields_.descr) {
      skip_space();
      if (at_ < text_.size() && (text_[at_] == '[' || text_[at_] == '(')) {
        return unsupported("npy array of structures",
                           "save its fields one by one: numpy.save(name, array['field'])");
      }
      MLC_TRY(fields_.descr, text_literal());
    } else if (key == "fortran_order" && !fields_.fortran_order) {
      MLC_TRY(fields_.fortran_order, bool_literal());
    } else if (key == "shape" && !fields_.shape) {
      MLC_TRY(fields_.shape, shape_literal());
    } else {
      return error(fmt::format("unknown or repeated key {}", quoted(key, 40)));
    }
    return {};
  }

  std::string_view text_;
  size_t at_ = 0;
  Fields fields_;
};

// Kinds of numpy.dtype that hold no tensor elements, by their letter.
struct ForeignKind {
  char letter;
  std::string_view what;
  std::string_view hint;
};
constexpr std::array kForeignKinds = std::to_array<ForeignKind>({
    {'O', "holds pickled Python objects", "convert it in Python: array.astype(numpy.float32)"},
    {'S', "holds byte strings", ""},
    {'a', "holds byte strings", ""},
    {'U', "holds strings", ""},
    {'T', "holds strings", ""},
    {'M', "holds dates", "convert it in Python: array.astype(numpy.int64)"},
    {'m', "holds time differences", "convert it in Python: array.astype(numpy.int64)"},
    {'V', "holds items of unknown type", "convert it in Python: array.astype(numpy.float32)"},
});

Status read_descr(const std::string& descr, NpyHeader& header) {
  std::string_view rest = descr;
  char order = '=';
  if (!rest.empty() && std::string_view("<>|=").find(rest[0]) != std::string_view::npos) {
    order = rest[0];
    rest.remove_prefix(1);
  }
  if (rest.empty())
    return corrupt(fmt::format("npy header: descr {} names no type", quoted(descr, 40)));
  if (rest == "V2") {
    header.dtype = DType::bf16;
    header.note = "2-byte void items are read as bfloat16";
    return {};
  }
  for (const DTypeInfo& row : dtype_table()) {
    if (row.numpy.empty() || row.numpy.substr(1) != rest) continue;
    header.dtype = row.dtype;
    header.big_endian = order == '>' && row.bytes > 1;
    return {};
  }
  const auto kind = std::ranges::find(kForeignKinds, rest[0], &ForeignKind::letter);
  if (kind != kForeignKinds.end()) {
    return unsupported(fmt::format("npy array of type {} {}", quoted(descr, 40), kind->what),
                       std::string(kind->hint));
  }
  return unsupported(fmt::format("npy array of type {}, which PyTorch lacks", quoted(descr, 40)));
}

Result<std::string_view> dictionary_text(Bytes bytes, uint64_t& data_offset) {
  ByteReader reader(bytes);
  const auto magic = reader.take(kMagic.size());
  if (!magic || as_text(*magic) != kMagic)
    return corrupt("not an npy file: its first bytes differ");
  const auto major = reader.read<uint8_t>();
  const auto minor = reader.read<uint8_t>();
  if (!major || !minor) return corrupt("npy header: the file ends within it");
  if (*major < 1 || *major > 3 || *minor != 0) {
    return unsupported(fmt::format("npy format version {}.{}", *major, *minor));
  }
  std::optional<uint64_t> length;
  if (*major == 1) {
    if (const auto short_length = reader.read<uint16_t>()) length = *short_length;
  } else if (const auto long_length = reader.read<uint32_t>()) {
    length = *long_length;
  }
  if (!length) return corrupt("npy header: the file ends within it");
  if (*length > kMaxHeader) {
    return corrupt(fmt::format("npy header: {} bytes are too many", format_count(*length)));
  }
  const auto text = reader.take(*length);
  if (!text) {
    return corrupt(
        fmt::format("npy header: it claims {} bytes, {} are left", *length, reader.remaining()));
  }
  data_offset = reader.position();
  return as_text(*text);
}

std::string dictionary(std::string_view descr, Dims sizes) {
  std::string shape = fmt::format("{}", fmt::join(sizes, ", "));
  if (sizes.size() == 1) shape += ',';
  return fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", descr, shape);
}

}  // namespace

std::vector<int64_t> NpyHeader::strides() const {
  if (!fortran_order) return contiguous_strides(sizes);
  std::vector<int64_t> reversed(sizes.rbegin(), sizes.rend());
  reversed = contiguous_strides(reversed);
  std::ranges::reverse(reversed);
  return reversed;
}

Result<NpyHeader> parse_npy_header(Bytes bytes) {
  NpyHeader header;
  MLC_TRY(const std::string_view text, dictionary_text(bytes, header.data_offset));
  MLC_TRY(Fields fields, LiteralParser(text).parse());
  if (!fields.descr || !fields.fortran_order || !fields.shape) {
    return corrupt("npy header: its dictionary lacks descr, fortran_order or shape");
  }
  MLC_CHECK(read_descr(*fields.descr, header));
  header.fortran_order = *fields.fortran_order;
  header.sizes = std::move(*fields.shape);
  const auto count = element_count(header.sizes);
  const auto size = count ? checked_mul(static_cast<uint64_t>(*count), element_bytes(header.dtype))
                          : std::nullopt;
  if (!size) {
    return corrupt(fmt::format("npy header: shape {} is more than 64 bits can count",
                               format_shape(header.sizes)));
  }
  header.data_bytes = *size;
  return header;
}

Result<std::string> make_npy_header(DType dtype, Dims sizes) {
  const DTypeInfo& row = info(dtype);
  if (row.numpy.empty()) {
    return unsupported(fmt::format("NumPy has no {}", row.torch),
                       row.kind == DTypeClass::floating ? "convert it with --dtype fp32" : "");
  }
  const std::string text = dictionary(row.numpy, sizes);
  // Magic, version, length, dictionary, newline.
  const bool is_short = kMagic.size() + 4 + text.size() + 1 + 63 <= 0xFFFF;
  const size_t fixed = kMagic.size() + 2 + (is_short ? 2 : 4);
  const uint64_t padding = padding_to(fixed + text.size() + 1, 64);
  const uint64_t length = text.size() + padding + 1;
  std::string out(kMagic);
  out += is_short ? '\x01' : '\x02';
  out += '\0';
  if (is_short) {
    append_le(out, static_cast<uint16_t>(length));
  } else {
    append_le(out, static_cast<uint32_t>(length));
  }
  out += text;
  out.append(padding, ' ');
  out += '\n';
  return out;
}

}  // namespace mlc
