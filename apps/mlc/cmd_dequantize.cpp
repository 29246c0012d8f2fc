#include "cli/json_writer.h"
#include "command.h"
#include "files/batch.h"
#include "files/cast_warnings.h"
#include "files/in_place.h"
#include "files/metadata_sources.h"
#include "files/open_input.h"
#include "files/provenance_options.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/copy_tensors.h"
#include "mlc/checkpoint/save.h"
#include "mlc/checkpoint/write_sharded.h"
#include "mlc/compress/foreign_record.h"
#include "mlc/compress/quantize.h"

namespace mlc::cli {
namespace {

struct Options {
  std::vector<std::string> inputs;
  std::string key;
  std::string dtype;
  WritingOptions writing;
};

void setup(OptionSet& set, Options& options) {
  set.positionals("INPUT", options.inputs, 1,
                  "checkpoints that `mlc quantize` wrote, or compressed-tensors");
  set.group("What is written");
  set.key_path("--key", options.key, "the state_dict inside the checkpoint, as in model.ema");
  set.text("--dtype", options.dtype, "TYPE", "of the weights; by default what they had before");
  set.suggest({"fp32", "bf16", "fp16"});
  add_writing_options(set, options.writing);
  set.check([&options]() -> Status {
    if (options.dtype.empty()) return {};
    const auto dtype = dtype_from_name(options.dtype);
    if (dtype && (*dtype == DType::f32 || *dtype == DType::f16 || *dtype == DType::bf16)) return {};
    return usage_error("no such floating-point type: " + mlc::quoted(options.dtype),
                       "fp32, bf16 or fp16");
  });
}

class Job {
 public:
  Job(FileTask& task, const Options& options) : task_(task), options_(options) {}

  Result<FileReport> run() {
    MLC_TRY(input_, open_input(task_.input, task_.reporter));
    MLC_CHECK(choose());
    MLC_CHECK(restore());
    MLC_CHECK(write());
    if (task_.json) show();
    return FileReport{ExitCode::done, summary()};
  }

 private:
  Status choose();
  Status restore();
  Status write();
  void show();
  std::string summary() const;

  FileTask& task_;
  const Options& options_;
  Input input_;
  StateDict* state_dict_ = nullptr;
  OutputFormat format_ = OutputFormat::torch_zip;
  std::optional<Metadata> metadata_;
  uint64_t restored_ = 0;
  SaveReport saved_;
  CastLog casts_;
};

Status Job::choose() {
  MLC_TRY(format_, format_of_output(input_, task_.output, options_.writing));
  MLC_TRY(state_dict_, choose_state_dict(input_, options_.key));
  return {};
}

Status Job::restore() {
  MLC_TRY(metadata_, metadata_to_carry(*input_.checkpoint));
  std::optional<QuantizedRecord> record;
  if (metadata_) {
    MLC_TRY(record, quantized_record(*metadata_));
  }
  if (!record) {
    auto foreign = foreign_record(*input_.checkpoint, *state_dict_);
    if (!foreign.ok()) return std::move(foreign).error().in_file(task_.input);
    record = std::move(*foreign);
  }
  if (!record) {
    return unsupported("its metadata does not say that it is quantised",
                       "`mlc dequantize` takes what `mlc quantize` wrote, and files of "
                       "compressed-tensors")
        .in_file(task_.input);
  }
  if (!options_.dtype.empty()) {
    for (QuantizedTensor& one : record->tensors) one.dtype = *dtype_from_name(options_.dtype);
  }
  restored_ = record->tensors.size();
  MLC_CHECK(check_storages(*input_.checkpoint, named_tensors(*state_dict_), task_.threads));
  auto done =
      restore_weights(*input_.checkpoint, *state_dict_, *record,
                      [this](const std::string& name) -> CastCounts& { return casts_.of(name); });
  if (!done.ok()) return std::move(done).error().in_file(task_.input);
  if (metadata_) MLC_CHECK(metadata_->remove("quantization"));
  return {};
}

Status Job::write() {
  SaveOptions save;
  save.format = format_;
  ProvenanceOptions provenance;
  provenance.text("key", options_.key).text("dtype", options_.dtype);
  save.metadata_yaml = with_provenance(metadata_, "dequantize", provenance);
  save.threads = task_.threads;
  save.output = options_.writing.output_options();
  if (options_.writing.dry_run) {
    const std::string place = place_to_check(task_.output, options_.writing);
    MLC_TRY(saved_, plan_checkpoint(*input_.checkpoint, state_dict_, place, save));
    return {};
  }
  MLC_TRY(saved_,
          save_checkpoint(*input_.checkpoint, state_dict_, task_.output, save, task_.reporter));
  warn_of_index_metadata(*input_.checkpoint, task_.reporter);
  warn_of_overflow(casts_, options_.dtype, task_.reporter);
  warn_of_underflow(casts_, options_.dtype, task_.reporter);
  return {};
}

std::string Job::summary() const {
  const std::string what = plural(restored_, "tensor") + " in float again";
  if (options_.writing.dry_run) {
    return "dry run: would write " + what + ", " + format_bytes(saved_.bytes) +
           " of tensor data; nothing was written";
  }
  return "wrote " + output_text(task_.output) + ": " + what + ", " +
         format_bytes(saved_.file_size) + tied_text(saved_);
}

void Job::show() {
  JsonWriter json(task_.out, task_.json_layout());
  json.begin_object();
  json.field("schema", "mlc.dequantize/1");
  json.field("input", task_.input);
  json.field("output", task_.output);
  json.field("dry_run", options_.writing.dry_run);
  json.field("format", format_ == OutputFormat::torch_zip ? "pt" : "safetensors");
  json.field("restored", restored_);
  json.field("tensors", saved_.tensors);
  json.field("bytes", saved_.bytes);
  json.field("file_bytes", saved_.file_size);
  json.end_object();
}

Result<ExitCode> run(const Options& options, Context& context) {
  MLC_TRY(const auto files, plan_outputs(options.inputs, options.writing));
  return run_files(context, files, options.writing.batch,
                   [&](FileTask& task) { return Job(task, options).run(); });
}

constexpr Example kExamples[] = {
    {"mlc dequantize model.int8.pt -o model.pt", "float weights for any code"},
    {"mlc dequantize small.safetensors -o half.pt --dtype fp16", "in half precision"},
};

}  // namespace

Command dequantize_command() {
  return {.name = "dequantize",
          .group = Group::convert,
          .summary = "turn quantised weights into floats again",
          .details =
              "The inverse of `mlc quantize`: names, shapes and types are those from "
              "before, values those that the codes stand for. What quantising rounded "
              "away does not come back. Files that compressed-tensors wrote are read too: "
              "pack-quantized and int-quantized, with 4 or 8 bits and without zero points.",
          .needs = Needs::nothing,
          .examples = kExamples,
          .setup = bind<Options, setup, run>};
}

}  // namespace mlc::cli
