// Any ONNX file as a thing that can be changed and written again, without protobuf.
//
//   MLC_TRY(Document model, Document::open("net.onnx"));
//   ...edit model.nodes, model.tensors...
//   MLC_TRY(ModelFile file, ModelFile::plan(model.skeleton(), {}));    // onnx_write/write.h
//
// Nodes and weights of the outermost graph can be edited; inner graphs, functions and everything
// else stay as the bytes that they are. Weights stay in the mapped files until they are written.
// What was not changed is written as it was, fields in the order of their numbers as protobuf
// does, but that tensors get their bytes as raw_data: a file that was written from a Document gives
// the same bytes again. No byte is trusted: read_onnx() sees the file before, and
// check_external_data() the files beside it.
#pragma once

#include "mlc/base/bytes.h"
#include "mlc/base/file.h"
#include "mlc/base/result.h"
#include "mlc/onnx/model.h"
#include "mlc/onnx_edit/attribute.h"
#include "mlc/onnx_file/onnx_file.h"
#include "mlc/onnx_write/skeleton.h"

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mlc::onnx {

/// A field that nobody here looks into, as it lies in the file.
struct RawField {
  uint32_t number = 0;
  Bytes bytes;  // whole: with number and type
};

struct DocNode {
  std::string op;
  std::string domain;  // empty: ONNX's own
  std::string name;
  std::vector<std::string> inputs;   // "": an optional input that is left out
  std::vector<std::string> outputs;  // the same
  std::vector<DocAttribute> attributes;
  std::vector<RawField> others;          // doc_string, overload, metadata_props, ...
  std::vector<std::string> inner_names;  // what nodes of graphs in its attributes read

  bool is(std::string_view type) const { return domain.empty() && op == type; }
  const DocAttribute* find(std::string_view attribute) const;
  int64_t integer(std::string_view attribute, int64_t otherwise) const;
  float real(std::string_view attribute, float otherwise) const;
  /// Input I, or "" where there is none.
  const std::string& input(size_t i) const;
};

/// From here on initializers need not be inputs of the graph.
inline constexpr int64_t kIrOfInitializers = 4;

/// An initializer.
struct DocTensor {
  std::string name;
  int64_t element = 0;  // onnx.TensorProto.DataType
  std::vector<int64_t> sizes;
  /// Its bytes, alive as long as the Document or a copy of this is. Of a type without a dtype as
  /// u8. Null for one that is kept as it lies: strings, types that nobody knows.
  DataRef data;
  Bytes message;             // of those: the whole TensorProto
  std::string other_fields;  // whole: doc_string, metadata_props

  /// The dtype of data, where the elements have one.
  std::optional<DType> dtype() const;
};

class Document {
 public:
  /// Errors: those of InputFile::open(), read_onnx() and check_external_data(); corrupt for names
  /// that two initializers share and for tensors whose elements are missing.
  static Result<Document> open(const std::string& path);
  /// The same of bytes that are no file; OWNER keeps them. FOLDER has the files beside the model.
  static Result<Document> parse(Bytes file, std::shared_ptr<const void> owner,
                                const std::string& folder);

  /// What onnx_file tells of it.
  const OnnxFile& facts() const { return facts_; }
  /// Files that it lies in; for OutputFile::publish().
  const std::vector<std::shared_ptr<const InputFile>>& files() const { return files_; }
  /// Of ONNX's own operators; 1 where the file says none.
  int64_t opset() const;

  std::vector<DocNode> nodes;  // of the outermost graph, in an order in which they can run
  std::deque<DocTensor> tensors;

  /// The initializer of that name, or null.
  DocTensor* find_tensor(std::string_view name);
  const DocTensor* find_tensor(std::string_view name) const;
  /// Adds an initializer under NAME, or NAME_1, ... where that is taken; its name.
  std::string add_tensor(std::string_view name, DataRef data,
                         std::optional<PackedType> packed = std::nullopt);
  /// Adds an initializer with the name of a value whose node is taken away.
  void name_tensor(const std::string& name, DataRef data);
  /// A name that nothing has, now taken: NAME, or NAME_1, ...
  std::string unused_name(std::string_view name);
  /// Constant nodes that hold a tensor become initializers of the same name, but those that are
  /// outputs of the graph. Errors: corrupt; the document is then of no use any more.
  Status lift_constants();
  /// Takes away initializers that nothing reads any more.
  void drop_unused_tensors();
  /// Attributes of new nodes live as long as the document.
  DocAttribute attribute(std::string_view name, int64_t value);
  DocAttribute attribute(std::string_view name, std::span<const int64_t> values);
  DocAttribute attribute(std::string_view name, std::string_view text);

  /// Element type and sizes that the file states for a value: an input, an output or value_info.
  const OnnxValue* value_info(std::string_view name) const;
  /// Names of the graph's inputs and outputs.
  const std::vector<std::string>& input_names() const { return input_names_; }
  const std::vector<std::string>& output_names() const { return output_names_; }
  /// States that NAME is a tensor of DTYPE, of any size, unless the file states something of it:
  /// what operators give that ONNX does not know needs that.
  void state_tensor(const std::string& name, DType dtype);
  /// States that NAME is an output of the graph too, of the type that it happens to have: ONNX
  /// Runtime finds it, ONNX's checker wants to know more.
  void add_output(const std::string& name);
  /// Initializers that are listed as inputs, which callers could exchange, become constants: none
  /// of them is an input any more. Their names.
  std::vector<std::string> fix_overridable();
  /// Takes away what the file states of values that no node and no output has any more.
  void drop_unused_value_info();
  /// Takes away what the file states of NAMES, values that are neither inputs nor outputs.
  void drop_value_info(const std::set<std::string, std::less<>>& names);

  /// Makes the file say that it needs DOMAIN in VERSION, where it does not already.
  void import_domain(std::string_view domain, int64_t version);
  /// An entry of metadata_props; replaces one of that key.
  void set_metadata(std::string_view key, std::string_view value);
  std::optional<std::string> metadata(std::string_view key) const;
  /// All entries, in the order of the file.
  const std::vector<std::pair<std::string, std::string>>& all_metadata() const { return metadata_; }
  /// Of ONNX's own operators; the nodes have to be those of VERSION.
  void set_opset(int64_t version);
  /// At least VERSION.
  void raise_ir_version(int64_t version);
  void set_producer(std::string_view name, std::string_view version);

  /// What ModelFile::plan() takes.
  Skeleton skeleton() const;

 private:
  friend class DocumentReader;

  struct Value {
    OnnxValue value;
    Bytes message;  // the ValueInfoProto
  };

  Document() = default;
  DocAttribute keep(std::string_view name, std::string message);
  void index_values();
  Value tensor_value(const std::string& name, DType dtype);
  std::string graph_head() const;
  std::string graph_tail() const;

  OnnxFile facts_;
  std::vector<std::shared_ptr<const InputFile>> files_;
  std::shared_ptr<const void> owner_;
  std::deque<std::string> made_;  // bytes of new messages

  int64_t ir_version_ = 0;
  size_t inner_nodes_ = 0;  // of inner graphs and functions
  std::vector<std::pair<std::string, int64_t>> opsets_;
  std::vector<std::pair<std::string, std::string>> metadata_;
  std::vector<RawField> model_fields_;  // all but version, graph, opsets and metadata
  std::vector<RawField> graph_fields_;  // all but nodes, tensors and values
  std::deque<Value> inputs_;
  std::deque<Value> outputs_;
  std::deque<Value> infos_;
  std::vector<std::string> input_names_;
  std::vector<std::string> output_names_;
  std::map<std::string, size_t, std::less<>> tensor_index_;
  std::map<std::string, const OnnxValue*, std::less<>> value_index_;
  std::set<std::string, std::less<>> names_;  // of values and nodes, inner ones too
};

}  // namespace mlc::onnx
