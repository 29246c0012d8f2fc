#include "mlc/metadata/provenance.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <vector>

#include <dlfcn.h>
#include <fcntl.h>

namespace mlc {
namespace {

constexpr size_t kBlockBytes = 1U << 20U;
constexpr size_t kDigestBytes = 32;

// The part of OpenSSL's EVP interface that is used, same in 1.1 and 3. The contexts are opaque.
struct Crypto {
  void* (*new_context)() = nullptr;
  void (*free_context)(void*) = nullptr;
  const void* (*sha256)() = nullptr;
  int (*init)(void*, const void*, void*) = nullptr;
  int (*update)(void*, const void*, size_t) = nullptr;
  int (*finish)(void*, unsigned char*, unsigned*) = nullptr;
};

template <class F>
bool find(void* library, const char* name, F& out) {
  out = reinterpret_cast<F>(dlsym(library, name));
  return out != nullptr;
}

// The library stays open: closing it would run its destructors, which gains nothing.
Result<Crypto> open_crypto(const char* name) {
  Crypto crypto;
  void* library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (library != nullptr && find(library, "EVP_MD_CTX_new", crypto.new_context) &&
      find(library, "EVP_MD_CTX_free", crypto.free_context) &&
      find(library, "EVP_sha256", crypto.sha256) &&
      find(library, "EVP_DigestInit_ex", crypto.init) &&
      find(library, "EVP_DigestUpdate", crypto.update) &&
      find(library, "EVP_DigestFinal_ex", crypto.finish)) {
    return crypto;
  }
  return unsupported(std::string("cannot compute SHA-256: the library ") + name + " is missing",
                     "install OpenSSL 3 (Debian package libssl3)");
}

}  // namespace

struct Sha256::State {
  Crypto crypto;
  void* context = nullptr;
  ~State() {
    if (context != nullptr) crypto.free_context(context);
  }
};

Result<Sha256> Sha256::create(const char* library) {
  auto state = std::make_unique<State>();
  MLC_TRY(state->crypto, open_crypto(library));
  state->context = state->crypto.new_context();
  if (state->context == nullptr ||
      state->crypto.init(state->context, state->crypto.sha256(), nullptr) != 1) {
    return internal_error("libcrypto cannot begin a SHA-256 digest");
  }
  return Sha256(std::move(state));
}

Sha256::Sha256(std::unique_ptr<State> state) : state_(std::move(state)) {}
Sha256::Sha256(Sha256&& other) noexcept = default;
Sha256::~Sha256() = default;

Status Sha256::update(Bytes bytes) {
  if (state_->crypto.update(state_->context, bytes.data(), bytes.size()) == 1) return {};
  return internal_error("libcrypto cannot continue a SHA-256 digest");
}

Result<std::string> Sha256::finish() {
  std::array<unsigned char, kDigestBytes> digest{};
  unsigned length = 0;
  if (state_->crypto.finish(state_->context, digest.data(), &length) != 1 ||
      length != kDigestBytes) {
    return internal_error("libcrypto cannot finish a SHA-256 digest");
  }
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  for (const unsigned char byte : digest) {
    out += kHex[byte >> 4U];
    out += kHex[byte & 15U];
  }
  return out;
}

Result<std::string> sha256_file(const InputFile& file, Reporter& reporter) {
  MLC_TRY(Sha256 digest, Sha256::create());
  // A hint only: without it the read-ahead is smaller.
  (void)posix_fadvise(file.fd(), 0, 0, POSIX_FADV_SEQUENTIAL);
  const ProgressScope progress(reporter, "hashing " + file.path(), file.size());
  std::vector<std::byte> block(static_cast<size_t>(std::min<uint64_t>(kBlockBytes, file.size())));
  for (uint64_t offset = 0; offset < file.size(); offset += block.size()) {
    if (reporter.interrupted()) return Error(ErrorKind::interrupted, "interrupted");
    const auto part = std::span(block).first(
        static_cast<size_t>(std::min<uint64_t>(block.size(), file.size() - offset)));
    MLC_CHECK(file.read_at(offset, part));
    MLC_CHECK(digest.update(part));
    reporter.advance(part.size());
  }
  if (!file.unchanged()) {
    return Error(ErrorKind::read_failed, "the file changed while it was read",
                 "wait until it is written, then try again")
        .in_file(file.path());
  }
  return digest.finish();
}

Result<std::string> sha256_files(std::span<const std::shared_ptr<const InputFile>> files,
                                 Reporter& reporter) {
  if (files.size() == 1) return sha256_file(*files[0], reporter);
  const auto plain = [](const std::string& path) {
    return std::filesystem::path(path).lexically_normal();
  };
  const auto folder = plain(files[0]->path()).parent_path();
  std::map<std::string, const InputFile*> by_name;
  for (const auto& file : files) {
    const auto name = plain(file->path()).lexically_relative(folder);
    by_name.emplace(name.empty() ? file->path() : name.string(), file.get());
  }
  std::string lines;
  for (const auto& [name, file] : by_name) {
    MLC_TRY(const std::string hash, sha256_file(*file, reporter));
    lines += hash + "  " + name + "\n";
  }
  MLC_TRY(Sha256 digest, Sha256::create());
  MLC_CHECK(digest.update(as_bytes(lines)));
  return digest.finish();
}

}  // namespace mlc
