// The readers behind open_checkpoint(), one per format. Each fills a Checkpoint whose `path` and
// `files[0]` are set; recognising the format has happened before (format.cpp).
#pragma once

#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"

#include <memory>
#include <string>
#include <string_view>

namespace mlc {

// torch_zip.cpp: archives[0] is open.
Status read_torch_zip(Checkpoint& checkpoint);
/// Reads PICKLE.pkl of archives[ARCHIVE] into the graph, with its tensors and their storages, the
/// records below PICKLE/, and returns its root. For archives inside other files: items of DCP
/// folders, entries of old .pt2 files; and for the constants of TorchScript.
Result<NodeId> read_zip_pickle(Checkpoint& checkpoint, uint32_t archive,
                               std::string_view pickle = "data");
// torch_legacy.cpp: stacked pickles; LENGTH bytes from OFFSET of files[0].
Status read_torch_legacy(Checkpoint& checkpoint);
// torch_tar.cpp
Status read_torch_tar(Checkpoint& checkpoint);
// torchscript.cpp: archives[0] is open and has constants.pkl. The root is as that of a .pt2 file,
// the constants named as in its code: c0, c1, ...
Status read_torchscript(Checkpoint& checkpoint);
// pt2.cpp: archives[0] is open. The root is the state_dict, or, where the archive has constants too
// (tensors of the graph, non-persistent buffers), a mapping of both under their names.
inline constexpr std::string_view kPt2StateDict = "state_dict";
inline constexpr std::string_view kPt2Constants = "constants";
/// WEIGHTS alone where CONSTANTS, a dict, is empty, else a new mapping of both.
NodeId join_program(Checkpoint& checkpoint, NodeId weights, NodeId constants);
Status read_pt2(Checkpoint& checkpoint);
// safetensors.cpp
Status read_safetensors(Checkpoint& checkpoint);
// sharded.cpp: PATH of the index JSON. Opens the shards with open_checkpoint().
Status read_sharded(Checkpoint& checkpoint, const std::string& index_path);
// dcp.cpp: the folder with .metadata.
Status read_dcp(Checkpoint& checkpoint, const std::string& folder);
// numpy_files.cpp: archives[0] is open for .npz.
Status read_npz(Checkpoint& checkpoint);
Status read_npy(Checkpoint& checkpoint);
// plain_pickle.cpp
Status read_plain_pickle(Checkpoint& checkpoint);

}  // namespace mlc
