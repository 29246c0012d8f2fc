#include "cli/batch.h"
#include "cli/compress_report.h"
#include "cli/in_place.h"
#include "cli/layer_samples.h"
#include "cli/metadata_sources.h"
#include "cli/open_input.h"
#include "cli/provenance_options.h"
#include "cli/prune_architecture.h"
#include "cli/prune_onnx.h"
#include "cli/prune_view.h"
#include "cli/quantize_checkpoint.h"
#include "cli/quantize_onnx.h"
#include "cli/unused_patterns.h"
#include "command.h"
#include "mlc/base/file.h"
#include "mlc/base/sentence_key.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/copy_tensors.h"
#include "mlc/checkpoint/optimizer.h"
#include "mlc/checkpoint/save.h"
#include "mlc/compress/data_pruning.h"
#include "mlc/compress/prune_plan.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include <fmt/format.h>

namespace mlc::cli {
namespace {

enum class Compress { automatic, deflate, none };

enum class Method { magnitude, random, wanda, sparsegpt, channels };

constexpr std::pair<std::string_view, Method> kMethods[] = {{"magnitude", Method::magnitude},
                                                            {"random", Method::random},
                                                            {"wanda", Method::wanda},
                                                            {"sparsegpt", Method::sparsegpt},
                                                            {"channels", Method::channels}};

/// Of weights. Requires: not channels.
PruneMethod of_weights(Method method) {
  switch (method) {
    case Method::random:
      return PruneMethod::random;
    case Method::wanda:
      return PruneMethod::wanda;
    case Method::sparsegpt:
      return PruneMethod::sparsegpt;
    default:
      return PruneMethod::magnitude;
  }
}

constexpr std::pair<std::string_view, PruneScope> kScopes[] = {{"layer", PruneScope::layer},
                                                               {"global", PruneScope::global}};
constexpr std::pair<std::string_view, PruneNorm> kNorms[] = {{"l1", PruneNorm::l1},
                                                             {"l2", PruneNorm::l2}};
constexpr std::pair<std::string_view, Compress> kCompress[] = {
    {"auto", Compress::automatic}, {"deflate", Compress::deflate}, {"none", Compress::none}};

struct Options {
  std::vector<std::string> inputs;
  std::string key;
  Method method = Method::magnitude;
  std::string amount;
  PruneScope scope = PruneScope::layer;
  std::optional<PruneNorm> norm;
  std::string pattern;
  std::optional<std::string> seed;
  std::vector<std::string> include;
  std::vector<std::string> exclude;
  std::vector<std::string> tensors;
  bool apply_masks = false;
  bool keep_masks = false;
  bool positive_zeros = false;
  bool weights_only = false;
  Compress compress = Compress::automatic;
  std::string report;
  std::optional<std::string> min_cosine;
  std::optional<std::string> min_sqnr;
  std::vector<std::string> calib;
  std::string architecture;
  std::string emit_architecture;
  PruneOnnxOptions onnx;
  WritingOptions writing;
};

bool chooses_by_data(Method method) {
  return method == Method::wanda || method == Method::sparsegpt;
}

/// Errors: usage.
Status check_data_options(const Options& options) {
  if (!chooses_by_data(options.method)) {
    if (options.calib.empty() && options.architecture.empty()) return {};
    return usage_error("--calib and --arch are for --method wanda, sparsegpt and channels");
  }
  if (options.calib.empty())
    return usage_error("the method needs samples of inputs: --calib FILE is missing",
                       "a .npy, .npz, .pt or .safetensors whose tensors have the inputs' names");
  const bool units = options.pattern == "rows" || options.pattern.starts_with("block");
  if (options.scope == PruneScope::global || units || options.keep_masks)
    return usage_error(
        "--scope global, --keep-masks and patterns of rows and blocks do not go with "
        "wanda and sparsegpt",
        "they have an amount of each tensor, or 2:4");
  return {};
}

Status check_channels(const Options& options) {
  if (options.method != Method::channels) {
    if (!options.onnx.any() && options.emit_architecture.empty()) return {};
    return usage_error("options of channels need --method channels");
  }
  const bool foreign = !options.pattern.empty() || !options.tensors.empty() ||
                       options.apply_masks || options.keep_masks || options.positive_zeros ||
                       options.weights_only || options.compress != Compress::automatic ||
                       !options.report.empty();
  if (foreign) {
    return usage_error(
        "of the options for checkpoints, channels have --amount, --scope, --norm, --seed, "
        "--calib, --arch, --key, --include and --exclude only");
  }
  if (!options.emit_architecture.empty() && options.inputs.size() > 1)
    return usage_error("--emit-arch is for one input");
  if (!options.calib.empty() && !options.onnx.inputs.empty()) {
    return usage_error("--input and --calib exclude each other",
                       "with --calib the result is compared on its samples");
  }
  if (options.amount.empty() && !options.onnx.list_groups) {
    return usage_error("nothing says how many channels go",
                       "--amount 0.5; --list-groups says what there is");
  }
  return {};
}

void setup(OptionSet& set, Options& options) {
  set.positionals("INPUT", options.inputs, 1, "checkpoints of any format, or ONNX models");
  set.group("How");
  set.text("--amount", options.amount, "A",
           "a share, 0.3 or 30%, or a number of weights, 1000; of 1 and 1.0 the first is one");
  set.choice(
      "--method", options.method, kMethods,
      "which weights go: magnitude (default), random; by what they are multiplied with, for which "
      "they take --calib: wanda, sparsegpt, which changes the others to make up for it; channels: "
      "whole channels of ONNX models, and of checkpoints with their architecture");
  set.list("--calib", options.calib, "FILE",
           "samples for wanda, sparsegpt and channels, where they make up for what went; a tensor "
           "for each input: .npy, .npz, .pt, ...; repeatable");
  set.file("--arch", options.architecture, "YAML",
           "of the checkpoint, for wanda, sparsegpt and channels");
  set.choice("--scope", options.scope, kScopes,
             "the amount of each tensor (layer, the default) or of all together");
  set.text("--pattern", options.pattern, "PATTERN",
           "unstructured (default), 2:4 (two of four stay), block:4x1, rows");
  set.suggest({"unstructured", "2:4", "4:8", "block:4x1", "rows"});
  set.choice("--norm", options.norm, kNorms, "of rows, blocks and channels; l1 by default");
  set.text("--seed", options.seed, "N", "of random, and of random inputs; 0 by default");
  set.group("Which tensors");
  set.key_path("--key", options.key, "the state_dict inside the checkpoint, as in model.ema");
  set.list("--include", options.include, "GLOB", "prune only keys that match; repeatable");
  set.list("--exclude", options.exclude, "GLOB", "keep keys that match; repeatable");
  set.list("--tensor", options.tensors, "RE=AMOUNT",
           "an amount of their own for keys that RE2 matches; the last counts");
  set.group("Goals");
  set.text("--min-cosine", options.min_cosine, "X",
           "write nothing if a tensor, or an output of an ONNX model, has a lower cosine with what "
           "it was");
  set.text("--min-sqnr", options.min_sqnr, "DB",
           "the same of its SQNR; of wanda and sparsegpt that of the outputs of all layers");
  set.group("What is written");
  set.flag("--apply-masks", options.apply_masks,
           "fold NAME_orig and NAME_mask into NAME without pruning more");
  set.flag("--keep-masks", options.keep_masks,
           "write NAME_orig and NAME_mask, as torch.nn.utils.prune has them");
  set.choice("--compress", options.compress, kCompress,
             "deflate records in a .pt that are half zeros (auto), all that changed, or none");
  set.flag("--positive-zeros", options.positive_zeros,
           "write 0 where PyTorch leaves -0; deflates better");
  set.file("--emit-arch", options.emit_architecture, "FILE",
           "write the architecture with the sizes that channels leave, else as it was");
  set.flag("--weights-only", options.weights_only, "write nothing but the state_dict");
  set.file("--report", options.report, "FILE", "write one HTML page: sizes, zeros, what was lost");
  add_prune_onnx_options(set, options.onnx);
  add_writing_options(set, options.writing);
  set.check([&options]() -> Status { return check_channels(options); });
  set.check([&options]() -> Status {
    if (options.method == Method::channels) return {};
    const bool amounts = !options.amount.empty() || !options.tensors.empty();
    const bool pattern =
        options.pattern.find(':') != std::string::npos && !options.pattern.starts_with("block");
    if (options.apply_masks && (amounts || pattern)) {
      return usage_error("--apply-masks folds and does not prune",
                         "leave it out: masks are folded by any prune");
    }
    if (!options.report.empty() && options.inputs.size() > 1) {
      return usage_error("--report is for one input");
    }
    if (options.apply_masks && options.keep_masks) {
      return usage_error("--apply-masks and --keep-masks contradict each other");
    }
    if (!options.apply_masks && !amounts && !pattern) {
      return usage_error("nothing says how much to prune", "--amount 0.3, or --pattern 2:4");
    }
    if (amounts && pattern) {
      return usage_error("a pattern like 2:4 is an amount already",
                         "leave out --amount and --tensor");
    }
    MLC_CHECK(check_data_options(options));
    if (options.seed && options.method != Method::random) {
      return usage_error("--seed is for --method random");
    }
    if (pattern && options.method == Method::random) {
      return usage_error("--method random does not go with " + options.pattern);
    }
    const bool units = options.pattern == "rows" || options.pattern.starts_with("block");
    if (options.norm && !units) {
      return usage_error("--norm is of rows and blocks: for single weights all norms agree");
    }
    return {};
  });
}

Result<AmountRule> parse_amount_rule(const std::string& text) {
  const size_t equals = text.rfind('=');
  if (equals == std::string::npos || equals == 0) {
    return usage_error("not REGEX=AMOUNT: " + mlc::quoted(text), "as in 'mlp=0.5'");
  }
  MLC_TRY(const PruneAmount amount, parse_amount(text.substr(equals + 1)));
  std::string regex = text.substr(0, equals);
  MLC_TRY(Pattern pattern, Pattern::compile(MatchKind::regex, regex));
  return AmountRule{std::move(pattern), std::move(regex), amount};
}

Result<PruneRules> make_rules(const Options& options) {
  PruneRules rules;
  rules.method = of_weights(options.method);
  rules.scope = options.scope;
  rules.norm = options.norm.value_or(PruneNorm::l1);
  rules.include = options.include;
  rules.exclude = options.exclude;
  if (!options.pattern.empty()) {
    MLC_TRY_CTX(rules.shape, parse_prune_pattern(options.pattern), "--pattern");
  }
  if (!options.amount.empty()) {
    MLC_TRY_CTX(rules.amount, parse_amount(options.amount), "--amount");
  }
  for (const std::string& text : options.tensors) {
    MLC_TRY_CTX(AmountRule rule, parse_amount_rule(text), "--tensor");
    rules.rules.push_back(std::move(rule));
  }
  if (options.seed) {
    char* end = nullptr;
    rules.seed = std::strtoull(options.seed->c_str(), &end, 10);
    if (options.seed->empty() || end != options.seed->c_str() + options.seed->size()) {
      return usage_error("not a number: " + mlc::quoted(*options.seed)).during("--seed");
    }
  }
  return rules;
}

/// Errors: usage.
Result<PruneGates> make_gates(const Options& options) {
  PruneGates gates;
  if (options.min_cosine) {
    MLC_TRY(gates.min_cosine, parse_number("--min-cosine", *options.min_cosine, -1, 1));
  }
  if (options.min_sqnr) {
    MLC_TRY(gates.min_sqnr, parse_number("--min-sqnr", *options.min_sqnr, -1000, 1000));
  }
  if (gates.min_cosine && chooses_by_data(options.method)) {
    return usage_error("--min-cosine is of weights, which wanda and sparsegpt give up for outputs",
                       "--min-sqnr is of the outputs of layers then");
  }
  if (gates.any() && options.onnx.no_verify)
    return usage_error("--no-verify contradicts --min-cosine and --min-sqnr");
  return gates;
}

class Job {
 public:
  Job(FileTask& task, const Options& options, const PruneRules& rules, const PruneGates& gates)
      : task_(task), options_(options), rules_(rules), gates_(gates) {}

  Result<FileReport> run() {
    MLC_TRY(input_, open_input(task_.input, task_.reporter));
    MLC_CHECK(choose());
    MLC_TRY(metadata_, metadata_to_carry(*input_.checkpoint));
    MLC_CHECK(refuse_quantised());
    MLC_TRY(plan_, plan_pruning(*input_.checkpoint, *state_dict_, rules_));
    MLC_CHECK(decide());
    MLC_CHECK(write());
    warn_afterwards();
    const PruneAnswer answer = this->answer();
    if (!options_.report.empty() && !options_.writing.dry_run) {
      MLC_CHECK(write_html(pruned_html(answer, task_), options_.report,
                           options_.writing.output_options(), input_.checkpoint->files));
    }
    show_pruned(answer, task_);
    return FileReport{ExitCode::done, pruned_summary(answer, task_)};
  }

 private:
  Status choose();
  Status refuse_quantised() const;
  Status decide();
  Status choose_by_samples();
  Status check_gates() const;
  Status write();
  void warn_afterwards();
  ProvenanceOptions provenance() const;
  PruneAnswer answer() const;

  FileTask& task_;
  const Options& options_;
  const PruneRules& rules_;
  const PruneGates& gates_;
  Input input_;
  StateDict* state_dict_ = nullptr;
  OutputFormat format_ = OutputFormat::torch_zip;
  std::optional<Metadata> metadata_;
  PrunePlan plan_;
  std::optional<DataPruning> by_data_;
  SaveReport saved_;
};

Status Job::choose() {
  MLC_TRY(format_, format_of_output(input_, task_.output, options_.writing));
  if (format_ == OutputFormat::safetensors && options_.compress == Compress::deflate) {
    return usage_error("safetensors files hold nothing deflated", "write a .pt");
  }
  MLC_TRY(state_dict_, choose_state_dict(input_, options_.key));
  return ready_for_weights(input_, *state_dict_, options_.weights_only, task_.output,
                           task_.reporter);
}

Status Job::refuse_quantised() const {
  if (!metadata_ || metadata_->get("quantization") == nullptr) return {};
  return conflict("the weights are quantised",
                  "prune first, then quantise; `mlc dequantize` gives float weights")
      .in_file(task_.input);
}

Status Job::decide() {
  std::vector<std::string> keys;
  for (const PrunedTensor& one : plan_.tensors)
    keys.insert(keys.end(), one.names.begin(), one.names.end());
  MLC_CHECK(refuse_unused(plan_.unused_patterns, keys, task_));
  std::vector<NamedTensor> read;
  for (const PrunedTensor& one : plan_.tensors) {
    if (one.is_pruned() || one.is_folded()) read.push_back({one.names[0], one.tensor});
    if (one.is_folded()) read.push_back({one.names[0] + "_mask", one.mask});
  }
  if (options_.apply_masks && read.empty()) {
    return conflict("there are no masks: no key ends with _mask beside one with _orig",
                    "`mlc load` lists the keys")
        .in_file(task_.input);
  }
  MLC_CHECK(check_storages(*input_.checkpoint, read, task_.threads));
  if (chooses_by_data(options_.method)) {
    MLC_CHECK(choose_by_samples());
  } else {
    MLC_CHECK(choose_pruned(*input_.checkpoint, plan_, task_.threads, task_.reporter));
  }
  // Which records deflate well is known by their zeros.
  const bool by_zeros = options_.compress == Compress::automatic &&
                        format_ == OutputFormat::torch_zip && !options_.keep_masks;
  if (!options_.writing.dry_run && !by_zeros) return {};
  PruneCheck check;
  check.every = options_.writing.dry_run ? 1 : 8;
  return count_pruned(*input_.checkpoint, plan_, check, task_.threads, task_.reporter);
}

/// Runs the model of the checkpoint on the samples and chooses by what they tell.
Status Job::choose_by_samples() {
  LayerSampleOptions how;
  how.architecture = options_.architecture;
  how.key = options_.key;
  how.calib = options_.calib;
  how.wanted = [this](const std::string& name) {
    return std::ranges::any_of(plan_.tensors, [&](const PrunedTensor& one) {
      return one.is_pruned() && std::ranges::find(one.names, name) != one.names.end();
    });
  };
  MLC_TRY(const LayerSamples found, sample_layers(task_, how));
  MLC_TRY(const PruningGain gain,
          choose_by_data(*input_.checkpoint, plan_, found.sums, task_.threads, task_.reporter));
  if (gain.weights == 0) {
    return conflict("no linear layer or convolution of the model reads a weight that can be pruned",
                    "--method magnitude needs no samples")
        .in_file(task_.input);
  }
  by_data_ = DataPruning{found.samples, gain};
  return {};
}

ProvenanceOptions Job::provenance() const {
  ProvenanceOptions out;
  out.text("key", options_.key).text("amount", options_.amount);
  if (options_.method != Method::magnitude) out.add("method", to_string(rules_.method));
  out.list("calib", options_.calib).text("arch", options_.architecture);
  if (options_.method == Method::random) out.add("seed", static_cast<int64_t>(rules_.seed));
  if (options_.scope == PruneScope::global) out.add("scope", "global");
  out.text("pattern", options_.pattern);
  if (options_.norm == PruneNorm::l2) out.add("norm", "l2");
  out.list("include", options_.include).list("exclude", options_.exclude);
  out.list("tensor", options_.tensors).flag("apply-masks", options_.apply_masks);
  out.flag("keep-masks", options_.keep_masks).flag("positive-zeros", options_.positive_zeros);
  out.flag("weights-only", options_.weights_only);
  return out;
}

/// Requires: the weights have been counted. Error: conflict.
Status Job::check_gates() const {
  if (!gates_.any()) return {};
  const auto refuse = [this](const std::string& what, const std::string& option, double least) {
    return conflict(what + fmt::format(", below {} {:g}; nothing was written", option, least),
                    "a smaller --amount, or --exclude for what costs most")
        .in_file(task_.input);
  };
  if (by_data_) {
    const double db = sqnr_db(by_data_->gain.signal, by_data_->gain.noise);
    if (db >= *gates_.min_sqnr) return {};
    return refuse(fmt::format("the outputs of the layers have an SQNR of {:.1f} dB", db),
                  "--min-sqnr", *gates_.min_sqnr);
  }
  const std::vector<const PrunedTensor*> worst = worst_first(plan_);
  if (worst.empty() || !(worst.front()->energy_before > 0)) return {};
  const PrunedTensor& one = *worst.front();
  const double cosine = std::sqrt(one.energy_after / one.energy_before);
  const double db = sqnr_db(one.energy_before, one.energy_before - one.energy_after);
  const std::string name = "tensor " + mlc::quoted(one.names[0]);
  if (gates_.min_cosine && cosine < *gates_.min_cosine) {
    return refuse(fmt::format("{} has the cosine {:.6f} with what it was", name, cosine),
                  "--min-cosine", *gates_.min_cosine);
  }
  if (gates_.min_sqnr && db < *gates_.min_sqnr)
    return refuse(fmt::format("{} has an SQNR of {:.1f} dB", name, db), "--min-sqnr",
                  *gates_.min_sqnr);
  return {};
}

Status Job::write() {
  PruneForm form;
  form.keep_masks = options_.keep_masks;
  form.positive_zeros = options_.positive_zeros;
  if (options_.compress == Compress::deflate) form.share = 0;
  MLC_TRY(std::vector<uint32_t> sparse,
          apply_pruning(*input_.checkpoint, *state_dict_, plan_, form));
  SaveOptions save;
  save.format = format_;
  save.metadata_yaml = with_provenance(metadata_, "prune", provenance());
  save.threads = task_.threads;
  save.output = options_.writing.output_options();
  if (options_.compress != Compress::none) save.deflated = std::move(sparse);
  if (options_.writing.dry_run) {
    MLC_CHECK(check_gates());
    const std::string place = place_to_check(task_.output, options_.writing);
    MLC_TRY(saved_, plan_checkpoint(*input_.checkpoint, state_dict_, place, save));
    return {};
  }
  const bool whole = format_ == OutputFormat::torch_zip && !options_.weights_only;
  PruneCheck check;
  check.key = !whole ? "" : state_dict_->path.empty() ? "." : state_dict_->path;
  check.positive_zeros = options_.positive_zeros;
  check.keep_masks = options_.keep_masks;
  save.inspect = [&](const std::string& path) -> Status {
    check.written = path;
    MLC_CHECK(count_pruned(*input_.checkpoint, plan_, check, task_.threads, task_.reporter));
    return check_gates();
  };
  MLC_TRY(saved_,
          save_checkpoint(*input_.checkpoint, state_dict_, task_.output, save, task_.reporter));
  return {};
}

void Job::warn_afterwards() {
  std::vector<std::string> bad;
  for (const PrunedTensor& one : plan_.tensors) {
    if (one.not_finite > 0) bad.push_back(sentence_key(one.names[0]));
  }
  if (!bad.empty()) {
    task_.reporter.warn("some weights are infinite or NaN, which count as the largest: " +
                        join_list(bad));
  }
  if (!plan_.like_torch) {
    task_.reporter.warn("of equal weights at the cut the first went; torch.topk may take others");
  }
  const Checkpoint& checkpoint = *input_.checkpoint;
  if (format_ == OutputFormat::safetensors) {
    if (saved_.left_out.empty()) return;
    task_.reporter.warn("safetensors holds the tensors of a state_dict only; left out: " +
                        join_list(describe_values(checkpoint, saved_.left_out)));
    return;
  }
  std::vector<std::string> optimizers;
  for (const OptimizerState& one : find_optimizers(checkpoint)) optimizers.push_back(one.path);
  warn_of_stale_optimizers(optimizers, task_.reporter);
}

PruneAnswer Job::answer() const {
  uint64_t bytes = 0;
  for (const auto& file : input_.checkpoint->files) bytes += file->size();
  return {*input_.checkpoint,
          plan_,
          bytes,
          format_ == OutputFormat::torch_zip ? "pt" : "safetensors",
          saved_,
          options_.keep_masks,
          options_.writing.dry_run,
          by_data_};
}

/// Channels of an ONNX model, or weights of a checkpoint; for each what counts for it.
Result<FileReport> run_one(FileTask& task, const Options& options, const PruneRules& rules,
                           const PruneGates& gates) {
  const bool is_onnx = is_onnx_model(task.input);
  const bool channels = options.method == Method::channels;
  if (is_onnx && !channels) {
    return usage_error("of an ONNX model whole channels go", "add --method channels")
        .in_file(task.input);
  }
  if (!channels) return Job(task, options, rules, gates).run();
  const bool has_own =
      !options.key.empty() || !options.architecture.empty() || !options.emit_architecture.empty();
  if (is_onnx && has_own) {
    return usage_error("--key, --arch and --emit-arch are of checkpoints: this is an ONNX model")
        .in_file(task.input);
  }
  PruneOnnxOptions onnx = options.onnx;
  onnx.calib = options.calib;
  onnx.seed = static_cast<int64_t>(rules.seed);
  PruneOnnxShared shared;
  shared.rules = {rules.amount,  rules.scope,   rules.norm,
                  onnx.round_to, rules.include, rules.exclude};
  shared.gates = gates;
  shared.writing = options.writing;
  if (is_onnx) return prune_onnx(task, onnx, shared);
  const PruneArchitectureOptions own{options.architecture, options.key, options.emit_architecture};
  return prune_architecture(task, own, onnx, shared);
}

Result<ExitCode> run(const Options& options, Context& context) {
  MLC_TRY(const PruneRules rules, make_rules(options));
  MLC_TRY(const PruneGates gates, make_gates(options));
  WritingOptions writing = options.writing;
  writing.dry_run = writing.dry_run || options.onnx.list_groups;
  OtherFiles others;
  if (!options.report.empty()) others.writes.push_back({options.report, "--report"});
  const std::string& emitted = options.emit_architecture;
  if (!emitted.empty()) others.writes.push_back({emitted, "--emit-arch"});
  if (!options.architecture.empty()) others.reads.push_back({options.architecture, "--arch"});
  MLC_TRY(const auto files, plan_outputs(options.inputs, writing, {}, others));
  if (!options.report.empty()) {
    MLC_CHECK(OutputFile::check(options.report, options.writing.output_options()));
  }
  return run_files(context, files, options.writing.batch,
                   [&](FileTask& task) { return run_one(task, options, rules, gates); });
}

constexpr Example kExamples[] = {
    {"mlc prune model.pt -o pruned.pt --amount 0.3", "of each tensor the smallest 30 %"},
    {"mlc prune model.pt -o pruned.pt --amount 80% --scope global", "of all together"},
    {"mlc prune model.pt -o sparse.pt --pattern 2:4", "two of every four inputs stay"},
    {"mlc prune m.pt -o p.pt --method wanda --amount .5 --arch a.yml --calib x.pt",
     "by what the weights are multiplied with"},
    {"mlc prune trained.pt -o model.pt --apply-masks", "after torch.nn.utils.prune"},
    {"mlc prune net.onnx -o small.onnx --method channels --amount 0.5", "half the channels"},
    {"mlc prune net.onnx -o s.onnx --method channels --amount 0.5 --calib x.npy", "and repair"},
    {"mlc prune net.onnx --method channels --list-groups", "what can go, and why not"},
    {"mlc prune w.pt -o s.pt --arch a.yml --method channels --amount .5",
     "a checkpoint and its architecture"},
    {"mlc prune model.pt -o p.pt --amount 0.5 --min-cosine 0.9", "or nothing, exit code 1"},
    {"mlc prune model.pt -n --amount 0.5 --exclude '*embed*'", "what would be lost"},
};

}  // namespace

Command prune_command() {
  return {
      .name = "prune",
      .group = Group::convert,
      .summary = "set weights to zero, or take whole channels away",
      .details =
          "Tensors of two or more dimensions are pruned, biases apart. With magnitude the "
          "result is bit for bit that of torch.nn.utils.prune (l1_unstructured, "
          "global_unstructured, with rows ln_structured of dimension 0) and its remove(), "
          "except that beyond 16 million weights to choose from, equal ones at the cut go in "
          "their order. Tensors that lie as NAME_orig and NAME_mask are folded.\n\n"
          "Zeros do not run faster: dense kernels multiply them like any weight. They make "
          "the file smaller: records that are half zeros are deflated, which torch.load "
          "reads as ever (without mmap). Of random, only the numbers agree with PyTorch's, "
          "whose generator is another.\n\n"
          "Speed comes from --method channels, which makes the tensors of an ONNX model smaller. "
          "Channels that depend on each other go together: those of a residual sum, of a norm "
          "and its convolution, whole heads, whole groups. What an operator computes across, "
          "what is an output, and what an unknown operator reads stays, with the reason in "
          "--list-groups. The result is run and compared with the whole model in which nobody "
          "reads these channels, and must be equal to it, before it appears. How near it still "
          "is to the model that it was made of is shown; training it further brings back what "
          "it lost. --calib takes samples without labels: the channels that the others tell best "
          "go, "
          "and the weights that read what is left make up for them, by least squares.\n\n"
          "Of a checkpoint with its architecture (--arch, or in its metadata) the same channels go "
          "as of the ONNX model that export-onnx makes of it. --emit-arch writes the YAML with the "
          "sizes that are left; comments and expressions stay. What the YAML cannot state stays "
          "whole. TorchScript and .pt2 are refused: prune the checkpoint, then trace it.",
      .needs = Needs::nothing,
      .examples = kExamples,
      .setup = bind<Options, setup, run>};
}

}  // namespace mlc::cli
