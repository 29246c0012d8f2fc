// What --in-place may not do, asked before anything is planned, so that a dry run refuses what the
// run refuses.
#pragma once

#include "cli/input_guard.h"
#include "cli/shared_options.h"
#include "files/open_input.h"
#include "mlc/base/result.h"
#include "mlc/checkpoint/checkpoint.h"
#include "mlc/checkpoint/save.h"

#include <string>
#include <string_view>

namespace mlc::cli {

/// The format that CHECKPOINT has after an edit in place: its own, the old ones of PyTorch becoming
/// its zip; or FORMAT ("pt", "safetensors") where a conversion is asked for. Errors: unsupported
/// for formats that mlc does not write or that hold more than a state_dict, usage where the name of
/// the file contradicts its content. ELSEWHERE is for the hint.
Result<OutputFormat> format_in_place(const Checkpoint& checkpoint, std::string_view format,
                                     Elsewhere elsewhere);

/// An edit in place changes what it is asked for: what becomes a state_dict is another file.
/// Errors: unsupported where INPUT holds pickled modules, which mlc writes as state_dicts.
Status check_no_modules(const Input& input);

/// Errors: write_failed for a file with several names (hard links) without --force, and for one
/// that may not be written.
Status check_replaceable(const Checkpoint& checkpoint, const std::string& output,
                         const WritingOptions& options);

/// The format of what is made of INPUT: that which the name of OUTPUT tells, or the one it has
/// after an edit in place; PyTorch's zip without an OUTPUT. Errors: usage for a name that tells
/// none; those of format_in_place(), check_no_modules() and check_replaceable().
Result<OutputFormat> format_of_output(const Input& input, const std::string& output,
                                      const WritingOptions& options);

/// The path for OutputFile::check in a dry run: OUTPUT, or "" while its --out-dir is still to be
/// made (plan_outputs has looked at that).
std::string place_to_check(const std::string& output, const WritingOptions& options);

}  // namespace mlc::cli
