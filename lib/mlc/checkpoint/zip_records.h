// Records that an archive may have or not: small texts, and mlc's own metadata.
#pragma once

#include "mlc/base/text.h"
#include "mlc/container/zip_reader.h"

#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace mlc {

/// Keeps what the __metadata__ of a safetensors file said, for the day the file becomes one again.
inline constexpr std::string_view kStringMetadataRecord = "mlc/safetensors.json";

/// Marks an archive whose records mlc laid out: what they look like says nothing then about the
/// PyTorch that the tensors come from. Copying records, as renaming does, keeps what was there.
inline constexpr std::string_view kWriterRecord = "mlc/writer";

/// The content of the record below the root, nothing where it is absent. Errors: as
/// ZipReader::read().
inline Result<std::optional<std::string>> optional_record(const ZipReader& zip,
                                                          std::string_view name, uint64_t cap) {
  const ZipEntry* entry = zip.record(name);
  if (entry == nullptr) return std::optional<std::string>();
  MLC_TRY(std::string text, zip.read(*entry, cap));
  return std::optional(std::move(text));
}

/// The number that a record consists of, or -1 where it is absent or no number.
inline Result<int64_t> number_record(const ZipReader& zip, std::string_view name) {
  MLC_TRY(const auto text, optional_record(zip, name, 64));
  if (!text) return int64_t{-1};
  const std::string_view digits = trim(*text);
  int64_t number = -1;
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return number;
}

/// mlc's metadata as torch.jit.save and torch.export.save place extra files.
inline Result<std::optional<std::string>> extra_metadata(const ZipReader& zip) {
  constexpr uint64_t kMaxBytes = 16U << 20U;
  MLC_TRY(auto text, optional_record(zip, "extra/mlc/metadata.yaml", kMaxBytes));
  if (text) return text;
  return optional_record(zip, "mlc/metadata.yaml", kMaxBytes);
}

}  // namespace mlc
