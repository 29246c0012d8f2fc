// Signatures and fixed sizes of the structures of a zip file (PKWARE's APPNOTE.TXT, section 4.3),
// for the sources of this folder.
#pragma once

#include <cstdint>

namespace mlc::zip_layout {

constexpr uint32_t kLocalSignature = 0x04034b50;
constexpr uint32_t kDescriptorSignature = 0x08074b50;
constexpr uint32_t kCentralSignature = 0x02014b50;
constexpr uint32_t kZip64EndSignature = 0x06064b50;
constexpr uint32_t kZip64LocatorSignature = 0x07064b50;
constexpr uint32_t kEndSignature = 0x06054b50;

constexpr uint64_t kLocalSize = 30;
constexpr uint64_t kCentralSize = 46;
constexpr uint64_t kZip64EndSize = 56;
constexpr uint64_t kZip64LocatorSize = 20;
constexpr uint64_t kEndSize = 22;
constexpr uint64_t kMaxComment = 0xFFFF;

/// Flags of entries that nothing here can read: encrypted, patch, strongly encrypted, masked
/// header.
constexpr uint16_t kRefusedFlags = 0x0001 | 0x0020 | 0x0040 | 0x2000;

}  // namespace mlc::zip_layout
