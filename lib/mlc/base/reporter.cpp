#include "mlc/base/reporter.h"

namespace mlc {
namespace {

class NullReporter final : public Reporter {
 public:
  void begin(std::string_view, uint64_t) override {}
  void advance(uint64_t) override {}
  void end() override {}
  void warn(std::string) override {}
  void detail(std::string) override {}
};

}  // namespace

Reporter& null_reporter() {
  static NullReporter reporter;
  return reporter;
}

}  // namespace mlc
