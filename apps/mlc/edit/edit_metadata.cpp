#include "edit/edit_metadata.h"

#include "files/in_place.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/rewrite_safetensors.h"
#include "mlc/checkpoint/rewrite_zip.h"
#include "mlc/checkpoint/save.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace mlc::cli {
namespace {

Result<MetadataChange> read_change(const OrderedValue& option) {
  MetadataChange change;
  if (option.option == "--remove") {
    change.kind = MetadataChange::Kind::remove;
    change.path = option.value;
    MLC_CHECK_CTX(split_path(change.path), "--remove");
    return change;
  }
  if (option.option == "--from") {
    change.kind = MetadataChange::Kind::merge;
    change.path = option.value;
    MLC_TRY(change.other, Metadata::parse_file(option.value));
    return change;
  }
  const size_t equals = option.value.find('=');
  if (equals == std::string::npos) {
    return usage_error("--set " + quoted(option.value) + " has no value",
                       "write it like --set training.epoch=42");
  }
  change.path = std::string(trim(std::string_view(option.value).substr(0, equals)));
  change.value = option.value.substr(equals + 1);
  MLC_CHECK_CTX(split_path(change.path), "--set");
  return change;
}

/// METADATA without its provenance: that of another file is not the history of this one.
Result<Metadata> without_provenance(const Metadata& metadata) {
  MetaValue::Map map = *metadata.root().as_map();
  std::erase_if(map, [](const auto& entry) { return entry.first == "provenance"; });
  return Metadata::parse(MetaValue(std::move(map)).to_yaml(), "metadata", ErrorKind::internal);
}

/// An error that points into the value typed says enough by that.
Status during(std::string option, Status status) {
  if (status.ok() || !status.error().file().empty()) return status;
  return std::move(status).error().during(std::move(option));
}

Status apply(const MetadataChange& change, Metadata& metadata, Reporter& reporter) {
  switch (change.kind) {
    case MetadataChange::Kind::set:
      return during("--set " + printable(change.path), metadata.set(change.path, change.value));
    case MetadataChange::Kind::remove: {
      MLC_TRY_CTX(const bool found, metadata.remove(change.path), "--remove");
      if (!found) reporter.warn("there is no metadata at " + quoted(change.path));
      return {};
    }
    case MetadataChange::Kind::merge: {
      const bool has_history = metadata.root().find("provenance") != nullptr;
      if (!has_history) {
        metadata.merge_from(change.other);
        return {};
      }
      MLC_TRY(const Metadata other, without_provenance(change.other));
      metadata.merge_from(other);
      return {};
    }
  }
  return {};
}

/// Only a file with a history gets one more line of it.
void record(const MetadataEdit& edit, Metadata& metadata) {
  if (metadata.root().find("provenance") == nullptr) return;
  MetaValue::Map options;
  const auto add = [&options](std::string_view name, const std::string& value) {
    for (auto& [key, list] : options) {
      if (key == name) return list.as_list()->push_back(value);
    }
    options.emplace_back(std::string(name), MetaValue::List{value});
  };
  for (const MetadataChange& change : edit.changes) {
    switch (change.kind) {
      case MetadataChange::Kind::set:
        add("set", change.path + "=" + change.value);
        break;
      case MetadataChange::Kind::remove:
        add("remove", change.path);
        break;
      case MetadataChange::Kind::merge:
        add("from", change.path);
        break;
    }
  }
  metadata.append_provenance({"metadata", std::move(options), {}});
}

class Job {
 public:
  Job(FileTask& task, const MetadataEdit& edit) : task_(task), edit_(edit) {}

  Result<FileReport> run() {
    MLC_TRY(sources_, read_metadata_sources(task_.input, task_.reporter,
                                            edit_.clear ? IfBroken::keep_error : IfBroken::fail));
    MLC_CHECK(check_target());
    MLC_CHECK(plan());
    if (std::find(keys_.begin(), keys_.end(), "framework") != keys_.end()) {
      warn_of_frameworks(new_, task_.reporter);
    }
    const bool over_itself = edit_.sidecar || edit_.writing.in_place;
    if (!edit_.writing.dry_run && !(over_itself && !changed_)) {
      MLC_CHECK(write());
      written_ = true;
    }
    answer();
    return FileReport{ExitCode::done, summary()};
  }

 private:
  bool is_yaml() const { return sources_.checkpoint == nullptr; }
  /// What lies at the place that is written to.
  const std::optional<Metadata>& old() const {
    return edit_.sidecar || is_yaml() ? sources_.beside : sources_.embedded;
  }
  const std::optional<Error>& broken() const {
    return edit_.sidecar || is_yaml() ? sources_.broken_beside : sources_.broken_embedded;
  }
  Status check_target() const;
  Status plan();
  void warn_of_broken() const;
  Status write();
  Status write_text(const std::string& path, bool replace);
  void answer();
  std::string summary() const;

  FileTask& task_;
  const MetadataEdit& edit_;
  MetadataSources sources_;
  Metadata new_;
  std::vector<std::string> keys_;  // in which old and new differ
  bool changed_ = false;
  bool written_ = false;
};

/// Whether what was asked for can be done at all, seen before anything is planned.
Status Job::check_target() const {
  if (edit_.sidecar && is_yaml()) {
    return usage_error("is metadata itself and has no sidecar", "--in-place edits it");
  }
  if (edit_.sidecar || is_yaml()) return {};
  const Checkpoint& checkpoint = *sources_.checkpoint;
  if (!sources_.has_place()) {
    return unsupported("mlc cannot put metadata into a " +
                           std::string(format_name(checkpoint.format)) + " checkpoint",
                       "--sidecar writes it beside the file; `mlc save` makes a .pt file of it");
  }
  if (task_.output.empty()) return {};
  if (edit_.writing.in_place) {
    MLC_CHECK(check_replaceable(checkpoint, task_.output, edit_.writing));
  } else if (const auto place = place_to_check(task_.output, edit_.writing);
             edit_.writing.dry_run && !place.empty()) {
    MLC_CHECK(OutputFile::check(place, edit_.writing.output_options()));
  }
  if (is_yaml_path(task_.output)) {
    return usage_error(
        "the output would be a checkpoint under the name " + quoted(task_.output),
        "`mlc metadata FILE > x.yaml` prints the metadata, --sidecar keeps it beside");
  }
  const auto named = output_format_of(task_.output, "");
  const bool safetensors = checkpoint.format == Format::safetensors;
  if (named.ok() && (*named == OutputFormat::safetensors) != safetensors) {
    return usage_error("the format stays " + std::string(format_name(checkpoint.format)) +
                           ", which the name " + quoted(task_.output) + " contradicts",
                       "`mlc save` converts");
  }
  return {};
}

Status Job::plan() {
  const std::optional<Metadata>& here = old();
  if (!edit_.clear) {
    if (here) {
      new_ = *here;
    } else if (const Metadata* trusted = sources_.trusted()) {
      new_ = *trusted;
    }
  }
  for (const MetadataChange& change : edit_.changes) {
    MLC_CHECK(apply(change, new_, task_.reporter));
  }
  changed_ = here ? !(*here == new_) : !new_.empty() || broken();
  warn_of_broken();
  keys_ = differing_keys(here.value_or(Metadata()), new_);
  if (changed_) record(edit_, new_);
  const bool shadowed =
      edit_.sidecar && sources_.embedded && !differing_keys(*sources_.embedded, new_).empty();
  if (shadowed) {
    task_.reporter.warn("the metadata in the file itself says something else and comes first");
  }
  return {};
}

/// What is there and could not be read: it is replaced, or stays beside the file.
void Job::warn_of_broken() const {
  for (const std::optional<Error>* const one :
       {&sources_.broken_embedded, &sources_.broken_beside}) {
    if (!*one) continue;
    const bool beside = one == &sources_.broken_beside;
    const std::string where =
        beside ? printable(sources_.sidecar) : "the metadata in " + printable(task_.input);
    task_.reporter.warn(where + " cannot be read" + (one == &broken() ? " and is replaced" : "") +
                        ": " + (*one)->text());
  }
}

Status Job::write_text(const std::string& path, bool replace) {
  OutputOptions options = edit_.writing.output_options();
  options.replace = options.replace || replace;
  MLC_TRY(OutputFile out, OutputFile::create(path, options));
  MLC_CHECK(out.write(new_.to_yaml()));
  return out.publish();
}

Status Job::write() {
  if (edit_.sidecar) return write_text(sources_.sidecar, true);
  if (is_yaml()) return write_text(task_.output, false);
  const Checkpoint& checkpoint = *sources_.checkpoint;
  std::optional<std::string> yaml;
  if (!new_.empty()) yaml = new_.to_yaml();
  const bool zip = checkpoint.format != Format::safetensors;
  const ZipEdit change{.pickle = {}, .metadata_yaml = yaml, .drop_metadata = !yaml};
  if (zip && edit_.writing.in_place) {
    return edit_zip_in_place(checkpoint, change, edit_.writing.force);
  }
  if (!edit_.writing.in_place) warn_of_sidecar(task_.output, yaml, task_.reporter);
  MLC_TRY(OutputFile out, OutputFile::create(task_.output, edit_.writing.output_options()));
  MLC_CHECK(zip ? rewrite_zip(checkpoint, change, out)
                : rewrite_safetensors(checkpoint, yaml, out));
  return out.publish(checkpoint.files);
}

std::string Job::summary() const {
  const std::string_view none = broken() ? "begun anew" : "nothing changed";
  std::string what = keys_.empty() ? std::string(none) : join_list(keys_) + " changed";
  const bool from_sidecar = !edit_.clear && !edit_.sidecar && !is_yaml() && !sources_.embedded;
  if (from_sidecar && sources_.beside && !sources_.beside->empty()) {
    what += ", with all that " + printable(sources_.sidecar) + " says";
  }
  if (edit_.writing.dry_run) return "dry run: " + what + "; nothing was written";
  if (!written_) return "nothing to change; nothing was written";
  if (edit_.sidecar) return "wrote " + output_text(sources_.sidecar) + ": " + what;
  if (edit_.writing.in_place) return "edited " + output_text(task_.input) + " in place: " + what;
  return "wrote " + output_text(task_.output) + ": " + what;
}

/// The answer of a dry run is the metadata as it would be.
void Job::answer() {
  if (!task_.json) {
    if (edit_.writing.dry_run) task_.out.write(new_.to_yaml());
    return;
  }
  JsonWriter json(task_.out, task_.json_layout());
  json.begin_object();
  json.field("schema", "mlc.metadata-edit/1");
  json.field("input", task_.input);
  json.field("output", !written_ ? "" : edit_.sidecar ? sources_.sidecar : task_.output);
  json.field("dry_run", edit_.writing.dry_run);
  json.field("written", written_);
  json.field("changed", changed_);
  json.list("changed_keys", keys_);
  json.key("metadata");
  write_value(json, new_.root());
  json.end_object();
}

}  // namespace

Result<std::vector<MetadataChange>> read_metadata_changes(
    const std::vector<OrderedValue>& options) {
  std::vector<MetadataChange> changes;
  for (const OrderedValue& option : options) {
    MLC_TRY(MetadataChange change, read_change(option));
    changes.push_back(std::move(change));
  }
  return changes;
}

Result<FileReport> edit_metadata(FileTask& task, const MetadataEdit& edit) {
  return Job(task, edit).run();
}

}  // namespace mlc::cli
