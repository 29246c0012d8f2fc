// Architecture YAML: a model as a tree of modules, without Python and without LibTorch.
//
//   mlc: architecture/1
//   name: digits_cnn
//   inputs: ["image:f32[batch=1..1024,1,8,8]"]
//   outputs: [logits]
//   modules:
//     conv1: {type: Conv2d, in_channels: 1, out_channels: 16, kernel_size: 3}
//     blocks: {repeat: 4, type: Block, channels: 16}         # blocks.0 ... blocks.3, $index in it
//     head: {type: Sequential, modules: [{type: Flatten}, {type: Linear, ...}]}
//   classes:
//     Block:
//       parameters: {channels: int, scale: {type: float, default: 1.0}}   # arguments
//       modules: {conv: {type: Conv2d, in_channels: $channels, ...}}
//       forward: |
//         def forward(self, x: Tensor) -> Tensor: ...
//   parameters: {cls: {shape: [1, 1, 16], init: zeros}}      # tensors of the root itself
//   buffers: {ids: {shape: [1, 512], dtype: int64, init: arange, persistent: false}}
//   tie: {decoder.weight: embed.weight}
//   forward: | ...
//
// `modules` are children in order. A module is a mapping with `type` (a module of torch.nn, see
// module_types.h, or a class) and the arguments of its constructor under PyTorch's names; a mapping
// with `modules`, `forward`, ... instead of `type` is a class without a name; a list is a
// ModuleList; a class with `type: Sequential` is one of its `modules`, a list. In a list `repeat`
// puts that many modules in its place; elsewhere it makes a ModuleList. `when: $flag` leaves a
// module out where the flag is false: it is None then, as in PyTorch. Under `parameters` a type
// (`int`, `float`, `bool`, `str`, `list`, with ? for null) declares an argument and a mapping with
// `shape` a tensor. Expressions: expression.h.
#pragma once

#include "mlc/base/result.h"
#include "mlc/frontend/script_module.h"
#include "mlc/yaml/document.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlc::arch {

inline constexpr std::string_view kArchitectureFormat = "architecture/1";
inline constexpr size_t kMaxModules = 100'000;
/// What the tree may take in memory, about: names, texts, values. A file of some lines can repeat a
/// long text or list without end.
inline constexpr uint64_t kMaxTreeBytes = 256U << 20U;
inline constexpr uint64_t kMaxArchitectureBytes = 16U << 20U;

/// A piece of text that another part parses, and where it stands.
struct PositionedText {
  std::string text;
  Position position;
};

class Architecture {
 public:
  /// FILE is used in messages only. The errors are of kind usage and point at line and column;
  /// unsupported for a format other than architecture/1.
  static Result<Architecture> parse(std::string text, const std::string& file);
  /// Errors: not_found, read_failed, and those of parse().
  static Result<Architecture> parse_file(const std::string& path);

  const std::string& name() const { return name_; }  // may be empty
  /// "image:f32[batch=1..1024,1,8,8]", ... as written.
  const std::vector<PositionedText>& inputs() const { return inputs_; }
  const std::vector<PositionedText>& outputs() const { return outputs_; }
  const ScriptModule& root() const { return root_; }

  /// The YAML, and the name for messages.
  const std::string& text() const { return document_.document_text(); }
  const std::string& file() const { return document_.document_name(); }
  /// An error that points at a place of the YAML, as those of parse() do: for what is found later,
  /// by the compiler of TorchScript (position_in_yaml) or in the inputs.
  Error error_at(Position position, std::string message, std::string hint = {}) const;

 private:
  explicit Architecture(yaml::Node document) : document_(std::move(document)) {}

  yaml::Node document_;
  std::string name_;
  std::vector<PositionedText> inputs_;
  std::vector<PositionedText> outputs_;
  ScriptModule root_;
};

/// Whether TEXT, or the beginning of a longer one, says `mlc: architecture/...`.
bool looks_like_architecture(std::string_view text);

/// A row of the state_dict.
struct StateDictTensor {
  std::string name;
  DType dtype = DType::f32;
  Ints shape;
  std::string tied_to;  // the name of the tensor that this one is; empty: its own
};

/// The state_dict that PyTorch would give for this model, in its order: of each module parameters,
/// persistent buffers, children. Tied tensors appear under all their names.
std::vector<StateDictTensor> state_dict_of(const Architecture& architecture);

}  // namespace mlc::arch
