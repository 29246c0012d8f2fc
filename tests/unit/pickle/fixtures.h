// The rows of fixtures.bin, which make_fixtures.py documents.
#pragma once

#include "mlc/base/bytes.h"
#include "mlc/base/file.h"

#include <algorithm>
#include <string>
#include <vector>

namespace mlc::pickle {

struct Fixture {
  std::string name;
  std::string input;
  std::string expected;  // what write() must make of it
};

inline std::vector<Fixture> load_fixtures() {
  auto file = InputFile::open(MLC_SOURCE_DIR "/tests/unit/pickle/fixtures.bin");
  if (!file.ok()) return {};
  const auto all = (*file)->map();
  if (!all.ok()) return {};
  ByteReader reader(*all);
  const auto field = [&] { return std::string(as_text(*reader.take(*reader.read<uint32_t>()))); };
  std::vector<Fixture> rows;
  while (reader.remaining() > 0) {
    Fixture row{field(), field(), field()};
    if (row.expected.empty()) row.expected = row.input;
    if (row.expected.starts_with('=')) {
      const auto it = std::ranges::find(rows, row.expected.substr(1), &Fixture::name);
      row.expected = it == rows.end() ? "" : it->input;
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace mlc::pickle
