"""export-onnx of TorchScript: what traces and scripts have that programs of torch.export have in another form."""

import numpy as np
import onnx
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, rnn

from test_export_onnx import given, run

pytestmark = [pytest.mark.usefixtures("onnx_checker", "onnxruntime_engine", "engine"),
              pytest.mark.filterwarnings("ignore")]


def outputs(value):
    return [value] if isinstance(value, torch.Tensor) else [one for part in value for one in outputs(part)]


def check(path, model, *sets):
    for args in sets:
        with torch.no_grad():
            want = outputs(model(*args))
        for got, one in zip(run(path, *args), want, strict=True):
            assert got.shape == one.shape and torch.allclose(torch.tensor(got), one, atol=1e-5), args


# --- bags


class Bags(nn.Module):
    """The last offset is where the last bag ends, so that there may be no bag at all."""

    def __init__(self, mode, drops=1):
        super().__init__()
        torch.manual_seed(0)
        self.bags, self.drops = nn.EmbeddingBag(10, 4, mode=mode), drops

    def forward(self, ids, offsets):
        return self.bags(ids, offsets[:-self.drops])


IDS = torch.tensor([1, 4, 9, 2, 2, 0, 7])


@pytest.mark.parametrize("mode", ["max", "sum", "mean"])
def test_bags_of_a_size_that_leaves_none_crashed(mlc, tmp_path, mode):
    # LibTorch dies of the largest of no bag, and mlc chose m=1 itself; ONNX had no answer to the others.
    model = Bags(mode)
    torch.jit.trace(model, (IDS, torch.tensor([0, 2, 2, 7]))).save(tmp_path / "m.pt")
    result = mlc.ok("export-onnx", "m.pt", "-o", "m.onnx", *given(["ids:i64[n=7]=0..9", "offsets:i64[m=4]=0"]))
    assert "m has to be at least 2" in result.stderr and "m=1" not in result.stdout
    check(tmp_path / "m.onnx", model, (IDS, torch.tensor([0, 3, 3, 5, 7])), (IDS, torch.tensor([0, 7])))


def test_a_trial_run_without_bags_crashed(mlc, tmp_path):
    model = Bags("max", 2)
    torch.jit.trace(model, (IDS, torch.tensor([0, 2, 2, 7]))).save(tmp_path / "m.pt")
    result = mlc("export-onnx", "m.pt", "-o", "m.onnx", *given(["ids:i64[n=7]=0..9", "offsets:i64[m=4..9]=0"]))
    assert result.rc == 0, result.stderr
    check(tmp_path / "m.onnx", model, (IDS, torch.tensor([0, 3, 3, 5, 7])), (IDS, torch.tensor([0, 7, 7])))
    result = mlc("export-onnx", "m.pt", "-o", "n.onnx", *given(["ids:i64[n=7]=0..9", "offsets:i64[m=4]=0"]))
    assert result.rc in (0, 2), result.stderr


# --- packed sequences


class Packed(nn.Module):
    def __init__(self, total=False, begun=0, **options):
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.total, self.begun = nn.LSTM(4, 5, batch_first=True, **options), total, begun

    def forward(self, x, lengths):
        packed = rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        if self.begun > 0:
            first = x[:, 0, 0].view(1, -1, 1).expand(4, -1, 5)
            steps, (h, c) = self.layer(packed, (first[:, :, :self.begun].tanh(), first))
        else:
            steps, (h, c) = self.layer(packed)
        if self.total:
            y, counts = rnn.pad_packed_sequence(steps, batch_first=True, total_length=x.size(1))
        else:
            y, counts = rnn.pad_packed_sequence(steps, batch_first=True)
        return y, counts, h, c


PACKED = {
    "plain": {},
    "total": {"total": True},
    "deep": {"num_layers": 2, "bidirectional": True},
    "projected": {"num_layers": 2, "bidirectional": True, "proj_size": 3},
    "begun": {"num_layers": 2, "bidirectional": True, "begun": 5},
    "projected and begun": {"num_layers": 2, "bidirectional": True, "proj_size": 3, "begun": 3},
}
LENGTHS = [torch.tensor(one) for one in ([6, 2, 4], [1, 3, 3], [5, 5, 5])]


@pytest.mark.parametrize("name", sorted(PACKED))
@pytest.mark.parametrize("kind", ["script", "trace"])
def test_a_length_that_hangs_on_values_was_refused(mlc, tmp_path, name, kind):
    # pad_packed_sequence() gives its length as total_length, where a constant was wanted.
    model = Packed(**PACKED[name]).eval()
    x = torch.randn(3, 6, 4)
    made = torch.jit.script(model) if kind == "script" else torch.jit.trace(model, (x, LENGTHS[0]), check_trace=False)
    made.save(tmp_path / "m.pt")
    mlc.ok("export-onnx", "m.pt", "-o", "m.onnx", *given(["x:f32[b=3,t=6,4]", "lengths:i64[b=3]=1..6"]), timeout=180)
    check(tmp_path / "m.onnx", model, *[(x, one) for one in LENGTHS], (torch.randn(2, 9, 4), torch.tensor([3, 8])))


# --- parts


class Parts(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


PARTS = {
    "sections": lambda x: torch.tensor_split(x, 3, 1),
    "indices": lambda x: torch.tensor_split(x, (2, 4, 3), 1),
    "from the end": lambda x: torch.tensor_split(x, (2, -2), 1),
}


@pytest.mark.parametrize("name", sorted(PARTS))
def test_parts_of_a_size_that_varies_had_unknown_sizes(mlc, tmp_path, name):
    model = Parts(PARTS[name])
    torch.jit.trace(model, torch.randn(4, 6)).save(tmp_path / "m.pt")
    mlc.ok("export-onnx", "m.pt", "-o", "m.onnx", *given(["x:f32[n=4,m=6]"]))
    check(tmp_path / "m.onnx", model, *[(torch.randn(2, size),) for size in (1, 3, 4, 5, 7, 8, 12)])


# --- diagonals


@pytest.mark.parametrize("wrap", [False, True])
def test_diagonals_could_not_be_filled(mlc, tmp_path, wrap):
    model = Parts(lambda x: x.clone().fill_diagonal_(0.5, wrap=wrap))
    torch.jit.trace(model, torch.randn(4, 3)).save(tmp_path / "m.pt")
    mlc.ok("export-onnx", "m.pt", "-o", "m.onnx", *given(["x:f32[n=4,m=3]"]))
    check(tmp_path / "m.onnx", model, *[(torch.randn(*sizes),) for sizes in ((1, 1), (2, 7), (9, 3), (8, 3), (5, 1))])


# --- truth of nothing


class Found(nn.Module):
    def forward(self, x, i):
        rows = x[(x[:, 0] > i).nonzero()[:, 0]] > 0
        return rows.any(), rows.all(), rows.any(0), rows.all(0), (~rows).any(1)


def test_any_of_nothing_was_true(mlc, tmp_path):
    # The largest of no element is the least integer, which is not 0.
    x = torch.randn(4, 3)
    torch.jit.script(Found()).save(tmp_path / "m.pt")
    mlc.ok("export-onnx", "m.pt", "-o", "m.onnx", *given(["x:f32[n=4,3]", "i:f32[]"]))
    check(tmp_path / "m.onnx", Found(), (x, torch.tensor(99.0)), (x, torch.tensor(-99.0)), (x, torch.tensor(0.0)))


# --- numbers of Python, as tracing writes them


def numbers(mask, x):
    bias = (1 - mask) * -10000.0
    scores = (x @ x.mT + bias[:, None, :]).softmax(-1) @ x
    one = x.sum()
    return [scores, mask * 0.5, (mask > 0) * 2.5, mask / 2.5, mask + 0.5, one * 2.5, one.half() * 2.5, mask.to(torch.uint8) * 2.5,
            torch.where(mask > 0, one * 2.5, mask * 0.5), torch.where(mask > 0, 0.5, 1.5), mask % 2.5, mask == 0.5, x.double().sum() * 0.1,
            mask * torch.tensor(0.5, dtype=torch.float64)]


class Numbers(nn.Module):
    def forward(self, mask, x):
        return numbers(mask, x)


def test_numbers_of_python_made_float64_of_traces(mlc, tmp_path):
    # Tensors without dimensions stand for them there: an additive mask of integers was refused as float64.
    mask, x = torch.tensor([[1, 0, 1], [1, 1, 0]]), torch.randn(2, 3, 4)
    torch.jit.trace(Numbers(), (mask, x)).save(tmp_path / "m.pt")
    mlc.ok("export-onnx", "m.pt", "-o", "m.onnx", *given(["mask:i64[b=2,s=3]=0..1", "x:f32[b=2,s=3,4]"]))
    got = run(tmp_path / "m.onnx", mask, x)
    for i, (one, want) in enumerate(zip(got, numbers(mask, x), strict=True)):
        assert torch.tensor(one).dtype == want.dtype, i
        assert torch.allclose(torch.tensor(one).double(), want.double(), atol=1e-2 if want.dtype == torch.float16 else 1e-5), i


def saved_as(how, model, *args):
    """By name: torch.export puts a function of its own in the place of torch.jit.trace, for all tests after it."""
    return torch.jit.trace(model, args) if how == "traced" else torch.jit.script(model)


class Waves(nn.Module):
    def forward(self, size, angle):
        wave = size * (torch.cos(angle) + 1j * torch.sin(angle))
        made = [wave, size * torch.exp(1j * angle), wave * (2 - 1j) + 3j, 1j - wave, wave / 2j, size.double() * 0.1j]
        return [torch.view_as_real(one) for one in made]


@pytest.mark.parametrize("how", ["traced", "scripted"])
def test_complex_numbers_of_python_were_refused(mlc, tmp_path, how):
    args = torch.randn(2, 5), torch.randn(2, 5)
    saved_as(how, Waves(), *args).save(tmp_path / "m.pt")
    mlc.ok("export-onnx", "m.pt", "-o", "m.onnx", *given(["size:f32[b=2,5]", "angle:f32[b=2,5]"]))
    check(tmp_path / "m.onnx", Waves(), args, (torch.randn(7, 5), torch.randn(7, 5)))
    nodes = [node.op_type for node in onnx.load(tmp_path / "m.onnx").graph.node]
    # Parts of pairs are not looked up where they were just made; of 1j - wave scripts make -wave + 1j.
    assert nodes.count("Gather") <= (2 if how == "scripted" else 0), nodes


# --- sizes that vary


class Frames(nn.Module):
    """A size of windows that is counted on behind them."""

    def __init__(self, center, back=False):
        super().__init__()
        self.center, self.back = center, back
        self.register_buffer("window", torch.hann_window(64))

    def forward(self, x):
        y = torch.stft(x, 64, 16, 64, self.window, center=self.center, return_complex=True)
        if self.back:
            return torch.istft(y * 0.5, 64, 16, 64, self.window)
        return y.abs().reshape(y.size(0), -1) / y.size(2)


@pytest.mark.parametrize("how", ["traced", "scripted"])
@pytest.mark.parametrize("model", [Frames(True), Frames(False), Frames(True, True)])
def test_frames_of_a_range_were_those_of_its_low_end(mlc, tmp_path, model, how):
    saved_as(how, model, torch.randn(2, 320)).save(str(tmp_path / "m.pt"))
    said = mlc.ok("export-onnx", "m.pt", "-o", "m.onnx", "--input", "x:f32[batch=2,n=160..1001]").stdout
    assert "n//16" in said or "n - 64)//16" in said, said
    check(tmp_path / "m.onnx", model, (torch.randn(2, 160),), (torch.randn(1, 177),), (torch.randn(3, 1001),))


def test_the_size_that_a_factor_gives_was_guessed(mlc, tmp_path):
    model = nn.Upsample(scale_factor=0.7, mode="linear")
    torch.jit.trace(model, torch.randn(2, 4, 160)).save(str(tmp_path / "m.pt"))
    said = mlc.ok("export-onnx", "m.pt", "-o", "m.onnx", "--atol", "1e-4", "--input", "input:f32[batch=2,4,n=160]").stdout
    assert "f32[batch, 4, trunc(float(n)*0.7)]" in said, said
    close = mlc("export-onnx", "m.pt", "-o", "n.onnx", "--input", "input:f32[batch=2,4,n=160]")
    assert close.rc == 0 or "it looks like rounding" in close.stderr and "--atol 0.0001 allows for it" in close.stderr


class Pooled(nn.Module):
    """To a size that does not divide what it pools, as VGG does."""

    def forward(self, x):
        return [F.adaptive_avg_pool2d(x, (7, 3)), F.adaptive_max_pool2d(x, (3, 2)), F.adaptive_avg_pool2d(x, (x.size(2), 4)), F.adaptive_avg_pool1d(x.flatten(2), 5),
                F.adaptive_max_pool1d(x.flatten(2), 4), F.interpolate(x, scale_factor=0.6, mode="area")]


@pytest.mark.parametrize("how", ["traced", "scripted"])
def test_pools_of_sizes_that_vary_were_refused(mlc, tmp_path, how):
    x = torch.randn(2, 3, 20, 15)
    saved_as(how, Pooled(), x).save(str(tmp_path / "m.pt"))
    mlc.ok("export-onnx", "m.pt", "-o", "m.onnx", *given(["x:f32[b=2,3,h=20,w=15]"]))
    check(tmp_path / "m.onnx", Pooled(), (x,), (torch.randn(1, 3, 7, 3),), (torch.randn(3, 3, 33, 8),), (torch.randn(1, 3, 5, 2),))


def test_places_of_pools_of_sizes_that_vary_are_refused(mlc, tmp_path):
    torch.jit.trace(nn.AdaptiveMaxPool2d((3, 3), return_indices=True), torch.randn(2, 3, 20, 15)).save(str(tmp_path / "m.pt"))
    assert "indices of sizes that vary" in mlc("export-onnx", "m.pt", "-o", "m.onnx", "--input", "input:f32[2,3,h=20,w=15]").stderr


class Covariances(nn.Module):
    def forward(self, x, often, much):
        often = often.abs() + 1
        return [torch.cov(x), torch.cov(x, fweights=often), torch.cov(x, aweights=much.abs()), torch.cov(x, correction=0, fweights=often, aweights=much.abs()),
                torch.cov(x[0], fweights=often), torch.corrcoef(x), torch.corrcoef(x[:1]), torch.corrcoef(x[0])]


def test_covariances_of_weighted_samples_were_refused(mlc, tmp_path):
    args = torch.randn(3, 9), torch.randint(1, 5, (9,)), torch.rand(9)
    torch.jit.trace(Covariances(), args).save(str(tmp_path / "m.pt"))
    mlc.ok("export-onnx", "m.pt", "-o", "m.onnx", *given(["x:f32[3,n=9..64]", "often:i64[n]=1..4", "much:f32[n]"]))
    check(tmp_path / "m.onnx", Covariances(), args, (torch.randn(3, 14), torch.randint(1, 5, (14,)), torch.rand(14)))


class Ends(nn.Module):
    def forward(self, x):
        return x[-3:], x[5:], x[:-5], x[-3:-1], x * 2


@pytest.mark.parametrize("how", ["traced", "scripted"])
def test_slices_to_the_end_were_stated_to_be_never_short(mlc, tmp_path, how):
    saved_as(how, Ends(), torch.randn(7, 2)).save(str(tmp_path / "m.pt"))
    said = mlc.ok("export-onnx", "m.pt", "-o", "m.onnx", "--input", "x:f32[n=7,2]").stdout
    assert "f32[max(0, n - min(n, max(0, n - 3))), 2]" in said
    check(tmp_path / "m.onnx", Ends(), *((torch.randn(n, 2),) for n in (1, 2, 3, 4, 9)))


class Diagonals(nn.Module):
    def forward(self, x):
        return x.diagonal(), torch.diagonal(x, 1), torch.diagonal(x[None], -1, 1, 2), torch.diag(x), x * 2


@pytest.mark.parametrize("how", ["traced", "scripted"])
def test_diagonals_of_a_size_that_varies_were_refused(mlc, tmp_path, how):
    saved_as(how, Diagonals(), torch.randn(7, 3)).save(str(tmp_path / "m.pt"))
    mlc.ok("export-onnx", "m.pt", "-o", "m.onnx", "--input", "x:f32[n=7,3]")
    check(tmp_path / "m.onnx", Diagonals(), *((torch.randn(n, 3),) for n in (1, 2, 3, 4, 9)))


class Narrowed(nn.Module):
    def forward(self, x):
        return x.narrow(0, -3, 3), x.narrow(0, 1, 2), x.narrow(1, -2, 1), x * 2


@pytest.mark.parametrize("how", ["traced", "scripted"])
def test_parts_that_begin_at_the_end_were_empty(mlc, tmp_path, how):
    saved_as(how, Narrowed(), torch.randn(7, 3)).save(str(tmp_path / "m.pt"))
    mlc.ok("export-onnx", "m.pt", "-o", "m.onnx", "--input", "x:f32[n=7,3]")
    check(tmp_path / "m.onnx", Narrowed(), *((torch.randn(n, 3),) for n in (3, 4, 9)))


class Largest(nn.Module):
    def forward(self, x):
        y, at = nn.functional.adaptive_max_pool2d_with_indices(x, [1, 1])
        return [nn.functional.adaptive_max_pool2d(x, [1, 1]), y, at]


class Steps(nn.Module):
    def forward(self, x):
        return [torch.linspace(-1, 1, x.size(3)), torch.linspace(-1, x.size(2), x.size(3)),
                torch.linspace(0, 7, x.size(2), dtype=torch.int64), torch.logspace(0, 2, x.size(3))]


@pytest.mark.parametrize("kind", ["script", "trace"])
@pytest.mark.parametrize("model", [Largest(), Steps()], ids=["global maximum", "steps between bounds"])
def test_sizes_that_vary_were_refused(mlc, tmp_path, model, kind):
    made = torch.jit.script(model) if kind == "script" else torch.jit.trace(model, torch.randn(2, 3, 6, 5))
    made.save(tmp_path / "m.pt")
    mlc.ok("export-onnx", "m.pt", "-o", "m.onnx", *given(["x:f32[n=2,3,h=6,w=5]"]))
    check(tmp_path / "m.onnx", model, *[(torch.randn(*sizes),) for sizes in ((2, 3, 6, 5), (1, 3, 1, 1), (3, 3, 7, 2), (1, 3, 2, 9))])


class Masked(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x, start):
        mask = nn.Transformer.generate_square_subsequent_mask(x.size(1))
        y = self.attention(x, x, x, attn_mask=mask, need_weights=False)[0]
        return self.layers(x, mask), y, x.narrow(1, start, 2)


def test_a_mask_of_numbers_was_refused_in_the_fast_path(mlc, tmp_path):
    # LibTorch takes what is not 0 in it for hidden. And narrow() with a tensor for its start was refused too.
    model, x = Masked().eval(), torch.randn(2, 5, 8)
    with torch.no_grad():
        traced = torch.jit.trace(model, (x, torch.tensor(1)), check_trace=False)
    traced.save(tmp_path / "m.pt")
    mlc.ok("export-onnx", "m.pt", "-o", "m.onnx", *given(["x:f32[b=2,5,8]", "start:i64[]=0..3"]))
    check(tmp_path / "m.onnx", model, (x, torch.tensor(1)), (torch.randn(3, 5, 8), torch.tensor(-3)))


class Padded(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2, enable_nested_tensor=False)

    def forward(self, x, padding):
        return self.layers(x, src_key_padding_mask=padding)


def test_rows_without_keys_were_finite_in_the_fast_path(mlc, tmp_path):
    # LibTorch has NaN there, so that random masks of one key were refused as different.
    model, x = Padded().eval(), torch.randn(2, 6, 8)
    padding = torch.tensor([[False] * 4 + [True] * 2, [False] * 6])
    with torch.no_grad():
        torch.jit.trace(model, (x, padding), check_trace=False).save(tmp_path / "m.pt")
    mlc.ok("export-onnx", "m.pt", "-o", "m.onnx", *given(["x:f32[b=2,t=6,8]", "padding:bool[b,t]"]))
    check(tmp_path / "m.onnx", model, (x, padding), (torch.randn(1, 3, 8), torch.tensor([[False, True, False]])))


# --- values


def test_values_out_of_range_were_blamed_on_sizes(mlc, tmp_path):
    bags = nn.EmbeddingBag(40, 8).eval()
    torch.jit.trace(bags, torch.zeros(2, 9, dtype=torch.int64)).save(tmp_path / "m.pt")
    result = mlc("export-onnx", "m.pt", "-o", "m.onnx", "--input", "input:i64[b=2,s=9]=1..40")
    assert result.rc == 2 and "LOW..HIGH' says which it takes" in result.stderr and "does not follow" not in result.stderr, result.stderr
    result = mlc("export-onnx", "m.pt", "-o", "m.onnx", "--input", "input:i64[2,9]=30..45")
    assert result.rc == 2 and "the table has 40 rows, and indices go from" in result.stderr, result.stderr
    mlc.ok("export-onnx", "m.pt", "-o", "m.onnx", "--input", "input:i64[b=2,s=9]=0..39")


class Ended(nn.Module):
    """Offsets with the end of the last bag, behind which there may be more."""

    def __init__(self, mode, padding=None):
        super().__init__()
        self.bags = nn.EmbeddingBag(10, 4, mode=mode, include_last_offset=True, padding_idx=padding)

    def forward(self, ids, offsets):
        return self.bags(ids, offsets)


# What PyTorch's fast path does, which wants float32 and no padding, and what it does else.
@pytest.mark.parametrize("mode, padding, dtype", [("sum", None, torch.float32), ("mean", None, torch.float32), ("max", None, torch.float32),
                                                  ("sum", 2, torch.float32), ("mean", 2, torch.float32), ("sum", None, torch.float64)])
def test_the_last_bag_went_on_behind_its_end(mlc, tmp_path, mode, padding, dtype):
    model = Ended(mode, padding).to(dtype).eval()
    torch.jit.trace(model, (torch.arange(6), torch.tensor([0, 2, 4]))).save(tmp_path / "m.pt")
    np.save(tmp_path / "offsets.npy", np.array([0, 2, 6]))
    mlc.ok("export-onnx", "m.pt", "-o", "m.onnx", "--input", "ids:i64[n=6]=0..9", "--input", "offsets=@offsets.npy")
    for ids, offsets in (([1, 2, 3, 4, 5, 6], [0, 2, 4]), ([1, 2, 3, 4], [0, 3, 4]), ([1, 2, 3, 4, 5], [0, 0, 2])):
        values = torch.tensor(ids), torch.tensor(offsets)
        assert torch.allclose(torch.tensor(run(tmp_path / "m.onnx", *values)[0]), model(*values).detach(), atol=1e-6), (ids, offsets)


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
def test_bags_of_a_matrix_took_33_nodes(mlc, tmp_path, mode):
    model = nn.EmbeddingBag(10, 4, mode=mode).eval()
    torch.jit.script(model).save(tmp_path / "m.pt")
    mlc.ok("export-onnx", "m.pt", "-o", "m.onnx", "--input", "input:i64[b=3,s=5]=0..9")
    assert len(onnx.load(tmp_path / "m.onnx").graph.node) <= 7
    ids = torch.randint(0, 10, (2, 7))
    assert torch.allclose(torch.tensor(run(tmp_path / "m.onnx", ids)[0]), model(ids).detach(), atol=1e-6)


def test_centred_spectra_of_an_architecture_lost_their_padding(mlc, tmp_path):
    # torch.stft there is the operator that pads itself.
    window = torch.hann_window(64)
    torch.save({"win": window}, tmp_path / "m.pt")
    (tmp_path / "m.yaml").write_text("mlc: architecture/1\nbuffers: {win: {shape: [64]}}\nforward: |\n  def forward(self, wav: Tensor) -> Tensor:\n"
                                     "      return torch.stft(wav, 64, 32, 64, self.win, return_complex=True).abs()\n")
    mlc.ok("export-onnx", "m.pt", "--arch", "m.yaml", "-o", "m.onnx", "--input", "wav:f32[batch=2,n=640..1600]")
    wav = torch.randn(3, 1000)
    assert torch.allclose(torch.tensor(run(tmp_path / "m.onnx", wav)[0]),
                          torch.stft(wav, 64, 32, 64, window, return_complex=True).abs(), atol=1e-4)


@pytest.mark.parametrize("how", ["pt", "pt2"])
@pytest.mark.parametrize("form", [parametrizations.weight_norm, nn.utils.weight_norm, parametrizations.spectral_norm, nn.utils.spectral_norm])
def test_weights_of_norms_were_computed_in_every_run(mlc, tmp_path, form, how):
    torch.manual_seed(0)
    model = nn.Sequential(form(nn.Conv1d(4, 8, 3)), nn.ReLU(), form(nn.Conv1d(8, 6, 3)), nn.ReLU(), nn.Conv1d(6, 3, 3))
    x = torch.randn(2, 4, 32)
    for _ in range(20):  # of training: spectral_norm finds its vectors
        model(x)
    model.eval()
    if how == "pt":
        torch.jit.trace(model, x).save(str(tmp_path / "m.pt"))
        mlc.ok("export-onnx", "m.pt", "-o", "m.onnx", "--input", "input:f32[b=2,4,n=32]")
    else:
        program = torch.export.export(model, (x,), dynamic_shapes=({0: torch.export.Dim("b", max=64)},))
        torch.export.save(program, tmp_path / "m.pt2")
        mlc.ok("export-onnx", "m.pt2", "-o", "m.onnx")
        model = program.module()  # exporting turns u and v of the old spectral_norm
    graph = onnx.load(tmp_path / "m.onnx").graph
    assert [node.op_type for node in graph.node] == ["Conv", "Relu", "Conv", "Relu", "Conv"]
    assert {one.name for one in graph.initializer} == {f"{i}.{kind}" for i in (0, 2, 4) for kind in ("weight", "bias")}
    check(tmp_path / "m.onnx", model, (x,), (torch.randn(5, 4, 32),))
    channels = mlc.ok("prune", "m.onnx", "-o", "p.onnx", "--method", "channels", "--amount", "0.5", "--json", "--input", "input:f32[2,4,32]").json
    assert channels["gone"] == 7


def test_large_weights_of_norms_are_computed_as_the_file_is_written(mlc, tmp_path):
    model = nn.Sequential(parametrizations.weight_norm(nn.Linear(1100, 1000)), nn.Tanh()).eval()
    torch.jit.trace(model, torch.randn(2, 1100)).save(str(tmp_path / "m.pt"))
    mlc.ok("export-onnx", "m.pt", "-o", "m.onnx", "--input", "input:f32[b=2,1100]")
    graph = onnx.load(tmp_path / "m.onnx").graph
    assert [node.op_type for node in graph.node] == ["Gemm", "Tanh"]
    got = onnx.numpy_helper.to_array(next(one for one in graph.initializer if one.name == "0.weight"))
    assert np.allclose(got, model[0].weight.detach().numpy(), atol=1e-7)
