// What can be asked of a TorchScript module besides running it: exported methods and attributes,
// read from the text of its class.
#pragma once

#include "mlc/base/result.h"
#include "mlc/container/zip_reader.h"

#include <string>
#include <vector>

namespace mlc {

/// Of the module itself, not of its parts, in the order of the text.
struct ModuleMembers {
  /// Besides forward. Those with a leading underscore only where no method of the class calls them.
  std::vector<std::string> methods;
  /// And constants. Without tensors and parts, and without a leading underscore.
  std::vector<std::string> attributes;
};

/// Of the module in ZIP, a TorchScript archive; empty where its class is not found: then nobody
/// can say what is lost. Errors: corrupt, read_failed.
Result<ModuleMembers> module_members(const ZipReader& zip);

/// Names in BEFORE that AFTER lacks.
std::vector<std::string> names_lost(const std::vector<std::string>& before,
                                    const std::vector<std::string>& after);

}  // namespace mlc
