// A block of a graph prepared to run: every operator found, every constant argument made, every
// value with a place.
#pragma once

#include "mlc/base/result.h"
#include "mlc/ir/graph.h"
#include "mlc/torch/call_operator.h"
#include "mlc/torch/symbolic_operators.h"

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include <ATen/core/ivalue.h>
#include <c10/core/Device.h>

namespace mlc::torch_module {

/// The values of a running program.
class Memory {
 public:
  explicit Memory(const ir::Graph& graph) : graph_(graph) {}

  void add(const ir::Value* value);
  const c10::IValue& get(const ir::Value* value) const { return values_[places_.at(value)]; }
  /// Also defines the symbols that are an integer, or sizes of a tensor, where no value that was
  /// added before has them.
  void set(const ir::Value* value, c10::IValue content);
  void forget(const ir::Value* value) { values_[places_.at(value)] = c10::IValue(); }

  /// Defines the symbol that SIZE is, or compares. False: it is defined already, and otherwise.
  bool define(ir::Expr size, int64_t number);
  void forget_sizes() { sizes_.clear(), evaluator_.reset(); }
  /// What it is, where that is defined.
  std::optional<int64_t> find(ir::Expr size);
  /// Throws c10::Error where it is not defined.
  int64_t integer(ir::Expr size);

 private:
  /// A symbol that a value defines: as one of its sizes, or as what it is.
  struct Definition {
    size_t symbol = 0;
    std::optional<int64_t> dimension;
  };

  bool solve(ir::Expr size, size_t symbol, int64_t number);
  void claim(const ir::Value* value, ir::Expr size, std::optional<int64_t> dimension);

  const ir::Graph& graph_;
  std::unordered_map<const ir::Value*, size_t> places_;
  std::vector<c10::IValue> values_;
  std::unordered_map<const ir::Value*, std::vector<Definition>> definitions_;
  std::set<size_t> defined_;                   // symbols that a value defines
  std::vector<std::optional<int64_t>> sizes_;  // of the symbols
  std::optional<ir::Evaluator> evaluator_;     // of sizes_
};

class CompiledBlock {
 public:
  /// Adds the values of BLOCK to MEMORY. Operators that are not there are counted in MISSING.
  static Result<CompiledBlock> make(const ir::Graph& graph, const ir::Block& block,
                                    c10::Device device, Memory& memory,
                                    std::map<std::string, size_t>& missing);

  /// Requires: the inputs are set. Throws what LibTorch throws.
  void run(Memory& memory, const Surroundings& surroundings) const;
  /// What ATTRIBUTE is: a value's content, a number, None.
  static c10::IValue content(const ir::Attribute& attribute, Memory& memory);
  std::vector<c10::IValue> results(Memory& memory) const;
  const ir::Block& block() const { return *block_; }

 private:
  /// An operator with blocks: what each does with them is in control_operators().
  struct Control {
    void (*run)(const Control&, Memory&, const Surroundings&) = nullptr;
    const ir::Node* node = nullptr;
    std::vector<CompiledBlock> blocks;
  };
  struct Symbolic {
    SymbolicOperator run = nullptr;
    const ir::Node* node = nullptr;
  };
  struct Step {
    std::variant<OperatorCall, Symbolic, Control> work;
    const ir::Node* node = nullptr;
    std::vector<const ir::Value*> last_uses;  // values that nothing reads afterwards
  };

  static void run_if(const Control& control, Memory& memory, const Surroundings& surroundings);
  static void run_loop(const Control& control, Memory& memory, const Surroundings& surroundings);
  static void run_cond(const Control& control, Memory& memory, const Surroundings& surroundings);
  static void run_while(const Control& control, Memory& memory, const Surroundings& surroundings);
  static void run_without_autocast(const Control& control, Memory& memory,
                                   const Surroundings& surroundings);
  static void run_inline(const Control& control, Memory& memory, const Surroundings& surroundings);
  static std::vector<c10::IValue> run_block(const CompiledBlock& block,
                                            const std::vector<c10::IValue>& inputs, Memory& memory,
                                            const Surroundings& surroundings);
  static Result<std::optional<Step>> make_step(const ir::Graph& graph, const ir::Node& node,
                                               c10::Device device, Memory& memory,
                                               std::map<std::string, size_t>& missing);
  static Result<std::optional<Step>> make_control(const ir::Graph& graph, const ir::Node& node,
                                                  c10::Device device, Memory& memory,
                                                  std::map<std::string, size_t>& missing);
  void find_last_uses();

  const ir::Block* block_ = nullptr;
  std::vector<Step> steps_;
};

}  // namespace mlc::torch_module
