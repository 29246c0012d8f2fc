#include "mlc/ort/ort_library.h"

#include "mlc/base/text.h"
#include "mlc/engine/onnxruntime_library.h"

#include <algorithm>
#include <cstdlib>

namespace mlc::ort_module {
namespace {

constexpr size_t kMostLines = 1000;  // of one step; a model may warn of every initializer

Error failed_call(OrtCode /*code*/, std::string_view message) {
  return internal_error("ONNX Runtime: " + ort_sentence(message));
}

}  // namespace

Result<std::unique_ptr<OrtLibrary>> OrtLibrary::open() {
  MLC_TRY(const OnnxRuntimeLibrary found, find_onnxruntime());
  const auto interface = onnxruntime_interface(found.version);
  // Asked for an interface that it does not have, it prints to stderr.
  const void* const api = interface && *interface >= kOldestInterface
                              ? found.api->get_api(std::min(*interface, uint32_t{ORT_API_VERSION}))
                              : nullptr;
  if (api == nullptr) {
    return unsupported("the ONNX Runtime at " + printable(found.path) + " is " +
                           printable(found.version) + ", and mlc (built with the header of 1." +
                           std::to_string(ORT_API_VERSION) + ") needs 1." +
                           std::to_string(kOldestInterface) + " or newer",
                       std::string(how_to_get_onnxruntime()));
  }
  std::unique_ptr<OrtLibrary> out(new OrtLibrary());
  out->api_ = static_cast<const OrtApi*>(api);
  out->path_ = found.path;
  out->version_ = found.version;
  MLC_CHECK(out->create_environment());
  return out;
}

OrtLibrary::~OrtLibrary() {
  if (environment_ != nullptr) api_->ReleaseEnv(environment_);
}

Status OrtLibrary::create_environment() {
  // The making of an environment alone tells Microsoft of the process, and writes an identifier of
  // the machine into the home folder, unless this is set; DisableTelemetryEvents() comes too late.
  constexpr int kUnlessSet = 0;
  setenv("ORT_DISABLE_TELEMETRY", "1", kUnlessSet);
  MLC_CHECK(check(
      api_->CreateEnvWithCustomLogger(log, this, ORT_LOGGING_LEVEL_WARNING, "mlc", &environment_)));
  MLC_CHECK(check(api_->DisableTelemetryEvents(environment_)));
  // What it says of the machine (no GPU driver, unknown processor) belongs to no model.
  report(null_reporter());
  return {};
}

void OrtLibrary::log(void* self, OrtLoggingLevel severity, const char* /*category*/,
                     const char* /*id*/, const char* place, const char* message) {
  // Errors come back as a status too, in which the same text stands.
  if (severity != ORT_LOGGING_LEVEL_WARNING) return;
  auto& library = *static_cast<OrtLibrary*>(self);
  const std::lock_guard lock(library.mutex_);
  if (library.lines_.size() == kMostLines) return;
  library.lines_.push_back({place, message});
  library.has_lines_ = true;
}

void OrtLibrary::report(Reporter& reporter) {
  if (!has_lines_) return;
  std::vector<Line> lines;
  {
    const std::lock_guard lock(mutex_);
    lines = std::move(lines_);
    lines_.clear();
    has_lines_ = false;
  }
  for (const Line& line : lines) {
    std::string text = "ONNX Runtime warns: " + ort_sentence(line.text);
    if (warned_.insert(line.place).second) {
      reporter.warn(std::move(text));
    } else {
      reporter.detail(std::move(text));
    }
  }
}

std::vector<std::string> OrtLibrary::providers() const {
  std::vector<std::string> out;
  char** names = nullptr;
  int count = 0;
  if (!check(api_->GetAvailableProviders(&names, &count)).ok()) return out;
  out.assign(names, names + count);
  // Its status only says that it was done.
  static_cast<void>(check(api_->ReleaseAvailableProviders(names, count)));
  return out;
}

bool OrtLibrary::has_provider(std::string_view name) const {
  const std::vector<std::string> all = providers();
  return std::ranges::find(all, name) != all.end();
}

Status OrtLibrary::check(OrtStatus* status, Error (*translate)(OrtCode, std::string_view)) const {
  if (status == nullptr) return {};
  const auto code = static_cast<OrtCode>(api_->GetErrorCode(status));
  Error error = translate(code, api_->GetErrorMessage(status));
  api_->ReleaseStatus(status);
  return error;
}

Status OrtLibrary::check(OrtStatus* status) const {
  return check(status, failed_call);
}

}  // namespace mlc::ort_module
