#include "command.h"
#include "files/batch.h"
#include "files/metadata_sources.h"
#include "mlc/base/shell_word.h"
#include "mlc/base/text.h"
#include "mlc/engine/module_loader.h"
#include "mlc/metadata/version_policy.h"

#include <algorithm>
#include <optional>

namespace mlc::cli {
namespace {

/// Whose PyTorch is judged.
enum class Against { file, runtime };

struct Options {
  std::vector<std::string> inputs;
  std::vector<std::string> requirements;
  std::optional<std::string> tool;
  std::optional<std::string> format;
  std::vector<std::string> versions;
  Against against = Against::file;
  PolicyOptions policy;
  BatchOptions batch;
};

constexpr const char* kInFile = "the embedded metadata";

constexpr std::pair<std::string_view, IfUnknown> kIfUnknown[] = {
    {"fail", IfUnknown::fail},
    {"warn", IfUnknown::warn},
    {"pass", IfUnknown::pass},
    {"floor", IfUnknown::floor},
};

constexpr std::pair<std::string_view, Against> kAgainst[] = {
    {"file", Against::file},
    {"runtime", Against::runtime},
};

void setup(OptionSet& set, Options& options) {
  set.positionals("FILE", options.inputs, 0, "checkpoints or metadata files (.yaml)");
  set.group("Requirements");
  set.list(
      "--requires", options.requirements, "SPEC",
      "what is required, as in 'torch>=1.13,<3', or 'version>=1.2' of the file's own metadata; "
      "repeatable (default: its own `requires`)");
  set.text("--tool", options.tool, "SPEC", "required of this mlc, as in '>=0.1'; needs no FILE");
  set.text("--format", options.format, "SPEC", "required of the file format, as in '<=3'");
  set.list("--version", options.versions, "[NAME=]V",
           "judge version V of NAME (default torch), whatever a file says; needs no FILE");
  set.choice(
      "--against", options.against, kAgainst,
      "whose torch is judged: that of the file (the default), or the LibTorch that `mlc run` "
      "uses here; runtime needs no FILE");
  set.group("Judging");
  set.choice("--if-unknown", options.policy.if_unknown, kIfUnknown,
             "what a version that nothing tells, or a file that requires nothing, amounts to "
             "(default fail); floor: the lowest version, where the layout tells one, counts");
  set.flag("--pre", options.policy.allow_pre, "accept pre-releases everywhere");
  set.flag("--base-version", options.policy.base_version,
           "compare release numbers only: 2.1.0a0+git counts as 2.1.0");
  set.flag("--strict", options.policy.strict,
           "versions outside PEP 440 are unknown instead of read as far as possible, and claims do "
           "not outweigh what the layout proves");
  add_batch_options(set, options.batch);
}

/// What the command line says: requirements and versions.
struct Question {
  std::vector<Requirement> requirements;
  std::vector<VersionFact> facts;
};

/// "torch2.0" is a name that any version satisfies, but hardly what was meant.
Status refuse_forgotten_operator(std::string_view text) {
  const size_t digit = text.find_first_of("0123456789");
  if (digit == 0 || digit == text.npos) return {};
  const std::string_view version = text.substr(digit);
  if (version.find('.') == version.npos || !Version::parse(version).ok()) return {};
  std::string name(text.substr(0, digit));
  while (name.ends_with('-') || name.ends_with('_') || name.ends_with('.')) name.pop_back();
  return usage_error("--requires " + quoted(text, 80) + " has no operator before its version",
                     "did you mean " + printable(name) + ">=" + printable(version) + " or " +
                         printable(name) + "==" + printable(version) + "?");
}

/// The package of PyTorch is called torch; one that is called pytorch is in no file.
Status refuse_misnamed_torch(const Requirement& requirement) {
  if (requirement.name != "pytorch") return {};
  return usage_error("--requires: no file records a version of pytorch",
                     "did you mean torch" + requirement.versions.to_string() + "?");
}

/// TEXT may lack the name, which is then NAME.
Status add_requirement(std::string_view text, std::string_view name, std::string_view option,
                       std::vector<Requirement>& out) {
  text = trim(text);
  const bool nameless = !text.empty() && std::string_view("~=!<>").find(text[0]) != text.npos;
  const std::string whole = nameless ? std::string(name) + std::string(text) : std::string(text);
  MLC_TRY_CTX(Requirement requirement, Requirement::parse(whole), std::string(option));
  if (requirement.versions.clauses().empty()) MLC_CHECK(refuse_forgotten_operator(text));
  MLC_CHECK(refuse_misnamed_torch(requirement));
  out.push_back(std::move(requirement));
  return {};
}

/// --tool and --format ask about one subject each, so the name is left out.
Status add_named(const std::optional<std::string>& text, std::string_view name,
                 std::string_view option, std::vector<Requirement>& out) {
  if (!text) return {};
  if (trim(*text).empty())
    return usage_error("names no version", "write it like '>=1'").during(std::string(option));
  MLC_TRY_CTX(SpecifierSet versions, SpecifierSet::parse(*text), std::string(option));
  out.push_back({std::string(name), std::move(versions)});
  return {};
}

/// The version of the LibTorch that verbs which run models open.
Result<VersionFact> runtime_fact() {
  MLC_TRY(const auto engine, open_engine(EngineKind::torch));
  MLC_TRY(const EngineInfo info, engine->info());
  return VersionFact{"torch", info.version, "the LibTorch here", false};
}

Result<Question> read_question(const Options& options) {
  Question out;
  if (options.against == Against::runtime) {
    MLC_TRY_CTX(VersionFact fact, runtime_fact(), "--against runtime");
    out.facts.push_back(std::move(fact));
  }
  for (const std::string& text : options.requirements) {
    MLC_CHECK(add_requirement(text, "torch", "--requires", out.requirements));
  }
  MLC_CHECK(add_named(options.tool, "mlc", "--tool", out.requirements));
  MLC_CHECK(add_named(options.format, "format", "--format", out.requirements));
  for (const std::string& text : options.versions) {
    const size_t equals = text.find('=');
    const bool named = equals != std::string::npos;
    const std::string subject = named ? normalized_name(trim(text.substr(0, equals))) : "torch";
    if (subject == "mlc") {
      return usage_error("--version cannot say the version of mlc, which is this program");
    }
    const std::string version(trim(named ? std::string_view(text).substr(equals + 1) : text));
    if (subject.empty() || version.empty()) {
      return usage_error("--version " + quoted(text) + " is not a version",
                         "write it like 2.1.0 or python=3.11.4");
    }
    out.facts.push_back({subject, version, "--version", false});
  }
  return out;
}

/// {name: PyTorch, version: 2.1.0} says what {torch: 2.1.0} does.
void add_named_framework(const Metadata& metadata, const std::string& source,
                         std::vector<VersionFact>& facts) {
  const auto name = metadata.framework("name");
  const auto version = metadata.framework("version");
  if (!name || !version) return;
  std::string subject = normalized_name(*name);
  if (subject == "pytorch") subject = "torch";
  if (!metadata.framework(subject)) {
    facts.push_back({subject, *version, "framework.version in " + source, false});
  }
}

void add_metadata_facts(const Metadata& metadata, const std::string& source,
                        std::vector<VersionFact>& facts) {
  const auto version = metadata.version();
  if (version) facts.push_back({std::string(kOwnVersion), *version, source, false});
  const MetaValue* framework = metadata.root().find("framework");
  if (framework == nullptr || framework->as_map() == nullptr) return;
  for (const auto& [name, text] : *framework->as_map()) {
    // That of {name: PyTorch, version: 2.1.0} is PyTorch's.
    const bool is_named = name == kOwnVersion && (version || metadata.framework("name"));
    if (text.as_text() != nullptr && !is_named) {
      facts.push_back({name, *text.as_text(), source, false});
    }
  }
  add_named_framework(metadata, source, facts);
}

/// The version of the model under its name, unless that is also the name of something else that
/// FACTS, or any file of its format, tell of: a model called torch says nothing of PyTorch.
std::optional<VersionFact> model_fact(const Metadata& metadata, const std::string& source,
                                      const std::vector<VersionFact>& facts) {
  static constexpr std::string_view kTaken[] = {"torch",  "python",    "cuda",
                                                "format", "lightning", "pytorch-lightning"};
  const auto name = metadata.name();
  const auto version = metadata.version();
  if (!name || !version) return std::nullopt;
  const std::string subject = normalized_name(*name);
  const bool told = std::ranges::any_of(facts, [&subject](const VersionFact& fact) {
    return normalized_name(fact.subject) == subject;
  });
  if (told || std::ranges::find(kTaken, subject) != std::end(kTaken)) return std::nullopt;
  return VersionFact{*name, *version, source, false};
}

/// What the bytes of the file show about PyTorch and about the format.
void add_origin_facts(const Checkpoint& checkpoint, std::vector<VersionFact>& facts) {
  const Origin& origin = checkpoint.origin;
  struct Row {
    Format format;
    std::string_view layout;
    std::string_view version;
  };
  static constexpr Row kRows[] = {
      {Format::torch_zip, "the layout of the zip", "the zip's `version` record"},
      {Format::torchscript, "the layout of the TorchScript archive", "the `version` record"},
      {Format::pt2, "the layout of the .pt2 archive", "schema_version of the .pt2 archive"},
      {Format::torch_legacy, "the legacy stream", "the protocol of the legacy stream"},
      {Format::torch_tar, "the tar layout", "the tar layout"},
  };
  const auto row = std::ranges::find(kRows, checkpoint.format, &Row::format);
  const bool known = row != std::end(kRows);
  const std::string told = origin.torch_source;
  if (!origin.torch_exactly.empty()) {
    facts.push_back({"torch", origin.torch_exactly, told.empty() ? "the file" : told, false});
  }
  if (!origin.torch_at_least.empty()) {
    const std::string layout(known ? row->layout : "the layout of the file");
    facts.push_back({"torch", origin.torch_at_least, layout, true});
  }
  if (origin.format_version >= 0) {
    const std::string source(known ? row->version : "the file");
    facts.push_back({"format", std::to_string(origin.format_version), source, false});
  }
}

/// Lightning writes its version into every checkpoint; both of its packages have that version.
void add_lightning_facts(const Checkpoint& checkpoint, std::vector<VersionFact>& facts) {
  constexpr std::string_view kKey = "pytorch-lightning_version";
  const pickle::Graph& graph = checkpoint.graph;
  const NodeId node = graph.find(checkpoint.root, kKey);
  if (node == kNoNode || !graph.is(node, pickle::NodeKind::text)) return;
  for (const char* package : {"pytorch-lightning", "lightning"}) {
    facts.push_back({package, std::string(graph.text(node)),
                     "`" + std::string(kKey) + "` in the checkpoint", false});
  }
}

/// All facts in order of trust. What --version says about a subject replaces what the file says.
std::vector<VersionFact> collect_facts(const MetadataSources& sources, const Question& question) {
  std::vector<VersionFact> told;
  if (sources.embedded) add_metadata_facts(*sources.embedded, kInFile, told);
  if (sources.beside) add_metadata_facts(*sources.beside, sources.sidecar, told);
  if (sources.checkpoint) {
    add_lightning_facts(*sources.checkpoint, told);
    add_origin_facts(*sources.checkpoint, told);
  }
  std::optional<VersionFact> models[2];
  if (sources.embedded) models[0] = model_fact(*sources.embedded, kInFile, told);
  if (sources.beside) models[1] = model_fact(*sources.beside, sources.sidecar, told);
  for (const std::optional<VersionFact>& model : models) {
    if (model) told.push_back(*model);
  }
  std::vector<VersionFact> facts = question.facts;
  for (VersionFact& fact : told) {
    const bool replaced = std::ranges::any_of(question.facts, [&fact](const VersionFact& given) {
      return given.subject == normalized_name(fact.subject);
    });
    if (!replaced) facts.push_back(std::move(fact));
  }
  return facts;
}

/// What was judged, and where the answer goes.
struct Answer {
  const std::string* file = nullptr;  // none for a bare version
  bool alone = true;
  bool has_place = true;  // the format of the file has a place for metadata
};

/// Unlike the library, this one knows the command.
std::string hint_of(const RequirementVerdict& one, const Answer& answer) {
  if (!one.unrecorded) return one.hint;
  const std::string& subject = one.requirement.name;
  const bool only_floor = one.fact && one.fact->floor;
  if (answer.file == nullptr) {
    return "tell it with --version " + subject + "=VERSION, or say what unknown means with " +
           "--if-unknown";
  }
  if (subject == "format") return "--if-unknown says what unknown means";
  const std::string place = (subject == kOwnVersion ? "" : "framework.") + subject;
  return "`mlc metadata " + shell_word(*answer.file) + " --set " + place + "=VERSION " +
         (answer.has_place ? "--in-place" : "--sidecar") + "` records it" +
         (only_floor ? " (such metadata, a sidecar or TorchScript tell the exact version, a layout "
                       "the lowest only)"
                     : "") +
         (one.floor_fits ? ", or let the lowest one count with --if-unknown floor"
                         : ", or say what unknown means with --if-unknown");
}

void write_requirement(JsonWriter& json, const RequirementVerdict& one, const Answer& answer) {
  json.begin_object();
  json.field("subject", one.requirement.name);
  json.field("requirement", one.requirement.to_string());
  json.field("verdict", to_string(one.verdict));
  if (one.fact) {
    json.field("version", one.fact->version);
    json.field("compared", one.compared);
    json.field("floor", one.fact->floor);
    json.field("source", one.fact->source);
  }
  json.key("clauses");
  json.begin_array();
  for (const ClauseVerdict& clause : one.clauses) {
    json.begin_object();
    json.field("clause", clause.clause);
    json.field("verdict", to_string(clause.verdict));
    json.end_object();
  }
  json.end_array();
  json.field("prerelease_rejected", one.prerelease_rejected);
  json.field("reason", one.reason);
  const std::string hint = hint_of(one, answer);
  if (!hint.empty()) json.field("hint", hint);
  json.end_object();
}

constexpr std::string_view kNothingRequired =
    "its metadata has no `requires`, so there is nothing to judge by";
constexpr std::string_view kNothingRequiredHint =
    "name a requirement with --requires 'torch>=1.13,<3', or say what unknown means with "
    "--if-unknown";

/// A file that requires nothing: no fault of the command line, and in a batch one of many.
PolicyReport judge_nothing(const PolicyOptions& options) {
  PolicyReport report;
  report.verdict = Verdict::unknown;
  report.passes = options.if_unknown == IfUnknown::warn || options.if_unknown == IfUnknown::pass;
  if (options.if_unknown == IfUnknown::warn) report.warnings.emplace_back(kNothingRequired);
  return report;
}

void write_json(JsonWriter& json, const PolicyReport& report, const Answer& answer) {
  json.begin_object();
  json.field("schema", "mlc.validate-version/1");
  if (answer.file != nullptr) json.field("file", *answer.file);
  json.field("verdict", to_string(report.verdict));
  json.field("passes", report.passes);
  json.key("requirements");
  json.begin_array();
  for (const RequirementVerdict& one : report.requirements) write_requirement(json, one, answer);
  json.end_array();
  if (report.requirements.empty()) {
    json.field("reason", kNothingRequired);
    json.field("hint", kNothingRequiredHint);
  }
  json.list("warnings", report.warnings);
  json.end_object();
}

/// The reasons in one line; of a "no" only those that led to it.
std::string batch_line(const PolicyReport& report) {
  std::string reasons(report.requirements.empty() ? kNothingRequired : "");
  for (const RequirementVerdict& one : report.requirements) {
    if (one.verdict != report.verdict) continue;
    reasons += (reasons.empty() ? "" : "; ") + printable(one.reason);
  }
  return std::string(to_string(report.verdict)) + ": " + reasons;
}

/// The different hints as lines for standard error.
std::string hint_lines(const PolicyReport& report, const Answer& answer) {
  std::vector<std::string> hints;
  if (report.requirements.empty()) hints.emplace_back(kNothingRequiredHint);
  for (const RequirementVerdict& one : report.requirements) {
    std::string hint = hint_of(one, answer);
    if (hint.empty() || std::ranges::find(hints, hint) != hints.end()) continue;
    hints.push_back(std::move(hint));
  }
  std::string lines;
  for (const std::string& hint : hints) lines += (lines.empty() ? "hint: " : "\nhint: ") + hint;
  return lines;
}

/// A bare name is a requirement to pip, and any version meets it: hardly what was meant by a check.
void warn_of_clauses(const std::vector<Requirement>& requirements, PolicyReport& report) {
  for (const Requirement& one : requirements) {
    if (one.versions.contradicts_itself()) {
      report.warnings.push_back("no version meets " + one.to_string() +
                                ": its clauses contradict each other");
    }
    if (!one.versions.clauses().empty()) continue;
    report.warnings.push_back("the requirement " + quoted(one.name) +
                              " names no version, so any meets it; write it like " + one.name +
                              ">=1.13");
  }
}

FileReport render(const PolicyReport& report, const Answer& answer, bool json, Writer& out,
                  Reporter& reporter) {
  const ExitCode code = report.passes ? ExitCode::done : ExitCode::no;
  if (json) {
    JsonWriter writer(out, answer.alone ? JsonLayout::lines : JsonLayout::compact);
    write_json(writer, report, answer);
    return {code, ""};
  }
  for (const std::string& warning : report.warnings) reporter.warn(printable(warning));
  if (!answer.alone) return {code, batch_line(report)};
  if (report.requirements.empty()) out.line(kNothingRequired);
  for (const RequirementVerdict& one : report.requirements) out.line(printable(one.reason));
  return {code, report.passes ? "" : hint_lines(report, answer)};
}

/// A requirement where a file belongs: pip takes it so.
Error with_requirement_hint(Error error, const std::string& input) {
  const bool is_requirement =
      input.find_first_of("<>=!~") != std::string::npos && Requirement::parse(input).ok();
  if (error.kind() != ErrorKind::not_found || !is_requirement) return error;
  return std::move(error).with_hint("a requirement goes behind --requires: --requires " +
                                    shell_word(input));
}

Result<FileReport> judge_file(const Options& options, const Question& question, FileTask& task) {
  auto found = read_metadata_sources(task.input, task.reporter);
  if (!found.ok()) return with_requirement_hint(std::move(found).error(), task.input);
  const MetadataSources sources = std::move(*found);
  std::vector<Requirement> requirements = question.requirements;
  if (requirements.empty() && sources.trusted() != nullptr) {
    requirements = sources.trusted()->requirements();
  }
  PolicyReport report = requirements.empty() ? judge_nothing(options.policy)
                                             : check_versions(collect_facts(sources, question),
                                                              requirements, options.policy);
  warn_of_clauses(requirements, report);
  if (sources.differ()) report.warnings.insert(report.warnings.begin(), sources.disagreement());
  const Answer answer{&task.input, task.alone, sources.has_place()};
  return render(report, answer, task.json, task.out, task.reporter);
}

Result<ExitCode> judge_bare_version(const Options& options, const Question& question,
                                    Context& context) {
  // The version of this program is known without a file.
  const bool of_tool = std::ranges::any_of(
      question.requirements, [](const Requirement& one) { return one.name == "mlc"; });
  if (question.facts.empty() && !of_tool) {
    return usage_error("nothing to judge", "name a FILE, or a version with --version 2.1.0");
  }
  if (question.requirements.empty()) {
    return usage_error("there is nothing to judge by",
                       "name a requirement: --requires 'torch>=1.13,<3'");
  }
  PolicyReport report = check_versions(question.facts, question.requirements, options.policy);
  warn_of_clauses(question.requirements, report);
  const FileReport done = render(report, Answer{}, context.json(), context.out(), context.reporter);
  if (!done.summary.empty()) context.console.note(done.summary);
  return done.code;
}

Result<ExitCode> run(const Options& options, Context& context) {
  MLC_TRY(const Question question, read_question(options));
  if (options.inputs.empty()) return judge_bare_version(options, question, context);
  return run_files(context, inputs_only(options.inputs), options.batch,
                   [&](FileTask& task) { return judge_file(options, question, task); });
}

constexpr Example kExamples[] = {
    {"mlc validate-version model.pt --requires 'torch>=1.13'", "was it written by these"},
    {"mlc validate-version models/*.pt --json", "by each file's own `requires`"},
    {"mlc validate-version --version 2.1.0+cu118 --requires '>=2.0'", "a bare version"},
    {"mlc validate-version model.pt --requires 'version>=1.2'", "of the model itself"},
    {"mlc validate-version model.pt --version 2.1.0", "may PyTorch 2.1.0 read it"},
    {"mlc validate-version model.pt --against runtime", "may the LibTorch that is here"},
};

}  // namespace

Command validate_version_command() {
  return {
      .name = "validate-version",
      .group = Group::check,
      .summary = "check the versions a file tells against requirements",
      .details =
          "Versions and clauses are those of PEP 440: commas mean and, a local part such as "
          "+cu118 counts only if a clause names one, pre-releases are rejected unless a clause "
          "names one. What vendors make of it (2.0.0.nv23.05) is read as far as possible, with a "
          "warning.\n\n"
          "Facts come from the embedded metadata, a sidecar (NAME.mlc.yaml), what the format or "
          "Lightning records, and the layout of the file, which gives a lowest version only. The "
          "first exact one counts, and every answer names its source; where the layout proves it "
          "wrong there is a warning, and with --strict both have to satisfy. \"mlc\" is this "
          "program, \"version\" the `version` of the metadata: the model's own, which its `name` "
          "stands for too (net>=1.2).",
      .needs = Needs::nothing,
      .examples = kExamples,
      .setup = bind<Options, setup, run>};
}

}  // namespace mlc::cli
