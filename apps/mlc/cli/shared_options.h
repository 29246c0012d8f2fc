// Options that mean the same in every verb that has them: one definition for all.
#pragma once

#include "cli/option_set.h"
#include "mlc/base/output_file.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mlc::cli {

/// auto, always, never: of --color and --progress.
enum class When { automatic, always, never };

/// Every verb has these, also before the verb: `mlc --json load x.pt`. Added by the framework.
struct SharedOptions {
  bool json = false;
  bool quiet = false;
  int verbose = 0;
  When color = When::automatic;
  When progress = When::automatic;
  unsigned threads = 0;  // 0: as many as processors
  bool help = false;
};
void add_shared_options(OptionSet& set, SharedOptions& options);

/// For verbs that take several inputs.
struct BatchOptions {
  unsigned jobs = 1;
  bool keep_going = false;
};
void add_batch_options(OptionSet& set, BatchOptions& options);

/// For verbs that write one file per input.
struct WritingOptions {
  std::string output;
  std::string out_dir;
  bool in_place = false;
  bool force = false;
  bool skip_existing = false;  // with out_dir only
  bool sync = false;
  bool dry_run = false;
  BatchOptions batch;

  /// For OutputFile::create.
  OutputOptions output_options() const {
    return {.replace = force || in_place, .sync = sync, .mode = 0};
  }
};
/// Of the file with the weights of an ONNX file, what follows the name of that.
inline constexpr const char* kOnnxDataEnd = ".data";

/// Adds them with batch options and the checks that do not depend on the inputs. BESIDE: as in
/// OptionSet::is_written().
void add_writing_options(OptionSet& set, WritingOptions& options, std::string_view beside = "");

/// Which tensors, of which state_dict.
struct SelectOptions {
  std::string key;
  std::vector<std::string> include;
  std::vector<std::string> exclude;
  std::vector<std::string> include_regex;
  std::vector<std::string> exclude_regex;

  bool has_patterns() const {
    return !include.empty() || !exclude.empty() || !include_regex.empty() || !exclude_regex.empty();
  }
};
void add_select_options(OptionSet& set, SelectOptions& options);

/// Whether all TEXTS are regular expressions of RE2: a mistake is one of the command line, not of
/// the first file. Errors: usage, naming FLAG.
Status check_regexes(std::string_view flag, const std::vector<std::string>& texts);
/// Names what chose nothing: `--include "enc.*" and --exclude "*.bias"`.
std::string globs_text(const std::vector<std::string>& include,
                       const std::vector<std::string>& exclude);

}  // namespace mlc::cli
