"""`mlc quantize --torchscript`: what stock PyTorch loads and computes, and which layers compute with bytes."""

import collections
import json
import re
import warnings

import numpy as np
import pytest
import torch
import torch.ao.quantization.quantize_fx
from torch import nn
from torch.nn import functional as F

import script_modules
from cpu import WIDTH
from test_compress_report import Page
from test_example_architectures import original

pytestmark = pytest.mark.usefixtures("engine")
warnings.filterwarnings("ignore", category=DeprecationWarning)
IDS = ("--input", "ids:i64[2,7]=0..299")


class Encoder(nn.Module):
    """An embedding, linear layers with and without a bias, one in a branch, and one as a product of matrices."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(300, 64)
        self.up = nn.Linear(64, 128)
        self.down = nn.Linear(128, 64, bias=False)
        self.maybe = nn.Linear(64, 64)
        self.matrix = nn.Parameter(torch.randn(64, 96) * 0.1)
        self.head = nn.Linear(96, 10)

    def forward(self, ids):
        x = self.table(ids)
        x = x + self.down(F.gelu(self.up(x)))
        if bool(x.sum() > -1e9):
            x = self.maybe(x)
        return self.head(torch.matmul(x, self.matrix))


class Block(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.a = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.an = nn.BatchNorm2d(channels)
        self.b = nn.Conv2d(channels, channels, 3, padding=1, groups=2)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        y = self.b(self.relu(self.an(self.a(x))))
        y += x
        return self.relu(y)


class Net(nn.Module):
    """A stem, residual blocks, a concatenation, pools and a head."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, stride=2)
        self.norm = nn.BatchNorm2d(16)
        self.blocks = nn.Sequential(Block(16), Block(16))
        self.side = nn.Conv2d(16, 8, 1)
        self.fc = nn.Linear(24, 10)

    def forward(self, image):
        x = F.max_pool2d(F.relu(self.norm(self.stem(image))), 2)
        x = self.blocks(x)
        x = torch.cat([x, self.side(x)], 1)
        return self.fc(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


def made(cls, seed=0):
    torch.manual_seed(seed)
    module = cls().eval()
    for one in module.modules():
        if isinstance(one, nn.BatchNorm2d):
            nn.init.uniform_(one.weight, 0.5, 1.5)
            nn.init.normal_(one.running_mean, std=0.2)
            nn.init.uniform_(one.running_var, 0.5, 2)
    return module


def images(path, count=16, size=20):
    data = np.random.default_rng(5).standard_normal((count, 3, size, size), np.float32)
    np.save(path, data)
    return torch.from_numpy(data)


def operators(path):
    """Of the whole program, by name, those of branches too."""
    graph = torch.jit.load(str(path)).inlined_graph
    lines = [line.split(" = ")[1] for line in str(graph).splitlines() if " = " in line]
    return collections.Counter(re.split(r"[\[(]", line)[0] for line in lines)


def cosine(a, b):
    return F.cosine_similarity(a.double().flatten(), b.double().flatten(), 0).item()


def sqnr(want, got):
    return 10 * torch.log10(want.double().square().sum() / (want - got).double().square().sum()).item()


@pytest.fixture
def encoder(tmp_path):
    module = made(Encoder)
    torch.jit.script(module).save(str(tmp_path / "m.pt"))
    return module


@pytest.mark.parametrize("how", ["script", "freeze"])
def test_dynamic_loads_and_computes_in_python(mlc, tmp_path, encoder, how):
    if how == "freeze":
        torch.jit.freeze(torch.jit.script(encoder)).save(str(tmp_path / "m.pt"))
    answer = mlc.ok("quantize", "m.pt", "-o", "q.pt", "--torchscript", "dynamic", *WIDTH, *IDS, "--min-elements", "900", "--json").json
    found = operators(tmp_path / "q.pt")
    assert (found["quantized::linear_dynamic"], found["quantized::embedding_byte"]) == (5, 1)
    assert not found["aten::linear"] and not found["aten::matmul"] and not found["aten::embedding"]
    names = sorted(row["name"] for row in answer["quantized"])
    assert answer["kept"] == []
    if how == "script":
        assert names == ["down.weight", "head.weight", "matrix", "maybe.weight", "table.weight", "up.weight"]
    else:  # the names went with torch.jit.freeze
        assert names == ["aten::embedding 1", *(f"aten::linear {i}" for i in range(1, 5)), "aten::matmul 1"]
    ids = torch.randint(0, 300, (3, 9))
    with torch.no_grad():
        want, got = encoder(ids), torch.jit.load(str(tmp_path / "q.pt"))(ids)
    assert sqnr(want, got) > 30 and got.shape == want.shape
    before, after = ((tmp_path / name).stat().st_size for name in ("m.pt", "q.pt"))
    assert after < before / 2


def test_dynamic_computes_what_pytorch_quantises(mlc, tmp_path):
    """torch.ao's own dynamic quantisation of the same layers, which rounds the same weights."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 80)).eval()
    torch.jit.script(module).save(str(tmp_path / "m.pt"))
    mlc.ok("quantize", "m.pt", "-o", "q.pt", "--torchscript", "dynamic", *WIDTH, "--input", "input:f32[4,64]")
    config = torch.ao.quantization.QConfigMapping().set_global(torch.ao.quantization.per_channel_dynamic_qconfig)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        prepared = torch.ao.quantization.quantize_fx.prepare_fx(module, config, torch.randn(4, 64))
        theirs = torch.ao.quantization.quantize_fx.convert_fx(prepared)
    x = torch.randn(16, 64)
    with torch.no_grad():
        want = module(x)
        assert sqnr(want, torch.jit.load(str(tmp_path / "q.pt"))(x)) > sqnr(want, theirs(x)) - 1


def test_same_model_same_bytes_and_inputs_are_kept(mlc, tmp_path, encoder):
    for name in ("a.pt", "b.pt"):
        mlc.ok("quantize", "m.pt", "-o", name, "--torchscript", "dynamic", *WIDTH, *IDS)
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()
    assert mlc.ok("run", "a.pt", "--json").json["inputs"][0]["name"] == "ids"


def test_extra_files_of_the_model_were_dropped(mlc, tmp_path):
    model = torch.jit.script(nn.Sequential(nn.Linear(64, 64)).eval())
    model.save(str(tmp_path / "m.pt"), _extra_files={"labels.txt": "cat"})
    mlc.ok("quantize", "m.pt", "--torchscript", "dynamic", "--input", "x:f32[2,64]", "--no-verify", "-o", "q.pt")
    read = {"labels.txt": ""}
    torch.jit.load(str(tmp_path / "q.pt"), _extra_files=read)
    assert read == {"labels.txt": b"cat"}


def test_tables_and_excluded_layers_stay(mlc, tmp_path, encoder):
    answer = mlc.ok("quantize", "m.pt", "-o", "q.pt", "--torchscript", "dynamic", *WIDTH, *IDS, "--no-embeddings", "--exclude", "up.*",
                    "--json").json
    kept = {row["name"]: row["reason"] for row in answer["kept"]}
    assert kept["table.weight"] == "an embedding" and kept["up.weight"] == "excluded" and kept["head.weight"] == "small"
    assert operators(tmp_path / "q.pt")["aten::linear"] == 2


def test_a_layer_that_reads_what_another_layer_gives(mlc, tmp_path):
    """The first rewritten layer takes the input of the second with it."""
    module = nn.Sequential(nn.Embedding(300, 64), nn.Linear(64, 64), nn.Linear(64, 64)).eval()
    torch.jit.trace(module, torch.zeros(1, 3, dtype=torch.long)).save(str(tmp_path / "m.pt"))
    mlc.ok("quantize", "m.pt", "-o", "q.pt", "--torchscript", "dynamic", *WIDTH, "--input", "input:i64[1,3]=0..299")
    ids = torch.arange(9)[None]
    assert cosine(module(ids), torch.jit.load(str(tmp_path / "q.pt"))(ids)) > 0.999


@pytest.mark.parametrize("how", ["script", "trace"])
@pytest.mark.parametrize("method", ["minmax", "mse"])
def test_static_computes_with_bytes_from_end_to_end(mlc, tmp_path, how, method):
    module = made(Net)
    data = images(tmp_path / "x.npy")
    script = torch.jit.script(module) if how == "script" else torch.jit.trace(module, data[:1])
    script.save(str(tmp_path / "m.pt"))
    answer = mlc.ok("quantize", "m.pt", "-o", "q.pt", "--torchscript", "static", *WIDTH, "--calib", "x.npy", "--calib-method", method, "--json",
                    "--report", "q.html").json
    found = operators(tmp_path / "q.pt")
    assert (found["quantized::conv2d_relu"], found["quantized::conv2d"], found["quantized::linear"]) == (3, 3, 1)
    assert (found["quantized::add_relu"], found["quantized::cat"], found["aten::quantize_per_tensor"]) == (2, 1, 1)
    assert found["aten::dequantize"] == 1 and not found["aten::batch_norm"] and not found["aten::relu"]
    assert {row["name"] for row in answer["quantized"]} == {
        "stem.weight", "side.weight", "fc.weight", *(f"blocks.{i}.{name}.weight" for i in (0, 1) for name in "ab")}
    with torch.no_grad():
        want, got = module(data), torch.jit.load(str(tmp_path / "q.pt"))(data)
    assert cosine(want, got) > 0.999
    page = Page(tmp_path / "q.html")
    assert "Latency" in page.texts and any("quantized::conv2d_relu" in text for text in page.texts)


@pytest.mark.parametrize("reduced, codes", [([], 255), (["--reduce-range"], 127)])
def test_codes_of_the_input_span_what_the_samples_have(mlc, tmp_path, reduced, codes):
    data = images(tmp_path / "x.npy")
    torch.jit.script(made(Net)).save(str(tmp_path / "m.pt"))
    mlc.ok("quantize", "m.pt", "-o", "q.pt", "--torchscript", "static", "--calib", "x.npy", *reduced)
    graph = torch.jit.load(str(tmp_path / "q.pt")).inlined_graph
    node = graph.findNode("aten::quantize_per_tensor")
    scale, zero = (value.toIValue() for value in list(node.inputs())[1:3])
    low, high = data.min().item(), data.max().item()
    assert scale == pytest.approx((high - low) / codes) and zero == round(-low / scale)


def test_a_view_behind_a_convolution_of_bytes(mlc, tmp_path):
    """Convolutions of bytes give channels last, which view() does not take."""
    class Flat(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 8, 3)
            self.fc = nn.Linear(8 * 18 * 18, 10)

        def forward(self, image):
            return self.fc(self.conv(image).sigmoid().view(image.size(0), -1))

    module = made(Flat)
    data = images(tmp_path / "x.npy")
    torch.jit.script(module).save(str(tmp_path / "m.pt"))
    mlc.ok("quantize", "m.pt", "-o", "q.pt", "--torchscript", "static", *WIDTH, "--calib", "x.npy")
    assert cosine(module(data), torch.jit.load(str(tmp_path / "q.pt"))(data)) > 0.999


def test_values_that_are_written_into_and_branches_stay_floats(mlc, tmp_path):
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Conv2d(3, 8, 3)
            self.b = nn.Conv2d(8, 8, 3)
            self.c = nn.Conv2d(8, 8, 3)
            self.d = nn.Linear(8, 80)

        def forward(self, image):
            x = self.a(image)
            x[:, 0] = 1.0
            y = self.b(x)
            if bool(y.sum() > -1e9):
                y = self.c(y)
                z = self.d(y.mean([2, 3]))
            else:
                z = y.new_zeros(2, 80)
            return z

    module = made(Odd)
    data = images(tmp_path / "x.npy")
    torch.jit.script(module).save(str(tmp_path / "m.pt"))
    answer = mlc.ok("quantize", "m.pt", "-o", "q.pt", "--torchscript", "static", *WIDTH, "--calib", "x.npy", "--json").json
    assert {row["name"]: row["operator"] for row in answer["quantized"]}["d.weight"] == "quantized::linear_dynamic"
    assert {row["name"]: row["reason"] for row in answer["kept"]}["c.weight"] == "within a branch or loop"
    assert cosine(module(data), torch.jit.load(str(tmp_path / "q.pt"))(data)) > 0.999


def test_checkpoint_with_an_architecture(mlc, tmp_path):
    path = script_modules.ROOT / "examples/architectures/transformer_encoder.yaml"
    module = original("transformer_encoder")
    torch.save(module.state_dict(), tmp_path / "w.pt")
    answer = mlc.ok("quantize", "w.pt", "--arch", path, "-o", "q.pt", "--torchscript", "dynamic", *WIDTH, "--json").json
    assert len(answer["quantized"]) > 4 and {row["name"].removesuffix(", part") for row in answer["quantized"]} <= set(
        module.state_dict())
    assert answer["outputs"][0]["min_cosine"] > 0.99


def test_weights_that_are_not_finite_are_named(mlc, tmp_path):
    module = made(Encoder)
    module.up.weight.data[3, 5] = torch.nan
    torch.jit.script(module).save(str(tmp_path / "m.pt"))
    answer = mlc.ok("quantize", "m.pt", "-o", "q.pt", "--torchscript", "dynamic", "--no-verify", "--json").json
    assert {"name": "up.weight", "reason": "not finite", "bytes": 128 * 64 * 4} in answer["kept"]


def test_gates(mlc, tmp_path, encoder):
    command = ("quantize", "m.pt", "-o", "q.pt", "--torchscript", "dynamic", *WIDTH, *IDS)
    result = mlc(*command, "--min-sqnr", "99")
    assert result.rc == 1 and "below --min-sqnr 99; nothing was written" in result.stderr and not (tmp_path / "q.pt").exists()
    assert mlc(*command, "--min-cosine", "1").rc == 1 and not (tmp_path / "q.pt").exists()
    mlc.ok(*command, "-n")
    assert not (tmp_path / "q.pt").exists()


@pytest.mark.parametrize("args, said", [
    (("-o", "q.pt", "--torchscript", "static"), "needs samples"),
    (("-o", "q.pt", "--torchscript", "dynamic", "--calib", "x.npy"), "are for --torchscript static"),
    (("-o", "q.pt", "--torchscript", "dynamic", "--scheme", "int4"), "--torchscript has no --scheme"),
    (("-o", "q.pt", "--torchscript", "dynamic", "--onnx", "dynamic"), "do not go with --torchscript"),
    (("-o", "q.onnx", "--torchscript", "dynamic"), "a TorchScript file under the name"),
    (("--in-place", "--torchscript", "dynamic"), "does not write in place"),
    (("-o", "q.pt", "--torchscript", "dynamic"), 'input "ids" is missing'),  # it is scripted
    (("-o", "q.pt", "--torchscript", "static", "--calib", "x.npz"), 'no tensor is named "ids"'),
    (("-o", "q.pt", "--arch", "a.yaml"), "which only --torchscript and --rounding gptq or awq need"),
])
def test_usage(mlc, tmp_path, encoder, args, said):
    images(tmp_path / "x.npy")
    np.savez(tmp_path / "x.npz", other=np.zeros((4, 3)), image=np.zeros((4, 3)))
    result = mlc("quantize", "m.pt", *args)
    assert result.rc == 2 and said in result.stderr, result.stderr
    assert not (tmp_path / "q.pt").exists()


def test_what_cannot_be_quantised_is_refused(mlc, tmp_path, encoder):
    mlc.ok("quantize", "m.pt", "-o", "q.pt", "--torchscript", "dynamic", *WIDTH, *IDS)
    result = mlc("quantize", "q.pt", "-o", "r.pt", "--torchscript", "dynamic", *WIDTH, *IDS)
    assert result.rc == 1 and "quantised already: it calls quantized::embedding_byte" in result.stderr
    torch.jit.script(nn.Sequential(nn.Conv2d(3, 64, 3))).save(str(tmp_path / "conv.pt"))
    torch.save({"w": torch.zeros(80, 80)}, tmp_path / "w.pt")
    result = mlc("quantize", "w.pt", "-o", "r.pt", "--torchscript", "dynamic")
    assert result.rc == 4 and "--arch" in result.stderr and not (tmp_path / "r.pt").exists()


def test_a_model_without_anything_to_quantise_ended_a_batch(mlc, tmp_path, valid):
    """A checkpoint or an ONNX model without was a warning."""
    torch.jit.script(nn.Sequential(nn.Conv2d(3, 64, 3))).save(str(tmp_path / "conv.pt"))
    args = ("quantize", "conv.pt", "-o", "r.pt", "--torchscript", "dynamic", "--input", "input:f32[1,3,9,9]")
    result = mlc(*args, "--require-speedup")
    assert result.rc == 1 and "so it is no faster" in result.stderr and not (tmp_path / "r.pt").exists()
    result = mlc.ok(*args)
    assert "nothing to quantise: 0.weight is a convolution: it needs ranges of activations" in result.stderr
    answer = mlc.ok(*args, "-f", "--json").json
    valid(answer, "quantize-torchscript")
    assert answer["quantized"] == []
    x = torch.randn(2, 3, 9, 9)
    torch.testing.assert_close(torch.jit.load(tmp_path / "r.pt")(x), torch.jit.load(tmp_path / "conv.pt")(x), rtol=0, atol=0)


def test_a_traced_model_that_needs_no_data_asked_for_inputs(mlc, tmp_path):
    torch.jit.trace(nn.Sequential(nn.Linear(64, 96), nn.ReLU(), nn.Linear(96, 64)).eval(), torch.randn(8, 64)).save(str(tmp_path / "t.pt"))
    assert re.search("of the sizes it was traced with", mlc.ok("quantize", "t.pt", "-o", "q.pt", "--torchscript", "dynamic", *WIDTH).stdout)


def test_json_fits_its_schema(mlc, root, valid, encoder):
    answer = mlc.ok("quantize", "m.pt", "-o", "q.pt", "--torchscript", "dynamic", *WIDTH, *IDS, "--json").json
    valid(answer, "quantize-torchscript")
    valid(mlc.ok("quantize", "m.pt", "-n", "--torchscript", "dynamic", "--no-verify", "--json").json, "quantize-torchscript")
    valid(json.loads((root / "schemas/examples/quantize-torchscript.json").read_text()), "quantize-torchscript")


def test_samples_of_another_shape_gave_the_words_of_libtorch_alone(mlc, tmp_path):
    torch.jit.trace(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU()).eval(), torch.randn(1, 3, 8, 8)).save(tmp_path / "in.pt")
    np.savez(tmp_path / "c.npz", input=np.zeros((4, 1, 8, 8), np.float32))
    result = mlc("quantize", "in.pt", "-o", "out.pt", "--torchscript", "static", "--calib", "c.npz")
    assert result.rc == 2, result.stderr
    assert 'does not take sample 0 of c.npz, "input" f32[1, 1, 8, 8]' in result.stderr and "3 channels" in result.stderr
    assert not (tmp_path / "out.pt").exists()


def test_nothing_quantised_was_said_in_numbers(mlc, tmp_path):
    torch.jit.trace(nn.Conv1d(4, 4, 3).eval(), torch.randn(2, 4, 8)).save(str(tmp_path / "m.pt"))
    said = mlc.ok("quantize", "m.pt", "-o", "q.pt", "--torchscript", "dynamic", "--input", "input:f32[2,4,8]", "--min-cosine", "-1").stdout
    assert "quantised  nothing\n" in said and "0 B" not in said and "exact dB" not in said


def test_quantised_torchscript_was_told_to_name_its_constants(mlc, tmp_path):
    torch.jit.trace(torch.nn.Sequential(torch.nn.Linear(64, 64)).eval(), torch.randn(2, 64)).save(tmp_path / "m.pt")
    mlc.ok("quantize", "m.pt", "-o", "q.pt", "--torchscript", "dynamic", "--min-elements", "0", "--reduce-range", "--input", "input:f32[2,64]")
    again = mlc("quantize", "q.pt", "-o", "z.pt")
    assert again.rc == 1 and "PyTorch has quantised it" in again.stderr and "--key" not in again.stderr


class Rounds(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.layer = torch.nn.Embedding(500, 64), torch.nn.Linear(64, 64)

    def forward(self, ids, more):
        x = self.table(ids) + self.table(more)
        for _ in range(3):
            x = x + self.layer(x).tanh()
        return x


@pytest.mark.parametrize("form", ["dynamic", "static"])
def test_weights_that_are_read_several_times_were_stored_for_each(mlc, tmp_path, form):
    torch.manual_seed(0)
    ids = torch.randint(0, 500, (2, 7))
    torch.jit.trace(Rounds().eval(), (ids, ids)).save(str(tmp_path / "m.pt"))
    np.savez(tmp_path / "c.npz", ids=np.tile(ids.numpy(), (8, 1)), more=np.tile(ids.numpy(), (8, 1)))
    samples = ["--calib", "c.npz"] if form == "static" else ["--input", "ids:i64[2,7]=0..499", "--input", "more:i64[2,7]=0..499"]
    answer = mlc.ok("quantize", "m.pt", "-o", "q.pt", "--torchscript", form, "--min-elements", "0", "--reduce-range", *samples, "--min-cosine", "0.9", "--json").json
    assert sorted(one["scheme"] for one in answer["quantized"]) == ["int8", "uint8 table"], answer["quantized"]
    assert (tmp_path / "q.pt").stat().st_size < 60_000
    model = torch.jit.load(tmp_path / "q.pt")
    want = torch.jit.load(tmp_path / "m.pt")(ids, ids)
    assert torch.nn.functional.cosine_similarity(model(ids, ids).flatten(), want.flatten(), dim=0) > 0.99


class Shifted(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.table = torch.nn.Embedding(500, 64)

    def forward(self, ids):
        return self.table(ids[:, 1:]), self.table(ids)


def test_tables_refused_indices_of_a_slice(mlc, tmp_path):
    torch.manual_seed(0)
    torch.jit.trace(Shifted().eval(), torch.randint(0, 500, (2, 7))).save(str(tmp_path / "m.pt"))
    mlc.ok("quantize", "m.pt", "-o", "q.pt", "--torchscript", "dynamic", "--input", "ids:i64[2,7]=0..499")
    ids, model = torch.randint(0, 500, (7, 9)), torch.jit.load(tmp_path / "q.pt")
    for some in (ids, ids.t(), ids[:, 2:]):
        for got, want in zip(model(some), torch.jit.load(tmp_path / "m.pt")(some), strict=True):
            assert torch.nn.functional.cosine_similarity(got.flatten(), want.flatten(), dim=0) > 0.999
