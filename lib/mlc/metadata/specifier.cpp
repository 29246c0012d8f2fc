#include "mlc/metadata/specifier.h"

#include "mlc/base/text.h"

#include <algorithm>

namespace mlc {
namespace {

struct OpRow {
  std::string_view text;
  Specifier::Op op;
};
// Longer operators before their own beginnings.
constexpr OpRow kOps[] = {
    {"===", Specifier::Op::identical}, {"~=", Specifier::Op::compatible},
    {"==", Specifier::Op::equal},      {"!=", Specifier::Op::not_equal},
    {"<=", Specifier::Op::less_equal}, {">=", Specifier::Op::greater_equal},
    {"<", Specifier::Op::less},        {">", Specifier::Op::greater},
};

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
bool is_name_char(char c) {
  const char l = lower(c);
  return (l >= 'a' && l <= 'z') || (c >= '0' && c <= '9');
}

bool same_text(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

Error bad_clause(std::string_view clause, std::string_view why) {
  return usage_error(quoted(clause, 60) + " is not a version clause: " + std::string(why),
                     "write it like >=1.13, <3, ==2.* or ~=1.4");
}

// Whether V is P, or P with a post-release or a local part.
bool in_post_family(const Version& v, const Version& p) {
  return v.epoch() == p.epoch() && v.base() == p.base() && v.pre() == p.pre() &&
         v.post().has_value();
}

}  // namespace

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::satisfied:
      return "satisfied";
    case Verdict::unsatisfied:
      return "unsatisfied";
    case Verdict::unknown:
      return "unknown";
  }
  return "unknown";
}

Result<Specifier> Specifier::parse(std::string_view text) {
  const std::string_view clause = trim(text);
  const auto* row = std::find_if(std::begin(kOps), std::end(kOps),
                                 [&](const OpRow& r) { return clause.starts_with(r.text); });
  if (row == std::end(kOps)) {
    return bad_clause(clause, "it begins with none of ~= == != <= >= < > ===");
  }
  Specifier out;
  out.op_ = row->op;
  std::string_view rest = trim(clause.substr(row->text.size()));
  out.text_ = rest;
  if (rest.empty() || rest.find_first_of(" \t\r\n;)") != std::string_view::npos) {
    return bad_clause(clause, rest.empty() ? "the version is missing" : "it contains a space");
  }
  if (rest.ends_with(".*") && (out.op_ == Op::equal || out.op_ == Op::not_equal)) {
    out.prefix_ = true;
    rest.remove_suffix(2);
  }
  auto version = Version::parse(rest);
  if (!version.ok()) {
    if (out.op_ != Op::identical) return bad_clause(clause, version.error().message());
    out.is_version_ = false;
    return out;
  }
  out.version_ = std::move(version).value();
  if (out.op_ == Op::identical) return out;
  const Version& v = out.version_;
  if (out.prefix_ && (v.is_prerelease() || v.post() || !v.local().empty())) {
    return bad_clause(clause, "\".*\" may only follow numbers");
  }
  if (out.op_ == Op::compatible && v.release().size() < 2) {
    return bad_clause(clause, "\"~=\" needs two numbers or more");
  }
  if (!v.local().empty() && out.op_ != Op::equal && out.op_ != Op::not_equal) {
    return bad_clause(clause, "only == and != may name a local version (after \"+\")");
  }
  return out;
}

bool Specifier::names_prerelease() const {
  return op_ != Op::not_equal && is_version_ && version_.is_prerelease();
}

std::string Specifier::to_string() const {
  const auto* row =
      std::find_if(std::begin(kOps), std::end(kOps), [&](const OpRow& r) { return r.op == op_; });
  return std::string(row->text) + text_;
}

bool Specifier::accepts(const Version& version, std::string_view text) const {
  const Version v = version.without_local();
  switch (op_) {
    case Op::identical:
      return same_text(trim(text), text_);
    case Op::equal:
      if (prefix_) return v >= version_.first_of_prefix() && v < version_.first_after_prefix();
      return version_.local().empty() ? v == version_ : version == version_;
    case Op::not_equal:
      if (prefix_) return v < version_.first_of_prefix() || v >= version_.first_after_prefix();
      return version_.local().empty() ? v != version_ : version != version_;
    case Op::compatible:
      return v >= version_ && v < version_.shorter_release().first_after_prefix();
    case Op::less_equal:
      return v <= version_;
    case Op::greater_equal:
      return v >= version_;
    case Op::less:
      return v < (version_.is_prerelease() ? version_ : version_.as_dev0());
    case Op::greater:
      if (version_.dev() || version_.post()) return v > version_;
      return v > version_ && !in_post_family(v, version_);
  }
  return false;
}

Verdict Specifier::judge_floor(const Version& floor) const {
  const bool at_floor = accepts(floor, floor.to_string());
  switch (op_) {
    case Op::identical:
      return Verdict::unknown;
    case Op::greater_equal:
    case Op::greater:
      return at_floor ? Verdict::satisfied : Verdict::unknown;
    case Op::less_equal:
    case Op::less:
      return at_floor ? Verdict::unknown : Verdict::unsatisfied;
    case Op::compatible:
      return floor >= version_.shorter_release().first_after_prefix() ? Verdict::unsatisfied
                                                                      : Verdict::unknown;
    case Op::equal:
    case Op::not_equal:
      break;
  }
  const bool beyond = prefix_ ? floor >= version_.first_after_prefix() : floor > version_;
  if (!beyond) return Verdict::unknown;
  return op_ == Op::equal ? Verdict::unsatisfied : Verdict::satisfied;
}

Result<SpecifierSet> SpecifierSet::parse(std::string_view text) {
  SpecifierSet out;
  for (const std::string_view part : split(text, ',')) {
    if (trim(part).empty()) continue;
    MLC_TRY(Specifier clause, Specifier::parse(part));
    out.clauses_.push_back(std::move(clause));
  }
  return out;
}

bool SpecifierSet::names_prerelease() const {
  return std::any_of(clauses_.begin(), clauses_.end(),
                     [](const Specifier& clause) { return clause.names_prerelease(); });
}

std::string SpecifierSet::to_string() const {
  std::string out;
  for (const Specifier& clause : clauses_) {
    if (!out.empty()) out += ',';
    out += clause.to_string();
  }
  return out;
}

bool SpecifierSet::contains(const Version& version, std::string_view text, bool allow_pre) const {
  if (version.is_prerelease() && !allow_pre && !names_prerelease()) return false;
  return std::all_of(clauses_.begin(), clauses_.end(),
                     [&](const Specifier& clause) { return clause.accepts(version, text); });
}

bool SpecifierSet::contradicts_itself() const {
  // What meets all clauses is made of ranges that begin at, or right behind, a version of a clause
  // or the release after it, less single versions and families: one version of each will do.
  std::vector<Version> candidates = {Version()};
  for (const Specifier& clause : clauses_) {
    const Version& version = clause.version_;
    const bool plain = !version.is_prerelease() && !version.post() && version.local().empty();
    if (!plain || clause.op_ == Specifier::Op::identical) return false;
    candidates.push_back(version);
    candidates.push_back(version.first_after_prefix());
    for (const std::string_view behind : {".0.0.0.1", ".0.0.0.65537", ".1", ".65537"}) {
      auto later = Version::parse(version.to_string() + std::string(behind));
      if (later.ok()) candidates.push_back(std::move(later).value());
    }
  }
  return std::ranges::none_of(candidates, [this](const Version& version) {
    return contains(version, version.to_string(), true);
  });
}

Result<Requirement> Requirement::parse(std::string_view text) {
  const std::string_view all = trim(text);
  size_t end = 0;
  while (end < all.size() &&
         (is_name_char(all[end]) ||
          (end > 0 && std::string_view("._-").find(all[end]) != std::string_view::npos))) {
    ++end;
  }
  const std::string_view name = all.substr(0, end);
  std::string_view rest = trim(all.substr(end));
  const std::string subject = quoted(all, 80) + " is not a requirement: ";
  if (name.empty() || !is_name_char(name.back())) {
    return usage_error(subject + "it does not begin with a name", "write it like torch>=1.13,<3");
  }
  if (std::ranges::none_of(name, [](char c) { return is_name_char(c) && (c < '0' || c > '9'); })) {
    return usage_error(subject + "a number names no package", "write it like torch>=1.13,<3");
  }
  if (rest.starts_with('[') || rest.starts_with('@') || rest.find(';') != std::string_view::npos) {
    return usage_error(subject + "extras, URLs and markers are not supported",
                       "write it like torch>=1.13,<3");
  }
  if (rest.starts_with('(') && rest.ends_with(')')) rest = rest.substr(1, rest.size() - 2);
  auto versions = SpecifierSet::parse(rest);
  if (!versions.ok()) {
    return usage_error(subject + versions.error().message(), versions.error().hint());
  }
  return Requirement{normalized_name(name), std::move(versions).value()};
}

std::string normalized_name(std::string_view name) {
  std::string out;
  for (const char c : name) {
    const bool separator = c == '.' || c == '-' || c == '_';
    if (!separator) {
      out += lower(c);
    } else if (!out.ends_with('-')) {
      out += '-';
    }
  }
  return out;
}

}  // namespace mlc
