// Shard indexes of Hugging Face: {"metadata": {"total_size": n}, "weight_map": {key: file}}.
#include "mlc/base/alike_texts.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/absorb.h"
#include "mlc/checkpoint/format.h"
#include "mlc/checkpoint/json_scanner.h"
#include "mlc/checkpoint/name_table.h"
#include "mlc/checkpoint/readers.h"
#include "mlc/checkpoint/sibling_files.h"
#include "mlc/checkpoint/summary.h"
#include "mlc/checkpoint/tensor_identity.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <set>
#include <unordered_map>

#include <sys/stat.h>

namespace mlc {
namespace {

constexpr uint64_t kMaxIndexBytes = 256U << 20U;
constexpr std::string_view kTotalSize = "total_size";
constexpr size_t kMaxShards = 10'000;
constexpr int kMaxDepth = 64;  // indexes carry all sorts of things beside the map

struct Shard {
  std::string name;
  std::vector<size_t> rows;  // of the weight map
};

std::string folder_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/." : path.substr(0, slash);
}

class IndexReader {
 public:
  IndexReader(Checkpoint& checkpoint, const std::string& path)
      : checkpoint_(checkpoint),
        folder_(folder_of(path)),
        index_name_(path.substr(path.rfind('/') + 1)) {}  // npos + 1 is 0

  Status run(std::string_view text);

 private:
  Status read_index(std::string_view text);
  Status read_metadata(JsonScanner& json, std::string_view text);
  Status read_weight_map(JsonScanner& json);
  Status add_row(std::string_view key, std::string_view file);
  Result<std::unique_ptr<Checkpoint>> open_shard(const Shard& shard);
  Status read_shard(const Shard& shard);
  void order_tied_names(const Shard& shard, const Checkpoint& from, const NameTable& names);
  void take_descriptions(const Shard& shard, Checkpoint& from);
  Error no_index(std::string_view text) const;
  void check_total_size();
  void count_elements();
  std::string missing_shards() const;
  /// Values as their JSON text, in the order of their keys.
  struct Kept {
    std::vector<std::pair<std::string, std::string>>& entries;
    NameTable places = NameTable();
  };
  static void keep_entry(JsonScanner& json, std::string_view key, std::string_view text,
                         Kept& kept);

  Checkpoint& checkpoint_;
  std::string folder_;
  std::string index_name_;
  std::vector<std::pair<std::string_view, NodeId>> rows_;  // in the order of the map
  std::vector<Shard> shards_;                              // in the order of their first key
  std::unordered_map<std::string_view, size_t> shard_by_name_;
  Kept metadata_{checkpoint_.index_metadata};
  Kept entries_{checkpoint_.index_entries};
  bool has_map_ = false;
  double total_size_ = -1;
  AlikeTexts warnings_;
};

Status IndexReader::read_index(std::string_view text) {
  JsonScanner json(text, kMaxDepth, checkpoint_.buffers);
  std::string_view key;
  json.begin_object();
  while (json.next_key(key)) {
    if (key == "weight_map") {
      MLC_CHECK(read_weight_map(json));
    } else if (key == "metadata" && json.peek() == '{') {
      MLC_CHECK(read_metadata(json, text));
    } else if (key != "metadata") {
      keep_entry(json, key, text, entries_);
    } else {
      json.skip();
    }
  }
  if (!json.finish()) return std::move(json).error();
  return {};
}

// Scanner errors are seen by the caller, here and below.
Status IndexReader::read_metadata(JsonScanner& json, std::string_view text) {
  std::string_view key;
  json.begin_object();
  while (json.next_key(key)) {
    const char first = json.peek();
    if (key == kTotalSize && first != '"' && first != 'n') {
      json.number(total_size_);
      continue;
    }
    if (key == kTotalSize) {
      json.skip();
    } else {
      keep_entry(json, key, text, metadata_);
    }
  }
  return {};
}

/// Keeps the next value of JSON, which reads TEXT. Of a key that is there twice the last value
/// counts, as for Python's json.
void IndexReader::keep_entry(JsonScanner& json, std::string_view key, std::string_view text,
                             Kept& kept) {
  json.peek();  // spaces are no part of it
  const size_t begin = json.position();
  if (!json.skip()) return;
  const std::string_view value = text.substr(begin, json.position() - begin);
  if (kept.places.add(key, static_cast<uint32_t>(kept.entries.size()))) {
    kept.entries.emplace_back(key, value);
  } else {
    kept.entries[*kept.places.find(key)].second = value;
  }
}

Status IndexReader::read_weight_map(JsonScanner& json) {
  if (has_map_) return corrupt("the index has weight_map twice");
  has_map_ = true;
  NameTable seen;
  std::string_view key;
  std::string_view file;
  json.begin_object();
  while (json.next_key(key)) {
    if (!json.string(file)) break;
    if (!seen.add(key, 0)) return corrupt("the index lists key " + quoted(key) + " twice");
    MLC_CHECK(add_row(key, file));
  }
  return {};
}

Status IndexReader::add_row(std::string_view key, std::string_view file) {
  if (!is_bare_file_name(file)) {
    return corrupt("key " + quoted(key) + " is in " + quoted(file) +
                   ", which is not the name of a file beside the index");
  }
  const auto [it, is_new] = shard_by_name_.try_emplace(file, shards_.size());
  if (is_new) {
    if (shards_.size() == kMaxShards) return corrupt("the index names more than 10,000 files");
    shards_.push_back({std::string(file), {}});
  }
  shards_[it->second].rows.push_back(rows_.size());
  rows_.emplace_back(key, kNoNode);
  return {};
}

Result<std::unique_ptr<Checkpoint>> IndexReader::open_shard(const Shard& shard) {
  const std::string path = folder_ + "/" + shard.name;
  // An index among the shards could name itself; it must not be opened as one.
  MLC_TRY(const auto file, open_sibling(folder_, shard.name));
  MLC_TRY(const std::string head, file->read_string(0, std::min<uint64_t>(file->size(), 64)));
  if (looks_like_json_object(head)) return corrupt("it is JSON, not a checkpoint");
  MLC_TRY(auto opened, open_checkpoint(path));
  const Format format = opened->format;
  if (format != Format::safetensors && format != Format::torch_zip &&
      format != Format::torch_legacy) {
    return unsupported("it is of format " + std::string(format_name(format)) +
                       "; shards are safetensors or torch.save files");
  }
  if (opened->graph.entries(opened->root) == nullptr) return corrupt("it holds no state_dict");
  return opened;
}

/// As a rule the index lists names by the alphabet: only the shard, whose entries have NAMES, knows
/// which of those of a tied tensor the state_dict had first. They change places to that order.
void IndexReader::order_tied_names(const Shard& shard, const Checkpoint& from,
                                   const NameTable& names) {
  struct Tied {
    std::vector<size_t> rows;
    std::vector<std::pair<uint32_t, std::string_view>> by_entry;
  };
  const auto& entries = *from.graph.entries(from.root);
  const auto tensor_of = [&](size_t row) -> const Tensor* {
    const uint32_t* entry = names.find(rows_[row].first);
    const uint32_t tensor = entry != nullptr ? from.tensor_at(entries[*entry].second) : kNoIndex;
    const bool stored = tensor != kNoIndex && from.tensors[tensor].storage != kNoIndex;
    return stored ? &from.tensors[tensor] : nullptr;
  };
  std::vector<uint32_t> uses(from.storages.size(), 0);
  for (const size_t row : shard.rows) {
    if (const Tensor* tensor = tensor_of(row)) ++uses[tensor->storage];
  }
  std::map<TensorIdentity, Tied> groups;
  for (const size_t row : shard.rows) {
    const Tensor* tensor = tensor_of(row);
    if (tensor == nullptr || uses[tensor->storage] < 2) continue;
    Tied& tied = groups[identity_of(from, *tensor)];
    tied.rows.push_back(row);
    tied.by_entry.emplace_back(*names.find(rows_[row].first), rows_[row].first);
  }
  for (auto& [identity, tied] : groups) {
    std::sort(tied.by_entry.begin(), tied.by_entry.end());
    for (size_t i = 0; i < tied.rows.size(); ++i)
      rows_[tied.rows[i]].first = tied.by_entry[i].second;
  }
}

Status IndexReader::read_shard(const Shard& shard) {
  MLC_TRY(std::unique_ptr<Checkpoint> from, open_shard(shard));
  const auto& entries = *from->graph.entries(from->root);
  NameTable names(entries.size());
  for (size_t i = 0; i < entries.size(); ++i) {
    const NodeId key = entries[i].first;
    const bool text = from->graph.is(key, pickle::NodeKind::text) ||
                      from->graph.is(key, pickle::NodeKind::old_string);
    if (text) names.add(from->graph.text(key), static_cast<uint32_t>(i));
  }
  order_tied_names(shard, *from, names);
  std::vector<NodeId> wanted;
  std::vector<size_t> rows = shard.rows;
  std::set<uint32_t> placed;  // storages of the tensors that the index names
  std::vector<bool> named(entries.size(), false);
  for (const size_t row : shard.rows) {
    const uint32_t* found = names.find(rows_[row].first);
    if (found == nullptr) {
      return corrupt("it has no key " + quoted(rows_[row].first) +
                     ", which the index places in it");
    }
    wanted.push_back(entries[*found].second);
    named[*found] = true;
    const uint32_t tensor = from->tensor_at(entries[*found].second);
    if (tensor != kNoIndex) placed.insert(from->tensors[tensor].storage);
  }
  // A tied name is recorded in its shard only: the index names every tensor once.
  for (size_t i = 0; i < entries.size(); ++i) {
    const uint32_t tensor = from->tensor_at(entries[i].second);
    const bool text = from->graph.is(entries[i].first, pickle::NodeKind::text);
    if (named[i] || !text || tensor == kNoIndex) continue;
    if (!placed.contains(from->tensors[tensor].storage)) continue;
    rows.push_back(rows_.size());
    rows_.emplace_back(checkpoint_.keep(from->graph.text(entries[i].first)), kNoNode);
    wanted.push_back(entries[i].second);
  }
  if (entries.size() > wanted.size()) {
    warnings_.add(shard.name, shard.name + " has " + plural(entries.size() - wanted.size(), "key") +
                                  " that the index does not place in it; they are left out");
  }
  take_descriptions(shard, *from);
  MLC_TRY(const std::vector<NodeId> nodes, absorb(checkpoint_, std::move(*from), wanted));
  for (size_t i = 0; i < nodes.size(); ++i) rows_[rows[i]].second = nodes[i];
  return {};
}

void IndexReader::take_descriptions(const Shard& shard, Checkpoint& from) {
  for (const std::string& warning : from.warnings) {
    warnings_.add(shard.name, shard.name + ": " + warning);
  }
  if (checkpoint_.origin.writer.empty()) {
    checkpoint_.origin = std::move(from.origin);
    checkpoint_.string_metadata = std::move(from.string_metadata);
    checkpoint_.pickle_protocol = from.pickle_protocol;
  }
  if (checkpoint_.refused_opcode.empty()) checkpoint_.refused_opcode = from.refused_opcode;
  // Whoever loads the shard meets all its names, those beside the tensors too.
  for (const NodeId global : from.graph.globals()) {
    checkpoint_.graph.add_global(from.graph.global_module(global), from.graph.global_name(global));
  }
  if (!checkpoint_.metadata_yaml) checkpoint_.metadata_yaml = std::move(from.metadata_yaml);
}

void IndexReader::check_total_size() {
  double actual = 0;
  for (const Storage& storage : checkpoint_.storages) {
    actual += static_cast<double>(storage.byte_size());
  }
  if (total_size_ < 0 || total_size_ == actual) return;
  checkpoint_.warnings.push_back("the index says total_size " +
                                 format_count(static_cast<uint64_t>(std::min(total_size_, 1e18))) +
                                 ", the shards hold " +
                                 format_count(static_cast<uint64_t>(actual)) + " bytes");
}

/// Asked for only where an entry depends on it: it takes a walk over all tensors.
void IndexReader::count_elements() {
  const auto& kept = checkpoint_.index_metadata;
  const auto is_total = [](const auto& one) { return one.first == kTotalParameters; };
  if (std::none_of(kept.begin(), kept.end(), is_total)) return;
  const std::vector<NamedTensor> tensors = all_tensors(checkpoint_, checkpoint_.root);
  checkpoint_.index_elements = summarize(checkpoint_, tensors).parameters;
}

/// What TEXT is, a JSON object without the map: servers answer like this in place of a file.
Error IndexReader::no_index(std::string_view text) const {
  static constexpr std::string_view kOfAnswers[] = {"error", "errors", "message", "detail",
                                                    "Message"};
  const bool answer = std::ranges::any_of(checkpoint_.index_entries, [](const auto& entry) {
    return std::ranges::find(kOfAnswers, entry.first) != std::end(kOfAnswers);
  });
  if (answer) {
    return corrupt(
        "is the error message of a server, not a checkpoint: " + quoted(text.substr(0, 80)),
        "the download saved it in place of the file; fetch it again");
  }
  return unsupported("is JSON, but not the index of a sharded checkpoint: it has no weight_map");
}

/// Which shards are not beside the index, where more than the one that the error names; empty where
/// all are there.
std::string IndexReader::missing_shards() const {
  std::vector<std::string> names;
  for (const Shard& shard : shards_) {
    std::error_code unknown;
    const bool there = std::filesystem::exists(folder_ + "/" + shard.name, unknown);
    if (!there && !unknown) names.push_back(printable(shard.name));
  }
  if (names.empty()) return {};
  const std::string count = std::to_string(names.size()) + " of " +
                            plural(shards_.size(), "shard") + " that the index names ";
  if (names.size() == 1) return count + "is not beside it";
  return count + "are not beside it: " + join_list(names);
}

Status IndexReader::run(std::string_view text) {
  MLC_CHECK(read_index(text));
  if (!has_map_) return no_index(text);
  for (const Shard& shard : shards_) {
    if (Status read = read_shard(shard); !read.ok()) {
      Error error = std::move(read).error();
      // Where the shard is named as the file, it is the index that one would look for.
      const std::string& whose = error.file().empty() ? shard.name : index_name_;
      const std::string_view what = error.file().empty() ? "shard " : "shard of ";
      return std::move(error)
          .during(std::string(what) + mlc::quoted(whose))
          .with_hint(missing_shards());
    }
  }
  for (std::string& warning : warnings_.take()) {
    checkpoint_.warnings.push_back(std::move(warning));
  }
  checkpoint_.root = checkpoint_.graph.add_dict();
  auto& entries = checkpoint_.graph.dict(checkpoint_.root);
  entries.reserve(rows_.size());
  for (const auto& [key, node] : rows_) {
    const NodeId name = checkpoint_.graph.add_borrowed(pickle::NodeKind::text, key);
    entries.emplace_back(name, node);
  }
  check_total_size();
  count_elements();
  return {};
}

}  // namespace

Status read_sharded(Checkpoint& checkpoint, const std::string& index_path) {
  const InputFile& file = *checkpoint.files[0];
  if (file.size() > kMaxIndexBytes) {
    return unsupported("a JSON file of " + format_bytes(file.size()) + " is no shard index");
  }
  MLC_TRY(std::string text, file.read_string(0, file.size()));
  checkpoint.buffers.push_back(std::move(text));
  const std::string& kept = checkpoint.buffers.back();
  return IndexReader(checkpoint, index_path).run(kept);
}

}  // namespace mlc
