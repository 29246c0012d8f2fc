#include "compress/prune_options.h"

#include "compress/quantize_checkpoint.h"
#include "mlc/base/text.h"

#include <cstdlib>
#include <utility>

namespace mlc::cli {
namespace {

constexpr std::pair<std::string_view, PruneWay> kMethods[] = {{"magnitude", PruneWay::magnitude},
                                                              {"random", PruneWay::random},
                                                              {"wanda", PruneWay::wanda},
                                                              {"sparsegpt", PruneWay::sparsegpt},
                                                              {"channels", PruneWay::channels}};

/// Of weights. Requires: not channels.
PruneMethod of_weights(PruneWay method) {
  switch (method) {
    case PruneWay::random:
      return PruneMethod::random;
    case PruneWay::wanda:
      return PruneMethod::wanda;
    case PruneWay::sparsegpt:
      return PruneMethod::sparsegpt;
    default:
      return PruneMethod::magnitude;
  }
}

constexpr std::pair<std::string_view, PruneScope> kScopes[] = {{"layer", PruneScope::layer},
                                                               {"global", PruneScope::global}};
constexpr std::pair<std::string_view, PruneNorm> kNorms[] = {{"l1", PruneNorm::l1},
                                                             {"l2", PruneNorm::l2}};

/// Errors: usage.
Status check_data_options(const PruneRequest& options) {
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

/// Of methods that choose in each row, RULES as they were read. Error: usage for counts.
Status check_shares(const PruneRules& rules) {
  const auto refuse = [](const PruneAmount& amount, const std::string& option) -> Status {
    if (!amount.is_count) return {};
    return usage_error(
        option + " is a number of weights, and wanda and sparsegpt take a share of each row",
        "0.5, or 50%");
  };
  if (rules.amount) MLC_CHECK(refuse(*rules.amount, "--amount " + rules.amount->text()));
  for (const AmountRule& rule : rules.rules)
    MLC_CHECK(refuse(rule.amount, "--tensor " + rule.text + "=" + rule.amount.text()));
  return {};
}

Status check_channels(const PruneRequest& options) {
  if (options.method != PruneWay::channels) {
    if (!options.onnx.any() && options.emit_architecture.empty()) return {};
    return usage_error("options of channels need --method channels");
  }
  const std::pair<std::string_view, bool> of_weights_only[] = {
      {"--pattern", !options.pattern.empty()},
      {"--tensor", !options.tensors.empty()},
      {"--apply-masks", options.apply_masks},
      {"--keep-masks", options.keep_masks},
      {"--positive-zeros", options.positive_zeros},
      {"--weights-only", options.weights_only},
      {"--compress", options.compress != DeflateZeros::automatic}};
  std::vector<std::string> foreign;
  for (const auto& [option, given] : of_weights_only)
    if (given) foreign.emplace_back(option);
  if (!foreign.empty()) {
    const bool one = foreign.size() == 1;
    return usage_error("with --method channels there is no " + join_list(foreign),
                       std::string("leave ") + (one ? "it" : "them") +
                           " out; `mlc prune --help` says which options are not for channels");
  }
  if (!options.emit_architecture.empty() && options.inputs.size() > 1)
    return usage_error("--emit-arch is for one input");
  if (!options.calib.empty() && !options.onnx.inputs.empty()) {
    return usage_error("--input and --calib exclude each other",
                       "with --calib the result is compared on its samples");
  }
  if (!options.report.empty() && options.onnx.list_groups)
    return usage_error("--list-groups changes nothing that a --report could show",
                       "--json has the groups, and so has the --report of what is pruned");
  if (options.amount.empty() && !options.onnx.list_groups) {
    return usage_error("nothing says how many channels go",
                       "--amount 0.5; --list-groups says what there is");
  }
  return {};
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

}  // namespace

bool chooses_by_data(PruneWay method) {
  return method == PruneWay::wanda || method == PruneWay::sparsegpt;
}

void add_prune_options(OptionSet& set, PruneRequest& options) {
  set.positionals("INPUT", options.inputs, 1, "checkpoints of any format, or ONNX models");
  set.group("How");
  set.text(
      "--amount", options.amount, "A",
      "a share, 0.3 or 30%, or a number, 1000: of weights, of the pattern's rows or blocks, or "
      "of channels, of which whole units go, as heads; of 1 and 1.0 the first is a number");
  set.choice(
      "--method", options.method, kMethods,
      "which weights go: magnitude (default), random; by what they are multiplied with, for which "
      "they take --calib: wanda, sparsegpt, which changes the others to make up for it; channels: "
      "whole channels of ONNX models, TorchScript, and checkpoints with their architecture");
  set.list(
      "--calib", options.calib, "FILE",
      "samples for wanda, sparsegpt and channels, where they make up for what went; a tensor "
      "for each input: .npy, .npz, .pt, ..., or a folder of them; repeatable, and what several "
      "have of an input follows each other");
  set.file("--arch", options.architecture, "YAML",
           "of the checkpoint, for wanda, sparsegpt and channels");
  set.choice("--scope", options.scope, kScopes,
             "the amount of each tensor (layer, the default) or of all together");
  set.text("--pattern", options.pattern, "PATTERN",
           "unstructured (default), 2:4 (two of four stay), block:4x1, rows; not for channels");
  set.suggest({"unstructured", "2:4", "4:8", "block:4x1", "rows"});
  set.choice("--norm", options.norm, kNorms, "of rows, blocks and channels; l1 by default");
  set.text("--seed", options.seed, "N", "of random, and of random inputs; 0 by default");
  set.group("Which tensors");
  set.key_path("--key", options.key, "the state_dict inside the checkpoint, as in model.ema");
  set.list("--include", options.include, "GLOB", "prune only keys that match; repeatable");
  set.list("--exclude", options.exclude, "GLOB", "keep keys that match; repeatable");
  set.list("--tensor", options.tensors, "RE=AMOUNT",
           "an amount of their own for keys that RE2 matches; the last counts; not for channels");
  set.group("Goals");
  set.text("--min-cosine", options.min_cosine, "X",
           "write nothing if a tensor, or an output of an ONNX model, has a lower cosine with what "
           "it was");
  set.text("--min-sqnr", options.min_sqnr, "DB",
           "the same of its SQNR; of wanda and sparsegpt that of the outputs of all layers");
  set.group("What is written");
  set.flag("--apply-masks", options.apply_masks,
           "fold NAME_orig and NAME_mask into NAME without pruning more; not for channels");
  set.flag("--keep-masks", options.keep_masks,
           "write NAME_orig and NAME_mask, as torch.nn.utils.prune has them; not for channels");
  set.choice(
      "--compress", options.compress, kDeflateZeros,
      "deflate records in a .pt that are half zeros (auto), all that changed, or none; not for "
      "channels");
  set.flag("--positive-zeros", options.positive_zeros,
           "write 0 where PyTorch leaves -0; deflates better; not for channels");
  set.file("--emit-arch", options.emit_architecture, "FILE",
           "write the architecture with the sizes that channels leave, else as it was");
  set.is_written();
  set.flag("--weights-only", options.weights_only,
           "write nothing but the state_dict; not for channels");
  set.file("--report", options.report, "FILE",
           "write one HTML page: sizes, zeros or channels, what was lost, latency");
  set.is_written();
  add_prune_onnx_options(set, options.onnx);
  add_writing_options(set, options.writing, kOnnxDataEnd);
  set.check([&options]() -> Status { return check_channels(options); });
  set.check([&options]() -> Status {
    if (options.report.empty() || options.inputs.size() == 1) return {};
    return usage_error("--report is for one input");
  });
  set.check([&options]() -> Status {
    if (options.method == PruneWay::channels) return {};
    const bool amounts = !options.amount.empty() || !options.tensors.empty();
    const bool pattern =
        options.pattern.find(':') != std::string::npos && !options.pattern.starts_with("block");
    if (options.apply_masks && (amounts || pattern)) {
      return usage_error("--apply-masks folds and does not prune",
                         "leave it out: masks are folded by any prune");
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
    if (options.seed && options.method != PruneWay::random) {
      return usage_error("--seed is for --method random");
    }
    if (pattern && options.method == PruneWay::random) {
      return usage_error("--method random does not go with " + options.pattern);
    }
    const bool units = options.pattern == "rows" || options.pattern.starts_with("block");
    if (options.norm && !units) {
      return usage_error("--norm is of rows and blocks: for single weights all norms agree");
    }
    return {};
  });
}

Result<PruneRules> prune_rules(const PruneRequest& options) {
  PruneRules rules;
  rules.method = of_weights(options.method);
  rules.scope = options.scope;
  rules.norm = options.norm.value_or(PruneNorm::l1);
  rules.keep_masks = options.keep_masks;
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
  if (chooses_by_data(options.method)) MLC_CHECK(check_shares(rules));
  return rules;
}

Result<PruneGates> prune_gates(const PruneRequest& options) {
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

ProvenanceOptions provenance_of(const PruneRequest& options, const PruneRules& rules) {
  ProvenanceOptions out;
  out.text("key", options.key).text("amount", options.amount);
  if (options.method != PruneWay::magnitude) out.add("method", to_string(rules.method));
  out.list("calib", options.calib).text("arch", options.architecture);
  if (options.method == PruneWay::random) out.add("seed", static_cast<int64_t>(rules.seed));
  if (options.scope == PruneScope::global) out.add("scope", "global");
  out.text("pattern", options.pattern);
  if (options.norm == PruneNorm::l2) out.add("norm", "l2");
  out.list("include", options.include).list("exclude", options.exclude);
  out.list("tensor", options.tensors).flag("apply-masks", options.apply_masks);
  out.flag("keep-masks", options.keep_masks).flag("positive-zeros", options.positive_zeros);
  out.flag("weights-only", options.weights_only);
  return out;
}

}  // namespace mlc::cli
