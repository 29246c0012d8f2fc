#include "compress/prune_architecture.h"

#include "compress/channel_picture.h"
#include "compress/shared_exchange.h"
#include "files/in_place.h"
#include "files/metadata_sources.h"
#include "files/open_input.h"
#include "files/provenance_options.h"
#include "mlc/base/sentence_key.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/format.h"
#include "mlc/checkpoint/optimizer.h"
#include "mlc/checkpoint/tensor_identity.h"
#include "mlc/engine/artefact.h"
#include "mlc/engine/capture_request.h"
#include "mlc/engine/module_loader.h"
#include "mlc/engine/weights.h"
#include "mlc/frontend/resize.h"
#include "mlc/tensor/convert.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <set>

#include <fmt/format.h>

namespace mlc::cli {
namespace {

/// A number in `forward` that an argument of its class gives.
struct Stated {
  std::string module;
  std::string argument;
  size_t edit = 0;    // in ChannelGraph::edits
  size_t number = 0;  // of it
};

const arch::ScriptModule* find_module(const arch::ScriptModule& root, std::string_view path) {
  if (path == root.path) return &root;
  for (const arch::ScriptModule& child : root.children) {
    const bool within = path == child.path || path.starts_with(child.path + ".");
    if (within) return find_module(child, path);
  }
  return nullptr;
}

/// Whether NUMBER stands in TEXT by itself: 4 in "view(4, -1)", not in "x4" and "4.5".
bool says_number(std::string_view text, const std::string& number) {
  const auto goes_on = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.';
  };
  for (size_t at = text.find(number); at != text.npos; at = text.find(number, at + 1)) {
    const size_t end = at + number.size();
    const bool begins = at == 0 || !goes_on(text[at - 1]);
    if (begins && (end == text.size() || !goes_on(text[end]))) return true;
  }
  return false;
}

/// Other names of tensors, by the one that has them.
using Ties = std::multimap<std::string, std::string>;

void collect_ties(const arch::ScriptModule& module, Ties& out) {
  for (const auto* const list : {&module.parameters, &module.buffers}) {
    for (const arch::ScriptTensor& each : *list) {
      if (!each.tied_to.empty()) out.emplace(each.tied_to, each.path);
    }
  }
  for (const arch::ScriptModule& child : module.children) collect_ties(child, out);
}

class Job : public ChannelHost {
 public:
  Job(FileTask& task, const PruneArchitectureOptions& own, const PruneOnnxOptions& options,
      const PruneOnnxShared& shared)
      : task_(task), own_(own), options_(options), shared_(shared) {}

  Result<FileReport> run();

  const std::string& onnx_path() const override { return picture_->path(); }
  uint64_t input_bytes() const override;
  const std::vector<InputSpec>& inputs() const override { return source_->declared(); }
  onnx::KeptAxes kept_axes(const onnx::Document& whole) override;
  void restrict(const onnx::Document& whole, const onnx::ValueAxes& values,
                onnx::ChannelGraph& graph) override;
  Status write(const onnx::Document& unread, const onnx::Document& small,
               PruneOnnxAnswer& answer) override;

 private:
  Status check_usage() const;
  Status open();
  Status picture();
  void tie_shared(const NamedSizes& tensors);
  bool is_tied(const std::string& key, const std::string& other) const;
  onnx::KeptAxis why_computed(const onnx::Document& whole, const std::string& name) const;
  bool find_stated(const onnx::DocNode& node, const onnx::ChannelGraph& graph, size_t edit,
                   size_t number);
  arch::SizeWishes wishes(const onnx::Document& small, onnx::ChannelPlan& plan) const;
  WeightSource weights_of(const onnx::Document& document, WeightSource others) const;
  /// The architecture with other numbers, and how it did beside the whole one.
  struct Rewritten {
    std::string yaml;
    arch::Architecture made;
    Judgement pair;
  };
  Result<Rewritten> rewrite(const arch::SizeWishes& wishes, const onnx::Document& unread,
                            const onnx::Document& small);
  Result<Judgement> compare(const arch::Architecture& made, const onnx::Document& unread,
                            const onnx::Document& small);
  Status exchange(const onnx::Document& small);
  Result<std::shared_ptr<const std::string>> bytes_like(uint32_t old,
                                                        const onnx::DataRef& data) const;
  Status carry_architecture(const arch::Architecture& made);
  ProvenanceOptions provenance() const;
  Status save(const std::string& yaml, const arch::Architecture& made, PruneOnnxAnswer& answer);

  const arch::Architecture& architecture() const { return *source_->architecture(); }

  FileTask& task_;
  const PruneArchitectureOptions& own_;
  const PruneOnnxOptions& options_;
  const PruneOnnxShared& shared_;
  std::optional<Artefact> source_;
  Input input_;
  StateDict* state_dict_ = nullptr;
  OutputFormat format_ = OutputFormat::torch_zip;
  std::optional<Metadata> metadata_;
  arch::ValueOrigins origins_;
  Ties ties_;
  std::unique_ptr<Engine> torch_;
  std::optional<ChannelPicture> picture_;
  PicturedTensors pictured_;
  std::vector<Stated> stated_;
};

Status Job::check_usage() const {
  if (own_.emit.empty()) return {};
  return OutputFile::check(own_.emit, shared_.writing.output_options());
}

Status Job::open() {
  MLC_TRY(input_, open_input(task_.input, task_.reporter));
  const Format format = input_.checkpoint->format;
  if (format == Format::pt2) {
    return unsupported(
        "its program states sizes, of which channels cannot be taken away",
        "`mlc trace` makes TorchScript of it, of which they can; or export it to ONNX and prune "
        "that");
  }
  MLC_TRY(state_dict_, choose_state_dict(input_, own_.key));
  MLC_TRY(metadata_, metadata_to_carry(*input_.checkpoint));
  if (metadata_ && metadata_->get("quantization") != nullptr)
    return conflict("the weights are quantised", "prune first, then quantise");
  MLC_TRY(source_, Artefact::open(task_.input, {own_.architecture, own_.key}, task_.reporter));
  if (!shared_.writing.dry_run || !task_.output.empty()) {
    MLC_TRY(format_, format_of_output(input_, task_.output, shared_.writing));
  }
  MLC_CHECK(source_->check_whole(task_.threads, task_.reporter));
  MLC_TRY(origins_, arch::find_origins(architecture()));
  collect_ties(architecture().root(), ties_);
  return {};
}

/// The model as ONNX, weights under their names and norms apart from them.
Status Job::picture() {
  MLC_TRY(torch_, open_engine(EngineKind::torch));
  LoadOptions how;
  how.threads = task_.threads;
  MLC_TRY(const auto model, source_->load(*torch_, how, task_.reporter));
  MLC_TRY(const CaptureRequest request, capture_request(source_->declared(), 0, null_reporter()));
  MLC_TRY(CapturedProgram captured, model->capture(request));
  const std::string& place = task_.output.empty() ? task_.input : task_.output;
  MLC_TRY(ChannelPicture drawn,
          ChannelPicture::draw(std::move(captured), source_->declared(), place, {}));
  picture_.emplace(std::move(drawn));
  return {};
}

uint64_t Job::input_bytes() const {
  uint64_t out = 0;
  for (const auto& file : input_.checkpoint->files) out += file->size();
  return out;
}

/// Of a tensor that no key of the state_dict names: one of ones, as of a norm without a weight, can
/// follow others, but what is made of weights cannot.
onnx::KeptAxis Job::why_computed(const onnx::Document& whole, const std::string& name) const {
  for (const onnx::DocNode& node : whole.nodes) {
    if (std::ranges::find(node.inputs, name) == node.inputs.end()) continue;
    const auto* const module = find_module(architecture().root(), module_path(node));
    if (module == nullptr) break;
    const auto is_hidden = [&](const arch::ScriptTensor& tensor) {
      return !tensor.shape.empty() && !pictured_.contains(tensor.path) &&
             !pictured_.contains(tensor.path + ".T") && tensor.tied_to.empty();
    };
    const bool from_weights = std::ranges::any_of(module->parameters, is_hidden) ||
                              std::ranges::any_of(module->buffers, is_hidden);
    if (module->path.empty()) return {"it is computed from weights of the model", !from_weights};
    return {fmt::format("{} is a {}, which computes with its weights in another form",
                        printable(module->path), module->type),
            !from_weights};
  }
  return {"it is computed from weights", false};
}

bool Job::is_tied(const std::string& key, const std::string& other) const {
  const auto [first, last] = ties_.equal_range(key);
  return std::any_of(first, last, [&](const auto& tie) { return tie.second == other; });
}

/// What is one tensor in the checkpoint is one in the picture too, under the first of its names,
/// whether or not the architecture ties them.
void Job::tie_shared(const NamedSizes& tensors) {
  std::map<std::string, TensorIdentity> identities;
  for (const StateDictEntry& entry : state_dict_->entries) {
    const Tensor& tensor = input_.checkpoint->tensors[entry.tensor];
    if (tensor.storage != kNoIndex)
      identities.emplace(entry.key, identity_of(*input_.checkpoint, tensor));
  }
  std::map<TensorIdentity, std::string> shown;
  std::set<std::string> keys;
  for (const auto& [name, one] : pictured_) {
    keys.insert(one.key);
    const auto found = identities.find(one.key);
    if (found != identities.end()) shown.emplace(found->second, one.key);
  }
  for (const auto& [name, sizes] : tensors) {
    const auto found = identities.find(name);
    if (keys.contains(name) || found == identities.end()) continue;
    const auto one = shown.find(found->second);
    if (one != shown.end() && !is_tied(one->second, name)) ties_.emplace(one->second, name);
  }
}

onnx::KeptAxes Job::kept_axes(const onnx::Document& whole) {
  NamedSizes tensors;
  for (arch::StateDictTensor& row : arch::state_dict_of(architecture()))
    tensors.emplace_back(std::move(row.name), std::move(row.shape));
  pictured_ = find_pictured(whole, tensors);
  tie_shared(tensors);
  std::map<std::pair<std::string, size_t>, std::string> rigid;
  for (arch::RigidAxis& each : arch::rigid_axes(architecture(), origins_))
    rigid[{each.tensor, each.axis}] = std::move(each.why);
  onnx::KeptAxes out;
  for (const onnx::DocTensor& tensor : whole.tensors) {
    const auto found = pictured_.find(tensor.name);
    for (size_t axis = 0; axis < tensor.sizes.size(); ++axis) {
      if (found == pictured_.end()) {
        out[{tensor.name, axis}] = why_computed(whole, tensor.name);
        continue;
      }
      const PicturedTensor& one = found->second;
      const size_t own = one.is_turned ? 1 - axis : axis;
      std::string why;
      if (const auto it = rigid.find({one.key, own}); it != rigid.end()) why = it->second;
      const auto [first, last] = ties_.equal_range(one.key);
      for (auto tie = first; tie != last; ++tie) {
        if (const auto it = rigid.find({tie->second, own}); it != rigid.end()) why = it->second;
      }
      const bool twice = pictured_.contains(one.key) && pictured_.contains(one.key + ".T");
      if (twice) why = "the model reads " + sentence_key(one.key) + " in two ways";
      if (!why.empty()) out[{tensor.name, axis}] = {std::move(why), false};
    }
  }
  return out;
}

/// Notes the argument of the class that gives a number in its text. False where the text says the
/// number itself.
bool Job::find_stated(const onnx::DocNode& node, const onnx::ChannelGraph& graph, size_t edit,
                      size_t number) {
  const onnx::EditedNumber& one = graph.edits[edit].numbers[number];
  const auto before = static_cast<int64_t>(one.counted.size()) / one.divisor;
  const std::string path = module_path(node);
  const auto* const module = find_module(architecture().root(), path);
  if (module == nullptr) return true;
  const auto from = std::ranges::find(origins_.modules, path, &arch::ModuleOrigins::path);
  const bool is_class = from != origins_.modules.end() && from->is_class;
  if (!is_class) return module->type != "Unflatten";
  for (const auto& [name, origin] : from->arguments) {
    const bool gives = origin != 0 && origins_.at(origin).value == before;
    if (!gives || module->source.find("self." + name) == std::string::npos) continue;
    stated_.push_back({path, name, edit, number});
    return true;
  }
  return !says_number(module->source, std::to_string(before));
}

void Job::restrict(const onnx::Document& whole, const onnx::ValueAxes& /*values*/,
                   onnx::ChannelGraph& graph) {
  for (size_t i = 0; i < graph.edits.size(); ++i) {
    const onnx::NumberEdit& edit = graph.edits[i];
    if (!edit.attribute.empty()) continue;
    const onnx::DocNode& node = whole.nodes[edit.node];
    for (size_t k = 0; k < edit.numbers.size(); ++k) {
      const onnx::Labels counted = edit.numbers[k].counted;
      if (counted.empty() || find_stated(node, graph, i, k)) continue;
      const std::string path = module_path(node);
      for (const onnx::Atom each : counted) {
        graph.atoms.freeze(
            each, fmt::format("the forward of {} says {}",
                              path.empty() ? "the model" : printable(path), counted.size()));
      }
    }
  }
}

arch::SizeWishes Job::wishes(const onnx::Document& small, onnx::ChannelPlan& plan) const {
  arch::SizeWishes out;
  std::map<std::string, arch::Ints> before;
  for (arch::StateDictTensor& row : arch::state_dict_of(architecture()))
    before[row.name] = std::move(row.shape);
  for (const auto& [name, one] : pictured_) {
    const onnx::DocTensor* const tensor = small.find_tensor(name);
    if (tensor == nullptr) continue;
    arch::Ints sizes = tensor->sizes;
    if (one.is_turned) std::swap(sizes[0], sizes[1]);
    if (before[one.key] == sizes) continue;
    const auto [first, last] = ties_.equal_range(one.key);
    for (auto tie = first; tie != last; ++tie) out.shapes[tie->second] = sizes;
    out.shapes[one.key] = std::move(sizes);
  }
  const auto left = [&](const onnx::EditedNumber& one) {
    return static_cast<int64_t>(plan.kept_of(one.counted).size()) / one.divisor;
  };
  for (const onnx::NumberEdit& edit : plan.graph.edits) {
    if (edit.attribute != "group" || edit.numbers.empty()) continue;
    const auto found = pictured_.find(small.nodes[edit.node].input(1));
    if (found == pictured_.end()) continue;
    const std::string& key = found->second.key;
    out.groups[key.substr(0, key.rfind('.'))] = left(edit.numbers[0]);
  }
  for (const Stated& each : stated_) {
    const onnx::EditedNumber& one = plan.graph.edits[each.edit].numbers[each.number];
    out.arguments[{each.module, each.argument}] = left(one);
  }
  return out;
}

/// What DOCUMENT has of a tensor, else what the checkpoint has.
WeightSource Job::weights_of(const onnx::Document& document, WeightSource others) const {
  return [this, &document,
          others = std::move(others)](const arch::ScriptTensor& tensor) -> Result<Weight> {
    for (const auto& [name, one] : pictured_) {
      if (one.key != tensor.path && !is_tied(one.key, tensor.path)) continue;
      const onnx::DataRef data = data_of_pictured(document, name, one);
      if (data == nullptr) break;
      MLC_TRY(onnx::Buffer buffer, data->produce());
      // A model may write into what it is given.
      auto owner = std::make_shared<std::string>(as_text(buffer.bytes));
      return Weight{data->dtype, data->sizes, as_bytes(*owner), owner};
    }
    return others(tensor);
  };
}

/// Whether the new model is the old one in which nobody reads the channels that went.
Result<Judgement> Job::compare(const arch::Architecture& made, const onnx::Document& unread,
                               const onnx::Document& small) {
  Weights others(*input_.checkpoint, *state_dict_);
  LoadOptions how;
  how.threads = task_.threads;
  MLC_TRY(const auto before,
          build_with(architecture(), weights_of(unread, stored_weights(architecture(), others)),
                     *torch_, how, null_reporter()));
  MLC_TRY(const auto after, build_with(made, weights_of(small, stored_weights(made, others)),
                                       *torch_, how, null_reporter()));
  JudgeOptions judge =
      judge_options(source_->declared(), nullptr, 2, options_.seed, task_.threads, null_reporter());
  if (options_.no_verify) judge.seconds = 0;
  Judgement pair;
  MLC_CHECK_CTX(judge_models(*torch_, *before, *after, judge, task_.reporter, pair),
                "running the new architecture");
  const JudgedOutput* const wrong = find_unequal(pair);
  if (wrong == nullptr) return pair;
  return conflict(
      fmt::format("with other numbers alone the architecture computes something else: output {} is "
                  "at {:.1f} dB of what it has to be; nothing was written",
                  mlc::quoted(wrong->name), *wrong->sqnr_db),
      "forward may hold a number of channels: --exclude leaves those whole");
}

/// The elements of DATA in the type of OLD.
Result<std::shared_ptr<const std::string>> Job::bytes_like(uint32_t old,
                                                           const onnx::DataRef& data) const {
  const DType dtype = input_.checkpoint->tensors[old].dtype;
  MLC_TRY(const onnx::Buffer buffer, data->produce());
  if (dtype == data->dtype) return std::make_shared<const std::string>(as_text(buffer.bytes));
  auto out = std::make_shared<std::string>(data->count() * element_bytes(dtype), '\0');
  MLC_CHECK(
      convert_block(data->dtype, buffer.bytes, dtype, std::as_writable_bytes(std::span(*out))));
  return std::shared_ptr<const std::string>(std::move(out));
}

/// Puts what SMALL has in the places of the tensors of the state_dict; tied ones stay tied where
/// they can.
Status Job::exchange(const onnx::Document& small) {
  std::map<std::string, std::string> names;  // of initializers, by key
  for (const auto& [name, one] : pictured_) {
    names[one.key] = name;
    const auto [first, last] = ties_.equal_range(one.key);
    for (auto tie = first; tie != last; ++tie) names[tie->second] = name;
  }
  SharedExchange exchanged(*input_.checkpoint, *state_dict_);
  for (const StateDictEntry& entry : state_dict_->entries) {
    const auto name = names.find(std::string(entry.key));
    if (name == names.end()) continue;
    const onnx::DataRef data = data_of_pictured(small, name->second, pictured_.at(name->second));
    if (data == nullptr) continue;
    MLC_TRY(auto bytes, bytes_like(entry.tensor, data));
    MLC_CHECK(exchanged.put(entry, data->sizes, std::move(bytes)));
  }
  for (const auto& parted : exchanged.finish()) {
    task_.reporter.warn(join_list(sentence_keys(parted)) +
                        " were one tensor and are none any more: what is left of them differs; "
                        "`tie` in the architecture keeps them one");
  }
  return {};
}

/// Of an architecture in the metadata the new one takes the place.
Status Job::carry_architecture(const arch::Architecture& made) {
  const MetaValue* const held = metadata_ ? metadata_->get("architecture") : nullptr;
  if (held == nullptr) return {};
  if (held->as_text() != nullptr) {
    const std::string name = std::filesystem::path(own_.emit).filename().string();
    const bool beside = !own_.emit.empty() && std::filesystem::path(own_.emit).parent_path() ==
                                                  std::filesystem::path(task_.output).parent_path();
    if (beside) return metadata_->set_value("architecture", MetaValue(name));
    task_.reporter.warn("the metadata name " + printable(*held->as_text()) +
                        " as the architecture, which does not fit any more; --emit-arch beside "
                        "the output gives the new one its name");
    return {};
  }
  MLC_TRY(const yaml::Node document, yaml::parse(made.text(), made.file()));
  MLC_TRY(MetaValue value, MetaValue::from_yaml(document));
  return metadata_->set_value("architecture", std::move(value));
}

ProvenanceOptions Job::provenance() const {
  ProvenanceOptions out;
  out.text("method", "channels").text("key", own_.key).text("arch", own_.architecture);
  add_channel_options(options_, shared_, out);
  return out;
}

Status Job::save(const std::string& yaml, const arch::Architecture& made, PruneOnnxAnswer& answer) {
  MLC_CHECK(check_fit(*input_.checkpoint, *state_dict_, made));
  MLC_CHECK(carry_architecture(made));
  const bool embeds = metadata_ && metadata_->get("architecture") != nullptr &&
                      metadata_->get("architecture")->as_text() == nullptr;
  if (own_.emit.empty() && !embeds)
    task_.reporter.warn(
        "the architecture does not fit the result: --emit-arch FILE.yaml writes "
        "the new one");
  SaveOptions options;
  options.format = format_;
  options.metadata_yaml = with_provenance(metadata_, "prune", provenance());
  options.threads = task_.threads;
  options.output = shared_.writing.output_options();
  if (shared_.writing.dry_run) {
    MLC_TRY(const SaveReport report,
            plan_checkpoint(*input_.checkpoint, state_dict_,
                            place_to_check(task_.output, shared_.writing), options));
    answer.file_bytes = report.file_size;
    answer.tied = tied_text(report);
    return {};
  }
  std::optional<OutputFile> emitted;
  if (!own_.emit.empty()) {
    MLC_TRY(OutputFile file, OutputFile::create(own_.emit, shared_.writing.output_options()));
    emitted.emplace(std::move(file));
    MLC_CHECK(emitted->write(yaml));
  }
  MLC_TRY(const SaveReport report,
          save_checkpoint(*input_.checkpoint, state_dict_, task_.output, options, task_.reporter));
  answer.file_bytes = report.file_size;
  answer.tied = tied_text(report);
  answer.architecture = own_.emit;
  std::vector<std::string> optimizers;
  for (const OptimizerState& one : find_optimizers(*input_.checkpoint))
    optimizers.push_back(one.path);
  if (format_ == OutputFormat::torch_zip) warn_of_stale_optimizers(optimizers, task_.reporter);
  return emitted ? emitted->publish() : Status();
}

Result<Job::Rewritten> Job::rewrite(const arch::SizeWishes& wishes, const onnx::Document& unread,
                                    const onnx::Document& small) {
  MLC_TRY(std::string yaml, arch::resize(architecture(), origins_, wishes));
  const std::string name = own_.emit.empty() ? architecture().file() : own_.emit;
  MLC_TRY(arch::Architecture made, arch::Architecture::parse(yaml, name));
  MLC_TRY(Judgement pair, compare(made, unread, small));
  return Rewritten{std::move(yaml), std::move(made), std::move(pair)};
}

Status Job::write(const onnx::Document& unread, const onnx::Document& small,
                  PruneOnnxAnswer& answer) {
  arch::SizeWishes wished = wishes(small, answer.plan);
  auto found = rewrite(wished, unread, small);
  if (!found.ok() && !wished.arguments.empty()) {
    // An argument may only look like the number: `forward` computes that from others, as how many
    // heads share a key.
    wished.arguments.clear();
    if (auto other = rewrite(wished, unread, small); other.ok()) found = std::move(other);
  }
  if (!found.ok()) return std::move(found).error();
  MLC_CHECK(take_speed(found->pair, options_, answer, task_.reporter));
  MLC_CHECK(ready_for_weights(input_, *state_dict_, false, task_.output, task_.reporter));
  MLC_CHECK(exchange(small));
  return save(found->yaml, found->made, answer);
}

Result<FileReport> Job::run() {
  MLC_CHECK(check_usage());
  const auto in_file = [this](Status status) {
    return status.ok() ? Status() : Status(std::move(status).error().in_file(task_.input));
  };
  MLC_CHECK(open());
  MLC_CHECK(in_file(picture()));
  PruneOnnxShared shared = shared_;
  shared.host = this;
  return prune_onnx(task_, options_, shared);
}

}  // namespace

Result<FileReport> prune_architecture(FileTask& task, const PruneArchitectureOptions& own,
                                      const PruneOnnxOptions& options,
                                      const PruneOnnxShared& shared) {
  return Job(task, own, options, shared).run();
}

}  // namespace mlc::cli
