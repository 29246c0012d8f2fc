#include "command.h"
#include "edit/edit_keys.h"
#include "files/in_place.h"
#include "mlc/base/output_file.h"
#include "mlc/base/sentence_key.h"
#include "mlc/base/text.h"
#include "mlc/base/text_input.h"
#include "mlc/keys/invert.h"
#include "mlc/keys/key_rules.h"
#include "mlc/keys/plan_builder.h"

#include <algorithm>
#include <unordered_map>

namespace mlc::cli {
namespace {

struct Options {
  std::vector<std::string> inputs;
  std::string key;
  std::string rules_file;
  std::vector<OrderedValue> short_forms;
  RuleOptions rules;
  bool only_names = false;
  std::string emit_inverse;
  WritingOptions writing;
};

void setup(OptionSet& set, Options& options) {
  set.positionals("INPUT", options.inputs, 1,
                  "checkpoints; with --only-names a text file of keys, or - for standard input");
  set.positional_or_stream();
  set.group("Rules");
  set.file("--rules", options.rules_file, "FILE",
           "rules in YAML, see schemas/rules.schema.json; - is standard input");
  set.or_stream();
  set.ordered("--map", options.short_forms, "OLD=NEW", "rename a key, or all keys below OLD");
  set.ordered("--regex", options.short_forms, "s/RE/TO/",
              "rename by RE2 expression; $1 are groups");
  set.ordered("--drop", options.short_forms, "GLOB", "leave out the keys that match");
  set.ordered("--keep", options.short_forms, "GLOB", "leave out the keys that no --keep matches");
  set.ordered("--add-prefix", options.short_forms, "P", "put P before every key");
  set.flag(
      "--strict", options.rules.strict,
      "rules that match nothing are errors, and keys that an architecture in the metadata does "
      "not fit");
  set.flag("--require-all", options.rules.require_all, "every key must be matched by a rule");
  set.key_path("--key", options.key,
               "the state_dict inside the checkpoint; '*' for every one of them");
  set.flag("--only-names", options.only_names,
           "INPUT is a text file with one key a line; prints what they become");
  set.file("--emit-inverse", options.emit_inverse, "FILE",
           "write the rules that undo this (not in a dry run)");
  set.is_written();
  add_writing_options(set, options.writing);
  set.check([&options]() -> Status {
    if (options.rules_file.empty() && options.short_forms.empty()) {
      return usage_error("no rules given", "--rules FILE, or --map, --regex, --drop, --keep");
    }
    const bool stream = std::ranges::find(options.inputs, kStandardInput) != options.inputs.end();
    if (stream && !options.only_names) {
      return usage_error(
          "INPUT must be a file; `-` (standard input) holds names, with --only-names",
          "`./-` is the file of that name");
    }
    if (stream && options.rules_file == kStandardInput) {
      return usage_error("standard input cannot hold both the rules and the names");
    }
    const WritingOptions& writing = options.writing;
    const bool writes = writing.in_place || !writing.output.empty() || !writing.out_dir.empty();
    if (options.only_names && (writes || !options.key.empty())) {
      return usage_error("--only-names prints names; it does not go with --key or an output",
                         "`mlc remap-keys ... --only-names > FILE` keeps them");
    }
    if (!options.emit_inverse.empty() && options.inputs.size() != 1) {
      return usage_error("--emit-inverse needs exactly one input");
    }
    if (!options.emit_inverse.empty() && options.key == "*") {
      return usage_error("--emit-inverse holds the rules of one state_dict",
                         "choose it with --key");
    }
    return {};
  });
}

Status add_short_form(RuleSet& rules, const OrderedValue& form) {
  struct Row {
    std::string_view option;
    Status (RuleSet::*add)(std::string_view);
  };
  static constexpr Row kRows[] = {{"--map", &RuleSet::add_map},
                                  {"--regex", &RuleSet::add_regex},
                                  {"--drop", &RuleSet::add_drop},
                                  {"--keep", &RuleSet::add_keep},
                                  {"--add-prefix", &RuleSet::add_prefix}};
  for (const Row& row : kRows) {
    if (form.option == row.option) return (rules.*row.add)(form.value);
  }
  return internal_error("no such short form: " + form.option);
}

Result<RuleSet> read_rules(const Options& options) {
  RuleSet rules;
  if (!options.rules_file.empty()) {
    MLC_TRY(rules, RuleSet::parse_file(options.rules_file));
  }
  for (const OrderedValue& form : options.short_forms) MLC_CHECK(add_short_form(rules, form));
  return rules;
}

ProvenanceOptions provenance_of(const Options& options) {
  ProvenanceOptions out;
  out.text("key", options.key).text("rules", options.rules_file);
  for (const OrderedValue& form : options.short_forms) out.add(form.option.substr(2), form.value);
  return out;
}

OutputOptions inverse_options(const Options& options) {
  return {.replace = options.writing.force, .sync = false, .mode = 0};
}

/// The inverse of PLAN in a file without a name, which it gets when the output has its own; nothing
/// where none is wanted.
Result<std::optional<OutputFile>> write_inverse(const Options& options, const Plan& plan) {
  if (options.emit_inverse.empty()) return std::optional<OutputFile>();
  MLC_TRY(const std::string yaml, invert(plan));
  if (options.writing.dry_run && !options.only_names) return std::optional<OutputFile>();
  MLC_TRY(OutputFile out, OutputFile::create(options.emit_inverse, inverse_options(options)));
  MLC_CHECK(out.write(yaml));
  return std::optional<OutputFile>(std::move(out));
}

/// The text of the list of keys at PATH. Errors: usage for what is no text.
Result<std::string> read_list(const std::string& path) {
  constexpr uint64_t kHead = uint64_t{64} << 10U;  // before a checkpoint is read as a whole
  MLC_TRY(const auto file, open_text_input(path));
  const auto is_text = [](std::string_view bytes) { return bytes.find('\0') == bytes.npos; };
  MLC_TRY(std::string text, file->read_string(0, std::min(file->size(), kHead)));
  if (is_text(text) && file->size() > kHead) {
    MLC_TRY(text, file->read_string(0, file->size()));
  }
  if (is_text(text) && is_utf8(text)) return text;
  return usage_error("is no list of keys: it holds bytes that are no text",
                     "--only-names takes a text file with a key on each line; with -n in its place "
                     "the rules are tried on a checkpoint")
      .in_file(path);
}

/// The keys of TEXT, one a line. Errors: conflict for one that is there twice.
Result<std::vector<KeyInfo>> keys_in(std::string_view text) {
  std::vector<KeyInfo> keys;
  std::unordered_map<std::string_view, size_t> lines;
  std::vector<std::string> twice;
  size_t number = 0;
  for (const std::string_view line : split(text, '\n')) {
    ++number;
    const std::string_view key = trim(line);
    if (key.empty()) continue;
    const auto [first, is_new] = lines.emplace(key, number);
    if (!is_new) {
      twice.push_back(sentence_key(key) + " on lines " + std::to_string(first->second) + " and " +
                      std::to_string(number));
    }
    keys.push_back({key, {}, false});
  }
  if (!twice.empty()) return conflict("holds keys twice: " + join_list(twice));
  return keys;
}

/// Keys from a text file, one a line: rules can be tried without a checkpoint.
Result<FileReport> remap_names(const Options& options, const RuleSet& rules, FileTask& task) {
  MLC_TRY(const std::string text, read_list(task.input));
  auto keys = keys_in(text);
  if (!keys.ok()) return std::move(keys).error().in_file(task.input);
  auto plan = make_plan(*keys, rules, options.rules);
  if (!plan.ok()) return std::move(plan).error().in_file(task.input);
  for (const std::string& warning : plan->warnings) task.reporter.warn(warning);
  MLC_TRY(auto inverse, write_inverse(options, *plan));
  if (inverse) MLC_CHECK(inverse->publish());
  if (task.json) {
    JsonWriter json(task.out, task.json_layout());
    json.begin_object();
    json.field("schema", "mlc.remap-keys-names/1");
    json.key("names");
    json.begin_array();
    for (const PlanItem& item : plan->items) json.value(item.name);
    json.end_array();
    json.end_object();
  } else {
    for (const PlanItem& item : plan->items) task.out.write(printable(item.name) + "\n");
  }
  return FileReport{ExitCode::done, ""};
}

/// What is read and written beside the inputs and their outputs.
OtherFiles other_files(const Options& options) {
  OtherFiles others;
  others.elsewhere = Elsewhere::folder;
  if (!options.rules_file.empty()) others.reads.push_back({options.rules_file, "--rules"});
  if (!options.emit_inverse.empty()) {
    others.writes.push_back({options.emit_inverse, "--emit-inverse"});
  }
  return others;
}

Status check_names_only(const Options& options) {
  OtherFiles others = other_files(options);
  FilePlan plan{std::move(others.reads), std::move(others.writes), {}, false};
  for (const std::string& input : options.inputs) plan.reads.push_back({input, ""});
  return refuse_replaced_inputs(plan);
}

/// What writing the inverse would refuse, before the output is there.
Status check_inverse(const Options& options) {
  if (options.emit_inverse.empty()) return {};
  const std::string place = place_to_check(options.emit_inverse, options.writing);
  return place.empty() ? Status() : OutputFile::check(place, inverse_options(options));
}

Result<ExitCode> run(const Options& options, Context& context) {
  MLC_TRY(const RuleSet rules, read_rules(options));
  if (options.only_names) {
    MLC_CHECK(check_names_only(options));
    MLC_CHECK(check_inverse(options));
    return run_files(context, inputs_only(options.inputs), options.writing.batch,
                     [&](FileTask& task) { return remap_names(options, rules, task); });
  }
  MLC_TRY(auto files, plan_outputs(options.inputs, options.writing, {}, other_files(options)));
  for (FilePair& file : files) file.may_be_folder = !options.writing.in_place;
  MLC_CHECK(check_inverse(options));
  std::optional<OutputFile> inverse;  // of the only input
  const auto keep_inverse = [&](const Plan& plan) -> Status {
    MLC_TRY(auto written, write_inverse(options, plan));
    if (written) inverse.emplace(std::move(*written));
    return {};
  };
  const auto remap = [&](FileTask& task) {
    const KeyEdit edit{
        .verb = "remap-keys",
        .key = options.key,
        .writing = options.writing,
        .make_plan = [&](auto keys) { return make_plan(keys, rules, options.rules); },
        .provenance = provenance_of(options),
        .require_change = false,
        .skip_unchanged = false,
        .strict = options.rules.strict,
        .by_rules = true,
        .threads = context.threads(),
        .inspect = keep_inverse};
    return edit_keys(task, edit);
  };
  MLC_TRY(const ExitCode code, run_files(context, files, options.writing.batch, remap));
  if (inverse && code == ExitCode::done) MLC_CHECK(inverse->publish());
  return code;
}

constexpr Example kExamples[] = {
    {"mlc remap-keys a.pt --rules rules.yaml -n", "show what the rules would do"},
    {"mlc remap-keys a.pt --map backbone.=encoder. -o b.pt", "rename everything below backbone"},
    {"mlc remap-keys a.pt --regex 's/norm\\.(\\d)/norm$1/' --in-place", "storages stay untouched"},
    {"mlc remap-keys a.pt --drop 'head.*' -o backbone.pt", "leave tensors out"},
    {"mlc remap-keys a.pt --keep 'ema.*' --map ema.= -o ema.pt", "options hold in their order"},
};

}  // namespace

Command remap_keys_command() {
  return {
      .name = "remap-keys",
      .group = Group::edit,
      .summary = "rename, drop, split and join tensors by rules",
      .details =
          "Rules come from a YAML file, then from --map, --regex, --drop, --keep and "
          "--add-prefix in the order given; for each key the first rule of the file that "
          "matches is applied, so that special rules come before general ones (a rule with "
          "`continue: true` lets its keys go on to those below, under their new names), and each "
          "option sees the names as those before it left them (all "
          "--keep together, where the first of them stands): `--keep 'model.*' --map model.=` "
          "keeps old names, `--map model.= --keep 'fc.*'` new ones. They hold for what is no "
          "tensor too; an extra state goes with its "
          "module, and what has no dot in its key (epoch, optimizer) only moves where a rule "
          "names it. Two tensors that would get one name are an error, before "
          "anything is written. Module versions in _metadata and names in optimizer states "
          "follow. Transposed tensors stay Parameters, or of their class; parts and joins do where "
          "all sources are Parameters.",
      .needs = Needs::nothing,
      .examples = kExamples,
      .setup = bind<Options, setup, run>};
}

}  // namespace mlc::cli
