#include "mlc/checkpoint/format.h"

#include "mlc/base/text.h"
#include "mlc/checkpoint/folder.h"
#include "mlc/checkpoint/readers.h"
#include "mlc/container/tar_reader.h"
#include "mlc/container/zip_end.h"
#include "mlc/onnx_file/onnx_file.h"

#include <algorithm>
#include <array>
#include <utility>

#include <sys/stat.h>
#include <unistd.h>

namespace mlc {
namespace {

constexpr size_t kHeadBytes = 1024;  // enough for every signature, and for a tar header
/// The first pickle of a legacy file is the magic number, in whatever protocol torch.save was told.
bool is_legacy(std::string_view head) {
  constexpr std::string_view kMagic("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 12);
  if (head.starts_with("L119547037146038801333356L\n.")) return true;  // protocols 0 and 1
  constexpr size_t kFrame = 9;  // of protocols 4 and 5: a byte and a length
  if (head.size() < 2 || head[0] != '\x80' || head[1] < 2 || head[1] > 5) return false;
  head.remove_prefix(2);
  if (head.starts_with('\x95')) head.remove_prefix(std::min(head.size(), kFrame));
  return head.starts_with(kMagic);
}

/// Recognised, but nothing that mlc reads: each with its own sentence.
struct Foreign {
  size_t offset;
  std::string_view magic;
  ErrorKind kind;
  std::string_view message;
  std::string_view hint;
};

constexpr auto kForeign = std::to_array<Foreign>({
    {0, "version https://git-lfs", ErrorKind::corrupt,
     "is a Git LFS pointer, not the checkpoint itself", "run `git lfs pull` in its repository"},
    {0, "GGUF", ErrorKind::unsupported, "is a GGUF file of llama.cpp, which mlc does not read", ""},
    {0, "\x1f\x8b", ErrorKind::unsupported, "is compressed with gzip",
     "unpack it with `gunzip` first"},
    {0,
     "\xfd"
     "7zXZ",
     ErrorKind::unsupported, "is compressed with xz", "unpack it with `unxz` first"},
    {0, "\x28\xb5\x2f\xfd", ErrorKind::unsupported, "is compressed with zstd",
     "unpack it with `unzstd` first"},
    {0, "BZh", ErrorKind::unsupported, "is compressed with bzip2",
     "unpack it with `bunzip2` first"},
    {0, "7z\xbc\xaf", ErrorKind::unsupported, "is a 7z archive", "unpack it first"},
    {0, "\x89HDF\r\n", ErrorKind::unsupported,
     "is an HDF5 file (Keras?), which holds no PyTorch checkpoint", ""},
    {0, "PYTORCH1", ErrorKind::unsupported,
     "is a preview container of PyTorch 1.0, which no release reads", ""},
    {4, "PTMF", ErrorKind::unsupported,
     "is a PyTorch Mobile flatbuffer model (.ptl), which mlc does not read", ""},
    {0,
     "\x7f"
     "ELF",
     ErrorKind::unsupported, "is a program or a shared library, not a checkpoint", ""},
    {0, "%PDF", ErrorKind::unsupported, "is a PDF document, not a checkpoint", ""},
    {0, "mlc: metadata/", ErrorKind::unsupported, "is metadata of mlc, not a checkpoint",
     "`mlc metadata` shows it; which keys are expected it says only with an architecture in it"},
});

bool starts_with_ignoring_case(std::string_view text, std::string_view prefix) {
  if (text.size() < prefix.size()) return false;
  return std::equal(prefix.begin(), prefix.end(), text.begin(), [](char a, char b) {
    return a == (b >= 'A' && b <= 'Z' ? static_cast<char>(b - 'A' + 'a') : b);
  });
}

bool looks_like_html(std::string_view head) {
  const std::string_view text = trim(head);
  return starts_with_ignoring_case(text, "<!doctype") || starts_with_ignoring_case(text, "<html") ||
         starts_with_ignoring_case(text, "<?xml");
}

// u64 header length, then JSON.
bool looks_like_safetensors(std::string_view head, uint64_t file_size) {
  if (head.size() < 10) return false;
  const auto length = load_le<uint64_t>(head.data());
  return length >= 2 && length <= file_size - 8 && head[8] == '{';
}

/// Refuses what is certainly no checkpoint.
Status refuse_foreign(std::string_view head) {
  if (head.empty()) return corrupt("is empty", "the download or the save never wrote anything");
  for (const Foreign& row : kForeign) {
    if (head.substr(std::min(row.offset, head.size())).starts_with(row.magic)) {
      return Error(row.kind, std::string(row.message), std::string(row.hint));
    }
  }
  if (looks_like_html(head)) {
    return corrupt("is a web page, not a checkpoint",
                   "the download saved an error or login page; fetch it again");
  }
  const bool zeros = std::all_of(head.begin(), head.end(), [](char c) { return c == '\0'; });
  if (zeros) return corrupt("starts with zeros: its content was never written to the disk");
  return {};
}

/// Whether a file that is called so was meant to be a checkpoint: caches name theirs by a hash.
bool is_named_like_checkpoint(std::string_view path) {
  constexpr auto kEndings = std::to_array<std::string_view>(
      {".safetensors", ".pt", ".pth", ".ckpt", ".bin", ".pt2", ".npz", ".npy", ".pkl", ".pth.tar"});
  const std::string_view name = path.substr(path.rfind('/') + 1);  // npos + 1 is 0
  return name.find('.') == name.npos || std::ranges::any_of(kEndings, [name](std::string_view end) {
           return name.ends_with(end);
         });
}

bool is_text(std::string_view head) {
  return std::ranges::all_of(head, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x20 ? byte != 0x7f : c == '\n' || c == '\r' || c == '\t';
  });
}

/// What a download may have left in place of the checkpoint: an answer of its server, which is
/// short, or the very first bytes.
Status refuse_remains(const InputFile& file, std::string_view head) {
  constexpr uint64_t kLongestAnswer = 64 << 10;
  constexpr uint64_t kLeast = 64;  // no format has files as short
  if (!is_named_like_checkpoint(file.path())) return {};
  if (file.size() <= kLongestAnswer && is_text(head)) {
    return corrupt("is text, not a checkpoint: it starts with " +
                       quoted(head.substr(0, std::min<size_t>(head.find('\n'), 80))),
                   "the download saved an error message; fetch it again");
  }
  if (file.size() >= kLeast) return {};
  return corrupt("has " + plural(file.size(), "byte") + " only, too few for a checkpoint",
                 "the download was probably cut off; fetch it again");
}

using Reader = Status (*)(Checkpoint&);

struct Recognised {
  Format format;
  Reader read;
};

bool holds_arrays(const ZipReader& zip) {
  const auto is_npy = [](const ZipEntry& entry) { return entry.name.ends_with(".npy"); };
  return !zip.entries().empty() && std::ranges::all_of(zip.entries(), is_npy);
}

/// Opens the zip and tells by its records which of the four families it is.
Result<Recognised> recognise_zip(Checkpoint& checkpoint) {
  auto torch = ZipReader::open(checkpoint.files[0], ZipDialect::torch);
  if (!torch.ok()) {
    // Archives without a root are .npz and old .pt2; anything else keeps the first error.
    auto any = ZipReader::open(checkpoint.files[0], ZipDialect::any);
    if (!any.ok()) return std::move(torch).error();
    const bool old_pt2 = any->find("serialized_exported_program.json") != nullptr;
    const bool npz = holds_arrays(*any);
    if (!old_pt2 && !npz) return std::move(torch).error();
    checkpoint.archives.push_back(std::move(any).value());
    if (old_pt2) return Recognised{Format::pt2, read_pt2};
    return Recognised{Format::npz, read_npz};
  }
  if (holds_arrays(*torch)) {
    // Names of arrays that share a folder look like an archive's root.
    MLC_TRY(ZipReader any, ZipReader::open(checkpoint.files[0], ZipDialect::any));
    checkpoint.archives.push_back(std::move(any));
    return Recognised{Format::npz, read_npz};
  }
  checkpoint.archives.push_back(std::move(torch).value());
  const ZipReader& zip = checkpoint.archives.back();
  if (zip.record("archive_format") != nullptr ||
      zip.record("serialized_exported_program.json") != nullptr) {
    return Recognised{Format::pt2, read_pt2};
  }
  if (zip.record(".data/extern_modules") != nullptr) {
    return unsupported("is a torch.package archive, which holds Python code; mlc does not read it");
  }
  if (zip.record("constants.pkl") != nullptr) {
    return Recognised{Format::torchscript, read_torchscript};
  }
  if (zip.record("model.json") != nullptr) {
    return unsupported("is a TorchScript file of PyTorch 1.2 or older");
  }
  return Recognised{Format::torch_zip, read_torch_zip};
}

/// The directory of a zip is at its end: an archive is one even where its first bytes are lost.
Status refuse_overwritten_zip(const InputFile& file, std::string_view head) {
  if (!find_zip_end(file, {0, file.size()}, {}).ok()) return {};
  return corrupt("is a zip archive by its end, but its start is damaged: it starts with " +
                     quoted(head.substr(0, 16)),
                 "fetch or save the file again");
}

/// A model that runs, but no checkpoint: its tensors are constants of a graph.
Status refuse_onnx(const InputFile& file) {
  MLC_TRY(const Bytes bytes, file.map());
  if (!looks_like_onnx(bytes)) return {};
  return unsupported("is an ONNX model, which holds a graph and no state_dict",
                     "`mlc load`, `run`, `verify`, `bench`, `quantize` and `prune` take it");
}

Result<Recognised> recognise(Checkpoint& checkpoint, std::string_view head) {
  if (head.starts_with("PK\x03\x04")) return recognise_zip(checkpoint);
  if (is_legacy(head)) return Recognised{Format::torch_legacy, read_torch_legacy};
  if (head.starts_with("\x93NUMPY")) return Recognised{Format::npy, read_npy};
  if (TarReader::looks_like_tar(as_bytes(head)))
    return Recognised{Format::torch_tar, read_torch_tar};
  if (head.starts_with("PK\x05\x06") || head.starts_with("PK\x06\x06")) {
    return corrupt("is an empty zip archive");
  }
  if (head.size() > 9 && head[8] == '{' && head[9] == '"') {
    return corrupt("looks like safetensors, but its header claims " +
                       std::to_string(load_le<uint64_t>(head.data())) + " bytes of " +
                       std::to_string(checkpoint.files[0]->size()),
                   "the download was probably cut off");
  }
  if (head.starts_with("\x80")) return Recognised{Format::plain_pickle, read_plain_pickle};
  MLC_CHECK(refuse_onnx(*checkpoint.files[0]));
  MLC_CHECK(refuse_overwritten_zip(*checkpoint.files[0], head));
  MLC_CHECK(refuse_remains(*checkpoint.files[0], head));
  return unsupported(
      "is no checkpoint that mlc knows: it starts with " + quoted(head.substr(0, 16)),
      "supported are torch.save files, safetensors, shard indexes, TorchScript, .pt2, "
      "DCP folders, .npz and .npy");
}

/// A file that starts as one format and ends as a zip archive means different things to different
/// readers. PyTorch goes by the start, and so does mlc, but the user should know.
Status warn_if_ambiguous(Checkpoint& checkpoint) {
  constexpr uint64_t kEndRecord = 22;
  const InputFile& file = *checkpoint.files[0];
  const bool zip = !checkpoint.archives.empty();
  if (zip || file.size() < kHeadBytes) return {};
  MLC_TRY(const std::string tail, file.read_string(file.size() - kEndRecord, kEndRecord));
  if (tail.starts_with("PK\x05\x06")) {
    checkpoint.warnings.push_back(
        "ambiguous container: it also ends like a zip archive, so other programs may find another "
        "checkpoint in it");
  }
  return {};
}

/// A file of a DCP folder alone is a row of archives with a tensor each, or their index.
Status refuse_part_of_dcp(const std::string& path) {
  const size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash);
  const std::string name = path.substr(slash + 1);
  const bool part = name.ends_with(".distcp");
  const bool index = name == ".metadata";
  const bool indexed = access((folder + "/.metadata").c_str(), F_OK) == 0;
  if (part && !indexed && name.starts_with("__")) {  // as its writer calls them
    return corrupt(
        "is one file of a checkpoint folder of torch.distributed.checkpoint (DCP), but .metadata "
        "is not beside it, which says what is in it",
        "either the save did not finish (.metadata is written last), or .metadata was not copied");
  }
  // Any file may be called so; it is one of a folder where the folder's index is.
  if (!index && (!part || !indexed)) return {};
  return unsupported("is one file of a checkpoint folder of torch.distributed.checkpoint (DCP)",
                     "open the folder: " + printable(folder));
}

Status read_file(Checkpoint& checkpoint) {
  MLC_TRY(auto file, InputFile::open(checkpoint.path));
  MLC_CHECK(refuse_part_of_dcp(checkpoint.path));
  const auto head_size = std::min<uint64_t>(file->size(), kHeadBytes);
  MLC_TRY(const std::string head, file->read_string(0, head_size));
  checkpoint.files.push_back(std::move(file));
  // The length that safetensors begins with may equal any signature, so this comes first.
  if (looks_like_safetensors(head, checkpoint.files[0]->size())) {
    checkpoint.format = Format::safetensors;
    MLC_CHECK(read_safetensors(checkpoint));
    return warn_if_ambiguous(checkpoint);
  }
  MLC_CHECK(refuse_foreign(head));
  if (looks_like_json_object(head)) {
    checkpoint.format = Format::sharded;
    Status read = read_sharded(checkpoint, checkpoint.path);
    // JSON of another kind under the name of a checkpoint was not meant to be an index.
    const bool other = !read.ok() && read.error().kind() == ErrorKind::unsupported;
    if (other && checkpoint.files.size() == 1) {
      MLC_CHECK(refuse_remains(*checkpoint.files[0], head));
    }
    return read;
  }
  MLC_TRY(const Recognised found, recognise(checkpoint, head));
  checkpoint.format = found.format;
  MLC_CHECK(found.read(checkpoint));
  return warn_if_ambiguous(checkpoint);
}

Status read_folder(Checkpoint& checkpoint) {
  const std::string folder = checkpoint.path;
  MLC_TRY(const FolderContent content, look_into_folder(folder));
  if (content.is_dcp) {
    checkpoint.format = Format::dcp;
    return read_dcp(checkpoint, folder);
  }
  checkpoint.path = folder + "/" + content.file;
  MLC_CHECK(read_file(checkpoint));
  if (content.others.empty()) return {};
  checkpoint.warnings.push_back("read " + content.file + ", as transformers does; " +
                                join_list(content.others) + " beside it " +
                                (content.others.size() == 1 ? "was" : "were") + " not read");
  return {};
}

}  // namespace

Result<std::unique_ptr<Checkpoint>> open_checkpoint(const std::string& path) {
  auto checkpoint = std::make_unique<Checkpoint>();
  checkpoint->path = path;
  struct stat st {};
  const bool folder = stat(path.c_str(), &st) == 0 && S_ISDIR(st.st_mode);
  Status status = folder ? read_folder(*checkpoint) : read_file(*checkpoint);
  if (!status.ok()) return std::move(status).error().in_file(path);
  return checkpoint;
}

bool looks_like_json_object(std::string_view head) {
  constexpr size_t kLengthBytes = 8;
  return trim(head).starts_with('{') && head.substr(0, kLengthBytes).find('\0') == head.npos;
}

}  // namespace mlc
