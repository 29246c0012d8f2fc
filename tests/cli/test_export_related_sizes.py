"""export-onnx of models whose sizes hang together: a mask as long as a cache and what is new."""

import onnx
import pytest
import torch
from torch import nn

from test_export_onnx import export, given, run

pytestmark = [pytest.mark.usefixtures("onnx_checker", "onnxruntime_engine", "engine"),
              pytest.mark.filterwarnings("ignore")]


class Cached(nn.Module):
    """Attention with a cache. LOOKS: the mask may be longer, as where its places are looked up."""

    def __init__(self, looks):
        super().__init__()
        self.looks = looks
        self.table, self.key, self.value = nn.Embedding(20, 8), nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, ids, mask, keys, values):
        x = self.table(ids)
        keys = torch.cat([keys, self.key(x)], 1)
        values = torch.cat([values, self.value(x)], 1)
        if self.looks:
            mask = mask[:, torch.arange(keys.size(1))]
        scores = x @ keys.transpose(1, 2) + (mask[:, None].float() - 1) * 1e4
        return scores.softmax(-1) @ values, keys, values


def values(b, s, p):
    mask = torch.ones(b, s + p, dtype=torch.int64)
    mask[:, 0] = 0
    return torch.randint(0, 20, (b, s)), mask, torch.randn(b, p, 8), torch.randn(b, p, 8)


MODELS = {"exact": False, "at least": True}
INPUTS = ["ids:i64[b=2,s=3]=0..19", "mask:i64[b=2,{}]=1", "keys:f32[b=2,p=5,8]", "values:f32[b=2,p=5,8]"]


def inputs(mask):
    return given([one.format(mask) for one in INPUTS])


def check(path, model):
    for sizes in ((2, 3, 5), (1, 1, 9), (3, 4, 1), (2, 17, 33)):
        args = values(*sizes)
        with torch.no_grad():
            want = model(*args)
        for got, one in zip(run(path, *args), want, strict=True):
            assert got.shape == one.shape and torch.allclose(torch.tensor(got), one, atol=1e-5)


@pytest.fixture(params=sorted(MODELS))
def model(request, tmp_path):
    torch.manual_seed(0)
    made = Cached(MODELS[request.param]).eval()
    torch.jit.trace(made, values(2, 3, 5)).save(tmp_path / "m.pt")
    return made


def test_a_mask_as_long_as_a_cache_and_what_is_new(mlc, tmp_path, model):
    # There was no way to say it.
    result = mlc.ok("export-onnx", "m.pt", "-o", "m.onnx", *inputs("s+p"))
    assert "input    mask: i64[b, s + p]" in result.stdout
    assert "seed 0, p=11" in result.stdout and "seed 0, s=7" in result.stdout and "up to" not in result.stderr
    check(tmp_path / "m.onnx", model)
    dims = onnx.load(tmp_path / "m.onnx").graph.input[1].type.tensor_type.shape.dim
    assert dims[1].dim_param == "s + p"
    mlc.ok("verify", "m.pt", "m.onnx", *inputs("p+s=8"))
    mlc.ok("run", "m.onnx", *inputs("s + p"))


def test_a_decoder_was_said_to_take_small_sizes_only(mlc, tmp_path, model):
    # "the model takes p up to 5 and s up to 3 only", because each was tried alone.
    result = mlc("export-onnx", "m.pt", "-o", "m.onnx", *inputs("t=8"))
    assert result.rc == 2 and "up to" not in result.stderr and " only:" not in result.stderr
    assert "takes other sizes for p and s only together with t, as with t = p+s: " in result.stderr or \
        "takes other sizes for s and p only together with t, as with t = s+p: " in result.stderr
    hint = result.stderr.rstrip().split("say so: ")[1]
    assert "mask:i64[b=2,s+p]=1" in hint or "mask:i64[b=2,p+s]=1" in hint
    mlc.ok("export-onnx", "m.pt", "-o", "m.onnx", *[word.strip("'") for word in hint.split(" ")])
    check(tmp_path / "m.onnx", model)


def test_a_pt2_decoder_was_said_to_take_small_sizes_only(mlc, tmp_path):
    # Its mask may be longer than what it is for, so that the program holds no relation.
    torch.manual_seed(0)
    made = Cached(True).eval()
    dynamic = torch.export.Dim.DYNAMIC
    export(tmp_path / "m.pt2", made, values(2, 3, 5), tuple({0: dynamic, 1: dynamic} for _ in range(4)))
    result = mlc.ok("export-onnx", "m.pt2", "-o", "m.onnx")
    assert "up to" not in result.stderr
    assert "seq=7, " in result.stdout
    check(tmp_path / "m.onnx", made)


def test_names_that_no_input_gives_a_size(mlc, tmp_path, model):
    result = mlc("export-onnx", "m.pt", "-o", "m.onnx", *inputs("s+q"))
    assert result.rc == 2 and "dimension q needs a size" in result.stderr
    result = mlc("export-onnx", "m.pt", "-o", "m.onnx", *inputs("s+p=9"))
    assert result.rc == 2 and "s+p is 8, not 9" in result.stderr


def test_a_trace_keeps_sizes_that_are_computed(mlc, tmp_path, model):
    # Lines of its record were read one by one.
    mlc.ok("trace", "m.pt", "-o", "t.pt", *inputs("s+p"))
    result = mlc.ok("export-onnx", "t.pt", "-o", "t.onnx")
    assert "mask: i64[b, s + p]" in result.stdout
    check(tmp_path / "t.onnx", model)
