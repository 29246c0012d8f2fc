// What the text of a TorchScript archive (its code/**.py records) asks of the library that runs it.
#pragma once

#include <cstddef>
#include <set>
#include <string>
#include <string_view>

namespace mlc {

/// "torchvision::nms" for every `ops.torchvision.nms(` in CODE, added to NAMES.
void collect_operators(std::string_view code, std::set<std::string>& names);
/// "__torch__.torch.classes.my.Tokenizer" for every class of C++ that CODE names.
void collect_custom_classes(std::string_view code, std::set<std::string>& names);

/// Whether CODE calls an LSTM, a GRU or an RNN. The ones of oneDNN (LibTorch 2.13) do not compare
/// the sizes of states and weights with those of the input, and write beyond their memory where
/// these do not fit, however the state came to be; the others refuse it.
bool has_recurrence(std::string_view code);

struct CodeDepth {
  size_t depth = 0;
  size_t line = 1;  // where it is that deep first, from 1
};

/// A bound of how deep LibTorch's compiler calls itself for CODE: brackets in brackets, operators
/// in a row (`a + b + c`), blocks in blocks, `elif` in a row and empty lines. Nothing in it ends at
/// a stack that is used up (the smallest number that did: 2,000 to 4,000 with 8 MiB), and what
/// PyTorch writes has short expressions: mlc refuses more than kMaxCodeDepth.
CodeDepth depth_of_code(std::string_view code);
constexpr size_t kMaxCodeDepth = 1000;

}  // namespace mlc
