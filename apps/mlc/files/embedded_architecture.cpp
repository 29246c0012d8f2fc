#include "files/embedded_architecture.h"

#include "mlc/base/text.h"
#include "mlc/engine/architecture_model.h"
#include "mlc/engine/module_loader.h"
#include "mlc/frontend/forward_text.h"
#include "mlc/yaml/document.h"

namespace mlc::cli {
namespace {

Status try_forward(const arch::Architecture& architecture, Reporter& reporter) {
  const std::string name = printable(architecture.file());
  if (!arch::forward_header(architecture.root().source)) {
    reporter.warn(name + " has no forward: no verb can run it");
    return {};
  }
  const auto engine = open_engine(EngineKind::torch);
  if (!engine.ok()) {
    reporter.warn("the forward of " + name + " was not compiled: " + engine.error().message());
    return {};
  }
  return compile_architecture(architecture, **engine, reporter);
}

}  // namespace

Status embed_architecture(const std::string& path, const Checkpoint& checkpoint,
                          const StateDict& state_dict, Metadata& metadata, Reporter& reporter) {
  MLC_TRY(const auto architecture, arch::Architecture::parse_file(path));
  MLC_CHECK(check_fit(checkpoint, state_dict, architecture));
  MLC_CHECK(try_forward(architecture, reporter));
  MLC_TRY(const yaml::Node document, yaml::parse_file(path));
  MLC_TRY(MetaValue value, MetaValue::from_yaml(document));
  return metadata.set_value("architecture", std::move(value));
}

Status check_embedded(const Metadata& metadata, const Checkpoint& checkpoint,
                      const StateDict& state_dict, bool strict, Reporter& reporter) {
  const MetaValue* value = metadata.get("architecture");
  // A text names a file, of which nobody knows here whether it stays as it is.
  if (value == nullptr || value->as_text() != nullptr) return {};
  const auto architecture = arch::Architecture::parse(value->to_yaml(), "its architecture");
  if (!architecture.ok()) return {};  // whoever runs it is told
  const Status fits = check_fit(checkpoint, state_dict, *architecture);
  if (fits.ok()) return {};
  const std::string what = "the architecture in the metadata does not fit these keys";
  const std::string hint =
      "`mlc save FILE --arch NEW.yaml` puts another into it, `mlc metadata FILE --remove "
      "architecture` takes it out";
  if (strict) {
    // Without "does not fit the architecture. ": the lists of keys follow it.
    const std::string& said = fits.error().message();
    const size_t lists = said.find(". ");
    return conflict(what + ". " + said.substr(lists == said.npos ? 0 : lists + 2), hint);
  }
  reporter.warn(what + ", so that `mlc run` cannot use it; " + hint);
  return {};
}

}  // namespace mlc::cli
