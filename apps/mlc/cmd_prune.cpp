#include "cli/below_text.h"
#include "command.h"
#include "compress/compress_report.h"
#include "compress/layer_samples.h"
#include "compress/prune_architecture.h"
#include "compress/prune_onnx.h"
#include "compress/prune_options.h"
#include "compress/prune_script.h"
#include "compress/prune_view.h"
#include "compress/quantize_checkpoint.h"
#include "compress/quantize_onnx.h"
#include "files/batch.h"
#include "files/in_place.h"
#include "files/metadata_sources.h"
#include "files/open_input.h"
#include "files/unused_patterns.h"
#include "mlc/base/file.h"
#include "mlc/base/sentence_key.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/copy_tensors.h"
#include "mlc/checkpoint/optimizer.h"
#include "mlc/checkpoint/save.h"
#include "mlc/compress/data_pruning.h"
#include "mlc/compress/prune_plan.h"
#include "models/is_onnx_model.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include <fmt/format.h>

namespace mlc::cli {
namespace {

class Job {
 public:
  Job(FileTask& task, const PruneRequest& options, const PruneRules& rules, const PruneGates& gates)
      : task_(task), options_(options), rules_(rules), gates_(gates) {}

  Result<FileReport> run() {
    MLC_TRY(input_, open_input(task_.input, task_.reporter));
    MLC_CHECK(choose());
    MLC_TRY(metadata_, metadata_to_carry(*input_.checkpoint));
    MLC_CHECK(refuse_quantised());
    MLC_TRY(plan_, plan_pruning(*input_.checkpoint, *state_dict_, rules_));
    MLC_CHECK(decide());
    Status written = write();
    if (!written.ok() && is_refused_) MLC_CHECK(write_report(written.error().message()));
    if (!written.ok()) return std::move(written).error();
    warn_afterwards();
    const PruneAnswer answer = this->answer();
    MLC_CHECK(write_report(""));
    show_pruned(answer, task_);
    return FileReport{ExitCode::done, pruned_summary(answer, task_)};
  }

 private:
  Status choose();
  Status refuse_quantised() const;
  Status decide();
  Status choose_by_samples();
  Status check_gates();
  Status write();
  Status write_report(std::string_view refused) const;
  void warn_of_small_count();
  void warn_afterwards();
  void warn_of_optimizers();
  PruneAnswer answer() const;

  FileTask& task_;
  const PruneRequest& options_;
  const PruneRules& rules_;
  const PruneGates& gates_;
  Input input_;
  StateDict* state_dict_ = nullptr;
  OutputFormat format_ = OutputFormat::torch_zip;
  std::optional<Metadata> metadata_;
  PrunePlan plan_;
  std::optional<DataPruning> by_data_;
  SaveReport saved_;
  bool is_refused_ = false;  // by a gate
};

Status Job::choose() {
  MLC_TRY(format_, format_of_output(input_, task_.output, options_.writing));
  if (format_ == OutputFormat::safetensors && options_.compress == DeflateZeros::deflate) {
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
  if (read.empty()) {
    task_.reporter.warn("no tensor is pruned: " +
                        (plan_.tensors.empty() ? "the checkpoint has none" : left_counts(plan_)));
  }
  MLC_CHECK(check_storages(*input_.checkpoint, read, task_.threads));
  if (chooses_by_data(options_.method) && !read.empty()) {
    MLC_CHECK(choose_by_samples());
  } else {
    MLC_CHECK(choose_pruned(*input_.checkpoint, plan_, task_.threads, task_.reporter));
  }
  // Which records deflate well is known by their zeros.
  const bool by_zeros = options_.compress == DeflateZeros::automatic &&
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
  how.unseen = options_.method == PruneWay::wanda ? "their weights go first"
                                                  : "their weights are likely to go";
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

/// Requires: the weights have been counted. Error: conflict.
Status Job::check_gates() {
  if (!gates_.any()) return {};
  const auto refuse = [this](const std::string& what, const std::string& option, double least) {
    is_refused_ = true;
    return conflict(what + fmt::format(", below {} {}; nothing was written", option, least),
                    "a smaller --amount, or --exclude for what costs most")
        .in_file(task_.input);
  };
  if (by_data_) {
    const double db = sqnr_db(by_data_->gain.signal, by_data_->gain.noise);
    if (db >= *gates_.min_sqnr) return {};
    return refuse(
        "the outputs of the layers have an SQNR of " + value_below(db, *gates_.min_sqnr, 1) + " dB",
        "--min-sqnr", *gates_.min_sqnr);
  }
  const std::vector<const PrunedTensor*> worst = worst_first(plan_);
  if (worst.empty() || !(worst.front()->energy_before > 0)) return {};
  const PrunedTensor& one = *worst.front();
  const double cosine = std::sqrt(one.energy_after / one.energy_before);
  const double db = sqnr_db(one.energy_before, one.energy_before - one.energy_after);
  const std::string name = "tensor " + mlc::quoted(one.names[0]);
  if (gates_.min_cosine && cosine < *gates_.min_cosine) {
    return refuse(
        name + " has the cosine " + value_below(cosine, *gates_.min_cosine) + " with what it was",
        "--min-cosine", *gates_.min_cosine);
  }
  if (gates_.min_sqnr && db < *gates_.min_sqnr)
    return refuse(name + " has an SQNR of " + value_below(db, *gates_.min_sqnr, 1) + " dB",
                  "--min-sqnr", *gates_.min_sqnr);
  return {};
}

/// Of what a gate REFUSED too: it shows which tensors cost most.
Status Job::write_report(std::string_view refused) const {
  if (options_.report.empty() || options_.writing.dry_run) return {};
  return write_html(pruned_html(answer(), task_, refused), options_.report,
                    options_.writing.output_options(), input_.checkpoint->files);
}

Status Job::write() {
  PruneForm form;
  form.positive_zeros = options_.positive_zeros;
  if (options_.compress == DeflateZeros::deflate) form.share = 0;
  MLC_TRY(std::vector<uint32_t> sparse,
          apply_pruning(*input_.checkpoint, *state_dict_, plan_, form));
  SaveOptions save;
  save.format = format_;
  save.metadata_yaml = with_provenance(metadata_, "prune", provenance_of(options_, rules_));
  save.threads = task_.threads;
  save.output = options_.writing.output_options();
  if (options_.compress != DeflateZeros::none) save.deflated = std::move(sparse);
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
  save.inspect = [&](const std::string& path) -> Status {
    check.written = path;
    MLC_CHECK(count_pruned(*input_.checkpoint, plan_, check, task_.threads, task_.reporter));
    return check_gates();
  };
  MLC_TRY(saved_,
          save_checkpoint(*input_.checkpoint, state_dict_, task_.output, save, task_.reporter));
  return {};
}

/// `--amount 50` of somebody who means half of the weights.
void Job::warn_of_small_count() {
  constexpr uint64_t kLikePercent = 100;
  if (!rules_.amount || !rules_.amount->is_count || rules_.amount->count > kLikePercent) return;
  uint64_t pruned = 0;
  for (const PrunedTensor& one : plan_.tensors) pruned += one.is_pruned() ? one.weights : 0;
  const bool is_layer = rules_.scope == PruneScope::layer;
  const bool is_plain = rules_.shape.pattern == PrunePattern::unstructured;
  if (!is_plain || rules_.amount->count < 2 || pruned < 100 * kLikePercent) return;
  const std::string count = format_count(rules_.amount->count);
  task_.reporter.warn("--amount " + count + " is " + count + " weights" +
                      (is_layer ? " of each tensor" : "") + ", --amount " + count +
                      "% a share of them");
}

void Job::warn_afterwards() {
  warn_of_small_count();
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
  warn_of_optimizers();
}

/// Its tensors fit those that became zero, unless they have other names now.
void Job::warn_of_optimizers() {
  const auto changed = [](const PrunedTensor& one) { return one.is_pruned() || one.is_folded(); };
  if (std::ranges::none_of(plan_.tensors, changed)) return;
  std::vector<std::string> optimizers;
  for (const OptimizerState& one : find_optimizers(*input_.checkpoint))
    optimizers.push_back(one.path);
  const bool renamed =
      options_.keep_masks || std::ranges::any_of(plan_.tensors, &PrunedTensor::is_folded);
  if (renamed || optimizers.empty()) return warn_of_stale_optimizers(optimizers, task_.reporter);
  for (std::string& path : optimizers) path = path.empty() ? "." : printable(path);
  task_.reporter.warn("the optimizer state at " + join_list(optimizers) +
                      " is kept and fits, but a step with it makes zeros other numbers again; "
                      "--weights-only leaves it out");
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

/// Channels of a model, or weights of a checkpoint; for each what counts for it.
Result<FileReport> run_one(FileTask& task, const PruneRequest& options, const PruneRules& rules,
                           const PruneGates& gates) {
  const bool is_onnx = is_onnx_model(task.input);
  const bool channels = options.method == PruneWay::channels;
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
  shared.report = options.report;
  if (is_onnx) return prune_onnx(task, onnx, shared);
  if (is_torchscript(task.input)) {
    if (!has_own) return prune_script(task, onnx, shared);
    return usage_error("--key, --arch and --emit-arch are of checkpoints: this is TorchScript")
        .in_file(task.input);
  }
  const PruneArchitectureOptions own{options.architecture, options.key, options.emit_architecture};
  return prune_architecture(task, own, onnx, shared);
}

Result<ExitCode> run(const PruneRequest& options, Context& context) {
  MLC_TRY(const PruneRules rules, prune_rules(options));
  MLC_TRY(const PruneGates gates, prune_gates(options));
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
          "whose generator is another. Weights whose inputs are 0 in all samples go first with "
          "wanda, and are likely to with sparsegpt.\n\n"
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
          "whole. Of TorchScript the same channels go, and the numbers in its program that count "
          "them change, as in view(-1, 12, 64) and groups=32; --input says what it takes where the "
          "file does not. A .pt2 is refused: mlc trace makes TorchScript of it.",
      .needs = Needs::nothing,
      .examples = kExamples,
      .setup = bind<PruneRequest, add_prune_options, run>};
}

}  // namespace mlc::cli
