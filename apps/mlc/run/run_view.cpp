#include "run/run_view.h"

#include "cli/json_writer.h"
#include "cli/table.h"
#include "mlc/base/text.h"
#include "mlc/tensor/element_values.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include <fmt/format.h>

namespace mlc::cli {
namespace {

constexpr size_t kFirstValues = 4;

/// Up to four values from the start; complex numbers give two each.
std::vector<double> first_values(const HostTensor& tensor) {
  const size_t count = std::min<size_t>(kFirstValues, tensor.view().count());
  std::vector<double> values(count * values_per_element(tensor.dtype));
  load_values(tensor.dtype,
              as_bytes(*tensor.bytes).first(count * static_cast<size_t>(info(tensor.dtype).bytes)),
              values.data());
  return values;
}

std::string value_text(DType dtype, double value) {
  const DTypeClass kind = info(dtype).kind;
  if (kind == DTypeClass::boolean) return value != 0 ? "true" : "false";
  if (kind == DTypeClass::integer) return fmt::format("{:.0f}", value);
  if (std::isnan(value)) return "nan";  // its sign says nothing
  return fmt::format("{:.4g}", value);
}

/// The same, of i64 and u64 tensors, which doubles round beyond 2^53.
std::vector<std::string> first_integers(const HostTensor& tensor) {
  std::vector<std::string> out;
  const size_t count = std::min<size_t>(kFirstValues, tensor.view().count());
  for (size_t i = 0; i < count; ++i) {
    uint64_t bits = 0;
    std::memcpy(&bits, tensor.bytes->data() + i * sizeof bits, sizeof bits);
    out.push_back(tensor.dtype == DType::u64 ? std::to_string(bits)
                                             : std::to_string(static_cast<int64_t>(bits)));
  }
  return out;
}

bool is_long(DType dtype) {
  return dtype == DType::i64 || dtype == DType::u64;
}

/// "0.5-2j", as Python writes it, of every real part and the imaginary one behind it.
std::vector<std::string> complex_texts(const std::vector<std::string>& parts) {
  std::vector<std::string> out;
  for (size_t i = 0; i + 1 < parts.size(); i += 2) {
    const std::string& imaginary = parts[i + 1];
    out.push_back(parts[i] + (imaginary.starts_with('-') ? "" : "+") + imaginary + "j");
  }
  return out;
}

std::string preview(const HostTensor& tensor) {
  std::vector<std::string> texts;
  if (is_long(tensor.dtype)) {
    texts = first_integers(tensor);
  } else {
    for (const double value : first_values(tensor)) {
      texts.push_back(value_text(tensor.dtype, value));
    }
    if (values_per_element(tensor.dtype) == 2) texts = complex_texts(texts);
  }
  std::string out;
  for (const std::string& text : texts) out += (out.empty() ? "" : " ") + text;
  return tensor.view().count() > kFirstValues ? out + " ..." : out;
}

std::string optional_text(DType dtype, const std::optional<double>& value) {
  return value ? value_text(dtype, *value) : "-";
}

void show_text(const RunAnswer& answer, Context& context) {
  const auto line = [&](std::string_view label, std::string_view text) {
    context.out().line(fmt::format("{:<8}{}", label, text));
  };
  line("model", printable(answer.model));
  line("engine",
       fmt::format("{} on {}, {}{}", answer.engine, answer.device, plural(answer.threads, "thread"),
                   answer.dtype.empty() ? "" : ", " + answer.dtype));
  for (const RunInput& input : answer.inputs) {
    line("input", printable(input.name) + " " + describe(input.tensor.dtype, input.tensor.sizes) +
                      (input.cast_to ? fmt::format(", as {}", info(*input.cast_to).brief) : "") +
                      ", " + input.made);
  }
  context.out().line("");
  Table table({{"OUTPUT", Align::left, true},
               {"DTYPE"},
               {"SHAPE"},
               {"MIN", Align::right},
               {"MAX", Align::right},
               {"MEAN", Align::right},
               {"FIRST VALUES"}});
  for (const RunOutput& output : answer.outputs) {
    const HostTensor& tensor = output.value.tensor;
    const bool real = info(tensor.dtype).kind != DTypeClass::boolean;
    const std::optional<IntegerRange>& exact = output.stats.integers;
    table.add({output.value.name, info(tensor.dtype).brief, format_shape(tensor.sizes),
               exact ? exact->min : optional_text(tensor.dtype, output.stats.min),
               exact ? exact->max : optional_text(tensor.dtype, output.stats.max),
               real && output.stats.mean ? fmt::format("{:.4g}", *output.stats.mean) : "-",
               preview(tensor)});
  }
  for (const NamedText& text : answer.texts) {
    table.add({text.name, "str", "-", "-", "-", "-", quoted(text.text)});
  }
  table.render(context.out(), context.console.out_width());
}

void range_json(JsonWriter& json, const TensorStats& stats) {
  if (!stats.integers) {
    json.field("min", stats.min);
    json.field("max", stats.max);
    return;
  }
  json.key("min");
  json.raw(stats.integers->min);
  json.key("max");
  json.raw(stats.integers->max);
}

void first_json(JsonWriter& json, const HostTensor& tensor) {
  if (!is_long(tensor.dtype)) {
    json.list("first", first_values(tensor));
    return;
  }
  json.key("first");
  json.begin_array();
  for (const std::string& value : first_integers(tensor)) json.raw(value);
  json.end_array();
}

void show_json(const RunAnswer& answer, Context& context) {
  JsonWriter json(context.out());
  json.begin_object();
  json.field("schema", "mlc.run/1");
  json.field("model", answer.model);
  json.field("engine", answer.engine);
  json.field("device", answer.device);
  json.field("threads", answer.threads);
  if (!answer.dtype.empty()) json.field("dtype", answer.dtype);
  json.field("seed", answer.seed);
  json.key("inputs");
  json.begin_array();
  for (const RunInput& input : answer.inputs) {
    json.begin_object();
    json.field("name", input.name);
    json.field("dtype", info(input.tensor.dtype).torch);
    if (input.cast_to) json.field("cast_to", info(*input.cast_to).torch);
    json.list("shape", input.tensor.sizes);
    json.field("source", input.source);
    json.end_object();
  }
  json.end_array();
  json.key("outputs");
  json.begin_array();
  for (const RunOutput& output : answer.outputs) {
    const HostTensor& tensor = output.value.tensor;
    json.begin_object();
    json.field("name", output.value.name);
    json.field("dtype", info(tensor.dtype).torch);
    json.list("shape", tensor.sizes);
    range_json(json, output.stats);
    json.field("mean", output.stats.mean);
    json.field("nans", output.stats.nans);
    json.field("infs", output.stats.infs);
    first_json(json, tensor);
    json.end_object();
  }
  json.end_array();
  if (!answer.texts.empty()) {
    json.key("texts");
    json.begin_array();
    for (const NamedText& text : answer.texts) {
      json.begin_object();
      json.field("name", text.name);
      json.field("text", text.text);
      json.end_object();
    }
    json.end_array();
  }
  if (!answer.file.empty()) {
    json.key("written");
    json.begin_object();
    json.field("file", answer.file);
    json.field("bytes", answer.file_size);
    json.end_object();
  }
  json.end_object();
}

}  // namespace

Result<std::vector<RunOutput>> examine(std::vector<NamedValue> values, unsigned threads) {
  std::vector<RunOutput> out;
  for (NamedValue& value : values) {
    MLC_TRY(const TensorStats stats, tensor_stats(value.tensor.view(), threads));
    out.push_back({std::move(value), stats});
  }
  return out;
}

void warn_of_odd_values(std::span<const RunOutput> outputs, Reporter& reporter) {
  for (const RunOutput& output : outputs) {
    std::vector<std::string> odd;
    if (output.stats.nans > 0) odd.push_back(plural(output.stats.nans, "NaN"));
    if (output.stats.infs > 0) odd.push_back(plural(output.stats.infs, "infinite value"));
    if (odd.empty()) continue;
    reporter.warn("output " + quoted(output.value.name) + " holds " + join_list(odd) + " among " +
                  plural(output.stats.count, "value"));
  }
}

void show_run(const RunAnswer& answer, Context& context) {
  if (context.json()) {
    show_json(answer, context);
  } else {
    show_text(answer, context);
  }
}

}  // namespace mlc::cli
