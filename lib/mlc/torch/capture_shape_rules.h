// What rules for sizes read of a call, and the families of rules that lie in files of their own.
#pragma once

#include "mlc/torch/capture_shapes.h"
#include "mlc/torch/capturer.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace mlc::torch_module {

using ir::Expr;
using Exprs = std::vector<Expr>;

/// Arguments of a call, read as sizes. Nothing where they are something else.
class Shapes {
 public:
  Shapes(Capturer& capturer, const Call& call, size_t output)
      : capturer_(capturer), call_(call), output_(output) {}

  ir::Symbols& symbols() { return capturer_.symbols(); }
  size_t output() const { return output_; }
  size_t outputs() const { return call_.node.outputs().size(); }
  const Item* item(std::string_view name) const { return argument(call_, name); }
  Expr number(int64_t value) { return symbols().constant(value); }

  std::optional<Exprs> tensor(std::string_view name) {
    const Item* one = item(name);
    if (one == nullptr || one->tensor() == nullptr) return std::nullopt;
    if (one->tensor()->value->tensor() == nullptr || !one->tensor()->value->tensor()->sizes) {
      return std::nullopt;
    }
    return capturer_.sizes_of(*one->tensor());
  }
  std::optional<Expr> integer(std::string_view name) const {
    const Item* one = item(name);
    const auto* value = one == nullptr ? nullptr : one->as<Expr>();
    return value == nullptr ? std::nullopt : std::optional(*value);
  }
  std::optional<int64_t> constant(std::string_view name) {
    const auto value = integer(name);
    return value ? symbols().constant_value(*value) : std::nullopt;
  }
  bool truth(std::string_view name) const {
    const Item* one = item(name);
    const auto* value = one == nullptr ? nullptr : one->as<bool>();
    return value != nullptr && *value;
  }
  std::optional<Exprs> list(std::string_view name) const {
    const Item* one = item(name);
    const Items* items = one == nullptr ? nullptr : one->items();
    if (items == nullptr) return std::nullopt;
    Exprs out;
    for (const Item& each : *items) {
      const auto* value = each.as<Expr>();
      if (value == nullptr) return std::nullopt;
      out.push_back(*value);
    }
    return out;
  }
  /// LIST for COUNT dimensions: one number stands for all, none for FALLBACK.
  std::optional<Exprs> spread(std::string_view name, size_t count, const Exprs& fallback) const {
    auto given = list(name);
    if (!given) {
      const auto one = integer(name);
      if (!one) return std::nullopt;
      given = Exprs{*one};
    }
    if (given->empty()) return fallback;
    if (given->size() == 1) return Exprs(count, given->front());
    return given->size() == count ? given : std::nullopt;
  }
  /// The dimension NAME of RANK ones, counted from the front.
  std::optional<size_t> dimension(std::string_view name, size_t rank) {
    auto value = constant(name);
    if (!value) return std::nullopt;
    if (*value < 0) *value += static_cast<int64_t>(rank);
    if (*value < 0 || *value >= static_cast<int64_t>(rank)) return std::nullopt;
    return static_cast<size_t>(*value);
  }
  Expr product(const Exprs& all) {
    Expr out = number(1);
    for (const Expr one : all) out = symbols().multiply(out, one);
    return out;
  }

 private:
  Capturer& capturer_;
  const Call& call_;
  size_t output_;
};

inline ExpectedSizes known(const Exprs& sizes) {
  return {sizes.begin(), sizes.end()};
}

/// Of windows that slide: convolutions, pools, unfold(), im2col, stft() and back.
ExpectedSizes convolution(Shapes& of);
ExpectedSizes transposed_convolution(Shapes& of);
/// COUNT: 1, 2 or 3 dimensions.
template <size_t Count>
ExpectedSizes pooled(Shapes& of);
ExpectedSizes unfolded(Shapes& of);
ExpectedSizes columns(Shapes& of);
ExpectedSizes short_spectra(Shapes& of);
ExpectedSizes signal_of_spectra(Shapes& of);

}  // namespace mlc::torch_module
