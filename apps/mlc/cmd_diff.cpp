#include "command.h"
#include "diff/diff_view.h"

#include <array>
#include <limits>
#include <string_view>
#include <utility>

namespace mlc::cli {
namespace {

constexpr std::array<std::pair<std::string_view, DiffOrder>, 2> kOrders = {
    {{"key", DiffOrder::key}, {"moved", DiffOrder::movement}}};

/// Tolerances for what is not compared would suggest that it was.
Status check(DiffArguments& options) {
  std::string& prefix = options.strip_prefix;
  if (!prefix.empty() && prefix.back() != '.') prefix += '.';
  const bool tolerance = options.atol > 0 || options.rtol > 0;
  const std::string_view without = options.keys_only ? "--keys-only" : "--no-values";
  if (tolerance && (options.keys_only || options.no_values)) {
    return usage_error("--atol and --rtol mean nothing with " + std::string(without) +
                       ", which compares no values");
  }
  if (options.sort == DiffOrder::movement && (options.keys_only || options.no_values)) {
    return usage_error("--sort moved means nothing with " + std::string(without) +
                       ", which compares no values");
  }
  if (options.keys_only && options.ignore_dtype) {
    return usage_error("--ignore-dtype means nothing with --keys-only, which compares no types");
  }
  return {};
}

void setup(OptionSet& set, DiffArguments& options) {
  constexpr double kMost = std::numeric_limits<double>::max();
  set.positional("A", options.a, "checkpoint, shard index or DCP folder");
  set.positional("B", options.b, "what to compare it with, in any format");
  set.group("Selecting tensors");
  set.key_path(
      "--key", options.key,
      "the state_dict inside the checkpoints; '*' for every one of them, '.' for the root with "
      "all that is in it");
  set.key_path("--key-b", options.key_b, "the one inside B, where it differs from --key");
  set.list("--include", options.include, "GLOB", "only keys that match; repeatable");
  set.list("--exclude", options.exclude, "GLOB", "no keys that match; repeatable");
  set.text(
      "--strip-prefix", options.strip_prefix, "P",
      "compare as if no key began with P, such as module. of DataParallel; with --key . no key "
      "of a state_dict anywhere in the file");
  set.group("What counts");
  set.real("--atol", options.atol, "X", "values may differ by X + rtol * |b| (default 0)", 0,
           kMost);
  set.real("--rtol", options.rtol, "X", "... and by this part of the value in B (default 0)", 0,
           kMost);
  set.flag("--ignore-dtype", options.ignore_dtype, "types may differ if the values do not");
  set.flag("--keys-only", options.keys_only, "compare names, nothing else");
  set.flag("--no-values", options.no_values, "compare names, shapes and types; reads no tensor");
  set.flag("--no-metadata", options.no_metadata, "leave the YAML of mlc out");
  set.group("Showing");
  set.choice("--sort", options.sort, kOrders,
             "key: as in A (the default); moved: the largest rel norm first");
  set.check([&options] { return check(options); });
}

constexpr Example kExamples[] = {
    {"mlc diff model.pt model.safetensors", "did the conversion keep everything?"},
    {"mlc diff f32.pt bf16.pt --ignore-dtype --rtol 0.01", "how much did a cast cost?"},
    {"mlc diff epoch1.pt epoch9.pt --sort moved", "which layers moved most?"},
    {"mlc diff ddp.pt plain.pt --strip-prefix module.", "past the prefix of a wrapper"},
    {"mlc diff last.ckpt best.pt --key state_dict --key-b .", "one lies deeper than the other"},
};

}  // namespace

Command diff_command() {
  return {
      .name = "diff",
      .group = Group::inspect,
      .summary = "compare two checkpoints tensor by tensor",
      .details =
          "Compares keys, shapes, types, values and metadata (in the file, else in its sidecar) "
          "across formats. Exit code 0 means equal, 1 different. Equal is by value: -0 equals 0 "
          "and a NaN a NaN; of sparse tensors (sparse_coo) the values stored for one place are "
          "summed up first, in their order, as coalesce() does in one of its own (--rtol allows "
          "for that), and a stored zero is not a place without a value. Of DTensors those that are "
          "whole in their file are compared as plain tensors, parts only with the same part. "
          "The order "
          "of keys, strides, devices, requires_grad, a Parameter against a tensor, the versions of "
          "modules (_metadata) and provenance do not count. Of what is no tensor the extra "
          "state of modules and plain values in the state_dict are compared where both formats "
          "hold such; with --key . whole files are (optimizer, config, tensors in sets "
          "and in arguments of calls, bare storages), but never the program of TorchScript or "
          ".pt2.\n\n"
          "Of tensors with other values it says how many differ, the largest difference and the "
          "largest relative one, rel norm = |a - b| / |b| (how far the tensor has moved), and the "
          "cosine; the last two are of the pairs of finite values.\n\n"
          "Shows a row for each key that differs, 50 at most without -v, and how many tensors are "
          "equal. A terminal of less than 110 columns gets no rel norm and no cosine, unless "
          "--sort "
          "asks for them. A number and a text that print alike (1 and '1') are two keys.",
      .needs = Needs::nothing,
      .examples = kExamples,
      .setup = bind<DiffArguments, setup, diff_files>};
}

}  // namespace mlc::cli
