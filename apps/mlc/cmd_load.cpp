#include "cli/table.h"
#include "command.h"
#include "files/map_locations.h"
#include "files/open_input.h"
#include "load/load_view.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/integrity.h"

namespace mlc::cli {
namespace {

constexpr std::pair<std::string_view, LoadCheck> kChecks[] = {
    {"none", LoadCheck::none}, {"crc", LoadCheck::crc}, {"sha256", LoadCheck::sha256}};

struct Options {
  std::vector<std::string> inputs;
  LoadOptions load;
  BatchOptions batch;
};

Status check(const LoadOptions& load) {
  if (load.strict && load.no_strict) {
    return usage_error("--strict and --no-strict contradict each other");
  }
  const std::pair<bool, std::string_view> of_expect[] = {
      {!load.expect_key.empty(), "--expect-key"},
      {load.strict, "--strict"},
      {load.no_strict, "--no-strict"},
      {!load.ignore_missing.empty(), "--ignore-missing"},
      {!load.ignore_unexpected.empty(), "--ignore-unexpected"},
      {load.ignore_shapes, "--ignore-mismatched-shapes"}};
  for (const auto& [given, name] : of_expect) {
    if (given && load.expect.empty()) {
      return usage_error(std::string(name) + " means nothing without --expect");
    }
  }
  MLC_CHECK(check_regexes("--ignore-missing", load.ignore_missing));
  MLC_CHECK(check_regexes("--ignore-unexpected", load.ignore_unexpected));
  return check_locations(load.map_location);
}

void setup(OptionSet& set, Options& options) {
  set.positionals("INPUT", options.inputs, 1,
                  "checkpoints, shard indexes, DCP folders or ONNX models");
  set.group("What to show");
  set.key_path(
      "--key", options.load.key,
      "the state_dict inside the checkpoint, or whatever else holds tensors; '.' is the root");
  set.list("--include", options.load.include, "GLOB",
           "only keys that match, in what is listed, read and expected; repeatable");
  set.list("--exclude", options.load.exclude, "GLOB", "no keys that match; repeatable");
  set.flag("--tree", options.load.tree,
           "the values around the tensors too, as a tree; with --json also as JSON: `values`");
  set.flag("--globals", options.load.globals,
           "the Python names in the pickle, and whether weights_only=True accepts them");
  set.flag(
      "--stats", options.load.stats,
      "min, max, mean, std, zeros and NaN/Inf of each tensor; mean and std of the finite values, "
      "of complex ones the magnitudes");
  set.flag("--summary", options.load.summary_only, "without the table of tensors");
  set.list("--map-location", options.load.map_location, "DEVICE",
           "show devices as torch.load's map_location would place them: cpu, or cuda:0=cpu");
  set.group("Checks");
  set.choice("--check", options.load.check, kChecks,
             "crc compares every record with its CRC-32, and warns of zeros at the end of "
             "files that record none; sha256 hashes each file and its tensors (a checkpoint of "
             "several files, such as shards, has the hash of the lines "
             "that `sha256sum` prints for them, sorted by name)");
  set.file(
      "--expect", options.load.expect, "FILE",
      "compare keys and shapes with another checkpoint, an architecture YAML or a manifest: what "
      "`mlc load --json` prints, or JSON {\"fc.weight\": [10, 256], ...}; - is standard input, for "
      "the last two");
  set.or_stream();
  set.text("--expect-key", options.load.expect_key, "PATH",
           "the state_dict inside that FILE, where it differs from --key");
  set.flag("--strict", options.load.strict, "missing and unexpected keys count (the default)");
  set.flag("--no-strict", options.load.no_strict, "only mismatched shapes and forms count");
  set.list("--ignore-missing", options.load.ignore_missing, "RE",
           "missing keys that match do not count; RE2 syntax, repeatable");
  set.list("--ignore-unexpected", options.load.ignore_unexpected, "RE",
           "unexpected keys that match do not count; '.' lets all others be there");
  set.flag("--ignore-mismatched-shapes", options.load.ignore_shapes,
           "keys of another shape do not count");
  set.flag("--require-safe", options.load.require_safe,
           "exit with 1 if weights_only=True would refuse the file");
  set.flag("--require-finite", options.load.require_finite,
           "--stats, and exit with 1 if a tensor has NaN or Inf");
  add_batch_options(set, options.batch);
  set.check([&options] {
    options.load.stats |= options.load.require_finite;
    return check(options.load);
  });
}

Result<ExitCode> run(const Options& options, Context& context) {
  return run_files(context, inputs_only(options.inputs), options.batch,
                   [&](FileTask& task) { return load_one(task, options.load); });
}

constexpr Example kExamples[] = {
    {"mlc load model.pt", "what is in it, and every tensor"},
    {"mlc load ckpt.pt --key model_ema --stats", "with the values' statistics"},
    {"mlc load ckpt.pt --tree --json | jq .values.epoch", "one value for a script"},
    {"mlc load *.pt --check crc --summary --keep-going", "find damaged files"},
    {"mlc load runs/*.pt --require-finite --summary -q", "which ones have diverged?"},
    {"mlc load a.pt --expect b.safetensors", "would load_state_dict accept it?"},
    {"mlc load a.pt --expect arch.yaml", "does it fit this architecture?"},
    {"mlc load model.onnx --summary", "inputs, outputs, operators, opset"},
};

}  // namespace

Command load_command() {
  return {
      .name = "load",
      .group = Group::inspect,
      .summary = "show and check what a checkpoint or ONNX model holds",
      .details =
          "Reads every file torch.load reads and more, by its content: zip and legacy "
          ".pt/.pth/.bin/.ckpt, pickled modules, TorchScript, .pt2, safetensors, shard "
          "indexes, DCP folders, .npz and .npy; and ONNX models, of which it shows what they take, "
          "give and are made of, and their weights (--include, --exclude, --stats, "
          "--require-finite, --summary). Nothing in a file is ever executed.\n\n"
          "Parameters are all elements of the state_dict, buffers such as running_mean and "
          "what quantised modules pack included; "
          "tensors that show the same elements (tied weights) count once, other views of one "
          "storage each; of sparse tensors the stored values count, of packed types each value "
          "(float4_e2m1fn_x2 has two in an element of its shape). "
          "Listing reads no tensor. --expect answers as load_state_dict() does: it also refuses "
          "sparse and quantized tensors where dense ones are expected, and takes old batch "
          "norms without num_batches_tracked and weight_g and weight_v of the old weight_norm; of "
          "keys that an architecture ties one is enough. "
          "Exit code 1 means that --expect, --require-safe or --require-finite "
          "is not satisfied, 3 that --check found damage. Of several files -q lists those only "
          "that did not pass.",
      .needs = Needs::nothing,
      .examples = kExamples,
      .setup = bind<Options, setup, run>};
}

}  // namespace mlc::cli
