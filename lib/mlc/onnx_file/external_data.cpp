#include "mlc/onnx_file/external_data.h"

#include "mlc/base/checked_math.h"
#include "mlc/base/file.h"
#include "mlc/base/text.h"

#include <charconv>
#include <filesystem>
#include <map>

namespace mlc {
namespace {

/// ONNX Runtime's own mark for weights that lie at an address of its process.
constexpr std::string_view kAddressMark = "_ORT_MEM_ADDR_";

std::string subject(const OnnxExternal& one) {
  return "tensor " + mlc::quoted(one.tensor) + " lies in ";
}

/// Whether the location is a path below the folder of the model.
Status check_location(const OnnxExternal& one) {
  if (one.location.empty()) {
    return corrupt("tensor " + mlc::quoted(one.tensor) +
                   " lies in another file, which it does not name");
  }
  const std::filesystem::path path(one.location);
  const std::filesystem::path normal = path.lexically_normal();
  const bool outside = path.is_absolute() || *normal.begin() == "..";
  const bool odd = one.location.find('\0') != std::string::npos ||
                   one.location.find(kAddressMark) != std::string::npos;
  if (!outside && !odd) return {};
  return corrupt(subject(one) + mlc::quoted(one.location) +
                     (outside ? ", outside of the folder of the model" : ", which is no file"),
                 "weights lie beside their model; do not trust where this file came from");
}

Status check_place(const OnnxExternal& one, uint64_t file_size) {
  if (one.length && one.bytes && *one.length != *one.bytes) {
    return corrupt("tensor " + mlc::quoted(one.tensor) + " takes " + format_count(*one.bytes) +
                   " bytes, and its place in " + mlc::quoted(one.location) + " has " +
                   format_count(*one.length));
  }
  const uint64_t length = one.length.value_or(one.bytes.value_or(0));
  if (fits_within(one.offset, length, file_size)) return {};
  return corrupt(subject(one) + mlc::quoted(one.location) + " at " + format_count(one.offset) +
                     ", " + format_count(length) + " bytes long, and the file has " +
                     format_count(file_size),
                 "the file was cut off, or belongs to another model: fetch both again");
}

}  // namespace

Status add_external_entry(ProtoReader entry, OnnxExternal& out) {
  std::string_view key;
  std::string_view text;
  for (;;) {
    MLC_TRY(const bool more, entry.next());
    if (!more) break;
    if (entry.is(1, WireType::bytes)) key = entry.text();
    if (entry.is(2, WireType::bytes)) text = entry.text();
  }
  if (key == "location") out.location = text;
  if (key != "offset" && key != "length") return {};
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) {
    return corrupt("a tensor in another file has the " + std::string(key) + " " +
                   mlc::quoted(text));
  }
  if (key == "offset") out.offset = number;
  if (key == "length") out.length = number;
  return {};
}

Result<uint64_t> check_external_data(std::span<const OnnxExternal> external,
                                     const std::string& model_path) {
  const std::filesystem::path folder = std::filesystem::path(model_path).parent_path();
  std::map<std::string, uint64_t> sizes;
  uint64_t sum = 0;
  for (const OnnxExternal& one : external) {
    MLC_CHECK(check_location(one));
    auto known = sizes.find(one.location);
    if (known == sizes.end()) {
      auto file = InputFile::open(folder / one.location);
      if (!file.ok()) {
        return std::move(file)
            .error()
            .during("tensor " + mlc::quoted(one.tensor))
            .with_hint("the weights of this model lie in files beside it: fetch those too");
      }
      known = sizes.emplace(one.location, (*file)->size()).first;
      sum += (*file)->size();
    }
    MLC_CHECK(check_place(one, known->second));
  }
  return sum;
}

}  // namespace mlc
