// Lists, dictionaries, texts, None: known before the program runs, whatever is in them.
#include "mlc/torch/evaluators.h"

#include <algorithm>

namespace mlc::torch_module {
namespace {

using ir::Expr;

std::optional<int64_t> constant(Capturer& capturer, const Item& item) {
  const auto* number = item.as<Expr>();
  return number == nullptr ? std::nullopt : capturer.symbols().constant_value(*number);
}

/// The list that is the first input, or null.
ListItem* list_of(const Call& call, size_t input = 0) {
  const auto* list = call.inputs.size() > input ? call.inputs[input].as<ListRef>() : nullptr;
  return list == nullptr ? nullptr : list->get();
}

DictItem* dict_of(const Call& call) {
  const auto* dict = call.inputs.empty() ? nullptr : call.inputs[0].as<DictRef>();
  return dict == nullptr ? nullptr : dict->get();
}

/// INDEX within a list of SIZE, from the end where it is negative.
std::optional<size_t> place(std::optional<int64_t> index, size_t size) {
  if (!index) return std::nullopt;
  const int64_t count = static_cast<int64_t>(size);
  const int64_t at = *index < 0 ? *index + count : *index;
  if (at < 0 || at >= count) return std::nullopt;
  return static_cast<size_t>(at);
}

void give(Capturer& capturer, const Call& call, Item item) {
  if (!call.node.outputs().empty()) capturer.set(call.node.output(), std::move(item));
}

ListRef new_list(Capturer& capturer, const c10::TypePtr& type, Items items) {
  return std::make_shared<ListItem>(ListItem{type, std::move(items), capturer.depth()});
}

Result<bool> length(Capturer& capturer, const Call& call) {
  int64_t count = 0;
  if (const Items* items = call.inputs[0].items()) {
    count = static_cast<int64_t>(items->size());
  } else if (const DictItem* dict = dict_of(call)) {
    count = static_cast<int64_t>(dict->entries.size());
  } else {
    return false;
  }
  give(capturer, call, capturer.symbols().constant(count));
  return true;
}

Result<bool> get_item(Capturer& capturer, const Call& call) {
  if (const DictItem* dict = dict_of(call)) {
    for (const auto& [key, value] : dict->entries) {
      if (!same(key, call.inputs[1])) continue;
      give(capturer, call, value);
      return true;
    }
    MLC_CHECK(capturer.refuse(call.node, "a key that the dictionary does not have"));
    return true;
  }
  const Items* items = call.inputs[0].items();
  if (items == nullptr) return false;
  const auto at = place(constant(capturer, call.inputs[1]), items->size());
  if (!at) {
    MLC_CHECK(capturer.refuse(call.node,
                              "a list read at a place that it does not have or that "
                              "hangs on values"));
    return true;
  }
  give(capturer, call, (*items)[*at]);
  return true;
}

Result<bool> set_item(Capturer& capturer, const Call& call) {
  if (DictItem* dict = dict_of(call)) {
    if (!capturer.may_change(call.inputs[0], call.node)) return true;
    const auto known = std::ranges::find_if(
        dict->entries, [&](const auto& entry) { return same(entry.first, call.inputs[1]); });
    if (known != dict->entries.end()) {
      known->second = call.inputs[2];
    } else {
      dict->entries.emplace_back(call.inputs[1], call.inputs[2]);
    }
    return true;
  }
  ListItem* list = list_of(call);
  if (list == nullptr) return false;
  if (!capturer.may_change(call.inputs[0], call.node)) return true;
  const auto at = place(constant(capturer, call.inputs[1]), list->items.size());
  if (!at) {
    MLC_CHECK(capturer.refuse(call.node, "a list written at a place that is not known"));
    return true;
  }
  list->items[*at] = call.inputs[2];
  give(capturer, call, call.inputs[0]);
  return true;
}

Result<bool> append(Capturer& capturer, const Call& call) {
  ListItem* list = list_of(call);
  if (list == nullptr) return false;
  if (!capturer.may_change(call.inputs[0], call.node)) return true;
  list->items.push_back(call.inputs[1]);
  give(capturer, call, call.inputs[0]);
  return true;
}

Result<bool> extend(Capturer& capturer, const Call& call) {
  ListItem* list = list_of(call);
  const Items* more = call.inputs[1].items();
  if (list == nullptr || more == nullptr) return false;
  if (!capturer.may_change(call.inputs[0], call.node)) return true;
  const Items copy = *more;
  list->items.insert(list->items.end(), copy.begin(), copy.end());
  give(capturer, call, call.inputs[0]);
  return true;
}

Result<bool> insert(Capturer& capturer, const Call& call) {
  ListItem* list = list_of(call);
  const auto index = constant(capturer, call.inputs[1]);
  if (list == nullptr || !index) return false;
  if (!capturer.may_change(call.inputs[0], call.node)) return true;
  const auto count = static_cast<int64_t>(list->items.size());
  const int64_t at = std::clamp<int64_t>(*index < 0 ? *index + count : *index, 0, count);
  list->items.insert(list->items.begin() + at, call.inputs[2]);
  return true;
}

Result<bool> pop(Capturer& capturer, const Call& call) {
  if (DictItem* dict = dict_of(call)) {
    if (!capturer.may_change(call.inputs[0], call.node)) return true;
    const auto known = std::ranges::find_if(
        dict->entries, [&](const auto& entry) { return same(entry.first, call.inputs[1]); });
    if (known == dict->entries.end()) {
      if (call.inputs.size() < 3) return false;
      give(capturer, call, call.inputs[2]);
      return true;
    }
    give(capturer, call, known->second);
    dict->entries.erase(known);
    return true;
  }
  ListItem* list = list_of(call);
  if (list == nullptr) return false;
  if (!capturer.may_change(call.inputs[0], call.node)) return true;
  const auto at = place(constant(capturer, call.inputs[1]), list->items.size());
  if (!at) return false;
  give(capturer, call, list->items[*at]);
  list->items.erase(list->items.begin() + static_cast<std::ptrdiff_t>(*at));
  return true;
}

Result<bool> clear(Capturer& capturer, const Call& call) {
  ListItem* list = list_of(call);
  DictItem* dict = dict_of(call);
  if (list == nullptr && dict == nullptr) return false;
  if (!capturer.may_change(call.inputs[0], call.node)) return true;
  if (list != nullptr) list->items.clear();
  if (dict != nullptr) dict->entries.clear();
  return true;
}

Result<bool> reverse(Capturer& capturer, const Call& call) {
  ListItem* list = list_of(call);
  if (list == nullptr) return false;
  if (!capturer.may_change(call.inputs[0], call.node)) return true;
  std::ranges::reverse(list->items);
  return true;
}

Result<bool> copy(Capturer& capturer, const Call& call) {
  if (const DictItem* dict = dict_of(call)) {
    auto out = std::make_shared<DictItem>(*dict);
    out->depth = capturer.depth();
    give(capturer, call, std::move(out));
    return true;
  }
  const ListItem* list = list_of(call);
  if (list == nullptr) return false;
  give(capturer, call, new_list(capturer, list->type, list->items));
  return true;
}

/// list + list; a list changed in place where the operator is add_.
Result<bool> concatenate(Capturer& capturer, const Call& call) {
  const ListItem* a = list_of(call);
  const ListItem* b = list_of(call, 1);
  if (a == nullptr || b == nullptr) return false;
  Items items = a->items;
  items.insert(items.end(), b->items.begin(), b->items.end());
  give(capturer, call, new_list(capturer, a->type, std::move(items)));
  return true;
}

Result<bool> repeat(Capturer& capturer, const Call& call) {
  const size_t which = list_of(call) != nullptr ? 0 : 1;
  const ListItem* list = list_of(call, which);
  const auto times = constant(capturer, call.inputs[1 - which]);
  if (list == nullptr || !times || *times > 100'000) return false;
  Items items;
  for (int64_t i = 0; i < *times; ++i) {
    items.insert(items.end(), list->items.begin(), list->items.end());
  }
  give(capturer, call, new_list(capturer, list->type, std::move(items)));
  return true;
}

Result<bool> slice(Capturer& capturer, const Call& call) {
  const ListItem* list = list_of(call);
  if (list == nullptr || call.inputs.size() < 4) return false;
  const auto count = static_cast<int64_t>(list->items.size());
  const auto bound = [&](const Item& item, int64_t usual) -> std::optional<int64_t> {
    if (item.is_none()) return usual;
    const auto value = constant(capturer, item);
    if (!value) return std::nullopt;
    return std::clamp<int64_t>(*value < 0 ? *value + count : *value, 0, count);
  };
  const auto start = bound(call.inputs[1], 0);
  const auto end = bound(call.inputs[2], count);
  const auto step = constant(capturer, call.inputs[3]);
  if (!start || !end || !step || *step <= 0) {
    MLC_CHECK(capturer.refuse(call.node, "a part of a list that is not known"));
    return true;
  }
  Items items;
  for (int64_t i = *start; i < *end; i += *step)
    items.push_back(list->items[static_cast<size_t>(i)]);
  give(capturer, call, new_list(capturer, list->type, std::move(items)));
  return true;
}

Result<bool> contains(Capturer& capturer, const Call& call) {
  if (const DictItem* dict = dict_of(call)) {
    give(capturer, call, std::ranges::any_of(dict->entries, [&](const auto& entry) {
           return same(entry.first, call.inputs[1]);
         }));
    return true;
  }
  const ListItem* list = list_of(call);
  if (list == nullptr || varies(call.inputs[0], capturer.symbols()) ||
      varies(call.inputs[1], capturer.symbols())) {
    return false;
  }
  give(capturer, call, std::ranges::any_of(list->items, [&](const Item& one) {
         return same(one, call.inputs[1]);
       }));
  return true;
}

Result<bool> dict_get(Capturer& capturer, const Call& call) {
  const DictItem* dict = dict_of(call);
  if (dict == nullptr) return false;
  Item out = call.inputs.size() > 2 ? call.inputs[2] : Item();
  for (const auto& [key, value] : dict->entries) {
    if (same(key, call.inputs[1])) out = value;
  }
  give(capturer, call, std::move(out));
  return true;
}

Result<bool> dict_keys(Capturer& capturer, const Call& call) {
  const DictItem* dict = dict_of(call);
  if (dict == nullptr) return false;
  Items items;
  for (const auto& entry : dict->entries) items.push_back(entry.first);
  give(capturer, call, new_list(capturer, call.node.output()->type(), std::move(items)));
  return true;
}

Result<bool> dict_values(Capturer& capturer, const Call& call) {
  const DictItem* dict = dict_of(call);
  if (dict == nullptr) return false;
  Items items;
  for (const auto& entry : dict->entries) items.push_back(entry.second);
  give(capturer, call, new_list(capturer, call.node.output()->type(), std::move(items)));
  return true;
}

Result<bool> dict_items(Capturer& capturer, const Call& call) {
  const DictItem* dict = dict_of(call);
  if (dict == nullptr) return false;
  const c10::TypePtr type = call.node.output()->type();
  const c10::TypePtr pair = type->expectRef<c10::ListType>().getElementType();
  Items items;
  for (const auto& [key, value] : dict->entries) {
    items.push_back(std::make_shared<TupleItem>(TupleItem{pair, {key, value}}));
  }
  give(capturer, call, new_list(capturer, type, std::move(items)));
  return true;
}

Result<bool> dict_update(Capturer& capturer, const Call& call) {
  DictItem* dict = dict_of(call);
  const auto* other = call.inputs[1].as<DictRef>();
  if (dict == nullptr || other == nullptr) return false;
  if (!capturer.may_change(call.inputs[0], call.node)) return true;
  const auto entries = (*other)->entries;
  for (const auto& [key, value] : entries) {
    const auto known = std::ranges::find_if(
        dict->entries, [&, &wanted = key](const auto& one) { return same(one.first, wanted); });
    if (known != dict->entries.end()) {
      known->second = value;
    } else {
      dict->entries.emplace_back(key, value);
    }
  }
  return true;
}

/// Comparison of lists of sizes: x.shape == y.shape.
Result<bool> equal_lists(Capturer& capturer, const Call& call) {
  const Items* a = call.inputs[0].items();
  const Items* b = call.inputs[1].items();
  if (a == nullptr || b == nullptr || has_tensor(call.inputs[0])) return false;
  const bool wanted = call.node.kind() == c10::Symbol::fromQualString("aten::eq");
  std::optional<bool> equal = a->size() == b->size();
  for (size_t i = 0; i < a->size() && equal != false; ++i) {
    const auto* x = (*a)[i].as<Expr>();
    const auto* y = (*b)[i].as<Expr>();
    const auto here = x != nullptr && y != nullptr ? capturer.symbols().equal(*x, *y)
                                                   : std::optional(same((*a)[i], (*b)[i]));
    if (!here) equal.reset();
    if (here == false) equal = false;
  }
  if (!equal) {
    MLC_CHECK(capturer.refuse(call.node, "a comparison of sizes that vary"));
    return true;
  }
  give(capturer, call, *equal == wanted);
  return true;
}

/// x is None, x is not None.
Result<bool> identical(Capturer& capturer, const Call& call) {
  const bool wanted = call.node.kind() == c10::Symbol::fromQualString("aten::__is__");
  bool is = call.inputs[0].is_none() && call.inputs[1].is_none();
  if (!call.inputs[0].is_none() && !call.inputs[1].is_none())
    is = same(call.inputs[0], call.inputs[1]);
  give(capturer, call, is == wanted);
  return true;
}

Result<bool> pass_through(Capturer& capturer, const Call& call) {
  give(capturer, call, call.inputs[0]);
  return true;
}

Result<bool> nothing(Capturer& capturer, const Call& call) {
  give(capturer, call, Item());
  return true;
}

/// Texts only end in messages: what varies in them does not matter.
Result<bool> format(Capturer& capturer, const Call& call) {
  const bool known = std::ranges::none_of(
      call.inputs, [&](const Item& item) { return varies(item, capturer.symbols()); });
  if (known) return false;
  const auto* text = call.inputs[0].as<std::string>();
  give(capturer, call, text == nullptr ? std::string() : *text);
  return true;
}

constexpr EvaluatorRow kRows[] = {
    {"aten::Delete", "*", pop},
    {"aten::__contains__", "*", contains},
    {"aten::__getitem__", "*", get_item},
    {"aten::__is__", "*", identical},
    {"aten::__isnot__", "*", identical},
    {"aten::_set_item", "*", set_item},
    {"aten::_unwrap_optional", "*", pass_through},
    {"aten::add", "t", concatenate},
    {"aten::add_", "t", extend},
    {"aten::append", "*", append},
    {"aten::clear", "*", clear},
    {"aten::copy", "*", copy},
    {"aten::dict", "*", copy},
    {"aten::eq", "int_list", equal_lists},
    {"aten::extend", "*", extend},
    {"aten::format", "*", format},
    {"aten::get", "*", dict_get},
    {"aten::insert", "*", insert},
    {"aten::items", "*", dict_items},
    {"aten::keys", "*", dict_keys},
    {"aten::len", "*", length},
    {"aten::list", "*", copy},
    {"aten::mul", "left_t", repeat},
    {"aten::mul", "right_", repeat},
    {"aten::ne", "int_list", equal_lists},
    {"aten::percentFormat", "*", format},
    {"aten::pop", "*", pop},
    {"aten::reverse", "*", reverse},
    {"aten::slice", "t", slice},
    {"aten::str", "*", format},
    {"aten::update", "*", dict_update},
    {"aten::values", "*", dict_values},
    {"aten::wait", "*", pass_through},
    {"aten::warn", "*", nothing},
    {"prim::data", "*", pass_through},
    {"prim::unchecked_cast", "*", pass_through},
    {"prim::unchecked_unwrap_optional", "*", pass_through},
};

}  // namespace

std::span<const EvaluatorRow> container_evaluators() {
  return kRows;
}

}  // namespace mlc::torch_module
