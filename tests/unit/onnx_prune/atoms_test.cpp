#include "mlc/onnx_prune/atoms.h"

#include "catch.h"

using mlc::onnx::Atom;
using mlc::onnx::Atoms;

TEST_CASE("atoms that meet go together, whoever was asked first") {
  Atoms atoms;
  const Atom a = atoms.add();
  const Atom b = atoms.add();
  const Atom c = atoms.add();
  const Atom d = atoms.add();
  atoms.unite(c, d, "");
  atoms.unite(d, b, "");
  CHECK(atoms.find(c) == b);  // the oldest stands for all
  CHECK(atoms.find(d) == b);
  CHECK(atoms.find(a) == a);
  CHECK(atoms.frozen(d) == nullptr);
}

TEST_CASE("what meets something that stays stays too, for the first reason") {
  Atoms atoms;
  const Atom a = atoms.add();
  const Atom b = atoms.add();
  const Atom c = atoms.add();
  atoms.freeze(b, "an output");
  atoms.freeze(b, "a norm");
  atoms.unite(a, b, "");
  REQUIRE(atoms.frozen(a) != nullptr);
  CHECK(*atoms.frozen(a) == "an output");
  atoms.unite(c, Atoms::kStays, "a sum with one that stays");
  REQUIRE(atoms.frozen(c) != nullptr);
  CHECK(*atoms.frozen(c) == "a sum with one that stays");
  CHECK(atoms.find(c) == c);
  CHECK(atoms.find(Atoms::kStays) == Atoms::kStays);
  CHECK(atoms.frozen(Atoms::kStays) != nullptr);
}

TEST_CASE("two reasons stay apart until their atoms meet") {
  Atoms atoms;
  const Atom a = atoms.add();
  const Atom b = atoms.add();
  atoms.freeze(a, "first");
  atoms.freeze(b, "second");
  CHECK(*atoms.frozen(b) == "second");
  atoms.unite(b, a, "");
  CHECK(*atoms.frozen(b) == "first");
}
