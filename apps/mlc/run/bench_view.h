// What `mlc bench` measured, as a table and as JSON.
#pragma once

#include "command.h"
#include "mlc/base/result.h"
#include "mlc/engine/measure.h"

#include <optional>
#include <string>
#include <vector>

namespace mlc::cli {

/// One artefact at one batch size; seconds and bytes.
struct BenchRow {
  std::string file;
  std::string engine;  // "LibTorch 2.13.0"
  std::string device;
  bool channels_last = false;
  std::optional<uint64_t> batch;  // size of the dimension of that name
  uint64_t file_bytes = 0;
  uint64_t peak_rss = 0;
  double open = 0;  // the library of the engine
  double load = 0;
  Latencies latencies;

  double calls_per_second() const { return 1 / mean(latencies.samples); }
  double items_per_second() const;  // calls, where there is no batch
};

struct BenchAnswer {
  unsigned threads = 1;
  std::string dtype;
  uint64_t seed = 0;
  uint64_t warmup = 0;
  std::vector<std::string> inputs;  // as typed or declared
  std::vector<BenchRow> rows;
};

/// For the way from the process that measures.
std::string encode(const BenchRow& row);
Result<BenchRow> decode_row(std::string_view bytes);

/// "LibTorch 2.13.0 and ONNX Runtime 1.31.1": what ran the artefacts, each once.
std::string engines(const BenchAnswer& answer);

/// The files that ran with channels last, each once, fit for a terminal.
std::vector<std::string> files_with_channels_last(const BenchAnswer& answer);

/// How much faster ROW is than the first file with its batch size, by medians; nothing for that
/// one.
std::optional<double> speedup(const BenchAnswer& answer, const BenchRow& row);
/// "1.52x", or "-".
std::string speed_text(const BenchAnswer& answer, const BenchRow& row);

/// "best batch size of m.pt: 8, 1,234 items/s" for each file, fit for a terminal; none where there
/// is one batch size only.
std::vector<std::string> best_batch_lines(const BenchAnswer& answer);

/// "1.25 ms", "83.6 us".
std::string duration_text(double seconds);
/// "12,345", "7.3": a number per second.
std::string rate_text(double per_second);

void show_bench(const BenchAnswer& answer, Context& context);

}  // namespace mlc::cli
