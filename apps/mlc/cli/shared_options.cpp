#include "cli/shared_options.h"

#include "mlc/base/text.h"
#include "mlc/keys/pattern.h"

namespace mlc::cli {
namespace {

constexpr std::pair<std::string_view, When> kWhen[] = {
    {"auto", When::automatic},
    {"always", When::always},
    {"never", When::never},
};
constexpr unsigned kMostThreads = 1024;

}  // namespace

void add_shared_options(OptionSet& set, SharedOptions& options) {
  set.group("General");
  set.flag("--json", options.json, "print one JSON object instead of text");
  set.flag("-q, --quiet", options.quiet,
           "no notes, warnings or progress: the answer and errors only");
  set.count("-v, --verbose", options.verbose, "say more; twice for every detail");
  set.choice("--color", options.color, kWhen, "colour, by default on a terminal without NO_COLOR");
  set.choice("--progress", options.progress, kWhen,
             "progress on standard error, by default on a terminal");
  set.integer("--threads", options.threads, "N", "threads for one file (default: processors)", 1,
              kMostThreads);
  set.flag("-h, --help", options.help, "show this help");
}

void add_batch_options(OptionSet& set, BatchOptions& options) {
  set.group("Several inputs");
  set.integer("-j, --jobs", options.jobs, "N", "work on N files at a time (default 1)", 1,
              kMostThreads);
  set.flag("--keep-going", options.keep_going,
           "go on with the next file after an error; the exit code is that of the worst");
}

void add_writing_options(OptionSet& set, WritingOptions& options, std::string_view beside) {
  set.group("Output");
  set.file("-o, --output", options.output, "FILE", "write to FILE, for one input");
  set.is_written(beside);
  set.folder("--out-dir", options.out_dir, "DIR",
             "write into DIR under the names of the inputs, made if missing");
  set.flag("--skip-existing", options.skip_existing,
           "leave out inputs whose output in --out-dir exists, so that a batch goes on where it "
           "stopped");
  set.flag("--in-place", options.in_place, "replace the input itself, safe against a crash");
  set.flag("-f, --force", options.force, "replace an output that exists");
  set.flag("--sync", options.sync, "wait until new files are on the disk");
  set.flag("-n, --dry-run", options.dry_run,
           "read and plan everything, print the plan, write nothing");
  add_batch_options(set, options.batch);
  set.check([&options]() -> Status {
    const int targets =
        int{!options.output.empty()} + int{!options.out_dir.empty()} + int{options.in_place};
    if (targets > 1)
      return usage_error("only one of --output, --out-dir and --in-place can be given");
    if (options.skip_existing && options.out_dir.empty())
      return usage_error("--skip-existing means nothing without --out-dir");
    if (options.skip_existing && options.force)
      return usage_error("--skip-existing and --force contradict each other");
    return {};
  });
}

void add_select_options(OptionSet& set, SelectOptions& options) {
  set.group("Selecting tensors");
  set.key_path(
      "--key", options.key,
      "the state_dict inside the checkpoint, as in model.ema; '*' for every one, with --dtype");
  set.list("--include", options.include, "GLOB", "only keys that match; repeatable");
  set.list("--exclude", options.exclude, "GLOB",
           "no keys that match, in any of the inputs: they are not written; repeatable");
  set.list("--include-regex", options.include_regex, "RE", "only keys that match, RE2 syntax");
  set.list("--exclude-regex", options.exclude_regex, "RE", "no keys that match, RE2 syntax");
  set.check([&options]() -> Status {
    MLC_CHECK(check_regexes("--include-regex", options.include_regex));
    return check_regexes("--exclude-regex", options.exclude_regex);
  });
}

Status check_regexes(std::string_view flag, const std::vector<std::string>& texts) {
  for (const std::string& text : texts) {
    auto pattern = Pattern::compile(MatchKind::regex, text);
    if (!pattern.ok()) return std::move(pattern).error().during(std::string(flag));
  }
  return {};
}

std::string globs_text(const std::vector<std::string>& include,
                       const std::vector<std::string>& exclude) {
  std::vector<std::string> parts;
  for (const std::string& text : include) parts.push_back("--include " + mlc::quoted(text));
  for (const std::string& text : exclude) parts.push_back("--exclude " + mlc::quoted(text));
  return join_list(parts, 3);
}

}  // namespace mlc::cli
