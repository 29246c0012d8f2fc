#include "command.h"
#include "edit/edit_metadata.h"
#include "mlc/base/text.h"
#include "mlc/metadata/meta_yaml.h"

#include <optional>

namespace mlc::cli {
namespace {

struct Options {
  std::vector<std::string> inputs;
  std::optional<std::string> get;
  std::vector<OrderedValue> changes;
  bool clear = false;
  bool sidecar = false;
  WritingOptions writing;

  bool edits() const { return clear || sidecar || !changes.empty(); }
};

Status check(const Options& options) {
  const WritingOptions& writing = options.writing;
  const bool into_file = writing.in_place || !writing.output.empty() || !writing.out_dir.empty();
  if (options.get && (options.edits() || into_file)) {
    return usage_error("--get only shows; it does not go with changes");
  }
  if (options.get) MLC_CHECK_CTX(split_path(*options.get), "--get");
  if (options.sidecar && into_file) {
    return usage_error("only one of --sidecar, --output, --out-dir and --in-place can be given");
  }
  const bool writes = into_file || writing.force || writing.sync || writing.dry_run;
  if (writes && !options.edits()) {
    return usage_error("no change is named",
                       "--set PATH=VALUE, --remove PATH, --from FILE or --clear");
  }
  return {};
}

void setup(OptionSet& set, Options& options) {
  set.positionals("FILE", options.inputs, 1, "checkpoints or metadata files (.yaml)");
  set.group("Showing");
  set.text("--get", options.get, "PATH", "only the value at PATH; exit with 1 if there is none");
  set.group("Changing, in the order given");
  set.ordered(
      "--set", options.changes, "PATH=VALUE",
      "set a value, read as YAML, as --from reads it: --set training.epoch=42; 0123, "
      "-007, 0x1F and 12e5 (digits, e, digits, as in hashes) are texts, 1.2e6 and 1e-5 numbers");
  set.ordered("--remove", options.changes, "PATH", "remove a value with all below it");
  set.ordered("--from", options.changes, "FILE",
              "merge a YAML file, or - for standard input; what it says wins");
  set.or_stream();
  set.flag("--clear", options.clear, "begin with no metadata, whatever the file has");
  set.group("Output");
  set.flag("--sidecar", options.sidecar, "write beside the input, as FILE.mlc.yaml");
  add_writing_options(set, options.writing);
  set.check([&options] { return check(options); });
}

/// Where the metadata was found, as --json says it.
std::string_view source_of(const MetadataSources& sources) {
  if (sources.embedded) return "embedded";
  return sources.beside ? "sidecar" : "none";
}

void write_json(JsonWriter& json, const Options& options, const FileTask& task,
                const MetadataSources& sources, const MetaValue* value) {
  const Metadata* metadata = sources.trusted();
  json.begin_object();
  json.field("schema", "mlc.metadata-show/1");
  json.field("file", task.input);
  json.field("source", source_of(sources));
  if (sources.beside) json.field("sidecar", sources.sidecar);
  if (sources.beside && sources.embedded) json.field("differs", sources.differ());
  if (metadata != nullptr) {
    json.key("metadata");
    write_value(json, metadata->root());
  }
  if (options.get) json.field("path", *options.get);
  if (value != nullptr) {
    json.key("value");
    write_value(json, *value);
  }
  json.end_object();
}

/// A scalar without quotes, for scripts; anything else as YAML.
std::string plain_text(const MetaValue& value) {
  const std::string* text = value.as_text();
  if (text == nullptr) return value.to_yaml();
  std::string lines;
  for (const std::string_view line : split(*text, '\n')) lines += printable(line) + "\n";
  return lines;
}

/// As plain_text() shows it where that is one line.
std::string value_on_a_line(const MetaValue& value) {
  const std::string* text = value.as_text();
  const bool one_line = text != nullptr && text->find('\n') == text->npos;
  return one_line ? printable(*text) : write_yaml_flow(value);
}

/// The line of a file among several.
std::string one_line(const Metadata* metadata, const std::optional<std::string>& path,
                     const MetaValue* value) {
  if (metadata == nullptr) return "no metadata";
  if (path) return value != nullptr ? value_on_a_line(*value) : "no " + printable(*path);
  std::string line = printable(metadata->name().value_or("no name"));
  if (const auto version = metadata->version()) line += " " + printable(*version);
  if (const auto torch = metadata->framework("torch")) line += ", torch " + printable(*torch);
  std::string needs;
  for (const Requirement& one : metadata->requirements()) needs += " " + one.to_string();
  return needs.empty() ? line : line + ", requires" + needs;
}

Result<FileReport> show(const Options& options, FileTask& task) {
  MLC_TRY(const MetadataSources sources, read_metadata_sources(task.input, task.reporter));
  const Metadata* metadata = sources.trusted();
  const MetaValue* value = nullptr;
  if (options.get && metadata != nullptr) value = metadata->get(*options.get);
  const bool missing = options.get && value == nullptr;
  const ExitCode code = missing ? ExitCode::no : ExitCode::done;
  if (sources.differ() && !task.json) task.reporter.warn(sources.disagreement());
  if (task.json) {
    JsonWriter json(task.out, task.json_layout());
    write_json(json, options, task, sources, value);
    return FileReport{code, ""};
  }
  if (!task.alone) return FileReport{code, one_line(metadata, options.get, value)};
  if (metadata == nullptr) {
    return FileReport{code, printable(task.input) + " has no metadata; --set writes some"};
  }
  if (missing) return FileReport{code, "there is no metadata at " + quoted(*options.get)};
  task.out.write(value != nullptr ? plain_text(*value) : metadata->to_yaml());
  return FileReport{code, ""};
}

/// The YAML files that --from names.
std::vector<FileUse> files_merged(const Options& options) {
  std::vector<FileUse> files;
  for (const OrderedValue& change : options.changes) {
    if (change.option == "--from") files.push_back({change.value, "--from"});
  }
  return files;
}

/// Files that get a sidecar are themselves left alone.
Result<std::vector<FilePair>> outputs_with_sidecars(const Options& options) {
  FilePlan plan{files_merged(options), {}, {}, false};
  for (const std::string& input : options.inputs) {
    plan.reads.push_back({input, ""});
    plan.writes.push_back({sidecar_for(input), ""});
  }
  MLC_CHECK(refuse_replaced_inputs(plan));
  return inputs_only(options.inputs);
}

Result<std::vector<FilePair>> outputs_of(const Options& options) {
  if (options.sidecar) return outputs_with_sidecars(options);
  OtherFiles others;
  others.reads = files_merged(options);
  others.elsewhere = Elsewhere::sidecar;
  auto files = plan_outputs(options.inputs, options.writing, {}, std::move(others));
  if (files.ok()) return files;
  const bool unnamed = files.error().message() == "no output is named";
  if (!unnamed) return files;
  return usage_error(
      "no output is named",
      "--in-place changes the file, --sidecar writes beside it, -o writes a new one");
}

Result<ExitCode> run(const Options& options, Context& context) {
  const BatchOptions& batch = options.writing.batch;
  if (!options.edits()) {
    return run_files(context, inputs_only(options.inputs), batch,
                     [&](FileTask& task) { return show(options, task); });
  }
  MLC_TRY(const auto changes, read_metadata_changes(options.changes));
  MLC_TRY(const auto files, outputs_of(options));
  const MetadataEdit edit{.changes = changes,
                          .writing = options.writing,
                          .clear = options.clear,
                          .sidecar = options.sidecar};
  return run_files(context, files, batch,
                   [&](FileTask& task) { return edit_metadata(task, edit); });
}

constexpr Example kExamples[] = {
    {"mlc metadata model.pt", "show it as YAML"},
    {"mlc metadata model.pt --get training.epoch", "one value, for a script"},
    {"mlc metadata model.pt --set name=digits --in-place", "change it, no tensor touched"},
    {"mlc metadata *.pt --from team.yaml --sidecar", "write sidecars"},
};

}  // namespace

Command metadata_command() {
  return {.name = "metadata",
          .group = Group::edit,
          .summary = "show or change the metadata that travels with a file",
          .details =
              "The metadata is a YAML document (schemas/metadata.schema.json): name, version, "
              "framework, requires, architecture, training, custom, provenance. It lies inside the "
              "file, where PyTorch and safetensors ignore it, or beside it in a sidecar; that "
              "inside counts if there are both. Python reads the YAML of a zip from its record "
              "NAME/mlc/metadata.yaml, as by zipfile, and that of safetensors by "
              "safe_open(...).metadata()['mlc'].\n\n"
              "In a zip of PyTorch --in-place appends the metadata and a new index of the archive "
              "(about 60 bytes a tensor) and touches no tensor, "
              "whatever the size. A safetensors file gets a new header, its data is copied by the "
              "kernel. PATH is dotted: training.metrics.top1, requires.0.\n\n"
              "A file for --from is such a document, and may be as short as the three lines "
              "`mlc: metadata/1`, `version: 1.2.0` and `custom: {license: MIT}`.",
          .needs = Needs::nothing,
          .examples = kExamples,
          .setup = bind<Options, setup, run>};
}

}  // namespace mlc::cli
