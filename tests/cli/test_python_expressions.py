"""Texts of forward against Python's own answer."""

import numpy as np
import pytest
import torch

pytestmark = [pytest.mark.usefixtures("engine"), pytest.mark.filterwarnings("ignore::DeprecationWarning")]

def python_answers(text, x):
    scope = {"torch": torch, "Tensor": torch.Tensor}
    exec("from typing import *\n" + text, scope)  # noqa: S102
    return scope["forward"](None, x)


def write_architecture(path, text):
    indented = "".join(f"  {line}\n" for line in text.splitlines())
    path.write_text("mlc: architecture/1\ninputs: ['x:f32[1,4]']\nparameters: {w: {shape: [1]}}\nforward: |\n" + indented)
    torch.save({"w": torch.zeros(1)}, path.parent / "w.pt")


def write_body(path, body):
    lines = "".join(f"    {line}\n" for line in body.split("\n"))
    write_architecture(path, f"def forward(self, x: Tensor) -> Tensor:\n{lines}")
    return lines


def assert_runs_as_in_python(mlc, tmp_path, body, x=None):
    x = torch.tensor([[-1.5, 0.25, 1.0, 3.0]]) if x is None else x
    lines = write_body(tmp_path / "a.yaml", body)
    np.save(tmp_path / "x.npy", x.numpy())
    mlc.ok("run", "w.pt", "--arch", "a.yaml", "--input", "x=@x.npy", "-o", "o.npz")
    wanted = python_answers(f"def forward(self, x):\n{lines}", x.clone())
    assert np.load(tmp_path / "o.npz")["output"].tolist() == wanted.tolist()


@pytest.mark.parametrize("body", [
    "s = 'a\\';b'; x = x + len(s)\nreturn x",
    "s = 'it\\'s # 1'; x = x + len(s)  # it's\nreturn x",
    "if len('\\'') == 1: x = x + 1; x = x * 2\nreturn x",
    "s = \"a'''\"; x = x + len(s)\nreturn x",
])
def test_quotes_behind_a_backslash_ended_texts(mlc, tmp_path, body):
    assert_runs_as_in_python(mlc, tmp_path, body)
