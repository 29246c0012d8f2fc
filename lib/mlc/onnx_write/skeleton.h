// An ONNX model as bytes, all but its weights: what is small, is made with ONNX's own classes.
//
// An ONNX file is one protobuf message, ModelProto (onnx.proto of ONNX 1.19). Its fields lie here
// in the order in which protobuf itself writes them, cut where the weights go:
//
//   model_head | length | graph_head | the initializers | graph_tail | model_tail
//
// so that a file that is put together of them has the bytes that any writer would give it.
#pragma once

#include "mlc/base/result.h"
#include "mlc/onnx/model.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mlc::onnx {

/// A type that ONNX counts by element where no dtype does: integers of four bits.
struct PackedType {
  int32_t element = 0;  // onnx.TensorProto.DataType
  std::vector<int64_t> sizes;
};

/// A weight, or a constant that is an input of a node.
struct Initializer {
  std::string name;
  DataRef data;
  /// What the bytes, which DATA has as u8, stand for; nothing: what DATA says.
  std::optional<PackedType> packed = std::nullopt;
  std::string other_fields = {};  // of its TensorProto, whole: doc_string, metadata_props

  int32_t element() const { return packed ? packed->element : info(data->dtype).onnx; }
  const std::vector<int64_t>& sizes() const { return packed ? packed->sizes : data->sizes; }
};

struct Skeleton {
  std::string model_head;  // ir_version, producer_name, producer_version
  std::string graph_head;  // of GraphProto: node, name
  std::string graph_tail;  // of GraphProto: input, output, value_info
  std::string model_tail;  // opset_import, metadata_props
  /// What nodes and outputs read, each once, in the order of their first use; inner graphs read
  /// those of the outermost.
  std::vector<Initializer> initializers;
  size_t node_count = 0;  // those of inner graphs too
};

/// Converts MODEL, in which every value that is used needs a name of its own. Nodes get the form
/// that the opset of MODEL has: the `axes` of Reduce operators, always an attribute in a Model,
/// become an input from opset 18 on (ReduceSum: 13). An output that has another name than its value
/// gets an Identity. Errors: internal_error for a model that is not whole, what the tensors of
/// attributes say, unsupported for a build without ONNX and for more than 2 GiB without the
/// weights.
Result<Skeleton> make_skeleton(const Model& model);

/// Where bytes lie in a sidecar.
struct SidecarPlace {
  std::string_view location;  // the name of the file, relative to the model
  uint64_t offset = 0;
  uint64_t length = 0;
};

/// The fields of a TensorProto that come before raw_data, or all of them where the bytes are in a
/// sidecar.
std::string tensor_head(const Initializer& initializer, const SidecarPlace* place);

}  // namespace mlc::onnx
