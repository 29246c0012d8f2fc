#include "command.h"
#include "edit/edit_keys.h"
#include "mlc/keys/prefix.h"

#include <optional>
#include <utility>

namespace mlc::cli {
namespace {

struct Options {
  std::vector<std::string> inputs;
  std::string key;
  PrefixOptions prefix;
  std::optional<std::string> add;
  int64_t max_depth = -1;
  bool require = false;
  bool skip_unchanged = false;
  WritingOptions writing;
};

void setup(OptionSet& set, Options& options) {
  set.positionals("INPUT", options.inputs, 1, "checkpoints to read");
  set.group("Prefixes");
  set.key_path("--key", options.key,
               "the state_dict inside the checkpoint; '*' for every one of them");
  set.list("--prefix", options.prefix.prefixes, "P",
           "strip P, and nothing else, from the front; repeatable");
  set.flag("--anywhere", options.prefix.anywhere,
           "also in the middle of a key, as whole dotted components");
  set.flag("--partial", options.prefix.partial,
           "accept keys that lack the prefix and leave them alone");
  set.integer(
      "--max-depth", options.max_depth, "N",
      "strip at most N prefixes from the front of a key (default: all); those that wrappers put "
      "within the model (_orig_mod.) go all the same",
      0, 1000);
  set.text("--add", options.add, "PREFIX", "put PREFIX and a dot before every key");
  set.flag("--require", options.require,
           "if there is nothing to strip, write nothing and exit with 1");
  set.flag("--skip-unchanged", options.skip_unchanged,
           "write no output if there is nothing to strip");
  add_writing_options(set, options.writing);
  set.check([&options]() -> Status {
    if (options.add && options.add->empty())
      return usage_error("--add names no prefix", "without --add prefixes are stripped");
    const PrefixOptions& prefix = options.prefix;
    if (!options.add || !prefix.prefixes.empty()) return {};
    if (options.max_depth >= 0 || prefix.anywhere || prefix.partial) {
      return usage_error(
          "with --add nothing is stripped but what --prefix names, so that --max-depth, --anywhere "
          "and --partial mean nothing without it");
    }
    return {};
  });
}

Result<ExitCode> run(const Options& options, Context& context) {
  OtherFiles others;
  others.elsewhere = Elsewhere::folder;
  MLC_TRY(auto files, plan_outputs(options.inputs, options.writing, {}, std::move(others)));
  for (FilePair& file : files) file.may_be_folder = !options.writing.in_place;
  PrefixOptions prefix = options.prefix;
  prefix.max_depth = static_cast<int>(options.max_depth);
  prefix.add = options.add.value_or("");
  if (options.add && !prefix.add.ends_with('.')) prefix.add += '.';
  return run_files(context, files, options.writing.batch, [&](FileTask& task) {
    ProvenanceOptions provenance;
    provenance.text("key", options.key).list("prefix", prefix.prefixes).text("add", prefix.add);
    provenance.flag("anywhere", prefix.anywhere).flag("partial", prefix.partial);
    if (options.max_depth >= 0) provenance.add("max-depth", options.max_depth);
    const KeyEdit edit{
        .verb = "strip-module-prefix",
        .key = options.key,
        .writing = options.writing,
        .make_plan = [&prefix](auto keys) { return plan_strip_prefix(keys, prefix); },
        .provenance = std::move(provenance),
        .require_change = options.require,
        .skip_unchanged = options.skip_unchanged,
        .threads = context.threads(),
        .inspect = {}};
    return edit_keys(task, edit);
  });
}

constexpr Example kExamples[] = {
    {"mlc strip-module-prefix ddp.pt -o model.pt", "strip the wrappers of DDP and torch.compile"},
    {"mlc strip-module-prefix ckpt/*.pt --in-place -j 4", "in place, storages untouched"},
    {"mlc strip-module-prefix a.pt --add backbone. -o b.pt", "the inverse: add a prefix"},
};

}  // namespace

Command strip_module_prefix_command() {
  return {
      .name = "strip-module-prefix",
      .group = Group::edit,
      .summary = "remove wrapper prefixes such as module. from keys",
      .details =
          "Strips what DataParallel, DDP, torch.compile, FSDP and activation checkpointing "
          "put before the names of parameters, in any nesting and order: module. and "
          "_orig_mod. from the front, and _orig_mod., _fsdp_wrapped_module. and "
          "_checkpoint_wrapped_module., which no model calls its own, from the middle too. The "
          "versions in "
          "_metadata and the names in optimizer states follow. A file in which only some "
          "keys have the prefix is an error: a submodule may truly be called module. Nothing to "
          "strip is none, exit code 0; with --require it is 1.\n\n"
          "Tensor bytes are copied by the kernel, or with --in-place not touched at all.",
      .needs = Needs::nothing,
      .examples = kExamples,
      .setup = bind<Options, setup, run>};
}

}  // namespace mlc::cli
