#include "mlc/torch/capture_item.h"

#include <algorithm>

#include <ATen/core/Dict.h>
#include <ATen/core/List.h>

namespace mlc::torch_module {
namespace {

using c10::IValue;

/// Whether HOLDS is true for ITEM or something in it.
template <class Holds>
bool anywhere(const Item& item, Holds holds) {
  if (holds(item)) return true;
  if (const Items* items = item.items()) {
    return std::ranges::any_of(*items, [&](const Item& one) { return anywhere(one, holds); });
  }
  if (const auto* dict = item.as<DictRef>()) {
    return std::ranges::any_of((*dict)->entries, [&](const auto& one) {
      return anywhere(one.first, holds) || anywhere(one.second, holds);
    });
  }
  return false;
}

IValue lane_list(const ListItem& list, size_t lane, ir::KnownSizes& sizes) {
  c10::impl::GenericList out(list.type->expectRef<c10::ListType>().getElementType());
  for (const Item& one : list.items) out.push_back(lane_value(one, lane, sizes));
  if (list.rows != nullptr && list.rows->lanes[lane].defined()) {
    for (const at::Tensor& one : list.rows->lanes[lane].unbind()) out.push_back(one);
  }
  return out;
}

IValue lane_tuple(const TupleItem& tuple, size_t lane, ir::KnownSizes& sizes) {
  std::vector<IValue> out;
  for (const Item& one : tuple.items) out.push_back(lane_value(one, lane, sizes));
  const auto type = tuple.type->cast<c10::TupleType>();
  if (type && type->schema()) return c10::ivalue::Tuple::createNamed(std::move(out), type);
  return c10::ivalue::Tuple::create(std::move(out));
}

IValue lane_dict(const DictItem& dict, size_t lane, ir::KnownSizes& sizes) {
  const auto& type = dict.type->expectRef<c10::DictType>();
  c10::impl::GenericDict out(type.getKeyType(), type.getValueType());
  for (const auto& [key, value] : dict.entries) {
    out.insert_or_assign(lane_value(key, lane, sizes), lane_value(value, lane, sizes));
  }
  return out;
}

struct LaneValue {
  size_t lane;
  ir::KnownSizes& sizes;

  IValue operator()(std::monostate) const { return IValue(); }
  IValue operator()(const TensorRef& one) const { return one->lanes[lane]; }
  IValue operator()(ir::Expr one) const { return sizes.at(one)[lane]; }
  IValue operator()(bool one) const { return one; }
  IValue operator()(double one) const { return one; }
  IValue operator()(const std::string& one) const { return one; }
  IValue operator()(const DynamicRef& one) const { return one->lanes[lane]; }
  IValue operator()(const ListRef& one) const { return lane_list(*one, lane, sizes); }
  IValue operator()(const TupleRef& one) const { return lane_tuple(*one, lane, sizes); }
  IValue operator()(const DictRef& one) const { return lane_dict(*one, lane, sizes); }
  IValue operator()(const ObjectRef& one) const { return one->object; }
  IValue operator()(const IValue& one) const { return one; }
  IValue operator()(Missing) const { return IValue(); }
};

Item lift_dict(const IValue& value, const c10::TypePtr& type, ir::Symbols& symbols) {
  const auto& dict_type = type->expectRef<c10::DictType>();
  auto out = std::make_shared<DictItem>();
  out->type = type;
  for (const auto& entry : value.toGenericDict()) {
    out->entries.emplace_back(lift(entry.key(), dict_type.getKeyType(), symbols),
                              lift(entry.value(), dict_type.getValueType(), symbols));
  }
  return out;
}

bool same_items(const Items& a, const Items& b) {
  return std::ranges::equal(a, b, [](const Item& x, const Item& y) { return same(x, y); });
}

}  // namespace

bool has_missing(const Item& item) {
  return anywhere(item, [](const Item& one) { return one.is_missing(); });
}

bool has_tensor(const Item& item) {
  return anywhere(item, [](const Item& one) { return one.tensor() != nullptr; });
}

bool varies(const Item& item, const ir::Symbols& symbols) {
  return anywhere(item, [&](const Item& one) {
    const auto* number = one.as<ir::Expr>();
    return one.tensor() != nullptr || one.as<DynamicRef>() != nullptr ||
           (number != nullptr && !symbols.constant_value(*number));
  });
}

IValue lane_value(const Item& item, size_t lane, ir::KnownSizes& sizes) {
  return std::visit(LaneValue{lane, sizes}, item.data);
}

Item lift(const IValue& value, const c10::TypePtr& type, ir::Symbols& symbols) {
  if (value.isNone()) return {};
  if (value.isInt()) return symbols.constant(value.toInt());
  if (value.isBool()) return value.toBool();
  if (value.isDouble()) return value.toDouble();
  if (value.isString()) return value.toStringRef();
  if (value.isList()) {
    auto out = std::make_shared<ListItem>();
    const c10::TypePtr element = value.toList().elementType();
    out->type = c10::ListType::create(element);
    for (const IValue& one : value.toListRef()) out->items.push_back(lift(one, element, symbols));
    return out;
  }
  if (value.isTuple()) {
    auto out = std::make_shared<TupleItem>();
    out->type = type->kind() == c10::TypeKind::TupleType ? type : value.type();
    const auto& elements = value.toTupleRef().elements();
    for (const IValue& one : elements) out->items.push_back(lift(one, one.type(), symbols));
    return out;
  }
  if (value.isGenericDict()) return lift_dict(value, value.type(), symbols);
  if (value.isTensor() || value.isObject()) return Missing{};
  return value;
}

bool same(const Item& a, const Item& b) {
  if (a.data.index() != b.data.index()) return false;
  if (const auto* list = a.as<ListRef>()) {
    const ListItem& other = **b.as<ListRef>();
    return (*list)->rows == other.rows && !(*list)->grows && !other.grows &&
           same_items((*list)->items, other.items);
  }
  if (const auto* tuple = a.as<TupleRef>()) {
    return same_items((*tuple)->items, (*b.as<TupleRef>())->items);
  }
  if (const auto* one = a.as<TensorRef>()) return (*one)->value == (*b.as<TensorRef>())->value;
  if (const auto* one = a.as<DynamicRef>()) return (*one)->value == (*b.as<DynamicRef>())->value;
  if (const auto* one = a.as<ir::Expr>()) return *one == *b.as<ir::Expr>();
  if (const auto* one = a.as<bool>()) return *one == *b.as<bool>();
  if (const auto* one = a.as<double>()) return *one == *b.as<double>();
  if (const auto* one = a.as<std::string>()) return *one == *b.as<std::string>();
  if (const auto* one = a.as<DictRef>()) return *one == *b.as<DictRef>();
  if (const auto* one = a.as<ObjectRef>()) return *one == *b.as<ObjectRef>();
  if (const auto* one = a.as<IValue>()) return *one == *b.as<IValue>();
  return true;
}

}  // namespace mlc::torch_module
