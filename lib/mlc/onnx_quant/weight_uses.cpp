#include "mlc/onnx_quant/weight_uses.h"

#include "mlc/onnx/constants.h"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

namespace mlc::onnx {
namespace {

/// Names that are read from outside of the nodes of the outermost graph.
std::set<std::string, std::less<>> visible_names(const Document& document) {
  std::set<std::string, std::less<>> out(document.output_names().begin(),
                                         document.output_names().end());
  out.insert(document.input_names().begin(), document.input_names().end());
  for (const DocNode& node : document.nodes)
    out.insert(node.inner_names.begin(), node.inner_names.end());
  return out;
}

struct OperatorRole {
  std::string_view op;
  size_t input;
  Role role;
};
constexpr std::array kRoles = {OperatorRole{"Gather", 0, Role::table},
                               OperatorRole{"MatMul", 0, Role::stack},
                               OperatorRole{"MatMul", 1, Role::matmul},
                               OperatorRole{"Einsum", 0, Role::stack},
                               OperatorRole{"Einsum", 1, Role::stack},
                               OperatorRole{"Einsum", 2, Role::stack},
                               OperatorRole{"Gemm", 1, Role::gemm},
                               OperatorRole{"Conv", 1, Role::conv},
                               OperatorRole{"ConvTranspose", 1, Role::deconv},
                               OperatorRole{"LSTM", 1, Role::recurrent},
                               OperatorRole{"LSTM", 2, Role::recurrent},
                               OperatorRole{"GRU", 1, Role::recurrent},
                               OperatorRole{"GRU", 2, Role::recurrent},
                               OperatorRole{"RNN", 1, Role::recurrent},
                               OperatorRole{"RNN", 2, Role::recurrent}};

/// What NODE does with its input I, a tensor of RANK dimensions.
WeightUse use_of(const DocNode& node, size_t index, size_t i, size_t rank, bool transposed) {
  WeightUse use{.node = index, .through_transpose = transposed};
  const auto row = std::ranges::find_if(
      kRoles, [&](const OperatorRole& each) { return node.is(each.op) && each.input == i; });
  if (row == kRoles.end()) return use;
  use.role = row->role;
  const bool other = (use.role == Role::table && (node.integer("axis", 0) != 0 || rank != 2)) ||
                     (use.role == Role::gemm && node.integer("transA", 0) != 0) ||
                     (transposed && (use.role != Role::matmul || rank != 2));
  if (use.role == Role::matmul && rank != 2) use.role = Role::stack;
  if (other) {
    use.role = Role::other;
  } else if (use.role == Role::matmul) {
    use.channels = transposed ? Channels::first : Channels::last;
  } else if (use.role == Role::gemm) {
    use.channels = node.integer("transB", 0) != 0 ? Channels::first : Channels::last;
  }
  return use;
}

/// The constant that NODE, a Transpose that exchanges both dimensions, reads; empty otherwise.
std::string transposed_constant(const Document& document, const DocNode& node) {
  if (!node.is("Transpose")) return {};
  const DocTensor* const tensor = document.find_tensor(node.input(0));
  if (tensor == nullptr || tensor->sizes.size() != 2) return {};
  const DocAttribute* const perm = node.find("perm");
  if (perm != nullptr && perm->integers() != std::vector<int64_t>{1, 0}) return {};
  return tensor->name;
}

/// The only element of a constant of i64, where it has one.
Result<std::optional<int64_t>> single_integer(const Document& document, const std::string& name) {
  const DocTensor* const tensor = document.find_tensor(name);
  if (tensor == nullptr || tensor->dtype() != DType::i64 || tensor->data->count() != 1)
    return std::optional<int64_t>();
  MLC_TRY(const Buffer buffer, tensor->data->produce());
  return std::optional(load_le<int64_t>(buffer.bytes.data()));
}

/// The rows [first, second) that NODE, a Slice, takes of TENSOR; nothing where it takes other
/// parts.
Result<std::optional<std::pair<int64_t, int64_t>>> sliced_rows(const Document& document,
                                                               const DocNode& node,
                                                               const DocTensor& tensor) {
  using Rows = std::optional<std::pair<int64_t, int64_t>>;
  MLC_TRY(const auto start, single_integer(document, node.input(1)));
  MLC_TRY(const auto end, single_integer(document, node.input(2)));
  MLC_TRY(const auto axis, single_integer(document, node.input(3)));
  MLC_TRY(const auto step, single_integer(document, node.input(4)));
  const bool plain = start && end && (axis ? *axis == 0 : node.input(3).empty()) &&
                     (step ? *step == 1 : node.input(4).empty());
  if (!plain) return Rows();
  const int64_t rows = tensor.sizes[0];
  const auto within = [rows](int64_t at) {
    return std::clamp<int64_t>(at < 0 ? at + rows : at, 0, rows);
  };
  const std::pair<int64_t, int64_t> out{within(*start), within(*end)};
  return out.first < out.second ? Rows(out) : Rows();
}

DataRef rows_of(const DataRef& source, int64_t begin, int64_t end) {
  auto out = std::make_shared<TensorData>(*source);
  const uint64_t row = source->byte_size() / static_cast<uint64_t>(source->sizes[0]);
  out->sizes[0] = end - begin;
  out->produce = [source, begin, row, size = out->byte_size()]() -> Result<Buffer> {
    MLC_TRY(Buffer buffer, source->produce());
    buffer.bytes = buffer.bytes.subspan(static_cast<size_t>(begin) * row, size);
    return buffer;
  };
  return out;
}

}  // namespace

bool WeightUses::has(Role role) const {
  return std::ranges::any_of(uses, [&](const WeightUse& use) { return use.role == role; });
}

Status split_slices(Document& document) {
  const auto visible = visible_names(document);
  struct Taken {
    uint64_t readers = 0;
    std::vector<std::pair<size_t, std::pair<int64_t, int64_t>>> slices;  // by node
    int64_t rows = 0;
  };
  std::map<std::string, Taken, std::less<>> tensors;
  for (size_t i = 0; i < document.nodes.size(); ++i) {
    const DocNode& node = document.nodes[i];
    for (const std::string& input : node.inputs) ++tensors[input].readers;
    const DocTensor* const tensor =
        node.is("Slice") && node.inputs.size() >= 3 ? document.find_tensor(node.input(0)) : nullptr;
    if (tensor == nullptr || tensor->dtype() != DType::f32 || tensor->sizes.size() < 2 ||
        tensor->data->count() == 0 || visible.contains(node.outputs[0]))
      continue;
    MLC_TRY(const auto rows, sliced_rows(document, node, *tensor));
    if (!rows) continue;
    Taken& taken = tensors[tensor->name];
    taken.slices.emplace_back(i, *rows);
    taken.rows += rows->second - rows->first;
  }
  std::set<size_t> gone;
  for (const auto& [name, taken] : tensors) {
    const DocTensor* const tensor = document.find_tensor(name);
    // Parts that overlap, or a whole that someone else reads, would be stored twice.
    if (taken.slices.empty() || taken.slices.size() != taken.readers || visible.contains(name) ||
        taken.rows > tensor->sizes[0])
      continue;
    const DataRef data = tensor->data;
    for (const auto& [i, rows] : taken.slices) {
      document.name_tensor(document.nodes[i].outputs[0], rows_of(data, rows.first, rows.second));
      gone.insert(i);
    }
  }
  std::vector<DocNode> kept;
  for (size_t i = 0; i < document.nodes.size(); ++i) {
    if (!gone.contains(i)) kept.push_back(std::move(document.nodes[i]));
  }
  document.nodes = std::move(kept);
  return {};
}

void skip_identities(Document& document) {
  const auto visible = visible_names(document);
  std::map<std::string, std::string, std::less<>> same;
  for (DocNode& node : document.nodes) {
    for (std::string& input : node.inputs) {
      if (const auto found = same.find(input); found != same.end()) input = found->second;
    }
    if (!node.is("Identity") || node.outputs.size() != 1 || visible.contains(node.outputs[0]))
      continue;
    if (document.find_tensor(node.input(0))) same.emplace(node.outputs[0], node.input(0));
  }
  std::erase_if(document.nodes, [&](const DocNode& node) {
    return node.is("Identity") && node.outputs.size() == 1 && same.contains(node.outputs[0]);
  });
}

void turn_matrices(Document& document) {
  const auto visible = visible_names(document);
  std::map<std::string, std::string, std::less<>> transposes;  // what they make: of what
  std::map<std::string, size_t, std::less<>> readers;          // that are no such Transpose
  for (const DocNode& node : document.nodes) {
    const std::string of = transposed_constant(document, node);
    if (!of.empty() && !visible.contains(node.outputs[0])) {
      transposes.emplace(node.outputs[0], of);
      continue;
    }
    for (const std::string& input : node.inputs) ++readers[input];
  }
  std::erase_if(transposes, [&](const auto& each) {
    const DocTensor& tensor = *document.find_tensor(each.second);
    const auto dtype = tensor.dtype();
    return readers.contains(each.second) || visible.contains(each.second) || !tensor.data ||
           !dtype || info(*dtype).kind != DTypeClass::floating;
  });
  std::set<std::string, std::less<>> turned;
  for (const auto& [made, of] : transposes) {
    DocTensor& tensor = *document.find_tensor(of);
    if (!turned.insert(of).second) continue;
    tensor.data = transpose_data(tensor.data, {1, 0});
    std::swap(tensor.sizes[0], tensor.sizes[1]);
  }
  std::erase_if(document.nodes, [&](const DocNode& node) {
    return !node.outputs.empty() && transposes.contains(node.outputs[0]);
  });
  for (DocNode& node : document.nodes) {
    for (std::string& input : node.inputs) {
      if (const auto found = transposes.find(input); found != transposes.end())
        input = found->second;
    }
  }
  document.drop_value_info(turned);
  document.drop_unused_value_info();
}

std::map<std::string, std::string, std::less<>> turned_constants(const Document& document) {
  const auto visible = visible_names(document);
  std::map<std::string, std::string, std::less<>> out;
  for (const DocNode& node : document.nodes) {
    std::string of = transposed_constant(document, node);
    if (!of.empty() && !visible.contains(node.outputs[0]))
      out.emplace(node.outputs[0], std::move(of));
  }
  return out;
}

std::vector<WeightUses> find_weights(const Document& document) {
  const auto visible = visible_names(document);
  std::vector<WeightUses> out;
  std::map<std::string, size_t, std::less<>> places;
  std::map<std::string, std::string, std::less<>> transposes;  // what they make: of what
  const auto add = [&](const std::string& name, WeightUse use, bool is_visible) {
    const auto [place, is_new] = places.emplace(name, out.size());
    if (is_new) out.push_back({name, {}, visible.contains(name)});
    WeightUses& weight = out[place->second];
    weight.uses.push_back(use);
    weight.is_visible = weight.is_visible || is_visible;
  };
  for (size_t index = 0; index < document.nodes.size(); ++index) {
    const DocNode& node = document.nodes[index];
    if (const std::string of = transposed_constant(document, node); !of.empty()) {
      transposes.emplace(node.outputs[0], of);
      if (visible.contains(node.outputs[0])) add(of, {.node = index}, false);
      continue;
    }
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const auto made = transposes.find(node.inputs[i]);
      const std::string& name = made == transposes.end() ? node.inputs[i] : made->second;
      const DocTensor* const tensor = document.find_tensor(name);
      if (tensor == nullptr || !tensor->data || tensor->sizes.size() < 2) continue;
      const auto dtype = tensor->dtype();
      if (!dtype || info(*dtype).kind != DTypeClass::floating || tensor->data->count() == 0)
        continue;
      add(name, use_of(node, index, i, tensor->sizes.size(), made != transposes.end()), false);
    }
  }
  return out;
}

void drop_dead_nodes(Document& document) {
  // Those that change nothing else; a node that someone else made dead is none of our business.
  constexpr std::array<std::string_view, 2> kPure = {"Transpose", "Identity"};
  auto read = visible_names(document);
  for (size_t i = document.nodes.size(); i-- > 0;) {
    const DocNode& node = document.nodes[i];
    const bool pure = std::ranges::any_of(kPure, [&](auto op) { return node.is(op); });
    if (pure && std::ranges::none_of(
                    node.outputs, [&](const std::string& name) { return read.contains(name); })) {
      document.nodes.erase(document.nodes.begin() + static_cast<std::ptrdiff_t>(i));
      continue;
    }
    read.insert(node.inputs.begin(), node.inputs.end());
  }
}

}  // namespace mlc::onnx
