// What a value of a TorchScript program is while it is captured: a tensor that the graph has, or
// something that is known before the program runs.
#pragma once

#include "mlc/ir/graph.h"
#include "mlc/ir/known_sizes.h"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>
#include <ATen/core/jit_type.h>

namespace mlc::torch_module {

struct Item;
using Items = std::vector<Item>;

struct TensorItem {
  ir::Value* value = nullptr;
  std::vector<at::Tensor> lanes;  // undefined in those that did not come here
  /// The elements of a small tensor of integers, row by row, where they are sizes.
  std::optional<std::vector<ir::Expr>> content;
};

/// TOP / BOTTOM as real numbers.
struct Ratio {
  ir::Expr top;
  ir::Expr bottom;
};

/// A bool or a float that is known only when the program runs.
struct DynamicItem {
  ir::Value* value = nullptr;
  std::vector<c10::IValue> lanes;  // None in those that did not come here
  std::optional<Ratio> ratio;      // of floats that are computed from sizes
};

/// DEPTH: how many blocks of the graph are around the place where it was made. Only there, its
/// content is what it is in every run.
struct ListItem {
  c10::TypePtr type;
  Items items;
  size_t depth = 0;
  /// What a loop that stays a loop has appended behind ITEMS, along the first dimension; else null.
  std::shared_ptr<TensorItem> rows = nullptr;
  /// Such a loop is being worked out: nobody may read the list meanwhile.
  bool grows = false;
};

struct TupleItem {
  c10::TypePtr type;
  Items items;
};

struct DictItem {
  c10::TypePtr type;
  std::vector<std::pair<Item, Item>> entries;
  size_t depth = 0;
};

struct ObjectItem {
  c10::IValue object;
  std::string path;  // of modules: "encoder.layer.0"
  std::map<std::string, Item> attributes;
  size_t depth = 0;
};

/// Of what was refused, or never got a value: whoever reads it has nothing either.
struct Missing {};

using TensorRef = std::shared_ptr<TensorItem>;
using DynamicRef = std::shared_ptr<DynamicItem>;
using ListRef = std::shared_ptr<ListItem>;
using TupleRef = std::shared_ptr<TupleItem>;
using DictRef = std::shared_ptr<DictItem>;
using ObjectRef = std::shared_ptr<ObjectItem>;

/// None, an integer, a bool, a float, a string, ..., or an IValue that none of these is.
struct Item {
  std::variant<std::monostate, TensorRef, ir::Expr, bool, double, std::string, DynamicRef, ListRef,
               TupleRef, DictRef, ObjectRef, c10::IValue, Missing>
      data;

  Item() = default;
  template <class T>
  Item(T value) : data(std::move(value)) {}  // NOLINT: implicit

  template <class T>
  const T* as() const {
    return std::get_if<T>(&data);
  }
  bool is_none() const { return std::holds_alternative<std::monostate>(data); }
  bool is_missing() const { return std::holds_alternative<Missing>(data); }
  const TensorItem* tensor() const {
    const auto* one = as<TensorRef>();
    return one == nullptr ? nullptr : one->get();
  }
  /// The items of a list or tuple.
  const Items* items() const {
    if (const auto* list = as<ListRef>()) return &(*list)->items;
    if (const auto* tuple = as<TupleRef>()) return &(*tuple)->items;
    return nullptr;
  }
};

/// Whether ITEM or something in it is missing.
bool has_missing(const Item& item);
/// Whether ITEM or something in it is a tensor.
bool has_tensor(const Item& item);
/// Whether ITEM or something in it may be another at other sizes, or for other inputs.
bool varies(const Item& item, const ir::Symbols& symbols);

/// ITEM in a lane. Requires: not has_missing().
c10::IValue lane_value(const Item& item, size_t lane, ir::KnownSizes& sizes);
/// What VALUE is, which holds no tensor. Objects are none either: missing.
Item lift(const c10::IValue& value, const c10::TypePtr& type, ir::Symbols& symbols);

/// Whether both are the same whatever runs, containers by their content.
bool same(const Item& a, const Item& b);

}  // namespace mlc::torch_module
