#include "mlc/torch/write_torchscript.h"

#include "mlc/torch/guarded.h"

#include <map>
#include <optional>

#include <torch/csrc/jit/api/function_impl.h>
#include <torch/csrc/jit/ir/constants.h>
#include <torch/csrc/jit/ir/ir.h>
#include <torch/csrc/jit/passes/freeze_module.h>
#include <torch/csrc/jit/serialization/export.h>

namespace mlc::torch_module {
namespace {

using torch::jit::Block;
using torch::jit::Node;

/// The device that NODE is a constant of.
std::optional<c10::Device> device_of(Node& node) {
  if (node.kind() != c10::prim::Constant || node.outputs().size() != 1) return std::nullopt;
  const auto value = torch::jit::toIValue(node.output());
  if (!value || !value->isDevice()) return std::nullopt;
  return value->toDevice();
}

/// The device that NODE makes of a text that is known: torch.device("cuda:0").
std::optional<c10::Device> device_from_text(Node& node) {
  static const auto kDevice = c10::Symbol::fromQualString("aten::device");
  if (node.kind() != kDevice || node.inputs().empty()) return std::nullopt;
  const auto text = torch::jit::toIValue(node.input(0));
  if (!text || !text->isString()) return std::nullopt;
  std::string name = text->toStringRef();
  if (node.inputs().size() > 1) {
    const auto index = torch::jit::toIValue(node.input(1));
    if (!index || !index->isInt()) return std::nullopt;
    name += ":" + std::to_string(index->toInt());
  }
  return c10::Device(name);
}

class DeviceWalk {
 public:
  DeviceWalk(c10::Device wanted, bool rewrite) : wanted_(wanted), rewrite_(rewrite) {}

  void walk(Block* block) {
    for (auto at = block->nodes().begin(); at != block->nodes().end();) {
      Node* node = *at;
      ++at;  // NODE may go
      for (Block* inner : node->blocks()) walk(inner);
      auto device = device_of(*node);
      if (!device) device = device_from_text(*node);
      if (!device || device->type() == wanted_.type()) continue;
      ++found_[device->str()];
      if (rewrite_) replace(*node);
    }
  }

  std::vector<NamedDevice> found() const {
    std::vector<NamedDevice> out;
    for (const auto& [name, count] : found_) out.push_back({name, count});
    return out;
  }

 private:
  void replace(Node& node) {
    const torch::jit::WithInsertPoint here(&node);
    node.output()->replaceAllUsesWith(node.owningGraph()->insertConstant(wanted_));
    node.destroy();
  }

  c10::Device wanted_;
  bool rewrite_;
  std::map<std::string, size_t> found_;
};

}  // namespace

std::vector<NamedDevice> named_devices(const torch::jit::Module& module, c10::Device wanted,
                                       bool rewrite) {
  DeviceWalk walk(wanted, rewrite);
  for (torch::jit::Function* function : module._ivalue()->compilation_unit()->get_functions()) {
    auto* const graph = torch::jit::tryToGraphFunction(*function);
    if (graph != nullptr) walk.walk(graph->graph()->block());
  }
  return walk.found();
}

Result<torch::jit::Module> freeze_for_file(const torch::jit::Module& module, bool optimize) {
  return guarded(ErrorKind::unsupported, [&]() -> Result<torch::jit::Module> {
    return torch::jit::freeze(module, std::nullopt, optimize);
  });
}

Status write_archive(const torch::jit::Module& module, const ExtraFiles& extra,
                     const ByteSink& sink) {
  return guarded(ErrorKind::unsupported, [&]() -> Status {
    Status status;
    torch::jit::ExtraFilesMap files;
    for (const auto& [name, content] : extra) files[name] = content;
    torch::jit::ExportModule(
        module,
        [&](const void* data, size_t size) -> size_t {
          if (status.ok()) status = sink(Bytes(static_cast<const std::byte*>(data), size));
          return size;  // what failed is told below: LibTorch would only say that a write failed
        },
        files);
    return status;
  });
}

}  // namespace mlc::torch_module
