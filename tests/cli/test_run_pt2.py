"""mlc run, verify and bench on exported programs (.pt2), against what PyTorch computes from them."""

import zipfile

import numpy as np
import pytest
import torch
from torch import nn

from exported_models import BATCH, CASES, STEPS, Counter, Mixed, Sizes, Tokens, encoder, ids, perceptron
from pt2_files import rewrite

pytestmark = [pytest.mark.usefixtures("engine"), pytest.mark.filterwarnings("ignore")]


def export(module, arguments, path, shapes=None, kwargs=None, decompose=False):
    torch.manual_seed(0)
    program = torch.export.export(module.eval(), arguments, kwargs or {}, dynamic_shapes=shapes)
    if decompose:
        program = program.run_decompositions()
    torch.export.save(program, str(path))
    return program


def run(mlc, tmp_path, program, arguments, kwargs=None):
    """What mlc computes from m.pt2."""
    names = [spec.arg.name for spec in program.graph_signature.input_specs if spec.kind.name == "USER_INPUT"]
    values = [*arguments, *(kwargs or {}).values()]
    options = []
    for name, value in zip(names, values):
        np.save(tmp_path / f"{name}.npy", np.asarray(value))
        options += ["--input", f"{name}=@{name}.npy"]
    mlc.ok("run", "m.pt2", *options, "-o", "out.npz", "--force")
    archive = np.load(tmp_path / "out.npz")
    return {name: torch.as_tensor(archive[name]) for name in archive.files}


def flat(value):
    if isinstance(value, dict):
        return [one for item in value.values() for one in flat(item)]
    if isinstance(value, (list, tuple)):
        return [one for item in value for one in flat(item)]
    return [torch.as_tensor(value)]


def assert_same(found, wanted):
    wanted = flat(wanted)
    for ours, theirs in zip(found.values(), wanted, strict=True):
        bound = 1e-5 * theirs.abs().max().item() if theirs.is_floating_point() and theirs.numel() else 0
        torch.testing.assert_close(ours, theirs.detach(), rtol=1e-5, atol=bound)


@pytest.mark.parametrize("decompose", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_a_program_computes_what_pytorch_does(mlc, tmp_path, name, decompose):
    make, arguments, shapes, more = CASES[name]
    program = export(make(), arguments, tmp_path / "m.pt2", shapes, decompose=decompose)
    for given in [arguments, *more]:
        assert_same(run(mlc, tmp_path, program, given), program.module()(*given))
        mlc.ok("run", "m.pt2")  # on random inputs of the sizes that it was exported with


def test_arguments_by_name_and_names_of_results(mlc, tmp_path):
    kwargs = {"scale": torch.ones(2, 1, 1), "bias": None}
    program = export(Mixed(), (torch.randn(2, 4, 3, 3),), tmp_path / "m.pt2", kwargs=kwargs)
    given = {"scale": torch.full((2, 1, 1), 2.0)}
    x = torch.randn(2, 4, 3, 3)
    found = run(mlc, tmp_path, program, (x,), given)
    assert list(found) == ["y", "up", "std"]
    assert_same(found, program.module()(x, **given, bias=None))


def test_names_of_nested_results_are_those_of_torchscript(mlc, tmp_path):
    program = export(Sizes(), (torch.randn(4, 6), 3), tmp_path / "m.pt2", ({0: BATCH}, torch.export.Dim.DYNAMIC))
    found = run(mlc, tmp_path, program, (torch.randn(4, 6), 3))
    assert list(found) == ["output.0", "output.1", "output.2.wide", "output.2.pair.0", "output.2.pair.1.0"]


def test_a_program_of_pytorch_2_6_runs(mlc, root, tmp_path):
    path = root / "tests/golden/ep_2.6.pt2"
    program = torch.export.load(str(path))
    answer = mlc.ok("run", path, "--json", "-o", "out.npz").json
    x = torch.as_tensor(np.load(tmp_path / "out.npz")[answer["outputs"][0]["name"]])
    assert x.shape == program.module()(*program.example_inputs[0]).shape


def test_buffers_that_are_written_keep_what_was_written(mlc, tmp_path):
    for decompose in (False, True):
        export(Counter(), (torch.zeros(3),), tmp_path / "m.pt2", decompose=decompose)
        np.save(tmp_path / "x.npy", np.zeros(3, np.float32))
        mlc.ok("bench", "m.pt2", "--input", "x=@x.npy", "--warmup", "2", "--runs", "3")
        mlc.ok("run", "m.pt2", "--input", "x=@x.npy", "-o", "out.npz", "--force")
        assert np.load(tmp_path / "out.npz")["output"].tolist() == [1, 1, 1]  # each process begins anew


# --- with other artefacts


def test_verify_pairs_a_program_with_torchscript_and_an_architecture(mlc, tmp_path):
    torch.manual_seed(0)
    model = perceptron().eval()
    program = torch.export.export(model, (torch.randn(2, 4),), dynamic_shapes=({0: BATCH},))
    torch.export.save(program, str(tmp_path / "m.pt2"))
    name = program.graph_signature.user_inputs[0]

    class Named(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = model

        def forward(self, input):  # pylint: disable=redefined-builtin
            return self.inner(input)
    torch.jit.script(Named()).save(str(tmp_path / "m.pt"))
    assert name == "input"
    answer = mlc.ok("verify", "m.pt2", "m.pt", "--json").json
    assert any("=4" in one["case"] for one in answer["cases"])  # another batch, from the range of the export
    mlc.ok("bench", "m.pt2", "m.pt", "--input", "input:f32[2,4]", "--runs", "3")
    wrong = perceptron().eval()
    torch.export.save(torch.export.export(wrong, (torch.randn(2, 4),)), str(tmp_path / "wrong.pt2"))
    assert mlc("verify", "m.pt2", "wrong.pt2").rc == 1


def test_inputs_of_a_program_are_declared_by_it(mlc, tmp_path):
    export(encoder(), (torch.randn(2, 5, 8),), tmp_path / "m.pt2", ({0: BATCH, 1: STEPS},))
    answer = mlc.ok("run", "m.pt2", "--json").json
    assert [one["shape"] for one in answer["inputs"]] == [[2, 5, 8]]


# --- inputs that do not fit


@pytest.mark.parametrize(("given", "said"), [
    (["--input", "ids:i64[2,50]=1"], "dimension 1 (s", ),
    (["--input", "ids:i64[2,50]=1"], "must be 2 to 40, as exported, not 50"),
    (["--input", "ids:i64[2]=1"], "must have 2 dimensions, not 1"),
    (["--input", "ids:f32[2,3]"], "must be of type i64, as exported, not f32"),
    (["--input", "other:f32[2,3]"], 'no input "other"'),
    (["--arch", "a.yaml"], "a program of its own, which --arch cannot replace"),
])
def test_inputs_that_do_not_fit_are_named(mlc, tmp_path, given, said):
    export(Tokens(), (ids(2, 6),), tmp_path / "m.pt2", ({0: BATCH, 1: STEPS},))
    result = mlc("run", "m.pt2", *given)
    assert result.rc in (2, 3, 4) and said in result.stderr, result.stderr


def test_sizes_and_numbers_that_the_export_fixed_are_named(mlc, tmp_path):
    export(Sizes(), (torch.randn(4, 6), 3), tmp_path / "m.pt2", ({0: BATCH}, None))
    result = mlc("run", "m.pt2", "--input", "x:f32[4,7]")
    assert result.rc == 2 and "dimension 1 must be 6, which the export fixed, not 7" in result.stderr
    mlc.ok("run", "m.pt2", "--input", "x:f32[8,6]", "--input", "n:i64[]=3")
    result = mlc("run", "m.pt2", "--input", "x:f32[4,6]", "--input", "n:i64[]=4")
    assert result.rc == 2 and 'input "n" is fixed in the export: it is 3' in result.stderr


def test_sizes_that_must_agree_are_compared(mlc, tmp_path):
    class Both(nn.Module):
        def forward(self, a, b):
            return a + b
    export(Both(), (torch.randn(3, 2), torch.randn(3, 2)), tmp_path / "m.pt2", ({0: BATCH}, {0: BATCH}))
    result = mlc("run", "m.pt2", "--input", "a:f32[3,2]", "--input", "b:f32[4,2]")
    assert result.rc == 2 and 'input "b": dimension 0 must be batch, which is 3 here' in result.stderr and "which is 3 here, not 4" in result.stderr


# --- programs that cannot run


def graph(document):
    return document["graph_module"]["graph"]


def set_at(*path):
    """An edit: puts the last item where the others lead to."""
    *keys, last, value = path

    def change(document):
        for key in keys:
            document = document[key]
        document[last] = value
    return change


GRAPH = ("graph_module", "graph")
BROKEN = {
    "no json": lambda d: b'{"schema_version"',
    "an array": lambda d: b"[]",
    "nested too deep": lambda d: b"[" * 100_000,
    "no version": lambda d: d.pop("schema_version") and None,
    "a text for a version": set_at("schema_version", "major", "8"),
    "no graph": lambda d: d["graph_module"].pop("graph") and None,
    "nodes that are none": set_at(*GRAPH, "nodes", 3),
    "a value that is not there": set_at(*GRAPH, "nodes", 0, "inputs", 0, "arg", {"as_tensor": {"name": "nope"}}),
    "a number for a name": set_at(*GRAPH, "nodes", 0, "inputs", 0, "arg", {"as_tensor": {"name": 7}}),
    "a value defined twice": set_at(*GRAPH, "nodes", 1, "outputs", 0, {"as_tensor": {"name": "input"}}),
    "a type of its own": set_at(*GRAPH, "tensor_values", "input", "dtype", "f32"),
    "a negative size": set_at(*GRAPH, "tensor_values", "input", "sizes", [{"as_int": -3}]),
    "a size that is no size": set_at(*GRAPH, "tensor_values", "input", "sizes", [{"as_expr": {"expr_str": "Add(Integer(2)"}}]),
    "a name that is no size": set_at(*GRAPH, "tensor_values", "input", "sizes", [{"as_expr": {"expr_str": "Symbol('a b')"}}]),
    "a range without a size": set_at("range_constraints", {"s77": {"min_val": 5, "max_val": 2}}),
    "inputs without a signature": set_at("graph_module", "signature", "input_specs", []),
    "outputs without a signature": set_at("graph_module", "signature", "output_specs", []),
    "an argument too many": lambda d: graph(d)["nodes"][0]["inputs"].append({"name": "odd", "arg": {"as_int": 1}, "kind": 1}),
    "an argument too few": lambda d: graph(d)["nodes"][0]["inputs"].clear(),
    "two kinds of one argument": set_at(*GRAPH, "nodes", 0, "inputs", 0, "arg", {"as_int": 1, "as_bool": True}),
    "a weight that is not there": set_at("graph_module", "signature", "input_specs", 0, "parameter", "parameter_name", "nope"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_program_is_refused_in_words(mlc, tmp_path, name):
    export(perceptron(), (torch.randn(2, 4),), tmp_path / "m.pt2", ({0: BATCH},))
    rewrite(tmp_path / "m.pt2", BROKEN[name])
    result = mlc("run", "m.pt2")
    assert result.rc == 3, result.stderr
    assert result.stderr.startswith("mlc: error: m.pt2: ") and "0x" not in result.stderr and "json.exception" not in result.stderr


def test_operators_that_are_not_there_are_all_named(mlc, tmp_path):
    def change(document):
        graph(document)["nodes"][0]["target"] = "torch.ops.mylib.first.default"
        graph(document)["nodes"][1]["target"] = "torch.ops.mylib.second.default"
    export(perceptron(), (torch.randn(2, 4),), tmp_path / "m.pt2")
    rewrite(tmp_path / "m.pt2", change)
    result = mlc("run", "m.pt2")
    assert result.rc == 4 and "mylib::first and mylib::second" in result.stderr


def test_another_schema_is_named(mlc, tmp_path):
    export(perceptron(), (torch.randn(2, 4),), tmp_path / "m.pt2")
    rewrite(tmp_path / "m.pt2", set_at("schema_version", "major", 9))
    result = mlc("run", "m.pt2")
    assert result.rc == 4 and "schema version 9, mlc reads 8" in result.stderr


def test_a_package_of_machine_code_was_called_damaged(mlc, tmp_path):
    with zipfile.ZipFile(tmp_path / "m.pt2", "w") as archive:
        archive.writestr("m/archive_format", "pt2")
        archive.writestr("m/archive_version", "0")
        archive.writestr("m/data/aotinductor/model/model.so", b"\x7fELF")
    for verb in (["run"], ["load"], ["trace", "-o", "out.pt"]):
        result = mlc(verb[0], "m.pt2", *verb[1:])
        assert result.rc == 4 and "m.pt2: it is a package of AOTInductor" in result.stderr
        assert "torch.export.save" in result.stderr


class Scanned(nn.Module):
    def forward(self, x):
        from torch._higher_order_ops.scan import scan  # pylint: disable=import-outside-toplevel
        return scan(lambda state, row: (state + row, state * row), x[0], x)


def test_a_scan_was_said_to_come_from_a_library_of_its_own(mlc, tmp_path):
    export(Scanned(), (torch.randn(3, 2),), tmp_path / "m.pt2")
    result = mlc("run", "m.pt2")
    assert result.rc == 4 and "on parts of itself that mlc does not run: higher_order::scan" in result.stderr
    assert "while_loop" in result.stderr and "library" not in result.stderr

    def change(document):
        first = graph(document)["nodes"][0]
        first["target"] = "torch.ops.mylib.first.default"
    rewrite(tmp_path / "m.pt2", change)
    result = mlc("run", "m.pt2")
    assert result.rc == 4 and "mylib::first; 1 operator on parts" in result.stderr and "library" in result.stderr


class Turned(nn.Module):
    """A complex number, as a number or as a tensor."""

    def __init__(self, as_tensor):
        super().__init__()
        self.as_tensor = as_tensor
        self.register_buffer("factor", torch.tensor(1j))

    def forward(self, x):
        return torch.view_as_real(x * (self.factor if self.as_tensor else 1j))


def test_a_complex_number_was_an_argument_of_unknown_kind(mlc, tmp_path):
    class Powers(nn.Module):
        def forward(self, x):
            return torch.view_as_real(x ** 1j)

    export(Powers(), (torch.randn(3),), tmp_path / "m.pt2")
    result = mlc("run", "m.pt2")
    assert result.rc == 4 and "is a complex number" in result.stderr and "register_buffer" in result.stderr
    x = torch.randn(3)
    for is_buffer in (False, True):  # the hint has the second
        program = export(Turned(is_buffer), (torch.randn(3),), tmp_path / "m.pt2")
        assert_same(run(mlc, tmp_path, program, (x,)), program.module()(x))


def test_a_failing_operator_is_named_with_its_place(mlc, tmp_path):
    class Outside(nn.Module):
        def forward(self, table, places):
            return table[places]
    export(Outside(), (torch.randn(4, 2), torch.tensor([1])), tmp_path / "m.pt2")
    result = mlc("run", "m.pt2", "--input", "table:f32[4,2]", "--input", "places:i64[1]=9")
    assert result.rc == 2 and "out of" in result.stderr and "test_run_pt2.py:" in result.stderr
    assert "Exception raised from" not in result.stderr


@pytest.mark.parametrize("decompose", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_a_program_becomes_torchscript_that_python_runs(mlc, tmp_path, name, decompose):
    make, arguments, shapes, more = CASES[name]
    torch.manual_seed(0)
    model = make().eval()
    program = export(model, arguments, tmp_path / "m.pt2", shapes, decompose=decompose)
    mlc.ok("trace", "m.pt2", "-o", "out.pt")
    made = torch.jit.load(str(tmp_path / "out.pt"))
    assert sorted(made.state_dict()) == sorted(model.state_dict())
    for given in [arguments, *more]:
        again = torch.jit.load(str(tmp_path / "out.pt"))  # as it was written, whatever it keeps from run to run
        assert_same(dict(enumerate(flat(again(*given)))), program.module()(*given))


def test_results_with_keys_are_a_dictionary_in_torchscript(mlc, tmp_path):
    kwargs = {"scale": torch.ones(2, 1, 1)}
    program = export(Mixed(), (torch.randn(2, 4, 3, 3),), tmp_path / "m.pt2", kwargs=kwargs)
    mlc.ok("trace", "m.pt2", "--freeze", "-o", "out.pt")
    made = torch.jit.load(str(tmp_path / "out.pt"))
    x = torch.randn(2, 4, 3, 3)
    found, wanted = made(x, kwargs["scale"]), program.module()(x, **kwargs)
    assert list(found) == list(wanted)
    assert_same(found, wanted)
    mlc.ok("verify", "m.pt2", "out.pt")


def test_sizes_with_floats_in_them_were_called_damage(mlc, tmp_path):
    class Larger(nn.Module):
        def forward(self, x):
            return nn.functional.interpolate(x, scale_factor=1.5)
    program = export(Larger(), (torch.randn(2, 3, 8, 8),), tmp_path / "m.pt2", ({0: BATCH, 2: STEPS},))
    for size in (8, 11):
        x = torch.randn(2, 3, size, 8)
        assert_same(run(mlc, tmp_path, program, (x,)), program.module()(x))


def test_a_size_that_is_twice_one_of_the_export_is_solved(mlc, tmp_path):
    class Half(nn.Module):
        def forward(self, x):
            return x.reshape(x.shape[0] // 2, 8)
    half = torch.export.Dim("half", min=1, max=32)
    program = export(Half(), (torch.randn(6, 4),), tmp_path / "m.pt2", ({0: 2 * half},))
    x = torch.randn(8, 4)
    assert_same(run(mlc, tmp_path, program, (x,)), program.module()(x))
    result = mlc("run", "m.pt2", "--input", "x:f32[7,4]")
    assert result.rc == 2 and "dimension 0 must be" in result.stderr


class SizesShifted(nn.Module):
    def forward(self, x):
        n = x.shape[0]
        return x * (n << 1), x * (n >> 1), x.new_zeros(n << 2, 1), x * ((0 - n) >> 1)


def test_shifts_of_sizes_were_custom_operators(mlc, tmp_path):
    program = export(SizesShifted(), (torch.randn(4, 3),), tmp_path / "m.pt2", ({0: BATCH},))
    assert {"lshift", "rshift"} <= {getattr(node.target, "__name__", "") for node in program.graph.nodes}
    mlc.ok("trace", "m.pt2", "-o", "script.pt")
    for size in (4, 7):
        x = torch.randn(size, 3)
        wanted = program.module()(x)
        assert_same(run(mlc, tmp_path, program, (x,)), wanted)
        assert all(torch.equal(*pair) for pair in zip(torch.jit.load(tmp_path / "script.pt")(x), wanted))


def test_two_arguments_of_one_name_ended_with_70(mlc, tmp_path):
    export(perceptron(), (torch.randn(2, 4),), tmp_path / "m.pt2")
    rewrite(tmp_path / "m.pt2", lambda d: graph(d)["nodes"][0]["inputs"].append(graph(d)["nodes"][0]["inputs"][0]))
    assert mlc("run", "m.pt2").rc == 3


def test_a_program_writes_no_files(mlc, tmp_path):
    class Saves(nn.Module):
        def __init__(self, path: str):
            super().__init__()
            self.path = path

        def forward(self, x):
            torch.save(x, self.path)
            return x
    torch.jit.script(Saves(str(tmp_path / "written"))).save(str(tmp_path / "m.pt"))
    for verb in (("run",), ("bench",), ("trace", "-o", "out.pt")):
        result = mlc(verb[0], "m.pt", "--input", "x:f32[2]", *verb[1:])
        assert result.rc == 4 and "aten::save" in result.stderr
    assert not (tmp_path / "written").exists()
    export(perceptron(), (torch.randn(2, 4),), tmp_path / "m.pt2")
    rewrite(tmp_path / "m.pt2", lambda d: graph(d)["nodes"][0].update(target="torch.ops.aten.from_file.default"))
    result = mlc("run", "m.pt2")
    assert result.rc == 4 and "aten::from_file" in result.stderr


class WithoutAutocast(nn.Module):
    def forward(self, x):
        with torch.autocast("cpu", enabled=False):
            y = x @ x.transpose(-1, -2)
        return y.sin()


def test_autocast_that_is_off_is_no_custom_operator(mlc, tmp_path):
    program = export(WithoutAutocast(), (torch.randn(2, 3),), tmp_path / "m.pt2")
    x = torch.randn(2, 3)
    assert_same(run(mlc, tmp_path, program, (x,)), program.module()(x))


class WithoutGradients(nn.Module):
    """Regions within regions, with one result, several and none of their own operands."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 3)

    def forward(self, x):
        with torch.no_grad():
            y, z = self.fc(x), x.sin()
            with torch.autocast("cpu", enabled=False):
                z = z @ self.fc.weight
            steps = torch.arange(x.shape[0])
        with torch.enable_grad():
            y = self.fc(y) * steps.unsqueeze(1)
        return y + z, z.cos()


@pytest.mark.parametrize("decompose", [False, True])
def test_a_region_without_gradients_was_read_before_it_was_made(mlc, tmp_path, decompose):
    program = export(WithoutGradients(), (torch.randn(2, 3),), tmp_path / "m.pt2", ({0: BATCH},), decompose=decompose)
    regions = [node for node in program.graph.nodes if "wrap_with_set_grad_enabled" in str(node.target)]
    assert regions or decompose
    mlc.ok("trace", "m.pt2", "-o", "out.pt")
    x = torch.randn(5, 3)
    made = torch.jit.load(str(tmp_path / "out.pt"))
    assert_same(dict(enumerate(made(x))), program.module()(x))


class Parts(nn.Module):
    def __init__(self, size, offset):
        super().__init__()
        self.size, self.offset = size, offset

    def forward(self, x):
        rows = (x.shape[0] - self.offset) // self.size
        return x[self.offset:].reshape(rows, self.size, 3).sum(1) * rows


@pytest.mark.parametrize("size,offset", [(4, 0), (2, 0), (4, 1)])
def test_nothing_defined_the_size_of_which_a_dimension_is_a_multiple(mlc, tmp_path, size, offset):
    part = torch.export.Dim("part", min=1, max=32)
    program = export(Parts(size, offset), (torch.randn(2 * size + offset, 3),), tmp_path / "m.pt2",
                     ({0: size * part + offset},))
    mlc.ok("trace", "m.pt2", "-o", "out.pt")
    x = torch.randn(5 * size + offset, 3)
    assert_same({"y": torch.jit.load(str(tmp_path / "out.pt"))(x)}, program.module()(x))


class Shifted(nn.Module):
    def forward(self, x, y):
        return x[1:] * y


def labels(answer):
    return [case["case"] for case in answer["cases"]]


@pytest.mark.parametrize("given", [[], ["--input", "x:f32[rows=6,3]", "--input", "y:f32[5,3]"]])
def test_a_program_with_sizes_that_hang_together_was_said_to_have_a_fixed_one(mlc, tmp_path, given):
    rows = torch.export.Dim("rows", min=3, max=20)
    program = export(Shifted(), (torch.randn(5, 3), torch.randn(4, 3)), tmp_path / "m.pt2",
                     ({0: rows}, {0: rows - 1}))
    answer = mlc.ok("trace", "m.pt2", "-o", "out.pt", "--json", *given).json
    assert "=" in labels(answer)[-1] and "not_checked" not in answer
    given_values = torch.randn(9, 3), torch.randn(8, 3)
    made = torch.jit.load(str(tmp_path / "out.pt"))
    assert_same({"y": made(*given_values)}, program.module()(*given_values))
    for verb in (["verify", "m.pt2", "out.pt"], ["export-onnx", "m.pt2", "-o", "out.onnx"]):
        said = mlc.ok(*verb, *given).stdout
        assert "seed 0, " in said and "not checked" not in said


@pytest.mark.parametrize("size,offset,label", [(4, 0, "4*{}=16"), (2, 0, "2*{}=8"), (4, 1, "4*{}+1=17")])
def test_a_multiple_of_a_dimension_was_tried_at_no_other_size(mlc, tmp_path, size, offset, label):
    part = torch.export.Dim("part", min=1, max=32)
    program = export(Parts(size, offset), (torch.randn(2 * size + offset, 3),), tmp_path / "m.pt2",
                     ({0: size * part + offset},))
    symbol = next(iter(next(iter(program.range_constraints)).free_symbols))
    mlc.ok("trace", "m.pt2", "-o", "out.pt")
    answer = mlc.ok("verify", "m.pt2", "out.pt", "--json").json
    assert "seed 0, " + label.format(symbol) in labels(answer)
    # A name that somebody gave: one more is no such size, and the nearest is tried instead.
    answer = mlc.ok("verify", "m.pt2", "out.pt", "--json", "--input", f"x:f32[rows={2 * size + offset},3]").json
    assert labels(answer)[-1] == f"seed 0, rows={3 * size + offset}"
    # A number that somebody typed is meant to be fixed.
    answer = mlc.ok("verify", "m.pt2", "out.pt", "--json", "--input", f"x:f32[{2 * size + offset},3]").json
    assert labels(answer) == ["seed 0", "seed 1", "seed 2"]


def test_a_script_that_knows_one_multiple_only_is_found_out(mlc, tmp_path):
    part = torch.export.Dim("part", min=1, max=32)
    export(Parts(4, 0), (torch.randn(8, 3),), tmp_path / "m.pt2", ({0: 4 * part},))
    class Two(nn.Module):
        def forward(self, x):
            return x.reshape(-1, 4, 3).sum(1) * 2
    torch.jit.script(Two().eval()).save(str(tmp_path / "fixed.pt"))
    result = mlc("verify", "m.pt2", "fixed.pt")
    assert result.rc == 1 and "=16" in result.stdout


class Pooled(nn.Module):
    def forward(self, image):
        return nn.functional.avg_pool2d(image, 8)


def test_a_hint_showed_inputs_that_nobody_can_give(mlc, tmp_path):
    part = torch.export.Dim("part", min=2, max=16)
    export(Pooled(), (torch.randn(2, 1, 32, 16),), tmp_path / "m.pt2", ({0: BATCH, 2: 8 * part},))
    result = mlc("run", "m.pt2", "--input", "x:f32[2,1,32,16]")
    assert result.rc == 2
    given = result.stderr.split("--input '")[1].split("'")[0]
    assert given == "image:f32[batch=1..64,1,32,16]"
    mlc.ok("run", "m.pt2", "--input", given)
    result = mlc("run", "m.pt2", "--input", "image:f32[2,1,41,16]")
    assert result.rc == 2 and ", such as 40 or 48, not 41" in result.stderr and given.split(':')[1] in result.stderr
    result = mlc("run", "m.pt2", "--input", "image:f32[2,1,15,16]")
    assert result.rc == 2 and "must be 16 to 128" in result.stderr


def test_sizes_had_other_names_in_messages_than_in_all_verbs(mlc, tmp_path):
    export(Shifted(), (torch.randn(5, 3), torch.randn(4, 3)), tmp_path / "m.pt2",
           ({0: STEPS}, {0: STEPS - 1}))
    result = mlc("run", "m.pt2", "--input", "x:f32[1,3]", "--input", "y:f32[99,3]")
    assert result.rc == 2 and "dimension 0 (batch + 1) must be 2 to 40" in result.stderr
    result = mlc("run", "m.pt2", "--input", "x:f32[7,3]", "--input", "y:f32[99,3]")
    assert result.rc == 2 and "dimension 0 (batch) must be 1 to 39" in result.stderr
    result = mlc("run", "m.pt2", "--input", "x:f32[7,3]", "--input", "y:f32[7,3]")
    assert result.rc == 2 and "dimension 0 must be batch, which is 6 here, not 7" in result.stderr


def test_autocast_within_a_traced_program_casts_nothing_when_it_is_off(mlc, tmp_path):
    program = export(WithoutAutocast(), (torch.randn(2, 3),), tmp_path / "m.pt2")
    assert "wrap_with_autocast" in str(program.graph)
    mlc.ok("trace", "m.pt2", "-o", "out.pt")
    x = torch.randn(2, 3)
    assert_same({"y": torch.jit.load(str(tmp_path / "out.pt"))(x)}, program.module()(x))


# --- in another type


class Makes(nn.Module):
    """Makes tensors of the default type, of a named one, and of the lowest number of float32."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.register_buffer("steps", torch.arange(4))

    def forward(self, x):
        made = torch.zeros(x.shape[0], 4) + torch.full((4,), 0.5) + torch.ones(4, dtype=torch.float32)
        mask = torch.full((4,), torch.finfo(torch.float32).min).where(self.steps > 1, 0.0)
        return self.fc(made + x).softmax(-1), (self.fc(x) + mask).softmax(-1), x.to(torch.float32) @ self.fc.weight


@pytest.mark.parametrize("decompose", [False, True])
@pytest.mark.parametrize(("flag", "dtype"), [("fp16", torch.float16), ("bf16", torch.bfloat16)])
def test_dtype_casts_programs(mlc, tmp_path, flag, dtype, decompose):
    for model, arguments in ((Makes(), (torch.randn(3, 4),)), (encoder(), (torch.randn(2, 5, 8),))):
        model = model.eval()
        program = export(model, arguments, tmp_path / "m.pt2", decompose=decompose)
        name = program.graph_signature.user_inputs[0]
        np.save(tmp_path / "x.npy", arguments[0].numpy())
        mlc.ok("run", "m.pt2", "--input", f"{name}=@x.npy", "--dtype", flag, "-o", "out.pt", "--force")
        found = torch.load(tmp_path / "out.pt", weights_only=True)
        for ours, theirs in zip(found.values(), flat(model(*arguments)), strict=True):
            assert ours.dtype == dtype
            torch.testing.assert_close(ours.float(), theirs.detach(), rtol=0.02, atol=0.02)
    mlc.ok("trace", "m.pt2", "--dtype", flag, "-o", "half.pt", "--force")
    assert {one.dtype for one in torch.jit.load(tmp_path / "half.pt").parameters()} == {dtype}
    mlc.ok("verify", "m.pt2", "half.pt", "--dtype", flag)


def test_dtype_takes_half_precision_to_float(mlc, tmp_path):
    model = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4)).half().eval()
    export(model, (torch.randn(2, 4).half(),), tmp_path / "m.pt2")
    mlc.ok("run", "m.pt2", "--input", "input:f32[2,4]", "--dtype", "fp32", "-o", "out.npz")
    assert np.load(tmp_path / "out.npz")["output"].dtype == np.float32
