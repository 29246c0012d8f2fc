#include "export/export_view.h"

#include "cli/json_writer.h"
#include "mlc/base/text.h"
#include "mlc/onnx/randomness.h"

#include <algorithm>

#include <fmt/format.h>

namespace mlc::cli {
namespace {

std::string operators_text(const ExportAnswer& answer) {
  auto rows = answer.operators;
  std::ranges::stable_sort(rows, [](const auto& a, const auto& b) { return a.second > b.second; });
  std::vector<std::string> parts;
  constexpr size_t kMost = 8;
  for (size_t i = 0; i < rows.size() && i < kMost; ++i) {
    parts.push_back(fmt::format("{} {}", rows[i].second, rows[i].first));
  }
  std::string out = fmt::format("{}", fmt::join(parts, ", "));
  if (rows.size() > kMost) out += fmt::format(", and {} kinds more", rows.size() - kMost);
  return out;
}

void show_text(const ExportAnswer& answer, Context& context) {
  const auto line = [&](std::string_view label, std::string_view text) {
    context.out().line(fmt::format("{:<9}{}", label, text));
  };
  line("model", printable(answer.model));
  for (const ExportedValue& one : answer.inputs)
    line("input", printable(one.name + ": " + one.type));
  if (!answer.frozen.empty()) line("frozen", printable(frozen_text(answer)));
  for (const ExportedValue& one : answer.outputs) {
    line("output", printable(one.name + ": " + one.type));
  }
  line("opset", std::to_string(answer.opset) +
                    (answer.opset_reason.empty() ? "" : " (" + answer.opset_reason + ")"));
  line("nodes", fmt::format("{}: {}", answer.nodes, operators_text(answer)));
  line("weights", fmt::format("{}, {}", plural(answer.initializers, "initializer"),
                              format_bytes(answer.initializer_bytes)));
  if (answer.folded_norms > 0) {
    line("folded", plural(answer.folded_norms, "batch norm") + " into the weights before them");
  }
  if (!answer.dtype.empty()) line("dtype", dtype_text(answer));
  if (!answer.not_verified.empty()) return line("verified", "no: " + answer.not_verified);
  line("verified", answer.check.engine + " against " + answer.check.engine_b);
  line("same if", same_if(answer.check));
  context.out().line("");
  show_cases(answer.check, context);
}

void values_json(const char* key, const std::vector<ExportedValue>& values, JsonWriter& json) {
  json.key(key);
  json.begin_array();
  for (const ExportedValue& one : values) {
    json.begin_object();
    json.field("name", one.name);
    json.field("type", one.type);
    json.end_object();
  }
  json.end_array();
}

void show_json(const ExportAnswer& answer, Context& context) {
  JsonWriter json(context.out());
  json.begin_object();
  json.field("schema", "mlc.export-onnx/1");
  json.field("model", answer.model);
  json.field("output", answer.output);
  json.field("dry_run", answer.dry_run);
  json.field("opset", static_cast<int64_t>(answer.opset));
  json.field("file_bytes", answer.file_bytes);
  json.field("sidecar_bytes", answer.sidecar_bytes);
  if (answer.sidecar_bytes > 0) json.field("sidecar", answer.output + kOnnxDataEnd);
  json.field("nodes", answer.nodes);
  json.key("operators");
  json.begin_object();
  for (const auto& [name, count] : answer.operators) json.field(name, count);
  json.end_object();
  json.field("initializers", answer.initializers);
  json.field("initializer_bytes", answer.initializer_bytes);
  json.field("folded_norms", answer.folded_norms);
  if (!answer.dtype.empty()) {
    json.key("dtype");
    json.begin_object();
    json.field("name", answer.dtype);
    json.field("narrow_nodes", answer.narrowed.narrow_nodes);
    json.field("float32_nodes", answer.narrowed.wide_nodes);
    json.field("casts", answer.narrowed.casts);
    json.list("too_large", answer.narrowed.too_large);
    json.end_object();
  }
  values_json("inputs", answer.inputs, json);
  values_json("outputs", answer.outputs, json);
  json.key("frozen");
  json.begin_array();
  for (const FrozenNumber& one : answer.frozen) {
    json.begin_object();
    json.field("name", one.name);
    json.field("value", one.value);
    json.end_object();
  }
  json.end_array();
  json.key("random");
  json.begin_array();
  for (const std::string& one : answer.random) json.value(one);
  json.end_array();
  json.key("random_outputs");
  json.begin_array();
  for (const ExportedRandom& one : answer.random_outputs) {
    json.begin_object();
    json.field("name", one.name);
    json.list("operators", one.sources);
    json.end_object();
  }
  json.end_array();
  json.field("verified", answer.not_verified.empty());
  if (answer.not_verified.empty()) {
    json.field("engine", answer.check.engine);
    json.field("onnx_engine", answer.check.engine_b);
    cases_json(answer.check, json);
  } else {
    json.field("not_verified", answer.not_verified);
  }
  json.end_object();
}

std::string place_of(const ir::Origin& origin) {
  std::string out;
  if (!origin.scope.empty()) out += "in " + origin.scope;
  if (!origin.text.empty()) out += (out.empty() ? "at " : ", ") + origin.text;
  return out;
}

/// What helps against PROBLEMS, if anything.
std::string hint_of(const std::vector<onnx::Problem>& problems) {
  const auto any = [&](const auto& holds) { return std::ranges::any_of(problems, holds); };
  const auto has_block = [](const onnx::Problem& one) {
    return one.op.starts_with("higher_order::");
  };
  if (any([](const onnx::Problem& one) { return one.op.starts_with("higher_order::map"); })) {
    return "torch.vmap instead of map(), then program.run_decompositions(), gives plain operators";
  }
  if (any([](const onnx::Problem& one) { return one.reason.starts_with("it writes into"); }))
    return "what is kept from run to run can be an input and an output; eval() ends most of it";
  // No domain has operators with programs in them.
  if (any(has_block)) return "";
  const bool unknown = any([](const onnx::Problem& one) {
    return one.reason.starts_with("no lowering") || one.reason.find("ONNX") != std::string::npos;
  });
  const bool helps = unknown && std::ranges::all_of(problems, &onnx::Problem::can_be_kept);
  return helps ? "--partial keeps unknown operators in a domain of their own; --op-map says which "
                 "operator of a runtime each of them is"
               : "";
}

}  // namespace

std::string frozen_text(const ExportAnswer& answer) {
  std::vector<std::string> parts;
  for (const FrozenNumber& one : answer.frozen) parts.push_back(one.name + " = " + one.value);
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string dtype_text(const ExportAnswer& answer) {
  if (answer.dtype == "bf16") return "weights in bf16, computation in f32";
  std::string out = "f16 in " + plural(answer.narrowed.narrow_nodes, "node");
  if (answer.narrowed.wide_nodes > 0) {
    out += fmt::format(", f32 in {}", format_count(answer.narrowed.wide_nodes));
  }
  return out + ", between " + plural(answer.narrowed.casts, "cast");
}

void show_export(const ExportAnswer& answer, Context& context) {
  if (context.json()) return show_json(answer, context);
  show_text(answer, context);
}

std::vector<ExportedRandom> exported_random(const onnx::Model& model) {
  std::vector<ExportedRandom> out;
  for (const onnx::RandomOutput& one : onnx::random_outputs(model)) {
    out.push_back({one.name, {}});
    for (const onnx::Node* node : one.nodes) {
      const std::string place = place_of(node->origin);
      std::string source = node->source.empty() ? node->op : node->source;
      if (!place.empty()) source += " " + place;
      std::vector<std::string>& all = out.back().sources;
      if (std::ranges::find(all, source) == all.end()) all.push_back(std::move(source));
    }
  }
  return out;
}

std::string random_text(std::span<const ExportedRandom> outputs) {
  constexpr size_t kMost = 3;
  std::vector<std::string> names;
  std::vector<std::string> sources;
  for (const ExportedRandom& one : outputs) {
    names.push_back(printable(one.name));
    for (const std::string& source : one.sources) {
      if (std::ranges::find(sources, printable(source)) == sources.end()) {
        sources.push_back(printable(source));
      }
    }
  }
  if (names.empty()) return "";
  const size_t more = sources.size() > kMost ? sources.size() - kMost : 0;
  sources.resize(sources.size() - more);
  std::string out = join_list(names) + (names.size() == 1 ? " hangs" : " hang") +
                    fmt::format(" on random numbers: {}", fmt::join(sources, "; "));
  if (more > 0) out += fmt::format("; and {} more", more);
  return out;
}

Error refused_export(const std::vector<onnx::Problem>& problems,
                     std::span<const ExportedRandom> random) {
  constexpr size_t kMost = 10;
  uint64_t nodes = 0;
  for (const onnx::Problem& one : problems) nodes += one.count;
  std::string text = plural(nodes, "operator") + " cannot become ONNX:";
  for (size_t i = 0; i < problems.size() && i < kMost; ++i) {
    const onnx::Problem& one = problems[i];
    text += fmt::format("\n  {} x {}: {}", one.count, printable(one.op), printable(one.reason));
    const std::string place = place_of(one.first);
    if (!place.empty()) text += ", first " + printable(place);
  }
  if (problems.size() > kMost) text += fmt::format("\n  and {} more", problems.size() - kMost);
  if (!random.empty()) text += "\nbesides, " + random_text(random);
  return unsupported(std::move(text), hint_of(problems));
}

Error differing_export(const ExportAnswer& answer) {
  const auto failed = std::ranges::find(answer.check.cases, false, &CaseResult::passed);
  const bool other_size = !failed->other_size.empty();
  std::string message = "the ONNX model does not compute what the model does";
  if (other_size) message += " at " + failed->other_size;
  message += "; " + first_problem(answer.check);
  std::string hint = "--no-verify writes it all the same, to look at";
  const std::string random = failed->first_failing ? random_text(answer.random_outputs) : "";
  if (!random.empty()) {
    message += "; " + random;
    hint = "what is random cannot be compared: --no-verify writes it";
  } else if (const std::string rounding = rounding_hint(answer.check); !rounding.empty()) {
    hint = rounding;
  } else if (other_size) {
    const std::string size = failed->other_size.substr(0, failed->other_size.find('='));
    const bool one = failed->other_size.ends_with("=1");
    hint = one ? size + "=2..64 in --input says that it is never 1"
               : "a plain number for " + size + " in --input says that it is meant to be fixed";
  }
  return conflict(message + "; nothing was written", std::move(hint)).in_file(answer.output);
}

}  // namespace mlc::cli
