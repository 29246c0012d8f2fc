// Checkpoints made for one test: pickles and legacy streams opcode by opcode, and what opening
// says.
#pragma once

#include "catch.h"
#include "container/scratch_file.h"
#include "mlc/base/bytes.h"
#include "mlc/checkpoint/format.h"
#include "mlc/checkpoint/state_dict.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

namespace mlc::test {

inline void write_file(const std::string& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

inline std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  REQUIRE(in);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

inline std::string fixture(std::string_view name) {
  return std::string(MLC_SOURCE_DIR "/tests/unit/checkpoint/fixtures/").append(name);
}

/// "kind: text" of the error that opening PATH ends with, "" if it opens.
inline std::string error_at(const std::string& path) {
  const auto opened = open_checkpoint(path);
  if (opened.ok()) return {};
  return std::string(to_string(opened.error().kind())) + ": " + opened.error().text();
}

inline std::string error_of(std::string_view bytes) {
  const ScratchFolder folder;
  write_file(folder / "file", bytes);
  return error_at(folder / "file");
}

/// Opens a file of BYTES that is gone by the time the test looks at it.
inline std::unique_ptr<Checkpoint> open_bytes(std::string_view bytes) {
  const ScratchFolder folder;
  write_file(folder / "file", bytes);
  auto opened = open_checkpoint(folder / "file");
  if (!opened.ok()) FAIL(opened.error().text());
  return std::move(*opened);
}

inline std::string little(uint64_t value, size_t bytes) {
  std::string out;
  append_le(out, value);
  return out.substr(0, bytes);
}

// Pickle, protocol 2.
inline std::string text(std::string_view value) {
  return "X" + little(value.size(), 4) + std::string(value);
}
inline std::string integer(int64_t value) {
  return "\x8a\x08" + little(static_cast<uint64_t>(value), 8);
}
inline std::string global(std::string_view module, std::string_view name) {
  return "c" + std::string(module) + "\n" + std::string(name) + "\n";
}
inline std::string tuple(const std::vector<std::string>& items) {
  std::string out = "(";
  for (const std::string& item : items) out += item;
  return out + "t";
}
inline std::string dict(const std::vector<std::pair<std::string, std::string>>& entries) {
  std::string out = "}(";
  for (const auto& [key, value] : entries) out += text(key) + value;
  return out + "u";
}
inline std::string pickle(const std::string& body) {
  return "\x80\x02" + body + ".";
}

inline std::string storage(std::string_view key, int64_t elements, const std::string& view = "N",
                           std::string_view type = "FloatStorage") {
  return tuple({text("storage"), global("torch", type), text(key), text("cpu"), integer(elements),
                view}) +
         "Q";
}
inline std::string tensor(const std::string& from, int64_t offset,
                          const std::vector<int64_t>& sizes, const std::vector<int64_t>& strides) {
  std::string shape = "(";
  for (const int64_t size : sizes) shape += integer(size);
  std::string steps = "(";
  for (const int64_t stride : strides) steps += integer(stride);
  return global("torch._utils", "_rebuild_tensor_v2") +
         tuple({from, integer(offset), shape + "t", steps + "t", "\x89",
                global("collections", "OrderedDict") + ")R"}) +
         "R";
}

/// The first three pickles of a legacy stream.
inline std::string legacy_head() {
  return std::string("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\x2e", 15) +
         pickle(integer(1001)) + pickle(dict({{"protocol_version", integer(1001)}}));
}
inline std::string keys(const std::vector<std::string>& names) {
  std::string out = "](";
  for (const std::string& name : names) out += text(name);
  return pickle(out + "e");
}
/// COUNT floats 0, 1, 2 ... as a legacy storage.
inline std::string floats(int64_t count) {
  std::string out = little(static_cast<uint64_t>(count), 8);
  for (int64_t i = 0; i < count; ++i) {
    const auto value = static_cast<float>(i);
    out.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  return out;
}

}  // namespace mlc::test
