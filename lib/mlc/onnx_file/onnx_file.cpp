#include "mlc/onnx_file/onnx_file.h"

#include "mlc/base/checked_math.h"
#include "mlc/base/text.h"
#include "mlc/onnx_file/element_type.h"
#include "mlc/onnx_file/external_data.h"
#include "mlc/onnx_file/proto_reader.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <string_view>
#include <utility>

namespace mlc {
namespace {

constexpr int kDeepest = 100;             // nested messages, as protobuf's own limit
constexpr uint64_t kMostItems = 1 << 20;  // of what is kept of each kind: no file has so many
constexpr size_t kMostDims = 64;
constexpr int64_t kHighestVersion = 10'000;  // far above any IR version

/// The fields of a ModelProto with their wire types.
constexpr std::array<std::pair<uint32_t, WireType>, 12> kModelFields = {{
    {1, WireType::varint},  // ir_version
    {2, WireType::bytes},   // producer_name
    {3, WireType::bytes},   // producer_version
    {4, WireType::bytes},   // domain
    {5, WireType::varint},  // model_version
    {6, WireType::bytes},   // doc_string
    {7, WireType::bytes},   // graph
    {8, WireType::bytes},   // opset_import
    {14, WireType::bytes},  // metadata_props
    {20, WireType::bytes},  // training_info
    {25, WireType::bytes},  // functions
    {26, WireType::bytes},  // configuration
}};

/// What read_onnx() collects on its way through the messages.
class ModelReader {
 public:
  Status model(ProtoReader reader) {
    bool has_graph = false;
    std::string version;
    for (;;) {
      MLC_TRY(const bool more, reader.next());
      if (!more) break;
      if (reader.is(1, WireType::varint)) out_.ir_version = reader.integer();
      if (reader.is(2, WireType::bytes)) out_.producer = reader.text();
      if (reader.is(3, WireType::bytes)) version = reader.text();
      if (reader.is(7, WireType::bytes)) {
        has_graph = true;
        MLC_CHECK_CTX(graph(reader.message(), 1), "graph");
      }
      if (reader.is(8, WireType::bytes)) MLC_CHECK(opset(reader.message()));
      if (reader.is(25, WireType::bytes)) MLC_CHECK(function(reader.message()));
    }
    if (!has_graph) return corrupt("it holds no graph");
    if (!version.empty()) out_.producer += (out_.producer.empty() ? "" : " ") + version;
    return {};
  }

  static Result<OnnxValue> read_value(ProtoReader reader) {
    OnnxValue value;
    for (;;) {
      MLC_TRY(const bool more, reader.next());
      if (!more) return value;
      if (reader.is(1, WireType::bytes)) value.name = reader.text();
      if (reader.is(2, WireType::bytes)) MLC_CHECK(type(reader.message(), value));
    }
  }

  OnnxFile take() {
    // Initializers that old files list among the inputs are no inputs of a caller.
    std::erase_if(out_.inputs,
                  [&](const OnnxValue& value) { return initializers_.contains(value.name); });
    for (const auto& [name, count] : operators_) {
      if (functions_.contains(name)) continue;
      out_.operators.push_back({std::string(name.first), std::string(name.second), count});
    }
    return std::move(out_);
  }

 private:
  using Name = std::pair<std::string_view, std::string_view>;  // domain, type

  static Error too_many(std::string_view what) {
    return corrupt("it has more " + std::string(what) + " than any model");
  }

  static Error too_deep() {
    return corrupt("its graphs are nested more than " + std::to_string(kDeepest) + " deep");
  }

  Status opset(ProtoReader reader) {
    std::pair<std::string, int64_t> entry;
    for (;;) {
      MLC_TRY(const bool more, reader.next());
      if (!more) break;
      if (reader.is(1, WireType::bytes)) entry.first = reader.text();
      if (reader.is(2, WireType::varint)) entry.second = reader.integer();
    }
    if (entry.first == "ai.onnx") entry.first.clear();
    if (out_.opsets.size() == kMostItems) return too_many("opsets");
    out_.opsets.push_back(std::move(entry));
    return {};
  }

  /// DEPTH 1 is the graph of the model, all others belong to nodes.
  Status graph(ProtoReader reader, int depth) {
    if (depth > kDeepest) return too_deep();
    for (;;) {
      MLC_TRY(const bool more, reader.next());
      if (!more) return {};
      if (reader.is(1, WireType::bytes)) MLC_CHECK(node(reader.message(), depth));
      if (reader.is(5, WireType::bytes)) {
        MLC_TRY(const std::string_view name, tensor(reader.message(), true));
        if (depth == 1) initializers_.insert(name);
      }
      if (reader.is(15, WireType::bytes)) MLC_CHECK(sparse_tensor(reader.message(), depth));
      if (depth > 1) continue;
      if (reader.is(11, WireType::bytes)) MLC_CHECK(value(reader.message(), out_.inputs));
      if (reader.is(12, WireType::bytes)) MLC_CHECK(value(reader.message(), out_.outputs));
    }
  }

  Status node(ProtoReader reader, int depth) {
    Name name;
    for (;;) {
      MLC_TRY(const bool more, reader.next());
      if (!more) break;
      if (reader.is(4, WireType::bytes)) name.second = reader.text();
      if (reader.is(5, WireType::bytes)) MLC_CHECK(attribute(reader.message(), depth));
      if (reader.is(7, WireType::bytes)) name.first = reader.text();
    }
    if (name.first == "ai.onnx") name.first = {};
    ++out_.nodes;
    ++operators_[name];
    return operators_.size() > kMostItems ? Status(too_many("operators")) : Status();
  }

  Status attribute(ProtoReader reader, int depth) {
    for (;;) {
      MLC_TRY(const bool more, reader.next());
      if (!more) return {};
      if (reader.is(5, WireType::bytes) || reader.is(10, WireType::bytes)) {
        MLC_CHECK(tensor(reader.message(), false));
      }
      if (reader.is(6, WireType::bytes) || reader.is(11, WireType::bytes)) {
        MLC_CHECK(graph(reader.message(), depth + 1));
      }
      if (reader.is(22, WireType::bytes) || reader.is(23, WireType::bytes)) {
        MLC_CHECK(sparse_tensor(reader.message(), depth + 1));
      }
    }
  }

  Status function(ProtoReader reader) {
    Name name;
    for (;;) {
      MLC_TRY(const bool more, reader.next());
      if (!more) break;
      if (reader.is(1, WireType::bytes)) name.second = reader.text();
      if (reader.is(7, WireType::bytes)) MLC_CHECK(node(reader.message(), 1));
      if (reader.is(10, WireType::bytes)) name.first = reader.text();
      if (reader.is(11, WireType::bytes)) MLC_CHECK(attribute(reader.message(), 1));
    }
    functions_.insert(name);
    return functions_.size() > kMostItems ? Status(too_many("functions")) : Status();
  }

  Status sparse_tensor(ProtoReader reader, int depth) {
    for (;;) {
      MLC_TRY(const bool more, reader.next());
      if (!more) return {};
      if (reader.is(1, WireType::bytes)) {  // values, which carry the name
        MLC_TRY(const std::string_view name, tensor(reader.message(), true));
        if (depth == 1) initializers_.insert(name);
      }
      if (reader.is(2, WireType::bytes)) MLC_CHECK(tensor(reader.message(), false));
    }
  }

  /// Counts a TensorProto and gives its name.
  Result<std::string_view> tensor(ProtoReader reader, bool is_initializer) {
    std::string_view name;
    int64_t type = 0;
    Count count;
    std::optional<uint64_t> raw;
    bool is_external = false;
    OnnxExternal external;
    for (;;) {
      MLC_TRY(const bool more, reader.next());
      if (!more) break;
      if (reader.number() == 1) MLC_CHECK(dims(reader, count));
      if (reader.is(2, WireType::varint)) type = reader.integer();
      if (reader.is(8, WireType::bytes)) name = reader.text();
      if (reader.is(9, WireType::bytes)) raw = reader.bytes().size();
      if (reader.is(13, WireType::bytes)) MLC_CHECK(add_external_entry(reader.message(), external));
      if (reader.is(14, WireType::varint)) is_external = reader.value() == 1;
    }
    const auto want = onnx_bytes(type, count.value);
    if (!count.possible) return corrupt("tensor " + quoted(name) + " has impossible sizes");
    if (is_initializer) {
      ++out_.initializers;
      out_.weight_bytes += want.value_or(raw.value_or(0));
      uint64_t& elements = out_.elements[type];
      elements = checked_add(elements, count.value).value_or(UINT64_MAX);
      if (out_.elements.size() > kMostItems) return too_many("types of tensors");
    }
    if (is_external) {
      if (out_.external.size() == kMostItems) return too_many("tensors in other files");
      external.tensor = name;
      external.bytes = want;
      out_.external.push_back(std::move(external));
    } else if (raw && want && *raw != *want) {
      return corrupt("tensor " + quoted(name) + " takes " + format_count(*want) +
                     " bytes and holds " + format_count(*raw));
    }
    return name;
  }

  /// The elements of a tensor.
  struct Count {
    uint64_t value = 1;
    bool possible = true;  // no size was negative, the product fits
  };

  /// Multiplies COUNT by the sizes in the current field, one or packed.
  static Status dims(const ProtoReader& reader, Count& count) {
    const auto add = [&](uint64_t size) {
      const auto product = checked_mul(count.value, size);
      count.possible = count.possible && static_cast<int64_t>(size) >= 0 && product.has_value();
      count.value = product.value_or(0);
    };
    if (reader.is(1, WireType::varint)) add(reader.value());
    if (!reader.is(1, WireType::bytes)) return {};
    Bytes packed = reader.bytes();
    while (!packed.empty()) {
      const auto size = ProtoReader::take_varint(packed);
      if (!size) return corrupt("the sizes of a tensor are cut off");
      add(*size);
    }
    return {};
  }

  static Status value(ProtoReader reader, std::vector<OnnxValue>& out) {
    MLC_TRY(OnnxValue value, read_value(reader));
    if (out.size() == kMostItems) return too_many("inputs and outputs");
    out.push_back(std::move(value));
    return {};
  }

  static Status type(ProtoReader reader, OnnxValue& out) {
    constexpr std::array<std::pair<uint32_t, OnnxKind>, 6> kKinds = {{{1, OnnxKind::tensor},
                                                                      {4, OnnxKind::sequence},
                                                                      {5, OnnxKind::map},
                                                                      {7, OnnxKind::opaque},
                                                                      {8, OnnxKind::sparse_tensor},
                                                                      {9, OnnxKind::optional}}};
    for (;;) {
      MLC_TRY(const bool more, reader.next());
      if (!more) return {};
      for (const auto& [number, kind] : kKinds) {
        if (reader.is(number, WireType::bytes)) out.kind = kind;
      }
      if (reader.is(1, WireType::bytes)) MLC_CHECK(tensor_type(reader.message(), out));
    }
  }

  static Status tensor_type(ProtoReader reader, OnnxValue& out) {
    for (;;) {
      MLC_TRY(const bool more, reader.next());
      if (!more) return {};
      if (reader.is(1, WireType::varint)) out.element = reader.integer();
      if (reader.is(2, WireType::bytes)) MLC_CHECK(shape(reader.message(), out));
    }
  }

  static Status shape(ProtoReader reader, OnnxValue& out) {
    out.dims.emplace();
    for (;;) {
      MLC_TRY(const bool more, reader.next());
      if (!more) return {};
      if (!reader.is(1, WireType::bytes)) continue;
      if (out.dims->size() == kMostDims) {
        return corrupt(quoted(out.name) + " has more than " + std::to_string(kMostDims) +
                       " dimensions");
      }
      MLC_TRY(OnnxDim dim, dimension(reader.message()));
      out.dims->push_back(std::move(dim));
    }
  }

  static Result<OnnxDim> dimension(ProtoReader reader) {
    OnnxDim out;
    for (;;) {
      MLC_TRY(const bool more, reader.next());
      if (!more) return out;
      // Negative sizes stand for unknown ones in files of old exporters, and ONNX Runtime takes
      // them so.
      if (reader.is(1, WireType::varint) && reader.integer() >= 0) out.size = reader.integer();
      if (reader.is(2, WireType::bytes)) out.symbol = reader.text();
    }
  }

  OnnxFile out_;
  std::set<std::string_view, std::less<>> initializers_;
  std::map<Name, uint64_t> operators_;
  std::set<Name> functions_;
};

/// The length of a header of JSON, then that. Lengths are multiples of 8, and 8 is the number of
/// the field that a model begins with.
bool looks_like_safetensors(Bytes file) {
  constexpr size_t kLength = sizeof(uint64_t);
  return file.size() > kLength && file[kLength] == std::byte{'{'} &&
         load_le<uint64_t>(file.data()) <= file.size() - kLength;
}

bool is_model_field(const ProtoReader& reader) {
  return std::ranges::any_of(
      kModelFields, [&](const auto& field) { return reader.is(field.first, field.second); });
}

}  // namespace

std::string_view to_string(OnnxKind kind) {
  constexpr std::array<std::string_view, 7> kNames = {
      "of no type", "a tensor",          "a sparse tensor",   "a sequence",
      "a map",      "an optional value", "of an opaque type",
  };
  return kNames[static_cast<size_t>(kind)];
}

bool looks_like_onnx(Bytes file) {
  if (looks_like_safetensors(file)) return false;
  ProtoReader reader(file);
  bool has_version = false;
  bool has_body = false;
  for (;;) {
    const auto more = reader.next();
    // Cut off: what came before decides.
    if (!more.ok()) return has_version && (has_body || is_model_field(reader));
    if (!*more) return has_version && has_body;
    if (!is_model_field(reader)) return false;
    if (reader.number() == 1) {
      if (reader.integer() <= 0 || reader.integer() > kHighestVersion) return false;
      has_version = true;
    }
    // A SavedModel of TensorFlow has a message where a model has the name of its producer.
    if (reader.number() == 2 && !is_utf8(reader.text())) return false;
    has_body = has_body || reader.number() == 7 || reader.number() == 8;
  }
}

Result<OnnxValue> read_onnx_value(Bytes message) {
  return ModelReader::read_value(ProtoReader(message));
}

Result<OnnxFile> read_onnx(Bytes file) {
  ModelReader reader;
  MLC_CHECK(reader.model(ProtoReader(file)));
  return reader.take();
}

}  // namespace mlc
