// pickle_roundtrip INPUT OUTPUT: reads each pickle of INPUT and writes it again.
//
// Both files hold u32 lengths (little-endian) each followed by so many bytes. A pickle that cannot
// be read or written ends the program with its message.
#include "mlc/base/bytes.h"
#include "mlc/base/file.h"
#include "mlc/pickle/reader.h"
#include "mlc/pickle/writer.h"

#include <cstdio>
#include <fstream>

namespace {

using namespace mlc;

Result<std::string> roundtrip_all(const std::string& path) {
  MLC_TRY(const auto file, InputFile::open(path));
  MLC_TRY(const Bytes all, file->map());
  ByteReader reader(all);
  std::string out;
  while (reader.remaining() > 0) {
    const auto length = reader.read<uint32_t>();
    const auto bytes = length ? reader.take(*length) : std::nullopt;
    if (!bytes) return corrupt("the list of pickles is cut off");
    pickle::Graph graph;
    MLC_TRY(const auto result, pickle::read(*bytes, graph));
    MLC_TRY(const std::string written, pickle::write(graph, result.root));
    append_le(out, static_cast<uint32_t>(written.size()));
    out += written;
  }
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: pickle_roundtrip INPUT OUTPUT\n", stderr);
    return 2;
  }
  const auto out = roundtrip_all(argv[1]);
  if (!out.ok()) {
    std::fprintf(stderr, "pickle_roundtrip: %s\n", out.error().text().c_str());
    return 3;
  }
  std::ofstream(argv[2], std::ios::binary) << *out;
  return 0;
}
