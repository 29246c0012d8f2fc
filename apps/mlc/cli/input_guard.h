// Whether an output would replace a file that the command reads: one decision for every verb that
// writes, made before anything is written, in dry runs too. And which one file a folder stands for.
#pragma once

#include "mlc/base/result.h"
#include "mlc/checkpoint/save.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace mlc::cli {

/// A file that the command reads or writes.
struct FileUse {
  std::string path;
  std::string option;  // what it is of ("--from"); empty for inputs and what is made of them
};

/// Where a command can put what it cannot write over a checkpoint of several files.
enum class Elsewhere : uint8_t {
  file,     // one file that -o names
  folder,   // also shards into a folder that -o names, if it reads shards
  shards,   // also shards of a size, with --max-shard-size
  sidecar,  // metadata: beside the checkpoint
};

/// Files beside the inputs and their outputs.
struct OtherFiles {
  std::vector<FileUse> reads;   // --from, --rules, --meta, more inputs of a merge
  std::vector<FileUse> writes;  // --emit-inverse
  /// The format of shards that go into a folder; none: that of the input, whichever it is.
  std::optional<OutputFormat> shards;
  Elsewhere elsewhere = Elsewhere::file;
};

/// All that the command reads and writes. A path that is a folder or an index stands for all files
/// of its checkpoint where it is read, or of its samples, and for the shards in it where it is
/// written.
struct FilePlan {
  std::vector<FileUse> reads;
  std::vector<FileUse> writes;
  std::optional<OutputFormat> shards;  // as in OtherFiles
  bool in_place = false;               // an input is its own output on purpose
  Elsewhere elsewhere = Elsewhere::file;
};

/// The file that is the checkpoint of the folder PATH, where it is one alone; NO_OTHER: and where
/// no other file in it could be meant too.
std::optional<std::string> file_of_folder(const std::string& path, bool no_other = false);

/// The error for shards and DCP folders at PATH, and for a folder with several checkpoints. The
/// hint names what the command can do instead.
Error no_edit_of_several_files(const std::string& path, Elsewhere elsewhere);

/// Compares by device and inode, so that links are seen through. Errors: usage where a file that is
/// read would be replaced or removed, or an option names the file that is an output already.
Status refuse_replaced_inputs(const FilePlan& plan);

}  // namespace mlc::cli
