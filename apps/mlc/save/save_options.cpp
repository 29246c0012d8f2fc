#include "save/save_options.h"

#include "files/map_locations.h"
#include "mlc/base/text.h"

namespace mlc::cli {
namespace {

constexpr std::pair<std::string_view, SharedPolicy> kShared[] = {{"dedupe", SharedPolicy::dedupe},
                                                                 {"clone", SharedPolicy::clone},
                                                                 {"error", SharedPolicy::error}};
constexpr std::pair<std::string_view, OnConflict> kConflicts[] = {
    {"error", OnConflict::error}, {"first", OnConflict::first}, {"last", OnConflict::last}};
constexpr std::string_view kFormats[] = {"pt", "safetensors"};

/// Shards go into a folder: a name like that of a file would be one's mistake.
Status check_folder_of_shards(const SaveRequest& options) {
  const std::string& output = options.writing.output;
  const auto named = output_format_of(output, "");
  if (options.max_shard_size == 0 || !named.ok()) return {};
  const bool pt = *named == OutputFormat::torch_zip && options.format.empty();
  return usage_error(
      "--max-shard-size writes a folder, and " + mlc::quoted(output) + " is the name of a file",
      "-o names a folder" +
          std::string(pt ? "; with --format pt the shards in it are .bin files" : ""));
}

}  // namespace

void add_save_options(OptionSet& set, SaveRequest& options) {
  set.positionals("INPUT", options.inputs, 1, "checkpoints of any format");
  set.group("What is written");
  set.choice("--format", options.format, kFormats,
             "by default the extension of the output decides");
  set.text("--dtype", options.dtype, "TYPE",
           "convert floating-point tensors to fp32, bf16, fp16, fp64 or another type");
  set.suggest({"fp32", "bf16", "fp16", "fp64", "f8_e4m3fn", "f8_e5m2"});
  set.flag("--weights-only", options.weights_only,
           "only the state_dict, without optimizer and scalars");
  set.list("--drop-values", options.drop_values, "GLOB",
           "leave out the values beside the state_dict whose dotted path matches: optimizer*, "
           "hyper_parameters.secret; of a .pt; repeatable");
  set.flag("--safe", options.safe, "drop the Python objects that weights_only=True refuses");
  set.flag("--compact-views", options.compact, "drop the parts of storages that no tensor shows");
  set.choice(
      "--shared", options.shared, kShared,
      "tensors that share memory, in safetensors: keep the first name of tied ones, record the "
      "others and write other views each (dedupe), write each (clone), or refuse");
  set.size(
      "--max-shard-size", options.max_shard_size, "SIZE",
      "write shards and an index into the folder --output: 5GB, 500MB, 64MiB; a tensor that is "
      "larger gets a shard of its own");
  set.list("--map-location", options.map_location, "DEVICE",
           "device of the tensors in a .pt output: cpu, or cuda:0=cpu; repeatable");
  set.group("From several files");
  set.flag("--merge", options.merge, "join the tensors of all inputs in one output");
  set.choice("--on-conflict", options.on_conflict, kConflicts,
             "keys that several inputs of --merge have: refuse, or the value of the first or last");
  set.file("--from", options.from, "FILE",
           "take every tensor that FILE has under the same name and shape");
  set.key_path("--from-key", options.from_key,
               "the state_dict inside that FILE, where it differs from --key");
  set.group("Metadata");
  set.list("--meta", options.meta, "FILE",
           "merge the metadata in this YAML file, or - for standard input; repeatable");
  set.or_stream();
  set.list("--set", options.set, "PATH=YAML",
           "set one value of the metadata, read as `mlc metadata --set` reads it; repeatable");
  set.file(
      "--arch", options.architecture, "FILE",
      "put this architecture YAML into the metadata if it fits and its forward compiles, so that "
      "`mlc run` needs none");
  set.flag("--hash-input", options.hash_input,
           "record the SHA-256 of the input in the metadata's provenance; of several files that of "
           "the lines that `sha256sum` prints for them, sorted by name");
  add_select_options(set, options.select);
  add_writing_options(set, options.writing);
  set.check([&options]() -> Status {
    if (!options.from_key.empty() && options.from.empty()) {
      return usage_error("--from-key means nothing without --from");
    }
    if (!options.drop_values.empty() && options.weights_only) {
      return usage_error("--drop-values and --weights-only contradict each other",
                         "--weights-only leaves out every value beside the state_dict");
    }
    if (!options.drop_values.empty() && options.max_shard_size > 0) {
      return usage_error(
          "--drop-values means nothing for shards, which keep no values beside the "
          "tensors of a state_dict",
          "write a .pt, or leave it out");
    }
    if (options.writing.in_place && options.max_shard_size > 0) {
      return usage_error("--in-place and --max-shard-size contradict each other");
    }
    if (options.writing.skip_existing && options.max_shard_size > 0) {
      return usage_error("--skip-existing cannot tell whether a folder of shards is whole",
                         "leave out the inputs that are done, or use --force");
    }
    MLC_CHECK(check_folder_of_shards(options));
    if (options.on_conflict && !options.merge) {
      return usage_error("--on-conflict means nothing without --merge");
    }
    if (options.merge && (options.inputs.size() < 2 || options.writing.output.empty())) {
      return usage_error("--merge needs several inputs and one --output");
    }
    const auto dtype = dtype_from_name(options.dtype);
    if (!options.dtype.empty() && (!dtype || info(*dtype).kind != DTypeClass::floating)) {
      return usage_error(
          "no such floating-point type: " + mlc::quoted(options.dtype),
          "fp32, bf16, fp16, fp64, f8_e4m3fn, f8_e5m2; `mlc quantize` makes integers");
    }
    MLC_CHECK(check_locations(options.map_location));
    for (const std::string& rule : options.map_location) {
      if (!rule.ends_with("meta")) continue;
      return usage_error("torch.load would give tensors without values for --map-location " + rule,
                         "cpu is where every reader has memory");
    }
    return {};
  });
}

ProvenanceOptions provenance_of(const SaveRequest& options) {
  const SelectOptions& select = options.select;
  ProvenanceOptions out;
  out.text("key", select.key).list("include", select.include).list("exclude", select.exclude);
  out.list("include-regex", select.include_regex).list("exclude-regex", select.exclude_regex);
  out.text("dtype", options.dtype).flag("weights-only", options.weights_only);
  out.list("drop-values", options.drop_values);
  out.flag("safe", options.safe).flag("compact-views", options.compact);
  out.text("arch", options.architecture);
  out.text("from", options.from).text("from-key", options.from_key);
  if (options.merge) {
    for (size_t i = 1; i < options.inputs.size(); ++i) out.add("merge", options.inputs[i]);
    if (options.on_conflict == OnConflict::first) out.add("on-conflict", "first");
    if (options.on_conflict == OnConflict::last) out.add("on-conflict", "last");
  }
  return out;
}

}  // namespace mlc::cli
