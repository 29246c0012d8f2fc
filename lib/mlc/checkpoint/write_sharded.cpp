#include "mlc/checkpoint/write_sharded.h"

#include "mlc/base/missing_folder.h"
#include "mlc/base/sentence_key.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/expansion.h"
#include "mlc/checkpoint/lower_tensors.h"
#include "mlc/checkpoint/stored_parts.h"
#include "mlc/checkpoint/summary.h"
#include "mlc/checkpoint/tensor_identity.h"
#include "mlc/checkpoint/write_safetensors.h"
#include "mlc/checkpoint/write_torch_zip.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <set>

#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

namespace mlc {
namespace {

struct Names {
  std::string_view stem;
  std::string_view extension;
};

Names names_for(OutputFormat format) {
  if (format == OutputFormat::safetensors) return {"model", ".safetensors"};
  return {"pytorch_model", ".bin"};
}

/// What has to be in one shard: in a .pt the tensors of one storage, in safetensors, where views
/// are written as tensors of their own, those that are tied.
class Companions {
 public:
  Companions(const Checkpoint& checkpoint, const ShardOptions& options)
      : checkpoint_(checkpoint),
        by_storage_(options.format == OutputFormat::torch_zip),
        alone_(!by_storage_ && options.shared == SharedPolicy::clone) {}

  /// The shard of the first companion of TENSOR; LAST is that of TENSOR where it is the first.
  size_t shard_of(const Tensor& tensor, size_t last) {
    if (tensor.storage == kNoIndex || alone_) return last;
    if (by_storage_) return shard_of_storage_.try_emplace(tensor.storage, last).first->second;
    return shard_of_tensor_.try_emplace(identity_of(checkpoint_, tensor), last).first->second;
  }
  bool knows(const Tensor& tensor) const {
    if (tensor.storage == kNoIndex || alone_) return false;
    if (by_storage_) return shard_of_storage_.contains(tensor.storage);
    return shard_of_tensor_.contains(identity_of(checkpoint_, tensor));
  }
  /// Bytes that TENSOR brings with it.
  uint64_t size_of(const Tensor& tensor) const {
    if (tensor.storage == kNoIndex) return stored_bytes(checkpoint_, tensor);  // of its parts
    return by_storage_ ? checkpoint_.storages[tensor.storage].byte_size()
                       : checkpoint_.byte_size(tensor);
  }

 private:
  const Checkpoint& checkpoint_;
  bool by_storage_;
  bool alone_;
  std::map<uint32_t, size_t> shard_of_storage_;
  std::map<TensorIdentity, size_t> shard_of_tensor_;
};

/// The shard of every tensor, greedily in key order; companions go where the first one went.
struct Layout {
  std::vector<std::vector<NamedTensor>> shards;
  std::vector<OversizedTensor> oversized;
};

Layout lay_out(const Checkpoint& checkpoint, const std::vector<NamedTensor>& tensors,
               const ShardOptions& options) {
  Layout out;
  Companions companions(checkpoint, options);
  uint64_t filled = 0;
  for (const NamedTensor& named : tensors) {
    const Tensor& tensor = checkpoint.tensors[named.tensor];
    const bool follows = companions.knows(tensor);
    const uint64_t size = follows ? 0 : companions.size_of(tensor);
    if (out.shards.empty() || (!follows && filled > 0 && filled + size > options.max_shard_bytes)) {
      out.shards.emplace_back();
      filled = 0;
    }
    if (size > options.max_shard_bytes) out.oversized.push_back({named.path, size});
    out.shards[companions.shard_of(tensor, out.shards.size() - 1)].push_back(named);
    filled += size;
  }
  return out;
}

std::string shard_name(const Names& names, size_t index, size_t count) {
  if (count == 1) return std::string(names.stem).append(names.extension);
  std::array<char, 32> numbers{};
  std::snprintf(numbers.data(), numbers.size(), "-%05zu-of-%05zu", index + 1, count);
  return std::string(names.stem).append(numbers.data()).append(names.extension);
}

/// "model-00001-of-00003.safetensors", whatever the numbers.
bool is_numbered_shard(std::string_view name, const Names& names) {
  constexpr std::string_view kNumbers = "-00000-of-00000";
  if (name.size() != names.stem.size() + kNumbers.size() + names.extension.size()) return false;
  if (!name.starts_with(names.stem) || !name.ends_with(names.extension)) return false;
  const std::string_view numbers = name.substr(names.stem.size(), kNumbers.size());
  return std::equal(numbers.begin(), numbers.end(), kNumbers.begin(), [](char c, char pattern) {
    return pattern == '0' ? c >= '0' && c <= '9' : c == pattern;
  });
}

/// The shards that the index at PATH names; none where it cannot be read.
std::set<std::string> shards_named_by(const std::string& path) {
  std::set<std::string> named;
  const auto file = InputFile::open(path);
  if (!file.ok()) return named;
  const auto text = (*file)->read_string(0, (*file)->size());
  if (!text.ok()) return named;
  const auto json = nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || !json.contains("weight_map")) return named;
  for (const auto& shard : json["weight_map"]) {
    if (shard.is_string()) named.insert(shard.get<std::string>());
  }
  return named;
}

/// The folder of the shards; one that was made here goes away again unless keep() is called.
class OutputFolder {
 public:
  explicit OutputFolder(const std::string& path) : path_(path) {}
  ~OutputFolder() {
    if (made_) ::rmdir(path_.c_str());
  }
  OutputFolder(const OutputFolder&) = delete;
  OutputFolder& operator=(const OutputFolder&) = delete;

  Status make() {
    made_ = mkdir(path_.c_str(), 0777) == 0;
    if (made_ || errno == EEXIST) return {};
    const int error = errno;
    return hint_at_missing_folder(write_failed("cannot make the folder", error), error, path_)
        .in_file(path_);
  }
  void keep() { made_ = false; }

 private:
  const std::string& path_;
  bool made_ = false;
};

Result<uint64_t> size_of(OutputFile& out) {
  MLC_CHECK(out.flush());
  struct stat st {};
  if (fstat(out.fd(), &st) != 0) return write_failed("cannot look at", errno).in_file(out.path());
  return static_cast<uint64_t>(st.st_size);
}

bool is_there(const std::string& path) {
  struct stat st {};
  return lstat(path.c_str(), &st) == 0;
}

class ShardWriter {
 public:
  ShardWriter(Checkpoint& checkpoint, const std::string& folder, const ShardOptions& options,
              Reporter& reporter)
      : checkpoint_(checkpoint), folder_(folder), options_(options), reporter_(reporter) {}

  Result<ShardSummary> run(const std::vector<NamedTensor>& tensors) {
    // Of all shards together: each alone may stay within its limit.
    if (options_.format == OutputFormat::safetensors) {
      MLC_CHECK(check_expansion(checkpoint_, tensors));
      MLC_CHECK(find_overlaps(tensors));
    }
    Layout layout = lay_out(checkpoint_, tensors, options_);
    summary_.oversized = std::move(layout.oversized);
    const size_t count = std::max<size_t>(1, layout.shards.size());
    OutputFolder folder(folder_);
    MLC_CHECK(folder.make());
    const Names names = names_for(options_.format);
    MLC_CHECK(open_outputs(names, count));
    for (size_t i = 0; i < count; ++i) {
      const auto& shard = layout.shards.empty() ? tensors : layout.shards[i];
      MLC_CHECK_CTX(write(shard, summary_.files[i], outputs_[i]), "writing " + summary_.files[i]);
    }
    if (count > 1) {
      MLC_CHECK(outputs_.back().write(index(summary_.bytes, metadata_of_index(tensors))));
    } else {
      warn_of_index_metadata(checkpoint_, reporter_);
    }
    for (OutputFile& out : outputs_) {
      MLC_TRY(const uint64_t size, size_of(out));
      summary_.file_bytes += size;
    }
    MLC_CHECK(publish());
    folder.keep();
    if (is_there(other_layout_)) {
      reporter_.warn("removed " + printable(other_layout_) +
                     ", which readers would prefer to the new files or mix with them");
      ::unlink(other_layout_.c_str());
    }
    remove_stale_shards(names);
    warn_of_other_format();
    return std::move(summary_);
  }

 private:
  /// Views may overlap across shards.
  Status find_overlaps(const std::vector<NamedTensor>& tensors) {
    if (options_.shared == SharedPolicy::clone) return {};
    summary_.overlaps = overlapping_views(checkpoint_, tensors);
    return options_.shared == SharedPolicy::error ? refuse_overlaps(summary_.overlaps) : Status();
  }

  /// Weights of the other format may be there on purpose, so they stay; but who opens the folder
  /// may get them.
  void warn_of_other_format() {
    const Names names =
        names_for(options_.format == OutputFormat::safetensors ? OutputFormat::torch_zip
                                                               : OutputFormat::safetensors);
    const std::string plain = folder_ + "/" + std::string(names.stem).append(names.extension);
    for (const std::string& path : {plain, plain + ".index.json"}) {
      if (!is_there(path)) continue;
      reporter_.warn(printable(path) +
                     " was there before and stays: who opens the folder may get it instead of the "
                     "new files");
    }
  }

  /// Shards of the set that was replaced, where it had another number of files: nothing names them
  /// any more, and a reader that goes by names would mix them with the new ones. What the index
  /// before did not name is somebody else's.
  void remove_stale_shards(const Names& names) {
    std::vector<std::string> removed;
    const std::set<std::string> current(summary_.files.begin(), summary_.files.end());
    for (const std::string& name : replaced_) {
      const std::string path = folder_ + "/" + name;
      if (current.contains(name) || !is_numbered_shard(name, names) || !is_there(path)) continue;
      removed.push_back(name);
      ::unlink(path.c_str());
    }
    if (removed.empty()) return;
    reporter_.warn("removed " + join_list(removed, 3) + " of the shards that were replaced");
  }

  /// All files before the first byte, so that one that exists already stops it at once.
  Status open_outputs(const Names& names, size_t count) {
    const std::string plain = std::string(names.stem).append(names.extension);
    for (size_t i = 0; i < count; ++i) summary_.files.push_back(shard_name(names, i, count));
    if (count > 1) summary_.files.push_back(plain + ".index.json");
    // A folder with both a whole file and an index means two things at once.
    other_layout_ = folder_ + "/" + plain + (count > 1 ? "" : ".index.json");
    if (is_there(other_layout_) && !options_.output.replace) {
      return Error(ErrorKind::exists, "exists already and would contradict the new files",
                   "choose an empty folder; --force removes it")
          .in_file(other_layout_);
    }
    if (options_.output.replace) replaced_ = shards_named_by(folder_ + "/" + plain + ".index.json");
    outputs_.reserve(summary_.files.size());
    for (const std::string& name : summary_.files) {
      const std::string path = folder_ + "/" + name;
      if (!is_there(path)) new_paths_.insert(path);
      // Others go away once these are there, so these have to be on the disk by then.
      OutputOptions output = options_.output;
      output.sync = output.sync || output.replace;
      MLC_TRY(OutputFile out, OutputFile::create(path, output));
      outputs_.push_back(std::move(out));
    }
    return {};
  }

  /// After an error no new name stays.
  Status publish() {
    std::vector<std::string> published;
    for (OutputFile& out : outputs_) {
      Status status = out.publish(checkpoint_.files);
      if (status.ok()) {
        if (new_paths_.contains(out.path())) published.push_back(out.path());
        continue;
      }
      for (const std::string& path : published) ::unlink(path.c_str());
      return status;
    }
    return {};
  }

  Status write(const std::vector<NamedTensor>& shard, const std::string& name, OutputFile& out) {
    summary_.tensors += shard.size();
    for (const NamedTensor& named : shard) weight_map_.emplace(named.path, name);
    if (options_.format == OutputFormat::safetensors) return write_tensors(shard, out);
    // A mapping of its own becomes the root while this shard is written.
    const NodeId whole = checkpoint_.root;
    const NodeId root = checkpoint_.graph.add_dict();
    for (const NamedTensor& named : shard) {
      const NodeId key = checkpoint_.graph.add_text(named.path);
      checkpoint_.graph.dict(root).emplace_back(key, checkpoint_.tensors[named.tensor].node);
    }
    checkpoint_.root = root;
    const TorchZipOptions zip{root_folder_for(out.path()), options_.metadata_yaml, options_.threads,
                              /*extra_records=*/false};
    auto written = write_torch_zip(checkpoint_, out, zip, reporter_);
    checkpoint_.root = whole;
    if (!written.ok()) return std::move(written).error();
    summary_.bytes += written->bytes;
    return {};
  }

  Status write_tensors(const std::vector<NamedTensor>& shard, OutputFile& out) {
    SafetensorsOptions tensors{checkpoint_.string_metadata, options_.shared, options_.threads};
    if (options_.metadata_yaml)
      tensors.string_metadata.emplace_back("mlc", *options_.metadata_yaml);
    MLC_TRY(const SafetensorsSummary written,
            write_safetensors(checkpoint_, shard, out, tensors, reporter_));
    for (const auto& [dropped, kept] : written.aliases) {
      weight_map_.erase(dropped);
      summary_.aliases.emplace_back(dropped, kept);
    }
    summary_.bytes += written.bytes;
    return {};
  }

  /// What the index before said, without the number of parameters where that is another one now:
  /// which tensors are parameters only the model knows.
  std::vector<std::pair<std::string, std::string>> metadata_of_index(
      const std::vector<NamedTensor>& tensors) {
    auto kept = checkpoint_.index_metadata;
    const auto total =
        std::ranges::find(kept, kTotalParameters, &std::pair<std::string, std::string>::first);
    if (total == kept.end()) return kept;
    if (summarize(checkpoint_, tensors).parameters == checkpoint_.index_elements) return kept;
    kept.erase(total);
    reporter_.warn("left out of the new index, for the tensors are others: " +
                   std::string(kTotalParameters));
    return kept;
  }

  std::string index(uint64_t total,
                    const std::vector<std::pair<std::string, std::string>>& metadata) const {
    std::string out = "{\n  \"metadata\": {\n    \"total_size\": " + std::to_string(total);
    for (const auto& [key, json] : metadata) {
      out.append(",\n    ").append(nlohmann::json(key).dump()).append(": ").append(json);
    }
    out += "\n  },\n  \"weight_map\": {";
    bool first = true;
    for (const auto& [name, file] : weight_map_) {
      out.append(first ? "\n    " : ",\n    ").append(nlohmann::json(name).dump());
      out.append(": ").append(nlohmann::json(file).dump());
      first = false;
    }
    out += "\n  }";
    for (const auto& [key, json] : checkpoint_.index_entries) {
      out.append(",\n  ").append(nlohmann::json(key).dump()).append(": ").append(json);
    }
    return out + "\n}\n";
  }

  Checkpoint& checkpoint_;
  const std::string& folder_;
  const ShardOptions& options_;
  Reporter& reporter_;
  std::map<std::string, std::string> weight_map_;
  ShardSummary summary_;
  std::vector<OutputFile> outputs_;
  std::set<std::string> new_paths_;  // of outputs that replace nothing
  std::set<std::string> replaced_;   // shards of the index that is replaced
  std::string other_layout_;         // the index where there is one file, and the reverse
};

}  // namespace

void warn_of_index_metadata(const Checkpoint& checkpoint, Reporter& reporter) {
  const auto warn = [&reporter](std::string_view of, const auto& entries) {
    std::vector<std::string> lost;
    for (const auto& [key, json] : entries) {
      if (key != kTotalParameters) lost.push_back(sentence_key(key));
    }
    if (lost.empty()) return;
    reporter.warn("one file has no index; left out of " + std::string(of) + ": " + join_list(lost));
  };
  warn("the metadata of that before", checkpoint.index_metadata);
  warn("that before, beside its metadata", checkpoint.index_entries);
}

bool belongs_to_shards(std::string_view name, OutputFormat format) {
  const Names names = names_for(format);
  const std::string plain = std::string(names.stem).append(names.extension);
  return name == plain || name == plain + ".index.json" || is_numbered_shard(name, names);
}

Result<SaveReport> plan_sharded(Checkpoint& checkpoint, const std::vector<NamedTensor>& tensors,
                                const std::string& folder, const ShardOptions& options) {
  SaveReport report;
  // A folder that is there has been accepted; any other is made in its own.
  if (!folder.empty() && !is_there(folder)) MLC_CHECK(OutputFile::check(folder, {}));
  if (options.format == OutputFormat::safetensors) {
    // Tied tensors share a shard, so what one file cannot hold no shard can.
    SafetensorsOptions one{checkpoint.string_metadata, options.shared, options.threads};
    if (options.metadata_yaml) one.string_metadata.emplace_back("mlc", *options.metadata_yaml);
    MLC_TRY(SafetensorsSummary plan, plan_safetensors(checkpoint, tensors, one));
    report.aliases = std::move(plan.aliases);
    report.overlaps = std::move(plan.overlaps);
    report.bytes = plan.bytes;
  } else {
    MLC_CHECK(lower_tensors(checkpoint));
    report.bytes = summarize(checkpoint, tensors).storage_bytes;
  }
  report.tensors = tensors.size();
  report.oversized = lay_out(checkpoint, tensors, options).oversized;
  return report;
}

Result<ShardSummary> write_sharded(Checkpoint& checkpoint, const std::vector<NamedTensor>& tensors,
                                   const std::string& folder, const ShardOptions& options,
                                   Reporter& reporter) {
  return ShardWriter(checkpoint, folder, options, reporter).run(tensors);
}

}  // namespace mlc
