#include "compress/channel_picture.h"

#include "mlc/engine/onnx_program.h"
#include "mlc/onnx/constants.h"
#include "mlc/onnx/finish.h"
#include "mlc/passes/functionalize.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <set>
#include <span>

#include <fmt/format.h>

namespace mlc::cli {
namespace {

/// What rounding leaves of equality; a wrong cut is far below.
constexpr double kLeastEqualDb = 40;

Result<onnx::Lowered> lower(const ProgramSource& program) {
  MLC_TRY(const passes::Functionalized pure, passes::functionalize(program.program->graph));
  if (!pure.written.empty() || !written_by(*program.program).empty())
    return unsupported("the program writes into its tensors", "mlc export-onnx names them");
  MLC_TRY(const onnx::Program lowered, onnx_program(program));
  MLC_TRY(onnx::Lowered made, onnx::lower_program(lowered, {}));
  if (!made.problems.empty()) {
    return unsupported(fmt::format("{} of its operators cannot become ONNX, in which channels are "
                                   "found",
                                   made.problems.size()),
                       "`mlc export-onnx --list-ops` names them");
  }
  return made;
}

/// Weights that have more axes of size 1 behind than those of the model are called NAME.ones.
void name_padded(onnx::Model& model) {
  std::map<std::string, std::string> keys;  // by what tells tensors apart
  for (const onnx::Value& value : model.values) {
    const bool is_weight = value.data != nullptr && !value.data->key.empty();
    if (is_weight && !value.data->identity.empty())
      keys.emplace(value.data->identity, value.data->key);
  }
  std::set<std::string> taken;
  for (const auto& [identity, key] : keys) taken.insert(key);
  for (onnx::Value& value : model.values) {
    if (value.data == nullptr || !value.data->key.empty() || !value.name.empty()) continue;
    const auto known = keys.find(value.data->identity);
    if (known == keys.end()) continue;
    std::string name = known->second + ".ones";
    if (taken.insert(name).second) value.name = std::move(name);
  }
}

/// What the values of sites have become.
class SiteValues {
 public:
  SiteValues(const ir::Graph& graph, const onnx::Lowered& lowered)
      : graph_(graph), lowered_(lowered) {}

  void add(const std::vector<ProgramSite>& sites) {
    for (const ProgramSite& site : sites) {
      for (const auto* const list : {&site.inputs, &site.outputs}) {
        for (const SiteTensor& one : *list) add(one.value);
      }
    }
  }
  const std::vector<onnx::Value*>& all() const { return all_; }
  /// Requires: names are given.
  void rename(std::vector<SiteTensor>& tensors) const {
    for (SiteTensor& one : tensors) {
      const auto found = values_.find(one.value);
      one.value = found == values_.end() ? "" : found->second->name;
    }
  }

 private:
  void add(const std::string& name) {
    const ir::Value* const value = graph_.find(name);
    const auto found = lowered_.values.find(value);
    if (found == lowered_.values.end() || !values_.emplace(name, found->second).second) return;
    all_.push_back(found->second);
  }

  const ir::Graph& graph_;
  const onnx::Lowered& lowered_;
  std::map<std::string, onnx::Value*> values_;
  std::vector<onnx::Value*> all_;
};

}  // namespace

Result<ChannelPicture> ChannelPicture::draw(CapturedProgram captured,
                                            std::span<const InputSpec> specs,
                                            const std::string& place,
                                            std::vector<ProgramSite> sites) {
  ProgramSource program;
  program.program = std::make_shared<ExportedProgram>(std::move(captured.program));
  program.weight = std::move(captured.weight);
  MLC_CHECK(name_sizes(*program.program, {}, specs));
  MLC_TRY(onnx::Lowered lowered, lower(program));
  SiteValues values(program.program->graph, lowered);
  values.add(sites);
  onnx::remove_unused(lowered.model, values.all());
  if (!sites.empty()) name_padded(lowered.model);
  onnx::give_names(lowered.model);
  const std::string path = place + ".whole";
  onnx::WriteOptions write;
  write.sidecar = onnx::sidecar_name(path);
  MLC_TRY(onnx::ModelFile file, onnx::ModelFile::plan(lowered.model, write));
  MLC_TRY(OnnxDraft draft, OnnxDraft::write(std::move(file), path, {}));
  ChannelPicture out(std::move(draft));
  out.sites_ = std::move(sites);
  for (ProgramSite& site : out.sites_) {
    values.rename(site.inputs);
    values.rename(site.outputs);
  }
  for (const onnx::Node* const node : lowered.model.graph.nodes)
    out.sources_.emplace(node->name, node->source);
  return out;
}

const std::string& ChannelPicture::source_of(std::string_view node) const {
  static const std::string kNone;
  const auto found = sources_.find(node);
  return found == sources_.end() ? kNone : found->second;
}

std::string module_path(const onnx::DocNode& node) {
  const size_t end = node.name.rfind('/');
  return end == std::string::npos || end == 0 ? "" : node.name.substr(1, end - 1);
}

namespace {

/// How many axes of size 1 A has behind those of B; nothing where it has others.
std::optional<size_t> ones_behind(std::span<const int64_t> a, std::span<const int64_t> b) {
  if (a.size() < b.size() || !std::ranges::equal(a.first(b.size()), b)) return std::nullopt;
  const auto rest = a.subspan(b.size());
  if (!std::ranges::all_of(rest, [](int64_t size) { return size == 1; })) return std::nullopt;
  return rest.size();
}

}  // namespace

PicturedTensors find_pictured(const onnx::Document& whole, const NamedSizes& tensors) {
  PicturedTensors out;
  for (const auto& [name, sizes] : tensors) {
    const onnx::DocTensor* const plain = whole.find_tensor(name);
    if (plain != nullptr && plain->sizes == sizes) out[name] = {name, false, 0};
    const onnx::DocTensor* const padded = whole.find_tensor(name + ".ones");
    const auto ones = padded == nullptr ? std::nullopt : ones_behind(padded->sizes, sizes);
    if (ones) out[padded->name] = {name, false, *ones};
    const onnx::DocTensor* const turned = whole.find_tensor(name + ".T");
    if (turned == nullptr || sizes.size() != 2) continue;
    if (turned->sizes == std::vector<int64_t>{sizes[1], sizes[0]})
      out[turned->name] = {name, true, 0};
  }
  return out;
}

onnx::DataRef data_of_pictured(const onnx::Document& document, const std::string& name,
                               const PicturedTensor& tensor) {
  const onnx::DocTensor* const found = document.find_tensor(name);
  if (found == nullptr || found->data == nullptr) return nullptr;
  if (tensor.is_turned) return onnx::transpose_data(found->data, {1, 0});
  if (tensor.ones == 0) return found->data;
  std::vector<int64_t> sizes = found->data->sizes;
  sizes.resize(sizes.size() - tensor.ones);
  return onnx::reshape_data(found->data, sizes);
}

const JudgedOutput* find_unequal(const Judgement& pair) {
  const auto found = std::ranges::find_if(pair.outputs, [](const JudgedOutput& one) {
    return !one.exact && one.sqnr_db && *one.sqnr_db < kLeastEqualDb;
  });
  return found == pair.outputs.end() ? nullptr : &*found;
}

}  // namespace mlc::cli
