#include "mlc/ir/graph.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace mlc::ir {
namespace {

// Calls VISIT(value, item) for every value that ATTRIBUTE holds.
template <class Visit>
void each_value(const Attribute& attribute, Visit visit) {
  if (auto* const* one = std::get_if<Value*>(&attribute)) visit(*one, size_t{0});
  if (const auto* list = std::get_if<Values>(&attribute)) {
    for (size_t i = 0; i < list->size(); ++i) {
      if ((*list)[i] != nullptr) visit((*list)[i], i);
    }
  }
}

void put(Attribute& attribute, size_t item, Value* value) {
  if (auto* list = std::get_if<Values>(&attribute)) {
    (*list)[item] = value;
  } else {
    attribute = value;
  }
}

}  // namespace

const Attribute* Node::find(std::string_view name) const {
  for (const Argument& argument : arguments_) {
    if (argument.name == name) return &argument.value;
  }
  return nullptr;
}

Graph::Graph(std::string name)
    : name_(std::move(name)), symbols_(std::make_unique<Symbols>()), body_(new Block) {
  set_results(*body_, {});
}

Graph::Graph(Graph&&) noexcept = default;
Graph& Graph::operator=(Graph&&) noexcept = default;
Graph::~Graph() = default;

Value* Graph::find(std::string_view value) const {
  const auto at = values_.find(value);
  return at == values_.end() ? nullptr : at->second.get();
}

Value* Graph::new_value(ValueKind kind, std::string_view name, Type type) {
  std::string unique(name);
  while (unique.empty() || values_.contains(unique)) {
    unique = name.empty() ? std::to_string(next_number_++)
                          : std::string(name) + "." + std::to_string(next_number_++);
  }
  std::unique_ptr<Value> value(new Value);
  value->name_ = unique;
  value->kind_ = kind;
  value->type_ = std::move(type);
  Value* out = value.get();
  values_.emplace(std::move(unique), std::move(value));
  return out;
}

Value* Graph::add_input(std::string_view name, Type type) {
  Value* value = new_value(ValueKind::input, name, std::move(type));
  value->block_ = body_.get();
  body_->inputs_.push_back(value);
  return value;
}

Value* Graph::add_weight(ValueKind kind, std::string_view name, TensorType type) {
  Value* value = new_value(kind, name, std::move(type));
  weights_.push_back(value);
  return value;
}

Value* Graph::add_block_input(Block& block, std::string_view name, Type type) {
  Value* value = new_value(ValueKind::block, name, std::move(type));
  value->block_ = &block;
  block.inputs_.push_back(value);
  return value;
}

Node* Graph::new_node(Block& block, OpName op, std::vector<Output> outputs, Origin origin) {
  std::unique_ptr<Node> node(new Node);
  Node* out = node.get();
  nodes_.emplace(out, std::move(node));
  out->op_ = std::move(op);
  out->owner_ = &block;
  out->origin_ = std::move(origin);
  for (Output& output : outputs) add_output(out, std::move(output));
  return out;
}

Value* Graph::add_output(Node* node, Output output) {
  Value* value = new_value(ValueKind::output, output.name, std::move(output.type));
  value->producer_ = node;
  value->index_ = node->outputs_.size();
  node->outputs_.push_back(value);
  return value;
}

Node* Graph::place(Node* node, std::list<Node*>::iterator before, std::vector<Argument> arguments) {
  node->place_ = node->owner_->nodes_.insert(before, node);
  set_arguments(node, std::move(arguments));
  return node;
}

Node* Graph::append(Block& block, OpName op, std::vector<Argument> arguments,
                    std::vector<Output> outputs, Origin origin) {
  Node* node = new_node(block, std::move(op), std::move(outputs), std::move(origin));
  return place(node, block.nodes_.end(), std::move(arguments));
}

Node* Graph::insert_before(Node* node, OpName op, std::vector<Argument> arguments,
                           std::vector<Output> outputs, Origin origin) {
  Block& block = *node->owner_;
  const auto before = node == block.results_ ? block.nodes_.end() : node->place_;
  Node* made = new_node(block, std::move(op), std::move(outputs), std::move(origin));
  return place(made, before, std::move(arguments));
}

Block& Graph::add_block(Node* node) {
  std::unique_ptr<Block> block(new Block);
  block->owner_ = node;
  node->blocks_.push_back(std::move(block));
  set_results(*node->blocks_.back(), {});
  return *node->blocks_.back();
}

void Graph::set_results(Block& block, std::vector<Argument> results) {
  if (block.results_ == nullptr) block.results_ = new_node(block, {"prim", "Return", {}}, {}, {});
  set_arguments(block.results_, std::move(results));
}

void Graph::use_all(Node* node) {
  for (size_t i = 0; i < node->arguments_.size(); ++i) {
    each_value(node->arguments_[i].value, [&](Value* value, size_t item) {
      value->uses_.push_back({node, i, item});
    });
  }
}

void Graph::forget_uses(Node* node) {
  for (size_t i = 0; i < node->arguments_.size(); ++i) {
    each_value(node->arguments_[i].value, [&](Value* value, size_t item) {
      // From the end, where it is when nodes are erased backwards, as erase_unused() does.
      auto& uses = value->uses_;
      const auto at = std::find(uses.rbegin(), uses.rend(), Use{node, i, item});
      if (at != uses.rend()) uses.erase(std::next(at).base());
    });
  }
}

void Graph::set_arguments(Node* node, std::vector<Argument> arguments) {
  forget_uses(node);
  node->arguments_ = std::move(arguments);
  use_all(node);
}

void Graph::set_argument(Node* node, size_t argument, Attribute value) {
  forget_uses(node);
  node->arguments_[argument].value = std::move(value);
  use_all(node);
}

bool Graph::rename(Value* value, std::string_view name) {
  if (value->name_ == name) return true;
  if (name.empty() || values_.contains(name)) return false;
  auto entry = values_.extract(values_.find(value->name_));
  entry.key() = name;
  value->name_ = name;
  values_.insert(std::move(entry));
  return true;
}

void Graph::replace_all_uses(Value* from, Value* to) {
  if (from == to) return;
  for (const Use& use : from->uses_) {
    put(use.node->arguments_[use.argument].value, use.item, to);
    to->uses_.push_back(use);
  }
  from->uses_.clear();
}

void Graph::erase_value(Value* value) {
  values_.erase(values_.find(value->name_));
}

void Graph::erase_block(Block& block) {
  // Backwards, so that readers go before what they read.
  forget_uses(block.results_);
  while (!block.nodes_.empty()) erase(block.nodes_.back());
  nodes_.erase(block.results_);
  for (Value* input : block.inputs_) erase_value(input);
}

void Graph::erase(Node* node) {
  for (const auto& block : node->blocks_) erase_block(*block);
  forget_uses(node);
  for (Value* value : node->outputs_) {
    assert(value->uses_.empty());
    erase_value(value);
  }
  node->owner_->nodes_.erase(node->place_);
  nodes_.erase(node);
}

void Graph::erase(Value* weight) {
  assert(weight->uses_.empty());
  std::erase(weights_, weight);
  erase_value(weight);
}

void Graph::erase_unused(Block& block, bool (*keep)(const Node&)) {
  for (auto at = block.nodes_.end(); at != block.nodes_.begin();) {
    Node* node = *--at;
    const bool is_used = std::any_of(node->outputs_.begin(), node->outputs_.end(),
                                     [](const Value* value) { return !value->uses_.empty(); });
    if (is_used || keep(*node)) {
      for (const auto& inner : node->blocks_) erase_unused(*inner, keep);
    } else {
      ++at;  // behind the node: erasing it leaves this iterator
      erase(node);
    }
  }
}

void Graph::erase_unused(bool (*keep)(const Node&)) {
  erase_unused(*body_, keep);
}

}  // namespace mlc::ir
