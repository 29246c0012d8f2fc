// Prints what an architecture YAML becomes as JSON, for the Python tests that compare it with
// torch.nn: the state_dict, and the tree of script modules with their source texts.
//
//   architecture_dump ARCHITECTURE.yaml
//   architecture_dump --types          the module types of the table
#include "mlc/frontend/architecture.h"
#include "mlc/frontend/module_types.h"

#include <cmath>
#include <iostream>
#include <string>

#include <nlohmann/json.hpp>

namespace {

using json = nlohmann::ordered_json;
using namespace mlc::arch;

// JSON has no infinity: such a number becomes text.
json value_json(const Value& value) {
  const auto* number = std::get_if<double>(&value);
  if (number != nullptr && std::isinf(*number)) return *number > 0 ? "inf" : "-inf";
  return std::visit(
      [](const auto& held) -> json {
        if constexpr (std::is_same_v<std::decay_t<decltype(held)>, std::monostate>)
          return nullptr;
        else
          return held;
      },
      value);
}

json tensors_json(const std::vector<ScriptTensor>& tensors) {
  json out = json::array();
  for (const ScriptTensor& one : tensors) {
    out.push_back({{"name", one.name},
                   {"path", one.path},
                   {"dtype", mlc::info(one.dtype).torch},
                   {"shape", one.shape},
                   {"persistent", one.persistent},
                   {"tied_to", one.tied_to},
                   {"init", {int(one.init.kind), one.init.a, one.init.values}}});
  }
  return out;
}

json constants_json(const std::vector<Constant>& constants) {
  json out = json::object();
  for (const Constant& one : constants) out[one.name] = {one.value.index(), value_json(one.value)};
  return out;
}

json module_json(const ScriptModule& module) {
  json children = json::array();
  for (const ScriptModule& child : module.children) children.push_back(module_json(child));
  return {{"name", module.name},
          {"path", module.path},
          {"type", module.type},
          {"arguments", constants_json(module.arguments)},
          {"parameters", tensors_json(module.parameters)},
          {"buffers", tensors_json(module.buffers)},
          {"constants", constants_json(module.constants)},
          {"source", module.source},
          {"children", std::move(children)}};
}

json state_dict_json(const Architecture& architecture) {
  json out = json::array();
  for (const StateDictTensor& one : state_dict_of(architecture)) {
    out.push_back({one.name, mlc::info(one.dtype).torch, one.shape});
  }
  return out;
}

json types_json() {
  json out = json::array();
  for (const std::string& name : module_type_names()) out.push_back(name);
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: architecture_dump ARCHITECTURE.yaml | --types\n";
    return 2;
  }
  if (argv[1] == std::string("--types")) {
    std::cout << types_json().dump() << "\n";
    return 0;
  }
  auto architecture = Architecture::parse_file(argv[1]);
  if (!architecture.ok()) {
    const mlc::Error& error = architecture.error();
    std::cerr << error.file() << ":" << error.text() << "\nhint: " << error.hint() << "\n";
    return 1;
  }
  std::cout << json{{"state_dict", state_dict_json(*architecture)},
                    {"root", module_json(architecture->root())}}
                   .dump()
            << "\n";
  return 0;
}
