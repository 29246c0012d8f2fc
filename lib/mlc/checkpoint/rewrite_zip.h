// Replacing the pickle or the metadata of a torch.save file while its storages stay as they are.
//
// No storage byte enters this process and no CRC is computed again. Into a new file the kernel
// copies the storages as one run, kept at the same position within a 4096-byte block so that file
// systems with reflinks share them. In place, the new records and directory are appended in three
// synced steps between which the file is a valid archive at every instant; the old pickle stays as
// dead bytes.
#pragma once

#include "mlc/base/output_file.h"
#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"

#include <optional>
#include <string>

namespace mlc {

/// What changes. At least one of them is set.
struct ZipEdit {
  std::optional<std::string> pickle;         // the new data.pkl
  std::optional<std::string> metadata_yaml;  // the new record with mlc's metadata ...
  bool drop_metadata = false;                // ... or none
};

/// Whether CHECKPOINT is one whole torch.save zip, so that the functions below apply.
bool is_rewritable_zip(const Checkpoint& checkpoint);

/// Whether CHECKPOINT is one whole zip of PyTorch, TorchScript and .pt2 included: the functions
/// below apply to edits without a pickle. There the record is an extra file, which torch.jit.load
/// and torch.export.load hand out as "mlc/metadata.yaml".
bool has_place_for_metadata(const Checkpoint& checkpoint);

/// Writes the edited archive to OUT, not published. Requires: is_rewritable_zip(), or
/// has_place_for_metadata() for an edit without a pickle.
Status rewrite_zip(const Checkpoint& checkpoint, const ZipEdit& edit, OutputFile& out);

/// Edits the file itself. After an error the file is as it was; after a crash or kill it shows the
/// old or the new content, whole. Requires: as rewrite_zip(). Errors: as InPlaceFile::open,
/// write_failed.
Status edit_zip_in_place(const Checkpoint& checkpoint, const ZipEdit& edit, bool allow_links);

}  // namespace mlc
