// Semantics are those of torch.nn.utils.rnn 2.13. Lengths may lie on the device of the input, where
// PyTorch wants them on the CPU: all inputs of a run go to its device.
#include "mlc/torch/packed_sequences.h"

#include "mlc/frontend/packed_forward.h"

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace mlc::torch_module {
namespace {

constexpr std::string_view kPadded = "Tuple[Tensor, Tensor]";

constexpr auto kFunctions = std::to_array<Function>({
    {"_pack_padded", "input: Tensor, lengths: Tensor, batch_first: bool, enforce_sorted: bool",
     R"(sizes = lengths.to(device="cpu", dtype=torch.int64)
if enforce_sorted:
    data, batch_sizes = torch._pack_padded_sequence(input, sizes, batch_first)
    return PackedSequence(data, batch_sizes)
sizes, order = torch.sort(sizes, descending=True)
order = order.to(input.device)
places = torch.arange(order.numel(), device=order.device)
back = torch.zeros_like(order).scatter(0, order, places)
sorted_input = input.index_select(0 if batch_first else 1, order)
data, batch_sizes = torch._pack_padded_sequence(sorted_input, sizes, batch_first)
return PackedSequence(data, batch_sizes, order, back))",
     kPackedSequence},
    {"pack_padded_sequence",
     "input: Tensor, lengths: Tensor, batch_first: bool = False, enforce_sorted: bool = True",
     "_pack_padded(input, lengths, batch_first, enforce_sorted)", kPackedSequence},
    {"pack_padded_sequence",
     "input: Tensor, lengths: List[int], batch_first: bool = False, enforce_sorted: bool = True",
     "_pack_padded(input, torch.tensor(lengths, dtype=torch.int64), batch_first, enforce_sorted)",
     kPackedSequence},
    {"pad_packed_sequence",
     "sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, "
     "total_length: Optional[int] = None",
     R"(length = sequence.batch_sizes.size(0)
if total_length is not None:
    if total_length < length:
        raise ValueError("total_length {} is less than the longest sequence, {}".format(total_length, length))
    length = total_length
padded, lengths = torch._pad_packed_sequence(sequence.data, sequence.batch_sizes, batch_first, padding_value, length)
back = sequence.unsorted_indices
if back is not None:
    padded = padded.index_select(0 if batch_first else 1, back)
    lengths = lengths[back.cpu()]
return padded, lengths)",
     kPadded},
    {"pad_sequence",
     "sequences: List[Tensor], batch_first: bool = False, padding_value: float = 0.0, "
     "padding_side: str = 'right'",
     "torch._C._nn.pad_sequence(sequences, batch_first, padding_value, padding_side)"},
    {"pad_sequence",
     "sequences: Tensor, batch_first: bool = False, padding_value: float = 0.0, "
     "padding_side: str = 'right'",
     "torch._C._nn.pad_sequence(sequences.unbind(0), batch_first, padding_value, padding_side)"},
    {"unpad_sequence", "padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False",
     R"(rows = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
out: List[Tensor] = []
for i in range(rows.size(0)):
    out.append(rows[i, :int(lengths[i])])
return out)",
     "List[Tensor]"},
    {"pack_sequence", "sequences: List[Tensor], enforce_sorted: bool = True",
     R"(lengths = [one.size(0) for one in sequences]
return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted))",
     kPackedSequence},
    {"unpack_sequence", "packed_sequences: PackedSequence",
     R"(padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
return unpad_sequence(padded, lengths, batch_first=True))",
     "List[Tensor]"},
});

bool is_packed(const torch::jit::NamedValue& value, torch::jit::GraphFunction& method) {
  const auto type = value.value(*method.graph())->type()->cast<c10::TupleType>();
  return type && type->name() && type->name()->name() == kPackedSequence;
}

bool takes_packed(const c10::TypePtr& type) {
  const auto module = type->cast<c10::ClassType>();
  return module && module->findMethod(std::string(arch::kPackedForward)) != nullptr;
}

/// Which modules take packed sequences or have some below them that do. Types are asked once each:
/// a list of many modules is asked for each of them.
class Recurrences {
 public:
  bool in(const c10::TypePtr& type) {
    const auto module = type->cast<c10::ClassType>();
    if (!module) return false;
    const auto known = known_.find(type.get());
    if (known != known_.end()) return known->second;
    bool found = takes_packed(type);
    for (size_t i = 0; i < module->numAttributes() && !found; ++i) {
      found = in(module->getAttribute(i));
    }
    known_.emplace(type.get(), found);
    return found;
  }

 private:
  std::unordered_map<const c10::Type*, bool> known_;
};

/// A module within a method. No SimpleValue, which becomes a plain one in every variable.
class Part : public torch::jit::SugaredValue {
  using Place = const torch::jit::SourceRange&;
  using Method = torch::jit::GraphFunction&;

 public:
  Part(torch::jit::Value* value, std::shared_ptr<Recurrences> recurrences)
      : value_(value), plain_(value), recurrences_(std::move(recurrences)) {}

  std::string kind() const override { return plain_.kind(); }
  torch::jit::Value* asValue(Place /*place*/, Method /*method*/) override { return value_; }

  torch::jit::SugaredValuePtr attr(Place place, Method method, const std::string& name) override {
    if (name == "forward" && takes_packed(value_->type())) {
      return std::make_shared<torch::jit::MethodValue>(
          value_, std::vector<std::string>{name, std::string(arch::kPackedForward)});
    }
    auto found = plain_.attr(place, method, name);
    const auto simple = std::dynamic_pointer_cast<torch::jit::SimpleValue>(found);
    if (!simple || !recurrences_->in(simple->getValue()->type())) return found;
    return std::make_shared<Part>(simple->getValue(), recurrences_);
  }
  bool hasAttr(Place place, Method method, const std::string& name) override {
    return plain_.hasAttr(place, method, name);
  }
  void setAttr(Place place, Method method, const std::string& name,
               torch::jit::Value* value) override {
    plain_.setAttr(place, method, name, value);
  }

  torch::jit::SugaredValuePtr call(Place place, Method method,
                                   at::ArrayRef<torch::jit::NamedValue> args,
                                   at::ArrayRef<torch::jit::NamedValue> kwargs,
                                   size_t binders) override {
    const auto packed = [&](const torch::jit::NamedValue& one) { return is_packed(one, method); };
    if (takes_packed(value_->type()) &&
        (std::ranges::any_of(args, packed) || std::ranges::any_of(kwargs, packed))) {
      return torch::jit::MethodValue(value_, std::string(arch::kPackedForward))
          .call(place, method, args, kwargs, binders);
    }
    return plain_.call(place, method, args, kwargs, binders);
  }

  torch::jit::SugaredValuePtr iter(Place place, Method method) override {
    return plain_.iter(place, method);
  }
  torch::jit::Value* len(Place place, Method method) override { return plain_.len(place, method); }
  torch::jit::SugaredValuePtr getitem(Place place, Method method, torch::jit::Value* index,
                                      c10::TypePtr hint) override {
    return plain_.getitem(place, method, index, std::move(hint));
  }

 private:
  torch::jit::Value* value_;
  torch::jit::SimpleValue plain_;
  std::shared_ptr<Recurrences> recurrences_;
};

class PartSelf : public torch::jit::Self {
 public:
  explicit PartSelf(c10::ClassTypePtr type) : type_(std::move(type)) {}

  torch::jit::SugaredValuePtr makeSugared(torch::jit::Value* value) const override {
    value->setType(type_);
    return std::make_shared<Part>(value, std::make_shared<Recurrences>());
  }
  c10::ClassTypePtr getClassType() const override { return type_; }

 private:
  c10::ClassTypePtr type_;
};

}  // namespace

std::span<const Function> sequence_functions() {
  return kFunctions;
}

c10::TupleTypePtr packed_sequence_type() {
  static const c10::TupleTypePtr type = [] {
    const auto maybe = c10::OptionalType::ofTensor();
    const std::vector<c10::TypePtr> types = {c10::TensorType::get(), c10::TensorType::get(), maybe,
                                             maybe};
    std::vector<c10::IValue> defaults(2);
    const c10::QualifiedName name("__torch__.mlc." + std::string(kPackedSequence));
    return c10::TupleType::createNamed(
        name, std::vector<std::string>{"data", "batch_sizes", "sorted_indices", "unsorted_indices"},
        types, defaults);
  }();
  return type;
}

std::unique_ptr<torch::jit::Self> self_with_packed_calls(c10::ClassTypePtr type) {
  return std::make_unique<PartSelf>(std::move(type));
}

}  // namespace mlc::torch_module
