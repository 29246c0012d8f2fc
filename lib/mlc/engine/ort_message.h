// What ONNX Runtime says when something fails, made fit for people: without the positions in its
// sources, C++ signatures and conditions that it puts in front.
#pragma once

#include "mlc/base/error.h"

#include <string>
#include <string_view>

namespace mlc {

/// OrtErrorCode of onnxruntime_c_api.h, which this room does not include.
enum class OrtCode : int {
  fail = 1,
  invalid_argument = 2,
  no_such_file = 3,
  runtime_exception = 6,
  invalid_protobuf = 7,
  not_implemented = 9,
  invalid_graph = 10,
};

/// The sentence in MESSAGE that tells what is wrong: one line, printable, first letter small where
/// it begins a sentence, no full stop.
std::string ort_sentence(std::string_view message);

/// Of loading a model: unsupported for operators, versions and types that this ONNX Runtime does
/// not have, read_failed where memory does not suffice, else corrupt.
Error error_of_ort_load(OrtCode code, std::string_view message);

/// Of running it: usage for inputs that it does not take, naming the node that refuses them;
/// unsupported, read_failed as above.
Error error_of_ort_run(OrtCode code, std::string_view message);

}  // namespace mlc
