// What the text of a TorchScript archive (its code/**.py records) asks of the library that runs it.
#pragma once

#include <set>
#include <string>
#include <string_view>

namespace mlc {

/// "torchvision::nms" for every `ops.torchvision.nms(` in CODE, added to NAMES.
void collect_operators(std::string_view code, std::set<std::string>& names);
/// "__torch__.torch.classes.my.Tokenizer" for every class of C++ that CODE names.
void collect_custom_classes(std::string_view code, std::set<std::string>& names);

/// Whether CODE calls torch.lstm and makes a state of constant sizes, as a trace of nn.LSTM in C++
/// does. With such a state and a larger batch the LSTM of oneDNN (LibTorch 2.13) writes beyond its
/// memory; the other one refuses it.
bool has_lstm_of_fixed_batch(std::string_view code);

}  // namespace mlc
