#include "mlc/base/text.h"
#include "mlc/torch/capturer.h"

#include <algorithm>
#include <charconv>

namespace mlc::torch_module {
namespace {

using ir::Expr;

std::string joined(const std::string& prefix, const std::string& name) {
  return prefix.empty() ? name : prefix + "." + name;
}

/// Whether NODE writes into one of its arguments, as PyTorch's names say: "add_", "__iadd__".
bool writes(const ir::Node& node) {
  const std::string& name = node.op().name;
  if (name.starts_with("__")) return name.starts_with("__i") && name != "__is__";
  if (name.ends_with('_')) return true;
  const ir::Attribute* training = node.find("training");
  return training != nullptr && *training == ir::Attribute(true);
}

bool writes_somewhere(const ir::Block& block) {
  return std::ranges::any_of(block.nodes(), [](const ir::Node* node) {
    return writes(*node) || std::ranges::any_of(node->blocks(), [](const auto& inner) {
             return writes_somewhere(*inner);
           });
  });
}

/// What a program needs of itself: values, and the symbols in sizes.
class Liveness {
 public:
  Liveness(ir::Graph& graph, const std::map<size_t, const ir::Value*>& definers)
      : graph_(graph), definers_(definers) {}

  void run() {
    read(*graph_.body().results());
    walk(graph_.body());
  }

 private:
  void read(Expr size) {
    for (const size_t symbol : graph_.symbols().symbols_of(size)) {
      const auto definer = definers_.find(symbol);
      if (definer != definers_.end()) values_.insert(definer->second);
    }
  }
  void read(const ir::Node& node) {
    for (const ir::Argument& argument : node.arguments()) {
      if (auto* const* one = std::get_if<ir::Value*>(&argument.value)) values_.insert(*one);
      if (const auto* list = std::get_if<ir::Values>(&argument.value)) {
        values_.insert(list->begin(), list->end());
      }
      if (const auto* one = std::get_if<Expr>(&argument.value)) read(*one);
      if (const auto* list = std::get_if<std::vector<Expr>>(&argument.value)) {
        for (const Expr one : *list) read(one);
      }
    }
  }
  /// All that a block with blocks reads, and what is read there from outside.
  void read_within(const ir::Block& block) {
    read(*block.results());
    for (const ir::Node* node : block.nodes()) {
      read(*node);
      for (const auto& inner : node->blocks()) read_within(*inner);
    }
  }
  void walk(ir::Block& block) {
    std::vector<ir::Node*> nodes(block.nodes().begin(), block.nodes().end());
    for (auto at = nodes.rbegin(); at != nodes.rend(); ++at) {
      ir::Node* node = *at;
      const bool used = std::ranges::any_of(
          node->outputs(), [this](const ir::Value* one) { return values_.contains(one); });
      const bool inner_writes = std::ranges::any_of(
          node->blocks(), [](const auto& inner) { return writes_somewhere(*inner); });
      if (!used && !writes(*node) && !inner_writes) {
        graph_.erase(node);
        continue;
      }
      read(*node);
      for (const auto& inner : node->blocks()) {
        // A body may read in its next round what stands behind: all of it is needed.
        if (node->op().name == "Loop") read_within(*inner);
        read(*inner->results());
        walk(*inner);
      }
    }
  }

  ir::Graph& graph_;
  const std::map<size_t, const ir::Value*>& definers_;
  std::set<const ir::Value*> values_;
};

/// The symbols in sizes of what the nodes of BLOCK take and give.
void collect_symbols(const ir::Graph& graph, const ir::Block& block, std::set<size_t>& out) {
  const auto add = [&](Expr size) {
    const auto symbols = graph.symbols().symbols_of(size);
    out.insert(symbols.begin(), symbols.end());
  };
  for (const ir::Node* node : block.nodes()) {
    for (const ir::Argument& argument : node->arguments()) {
      if (const auto* one = std::get_if<Expr>(&argument.value)) add(*one);
      if (const auto* list = std::get_if<std::vector<Expr>>(&argument.value)) {
        for (const Expr one : *list) add(one);
      }
    }
    for (const ir::Value* value : node->outputs()) {
      if (value->tensor() == nullptr || !value->tensor()->sizes) continue;
      for (const Expr size : *value->tensor()->sizes) add(size);
    }
    for (const auto& inner : node->blocks()) collect_symbols(graph, *inner, out);
  }
}

}  // namespace

Status Capturer::add_output_items(const std::string& path, const Items& items) {
  const std::string prefix = path.empty() ? "output" : path;
  for (size_t i = 0; i < items.size(); ++i) {
    MLC_CHECK(add_output(joined(prefix, std::to_string(i)), items[i]));
  }
  return {};
}

Status Capturer::add_output(const std::string& path, const Item& item) {
  if (item.is_none()) return {};
  if (const auto* tuple = item.as<TupleRef>()) {
    const auto type = (*tuple)->type->cast<c10::TupleType>();
    if (!type || !type->schema()) return add_output_items(path, (*tuple)->items);
    for (size_t i = 0; i < (*tuple)->items.size(); ++i) {
      MLC_CHECK(
          add_output(joined(path, type->schema()->arguments()[i].name()), (*tuple)->items[i]));
    }
    return {};
  }
  if (const auto* list = item.as<ListRef>(); list != nullptr && (*list)->rows != nullptr) {
    return unsupported("output " + mlc::quoted(path.empty() ? "output" : path) +
                           " is a list of as many tensors as a loop has rounds",
                       "torch.stack(list) makes one tensor of it, which the model may give");
  }
  if (const auto* list = item.as<ListRef>()) return add_output_items(path, (*list)->items);
  if (const auto* dict = item.as<DictRef>()) {
    for (const auto& [key, value] : (*dict)->entries) {
      std::string name = "?";
      if (const auto* text = key.as<std::string>()) name = *text;
      if (const auto* number = key.as<Expr>()) name = symbols().text(*number);
      if (const auto* number = key.as<double>()) {
        char text[32];
        name = std::string(text, std::to_chars(text, text + sizeof text, *number).ptr);
      }
      MLC_CHECK(add_output(joined(path, name), value));
    }
    return {};
  }
  const std::string name = path.empty() ? "output" : path;
  auto value = item.is_missing() ? std::nullopt : attribute(item, c10::AnyType::get());
  if (!value) {
    return unsupported("output " + mlc::quoted(name) + " is no tensor",
                       "wrap the model in one whose forward gives tensors and numbers only");
  }
  const auto known = std::ranges::find(out_.program.outputs, name, &ProgramOutput::name);
  if (known != out_.program.outputs.end()) {
    return unsupported("two outputs of the model are called " + mlc::quoted(name),
                       "give the keys of its dictionaries other names");
  }
  out_.program.outputs.push_back({name, results_.size()});
  results_.push_back({name, std::move(*value)});
  return {};
}

Status Capturer::name_outputs() {
  const auto& names = target_.output_names;
  if (names.empty()) return {};
  const bool is_dict =
      program_->outputs().size() == 1 && get(program_->outputs()[0]).as<DictRef>() != nullptr;
  if (is_dict) return {};
  if (names.size() != out_.program.outputs.size()) {
    if (!target_.names_must_fit) return {};
    return usage_error("the architecture declares " + plural(names.size(), "output") + " (" +
                           join_list(names) + "), and forward gives " +
                           std::to_string(out_.program.outputs.size()),
                       "`outputs:` names the tensors that forward returns, in order");
  }
  for (size_t i = 0; i < names.size(); ++i) {
    out_.program.outputs[i].name = names[i];
    results_[i].name = names[i];
  }
  return {};
}

Status Capturer::add_outputs() {
  const auto outputs = program_->outputs();
  if (outputs.size() == 1) {
    MLC_CHECK(add_output("", get(outputs[0])));
  } else {
    Items items;
    for (const torch::jit::Value* one : outputs) items.push_back(get(one));
    MLC_CHECK(add_output_items("", items));
  }
  MLC_CHECK(name_outputs());
  out_.program.graph.set_results(out_.program.graph.body(), results_);
  return {};
}

void Capturer::erase_dead() {
  ir::Graph& graph = out_.program.graph;
  Liveness(graph, definers_).run();
  std::vector<ProgramWeight> weights;
  auto tensors = std::make_shared<std::map<std::string, at::Tensor>>();
  for (size_t i = 0; i < out_.program.weights.size(); ++i) {
    ProgramWeight& one = out_.program.weights[i];
    if (one.value->uses().empty()) {
      graph.erase(one.value);
      continue;
    }
    tensors->emplace(one.key, weight_tensors_[i]);
    weights.push_back(std::move(one));
  }
  out_.program.weights = std::move(weights);
  out_.weight = [tensors](const ProgramWeight& weight) -> Result<Weight> {
    const auto found = tensors->find(weight.key);
    if (found == tensors->end()) {
      return internal_error("the capture has no weight " + weight.key);
    }
    return weight_of(found->second);
  };
}

void Capturer::note_sizes() {
  std::set<size_t> used;
  collect_symbols(out_.program.graph, out_.program.graph.body(), used);
  std::map<std::string, std::string> numbers;  // by their symbols
  for (const auto& [input, symbol] : attempt_.numbers) numbers.emplace(symbol, input);
  for (size_t i = 0; i < attempt_.symbols.size(); ++i) {
    const std::string& name = attempt_.symbols[i];
    const bool constant = attempt_.bounds[i].low == attempt_.bounds[i].high;
    if (constant || used.contains(i)) continue;
    const auto number = numbers.find(name);
    note(number == numbers.end() ? "nothing behind the inputs has the size " + mlc::quoted(name)
                                 : "input " + mlc::quoted(number->second) + " is not used");
  }
  for (const ProgramInput& input : out_.program.inputs) {
    if (input.value == nullptr || !input.value->uses().empty()) continue;
    const auto number = attempt_.numbers.find(input.name);
    const bool is_symbol = number != attempt_.numbers.end() && !number->second.empty();
    if (!is_symbol) note("input " + mlc::quoted(input.name) + " is not used");
  }
}

}  // namespace mlc::torch_module
