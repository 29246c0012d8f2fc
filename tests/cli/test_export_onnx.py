"""export-onnx: what it writes is checked by onnx and run by ONNX Runtime against PyTorch, not only by mlc."""

import html.parser
import json
import re
from collections import Counter
import shlex

import numpy as np
import onnx
import pytest
import torch
import yaml
from torch import nn

import loop_programs
import mutation_programs
from exported_models import CASES
from pt2_files import rewrite

pytestmark = [pytest.mark.usefixtures("onnx_checker", "onnxruntime_engine", "engine"),
              pytest.mark.filterwarnings("ignore")]

NOT_YET = {  # of exported_models.CASES: what has no form in ONNX so far, and what mlc says of it
    "counter": "writes into",
}


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.head = nn.Linear(8, 10)

    def forward(self, image):
        x = torch.relu(self.norm(self.conv(image)))
        return self.head(x.mean((2, 3)))


def net():
    torch.manual_seed(0)
    model = Net().eval()
    model.norm.running_mean.normal_()
    model.norm.running_var.uniform_(0.5, 2)
    return model


def export(path, model, inputs, shapes=None):
    with torch.no_grad():
        torch.export.save(torch.export.export(model, inputs, dynamic_shapes=shapes, strict=False), path)


def run(path, *inputs, **options):
    import onnxruntime  # pylint: disable=import-outside-toplevel
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"], **options)
    names = [one.name for one in session.get_inputs()]
    return session.run(None, dict(zip(names, [np.asarray(one) for one in inputs])))


@pytest.fixture
def net_pt2(tmp_path):
    export(tmp_path / "net.pt2", net(), (torch.randn(2, 3, 16, 16),), {"image": {0: torch.export.Dim("batch", min=1, max=64)}})
    return "net.pt2"


@pytest.mark.parametrize("kind", ["pt2", "traced", "scripted"])
def test_a_net_computes_the_same_at_every_batch_size(mlc, tmp_path, net_pt2, kind):
    model, file = net(), net_pt2
    if kind != "pt2":
        file = "net.pt"
        made = torch.jit.trace(model, torch.randn(2, 3, 16, 16)) if kind == "traced" else torch.jit.script(model)
        made.save(tmp_path / file)
    mlc.ok("export-onnx", file, "-o", "net.onnx", "--input", "image:f32[batch=2,3,16,16]")
    onnx.checker.check_model(str(tmp_path / "net.onnx"), full_check=True)
    for batch in (1, 2, 5):
        image = torch.randn(batch, 3, 16, 16)
        with torch.no_grad():
            wanted = model(image).numpy()
        found, = run(tmp_path / "net.onnx", image)
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_the_graph_is_clean(mlc, tmp_path, net_pt2):
    mlc.ok("export-onnx", net_pt2, "-o", "net.onnx", "--no-verify")
    graph = onnx.load(tmp_path / "net.onnx").graph
    assert [node.op_type for node in graph.node] == ["Conv", "Relu", "ReduceMean", "Gemm"]
    assert {one.name for one in graph.initializer} == {"conv.weight", "conv.bias", "head.weight", "head.bias"}
    assert graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    assert all(dim.dim_param or dim.HasField("dim_value") for value in graph.value_info for dim in value.type.tensor_type.shape.dim)
    assert [node.name for node in graph.node][0] == "/conv/Conv"


def test_the_same_input_gives_the_same_bytes(mlc, tmp_path, net_pt2):
    mlc.ok("export-onnx", net_pt2, "-o", "a.onnx", "--no-verify")
    mlc.ok("export-onnx", net_pt2, "-o", "b.onnx", "--no-verify")
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


@pytest.mark.parametrize("opset", [13, 15, 17, 18, 20, 23])
def test_every_opset_is_valid(mlc, tmp_path, net_pt2, opset):
    mlc.ok("export-onnx", net_pt2, "-o", "net.onnx", "--opset", opset)
    model = onnx.load(tmp_path / "net.onnx")
    assert model.opset_import[0].version == opset
    onnx.checker.check_model(model, full_check=True)


def test_json_fits_its_schema(mlc, valid, net_pt2):
    answer = mlc.ok("export-onnx", net_pt2, "-o", "net.onnx", "--json").json
    valid(answer, "export-onnx")
    assert answer["verified"] and answer["operators"] == {"Conv": 1, "Gemm": 1, "ReduceMean": 1, "Relu": 1}
    valid(mlc.ok("export-onnx", net_pt2, "-o", "b.onnx", "--json", "--no-verify", "-n").json, "export-onnx")


def test_schema_example(valid, root):
    valid(json.loads((root / "schemas/examples/export-onnx.json").read_text()), "export-onnx")


def test_dry_run_writes_nothing(mlc, tmp_path, net_pt2):
    result = mlc.ok("export-onnx", net_pt2, "-o", "net.onnx", "-n")
    assert "would write net.onnx" in result.stderr
    assert not (tmp_path / "net.onnx").exists()


def test_external_data_lies_beside_and_is_verified(mlc, tmp_path):
    export(tmp_path / "fc.pt2", nn.Linear(64, 32).eval(), (torch.randn(2, 64),))
    result = mlc.ok("export-onnx", "fc.pt2", "-o", "fc.onnx", "--external-data", "always")
    assert "verified" in result.stdout and "close" in result.stdout or "equal" in result.stdout
    assert (tmp_path / "fc.onnx.data").stat().st_size >= 64 * 32 * 4
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fc.onnx", "fc.onnx.data", "fc.pt2"]
    onnx.checker.check_model(str(tmp_path / "fc.onnx"), full_check=True)


def test_tied_weights_are_stored_once(mlc, tmp_path):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.head = nn.Embedding(500, 32), nn.Linear(32, 500, bias=False)
            self.head.weight = self.embed.weight

        def forward(self, ids):
            return self.head(self.embed(ids))

    export(tmp_path / "tied.pt2", Tied().eval(), (torch.zeros(2, 3, dtype=torch.int64),))
    mlc.ok("export-onnx", "tied.pt2", "-o", "tied.onnx", "--input", "ids:i64[2,3]=0..499")
    assert (tmp_path / "tied.onnx").stat().st_size < 1.5 * 500 * 32 * 4


def test_sizes_get_names_from_the_user(mlc, tmp_path, net_pt2):
    mlc.ok("export-onnx", net_pt2, "-o", "a.onnx", "--input", "image:f32[n=2,3,16,16]", "--no-verify")
    own = re.search(r"its sizes are batch \((s\d+)\)", mlc("export-onnx", net_pt2, "--dump-graph", "--dim", "none=x").stderr)
    mlc.ok("export-onnx", net_pt2, "-o", "b.onnx", "--dim", f"{own[1]}=images", "--no-verify")
    names = [onnx.load(tmp_path / f).graph.input[0].type.tensor_type.shape.dim[0].dim_param for f in ("a.onnx", "b.onnx")]
    assert names == ["n", "images"]


def traced(path, model, *inputs):
    torch.jit.trace(model.eval(), inputs, check_trace=False).save(path)


class Made(nn.Module):
    """What FUNCTION makes of its input."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def test_squeeze_of_a_size_that_varies_is_told(mlc, tmp_path):
    # Published as verified, and wrong at 1, which was never tried.
    traced(tmp_path / "s.pt", Made(lambda x: x.squeeze(0) + 1), torch.randn(2, 4))
    result = mlc.ok("export-onnx", "s.pt", "-o", "s.onnx", "--input", "x:f32[n=2,4]")
    assert "n has to be at least 2" in result.stderr and "n=5" in result.stdout
    props = {one.key: one.value for one in onnx.load(tmp_path / "s.onnx").metadata_props}
    assert props["mlc.sizes"] == "n=2.."


@pytest.mark.parametrize("rows", ["4", "4..8"])
def test_a_diagonal_of_the_smaller_of_two_sizes(mlc, tmp_path, rows):
    # At 10 rows and more the model gave too many elements.
    traced(tmp_path / "d.pt", Made(lambda x: torch.diagonal(x, 2)), torch.randn(4, 10))
    mlc.ok("export-onnx", "d.pt", "-o", "d.onnx", "--input", f"x:f32[b={rows},10]")
    for count in (1, 4, 8) if rows == "4..8" else (1, 4, 8, 10, 13):
        x = torch.randn(count, 10)
        np.testing.assert_array_equal(run(tmp_path / "d.onnx", x)[0], torch.diagonal(x, 2))


def test_guards_of_the_export_choose_the_sizes_that_are_tried(mlc, tmp_path):
    # Tried at 5, where torch itself refuses, and so refused as different.
    export(tmp_path / "g.pt2", Made(lambda x: x.reshape(x.shape[0] // 2, -1) if x.shape[0] % 2 == 0 else x),
           (torch.randn(4, 4),), ({0: torch.export.Dim.DYNAMIC},))
    assert "batch=8" in mlc.ok("export-onnx", "g.pt2", "-o", "g.onnx").stdout
    refused = mlc("run", "g.pt2", "--input", "x:f32[5,4]")
    assert refused.rc == 2 and "holds only where" in refused.stderr and "x.size(0)" in refused.stderr


def test_sizes_have_one_name_in_all_verbs(mlc, tmp_path, net_pt2):
    # export-onnx called it batch, everything else s77, and --dim took only that.
    assert "image f32[2, 3, 16, 16]" in mlc.ok("run", net_pt2).stdout
    assert 'input "image"' in (other := mlc("run", net_pt2, "--input", "image:f32[batch=70,3,16,16]")).stderr, other.stderr
    mlc.ok("export-onnx", net_pt2, "-o", "n.onnx", "--dim", "batch=n", "--no-verify")
    assert onnx.load(tmp_path / "n.onnx").graph.input[0].type.tensor_type.shape.dim[0].dim_param == "n"
    assert "batch=4" in mlc.ok("verify", net_pt2, "n.onnx").stdout
    mlc.ok("bench", net_pt2, "--batch", "1", "--batch", "2", "--runs", "2")


def test_two_sizes_under_one_name_are_told(mlc, tmp_path):
    class Flat(nn.Module):
        def forward(self, x):
            return x * 2

    free = torch.export.Dim.DYNAMIC
    export(tmp_path / "flat.pt2", Flat(), (torch.randn(2, 3),), ({0: free, 1: free},))
    result = mlc.ok("export-onnx", "flat.pt2", "-o", "flat.onnx", "--dim", "batch=n", "--dim", "seq=n")
    assert "become one size, n: the model will take only inputs where they are equal" in result.stderr


def test_a_name_that_another_size_has_by_default_was_swapped(mlc, tmp_path):
    # The other one became batch_2 instead of the same size.
    class Both(nn.Module):
        def forward(self, x, y):
            return x * 2, y * 3

    free = torch.export.Dim.DYNAMIC
    export(tmp_path / "two.pt2", Both(), (torch.randn(2, 3), torch.randn(4, 3)), ({0: free}, {0: free}))
    result = mlc.ok("export-onnx", "two.pt2", "-o", "two.onnx", "--dim", "batch_2=batch", "--no-verify")
    assert "batch and batch_2 become one size, batch" in result.stderr
    names = [one.type.tensor_type.shape.dim[0].dim_param for one in onnx.load(tmp_path / "two.onnx").graph.input]
    assert names == ["batch", "batch"]


class Rows(nn.Module):
    def forward(self, x):
        return x.reshape(-1, 4).sum(1)


def test_sizes_that_were_said_to_run_did_not(mlc, tmp_path):
    # "with n=45 the model runs", which takes multiples of 4: what ran was 44, in its place.
    export(tmp_path / "m.pt2", Rows(), (torch.randn(24),), ({0: 4 * torch.export.Dim("h", min=1, max=50)},))
    result = mlc("export-onnx", "m.pt2", "-o", "m.onnx", "--input", "x:f32[n=22]")
    hint = re.search(r"with these sizes the model runs: (.*)", result.stderr)
    assert result.rc == 2 and hint, result.stderr
    mlc.ok("export-onnx", "m.pt2", "-o", "m.onnx", *shlex.split(hint[1]))


class Pairs(nn.Module):
    def forward(self, x, y):
        return torch.cat([x, x], 1) + y


def test_a_size_that_hangs_on_another_was_shown_as_fixed(mlc, tmp_path):
    h = torch.export.Dim("h", min=1, max=50)
    export(tmp_path / "m.pt2", Pairs(), (torch.randn(2, 6), torch.randn(2, 12)), ({1: h}, {1: 2 * h}))
    said = mlc("run", "m.pt2", "--input", "x:f32[2,6]").stderr
    assert "y: Tensor, declared as f32[2,2*seq]" in said, said


@pytest.mark.parametrize("name", ["3", "a b", "n-1", "min"])
def test_a_bad_name_of_a_size_was_said_to_be_taken(mlc, tmp_path, net_pt2, name):
    result = mlc("export-onnx", net_pt2, "-o", "n.onnx", "--dim", f"batch={name}")
    assert result.rc == 2 and f'"{name}" is no name of a size' in result.stderr


class Positions(nn.Module):
    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(16, 4)

    def forward(self, x):
        return x + self.table(torch.arange(x.shape[1]))


def test_ends_of_a_range_that_was_typed_were_not_tried(mlc, tmp_path):
    # Published with "seq from 4 to 500", of which the model takes 16.
    torch.jit.script(Positions().eval()).save(tmp_path / "p.pt")
    result = mlc("export-onnx", "p.pt", "-o", "p.onnx", "--input", "x:f32[b=2,seq=4..500,4]")
    assert result.rc != 0 and "does not take all of the range of seq" in result.stderr, result.stderr
    assert not (tmp_path / "p.onnx").exists()
    done = mlc.ok("export-onnx", "p.pt", "-o", "p.onnx", "--input", "x:f32[b=2,seq=3..16,4]")
    assert "seq=16" in done.stdout


def test_dim_is_for_programs_of_torch_export(mlc, tmp_path):
    # "one size is called "N" and "batch"": the names of a trace are those of --input.
    torch.jit.trace(nn.Linear(3, 2).eval(), torch.randn(1, 3)).save(tmp_path / "t.pt")
    result = mlc("export-onnx", "t.pt", "-o", "t.onnx", "--input", "input:f32[batch=2,3]", "--dim", "batch=N")
    assert result.rc == 2 and "--dim renames sizes of a .pt2" in result.stderr and "--input gives" in result.stderr


def test_fixed_sizes_are_told_and_the_hint_keeps_the_batch_free(mlc, tmp_path):
    # Pasting the hint made a model for one batch size, without a word.
    torch.jit.trace(nn.Linear(3, 2).eval(), torch.randn(4, 3)).save(tmp_path / "t.pt")
    hint = re.search(r"--input '([^']*)'", mlc("export-onnx", "t.pt", "-o", "t.onnx").stderr)[1]
    assert hint == "input:f32[batch=4,3]"
    assert "all sizes are fixed" not in mlc.ok("export-onnx", "t.pt", "-o", "t.onnx", "--input", hint).stderr
    note = "all sizes are fixed; named ones stay free, as in --input 'input:f32[batch=4,3]'"
    assert note in mlc.ok("export-onnx", "t.pt", "-o", "u.onnx", "--input", "input:f32[4,3]").stderr


def test_the_file_beside_the_model_is_named_and_one_that_is_left(mlc, valid, tmp_path):
    export(tmp_path / "net.pt2", nn.Linear(64, 64).eval(), (torch.randn(2, 64),))
    result = mlc.ok("export-onnx", "net.pt2", "-o", "n.onnx", "--external-data", "always", "--no-verify")
    assert re.search(r"wrote n\.onnx: .* and, beside it, n\.onnx\.data: ", result.stderr)
    result = mlc.ok("export-onnx", "net.pt2", "-fo", "n.onnx", "--no-verify")
    assert "n.onnx.data lies beside the model, which does not use it" in result.stderr
    result = mlc.ok("export-onnx", "net.pt2", "-fo", "n.onnx", "--external-data", "always", "--no-verify", "--json")
    valid(result.json, "export-onnx")
    assert result.json["sidecar"] == "n.onnx.data"


def test_half_precision_is_held_to_the_same_by_export_and_verify(mlc, valid, tmp_path):
    # Called close by the one, different by the other.
    model = nn.Sequential(nn.Linear(64, 256), nn.GELU(), nn.Linear(256, 64)).eval().half()
    torch.jit.trace(model, torch.randn(2, 64).half()).save(tmp_path / "h.pt")
    result = mlc.ok("export-onnx", "h.pt", "-o", "h.onnx", "--input", "input:f16[batch=2,64]")
    assert "in half precision 0.001 + 0.01 * |b|" in result.stdout
    result = mlc.ok("verify", "h.pt", "h.onnx", "--input", "input:f16[batch=2,64]", "--json")
    valid(result.json, "verify")
    assert result.json["cases"][0]["outputs"][0]["rtol"] == 0.01
    assert mlc("verify", "h.pt", "h.onnx", "--input", "input:f16[batch=2,64]", "--rtol", "1e-7", "--atol", "0").rc == 1


def test_partial_keeps_nothing_complex(mlc, tmp_path):
    # ONNX's checker found complex numbers in ONNX's own operators: an internal error.
    class Roots(nn.Module):
        def forward(self, x):
            return torch.linalg.eigvals(x).abs()

    export(tmp_path / "roots.pt2", Roots(), (torch.randn(4, 4),))
    for flags in ([], ["--partial"]):
        result = mlc("export-onnx", "roots.pt2", "-o", "roots.onnx", *flags)
        assert result.rc == 4 and "complex" in result.stderr and "--partial keeps" not in result.stderr


def test_sizes_at_the_same_place_of_two_inputs_stay_apart(mlc, tmp_path):
    class Two(nn.Module):
        def forward(self, x, y):
            return x.relu(), y.relu()

    free = torch.export.Dim.DYNAMIC
    export(tmp_path / "two.pt2", Two(), (torch.randn(2, 3), torch.randn(5, 3)), ({0: free}, {0: free}))
    mlc.ok("export-onnx", "two.pt2", "-o", "two.onnx")
    names = [one.type.tensor_type.shape.dim[0].dim_param for one in onnx.load(tmp_path / "two.onnx").graph.input]
    assert names == ["batch", "batch_2"]
    assert [one.shape for one in run(tmp_path / "two.onnx", torch.randn(4, 3), torch.randn(7, 3))] == [(4, 3), (7, 3)]
    mlc.ok("export-onnx", "two.pt2", "-o", "one.onnx", "--input", "x:f32[n=2,3]", "--input", "y:f32[n=2,3]")
    names = [one.type.tensor_type.shape.dim[0].dim_param for one in onnx.load(tmp_path / "one.onnx").graph.input]
    assert names == ["n", "n"]


@pytest.mark.parametrize("arguments, words", [
    (["--input", "image:f32[batch=2..100,3,16,16]"], "may be 1 to 64, not 100"),
    (["--input", "image:f32[batch=2,3,h=16,16]"], "is 16 in the program and cannot vary"),
    (["--input", "image:i64[batch=2,3,16,16]"], "is f32 in the program, not i64"),
    (["--input", "image:f32[2,3,16]"], "has 4 dimensions in the program, not 3"),
    (["--input", "picture:f32[2,3,16,16]"], 'no input called "picture"'),
    (["--dim", "s1=batch"], 'no size called "s1"'),
    (["--dim", "batch"], "--dim wants OLD=NEW"),
    (["--opset", "12"], "13"),
    (["--verify", "--no-verify"], "contradict"),
])
def test_what_does_not_fit_is_refused(mlc, net_pt2, arguments, words):
    result = mlc("export-onnx", net_pt2, "-o", "net.onnx", *arguments)
    assert (result.rc, words in result.stderr) == (2, True), result.stderr


def test_names_of_outputs_and_files(mlc, tmp_path, net_pt2):
    assert mlc("export-onnx", net_pt2).rc == 2
    assert mlc("export-onnx", net_pt2, "-o", "net.pt").rc == 2
    (tmp_path / "net.onnx").write_text("precious")
    assert mlc("export-onnx", net_pt2, "-o", "net.onnx").rc == 5
    mlc.ok("export-onnx", net_pt2, "-o", "net.onnx", "-f")


def test_everything_that_cannot_become_onnx_is_listed_at_once(mlc, tmp_path):
    class Hard(nn.Module):
        def forward(self, x):
            return torch.linalg.qr(x)[0] + torch.linalg.eigvalsh(x) + torch.special.bessel_j0(x)

    export(tmp_path / "hard.pt2", Hard(), (torch.randn(3, 3),))
    result = mlc("export-onnx", "hard.pt2", "-o", "hard.onnx")
    assert result.rc == 4
    assert "aten::linalg_qr" in result.stderr and "aten::special_bessel_j0" in result.stderr
    assert "test_export_onnx.py" in result.stderr
    listed = mlc("export-onnx", "hard.pt2", "--list-ops")
    assert listed.rc == 1
    assert re.search(r"^aten::special_bessel_j0 +1 +- +- +no: no lowering$", listed.stdout, re.MULTILINE), listed.stdout
    assert re.search(r"^aten::add +2 .* yes$", listed.stdout, re.MULTILINE), listed.stdout
    partial = mlc.ok("export-onnx", "hard.pt2", "-o", "hard.onnx", "--partial")
    assert "was not run" in partial.stderr
    assert {node.domain for node in onnx.load(tmp_path / "hard.onnx").graph.node} >= {"mlc.aten"}


def test_random_outputs_were_not_told_beside_what_cannot_become_onnx(mlc, tmp_path):
    class Both(nn.Module):
        def forward(self, x):
            y = torch.special.bessel_j0(x + torch.rand_like(x))  # what cannot be lowered hands it on
            return x * 2, y, torch.linalg.qr(x)[0]

    export(tmp_path / "both.pt2", Both(), (torch.randn(3, 3),))
    for how, rc in ((("-o", "both.onnx"), 4), (("--list-ops",), 1)):
        result = mlc("export-onnx", "both.pt2", *how)
        assert result.rc == rc and "output.1 hangs on random numbers: aten::rand_like at " in " ".join(result.stderr.split()), result.stderr
    assert "aten::special_bessel_j0" in mlc("export-onnx", "both.pt2", "-o", "both.onnx").stderr


def test_packed_projections_were_gathered_one_by_one(mlc, tmp_path):
    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = nn.MultiheadAttention(16, 4, batch_first=True)

        def forward(self, x):
            return self.attention(x, x, x, need_weights=False)[0]

    model = Attention().eval()
    b, s = torch.export.Dim("b", min=1, max=64), torch.export.Dim("s", min=2, max=512)
    export(tmp_path / "m.pt2", model, (torch.randn(2, 5, 16),), ({0: b, 1: s},))
    mlc.ok("export-onnx", "m.pt2", "-o", "m.onnx")
    counts = Counter(one.op_type for one in onnx.load(tmp_path / "m.onnx").graph.node)
    assert counts["Split"] == 1 and counts["Gather"] == counts["Shape"] == 0 and sum(counts.values()) <= 22, counts
    x = torch.randn(3, 7, 16)
    assert torch.allclose(torch.tensor(run(tmp_path / "m.onnx", x)[0]), model(x).detach(), atol=1e-6)


@pytest.mark.parametrize("how", ["pt2", "script"])
def test_a_write_hid_what_else_cannot_become_onnx(mlc, tmp_path, how):
    class Counts(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("n", torch.zeros(()))
            self.norm = nn.BatchNorm1d(3)

        def forward(self, x):
            self.n += 1
            return torch.special.i0(self.norm(x)), self.n * 1

    if how == "pt2":
        export(tmp_path / "m.pt2", Counts(), (torch.randn(4, 3),))
    else:
        torch.jit.trace(Counts(), torch.randn(4, 3), check_trace=False).save(tmp_path / "m.pt2")
    more = () if how == "pt2" else ("--input", "x:f32[4,3]")
    result = mlc("export-onnx", "m.pt2", "-o", "m.onnx", *more)
    assert result.rc == 4
    for words in ("i0: ", "aten::batch_norm: it updates its statistics", "n, which an ONNX model cannot keep, first at ", "test_export_onnx.py"):
        assert words in result.stderr, result.stderr
    listed = mlc("export-onnx", "m.pt2", "--list-ops", *more)
    assert listed.rc == 1 and "it writes into" in listed.stdout


class CountsInABranch(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("n", torch.zeros(3))

    def forward(self, x):
        if x.sum() > 0:
            self.n[0] += 1
        return x + self.n


def test_a_write_within_a_branch_had_no_place(mlc, tmp_path):
    torch.jit.script(CountsInABranch().eval()).save(str(tmp_path / "m.pt"))
    result = mlc("export-onnx", "m.pt", "-o", "m.onnx", "--input", "x:f32[4,3]")
    assert result.rc == 4
    assert "1 x aten::add_: it writes into n, which an ONNX model cannot keep, first at self.n[0] += 1 (test_export_onnx.py:" in result.stderr
def test_joined_sizes_were_told_before_they_were_known(mlc, tmp_path):
    class Twice(nn.Module):
        def forward(self, x):
            return x * 2

    export(tmp_path / "m.pt2", Twice(), (torch.randn(2, 3),), ({0: torch.export.Dim.DYNAMIC},))
    result = mlc("export-onnx", "m.pt2", "-o", "m.onnx", "--dim", "batch=t", "--dim", "other=t")
    assert result.rc == 2 and "one size" not in result.stderr, result.stderr


def test_refused_scripts_did_not_name_what_helps(mlc, tmp_path):
    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 1)

        def forward(self, x, padding):
            return self.encoder(x, src_key_padding_mask=padding)

    torch.jit.script(Masked().eval()).save(tmp_path / "m.pt")
    result = mlc("export-onnx", "m.pt", "-o", "m.onnx", "--input", "x:f32[b=2,t=5,8]", "--input", "padding:bool[b,t]")
    assert result.rc == 4 and "enable_nested_tensor=False" in result.stderr, result.stderr


OPSETS = {  # what an opset is too low for
    "bitwise": (lambda x: x.int() & 3, 18), "triangle": (torch.tril, 14),
    "scatter_add": (lambda x: x.index_put((torch.tensor([0, 0]),), torch.ones(4), accumulate=True), 16),
    "zero": (lambda x: x[:0].reshape(4, 0, 2).sum(1), 14),
}


@pytest.mark.parametrize("name", OPSETS)
def test_an_opset_too_low_was_a_defect_of_mlc_and_not_of_the_option(mlc, tmp_path, name):
    class Program(nn.Module):
        def forward(self, x):
            return OPSETS[name][0](x)

    x = torch.randn(4, 4)
    export(tmp_path / "p.pt2", Program(), (x,))
    least = OPSETS[name][1]
    result = mlc("export-onnx", "p.pt2", "-o", "p.onnx", "--opset", least - 1 if least > 14 else 13)
    assert result.rc == 4 and "aten::" in result.stderr and f"opset {least}" in result.stderr, result.stderr
    mlc.ok("export-onnx", "p.pt2", "-o", "p.onnx", "--opset", least)
    same(run(tmp_path / "p.onnx", x), [OPSETS[name][0](x)])


def test_list_ops_says_what_an_operator_lacks_and_not_only_whether_it_is_known(mlc, valid, net_pt2, tmp_path):
    class Bits(nn.Module):
        def forward(self, x):
            return torch.relu(x) & 3

    export(tmp_path / "bits.pt2", Bits(), (torch.arange(4),))
    answer = mlc.ok("export-onnx", "bits.pt2", "--list-ops", "--json").json
    valid(answer, "export-onnx-operators")
    result = mlc("export-onnx", "bits.pt2", "--list-ops", "--opset", "13", "--json")
    valid(result.json, "export-onnx-operators")
    rows = {one["name"]: one for one in result.json["operators"]}
    assert result.rc == 1 and rows["aten::relu"]["supported"] and "18" in rows["aten::__and__"]["problems"][0]
    assert {one["name"] for one in answer["operators"]} == set(rows) and all(one["supported"] for one in answer["operators"])
    assert not (tmp_path / "net.onnx").exists()


def test_list_ops_without_a_model_is_the_whole_table(mlc, valid):
    answer = mlc.ok("export-onnx", "--list-ops", "--json").json
    valid(answer, "export-onnx-operators")
    names = [one["name"] for one in answer["operators"]]
    assert names == sorted(set(names)) and {"aten::conv2d", "prim::If", "torchvision::nms"} <= set(names)
    (gather,) = [one for one in answer["operators"] if one["name"] == "aten::bitwise_and"]
    assert gather["opset"] == 13 and gather["opset_of_all"] == 18 and 0 < gather["passed"] <= gather["calls"]
    text = mlc.ok("export-onnx", "--list-ops").stdout
    assert re.search(r"^aten::bitwise_and +13\.\.18 +\d+ of \d+$", text, re.MULTILINE)
    assert f"{len(names)} operators" in text
    assert mlc("export-onnx").rc == 2 and mlc("export-onnx", "-o", "x.onnx").rc == 2


def test_training_mode_is_refused_by_name(mlc, tmp_path):
    model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5)).train()
    torch.jit.trace(model, torch.randn(2, 4), check_trace=False).save(tmp_path / "train.pt")
    result = mlc("export-onnx", "train.pt", "-o", "train.onnx", "--input", "input:f32[2,4]")
    assert result.rc == 4 and "training mode" in result.stderr, result.stderr


def test_a_size_that_the_trace_fixed_is_named(mlc, tmp_path):
    class Fixed(nn.Module):
        def forward(self, x):
            return x + torch.ones(int(x.shape[0]), 6)

    torch.jit.trace(Fixed(), torch.randn(2, 6)).save(tmp_path / "fixed.pt")
    result = mlc("export-onnx", "fixed.pt", "-o", "fixed.onnx", "--input", "x:f32[batch=2,6]")
    assert result.rc != 0 and "batch" in result.stderr, result.stderr


class Noise(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 4))

    def forward(self, x):
        x = self.head(x)
        flip = torch.bernoulli(torch.full_like(x, 0.5))
        return x, x + torch.randn_like(x), torch.zeros(torch.rand(3, 2).size(0)), flip


@pytest.mark.parametrize("how", ["pt2", "script"])
def test_outputs_that_hang_on_random_numbers_name_who_draws_them(mlc, valid, tmp_path, how):
    if how == "pt2":
        export(tmp_path / "m.pt2", Noise().eval(), (torch.randn(3, 4),))
    else:
        torch.jit.script(Noise().eval()).save(tmp_path / "m.pt2")
    given = [] if how == "pt2" else ["--input", "x:f32[3,4]"]
    result = mlc("export-onnx", "m.pt2", "-o", "m.onnx", *given)
    assert result.rc == 1
    assert re.search(r"first diverging output: output.1 \(.*\): max abs [\d.]+, max rel [\d.]+, \d+ of 12 values beyond the tolerance, "
                     r"first at \[\d, \d\]: -?[\d.e-]+ and -?[\d.e-]+;", result.stderr), result.stderr
    assert "output.1 and output.3 hang on random numbers: aten::randn_like at " in result.stderr and "aten::bernoulli at" in result.stderr
    result = mlc.ok("export-onnx", "m.pt2", "-o", "m.onnx", "--no-verify", "--json", *given)
    valid(result.json, "export-onnx")
    assert [one["name"] for one in result.json["random_outputs"]] == ["output.1", "output.3"]
    assert result.json["random_outputs"][0]["operators"][0].startswith("aten::randn_like at ")
    assert "output.1 and output.3 hang on random numbers" in result.stderr


class NoiseInBranch(nn.Module):
    def forward(self, x):
        y = x
        if bool(x.sum() > 0):
            y = x + torch.rand(4)
        return y * 2, x * 2


def test_a_branch_that_draws_at_random_is_named(mlc, tmp_path):
    torch.jit.script(NoiseInBranch()).save(tmp_path / "m.pt")
    result = mlc.ok("export-onnx", "m.pt", "-o", "m.onnx", "--input", "x:f32[4]", "--no-verify", "--json")
    assert [one["name"] for one in result.json["random_outputs"]] == ["output.0"]
    assert result.json["random_outputs"][0]["operators"][0].startswith("aten::rand at ")


@pytest.mark.parametrize("name", sorted(loop_programs.LOOPS))
def test_loops_that_hang_on_sizes_or_values(mlc, tmp_path, name):
    module, inputs, tried = loop_programs.LOOPS[name]
    torch.manual_seed(0)
    script = torch.jit.script(module().eval())
    script.save(tmp_path / "m.pt")
    mlc.ok("export-onnx", "m.pt", "-o", "m.onnx", *[word for one in inputs for word in ("--input", one)])
    model = onnx.load(tmp_path / "m.onnx")
    assert any(node.op_type == "Loop" for node in model.graph.node)
    onnx.checker.check_model(model, full_check=True)
    for one in tried:
        wanted = script(*one)
        got = run(tmp_path / "m.onnx", *[tensor.numpy() for tensor in one])
        for mine, theirs in zip(got, wanted if isinstance(wanted, tuple) else (wanted,), strict=True):
            np.testing.assert_allclose(mine, np.asarray(theirs), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", sorted(loop_programs.REFUSED))
def test_a_loop_that_cannot_be_one_of_onnx_is_refused_by_name(mlc, tmp_path, name):
    module, words = loop_programs.REFUSED[name]
    torch.jit.script(module().eval()).save(tmp_path / "m.pt")
    result = mlc("export-onnx", "m.pt", "-o", "m.onnx", "--input", "x:f32[n=3,4]")
    assert result.rc == 4 and words in result.stderr, result.stderr
    assert not (tmp_path / "m.onnx").exists()


class Places(nn.Module):
    def __init__(self, rows):
        super().__init__()
        self.ids, self.places = nn.Embedding(50, 8), nn.Embedding(rows, 8)

    def forward(self, ids):
        return self.ids(ids) + self.places(torch.arange(ids.size(1)))


class Parts(nn.Module):
    def forward(self, x):
        a, b, c = x.unbind(0)
        return a + b * c


class Halves(nn.Module):
    def forward(self, x):
        a, b = x.split(2, dim=1)
        return a.sum(1) * b.sum(1)


class AllParts(nn.Module):
    def forward(self, x):
        return torch.stack(x.unbind(0)).sum(0)


class Both(nn.Module):
    def forward(self, x, y):
        return x + y


# What is refused, why, and an --input that the hint gives and that does.
LIMITS = {
    "table": (Places(4), ["ids:i64[b=2,n=3]"], ["takes n up to 4 only: aten::embedding in places", "the table has 4 rows"], ["ids:i64[b=2,n=1..4]"]),
    "parts": (Parts(), ["x:f32[n=3,4]"], ["runs at n = 3 only: expected 3 elements in a list", "unbind(0)"], ["x:f32[3,4]"]),
    "halves": (Halves(), ["x:f32[b=2,n=4]"], ["takes n up to 4 only: expected 2 elements", "split(2"], ["x:f32[b=2,n=3..4]"]),
    "equal": (Both(), ["x:f32[n=3]", "y:f32[m=3]"], ["wants m equal to n: aten::add"], ["x:f32[n=3]", "y:f32[n=3]"]),
    "any": (AllParts(), ["x:f32[n=3,m=4]"], ["runs at other sizes of n and m, which mlc does not follow: the number of parts"], ["x:f32[3,4]"]),
}


def given(inputs):
    return [word for one in inputs for word in ("--input", one)]


@pytest.mark.parametrize("name", sorted(LIMITS))
def test_a_script_that_refuses_sizes_was_told_to_be_a_trace(mlc, tmp_path, name):
    model, inputs, words, right = LIMITS[name]
    torch.jit.script(model.eval()).save(tmp_path / "m.pt")
    result = mlc("export-onnx", "m.pt", "-o", "m.onnx", *given(inputs))
    assert result.rc == (4 if name == "any" else 2) and "traced" not in result.stderr, result.stderr
    assert all(one in result.stderr for one in words), result.stderr
    assert result.stderr.rstrip().endswith(" ".join(f"--input '{one}'" for one in right))
    mlc.ok("export-onnx", "m.pt", "-o", "m.onnx", *given(right))


def test_a_trace_is_told_as_one_where_modules_lie_in_it(mlc, tmp_path):
    torch.jit.trace(nn.Sequential(nn.Linear(4, 4)), torch.randn(3, 4)).save(tmp_path / "m.pt")
    result = mlc("export-onnx", "m.pt", "-o", "m.onnx", "--input", "input:f32[3,n=4]")
    assert "runs at n = 4 only: aten::linear in 0" in result.stderr and "fixed when it was traced" in result.stderr


def test_a_model_that_takes_no_larger_size_was_told_to_have_a_fixed_one(mlc, tmp_path):
    torch.jit.script(Places(10).eval()).save(tmp_path / "m.pt")
    result = mlc.ok("export-onnx", "m.pt", "-o", "m.onnx", "--input", "ids:i64[b=2,n=10]")
    assert "takes n up to 10: it refuses n=21: index out of range" in result.stderr
    assert "n=9" in result.stdout
    result = mlc("export-onnx", "m.pt", "-o", "m.onnx", "-f", "--input", "ids:i64[b=2,n=12]")
    assert result.rc == 2 and "with these sizes the model runs: --input ids:i64[b=2,n=1" in result.stderr.replace("'", ""), result.stderr
    assert mlc("trace", "m.pt", "-o", "t.pt", "--input", "ids:i64[b=2,n=10]").rc == 0


def test_integers_beyond_a_table_are_told(mlc, tmp_path):
    torch.jit.script(nn.Embedding(5, 8)).save(tmp_path / "m.pt")
    hint = "input has integers from 0 to 9; --input 'input:i64[20]=LOW..HIGH' says which it takes"
    for verb in (["run"], ["export-onnx", "-o", "m.onnx"]):
        result = mlc(verb[0], "m.pt", *verb[1:], "--input", "input:i64[20]")
        assert result.rc == 2 and hint in result.stderr, result.stderr


def test_dump_graph_shows_sizes(mlc, net_pt2):
    text = mlc.ok("export-onnx", net_pt2, "--dump-graph").stdout
    assert "aten::conv2d" in text and "f32[batch, 8, 16, 16]" in text


def test_dump_graph_was_no_json_where_json_was_asked_for(mlc, net_pt2, valid):
    text = mlc.ok("export-onnx", net_pt2, "--dump-graph").stdout
    result = mlc.ok("export-onnx", net_pt2, "--dump-graph", "--json")
    valid(result.json, "export-onnx-graph")
    assert result.json["graph"] == text and result.json["model"] == str(net_pt2)


def same(found, wanted):
    for ours, theirs in zip(found, wanted, strict=True):
        theirs = theirs.numpy()
        assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def flat(value):
    return [value] if isinstance(value, torch.Tensor) else [one for item in value for one in flat(item)]


@pytest.mark.parametrize("how", ["pt2", "trace", "script"])
@pytest.mark.parametrize("name", sorted(mutation_programs.PROGRAMS))
def test_writes_and_control_flow(mlc, tmp_path, name, how):
    """Right, or refused by name (exit code 4 or 1, no file)."""
    function, inputs = mutation_programs.PROGRAMS[name]
    if (how == "script") != (name in mutation_programs.SCRIPTED) and how != "pt2":
        pytest.skip("made the other way")

    class Program(nn.Module):
        def forward(self, *args):
            return function(*args)

    arguments = []
    try:
        if how == "pt2":
            export(tmp_path / "p.pt2", Program(), tuple(one.clone() for one in inputs))
        elif how == "script":
            torch.jit.script(function).save(str(tmp_path / "p.pt"))
        else:
            torch.jit.trace(function, tuple(one.clone() for one in inputs), check_trace=False).save(tmp_path / "p.pt")
    except Exception as problem:  # pylint: disable=broad-exception-caught
        pytest.skip(f"PyTorch does not take it: {str(problem)[:60]}")
    if how != "pt2":
        kinds = {torch.float32: "f32", torch.int64: "i64"}
        for label, one in zip(("x", "i"), inputs):
            ends = "=0..2" if one.dtype == torch.int64 else ""
            arguments += ["--input", f"{label}:{kinds[one.dtype]}[{','.join(map(str, one.shape))}]{ends}"]
    elif any(one.dtype == torch.int64 for one in inputs):
        arguments = ["--no-verify"]
    file = "p.pt2" if how == "pt2" else "p.pt"
    result = mlc("export-onnx", file, "-o", "p.onnx", *arguments)
    if result.rc != 0:
        assert result.rc in (1, 4) and not (tmp_path / "p.onnx").exists(), result.stderr
        named = ("::", "writes into", "the memory", "what mlc cannot capture")
        assert any(text in result.stderr for text in named), result.stderr
        refused.add((name, how))
        return
    others = [[-one if one.is_floating_point() else one for one in inputs]] if how == "script" else []
    for given in [inputs, *others]:
        same(run(tmp_path / "p.onnx", *given), flat(function(*[one.clone() for one in given])))


refused = set()


@pytest.mark.parametrize("name", sorted(mutation_programs.ALIASES_OF_BRANCHES))
def test_writes_through_what_a_branch_gave_are_never_lost(mlc, tmp_path, name):
    """Which tensor is written is known only when the model runs: exit code 4 with the operator and the line."""
    torch.jit.script(mutation_programs.PROGRAMS[name][0]).save(str(tmp_path / "p.pt"))
    result = mlc("export-onnx", "p.pt", "-o", "p.onnx", "--no-verify", "--input", "x:f32[3,4]")
    assert result.rc == 4 and not (tmp_path / "p.onnx").exists()
    assert mutation_programs.ALIASES_OF_BRANCHES[name] in result.stderr
    assert "mutation_programs.py:" in result.stderr


def test_a_write_into_an_input_through_a_branch_is_refused(mlc, tmp_path):
    torch.jit.script(mutation_programs.branch_gives_alias_of_input).save(str(tmp_path / "p.pt"))
    result = mlc("export-onnx", "p.pt", "-o", "p.onnx", "--no-verify", "--input", "x:f32[3,4]")
    assert result.rc == 4 and "it writes into x, which" in result.stderr


def test_writes_into_what_is_always_a_copy(mlc, tmp_path):
    """contiguous() of an expanded tensor copies: what it was made of is as it was."""
    function, (x,) = mutation_programs.PROGRAMS["copy_of_expanded"]
    torch.jit.script(function).save(str(tmp_path / "p.pt"))
    mlc.ok("export-onnx", "p.pt", "-o", "p.onnx", "--input", "x:f32[n=3,4]")
    same(run(tmp_path / "p.onnx", x), flat(function(x.clone())))


@pytest.mark.parametrize(
    "name",
    [
        "branch_gives_one_constant_twice",
        "copy_written_in_branch",
        "early_return_of_write",
        "inplace_activation_in_branch",
        "view_after_write_in_branch",
        "write_then_other_in_branch",
    ],
)
def test_writes_within_branches_become_onnx(mlc, tmp_path, name):
    function, (x,) = mutation_programs.PROGRAMS[name]
    torch.jit.script(function).save(str(tmp_path / "p.pt"))
    mlc.ok("export-onnx", "p.pt", "-o", "p.onnx", "--input", "x:f32[3,4]")
    onnx.checker.check_model(str(tmp_path / "p.onnx"), full_check=True)
    for given in (x, -x):
        same(run(tmp_path / "p.onnx", given), flat(function(given.clone())))


def tensor_value(name, **changes):
    """An edit: states something else of a tensor of the program."""
    return lambda document: document["graph_module"]["graph"]["tensor_values"][name].update(changes)


def node_target(old, new):
    def change(document):
        for node in document["graph_module"]["graph"]["nodes"]:
            node["target"] = node["target"].replace(old, new)
    return change


CONTRADICTIONS = {  # what the program is changed to say, and what mlc says of it
    "huge weight": (tensor_value("p_0_weight", sizes=[{"as_int": 2**40}] * 2), '"0.weight" has sizes that no tensor has'),
    "larger weight": (tensor_value("p_0_weight", sizes=[{"as_int": 4}, {"as_int": 5}]), 'states 80 bytes for tensor "0.weight"'),
    "no weight": (tensor_value("p_0_bias", sizes=[{"as_int": 0}]), 'states 0 bytes for tensor "0.bias", the archive has 16'),
    "rank of a weight": (tensor_value("b_2_running_mean", sizes=[{"as_int": 2}] * 2), "aten::batch_norm in 2"),
    "division by zero": (
        tensor_value("linear", sizes=[{"as_expr": {"expr_str": "FloorDiv(Integer(4), Integer(0))", "hint": {"as_int": 2}}}]),
        "divides by 0",
    ),
}


@pytest.mark.parametrize("name", sorted(CONTRADICTIONS))
def test_a_program_that_contradicts_itself_is_damaged(mlc, tmp_path, name):
    change, named = CONTRADICTIONS[name]
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.BatchNorm1d(4)).eval()
    export(tmp_path / "p.pt2", model, (torch.randn(2, 3),))
    rewrite(tmp_path / "p.pt2", change)
    result = mlc("export-onnx", "p.pt2", "-o", "p.onnx", "--no-verify")
    assert result.rc == 3 and named in result.stderr, result.stderr
    assert not (tmp_path / "p.onnx").exists()


@pytest.mark.parametrize(("overload", "named"), [("nonsense", 'no lowering of its overload "nonsense"'), ("out", "it writes into")])
def test_an_overload_that_is_not_known_is_refused(mlc, tmp_path, overload, named):
    export(tmp_path / "p.pt2", nn.ReLU(), (torch.randn(2, 3),))
    rewrite(tmp_path / "p.pt2", node_target("aten.relu.default", f"aten.relu.{overload}"))
    result = mlc("export-onnx", "p.pt2", "-o", "p.onnx", "--no-verify")
    assert result.rc == 4 and "aten::relu" in result.stderr and named in result.stderr


def test_overloads_are_those_of_pytorch(root):
    """The table has what writes into nothing, or into its first argument as add_ does."""
    text = re.sub(r'"\s+"', "", (root / "lib/mlc/onnx/overloads.cpp").read_text())
    table = {name: set(words.split()) for name, words in re.findall(r'\{"(\w+)",\s*"([^"]*)"\}', text)}
    lowered = set()
    for path in (root / "lib/mlc/onnx").rglob("*.cpp"):
        lowered.update(re.findall(r'"aten::(\w+)"', path.read_text()))
    wanted = {}
    for schema in torch._C._jit_get_all_schemas():
        name = schema.name.removeprefix("aten::")
        writes = [i for i, one in enumerate(schema.arguments) if one.alias_info and one.alias_info.is_write]
        plain = "__" + name[3:] if name.startswith("__i") and name.endswith("__") else name.removesuffix("_") if writes == [0] else name
        for known in {name, plain} if writes in ([], [0]) else ():
            if known in lowered and schema.overload_name and not (known == name and writes):
                wanted.setdefault(known, set()).add(schema.overload_name)
    assert table == wanted


def test_a_write_through_out_is_never_lost(mlc, tmp_path):
    def program(x: torch.Tensor) -> torch.Tensor:
        y = torch.zeros(4, 4)
        torch.add(x, 1, out=y)
        return y
    torch.jit.script(program).save(str(tmp_path / "p.pt"))
    result = mlc("export-onnx", "p.pt", "-o", "p.onnx", "--no-verify", "--input", "x:f32[4,4]")
    assert result.rc == 4 and "aten::add.Scalar_out" in result.stderr and "test_export_onnx.py:" in result.stderr


def test_sizes_that_are_twice_a_symbol(mlc, tmp_path):
    """A dimension of 2*h tells h, by itself or less a constant."""
    class Halves(nn.Module):
        def forward(self, x, y):
            return x.reshape(x.shape[0] // 2, 2, 3).flip(1), torch.arange(x.shape[0])[::2], torch.arange(y.shape[0] - 1)

    half, more = torch.export.Dim("half", min=1, max=8), torch.export.Dim("more", min=1, max=8)
    export(tmp_path / "p.pt2", Halves(), (torch.randn(4, 3), torch.randn(5)), {"x": {0: 2 * half}, "y": {0: more + 1}})
    mlc.ok("export-onnx", "p.pt2", "-o", "p.onnx")
    for rows in (2, 6):
        given = torch.randn(rows, 3), torch.randn(rows)
        same(run(tmp_path / "p.onnx", *given), flat(Halves()(*given)))


@pytest.mark.parametrize("name", sorted(CASES))
def test_programs_of_torch_export(mlc, tmp_path, name):
    make, inputs, shapes = CASES[name][:3]
    export(tmp_path / "p.pt2", make().eval(), inputs, shapes)
    result = mlc("export-onnx", "p.pt2", "-o", "p.onnx", "--no-verify")
    if name in NOT_YET:
        assert result.rc == 4 and NOT_YET[name] in result.stderr
        return
    assert result.rc == 0, result.stderr
    onnx.checker.check_model(str(tmp_path / "p.onnx"), full_check=True)


class Page(html.parser.HTMLParser):
    """The texts of a page, and that nothing in it is fetched or runs."""

    def __init__(self, text):
        super().__init__()
        self.texts, self.tags = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        assert tag not in ("script", "link", "img", "iframe") and not {"src", "href", "onload"} & {name for name, _ in attrs}

    def handle_data(self, data):
        self.texts.append(data.strip())


def test_report_is_one_page_with_everything_that_was_found_out(mlc, tmp_path, net_pt2):
    command = ("export-onnx", net_pt2, "-o", "net.onnx", "--report", "net.html", "-f")
    answer = mlc.ok(*command, "--json").json
    text = (tmp_path / "net.html").read_text()
    page = Page(text)
    assert {"svg", "table"} <= set(page.tags)
    for words in ("net.onnx", "image", "f32[batch, 3, 16, 16]", "batch", "64", "seed 0, batch=5", "conv.weight: f32[8, 3, 3, 3]",
                  "1 batch norm into the weights before them", "ONNX 1.19.1", "Conv"):
        assert words in page.texts, words
    assert f"The same in {len(answer['cases'])} cases" in page.texts and len(answer["cases"]) == 5
    mlc.ok(*command)
    assert (tmp_path / "net.html").read_text() == text  # no date, no chance


def test_report_where_the_check_fails_is_all_that_is_written(mlc, tmp_path, net_pt2):
    command = ("export-onnx", net_pt2, "-o", "net.onnx", "--report", "net.html")
    assert mlc(*command, "--atol", "0", "--rtol", "0").rc == 1
    text = (tmp_path / "net.html").read_text()
    assert "no model was written" in text and "differs" in text and not (tmp_path / "net.onnx").exists()
    result = mlc(*command)
    assert result.rc == 5 and "net.html" in result.stderr and not (tmp_path / "net.onnx").exists()
    mlc.ok(*command, "-f", "-n")
    assert (tmp_path / "net.html").read_text() == text and not (tmp_path / "net.onnx").exists()
    mlc.ok(*command, "-f", "--no-verify")
    assert "Not compared with its source" in (tmp_path / "net.html").read_text()


def test_report_never_replaces_what_is_read_or_written(mlc, tmp_path, net_pt2):
    before = (tmp_path / net_pt2).read_bytes()
    assert mlc("export-onnx", net_pt2, "-o", "net.onnx", "--report", net_pt2, "-f").rc == 2
    assert mlc("export-onnx", net_pt2, "-o", "net.onnx", "--report", "net.onnx", "-f").rc == 2
    assert (tmp_path / net_pt2).read_bytes() == before and not (tmp_path / "net.onnx").exists()


def test_report_takes_names_for_text_and_not_for_html(mlc, tmp_path):
    class Net2(nn.Module):
        def forward(self, x):
            return x.relu()

    export(tmp_path / "<b>&.pt2", Net2(), (torch.randn(2, 3),))
    mlc.ok("export-onnx", "<b>&.pt2", "-o", "n.onnx", "--report", "n.html")
    page = Page((tmp_path / "n.html").read_text())
    assert "<b>&.pt2" in page.texts and "b" not in page.tags


class Layers(nn.Module):
    """Two layers of attention with one boolean mask, residuals and norms, as an encoder has them."""

    def __init__(self):
        super().__init__()
        self.linears = nn.ModuleList(nn.Linear(16, 16) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(16) for _ in range(2))

    def forward(self, x, seen):
        for linear, norm in zip(self.linears, self.norms):
            heads = x.unflatten(-1, (2, 8)).transpose(1, 2)
            mixed = nn.functional.scaled_dot_product_attention(heads, heads, heads, attn_mask=seen[:, None, None, :])
            x = norm(x + linear(mixed.transpose(1, 2).flatten(2)))
        return x


@pytest.mark.parametrize("decomposed", [False, True])
def test_layers_share_a_mask_and_rows_without_keys_are_zeros(mlc, tmp_path, decomposed):
    """Each layer had two Where over all its scores, which took 3 % of BERT."""
    torch.manual_seed(0)
    model, x, seen = Layers().eval(), torch.randn(3, 5, 16), torch.ones(3, 5, dtype=torch.bool)
    seen[0, 2:] = False
    seen[1] = False
    with torch.no_grad():
        program = torch.export.export(model, (x, seen), strict=False)
        torch.export.save(program.run_decompositions() if decomposed else program, tmp_path / "p.pt2")
        mlc.ok("export-onnx", "p.pt2", "-o", "p.onnx")
        kinds = [node.op_type for node in onnx.load(tmp_path / "p.onnx").graph.node]
        assert kinds.count("Where") == 1 and kinds.count("ReduceMax") == 1 and "IsNaN" not in kinds, kinds
        same(run(tmp_path / "p.onnx", x, seen), [model(x, seen)])


def test_additions_before_a_norm_are_one_sum(mlc, tmp_path):
    """ONNX Runtime's fused form of Add and LayerNormalization is slower than both on a CPU."""
    import onnxruntime  # pylint: disable=import-outside-toplevel
    model, inputs = Layers().eval(), (torch.randn(3, 5, 16), torch.ones(3, 5, dtype=torch.bool))
    export(tmp_path / "p.pt2", model, inputs, ({0: torch.export.Dim.DYNAMIC}, {0: torch.export.Dim.DYNAMIC}))
    mlc.ok("export-onnx", "p.pt2", "-o", "p.onnx")
    sums = [node for node in onnx.load(tmp_path / "p.onnx").graph.node if node.op_type == "Sum"]
    assert [len(node.input) for node in sums] == [3, 3]  # the product, its bias and what it is added to
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = str(tmp_path / "fast.onnx"), 4
    onnxruntime.InferenceSession(tmp_path / "p.onnx", options, providers=["CPUExecutionProvider"])
    kinds = [node.op_type for node in onnx.load(tmp_path / "fast.onnx").graph.node]
    assert "LayerNormalization" in kinds and "SkipLayerNormalization" not in kinds


def test_origins_say_where_a_node_comes_from(mlc, tmp_path, net_pt2):
    mlc.ok("export-onnx", net_pt2, "-o", "net.onnx", "--origins", "--simplify")
    texts = {node.op_type: node.doc_string for node in onnx.load(tmp_path / "net.onnx").graph.node}
    assert re.fullmatch(r"aten::conv2d in conv, at conv.py:\d+", texts["Conv"]), texts
    assert re.fullmatch(r"aten::relu, at test_export_onnx.py:\d+", texts["Relu"]), texts
    mlc.ok("export-onnx", net_pt2, "-o", "plain.onnx")
    assert not any(node.doc_string for node in onnx.load(tmp_path / "plain.onnx").graph.node)


def test_what_helps_against_a_map_is_said(mlc, tmp_path):
    # "--partial keeps unknown operators", which it cannot do with a program inside an operator.
    class Maps(nn.Module):
        def forward(self, x):
            return torch._higher_order_ops.map(lambda row: row.sin() + row.sum(), x)

    class Vectorised(nn.Module):
        def forward(self, x):
            return torch.vmap(lambda row: row.sin() + row.sum())(x)

    torch.export.save(torch.export.export(Maps(), (torch.randn(3, 4),)), tmp_path / "map.pt2")
    result = mlc("export-onnx", "map.pt2", "-o", "map.onnx")
    assert result.rc == 4 and "--partial" not in result.stderr
    assert "torch.vmap instead of map(), then program.run_decompositions()" in result.stderr
    program = torch.export.export(Vectorised(), (torch.randn(3, 4),)).run_decompositions()
    torch.export.save(program, tmp_path / "vmap.pt2")
    mlc.ok("export-onnx", "vmap.pt2", "-o", "vmap.onnx")


class TakesList(nn.Module):
    def forward(self, xs: list[torch.Tensor], y: torch.Tensor):
        return [xs[0] + y, xs[1] * y]


def test_a_list_of_inputs_is_refused_as_that(mlc, tmp_path):
    # 'the model has no input "xs.0"', with a hint at "xs"; and for "xs" a hint at "xs.0".
    torch.jit.script(TakesList().eval()).save(tmp_path / "list.pt")
    for given in (["y:f32[3]"], ["xs:f32[3]", "y:f32[3]"], ["xs.0:f32[3]", "xs.1:f32[3]", "y:f32[3]"]):
        inputs = [word for one in given for word in ("--input", one)]
        result = mlc("export-onnx", "list.pt", "-o", "list.onnx", *inputs)
        assert result.rc == 4 and 'input "xs" is a List[Tensor], and an ONNX model takes tensors only' in result.stderr


class HalfWithin(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(64, 64).half()

    def forward(self, x):
        return self.layer(x.half()).float()


@pytest.mark.parametrize("suffix", ["pt", "pt2"])
def test_weights_in_half_precision_are_held_to_it_whatever_outputs_are(mlc, tmp_path, suffix):
    # Half precision within, float32 outside: "does not compute what the model does".
    torch.manual_seed(0)
    x = torch.randn(2, 64)
    if suffix == "pt":
        torch.jit.trace(HalfWithin().eval(), x).save(tmp_path / "h.pt")
    else:
        torch.export.save(torch.export.export(HalfWithin().eval(), (x,)), tmp_path / "h.pt2")
    given = ["--input", "x:f32[2,64]"]
    assert "in half precision 0.001 + 0.01 * |b|" in mlc.ok("export-onnx", f"h.{suffix}", "-o", "h.onnx", *given).stdout
    assert "in half precision 0.001 + 0.01 * |b|" in mlc.ok("verify", f"h.{suffix}", "h.onnx", *given).stdout
    result = mlc("verify", f"h.{suffix}", "h.onnx", *given, "--atol", "1e-7", "--rtol", "0")
    assert result.rc == 1 and "in half precision" not in result.stdout


def test_a_cast_in_the_program_is_named_where_dtype_meets_it(mlc, tmp_path):
    torch.jit.trace(HalfWithin().eval(), torch.randn(2, 64)).save(tmp_path / "h.pt")
    result = mlc("export-onnx", "h.pt", "-o", "h.onnx", "--input", "x:f32[2,64]", "--dtype", "fp32")
    assert result.rc == 2 and "not what the program casts itself" in result.stderr, result.stderr


def test_a_size_that_an_architecture_refuses_ended_the_process(mlc, root):
    """The place in the YAML was asked of an architecture that was gone."""
    text = """mlc: architecture/1
inputs: ["x:f32[batch=1,1,h=8,w=8]"]
modules:
  up: {type: ConvTranspose2d, in_channels: 1, out_channels: 1, kernel_size: 2, stride: 2}
  pool: {type: MaxPool2d, kernel_size: 2}
forward: |
  def forward(self, x: Tensor) -> Tensor:
      return torch.cat([x, self.up(self.pool(x))], 1)
"""
    (mlc.cwd / "net.yaml").write_text(text)
    torch.save({"up.weight": torch.ones(1, 1, 2, 2), "up.bias": torch.ones(1)}, mlc.cwd / "net.pt")
    done = mlc("export-onnx", "net.pt", "--arch", "net.yaml", "-o", "net.onnx")
    assert done.rc == 0 and "not checked, h=" in done.stdout and ": net.yaml:8:14: sizes of tensors" in done.stdout, done


class Texts(nn.Module):
    def forward(self, x):
        return x + 1, (x, "first"), "second"


class Numbers(nn.Module):
    def forward(self, x) -> tuple[torch.Tensor, torch.Tensor | None, int, int, bool]:
        return x + 1, None, 3, x.size(0), True


class Nothing(nn.Module):
    def forward(self, x):
        return None


def keep(folder, kind, module):
    if kind == "pt2":
        export(folder / "net.pt2", module(), (torch.randn(2, 3),), ({0: torch.export.Dim("batch")},))
        return ("net.pt2",)
    torch.jit.script(module().eval()).save(folder / "net.pt")
    return "net.pt", "--input", "x:f32[batch=2,3]"


@pytest.mark.parametrize("kind", ["pt2", "pt"])
def test_texts_among_outputs_are_named_and_not_argument_5(mlc, tmp_path, kind):
    # "1 x prim::Return: its argument 5 is no tensor", of which nobody could tell what to change.
    result = mlc("export-onnx", *keep(tmp_path, kind, Texts), "-o", "net.onnx")
    assert result.rc == 4
    assert 'gives tensors and numbers, and output "output.1.1" is the text "first" and "output.2" is the text "second"' in result.stderr
    assert "hint: wrap the model in one whose forward leaves that out" in result.stderr


@pytest.mark.parametrize("kind", ["pt2", "pt"])
def test_none_among_outputs_is_left_out_and_numbers_are_outputs(mlc, tmp_path, kind):
    # A .pt2 that gives None was refused: "its argument 1 is no tensor".
    mlc.ok("export-onnx", *keep(tmp_path, kind, Numbers), "-o", "net.onnx")
    x = torch.randn(5, 3)
    found = run(tmp_path / "net.onnx", x)
    np.testing.assert_allclose(found[0], x + 1)
    assert [one.item() for one in found[1:]] == [3, 5, True]
    assert [one.name for one in onnx.load(tmp_path / "net.onnx").graph.output] == ["output.0", "output.2", "output.3", "output.4"]


def test_a_model_that_gives_nothing_is_refused_as_that(mlc, tmp_path):
    result = mlc("export-onnx", *keep(tmp_path, "pt", Nothing), "-o", "net.onnx")
    assert result.rc == 4 and "the model gives nothing, so there is nothing to export" in result.stderr, result.stderr


class PackedLstm(nn.Module):
    """The longest of `lengths` is the length of what runs inside; the outside is padded again."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(5, 6, batch_first=True)

    def forward(self, x, lengths):
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        return nn.utils.rnn.pad_packed_sequence(self.rnn(packed)[0], batch_first=True, total_length=9)[0]


def test_the_longest_length_of_the_sample_was_baked_in(mlc, tmp_path):
    """Where all sizes are fixed one run stood for all, and the check ran two seeds with one maximum."""
    torch.manual_seed(0)
    model = PackedLstm().eval()
    torch.jit.script(model).save(tmp_path / "m.pt")
    given = ["--input", "x:f32[4,9,5]", "--input", "lengths:i64[4]=1..9"]
    result = mlc.ok("export-onnx", "m.pt", "-o", "m.onnx", *given)
    assert "seed 3" in result.stdout and "seed 4" not in result.stdout, result.stdout
    fixed, named = ([line.split(" @ ")[0].split(" = ")[1] for line in mlc.ok("export-onnx", "m.pt", "-o", "d.onnx",
                     "--dump-graph", *one).stdout.splitlines() if " = aten::_pack" in line or " = aten::lstm" in line]
                    for one in (given, ["--input", "x:f32[b=4,9,5]", "--input", "lengths:i64[b=4]=1..9"]))
    assert fixed == named
    x = torch.randn(4, 9, 5)
    for lengths in ([1, 1, 1, 1], [2, 9, 1, 3], [3, 1, 5, 2]):
        with torch.no_grad():
            wanted = model(x, torch.tensor(lengths))
        got = run(str(tmp_path / "m.onnx"), x, np.array(lengths))[0]
        np.testing.assert_allclose(got, wanted.numpy(), atol=1e-5, rtol=1e-3)


class CountedClasses(nn.Module):
    def forward(self, x):
        return nn.functional.one_hot(x).sum(0)


def test_the_number_of_classes_of_the_sample_was_baked_in(mlc, tmp_path):
    torch.jit.script(CountedClasses().eval()).save(tmp_path / "m.pt")
    result = mlc("export-onnx", "m.pt", "-o", "m.onnx", "--input", "x:i64[4]=0..9")
    assert result.rc == 4 and "aten::one_hot: the size u0" in result.stderr, result.stderr
    assert not (tmp_path / "m.onnx").exists()


SHIFTS = """mlc: architecture/1
inputs: ["x:f32[batch=4,3]"]
buffers: {one: {shape: [1]}}
forward: |
  def forward(self, x: Tensor):
      n = x.size(0)
      m = int(x.sum().long().item())
      return x * (n << 1), x * (n >> 1), torch.zeros([n << 2, 1]), x * (m << 2), x * (m >> 1)
"""


class Shifts(torch.nn.Module):
    def forward(self, x):
        n, m = x.shape[0], x.sum().long().item()
        return x * (n << 1), x * (n >> 1), torch.zeros([n << 2, 1]), x * (m << 2), x * (m >> 1)


@pytest.mark.parametrize("source", ["pt2", "architecture"])
def test_shifts_of_numbers_were_refused(mlc, tmp_path, source):
    if source == "pt2":
        export(tmp_path / "m.pt2", Shifts(), (torch.ones(4, 3),), {"x": {0: torch.export.Dim("batch", min=1, max=64)}})
        given = ["m.pt2"]
    else:
        (tmp_path / "a.yaml").write_text(SHIFTS)
        torch.save({"one": torch.zeros(1)}, tmp_path / "m.pt")
        given = ["m.pt", "--arch", "a.yaml"]
    mlc.ok("export-onnx", *given, "-o", "m.onnx")
    for x in (torch.ones(4, 3), -torch.ones(7, 3)):
        for ours, theirs in zip(run(tmp_path / "m.onnx", x), Shifts()(x), strict=True):
            torch.testing.assert_close(torch.as_tensor(ours), theirs)


@pytest.mark.parametrize("arguments, fits", [((3, 2), True), ((3, 2, 1), True), ((2, 2, 1), False), ((2, 3), False)])
def test_pools_that_round_up_were_refused_where_sizes_vary(mlc, tmp_path, arguments, fits):
    # SqueezeNet and GoogLeNet. What PyTorch drops, a window that begins in the padding, needs a stride that reaches there.
    class Pools(nn.Module):
        def forward(self, x):
            return nn.functional.max_pool2d(x, *arguments, ceil_mode=True), nn.functional.avg_pool2d(x, *arguments, ceil_mode=True)

    torch.jit.trace(Pools(), torch.randn(2, 3, 9, 9)).save(tmp_path / "m.pt")
    result = mlc("export-onnx", "m.pt", "-o", "m.onnx", "--input", "x:f32[b=2,3,h=9,w=9]")
    assert (result.rc, "ceil_mode with sizes that vary" in result.stderr) == ((0, False) if fits else (4, True)), result.stderr
    for size in range(3, 15) if fits else ():
        x = torch.randn(1, 3, size, 17 - size)
        for ours, theirs in zip(run(tmp_path / "m.onnx", x), Pools()(x), strict=True):
            torch.testing.assert_close(torch.as_tensor(ours), theirs)


class NamedLikeOurs(nn.Module):
    def __init__(self):
        super().__init__()
        self.constant, self.other = nn.Parameter(torch.randn(4, 4)), nn.Parameter(torch.randn(4))

    def forward(self, x):
        return (x[:, :3] * 2).sum(1, keepdim=True) + (x[:, :1] * torch.arange(4.0)) @ self.constant + self.other


@pytest.mark.parametrize("kind", ["pt2", "traced", "scripted"])
def test_a_parameter_lost_its_name_to_a_number_that_mlc_made(mlc, tmp_path, kind):
    # "constant" was the first helper's, the parameter constant.0 or constant_3.
    model, x = NamedLikeOurs().eval(), torch.randn(2, 4)
    file = "m.pt2" if kind == "pt2" else "m.pt"
    if kind == "pt2":
        export(tmp_path / file, model, (x,))
    else:
        (torch.jit.trace(model, x) if kind == "traced" else torch.jit.script(model)).save(tmp_path / file)
    mlc.ok("export-onnx", file, "-o", "m.onnx", *(["--input", "x:f32[2,4]"] if kind != "pt2" else []))
    found = {one.name: onnx.numpy_helper.to_array(one) for one in onnx.load(tmp_path / "m.onnx").graph.initializer}
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(found[name], value.numpy())


def test_models_of_files_without_metadata_did_not_say_what_they_were_made_from(mlc, tmp_path):
    torch.jit.trace(nn.Linear(4, 2).eval(), torch.randn(3, 4)).save(tmp_path / "net.pt")
    (tmp_path / "map.yaml").write_text("version: 1\noperators:\n  - {from: 'aten::relu', to: Relu}\n")
    np.save(tmp_path / "sample.npy", np.zeros((3, 4), np.float32))
    given = ["--opset", 18, "--op-map", tmp_path / "map.yaml", "--input", f"input=@{tmp_path}/sample.npy", "-f"]
    mlc.ok("export-onnx", tmp_path / "net.pt", "-o", "a.onnx", *given)
    props = {one.key: one.value for one in onnx.load(tmp_path / "a.onnx").metadata_props}
    (step,) = yaml.safe_load(props["mlc.metadata"])["provenance"]
    assert step["verb"] == "export-onnx" and step["mlc"] in mlc("--version").stdout
    assert step["options"] == {"model": "net.pt", "opset": "18", "input": "input=@sample.npy", "op_map": "map.yaml"}
    mlc.ok("export-onnx", "net.pt", "-o", "b.onnx", "--opset", 18, "--op-map", "map.yaml", "--input", "input=@sample.npy")
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    assert str(tmp_path).encode() not in (tmp_path / "a.onnx").read_bytes()


@pytest.mark.parametrize("function", [
    torch.hypot, lambda x, y: torch.hypot(x.double() * 1e200, y.double()), lambda x, y: torch.hypot(x / 1e10, y / 1e10).half(), lambda x, y: x.clamp_min(-2),
    lambda x, y: x.clamp(max=2), lambda x, y: x.double().clamp(min=0), lambda x, y: x.nan_to_num().int().clamp(min=3),
    lambda x, y: nn.functional.threshold(x, 0.1, 20), lambda x, y: nn.functional.softshrink(x, 0.25)])
def test_numbers_that_no_sample_has(mlc, tmp_path, function):
    # hypot(1e30, 1e30) was infinite, clamp_min(inf) the largest number, and NaN became 20 or 0.
    class Program(nn.Module):
        def forward(self, x, y):
            return function(x, y)

    inf, nan = float("inf"), float("nan")
    x = torch.tensor([nan, inf, -inf, 0, -0.0, 0.5, -0.25, 0.25, 1e30, -1e30, 3, 1e-30, -4, 300])
    y = torch.tensor([1, 2, nan, 0, 0, -inf, 2, -1.5, 1e30, 1, -4, 1e-30, inf, 0])
    torch.jit.trace(Program(), (x, y), check_trace=False).save(tmp_path / "m.pt")
    mlc.ok("export-onnx", "m.pt", "-o", "m.onnx", "--input", "x:f32[14]", "--input", "y:f32[14]", "--no-verify")
    (ours,), theirs = run(tmp_path / "m.onnx", x, y), function(x, y)
    assert ours.dtype == theirs.numpy().dtype
    known = ~(torch.isinf(x) & torch.isnan(y) | torch.isnan(x) & torch.isinf(y))  # of hypot: NaN in one, infinity in the other
    np.testing.assert_allclose(ours[known], theirs.numpy()[known], rtol=1e-3 if theirs.dtype == torch.half else 1e-6)
