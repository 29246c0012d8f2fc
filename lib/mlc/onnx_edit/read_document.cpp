#include "mlc/base/text.h"
#include "mlc/onnx_edit/document.h"
#include "mlc/onnx_file/element_type.h"
#include "mlc/onnx_file/external_data.h"
#include "mlc/onnx_file/proto_reader.h"

#include <algorithm>
#include <array>
#include <filesystem>

namespace mlc::onnx {
namespace {

constexpr size_t kMostItems = 1 << 20;  // nodes, tensors, ...: no model has so many

/// Which field of a TensorProto has the elements, where they are not raw, and how they lie there.
enum class TypedAs : uint8_t { varints, words, double_words };
struct TypedField {
  uint32_t number;
  TypedAs as;
};
constexpr std::array kTyped = {
    TypedField{4, TypedAs::words},          // float_data
    TypedField{5, TypedAs::varints},        // int32_data
    TypedField{7, TypedAs::varints},        // int64_data
    TypedField{10, TypedAs::double_words},  // double_data
    TypedField{11, TypedAs::varints},       // uint64_data
};

/// Bytes of a number in those fields: an element, half of a complex one, or what packs share.
size_t unit_bytes(int64_t element) {
  const auto dtype = dtype_from_onnx(element);
  return dtype ? static_cast<size_t>(component_bytes(*dtype)) : 1;
}

void append_unit(std::string& out, uint64_t value, size_t bytes) {
  std::array<char, 8> raw{};
  store_le(raw.data(), value);
  out.append(raw.data(), bytes);
}

/// A TensorProto, taken apart.
struct TensorParts {
  DocTensor tensor;
  std::optional<Bytes> raw;
  std::vector<std::pair<TypedField, Bytes>> typed;  // packed runs
  std::string single;                               // numbers that are not packed
  bool is_external = false;
  bool is_strange = false;  // strings, segments
  OnnxExternal external;
};

Result<TensorParts> take_apart(Bytes message) {
  TensorParts out;
  out.tensor.message = message;
  std::vector<uint64_t> singles;
  ProtoReader reader(message);
  for (;;) {
    MLC_TRY(const bool more, reader.next());
    if (!more) break;
    if (reader.is(1, WireType::varint)) out.tensor.sizes.push_back(reader.integer());
    if (reader.is(1, WireType::bytes)) {
      for (Bytes packed = reader.bytes(); !packed.empty();) {
        const auto size = ProtoReader::take_varint(packed);
        if (!size) return corrupt("the sizes of a tensor are cut off");
        out.tensor.sizes.push_back(static_cast<int64_t>(*size));
      }
    }
    if (reader.is(2, WireType::varint)) out.tensor.element = reader.integer();
    if (reader.number() == 3 || reader.number() == 6) out.is_strange = true;
    if (reader.is(8, WireType::bytes)) out.tensor.name = reader.text();
    if (reader.is(9, WireType::bytes)) out.raw = reader.bytes();
    if (reader.is(13, WireType::bytes))
      MLC_CHECK(add_external_entry(reader.message(), out.external));
    if (reader.is(14, WireType::varint)) out.is_external = reader.value() == 1;
    if (reader.number() == 12 || reader.number() > 14)
      out.tensor.other_fields += as_text(reader.field());
    const auto typed = std::ranges::find(kTyped, reader.number(), &TypedField::number);
    if (typed == kTyped.end()) continue;
    if (reader.is(typed->number, WireType::bytes)) {
      out.typed.emplace_back(*typed, reader.bytes());
    } else {
      singles.push_back(reader.value());
    }
  }
  for (const uint64_t value : singles)
    append_unit(out.single, value, unit_bytes(out.tensor.element));
  return out;
}

/// The elements of PARTS that do not lie there as raw data.
Result<std::string> converted(const TensorParts& parts) {
  const size_t unit = unit_bytes(parts.tensor.element);
  std::string out = parts.single;
  for (const auto& [field, run] : parts.typed) {
    if (field.as != TypedAs::varints) {
      out += as_text(run);
      continue;
    }
    for (Bytes packed = run; !packed.empty();) {
      const auto value = ProtoReader::take_varint(packed);
      if (!value) return corrupt("the elements are cut off");
      append_unit(out, *value, unit);
    }
  }
  return out;
}

/// The names that nodes and outputs of a graph read, those of graphs in it too.
Status inner_reads(ProtoReader graph, std::vector<std::string>& reads,
                   std::set<std::string, std::less<>>& names);

Status inner_graphs(ProtoReader attribute, std::vector<std::string>& reads,
                    std::set<std::string, std::less<>>& names) {
  for (;;) {
    MLC_TRY(const bool more, attribute.next());
    if (!more) return {};
    if (attribute.is(6, WireType::bytes) || attribute.is(11, WireType::bytes))
      MLC_CHECK(inner_reads(attribute.message(), reads, names));
  }
}

Status inner_node(ProtoReader node, std::vector<std::string>& reads,
                  std::set<std::string, std::less<>>& names) {
  for (;;) {
    MLC_TRY(const bool more, node.next());
    if (!more) return {};
    if (node.is(1, WireType::bytes)) reads.emplace_back(node.text());
    if (node.is(2, WireType::bytes) || node.is(3, WireType::bytes)) names.emplace(node.text());
    if (node.is(5, WireType::bytes)) MLC_CHECK(inner_graphs(node.message(), reads, names));
  }
}

Status inner_reads(ProtoReader graph, std::vector<std::string>& reads,
                   std::set<std::string, std::less<>>& names) {
  for (;;) {
    MLC_TRY(const bool more, graph.next());
    if (!more) return {};
    if (reads.size() > kMostItems) return corrupt("it has more nodes than any model");
    if (graph.is(1, WireType::bytes)) MLC_CHECK(inner_node(graph.message(), reads, names));
    if (graph.is(5, WireType::bytes)) {
      MLC_TRY(const TensorParts parts, take_apart(graph.bytes()));
      names.insert(parts.tensor.name);
    }
    if (graph.is(11, WireType::bytes) || graph.is(12, WireType::bytes)) {
      MLC_TRY(OnnxValue value, read_onnx_value(graph.bytes()));
      if (graph.number() == 12) reads.push_back(value.name);
      names.insert(std::move(value.name));
    }
  }
}

}  // namespace

/// Fills a Document. Everything was seen by read_onnx() before, which bounds the nesting.
class DocumentReader {
 public:
  explicit DocumentReader(std::shared_ptr<const void> owner, std::string folder)
      : folder_(std::move(folder)) {
    out_.owner_ = std::move(owner);
  }

  Result<Document> read(Bytes file);
  Result<Document> lift_constants(Document document);

 private:
  Status model(ProtoReader reader);
  Status opset(ProtoReader reader);
  Status metadata(ProtoReader reader);
  Status graph(ProtoReader reader);
  Status node(ProtoReader reader);
  Status tensor(Bytes message);
  Status tensor_data(TensorParts parts);
  Status value(Bytes message, std::deque<Document::Value>& to);
  Result<Buffer> external_bytes(const OnnxExternal& place, uint64_t length);

  static Status room(size_t count) {
    return count < kMostItems ? Status() : corrupt("it has more parts than any model");
  }

  std::string folder_;
  std::map<std::string, std::shared_ptr<InputFile>> opened_;
  size_t external_ = 0;  // initializers in other files
  size_t strings_ = 0;   // inputs and outputs of nodes
  Document out_;
};

Status DocumentReader::opset(ProtoReader reader) {
  std::pair<std::string, int64_t> row;
  for (;;) {
    MLC_TRY(const bool more, reader.next());
    if (!more) break;
    if (reader.is(1, WireType::bytes)) row.first = reader.text();
    if (reader.is(2, WireType::varint)) row.second = reader.integer();
  }
  out_.opsets_.push_back(std::move(row));
  return room(out_.opsets_.size());
}

Status DocumentReader::metadata(ProtoReader reader) {
  std::pair<std::string, std::string> row;
  for (;;) {
    MLC_TRY(const bool more, reader.next());
    if (!more) break;
    if (reader.is(1, WireType::bytes)) row.first = reader.text();
    if (reader.is(2, WireType::bytes)) row.second = reader.text();
  }
  out_.metadata_.push_back(std::move(row));
  return room(out_.metadata_.size());
}

Status DocumentReader::model(ProtoReader reader) {
  for (;;) {
    MLC_TRY(const bool more, reader.next());
    if (!more) return {};
    if (reader.is(1, WireType::varint)) {
      out_.ir_version_ = reader.integer();
    } else if (reader.is(7, WireType::bytes)) {
      MLC_CHECK(graph(reader.message()));
    } else if (reader.is(8, WireType::bytes)) {
      MLC_CHECK(opset(reader.message()));
    } else if (reader.is(14, WireType::bytes)) {
      MLC_CHECK(metadata(reader.message()));
    } else {
      out_.model_fields_.push_back({reader.number(), reader.field()});
      MLC_CHECK(room(out_.model_fields_.size()));
    }
  }
}

Status DocumentReader::graph(ProtoReader reader) {
  for (;;) {
    MLC_TRY(const bool more, reader.next());
    if (!more) return {};
    if (reader.is(1, WireType::bytes)) {
      MLC_CHECK(node(reader.message()));
    } else if (reader.is(5, WireType::bytes)) {
      MLC_CHECK(tensor(reader.bytes()));
    } else if (reader.is(11, WireType::bytes)) {
      MLC_CHECK(value(reader.bytes(), out_.inputs_));
    } else if (reader.is(12, WireType::bytes)) {
      MLC_CHECK(value(reader.bytes(), out_.outputs_));
    } else if (reader.is(13, WireType::bytes)) {
      MLC_CHECK(value(reader.bytes(), out_.infos_));
    } else {
      out_.graph_fields_.push_back({reader.number(), reader.field()});
      MLC_CHECK(room(out_.graph_fields_.size()));
    }
  }
}

Status DocumentReader::node(ProtoReader reader) {
  DocNode out;
  for (;;) {
    MLC_TRY(const bool more, reader.next());
    if (!more) break;
    if (reader.is(1, WireType::bytes)) {
      out.inputs.emplace_back(reader.text());
      MLC_CHECK(room(++strings_ / 4));
    } else if (reader.is(2, WireType::bytes)) {
      out.outputs.emplace_back(reader.text());
      MLC_CHECK(room(++strings_ / 4));
    } else if (reader.is(3, WireType::bytes)) {
      out.name = reader.text();
    } else if (reader.is(4, WireType::bytes)) {
      out.op = reader.text();
    } else if (reader.is(5, WireType::bytes)) {
      DocAttribute attribute{.name = {}, .message = reader.bytes()};
      ProtoReader inner = reader.message();
      for (;;) {
        MLC_TRY(const bool again, inner.next());
        if (!again) break;
        if (inner.is(1, WireType::bytes)) attribute.name = inner.text();
      }
      MLC_CHECK(inner_graphs(reader.message(), out.inner_names, out_.names_));
      out.attributes.push_back(std::move(attribute));
      MLC_CHECK(room(++strings_ / 4));
    } else if (reader.is(7, WireType::bytes)) {
      out.domain = reader.text();
    } else {
      out.others.push_back({reader.number(), reader.field()});
      MLC_CHECK(room(++strings_ / 4));
    }
  }
  if (out.domain == "ai.onnx") out.domain.clear();
  out_.names_.insert(out.outputs.begin(), out.outputs.end());
  out_.names_.insert(out.name);
  out_.nodes.push_back(std::move(out));
  return room(out_.nodes.size());
}

Status DocumentReader::tensor(Bytes message) {
  MLC_TRY(TensorParts parts, take_apart(message));
  const std::string name = parts.tensor.name;
  MLC_CHECK_CTX(tensor_data(std::move(parts)), "tensor " + mlc::quoted(name));
  if (!out_.tensor_index_.emplace(name, out_.tensors.size() - 1).second)
    return corrupt("two initializers have the name " + mlc::quoted(name));
  out_.names_.insert(name);
  return room(out_.tensors.size());
}

Result<Buffer> DocumentReader::external_bytes(const OnnxExternal& place, uint64_t length) {
  auto& file = opened_[place.location];
  if (!file) {
    const auto path = std::filesystem::path(folder_) / place.location;
    MLC_TRY(file, InputFile::open(path.string()));
    out_.files_.push_back(file);
  }
  MLC_TRY(const Bytes whole, file->map());
  // The file may have changed since check_external_data() looked at it.
  if (place.offset > whole.size() || length > whole.size() - place.offset)
    return corrupt("it ends beyond " + mlc::quoted(place.location));
  return Buffer{whole.subspan(static_cast<size_t>(place.offset), static_cast<size_t>(length)),
                file};
}

Status DocumentReader::tensor_data(TensorParts parts) {
  DocTensor& tensor = parts.tensor;
  uint64_t count = 1;
  for (const int64_t size : tensor.sizes) count *= static_cast<uint64_t>(size);  // it fits
  const auto bytes = onnx_bytes(tensor.element, count);
  if (!bytes || parts.is_strange) {
    if (parts.is_external) return unsupported("a tensor of this type in another file");
    out_.tensors.push_back(std::move(tensor));
    return {};
  }
  Buffer buffer;
  if (parts.is_external) {
    ++external_;
    MLC_TRY(buffer, external_bytes(parts.external, *bytes));
  } else if (parts.raw) {
    buffer = {*parts.raw, out_.owner_};
  } else {
    MLC_TRY(std::string made, converted(parts));
    const auto owner = std::make_shared<const std::string>(std::move(made));
    buffer = {as_bytes(*owner), owner};
  }
  if (buffer.bytes.size() != *bytes)
    return corrupt("it takes " + format_count(*bytes) + " bytes and holds " +
                   format_count(buffer.bytes.size()));
  auto data = std::make_shared<TensorData>();
  const auto dtype = dtype_from_onnx(tensor.element);
  data->dtype = dtype.value_or(DType::u8);
  data->sizes = tensor.sizes;
  if (!dtype) data->sizes = {static_cast<int64_t>(*bytes)};
  data->key = tensor.name;
  data->produce = [buffer]() -> Result<Buffer> { return buffer; };
  tensor.data = std::move(data);
  tensor.message = {};
  out_.tensors.push_back(std::move(tensor));
  return {};
}

Status DocumentReader::value(Bytes message, std::deque<Document::Value>& to) {
  MLC_TRY(OnnxValue value, read_onnx_value(message));
  out_.names_.insert(value.name);
  to.push_back({std::move(value), message});
  return room(to.size());
}

Result<Document> DocumentReader::read(Bytes file) {
  MLC_TRY(out_.facts_, read_onnx(file));
  MLC_CHECK(check_external_data(out_.facts_.external,
                                (std::filesystem::path(folder_) / "model.onnx").string()));
  MLC_CHECK(model(ProtoReader(file)));
  if (external_ != out_.facts_.external.size())
    return unsupported("tensors of inner graphs or of attributes lie in other files");
  out_.inner_nodes_ = static_cast<size_t>(out_.facts_.nodes) - out_.nodes.size();
  out_.index_values();
  return std::move(out_);
}

Result<Document> DocumentReader::lift_constants(Document document) {
  out_ = std::move(document);
  const auto stays = [this](const DocNode& node) {
    return !node.is("Constant") || node.outputs.size() != 1 || node.attributes.size() != 1 ||
           !node.attributes[0].tensor() ||
           std::ranges::find(out_.output_names_, node.outputs[0]) != out_.output_names_.end();
  };
  std::vector<DocNode> kept;
  for (DocNode& node : out_.nodes) {
    if (stays(node)) {
      kept.push_back(std::move(node));
      continue;
    }
    const std::string& name = node.outputs[0];
    MLC_TRY(TensorParts parts, take_apart(*node.attributes[0].tensor()));
    if (parts.is_external) return unsupported("attributes lie in other files");
    parts.tensor.name = name;
    parts.tensor.other_fields.clear();
    MLC_CHECK_CTX(tensor_data(std::move(parts)), "tensor " + mlc::quoted(name));
    if (!out_.tensors.back().data) {  // strings: their message has another name
      out_.tensors.pop_back();
      kept.push_back(std::move(node));
      continue;
    }
    out_.raise_ir_version(kIrOfInitializers);
    if (!out_.tensor_index_.emplace(name, out_.tensors.size() - 1).second)
      return corrupt("a node gives what is an initializer already: " + mlc::quoted(name));
  }
  out_.nodes = std::move(kept);
  out_.drop_unused_value_info();
  return std::move(out_);
}

Status Document::lift_constants() {
  const auto owner = owner_;
  auto lifted = DocumentReader(owner, {}).lift_constants(std::move(*this));
  if (!lifted.ok()) return std::move(lifted).error();
  *this = std::move(*lifted);
  return {};
}

Result<Document> Document::parse(Bytes file, std::shared_ptr<const void> owner,
                                 const std::string& folder) {
  return DocumentReader(std::move(owner), folder).read(file);
}

Result<Document> Document::open(const std::string& path) {
  MLC_TRY(const std::shared_ptr<InputFile> file, InputFile::open(path));
  MLC_TRY(const Bytes bytes, file->map());
  if (!looks_like_onnx(bytes)) return corrupt("it is no ONNX model");
  MLC_TRY(Document out, parse(bytes, file, std::filesystem::path(path).parent_path().string()));
  out.files_.insert(out.files_.begin(), file);
  return out;
}

}  // namespace mlc::onnx
