// Short architectures and their complaints.
#pragma once

#include "catch.h"
#include "mlc/frontend/architecture.h"

#include <string>

namespace architecture_testing {

/// TEXT as the body of an architecture.
inline mlc::Result<mlc::arch::Architecture> parse(const std::string& text) {
  return mlc::arch::Architecture::parse("mlc: architecture/1\n" + text, "a.yaml");
}

/// "LINE:COLUMN: message" and, behind " | ", the hint; without the line shown and its caret.
inline std::string complaint(const std::string& text) {
  auto architecture = parse(text);
  if (architecture.ok()) return "no error";
  const mlc::Error& error = architecture.error();
  CHECK(error.file() == "a.yaml");
  const std::string message = error.text();
  return message.substr(0, message.find('\n')) + (error.hint().empty() ? "" : " | " + error.hint());
}

/// The same without the hint.
inline std::string message(const std::string& text) {
  const std::string all = complaint(text);
  return all.substr(0, all.find(" | "));
}

/// Names and shapes of the state_dict, one on each line: "fc.weight [10, 3]".
inline std::string keys(const std::string& text) {
  auto architecture = parse(text);
  INFO((architecture.ok() ? "" : architecture.error().text()));
  REQUIRE(architecture.ok());
  std::string out;
  for (const auto& row : mlc::arch::state_dict_of(*architecture)) {
    out += row.name + " " + mlc::arch::python_literal(mlc::arch::Value(row.shape)) + "\n";
  }
  return out;
}

}  // namespace architecture_testing
