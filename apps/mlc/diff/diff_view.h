// `mlc diff`: two checkpoints compared, shown as text or JSON.
#pragma once

#include "command.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace mlc::cli {

enum class DiffOrder : uint8_t { key, movement };

struct DiffArguments {
  std::string a;
  std::string b;
  std::string key;
  std::optional<std::string> key_b;  // as `key` if not given
  std::vector<std::string> include;
  std::vector<std::string> exclude;
  std::string strip_prefix;  // taken off the front of the keys of either side
  bool keys_only = false;
  bool no_values = false;
  bool no_metadata = false;
  bool ignore_dtype = false;
  double atol = 0;
  double rtol = 0;
  DiffOrder sort = DiffOrder::key;
};

/// ExitCode::done if nothing differs, else ExitCode::no.
Result<ExitCode> diff_files(const DiffArguments& arguments, Context& context);

}  // namespace mlc::cli
