"""export-onnx of lists to which loops append: the loops give what all rounds appended, stacked."""

from typing import List

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from test_export_onnx import run

pytestmark = [pytest.mark.usefixtures("onnx_checker", "onnxruntime_engine", "engine"),
              pytest.mark.filterwarnings("ignore")]
SPEC = "x:f32[batch=2,seq=5,4]"


class Cell(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.GRUCell(4, 4)


class Stack(Cell):
    def forward(self, x):
        out: List[Tensor] = []
        h = x[:, 0] * 0
        for t in range(x.size(1)):
            h = self.cell(x[:, t], h)
            out.append(h)
        return torch.stack(out, 1), h


class StackLast(Cell):
    def forward(self, x):
        out: List[Tensor] = []
        for t in range(x.size(1)):
            out.append(self.cell(x[:, t]))
        return torch.stack(out, -1), len(out), out[-1], out[0]


class Cat(nn.Module):
    def forward(self, x):
        out: List[Tensor] = []
        for t in range(x.size(1)):
            out.append(x[:, t:t + 1] * t)
        return torch.cat(out, 1), torch.cat(out), torch.cat(out, -1)


class Behind(nn.Module):
    """Elements before the loop, which may have no round."""

    def forward(self, x):
        out = [x[:, 0], x[:, 0] + 1]
        for t in range(1, x.size(1)):
            out.append(x[:, t] * 2)
        return torch.stack(out, 1), torch.cat(out, 1), len(out), out[0], out[1]


class Longer(nn.Module):
    """Of which cat takes elements of another size before the loop."""

    def forward(self, x):
        out = [x[:, :2]]
        for t in range(1, x.size(1)):
            out.append(x[:, t:t + 1])
        return torch.cat(out, 1)


class TwoLists(nn.Module):
    def forward(self, x):
        a: List[Tensor] = []
        b: List[Tensor] = []
        for t in range(x.size(1)):
            a.append(x[:, t].sum(1))
            b.append(x[:, t] > 0)
        return torch.stack(a), torch.stack(b, 1)


class Nested(nn.Module):
    def forward(self, x):
        rows: List[Tensor] = []
        for i in range(x.size(0)):
            inner: List[Tensor] = []
            for t in range(x.size(1)):
                inner.append(x[i, t] + t)
            rows.append(torch.stack(inner).cumsum(0))
        return torch.stack(rows)


class InBranch(nn.Module):
    def forward(self, x):
        y = x
        if bool(x.sum() > 0):
            out: List[Tensor] = []
            for t in range(x.size(1)):
                out.append(x[:, t].exp())
            y = torch.stack(out, 1)
        return y


class While(nn.Module):
    def forward(self, x):
        out: List[Tensor] = [x]
        y = x
        while bool(y.abs().max() > 0.3):
            y = y / 2
            out.append(y)
        return torch.stack(out), len(out)


class Views(nn.Module):
    """What is appended is memory of the input; what comes out is not, and may be written into."""

    def forward(self, x):
        out: List[Tensor] = []
        for t in range(x.size(1)):
            out.append(x[:, t])
        y = torch.stack(out, 1)
        y[:, 0] = 7.0
        return y, x


MODULES = [Stack, StackLast, Cat, Behind, Longer, TwoLists, Nested, InBranch, While, Views]


@pytest.mark.parametrize("module", MODULES)
def test_a_list_that_a_loop_fills(mlc, tmp_path, module):
    torch.manual_seed(0)
    model = torch.jit.script(module().eval())
    model.save(tmp_path / "net.pt")
    mlc.ok("export-onnx", "net.pt", "-o", "net.onnx", "--input", SPEC)
    graph = onnx.load(tmp_path / "net.onnx")
    onnx.checker.check_model(graph, full_check=True)
    assert any(node.op_type == "Loop" for node in graph.graph.node) or module is InBranch
    for batch, seq in ((1, 1), (3, 2), (2, 9)):
        x = torch.randn(batch, seq, 4)
        with torch.no_grad():
            wanted = model(x.clone())
        wanted = wanted if isinstance(wanted, tuple) else (wanted,)
        for one, got in zip(wanted, run(tmp_path / "net.onnx", x)):
            one = one.numpy() if isinstance(one, Tensor) else np.asarray(one)
            assert got.shape == one.shape
            np.testing.assert_allclose(got, one, rtol=1e-5, atol=1e-6)


def test_rounds_are_a_size_of_the_result_and_cost_no_copies(mlc, tmp_path):
    torch.jit.script(Stack().eval()).save(tmp_path / "net.pt")
    out = mlc.ok("export-onnx", "net.pt", "-o", "net.onnx", "--input", SPEC).stdout
    assert "output.0: f32[batch, seq, 4]" in out
    loop, = [node for node in onnx.load(tmp_path / "net.onnx").graph.node if node.op_type == "Loop"]
    body = loop.attribute[0].g
    assert len(body.input) == 3 and len(body.output) == 3  # h is carried, the list is not
    assert "Concat" not in {node.op_type for node in body.node}


class Reads(nn.Module):
    def forward(self, x):
        out = [x[:, 0]]
        for t in range(1, x.size(1)):
            out.append(out[-1] + x[:, t])
        return torch.stack(out)


class Sometimes(nn.Module):
    def forward(self, x):
        out: List[Tensor] = []
        for t in range(x.size(1)):
            if bool(x[:, t].sum() > 0):
                out.append(x[:, t])
        return torch.stack(out)


class Sizes(nn.Module):
    def forward(self, x):
        out: List[Tensor] = []
        for t in range(x.size(1)):
            out.append(x[:, :t + 1])
        return torch.cat(out, 1)


class Twice(nn.Module):
    def forward(self, x):
        out: List[Tensor] = []
        for t in range(x.size(1)):
            out.append(x[:, t])
            out.append(x[:, t] + 1)
        return torch.stack(out)


class WritesLater(nn.Module):
    def forward(self, x):
        out: List[Tensor] = []
        h = x[:, 0] * 0
        for t in range(x.size(1)):
            out.append(h)
            h += x[:, t]
        return torch.stack(out)


class WritesBehind(nn.Module):
    def forward(self, x):
        x = x + 1
        out: List[Tensor] = []
        for t in range(x.size(1)):
            out.append(x[:, t])
        x.zero_()
        return torch.stack(out)


class Returns(nn.Module):
    def forward(self, x):
        out: List[Tensor] = []
        for t in range(x.size(1)):
            out.append(x[:, t])
        return out


class TakesApart(nn.Module):
    def forward(self, x):
        out: List[Tensor] = []
        for t in range(x.size(1)):
            out.append(x[:, t])
        a, b, c, d, e = out
        return a + b + c + d + e


class BranchOfLists(nn.Module):
    def forward(self, x):
        out: List[Tensor] = []
        if bool(x.sum() > 0):
            for t in range(x.size(1)):
                out.append(x[:, t])
        return torch.stack(out + [x[:, 0]])


@pytest.mark.parametrize("module,words", [
    (Reads, "aten::__getitem__ of a list to which a loop that hangs on sizes or values appends"),
    (Sometimes, "a list or an attribute that changes within a loop that hangs on sizes or values"),
    (Sizes, "a loop that appends tensors of several sizes to a list"),
    (Twice, "aten::append of a list to which a loop that hangs on sizes or values appends"),
    (WritesLater, "which writes into a tensor of a list that a loop fills"),
    (WritesBehind, "which writes into a tensor of a list that a loop fills"),
    (Returns, "is a list of as many tensors as a loop has rounds"),
    (TakesApart, "a list to which a loop that hangs on sizes or values appends, taken apart"),
    (BranchOfLists, "a list or an attribute that changes within a loop"),
])
def test_lists_that_no_loop_of_onnx_fills_are_refused_by_name(mlc, tmp_path, module, words):
    torch.jit.script(module().eval()).save(tmp_path / "net.pt")
    result = mlc("export-onnx", "net.pt", "-o", "net.onnx", "--input", SPEC)
    assert result.rc == 4 and words in result.stderr, result.stderr
    assert not (tmp_path / "net.onnx").exists()
