"""Attributes and buffers that torch.jit.save pickles otherwise than torch.save."""

import enum

import numpy as np
import pytest
import torch

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")

# What has no storage class in Python.
TYPES = ["float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu", "uint16", "uint32",
         "uint64", "complex32"]


class Color(enum.Enum):
    RED = 1
    BLUE = 2


class Word(enum.Enum):
    A = "first"
    B = "second"


class Chooser(torch.nn.Module):
    mode: Color
    word: Word

    def __init__(self):
        super().__init__()
        self.mode = Color.BLUE
        self.word = Word.A
        self.l = torch.nn.Linear(4, 4)

    def forward(self, x: torch.Tensor):
        if self.mode == Color.BLUE:
            x = x + 1
        if self.word == Word.B:
            x = x * 2
        return self.l(x)


class Holder(torch.nn.Module):
    def __init__(self, value):
        super().__init__()
        self.register_buffer("w", value)

    def forward(self, x: torch.Tensor):
        return x * 2


class Dense(Holder):
    def forward(self, x: torch.Tensor):
        return x + self.w.to_dense()


class Small(Holder):
    def forward(self, x: torch.Tensor):
        return x + self.w.float()


def saved(module, path):
    torch.jit.script(module).save(path)
    return torch.jit.load(path)


def run(mlc, tmp_path, x):
    np.save(tmp_path / "x.npy", x.numpy())
    mlc.ok("run", "m.pt", "--input", "x=@x.npy", "-o", "out.npz")
    return torch.as_tensor(next(iter(np.load(tmp_path / "out.npz").values())))


def test_enum_attributes_were_called_corrupt(mlc, engine, tmp_path):
    model = saved(Chooser(), tmp_path / "m.pt")
    assert "l.weight" in mlc.ok("load", "m.pt").stdout
    x = torch.randn(2, 4)
    torch.testing.assert_close(run(mlc, tmp_path, x), model(x).detach())
    mlc.ok("metadata", "m.pt", "--set", "name=chooser", "--in-place")
    torch.testing.assert_close(torch.jit.load(tmp_path / "m.pt")(x), model(x))
    mlc.ok("save", "m.pt", "-o", "s.pt")
    assert torch.load(tmp_path / "s.pt").keys() == model.state_dict().keys()


def test_sparse_buffers_of_torchscript_were_called_corrupt(mlc, engine, tmp_path):
    model = saved(Dense(torch.eye(2, 3).to_sparse()), tmp_path / "m.pt")
    row = mlc.ok("load", "m.pt", "--json").json["tensors"][0]
    assert (row["name"], row["shape"]) == ("w", [2, 3])
    x = torch.randn(2, 3)
    torch.testing.assert_close(run(mlc, tmp_path, x), model(x))


@pytest.mark.parametrize("layout", ["coo", "hybrid", "csr"])
def test_sparse_buffers_of_torchscript_are_saved_as_python_has_them(mlc, tmp_path, layout):
    dense = torch.eye(4).reshape(4, 2, 2) if layout == "hybrid" else torch.eye(4)
    value = dense.to_sparse_csr() if layout == "csr" else dense.to_sparse(1 if layout == "hybrid" else 2)
    saved(Holder(value), tmp_path / "m.pt")
    shown = mlc.ok("load", "m.pt").stdout
    assert ("sparse_csr" if layout == "csr" else "sparse_coo") in shown
    mlc.ok("save", "m.pt", "-o", "s.pt")
    ours = torch.load(tmp_path / "s.pt")["w"]
    assert ours.layout == value.layout and torch.equal(ours.to_dense(), dense)
    if layout == "csr":  # of the others Python's pickle says too that they are coalesced
        torch.save({"w": value}, tmp_path / "python.pt")
        mlc.ok("diff", "s.pt", "python.pt")


@pytest.mark.parametrize("dtype", TYPES)
def test_buffers_without_a_storage_class_were_of_unknown_type(mlc, tmp_path, dtype):
    value = torch.tensor([1.0, 2.0, 4.0]).to(getattr(torch, dtype))
    model = saved(Holder(value), tmp_path / "m.pt")
    assert model.w.dtype == value.dtype
    row = mlc.ok("load", "m.pt", "--json").json["tensors"][0]
    assert (row["name"], row["shape"]) == ("w", [3])
    mlc.ok("save", "m.pt", "-o", "s.pt")
    ours = torch.load(tmp_path / "s.pt")["w"]
    assert ours.dtype == value.dtype and ours.untyped_storage().tolist() == value.untyped_storage().tolist()


def test_float8_buffers_of_torchscript_run(mlc, engine, tmp_path):
    model = saved(Small(torch.tensor([1.0, 2.0]).to(torch.float8_e4m3fn)), tmp_path / "m.pt")
    x = torch.randn(2)
    torch.testing.assert_close(run(mlc, tmp_path, x), model(x))


def test_tensors_that_share_a_storage_without_a_class_are_read(mlc, tmp_path):
    base = torch.arange(4.0).to(torch.float8_e5m2)

    class Pair(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("a", base[:2])
            self.register_buffer("b", base[2:])

        def forward(self, x: torch.Tensor):
            return x

    saved(Pair(), tmp_path / "m.pt")
    mlc.ok("save", "m.pt", "-o", "s.pt")
    ours = torch.load(tmp_path / "s.pt")
    assert ours["a"].float().tolist() == [0, 1] and ours["b"].float().tolist() == [2, 3]
