#include "mlc/checkpoint/write_safetensors.h"

#include "mlc/base/checked_math.h"
#include "mlc/base/sentence_key.h"
#include "mlc/base/shell_word.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/copy_tensors.h"
#include "mlc/checkpoint/derive.h"
#include "mlc/checkpoint/distributed_tensor.h"
#include "mlc/checkpoint/expansion.h"
#include "mlc/checkpoint/planned_size.h"
#include "mlc/checkpoint/tensor_identity.h"
#include "mlc/checkpoint/tied_names.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include <nlohmann/json.hpp>

namespace mlc {
namespace {

constexpr uint64_t kMaxHeader = 100'000'000;  // what readers accept
constexpr uint64_t kSmallTensor = 64U << 10U;

/// The reference implementation's order of types; higher ones come first in the file.
constexpr auto kRanks = std::to_array<std::string_view>(
    {"BOOL",    "F4",          "F6_E2M3",     "F6_E3M2", "U8",  "I8",  "F8_E5M2", "F8_E4M3",
     "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "I16",     "U16", "F16", "BF16",    "I32",
     "U32",     "F32",         "C64",         "F64",     "I64", "U64"});

size_t rank_of(std::string_view dtype) {
  return static_cast<size_t>(std::find(kRanks.begin(), kRanks.end(), dtype) - kRanks.begin());
}

struct Row {
  const NamedTensor* named = nullptr;
  const Tensor* tensor = nullptr;
  std::string_view dtype;
  uint64_t begin = 0;
  uint64_t end = 0;
};

std::string json_string(std::string_view text) {
  return nlohmann::json(text).dump();
}

/// What can be done about tensors of which PARTS, or only WHOLE ones, are distributed.
std::string way_out(const Checkpoint& checkpoint, bool parts, bool whole) {
  if (parts) return std::string(kGatherDistributed);
  if (!whole) return "leave them out with --exclude, or write a .pt file";
  return "all of each DTensor is in this file: `mlc save " + shell_word(checkpoint.path) +
         " --safe -o plain.pt` makes plain tensors of them";
}

/// Refuses what the format cannot hold: all such tensors at once.
Result<std::vector<Row>> make_rows(const Checkpoint& checkpoint,
                                   const std::vector<NamedTensor>& tensors) {
  std::vector<Row> rows;
  std::vector<std::string> refused;
  bool parts = false;
  bool whole = false;
  for (const NamedTensor& named : tensors) {
    const Tensor& tensor = checkpoint.tensors[named.tensor];
    parts = parts || is_distributed_part(checkpoint, tensor);
    whole = whole || is_whole_distributed(checkpoint, tensor);
    const std::string_view dtype = info(tensor.dtype).safetensors;
    if (tensor.kind != TensorKind::dense) {
      const std::string what =
          tensor.detail == kNoIndex ? "meta" : checkpoint.details[tensor.detail];
      refused.push_back(sentence_key(named.path) + " (" + what + ")");
    } else if (dtype.empty()) {
      refused.push_back(sentence_key(named.path) + " (" + std::string(info(tensor.dtype).torch) +
                        ")");
    } else if (!is_utf8(named.path)) {
      refused.push_back(sentence_key(named.path) + " (its name is not UTF-8)");
    } else {
      rows.push_back({&named, &tensor, dtype, 0, 0});
    }
  }
  if (!refused.empty()) {
    return unsupported(
        "safetensors cannot hold " + plural(refused.size(), "tensor") + ": " + join_list(refused),
        way_out(checkpoint, parts, whole));
  }
  return rows;
}

/// Leaves one row for each group of identical tensors and records the other names. The order of
/// ROWS is that of the state_dict, whose first name stays, but for what the input kept as a text
/// only.
Status drop_aliases(const Checkpoint& checkpoint, SharedPolicy policy, std::vector<Row>& rows,
                    SafetensorsSummary& summary) {
  if (policy == SharedPolicy::clone) return {};
  // Most storages have one tensor; only those of several need the comparison.
  std::vector<uint32_t> uses(checkpoint.storages.size(), 0);
  for (const Row& row : rows) ++uses[row.tensor->storage];
  std::map<TensorIdentity, const Row*> kept;
  for (const Row& row : rows) {
    if (uses[row.tensor->storage] < 2 || checkpoint.element_count(*row.tensor) == 0) continue;
    const Row*& first = kept[identity_of(checkpoint, *row.tensor)];
    if (first == nullptr || (first->tensor->restored && !row.tensor->restored)) first = &row;
  }
  std::vector<Row> result;
  for (const Row& row : rows) {
    const bool shared = uses[row.tensor->storage] > 1 && checkpoint.element_count(*row.tensor) > 0;
    const Row* first = shared ? kept[identity_of(checkpoint, *row.tensor)] : &row;
    if (first == &row || first->named->path == row.named->path) {
      result.push_back(row);
      continue;
    }
    summary.aliases.emplace_back(row.named->path, first->named->path);
  }
  if (policy == SharedPolicy::error && !summary.aliases.empty()) {
    const auto& [dropped, name] = summary.aliases[0];
    return conflict(plural(summary.aliases.size(), "tensor") + " shared under several names: " +
                        sentence_key(dropped) + " is " + sentence_key(name),
                    "--shared dedupe keeps one name, --shared clone writes each");
  }
  rows = std::move(result);
  return {};
}

/// The views among ROWS that stay and overlap, which no reader will know for one memory.
Status find_overlaps(const Checkpoint& checkpoint, SharedPolicy policy,
                     const std::vector<Row>& rows, SafetensorsSummary& summary) {
  if (policy == SharedPolicy::clone) return {};
  std::vector<NamedTensor> tensors;
  for (const Row& row : rows) tensors.push_back(*row.named);
  summary.overlaps = overlapping_views(checkpoint, tensors);
  return policy == SharedPolicy::error ? refuse_overlaps(summary.overlaps) : Status();
}

void append_shape(std::string& out, const Row& row, Dims sizes) {
  const uint8_t per_element = info(row.tensor->dtype).per_element;
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (i > 0) out += ',';
    // Packed types count packs in PyTorch and elements here.
    out += std::to_string(i + 1 == sizes.size() ? sizes[i] * per_element : sizes[i]);
  }
}

/// Names that would stand twice in the header, which no reader accepts.
Status check_names(const std::vector<Row>& rows, const SafetensorsOptions& options,
                   const SafetensorsSummary& summary) {
  constexpr std::string_view kReserved = "__metadata__";
  for (const Row& row : rows) {
    if (row.named->path == kReserved) {
      return unsupported("safetensors cannot hold a tensor called __metadata__",
                         "rename it with `mlc remap-keys`");
    }
  }
  std::set<std::string_view> taken = {"format", kTiedNamesKey};
  for (const auto& [key, value] : options.string_metadata) taken.insert(key);
  for (const auto& [dropped, kept] : summary.aliases) {
    if (!taken.contains(dropped)) continue;
    return unsupported("the tied tensor " + mlc::quoted(dropped) +
                           " is recorded in the metadata of the file, where that name is taken",
                       "--shared clone writes each tied tensor");
  }
  return {};
}

std::string make_header(const Checkpoint& checkpoint, const std::vector<Row>& rows,
                        const SafetensorsOptions& options, const SafetensorsSummary& summary) {
  const auto given = std::ranges::find(
      options.string_metadata, "format", [](const auto& row) -> const auto& { return row.first; });
  const bool has_format = given != options.string_metadata.end();
  std::string out = R"({"__metadata__":{"format":)";
  out.append(has_format ? json_string(given->second) : R"("pt")");
  const auto add = [&out](std::string_view key, std::string_view value) {
    out.append(",").append(json_string(key)).append(":").append(json_string(value));
  };
  for (const auto& [key, value] : options.string_metadata) {
    if (key != "format") add(key, value);
  }
  nlohmann::json listed = nlohmann::json::array();
  for (const auto& [dropped, name] : summary.aliases) {
    add(dropped, name);
    if (dropped.find('.') == dropped.npos) listed.push_back(dropped);
  }
  if (!listed.empty()) add(kTiedNamesKey, listed.dump());
  out += '}';
  for (const Row& row : rows) {
    out.append(",").append(json_string(row.named->path)).append(R"(:{"dtype":")");
    out.append(row.dtype).append(R"(","shape":[)");
    append_shape(out, row, checkpoint.sizes(*row.tensor));
    out.append(R"(],"data_offsets":[)").append(std::to_string(row.begin)).append(",");
    out.append(std::to_string(row.end)).append("]}");
  }
  out += '}';
  out.append(padding_to(out.size(), 8), ' ');
  return out;
}

class DataWriter {
 public:
  DataWriter(const Checkpoint& checkpoint, OutputFile& out, Reporter& reporter)
      : checkpoint_(checkpoint), out_(out), reporter_(reporter) {}

  Status run(const std::vector<Row>& rows, unsigned threads) {
    for (const Row& row : rows) MLC_CHECK_CTX(add(row), "tensor " + sentence_key(row.named->path));
    return copy_tensors(checkpoint_, out_, std::move(jobs_), threads, reporter_);
  }

 private:
  Status add(const Row& row) {
    const Tensor& tensor = *row.tensor;
    const uint64_t size = row.end - row.begin;
    if (size == 0) return {};
    const Storage& storage = checkpoint_.storages[tensor.storage];
    if (size > kSmallTensor || storage.producer() != nullptr) {
      jobs_.push_back({out_.position(), kNoIndex, row.named->tensor, {}});
      return out_.skip(size);
    }
    if (reporter_.interrupted()) return Error(ErrorKind::interrupted, "interrupted");
    if (tensor.storage != checked_) MLC_CHECK(check_storage(checkpoint_, tensor.storage));
    checked_ = tensor.storage;
    MLC_TRY(const TensorView view, checkpoint_.view(row.named->tensor));
    reporter_.advance(size);
    if (view.is_plain()) return out_.write(view.plain_bytes());
    return for_each_block(view, [this](Bytes block) { return out_.write(block); });
  }

  const Checkpoint& checkpoint_;
  OutputFile& out_;
  Reporter& reporter_;
  std::vector<CopyJob> jobs_;
  uint32_t checked_ = kNoIndex;  // neighbours often share a storage
};

/// Everything about the file but its data.
struct Layout {
  std::vector<Row> rows;
  std::string header;
  SafetensorsSummary summary;
};

Result<Layout> lay_out(const Checkpoint& checkpoint, const std::vector<NamedTensor>& tensors,
                       const SafetensorsOptions& options) {
  Layout out;
  SafetensorsSummary& summary = out.summary;
  MLC_TRY(out.rows, make_rows(checkpoint, tensors));
  MLC_CHECK(drop_aliases(checkpoint, options.shared, out.rows, summary));
  MLC_CHECK(find_overlaps(checkpoint, options.shared, out.rows, summary));
  ExpansionBudget budget(checkpoint);
  for (const Row& row : out.rows) {
    MLC_CHECK_CTX(budget.add(row.named->tensor), "tensor " + sentence_key(row.named->path));
  }
  MLC_CHECK(budget.check());
  std::sort(out.rows.begin(), out.rows.end(), [](const Row& a, const Row& b) {
    const size_t left = rank_of(a.dtype);
    const size_t right = rank_of(b.dtype);
    return left != right ? left > right : a.named->path < b.named->path;
  });
  for (Row& row : out.rows) {
    row.begin = summary.bytes;
    row.end = summary.bytes += checkpoint.byte_size(*row.tensor);
  }
  summary.tensors = out.rows.size();
  MLC_CHECK(check_names(out.rows, options, summary));
  out.header = make_header(checkpoint, out.rows, options, summary);
  if (out.header.size() > kMaxHeader) {
    return unsupported("the header would have " + format_bytes(out.header.size()) +
                       "; safetensors readers accept 100 MB");
  }
  return out;
}

}  // namespace

std::vector<std::vector<std::string>> overlapping_views(const Checkpoint& checkpoint,
                                                        const std::vector<NamedTensor>& tensors) {
  struct View {
    uint32_t storage = 0;
    std::pair<uint64_t, uint64_t> span;
    const NamedTensor* named = nullptr;
  };
  std::vector<uint32_t> uses(checkpoint.storages.size(), 0);
  const auto has_bytes = [&checkpoint](const Tensor& tensor) {
    return tensor.storage != kNoIndex && checkpoint.element_count(tensor) > 0;
  };
  for (const NamedTensor& named : tensors) {
    const Tensor& tensor = checkpoint.tensors[named.tensor];
    if (has_bytes(tensor)) ++uses[tensor.storage];
  }
  std::vector<View> views;
  std::set<TensorIdentity> seen;
  for (const NamedTensor& named : tensors) {
    const Tensor& tensor = checkpoint.tensors[named.tensor];
    if (!has_bytes(tensor) || uses[tensor.storage] < 2) continue;
    if (!seen.insert(identity_of(checkpoint, tensor)).second) continue;
    views.push_back({tensor.storage, byte_span(checkpoint, tensor), &named});
  }
  std::stable_sort(views.begin(), views.end(), [](const View& a, const View& b) {
    return std::tie(a.storage, a.span) < std::tie(b.storage, b.span);
  });
  std::vector<std::vector<std::string>> groups;
  for (size_t begin = 0, end = 0; begin < views.size(); begin = end) {
    uint64_t reached = views[begin].span.second;
    for (end = begin + 1; end < views.size() && views[end].storage == views[begin].storage &&
                          views[end].span.first < reached;
         ++end) {
      reached = std::max(reached, views[end].span.second);
    }
    if (end - begin < 2) continue;
    std::vector<std::string>& group = groups.emplace_back();
    for (size_t i = begin; i < end; ++i) group.push_back(views[i].named->path);
  }
  return groups;
}

Status refuse_overlaps(const std::vector<std::vector<std::string>>& groups) {
  if (groups.empty()) return {};
  const std::string more =
      groups.size() > 1 ? "; and " + plural(groups.size() - 1, "more group", "more groups") : "";
  return conflict("tensors overlap in one storage: " + join_list(sentence_keys(groups[0])) + more,
                  "--shared dedupe and --shared clone write each in full");
}

Result<SafetensorsSummary> plan_safetensors(const Checkpoint& checkpoint,
                                            const std::vector<NamedTensor>& tensors,
                                            const SafetensorsOptions& options) {
  MLC_TRY(Layout layout, lay_out(checkpoint, tensors, options));
  return std::move(layout.summary);
}

Result<uint64_t> safetensors_size(const Checkpoint& checkpoint,
                                  const std::vector<NamedTensor>& tensors,
                                  const SafetensorsOptions& options) {
  MLC_TRY(const Layout layout, lay_out(checkpoint, tensors, options));
  return sizeof(uint64_t) + layout.header.size() + layout.summary.bytes;
}

Result<SafetensorsSummary> write_safetensors(const Checkpoint& checkpoint,
                                             const std::vector<NamedTensor>& tensors,
                                             OutputFile& out, const SafetensorsOptions& options,
                                             Reporter& reporter) {
  MLC_TRY(Layout layout, lay_out(checkpoint, tensors, options));
  std::string length;
  append_le(length, uint64_t{layout.header.size()});
  MLC_CHECK(out.write(length));
  MLC_CHECK(out.write(layout.header));
  const ProgressScope progress(reporter, "writing " + out.path(), layout.summary.bytes);
  MLC_CHECK(DataWriter(checkpoint, out, reporter).run(layout.rows, options.threads));
  return std::move(layout.summary);
}

}  // namespace mlc
