// Channels that can only go together: a union-find over atoms, the least that can be taken away.
//
// An axis of a tensor is a list of atoms, one for each index: a residual sum makes those of both
// branches one, a convolution makes new ones, a flattened image repeats one for each pixel.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace mlc::onnx {

using Atom = uint32_t;
/// What an axis consists of; empty: nothing of it can go.
using Labels = std::vector<Atom>;

class Atoms {
 public:
  /// Stands for an index that stays, in an axis of which others can go.
  static constexpr Atom kStays = 0;

  Atoms() { add(); }

  Atom add();
  size_t size() const { return parent_.size(); }
  /// The atom that stands for all that A was united with. Not const: it shortens paths.
  Atom find(Atom a);
  /// Both go together from now on. With kStays the other stays, for the reason WHY.
  void unite(Atom a, Atom b, const std::string& why);
  /// It stays; the first reason that is given counts.
  void freeze(Atom a, const std::string& why);
  /// Why it stays; null where it can go.
  const std::string* frozen(Atom a);

 private:
  std::vector<Atom> parent_;
  std::vector<uint32_t> reason_;  // by root: index into reasons_ + 1; 0: it can go
  std::vector<std::string> reasons_;
};

}  // namespace mlc::onnx
