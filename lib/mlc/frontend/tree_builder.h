// From the YAML of modules and classes to the tree of script modules.
#pragma once

#include "mlc/frontend/class_parts.h"
#include "mlc/frontend/expression.h"
#include "mlc/frontend/leaf_builder.h"
#include "mlc/frontend/script_module.h"
#include "mlc/frontend/value_origins.h"
#include "mlc/yaml/document.h"

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace mlc::arch {

struct ModuleType;

class TreeBuilder : public ChildFactory {
 public:
  /// ORIGINS, where not null, has to outlive it and gets where all values come from.
  explicit TreeBuilder(ValueOrigins* origins = nullptr) : origins_(origins) {}
  /// Reads what `classes` declares; null: nothing does.
  Status declare(const yaml::Node* classes);
  /// The root: DOCUMENT is a class body beside the keys of the file.
  Result<ScriptModule> root(const yaml::Node& document);

  Result<ScriptModule> make(const std::string& name, const std::string& parent_path,
                            std::string_view type, std::vector<GivenArgument> arguments,
                            const yaml::Node& node) override;
  Result<ScriptModule> make_from(const std::string& name, const std::string& parent_path,
                                 const yaml::Node& node) override;

 private:
  struct Class {
    yaml::Node body;
    Signature signature;
  };

  Result<ScriptModule> start(const std::string& name, const std::string& parent_path,
                             std::string type, const yaml::Node& node);
  Result<ScriptModule> from_mapping(const std::string& name, const std::string& parent_path,
                                    const yaml::Node& node);
  Result<ScriptModule> typed(const std::string& name, const std::string& parent_path,
                             const yaml::Node& node, const yaml::Node& type_node);
  Result<ScriptModule> container(ScriptModule module, const yaml::Node& node);
  Result<ScriptModule> repeated(const std::string& name, const std::string& parent_path,
                                const yaml::Node& node);
  Status add_items(ScriptModule& list, const yaml::Node& items);
  Status add_named(ScriptModule& module, const yaml::Node& modules, PartNames& names);
  Result<ScriptModule> leaf(ScriptModule module, const ModuleType& row,
                            const std::vector<GivenArgument>& arguments, const yaml::Node& node);
  Result<ScriptModule> instance(ScriptModule module, const Class& declared,
                                const std::vector<GivenArgument>& arguments,
                                const yaml::Node& node);
  Result<ScriptModule> anonymous(ScriptModule module, const yaml::Node& body);
  Status fill_sequential(ScriptModule& module, const yaml::Node& body);
  Status add_modules(ScriptModule& module, const yaml::Node& modules);
  Status fill(ScriptModule& module, const yaml::Node& body);
  Result<std::vector<GivenArgument>> given_arguments(const yaml::Node& node);
  Error unknown_type(const yaml::Node& node, const std::string& type) const;
  Status account_for(const ScriptModule& module, const yaml::Node& node);
  Result<bool> is_wanted(const yaml::Node& node) const;
  Result<OriginId> note(const yaml::Node& node);
  Result<OriginId> note_default(const yaml::Node& body, const std::string& name);
  Status note_tensors(const ScriptModule& module, const yaml::Node& body);
  void note_module(const ScriptModule& module, const Scope& arguments, bool is_class);

  ValueOrigins* origins_;
  std::vector<std::pair<std::string, Class>> classes_;
  std::vector<std::string> building_;  // names of the classes around, outermost first
  Scope scope_;
  size_t modules_ = 0;
  uint64_t memory_ = 0;
  int depth_ = 0;
};

}  // namespace mlc::arch
