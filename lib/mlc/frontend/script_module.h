// A model as a tree of script modules: what an architecture YAML becomes, and all that an engine
// needs to build it. Nothing here refers to LibTorch; lib/mlc/torch turns it into
// torch::jit::Module, one class per ScriptModule, bottom up:
//
//   for each child:         register_module(child.name, built child)
//   "training":             register_attribute(BoolType, false), on every module
//   parameters, buffers:    register_parameter / register_buffer in this order; values from the
//                           checkpoint under ScriptTensor::path, or from `init`. A tensor with
//                           `tied_to` is the very tensor registered under that path.
//   constants:              register_attribute, typed by the alternative of Value: NoneType,
//                           bool, int, float, str, List[int], List[float], List[str]. A constant
//                           None also stands for each optional parameter that is absent (bias).
//   source, unless empty:   define(source), once. It holds `forward`, the other methods that the
//                           user wrote, and `__call__`, which makes `self.child(x)` compile.
//
// forward_header(root.source) of forward_text.h tells what the model takes. All this was tried with
// torch::jit::Module::define of LibTorch 2.13: every type compiles, saves and loads in Python.
//
// What the text of leaves needs from the resolver: the name `torch` with the operators of aten
// (`torch.conv2d`; what NativeResolver knows). What users write may need F, math, torch.float32.
// A child whose name is a number is reached as getattr(self.blocks, "0"). Loops over modules and
// indices into them are gone already (unroll.h). ModuleList, ModuleDict and classes without
// `forward` have no source: they only hold children.
//
// A compile error at line and column of `source` is somewhere in the YAML: position_in_yaml().
#pragma once

#include "mlc/frontend/value.h"
#include "mlc/tensor/dtype.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace mlc::arch {

/// A place in the YAML file, from 1; columns count bytes. Line 0: no place, a generated text.
struct Position {
  size_t line = 0;
  size_t column = 0;
};

/// The values of a tensor that no checkpoint gives: for runs with random weights, and for buffers
/// that are not saved.
struct Init {
  enum class Kind {
    uniform,  // in [-a, a]
    normal,   // mean 0, deviation a
    full,     // a everywhere
    arange,   // 0, 1, 2, ... along the last dimension
    tril,     // ones on and below the diagonal of the last two dimensions, zeros above
    values    // `values` in row-major order
  };
  Kind kind = Kind::full;
  double a = 0;
  std::vector<double> values;
};

struct ScriptTensor {
  std::string name;  // "weight"
  std::string path;  // "layer1.0.conv1.weight", the key in the state_dict
  DType dtype = DType::f32;
  Ints shape;              // its bytes fit 63 bits
  bool persistent = true;  // buffers: whether the state_dict has it
  std::string tied_to;     // the path of the tensor that this one is; empty: its own
  Init init;
};

/// Source text that moved sideways: from column SOURCE on it was YAML plus (yaml - source).
struct ColumnShift {
  size_t source = 1;  // first column of a piece of the source line, from 1
  size_t yaml = 1;    // the column it had within the text line of the YAML, from 1
};

/// Where a line of `source` comes from.
struct SourceLine {
  Position position;                // of the line's first character
  std::vector<ColumnShift> shifts;  // ascending; empty: unchanged
};

struct ScriptModule {
  std::string name;                 // in its parent: "conv1", "0"; empty: the root
  std::string path;                 // from the root: "layer1.0.conv1"; empty: the root
  std::string type;                 // "Conv2d", the name of a class, "ModuleList", "Module"
  Position position;                // of its YAML; that of the nearest module above if it has none
  std::vector<Constant> arguments;  // of the constructor: all, PyTorch's names, defaults filled in
  std::vector<ScriptTensor> parameters;  // PyTorch's order of registration
  std::vector<ScriptTensor> buffers;
  std::vector<Constant> constants;  // attributes; never named like a tensor or a child
  std::vector<ScriptModule> children;
  std::string source;
  std::vector<SourceLine> lines;  // one for each line of `source`

  const ScriptModule* child(std::string_view child_name) const;
};

/// Sets `source`, and `lines` that belong to no place of the YAML.
void set_generated_source(ScriptModule& module, std::string source);

/// The place in the YAML of LINE and COLUMN (from 1) of module.source; for generated text that of
/// the module.
Position position_in_yaml(const ScriptModule& module, size_t line, size_t column);

}  // namespace mlc::arch
