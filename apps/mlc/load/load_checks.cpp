#include "load/load_report.h"
#include "load/load_tree.h"
#include "mlc/base/sentence_key.h"
#include "mlc/base/text.h"
#include "mlc/base/text_input.h"
#include "mlc/checkpoint/copy_tensors.h"
#include "mlc/checkpoint/expansion.h"
#include "mlc/checkpoint/tensor_identity.h"
#include "mlc/keys/pattern.h"
#include "mlc/metadata/provenance.h"

#include <algorithm>
#include <functional>
#include <map>
#include <memory>

namespace mlc::cli {
namespace {

/// What is damaged: " (fc.weight and fc.bias)", or nothing.
std::string in_tensors(const std::vector<std::string>& tensors) {
  return tensors.empty() ? "" : " (" + join_list(sentence_keys(tensors), 3) + ")";
}

/// Where RECORD lies and what is wrong with it; a PROBLEM of the header names its place itself.
std::string place_and_problem(const DamagedRecord& record) {
  const std::string problem = ": " + printable(record.problem);
  return record.offset ? " at offset " + std::to_string(*record.offset) + problem : problem;
}

}  // namespace

Error LoadReport::damage_error() const {
  const DamagedRecord& first = integrity_->damaged[0];
  return corrupt(plural(integrity_->damaged.size(), "damaged record") + ", first " +
                     printable(first.record) + in_tensors(damaged_tensors(first)) +
                     place_and_problem(first),
                 "fetch or save the file again; `mlc load --check crc` of it alone lists every "
                 "damaged record");
}

/// The tensors shown that have bytes in the record; where there are none, any of the file.
std::vector<std::string> LoadReport::damaged_tensors(const DamagedRecord& record) const {
  const Checkpoint& checkpoint = *input_.checkpoint;
  std::vector<std::string> names = tensors_in(checkpoint, record, tensors_);
  if (!names.empty()) return names;
  std::vector<NamedTensor> all = all_tensors(checkpoint, checkpoint.root);
  index_alike(all);
  return tensors_in(checkpoint, record, all);
}

uint64_t LoadReport::tensors_without_crc() const {
  return static_cast<uint64_t>(std::ranges::count_if(tensors_, [this](const NamedTensor& named) {
    return !has_checksum(*input_.checkpoint, input_.checkpoint->tensors[named.tensor]);
  }));
}

std::string LoadReport::integrity_text() const {
  if (!integrity_->has_checksums) return "no checksums in this format";
  if (integrity_->records == 0) return "no CRC to compare";
  if (!integrity_->damaged.empty()) {
    const DamagedRecord& first = integrity_->damaged[0];
    return plural(integrity_->damaged.size(), "damaged record") + ", first " +
           printable(first.record) + in_tensors(damaged_tensors(first));
  }
  const uint64_t unchecked = tensors_without_crc();
  return unchecked == 0
             ? "no damage"
             : "no damage found, but " + plural(unchecked, "tensor has", "tensors have") +
                   " no CRC to compare";
}

/// The name of a tensor in STORAGE, or the file's own name for that.
std::string LoadReport::tensor_of(uint32_t storage) const {
  const Checkpoint& checkpoint = *input_.checkpoint;
  for (const NamedTensor& named : all_tensors(checkpoint, checkpoint.root)) {
    if (checkpoint.tensors[named.tensor].storage == storage) return named.path;
  }
  return std::string(checkpoint.storages[storage].key);
}

void LoadReport::warn_of_zero_tails() {
  for (const ZeroTail& tail : zero_tails_) {
    const std::string path = printable(input_.checkpoint->files[tail.file]->path());
    task_.reporter.warn(path + ": its last " + plural(tail.bytes, "byte is", "bytes are") +
                        " zeros, " + plural(tail.storages, "whole tensor") + " from " +
                        sentence_key(tensor_of(tail.first)) +
                        " on: a download may have been broken off after its space was reserved; "
                        "compare its sha256 with that of the original");
  }
}

Status LoadReport::check() {
  if (options_.check == LoadCheck::none) return {};
  if (options_.check == LoadCheck::crc) {
    MLC_TRY(integrity_, check_integrity(*input_.checkpoint, task_.threads, task_.reporter));
    MLC_TRY(zero_tails_, find_zero_tails(*input_.checkpoint, task_.reporter));
    warn_of_zero_tails();
    return {};
  }
  MLC_TRY(file_hash_, sha256_files(input_.checkpoint->files, task_.reporter));
  MLC_CHECK(check_expansion(*input_.checkpoint, tensors_));
  MLC_CHECK(check_storages(*input_.checkpoint, tensors_, task_.threads));
  hashes_.resize(tensors_.size());
  return parallel_hash(*input_.checkpoint, tensors_, task_.threads, hashes_);
}

namespace {

/// What the lists below a "fits" name all the same: " but for missing keys, which do not count".
std::string but_for(const ExpectReport& report) {
  std::vector<std::string> what;
  if (!report.missing.empty()) what.emplace_back("missing keys");
  if (!report.unexpected.empty()) what.emplace_back("unexpected keys");
  if (!report.mismatched.empty()) what.emplace_back("mismatched shapes");
  if (what.empty()) return {};
  return " but for " + join_list(what) + ", which do not count";
}

/// Whether any of REGEXES is found in a key.
Result<std::function<bool(std::string_view)>> matcher_of(const std::vector<std::string>& regexes) {
  std::vector<Pattern> patterns;
  for (const std::string& text : regexes) {
    MLC_TRY(Pattern pattern, Pattern::compile(MatchKind::regex, text));
    patterns.push_back(std::move(pattern));
  }
  return std::function<bool(std::string_view)>([patterns = std::make_shared<std::vector<Pattern>>(
                                                    std::move(patterns))](std::string_view key) {
    return std::ranges::any_of(*patterns, [key](const Pattern& one) { return one.matches(key); });
  });
}

}  // namespace

Status LoadReport::expect() {
  if (options_.expect.empty()) return {};
  ExpectOptions options;
  options.strict = !options_.no_strict;
  options.ignore_shapes = options_.ignore_shapes;
  MLC_TRY(options.ignore_missing, matcher_of(options_.ignore_missing));
  MLC_TRY(options.ignore_unexpected, matcher_of(options_.ignore_unexpected));
  if (state_dict_ == nullptr && options_.key.empty() && !input_.state_dicts.empty()) {
    // Which of several is meant decides the answer.
    MLC_TRY(state_dict_, choose_state_dict(input_, ""));
  }
  std::string own_key = options_.key;
  if (state_dict_ != nullptr && !state_dict_->path.empty()) own_key = state_dict_->path;
  const ManifestFor use =
      state_dict_ != nullptr ? ManifestFor::state_dict : ManifestFor::whole_file;
  MLC_TRY(auto wanted,
          read_expected(options_.expect, own_key, use, options_.expect_key, task_.reporter));
  const Checkpoint& checkpoint = *input_.checkpoint;
  std::vector<ExpectedTensor> found = state_dict_ != nullptr
                                          ? expected_keys(checkpoint, *state_dict_)
                                          : expected_tensors(checkpoint, tensors_);
  for (std::vector<ExpectedTensor>* side : {&found, &wanted}) {
    std::erase_if(*side, [this](const ExpectedTensor& one) { return !filter_.selects(one.name); });
  }
  options.module_version = [&](std::string_view module) {
    return state_dict_ != nullptr ? module_version(checkpoint, *state_dict_, module) : std::nullopt;
  };
  expected_ = check_expected(found, wanted, options);
  if (expected_->satisfied && state_dict_ != nullptr) {
    warn_of_ties(options_.expect, checkpoint, *state_dict_, task_.reporter);
  }
  return {};
}

Status LoadReport::compute_stats() {
  if (!options_.stats) return {};
  if (integrity_ && !integrity_->damaged.empty()) {
    stats_.assign(tensors_.size(), std::nullopt);  // the report of the damage is what counts
    return {};
  }
  MLC_CHECK(check_expansion(*input_.checkpoint, tensors_, Repeats::passed_over));
  MLC_CHECK(check_storages(*input_.checkpoint, tensors_, task_.threads));
  std::map<TensorIdentity, size_t> known;
  const ProgressScope progress(task_.reporter, "reading " + task_.input, summary_.bytes);
  for (const NamedTensor& named : tensors_) {
    if (task_.reporter.interrupted()) return Error(ErrorKind::interrupted, "interrupted");
    const Tensor& tensor = input_.checkpoint->tensors[named.tensor];
    if (tensor.kind != TensorKind::dense) {
      stats_.emplace_back(std::nullopt);
      continue;
    }
    const auto [same, is_new] =
        known.try_emplace(identity_of(*input_.checkpoint, tensor), stats_.size());
    if (!is_new) {
      stats_.push_back(stats_[same->second]);
      continue;
    }
    MLC_TRY_CTX(const TensorView view, input_.checkpoint->view(named.tensor),
                "tensor " + sentence_key(named.path));
    MLC_TRY(const TensorStats one, tensor_stats(view, task_.threads));
    stats_.push_back(one);
    // What had to be inflated or put together would fill the memory, tensor by tensor.
    const size_t next = stats_.size();
    const bool shares = next < tensors_.size() &&
                        input_.checkpoint->tensors[tensors_[next].tensor].storage == tensor.storage;
    if (!shares) input_.checkpoint->drop_cached();
    task_.reporter.advance(input_.checkpoint->byte_size(tensor));
  }
  return {};
}

void LoadReport::show_check() {
  if (integrity_) {
    if (!integrity_->has_checksums) {
      line("check", "this format records no checksums; nothing to compare");
    } else if (integrity_->records == 0) {
      line("check", "none of the " + plural(integrity_->without_crc, "record") +
                        " has a CRC; nothing was compared");
    } else {
      line("check",
           plural(integrity_->records, "record") + " compared, " +
               plural(integrity_->damaged.size(), "damaged record") +
               (integrity_->without_crc > 0
                    ? ", " + format_count(integrity_->without_crc) + " without CRC"
                    : "") +
               (tensors_without_crc() > 0
                    ? "; not compared: " + plural(tensors_without_crc(), "tensor") + " without CRC"
                    : ""));
    }
    for (const DamagedRecord& row : integrity_->damaged) {
      line("damaged",
           printable(row.record) + in_tensors(damaged_tensors(row)) + place_and_problem(row));
    }
  }
  if (!file_hash_.empty()) line("sha256", file_hash_);
  if (expected_) {
    const std::string wanted =
        is_stream(options_.expect) ? "standard input" : printable(options_.expect);
    line("expected", expected_->satisfied ? "yes: " + wanted + " fits" + but_for(*expected_)
                                          : "no: " + wanted + " does not fit");
    show_expected();
  }
}

/// The lists of load_state_dict, and what explains them.
void LoadReport::show_expected() {
  task_.out.write(expected_->text());
  std::vector<std::string> filled = expected_->filled;
  std::erase_if(filled,
                [this](const std::string& key) { return expected_->is_there_prefixed(key); });
  if (!filled.empty()) {
    line("filled in",
         join_list(sentence_keys(filled)) + ": load_state_dict adds what old batch norms lack");
  }
  std::vector<std::string> tied;
  for (const TiedKey& one : expected_->tied) {
    tied.push_back(printable(one.name) + " is " + printable(one.under));
  }
  if (!tied.empty()) line("tied", join_list(tied) + ": one name of a tied tensor is enough");
  if (!expected_->hint.empty()) task_.out.write("hint: " + expected_->hint + "\n");
}

}  // namespace mlc::cli
