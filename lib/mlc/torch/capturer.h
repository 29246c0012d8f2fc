// One attempt at a capture: the interpreter behind capture.h. The families of operators that it
// works out itself lie in files of their own (evaluators.h).
#pragma once

#include "mlc/torch/capture.h"
#include "mlc/torch/capture_item.h"

#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include <torch/csrc/jit/ir/ir.h>

namespace mlc::torch_module {

/// At which sizes the lanes run, and what earlier attempts found out.
struct CaptureAttempt {
  std::vector<std::string> symbols;
  std::vector<ir::Bounds> bounds;
  std::vector<std::vector<int64_t>> sizes;  // of each symbol, lane by lane
  size_t lanes = 1;
  /// Storages of weights that the program writes into: each lane has copies.
  std::set<const void*> written;
  bool is_last = false;  // no other sizes are left to try
  /// Costly operators, and what comes after them, give tensors without elements; where an element
  /// is needed after all, the attempt fails.
  bool skips_elements = false;
  /// Arguments of forward that are numbers, and inputs of the graph: ints with their symbols.
  std::map<std::string, std::string> numbers = {};
};

/// Why an attempt ended early, where another one may help.
enum class CaptureStop : uint8_t {
  none,
  written_weight,  // CaptureAttempt::written has grown
  more_lanes,      // something is to be told apart that one lane cannot tell
  too_small,       // a size that varies is the same in all lanes
  lane_failed,     // the program does not run at these sizes
};

struct QuantizedRow;

/// A node of the program about to be worked out.
struct Call {
  torch::jit::Node& node;
  Items inputs;
};

class Capturer {
 public:
  Capturer(const CaptureTarget& target, const CaptureRequest& request, CaptureAttempt& attempt);

  /// Errors: those of capture(); where stop() is set, why.
  Result<CapturedProgram> run();
  CaptureStop stop() const { return stop_; }

  // For evaluators.
  ir::Symbols& symbols() { return out_.program.graph.symbols(); }
  ir::KnownSizes& sizes() { return sizes_; }
  size_t lanes() const { return attempt_.lanes; }
  size_t depth() const { return depth_; }
  const std::vector<bool>& active() const { return active_; }
  void set(const torch::jit::Value* value, Item item) { items_[value] = std::move(item); }
  const Item& get(const torch::jit::Value* value) const { return items_.at(value); }
  /// The value of ITEM, at least in all lanes that run, as IValue.
  c10::IValue lane(const Item& item, size_t lane) { return lane_value(item, lane, sizes_); }
  /// Notes WHAT as one of the reasons why the program cannot be captured; the outputs of NODE are
  /// missing then.
  Status refuse(torch::jit::Node& node, const std::string& what);
  /// Runs NODE in all lanes and appends it to the graph.
  Status operate(const Call& call);
  /// What NODE gives in all lanes, its first output; None in those that do not run.
  Result<std::vector<c10::IValue>> lane_results(const Call& call);
  /// Appends an operator that gives one tensor of SIZES, with its LANES.
  Result<TensorRef> append_tensor(ir::OpName op, std::vector<ir::Argument> arguments,
                                  std::vector<at::Tensor> lanes, std::vector<ir::Expr> sizes,
                                  const torch::jit::Node& node);
  /// Appends an operator on numbers to the graph, and gives its output, of KIND, with its LANES.
  DynamicRef append_scalar(ir::OpName op, std::vector<ir::Argument> arguments, ir::ScalarKind kind,
                           std::vector<c10::IValue> lanes, const torch::jit::Node& node);
  /// A number of the graph: an Expr with a symbol of its own for integers, else dynamic.
  Item append_number(ir::OpName op, std::vector<ir::Argument> arguments, ir::ScalarKind kind,
                     std::vector<c10::IValue> lanes, const torch::jit::Node& node);
  /// A tensor that is part of the program.
  TensorRef constant(const at::Tensor& tensor, const std::string& name);
  /// ITEM as an argument of the graph; nothing where no argument can be that.
  std::optional<ir::Attribute> attribute(const Item& item, const c10::TypePtr& type);
  /// The sizes of TENSOR as expressions.
  const std::vector<ir::Expr>& sizes_of(const TensorItem& tensor) const;
  /// Lets CONTENT be what is in TENSOR, unless a lane says otherwise.
  void set_content(const TensorRef& tensor, std::vector<ir::Expr> content);
  ir::Origin origin(const torch::jit::Node& node) const;
  /// Whether CONTAINER, a list, dictionary or object, may be changed here. What a branch that hangs
  /// on values changes is noted, for both branches together. False: the change is refused.
  bool may_change(const Item& container, torch::jit::Node& node);
  void note(std::string text);
  Error give_up(CaptureStop stop, Error error) {
    stop_ = stop;
    return error;
  }

 private:
  /// What becomes of the results of two branches.
  struct Merge {
    torch::jit::Node& node;
    ir::Node* made;
    const DynamicRef& condition;
    const std::vector<bool>& holds;  // lane by lane
    std::vector<ir::Attribute> then_results;
    std::vector<ir::Attribute> else_results;
  };
  class KeptLoop;
  /// Containers from outside that a branch changes, and what they were.
  using ChangeLog = std::vector<std::pair<Item, Item>>;
  Status merge_changes(Merge& merge, std::vector<ChangeLog>& logs, const std::vector<Items>& after);

  Status add_inputs();
  Status add_input(const InputSpec& spec, const c10::Argument& argument,
                   const torch::jit::Value* value);
  void add_number(const InputSpec& spec, const c10::IValue& given, const c10::Argument& argument,
                  const torch::jit::Value* value);
  Result<std::vector<ir::Expr>> input_sizes(const InputSpec& spec);
  Status block(torch::jit::Block& block);
  Status node(torch::jit::Node& node);
  Status call(torch::jit::Node& node);
  Status compute(const Call& call);
  Status enter(torch::jit::Node& node, torch::jit::Graph& graph, const Items& inputs,
               std::string scope);
  Status call_method(torch::jit::Node& node);
  Status call_function(torch::jit::Node& node);
  Status within(torch::jit::Node& node);
  Status fork_task(torch::jit::Node& node);
  Status branch(torch::jit::Node& node);
  Status take_branch(torch::jit::Node& node, size_t which);
  Status fork(torch::jit::Node& node, const DynamicRef& condition);
  Status merge(Merge& merge, const std::vector<Items>& results);
  Result<Item> merged(Merge& merge, const Item& a, const Item& b);
  Result<Item> merged_tensor(Merge& merge, const Item& a, const Item& b);
  Result<Item> merged_number(Merge& merge, const Item& a, const Item& b);
  TensorRef placeholder(const TensorItem& like, ir::Block& block, const torch::jit::Node& node);
  Item number_output(ir::Node* node, ir::ScalarKind kind, std::vector<c10::IValue> lanes);
  Status keep_loop(torch::jit::Node& node, ir::Expr trips, const Item& go_on, const Items& carried);
  Status loop(torch::jit::Node& node);
  Status attribute_of(torch::jit::Node& node);
  Item read(ObjectItem& object, const std::string& name);
  Status set_attribute(torch::jit::Node& node);
  Status construct(torch::jit::Node& node);
  Status unpack(torch::jit::Node& node);
  Status tuple_index(torch::jit::Node& node);
  Status is_instance(torch::jit::Node& node);
  Status constant_node(torch::jit::Node& node);
  Status raise(torch::jit::Node& node);
  ObjectRef object(const c10::IValue& value, const std::string& path);

  // capture_operator.cpp
  Result<std::vector<std::vector<c10::IValue>>> run_lanes(const Call& call);
  Status note_writes(const Call& call);
  std::optional<size_t> unchanged_input(const Call& call, const std::vector<at::Tensor>& result);
  /// Constants that PyTorch takes for numbers of Python, as which tracing writes them, become that:
  /// a tensor of float64 without dimensions beside another tensor.
  void take_numbers(Call& call) const;
  Result<std::optional<std::vector<ir::Argument>>> arguments_of(const Call& call);
  Result<ir::TensorType> type_of(const Call& call, const std::vector<at::Tensor>& lanes,
                                 size_t output);
  Result<ir::Expr> size_of(const Call& call, const ir::LaneNumbers& observed,
                           std::optional<ir::Expr> expected, std::span<const ir::Expr> candidates,
                           std::map<ir::LaneNumbers, ir::Expr>& own);
  Result<std::vector<std::vector<at::Tensor>>> tensors_of(
      const Call& call, const std::vector<std::vector<c10::IValue>>& results, size_t index);
  void write_as_view(const Call& call, const at::Tensor& result, const ir::TensorType& type,
                     ir::OpName& op, std::vector<ir::Argument>& arguments);
  Status reshape_input(const Call& call, const char* op);
  Status append_number_of(const Call& call, const std::vector<std::vector<c10::IValue>>& results,
                          std::vector<ir::Argument> arguments);
  Status append(const Call& call, const std::vector<std::vector<c10::IValue>>& results,
                std::vector<ir::Argument> arguments);

  /// Symbols for what no expression explains: a size, a number that may be negative.
  ir::Expr fresh_size(const ir::LaneNumbers& numbers) {
    return fresh_symbol(numbers, {0, ir::kUnbounded});
  }
  ir::Expr fresh_number(const ir::LaneNumbers& numbers) { return fresh_symbol(numbers, {}); }
  ir::Expr fresh_symbol(const ir::LaneNumbers& numbers, ir::Bounds bounds);
  /// TENSOR defines the symbols in its sizes that nothing has defined before.
  void note_definitions(const TensorItem& tensor);

  // grown_list.cpp
  /// Works CALL out, an argument of which is a list that a loop fills or has filled; or refuses it.
  Status use_rows(const Call& call);
  Result<bool> take_appended(const Call& call, const ListItem& list);
  Result<bool> element_of_rows(const Call& call, const ListItem& list);
  Status join_rows(const Call& call, const ListItem& list, std::string name);
  Status in_place_of(torch::jit::Node& node, torch::jit::Graph& graph, const Items& inputs);

  // capture_quantized.cpp
  struct Codes;
  struct Packed;
  /// Sets the output of an operator that makes, takes or gives quantised tensors. False: mlc has
  /// no form for it, and nothing is set.
  Result<bool> quantized(const Call& call);
  Result<bool> leave_grid(const Call& call);
  bool may_choose_scale(const Call& call) const;
  Result<Item> rounded(const Item& result, torch::jit::Node& node);
  Result<Item> on_grid(ir::Value* value, const std::vector<at::Tensor>& lanes,
                       torch::jit::Node& node);
  Result<TensorRef> rounded_as_it_is(const TensorRef& x, bool reduced,
                                     const torch::jit::Node& node);
  Result<Item> with_floats(const std::string& name, const Items& inputs, torch::jit::Node& node);
  Result<Item> quantized_values(const Call& call, const QuantizedRow& row);
  Result<Item> quantized_linear(const Call& call, const QuantizedRow& row);
  Result<Item> quantized_conv(const Call& call, const QuantizedRow& row);
  Result<Item> quantized_embedding(const Call& call, const QuantizedRow& row);
  Result<std::optional<Packed>> unpacked(const Call& call, size_t argument, const std::string& op);
  static Codes codes_of(const at::Tensor& tensor);
  TensorRef prepend(ir::OpName op, std::vector<ir::Argument> arguments, const at::Tensor& floats,
                    const torch::jit::Node& node);
  TensorRef from_codes(const Codes& codes, const std::string& name, const torch::jit::Node& node);
  TensorRef weight_of_layer(const Packed& layer, const Codes& changed,
                            const torch::jit::Node& node);
  Item bias_of(const Packed& layer, const Codes& weight, const TensorItem& x,
               const torch::jit::Node& node);

  // capture_weights.cpp
  void name_weights();
  TensorRef weight(const at::Tensor& tensor, ir::ValueKind kind, const std::string& name,
                   bool persistent);
  at::Tensor lane_copy(const at::Tensor& tensor, size_t lane);

  // capture_outputs.cpp
  Status add_outputs();
  Status add_output(const std::string& path, const Item& item);
  Status add_output_items(const std::string& path, const Items& items);
  Status name_outputs();
  void erase_dead();
  void note_sizes();

  // capture_sites.cpp
  /// Whose method NODE calls; null where that is no module.
  static const c10::ivalue::Object* module_of(const torch::jit::Node& node, const Items& inputs);
  Status run_operator(const Call& call);
  void note_site(const Call& call);
  void note_numbers(const Call& call, size_t argument, ProgramSite& site);
  NumberUse use_of(NumberUse use, bool& computed) const;
  /// A call of a method or function that has not returned.
  struct Frame {
    torch::jit::Node* call = nullptr;  // null for that of forward
    /// The module whose method it is; null for functions.
    const c10::ivalue::Object* module = nullptr;
  };

  const CaptureTarget& target_;
  const CaptureRequest& request_;
  CaptureAttempt& attempt_;
  std::shared_ptr<torch::jit::Graph> program_;
  CapturedProgram out_;
  ir::KnownSizes sizes_;
  ir::Block* block_ = nullptr;
  size_t depth_ = 0;
  std::vector<ChangeLog*> logs_;  // of the blocks around; null for loops
  std::string scope_;             // the path of the module that runs
  std::vector<bool> active_;
  CaptureStop stop_ = CaptureStop::none;
  std::vector<std::string> problems_;
  std::unordered_map<const torch::jit::Value*, Item> items_;
  std::unordered_map<
      const torch::jit::Block*,
      std::unordered_map<const torch::jit::Node*, std::vector<const torch::jit::Value*>>>
      last_uses_;
  std::map<const void*, ObjectRef> objects_;
  std::map<std::string, TensorRef> weights_;  // by what tells tensors apart
  std::vector<at::Tensor> weight_tensors_;    // as out_.program.weights
  std::map<std::string, std::pair<std::string, ir::ValueKind>> names_;  // of the state_dict
  std::set<std::string> keys_;                                          // of weights
  std::set<const void*> weight_storages_;
  std::map<std::pair<const void*, size_t>, at::Tensor> copies_;  // of storages, for lanes
  std::vector<std::weak_ptr<TensorItem>> with_content_;
  KeptLoop* loop_ = nullptr;      // the innermost that is being worked out
  std::vector<at::Tensor> kept_;  // in lists that loops fill: nobody may write into them
  const torch::jit::Node* stands_for_ = nullptr;           // whose place a function of floats takes
  std::map<const void*, std::shared_ptr<Packed>> packed_;  // by the object that packs them
  std::map<const void*, TensorRef> layer_weights_;
  std::map<std::pair<const void*, double>, TensorRef> biases_;  // by the scale of the input too
  std::map<const void*, Items> tables_;                         // codes, scales, offsets of rows
  std::vector<ir::Argument> results_;
  std::map<size_t, const ir::Value*> definers_;  // of symbols that no input has
  bool keeps_loops_ = false;
  bool trial_ = false;  // a round of a loop that stands in the graph already
  std::map<int64_t, std::vector<ir::Expr>> spare_;  // symbols for trials, by their lower bound
  std::map<int64_t, size_t> spare_used_;
  size_t steps_ = 0;
  size_t appended_ = 0;        // nodes
  std::vector<Frame> frames_;  // that of forward, and the calls that are open
  std::vector<ProgramSite> sites_;
};

/// TENSOR in a lane that has it.
const at::Tensor& real_lane(const TensorItem& tensor);

/// What the graph has for TENSOR: floats for quantised ones.
Result<DType> graph_dtype(const at::Tensor& tensor);

/// Whether all lanes of A and B are floats, or quantised with one scale.
bool have_one_scale(const TensorItem& a, const TensorItem& b);

/// The elements of TENSOR for a reader of weights.
Result<Weight> weight_of(const at::Tensor& tensor);

}  // namespace mlc::torch_module
