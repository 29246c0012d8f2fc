"""mlc trace: TorchScript files that Python loads and that compute what the model does."""

import json
import math
import os
from typing import List, Optional

import numpy as np
import pytest
import torch
import yaml
from torch import nn

import script_modules
from extent import ALL, only_in_all
from original_models import ORIGINALS
from test_example_architectures import original

pytestmark = [pytest.mark.usefixtures("engine"), pytest.mark.filterwarnings("ignore::UserWarning"),
              pytest.mark.filterwarnings("ignore::DeprecationWarning")]
FOLDER = script_modules.ROOT / "examples/architectures"
LARGE = {"bert_base", "gpt2", "vgg11", "vit_b_32"}  # hundreds of megabytes


class Net(nn.Module):
    """What real networks have, and a branch that hangs on the batch."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(4, 2)

    def forward(self, x):
        x = torch.relu(self.norm(self.conv(x)))
        if x.size(0) > 2:
            x = x * 2
        return self.fc(self.drop(x).mean([2, 3]))


class Sum(nn.Module):
    """A loop whose rounds hang on the input."""

    def forward(self, x):
        out = torch.zeros_like(x[0])
        for i in range(x.size(0)):
            out = out + x[i] * float(i)
        return out


class Sizes(nn.Module):
    """Sizes that are computed with, not decided on."""

    def forward(self, x):
        batch, rows = x.shape[0], x.shape[1]
        return x.reshape(batch * rows, -1).sum(1) / float(rows), {"rows": rows, "pair": (x[:, : rows // 2], [x])}


class Fixed(nn.Module):
    def forward(self, x):
        return x.reshape(2, 3) + 1


class WrittenNumber(nn.Module):
    """A branch on the batch, which goes through a list that is changed in place."""

    def forward(self, x):
        sizes: list[int] = []
        sizes.append(x.size(0))
        if sizes[0] > 2:
            x = x * 2
        return x


class WrittenEntry(nn.Module):
    def forward(self, x):
        sizes = {"batch": 0}
        sizes["batch"] = x.size(0)
        if sizes["batch"] > 2:
            x = x * 2
        return x


class WrittenView(nn.Module):
    """A branch on values that are written through a view."""

    def forward(self, x):
        copy = torch.zeros(2, 3)
        copy[0].copy_(x[0])
        if bool(copy.sum() > 1e6):
            x = x * 2
        return x


class WrittenMember(nn.Module):
    def forward(self, x):
        copy = torch.zeros(2, 3)
        parts = [copy]
        written = copy.copy_(x)
        if bool(torch.cat(parts).sum() > 1e6):
            x = x * 2
        return x, written  # without a use of what copy_() gives, torch.jit.script drops it


class WrittenBuffer(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("last", torch.zeros(2, 3))

    def forward(self, x):
        self.last.copy_(x)
        if bool(self.last.sum() > 1e6):
            x = x * 2
        return x


class WrittenNothing(nn.Module):
    """A branch on what no input reaches: it is the same for all."""

    def forward(self, x):
        ones = torch.zeros(2, 3)
        ones.add_(1)
        if bool(ones.sum() > 1e6):
            x = x * 2
        return x


class Random(nn.Module):
    def forward(self, x):
        return x + torch.rand(3)


class OnCuda(nn.Module):
    def forward(self, x):
        return x + torch.ones(3, device=torch.device("cuda:0")) + torch.zeros(3, device=torch.device("cuda"))


def script(module, path, train=False):
    torch.manual_seed(0)
    torch.jit.script(module if train else module.eval()).save(str(path))


@pytest.fixture
def net(tmp_path):
    torch.manual_seed(0)
    module = Net().eval()
    nn.init.uniform_(module.norm.running_var, 0.5, 1.5)
    script(module, tmp_path / "net.pt")
    return module


def load(path):
    return torch.jit.load(str(path))


def assert_equal_to(model, path, *inputs, exact=True):
    with torch.no_grad():
        wanted, found = script_modules.flat(model(*inputs)), script_modules.flat(load(path)(*inputs))
    for ours, theirs in zip(found, wanted, strict=True):
        bound = 0 if exact else 1e-5 * theirs.abs().max().item()
        torch.testing.assert_close(ours, theirs, rtol=0 if exact else 1e-5, atol=bound)


# --- the shipped architectures


@pytest.mark.parametrize(("name", "method"), [(name, method) for name in sorted(ORIGINALS) for method in ("script", "trace")
                                              if ALL or name not in LARGE])
def test_python_loads_the_trace_of_an_example(mlc, tmp_path, name, method):
    model = original(name)
    torch.save(model.state_dict(), tmp_path / "model.pt")
    mlc.ok("trace", "model.pt", "--arch", FOLDER / f"{name}.yaml", "--method", method, "-o", "out.pt")
    made = load(tmp_path / "out.pt")
    state, wanted = made.state_dict(), model.state_dict()
    assert sorted(state) == sorted(wanted)
    for key, tensor in wanted.items():
        assert torch.equal(state[key], tensor), key
    for inputs in ORIGINALS[name][1]:  # two sizes each
        assert_equal_to(model, tmp_path / "out.pt", *inputs, exact=False)
    declared = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())["inputs"]
    answer = mlc.ok("run", "out.pt", "--json").json  # the file knows its inputs
    assert [one["name"] for one in answer["inputs"]] == [text.split(":")[0] for text in declared]
    (tmp_path / "model.pt").unlink()
    (tmp_path / "out.pt").unlink()


# --- methods


@pytest.mark.parametrize("method", ["script", "trace"])
def test_a_scripted_and_a_traced_file_are_sources(mlc, net, tmp_path, method):
    torch.jit.trace(net, torch.randn(2, 3, 8, 8)).save(str(tmp_path / "traced.pt"))
    mlc.ok("trace", "net.pt", "--method", method, "--input", "x:f32[b=1..2,3,h=8,w=8]", "-o", "a.pt")
    mlc.ok("trace", "traced.pt", "--method", method, "--input", "x:f32[b=1..2,3,8,8]", "-o", "b.pt")
    for size in (1, 2):
        assert_equal_to(net, tmp_path / "a.pt", torch.randn(size, 3, 8, 8))
        assert_equal_to(net, tmp_path / "b.pt", torch.randn(size, 3, 8, 8))
    assert list(load(tmp_path / "a.pt").state_dict()) == list(net.state_dict())


def test_control_flow_lives_on_in_a_script(mlc, tmp_path):
    script(Sum(), tmp_path / "sum.pt")
    mlc.ok("trace", "sum.pt", "--input", "x:f32[n=4,3]", "-o", "out.pt")
    for size in (1, 4, 7):
        assert_equal_to(Sum(), tmp_path / "out.pt", torch.randn(size, 3))


def test_a_trace_without_control_flow_has_none(mlc, net, tmp_path):
    mlc.ok("trace", "net.pt", "--method", "trace", "--input", "x:f32[2,3,8,8]", "-o", "out.pt")
    graph = load(tmp_path / "out.pt").inlined_graph
    assert not {node.kind() for node in graph.nodes()} & {"prim::If", "prim::Loop", "prim::RaiseException"}


def test_sizes_that_are_computed_with_stay_free_in_a_trace(mlc, tmp_path):
    script(Sizes(), tmp_path / "sizes.pt")
    mlc.ok("trace", "sizes.pt", "--method", "trace", "--input", "x:f32[b=2,r=4,5]", "-o", "out.pt")
    for shape in ((2, 4, 5), (3, 7, 5), (1, 1, 5)):
        x = torch.randn(shape)
        wanted, found = Sizes()(x), load(tmp_path / "out.pt")(x)
        assert torch.equal(wanted[0], found[0]) and wanted[1]["rows"] == found[1]["rows"]
        assert torch.equal(wanted[1]["pair"][0], found[1]["pair"][0])


# --- what a check finds


@pytest.mark.parametrize(("module", "spec", "symbol", "line"), [
    (Sum, "x:f32[n=4,3]", "n=5", "for i in range("),
    (Net, "x:f32[b=2,3,8,8]", "b=3", "if x.s"),
    (WrittenNumber, "x:f32[b=2,3]", "b=3", "if siz"),
    (WrittenEntry, "x:f32[b=2,3]", "b=3", "if siz"),
])
def test_a_size_that_a_trace_baked_in_is_named(mlc, tmp_path, module, spec, symbol, line):
    script(module(), tmp_path / "m.pt")
    result = mlc("trace", "m.pt", "--method", "trace", "--input", spec, "-o", "out.pt")
    assert result.rc == 1
    assert f"wrong at {symbol}: a size is fixed" in result.stderr and line in result.stderr
    assert "--method script" in result.stderr
    assert not (tmp_path / "out.pt").exists()
    mlc.ok("trace", "m.pt", "--method", "trace", "--input", spec.replace("n=", "").replace("b=", ""), "-o", "out.pt")


def test_a_size_that_the_model_itself_fixed_is_named(mlc, tmp_path):
    script(Fixed(), tmp_path / "m.pt")
    error = mlc("trace", "m.pt", "--input", "x:f32[b=2,3]", "-o", "out.pt", "--json")
    assert error.rc == 1 and "fixed size for b: it refuses b=3" in error.error["message"]
    assert not (tmp_path / "out.pt").exists()


def test_a_model_that_takes_even_sizes_only_is_tried_with_twice_the_size(mlc, tmp_path):
    class Halves(nn.Module):
        def forward(self, x):
            return x.reshape(x.size(0) // 2, 2, -1).sum(1)
    script(Halves(), tmp_path / "m.pt")
    answer = mlc.ok("trace", "m.pt", "--input", "x:f32[n=4,3]", "-o", "out.pt", "--json").json
    assert [one["case"] for one in answer["cases"]] == ["seed 0", "seed 1", "seed 0, n=8"]


def test_buffers_outside_of_the_state_dict_stay_there(mlc, tmp_path):
    text = """
mlc: architecture/1
inputs: ["x:f32[n=2,3]"]
modules: {fc: {type: Linear, in_features: 3, out_features: 3}}
buffers: {shift: {shape: [3], persistent: false, init: ones}}
forward: |
  def forward(self, x: Tensor) -> Tensor:
      return self.fc(x) + self.shift
"""
    (tmp_path / "arch.yaml").write_text(text)
    fc = nn.Linear(3, 3)
    torch.save({f"fc.{key}": value for key, value in fc.state_dict().items()}, tmp_path / "w.pt")
    for more in ((), ("--method", "trace"), ("--dtype", "bf16")):
        mlc.ok("trace", "w.pt", "--arch", "arch.yaml", "-o", "out.pt", "--force", *more)
        assert list(load(tmp_path / "out.pt").state_dict()) == ["fc.weight", "fc.bias"]
    mlc.ok("trace", "w.pt", "--arch", "arch.yaml", "-o", "out.pt", "--force")
    assert torch.allclose(load(tmp_path / "out.pt")(torch.zeros(2, 3)), fc.bias + 1)
    mlc.ok("run", "out.pt", "--dtype", "bf16")


def test_random_numbers_are_reported_and_compared(mlc, tmp_path):
    script(Random(), tmp_path / "m.pt")
    result = mlc.ok("trace", "m.pt", "--method", "trace", "--input", "x:f32[3]", "-o", "out.pt", "--json")
    assert result.json["random"] is True and "draws random numbers" in result.stderr
    assert "random" in str(load(tmp_path / "out.pt").code) or "rand" in str(load(tmp_path / "out.pt").code)
    assert mlc.ok("trace", "m.pt", "--input", "x:f32[3]", "-o", "b.pt", "--json").json["random"] is True


def test_a_model_that_is_the_same_each_time_is_not_called_random(mlc, net):
    assert mlc.ok("trace", "net.pt", "--input", "x:f32[2,3,8,8]", "-o", "a.pt", "--json").json["random"] is False


# --- options


def test_frozen_files_hold_their_parameters_as_constants(mlc, net, tmp_path):
    for method in ("script", "trace"):
        mlc.ok("trace", "net.pt", "--freeze", "--method", method, "--input", "x:f32[2,3,8,8]", "-o", f"{method}.pt")
        assert not load(tmp_path / f"{method}.pt").state_dict()
        assert_equal_to(net, tmp_path / f"{method}.pt", torch.randn(2, 3, 8, 8))


def test_optimized_files_have_no_batch_norm_left(mlc, net, tmp_path):
    mlc.ok("trace", "net.pt", "--optimize", "--input", "x:f32[b=2,3,8,8]", "-o", "out.pt")
    made = load(tmp_path / "out.pt")
    kinds = {node.kind() for node in made.inlined_graph.nodes()}
    assert "aten::conv2d" in kinds and "aten::batch_norm" not in kinds and "aten::dropout" not in kinds
    assert_equal_to(net, tmp_path / "out.pt", torch.randn(2, 3, 8, 8), exact=False)
    assert_equal_to(net, tmp_path / "out.pt", torch.randn(5, 3, 8, 8), exact=False)


@pytest.mark.parametrize("method", ["script", "trace"])
def test_devices_of_the_program_are_listed_and_rewritten(mlc, tmp_path, method):
    script(OnCuda(), tmp_path / "m.pt")
    devices = mlc.ok("trace", "m.pt", "--method", method, "--input", "x:f32[3]", "-o", "out.pt", "--json").json["devices"]
    assert {one["name"] for one in devices} == {"cuda:0", "cuda"} and sum(one["count"] for one in devices) == 2
    assert "cuda" not in load(tmp_path / "out.pt").code
    assert torch.equal(load(tmp_path / "out.pt")(torch.ones(3)), torch.full((3,), 2.0))


def test_dtype_casts_the_file(mlc, net, tmp_path):
    mlc.ok("trace", "net.pt", "--dtype", "bf16", "--input", "x:f32[2,3,8,8]", "-o", "out.pt")
    state = load(tmp_path / "out.pt").state_dict()
    assert state["conv.weight"].dtype == torch.bfloat16 and state["norm.num_batches_tracked"].dtype == torch.int64
    assert torch.equal(state["fc.weight"], net.fc.weight.detach().bfloat16())
    mlc.ok("run", "out.pt")  # it knows that it takes bf16
    assert load(tmp_path / "out.pt")(torch.ones(1, 3, 8, 8, dtype=torch.bfloat16)).dtype == torch.bfloat16


# --- the file


def test_the_same_input_gives_the_same_bytes_under_any_name(mlc, net, tmp_path):
    for name in ("a.pt", "b.pt"):
        mlc.ok("trace", "net.pt", "--input", "x:f32[b=2,3,8,8]", "-o", name)
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()
    for name in ("c.pt", "d.pt"):
        mlc.ok("trace", "net.pt", "--method", "trace", "--freeze", "--input", "x:f32[2,3,8,8]", "-o", name)
    assert (tmp_path / "c.pt").read_bytes() == (tmp_path / "d.pt").read_bytes()


def test_metadata_and_inputs_travel_in_the_file(mlc, root, tmp_path):
    mlc.ok("save", root / "examples/digits/digits.pt", "--key", "model_state_dict", "--weights-only", "-o", "w.pt")
    mlc.ok("strip-module-prefix", "w.pt", "-o", "m.pt")
    mlc.ok("metadata", "m.pt", "--set", "name=digits", "--in-place")
    mlc.ok("trace", "m.pt", "--arch", FOLDER / "digits_cnn.yaml", "-o", "out.pt")
    extra = {"mlc/metadata.yaml": "", "mlc/inputs.txt": ""}
    torch.jit.load(str(tmp_path / "out.pt"), _extra_files=extra)
    metadata = yaml.safe_load(extra["mlc/metadata.yaml"])
    assert metadata["name"] == "digits" and metadata["provenance"][-1]["verb"] == "trace"
    assert metadata["provenance"][-1]["options"] == {"method": "script"}
    assert extra["mlc/inputs.txt"] == b"image:f32[batch=1..1024,1,8,8]\n"
    assert json.loads(mlc.ok("metadata", "out.pt", "--json").stdout)["metadata"]["name"] == "digits"


def test_inputs_from_files_are_kept_as_types_and_sizes(mlc, net, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((2, 3, 8, 8), np.float32))
    mlc.ok("trace", "net.pt", "--input", "x=@x.npy", "-o", "out.pt")
    extra = {"mlc/inputs.txt": ""}
    torch.jit.load(str(tmp_path / "out.pt"), _extra_files=extra)
    assert extra["mlc/inputs.txt"] == b"x:f32[2,3,8,8]\n"


class Exported(nn.Module):
    """What can be asked of it besides forward; `_part` is a part of forward."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.labels = ["a", "b"]
        self.version = 3
        self.register_buffer("seen", torch.zeros(4), persistent=False)

    def _part(self, x):
        return self.fc(x)

    def forward(self, x):
        return self._part(x) + self.seen

    @torch.jit.export
    def encode(self, x):
        return self.fc(x) * 2

    @torch.jit.export
    def names(self):
        return self.labels


@pytest.mark.parametrize("options", [[], ["--freeze"], ["--optimize"], ["--method", "trace"]], ids=" ".join)
def test_a_trace_dropped_extra_files_methods_and_attributes_silently(mlc, tmp_path, valid, options):
    files = {"labels.txt": b"cat\ndog", "a/vocabulary.bin": bytes(range(256))}
    source = torch.jit.script(Exported().eval())
    source.save(str(tmp_path / "m.pt"), _extra_files=files)
    done = mlc.ok("trace", "m.pt", "--input", "x:f32[2,4]", *options, "-o", "out.pt", "--json")
    answer = done.json
    valid(answer, "trace")
    read = dict.fromkeys(files, "")
    module = torch.jit.load(str(tmp_path / "out.pt"), _extra_files=read)
    assert read == files and sorted(answer["extra_files"]) == sorted(files)
    assert answer["lost_methods"] == [name for name in ("encode", "names") if not hasattr(module, name)]
    assert answer["lost_attributes"] == [name for name in ("labels", "version") if not hasattr(module, name)]
    assert ("lacks the methods encode and names" in done.stderr) == bool(options)
    assert ("labels and version" in done.stderr) == (options in (["--freeze"], ["--optimize"]))
    assert "_part" not in done.stderr and "seen" not in done.stderr


def test_extra_files_of_an_exported_program_are_copied(mlc, tmp_path):
    program = torch.export.export(nn.Linear(4, 4).eval(), (torch.zeros(2, 4),))
    torch.export.save(program, tmp_path / "m.pt2", extra_files={"labels.txt": "cat"})
    assert mlc.ok("trace", "m.pt2", "-o", "out.pt", "--json").json["extra_files"] == ["labels.txt"]
    read = {"labels.txt": ""}
    torch.jit.load(str(tmp_path / "out.pt"), _extra_files=read)
    assert read == {"labels.txt": b"cat"}


class Numbers(nn.Module):
    def forward(self, x, k, f, flag, other=None):
        y = x * k + f if flag else x
        return y if other is None else y + other


def test_numbers_among_the_inputs_of_a_program_vanished_silently(mlc, tmp_path, valid):
    torch.export.save(torch.export.export(Numbers(), (torch.zeros(2), 3, 1.5, True, None)), tmp_path / "m.pt2")
    done = mlc.ok("trace", "m.pt2", "-o", "out.pt", "--json")
    valid(done.json, "trace")
    assert {one["name"]: one["value"] for one in done.json["fixed_inputs"]} == {
        "k": "3", "f": "1.5", "flag": "True", "other": "None"}
    assert "k = 3, f = 1.5, flag = True and other = None" in done.stderr
    module = torch.jit.load(str(tmp_path / "out.pt"))
    assert [one.name for one in module.forward.schema.arguments] == ["self", "x"]
    assert module(torch.ones(2)).tolist() == [4.5, 4.5]


def test_inputs_in_a_file_that_are_none_are_damage(mlc, net, tmp_path):
    for text in ("x=@/etc/passwd\n", "x:f33[1]\n"):
        torch.jit.script(net).save(str(tmp_path / "m.pt"), _extra_files={"mlc/inputs.txt": text})
        error = mlc("run", "m.pt", "--json")
        assert error.rc == 3 and "extra/mlc/inputs.txt" in error.error["message"]


def test_the_new_file_is_the_same_model_for_verify(mlc, net):
    mlc.ok("trace", "net.pt", "--input", "x:f32[b=2,3,8,8]", "-o", "out.pt")
    mlc.ok("verify", "net.pt", "out.pt")


# --- the command line


def test_answer_fits_the_schema(mlc, net, valid):
    for more in ((), ("-n",), ("--method", "trace")):
        spec = "x:f32[b=1..2,3,8,8]"
        valid(mlc.ok("trace", "net.pt", "--input", spec, "-o", "out.pt", "--force", "--json", *more).json, "trace")


def test_a_decided_branch_is_in_the_answer(mlc, net):
    answer = mlc.ok("trace", "net.pt", "--method", "trace", "--input", "x:f32[2,3,8,8]", "-o", "out.pt", "--json").json
    assert any("if x.s" in one["place"] and one["outcome"] == 0 for one in answer["decisions"])


@pytest.mark.parametrize(("module", "decided"), [
    (WrittenNumber, 1), (WrittenEntry, 1), (WrittenView, 1), (WrittenMember, 1), (WrittenBuffer, 1),
    (WrittenNothing, 0),
])
def test_branches_on_what_inputs_were_written_into_are_told(mlc, tmp_path, module, decided):
    script(module(), tmp_path / "m.pt")
    answer = mlc.ok("trace", "m.pt", "--method", "trace", "--input", "x:f32[2,3]", "-o", "out.pt", "--json").json
    assert len(answer["decisions"]) == decided


def test_dry_run_checks_and_writes_nothing(mlc, net, tmp_path):
    before = sorted(os.listdir(tmp_path))
    assert "would write out.pt" in mlc.ok("trace", "net.pt", "--input", "x:f32[2,3,8,8]", "-o", "out.pt", "-n").stderr
    assert mlc("trace", "net.pt", "--method", "trace", "--input", "x:f32[b=2,3,8,8]", "-o", "out.pt", "-n").rc == 1
    assert sorted(os.listdir(tmp_path)) == before


def test_an_output_that_exists_is_kept(mlc, net, tmp_path):
    (tmp_path / "out.pt").write_bytes(b"mine")
    assert mlc("trace", "net.pt", "--input", "x:f32[2,3,8,8]", "-o", "out.pt").rc == 5
    assert mlc("trace", "net.pt", "--method", "trace", "--input", "x:f32[b=2,3,8,8]", "-o", "out.pt", "--force").rc == 1
    assert (tmp_path / "out.pt").read_bytes() == b"mine"
    mlc.ok("trace", "net.pt", "--input", "x:f32[2,3,8,8]", "-o", "out.pt", "--force")
    assert_equal_to(net, tmp_path / "out.pt", torch.randn(2, 3, 8, 8))


@pytest.mark.parametrize(("arguments", "rc", "said"), [
    (["net.pt"], 2, "-o FILE is missing"),
    (["net.pt", "-o", "net.pt", "--input", "x:f32[2,3,8,8]", "--force"], 2, "net.pt"),
    (["net.pt", "-o", "a.safetensors", "--input", "x:f32[2,3,8,8]"], 2, "name it .pt"),
    (["net.pt", "-o", "a.pt"], 2, 'input "x" is missing'),
    (["net.pt", "-o", "a.pt", "--input", "y:f32[1]"], 2, "as in --input 'x:f32"),
    (["net.pt", "-o", "a.pt", "--input", "x:f32[1]"], 2, "conv2d"),
    (["none.pt", "-o", "a.pt"], 3, "No such file"),
    (["w.pt", "-o", "a.pt"], 4, "--arch"),
    (["cut.pt", "-o", "a.pt"], 3, "cut.pt"),
    (["net.pt", "-o", "a.pt", "--input", "x:f32[2,3,8,8]", "--device", "cuda"], 4, "CUDA"),
    (["net.pt", "-o", "none/a.pt", "--input", "x:f32[2,3,8,8]"], 5, "none/a.pt"),
])
def test_mistakes_have_their_codes(mlc, net, tmp_path, arguments, rc, said):
    if said == "CUDA" and torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    torch.save({"w": torch.ones(2)}, tmp_path / "w.pt")
    whole = (tmp_path / "net.pt").read_bytes()
    (tmp_path / "cut.pt").write_bytes(whole[: len(whole) // 2])
    result = mlc("trace", *arguments)
    assert result.rc == rc and said in result.stderr, result.stderr
    assert "c10" not in result.stderr and "0x0" not in result.stderr and "Exception raised" not in result.stderr
    assert not (tmp_path / "a.pt").exists()


@only_in_all
def test_a_trace_of_endless_loops_is_refused(mlc, tmp_path):
    class Long(nn.Module):
        def forward(self, x, n: int):
            for _ in range(n):
                x = x + 1
            return x
    script(Long(), tmp_path / "m.pt")
    result = mlc("trace", "m.pt", "--method", "trace", "--input", "x:f32[1]", "--input", "n:i64[]=3000000", "-o", "a.pt")
    assert result.rc == 4 and "1,000,000 steps" in result.stderr
    mlc.ok("trace", "m.pt", "--method", "trace", "--input", "x:f32[1]", "--input", "n:i64[]=3", "-o", "b.pt")


def test_a_loop_that_makes_a_trace_too_long_to_run_is_refused(mlc, tmp_path):
    """LibTorch's interpreter used up the stack on the new file; the process died."""
    class Long(nn.Module):
        def forward(self, x, n: int):
            for _ in range(n):
                x = torch.relu(x)
            return x
    script(Long(), tmp_path / "m.pt")
    more = ("--method", "trace", "--input", "x:f32[1]", "-o", "a.pt")
    result = mlc("trace", "m.pt", *more, "--input", "n:i64[]=40000")
    assert result.rc == 4 and "40,000 operations in a row" in result.stderr and "--method script" in result.stderr
    assert os.listdir(tmp_path) == ["m.pt"]
    mlc.ok("trace", "m.pt", *more, "--input", "n:i64[]=9000")


def test_a_frozen_model_that_changes_itself_is_refused(mlc, tmp_path):
    class Counter(nn.Module):
        def __init__(self):
            super().__init__()
            self.calls: int = 0

        def forward(self, x):
            self.calls += 1
            return x + self.calls
    script(Counter(), tmp_path / "m.pt")
    result = mlc("trace", "m.pt", "--method", "trace", "--input", "x:f32[1]", "-o", "a.pt")
    assert result.rc == 4 and 'the assignment to "calls"' in result.stderr


def test_inputs_that_a_file_was_made_with_bind_nobody(mlc, net):
    """They are samples, not what the program demands."""
    mlc.ok("trace", "net.pt", "--input", "x:f32[2,3,8,8]", "-o", "out.pt")
    for size in ("[5,3,8,8]", "[1,3,16,16]"):
        mlc.ok("run", "out.pt", "--input", f"x:f32{size}")
        mlc.ok("verify", "net.pt", "out.pt", "--input", f"x:f32{size}")
        mlc.ok("bench", "out.pt", "--input", f"x:f32{size}", "--runs", "2")


def test_forked_parts_are_recorded_in_line(mlc, tmp_path):
    class Forked(nn.Module):
        def forward(self, x):
            part = torch.jit.fork(torch.relu, x)
            return torch.jit.wait(part) + 1
    script(Forked(), tmp_path / "m.pt")
    mlc.ok("trace", "m.pt", "--method", "trace", "--input", "x:f32[n=2]", "-o", "out.pt")
    assert torch.equal(load(tmp_path / "out.pt")(torch.tensor([-1.0, 2, 3])), torch.tensor([1.0, 3, 4]))


@pytest.mark.parametrize("method", ["script", "trace"])
def test_what_a_model_keeps_from_run_to_run_is_written_as_it_was(mlc, tmp_path, method):
    class Counts(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("calls", torch.zeros(1))

        def forward(self, x):
            self.calls.add_(1)
            return x + self.calls
    script(Counts(), tmp_path / "m.pt")
    mlc.ok("trace", "m.pt", "--method", method, "--input", "x:f32[n=2]", "-o", "out.pt")
    assert load(tmp_path / "out.pt").state_dict()["calls"].tolist() == [0]


def test_a_model_that_writes_into_its_input_is_not_called_random(mlc, tmp_path):
    class InPlace(nn.Module):
        def forward(self, x):
            x.mul_(2)
            return x
    script(InPlace(), tmp_path / "m.pt")
    assert mlc.ok("trace", "m.pt", "--input", "x:f32[n=2]", "-o", "out.pt", "--json").json["random"] is False


def test_a_decision_that_holds_for_small_sizes_only_is_found_at_the_bound(mlc, tmp_path):
    class Large(nn.Module):
        def forward(self, x):
            return x * (1.0 if x.size(0) < 10 else 0.0)
    script(Large(), tmp_path / "m.pt")
    arguments = ("trace", "m.pt", "--method", "trace", "--input", "x:f32[n=1..64,3]", "-o", "out.pt")
    result = mlc(*arguments)
    assert result.rc == 1 and "wrong at n=64" in result.stderr


@pytest.mark.parametrize("name", ["out.onnx", "out.pt2", "out.npz"])
def test_torchscript_gets_no_name_of_another_format(mlc, net, name):
    assert mlc("trace", "net.pt", "--input", "x:f32[2,3,8,8]", "-o", name).rc == 2


# --- places in an architecture


ARCHITECTURE = """mlc: architecture/1
inputs: ["x:f32[batch=2,4]"]
modules:
  fc: {type: Linear, in_features: 4, out_features: 3}
forward: |
  def forward(self, x):
      y = self.fc(x)
      if x.size(0) > 2:
          y = y * 2
      named = {"k{}".format(x.size(1)): y}
      return named["k4"]
"""


@pytest.fixture
def architecture(tmp_path):
    (tmp_path / "a.yaml").write_text(ARCHITECTURE)
    torch.save(nn.Linear(4, 3).state_dict(), tmp_path / "fc.pt")
    state = torch.load(tmp_path / "fc.pt")
    torch.save({f"fc.{key}": value for key, value in state.items()}, tmp_path / "w.pt")


@pytest.mark.usefixtures("architecture")
def test_decisions_point_into_the_yaml(mlc):
    """They had the line and no place."""
    fixed = mlc.ok("trace", "w.pt", "--arch", "a.yaml", "--method", "trace", "--input", "x:f32[2,4]", "-o", "t.pt", "--json")
    assert [one["place"] for one in json.loads(fixed.stdout)["decisions"]] == ["if x.size(0) > 2: (a.yaml:8:7)"]
    refused = mlc("trace", "w.pt", "--arch", "a.yaml", "--method", "trace", "-o", "u.pt")
    assert refused.rc == 1 and "a.yaml:8:7: the trace is wrong at batch=3" in refused.stderr
    lines = refused.stderr.splitlines()
    assert lines[lines.index("        if x.size(0) > 2:") + 1] == "        ^"


@pytest.mark.usefixtures("architecture")
def test_a_written_file_remembers_the_yaml(mlc, tmp_path):
    mlc.ok("trace", "w.pt", "--arch", tmp_path / "a.yaml", "-o", "s.pt")
    refused = mlc("trace", "s.pt", "--method", "trace", "--input", "x:f32[batch=2,4]", "-o", "u.pt")
    assert refused.rc == 1 and "(a.yaml:8:7)" in refused.stderr
    with pytest.raises(RuntimeError, match=r'File "a.yaml", line 7'):
        torch.jit.load(str(tmp_path / "s.pt"))(torch.ones(2, 5))
    assert os.fsencode(tmp_path) not in (tmp_path / "s.pt").read_bytes()


@pytest.mark.usefixtures("architecture")
def test_operators_with_any_number_of_arguments_are_recorded(mlc, tmp_path):
    """`"k{}".format(i)` was called without the number of its arguments."""
    mlc.ok("trace", "w.pt", "--arch", "a.yaml", "--method", "trace", "--input", "x:f32[2,4]", "-o", "t.pt")
    x = torch.randn(2, 4)
    state = torch.load(tmp_path / "w.pt")
    wanted = nn.functional.linear(x, state["fc.weight"], state["fc.bias"])
    torch.testing.assert_close(torch.jit.load(str(tmp_path / "t.pt"))(x), wanted)


def test_numbers_of_an_exported_program_are_computed_in_the_script(mlc, tmp_path):
    # "the engine does not have torch::sym_ite", though `mlc run` had it.
    class Numbers(nn.Module):
        def forward(self, x, t):
            n = t.item()
            torch._check(n >= 1)
            torch._check(n < 20)
            return x * torch.sym_ite(n > 3, 1, 2) + math.trunc(n / 2) + torch.sym_sqrt(x.shape[0]), x * torch.sym_ite(n > 5, 1.5, 2.5)

    inputs = (torch.randn(5, 4), torch.tensor(4))
    torch.export.save(torch.export.export(Numbers(), inputs, dynamic_shapes=({0: torch.export.Dim.DYNAMIC}, None)), tmp_path / "m.pt2")
    mlc.ok("trace", "m.pt2", "-o", "out.pt")
    for rows, number in ((5, 4), (3, 3), (2, 7)):
        x, t = torch.randn(rows, 4), torch.tensor(number)
        for made, wanted in zip(load(tmp_path / "out.pt")(x, t), Numbers()(x, t)):
            torch.testing.assert_close(made, wanted)


class Nested(nn.Module):
    def forward(self, x):
        return {"sum": x.sum(-1), "nested": {"pair": (x * 2, x.t()), "rows": x.shape[0]}}


class Named(nn.Module):
    def forward(self, x):
        return {"outer": {"inner": x * 2}, "other": x.sum()}


class Flat(nn.Module):
    def forward(self, x):
        return x * 2, x.sum()


def test_results_that_come_flat_are_told(mlc, tmp_path):
    """A .pt2 with a dictionary became TorchScript with a tuple, without a word."""
    said = {}
    for name, module in (("nested", Nested()), ("named", Named()), ("flat", Flat())):
        torch.export.save(torch.export.export(module, (torch.randn(2, 4),)), tmp_path / f"{name}.pt2")
        said[name] = mlc.ok("trace", f"{name}.pt2", "-o", f"{name}.pt").stderr
    flat = "the new file gives the results flat, not nested as the .pt2 does: "
    assert flat + "sum as output.0, nested.pair.0 as output.1, nested.pair.1 as output.2 and nested.rows as output.3" in said["nested"]
    assert flat + "outer.inner and other" in said["named"]
    assert "flat, not" not in said["flat"]
    x = torch.randn(2, 4)
    assert torch.equal(torch.jit.load(tmp_path / "nested.pt")(x)[2], x.t())
    assert set(torch.jit.load(tmp_path / "named.pt")(x)) == {"outer.inner", "other"}


class UpTo(nn.Module):
    def forward(self, x):
        if x.size(0) > 2:
            raise ValueError("too many rows")
        return x


def test_a_size_that_the_model_refuses_is_told_where_another_one_was_tried(mlc, tmp_path, valid):
    torch.jit.script(UpTo()).save(tmp_path / "m.pt")
    command = ("trace", "m.pt", "--method", "trace", "--input", "x:f32[batch=2,4]", "-o", "out.pt", "--force")
    assert "not checked, batch=1 instead: A refuses batch=3: the model itself raises: too many rows" in mlc.ok(*command).stdout
    answer = mlc.ok(*command, "--json").json
    valid(answer, "trace")
    assert [one.get("instead_of") for one in answer["cases"]] == [None, None, "A refuses batch=3: the model itself raises: too many rows"]


LENGTHS = """mlc: architecture/1
inputs: ["ids:f32[batch=2,seq={start}..32,4]", "lengths:i64[batch=2]=1..9"]
outputs: [logits, features]
modules:
  rnn: {{type: GRU, input_size: 4, hidden_size: 3, batch_first: true}}
forward: |
  def forward(self, ids, lengths):
      kept, order = torch.sort(lengths, descending=True)
      data, sizes = torch._pack_padded_sequence(ids[order], kept.cpu(), True)
      n = int(lengths.max())
      return ids[:, :n].narrow(1, 0, n).sum(2), data
"""


def test_values_beyond_a_size_had_no_hint(mlc, tmp_path):
    """Lengths up to 9 of sequences of 1: "start (0) + length (9) exceeds dimension size (1)"."""
    torch.save(nn.GRU(4, 3, batch_first=True).state_dict(), tmp_path / "rnn.pt")
    torch.save({f"rnn.{key}": value for key, value in torch.load(tmp_path / "rnn.pt").items()}, tmp_path / "w.pt")
    (tmp_path / "a.yaml").write_text(LENGTHS.format(start=1))
    refused = mlc("trace", "w.pt", "--arch", "a.yaml", "-o", "s.pt")
    assert refused.rc == 2 and "dimension 1 of ids is 1 here" in refused.stderr, refused.stderr
    assert "'lengths:i64[2]=1..1'" in refused.stderr
    (tmp_path / "a.yaml").write_text(LENGTHS.format(start=9))
    mlc.ok("trace", "w.pt", "--arch", "a.yaml", "-o", "s.pt")


def test_the_end_of_a_declared_range_was_not_tried(mlc, tmp_path):
    """A table of 64 rows, and a range up to 100."""
    text = """mlc: architecture/1
inputs: ["x:f32[batch=2,seq=1..{end},3]"]
parameters:
  pos: {{shape: [1, 64, 3]}}
forward: |
  def forward(self, x: Tensor) -> Tensor:
      return x + self.pos[:, :x.size(1)]
"""
    torch.save({"pos": torch.randn(1, 64, 3)}, tmp_path / "w.pt")
    (tmp_path / "a.yaml").write_text(text.format(end=100))
    refused = mlc("trace", "w.pt", "--arch", "a.yaml", "-o", "s.pt")
    assert refused.rc == 1 and not (tmp_path / "s.pt").exists(), refused
    assert "does not take all of the range of seq: it refuses seq=100: a.yaml:7:14: the size of tensor" in refused.stderr
    (tmp_path / "a.yaml").write_text(text.format(end=64))
    assert "seed 0, seq=64" in mlc.ok("trace", "w.pt", "--arch", "a.yaml", "-o", "s.pt").stdout


HALTING = """mlc: architecture/1
inputs: ["x:f32[2,4]"]
outputs: [last]
forward: |
  def forward(self, x: Tensor) -> Tensor:
      rounds = 0
      while bool(x.abs().max() > 0.5) and rounds < 20:
          x = x * 0.7
          rounds += 1
      if x.dim() == 2:
          x = x + 1
      return x
"""


def test_a_loop_on_values_was_recorded_without_a_warning(mlc, tmp_path):
    (tmp_path / "a.yaml").write_text(HALTING)
    torch.save({}, tmp_path / "w.pt")
    result = mlc.ok("trace", "w.pt", "--arch", "a.yaml", "--method", "trace", "--samples", "1", "-o", "t.pt")
    warning = next(line for line in result.stderr.splitlines() if "warning" in line)
    assert warning.count("(a.yaml:7:") >= 1 and "--method script" in warning and "--samples" in warning, warning
    # Each place once, and none for what the type of an input decides.
    assert warning.count("while ") <= 2 and "x.dim()" not in warning
    assert "warning" not in mlc.ok("trace", "w.pt", "--arch", "a.yaml", "-o", "s.pt").stderr


@pytest.mark.usefixtures("onnxruntime_engine")
def test_names_of_outputs_were_lost(mlc, tmp_path):
    (tmp_path / "a.yaml").write_text("""mlc: architecture/1
inputs: ["x:f32[batch=2,4]"]
outputs: [logits, features]
modules:
  fc: {type: Linear, in_features: 4, out_features: 3}
forward: |
  def forward(self, x: Tensor):
      return self.fc(x), x * 2
""")
    torch.save({f"fc.{key}": value for key, value in nn.Linear(4, 3).state_dict().items()}, tmp_path / "w.pt")
    for method in ("script", "trace"):
        mlc.ok("trace", "w.pt", "--arch", "a.yaml", "--method", method, "-o", "s.pt", "-f")
        extra = {"mlc/outputs.txt": ""}
        assert len(torch.jit.load(str(tmp_path / "s.pt"), _extra_files=extra)(torch.ones(2, 4))) == 2
        assert extra["mlc/outputs.txt"] == b"logits\nfeatures\n"
        again = ("trace", "s.pt", "-o", "again.pt", "-f")
        mlc.ok(*again)
        for name in ("s.pt", "again.pt"):
            ran = mlc.ok("run", name, "--json").json["outputs"]
            assert [one["name"] for one in ran] == ["logits", "features"]
            compared = mlc.ok("verify", "w.pt", name, "--arch", "a.yaml", "--json").json["cases"][0]["outputs"]
            assert [(one["name"], "name_b" in one) for one in compared] == [("logits", False), ("features", False)]
            onnx = mlc.ok("export-onnx", name, "-o", "s.onnx", "-f", "--json").json["outputs"]
            assert [one["name"] for one in onnx] == ["logits", "features"]


@pytest.mark.parametrize("names", ["a\n", "a\na\n", "a\nb\nc\n", "", "\n\n"])
def test_names_that_do_not_fit_are_none(mlc, tmp_path, names):
    class Two(nn.Module):
        def forward(self, x):
            return x, x + 1

    torch.jit.script(Two()).save(str(tmp_path / "s.pt"), _extra_files={"mlc/outputs.txt": names})
    ran = mlc.ok("run", "s.pt", "--input", "x:f32[2]", "--json").json["outputs"]
    assert [one["name"] for one in ran] == ["output.0", "output.1"]
    mlc.ok("export-onnx", "s.pt", "--input", "x:f32[2]", "-o", "s.onnx", "--no-verify")


class StartsWith(nn.Module):
    """Its first state has the batch of the example baked in, which a batch of 1 hides."""

    def __init__(self, batch):
        super().__init__()
        self.offset = torch.zeros(batch, 4)

    def forward(self, x: torch.Tensor):
        return x + self.offset


@pytest.mark.parametrize("batch", [2, 3])
def test_a_batch_that_is_baked_in_went_through_as_a_batch_of_1(mlc, tmp_path, batch):
    torch.jit.trace(StartsWith(batch), torch.randn(batch, 4)).save(tmp_path / "m.pt")
    done = mlc("trace", "m.pt", "--input", f"x:f32[batch={batch},4]", "-o", "o.pt")
    assert done.rc == 1 and "the model itself has a fixed size for batch" in done.stderr, done
    assert not (tmp_path / "o.pt").exists()


BRANCHES_OF_OURS = """mlc: architecture/1
inputs: ["x:f32[b=2,s=4,8]"]
modules:
  t: {type: TransformerEncoderLayer, d_model: 8, nhead: 2, dim_feedforward: 8, batch_first: true}
forward: |
  def forward(self, x: Tensor) -> Tensor:
      mask = nn.Transformer.generate_square_subsequent_mask(x.size(1))
      y = self.t(x, src_mask=mask)
      return F.interpolate(y, size=[int(x.size(2) * 2)])
"""


def test_branches_of_mlc_s_own_texts_were_warned_of(mlc, tmp_path):
    (tmp_path / "a.yaml").write_text(BRANCHES_OF_OURS)
    layer = nn.TransformerEncoderLayer(8, 2, 8, batch_first=True)
    torch.save({f"t.{key}": value for key, value in layer.state_dict().items()}, tmp_path / "w.pt")
    done = mlc.ok("trace", "w.pt", "--arch", "a.yaml", "--method", "trace", "-o", "o.pt", "--json")
    assert done.json["decisions"] == [] and "whatever it is given" not in done.stderr, done.stderr
    # Those that hang on what is given are told as ever.
    (tmp_path / "a.yaml").write_text(BRANCHES_OF_OURS.replace("      y =", "      if x.size(1) > 3: mask = mask * 2\n      y ="))
    assert "x.size(1) > 3" in mlc.ok("trace", "w.pt", "--arch", "a.yaml", "--method", "trace", "-o", "o.pt", "-f").stderr


class WithDefaults(nn.Module):
    def forward(self, x: torch.Tensor, k: int = 2, shift: Optional[torch.Tensor] = None):
        return x * k if shift is None else x * k + shift


def test_a_trace_dropped_arguments_without_a_word(mlc, tmp_path):
    torch.jit.script(WithDefaults().eval()).save(tmp_path / "m.pt")
    done = mlc.ok("trace", "m.pt", "--method", "trace", "--input", "x:f32[b=2,4]", "-o", "o.pt")
    assert "does not take k and shift, which keep their defaults" in done.stderr
    assert "which keep" not in mlc.ok("trace", "m.pt", "--input", "x:f32[b=2,4]", "-o", "s.pt").stderr


class Fills(nn.Module):
    def forward(self, x: torch.Tensor):
        rows: List[torch.Tensor] = []
        rows.extend(x.unbind(0))
        if len(rows) > 3:
            return x * 2
        return x + 1


def test_the_length_of_a_list_that_an_operator_fills_hangs_on_sizes(mlc, tmp_path):
    torch.jit.script(Fills().eval()).save(tmp_path / "m.pt")
    done = mlc.ok("trace", "m.pt", "--method", "trace", "--input", "x:f32[batch=5,4]", "-o", "o.pt")
    assert "whatever it is given, at if len(rows) > 3" in done.stderr
