// What an operator gave: sizes that were observed in all lanes become expressions.
#include "mlc/torch/capture_shapes.h"
#include "mlc/torch/capturer.h"
#include "mlc/torch/source_place.h"

#include <algorithm>
#include <map>
#include <span>

namespace mlc::torch_module {
namespace {

using ir::Expr;

/// The sizes and integers among INPUTS, those of tensors first.
void collect_sizes(const Capturer& capturer, const Items& inputs, std::vector<Expr>& out) {
  const auto add = [&](Expr one) {
    if (std::ranges::find(out, one) == out.end()) out.push_back(one);
  };
  for (const Item& item : inputs) {
    if (const TensorItem* tensor = item.tensor()) {
      const auto* type = tensor->value->tensor();
      if (type == nullptr || !type->sizes) continue;
      for (auto at = type->sizes->rbegin(); at != type->sizes->rend(); ++at) add(*at);
    } else if (const Items* items = item.items()) {
      collect_sizes(capturer, *items, out);
    }
  }
  for (const Item& item : inputs) {
    if (const auto* number = item.as<Expr>()) add(*number);
  }
}

/// What dimension DIM of RANK most likely is: the item of a list of sizes, or the dimension of an
/// input, at the same place from the end.
std::vector<Expr> candidates_for(const Items& inputs, size_t dim, size_t rank,
                                 const std::vector<Expr>& others) {
  std::vector<Expr> out;
  const size_t from_end = rank - dim;
  for (const Item& item : inputs) {
    const Items* items = item.items();
    if (items == nullptr || items->size() < from_end) continue;
    if (const auto* number = (*items)[items->size() - from_end].as<Expr>()) out.push_back(*number);
  }
  for (const Item& item : inputs) {
    const TensorItem* tensor = item.tensor();
    const auto* type = tensor == nullptr ? nullptr : tensor->value->tensor();
    if (type == nullptr || !type->sizes || type->sizes->size() < from_end) continue;
    out.push_back((*type->sizes)[type->sizes->size() - from_end]);
  }
  out.insert(out.end(), others.begin(), others.end());
  return out;
}

}  // namespace

Result<Expr> Capturer::size_of(const Call& call, const ir::LaneNumbers& observed,
                               std::optional<Expr> expected, std::span<const Expr> candidates,
                               std::map<ir::LaneNumbers, Expr>& own) {
  std::optional<Expr> found;
  if (expected && sizes_.explains(*expected, observed)) found = expected;
  if (!found) found = sizes_.find(observed, candidates);
  if (!found) {
    if (lanes() == 1 && !trial_) {
      return give_up(CaptureStop::more_lanes, internal_error("a size hangs on values"));
    }
    const auto known = own.find(observed);
    found = known != own.end() ? known->second : fresh_size(observed);
    own.emplace(observed, *found);
  }
  if (attempt_.is_last || trial_ || symbols().constant_value(*found)) return *found;
  const bool tiny = std::ranges::all_of(
      observed, [](int64_t one) { return one == ir::kNoNumber || one == 0 || one == 1; });
  const bool told = std::ranges::any_of(
      sizes_.at(*found), [&](int64_t one) { return one != ir::kNoNumber && one != observed[0]; });
  if (tiny && !told) {
    return give_up(CaptureStop::too_small, usage_error("a size is too small to tell what it is: " +
                                                       source_place(call.node)));
  }
  return *found;
}

Result<ir::TensorType> Capturer::type_of(const Call& call, const std::vector<at::Tensor>& lanes,
                                         size_t output) {
  const auto first =
      std::ranges::find_if(lanes, [](const at::Tensor& one) { return one.defined(); });
  if (first == lanes.end()) return ir::TensorType{};
  ir::TensorType out;
  MLC_TRY(out.dtype, graph_dtype(*first));
  const auto rank = static_cast<size_t>(first->dim());
  const auto differs = [&](const at::Tensor& one) {
    return one.defined() &&
           (one.scalar_type() != first->scalar_type() || static_cast<size_t>(one.dim()) != rank);
  };
  if (std::ranges::any_of(lanes, differs)) {
    return give_up(CaptureStop::too_small,
                   unsupported("the number of dimensions, or the type, hangs on a size: " +
                               source_place(call.node)));
  }
  const ExpectedSizes expected = expected_sizes(*this, call, output);
  std::vector<Expr> others;
  collect_sizes(*this, call.inputs, others);
  std::map<ir::LaneNumbers, Expr> own;
  out.sizes.emplace();
  for (size_t dim = 0; dim < rank; ++dim) {
    ir::LaneNumbers observed;
    for (const at::Tensor& one : lanes) {
      observed.push_back(one.defined() ? one.size(static_cast<int64_t>(dim)) : ir::kNoNumber);
    }
    if (hangs_on_values(*this, call, dim)) {
      if (this->lanes() == 1) {
        return give_up(CaptureStop::more_lanes, internal_error("a size hangs on values"));
      }
      out.sizes->push_back(fresh_size(observed));
      continue;
    }
    MLC_TRY(const Expr size,
            size_of(call, observed, expected.size() == rank ? expected[dim] : std::nullopt,
                    candidates_for(call.inputs, dim, rank, others), own));
    sizes_.remember(size);
    out.sizes->push_back(size);
  }
  return out;
}

}  // namespace mlc::torch_module
