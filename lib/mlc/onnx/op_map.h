// What people say an operator becomes: `mlc export-onnx --op-map FILE`.
//
//   version: 1
//   operators:
//     - from: mylib::rotate            # of PyTorch, without its overload
//       to: Rotate                     # of ONNX, or of a domain of its own
//       domain: com.example            # absent: ONNX's own
//       domain_version: 1
//       opset: 17                      # the least one of ONNX that it needs
//       inputs: [x, {argument: angle, default: null}]    # absent: all tensors, in order
//       attributes:
//         axis: {argument: dim, default: -1}             # what the call says
//         mode: nearest                                  # the same in every call
//
// It goes before mlc's own lowerings, so that known operators can be mapped, too. The schema is
// schemas/op-map.schema.json.
#pragma once

#include "mlc/base/result.h"
#include "mlc/onnx/lowering.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace mlc::onnx {

/// A value that is the same in every call: a number, a text, or a list of either kind.
using MappedConstant = std::variant<int64_t, float, std::string, std::vector<int64_t>,
                                    std::vector<float>, std::vector<std::string>>;

/// What the call gives under a name; without a default, the call must give it.
struct MappedArgument {
  std::string name;
  bool has_default = false;
  std::optional<MappedConstant> otherwise;  // absent: the input or the attribute is left out
};

struct MappedOperator {
  std::string from;
  std::string to;
  std::string domain;
  int domain_version = 1;
  int opset = 0;
  std::optional<std::vector<MappedArgument>> inputs;
  std::vector<std::pair<std::string, std::variant<MappedArgument, MappedConstant>>> attributes;
};

struct OpMap {
  std::vector<MappedOperator> operators;

  /// Null where OP ("mylib::rotate") is not in it.
  const MappedOperator* find(std::string_view op) const;
};

/// Errors: those of yaml::parse_file(), usage for what the schema does not allow, with its place.
Result<OpMap> read_op_map(const std::string& path);

/// VALUE, CALL's argument NAME, as an attribute; nothing for None and for what ONNX has no word for
/// (devices, layouts). Throws Unlowerable for tensors.
std::optional<AttributeValue> attribute_of(Call& call, const std::string& name,
                                           const ir::Attribute& value);

/// Makes the node that TO says of CALL. Throws Unlowerable where the call has no argument of a
/// name, or one that can be neither input nor attribute.
void lower_mapped(Call& call, const MappedOperator& to);

}  // namespace mlc::onnx
