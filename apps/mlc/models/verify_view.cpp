#include "models/verify_view.h"

#include "cli/below_text.h"
#include "cli/json_writer.h"
#include "cli/table.h"
#include "mlc/base/text.h"

#include <algorithm>
#include <cmath>
#include <set>

#include <fmt/format.h>

namespace mlc::cli {
namespace {

std::string number_text(const std::optional<double>& value, std::string_view format) {
  return value ? fmt::format(fmt::runtime(format), *value) : "-";
}

std::string tolerance_text(const Tolerance& tolerance) {
  return fmt::format("{} + {} * |b|", tolerance.atol, tolerance.rtol);
}

constexpr std::string_view kExact = "0 + 0 * |b|";

/// What outputs of half precision and integers were held to, where that is not what others are.
std::string other_tolerances(const VerifyAnswer& answer) {
  std::set<std::string> texts;
  std::set<std::string> integers;
  for (const CaseResult& one : answer.cases) {
    for (const OutputDifference& output : one.comparison.outputs) {
      if (!output.problem.empty()) continue;
      // Of quantised models the tolerance of each output hangs on its values.
      if (answer.gates.of_largest > 0 && !output.integers) continue;
      const std::string text = tolerance_text(output.tolerance);
      if (output.integers) {
        integers.insert(text == kExact ? "equal" : text);
      } else {
        texts.insert(text);
      }
    }
  }
  const std::string usual = tolerance_text(answer.gates.tolerance);
  texts.erase(usual);
  integers.erase(usual);
  std::vector<std::string> parts;
  if (!texts.empty())
    parts.push_back("in half precision " + fmt::format("{}", fmt::join(texts, " and ")));
  if (!integers.empty()) parts.push_back("integers " + *integers.begin());
  return parts.empty() ? "" : fmt::format(" ({})", fmt::join(parts, "; "));
}

std::string both_names(const OutputDifference& output) {
  return output.name_b.empty() ? output.name : output.name + " / " + output.name_b;
}

std::string distance_text(const OutputDifference& output, double largest) {
  if (!output.problem.empty()) return "-";
  return output.values.nan_pairs > 0 ? "NaN" : fmt::format("{:.3g}", largest);
}

/// ": 2 NaN on one side", of which neither distances nor the cosine tell.
std::string odd_pairs(const OutputDifference& output, const VerifyGates& gates) {
  std::vector<std::string> parts;
  if (output.values.nan_pairs > 0) {
    parts.push_back(fmt::format("{} NaN on one side", output.values.nan_pairs));
  }
  if (output.values.infinite_pairs > 0) {
    parts.push_back(fmt::format("{} infinitely far apart", output.values.infinite_pairs));
  }
  if (gates.finite && output.values.both_nan > 0) {
    parts.push_back(fmt::format("{} NaN on both sides", output.values.both_nan));
  }
  if (gates.finite && output.values.both_infinite > 0) {
    parts.push_back(fmt::format("{} infinite on both sides", output.values.both_infinite));
  }
  return parts.empty() ? "" : ": " + join_list(parts);
}

/// ", f32 and f64" where the types are not one, ", no elements" where nothing was compared.
std::string kind_text(const OutputDifference& output) {
  if (!output.problem.empty()) return "";
  std::string out;
  if (output.dtype != output.dtype_b) {
    out = fmt::format(", {} and {}", info(output.dtype).brief, info(output.dtype_b).brief);
  }
  return output.values.count == 0 ? out + ", no elements" : out;
}

/// Without the sign that some machines give to a NaN.
std::string value_text(double value) {
  return std::isnan(value) ? "nan" : fmt::format("{:.6g}", value);
}

/// "5 of 12 values beyond the tolerance, first at [0, 2]: 0.5 and 0.2".
std::string mismatches_text(const OutputDifference& output) {
  std::string out =
      fmt::format("{} of {} beyond the tolerance", format_count(output.values.mismatches),
                  plural(output.values.count, "value"));
  if (!output.first_mismatch) return out;
  const ElementPair& pair = *output.first_mismatch;
  return out + fmt::format(", first at [{}]: {} and {}", fmt::join(pair.index, ", "),
                           value_text(pair.a), value_text(pair.b));
}

std::string failure_text(Gate gate, const OutputDifference& output, const VerifyGates& gates) {
  switch (gate) {
    case Gate::values:
      return "";
    case Gate::tolerance:
      return mismatches_text(output);
    case Gate::cosine:
      if (!output.values.cosine) {
        return fmt::format("no cosine, as one side is all zero, where {} is the least",
                           *gates.cosine);
      }
      return "cosine " + below_text(*output.values.cosine, *gates.cosine);
    case Gate::rel_norm:
      return fmt::format("|A - B| as a whole is {:.4g} * |B|, above {}", *output.values.rel_norm,
                         *gates.rel_norm);
    case Gate::top1:
      return (output.integers ? "equal elements " : "top-1 agreement ") +
             below_text(*output.top1, *gates.top1);
  }
  return "";
}

/// "max abs 0.3, max rel 2", and each gate that OUTPUT does not pass with its numbers.
std::string difference_text(const OutputDifference& output, const VerifyGates& gates) {
  if (!output.problem.empty()) return output.problem;
  std::string out =
      fmt::format("max abs {}, max rel {}", distance_text(output, output.values.max_abs),
                  distance_text(output, output.values.max_rel));
  for (const Gate gate : failed_gates(output, gates)) {
    const std::string text = failure_text(gate, output, gates);
    if (!text.empty()) out += ", " + text;
  }
  return out;
}

}  // namespace

std::string output_verdict(const OutputDifference& output, const VerifyGates& gates) {
  if (!output.problem.empty()) return output.problem;
  if (!counts_as_same(output, gates)) return "differs";
  if (output.values.bit_equal) return "equal";
  return held_to_tolerance(output, gates) ? "close" : "passes";
}

namespace {

void add_case(Table& table, const CaseResult& one, const VerifyGates& gates) {
  if (!one.failure.empty()) {
    table.add({one.label, "-", "-", "-", "-", "-",
               one.refused ? "B fails" : "number of outputs differs"});
    return;
  }
  for (const OutputDifference& output : one.comparison.outputs) {
    const bool compared = output.problem.empty();
    const bool finite = output.values.nan_pairs + output.values.infinite_pairs == 0;
    table.add({one.label, both_names(output), distance_text(output, output.values.max_abs),
               distance_text(output, output.values.max_rel),
               compared && finite ? number_text(output.values.cosine, "{:.8g}") : "-",
               number_text(output.top1, "{:.4g}"),
               output_verdict(output, gates) + kind_text(output) + odd_pairs(output, gates)});
  }
}

}  // namespace

std::string same_if(const VerifyAnswer& answer) {
  const VerifyGates& gates = answer.gates;
  const std::string finite = gates.finite ? ", and all values are finite" : "";
  if (!gates.cosine && !gates.top1) {
    std::string out = "|a - b| <= " + tolerance_text(gates.tolerance);
    if (gates.of_largest > 0) {
      out +=
          fmt::format(", or {} of the largest |a|, as the model rounds to bytes", gates.of_largest);
    }
    return out + other_tolerances(answer) + finite;
  }
  std::vector<std::string> parts;
  if (gates.cosine) parts.push_back(fmt::format("cosine at least {}", *gates.cosine));
  if (gates.rel_norm) {
    parts.push_back(fmt::format("|A - B| as a whole <= {} * |B|", *gates.rel_norm));
  }
  if (gates.top1) parts.push_back(fmt::format("top-1 agreement at least {}", *gates.top1));
  if (gates.with_tolerance) parts.push_back("|a - b| <= " + tolerance_text(gates.tolerance));
  std::string out = join_list(parts);
  if (gates.least_for_cosine > 0) {
    out += fmt::format(", or, below {} values, |a - b| <= {}", gates.least_for_cosine,
                       tolerance_text(gates.tolerance));
  }
  if (gates.rel_norm) out += ", as one is in half precision";
  return out + finite;
}

std::string first_problem(const VerifyAnswer& answer) {
  const auto failed = std::ranges::find(answer.cases, false, &CaseResult::passed);
  if (failed == answer.cases.end()) return "";
  if (!failed->failure.empty() && !failed->refused) {
    return "the number of outputs differs (" + failed->label + "): " + failed->failure;
  }
  if (failed->refused) {
    return "B refuses inputs that A takes (" + failed->label + "): " + printable(failed->failure);
  }
  const OutputDifference& output = failed->comparison.outputs[*failed->first_failing];
  return "first diverging output: " + printable(both_names(output)) + " (" + failed->label +
         "): " + difference_text(output, answer.gates) + odd_pairs(output, answer.gates);
}

std::string rounding_hint(const VerifyAnswer& answer) {
  // One wrong element of thousands makes more of an output.
  constexpr double kRounded = 1e-4;
  const auto failed = std::ranges::find(answer.cases, false, &CaseResult::passed);
  if (failed == answer.cases.end() || !failed->first_failing) return "";
  double most = 0;
  bool places_change = false;
  for (const OutputDifference& output : failed->comparison.outputs) {
    if (counts_as_same(output, answer.gates)) continue;
    const CompareResult& values = output.values;
    const bool is_half = answer.gates.rel_norm.has_value();
    if (is_half && output.integers && output.problem.empty()) {
      places_change = true;
      continue;
    }
    const bool rounds = output.problem.empty() && !output.integers && values.rel_norm &&
                        *values.rel_norm <= kRounded && values.nan_pairs == 0 &&
                        std::isfinite(values.max_abs);
    if (!rounds) return "";
    most = std::max(most, output.values.max_abs);
  }
  if (places_change && !(most > 0)) {
    return "in half precision nearly equal numbers change places, and with them integers that name "
           "or count them: --atol with how much these may differ, or --no-verify";
  }
  if (!(most > 0)) return "";
  return fmt::format(
      "it looks like rounding, {:.1g} of the length of the output: --atol {:g} allows for it",
      *failed->comparison.outputs[*failed->first_failing].values.rel_norm,
      std::pow(10, std::ceil(std::log10(most))));
}

namespace {

void show_text(const VerifyAnswer& answer, Context& context) {
  const auto line = [&](std::string_view label, std::string_view text) {
    context.out().line(fmt::format("{:<8}{}", label, text));
  };
  line("A", printable(answer.a));
  line("B", printable(answer.b));
  const std::string other = answer.engine_b.empty() ? "" : " and " + answer.engine_b;
  line("engine", answer.engine + other + " on " + answer.device);
  line("same if", same_if(answer));
  context.out().line("");
  show_cases(answer, context);
  context.out().line(answer.passed() ? "the same in " + plural(answer.cases.size(), "case")
                                     : "not the same: " + first_problem(answer));
}

}  // namespace

void show_cases(const VerifyAnswer& answer, Context& context) {
  Table table({{"CASE"},
               {"OUTPUT", Align::left, true},
               {"MAX ABS", Align::right},
               {"MAX REL", Align::right},
               {"COSINE", Align::right},
               {"TOP-1", Align::right},
               {"VERDICT"}});
  for (const CaseResult& one : answer.cases) add_case(table, one, answer.gates);
  table.render(context.out(), context.console.out_width());
  context.out().line("");
  for (const CaseResult& one : answer.cases) {
    if (one.instead_of.empty()) continue;
    context.out().line("not checked, " + printable(one.other_size) +
                       " instead: " + printable(one.instead_of));
  }
  for (const CaseResult& one : answer.not_checked) {
    context.out().line("not checked: " + printable(one.not_checked));
  }
}

namespace {

void output_json(JsonWriter& json, const OutputDifference& output, const VerifyGates& gates) {
  json.begin_object();
  json.field("name", output.name);
  if (!output.name_b.empty()) json.field("name_b", output.name_b);
  if (!output.problem.empty()) {
    json.field("problem", output.problem);
    json.end_object();
    return;
  }
  if (output.dtype != output.dtype_b) {
    json.field("dtype", info(output.dtype).torch);
    json.field("dtype_b", info(output.dtype_b).torch);
  }
  json.field("passed", counts_as_same(output, gates));
  json.field("equal", output.values.bit_equal);
  json.field("within_tolerance", output.within_tolerance());
  json.field("count", output.values.count);
  json.field("mismatches", output.values.mismatches);
  json.field("atol", output.tolerance.atol);
  json.field("rtol", output.tolerance.rtol);
  json.field("max_abs", output.values.max_abs);
  json.field("max_rel", output.values.max_rel);
  json.field("nan_pairs", output.values.nan_pairs);
  json.field("infinite_pairs", output.values.infinite_pairs);
  json.field("both_nan", output.values.both_nan);
  json.field("both_infinite", output.values.both_infinite);
  if (output.first_mismatch) {
    json.key("first_mismatch");
    json.begin_object();
    json.key("index");
    json.begin_array();
    for (const int64_t one : output.first_mismatch->index) json.value(one);
    json.end_array();
    json.field("a", output.first_mismatch->a);
    json.field("b", output.first_mismatch->b);
    json.end_object();
  }
  json.field("cosine", output.values.cosine);
  json.field("top1", output.top1);
  json.end_object();
}

void case_json(JsonWriter& json, const CaseResult& one, const VerifyGates& gates) {
  json.begin_object();
  json.field("case", one.label);
  json.field("passed", one.passed());
  if (!one.instead_of.empty()) json.field("instead_of", one.instead_of);
  if (!one.failure.empty()) json.field("failure", one.failure);
  if (one.first_failing) {
    json.field("first_diverging", one.comparison.outputs[*one.first_failing].name);
  }
  json.key("outputs");
  json.begin_array();
  for (const OutputDifference& output : one.comparison.outputs) output_json(json, output, gates);
  json.end_array();
  json.end_object();
}

}  // namespace

void cases_json(const VerifyAnswer& answer, JsonWriter& json) {
  json.key("cases");
  json.begin_array();
  for (const CaseResult& one : answer.cases) case_json(json, one, answer.gates);
  json.end_array();
  if (!answer.not_checked.empty()) {
    json.key("not_checked");
    json.begin_array();
    for (const CaseResult& one : answer.not_checked) {
      json.begin_object();
      json.field("case", one.label);
      json.field("reason", one.not_checked);
      json.end_object();
    }
    json.end_array();
  }
}

namespace {

void show_json(const VerifyAnswer& answer, Context& context) {
  JsonWriter json(context.out());
  json.begin_object();
  json.field("schema", "mlc.verify/1");
  json.field("same", answer.passed());
  json.field("a", answer.a);
  json.field("b", answer.b);
  json.field("engine", answer.engine);
  if (!answer.engine_b.empty()) json.field("engine_b", answer.engine_b);
  json.field("device", answer.device);
  json.key("gates");
  json.begin_object();
  json.field("atol", answer.gates.tolerance.atol);
  json.field("rtol", answer.gates.tolerance.rtol);
  if (answer.gates.cosine) json.field("min_cosine", *answer.gates.cosine);
  if (answer.gates.top1) json.field("min_agreement", *answer.gates.top1);
  if (answer.gates.rel_norm) json.field("max_rel_norm", *answer.gates.rel_norm);
  if (answer.gates.least_for_cosine > 0) {
    json.field("least_for_cosine", answer.gates.least_for_cosine);
  }
  if (answer.gates.of_largest > 0) json.field("of_largest", answer.gates.of_largest);
  const bool gated = answer.gates.cosine || answer.gates.top1;
  json.field("tolerance_counts", !gated || answer.gates.with_tolerance);
  json.field("finite", answer.gates.finite);
  json.end_object();
  cases_json(answer, json);
  json.end_object();
}

}  // namespace

namespace {

/// The outputs that have no elements in any case.
std::set<std::string> without_elements(const VerifyAnswer& answer) {
  std::set<std::string> out;
  std::set<std::string> compared;
  for (const CaseResult& one : answer.cases) {
    for (const OutputDifference& output : one.comparison.outputs) {
      const bool is_empty = output.problem.empty() && output.values.count == 0;
      (is_empty ? out : compared).insert(output.name);
    }
  }
  std::erase_if(out, [&](const std::string& name) { return compared.contains(name); });
  return out;
}

/// Whether OUTPUT, which counts as the same, is another one for all that its values tell: they are
/// as small as what the tolerance lets differ.
bool is_below_tolerance(const OutputDifference& output, const VerifyGates& gates) {
  constexpr uint64_t kEnough = 16;        // of fewer, sums that cancel are noise
  constexpr double kOfTheSameSize = 0.1;  // of the difference and of what is compared
  const CompareResult& values = output.values;
  if (!held_to_tolerance(output, gates) || !output.within_tolerance()) return false;
  if (values.bit_equal || values.count < kEnough) return false;
  return values.rel_norm.value_or(1) > kOfTheSameSize;
}

void warn_of_small_values(const VerifyAnswer& answer, Reporter& reporter) {
  std::set<std::string> told;
  for (const CaseResult& one : answer.cases) {
    for (const OutputDifference& output : one.comparison.outputs) {
      if (!is_below_tolerance(output, answer.gates) || !told.insert(output.name).second) continue;
      reporter.warn(fmt::format(
          "output {} differs by as much as its values are ({}), all by less than the tolerance; "
          "they count as equal and say little: a smaller --atol compares them",
          quoted(output.name), one.label));
    }
  }
}

}  // namespace

void warn_of_odd_outputs(const VerifyAnswer& answer, Reporter& reporter) {
  warn_of_small_values(answer, reporter);
  std::set<std::string> told;
  for (const std::string& name : without_elements(answer)) {
    reporter.warn("output " + quoted(name) +
                  " has no elements in any case: nothing of it was compared");
  }
  for (const CaseResult& one : answer.cases) {
    for (const OutputDifference& output : one.comparison.outputs) {
      const CompareResult& values = output.values;
      std::vector<std::string> odd;
      if (values.both_nan > 0) odd.push_back(plural(values.both_nan, "NaN"));
      if (values.both_infinite > 0) odd.push_back(plural(values.both_infinite, "infinite value"));
      if (odd.empty() || answer.gates.finite || !told.insert(output.name).second) continue;
      reporter.warn("output " + quoted(output.name) + " of both holds " + join_list(odd) +
                    " among " + plural(values.count, "value") + " (" + one.label +
                    "); they count as equal and say little");
    }
  }
}

bool VerifyAnswer::passed() const {
  return std::ranges::all_of(cases, &CaseResult::passed);
}

Error fixed_in_model(const VerifyAnswer& check, const std::string& model) {
  const CaseResult& first = check.not_checked.front();
  const std::string size = first.other_size.substr(0, first.other_size.find('='));
  std::string reason = first.not_checked;
  if (reason.starts_with("A refuses")) reason = "it refuses" + reason.substr(9);
  const bool varies = std::ranges::any_of(
      check.cases, [&](const CaseResult& one) { return one.other_size.starts_with(size + "="); });
  if (varies) {
    return conflict("the model does not take all of the range of " + size + ": " + reason +
                        "; nothing was written",
                    "end the range of " + size +
                        " where the model does, in --input or in the architecture")
        .in_file(model);
  }
  return conflict("the model itself has a fixed size for " + size + ": " + reason +
                      "; nothing was written",
                  "a plain number for " + size + " in --input says that it is meant to be fixed")
      .in_file(model);
}

void show_verify(const VerifyAnswer& answer, Context& context) {
  if (context.json()) {
    show_json(answer, context);
  } else {
    show_text(answer, context);
  }
}

}  // namespace mlc::cli
