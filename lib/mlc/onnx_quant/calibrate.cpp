#include "mlc/onnx_quant/calibrate.h"

#include "mlc/base/parallel.h"
#include "mlc/base/text.h"
#include "mlc/onnx_quant/activation_floats.h"
#include "mlc/onnx_quant/run_samples.h"

#include <algorithm>
#include <cmath>
#include <span>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace mlc::onnx {
namespace {

constexpr std::string_view kFormat = "quant-stats/1";

Status observe(std::span<const NamedValue> values, Observe what, Observers& observers) {
  std::vector<std::pair<Observer*, const NamedValue*>> work;
  for (const NamedValue& value : values) {
    const auto found = observers.find(value.name);
    if (found != observers.end()) work.emplace_back(&found->second, &value);
  }
  return parallel_for(work.size(), default_threads(), [&](size_t i) -> Status {
    thread_local std::vector<float> buffer;
    MLC_TRY(const std::span<const float> seen, floats_of(*work[i].second, buffer));
    if (what == Observe::histograms) {
      work[i].first->add(seen);
    } else {
      work[i].first->add_bounds(seen);
    }
    return {};
  });
}

}  // namespace

Result<Observers> calibrate(mlc::Model& model, const CalibrationData& data,
                            std::span<const std::string> names, Observe what, Reporter& reporter) {
  Observers out;
  for (const std::string& name : names) out.try_emplace(name);
  MLC_CHECK(
      run_samples(model, data, "calibrating (samples)", reporter,
                  [&](std::span<const NamedValue> values) { return observe(values, what, out); }));
  for (const auto& [name, observer] : out) {
    if (observer.not_finite() > 0)
      return conflict("activation " + mlc::quoted(name) + " has " +
                      plural(observer.not_finite(), "value") + " that are not finite");
    if (observer.count() == 0)
      return internal_error("activation " + mlc::quoted(name) + " has no values");
  }
  return out;
}

Result<std::string> model_mark(const Document& document) {
  constexpr size_t kHead = 1024;          // bytes of a weight
  uint64_t mark = 0xCBF2'9CE4'8422'2325;  // FNV-1a
  const auto add = [&](std::string_view text) {
    for (const char c : text) mark = (mark ^ static_cast<uint8_t>(c)) * 0x0000'0100'0000'01B3;
    mark = (mark ^ 0xFF) * 0x0000'0100'0000'01B3;  // no text has such a byte at its end
  };
  for (const DocNode& node : document.nodes) {
    add(node.op);
    for (const std::string& name : node.inputs) add(name);
    for (const std::string& name : node.outputs) add(name);
  }
  for (const DocTensor& tensor : document.tensors) {
    add(tensor.name);
    for (const int64_t size : tensor.sizes) add(std::to_string(size));
    if (!tensor.data) continue;
    MLC_TRY_CTX(const Buffer buffer, tensor.data->produce(), "tensor " + printable(tensor.name));
    const size_t count = std::min(kHead, buffer.bytes.size());
    add({reinterpret_cast<const char*>(buffer.bytes.data()), count});
  }
  return fmt::format("{:016x}", mark);
}

std::string stats_json(const Stats& stats) {
  nlohmann::ordered_json out;
  out["mlc"] = kFormat;
  out["samples"] = stats.samples;
  out["model"] = stats.model;
  out["activations"] = nlohmann::ordered_json::object();
  for (const auto& [name, one] : stats.observers) {
    nlohmann::ordered_json row;
    row["low"] = one.bounds().low;
    row["high"] = one.bounds().high;
    row["count"] = one.count();
    row["origin"] = one.origin();
    row["width"] = one.width();
    row["bins"] = one.bins();
    out["activations"][name] = std::move(row);
  }
  return out.dump() + "\n";
}

Result<Stats> read_stats(const std::string& text) {
  const auto json = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || json.value("mlc", "") != kFormat)
    return corrupt("it is no file of statistics that mlc wrote", "--stats names one to write");
  Stats out;
  try {
    out.samples = json.at("samples").get<uint64_t>();
    out.model = json.value("model", "");
    for (const auto& [name, row] : json.at("activations").items()) {
      auto bins = row.at("bins").get<std::vector<uint64_t>>();
      const ValueBounds bounds{row.at("low").get<float>(), row.at("high").get<float>()};
      const double width = row.at("width").get<double>();
      if (bins.size() != Observer::kBins || !(width > 0) || !(bounds.low <= bounds.high))
        return corrupt("activation " + mlc::quoted(name) + " has no whole statistics");
      out.observers.emplace(
          name, Observer::restored(bounds, row.at("count").get<uint64_t>(),
                                   row.at("origin").get<double>(), width, std::move(bins)));
    }
  } catch (const nlohmann::json::exception& problem) {
    return corrupt("its statistics are not whole: " + printable(problem.what()));
  }
  return out;
}

}  // namespace mlc::onnx
