#include "export/export_sizes.h"

#include "mlc/base/text.h"
#include "mlc/engine/size_names.h"
#include "mlc/ir/symbols.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

namespace mlc::cli {

Result<std::map<std::string, std::string>> dim_names(std::span<const std::string> options) {
  std::map<std::string, std::string> out;
  for (const std::string& text : options) {
    const size_t at = text.find('=');
    if (at == std::string::npos || at == 0 || at + 1 == text.size()) {
      return usage_error("--dim wants OLD=NEW, not " + quoted(text), "as in --dim s77=batch");
    }
    const std::string old = text.substr(0, at);
    const std::string wanted = text.substr(at + 1);
    if (!ir::is_symbol_name(wanted)) {
      return usage_error(
          "--dim: " + quoted(wanted) + " is no name of a size",
          "names have letters, digits, _ and ., no digit first, and are none of min, max, "
          "inf, nan, none, true and false");
    }
    if (!out.emplace(old, wanted).second) {
      return usage_error("--dim names " + quoted(old) + " twice");
    }
  }
  return out;
}

std::vector<std::string> join_usual_names(const ExportedProgram& program,
                                          std::map<std::string, std::string>& names) {
  const std::map<std::string, std::string> usual = usual_size_names(program);
  const auto own_name = [&](const std::string& said) {
    const auto row = std::ranges::find(usual, said, [](const auto& one) { return one.second; });
    return row == usual.end() ? said : row->first;
  };
  std::set<std::string> renamed;
  for (const auto& [old, wanted] : names) renamed.insert(own_name(old));
  std::map<std::string, std::string> more;
  for (const auto& [old, wanted] : names) {
    const std::string other = own_name(wanted);
    if (!usual.contains(other) || renamed.contains(other)) continue;
    more.emplace(other, wanted);
  }
  std::map<std::string, std::vector<std::string>> joined;  // by the name that they get
  for (const auto& [other, wanted] : more) joined[wanted].push_back(wanted);
  for (const auto& [old, wanted] : names) joined[wanted].push_back(old);
  names.merge(more);
  std::vector<std::string> out;
  for (const auto& [wanted, sizes] : joined) {
    if (sizes.size() < 2) continue;
    out.push_back(
        fmt::format("{} become one size, {}: the model will take only inputs where they are equal",
                    join_list(printable_all(sizes)), printable(wanted)));
  }
  return out;
}

std::map<std::string, int64_t> least_sizes(const onnx::Model& model) {
  std::map<std::string, int64_t> out = model.least_sizes;
  for (const ir::Symbol& symbol : model.symbols().all()) {
    if (symbol.bounds.low <= 1) continue;
    int64_t& known = out.try_emplace(symbol.name, symbol.bounds.low).first->second;
    known = std::max(known, symbol.bounds.low);
  }
  return out;
}

void warn_of_least_sizes(const onnx::Model& model, Reporter& reporter) {
  for (const auto& [size, least] : model.least_sizes) {
    reporter.warn(fmt::format(
        "{} has to be at least {}: below, what the model computes has other dimensions, or nothing "
        "in it",
        size, least));
  }
}

std::vector<ExportedSize> varying_sizes(const onnx::Model& model,
                                        const std::map<std::string, int64_t>& least) {
  std::vector<ExportedSize> out;
  for (const ir::Symbol& symbol : model.symbols().all()) {
    const bool is_input = std::ranges::any_of(model.graph.inputs, [&](const onnx::Value* input) {
      // A number that is called as its symbol is.
      if (input->type.sizes.empty() && input->name == symbol.name) return true;
      return std::ranges::any_of(input->type.sizes, [&](ir::Expr size) {
        return model.symbols().text(size) == symbol.name;
      });
    });
    if (!is_input) continue;
    const auto known = least.find(symbol.name);
    out.push_back(
        {symbol.name, known == least.end() ? symbol.bounds.low : known->second, std::nullopt});
    if (symbol.bounds.high != ir::kUnbounded) out.back().high = symbol.bounds.high;
  }
  return out;
}

void warn_of_largest_size(const CaseResult& result, std::span<const InputSpec> specs,
                          Reporter& reporter) {
  const size_t at = result.other_size.find('=');
  if (result.instead_of.empty() || at == std::string::npos) return;
  const std::string size = result.other_size.substr(0, at);
  for (const InputSpec& spec : specs) {
    const auto dim = std::ranges::find(spec.dims, size, &InputDim::symbol);
    if (dim == spec.dims.end()) continue;
    // One less than the example is only tried where the model takes no more.
    if (result.other_size != fmt::format("{}={}", size, dim->example - 1)) return;
    std::string reason = result.instead_of;
    if (reason.starts_with("A refuses")) reason.replace(0, 9, "it refuses");
    reporter.warn(fmt::format("the model takes {0} up to {1}: {2}; {0}=1..{1} in --input says so",
                              printable(size), dim->example, printable(reason)));
    return;
  }
}

std::string fixed_sizes_note(std::span<const InputSpec> specs) {
  const auto varies = [](const InputDim& dim) { return !dim.symbol.empty(); };
  const InputSpec* first = nullptr;
  for (const InputSpec& spec : specs) {
    if (std::ranges::any_of(spec.dims, varies)) return "";
    if (first == nullptr && (!spec.dims.empty() || !spec.file.empty())) first = &spec;
  }
  if (first == nullptr) return "";
  InputSpec example = *first;
  std::string text = printable(first->name) + ":f32[batch=1,...]";
  if (first->file.empty()) {
    example.dims[0].symbol = "batch";
    text = printable(to_text(example));
  }
  return "all sizes are fixed; named ones stay free, as in --input '" + text + "'";
}

}  // namespace mlc::cli
