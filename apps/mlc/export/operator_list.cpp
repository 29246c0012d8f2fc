#include "export/operator_list.h"

#include "cli/json_writer.h"
#include "cli/table.h"
#include "mlc/base/text.h"
#include "mlc/onnx/op_table.h"
#include "mlc/onnx/tested.h"

#include <set>

#include <fmt/format.h>

namespace mlc::cli {
namespace {

struct Line {
  std::string op;
  uint64_t count = 0;
  std::set<std::string> problems;
};

void count_operators(const ir::Block& block, std::map<std::string, uint64_t>& counts) {
  for (const ir::Node* node : block.nodes()) {
    ++counts[node->op().domain + "::" + node->op().name];
    for (const auto& inner : node->blocks()) count_operators(*inner, counts);
  }
}

std::string opset_text(const onnx::Tested* tested) {
  if (tested == nullptr || tested->opset == 0) return "-";
  if (tested->opset == tested->opset_of_all) return std::to_string(tested->opset);
  return fmt::format("{}..{}", tested->opset, tested->opset_of_all);
}

std::string tested_text(const onnx::Tested* tested) {
  if (tested == nullptr) return "-";
  return fmt::format("{} of {}", tested->passed, tested->calls);
}

void operator_json(const Line& line, bool is_of_model, JsonWriter& json) {
  const onnx::Tested* tested = onnx::find_tested(line.op);
  json.begin_object();
  json.field("name", line.op);
  if (is_of_model) {
    json.field("count", line.count);
    json.field("supported", line.problems.empty());
    if (!line.problems.empty()) json.list("problems", line.problems);
  }
  if (tested != nullptr) {
    if (tested->opset != 0) {
      json.field("opset", static_cast<int64_t>(tested->opset));
      json.field("opset_of_all", static_cast<int64_t>(tested->opset_of_all));
    }
    json.field("passed", static_cast<uint64_t>(tested->passed));
    json.field("calls", static_cast<uint64_t>(tested->calls));
  }
  json.end_object();
}

void list_json(const std::vector<Line>& lines, const std::string* model, Context& context) {
  JsonWriter json(context.out());
  json.begin_object();
  json.field("schema", "mlc.export-onnx-operators/1");
  if (model != nullptr) json.field("model", *model);
  json.key("operators");
  json.begin_array();
  for (const Line& line : lines) operator_json(line, model != nullptr, json);
  json.end_array();
  json.end_object();
}

}  // namespace

std::map<std::string, uint64_t> count_operators(const ir::Graph& program) {
  std::map<std::string, uint64_t> out;
  count_operators(program.body(), out);
  return out;
}

ExitCode list_known_operators(Context& context) {
  std::vector<Line> lines;
  for (const std::string_view op : onnx::known_operators())
    lines.push_back({std::string(op), 0, {}});
  if (context.json()) {
    list_json(lines, nullptr, context);
    return ExitCode::done;
  }
  Table table({{"OPERATOR", Align::left, true}, {"OPSET", Align::right}, {"TESTED", Align::right}});
  uint64_t passed = 0, calls = 0;
  for (const Line& line : lines) {
    const onnx::Tested* tested = onnx::find_tested(line.op);
    if (tested != nullptr) passed += tested->passed, calls += tested->calls;
    table.add({line.op, opset_text(tested), tested_text(tested)});
  }
  table.render(context.out(), context.console.out_width());
  context.out().line(
      fmt::format("\n{}; of their calls in PyTorch's own tests {} of {} give the same\n"
                  "-: known too, but none of these tests calls it",
                  plural(lines.size(), "operator"), format_count(passed), format_count(calls)));
  return ExitCode::done;
}

ExitCode list_operators_of(const std::string& model, const std::map<std::string, uint64_t>& counts,
                           const std::vector<onnx::Problem>& problems, Context& context) {
  std::map<std::string, Line> lines;
  for (const auto& [op, count] : counts) lines[op] = {op, count, {}};
  for (const onnx::Problem& one : problems) {
    Line& line = lines.try_emplace(one.op, Line{one.op, one.count, {}}).first->second;
    line.problems.insert(one.reason);
  }
  std::vector<Line> all;
  for (auto& [op, line] : lines) all.push_back(std::move(line));
  if (context.json()) {
    list_json(all, &model, context);
  } else {
    Table table({{"OPERATOR"},
                 {"COUNT", Align::right},
                 {"OPSET", Align::right},
                 {"TESTED", Align::right},
                 {"ONNX", Align::left, true}});
    for (const Line& line : all) {
      const onnx::Tested* tested = onnx::find_tested(line.op);
      const std::string answer = line.problems.empty()
                                     ? std::string("yes")
                                     : fmt::format("no: {}", fmt::join(line.problems, "; "));
      table.add(
          {line.op, std::to_string(line.count), opset_text(tested), tested_text(tested), answer});
    }
    table.render(context.out(), context.console.out_width());
  }
  return problems.empty() ? ExitCode::done : ExitCode::no;
}

}  // namespace mlc::cli
