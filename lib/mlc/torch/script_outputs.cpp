#include "mlc/torch/script_outputs.h"

#include "mlc/base/text.h"
#include "mlc/torch/torch_values.h"

#include <charconv>
#include <set>
#include <sstream>
#include <string>

#include <ATen/ATen.h>
#include <ATen/core/function_schema.h>

namespace mlc::torch_module {
namespace {

using c10::IValue;

class OutputCollector {
 public:
  Result<ScriptOutputs> run(const IValue& result) {
    MLC_CHECK(add("", result));
    return std::move(out_);
  }

 private:
  static std::string joined(const std::string& prefix, const std::string& name) {
    return prefix.empty() ? name : prefix + "." + name;
  }

  Status add(const std::string& path, const IValue& value) {
    // Of x.grad, which Python has as None.
    if (value.isTensor() && !value.toTensor().defined()) return {};
    if (value.isTensor()) return add_tensor(path, value.toTensor());
    if (value.isTuple()) return add_tuple(path, value);
    if (value.isList()) return add_sequence(path, value.toListRef());
    if (value.isGenericDict()) return add_dict(path, value);
    if (value.isNone()) return {};
    if (value.isInt()) return add_tensor(path, at::scalar_tensor(value.toInt(), at::kLong));
    if (value.isDouble()) return add_tensor(path, at::scalar_tensor(value.toDouble(), at::kDouble));
    if (value.isBool()) return add_tensor(path, at::scalar_tensor(value.toBool(), at::kBool));
    const std::string name = path.empty() ? "output" : path;
    if (value.isString()) {
      out_.texts.push_back({name, value.toStringRef()});
      return {};
    }
    return unsupported("output " + mlc::quoted(name) + " is a " + value.type()->annotation_str() +
                       ", which is no tensor");
  }

  Status add_tensor(const std::string& path, const at::Tensor& tensor) {
    const std::string name = path.empty() ? "output" : path;
    // {"a": {"b.0": x}, "a.b": {"0": y}} has one path for both.
    if (!names_.insert(name).second) {
      return unsupported("two outputs of the model are called " + mlc::quoted(name),
                         "give the keys of its dictionaries other names");
    }
    MLC_TRY_CTX(HostTensor host, to_host(tensor), "output " + mlc::quoted(name));
    out_.values.push_back({name, std::move(host)});
    return {};
  }

  Status add_tuple(const std::string& path, const IValue& value) {
    const auto& tuple = value.toTupleRef();
    const auto& schema = tuple.type()->schema();
    if (schema == nullptr) return add_sequence(path, tuple.elements().vec());
    for (size_t i = 0; i < tuple.elements().size(); ++i) {
      MLC_CHECK(add(joined(path, schema->arguments()[i].name()), tuple.elements()[i]));
    }
    return {};
  }

  Status add_sequence(const std::string& path, c10::ArrayRef<IValue> items) {
    const std::string prefix = path.empty() ? "output" : path;
    for (size_t i = 0; i < items.size(); ++i) {
      MLC_CHECK(add(joined(prefix, std::to_string(i)), items[i]));
    }
    return {};
  }

  Status add_dict(const std::string& path, const IValue& value) {
    out_.has_keys = true;
    for (const auto& entry : value.toGenericDict()) {
      MLC_CHECK(add(joined(path, key_text(entry.key())), entry.value()));
    }
    return {};
  }

  static std::string key_text(const IValue& key) {
    if (key.isString()) return key.toStringRef();
    if (key.isDouble()) {
      char text[32];
      return std::string(text, std::to_chars(text, text + sizeof text, key.toDouble()).ptr);
    }
    std::ostringstream text;
    text << key;
    return text.str();
  }

  ScriptOutputs out_;
  std::set<std::string> names_;
};

}  // namespace

Result<ScriptOutputs> collect_outputs(const IValue& result) {
  return OutputCollector().run(result);
}

}  // namespace mlc::torch_module
