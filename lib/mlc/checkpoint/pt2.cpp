// torch.export archives. New layout (PyTorch 2.7 and later): raw payloads and JSON that describes
// them, torch/export/pt2_archive/_package.py and torch/_export/serde/schema.py. Old layout: a plain
// zip with whole torch.save files as entries, torch/export/__init__.py.
#include "mlc/base/checked_math.h"
#include "mlc/base/text.h"
#include "mlc/checkpoint/json_scanner.h"
#include "mlc/checkpoint/name_table.h"
#include "mlc/checkpoint/readers.h"
#include "mlc/checkpoint/zip_records.h"

#include <algorithm>
#include <array>
#include <unordered_map>

namespace mlc {
namespace {

using pickle::NodeKind;

constexpr uint64_t kMaxJsonBytes = 1U << 30U;
constexpr int kMaxConfigDepth = 8;
constexpr int kMaxProgramDepth = 200;
constexpr int64_t kStrided = 7;  // schema.Layout.Strided

/// One value of a weights or constants config: schema.PayloadMeta.
struct Payload {
  std::string_view path_name;
  bool is_param = false;
  bool use_pickle = false;
  bool has_meta = false;
  int64_t dtype = -1;
  int64_t layout = kStrided;
  int64_t offset = 0;
  bool requires_grad = false;
  std::string_view device = "cpu";
  std::vector<int64_t> sizes;
  std::vector<int64_t> strides;
};

/// Reads Payloads. Fields that the schema gains later are passed over.
class PayloadScanner {
 public:
  explicit PayloadScanner(JsonScanner& json) : json_(json) {}

  bool payload(Payload& out) {
    std::string_view key;
    if (!json_.begin_object()) return false;
    while (json_.next_key(key)) {
      if (!payload_field(key, out)) return false;
    }
    return json_.ok();
  }

 private:
  bool payload_field(std::string_view key, Payload& out) {
    if (key == "path_name") return json_.string(out.path_name);
    if (key == "is_param") return json_.boolean(out.is_param);
    if (key == "use_pickle") return json_.boolean(out.use_pickle);
    if (key == "tensor_meta") return json_.null() || meta(out);
    return json_.skip();
  }

  bool meta(Payload& out) {
    std::string_view key;
    if (!json_.begin_object()) return false;
    out.has_meta = true;
    while (json_.next_key(key)) {
      if (!meta_field(key, out)) return false;
    }
    return json_.ok();
  }

  bool meta_field(std::string_view key, Payload& out) {
    if (key == "dtype") return json_.integer(out.dtype);
    if (key == "sizes") return dims(out.sizes);
    if (key == "strides") return dims(out.strides);
    if (key == "storage_offset") return symbolic(out.offset);
    if (key == "requires_grad") return json_.boolean(out.requires_grad);
    if (key == "device") return device(out);
    if (key == "layout") return json_.integer(out.layout);
    return json_.skip();
  }

  bool dims(std::vector<int64_t>& out) {
    out.clear();
    if (!json_.begin_array()) return false;
    while (json_.next_item()) {
      if (out.size() == kMaxRank) return json_.fail("more than 64 dimensions");
      if (!symbolic(out.emplace_back())) return false;
    }
    return json_.ok();
  }

  // {"as_int": 3}; weights have no symbolic sizes.
  bool symbolic(int64_t& out) {
    std::string_view key;
    if (!json_.begin_object()) return false;
    if (!json_.next_key(key) || key != "as_int") return json_.fail("expected as_int");
    if (!json_.integer(out)) return false;
    return !json_.next_key(key) || json_.fail("expected as_int alone");
  }

  bool device(Payload& out) {
    std::string_view key;
    if (!json_.begin_object()) return false;
    while (json_.next_key(key)) {
      if (!(key == "type" ? json_.string(out.device) : json_.skip())) return false;
    }
    return json_.ok();
  }

  JsonScanner& json_;
};

BlockProducer zeros(uint64_t bytes) {
  return [bytes](const BlockSink& sink) -> Status {
    const std::string block(static_cast<size_t>(std::min<uint64_t>(bytes, 1U << 20U)), '\0');
    for (uint64_t left = bytes; left > 0;) {
      const uint64_t n = std::min<uint64_t>(left, block.size());
      MLC_CHECK(sink(as_bytes(block).first(static_cast<size_t>(n))));
      left -= n;
    }
    return {};
  };
}

/// The torch.save file inside ENTRY, whose root comes back.
Result<NodeId> read_nested(Checkpoint& checkpoint, const ZipEntry& entry) {
  const ZipReader& zip = checkpoint.archives[0];
  if (!entry.is_stored()) {
    return unsupported("entry " + quoted(entry.name) + " is compressed",
                       "unpack the archive and pack it again without compression");
  }
  MLC_TRY(const uint64_t offset, zip.data_offset(entry));
  MLC_TRY_CTX(ZipReader inner,
              ZipReader::open(zip.shared_file(), {offset, entry.size}, ZipDialect::torch),
              "entry " + quoted(entry.name));
  checkpoint.archives.push_back(std::move(inner));
  MLC_TRY_CTX(const NodeId root,
              read_zip_pickle(checkpoint, static_cast<uint32_t>(checkpoint.archives.size() - 1)),
              "entry " + quoted(entry.name));
  return root;
}

class Pt2Reader {
 public:
  explicit Pt2Reader(Checkpoint& checkpoint)
      : checkpoint_(checkpoint), zip_(checkpoint.archives[0]) {}

  Status run();
  Status run_old();

 private:
  Status read_program(std::string_view record);
  Status read_schema_version(JsonScanner& json);
  Result<NodeId> read_model(std::string_view name);
  Status read_group(const std::string& folder, const std::string& config, NodeId dict);
  Status read_config(const std::string& record, const std::string& folder, NodeId dict);
  Result<NodeId> read_payload(const std::string& folder, const Payload& payload);
  Result<uint32_t> storage_of(const ZipEntry& entry, const Payload& payload, DType dtype);
  Status merge(const ZipEntry& entry, NodeId dict);

  Checkpoint& checkpoint_;
  const ZipReader& zip_;
  std::unordered_map<const ZipEntry*, uint32_t> storages_;
  bool big_endian_ = false;
};

Status Pt2Reader::run() {
  MLC_TRY(const auto order, optional_record(zip_, "byteorder", 64));
  big_endian_ = order && trim(*order) == "big";
  MLC_TRY(checkpoint_.metadata_yaml, extra_metadata(zip_));
  std::vector<std::string_view> models;
  bool is_compiled = false;
  constexpr std::string_view kFolder = "models/";
  constexpr std::string_view kSuffix = ".json";
  for (const ZipEntry& entry : zip_.entries()) {
    std::string_view name = zip_.relative_name(entry);
    is_compiled = is_compiled || name.starts_with("data/aotinductor/");
    if (!name.starts_with(kFolder) || !name.ends_with(kSuffix)) continue;
    name.remove_prefix(kFolder.size());
    models.push_back(name.substr(0, name.size() - kSuffix.size()));
  }
  if (models.empty() && is_compiled) {
    return unsupported(
        "it is a package of AOTInductor: machine code for one kind of machine, which mlc does not "
        "execute",
        "save the program itself with torch.export.save(program, FILE)");
  }
  if (models.empty())
    return corrupt("the archive has no models/*.json: it holds no exported model");
  MLC_CHECK(read_program("models/" + std::string(models[0]) + ".json"));
  if (models.size() == 1) {
    MLC_TRY(checkpoint_.root, read_model(models[0]));
    return {};
  }
  checkpoint_.root = checkpoint_.graph.add_dict();
  for (const std::string_view name : models) {
    MLC_TRY_CTX(const NodeId model, read_model(name), "model " + quoted(name));
    const NodeId key = checkpoint_.graph.add_text(name);
    checkpoint_.graph.dict(checkpoint_.root).emplace_back(key, model);
  }
  return {};
}

// {"schema_version": {"major": 8, ...}, "torch_version": "2.13.0+cpu", ...} among much else.
Status Pt2Reader::read_program(std::string_view record) {
  const ZipEntry* entry = zip_.record(record);
  if (entry == nullptr) return corrupt("the archive has no entry " + quoted(record));
  MLC_TRY(const std::string text, zip_.read(*entry, kMaxJsonBytes));
  std::deque<std::string> store;
  JsonScanner json(text, kMaxProgramDepth, store);
  Origin& origin = checkpoint_.origin;
  std::string_view key;
  json.begin_object();
  while (json.next_key(key)) {
    std::string_view version;
    if (key == "torch_version") {
      if (json.string(version)) origin.torch_exactly = version;
    } else if (key == "schema_version") {
      MLC_CHECK(read_schema_version(json));
    } else {
      json.skip();
    }
  }
  if (!json.finish()) return std::move(json).error().during(std::string(record));
  origin.writer = "torch.export.save";
  if (!origin.torch_exactly.empty()) {
    origin.writer += " of PyTorch " + origin.torch_exactly;
    origin.torch_source = "torch_version in " + std::string(record);
  }
  return {};
}

Status Pt2Reader::read_schema_version(JsonScanner& json) {
  std::string_view key;
  json.begin_object();
  while (json.next_key(key)) {
    if (key == "major") {
      json.integer(checkpoint_.origin.format_version);
    } else {
      json.skip();
    }
  }
  return {};  // the caller sees what went wrong
}

Result<NodeId> Pt2Reader::read_model(std::string_view name) {
  const std::string model(name);
  const NodeId weights = checkpoint_.graph.add_dict();
  MLC_CHECK(read_group("data/weights/", model + "_weights_config.json", weights));
  if (const ZipEntry* entry = zip_.record("data/weights/" + model + ".pt")) {
    MLC_CHECK(merge(*entry, weights));
  }
  const NodeId constants = checkpoint_.graph.add_dict();
  MLC_CHECK(read_group("data/constants/", model + "_constants_config.json", constants));
  if (const ZipEntry* entry = zip_.record("data/constants/" + model + ".pt")) {
    MLC_CHECK(merge(*entry, constants));
  }
  return join_program(checkpoint_, weights, constants);
}

Status Pt2Reader::read_group(const std::string& folder, const std::string& config, NodeId dict) {
  if (zip_.record(folder + config) == nullptr) return {};
  if (Status read = read_config(folder + config, folder, dict); !read.ok()) {
    return std::move(read).error().during(folder + config);
  }
  return {};
}

Status Pt2Reader::read_config(const std::string& record, const std::string& folder, NodeId dict) {
  MLC_TRY(std::string text, zip_.read(*zip_.record(record), kMaxJsonBytes));
  checkpoint_.buffers.push_back(std::move(text));
  JsonScanner json(checkpoint_.buffers.back(), kMaxConfigDepth, checkpoint_.buffers);
  PayloadScanner scanner(json);
  NameTable names;
  for (const auto& [key, value] : checkpoint_.graph.dict(dict)) {
    names.add(checkpoint_.graph.text(key), 0);
  }
  std::string_view section;
  std::string_view name;
  json.begin_object();
  while (json.next_key(section)) {
    if (section != "config") {
      json.skip();
      continue;
    }
    json.begin_object();
    while (json.next_key(name)) {
      Payload payload;
      if (!scanner.payload(payload)) break;
      if (!names.add(name, 0)) return corrupt("tensor " + quoted(name) + " is described twice");
      MLC_TRY_CTX(const NodeId value, read_payload(folder, payload), "tensor " + quoted(name));
      if (value == kNoNode) continue;
      const NodeId key = checkpoint_.graph.add_borrowed(NodeKind::text, name);
      checkpoint_.graph.dict(dict).emplace_back(key, value);
    }
  }
  if (!json.finish()) return std::move(json).error();
  return {};
}

// kNoNode for what is no tensor: script objects and the like.
Result<NodeId> Pt2Reader::read_payload(const std::string& folder, const Payload& payload) {
  const std::string_view path = payload.path_name;
  if (path.empty() || path.find_first_of("/\\") != path.npos || path == "." || path == "..") {
    return corrupt("its path_name " + quoted(path) + " is no bare name");
  }
  const ZipEntry* entry = zip_.record(folder + std::string(path));
  if (entry == nullptr)
    return corrupt("the archive has no entry " + quoted(folder + std::string(path)));
  if (path.starts_with("custom_obj_") || path.starts_with("opaque_obj_")) {
    checkpoint_.warnings.push_back("constant " + quoted(path) + " is no tensor and is left out");
    return kNoNode;
  }
  if (payload.use_pickle) {
    MLC_TRY(const NodeId root, read_nested(checkpoint_, *entry));
    const uint32_t tensor = checkpoint_.tensor_at(root);
    if (tensor == kNoIndex) return corrupt("its entry holds no tensor");
    checkpoint_.tensors[tensor].parameter = payload.is_param;
    return root;
  }
  if (!payload.has_meta) return corrupt("it has neither tensor_meta nor a pickle");
  const auto dtype = dtype_from_pt2(payload.dtype);
  if (!dtype)
    return unsupported("its dtype number " + std::to_string(payload.dtype) + " is unknown");
  if (payload.layout != kStrided) {
    return unsupported("its layout number " + std::to_string(payload.layout) +
                       " is not strided, which raw payloads must be");
  }
  MLC_TRY(const uint32_t storage, storage_of(*entry, payload, *dtype));
  const auto capacity =
      static_cast<int64_t>(checkpoint_.storages[storage].byte_size() / element_bytes(*dtype));
  MLC_TRY([[maybe_unused]] const ElementRange range,
          checked_extent(payload.sizes, payload.strides, payload.offset, capacity));
  Tensor tensor;
  tensor.storage = storage;
  tensor.dtype = *dtype;
  tensor.offset = payload.offset;
  tensor.parameter = payload.is_param;
  tensor.requires_grad = payload.requires_grad;
  const uint32_t index = checkpoint_.add_tensor(tensor, payload.sizes, payload.strides);
  return checkpoint_.tensors[index].node;
}

Result<uint32_t> Pt2Reader::storage_of(const ZipEntry& entry, const Payload& payload, DType dtype) {
  const auto [it, is_new] =
      storages_.try_emplace(&entry, static_cast<uint32_t>(checkpoint_.storages.size()));
  if (!is_new) {
    Storage& known = checkpoint_.storages[it->second];
    if (known.dtype == dtype || known.untyped) return it->second;
    // One payload under two dtypes: its elements are bytes.
    known.elements = static_cast<int64_t>(known.byte_size());
    known.dtype = DType::u8;
    known.untyped = true;
    return it->second;
  }
  if (entry.size % element_bytes(dtype) != 0) {
    return corrupt("its " + std::to_string(entry.size) + " bytes are no whole elements of " +
                   std::string(info(dtype).brief));
  }
  Storage storage;
  storage.key = payload.path_name;
  storage.location = payload.device;
  storage.dtype = dtype;
  storage.elements = static_cast<int64_t>(entry.size / element_bytes(dtype));
  storage.big_endian = big_endian_;
  if (entry.size == 0) {  // fake weights: PyTorch reads zeros
    const auto count = element_count(payload.sizes);
    const auto bytes = count ? checked_mul<int64_t>(*count, info(dtype).bytes) : std::nullopt;
    if (!bytes) return corrupt("its shape has more elements than 64 bits can count");
    storage.elements = *count;
    storage.big_endian = false;
    storage.own = made_bytes(zeros(static_cast<uint64_t>(*bytes)));
  } else {
    storage.archive = 0;
    storage.entry = static_cast<uint32_t>(&entry - zip_.entries().data());
  }
  checkpoint_.storages.push_back(storage);
  return it->second;
}

// Adds the entries of a saved state_dict that are not there yet.
Status Pt2Reader::merge(const ZipEntry& entry, NodeId dict) {
  MLC_TRY(const NodeId root, read_nested(checkpoint_, entry));
  const auto* entries = checkpoint_.graph.entries(root);
  if (entries == nullptr) return corrupt("entry " + quoted(entry.name) + " holds no dict");
  NameTable names;
  auto& target = checkpoint_.graph.dict(dict);
  for (const auto& [key, value] : target) names.add(checkpoint_.graph.text(key), 0);
  for (const auto& [key, value] : *entries) {
    if (!checkpoint_.graph.is(key, NodeKind::text)) {
      return corrupt("entry " + quoted(entry.name) + " has a key that is no text");
    }
    if (names.add(checkpoint_.graph.text(key), 0)) target.emplace_back(key, value);
  }
  return {};
}

Status Pt2Reader::run_old() {
  MLC_CHECK(read_program("serialized_exported_program.json"));
  const ZipEntry* entry = zip_.record("serialized_state_dict.pt");
  if (entry == nullptr) return corrupt("the archive has no serialized_state_dict.pt");
  const NodeId weights = checkpoint_.graph.add_dict();
  if (entry->size > 0) MLC_CHECK(merge(*entry, weights));
  const NodeId constants = checkpoint_.graph.add_dict();
  entry = zip_.record("serialized_constants.pt");  // not before PyTorch 2.2
  if (entry != nullptr && entry->size > 0) MLC_CHECK(merge(*entry, constants));
  checkpoint_.root = join_program(checkpoint_, weights, constants);
  MLC_TRY(checkpoint_.metadata_yaml, extra_metadata(zip_));
  return {};
}

}  // namespace

// Constants (tensors of the graph, non-persistent buffers) are no part of a model's state_dict, so
// they stand beside it; without any the state_dict stands alone.
NodeId join_program(Checkpoint& checkpoint, NodeId weights, NodeId constants) {
  if (checkpoint.graph.dict(constants).empty()) return weights;
  const NodeId both = checkpoint.graph.add_dict();
  const NodeId weights_key = checkpoint.graph.add_text(kPt2StateDict);
  const NodeId constants_key = checkpoint.graph.add_text(kPt2Constants);
  checkpoint.graph.dict(both).emplace_back(weights_key, weights);
  checkpoint.graph.dict(both).emplace_back(constants_key, constants);
  return both;
}

Status read_pt2(Checkpoint& checkpoint) {
  const ZipReader& zip = checkpoint.archives[0];
  for (const std::string& warning : zip.warnings()) checkpoint.warnings.push_back(warning);
  const bool old_layout = zip.record("serialized_exported_program.json") != nullptr;
  Pt2Reader reader(checkpoint);
  return old_layout ? reader.run_old() : reader.run();
}

}  // namespace mlc
