#include "mlc/torch/capture_limits.h"

#include "mlc/base/text.h"
#include "mlc/torch/guarded.h"
#include "mlc/torch/source_place.h"

#include <algorithm>
#include <array>
#include <functional>
#include <map>
#include <optional>
#include <utility>

#include <torch/csrc/jit/passes/inliner.h>

namespace mlc::torch_module {
namespace {

using Sizes = std::vector<int64_t>;

/// Runs forward at chosen sizes, one for each symbol.
class Trials {
 public:
  Trials(const CaptureTarget& target, const CaptureRequest& request, const Varying& varying)
      : target_(target), request_(request), varying_(varying) {}

  Status run(const Sizes& sizes);
  /// The same with SIZE for SYMBOL and the examples for all others.
  bool runs_with(size_t symbol, int64_t size);
  Sizes examples() const;
  /// What forward said when it last refused.
  const std::string& refusal() const { return refusal_; }

 private:
  Result<std::vector<c10::IValue>> arguments(const Sizes& sizes) const;

  const CaptureTarget& target_;
  const CaptureRequest& request_;
  const Varying& varying_;
  std::string refusal_;
};

Result<std::vector<c10::IValue>> Trials::arguments(const Sizes& sizes) const {
  std::vector<InputSpec> specs = request_.inputs;
  for (InputSpec& spec : specs) {
    for (InputDim& dim : spec.dims) {
      const auto symbol = std::ranges::find(varying_.symbols, dim.symbol, &LaneSymbol::name);
      if (symbol == varying_.symbols.end()) continue;
      dim.example = sizes[static_cast<size_t>(symbol - varying_.symbols.begin())];
    }
  }
  compute_sizes(specs);
  std::vector<c10::IValue> out;
  for (const c10::Argument& argument : target_.arguments) {
    const auto spec = std::ranges::find(specs, argument.name(), &InputSpec::name);
    if (spec == specs.end()) {
      out.push_back(argument.default_value().value_or(c10::IValue()));
      continue;
    }
    MLC_TRY(const HostTensor tensor, request_.sample(*spec, spec->sizes(), 0));
    MLC_TRY(c10::IValue value, target_.to_argument(argument, tensor));
    out.push_back(std::move(value));
  }
  return out;
}

Status Trials::run(const Sizes& sizes) {
  MLC_TRY(std::vector<c10::IValue> given, arguments(sizes));
  Status done = guarded(ErrorKind::usage, [&]() -> Status {
    torch::jit::Module module = target_.module;
    module.forward(std::move(given));
    return {};
  });
  if (!done.ok()) refusal_ = done.error().message();
  return done;
}

Sizes Trials::examples() const {
  Sizes out;
  for (const LaneSymbol& symbol : varying_.symbols) out.push_back(symbol.example);
  return out;
}

bool Trials::runs_with(size_t symbol, int64_t size) {
  Sizes sizes = examples();
  sizes[symbol] = size;
  return run(sizes).ok();
}

/// Which sizes of one symbol the program takes, while all others keep their examples.
struct Limits {
  enum class Kind : uint8_t { open, above, fixed };

  Kind kind = Kind::open;
  int64_t low = 1;      // of above: as far as it was tried
  int64_t high = 1;     // of above: the largest that runs
  std::string refusal;  // what forward says at other sizes; empty where open
};

/// Sizes of SYMBOL to try below its example and above it, in order.
std::pair<Sizes, Sizes> sizes_to_try(const Trials& trials, const LaneSymbol& symbol) {
  Sizes smaller = {std::max<int64_t>(symbol.bounds.low, 1), symbol.example - 1};
  Sizes larger;
  for (const LaneScale scale : {LaneScale::small, LaneScale::medium, LaneScale::large}) {
    const auto sizes = lane_sizes({&symbol, 1}, trials.examples(), scale, 2);
    for (const int64_t one : sizes[0]) (one < symbol.example ? smaller : larger).push_back(one);
  }
  std::erase_if(smaller, [&](int64_t one) { return one < 1 || one >= symbol.example; });
  std::erase(larger, symbol.example);
  std::ranges::sort(smaller);
  std::ranges::sort(larger);
  return {std::move(smaller), std::move(larger)};
}

Limits limits_of(Trials& trials, const Varying& varying, size_t index) {
  const auto [smaller, larger] = sizes_to_try(trials, varying.symbols[index]);
  const int64_t example = varying.symbols[index].example;
  int64_t runs = example;
  std::optional<int64_t> refused;
  for (const int64_t one : larger) {
    if (!trials.runs_with(index, one)) {
      refused = refused.value_or(one);
    } else if (refused) {
      return {};  // no limit, but sizes in between that do not do
    } else {
      runs = one;
    }
  }
  if (!refused && !larger.empty()) return {};
  const auto below =
      std::ranges::find_if(smaller, [&](int64_t one) { return trials.runs_with(index, one); });
  while (refused && *refused - runs > 1) {
    const int64_t middle = runs + (*refused - runs) / 2;
    (trials.runs_with(index, middle) ? runs : *refused) = middle;
  }
  Limits out;
  if (below == smaller.end() && runs == example) {
    out.kind = Limits::Kind::fixed;
  } else if (refused) {
    out = {Limits::Kind::above, below == smaller.end() ? example : *below, runs, ""};
  }
  if (out.kind != Limits::Kind::open) out.refusal = trials.refusal();
  return out;
}

/// The first symbol with the example of INDEX that the program takes at other sizes only together
/// with it.
std::optional<size_t> equal_symbol(Trials& trials, const Varying& varying,
                                   const std::vector<Limits>& limits, size_t index) {
  const auto& symbols = varying.symbols;
  const int64_t example = symbols[index].example;
  for (size_t other = 0; other < index; ++other) {
    const bool any_open =
        limits[other].kind == Limits::Kind::open || limits[index].kind == Limits::Kind::open;
    if (symbols[other].example != example || any_open) continue;
    for (const int64_t size : {example + 1, example * 2}) {
      Sizes sizes = trials.examples();
      sizes[index] = sizes[other] = size;
      if (!trials.runs_with(index, size) && trials.run(sizes).ok()) return other;
    }
  }
  return std::nullopt;
}

/// A size that has to grow with others, each of which the program takes at other sizes only then.
struct Sum {
  size_t total = 0;
  std::vector<size_t> parts;
};

/// Whether the program runs where each of PARTS is larger than LIMITS say that it may be alone, and
/// TOTAL by as much as all of them.
bool grow_together(Trials& trials, const std::vector<Limits>& limits, const Sum& sum) {
  const Sizes examples = trials.examples();
  Sizes sizes = examples;
  int64_t more = 1;
  for (const size_t part : sum.parts) {
    const bool is_above = limits[part].kind == Limits::Kind::above;
    sizes[part] = (is_above ? limits[part].high : examples[part]) + more++;
    sizes[sum.total] += sizes[part] - examples[part];
  }
  return trials.run(sizes).ok();
}

/// The sum with the most parts, of the sizes for which LIMITS says that they do not vary alone.
std::optional<Sum> sum_of_sizes(Trials& trials, const std::vector<Limits>& limits) {
  std::optional<Sum> best;
  for (size_t total = 0; total < limits.size(); ++total) {
    Sum sum{total, {}};
    for (size_t part = 0; part < limits.size(); ++part) {
      const bool alone = limits[part].kind == Limits::Kind::open;
      if (part == total || alone || !grow_together(trials, limits, {total, {part}})) continue;
      sum.parts.push_back(part);
    }
    const Sizes examples = trials.examples();
    const bool better =
        !best || sum.parts.size() > best->parts.size() ||
        (sum.parts.size() == best->parts.size() && examples[total] > examples[best->total]);
    if (sum.parts.empty() || !better || !grow_together(trials, limits, sum)) continue;
    best = std::move(sum);
  }
  return best;
}

/// --input for every input, in which CHANGE has changed named dimensions.
std::string inputs_with(const CaptureRequest& request,
                        const std::function<void(InputDim&)>& change) {
  std::string out;
  for (InputSpec spec : request.inputs) {
    for (InputDim& dim : spec.dims) {
      if (!dim.symbol.empty()) change(dim);
    }
    out += (out.empty() ? "" : " ") + std::string("--input '") + to_text(spec) + "'";
  }
  return out;
}

bool is_trace(const CaptureTarget& target) {
  const auto graph = target.module.get_method("forward").graph()->copy();
  torch::jit::Inline(*graph);
  return std::ranges::any_of(graph->nodes(), [](const torch::jit::Node* node) {
    return node->sourceRange().source() && is_of_trace(*node);
  });
}

/// Words on which sizes the program does not take, and an --input that it does take.
struct Finding {
  std::string what;
  std::string hint;
};

Finding fixed(const std::vector<std::string>& names, const CaptureTarget& target,
              const CaptureRequest& request) {
  std::vector<std::string> sizes;
  const std::string inputs = inputs_with(request, [&](InputDim& dim) {
    if (std::ranges::find(names, dim.symbol) == names.end()) return;
    const std::string size = dim.symbol + " = " + std::to_string(dim.example);
    if (std::ranges::find(sizes, size) == sizes.end()) sizes.push_back(size);
    dim = {"", dim.example, std::nullopt};
  });
  const std::string why =
      is_trace(target) ? "a size was fixed when it was traced" : "its program takes no other size";
  return {"the model runs at " + join_list(sizes) + " only", why + "; declare it fixed: " + inputs};
}

Finding limited(const std::map<std::string, Limits>& limits, const CaptureRequest& request) {
  std::vector<std::string> sizes;
  for (const auto& [name, one] : limits)
    sizes.push_back(name + " up to " + std::to_string(one.high));
  const std::string inputs = inputs_with(request, [&](InputDim& dim) {
    const auto known = limits.find(dim.symbol);
    if (known != limits.end()) dim.bounds = {known->second.low, known->second.high};
  });
  // Of one, all others were tried with it.
  const char* others = sizes.size() == 1 ? "" : ", each with the other sizes as they are";
  return {"the model takes " + join_list(sizes) + " only" + others, "say so: " + inputs};
}

/// "s+p": what the total is, at the examples too.
std::string text_of(const Sum& sum, const Varying& varying) {
  const auto& symbols = varying.symbols;
  std::string out;
  int64_t rest = symbols[sum.total].example;
  for (const size_t part : sum.parts) {
    out += (out.empty() ? "" : "+") + symbols[part].name;
    rest -= symbols[part].example;
  }
  if (rest == 0) return out;
  return out + (rest > 0 ? "+" : "") + std::to_string(rest);
}

Finding together(const Sum& sum, const CaptureRequest& request, const Varying& varying) {
  const std::string& total = varying.symbols[sum.total].name;
  const std::string text = text_of(sum, varying);
  std::vector<std::string> parts;
  for (const size_t part : sum.parts) parts.push_back(varying.symbols[part].name);
  const std::string inputs = inputs_with(request, [&](InputDim& dim) {
    if (dim.symbol == total) dim = {"", dim.example, std::nullopt, text};
  });
  return {"the model takes other sizes for " + join_list(parts) + " only together with " + total +
              ", as with " + total + " = " + text,
          "say so: " + inputs};
}

Finding equal(const std::map<std::string, std::string>& names, const CaptureRequest& request) {
  std::vector<std::string> pairs;
  for (const auto& [one, other] : names) pairs.push_back(one + " equal to " + other);
  const std::string inputs = inputs_with(request, [&](InputDim& dim) {
    const auto known = names.find(dim.symbol);
    if (known != names.end()) dim.symbol = known->second;
  });
  return {"the model wants " + join_list(pairs), "give them one name: " + inputs};
}

/// "--input 'ids:i64[b=2]=LOW..HIGH'", for each input that has random integers.
std::string integers_of(const CaptureRequest& request) {
  std::string out;
  for (InputSpec spec : request.inputs) {
    if (!spec.file.empty() || info(spec.dtype).kind != DTypeClass::integer) continue;
    spec.values.reset();
    out += (out.empty() ? "" : " ") + std::string("--input '") + printable(to_text(spec)) +
           "=LOW..HIGH'";
  }
  return out;
}

Finding not_followed(const Varying& varying, const CaptureRequest& request) {
  std::vector<std::string> names;
  for (const LaneSymbol& symbol : varying.symbols) names.push_back(symbol.name);
  const std::string inputs = inputs_with(request, [](InputDim& dim) {
    dim = {"", dim.example, std::nullopt};
  });
  return {"the model runs at other sizes of " + join_list(names) + ", which mlc does not follow",
          "with plain numbers it does: " + inputs};
}

}  // namespace

Varying varying(const CaptureRequest& request) {
  Varying out;
  for (const InputSpec& spec : request.inputs) {
    for (const InputDim& dim : spec.dims) {
      if (dim.symbol.empty()) {
        out.fixed.push_back(dim.example);
        continue;
      }
      const auto known = std::ranges::find(out.symbols, dim.symbol, &LaneSymbol::name);
      if (known != out.symbols.end()) {
        if (dim.bounds) known->bounds = {dim.bounds->first, dim.bounds->second};
        continue;
      }
      LaneSymbol symbol{dim.symbol, {1, ir::kUnbounded}, dim.example};
      if (dim.bounds) symbol.bounds = {dim.bounds->first, dim.bounds->second};
      out.symbols.push_back(std::move(symbol));
    }
  }
  return out;
}

namespace {

/// REQUEST with the least of the values that its integers may have: what sizes do is seen without
/// what values do.
CaptureRequest with_least_values(CaptureRequest request) {
  for (InputSpec& spec : request.inputs) {
    if (!spec.file.empty() || info(spec.dtype).kind != DTypeClass::integer) continue;
    ValueRange least = spec.values.value_or(ValueRange());
    least.int_high = least.int_low;
    spec.values = least;
  }
  return request;
}

/// As explain_limits(), by TRIALS, which run at the examples.
Error explain_by(Trials& trials, Error error, const CaptureTarget& target,
                 const CaptureRequest& request, const Varying& varying) {
  std::vector<Limits> limits;
  std::string refusal;
  for (size_t i = 0; i < varying.symbols.size(); ++i) {
    limits.push_back(limits_of(trials, varying, i));
    if (refusal.empty()) refusal = limits.back().refusal;
  }
  std::vector<std::string> fixed_names;
  std::map<std::string, Limits> above;
  std::map<std::string, std::string> same;
  for (size_t i = 0; i < limits.size(); ++i) {
    const std::string& name = varying.symbols[i].name;
    if (limits[i].kind == Limits::Kind::above) above.emplace(name, limits[i]);
    if (limits[i].kind == Limits::Kind::fixed) fixed_names.push_back(name);
    const auto other = equal_symbol(trials, varying, limits, i);
    if (other) same.emplace(name, varying.symbols[*other].name);
  }
  const bool none = fixed_names.empty() && above.empty();
  const auto sum = none ? std::nullopt : sum_of_sizes(trials, limits);
  const Finding found = !same.empty()          ? equal(same, request)
                        : sum                  ? together(*sum, request, varying)
                        : !fixed_names.empty() ? fixed(fixed_names, target, request)
                        : !above.empty()       ? limited(above, request)
                                               : not_followed(varying, request);
  const bool is_refused = error.kind() == ErrorKind::usage;
  const bool is_followed = same.empty() && !sum && none;
  if (const std::string drawn = integers_of(request); is_refused && is_followed && !drawn.empty()) {
    return Error(
        ErrorKind::usage, error.message(),
        "it runs at all sizes, so that values are the reason: " + drawn + " says which it takes");
  }
  std::string reason = error.message();
  // What mlc misses is no reason where the program itself refuses.
  if (error.kind() == ErrorKind::unsupported && !refusal.empty()) {
    reason = refusal + ", because " + reason;
  }
  return Error(none ? ErrorKind::unsupported : ErrorKind::usage, found.what + ": " + reason,
               found.hint);
}

}  // namespace

Error explain_limits(Error error, const CaptureTarget& target, const CaptureRequest& request,
                     const Varying& varying) {
  if (varying.symbols.empty()) return error;
  if (!integers_of(request).empty()) {
    const CaptureRequest least = with_least_values(request);
    Trials trials(target, least, varying);
    if (trials.run(trials.examples()).ok())
      return explain_by(trials, std::move(error), target, request, varying);
  }
  Trials trials(target, request, varying);
  Status at_examples = trials.run(trials.examples());
  if (!at_examples.ok()) return std::move(at_examples).error();
  return explain_by(trials, std::move(error), target, request, varying);
}

std::string advice_on(const std::vector<std::string>& problems, bool keeps_loops) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kAdvice = {{
      {"quantised tensor",
       "export the model as it was before, then quantise the ONNX file: mlc quantize model.onnx"},
      {"_nested_tensor_from_mask",
       "nn.TransformerEncoder(..., enable_nested_tensor=False) computes the same without a look at "
       "the mask"},
      {"if is_causal and ",
       "nn.Transformer asks the values of a mask whether it is causal, unless forward gives "
       "is_causal=False (tgt_is_causal, memory_is_causal); a trace has the answer, too"},
      {" on a number that varies",
       "where it is a size, one that --input declares as fixed does not vary"},
  }};
  for (const auto& [words, advice] : kAdvice) {
    const bool fits = std::ranges::any_of(
        problems, [&](const std::string& one) { return one.find(words) != std::string::npos; });
    if (fits) return std::string(advice);
  }
  return keeps_loops ? "loops over sizes that are declared fixed are unrolled" : "";
}

}  // namespace mlc::torch_module
