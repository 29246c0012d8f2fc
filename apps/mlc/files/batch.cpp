#include "files/batch.h"

#include "cli/render_error.h"
#include "files/in_place.h"
#include "files/metadata_sources.h"
#include "mlc/base/parallel.h"
#include "mlc/base/shell_word.h"
#include "mlc/base/text.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <system_error>
#include <utility>

#include <sys/stat.h>
#include <unistd.h>

namespace mlc::cli {
namespace {

// The last component, also of "folder/".
std::string name_of(std::string_view path) {
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  return std::string(path.substr(path.rfind('/') + 1));
}

std::string output_name(const std::string& input, std::optional<std::string_view> extension) {
  std::string name = name_of(input);
  // What is made of an index is none: a folder of shards, or one file.
  constexpr std::string_view kIndex = ".index.json";
  const bool index = name.size() > kIndex.size() && name.ends_with(kIndex);
  if (!extension && !index) return name;
  if (index) name.resize(name.size() - kIndex.size());
  const size_t dot = name.rfind('.');
  if (dot != std::string::npos && dot > 0) name.resize(dot);
  return name + std::string(extension.value_or(""));
}

Status make_folder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return write_failed("cannot make the folder", error.value()).in_file(path);
  return {};
}

bool is_folder(const std::string& path) {
  std::error_code error;
  return std::filesystem::is_directory(path, error);
}

// What make_folder would say, by the part of the path that exists.
Status check_folder(const std::string& path) {
  std::string there = path;
  struct stat st {};
  while (stat(there.c_str(), &st) != 0 && errno == ENOENT) {
    const std::string parent = std::filesystem::path(there).parent_path().string();
    if (parent == there) break;
    there = parent.empty() ? "." : parent;
  }
  errno = 0;
  if (stat(there.c_str(), &st) == 0 && !S_ISDIR(st.st_mode)) errno = ENOTDIR;
  if (errno == 0 && access(there.c_str(), W_OK | X_OK) == 0) return {};
  return write_failed("cannot make the folder", errno).in_file(path);
}

// The name that tells the format of what a folder around one file becomes.
std::string output_name_of(const std::string& input, std::optional<std::string_view> extension) {
  const std::string file = file_of_folder(input).value_or(input);
  if (extension || file == input) return output_name(input, extension);
  return name_of(input) + file.substr(file.rfind('.'));
}

// Every input under its own name in the folder.
Result<std::vector<FilePair>> into_folder(const std::vector<std::string>& inputs,
                                          const WritingOptions& options,
                                          std::optional<std::string_view> extension) {
  std::map<std::string, std::string> taken;  // name, input
  std::vector<FilePair> files;
  for (const std::string& input : inputs) {
    const std::string name = output_name_of(input, extension);
    if (name.empty() || name == "." || name == ".." || name == "/") {
      return usage_error("has no name of its own to keep in --out-dir").in_file(input);
    }
    const auto [at, fresh] = taken.emplace(name, input);
    if (!fresh) {
      return usage_error(mlc::quoted(at->second) + " and " + mlc::quoted(input) +
                             " would both become " + mlc::quoted(name) + " in --out-dir",
                         "run it for each with -o, or for each folder with its own --out-dir");
    }
    const std::string slash = options.out_dir.ends_with('/') ? "" : "/";
    files.push_back(
        {input, options.out_dir + slash + name, options.force, options.skip_existing, true});
  }
  return files;
}

using Identity = std::pair<uint64_t, uint64_t>;  // device, inode

std::optional<Identity> identity_of(const std::string& path) {
  struct stat st {};
  if (path.empty() || stat(path.c_str(), &st) != 0) return std::nullopt;
  return Identity{st.st_dev, st.st_ino};
}

bool is_link(const std::string& path) {
  struct stat st {};
  return lstat(path.c_str(), &st) == 0 && S_ISLNK(st.st_mode);
}

// Two names of one input would be edited twice, perhaps at the same time: refused, or with
// KEEP_GOING the one that is a link, such as latest.pt, is to be skipped.
Status settle_same_inputs(std::vector<FilePair>& files, bool keep_going) {
  std::map<Identity, FilePair*> inputs;
  for (FilePair& file : files) {
    const auto identity = identity_of(file.input);
    if (!identity) continue;
    const auto [at, fresh] = inputs.emplace(*identity, &file);
    if (fresh) continue;
    FilePair* kept = at->second;
    FilePair* other = &file;
    if (!is_link(other->input) && is_link(kept->input)) std::swap(kept, other);
    const bool link = is_link(other->input);
    if (!link || !keep_going) {
      return usage_error(mlc::quoted(at->second->input) + " and " + mlc::quoted(file.input) +
                             " are one file, and --in-place would change it twice",
                         "leave out " + mlc::quoted(other->input) +
                             (link ? ", which is a link; --keep-going skips it" : ""));
    }
    other->leads_to = kept->input;
    at->second = kept;
  }
  return {};
}

Status refuse_conflicts(const std::vector<FilePair>& files, bool in_place, OtherFiles others) {
  FilePlan plan{std::move(others.reads), std::move(others.writes), others.shards, in_place,
                others.elsewhere};
  for (const FilePair& file : files) {
    if (!file.leads_to.empty()) continue;
    plan.reads.push_back({file.input, ""});
    if (!file.output.empty()) plan.writes.push_back({file.output, ""});
    // A file that is edited keeps its sidecar, and both may be edited.
    if (in_place || is_yaml_path(file.input)) continue;
    for (std::string& sidecar : sidecars_of(file.input)) {
      plan.reads.push_back({std::move(sidecar), "the input's metadata"});
    }
  }
  return refuse_replaced_inputs(plan);
}

Result<std::vector<FilePair>> pair_up(const std::vector<std::string>& inputs,
                                      const WritingOptions& options,
                                      std::optional<std::string_view> extension) {
  if (options.in_place) {
    std::vector<FilePair> files;
    for (const std::string& input : inputs) {
      const std::string file = file_of_folder(input, true).value_or(input);
      files.push_back({file, file, true});
    }
    return files;
  }
  if (!options.out_dir.empty()) return into_folder(inputs, options, extension);
  if (!options.output.empty() && inputs.size() > 1) {
    return usage_error(
        "--output names one file, but there are " + std::to_string(inputs.size()) + " inputs",
        "--out-dir DIR keeps their names");
  }
  if (!options.output.empty())
    return std::vector{FilePair{inputs[0], options.output, options.force}};
  if (options.dry_run) return inputs_only(inputs);
  if (inputs.size() > 1 && access(inputs.back().c_str(), F_OK) != 0) {
    return usage_error("no output is named", "did you mean -o " + shell_word(inputs.back()) + "?");
  }
  if (inputs.size() > 1) {
    return usage_error("no output is named",
                       "--out-dir DIR keeps the names, --in-place replaces the inputs");
  }
  return usage_error("no output is named", "--output FILE names it, --in-place replaces the input");
}

bool output_exists(const FilePair& file) {
  struct stat st {};
  return !file.output.empty() && lstat(file.output.c_str(), &st) == 0;
}

/// For outputs that may be folders. What is in one that may not be replaced is none of ours.
Status refuse_used_folder(const FilePair& file) {
  std::error_code error;
  const std::filesystem::directory_iterator first(file.output, error);
  if (file.may_replace || (!error && first == std::filesystem::directory_iterator())) return {};
  return Error(ErrorKind::exists, "exists already and is not empty",
               "choose an empty one; --force writes beside them and replaces shards")
      .in_file(file.output);
}

Status refuse_existing(const FilePair& file) {
  if (file.output.empty() || file.output == file.input) return {};  // in place
  if (!file.may_be_folder && !file.in_folder) MLC_CHECK(refuse_folder(file.output));
  if (file.may_be_folder && is_folder(file.output)) return refuse_used_folder(file);
  if (!output_exists(file)) return {};
  if (!identity_of(file.output)) {
    return Error(ErrorKind::exists, "is a symbolic link that leads nowhere",
                 "remove it, or name the file it should lead to")
        .in_file(file.output);
  }
  std::error_code error;
  const bool special = std::filesystem::is_other(file.output, error);  // OutputFile refuses it
  if (file.may_replace || special) return {};
  const std::string other = file.in_folder ? ", --skip-existing leaves it" : "";
  return Error(ErrorKind::exists, "exists already", "--force replaces it" + other)
      .in_file(file.output);
}

// Messages of one file among several: named, one at a time; progress belongs to the batch.
class BatchReporter : public Reporter {
 public:
  BatchReporter(Reporter& parent, const std::string& input) : parent_(parent), input_(input) {}
  void begin(std::string_view, uint64_t) override {}
  void advance(uint64_t) override {}
  void end() override {}
  void warn(std::string message) override { parent_.warn(named(message)); }
  void detail(std::string message) override { parent_.detail(named(message)); }
  bool interrupted() const override { return parent_.interrupted(); }

 private:
  std::string named(const std::string& message) const {
    const std::string name = printable(input_);
    const bool has_name = message.starts_with(name + ":") || message.starts_with(name + " ");
    return has_name ? message : name + ": " + message;
  }

  Reporter& parent_;
  const std::string& input_;
};

struct Finished {
  ExitCode code = ExitCode::done;
  bool passed = false;
  bool skipped = false;  // its output is there already
  std::string summary;
  std::string answer;  // what the function wrote: JSON, or text that takes the line's place
  std::optional<Error> error;
};

// On a worker thread nobody else would catch it.
Result<FileReport> guarded(const FileFunction& function, FileTask& task) {
  try {
    return function(task);
  } catch (...) {
    return error_of_exception();
  }
}

class Batch {
 public:
  Batch(Context& context, const std::vector<FilePair>& files, const BatchOptions& options,
        const FileFunction& function)
      : context_(context),
        files_(files),
        options_(options),
        function_(function),
        threads_(context.shared.threads > 0 ? context.shared.threads
                                            : std::max(1U, context.threads() / options.jobs)),
        finished_(files.size()),
        json_(context.out()) {}

  Result<ExitCode> run();

 private:
  Finished work(const FilePair& file);
  Status one(size_t index);
  void show_ready();
  void show(const FilePair& file, const Finished& finished);
  void show_json(const FilePair& file, const Finished& finished);
  std::string failed_names() const;
  void close();

  Context& context_;
  const std::vector<FilePair>& files_;
  const BatchOptions& options_;
  const FileFunction& function_;
  unsigned threads_;
  std::mutex mutex_;
  std::vector<std::optional<Finished>> finished_;
  size_t shown_ = 0;  // files before it are on the screen
  size_t failed_ = 0;
  size_t unfit_ = 0;  // answered with "no"
  ExitCode worst_ = ExitCode::done;
  JsonWriter json_;
};

/// The answer "no" is an answer; everything above it means that the file is not sound.
bool is_failure(const Finished& finished) {
  return finished.error.has_value() || finished.code > ExitCode::no;
}

Finished Batch::work(const FilePair& file) {
  Finished finished;
  if (!file.leads_to.empty()) {
    finished.skipped = true;
    finished.summary = "skipped, it is a link to " + printable(file.leads_to);
    context_.reporter.warn(printable(file.input) + " is a link to " + printable(file.leads_to) +
                           " and is skipped");
    return finished;
  }
  if (file.skip_existing && output_exists(file)) {
    finished.skipped = true;
    finished.summary = "skipped, " + printable(file.output) + " exists already";
    return finished;
  }
  Writer text;
  BatchReporter reporter(context_.reporter, file.input);
  FileTask task{
      file.input, file.output, reporter, text, context_.json(), false, context_.console.out_width(),
      threads_};
  Status free = refuse_existing(file);
  Result<FileReport> report = free.ok() ? guarded(function_, task) : std::move(free).error();
  if (!report.ok()) {
    finished.error = std::move(report).error().in_file(file.input);
    finished.code = exit_code_of(finished.error->kind());
    return finished;
  }
  finished.code = report->code;
  finished.passed = report->passed;
  finished.summary = std::move(report->summary);
  finished.answer = text.take();
  if (report->damage) finished.error = std::move(*report->damage).in_file(file.input);
  return finished;
}

Status Batch::one(size_t index) {
  if (context_.reporter.interrupted()) return Error(ErrorKind::interrupted, "interrupted");
  Finished finished = work(files_[index]);
  const bool failed = is_failure(finished);
  const bool stop = finished.error.has_value() &&
                    (!options_.keep_going || finished.code == ExitCode::interrupted);
  const std::lock_guard lock(mutex_);
  worst_ = worst(worst_, finished.code);
  if (failed) ++failed_;
  if (!failed && finished.code == ExitCode::no) ++unfit_;
  finished_[index] = std::move(finished);
  show_ready();
  context_.reporter.advance(1);
  if (stop) return Error(ErrorKind::interrupted, "stopped");
  return {};
}

void Batch::show_ready() {
  for (; shown_ < files_.size() && finished_[shown_]; ++shown_) {
    show(files_[shown_], *finished_[shown_]);
    finished_[shown_]->answer.clear();
  }
}

void Batch::show(const FilePair& file, const Finished& finished) {
  if (context_.json()) return show_json(file, finished);
  Writer& out = context_.out();
  if (finished.error) {
    // The list on standard output is whole, the reason follows it on a terminal.
    if (!finished.answer.empty()) out.write((shown_ > 0 ? "\n" : "") + finished.answer);
    out.line(printable(file.input) + ": failed");
    static_cast<void>(out.flush());                      // the end of the process looks again
    if (finished.code == ExitCode::interrupted) return;  // said once, at the end
    return context_.console.error(*finished.error);
  }
  if (!finished.answer.empty()) {
    if (shown_ > 0) out.write("\n");
    if (!finished.summary.empty()) out.line(printable(file.input) + ": " + finished.summary);
    out.write(finished.answer);
  } else if (!context_.shared.quiet || (file.output.empty() && !finished.passed)) {
    // What was done is a note, and so is that all is well.
    out.line(printable(file.input) + ": " + finished.summary);
  }
}

void Batch::show_json(const FilePair& file, const Finished& finished) {
  json_.begin_object();
  json_.field("input", file.input);
  if (!file.output.empty()) json_.field("output", file.output);
  json_.field("exit_code", static_cast<int>(finished.code));
  if (finished.skipped) json_.field("skipped", true);
  if (!finished.answer.empty()) {
    json_.key("result");
    json_.raw(trim(finished.answer));
  }
  if (finished.error) {  // beside a result: that of a damaged file
    json_.key("error");
    write_error(json_, *finished.error, false);
  }
  json_.end_object();
}

/// ": a.pt and b.pt", the first files that failed.
std::string Batch::failed_names() const {
  constexpr size_t kShown = 5;
  std::vector<std::string> names;
  for (size_t i = 0; i < files_.size(); ++i) {
    if (finished_[i] && is_failure(*finished_[i])) names.push_back(printable(files_[i].input));
  }
  return names.empty() ? "" : ": " + join_list(names, kShown);
}

// What is left after the loop: files finished behind one that never began, then the totals.
void Batch::close() {
  size_t skipped = 0;
  for (; shown_ < files_.size(); ++shown_) {
    if (finished_[shown_]) {
      show(files_[shown_], *finished_[shown_]);
    } else {
      ++skipped;
    }
  }
  if (context_.json()) {
    json_.end_array();
    json_.field("failed", failed_);
    json_.field("unfit", unfit_);
    json_.field("not_begun", skipped);
    json_.end_object();
  } else if (failed_ + unfit_ + skipped > 0) {
    std::string text = plural(files_.size(), "file");
    if (failed_ + skipped > 0) text += ", " + format_count(failed_) + " failed" + failed_names();
    if (unfit_ > 0) text += ", " + format_count(unfit_) + " did not pass";
    if (skipped > 0) text += ", " + format_count(skipped) + " not begun (--keep-going goes on)";
    context_.console.note(text);
  }
}

Result<ExitCode> Batch::run() {
  if (context_.json()) {
    json_.begin_object();
    json_.field("schema", "mlc.batch/1");
    json_.key("results");
    json_.begin_array();
  }
  {
    const ProgressScope progress(context_.reporter, "files (files)", files_.size());
    const auto body = [this](size_t index) { return one(index); };
    // The first failure is in worst_ already; here it only ends the loop.
    static_cast<void>(parallel_for(files_.size(), options_.jobs, body));
  }
  close();
  if (context_.reporter.interrupted()) {
    worst_ = ExitCode::interrupted;
    context_.console.note("mlc: interrupted");
  }
  return worst_;
}

}  // namespace

Status refuse_folder(const std::string& path) {
  // A slash at its end means one that is not there.
  if (!path.ends_with('/') && !is_folder(path)) return {};
  const std::string folder = path.ends_with('/') ? path : path + "/";
  return usage_error("names a folder, and the output is one file",
                     "-o " + shell_word(folder + "NAME") + " names a file in it, --out-dir " +
                         shell_word(path) + " makes one under the name of the input")
      .in_file(path);
}

std::vector<FilePair> inputs_only(const std::vector<std::string>& inputs) {
  std::vector<FilePair> files;
  for (const std::string& input : inputs) files.push_back({input, "", false});
  return files;
}

Result<std::vector<FilePair>> plan_outputs(const std::vector<std::string>& inputs,
                                           const WritingOptions& options,
                                           std::optional<std::string_view> extension,
                                           OtherFiles others) {
  MLC_TRY(std::vector<FilePair> files, pair_up(inputs, options, extension));
  if (options.in_place) MLC_CHECK(settle_same_inputs(files, options.batch.keep_going));
  MLC_CHECK(refuse_conflicts(files, options.in_place, std::move(others)));
  if (!options.out_dir.empty()) {
    MLC_CHECK(options.dry_run ? check_folder(options.out_dir) : make_folder(options.out_dir));
  }
  return files;
}

std::string output_text(const std::string& output) {
  std::error_code error;
  if (!std::filesystem::is_symlink(output, error)) return printable(output);
  const auto target = std::filesystem::canonical(output, error);
  return printable(output) + " (a link to " + printable(target.string()) + ")";
}

Result<ExitCode> run_files(Context& context, const std::vector<FilePair>& files,
                           const BatchOptions& options, const FileFunction& function) {
  const bool batch = files.size() != 1 || files[0].skip_existing;
  if (batch) return Batch(context, files, options, function).run();
  const FilePair& file = files[0];
  MLC_CHECK(refuse_existing(file));
  FileTask task{file.input,
                file.output,
                context.reporter,
                context.out(),
                context.json(),
                true,
                context.console.out_width(),
                context.threads()};
  Result<FileReport> report = function(task);
  if (!report.ok()) return std::move(report).error().in_file(file.input);
  if (!report->summary.empty()) context.console.note(report->summary);
  return report->code;
}

}  // namespace mlc::cli
