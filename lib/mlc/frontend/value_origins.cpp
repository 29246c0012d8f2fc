#include "mlc/frontend/value_origins.h"

#include "mlc/frontend/architecture.h"
#include "mlc/frontend/tree_builder.h"

namespace mlc::arch {

Result<ValueOrigins> find_origins(const Architecture& architecture) {
  MLC_TRY(const yaml::Node document, yaml::parse(architecture.text(), architecture.file()));
  ValueOrigins out;
  TreeBuilder builder(&out);
  MLC_CHECK(builder.declare(document.find("classes")));
  MLC_CHECK(builder.root(document));
  return out;
}

}  // namespace mlc::arch
