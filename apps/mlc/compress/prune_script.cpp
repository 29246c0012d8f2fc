#include "compress/prune_script.h"

#include "compress/channel_picture.h"
#include "compress/layer_samples.h"
#include "compress/script_inputs.h"
#include "compress/script_numbers.h"
#include "files/metadata_sources.h"
#include "files/provenance_options.h"
#include "mlc/base/output_file.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/format.h"
#include "mlc/engine/artefact.h"
#include "mlc/engine/capture_request.h"
#include "mlc/engine/extra_files.h"
#include "mlc/engine/match_inputs.h"
#include "mlc/engine/module_loader.h"
#include "mlc/engine/sample_inputs.h"
#include "mlc/engine/stored_inputs.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>

#include <fmt/format.h>

namespace mlc::cli {
namespace {

/// SPECS with a first size that varies, where that is the same in all of them and nobody named one.
std::optional<std::vector<InputSpec>> with_batch(const std::vector<InputSpec>& specs) {
  constexpr int64_t kMost = 64;
  std::vector<InputSpec> out = specs;
  for (InputSpec& spec : out) {
    const bool named = std::ranges::any_of(spec.dims, [](const InputDim& dim) {
      return !dim.symbol.empty() || !dim.computed.empty();
    });
    if (named || !spec.file.empty() || spec.dims.empty()) return std::nullopt;
    const int64_t size = spec.dims[0].example;
    if (size < 1 || size != out[0].dims[0].example) return std::nullopt;
    spec.dims[0].symbol = "batch";
    spec.dims[0].bounds = {1, std::max(size, kMost)};
  }
  return out.empty() ? std::nullopt : std::optional(std::move(out));
}

bool varies(const std::vector<InputSpec>& specs) {
  return std::ranges::any_of(specs, [](const InputSpec& spec) {
    return std::ranges::any_of(spec.dims, [](const InputDim& dim) { return !dim.symbol.empty(); });
  });
}

class Job : public ChannelHost {
 public:
  Job(FileTask& task, const PruneOnnxOptions& options, const PruneOnnxShared& shared)
      : task_(task), options_(options), shared_(shared) {}

  Result<FileReport> run();

  const std::string& onnx_path() const override { return picture_->path(); }
  uint64_t input_bytes() const override { return input_bytes_; }
  const std::vector<InputSpec>& inputs() const override { return specs_; }
  onnx::KeptAxes kept_axes(const onnx::Document& whole) override;
  void restrict(const onnx::Document& whole, const onnx::ValueAxes& values,
                onnx::ChannelGraph& graph) override {
    numbers_->restrict(whole, values, graph);
  }
  Status write(const onnx::Document& unread, const onnx::Document& small,
               PruneOnnxAnswer& answer) override;

 private:
  Status check_usage() const;
  Status open();
  Status choose_specs();
  Result<CapturedProgram> capture();
  Status picture();
  Status look_at_weights(const CapturedProgram& program);
  onnx::KeptAxis why_whole(const onnx::Document& whole, const std::string& name) const;
  Result<std::unique_ptr<Model>> load(Reporter& reporter) const;
  Result<ResizeRequest> tensors_of(const onnx::Document& document) const;
  Result<ExtraFiles> extra_files() const;
  Result<OutputFile> resized(const ResizeRequest& request, const TraceOptions& form);
  Result<Judgement> compare(const onnx::Document& unread, const OutputFile& out) const;

  /// Where files that nobody names lie.
  const std::string& beside() const { return task_.output.empty() ? task_.input : task_.output; }

  FileTask& task_;
  const PruneOnnxOptions& options_;
  const PruneOnnxShared& shared_;
  std::optional<Artefact> source_;
  uint64_t input_bytes_ = 0;
  std::unique_ptr<Engine> torch_;
  std::unique_ptr<Model> model_;  // that becomes the smaller one
  std::vector<InputSpec> specs_;
  std::vector<InputSpec> captured_;  // the same with sizes that vary
  NamedSizes tensors_;               // of the state_dict, as far as the program reads them
  std::set<std::string> constants_;  // of the code
  std::optional<ChannelPicture> picture_;
  std::optional<ScriptNumbers> numbers_;
  PicturedTensors pictured_;
};

Status Job::check_usage() const {
  if (shared_.writing.in_place)
    return usage_error("a TorchScript file is not pruned in place", "-o FILE gives it a new name");
  if (!task_.output.empty() && !task_.output.ends_with(".pt"))
    return usage_error(
        "the output would be a TorchScript file under the name " + quoted(task_.output),
        "name it .pt");
  return {};
}

Status Job::open() {
  MLC_TRY(source_, Artefact::open(task_.input, {}, task_.reporter));
  MLC_CHECK(source_->check_whole(task_.threads, task_.reporter));
  MLC_TRY(input_bytes_, source_->file_bytes());
  MLC_TRY(const auto metadata, metadata_to_carry(source_->checkpoint()));
  if (metadata && metadata->get("quantization") != nullptr)
    return conflict("the weights are quantised", "prune first, then quantise");
  MLC_TRY(torch_, open_engine(EngineKind::torch));
  MLC_TRY(model_, load(task_.reporter));
  return choose_specs();
}

Result<std::unique_ptr<Model>> Job::load(Reporter& reporter) const {
  LoadOptions how;
  how.threads = task_.threads;
  return source_->load(*torch_, how, reporter);
}

/// Those of --input, of the file, or of the samples.
Status Job::choose_specs() {
  MLC_TRY(specs_, parse_input_specs(options_.inputs));
  if (specs_.empty()) specs_ = source_->inputs();
  if (specs_.empty()) specs_ = traced_inputs(model_->signature());
  if (specs_.empty() && !options_.calib.empty()) {
    MLC_TRY(const auto data,
            CalibrationData::open(options_.calib, calibration_inputs(model_->signature(), {}),
                                  null_reporter()));
    MLC_TRY(specs_, sampled_inputs(data));
  }
  return match_inputs(model_->signature(), specs_);
}

/// With a batch that varies where the program takes one, so that numbers which hang on it are told
/// from others.
Result<CapturedProgram> Job::capture() {
  const auto with = [this](std::vector<InputSpec> specs) -> Result<CapturedProgram> {
    captured_ = specs;
    MLC_TRY(
        const CaptureRequest request,
        capture_request(std::move(specs), static_cast<uint64_t>(options_.seed), null_reporter()));
    return model_->capture(request);
  };
  if (auto batched = with_batch(specs_)) {
    auto captured = with(std::move(*batched));
    if (captured.ok()) return captured;
    task_.reporter.detail("captured with fixed sizes: " + captured.error().message());
  }
  auto captured = with(specs_);
  if (captured.ok() || !captured.error().hint().empty()) return captured;
  MLC_TRY(const auto inputs,
          sample_inputs(specs_, static_cast<uint64_t>(options_.seed), null_reporter()));
  return explain_run_error(std::move(captured).error(), model_->signature(), inputs);
}

/// Error: conflict for a program that has all its weights as constants.
Status Job::look_at_weights(const CapturedProgram& captured) {
  const ExportedProgram& program = captured.program;
  bool has_constants = false;
  for (const ProgramWeight& weight : program.weights) {
    const ir::TensorType& type = *weight.value->tensor();
    std::vector<int64_t> sizes;
    for (const ir::Expr size : *type.sizes)
      sizes.push_back(program.graph.symbols().constant_value(size).value_or(0));
    if (weight.value->kind() == ir::ValueKind::constant) {
      constants_.insert(weight.key);
      has_constants = has_constants || sizes.size() > 1;
    } else {
      tensors_.emplace_back(weight.key, std::move(sizes));
    }
  }
  if (!tensors_.empty() || !has_constants) return {};
  return conflict(
      "its weights are constants of its code, as torch.jit.freeze and `mlc trace --freeze` make "
      "them",
      "prune the file that was frozen, then freeze the result");
}

Status Job::picture() {
  MLC_TRY(CapturedProgram captured, capture());
  MLC_CHECK(look_at_weights(captured));
  MLC_TRY(ChannelPicture drawn,
          ChannelPicture::draw(std::move(captured), captured_, beside(), model_->sites()));
  picture_.emplace(std::move(drawn));
  numbers_.emplace(*picture_, varies(captured_));
  return {};
}

/// Of a tensor that is none of the state_dict: ones of a norm without weights can follow others,
/// but what is made of weights, or stands in the code, cannot.
onnx::KeptAxis Job::why_whole(const onnx::Document& whole, const std::string& name) const {
  const bool turned = name.ends_with(".T") && constants_.contains(name.substr(0, name.size() - 2));
  if (constants_.contains(name) || turned) return {"it is a constant of the code", false};
  const auto is_pictured = [this](const std::string& key) {
    return pictured_.contains(key) || pictured_.contains(key + ".T") ||
           pictured_.contains(key + ".ones");
  };
  for (const onnx::DocNode& node : whole.nodes) {
    if (std::ranges::find(node.inputs, name) == node.inputs.end()) continue;
    const std::string path = module_path(node);
    const std::string prefix = path.empty() ? "" : path + ".";
    const auto hidden = std::ranges::find_if(tensors_, [&](const auto& tensor) {
      return tensor.first.starts_with(prefix) && !is_pictured(tensor.first);
    });
    const bool of_norm = node.is("BatchNormalization") || node.is("InstanceNormalization");
    if (hidden == tensors_.end() && !of_norm) return {"the code makes it of numbers", false};
    if (hidden == tensors_.end()) return {"it is no weight", true};
    return {(path.empty() ? "the model" : printable(path)) + " computes with " +
                printable(hidden->first) + " in another form",
            false};
  }
  return {"it is computed from weights", false};
}

onnx::KeptAxes Job::kept_axes(const onnx::Document& whole) {
  pictured_ = find_pictured(whole, tensors_);
  std::map<std::string, size_t> forms;
  for (const auto& [name, one] : pictured_) ++forms[one.key];
  onnx::KeptAxes out;
  for (const onnx::DocTensor& tensor : whole.tensors) {
    const auto found = pictured_.find(tensor.name);
    std::optional<onnx::KeptAxis> why;
    if (found == pictured_.end()) {
      why = why_whole(whole, tensor.name);
    } else if (const std::string& key = found->second.key; forms.at(key) > 1) {
      why = onnx::KeptAxis{"the model reads " + printable(key) + " in two ways", false};
    }
    for (size_t axis = 0; why && axis < tensor.sizes.size(); ++axis)
      out[{tensor.name, axis}] = *why;
  }
  return out;
}

Result<ResizeRequest> Job::tensors_of(const onnx::Document& document) const {
  ResizeRequest out;
  for (const auto& [name, one] : pictured_) {
    const onnx::DataRef data = data_of_pictured(document, name, one);
    if (data == nullptr) continue;
    MLC_TRY(const onnx::Buffer buffer, data->produce());
    out.tensors[one.key] = Weight{data->dtype, data->sizes, buffer.bytes, buffer.owner};
  }
  return out;
}

Result<ExtraFiles> Job::extra_files() const {
  MLC_TRY(auto metadata, metadata_to_carry(source_->checkpoint()));
  MLC_TRY(CarriedFiles carried, carried_files(source_->checkpoint()));
  if (!carried.left_out.empty()) {
    task_.reporter.warn("the new file lacks extra files, which hold above 256 MiB: " +
                        join_list(carried.left_out));
  }
  ExtraFiles out = std::move(carried.files);
  MLC_TRY(const auto inputs,
          sample_inputs(specs_, static_cast<uint64_t>(options_.seed), null_reporter()));
  MLC_TRY(const StoredInputs kept, store_inputs(specs_, inputs, std::nullopt));
  out.insert(out.end(), kept.files.begin(), kept.files.end());
  ProvenanceOptions given;
  given.text("method", "channels");
  add_channel_options(options_, shared_, given);
  const auto yaml = with_provenance(std::move(metadata), "prune", given);
  if (yaml) out.emplace_back("mlc/metadata.yaml", *yaml);
  return out;
}

/// Whether the new program is the old one in which nobody reads the channels that went.
Result<Judgement> Job::compare(const onnx::Document& unread, const OutputFile& out) const {
  const std::string hint = "--exclude leaves channels whole that its code counts in another way";
  MLC_TRY(const auto before, load(null_reporter()));
  MLC_TRY(const ResizeRequest zeros, tensors_of(unread));
  MLC_CHECK(before->resize(zeros));
  LoadOptions how;
  how.threads = task_.threads;
  MLC_TRY_CTX(const auto after,
              torch_->load(fmt::format("/proc/self/fd/{}", out.fd()), how, null_reporter()),
              "reading the new file back");
  JudgeOptions judge =
      judge_options(specs_, nullptr, 2, options_.seed, task_.threads, null_reporter());
  if (options_.no_verify) judge.seconds = 0;
  Judgement pair;
  Status judged = judge_models(*torch_, *before, *after, judge, task_.reporter, pair);
  if (!judged.ok() && judged.error().kind() == ErrorKind::internal)
    return conflict("the program does not run with fewer channels: " + judged.error().message(),
                    hint);
  MLC_CHECK(std::move(judged));
  const JudgedOutput* const wrong = find_unequal(pair);
  if (wrong == nullptr) return pair;
  return conflict(
      fmt::format("with fewer channels the program computes something else: output {} is at "
                  "{:.1f} dB of what it has to be; nothing was written",
                  mlc::quoted(wrong->name), *wrong->sqnr_db),
      hint);
}

Status Job::write(const onnx::Document& unread, const onnx::Document& small,
                  PruneOnnxAnswer& answer) {
  MLC_TRY(ResizeRequest request, tensors_of(small));
  TraceOptions form;
  MLC_TRY(form.extra, extra_files());
  request.numbers = numbers_->changed(answer.plan, false);
  MLC_TRY(OutputFile first, resized(request, form));
  std::optional<OutputFile> out(std::move(first));
  auto compared = compare(unread, *out);
  // A number may have been computed of channels that went, as the width of heads of that of all.
  if (!compared.ok() && compared.error().kind() == ErrorKind::conflict) {
    request.numbers = numbers_->changed(answer.plan, true);
    MLC_TRY(OutputFile other, resized(request, form));
    if (auto again = compare(unread, other); again.ok()) {
      out.emplace(std::move(other));
      compared = std::move(again);
    }
  }
  MLC_TRY(const Judgement pair, std::move(compared));
  MLC_CHECK(take_speed(pair, options_, answer, task_.reporter));
  answer.file_bytes = out->position();
  if (shared_.writing.dry_run) return {};
  return out->publish(source_->checkpoint().files);
}

/// The model as REQUEST says, in a file without a name.
Result<OutputFile> Job::resized(const ResizeRequest& request, const TraceOptions& form) {
  MLC_CHECK(model_->resize(request));
  const OutputOptions nameless{.replace = true, .sync = false, .mode = 0};
  MLC_TRY(OutputFile out,
          OutputFile::create(beside(),
                             task_.output.empty() ? nameless : shared_.writing.output_options()));
  MLC_CHECK(model_->write_torchscript(form, [&out](Bytes bytes) { return out.write(bytes); }));
  MLC_CHECK(out.flush());
  return out;
}

Result<FileReport> Job::run() {
  MLC_CHECK(check_usage());
  const auto in_file = [this](Status status) {
    return status.ok() ? Status() : Status(std::move(status).error().in_file(task_.input));
  };
  MLC_CHECK(in_file(open()));
  MLC_CHECK(in_file(picture()));
  PruneOnnxShared shared = shared_;
  shared.host = this;
  return prune_onnx(task_, options_, shared);
}

}  // namespace

bool is_torchscript(const std::string& path) {
  const auto checkpoint = open_checkpoint(path);
  return checkpoint.ok() && (*checkpoint)->format == Format::torchscript;
}

Result<FileReport> prune_script(FileTask& task, const PruneOnnxOptions& options,
                                const PruneOnnxShared& shared) {
  return Job(task, options, shared).run();
}

}  // namespace mlc::cli
