#include "compress/prune_onnx.h"

#include "compress/compress_report.h"
#include "compress/judge_models.h"
#include "compress/onnx_defaults.h"
#include "compress/prune_onnx_view.h"
#include "compress/sample_warnings.h"
#include "files/provenance_options.h"
#include "files/unused_patterns.h"
#include "mlc/base/text.h"
#include "mlc/engine/onnx_artefact.h"
#include "mlc/onnx_edit/document.h"
#include "mlc/onnx_file/element_type.h"
#include "mlc/onnx_prune/compensate.h"
#include "mlc/onnx_prune/expand_shapes.h"
#include "mlc/onnx_prune/fold_constants.h"
#include "mlc/onnx_prune/fold_indices.h"
#include "mlc/onnx_prune/norms.h"
#include "mlc/onnx_prune/observe.h"
#include "mlc/onnx_prune/shared_shapes.h"
#include "mlc/onnx_prune/shrink.h"
#include "mlc/onnx_prune/turned_axes.h"
#include "mlc/onnx_quant/quantize.h"
#include "mlc/onnx_write/check.h"
#include "mlc/onnx_write/write.h"
#include "models/onnx_draft.h"

#include <algorithm>

#include <fmt/format.h>

namespace mlc::cli {
namespace {

/// What rounding leaves of the equality with the model whose channels are unread; a wrong cut is
/// far below.
constexpr double kLeastEqualDb = 40;
constexpr size_t kSizeRounds = 3;

uint64_t count_weights(const onnx::Document& document) {
  uint64_t out = 0;
  for (const onnx::DocTensor& each : document.tensors) out += each.data ? each.data->count() : 0;
  return out;
}

/// Whether an output holds numbers that rounding can change by one, like indices of a maximum.
bool counts(const OnnxFile& file, const std::string& output) {
  const auto found = std::ranges::find(file.outputs, output, &OnnxValue::name);
  if (found == file.outputs.end()) return false;
  const auto dtype = dtype_from_onnx(found->element);
  return !dtype || info(*dtype).kind != DTypeClass::floating;
}

Status check_speed(const Judgement& judgement, bool is_required, Reporter& reporter) {
  if (judgement.seconds_after < judgement.seconds_before) return {};
  const std::string slower =
      fmt::format("it is no faster here: {:.3g} ms, the whole model {:.3g} ms",
                  judgement.seconds_after * 1e3, judgement.seconds_before * 1e3);
  if (is_required)
    return conflict(slower + "; nothing was written", "--round-to 8 suits vector instructions");
  reporter.warn(slower);
  return {};
}

class Job {
 public:
  Job(FileTask& task, const PruneOnnxOptions& options, const PruneOnnxShared& shared)
      : task_(task),
        options_(options),
        shared_(shared),
        model_(shared.host != nullptr ? shared.host->onnx_path() : task.input) {}

  Result<FileReport> run();

 private:
  /// Where files that nobody names lie.
  const std::string& beside() const { return task_.output.empty() ? task_.input : task_.output; }
  Status check_usage();
  Result<onnx::Document> read() const;
  Status tell_of_constants();
  Status compute_constants();
  Status open();
  Status plan();
  Status refuse_nothing() const;
  Result<std::unique_ptr<Model>> load_with(onnx::Document document,
                                           const std::vector<std::string>& values);
  Result<onnx::ValueMoments> observe(const onnx::ChannelGraph& graph);
  Result<onnx::Moments> observe_pair(const onnx::ChannelGraph::Reader& reader);
  /// Of what weights read in the whole model, and of that what is not told by what is left.
  struct Rebuilt {
    double energy = 0;
    double error = 0;
  };
  Status compensate();
  Status rebuild_weight(onnx::Compensated one, Rebuilt& rebuilt);
  Status restate_norm(onnx::Restated one);
  Status make_up(onnx::Document& document);
  Result<onnx::Document> changed();
  Result<onnx::Document> unread();
  Status add_metadata();
  Status blame_source(Status judged) const;
  Status write();
  Status write_host();
  Status write_report(std::string_view refused) const;
  Status judge(const OnnxDraft& draft);
  Status prove(const OnnxDraft& draft, const JudgeOptions& how);
  Status gates() const;

  FileTask& task_;
  const PruneOnnxOptions& options_;
  const PruneOnnxShared& shared_;
  const std::string& model_;  // where the ONNX model is
  std::vector<InputSpec> specs_;
  std::optional<onnx::Document> document_;
  std::optional<CalibrationData> data_;
  std::vector<NamedValue> constants_;       // that nodes of the model compute
  std::vector<onnx::Compensated> readers_;  // that make up for channels
  std::vector<onnx::Restated> norms_;
  std::unique_ptr<Engine> engine_;
  PruneOnnxAnswer answer_;
};

Status Job::check_usage() {
  if (shared_.writing.in_place)
    return usage_error("an ONNX model is not pruned in place", "-o FILE gives it a new name");
  const bool is_named = shared_.host != nullptr || task_.output.ends_with(".onnx");
  if (!task_.output.empty() && !is_named)
    return usage_error("the output would be an ONNX file under the name " + quoted(task_.output),
                       "name it .onnx");
  MLC_TRY(specs_, parse_input_specs(options_.inputs));
  return {};
}

/// The model as it is looked at: constants are initializers, and none of them can be exchanged.
Result<onnx::Document> Job::read() const {
  MLC_TRY(onnx::Document document, onnx::Document::open(model_));
  document.fix_overridable();
  MLC_CHECK(document.lift_constants());
  MLC_CHECK(onnx::fold_indices(document));
  MLC_CHECK(onnx::simplify_expand_shapes(document));
  // What views are computed of may be known only once others are.
  for (size_t round = 0; round < kSizeRounds && shared_.host == nullptr; ++round) {
    const auto sizes = onnx::infer_sizes(document.skeleton());
    if (!sizes.ok()) break;
    MLC_TRY(const size_t turned, onnx::join_turned_axes(document, *sizes));
    MLC_TRY(const size_t folded, onnx::fold_sizes(document, *sizes));
    if (turned + folded == 0) break;
    MLC_CHECK(onnx::fold_indices(document));
  }
  onnx::replace_constant_nodes(document, constants_);
  onnx::part_shared_shapes(document);
  return document;
}

/// Finds what read() replaces, and tells what no caller can exchange then.
Status Job::tell_of_constants() {
  MLC_TRY(onnx::Document source, onnx::Document::open(model_));
  tell_of_defaults(source.fix_overridable(), source.facts(), task_.reporter);
  return compute_constants();
}

/// Finds what read() replaces. That some of it stays computed only costs channels.
Status Job::compute_constants() {
  MLC_TRY(const onnx::Document source, read());
  MLC_TRY(auto found, onnx::find_constant_nodes(source));
  if (!found || found->values.empty()) return {};
  const auto model = load_with(std::move(found->model), found->values);
  if (!model.ok()) return {};
  const Status ran = (*model)->set_inputs({}).ok() ? (*model)->run() : Status();
  if (!ran.ok()) return {};
  auto values = (*model)->outputs();
  if (values.ok()) constants_ = std::move(*values);
  return {};
}

Status Job::open() {
  if (shared_.host == nullptr) MLC_CHECK(tell_of_constants());
  MLC_TRY(onnx::Document document, read());
  for (const auto& file : document.files()) answer_.input_bytes += file->size();
  if (shared_.host != nullptr) answer_.input_bytes = shared_.host->input_bytes();
  const auto operators = onnx::quantized_operators(document.facts());
  if (!operators.empty()) {
    return conflict("the model is quantised: it has " + join_list(operators),
                    "prune the original, then quantise what is left");
  }
  MLC_TRY(const std::vector<InputSpec> declared, onnx_inputs(document.facts()));
  if (specs_.empty() && shared_.host != nullptr) specs_ = shared_.host->inputs();
  if (specs_.empty()) {
    specs_ = declared;
    if (options_.calib.empty()) answer_.assumed = choose_usual_sizes(specs_);
  }
  if (!options_.calib.empty()) {
    MLC_TRY(data_, CalibrationData::open(options_.calib, document.facts().inputs, task_.reporter));
    warn_of_samples(*data_, "of inputs", task_.reporter);
  }
  answer_.weights_before = count_weights(document);
  document_.emplace(std::move(document));
  return {};
}

Status Job::refuse_nothing() const {
  const auto loses = [](const onnx::ChannelGroup& group) { return !group.gone.empty(); };
  if (std::ranges::any_of(answer_.plan.groups, loses)) return {};
  const auto could = [](const onnx::ChannelGroup& group) {
    return group.is_selected && !group.units.empty();
  };
  if (std::ranges::any_of(answer_.plan.groups, could)) {
    const bool rounds = options_.round_to > 1;
    return conflict("no channel goes: --amount " + shared_.rules.amount->text() +
                        " is less than one of each group" +
                        (rounds ? ", or --round-to leaves none to take" : ""),
                    std::string("a larger --amount") + (rounds ? ", or a smaller --round-to" : "") +
                        "; --list-groups says what there is");
  }
  std::vector<std::string> reasons;
  for (const onnx::ChannelGroup& group : answer_.plan.groups) {
    if (group.units.empty()) reasons.push_back(printable(group.name) + " (" + group.reason + ")");
  }
  return conflict("no channel can go" + (reasons.empty() ? "" : ": " + join_list(reasons)),
                  "--list-groups says what there is");
}

Result<std::unique_ptr<Model>> Job::load_with(onnx::Document document,
                                              const std::vector<std::string>& values) {
  return load_with_values(std::move(document), values, beside(), engine_, task_.threads);
}

/// What the weights of GRAPH read in the whole model.
Result<onnx::ValueMoments> Job::observe(const onnx::ChannelGraph& graph) {
  const auto readers = onnx::measured_readers(*document_, graph);
  std::vector<std::string> values;
  for (const onnx::ChannelGraph::Reader& each : readers) values.push_back(each.value);
  if (values.empty()) return onnx::ValueMoments();
  MLC_TRY(onnx::Document whole, read());
  MLC_TRY(const auto model, load_with(std::move(whole), values));
  return onnx::observe_channels(*model, *data_, readers, task_.reporter);
}

/// Weight after weight and norm after norm, each with what it reads when all before it are changed.
Status Job::compensate() {
  std::vector<onnx::Compensated> all = onnx::find_compensated(*document_, answer_.plan);
  std::vector<onnx::Restated> norms;
  if (!all.empty()) norms = onnx::find_restated(*document_, answer_.plan, all.front().reader.node);
  Rebuilt rebuilt;
  const ProgressScope progress(task_.reporter, "making up for channels (weights)",
                               all.size() + norms.size());
  auto norm = norms.begin();
  for (onnx::Compensated& one : all) {
    for (; norm != norms.end() && norm->node < one.reader.node; ++norm)
      MLC_CHECK(restate_norm(std::move(*norm)));
    MLC_CHECK(rebuild_weight(std::move(one), rebuilt));
  }
  for (; norm != norms.end(); ++norm) MLC_CHECK(restate_norm(std::move(*norm)));
  answer_.calibrated_on = data_->samples();
  answer_.compensated = readers_.size();
  answer_.restated = norms_.size();
  answer_.rebuilt = rebuilt.energy > 0 ? 1 - rebuilt.error / rebuilt.energy : 1;
  return make_up(*document_);
}

Status Job::rebuild_weight(onnx::Compensated one, Rebuilt& rebuilt) {
  // A host has the tensors that it has.
  if (shared_.host != nullptr && one.new_bias) one.has_offset = false;
  // Those that read the same have the same moments.
  const auto same = std::ranges::find(readers_, one.reader.value,
                                      [](const auto& each) { return each.reader.value; });
  if (same != readers_.end() && same->has_offset == one.has_offset) {
    one.guess = same->guess;
  } else {
    MLC_TRY(const onnx::Moments moments, observe_pair(one.reader));
    one.guess = onnx::guess_channels(moments, one.kept, one.has_offset);
  }
  rebuilt.energy += one.guess.energy;
  rebuilt.error += one.guess.error;
  readers_.push_back(std::move(one));
  task_.reporter.advance(1);
  return {};
}

Status Job::restate_norm(onnx::Restated one) {
  MLC_TRY(onnx::Document whole, read());
  MLC_TRY(onnx::Document small, changed());
  MLC_TRY(const auto a, load_with(std::move(whole), {one.value}));
  MLC_TRY(const auto b, load_with(std::move(small), {one.value}));
  MLC_TRY(one.seen, onnx::observe_statistics(*a, *b, *data_, one.value, one.kept, task_.reporter));
  norms_.push_back(std::move(one));
  task_.reporter.advance(1);
  return {};
}

/// What is known so far of what makes up for channels, put into DOCUMENT.
Status Job::make_up(onnx::Document& document) {
  MLC_CHECK(onnx::compensate(document, answer_.plan, readers_));
  return onnx::restate(document, norms_);
}

/// The smaller model, as far as it is known.
Result<onnx::Document> Job::changed() {
  MLC_TRY(onnx::Document small, read());
  MLC_CHECK(make_up(small));
  MLC_CHECK(onnx::shrink(small, answer_.plan));
  return small;
}

Result<onnx::Moments> Job::observe_pair(const onnx::ChannelGraph::Reader& reader) {
  MLC_TRY(onnx::Document whole, read());
  MLC_TRY(onnx::Document small, changed());
  MLC_TRY(const auto a, load_with(std::move(whole), {reader.value}));
  MLC_TRY(const auto b, load_with(std::move(small), {reader.value}));
  return onnx::observe_pair(*a, *b, *data_, reader, task_.reporter);
}

Status Job::plan() {
  MLC_TRY(const onnx::InferredSizes sizes, onnx::infer_sizes(document_->skeleton()));
  onnx::KeptAxes kept;
  if (shared_.host != nullptr) kept = shared_.host->kept_axes(*document_);
  onnx::ValueAxes values;
  MLC_TRY(onnx::ChannelGraph graph, onnx::find_channels(*document_, sizes, kept, &values));
  if (shared_.host != nullptr) shared_.host->restrict(*document_, values, graph);
  answer_.rules = shared_.rules;
  onnx::ValueMoments seen;
  if (data_ && !options_.list_groups) {
    MLC_TRY(seen, observe(graph));
  }
  MLC_TRY(answer_.plan, onnx::plan_channels(*document_, std::move(graph), shared_.rules,
                                            data_ ? &seen : nullptr));
  std::vector<std::string> names;
  for (const onnx::ChannelGroup& group : answer_.plan.groups) {
    names.insert(names.end(), group.weights.begin(), group.weights.end());
    names.insert(names.end(), group.nodes.begin(), group.nodes.end());
  }
  MLC_CHECK(refuse_unused(answer_.plan.unused_patterns, names, task_));
  if (options_.list_groups) return {};
  for (const std::string& note : answer_.plan.notes) task_.reporter.warn(note);
  MLC_CHECK(refuse_nothing());
  if (data_) MLC_CHECK(compensate());
  MLC_CHECK(onnx::shrink(*document_, answer_.plan));
  answer_.weights_after = count_weights(*document_);
  return shared_.host != nullptr ? Status() : add_metadata();
}

/// What the file knows of its making, where it carries metadata of mlc.
Status Job::add_metadata() {
  ProvenanceOptions given;
  given.text("method", "channels");
  add_channel_options(options_, shared_, given);
  return sign_document(*document_, task_.input, "prune", given);
}

/// The whole model in which nobody reads the channels that went.
Result<onnx::Document> Job::unread() {
  MLC_TRY(onnx::Document whole, read());
  MLC_CHECK(make_up(whole));
  MLC_CHECK(onnx::unread(whole, answer_.plan));
  return whole;
}

/// Compares with the whole model in which nobody reads the channels that went: both have to give
/// the same.
Status Job::prove(const OnnxDraft& draft, const JudgeOptions& how) {
  MLC_TRY(const onnx::Document whole, unread());
  MLC_TRY(const OnnxDraft other, OnnxDraft::write(whole, beside() + ".unread"));
  JudgeOptions only_compared = how;
  only_compared.seconds = 0;
  Judgement pair;
  MLC_CHECK(judge_onnx(*engine_, other.path(), draft.path(), only_compared, task_.reporter, pair));
  for (const JudgedOutput& one : pair.outputs) {
    if (one.exact || !one.sqnr_db || counts(document_->facts(), one.name)) continue;
    answer_.equal_db = std::min(answer_.equal_db.value_or(*one.sqnr_db), *one.sqnr_db);
    if (*one.sqnr_db < kLeastEqualDb) {
      return internal_error(fmt::format(
          "output {} is not what the model gives when nobody reads the channels that went ({:.1f} "
          "dB); nothing was written",
          quoted(one.name), *one.sqnr_db));
    }
  }
  return {};
}

Status Job::judge(const OnnxDraft& draft) {
  const bool must = options_.verify || shared_.gates.any();
  const JudgeWish wish{must, options_.no_verify, options_.require_speedup};
  MLC_TRY(const bool can, can_judge_onnx(wish, engine_, answer_, task_.reporter));
  if (!can) return {};
  const JudgeOptions how =
      judge_options(specs_, data_ ? &*data_ : nullptr,
                    options_.samples > 0 ? std::optional(options_.samples) : std::nullopt,
                    options_.seed, task_.threads, task_.reporter);
  MLC_CHECK(judge_onnx(*engine_, model_, draft.path(), how, task_.reporter, answer_));
  return prove(draft, how);
}

Status Job::gates() const {
  if (!answer_.not_verified.empty()) return {};
  MLC_CHECK(check_outputs(answer_, {shared_.gates.min_cosine.value_or(-1), shared_.gates.min_sqnr},
                          std::string("a smaller --amount, or --exclude for what costs most") +
                              (data_ ? "" : "; --calib makes up for what went")));
  // How fast a host is, its own engine says.
  return shared_.host != nullptr ? Status()
                                 : check_speed(answer_, options_.require_speedup, task_.reporter);
}

/// A result that does not run or is not equal, where the source contradicts itself already.
Status Job::blame_source(Status judged) const {
  if (judged.ok() || judged.error().kind() != ErrorKind::internal) return judged;
  MLC_TRY(const onnx::Document source, onnx::Document::open(model_));
  const Status checked = onnx::check_skeleton(source.skeleton());
  if (checked.ok()) return judged;
  return corrupt("what the model states contradicts its nodes: " + checked.error().message(),
                 "export it anew, or let ONNX infer its sizes");
}

Status Job::write_host() {
  answer_.sidecar_bytes = 0;
  MLC_TRY(const onnx::Document whole, unread());
  return shared_.host->write(whole, *document_, answer_);
}

Status Job::write() {
  // A dry run may have no output: then nothing gets the name of the input, beside which it is. Of a
  // host the model has no name, now and later.
  const bool nameless = task_.output.empty();
  const std::string path = beside() + (shared_.host != nullptr ? ".small" : "");
  const onnx::WriteOptions how{.sidecar = onnx::sidecar_name(path)};
  MLC_TRY(onnx::ModelFile file, onnx::ModelFile::plan(document_->skeleton(), how));
  MLC_CHECK(check_beside_source(file.skeleton(), model_));
  answer_.file_bytes = file.summary().file_bytes;
  answer_.sidecar_bytes = file.summary().sidecar_bytes;
  answer_.dry_run = shared_.writing.dry_run;
  auto draft = OnnxDraft::write(std::move(file), path,
                                nameless ? OutputOptions{.replace = true, .sync = false, .mode = 0}
                                         : shared_.writing.output_options());
  if (nameless && !draft.ok()) {
    answer_.not_verified = "no file can be made beside the input: " + draft.error().message();
    return shared_.host != nullptr ? write_host() : Status();
  }
  if (!draft.ok()) return std::move(draft).error();
  MLC_CHECK(blame_source(judge(*draft)));
  if (Status passed = gates(); !passed.ok()) {
    MLC_CHECK(write_report(passed.error().message()));
    return passed;
  }
  if (shared_.host != nullptr) return write_host();
  if (nameless || shared_.writing.dry_run) return {};
  return draft->publish(document_->files());
}

Status Job::write_report(std::string_view refused) const {
  if (shared_.report.empty() || shared_.writing.dry_run) return {};
  return write_html(pruned_channels_html(answer_, task_, refused), shared_.report,
                    shared_.writing.output_options(), document_->files());
}

Result<FileReport> Job::run() {
  MLC_CHECK(check_usage());
  const auto in_file = [this](Status status) {
    return status.ok() ? Status() : Status(std::move(status).error().in_file(task_.input));
  };
  MLC_CHECK(in_file(open()));
  MLC_CHECK(in_file(plan()));
  answer_.only_groups = options_.list_groups;
  if (!options_.list_groups) {
    MLC_CHECK(in_file(write()));
    MLC_CHECK(write_report(""));
  }
  show_pruned_onnx(answer_, task_);
  return FileReport{ExitCode::done, pruned_onnx_summary(answer_, task_)};
}

}  // namespace

bool PruneOnnxOptions::any() const {
  return list_groups || round_to != 1 || !inputs.empty() || require_speedup || verify ||
         no_verify || samples != 0;
}

void add_prune_onnx_options(OptionSet& set, PruneOnnxOptions& options) {
  set.group("Channels of models");
  set.flag("--list-groups", options.list_groups,
           "list channels that can only go together, and why some cannot; write nothing");
  set.integer("--round-to", options.round_to, "N",
              "what stays of a group is a multiple of N channels (default 1)", 1, 4096);
  set.list("--input", options.inputs, "SPEC",
           "inputs to compare with, and of TorchScript what it takes, as in `mlc run`; repeatable");
  set.is_input_spec();
  set.integer("--samples", options.samples, "N",
              "inputs to compare with (4 random ones, or 64 of --calib)", 1, 10'000);
  set.flag("--require-speedup", options.require_speedup,
           "write nothing if the result is no faster here");
  set.flag("--verify", options.verify, "fail where the result cannot be run and compared");
  set.flag("--no-verify", options.no_verify, "do not run the result");
  set.check([&options]() -> Status {
    if (options.no_verify && (options.verify || options.require_speedup))
      return usage_error("--no-verify contradicts --verify and --require-speedup");
    return {};
  });
}

void add_channel_options(const PruneOnnxOptions& options, const PruneOnnxShared& shared,
                         ProvenanceOptions& out) {
  out.text("amount", shared.rules.amount->text());
  if (shared.rules.scope == PruneScope::global) out.text("scope", "global");
  if (shared.rules.norm == PruneNorm::l2) out.text("norm", "l2");
  if (options.round_to > 1) out.add("round-to", options.round_to);
  out.list("calib", options.calib)
      .list("include", shared.rules.include)
      .list("exclude", shared.rules.exclude);
}

Status take_speed(const Judgement& pair, const PruneOnnxOptions& options, PruneOnnxAnswer& answer,
                  Reporter& reporter) {
  if (options.no_verify) return {};
  answer.engine = pair.engine;
  answer.cpu = pair.cpu;
  answer.threads = pair.threads;
  answer.seconds_before = pair.seconds_before;
  answer.seconds_after = pair.seconds_after;
  return check_speed(pair, options.require_speedup, reporter);
}

Result<FileReport> prune_onnx(FileTask& task, const PruneOnnxOptions& options,
                              const PruneOnnxShared& shared) {
  return Job(task, options, shared).run();
}

}  // namespace mlc::cli
