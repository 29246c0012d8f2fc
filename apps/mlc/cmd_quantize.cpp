#include "command.h"
#include "compress/onnx_control.h"
#include "compress/quantize_checkpoint.h"
#include "mlc/base/file.h"
#include "mlc/base/text.h"
#include "models/is_onnx_model.h"

#include <algorithm>
#include <optional>

namespace mlc::cli {
namespace {

constexpr std::pair<std::string_view, Rounding> kRoundings[] = {{"rtn", Rounding::rtn},
                                                                {"mse", Rounding::mse},
                                                                {"hqq", Rounding::hqq},
                                                                {"gptq", Rounding::gptq},
                                                                {"awq", Rounding::awq}};
constexpr std::pair<std::string_view, QuantFormat> kFormats[] = {
    {"plain", QuantFormat::plain}, {"compressed-tensors", QuantFormat::compressed_tensors}};

constexpr std::pair<std::string_view, ScriptForm> kScriptForms[] = {
    {"dynamic", ScriptForm::dynamic}, {"static", ScriptForm::with_ranges}};

void setup(OptionSet& set, QuantizeRequest& options) {
  set.positionals("INPUT", options.inputs, 1, "checkpoints of any format, or ONNX models");
  set.group("How");
  set.text("--scheme", options.scheme, "SCHEME",
           "int8 (default), int4, fp16, bf16; :g64, :channel, :sym, :asym as in int4:g64:sym");
  set.suggest({"int8", "int4", "fp16", "bf16", "int8:g64", "int4:g128", "int4:channel"});
  set.choice(
      "--rounding", options.rounding, kRoundings,
      "ranges by rtn (default), least squared error, or half-quadratic zero points; with --calib "
      "gptq (of ONNX models int4): codes by what the weights are multiplied with, awq (int4): "
      "finer "
      "steps for inputs that are large");
  set.choice("--format", options.format, kFormats,
             "names and layout of the new tensors; plain by default");
  set.file("--write-config", options.write_config, "FILE",
           "of compressed-tensors: the input's config.json with quantization_config in it");
  set.is_written();
  set.group("Which tensors");
  set.key_path("--key", options.key, "the state_dict inside the checkpoint, as in model.ema");
  set.list("--tensor", options.tensors, "RE=SCHEME",
           "another scheme, or keep, where RE2 matches; the last counts; repeatable");
  set.list("--include", options.include, "GLOB", "quantise only keys that match; repeatable");
  set.list("--exclude", options.exclude, "GLOB", "keep keys that match; repeatable");
  set.text("--min-elements", options.min_elements, "N",
           "keep tensors with fewer elements; 4096 by default");
  set.file("--recipe", options.recipe, "FILE", "schemes and rules as YAML; options add to it");
  set.file("--write-recipe", options.write_recipe, "FILE", "write what was done as a recipe");
  set.is_written();
  set.flag("--weights-only", options.weights_only, "write nothing but the state_dict");
  set.choice("--compress", options.compress, kDeflateZeros,
             "deflate codes of weights in a .pt that are half zeros (auto), all, or none");
  set.file("--report", options.report, "FILE",
           "write one HTML page: sizes, errors, the worst layers, what was kept and why");
  set.is_written();
  set.group("Goals");
  set.size("--target-size", options.target_size, "SIZE",
           "choose int4, int8, fp16 (not in ONNX models) or float for each tensor so that the file "
           "is no larger");
  set.text("--min-sqnr", options.min_sqnr, "DB", "more bits for tensors below this SQNR");
  set.flag("--strict", options.strict, "write nothing if a tensor did not get its scheme");
  set.flag("--allow-requantize", options.allow_requantize,
           "quantise what is quantised already, anew from its rounded weights");
  set.group("Models that run");
  set.choice("--torchscript", options.script, kScriptForms,
             "write TorchScript that multiplies bytes: dynamic, without data, linear layers and "
             "embeddings; static, with --calib, convolutions too");
  set.file("--arch", options.architecture, "YAML",
           "the architecture of a checkpoint, for that, gptq and awq");
  add_quantize_onnx_options(set, options.onnx);
  add_writing_options(set, options.writing, kOnnxDataEnd);
  set.check([&options]() -> Status {
    if (options.target_size > 0 && options.onnx.max_drop) {
      return usage_error("--target-size and --max-drop are two goals, of which one can be met");
    }
    if (options.target_size > 0 && (!options.scheme.empty() || !options.recipe.empty())) {
      return usage_error("--target-size chooses the schemes itself",
                         "leave out --scheme and --recipe; --exclude and --tensor RE=keep count");
    }
    const bool writes = !options.write_recipe.empty() || !options.write_config.empty();
    if ((writes || !options.report.empty()) && options.inputs.size() > 1) {
      return usage_error("--write-recipe, --write-config and --report are for one input");
    }
    if (!options.write_config.empty() && options.format == QuantFormat::plain) {
      return usage_error("--write-config needs --format compressed-tensors");
    }
    return {};
  });
}

Result<QuantRecipe> make_recipe(const QuantizeRequest& options) {
  QuantRecipe recipe;
  if (!options.recipe.empty()) {
    MLC_TRY(recipe, read_recipe(options.recipe));
  }
  if (!options.scheme.empty()) {
    MLC_TRY_CTX(recipe.scheme, parse_scheme(options.scheme), "--scheme");
  }
  if (options.rounding) recipe.rounding = *options.rounding;
  if (options.min_elements) {
    MLC_TRY(const double least, parse_number("--min-elements", *options.min_elements, 0, 1e18));
    recipe.min_elements = static_cast<int64_t>(least);
  }
  const auto append = [](std::vector<std::string>& to, const std::vector<std::string>& from) {
    to.insert(to.end(), from.begin(), from.end());
  };
  append(recipe.include, options.include);
  append(recipe.exclude, options.exclude);
  for (const std::string& text : options.tensors) {
    MLC_TRY_CTX(SchemeRule rule, parse_scheme_rule(text), "--tensor");
    recipe.rules.push_back(std::move(rule));
  }
  MLC_CHECK(check_schemes(recipe, options.format));
  return recipe;
}

/// The first option of OPTIONS that means nothing for what runs; empty for none.
std::string only_for_checkpoints(const QuantizeRequest& options) {
  const bool script = options.script.has_value();
  const std::pair<bool, std::string_view> rows[] = {
      {script && !options.scheme.empty(), "--scheme"},
      {script && !options.recipe.empty(), "--recipe"},
      {script && !options.write_recipe.empty(), "--write-recipe"},
      {!options.write_config.empty(), "--write-config"},
      {script && !options.tensors.empty(), "--tensor"},
      {script && options.target_size > 0, "--target-size"},
      {script && options.strict, "--strict"},
      {options.weights_only, "--weights-only"},
      {options.compress != DeflateZeros::automatic, "--compress"},
      {options.format != QuantFormat::plain, "--format"},
      {!options.script && !options.key.empty(), "--key"},
      {!options.script && !options.architecture.empty(), "--arch"},
  };
  for (const auto& [given, name] : rows) {
    if (given) return std::string(name);
  }
  return {};
}

/// What counts for models that run too.
Result<QuantizeOnnxShared> shared_options(const QuantizeRequest& options,
                                          const QuantRecipe& recipe) {
  QuantizeOnnxShared shared;
  shared.include = recipe.include;
  shared.exclude = recipe.exclude;
  shared.rounding = options.rounding;
  if (options.min_elements || !options.recipe.empty()) shared.min_elements = recipe.min_elements;
  if (options.min_sqnr) {
    MLC_TRY(shared.min_sqnr, parse_number("--min-sqnr", *options.min_sqnr, -1000, 1000));
  }
  shared.allow_requantize = options.allow_requantize;
  shared.recipe = recipe;
  shared.write_recipe = options.write_recipe;
  shared.target_size = options.target_size;
  shared.strict = options.strict;
  shared.writing = options.writing;
  shared.report = options.report;
  return shared;
}

/// One ONNX model or TorchScript, with the options that count for it. Error: usage for those that
/// do not.
Result<FileReport> run_graph(FileTask& task, const QuantizeRequest& options,
                             const QuantRecipe& recipe) {
  const std::string_view what = options.script ? "--torchscript" : "ONNX models";
  if (const std::string foreign = only_for_checkpoints(options); !foreign.empty()) {
    return usage_error(std::string(what) + (options.script ? " has no " : " have no ") + foreign,
                       options.script ? "--include and --exclude say what"
                                      : "--onnx says how, --include and --exclude what")
        .in_file(task.input);
  }
  MLC_TRY(QuantizeOnnxShared shared, shared_options(options, recipe));
  if (options.script) {
    const QuantizeScriptOptions how{*options.script, options.architecture, options.key};
    return quantize_script(task, how, options.onnx, shared);
  }
  QuantizeOnnxOptions onnx = options.onnx;
  MLC_CHECK_CTX(take_onnx_recipe(recipe.onnx, onnx), options.recipe);
  if (!options.scheme.empty() || !options.recipe.empty()) {
    MLC_CHECK_CTX(take_scheme(recipe.scheme, onnx),
                  options.scheme.empty() ? options.recipe : "--scheme");
    const bool has_blocks = onnx.form && onnx::has_blocks(*onnx.form);
    if (!options.recipe.empty() && (has_blocks || recipe.rounding != Rounding::rtn))
      shared.rounding = recipe.rounding;
  }
  if (options.target_size > 0 && !onnx.form) onnx.form = onnx::QuantForm::int4;
  MLC_TRY(shared.rules, weight_rules(shared.recipe.rules, onnx));
  return quantize_onnx(task, onnx, shared);
}

/// Why a checkpoint has no --max-drop. Error: usage.
Status refuse_drop(const FileTask& task) {
  MLC_CHECK(InputFile::open(task.input));  // a file that is not there is told first
  return usage_error("--max-drop is of what a model gives, and a checkpoint has no program to run",
                     "--min-sqnr DB is of its weights; --torchscript, with --arch, writes a model "
                     "that runs, and that --max-drop judges")
      .in_file(task.input);
}

bool asks_for_int4(const QuantizeRequest& options, const QuantRecipe& recipe) {
  return options.target_size > 0 || recipe.scheme.kind == SchemeKind::int4 ||
         std::ranges::any_of(recipe.rules, [](const SchemeRule& rule) {
           return rule.scheme.kind == SchemeKind::int4;
         });
}

/// What --rounding gptq and awq need of the options of a checkpoint. Errors: usage.
Status check_by_data(const QuantizeRequest& options, const QuantRecipe& recipe) {
  const std::string given = "--rounding " + std::string(to_string(recipe.rounding));
  if (options.onnx.calib.empty())
    return usage_error(
        given + " needs samples of inputs: --calib FILE is missing",
        "a .npy, .npz, .pt or .safetensors whose tensors have the inputs' names; rtn, "
        "mse and hqq need none");
  if (options.min_sqnr)
    return usage_error("--min-sqnr is of weights, which " + given + " moves away for outputs");
  if (recipe.rounding == Rounding::awq) {
    if (!asks_for_int4(options, recipe))
      return usage_error(given + " is for int4, and no tensor is asked to be that",
                         "--scheme int4; --rounding gptq goes by data with int8 too");
    if (options.format == QuantFormat::compressed_tensors)
      return usage_error(
          "compressed-tensors has no place for the scales of inputs that " + given + " stores",
          "--format plain, the default, has; --rounding gptq needs none");
  }
  QuantizeOnnxOptions others = options.onnx;
  others.calib.clear();
  if (!others.any()) return {};
  return usage_error("it is no ONNX model, for which --onnx and its options are",
                     "of them --calib goes with " + given);
}

Result<FileReport> run_one(FileTask& task, const QuantizeRequest& options,
                           const QuantRecipe& recipe) {
  const bool is_onnx = is_onnx_model(task.input);
  if (is_onnx && options.script) {
    return usage_error("it is an ONNX model, which cannot become TorchScript",
                       "leave --torchscript out: --onnx says how")
        .in_file(task.input);
  }
  if (!is_onnx && !options.script && options.onnx.max_drop) MLC_CHECK(refuse_drop(task));
  if (is_onnx || options.script) return run_graph(task, options, recipe);
  if (goes_by_data(recipe.rounding)) {
    MLC_CHECK(check_by_data(options, recipe));
    return quantize_checkpoint(task, options, recipe);
  }
  if (!options.onnx.any() && !options.architecture.empty()) {
    MLC_CHECK(InputFile::open(task.input));  // a file that is not there is told first
    return usage_error(
               "--arch says how a checkpoint runs, which only --torchscript and --rounding "
               "gptq or awq need",
               "leave it out, or choose one of them")
        .in_file(task.input);
  }
  if (options.onnx.any()) {
    MLC_CHECK(InputFile::open(task.input));  // a file that is not there is told first
    return usage_error("it is no ONNX model, for which --onnx and its options are",
                       "--torchscript writes a model that runs, of TorchScript or with --arch")
        .in_file(task.input);
  }
  return quantize_checkpoint(task, options, recipe);
}

Result<ExitCode> run(const QuantizeRequest& options, Context& context) {
  MLC_TRY(const QuantRecipe recipe, make_recipe(options));
  OtherFiles others;
  if (!options.recipe.empty()) others.reads.push_back({options.recipe, "--recipe"});
  if (!options.write_recipe.empty()) {
    others.writes.push_back({options.write_recipe, "--write-recipe"});
  }
  if (!options.write_config.empty()) {
    others.writes.push_back({options.write_config, "--write-config"});
  }
  if (!options.report.empty()) others.writes.push_back({options.report, "--report"});
  MLC_TRY(const auto files, plan_outputs(options.inputs, options.writing, {}, others));
  for (const std::string& beside : {options.write_recipe, options.write_config, options.report}) {
    if (!beside.empty()) MLC_CHECK(OutputFile::check(beside, options.writing.output_options()));
  }
  return run_files(context, files, options.writing.batch,
                   [&](FileTask& task) { return run_one(task, options, recipe); });
}

constexpr Example kExamples[] = {
    {"mlc quantize model.pt -o model.int8.pt", "a quarter of the size"},
    {"mlc quantize model.pt -o small.pt --scheme int4 --rounding mse", "an eighth"},
    {"mlc quantize model.pt -o a.pt --tensor 'lm_head=int8' --scheme int4", "mixed"},
    {"mlc quantize model.pt -o small.pt --scheme int4 --report small.html", "a page to share"},
    {"mlc quantize cnn.pt -o fast.pt --torchscript static --calib images.npy",
     "TorchScript that multiplies bytes"},
    {"mlc quantize n.onnx -o t.onnx --onnx static --calib x.npy --int8-target trt", "for TensorRT"},
    {"mlc quantize net.onnx -o small.onnx --onnx int4 --max-drop 1% --calib x.npy",
     "four bits where outputs allow, else eight, else floats"},
    {"mlc quantize model.pt -n --target-size 60MB", "what would fit, and how well"},
};

}  // namespace

Command quantize_command() {
  return {.name = "quantize",
          .group = Group::convert,
          .summary = "store the weights of a checkpoint in 8 or 4 bits",
          .details =
              "Tensors of two or more dimensions are quantised, embeddings included; biases, "
              "norms, small tensors and what is no floating-point number are kept. A weight w "
              "becomes w (int8) or w_packed (two codes a byte, the first in its lower half) with "
              "w_scale, and w_zero_point and w_shape where it has them: w = w_scale * (code - "
              "w_zero_point). int8 has one scale a row and no zero point; int4 has both for 32 "
              "weights of a row, and of --rounding awq it can have w_input_scale, by which columns "
              "are divided. The metadata in the file says which.\n\n"
              "The file is read back and every code compared before it appears. Nothing needs "
              "calibration data; what a scheme costs is shown as SQNR, worst first.",
          .needs = Needs::nothing,
          .examples = kExamples,
          .setup = bind<QuantizeRequest, setup, run>};
}

}  // namespace mlc::cli
