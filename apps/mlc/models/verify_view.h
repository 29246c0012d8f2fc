// What `mlc verify` found, as text and as JSON.
#pragma once

#include "cli/json_writer.h"
#include "command.h"
#include "mlc/engine/verify.h"

#include <string>
#include <vector>

namespace mlc::cli {

struct VerifyAnswer {
  std::string a;
  std::string b;
  std::string engine;
  std::string engine_b;  // of B, where it is another one
  std::string device;
  VerifyGates gates;
  std::vector<CaseResult> cases;
  std::vector<CaseResult> not_checked;  // sizes that A refuses, or too large; they decide nothing

  bool passed() const;
};

/// "|a - b| <= 1e-05 + 0.0001 * |b|": what counts as the same.
std::string same_if(const VerifyAnswer& answer);
/// What a row of the table says of OUTPUT: "equal", "close", "passes" where another gate than the
/// tolerance decides, "differs", or why it cannot be compared.
std::string output_verdict(const OutputDifference& output, const VerifyGates& gates);
/// The table of the cases that were compared, and a line for each size that was not.
void show_cases(const VerifyAnswer& answer, Context& context);
/// The field "cases", and "not_checked" where there are such.
void cases_json(const VerifyAnswer& answer, JsonWriter& json);
/// Warns of NaN and infinities that both sides agree on, and of outputs without elements, once for
/// each output.
void warn_of_odd_outputs(const VerifyAnswer& answer, Reporter& reporter);
/// The sentence that names the first problem; empty where all passed.
std::string first_problem(const VerifyAnswer& answer);
/// What to do where the first failing case looks like rounding alone: "... --atol 0.001 ...". Empty
/// where it does not.
std::string rounding_hint(const VerifyAnswer& answer);

/// For what makes a file of a model: the model takes no other size of a dimension that has a name,
/// or not all of its range.
/// Requires: not_checked has such a case.
Error fixed_in_model(const VerifyAnswer& check, const std::string& model);

void show_verify(const VerifyAnswer& answer, Context& context);

}  // namespace mlc::cli
