// What `mlc export-onnx` made, as text and as JSON.
#pragma once

#include "command.h"
#include "mlc/onnx/lower_program.h"
#include "mlc/onnx/narrow.h"
#include "models/verify_view.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace mlc::cli {

struct ExportedValue {
  std::string name;
  std::string type;  // "f32[batch, 10]"
};

struct ExportedSize {
  std::string name;
  int64_t low = 0;
  std::optional<int64_t> high;  // absent: unbounded
};

/// An output whose values hang on random numbers.
struct ExportedRandom {
  std::string name;
  std::vector<std::string> sources;  // "aten::rand in head, at model.py:7"
};

/// An argument of the model that is a number, and part of the ONNX model.
struct FrozenNumber {
  std::string name;
  std::string value;  // "4", "true"
};

struct ExportedWeight {
  std::string name;
  std::string type;  // "f32[768, 768]"
  uint64_t bytes = 0;
};

struct ExportAnswer {
  std::string model;
  std::string output;
  bool dry_run = false;
  int opset = 0;
  std::string opset_reason;  // why it is not the default one: "Resize needs 18"; may be empty
  uint64_t nodes = 0;
  uint64_t program_nodes = 0;  // operators of PyTorch in the program that was lowered
  uint64_t initializers = 0;
  uint64_t initializer_bytes = 0;
  uint64_t file_bytes = 0;
  uint64_t sidecar_bytes = 0;
  uint64_t folded_norms = 0;
  std::string dtype;  // of --dtype, where floats were made smaller
  onnx::NarrowFacts narrowed;
  std::vector<std::pair<std::string, uint64_t>> operators;  // of ONNX, by name
  std::vector<ExportedValue> inputs;
  std::vector<ExportedValue> outputs;
  std::vector<ExportedSize> sizes;   // of inputs, that vary
  std::vector<std::string> numbers;  // inputs of both models that are numbers
  std::vector<FrozenNumber> frozen;
  std::vector<ExportedWeight> weights;
  std::string checker;              // version of ONNX
  std::vector<std::string> random;  // nodes that draw random numbers
  std::vector<ExportedRandom> random_outputs;
  std::string not_verified;  // why; empty where it was
  VerifyAnswer check;        // of the source (A) and the new file (B)
};

/// "n = 4, flag = true".
std::string frozen_text(const ExportAnswer& answer);
/// "f16 in 120 nodes, f32 in 4, between 6 casts". Requires: !answer.dtype.empty().
std::string dtype_text(const ExportAnswer& answer);
void show_export(const ExportAnswer& answer, Context& context);

/// The outputs of MODEL that hang on random numbers.
std::vector<ExportedRandom> exported_random(const onnx::Model& model);
/// "output hangs on random numbers: aten::rand in head, at model.py:7"; nothing where none does.
std::string random_text(std::span<const ExportedRandom> outputs);

/// All of PROBLEMS, which is not empty, and the outputs that are RANDOM, in one error: unsupported.
Error refused_export(const std::vector<onnx::Problem>& problems,
                     std::span<const ExportedRandom> random);
/// Why the file was not written. Requires: !answer.check.passed().
Error differing_export(const ExportAnswer& answer);

}  // namespace mlc::cli
