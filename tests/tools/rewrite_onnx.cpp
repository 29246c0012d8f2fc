// rewrite_onnx IN OUT [always]: reads an ONNX file into a Document and writes it again, its weights
// beside it where `always` is given. For tests; prints nothing but errors.
#include "mlc/onnx_edit/document.h"
#include "mlc/onnx_write/check.h"
#include "mlc/onnx_write/write.h"

#include <cstdio>
#include <optional>
#include <string>

namespace {

mlc::Status rewrite(const std::string& in, const std::string& out, bool beside) {
  MLC_TRY(const auto document, mlc::onnx::Document::open(in));
  mlc::onnx::WriteOptions how;
  if (beside) how.external = mlc::onnx::ExternalData::always;
  how.sidecar = out.substr(out.rfind('/') + 1) + ".data";
  MLC_TRY(const auto file, mlc::onnx::ModelFile::plan(document.skeleton(), how));
  MLC_TRY(auto model, mlc::OutputFile::create(out, {.replace = true, .sync = false, .mode = 0}));
  std::optional<mlc::OutputFile> sidecar;
  if (file.has_sidecar()) {
    MLC_TRY(auto made,
            mlc::OutputFile::create(out + ".data", {.replace = true, .sync = false, .mode = 0}));
    sidecar.emplace(std::move(made));
  }
  MLC_CHECK(file.write(model, sidecar ? &*sidecar : nullptr));
  if (sidecar) MLC_CHECK(sidecar->publish());
  return model.publish();
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 3) return 2;
  const mlc::Status done = rewrite(arguments[1], arguments[2], count > 3);
  if (!done.ok()) std::fprintf(stderr, "%s: %s\n", arguments[1], done.error().message().c_str());
  return done.ok() ? 0 : 1;
}
