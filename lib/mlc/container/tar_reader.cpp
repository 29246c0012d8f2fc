#include "mlc/container/tar_reader.h"

#include "mlc/base/checked_math.h"
#include "mlc/base/text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <unordered_set>

namespace mlc {
namespace {

constexpr size_t kBlock = 512;
constexpr uint64_t kMaxLongName = 64 << 10;  // bytes of a pax or GNU name record
constexpr size_t kMaxName = 4096;
constexpr size_t kMaxMembers = size_t{1} << 20;

// Fields of a header block: where and how long.
struct Field {
  size_t offset, length;
};
constexpr Field kName{0, 100};
constexpr Field kSize{124, 12};
constexpr Field kChecksum{148, 8};
constexpr size_t kType = 156;
constexpr Field kMagic{257, 5};
constexpr Field kPrefix{345, 155};

using Block = std::array<char, kBlock>;

std::string_view raw(const Block& block, Field f) {
  return std::string_view(block.data(), block.size()).substr(f.offset, f.length);
}

// Up to the first NUL.
std::string_view text(std::string_view field) {
  return field.substr(0, field.find('\0'));
}

// Octal digits with spaces or NULs around them, or GNU's base 256 (first bit set).
std::optional<uint64_t> number(std::string_view field) {
  if (!field.empty() && static_cast<uint8_t>(field[0]) == 0x80) {
    uint64_t value = 0;
    for (const char c : field.substr(1)) {
      if (value >> 56 != 0) return std::nullopt;
      value = value << 8 | static_cast<uint8_t>(c);
    }
    return value;
  }
  field = text(field);
  while (field.starts_with(' ')) field.remove_prefix(1);
  while (field.ends_with(' ')) field.remove_suffix(1);
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value, 8);
  if (error != std::errc() || end != field.data() + field.size()) return std::nullopt;
  return value;
}

// Sum of all bytes with the checksum field as spaces; old writers added signed chars.
bool checksum_matches(const Block& block) {
  const std::optional<uint64_t> stated = number(raw(block, kChecksum));
  if (!stated) return false;
  uint64_t plain = 0;
  int64_t with_sign = 0;
  for (size_t i = 0; i < kBlock; ++i) {
    const bool inside = i >= kChecksum.offset && i < kChecksum.offset + kChecksum.length;
    const char c = inside ? ' ' : block[i];
    plain += static_cast<uint8_t>(c);
    with_sign += static_cast<signed char>(c);
  }
  return *stated == plain || (with_sign >= 0 && *stated == static_cast<uint64_t>(with_sign));
}

bool is_zero(const Block& block) {
  return std::all_of(block.begin(), block.end(), [](char c) { return c == 0; });
}

std::string header_name(const Block& block) {
  std::string name(text(raw(block, kName)));
  const std::string_view prefix = text(raw(block, kPrefix));
  if (raw(block, kMagic) == "ustar" && !prefix.empty()) {
    // GNU's old format has other things where POSIX has the prefix, but then its magic ends "  ".
    if (block[kMagic.offset + 5] == '\0') name = std::string(prefix) + "/" + name;
  }
  return name;
}

std::string_view name_problem(std::string_view name) {
  if (name.empty()) return "is empty";
  if (name.size() > kMaxName) return "is longer than 4,096 bytes";
  if (name.front() == '/') return "begins with a slash";
  const auto parts = split(name, '/');
  if (std::find(parts.begin(), parts.end(), "..") != parts.end()) return "contains \"..\"";
  if (std::any_of(name.begin(), name.end(),
                  [](char c) { return static_cast<uint8_t>(c) < 0x20; })) {
    return "contains a control byte";
  }
  return is_utf8(name) ? "" : "is not UTF-8";
}

// What pax ("x") and GNU ("L") records say about the member that follows.
struct Overrides {
  std::optional<std::string> name;
  std::optional<uint64_t> size;
};

// Records "LENGTH KEY=VALUE\n", LENGTH in decimal and counting itself.
Status read_pax(std::string_view records, Overrides& out) {
  while (!records.empty()) {
    size_t length = 0;
    const auto [p, error] =
        std::from_chars(records.data(), records.data() + records.size(), length, 10);
    const auto digits = static_cast<size_t>(p - records.data());
    if (error != std::errc() || length > records.size() || length < digits + 3 ||
        records[digits] != ' ' || records[length - 1] != '\n') {
      return corrupt("a pax header is damaged");
    }
    const std::string_view record = records.substr(digits + 1, length - digits - 2);
    records.remove_prefix(length);
    const size_t equals = record.find('=');
    if (equals == std::string_view::npos) return corrupt("a pax header is damaged");
    const std::string_view key = record.substr(0, equals);
    const std::string_view value = record.substr(equals + 1);
    if (key == "path") out.name = std::string(value);
    if (key == "size") {
      uint64_t size = 0;
      const auto [q, bad] = std::from_chars(value.data(), value.data() + value.size(), size, 10);
      if (bad != std::errc() || q != value.data() + value.size()) {
        return corrupt("a pax header states the size " + quoted(value));
      }
      out.size = size;
    }
    if (key.starts_with("GNU.sparse")) return unsupported("a member of the tar archive is sparse");
  }
  return {};
}

// Walks the headers of one archive.
class TarWalk {
 public:
  TarWalk(const InputFile& file, std::vector<TarMember>& members)
      : file_(file), members_(members) {}

  Status run() {
    Block block;
    while (offset_ < file_.size()) {
      if (file_.size() - offset_ < kBlock) return fail("is cut off");
      MLC_CHECK(file_.read_at(offset_, std::as_writable_bytes(std::span(block))));
      if (is_zero(block)) return {};
      MLC_CHECK(header(block));
    }
    return corrupt("the tar archive has no end mark: most likely a truncated download (" +
                       format_count(file_.size()) + " bytes are here)",
                   "fetch the file again");
  }

 private:
  Error fail(std::string_view problem) const {
    return corrupt("the tar header at offset " + std::to_string(offset_) + " " +
                   std::string(problem));
  }

  Status header(const Block& block) {
    if (!checksum_matches(block)) return fail("has a wrong checksum");
    const std::optional<uint64_t> stated = number(raw(block, kSize));
    if (!stated) return fail("states no valid size");
    const char type = block[kType];
    const bool is_member = type == '0' || type == '\0' || type == '7' || type == '5';
    const uint64_t size = is_member ? pending_.size.value_or(*stated) : *stated;
    const uint64_t data = offset_ + kBlock;
    if (!fits_within(data, size, file_.size())) {
      return fail("states " + std::to_string(size) + " bytes, more than the file has left");
    }
    switch (type) {
      case '0':
      case '\0':
      case '7':
        MLC_CHECK(add_member(block, data, size));
        break;
      case '5':
        pending_ = {};
        break;
      case 'x':
      case 'L':
        MLC_CHECK(extension(type, data, size));
        break;
      case 'g':
        break;
      default:
        return unsupported("the tar header at offset " + std::to_string(offset_) + " is of type " +
                           quoted(std::string_view(&type, 1)) +
                           "; links, devices and sparse files are not read");
    }
    // Cannot overflow: data + size is at most the size of the file.
    offset_ = data + size + padding_to(size, kBlock);
    return {};
  }

  Status extension(char type, uint64_t data, uint64_t size) {
    if (size > kMaxLongName) return fail("has more than 64 KiB of extended header");
    MLC_TRY(const std::string content, file_.read_string(data, size));
    if (type == 'x') return read_pax(content, pending_);
    pending_.name = std::string(text(content));
    return {};
  }

  Status add_member(const Block& block, uint64_t data, uint64_t size) {
    std::string name = pending_.name ? *pending_.name : header_name(block);
    pending_ = {};
    while (name.starts_with("./")) name.erase(0, 2);
    if (const std::string_view problem = name_problem(name); !problem.empty()) {
      return fail("has a name, " + quoted(name) + ", that " + std::string(problem));
    }
    if (members_.size() == kMaxMembers) return fail("is one of more than 1,048,576");
    if (!names_.insert(name).second) {
      return fail("is the second one called " + quoted(name));
    }
    members_.push_back({std::move(name), data, size});
    return {};
  }

  const InputFile& file_;
  std::vector<TarMember>& members_;
  std::unordered_set<std::string> names_;
  Overrides pending_;
  uint64_t offset_ = 0;
};

}  // namespace

bool TarReader::looks_like_tar(Bytes start) {
  if (start.size() < kBlock) return false;
  Block block;
  std::memcpy(block.data(), start.data(), kBlock);
  return !is_zero(block) && checksum_matches(block);
}

Result<TarReader> TarReader::open(std::shared_ptr<const InputFile> file) {
  TarReader reader;
  Status status = TarWalk(*file, reader.members_).run();
  if (!status.ok()) return std::move(status).error().in_file(file->path());
  reader.file_ = std::move(file);
  return reader;
}

const TarMember* TarReader::find(std::string_view name) const {
  while (name.starts_with("./")) name.remove_prefix(2);
  const auto found = std::find_if(members_.begin(), members_.end(),
                                  [&](const TarMember& m) { return m.name == name; });
  return found == members_.end() ? nullptr : &*found;
}

Result<Bytes> TarReader::view(const TarMember& member) const {
  MLC_TRY(const Bytes all, file_->map());
  return all.subspan(static_cast<size_t>(member.offset), static_cast<size_t>(member.size));
}

}  // namespace mlc
