// What an ONNX file says of itself, read without protobuf and without its weights: what it takes
// and gives, what it needs from a runtime, where its tensors lie.
//
// Follows onnx.proto of ONNX 1.19. The weights of a mapped file are stepped over, so their pages
// are never read. No byte is trusted: lengths, counts, sizes and nesting are checked.
#pragma once

#include "mlc/base/bytes.h"
#include "mlc/base/result.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace mlc {

/// A size that is fixed, or a name for one that varies, or neither.
struct OnnxDim {
  std::optional<int64_t> size;
  std::string symbol;
};

enum class OnnxKind : uint8_t { unknown, tensor, sparse_tensor, sequence, map, optional, opaque };

/// "a sequence", for messages.
std::string_view to_string(OnnxKind kind);

/// An input or an output of the graph.
struct OnnxValue {
  std::string name;
  OnnxKind kind = OnnxKind::unknown;
  int64_t element = 0;                       // onnx.TensorProto.DataType, of tensors
  std::optional<std::vector<OnnxDim>> dims;  // nothing: any rank
};

struct OnnxOperator {
  std::string domain;  // empty: ONNX's own
  std::string type;
  uint64_t count = 0;  // nodes, those of subgraphs and of functions of the file included
};

/// A tensor whose bytes lie in another file.
struct OnnxExternal {
  std::string tensor;
  std::string location;  // relative to the folder of the model
  uint64_t offset = 0;
  std::optional<uint64_t> length;
  std::optional<uint64_t> bytes;  // that type and sizes take
};

struct OnnxFile {
  int64_t ir_version = 0;
  std::string producer;                                 // "pytorch 2.13.0"
  std::vector<std::pair<std::string, int64_t>> opsets;  // domain and version
  std::vector<OnnxValue> inputs;                        // those that have no initializer
  std::vector<OnnxValue> outputs;
  uint64_t nodes = 0;
  uint64_t initializers = 0;
  uint64_t weight_bytes = 0;             // of all initializers, wherever they lie
  std::map<int64_t, uint64_t> elements;  // of all initializers, by onnx.TensorProto.DataType
  std::vector<OnnxOperator> operators;   // sorted; without functions that the file itself defines
  std::vector<OnnxExternal> external;
};

/// Whether FILE, or what is left of it where it was cut off, is an ONNX model rather than anything
/// else that protobuf could be: a version, then the fields of a model only.
bool looks_like_onnx(Bytes file);

/// Errors: corrupt, saying where.
Result<OnnxFile> read_onnx(Bytes file);

/// What one ValueInfoProto says. Error: corrupt.
Result<OnnxValue> read_onnx_value(Bytes message);

}  // namespace mlc
