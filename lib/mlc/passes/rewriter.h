// The walk of functionalize() over a program, block by block: what each tensor looks at, and what
// lies in memory now. Private to this folder.
#pragma once

#include "mlc/passes/functionalize.h"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace mlc::passes {

using ir::Attribute;
using ir::Block;
using ir::Graph;
using ir::Node;
using ir::Value;

/// One look at memory: result OUTPUT of NODE.
struct Step {
  const Node* node = nullptr;
  size_t output = 0;
  bool operator==(const Step&) const = default;
};

/// What a tensor of the program looks at.
struct Alias {
  Value* root = nullptr;    // the tensor that owns the memory
  std::vector<Step> steps;  // from it to this one
  bool uncertain = false;   // some of the steps may have copied
  Value* value = nullptr;   // what it is now
  uint64_t version = 0;     // of the memory when VALUE was right
};

/// Why nobody knows what is in some memory: what may or may not lie there was written.
struct Doubt {
  std::string text;  // empty: it is known
  std::string hint;
  explicit operator bool() const { return !text.empty(); }
};

/// The memory that a tensor owns.
struct Memory {
  Value* value = nullptr;  // the whole of it, now
  uint64_t version = 0;
  Doubt doubt;
  bool may_be_written = false;  // through what a branch or a loop gave
};

using Roots = std::set<Value*>;

struct State {
  std::map<Value*, Alias> aliases;
  std::map<Value*, Memory> memories;
  /// Memories that are one in some runs, as the branches go. What a branch or a loop gives is
  /// looked at as memory of its own, and has its entry here.
  std::map<Value*, Roots> kin;
};

/// What every result of a block looks at when the block ends; absent for what is no tensor.
using Results = std::vector<std::optional<Alias>>;

/// What the rounds of a loop write into that is not their own.
struct LoopWrites {
  std::vector<Value*> outside;   // memories that it is not given
  std::set<size_t> given;        // inputs of its block that it carries
  std::vector<Value*> initials;  // tensors that it gives its block, by input
};

/// Whether VALUE is made within the blocks of NODE.
bool is_inside(const Value* value, const Node* node);

inline const Doubt kLoopWrites = {
    "it reads memory that the loop writes into under another name",
    "read it by the name that is written, or write into a copy, as .clone() gives"};

/// Keeps a reference to the graph that it rewrites.
class Rewriter {
 public:
  explicit Rewriter(Graph& graph) : graph_(graph) {}

  Result<Functionalized> run();

 private:
  Status block(Block& block, State& state, Results* results);
  Status node(Node* node, State& state);
  Status nested(Node* node, State& state);
  Status merge_branches(Node* node, State& state, std::vector<State>& ends);
  Status refuse_writes_out(const Node* node, const std::vector<Value*>& given, State& state,
                           const State& end, const LoopWrites& carried);
  LoopWrites find_loop_writes(const Node& loop, State& state);
  void carry_in(Node* loop, const LoopWrites& writes, State& state, State& inner);
  Status carry_out(Node* loop, const LoopWrites& writes, State& state, State& end,
                   const Results& results);
  void name_carried(const Node& loop, const LoopWrites& writes, State& state);
  Status give_back(Node* node, const std::vector<Value*>& given, State& state, const State& end);
  static void merge_doubts(const Node* node, State& state, const std::vector<State>& ends);
  void relate_outputs(Node* node, State& state, const std::vector<State>& ends,
                      const std::vector<Results>& results);
  Roots reach(const Node* node, const Alias& result, const State& end, State& state);
  static void relate(Value* a, Value* b, State& state);
  Status write(Node* node, State& state);
  Status store(Value* self, Value* part, const Node& by, Node* place, State& state);
  Status write_shape(Node* node, State& state);
  void part_ways(Value* self, State& state);
  void note_views(Node* node, Value* self, State& state);
  Status refresh_arguments(Node* node, State& state);
  Result<Value*> current(Value* value, Node* place, State& state);
  Alias& alias_of(Value* value, State& state);
  static Memory& memory_of(Value* root, State& state);
  static Error located(const Node& node, Error error);

  Graph& graph_;
  Functionalized facts_;
  std::map<const Value*, Write> first_;  // by the memory
};

}  // namespace mlc::passes
