#include "mlc/onnx_prune/atoms.h"

#include <algorithm>

namespace mlc::onnx {

Atom Atoms::add() {
  parent_.push_back(static_cast<Atom>(parent_.size()));
  reason_.push_back(0);
  return parent_.back();
}

Atom Atoms::find(Atom a) {
  while (parent_[a] != a) {
    parent_[a] = parent_[parent_[a]];
    a = parent_[a];
  }
  return a;
}

void Atoms::unite(Atom a, Atom b, const std::string& why) {
  a = find(a);
  b = find(b);
  if (a == b) return;
  if (a == kStays || b == kStays) return freeze(std::max(a, b), why);
  // The older one stands for both: the order of the graph, not of the calls, gives groups names.
  if (b < a) std::swap(a, b);
  parent_[b] = a;
  if (reason_[a] == 0) reason_[a] = reason_[b];
}

void Atoms::freeze(Atom a, const std::string& why) {
  a = find(a);
  if (a == kStays || reason_[a] != 0) return;
  if (reasons_.empty() || reasons_.back() != why) reasons_.push_back(why);
  reason_[a] = static_cast<uint32_t>(reasons_.size());
}

const std::string* Atoms::frozen(Atom a) {
  static const std::string kNone = "it stays";
  a = find(a);
  if (a == kStays) return &kNone;
  return reason_[a] == 0 ? nullptr : &reasons_[reason_[a] - 1];
}

}  // namespace mlc::onnx
