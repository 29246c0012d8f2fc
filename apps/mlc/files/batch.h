// One verb over one file or over thousands: which output belongs to which input, workers, one line
// or one JSON element per file, the exit code of the worst.
//
//   MLC_TRY(auto files, plan_outputs(options.inputs, options.writing));
//   return run_files(context, files, options.writing.batch, [&](FileTask& task) ->
//   Result<FileReport> {...});
//
// With one file the function's output is the answer. With several, text is one line per file,
// "INPUT: SUMMARY" or "INPUT: failed", unless the function wrote more; --quiet leaves out those
// that say what was written or that a check found nothing. --json is one mlc.batch/1 object
// (schemas/batch.schema.json) whose results hold the object of each file, or its error; both in the
// order of the inputs whatever finishes first.
#pragma once

#include "cli/input_guard.h"
#include "cli/json_writer.h"
#include "command.h"

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace mlc::cli {

struct FilePair {
  std::string input;
  std::string output;        // empty: nothing is written
  bool may_replace = false;  // --force or --in-place
  bool skip_existing = false;
  bool in_folder = false;  // of --out-dir
  /// The output may be a folder, of shards: then an empty one that is there is taken.
  bool may_be_folder = false;
  /// With --in-place and --keep-going: the other input that this one is a link to. It is skipped.
  std::string leads_to{};
};

/// Errors: usage where PATH, the output that is to be one file, is a folder or ends like one.
Status refuse_folder(const std::string& path);

/// Every input without an output, for verbs that only read.
std::vector<FilePair> inputs_only(const std::vector<std::string>& inputs);

/// The rules of design section 6: one input goes to --output, several to --out-dir under their own
/// names or, with --in-place, over themselves. EXTENSION (".safetensors", or "" for folders), where
/// given, replaces that of the names in --out-dir. A folder around one file stands for that file:
/// --in-place edits it, in --out-dir the folder's name gets its extension. Creates --out-dir except
/// for --dry-run. Errors: usage for a missing or ambiguous output, two inputs of one name, an
/// output that would replace a file that is read (refuse_replaced_inputs, with OTHERS) or, with
/// --in-place, one input under two names (by device and inode); write_failed. An output that exists
/// is found by run_files, per file. A
/// --dry-run without any output is allowed and leaves the outputs empty.
Result<std::vector<FilePair>> plan_outputs(const std::vector<std::string>& inputs,
                                           const WritingOptions& options,
                                           std::optional<std::string_view> extension = {},
                                           OtherFiles others = {});

/// OUTPUT as a summary names it: a symbolic link with the file that it leads to.
std::string output_text(const std::string& output);

/// What the function gets for one file.
struct FileTask {
  const std::string& input;
  const std::string& output;
  Reporter& reporter;
  /// Where the answer for this file goes: JSON, or text. Write only once nothing can
  /// fail any more, so that stdout is empty after an error.
  Writer& out;
  bool json = false;
  /// The only file: full text. Else FileReport::summary is shown, and behind it what was written to
  /// `out`: text that was asked for by an option, the plan of a dry run.
  bool alone = true;
  size_t width = 0;      // for Table::render
  unsigned threads = 1;  // for this file: --threads, or a fair share of the processors

  /// A JsonWriter on `out`, spread over lines when alone.
  JsonLayout json_layout() const { return alone ? JsonLayout::lines : JsonLayout::compact; }
};

struct FileReport {
  ExitCode code = ExitCode::done;
  /// "wrote out/a.pt: 291 tensors, 412 MB": the line of the file in a batch; for one file a note on
  /// standard error where not empty.
  std::string summary;
  /// A check was asked for and found nothing: --quiet leaves the line of the file out.
  bool passed = false;
  /// Why a file of a batch counts as failed though there is an answer about it; the code follows.
  std::optional<Error> damage = {};
};

using FileFunction = std::function<Result<FileReport>(FileTask&)>;

/// Runs FUNCTION for every file. An existing output that may not be replaced fails its file first,
/// or with skip_existing ends it; then even one file is a batch.
/// After an error or damage no further file is begun, unless --keep-going. Of a single file the
/// Error is returned; of several it is shown and the code of the worst returned.
Result<ExitCode> run_files(Context& context, const std::vector<FilePair>& files,
                           const BatchOptions& options, const FileFunction& function);

}  // namespace mlc::cli
