#include "mlc/ir/known_sizes.h"

#include "catch.h"

using namespace mlc::ir;

namespace {

struct Observed {
  Symbols symbols;
  Expr batch = symbols.symbol("batch", {1, 1024});
  Expr seq = symbols.symbol("seq", {1, 512});
  KnownSizes known{symbols, 4};

  Observed() {
    known.define(batch, {2, 3, 5, 7});
    known.define(seq, {11, 19, 13, 17});
  }
  std::string found(const LaneNumbers& numbers, std::vector<Expr> candidates) {
    const auto out = known.find(numbers, candidates);
    return out ? symbols.text(*out) : "nothing";
  }
};

}  // namespace

TEST_CASE("an observed size is the expression that explains all lanes") {
  Observed of;
  CHECK(of.found({2, 3, 5, 7}, {of.seq, of.batch}) == "batch");
  CHECK(of.found({3, 3, 3, 3}, {of.seq, of.batch}) == "3");
  CHECK(of.found({24, 36, 60, 84}, {of.batch}) == "12*batch");
  CHECK(of.found({21, 37, 25, 33}, {of.batch, of.seq}) == "2*seq - 1");
  CHECK(of.found({22, 57, 65, 119}, {of.batch, of.seq}) == "batch*seq");
  CHECK(of.found({2, 3, 5, 7}, {}) == "batch");
  CHECK(of.found({2, 3, 5, 8}, {of.batch, of.seq}) == "nothing");
}

TEST_CASE("a lane without a number says nothing") {
  Observed of;
  CHECK(of.found({2, kNoNumber, 5, kNoNumber}, {of.batch}) == "batch");
  CHECK(of.found({4, kNoNumber, 10, 14}, {of.batch}) == "2*batch");
  // Two points are a line whatever they are.
  CHECK(of.found({4, kNoNumber, 11, kNoNumber}, {of.batch}) == "nothing");
  CHECK(of.found({4, 4, kNoNumber, kNoNumber}, {of.batch}) == "4");
  CHECK(of.found({4, kNoNumber, kNoNumber, kNoNumber}, {of.batch}) == "nothing");
  CHECK(of.found({kNoNumber, kNoNumber, kNoNumber, kNoNumber}, {of.batch}) == "nothing");
}

TEST_CASE("numbers of expressions follow from those of their symbols") {
  Observed of;
  const Expr half = of.symbols.floor_divide(of.seq, of.symbols.constant(2));
  CHECK(of.known.at(of.symbols.add(half, of.batch)) == LaneNumbers{7, 12, 11, 15});
  CHECK(of.known.at(of.symbols.minimum(of.seq, of.symbols.constant(15))) ==
        LaneNumbers{11, 15, 13, 15});
  const Expr unknown = of.symbols.fresh("u", {});
  CHECK(of.known.at(unknown) == LaneNumbers(4, kNoNumber));
  const Expr count = of.known.fresh("u", {4, 1, 3, 9}, {0, kUnbounded});
  CHECK(of.found({8, 2, 6, 18}, {count}) == "2*u1");
}
