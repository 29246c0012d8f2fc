"""Functions of torch that Python has beside operators of their names: the forward of an architecture means Python's."""

import math

import numpy as np
import pytest
import torch
import yaml

pytestmark = [pytest.mark.usefixtures("engine"), pytest.mark.filterwarnings("ignore::UserWarning")]

CALLS = """
torch.view_as_real(torch.stft(x, 4, return_complex=True))
torch.view_as_real(torch.stft(x, 4, 2, 4, torch.ones(4), False, return_complex=True))
torch.view_as_real(torch.stft(x, n_fft=4, hop_length=2, pad_mode='constant', normalized=True, return_complex=True))
torch.istft(torch.stft(x, 4, return_complex=True), 4, length=16)
torch.norm(x)
torch.norm(x, 1)
torch.norm(x, 3.0, 1, True)
torch.norm(x, dim=1)
torch.norm(x, dim=(0, 1), keepdim=True)
torch.norm(x, p=1, dim=[1])
torch.norm(x, dim=-1, p=float('inf'))
torch.norm(x, p='fro')
torch.norm(x, 'fro', dim=1, keepdim=True)
torch.norm(x, p='nuc')
torch.norm(x, dim=1, dtype=torch.float64)
torch.tensordot(x, x.t(), dims=1)
torch.tensordot(x, x, 2)
torch.tensordot(x, x, dims=([1], [1]))
torch.tensordot(x, x, dims=[[0, 1], [0, 1]])
torch.tensordot(x, x, [1], [1])
x @ torch.exp(torch.nn.Transformer.generate_square_subsequent_mask(16))
nn.Transformer.generate_square_subsequent_mask(x.size(0), dtype=torch.float64)
x[:, :2].bool().logical_not()
((x > 0).float().bfloat16() * 2).float()
x / x.norm(dim=-1, keepdim=True)
x.norm(dim=(0, 1)) + x.norm() + x.norm(dim=1, p=1)
x + math.remainder(7, 4)
x + math.remainder(7.5, 4.0)
""".strip().splitlines()


def test_functions_of_torch_mean_what_python_means(mlc, tmp_path):
    """torch.stft had no center in a forward, so the result was another one, without a word."""
    x = torch.randn(4, 16, generator=torch.Generator().manual_seed(3))
    body = [f"  r{i} = {call}" for i, call in enumerate(CALLS)]
    text = "\n".join(["def forward(self, x: Tensor):", *body, f"  return {', '.join(f'r{i}' for i in range(len(CALLS)))}"])
    (tmp_path / "a.yaml").write_text(yaml.safe_dump({"mlc": "architecture/1", "buffers": {"one": {"shape": [1]}}, "forward": text}, width=10_000))
    torch.save({"one": torch.zeros(1)}, tmp_path / "one.pt")
    np.save(tmp_path / "x.npy", x.numpy())
    mlc.ok("run", "one.pt", "--arch", "a.yaml", "--input", "x=@x.npy", "-o", "out.npz")
    mlc.ok("trace", "one.pt", "--arch", "a.yaml", "--input", "x=@x.npy", "-o", "out.pt")
    found = np.load(tmp_path / "out.npz")
    traced = torch.jit.load(tmp_path / "out.pt")(x)
    for i, call in enumerate(CALLS):
        if call == "torch.tensordot(x, x, [1], [1])":  # of the operator
            call = "torch.tensordot(x, x, ([1], [1]))"
        wanted = eval(call, {"torch": torch, "nn": torch.nn, "math": math, "x": x})  # pylint: disable=eval-used
        ours = torch.as_tensor(found[f"output.{i}"])
        assert ours.dtype == wanted.dtype, call
        torch.testing.assert_close(ours, wanted, msg=call)
        torch.testing.assert_close(traced[i], wanted, msg=call)
