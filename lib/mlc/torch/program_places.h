// Places in the methods and functions of a TorchScript program where a number is given to
// something.
#pragma once

#include "mlc/engine/program_sites.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <tuple>
#include <vector>

#include <ATen/core/ivalue.h>
#include <torch/csrc/jit/ir/ir.h>

namespace mlc::torch_module {

/// What NODE has for INPUT, or for ELEMENT of the list that is its input.
struct NumberUse {
  torch::jit::Node* node = nullptr;
  size_t input = 0;
  std::optional<size_t> element;
  size_t list_size = 0;  // of that list
  /// Whose method runs: its methods are also those of other modules of its class. Null within
  /// functions.
  const c10::ivalue::Object* module = nullptr;
};

/// The calls of a program that are given numbers, and each use of a number once, in the order in
/// which they became known, which is the same in every process.
class ProgramPlaces {
 public:
  std::vector<ProgramSite> sites;  // of the last capture that came to its end

  struct Place {
    NumberUse use;
    int64_t value = 0;
  };
  /// VALUE: the number that it has.
  size_t add(const NumberUse& use, int64_t value);
  const std::vector<Place>& all() const { return all_; }

 private:
  std::vector<Place> all_;
  std::map<std::tuple<const torch::jit::Node*, size_t, size_t, const void*>, size_t> known_;
};

}  // namespace mlc::torch_module
