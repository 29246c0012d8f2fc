// What `mlc bench` measured as one HTML page that needs nothing else: plots are SVG within it,
// nothing is fetched, nothing runs. Readable on a phone and in print.
#pragma once

#include "run/bench_view.h"

#include <string>

namespace mlc::cli {

/// The whole page. Deterministic: no date, no name of the machine.
std::string bench_html(const BenchAnswer& answer);

}  // namespace mlc::cli
