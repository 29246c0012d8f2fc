#include "mlc/engine/exported_samples.h"

#include "mlc/base/text.h"
#include "mlc/checkpoint/copy_tensors.h"
#include "mlc/checkpoint/pt2_samples.h"
#include "mlc/engine/held_inputs.h"
#include "mlc/engine/machine.h"
#include "mlc/tensor/tensor_view.h"

#include <algorithm>
#include <map>

namespace mlc {
namespace {

constexpr int kMaxDepth = 64;
constexpr size_t kMaxLeaves = 100'000;

/// The arguments without the tuples, lists and dicts that they lie in, as PyTorch takes them apart:
/// depth first, dicts in their own order.
class Leaves {
 public:
  explicit Leaves(const Checkpoint& samples) : samples_(samples) {}

  Status add(NodeId node, int depth = 0) {
    const pickle::Graph& graph = samples_.graph;
    if (depth > kMaxDepth || found_.size() > kMaxLeaves) return corrupt("they are nested too deep");
    if (samples_.tensor_at(node) == kNoIndex) {
      if (const auto* entries = graph.entries(node)) {
        for (const auto& [key, value] : *entries) MLC_CHECK(add(value, depth + 1));
        return {};
      }
      const bool is_list =
          graph.is(node, pickle::NodeKind::tuple) || graph.is(node, pickle::NodeKind::list);
      if (is_list) {
        for (const NodeId item : graph.sequence(node)) MLC_CHECK(add(item, depth + 1));
        return {};
      }
    }
    found_.push_back(node);
    return {};
  }

  const std::vector<NodeId>& found() const { return found_; }

 private:
  const Checkpoint& samples_;
  std::vector<NodeId> found_;
};

/// One leaf for each of PROGRAM's inputs, in their order.
Result<std::vector<NodeId>> leaves_of(const Checkpoint& samples, const ExportedProgram& program) {
  const pickle::Graph& graph = samples.graph;
  const auto both = graph.sequence(samples.root);
  if (both.size() != 2 || graph.entries(both[1]) == nullptr) {
    return corrupt("they are no arguments of a call");
  }
  Leaves positional(samples);
  MLC_CHECK(positional.add(both[0]));
  std::vector<NodeId> out = positional.found();
  // An export may take named arguments in another order than they were given in.
  std::map<std::string_view, size_t> places;
  for (size_t i = 0; i < program.inputs.size(); ++i) places.emplace(program.inputs[i].name, i);
  std::vector<std::pair<size_t, std::vector<NodeId>>> named;
  for (const auto& [key, value] : *graph.entries(both[1])) {
    Leaves leaves(samples);
    MLC_CHECK(leaves.add(value));
    const auto place =
        graph.is(key, pickle::NodeKind::text) ? places.find(graph.text(key)) : places.end();
    // Those of several leaves have names of their own; where they stand, their neighbours tell.
    named.emplace_back(place == places.end() ? SIZE_MAX : place->second, leaves.found());
  }
  const bool all_known = std::ranges::all_of(
      named, [](const auto& one) { return one.first != SIZE_MAX && one.second.size() == 1; });
  if (all_known) std::ranges::sort(named, {}, [](const auto& one) { return one.first; });
  for (const auto& [place, leaves] : named) out.insert(out.end(), leaves.begin(), leaves.end());
  if (out.size() != program.inputs.size()) {
    return corrupt("there are " + std::to_string(out.size()) + " of them, and the program takes " +
                   std::to_string(program.inputs.size()));
  }
  return out;
}

Result<HostTensor> value_of(const Checkpoint& samples, uint32_t index) {
  const Tensor& tensor = samples.tensors[index];
  if (tensor.storage != kNoIndex) MLC_CHECK(check_storage(samples, tensor.storage));
  MLC_TRY(const TensorView view, samples.view(index));
  MLC_TRY(std::string bytes, contiguous_bytes(view, memory_bytes() / 4));
  return make_host_tensor(view.dtype, {view.sizes.begin(), view.sizes.end()}, std::move(bytes));
}

/// Whether hold() may give SPEC such a tensor, asked before it is read: at sizes that are fixed and
/// of other types the program would refuse it.
bool fits(const InputSpec& spec, DType dtype, Dims sizes) {
  if (spec.dtype != dtype || spec.dims.size() != sizes.size()) return false;
  for (size_t i = 0; i < spec.dims.size(); ++i) {
    const InputDim& dim = spec.dims[i];
    if (dim.example == sizes[i]) continue;
    if (dim.symbol.empty()) return false;
    if (!dim.bounds) continue;
    if (sizes[i] < dim.bounds->first || sizes[i] > dim.bounds->second) return false;
  }
  return true;
}

Result<std::vector<InputSpec>> with_samples(const Checkpoint& samples,
                                            const ExportedProgram& program,
                                            std::vector<InputSpec> specs) {
  MLC_TRY(const std::vector<NodeId> leaves, leaves_of(samples, program));
  size_t at = 0;  // of specs, which lack the inputs that the export fixed
  for (size_t i = 0; i < leaves.size(); ++i) {
    if (program.inputs[i].value == nullptr) continue;
    InputSpec& spec = specs.at(at++);
    const uint32_t index = samples.tensor_at(leaves[i]);
    if (program.inputs[i].value->tensor() == nullptr) continue;  // a number, which spec has
    if (index == kNoIndex) return corrupt("that of input " + quoted(spec.name) + " is no tensor");
    const Tensor& tensor = samples.tensors[index];
    const Dims sizes = samples.sizes(tensor);
    if (!fits(spec, tensor.dtype, sizes)) {
      return corrupt("that of input " + quoted(spec.name) + " is " + describe(tensor.dtype, sizes) +
                     ", not " + to_text(spec));
    }
    MLC_TRY_CTX(HostTensor value, value_of(samples, index), "input " + quoted(spec.name));
    hold(spec, std::move(value));
  }
  return specs;
}

}  // namespace

void hold_samples(const Checkpoint& checkpoint, const ExportedProgram& program,
                  std::vector<InputSpec>& specs, Reporter& reporter) {
  const auto read = [&]() -> Result<std::vector<InputSpec>> {
    MLC_TRY(const auto samples, open_pt2_samples(checkpoint));
    if (!samples) return specs;
    return with_samples(*samples, program, specs);
  };
  auto held = read();
  if (held.ok()) {
    specs = std::move(*held);
    return;
  }
  reporter.warn(printable(checkpoint.path) +
                ": its sample inputs are not used: " + held.error().text());
}

}  // namespace mlc
