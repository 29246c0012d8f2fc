#include "mlc/compress/quant_scheme.h"

#include "mlc/base/text.h"

#include <array>
#include <charconv>
#include <optional>

namespace mlc {
namespace {

constexpr auto kSchemes = std::to_array<SchemeInfo>({
    {SchemeKind::keep, "keep", 0, DType::f32, false, 0, true, "as it is"},
    {SchemeKind::int8, "int8", 8, DType::i8, true, 0, true, "one scale a row, symmetric"},
    {SchemeKind::int4, "int4", 4, DType::u8, true, 32, false,
     "scale and zero point for 32 weights of a row"},
    {SchemeKind::fp16, "fp16", 16, DType::f16, false, 0, true, "float16"},
    {SchemeKind::bf16, "bf16", 16, DType::bf16, false, 0, true, "bfloat16"},
});

constexpr int64_t kMaxGroup = 65536;

Error bad_option(std::string_view text, std::string_view option) {
  return usage_error("no such option " + quoted(option) + " in the scheme " + quoted(text),
                     "options of int8 and int4 are g32 (or another group size), channel, sym and "
                     "asym, as in int4:g128:sym");
}

std::optional<int64_t> group_size(std::string_view option) {
  int64_t group = 0;
  const char* const end = option.data() + option.size();
  const auto read = std::from_chars(option.data() + 1, end, group);
  if (read.ec != std::errc() || read.ptr != end || group < 2 || group > kMaxGroup) return {};
  return group;
}

Status apply_option(QuantScheme& scheme, std::string_view text, std::string_view option) {
  if (option == "sym" || option == "asym") {
    scheme.symmetric = option == "sym";
    scheme.said = true;
  } else if (option == "channel") {
    scheme.group = 0;
  } else if (option.starts_with('g')) {
    const auto group = group_size(option);
    if (!group) {
      return usage_error("not a group size: " + quoted(option) + " in the scheme " + quoted(text),
                         "g2 to g65536, as in int4:g32");
    }
    scheme.group = *group;
  } else {
    return bad_option(text, option);
  }
  return {};
}

}  // namespace

std::span<const SchemeInfo> scheme_table() {
  return kSchemes;
}

std::vector<std::string> scheme_names() {
  std::vector<std::string> names;
  for (const SchemeInfo& row : kSchemes) names.emplace_back(row.name);
  return names;
}

QuantScheme default_scheme(SchemeKind kind) {
  const SchemeInfo& row = kSchemes[static_cast<size_t>(kind)];
  return {kind, row.group, row.symmetric, false, false};
}

std::string QuantScheme::text() const {
  const SchemeInfo& row = info();
  std::string out(row.name);
  if (group != row.group) out += group == 0 ? ":channel" : ":g" + std::to_string(group);
  if (symmetric != row.symmetric) out += symmetric ? ":sym" : ":asym";
  return out;
}

Result<QuantScheme> parse_scheme(std::string_view text) {
  const std::vector<std::string_view> parts = split(text, ':');
  for (const SchemeInfo& row : kSchemes) {
    if (row.name != parts[0]) continue;
    QuantScheme scheme = default_scheme(row.kind);
    for (size_t i = 1; i < parts.size(); ++i) {
      if (!row.integer) return bad_option(text, parts[i]);
      MLC_CHECK(apply_option(scheme, text, parts[i]));
    }
    return scheme;
  }
  const auto meant = nearest(parts[0], scheme_names());
  return usage_error(
      "no such scheme: " + quoted(text),
      meant ? "did you mean " + *meant + "?" : "schemes are " + join_list(scheme_names()));
}

size_t row_dimension(Dims sizes) {
  for (size_t d = 0; d + 1 < sizes.size(); ++d) {  // the last one has the columns
    if (sizes[d] > 1) return d;
  }
  return 0;
}

QuantLayout layout_of(const QuantScheme& scheme, Dims sizes) {
  QuantLayout out;
  out.rows = sizes.empty() ? 1 : sizes[row_dimension(sizes)];
  out.columns = element_count(sizes).value_or(0) / out.rows;
  out.group = scheme.group == 0 ? out.columns : std::min(scheme.group, out.columns);
  out.groups = (out.columns + out.group - 1) / out.group;
  out.packed = scheme.info().bits == 4;
  out.words = scheme.words;
  return out;
}

}  // namespace mlc
