#include "mlc/keys/prefix.h"

#include "catch.h"
#include "keys/keys_testing.h"

using mlc::ErrorKind;
using mlc::plan_strip_prefix;
using mlc::PrefixOptions;
using namespace keys_testing;
using Lines = std::vector<std::string>;

namespace {

Lines stripped(const Lines& keys, const PrefixOptions& options = {}) {
  auto plan = plan_strip_prefix(names(keys).info(), options);
  if (!plan.ok()) return {message_of(plan)};
  return new_names(*plan);
}

Lines notes(const Lines& keys, const PrefixOptions& options = {}) {
  auto plan = plan_strip_prefix(names(keys).info(), options);
  return plan.ok() ? plan->notes : Lines{message_of(plan)};
}

PrefixOptions only(const Lines& prefixes) {
  PrefixOptions options;
  options.prefixes = prefixes;
  return options;
}

}  // namespace

TEST_CASE("wrapper prefixes go from the front, in any nesting") {
  CHECK(stripped({"module.a.w", "module.b"}) == Lines{"a.w", "b"});
  CHECK(stripped({"module._orig_mod.module.a", "module._orig_mod.module.b"}) == Lines{"a", "b"});
  CHECK(stripped({"_orig_mod.module.a"}) == Lines{"a"});
  CHECK(stripped({"a.w", "my_module.x", "x.module.y", "module"}) ==
        Lines{"a.w", "my_module.x", "x.module.y", "module"});
  CHECK(stripped({"module."}) == Lines{"module."});
  CHECK(stripped({}) == Lines{});
}

TEST_CASE("known wrappers go from the middle too") {
  CHECK(stripped({"_fsdp_wrapped_module.a._checkpoint_wrapped_module.w", "b._orig_mod.w", "c"}) ==
        Lines{"a.w", "b.w", "c"});
  CHECK(stripped({"a._fsdp_wrapped_module._checkpoint_wrapped_module._fsdp_wrapped_module.w"}) ==
        Lines{"a.w"});
  CHECK(stripped({"a.my_orig_mod.w"}) == Lines{"a.my_orig_mod.w"});
  CHECK(stripped({"module._fsdp_wrapped_module.w"}) == Lines{"w"});
}

TEST_CASE("a mixed file is refused, unless partial") {
  CHECK(stripped({"module.a", "module.b", "c"}) ==
        Lines{"2 keys begin with module. (first module.a), but 1 key does not "
              "(first c)\n"
              "hint: --partial strips where there is something to strip and keeps the rest"});
  auto plan = plan_strip_prefix(names({"module.a", "c"}).info(), {});
  REQUIRE_FALSE(plan.ok());
  CHECK(plan.error().kind() == ErrorKind::conflict);
  PrefixOptions partial;
  partial.partial = true;
  CHECK(stripped({"module.module.a", "module.b", "c"}, partial) == Lines{"a", "b", "c"});
}

TEST_CASE("what wrappers keep beside the model does not count") {
  CHECK(stripped({"n_averaged", "module.a"}) == Lines{"n_averaged", "a"});
  CHECK(notes({"n_averaged", "module.a"}) == Lines{"kept beside the model: n_averaged"});
  CHECK(stripped({"module.n_averaged", "module.module.a"}) == Lines{"n_averaged", "a"});
  CHECK(notes({"n_averaged", "a"}).empty());
}

TEST_CASE("a submodule called module survives") {
  const Lines keys = {"module.module.a", "module.head"};
  CHECK(stripped(keys) == Lines{"module.a", "head"});
  const auto plan = plan_strip_prefix(names(keys).info());
  REQUIRE(plan.ok());
  CHECK(plan->warnings ==
        Lines{"1 key still begins with module. (first module.module.a): kept as the "
              "name of a submodule, for not all keys do; --partial strips it, "
              "--max-depth says that it is meant to stay"});
}

TEST_CASE("what is no tensor follows, but neither makes keys mixed nor begins a round") {
  const Keys keys = names({"module.a", "module.b"});
  std::vector<mlc::KeyInfo> info = keys.info();
  for (const char* other : {"epoch", "module.a._extra_state", "plain.bits"}) {
    info.push_back({.name = other, .is_tensor = false});
  }
  const auto plan = plan_strip_prefix(info);
  REQUIRE(plan.ok());
  CHECK(new_names(*plan) == Lines{"a", "b", "epoch", "a._extra_state", "plain.bits"});
  CHECK(plan->first_other == 2);
  PrefixOptions add;
  add.add = "p.";
  const auto added = plan_strip_prefix(info, add);
  REQUIRE(added.ok());
  CHECK(new_names(*added) ==
        Lines{"p.module.a", "p.module.b", "epoch", "p.module.a._extra_state", "p.plain.bits"});
}

TEST_CASE("max_depth bounds how much is stripped") {
  PrefixOptions options;
  options.max_depth = 1;
  CHECK(stripped({"module.module.module.a"}, options) == Lines{"module.module.a"});
  options.max_depth = 0;
  CHECK(stripped({"module.a", "b"}, options) == Lines{"module.a", "b"});
}

TEST_CASE("given prefixes replace the known ones") {
  CHECK(stripped({"model.module.a"}, only({"model"})) == Lines{"module.a"});
  CHECK(stripped({"base_model.model.a"}, only({"base_model.model."})) == Lines{"a"});
  CHECK(stripped({"student.a", "teacher.b"}, only({"student.", "teacher."})) == Lines{"a", "b"});
  CHECK(stripped({"models.a"}, only({"model"})) == Lines{"models.a"});
  CHECK(stripped({"a"}, only({""})) == Lines{"a prefix to strip is empty"});
}

TEST_CASE("anywhere removes whole components in the middle") {
  PrefixOptions options = only({"net."});
  options.anywhere = true;
  CHECK(stripped({"a.net.b.net.w", "net.c", "my_net.d", "x.subnet.net"}, options)[0].find(
            "1 key begins with net. (first net.c), but 2 keys do not (first my_net.d)") == 0);
  options.partial = true;
  CHECK(stripped({"a.net.b.net.w", "net.c", "my_net.d", "x.subnet.net"}, options) ==
        Lines{"a.b.w", "c", "my_net.d", "x.subnet.net"});
  options.partial = false;
  CHECK(stripped({"a.net.b", "net.c"}, options) == Lines{"a.b", "c"});
  PrefixOptions known;
  known.anywhere = true;
  CHECK(stripped({"a.module.b", "c"}, known) == Lines{"a.b", "c"});
}

TEST_CASE("two keys never become one") {
  PrefixOptions partial;
  partial.partial = true;
  auto plan = plan_strip_prefix(names({"module.fc.w", "fc.w"}).info(), partial);
  REQUIRE_FALSE(plan.ok());
  CHECK(plan.error().kind() == ErrorKind::conflict);
  CHECK(message_of(plan).starts_with("module.fc.w and fc.w both become fc.w"));
}

TEST_CASE("flattened FSDP parameters are refused") {
  for (const char* key : {"_fsdp_wrapped_module._flat_param", "a._flat_param", "_flat_param_0",
                          "_fsdp_wrapped_module.flat_param"}) {
    auto plan = plan_strip_prefix(names({key}).info(), {});
    REQUIRE_FALSE(plan.ok());
    CHECK(plan.error().kind() == ErrorKind::unsupported);
    CHECK(message_of(plan).find(std::string(key) + " is a flattened parameter of FSDP") == 0);
  }
  CHECK(stripped({"flat_param"}) == Lines{"flat_param"});
}

TEST_CASE("add is the inverse") {
  PrefixOptions options;
  options.add = "module.";
  CHECK(stripped({"a", "module.b"}, options) == Lines{"module.a", "module.module.b"});
  options.prefixes = {"model."};
  CHECK(stripped({"model.a"}, options) == Lines{"module.a"});
}

TEST_CASE("a plan of stripping is a pure rename that can be asked for names") {
  auto plan = plan_strip_prefix(names({"module.a", "module.b"}).info(), {});
  REQUIRE(plan.ok());
  CHECK(plan->is_pure_rename());
  CHECK(plan->new_name_of("module.b") == "b");
  CHECK(lines(*plan) == Lines{"module.a -> a", "module.b -> b"});
  CHECK_FALSE(plan_strip_prefix(names({"a"}).info(), {})->changes_anything());
}

TEST_CASE("known prefixes are found for hints") {
  const Keys keys = names({"module.model.a", "module.model.b._orig_mod.w", "n_averaged"});
  const auto hints = mlc::detect_prefixes(keys.info());
  REQUIRE(hints.size() == 2);
  CHECK(hints[0].prefix == "module.");
  CHECK(hints[0].count == 2);
  CHECK(hints[0].total == 2);
  CHECK(hints[0].stripped);
  CHECK(hints[1].prefix == "_orig_mod.");
  CHECK(hints[1].count == 1);
  const auto student = mlc::detect_prefixes(names({"student.a"}).info());
  REQUIRE(student.size() == 1);
  CHECK_FALSE(student[0].stripped);
}
