// Properties of tensors, and tensors that hold sizes: traces compute with sizes in tensors of one
// number, which are numbers here again.
#include "mlc/torch/capture_shapes.h"
#include "mlc/torch/evaluators.h"

#include <algorithm>
#include <array>

#include <ATen/Functions.h>

namespace mlc::torch_module {
namespace {

using c10::IValue;
using ir::Expr;
using Exprs = std::vector<Expr>;

constexpr int64_t kMostContent = 64;

const TensorItem* tensor_of(const Call& call, size_t input = 0) {
  return call.inputs.size() > input ? call.inputs[input].tensor() : nullptr;
}

std::optional<int64_t> constant(Capturer& capturer, const Item* item) {
  const auto* number = item == nullptr ? nullptr : item->as<Expr>();
  return number == nullptr ? std::nullopt : capturer.symbols().constant_value(*number);
}

/// The elements of TENSOR, where they are known.
std::optional<Exprs> content_of(Capturer& capturer, const TensorItem& tensor) {
  if (tensor.content) return tensor.content;
  if (tensor.value->kind() != ir::ValueKind::constant) return std::nullopt;
  const at::Tensor& real = real_lane(tensor);
  if (!at::isIntegralType(real.scalar_type(), false) || real.numel() > kMostContent) {
    return std::nullopt;
  }
  Exprs out;
  const at::Tensor flat = real.to(at::kLong).flatten();
  for (int64_t i = 0; i < flat.numel(); ++i) {
    out.push_back(capturer.symbols().constant(flat[i].item<int64_t>()));
  }
  return out;
}

Result<bool> all_sizes(Capturer& capturer, const Call& call) {
  const TensorItem* tensor = tensor_of(call);
  if (tensor == nullptr) return false;
  Items items;
  for (const Expr size : capturer.sizes_of(*tensor)) items.emplace_back(size);
  capturer.set(call.node.output(),
               std::make_shared<ListItem>(
                   ListItem{c10::ListType::ofInts(), std::move(items), capturer.depth()}));
  return true;
}

Result<bool> one_size(Capturer& capturer, const Call& call) {
  const TensorItem* tensor = tensor_of(call);
  if (tensor == nullptr) return false;
  const Exprs& sizes = capturer.sizes_of(*tensor);
  auto dim = constant(capturer, &call.inputs[1]);
  const auto rank = static_cast<int64_t>(sizes.size());
  if (dim && *dim < 0) *dim += rank;
  if (!dim || *dim < 0 || *dim >= rank) {
    MLC_CHECK(capturer.refuse(call.node, "the size of a dimension that is not there"));
    return true;
  }
  capturer.set(call.node.output(), sizes[static_cast<size_t>(*dim)]);
  return true;
}

Result<bool> first_size(Capturer& capturer, const Call& call) {
  const TensorItem* tensor = tensor_of(call);
  if (tensor == nullptr || capturer.sizes_of(*tensor).empty()) return false;
  capturer.set(call.node.output(), capturer.sizes_of(*tensor)[0]);
  return true;
}

Result<bool> element_count(Capturer& capturer, const Call& call) {
  const TensorItem* tensor = tensor_of(call);
  if (tensor == nullptr) return false;
  Expr out = capturer.symbols().constant(1);
  for (const Expr size : capturer.sizes_of(*tensor)) out = capturer.symbols().multiply(out, size);
  capturer.set(call.node.output(), out);
  return true;
}

/// What is the same for all sizes: the rank, the type, the device.
Result<bool> property(Capturer& capturer, const Call& call) {
  if (tensor_of(call) == nullptr) return false;
  MLC_TRY(const std::vector<IValue> lanes, capturer.lane_results(call));
  const auto first = std::ranges::find_if(lanes, [](const IValue& one) { return !one.isNone(); });
  for (const IValue& one : lanes) {
    if (!one.isNone() && one != *first) {
      MLC_CHECK(capturer.refuse(
          call.node, std::string(call.node.kind().toQualString()) + ", which hangs on sizes"));
      return true;
    }
  }
  capturer.set(
      call.node.output(),
      first == lanes.end() ? Item() : lift(*first, call.node.output()->type(), capturer.symbols()));
  return true;
}

/// Steps in memory, as far as expressions explain them.
Result<bool> strides(Capturer& capturer, const Call& call) {
  const TensorItem* tensor = tensor_of(call);
  if (tensor == nullptr) return false;
  MLC_TRY(const std::vector<IValue> lanes, capturer.lane_results(call));
  const bool is_list =
      call.inputs.size() == 1 && call.node.output()->type()->kind() == c10::TypeKind::ListType;
  const size_t count = is_list ? capturer.sizes_of(*tensor).size() : 1;
  Items items;
  Exprs candidates = capturer.sizes_of(*tensor);
  for (size_t i = 0; i < candidates.size(); ++i) {
    candidates.push_back(capturer.symbols().multiply(candidates[i], candidates.back()));
    if (candidates.size() > 16) break;
  }
  for (size_t i = 0; i < count; ++i) {
    ir::LaneNumbers observed;
    for (const IValue& one : lanes) {
      observed.push_back(one.isNone() ? ir::kNoNumber
                         : is_list    ? one.toIntVector()[i]
                                      : one.toInt());
    }
    const auto found = capturer.sizes().find(observed, candidates);
    if (!found) {
      MLC_CHECK(capturer.refuse(call.node, "a step in memory that hangs on sizes"));
      return true;
    }
    items.emplace_back(*found);
  }
  if (is_list) {
    capturer.set(call.node.output(),
                 std::make_shared<ListItem>(
                     ListItem{c10::ListType::ofInts(), std::move(items), capturer.depth()}));
  } else {
    capturer.set(call.node.output(), items[0]);
  }
  return true;
}

/// A number as a tensor without dimensions.
Result<TensorRef> scalar_tensor(Capturer& capturer, const Call& call, const Item& number,
                                c10::ScalarType type) {
  std::vector<at::Tensor> lanes;
  for (size_t i = 0; i < capturer.lanes(); ++i) {
    lanes.push_back(capturer.active()[i]
                        ? at::scalar_tensor(capturer.lane(number, i).toScalar(), type)
                        : at::Tensor());
  }
  if (!varies(number, capturer.symbols())) {
    const auto live = std::ranges::find_if(lanes, [](const at::Tensor& t) { return t.defined(); });
    return capturer.constant(*live, "constant");
  }
  const auto value = capturer.attribute(number, c10::NumberType::get());
  const IValue code = static_cast<int64_t>(type);
  const auto dtype = capturer.attribute(lift(code, c10::IntType::get(), capturer.symbols()),
                                        c10::ScalarTypeType::get());
  MLC_TRY(TensorRef out,
          capturer.append_tensor({"aten", "scalar_tensor", ""}, {{"s", *value}, {"dtype", *dtype}},
                                 std::move(lanes), {}, call.node));
  if (const auto* integer = number.as<Expr>()) capturer.set_content(out, {*integer});
  return out;
}

c10::ScalarType type_of_number(const Capturer& capturer, const Item& item) {
  if (item.as<Expr>() != nullptr) return at::kLong;
  if (item.as<bool>() != nullptr) return at::kBool;
  if (const auto* dynamic = item.as<DynamicRef>()) {
    const auto& type = std::get<ir::ScalarType>((*dynamic)->value->type());
    if (type.kind == ir::ScalarKind::boolean) return at::kBool;
  }
  static_cast<void>(capturer);
  return at::typeMetaToScalarType(at::get_default_dtype());
}

Result<bool> number_to_tensor(Capturer& capturer, const Call& call) {
  const Item& number = call.inputs[0];
  c10::ScalarType type = type_of_number(capturer, number);
  if (type == at::kFloat) type = at::kDouble;  // as Python's numbers are
  MLC_TRY(TensorRef out, scalar_tensor(capturer, call, number, type));
  capturer.set(call.node.output(), std::move(out));
  return true;
}

void flat_numbers(const Item& item, Items& out) {
  const Items* items = item.items();
  if (items == nullptr) {
    out.push_back(item);
    return;
  }
  for (const Item& one : *items) flat_numbers(one, out);
}

/// torch.tensor(data): a constant, or numbers that vary side by side.
Result<bool> make_tensor(Capturer& capturer, const Call& call) {
  const Item& data = call.inputs[0];
  if (data.tensor() != nullptr) {
    const auto* dtype = call.inputs.size() > 1 ? &call.inputs[1] : nullptr;
    if (dtype != nullptr && !dtype->is_none()) return false;
    capturer.set(call.node.output(), data);
    return true;
  }
  if (!varies(data, capturer.symbols())) {
    MLC_TRY(const std::vector<IValue> lanes, capturer.lane_results(call));
    const auto live = std::ranges::find_if(lanes, [](const IValue& one) { return one.isTensor(); });
    capturer.set(call.node.output(), capturer.constant(live->toTensor(), "constant"));
    return true;
  }
  const auto dtype = constant(capturer, argument(call, "dtype"));
  Items numbers;
  flat_numbers(data, numbers);
  const bool nested =
      data.items() != nullptr &&
      std::ranges::any_of(*data.items(), [](const Item& i) { return i.items() != nullptr; });
  if (nested) return false;
  std::vector<ir::Value*> parts;
  Exprs content;
  for (const Item& number : numbers) {
    const c10::ScalarType type =
        dtype ? static_cast<c10::ScalarType>(*dtype) : type_of_number(capturer, number);
    MLC_TRY(const TensorRef part, scalar_tensor(capturer, call, number, type));
    if (data.items() == nullptr) {
      capturer.set(call.node.output(), part);
      return true;
    }
    parts.push_back(part->value);
    if (const auto* integer = number.as<Expr>()) content.push_back(*integer);
  }
  MLC_TRY(const std::vector<IValue> lanes, capturer.lane_results(call));
  std::vector<at::Tensor> tensors;
  for (const IValue& one : lanes) tensors.push_back(one.isTensor() ? one.toTensor() : at::Tensor());
  const Exprs sizes = {capturer.symbols().constant(static_cast<int64_t>(parts.size()))};
  MLC_TRY(TensorRef out,
          capturer.append_tensor({"aten", "stack", ""}, {{"tensors", ir::Attribute(parts)}},
                                 std::move(tensors), sizes, call.node));
  if (content.size() == parts.size()) capturer.set_content(out, std::move(content));
  capturer.set(call.node.output(), std::move(out));
  return true;
}

/// A number read from a tensor: the size that it is, else one that the program finds out.
Result<bool> read_number(Capturer& capturer, const Call& call) {
  const TensorItem* tensor = tensor_of(call);
  if (tensor == nullptr) return false;
  const bool integer = call.node.output()->type()->kind() == c10::TypeKind::IntType ||
                       (call.node.output()->type()->kind() == c10::TypeKind::NumberType &&
                        at::isIntegralType(tensor->value->tensor()->dtype == DType::boolean
                                               ? at::kBool
                                               : real_lane(*tensor).scalar_type(),
                                           false));
  const auto content = content_of(capturer, *tensor);
  if (content && content->size() == 1 && integer) {
    capturer.set(call.node.output(), content->front());
    return true;
  }
  if (tensor->value->kind() == ir::ValueKind::constant) {
    return property(capturer, call);
  }
  MLC_TRY(std::vector<IValue> lanes, capturer.lane_results(call));
  const auto first = std::ranges::find_if(lanes, [](const IValue& one) { return !one.isNone(); });
  const ir::ScalarKind kind = first->isInt()    ? ir::ScalarKind::integer
                              : first->isBool() ? ir::ScalarKind::boolean
                                                : ir::ScalarKind::number;
  ir::Value* source = tensor->value;
  const auto wanted = kind == ir::ScalarKind::integer   ? DType::i64
                      : kind == ir::ScalarKind::boolean ? DType::boolean
                                                        : DType::f64;
  const auto given = source->tensor()->dtype;
  const bool fits = given == wanted || (kind == ir::ScalarKind::number && given == DType::f32) ||
                    (kind == ir::ScalarKind::integer && given == DType::i32);
  if (!fits) {
    std::vector<at::Tensor> cast;
    for (size_t i = 0; i < capturer.lanes(); ++i) {
      const at::Tensor& lane = tensor->lanes[i];
      const auto type = wanted == DType::i64       ? at::kLong
                        : wanted == DType::boolean ? at::kBool
                                                   : at::kDouble;
      cast.push_back(lane.defined() ? lane.to(type) : lane);
    }
    MLC_TRY(const TensorRef made,
            capturer.append_tensor({"aten", "to", "dtype"}, {{"self", source}, {"dtype", wanted}},
                                   std::move(cast), capturer.sizes_of(*tensor), call.node));
    source = made->value;
  }
  capturer.set(call.node.output(), capturer.append_number({"aten", "item", ""}, {{"self", source}},
                                                          kind, std::move(lanes), call.node));
  return true;
}

constexpr EvaluatorRow kRows[] = {
    {"aten::Bool", "Tensor", read_number},
    {"aten::Float", "Tensor", read_number},
    {"aten::FloatImplicit", "*", read_number},
    {"aten::Int", "Tensor", read_number},
    {"aten::IntImplicit", "*", read_number},
    {"aten::ScalarImplicit", "*", read_number},
    {"aten::as_tensor", "*", make_tensor},
    {"aten::dim", "*", property},
    {"aten::get_device", "*", property},
    {"aten::is_complex", "*", property},
    {"aten::is_contiguous", "*", property},
    {"aten::is_floating_point", "*", property},
    {"aten::is_nonzero", "*", read_number},
    {"aten::is_signed", "*", property},
    {"aten::item", "*", read_number},
    {"aten::len", "Tensor", first_size},
    {"aten::numel", "*", element_count},
    {"aten::size", "int", one_size},
    {"aten::size", "*", all_sizes},
    {"aten::storage_offset", "*", strides},
    {"aten::stride", "*", strides},
    {"aten::sym_size", "int", one_size},
    {"aten::tensor", "*", make_tensor},
    {"prim::NumToTensor", "*", number_to_tensor},
    {"prim::device", "*", property},
    {"prim::dtype", "*", property},
    {"prim::is_cpu", "*", property},
    {"prim::is_cuda", "*", property},
    {"prim::is_mkldnn", "*", property},
    {"prim::is_mps", "*", property},
    {"prim::is_nested", "*", property},
    {"prim::is_quantized", "*", property},
    {"prim::is_sparse", "*", property},
    {"prim::is_xla", "*", property},
    {"prim::layout", "*", property},
    {"prim::name", "*", property},
    {"prim::requires_grad", "*", property},
    {"prim::shape", "*", all_sizes},
};

using Combine = std::optional<Expr> (*)(ir::Symbols&, Expr, Expr);

Combine combination(const Call& call) {
  const std::string_view name = call.node.kind().toUnqualString();
  const auto rounding = [&]() -> std::string {
    const Item* mode = argument(call, "rounding_mode");
    const auto* text = mode == nullptr ? nullptr : mode->as<std::string>();
    return text == nullptr ? std::string() : *text;
  };
  if (name == "add")
    return [](ir::Symbols& s, Expr a, Expr b) { return std::optional(s.add(a, b)); };
  if (name == "sub") {
    return [](ir::Symbols& s, Expr a, Expr b) { return std::optional(s.subtract(a, b)); };
  }
  if (name == "rsub") {
    return [](ir::Symbols& s, Expr a, Expr b) { return std::optional(s.subtract(b, a)); };
  }
  if (name == "mul") {
    return [](ir::Symbols& s, Expr a, Expr b) { return std::optional(s.multiply(a, b)); };
  }
  if (name == "floor_divide" || (name == "div" && rounding() == "floor")) {
    return [](ir::Symbols& s, Expr a, Expr b) { return std::optional(s.floor_divide(a, b)); };
  }
  if (name == "div" && rounding() == "trunc") {
    return [](ir::Symbols& s, Expr a, Expr b) -> std::optional<Expr> {
      if (s.bounds(a).low < 0 || s.bounds(b).low <= 0) return std::nullopt;
      return s.floor_divide(a, b);
    };
  }
  if (name == "remainder") {
    return [](ir::Symbols& s, Expr a, Expr b) { return std::optional(s.remainder(a, b)); };
  }
  if (name == "minimum") {
    return [](ir::Symbols& s, Expr a, Expr b) { return std::optional(s.minimum(a, b)); };
  }
  if (name == "maximum") {
    return [](ir::Symbols& s, Expr a, Expr b) { return std::optional(s.maximum(a, b)); };
  }
  return nullptr;
}

std::optional<Exprs> operand(Capturer& capturer, const Item& item) {
  if (const TensorItem* tensor = item.tensor()) return content_of(capturer, *tensor);
  if (const auto* number = item.as<Expr>()) return Exprs{*number};
  return std::nullopt;
}

std::optional<Exprs> combined(Capturer& capturer, const Call& call) {
  const Combine combine = combination(call);
  if (combine == nullptr || call.inputs.size() < 2) return std::nullopt;
  if (const Item* alpha = argument(call, "alpha");
      alpha != nullptr && constant(capturer, alpha) != 1) {
    return std::nullopt;
  }
  const auto a = operand(capturer, call.inputs[0]);
  const auto b = operand(capturer, call.inputs[1]);
  if (!a || !b || (a->size() != b->size() && a->size() != 1 && b->size() != 1)) return std::nullopt;
  Exprs out;
  for (size_t i = 0; i < std::max(a->size(), b->size()); ++i) {
    const auto one =
        combine(capturer.symbols(), (*a)[a->size() == 1 ? 0 : i], (*b)[b->size() == 1 ? 0 : i]);
    if (!one) return std::nullopt;
    out.push_back(*one);
  }
  return out;
}

/// A part of a tensor of one dimension.
std::optional<Exprs> part(Capturer& capturer, const Call& call, const Exprs& all) {
  const auto count = static_cast<int64_t>(all.size());
  const auto at = [&](const char* name, int64_t usual) -> std::optional<int64_t> {
    const Item* item = argument(call, name);
    if (item == nullptr || item->is_none()) return usual;
    const auto value = constant(capturer, item);
    if (!value) return std::nullopt;
    return std::clamp<int64_t>(*value < 0 ? *value + count : *value, 0, count);
  };
  if (std::string_view(call.node.kind().toUnqualString()) == "select") {
    const auto index = at("index", 0);
    if (!index || *index >= count) return std::nullopt;
    return Exprs{all[static_cast<size_t>(*index)]};
  }
  const auto start = at("start", 0);
  const auto end = at("end", count);
  const auto step = constant(capturer, argument(call, "step"));
  if (!start || !end || !step || *step <= 0) return std::nullopt;
  Exprs out;
  for (int64_t i = *start; i < *end; i += *step) out.push_back(all[static_cast<size_t>(i)]);
  return out;
}

std::optional<Exprs> joined(Capturer& capturer, const Call& call) {
  const Items* parts = call.inputs[0].items();
  if (parts == nullptr) return std::nullopt;
  Exprs out;
  for (const Item& one : *parts) {
    const auto here = operand(capturer, one);
    const TensorItem* tensor = one.tensor();
    if (!here || tensor == nullptr || real_lane(*tensor).dim() > 1) return std::nullopt;
    out.insert(out.end(), here->begin(), here->end());
  }
  return out;
}

std::optional<Exprs> new_content(Capturer& capturer, const Call& call) {
  static constexpr std::array<std::string_view, 13> kSame = {
      "clone",   "contiguous", "detach",    "flatten", "lift_fresh", "lift_fresh_copy", "reshape",
      "squeeze", "to",         "unsqueeze", "view",    "alias",      "type_as"};
  const std::string_view name = call.node.kind().toUnqualString();
  if (name == "_shape_as_tensor") {
    const TensorItem* tensor = tensor_of(call);
    return tensor == nullptr ? std::nullopt : std::optional(capturer.sizes_of(*tensor));
  }
  if (name == "stack" || name == "cat" || name == "concat") return joined(capturer, call);
  if (std::ranges::find(kSame, name) != kSame.end()) return operand(capturer, call.inputs[0]);
  if (name == "select" || name == "slice") {
    const TensorItem* tensor = tensor_of(call);
    const auto all = tensor == nullptr ? std::nullopt : content_of(capturer, *tensor);
    if (!all || real_lane(*tensor).dim() != 1) return std::nullopt;
    return part(capturer, call, *all);
  }
  return combined(capturer, call);
}

}  // namespace

std::span<const EvaluatorRow> tensor_evaluators() {
  return kRows;
}

void follow_content(Capturer& capturer, const Call& call) {
  if (call.inputs.empty() || call.node.outputs().size() != 1) return;
  const auto* made = capturer.get(call.node.output()).as<TensorRef>();
  if (made == nullptr || (*made)->content) return;
  for (const at::Tensor& lane : (*made)->lanes) {
    if (!lane.defined()) continue;
    if (lane.numel() > kMostContent || !at::isIntegralType(lane.scalar_type(), false)) return;
  }
  if (auto content = new_content(capturer, call)) capturer.set_content(*made, std::move(*content));
}

}  // namespace mlc::torch_module
