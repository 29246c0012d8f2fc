#include "export/op_map_checks.h"

#include "mlc/base/text.h"
#include "mlc/onnx_write/check.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

namespace mlc::cli {
namespace {

std::string did_you_mean(std::string_view word, const std::vector<std::string>& known) {
  const auto near = nearest(word, known);
  return near ? "; did you mean " + quoted(*near) + "?" : "";
}

}  // namespace

Status check_op_map(const onnx::OpMap& map, const std::string& file) {
  const std::vector<std::string> known = onnx::operator_names();
  for (const onnx::MappedOperator& one : map.operators) {
    const bool is_known = known.empty() || std::ranges::find(known, one.to) != known.end();
    if (!one.domain.empty() || is_known) continue;
    return usage_error(fmt::format("ONNX has no operator {}, which {} is to become{}",
                                   quoted(one.to), quoted(one.from), did_you_mean(one.to, known)),
                       "domain: says whose operator it is, where it is not ONNX's")
        .in_file(file);
  }
  return {};
}

void warn_of_idle_rules(const onnx::OpMap& map, const std::map<std::string, uint64_t>& counts,
                        Reporter& reporter) {
  std::vector<std::string> known;
  for (const auto& [op, count] : counts) known.push_back(op);
  for (const onnx::MappedOperator& one : map.operators) {
    if (counts.contains(one.from)) continue;
    reporter.warn("--op-map: the program has no operator " + quoted(one.from) +
                  did_you_mean(one.from, known));
  }
}

Error refused_map(Error problem, const std::string& file) {
  return usage_error("the model is refused, in which --op-map says what operators become: " +
                         problem.message(),
                     "do they have the inputs and attributes that they want?")
      .in_file(file);
}

}  // namespace mlc::cli
