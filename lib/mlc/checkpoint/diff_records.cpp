#include "mlc/checkpoint/diff_records.h"

#include "mlc/base/text.h"

#include <algorithm>
#include <utility>

namespace mlc {
namespace {

const ZipEntry* find_record(const Checkpoint& checkpoint, std::string_view name) {
  for (const uint32_t index : checkpoint.extra_records) {
    const ZipReader& zip = checkpoint.archives[0];
    const ZipEntry& entry = zip.entries()[index];
    if (zip.relative_name(entry) == name) return &entry;
  }
  return nullptr;
}

Result<bool> same_content(const Checkpoint& a, const ZipEntry& in_a, const Checkpoint& b,
                          const ZipEntry& in_b) {
  if (in_a.size != in_b.size) return false;
  const bool differ = in_a.crc32 != in_b.crc32 && in_a.has_crc() && in_b.has_crc();
  if (differ) return false;
  if (in_a.is_stored() && in_b.is_stored()) {
    MLC_TRY(const Bytes view_a, a.archives[0].view(in_a));
    MLC_TRY(const Bytes view_b, b.archives[0].view(in_b));
    return std::ranges::equal(view_a, view_b);
  }
  MLC_TRY(const std::string text_a, a.archives[0].read(in_a, in_a.size));
  MLC_TRY(const std::string text_b, b.archives[0].read(in_b, in_b.size));
  return text_a == text_b;
}

}  // namespace

Result<std::vector<ValueDifference>> diff_records(const Checkpoint& a, const Checkpoint& b) {
  std::vector<ValueDifference> out;
  for (const uint32_t index : a.extra_records) {
    const ZipEntry& in_a = a.archives[0].entries()[index];
    const std::string name(a.archives[0].relative_name(in_a));
    const ZipEntry* in_b = find_record(b, name);
    if (in_b == nullptr) {
      out.push_back({"record " + name, format_bytes(in_a.size), ""});
      continue;
    }
    auto same = same_content(a, in_a, b, *in_b);
    if (!same.ok()) return std::move(same).error().during("record " + printable(name));
    if (*same) continue;
    const std::string other = in_a.size == in_b->size ? " of other content" : "";
    out.push_back({"record " + name, format_bytes(in_a.size), format_bytes(in_b->size) + other});
  }
  for (const uint32_t index : b.extra_records) {
    const ZipEntry& in_b = b.archives[0].entries()[index];
    const std::string name(b.archives[0].relative_name(in_b));
    if (find_record(a, name) == nullptr) {
      out.push_back({"record " + name, "", format_bytes(in_b.size)});
    }
  }
  return out;
}

}  // namespace mlc
