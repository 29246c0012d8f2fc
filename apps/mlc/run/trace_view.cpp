#include "run/trace_view.h"

#include "cli/json_writer.h"
#include "mlc/base/text.h"

#include <algorithm>

#include <fmt/format.h>

namespace mlc::cli {
namespace {

std::string made_text(const TraceAnswer& answer) {
  std::string out = answer.method;
  if (answer.optimized) {
    out += ", frozen and folded";
  } else if (answer.frozen) {
    out += ", frozen";
  }
  return out;
}

std::string decided_text(const TraceFacts& facts) {
  const auto loops =
      static_cast<uint64_t>(std::ranges::count(facts.decisions, true, &TraceDecision::is_loop));
  const uint64_t branches = facts.decisions.size() - loops;
  std::vector<std::string> parts;
  if (branches > 0) parts.push_back(plural(branches, "branch", "branches"));
  if (loops > 0) parts.push_back(plural(loops, "loop"));
  return join_list(parts);
}

void names_json(std::string_view key, const std::vector<std::string>& names, JsonWriter& json) {
  json.key(key);
  json.begin_array();
  for (const std::string& name : names) json.value(name);
  json.end_array();
}

void show_text(const TraceAnswer& answer, Context& context) {
  const auto line = [&](std::string_view label, std::string_view text) {
    context.out().line(fmt::format("{:<9}{}", label, text));
  };
  line("model", printable(answer.model));
  line("engine", answer.check.engine + " on " + answer.check.device);
  line("method", made_text(answer));
  for (const std::string& input : answer.inputs) line("input", printable(input));
  const std::string decided = decided_text(answer.facts);
  if (!decided.empty()) line("decided", decided + " as these inputs had it");
  for (const NamedDevice& device : answer.devices) {
    line("device", fmt::format("{} in {}, now {}", device.name, plural(device.count, "place"),
                               answer.check.device));
  }
  if (!answer.check.cases.empty()) line("same if", same_if(answer.check));
  context.out().line("");
  show_cases(answer.check, context);
}

}  // namespace

std::string decisions_text(const TraceFacts& facts) {
  if (facts.decisions.empty()) return "";
  constexpr size_t kMost = 4;
  std::vector<std::string> places;
  for (const TraceDecision& one : facts.decisions) {
    const std::string place = printable(one.place);
    if (std::ranges::find(places, place) == places.end()) places.push_back(place);
  }
  if (places.size() > kMost) {
    const size_t more = places.size() - kMost;
    places.resize(kMost);
    places.push_back(plural(more, "more place"));
  }
  return fmt::format(
      "the trace goes the way of these inputs whatever it is given, at {}; --method script keeps "
      "control flow, and more --samples show where it matters",
      join_list(places));
}

void show_trace(const TraceAnswer& answer, Context& context) {
  if (!context.json()) return show_text(answer, context);
  JsonWriter json(context.out());
  json.begin_object();
  json.field("schema", "mlc.trace/1");
  json.field("model", answer.model);
  json.field("output", answer.output);
  json.field("dry_run", answer.dry_run);
  json.field("file_bytes", answer.file_bytes);
  json.field("method", answer.method);
  json.field("frozen", answer.frozen);
  json.field("optimized", answer.optimized);
  json.field("engine", answer.check.engine);
  json.field("device", answer.check.device);
  json.field("random", answer.random);
  json.key("decisions");
  json.begin_array();
  for (const TraceDecision& decision : answer.facts.decisions) {
    json.begin_object();
    json.field("place", decision.place);
    json.field("kind", decision.is_loop ? "loop" : "branch");
    json.field("outcome", decision.outcome);
    json.end_object();
  }
  json.end_array();
  names_json("inputs", answer.inputs, json);
  json.key("fixed_inputs");
  json.begin_array();
  for (const ProgramInput& input : answer.fixed) {
    json.begin_object();
    json.field("name", input.name);
    json.field("value", input.fixed);
    json.end_object();
  }
  json.end_array();
  names_json("extra_files", answer.copied, json);
  names_json("lost_methods", answer.lost_methods, json);
  names_json("lost_attributes", answer.lost_attributes, json);
  json.key("devices");
  json.begin_array();
  for (const NamedDevice& device : answer.devices) {
    json.begin_object();
    json.field("name", device.name);
    json.field("count", device.count);
    json.end_object();
  }
  json.end_array();
  cases_json(answer.check, json);
  json.end_object();
}

Error refused_trace(const TraceAnswer& answer, const std::string& turned) {
  const auto failed = std::ranges::find(answer.check.cases, false, &CaseResult::passed);
  const bool baked = !failed->other_size.empty();
  const std::string what = answer.method == "trace" ? "trace" : "new file";
  std::string message = "the " + what + " does not compute what the model does";
  if (baked)
    message = "the " + what + " is wrong at " + failed->other_size + ": a size is fixed in it";
  if (!turned.empty()) message += ", for there the model goes another way at: " + turned;
  message += "; " + first_problem(answer.check) + "; nothing was written";
  std::string hint = rounding_hint(answer.check);
  if (!hint.empty()) return conflict(std::move(message), std::move(hint)).in_file(answer.output);
  if (answer.method == "trace") {
    hint = "--method script keeps control flow";
  } else if (answer.optimized) {
    hint = "leave --optimize out";
  } else if (answer.frozen) {
    hint = "leave --freeze out";
  }
  if (baked) {
    const std::string size = failed->other_size.substr(0, failed->other_size.find('='));
    hint += (hint.empty() ? "" : "; ") + ("a plain number for " + size) +
            " in --input says that it is meant to be fixed";
  }
  return conflict(std::move(message), std::move(hint)).in_file(answer.output);
}

}  // namespace mlc::cli
