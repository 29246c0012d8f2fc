// Batches of sequences of several lengths, as torch.nn.utils.rnn has them: its functions, and
// PackedSequence, a named tuple in TorchScript. Recurrent layers take one in arch::kPackedForward.
#pragma once

#include "mlc/torch/functional_table.h"

#include <memory>
#include <span>
#include <string_view>

#include <torch/csrc/jit/frontend/sugared_value.h>

namespace mlc::torch_module {

inline constexpr std::string_view kPackedSequence = "PackedSequence";

/// The functions of torch.nn.utils.rnn; they call each other, and PackedSequence, by their names
/// alone.
std::span<const Function> sequence_functions();

/// The type: data and batch_sizes, tensors, sorted_indices and unsorted_indices, which may be None.
c10::TupleTypePtr packed_sequence_type();

/// `self` of a method of a module of TYPE. Where a module below it that has the method
/// arch::kPackedForward is called with a PackedSequence, that method is what is called.
std::unique_ptr<torch::jit::Self> self_with_packed_calls(c10::ClassTypePtr type);

}  // namespace mlc::torch_module
