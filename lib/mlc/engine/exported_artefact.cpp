#include "mlc/engine/exported_artefact.h"

#include "mlc/base/checked_math.h"
#include "mlc/base/text.h"
#include "mlc/engine/exported_samples.h"
#include "mlc/engine/program_inputs.h"
#include "mlc/engine/weights.h"
#include "mlc/passes/cast_floats.h"

#include <algorithm>

#include <fmt/format.h>

namespace mlc {
namespace {

constexpr uint64_t kMaxProgramBytes = 256U << 20U;
constexpr std::string_view kOldProgram = "serialized_exported_program.json";

/// The record that holds the program.
Result<std::string> program_record(const ZipReader& zip) {
  if (zip.record(kOldProgram) != nullptr) return std::string(kOldProgram);
  std::vector<std::string> programs;
  for (const ZipEntry& entry : zip.entries()) {
    const std::string name(zip.relative_name(entry));
    if (name.starts_with("models/") && name.ends_with(".json")) programs.push_back(name);
  }
  if (programs.size() == 1) return programs[0];
  if (programs.empty()) return unsupported("the archive holds no program");
  return unsupported("it holds " + plural(programs.size(), "program") + ": " + join_list(programs),
                     "export each into a file of its own");
}

/// Nothing where a size is negative or the product no number.
std::optional<uint64_t> byte_size_of(DType dtype, const std::vector<int64_t>& sizes) {
  std::optional<uint64_t> out = element_bytes(dtype);
  for (const int64_t size : sizes) {
    if (size < 0) return std::nullopt;
    if (out) out = checked_mul(*out, static_cast<uint64_t>(size));
  }
  return out;
}

Result<ExportedProgram> read_program(const Checkpoint& checkpoint) {
  const ZipReader& zip = checkpoint.archives[0];
  MLC_TRY(const std::string record, program_record(zip));
  MLC_TRY(const std::string json, zip.read(*zip.record(record), kMaxProgramBytes));
  return read_exported_program(json, record);
}

}  // namespace

Result<ExportedArtefact> ExportedArtefact::open(Checkpoint& checkpoint, Reporter& reporter) {
  MLC_TRY(ExportedProgram program, read_program(checkpoint));
  ExportedArtefact out;
  out.program_ = std::make_shared<ExportedProgram>(std::move(program));
  out.inputs_ = program_inputs(*out.program_);
  hold_samples(checkpoint, *out.program_, out.inputs_, reporter);
  for (const char* path : {"state_dict", "constants", "."}) {
    const NodeId node = node_at(checkpoint, path);
    if (node != kNoNode && checkpoint.graph.entries(node) != nullptr) {
      out.state_dicts_.push_back(read_state_dict(checkpoint, node, path));
    }
  }
  return out;
}

ProgramSource ExportedArtefact::source(const Checkpoint& checkpoint) const {
  return source(checkpoint, program_);
}

ProgramSource ExportedArtefact::source(const Checkpoint& checkpoint,
                                       const std::shared_ptr<ExportedProgram>& program) const {
  auto places = std::make_shared<std::vector<Weights>>();
  for (const StateDict& one : state_dicts_) places->emplace_back(checkpoint, one);
  ProgramSource source;
  source.program = program;
  source.weight = [program, places](const ProgramWeight& weight) -> Result<Weight> {
    arch::ScriptTensor wanted;
    wanted.path = weight.key;
    const ir::TensorType& type = *weight.value->tensor();
    wanted.dtype = *type.dtype;
    for (const ir::Expr size : *type.sizes) {
      const auto number = program->graph.symbols().constant_value(size);
      if (!number) return corrupt("tensor " + quoted(weight.key) + " has sizes that vary");
      wanted.shape.push_back(*number);
    }
    const std::optional<uint64_t> size = byte_size_of(wanted.dtype, wanted.shape);
    if (!size) return corrupt("tensor " + quoted(weight.key) + " has sizes that no tensor has");
    for (Weights& place : *places) {
      auto found = place.get(wanted);
      if (found.ok() && found->bytes.size() != *size) {
        return corrupt(fmt::format("the program states {} for tensor {}, the archive has {}",
                                   plural(*size, "byte"), quoted(weight.key),
                                   plural(found->bytes.size(), "byte")));
      }
      if (found.ok() || found.error().kind() != ErrorKind::not_found) return found;
    }
    return corrupt("the archive lacks tensor " + quoted(weight.key) + " of its program");
  };
  return source;
}

Result<ProgramSource> ExportedArtefact::source_in(const Checkpoint& checkpoint, DType dtype) const {
  // The inputs of this one keep their types, which tell what to read and to make.
  MLC_TRY(ExportedProgram program, read_program(checkpoint));
  passes::cast_floats(program.graph, dtype);
  return source(checkpoint, std::make_shared<ExportedProgram>(std::move(program)));
}

Result<std::unique_ptr<Model>> ExportedArtefact::load(const Checkpoint& checkpoint, Engine& engine,
                                                      const LoadOptions& options,
                                                      Reporter& reporter) const {
  if (!options.dtype) return engine.interpret(source(checkpoint), options, reporter);
  MLC_TRY(const ProgramSource cast, source_in(checkpoint, *options.dtype));
  return engine.interpret(cast, options, reporter);
}

}  // namespace mlc
