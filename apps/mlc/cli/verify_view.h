// What `mlc verify` found, as text and as JSON.
#pragma once

#include "command.h"
#include "mlc/engine/verify.h"

#include <string>
#include <vector>

namespace mlc::cli {

struct VerifyAnswer {
  std::string a;
  std::string b;
  std::string engine;
  std::string device;
  VerifyGates gates;
  std::vector<CaseResult> cases;
  std::vector<CaseResult> not_checked;  // sizes that A itself refuses; they decide nothing

  bool passed() const;
};

void show_verify(const VerifyAnswer& answer, Context& context);

}  // namespace mlc::cli
