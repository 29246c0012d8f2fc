"""mlc trace of .pt2: numbers among the arguments of operators give the types that PyTorch gives."""

import pytest
import torch
from torch import nn

pytestmark = [pytest.mark.usefixtures("engine"), pytest.mark.filterwarnings("ignore::UserWarning"),
              pytest.mark.filterwarnings("ignore::DeprecationWarning"), pytest.mark.filterwarnings("ignore::FutureWarning")]


class Calls(nn.Module):
    def __init__(self, calls):
        super().__init__()
        self.calls = calls

    def forward(self, x):
        return tuple(one(x) for one in self.calls)


BOOLEANS = (
    lambda x: torch.full((4,), True), lambda x: torch.full((x.size(0),), False), lambda x: (x > 0) & True,
    lambda x: (x > 0) ^ True, lambda x: (x > 0) | False, lambda x: torch.where(x > 0, True, False),
    lambda x: torch.where(x > 0, True, 1.5), lambda x: x * True, lambda x: (x > 0) * True, lambda x: (x > 0) + True,
    lambda x: torch.add(x, True, alpha=2), lambda x: x / True, lambda x: (x > 0) / True, lambda x: (x > 0) == True,  # noqa: E712
    lambda x: (x > 0).masked_fill(x < 0.5, True), lambda x: torch.full_like(x, True), lambda x: (x > 0).new_full((3,), True),
    lambda x: torch.full((3,), True, dtype=torch.int32), lambda x: x.half() * True, lambda x: x.int() * False)
SCALAR_FIRST = (
    lambda x: 2 - x, lambda x: 2.1 - x.half(), lambda x: 1.0 - x.long(), lambda x: torch.div(1, x), lambda x: 7 // (x + 9),
    lambda x: 1 - torch.sigmoid(x), lambda x: torch.linspace(0, 1, 5) * x[0], lambda x: torch.logspace(0, 1, 5) * x[0],
    lambda x: nn.functional.pad(x[None], (2, 2), mode="reflect"), lambda x: x.size(0) - x, lambda x: 2 - x.int(),
    lambda x: (x.size(0) * 0.5) - x, lambda x: x.size(0) * 0.5 - x.long(), lambda x: 2.5 - x.sum().half(),
    lambda x: 2 - x.sum().int(), lambda x: 2.5 - x.sum().int(), lambda x: torch.rsub(x, 2, alpha=3), lambda x: x.long() * 2.5,
    lambda x: 2**x.int(), lambda x: torch.where(x > 0, 1.5, x), lambda x: 7 % (x.abs() + 1), lambda x: 1 + (x > 0))


@pytest.mark.parametrize("decomposed", [False, True])
@pytest.mark.parametrize("calls", [BOOLEANS, SCALAR_FIRST], ids=["booleans", "scalar_first"])
def test_numbers_keep_the_types_of_pytorch(mlc, tmp_path, calls, decomposed):
    """torch.full((4,), True) became int64, 1.0 - x.long() f64, and 2 - x no TorchScript at all."""
    torch.manual_seed(0)
    shapes = ({0: torch.export.Dim("n", min=3, max=64)},)
    program = torch.export.export(Calls(calls), (torch.randn(4),), dynamic_shapes=shapes)
    if decomposed:
        program = program.run_decompositions()
    torch.export.save(program, tmp_path / "m.pt2")
    mlc.ok("trace", "m.pt2", "-o", "m.pt")
    mlc.ok("trace", "m.pt2", "--freeze", "-o", "frozen.pt")
    for name in ("m.pt", "frozen.pt"):
        made = torch.jit.load(tmp_path / name)
        for size in (4, 4, 4, 7):
            x = torch.randn(size) * 3
            for i, (one, given) in enumerate(zip(calls, made(x))):
                assert one(x).dtype == given.dtype, i
                torch.testing.assert_close(given, one(x), atol=0, rtol=0, msg=str(i))
