#include "mlc/engine/artefact.h"

#include "mlc/base/text.h"
#include "mlc/checkpoint/format.h"
#include "mlc/checkpoint/integrity.h"

namespace mlc {
namespace {

constexpr const char* kSaveProgram =
    "save it from Python with torch.jit.trace(model, inputs).save(FILE) or torch.jit.script";

Status has_program(const Checkpoint& checkpoint) {
  switch (checkpoint.format) {
    case Format::torchscript:
      return {};
    case Format::pt2:
      return unsupported("running exported programs (.pt2) is not supported yet", kSaveProgram);
    default:
      return unsupported("it holds tensors without a program, so there is nothing to run",
                         kSaveProgram);
  }
}

Status is_whole(const Checkpoint& checkpoint, unsigned threads, Reporter& reporter) {
  MLC_TRY(const IntegrityReport report, check_integrity(checkpoint, threads, reporter));
  if (report.damaged.empty()) return {};
  const DamagedRecord& first = report.damaged.front();
  return corrupt("record " + quoted(first.record) + ": " + first.problem +
                     (report.damaged.size() > 1
                          ? ", and " + plural(report.damaged.size() - 1, "more damaged record")
                          : std::string()),
                 "fetch the file again; `mlc load FILE --check crc` lists all damage");
}

}  // namespace

Status check_runnable(const std::string& path, unsigned threads, Reporter& reporter) {
  MLC_TRY(const auto checkpoint, open_checkpoint(path));
  Status status = has_program(*checkpoint);
  if (status.ok()) status = is_whole(*checkpoint, threads, reporter);
  if (!status.ok()) return std::move(status).error().in_file(path);
  return {};
}

}  // namespace mlc
