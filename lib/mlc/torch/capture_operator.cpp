#include "mlc/base/text.h"
#include "mlc/engine/exception_text.h"
#include "mlc/torch/call_operator.h"
#include "mlc/torch/capture_shapes.h"
#include "mlc/torch/capturer.h"
#include "mlc/torch/number_inputs.h"
#include "mlc/torch/source_place.h"
#include "mlc/torch/torch_values.h"
#include "mlc/torch/without_elements.h"

#include <algorithm>
#include <array>
#include <utility>

#include <ATen/ScalarOps.h>
#include <c10/util/Exception.h>

namespace mlc::torch_module {
namespace {

using c10::IValue;
using c10::TypeKind;
using ir::Expr;
using torch::jit::Node;
using torch::jit::Stack;

/// Operators that give their input itself where there is nothing to do.
constexpr std::array<std::string_view, 32> kMayGiveInput = {"alias",
                                                            "alpha_dropout",
                                                            "bfloat16",
                                                            "contiguous",
                                                            "cpu",
                                                            "detach",
                                                            "detach_",
                                                            "double",
                                                            "dropout",
                                                            "dropout_",
                                                            "expand",
                                                            "expand_as",
                                                            "feature_alpha_dropout",
                                                            "feature_dropout",
                                                            "flatten",
                                                            "float",
                                                            "half",
                                                            "int",
                                                            "lift_fresh",
                                                            "long",
                                                            "positive",
                                                            "ravel",
                                                            "requires_grad_",
                                                            "reshape",
                                                            "reshape_as",
                                                            "resolve_conj",
                                                            "resolve_neg",
                                                            "slice",
                                                            "to",
                                                            "type_as",
                                                            "view",
                                                            "view_as"};

/// Of those, operators that give a view of another shape where the layout allows it.
constexpr std::array<std::string_view, 4> kMayView = {"flatten", "ravel", "reshape", "reshape_as"};

/// Operators that give their input itself another shape, and what they are without that.
constexpr std::array kReshapeInput = std::to_array<std::pair<std::string_view, const char*>>({
    {"squeeze_", "squeeze"},
    {"swapaxes_", "swapaxes"},
    {"swapdims_", "swapdims"},
    {"t_", "t"},
    {"transpose_", "transpose"},
    {"unsqueeze_", "unsqueeze"},
});

/// Operators that give their input other memory: what else lies there cannot be told.
constexpr std::array<std::string_view, 5> kReplaceInput = {"as_strided_", "resize_", "resize_as_",
                                                           "set_", "set_data"};

/// Writes into the running mean and variance, which their schemas do not say.
constexpr std::array<std::string_view, 4> kNorms = {"batch_norm", "instance_norm",
                                                    "native_batch_norm", "cudnn_batch_norm"};

template <class Table>
bool has(const Table& table, std::string_view name) {
  return std::ranges::find(table, name) != table.end();
}

const void* storage_of(const at::Tensor& tensor) {
  if (!tensor.defined() || !tensor.has_storage()) return nullptr;
  return tensor.storage().unsafeGetStorageImpl();
}

/// Whether A is B: the same elements in the same places.
bool is_same_tensor(const at::Tensor& a, const at::Tensor& b) {
  if (!a.defined() || !b.defined()) return false;
  if (a.is_same(b)) return true;
  return storage_of(a) != nullptr && storage_of(a) == storage_of(b) &&
         a.storage_offset() == b.storage_offset() && a.scalar_type() == b.scalar_type() &&
         a.sizes() == b.sizes() && a.strides() == b.strides();
}

/// Whether a slice has all of its input at all sizes, not only at those of the lanes.
bool keeps_sizes(Capturer& capturer, const Call& call) {
  const ExpectedSizes expected = expected_sizes(capturer, call, 0);
  const std::vector<Expr>& sizes = capturer.sizes_of(*call.inputs[0].tensor());
  return std::ranges::equal(expected, sizes,
                            [](const std::optional<Expr>& a, Expr b) { return a == b; });
}

ir::OpName op_of(const Node& node) {
  const auto& schema = node.schema();
  const std::string& name = schema.name();
  const size_t colons = name.find("::");
  ir::OpName out{name.substr(0, colons), name.substr(colons + 2), schema.overload_name()};
  // What tracing writes down for a convolution: the same with settings of cuDNN.
  if (name == "aten::_convolution") return {"aten", "convolution", ""};
  return out;
}

ir::ScalarKind kind_of(const IValue& value) {
  return value.isInt()      ? ir::ScalarKind::integer
         : value.isDouble() ? ir::ScalarKind::number
                            : ir::ScalarKind::boolean;
}

/// Numbers in the places of tensors become what PyTorch makes of them.
void wrap_numbers(const Node& node, Stack& stack) {
  const auto& arguments = node.schema().arguments();
  for (size_t i = 0; i < std::min(arguments.size(), stack.size()); ++i) {
    const bool takes_tensor = arguments[i].type()->kind() == TypeKind::TensorType;
    if (takes_tensor && (stack[i].isDouble() || stack[i].isComplexDouble()))
      stack[i] = at::native::wrapped_scalar_tensor(stack[i].toScalar());
  }
}

/// Whether NODE writes into a tensor without the name saying so, as add_ does: torch.add(out=y).
bool writes_elsewhere(const Node& node) {
  const std::string_view name = node.kind().toUnqualString();
  const bool named = name.ends_with('_') && (!name.starts_with("__") || name.starts_with("__i"));
  const auto& arguments = node.schema().arguments();
  for (size_t i = named ? 1 : 0; i < arguments.size(); ++i) {
    const auto* alias = arguments[i].alias_info();
    const bool tensor = arguments[i].type()->isSubtypeOf(*c10::TensorType::get());
    if (tensor && alias != nullptr && alias->isWrite()) return true;
  }
  return false;
}

/// Whether NODE, which has no form in floats, works on tensors of bytes with scales of their own.
bool is_quantised(const Node& node) {
  const std::string_view name = node.kind().toQualString();
  return name.starts_with("quantized::") || name.starts_with("aten::quantize");
}

/// ": the table has 10 rows, and indices go from 0 to 12" where CALL looks rows up that are not
/// there; else nothing.
std::string rows_text(const Call& call, size_t lane) {
  if (!call.node.kind().is_aten() || call.inputs.size() < 2) return "";
  if (std::string_view(call.node.kind().toUnqualString()).find("embedding") == std::string::npos) {
    return "";
  }
  const TensorItem* table = call.inputs[0].tensor();
  const TensorItem* indices = call.inputs[1].tensor();
  if (table == nullptr || indices == nullptr || indices->lanes[lane].numel() == 0) return "";
  const int64_t rows = table->lanes[lane].size(0);
  const int64_t least = indices->lanes[lane].min().item().toLong();
  const int64_t largest = indices->lanes[lane].max().item().toLong();
  if (least >= 0 && largest < rows) return "";
  return ": the table has " + plural(static_cast<uint64_t>(rows), "row") +
         ", and indices go from " + std::to_string(least) + " to " + std::to_string(largest);
}

}  // namespace

const std::vector<Expr>& Capturer::sizes_of(const TensorItem& tensor) const {
  static const std::vector<Expr> kNone;
  const ir::TensorType* type = tensor.value->tensor();
  return type != nullptr && type->sizes ? *type->sizes : kNone;
}

void Capturer::set_content(const TensorRef& tensor, std::vector<Expr> content) {
  for (size_t i = 0; i < lanes(); ++i) {
    const at::Tensor& real = tensor->lanes[i];
    if (!real.defined()) continue;
    const bool integers = at::isIntegralType(real.scalar_type(), false);
    if (!integers || real.numel() != static_cast<int64_t>(content.size())) return;
    const at::Tensor flat = real.to(at::kLong).flatten();
    for (size_t at = 0; at < content.size(); ++at) {
      const int64_t number = flat[static_cast<int64_t>(at)].item<int64_t>();
      if (sizes_.at(content[at])[i] != number) return;
    }
  }
  tensor->content = std::move(content);
  with_content_.push_back(tensor);
}

Status Capturer::note_writes(const Call& call) {
  const auto& arguments = call.node.schema().arguments();
  const std::string_view name = call.node.kind().toUnqualString();
  const bool keeps_running =
      has(kNorms, name) && call.inputs.size() > 5 && same(call.inputs[5], Item(true));
  for (size_t i = 0; i < std::min(arguments.size(), call.inputs.size()); ++i) {
    const auto* alias = arguments[i].alias_info();
    const bool writes =
        (alias != nullptr && alias->isWrite()) || (keeps_running && (i == 3 || i == 4));
    const TensorItem* tensor = call.inputs[i].tensor();
    if (!writes || tensor == nullptr) continue;
    for (const at::Tensor& lane : tensor->lanes) {
      const void* storage = storage_of(lane);
      const bool kept =
          storage != nullptr && std::ranges::any_of(kept_, [&](const at::Tensor& one) {
            return storage_of(one) == storage;
          });
      if (kept) {
        MLC_CHECK(
            refuse(call.node, std::string(call.node.kind().toQualString()) +
                                  ", which writes into a tensor of a list that a loop fills"));
      }
      if (weight_storages_.contains(storage)) {
        attempt_.written.insert(storage);
        return give_up(CaptureStop::written_weight, internal_error("a weight is written into"));
      }
      for (const auto& weak : with_content_) {
        const TensorRef known = weak.lock();
        if (known == nullptr) continue;
        const bool same_storage = std::ranges::any_of(
            known->lanes, [&](const at::Tensor& one) { return storage_of(one) == storage; });
        if (same_storage) known->content.reset();
      }
    }
  }
  return {};
}

Result<std::vector<std::vector<IValue>>> Capturer::run_lanes(const Call& call) {
  torch::jit::Operation operation = call.node.getOperation();
  std::vector<std::vector<IValue>> out(lanes());
  for (size_t i = 0; i < lanes(); ++i) {
    if (!active_[i]) continue;
    Stack stack;
    for (const Item& item : call.inputs) stack.push_back(lane(item, i));
    wrap_numbers(call.node, stack);
    if (call.node.schema().is_vararg()) stack.emplace_back(static_cast<int64_t>(stack.size()));
    std::string problem;
    try {
      if (attempt_.skips_elements && (is_costly(call.node) || lacks_elements(stack))) {
        run_without_elements(call.node, stack);
      } else {
        refuse_crash(call.node.schema(), stack);
        operation(stack);
      }
    } catch (const c10::Error& error) {
      problem = error.what_without_backtrace();
    } catch (const std::exception& error) {
      problem = error.what();
    }
    if (!problem.empty()) {
      const ir::Origin where = origin(call.node);
      return give_up(CaptureStop::lane_failed,
                     usage_error(std::string(call.node.kind().toQualString()) +
                                 (where.scope.empty() ? "" : " in " + printable(where.scope)) +
                                 ": " + exception_sentence(problem) + rows_text(call, i) +
                                 (where.text.empty() ? "" : ", at " + where.text)));
    }
    out[i] = std::move(stack);
  }
  return out;
}

Result<std::vector<IValue>> Capturer::lane_results(const Call& call) {
  MLC_TRY(const auto results, run_lanes(call));
  std::vector<IValue> out;
  for (const auto& one : results) out.push_back(one.empty() ? IValue() : one[0]);
  return out;
}

Result<TensorRef> Capturer::append_tensor(ir::OpName op, std::vector<ir::Argument> arguments,
                                          std::vector<at::Tensor> lanes, std::vector<Expr> sizes,
                                          const Node& node) {
  const auto first =
      std::ranges::find_if(lanes, [](const at::Tensor& one) { return one.defined(); });
  ir::TensorType type;
  MLC_TRY(type.dtype, graph_dtype(*first));
  type.sizes = std::move(sizes);
  ir::Node* made = out_.program.graph.append(*block_, std::move(op), std::move(arguments),
                                             {std::move(type)}, origin(node));
  auto out = std::make_shared<TensorItem>();
  out->value = made->output(0);
  out->lanes = std::move(lanes);
  return out;
}

/// Which input the result is, where the operator gives one back as it is.
std::optional<size_t> Capturer::unchanged_input(const Call& call,
                                                const std::vector<at::Tensor>& result) {
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    const TensorItem* tensor = call.inputs[i].tensor();
    if (tensor == nullptr) continue;
    bool is = false;
    for (size_t lane = 0; lane < lanes(); ++lane) {
      if (!active_[lane]) continue;
      is = is_same_tensor(tensor->lanes[lane], result[lane]);
      if (!is) break;
    }
    if (is) return i;
  }
  return std::nullopt;
}

DynamicRef Capturer::append_scalar(ir::OpName op, std::vector<ir::Argument> arguments,
                                   ir::ScalarKind kind, std::vector<IValue> lanes,
                                   const Node& node) {
  ir::Node* made = out_.program.graph.append(*block_, std::move(op), std::move(arguments),
                                             {ir::ScalarType{kind, std::nullopt}}, origin(node));
  auto out = std::make_shared<DynamicItem>();
  out->value = made->output(0);
  out->lanes = std::move(lanes);
  return out;
}

Item Capturer::append_number(ir::OpName op, std::vector<ir::Argument> arguments,
                             ir::ScalarKind kind, std::vector<IValue> lanes, const Node& node) {
  if (kind != ir::ScalarKind::integer) {
    return append_scalar(std::move(op), std::move(arguments), kind, std::move(lanes), node);
  }
  ir::LaneNumbers numbers;
  for (const IValue& one : lanes) numbers.push_back(one.isInt() ? one.toInt() : ir::kNoNumber);
  const Expr symbol = fresh_number(numbers);
  ir::Node* made = out_.program.graph.append(*block_, std::move(op), std::move(arguments),
                                             {ir::ScalarType{kind, symbol}}, origin(node));
  definers_[symbols().symbols_of(symbol)[0]] = made->output(0);
  return symbol;
}

Expr Capturer::fresh_symbol(const ir::LaneNumbers& numbers, ir::Bounds bounds) {
  if (!trial_) return sizes_.fresh("u", numbers, bounds);
  // What a trial makes is thrown away: the next one takes its symbols again.
  std::vector<Expr>& spare = spare_[bounds.low];
  size_t& next = spare_used_[bounds.low];
  if (next == spare.size()) spare.push_back(sizes_.fresh("trial", numbers, bounds));
  sizes_.define(spare[next], numbers);
  return spare[next++];
}

void Capturer::note_definitions(const TensorItem& tensor) {
  for (const Expr size : sizes_of(tensor)) {
    for (const size_t symbol : symbols().symbols_of(size)) {
      if (symbol >= attempt_.symbols.size()) definers_.try_emplace(symbol, tensor.value);
    }
  }
}

const at::Tensor& real_lane(const TensorItem& tensor) {
  const auto found =
      std::ranges::find_if(tensor.lanes, [](const at::Tensor& one) { return one.defined(); });
  return found == tensor.lanes.end() ? tensor.lanes[0] : *found;
}

/// x.unsqueeze_(0): the lanes have done it, and the graph gets a view that stands for x from now
/// on.
Status Capturer::reshape_input(const Call& call, const char* op) {
  if (depth_ > 0 || call.inputs[0].tensor()->value->kind() != ir::ValueKind::output) {
    return refuse(call.node, std::string(call.node.kind().toQualString()) +
                                 " of an input, of a weight, or within a branch or loop that hangs "
                                 "on values");
  }
  const TensorRef input = *call.inputs[0].as<TensorRef>();
  MLC_TRY(auto arguments, arguments_of(call));
  if (!arguments) return {};
  MLC_TRY(ir::TensorType type, type_of(call, input->lanes, 0));
  ir::OpName view{"aten", op, call.node.schema().overload_name()};
  if (view.name == "transpose") view.overload = "int";
  ir::Node* made = out_.program.graph.append(*block_, std::move(view), std::move(*arguments),
                                             {std::move(type)}, origin(call.node));
  input->value = made->output(0);
  input->content.reset();
  set(call.node.output(), input);
  return {};
}

Status Capturer::run_operator(const Call& call) {
  const std::string_view name = call.node.kind().toUnqualString();
  if (has(kReplaceInput, name)) {
    return refuse(call.node, std::string(call.node.kind().toQualString()));
  }
  MLC_TRY(const bool is_done, quantized(call));
  if (is_done) return {};
  if (is_quantised(call.node)) {
    return refuse(call.node, std::string(call.node.kind().toQualString()) +
                                 ", which makes or takes PyTorch's quantised tensors");
  }
  if (writes_elsewhere(call.node)) {
    return refuse(call.node, to_text(op_of(call.node)) + ", which writes into what it is given");
  }
  MLC_CHECK(note_writes(call));
  MLC_TRY(const auto results, run_lanes(call));
  for (const auto& [from, to] : kReshapeInput) {
    if (name == from) return reshape_input(call, to);
  }
  const bool one_tensor =
      call.node.outputs().size() == 1 && call.node.output()->type()->kind() == TypeKind::TensorType;
  if (one_tensor && has(kMayGiveInput, name)) {
    std::vector<at::Tensor> lanes;
    for (const auto& result : results) {
      lanes.push_back(result.empty() ? at::Tensor() : result[0].toTensor());
    }
    const auto same = unchanged_input(call, lanes);
    if (same && (name != "slice" || keeps_sizes(*this, call))) {
      set(call.node.output(), call.inputs[*same]);
      return {};
    }
  }
  if (!find_operator(op_of(call.node))) {
    return refuse(call.node, std::string(call.node.kind().toQualString()));
  }
  MLC_TRY(auto arguments, arguments_of(call));
  return arguments ? append(call, results, std::move(*arguments)) : Status();
}

/// The tensors that CALL gave as its output number INDEX, lists taken apart, lane by lane.
Result<std::vector<std::vector<at::Tensor>>> Capturer::tensors_of(
    const Call& call, const std::vector<std::vector<IValue>>& results, size_t index) {
  std::vector<std::vector<at::Tensor>> out;
  bool first = true;
  for (size_t lane = 0; lane < lanes(); ++lane) {
    if (results[lane].empty()) continue;
    const IValue& value = results[lane][index];
    const std::vector<at::Tensor> parts =
        value.isTensor() ? std::vector<at::Tensor>{value.toTensor()} : value.toTensorVector();
    if (first) out.assign(parts.size(), std::vector<at::Tensor>(lanes()));
    first = false;
    if (parts.size() != out.size()) {
      return give_up(CaptureStop::too_small, unsupported("the number of parts hangs on a size: " +
                                                         source_place(call.node)));
    }
    for (size_t part = 0; part < parts.size(); ++part) out[part][lane] = parts[part];
  }
  return out;
}

/// Where OP gives a view of its input in another shape it is one.
void Capturer::write_as_view(const Call& call, const at::Tensor& result, const ir::TensorType& type,
                             ir::OpName& op, std::vector<ir::Argument>& arguments) {
  if (op.domain != "aten" || !has(kMayView, op.name)) return;
  const TensorItem* input = call.inputs[0].tensor();
  if (input == nullptr || storage_of(result) == nullptr) return;
  const bool shares = std::ranges::any_of(
      input->lanes, [&](const at::Tensor& one) { return storage_of(one) == storage_of(result); });
  if (!shares) return;
  ir::Attribute sizes = *type.sizes;
  if (op.name == "reshape") sizes = arguments.back().value;
  op = {"aten", "view", ""};
  arguments = {{"self", input->value}, {"size", std::move(sizes)}};
}

/// An operator that gives one number, which hangs on values.
Status Capturer::append_number_of(const Call& call, const std::vector<std::vector<IValue>>& results,
                                  std::vector<ir::Argument> arguments) {
  std::vector<IValue> numbers;
  for (const auto& result : results) numbers.push_back(result.empty() ? IValue() : result[0]);
  const IValue& sample =
      *std::ranges::find_if(numbers, [](const IValue& one) { return !one.isNone(); });
  set(call.node.output(), append_number(op_of(call.node), std::move(arguments), kind_of(sample),
                                        std::move(numbers), call.node));
  return {};
}

Status Capturer::append(const Call& call, const std::vector<std::vector<IValue>>& results,
                        std::vector<ir::Argument> arguments) {
  const size_t any = static_cast<size_t>(std::ranges::find(active_, true) - active_.begin());
  std::vector<ir::Output> outputs;
  std::vector<std::vector<at::Tensor>> tensors;
  std::vector<size_t> counts;  // of graph values for each output of the node
  for (size_t i = 0; i < call.node.outputs().size(); ++i) {
    const IValue& sample = results[any][i];
    if (!sample.isTensor() && !sample.isTensorList()) {
      if (is_number(sample) && call.node.outputs().size() == 1) {
        return append_number_of(call, results, std::move(arguments));
      }
      return refuse(call.node, std::string(call.node.kind().toQualString()) + ", which gives a " +
                                   call.node.output(i)->type()->annotation_str());
    }
    MLC_TRY(auto parts, tensors_of(call, results, i));
    counts.push_back(parts.size());
    for (std::vector<at::Tensor>& part : parts) {
      MLC_TRY(ir::TensorType type, type_of(call, part, tensors.size()));
      outputs.emplace_back(std::move(type));
      tensors.push_back(std::move(part));
    }
  }
  ir::OpName op = op_of(call.node);
  if (tensors.size() == 1) {
    write_as_view(call, tensors[0][any], std::get<ir::TensorType>(outputs[0].type), op, arguments);
  }
  ir::Node* made = out_.program.graph.append(*block_, std::move(op), std::move(arguments),
                                             std::move(outputs), origin(call.node));
  ++appended_;
  size_t next = 0;
  for (size_t i = 0; i < counts.size(); ++i) {
    Items items;
    for (size_t part = 0; part < counts[i]; ++part, ++next) {
      auto item = std::make_shared<TensorItem>();
      item->value = made->output(next);
      item->lanes = std::move(tensors[next]);
      note_definitions(*item);
      MLC_TRY(Item on_scale, rounded(item, call.node));
      items.push_back(std::move(on_scale));
    }
    const c10::TypePtr& type = call.node.output(i)->type();
    set(call.node.output(i),
        type->kind() == TypeKind::TensorType
            ? items[0]
            : Item(std::make_shared<ListItem>(ListItem{type, std::move(items), depth_})));
  }
  return {};
}

}  // namespace mlc::torch_module
