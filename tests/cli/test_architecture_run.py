"""mlc run, verify and bench on a checkpoint with an architecture, against PyTorch's original."""

import importlib.util

import numpy as np
import pytest
import torch
import yaml

import script_modules
from module_cases import CASES
from original_models import ORIGINALS
from test_architecture import from_nn, made_input, scrambled
from test_example_architectures import original

pytestmark = [pytest.mark.usefixtures("engine"), pytest.mark.filterwarnings("ignore::UserWarning"),
              pytest.mark.filterwarnings("ignore::DeprecationWarning")]
FOLDER = script_modules.ROOT / "examples/architectures"
DIGITS = FOLDER / "digits_cnn.yaml"


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """(path, model): the network of examples/digits with random values."""
    model = original("digits_cnn")
    path = tmp_path_factory.mktemp("digits") / "digits.pt"
    torch.save(model.state_dict(), path)
    return path, model


def write(path, text):
    path.write_text(text)
    return path


def small(text, **more):
    """An architecture with one Linear called fc, and TEXT as forward."""
    document = {"mlc": "architecture/1", "modules": {"fc": {"type": "Linear", "in_features": 3, "out_features": 2}}, **more}
    return yaml.safe_dump(document, sort_keys=False, default_flow_style=None) + "forward: |\n" + text


def save_small(tmp_path, **more):
    torch.manual_seed(1)
    fc = torch.nn.Linear(3, 2)
    torch.save({"fc.weight": fc.weight.detach(), "fc.bias": fc.bias.detach(), **more}, tmp_path / "m.pt")
    return fc


def outputs(path):
    archive = np.load(path)
    return [torch.as_tensor(archive[name]) for name in archive.files]


# --- the shipped architectures


@pytest.mark.parametrize("name", sorted(ORIGINALS))
def test_outputs_of_example_are_those_of_its_original(mlc, tmp_path, name):
    model = original(name)
    torch.save(model.state_dict(), tmp_path / "model.pt")
    declared = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())["inputs"]
    names = [text.split(":")[0] for text in declared]
    for inputs in ORIGINALS[name][1]:
        options = []
        for input_name, tensor in zip(names, inputs):
            np.save(tmp_path / f"{input_name}.npy", tensor.numpy())
            options += ["--input", f"{input_name}=@{input_name}.npy"]
        mlc.ok("run", "model.pt", "--arch", FOLDER / f"{name}.yaml", *options, "-o", "out.npz", "--force")
        with torch.no_grad():
            wanted = script_modules.flat(model(*inputs))
        for ours, theirs in zip(outputs(tmp_path / "out.npz"), wanted, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5 * theirs.abs().max().item())
    (tmp_path / "model.pt").unlink()


# --- inputs


def test_declared_inputs_are_the_default(mlc, digits):
    path, _ = digits
    answer = mlc.ok("run", path, "--arch", DIGITS, "--json").json
    assert [(one["name"], one["shape"]) for one in answer["inputs"]] == [("image", [1, 1, 8, 8])]


@pytest.mark.parametrize(("spec", "said"), [
    ("image:f32[2,1,8,9]", "dimension 3: must be 8"),
    ("image:f32[2000,1,8,8]", "batch must be 1 to 1024"),
    ("image:f32[1,8,8]", "must have 4 dimensions"),
    ("image:i64[1,1,8,8]", "must be of type f32"),
])
def test_inputs_other_than_declared_are_refused(mlc, digits, spec, said):
    error = mlc("run", digits[0], "--arch", DIGITS, "--input", spec, "--json").error
    assert error["kind"] == "usage" and said in error["message"]
    assert "image:f32[batch=1..1024,1,8,8]" in error["hint"]


def test_unknown_input_names_what_is_declared(mlc, digits):
    result = mlc("run", digits[0], "--arch", DIGITS, "--input", "imag:f32[1,1,8,8]")
    assert result.rc == 2 and "did you mean image?" in result.stderr
    assert "declared as f32[batch=1..1024,1,8,8]" in result.stderr


def test_declared_input_that_forward_lacks_points_at_its_line(mlc, tmp_path):
    save_small(tmp_path)
    write(tmp_path / "a.yaml", small("  def forward(self, x):\n    return self.fc(x)\n", inputs=["y:f32[1,3]"]))
    result = mlc("run", "m.pt", "--arch", "a.yaml")
    assert result.rc == 2
    assert "a.yaml:4:11: forward has no argument \"y\"" in result.stderr and "it takes x" in result.stderr


# --- keys


def test_checkpoint_that_does_not_fit_is_told_in_words_of_pytorch(mlc, tmp_path):
    save_small(tmp_path, extra=torch.zeros(1))
    text = small("  def forward(self, x):\n    return self.fc(x)\n").replace("out_features: 2", "out_features: 4")
    write(tmp_path / "a.yaml", text)
    result = mlc("run", "m.pt", "--arch", "a.yaml", "--input", "x:f32[1,3]")
    assert result.rc == 2
    assert "Unexpected key(s) in state_dict: \"extra\"" in result.stderr
    assert "size mismatch for fc.weight" in result.stderr


def test_prefix_that_all_keys_have_is_hinted_at(mlc, tmp_path, digits):
    torch.save({f"module.{key}": value for key, value in digits[1].state_dict().items()}, tmp_path / "ddp.pt")
    result = mlc("run", "ddp.pt", "--arch", DIGITS)
    assert result.rc == 2 and "mlc strip-module-prefix" in result.stderr


@pytest.mark.parametrize("verb", [["run"], ["bench"], ["trace", "-o", "t.pt"], ["export-onnx", "-o", "t.onnx"], ["verify", "good.pt"]])
def test_a_model_that_could_not_run_ended_as_one_that_differs(mlc, tmp_path, verb):
    """Code 1 with nothing on stdout, as where a check says no."""
    torch.save({"fc.weight": torch.ones(2, 3), "fc.bias": torch.ones(2)}, tmp_path / "good.pt")
    torch.save({"net.weight": torch.ones(2, 3)}, tmp_path / "keys.pt")
    write(tmp_path / "a.yaml", small("  def forward(self, x):\n    return self.fc(x)\n"))
    mlc.ok("quantize", "good.pt", "-o", "codes.pt", "--min-elements", "1")
    for model, code, kind in (("keys.pt", 2, "usage"), ("codes.pt", 4, "unsupported")):
        result = mlc(*verb[:1], model, *verb[1:], "--arch", "a.yaml", "--input", "x:f32[1,3]", "--json")
        assert (result.rc, result.stdout, result.error["kind"]) == (code, "", kind), result


def test_checkpoint_without_architecture_says_how_to_give_one(mlc, digits):
    result = mlc("run", digits[0])
    assert result.rc == 4 and "--arch FILE.yaml" in result.stderr


# --- forward texts that do not compile


@pytest.mark.parametrize(("body", "line", "mark", "said"), [
    ("    y = self.fc(x)\n    return torch.rellu(y)\n", 8, "torch.rellu", "did you mean torch.relu?"),
    ("    return F.geluu(self.fc(x))\n", 7, "F.geluu", "did you mean F.gelu?"),
    ("    return F.upsample(x)\n", 7, "F.upsample", "F.interpolate"),
    ("    return foo(x)\n", 7, "foo", "no such name: foo"),
    ("    return x.viwe(-1)\n", 7, "x.viwe", "did you mean view?"),
    ("    return torch.flaten(x)\n", 7, "torch.flaten", "did you mean torch.flatten?"),
    ("    return x.shap\n", 7, "x.shap", "did you mean shape?"),
    ("    return x.squeeeze(0).masked_fil(x > 0, 1)\n", 7, "x.squeeeze", "did you mean squeeze?"),
    ("    return torch.relu(x, 1, 2)\n", 7, "torch.relu", "the arguments do not fit"),
    ("    return x +* 2\n", 7, "* 2", "no Python expression"),
    ("    return self.fd(x)\n", 7, "self.fd", "did you mean fc?"),
    ("    return f'{x}'\n", 7, "f'{x}'", "no f-strings"),
])
def test_forward_that_does_not_compile_points_into_the_yaml(mlc, tmp_path, body, line, mark, said):
    save_small(tmp_path)
    text = small("  def forward(self, x):\n" + body)
    write(tmp_path / "a.yaml", text)
    assert text.splitlines()[3] == "forward: |"
    line -= 1
    result = mlc("run", "m.pt", "--arch", "a.yaml", "--input", "x:f32[1,3]")
    column = text.splitlines()[line - 1].index(mark) + 1
    assert result.rc == 2
    assert f"a.yaml:{line}:{column}: " in result.stderr
    assert said in result.stderr and "^" in result.stderr
    for raw in ("__torch__", "HERE", "Exception raised", "aten::", "<string>"):
        assert raw not in result.stderr


def test_error_in_a_class_points_at_the_class(mlc, tmp_path, digits):
    text = DIGITS.read_text().replace("self.conv(x) + x", "self.convv(x) + x")
    write(tmp_path / "a.yaml", text)
    result = mlc("run", digits[0], "--arch", "a.yaml")
    row = next(i for i, line in enumerate(text.splitlines(), 1) if "convv" in line)
    assert result.rc == 2 and f"a.yaml:{row}:" in result.stderr and "did you mean conv?" in result.stderr


# --- what forward may say


def run_body(mlc, tmp_path, body, x, head="x"):
    write(tmp_path / "a.yaml", small(f"  def forward(self, {head}):\n{body}"))
    np.save(tmp_path / "x.npy", x.numpy())
    mlc.ok("run", "m.pt", "--arch", "a.yaml", "--input", "x=@x.npy", "-o", "o.npz", "--force")
    return outputs(tmp_path / "o.npz")


def test_names_that_python_code_uses(mlc, tmp_path):
    fc = save_small(tmp_path)
    body = ("    y = F.dropout(torch.nn.functional.relu(self.fc(x), inplace=True), 0.5, training=self.training)\n"
            "    z = F.normalize(x.to(torch.float64), dim=-1) * math.pi\n"
            "    n = F.embedding(torch.arange(2), self.fc.weight)\n"
            "    b = F.batch_norm(x, torch.ones(3), torch.full([3], 4.0))\n"
            "    return y, z, n, b, torch.linalg.norm(x), torch.ops.aten.sigmoid(x), math.sqrt(4.0) * x\n")
    x = torch.randn(4, 3)
    y, z, n, b, norm, sigmoid, scaled = run_body(mlc, tmp_path, body, x)
    f = torch.nn.functional
    with torch.no_grad():
        torch.testing.assert_close(y, f.relu(fc(x)))
        torch.testing.assert_close(z, f.normalize(x.double(), dim=-1) * torch.pi)
        torch.testing.assert_close(n, fc.weight.detach())
        torch.testing.assert_close(b, f.batch_norm(x, torch.ones(3), torch.full([3], 4.0)))
        torch.testing.assert_close(norm, torch.linalg.norm(x))
        torch.testing.assert_close(sigmoid, torch.sigmoid(x))
        torch.testing.assert_close(scaled, 2 * x)


JIT_BODIES = {
    "scripting": "    if torch.jit.is_scripting():\n        x = x + 1\n    else:\n        x = x.numpy()\n    return x\n",
    "not scripting": "    if not torch.jit.is_scripting() and not torch.jit.is_tracing():\n        x = x + 1\n    return x\n",
    "tracing": "    return x + 1 if torch.jit.is_tracing() else x * 2\n",
    "annotate": "    xs = torch.jit.annotate(List[Tensor], [])\n    xs.append(x)\n    return torch.stack(xs)\n",
    "isinstance": "    assert isinstance(x, torch.Tensor), 'x'\n    assert torch.jit.isinstance(x, Tensor)\n    return x * 3\n",
}


@pytest.mark.parametrize("body", JIT_BODIES.values(), ids=JIT_BODIES)
def test_questions_to_torch_jit_had_no_answer(mlc, tmp_path, body):
    save_small(tmp_path)
    x = torch.randn(4, 3)
    source = "from typing import List\nimport torch\nfrom torch import Tensor\n"
    source += "class Model(torch.nn.Module):\n  def forward(self, x: Tensor):\n" + body
    path = write(tmp_path / "jit_model.py", source)  # torch.jit.script reads the text of its file
    spec = importlib.util.spec_from_file_location(f"jit_model_{abs(hash(body))}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    expected = torch.jit.script(module.Model())(x)
    torch.testing.assert_close(run_body(mlc, tmp_path, body, x)[0], expected)


CHOSEN = """mlc: architecture/1
inputs: ["x:f32[2,4]"]
classes:
  Block:
    parameters: {i: int, o: int}
    modules:
      main: {type: Linear, in_features: $i, out_features: $o}
      skip: {type: Linear, in_features: $i, out_features: $o, when: $i != $o and not $i > 9}
    forward: |
      def forward(self, x: Tensor) -> Tensor:
          return self.main(x) + (self.skip(x) if self.skip is not None else x)
modules:
  a: {type: Block, i: 4, o: 4}
  b: {type: Block, i: 4, o: 6}
forward: |
  def forward(self, x: Tensor) -> Tensor:
      return self.b(self.a(x))
"""


def test_when_took_no_comparison(mlc, tmp_path):
    write(tmp_path / "a.yaml", CHOSEN)
    layers = {name: torch.nn.Linear(4, size) for name, size in (("a.main", 4), ("b.main", 6), ("b.skip", 6))}
    torch.save({f"{name}.{key}": value for name, layer in layers.items() for key, value in layer.state_dict().items()},
               tmp_path / "m.pt")
    x = torch.randn(2, 4)
    np.save(tmp_path / "x.npy", x.numpy())
    mlc.ok("run", "m.pt", "--arch", "a.yaml", "--input", "x=@x.npy", "-o", "o.npz")
    with torch.no_grad():
        y = layers["a.main"](x) + x
        torch.testing.assert_close(outputs(tmp_path / "o.npz")[0], layers["b.main"](y) + layers["b.skip"](y))


def test_quotes_around_an_expression_are_named(mlc, tmp_path):
    write(tmp_path / "a.yaml", CHOSEN.replace("out_features: $o}", 'out_features: "$o * 1"}'))
    torch.save({}, tmp_path / "m.pt")
    result = mlc("run", "m.pt", "--arch", "a.yaml")
    assert result.rc == 2 and "quotes make it a text: write $o * 1 without them" in result.stderr


def test_model_that_writes_into_its_weights_leaves_the_file_alone(mlc, tmp_path):
    fc = save_small(tmp_path)
    before = (tmp_path / "m.pt").read_bytes()
    x = torch.randn(1, 3)
    (got,) = run_body(mlc, tmp_path, "    self.fc.weight.zero_()\n    return self.fc(x)\n", x)
    torch.testing.assert_close(got, fc.bias.detach()[None])
    assert (tmp_path / "m.pt").read_bytes() == before


def test_tied_tensors_are_one(mlc, tmp_path):
    text = ("mlc: architecture/1\nmodules:\n  a: {type: Linear, in_features: 3, out_features: 3}\n"
            "  b: {type: Linear, in_features: 3, out_features: 3, bias: false}\ntie: {b.weight: a.weight}\n"
            "forward: |\n  def forward(self, x):\n    self.a.weight.mul_(2)\n    return self.b(x)\n")
    write(tmp_path / "a.yaml", text)
    a = torch.nn.Linear(3, 3)
    torch.save({"a.weight": a.weight.detach(), "a.bias": a.bias.detach(), "b.weight": a.weight.detach()}, tmp_path / "m.pt")
    x = torch.randn(2, 3)
    np.save(tmp_path / "x.npy", x.numpy())
    mlc.ok("run", "m.pt", "--arch", "a.yaml", "--input", "x=@x.npy", "-o", "o.npz")
    torch.testing.assert_close(outputs(tmp_path / "o.npz")[0], x @ (2 * a.weight.detach()).T)


@pytest.mark.parametrize("order", [1, -1])
def test_tied_tensors_with_two_values_took_the_first_without_a_word(mlc, tmp_path, order):
    """load_state_dict() writes one after the other, in the order of the modules and not of the file."""
    text = ("mlc: architecture/1\nmodules:\n  a: {type: Linear, in_features: 3, out_features: 3}\n"
            "  b: {type: Linear, in_features: 3, out_features: 3}\ntie: {b.weight: a.weight}\n"
            "forward: |\n  def forward(self, x):\n    return self.b(self.a(x))\n")
    write(tmp_path / "a.yaml", text)
    stored = torch.nn.ModuleDict({"a": torch.nn.Linear(3, 3), "b": torch.nn.Linear(3, 3)}).state_dict()
    torch.save(dict(list(stored.items())[::order]), tmp_path / "m.pt")
    model = torch.nn.ModuleDict({"a": torch.nn.Linear(3, 3), "b": torch.nn.Linear(3, 3)})
    model["b"].weight = model["a"].weight
    model.load_state_dict(stored)
    x = torch.randn(2, 3)
    np.save(tmp_path / "x.npy", x.numpy())
    said = '"a.weight" and "b.weight" are tied, but the checkpoint has different values for them; the values of "b.weight" are used'
    result = mlc.ok("run", "m.pt", "--arch", "a.yaml", "--input", "x=@x.npy", "-o", "o.npz")
    assert said in result.stderr
    with torch.no_grad():
        torch.testing.assert_close(outputs(tmp_path / "o.npz")[0], model["b"](model["a"](x)))
    assert said in mlc.ok("load", "m.pt", "--expect", "a.yaml").stderr
    stored["a.weight"] = stored["b.weight"].clone()
    torch.save(stored, tmp_path / "m.pt")
    for arguments in (("run", "m.pt", "--arch", "a.yaml", "--input", "x=@x.npy"), ("load", "m.pt", "--expect", "a.yaml")):
        assert "tied" not in mlc.ok(*arguments).stderr


# --- how the tensors lie in the file


@pytest.mark.parametrize("how", ["bf16", "transposed", "slice"])
def test_tensors_that_are_not_plain_are_converted(mlc, tmp_path, how):
    fc = save_small(tmp_path)
    weight = fc.weight.detach()
    kept = {"bf16": weight.bfloat16(), "transposed": weight.T.contiguous().T, "slice": torch.stack([weight, weight], 1)[:, 1]}[how]
    torch.save({"fc.weight": kept, "fc.bias": fc.bias.detach()}, tmp_path / "m.pt")
    x = torch.randn(2, 3)
    (got,) = run_body(mlc, tmp_path, "    return self.fc(x)\n", x)
    torch.testing.assert_close(got, torch.nn.functional.linear(x, kept.float(), fc.bias.detach()))


def test_safetensors_with_odd_offsets(mlc, tmp_path):
    fc = save_small(tmp_path)
    import json
    import struct

    # A header whose length leaves the data on an odd address.
    weight, bias = fc.weight.detach().numpy().tobytes(), fc.bias.detach().numpy().tobytes()
    header = json.dumps({"fc.weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
                         "fc.bias": {"dtype": "F32", "shape": [2], "data_offsets": [24, 32]}})
    header += " " * (1 - len(header) % 2)
    (tmp_path / "m.pt").write_bytes(struct.pack("<Q", len(header)) + header.encode() + weight + bias)
    x = torch.randn(2, 3)
    (got,) = run_body(mlc, tmp_path, "    return self.fc(x)\n", x)
    torch.testing.assert_close(got, fc(x).detach())


@pytest.mark.parametrize("module", ["{type: ReLU, inplace: true}", "{type: LeakyReLU, inplace: true, negative_slope: 0.2}",
                                    "{type: Hardtanh, inplace: true}"])
def test_inplace_module_is_seen_by_later_lines(mlc, tmp_path, module):
    """torch.nn.ReLU(inplace=True) in front of a skip connection changes what the connection skips with."""
    write(tmp_path / "a.yaml", "mlc: architecture/1\nbuffers: {one: {shape: [1]}}\nmodules:\n  act: " + module +
          "\nforward: |\n  def forward(self, x):\n    y = self.act(x)\n    return x + y\n")
    torch.save({"one": torch.zeros(1)}, tmp_path / "m.pt")
    x = torch.randn(3, 4)
    np.save(tmp_path / "x.npy", x.numpy())
    mlc.ok("run", "m.pt", "--arch", "a.yaml", "--input", "x=@x.npy", "-o", "o.npz")
    arguments = yaml.safe_load(module)
    wanted = getattr(torch.nn, arguments.pop("type"))(**arguments)(x.clone())
    torch.testing.assert_close(outputs(tmp_path / "o.npz")[0], 2 * wanted)


@pytest.mark.parametrize("ratio", ["{output_size: 3}", "{output_ratio: [0.5, 0.6]}", "{output_ratio: 0.5}"])
def test_fractional_pool_draws_as_pytorch_does(mlc, tmp_path, ratio):
    arguments = yaml.safe_load(ratio)
    module = {"type": "FractionalMaxPool2d", "kernel_size": 2, **arguments}
    write(tmp_path / "a.yaml", yaml.safe_dump({"mlc": "architecture/1", "buffers": {"one": {"shape": [1]}}, "modules": {"pool": module},
                                               "forward": "def forward(self, x):\n  return self.pool(x)\n"}))
    torch.save({"one": torch.zeros(1)}, tmp_path / "m.pt")
    x = torch.randn(2, 3, 9, 8)
    np.save(tmp_path / "x.npy", x.numpy())
    mlc.ok("run", "m.pt", "--arch", "a.yaml", "--input", "x=@x.npy", "--seed", 4, "-o", "o.npz")
    torch.manual_seed(4)
    torch.testing.assert_close(outputs(tmp_path / "o.npz")[0], torch.nn.FractionalMaxPool2d(2, **arguments)(x))


# --- modules of one class


SCALED = ("mlc: architecture/1\nmodules:\n"
          "  a: {type: Scaled, bias: true, scale: 2.0, width: 3}\n  b: {type: Scaled, bias: true, scale: 3.0, width: 3}\n"
          "  c: {type: Scaled, bias: false, scale: 2.0, width: 3}\n  d: {type: Scaled, bias: true, scale: null, width: 3}\n"
          "classes:\n  Scaled:\n    parameters: {bias: bool, scale: \"float?\", width: int}\n"
          "    modules: {fc: {type: Linear, in_features: $width, out_features: $width, bias: $bias}}\n    forward: |\n"
          "      def forward(self, x: Tensor) -> Tensor:\n          y = self.fc(x)\n          if self.scale is not None:\n"
          "              y = y * self.scale\n          if self.fc.bias is None:\n              y = -y\n          return y\n"
          "forward: |\n  def forward(self, x):\n    return self.a(x), self.b(x), self.c(x), self.d(x)\n")


def test_modules_that_share_a_class_keep_their_own_values(mlc, tmp_path):
    """b shares with a; c (no bias) and d (no scale) differ in the type of an attribute alone."""
    write(tmp_path / "a.yaml", SCALED)
    torch.manual_seed(5)
    layers = {name: torch.nn.Linear(3, 3, bias=name != "c") for name in "abcd"}
    torch.save({f"{name}.fc.{key}": value for name, layer in layers.items() for key, value in layer.state_dict().items()},
               tmp_path / "m.pt")
    x = torch.randn(2, 3)
    np.save(tmp_path / "x.npy", x.numpy())
    result = mlc.ok("run", "m.pt", "--arch", "a.yaml", "--input", "x=@x.npy", "-o", "o.npz", "-v")
    with torch.no_grad():
        wanted = [layers["a"](x) * 2, layers["b"](x) * 3, layers["c"](x) * -2, layers["d"](x)]
    for ours, theirs in zip(outputs(tmp_path / "o.npz"), wanted, strict=True):
        torch.testing.assert_close(ours, theirs)
    assert "built 9 modules of 6 classes" in result.stderr


def test_a_deep_network_is_compiled_once_for_each_kind_of_layer(mlc, tmp_path):
    """Compiling each of 200 layers took most of the time that BERT took to load."""
    text = ("mlc: architecture/1\nmodules:\n  layer: {repeat: 50, type: Linear, in_features: 3, out_features: 3}\n"
            "forward: |\n  def forward(self, x):\n    for one in self.layer:\n      x = one(x)\n    return x\n")
    write(tmp_path / "a.yaml", text)
    torch.save(torch.nn.ModuleDict({"layer": torch.nn.ModuleList([torch.nn.Linear(3, 3) for _ in range(50)])}).state_dict(),
               tmp_path / "m.pt")
    result = mlc.ok("run", "m.pt", "--arch", "a.yaml", "--input", "x:f32[2,3]", "-v")
    assert "built 52 modules of 3 classes" in result.stderr


# --- bench and verify


def test_verify_a_checkpoint_and_its_trace(mlc, tmp_path, digits):
    path, model = digits
    torch.jit.trace(model, torch.zeros(2, 1, 8, 8)).save(tmp_path / "traced.pt")
    mlc.ok("verify", path, "traced.pt", "--arch", DIGITS)
    torch.save({key: value * 1.1 for key, value in model.state_dict().items()}, tmp_path / "other.pt")
    assert mlc("verify", path, "other.pt", "--arch", DIGITS).rc == 1


@pytest.mark.parametrize(("spec", "said"), [
    ("image:f32[2,1,8,9]", "dimension 3: must be 8"),
    ("image:f32[2000,1,8,8]", "batch must be 1 to 1024"),
    ("image:f32[1,8,8]", "must have 4 dimensions"),
    ("image:i64[1,1,8,8]", "must be of type f32"),
])
@pytest.mark.parametrize("order", [1, -1])
def test_verify_compares_inputs_with_what_is_declared(mlc, tmp_path, digits, spec, said, order):
    """Before LibTorch is opened, whichever of both it is that declares."""
    path, model = digits
    torch.jit.trace(model, torch.zeros(2, 1, 8, 8)).save(tmp_path / "traced.pt")
    both = [path, tmp_path / "traced.pt"][::order]
    error = mlc("verify", *both, "--arch", DIGITS, "--input", spec, "--json", env={"MLC_TORCH_MODULE": "/nowhere"}).error
    assert error["kind"] == "usage" and said in error["message"]
    assert "image:f32[batch=1..1024,1,8,8]" in error["hint"]


RANGES = """mlc: architecture/1
name: net
inputs: ["x:f32[batch=1..16,seq=2..12,4]"]
outputs: [y]
modules:
  l: {type: Linear, in_features: 4, out_features: 3}
forward: |
  def forward(self, x: Tensor) -> Tensor:
      return self.l(x)
"""


@pytest.fixture
def ranges(tmp_path):
    write(tmp_path / "a.yaml", RANGES)
    torch.save({"l.weight": torch.randn(3, 4), "l.bias": torch.randn(3)}, tmp_path / "w.pt")


@pytest.mark.usefixtures("ranges")
@pytest.mark.parametrize("verb", ["export-onnx", "trace"])
@pytest.mark.parametrize(("spec", "said"), [
    ("x:f32[b=2,s=20,4]", "dimension 1: seq must be 2 to 12"),
    ("x:f32[b=1..32,s=3,4]", "dimension 0 may be batch=1..16, not b=1..32"),
    ("x:f32[b=2,s=1..3,4]", "dimension 1: seq must be 2 to 12"),
    ("x:f32[2,13,4]", "dimension 1: seq must be 2 to 12"),
    ("x:f32[b=2,3,d=4]", "dimension 2 must be 4 and cannot vary"),
    ("x:f32[b=2,4]", "must have 3 dimensions"),
    ("x:f64[b=2,3,4]", "must be of type f32"),
])
def test_sizes_beyond_those_declared_were_exported(mlc, tmp_path, onnx_checker, verb, spec, said):
    output = "o.onnx" if verb == "export-onnx" else "o.pt"
    error = mlc(verb, "w.pt", "--arch", "a.yaml", "-o", output, "--input", spec, "--json").error
    assert error["kind"] == "usage" and said in error["message"], error
    assert "x:f32[batch=1..16,seq=2..12,4]" in error["hint"]
    assert not (tmp_path / output).exists()


@pytest.mark.usefixtures("ranges", "onnx_checker", "onnxruntime_engine")
@pytest.mark.parametrize(("given", "sizes"), [
    ([], "batch=1..16, seq=2..12"),
    (["--input", "x:f32[b=2,s=3,4]"], "b=1..16, s=2..12"),
    (["--input", "x:f32[b=2..4,s=3,4]"], "b=2..4, s=2..12"),
    (["--input", "x:f32[3,s=12,4]"], "s=2..12"),
])
def test_an_export_has_the_ranges_that_are_declared(mlc, tmp_path, given, sizes):
    import onnx  # pylint: disable=import-outside-toplevel
    answer = mlc.ok("export-onnx", "w.pt", "--arch", "a.yaml", "-o", "o.onnx", "--json", *given).json
    assert {one.key: one.value for one in onnx.load(tmp_path / "o.onnx").metadata_props}["mlc.sizes"] == sizes
    tried = {one["case"].split(", ")[-1] for one in answer["cases"]}
    assert "s=1" not in tried and "s=25" not in tried
    assert ("s=11" in tried) == ("s=12" in str(given))


def test_verify_tries_no_size_beyond_what_is_declared(mlc, tmp_path, digits):
    path, model = digits
    text = DIGITS.read_text().replace("batch=1..1024", "batch=1..2")
    assert "batch=1..2," in text
    write(tmp_path / "a.yaml", text)
    torch.jit.trace(model, torch.zeros(2, 1, 8, 8)).save(tmp_path / "traced.pt")
    answer = mlc.ok("verify", path, "traced.pt", "--arch", "a.yaml", "--input", "image:f32[batch=1,1,8,8]", "--samples", 1, "--json").json
    assert [one["case"] for one in answer["cases"]] == ["seed 0", "seed 0, batch=2"]
    answer = mlc.ok("verify", path, "traced.pt", "--arch", "a.yaml", "--input", "image:f32[batch=2,1,8,8]", "--samples", 1, "--json").json
    assert [one["case"] for one in answer["cases"]] == ["seed 0"]


def test_bench_a_checkpoint_at_batch_sizes(mlc, digits):
    answer = mlc.ok("bench", digits[0], "--arch", DIGITS, "--runs", 3, "--warmup", 0, "--batch", 1, "--batch", 4, "--json").json
    assert [row["batch"] for row in answer["artefacts"]] == [1, 4]
    assert answer["inputs"] == ["image:f32[batch=1..1024,1,8,8]"]


# --- where the architecture comes from


def test_architecture_named_in_the_metadata(mlc, tmp_path, digits):
    mlc.ok("metadata", digits[0], "--set", "architecture=arch.yaml", "-o", "named.pt")
    result = mlc("run", "named.pt")
    assert result.rc == 3 and "arch.yaml" in result.stderr and "--arch" in result.stderr
    write(tmp_path / "arch.yaml", DIGITS.read_text())
    assert mlc.ok("run", "named.pt", "--json").json["inputs"][0]["name"] == "image"


@pytest.mark.parametrize("name", ["out.pt", "out.safetensors"])
@pytest.mark.parametrize("example", ["digits_cnn", "unet"])
def test_embedded_architecture_runs_as_its_file(mlc, tmp_path, name, example):
    torch.save(original(example).state_dict(), tmp_path / "m.pt")
    yaml_file = FOLDER / f"{example}.yaml"
    mlc.ok("save", "m.pt", "--arch", yaml_file, "-o", name)
    mlc.ok("run", "m.pt", "--arch", yaml_file, "-o", "a.npz")
    mlc.ok("run", name, "-o", "b.npz")
    # Where in the file a tensor lies decides how kernels add it up, in the last bits.
    torch.testing.assert_close(outputs(tmp_path / "a.npz"), outputs(tmp_path / "b.npz"))


def test_architecture_that_does_not_fit_is_not_embedded(mlc, tmp_path, digits):
    result = mlc("save", digits[0], "--arch", FOLDER / "lenet.yaml", "-o", "out.pt")
    assert result.rc == 1 and "Missing key(s) in state_dict" in result.stderr
    assert not (tmp_path / "out.pt").exists()


def test_torchscript_does_not_take_an_architecture(mlc, tmp_path, digits):
    torch.jit.trace(digits[1], torch.zeros(2, 1, 8, 8)).save(tmp_path / "traced.pt")
    assert mlc("run", "traced.pt", "--arch", DIGITS).rc == 2


def test_digits_model_has_the_accuracy_that_its_training_measured(mlc, root, valid):
    folder = root / "examples/digits"
    valid(yaml.safe_load((folder / "evaluate.yaml").read_text()), "architecture")
    mlc.ok("strip-module-prefix", folder / "digits.pt", "-o", "plain.pt")
    options = [text for name in ("image", "label") for text in ("--input", f"{name}=@{folder}/test.safetensors")]
    answer = mlc.ok("run", "plain.pt", "--arch", folder / "evaluate.yaml", *options, "--json").json
    accuracy, correct = [one["first"][0] for one in answer["outputs"]]
    measured = yaml.safe_load((folder / "digits.yaml").read_text())["training"]["metrics"]["test_accuracy"]
    assert round(accuracy, 4) == measured and correct == round(measured * 360)


# --- every module type


class Collection:
    """One architecture that holds many modules and calls each on inputs of its own."""

    def __init__(self):
        self.modules, self.state, self.inputs, self.calls, self.wanted = {}, {}, {}, [], []

    def argument(self, value):
        """VALUE as forward writes it; tensors become inputs."""
        if isinstance(value, tuple):
            return "(" + ", ".join(self.argument(one) for one in value) + ")"
        if not torch.is_tensor(value):
            return repr(value)
        name = f"t{len(self.inputs)}"
        self.inputs[name] = value.clone()
        return name

    def add(self, kind, case):
        arguments, *inputs = CASES[kind][case]
        spec = {"type": kind, **arguments}
        theirs = scrambled(from_nn(spec))
        name = f"m{len(self.modules)}"
        self.modules[name] = spec
        self.state |= {f"{name}.{key}": value.clone() for key, value in theirs.state_dict().items()}
        generator = torch.Generator().manual_seed(case)
        given = [made_input(one, generator) for one in inputs]
        self.calls.append(f"    {name} = self.{name}({', '.join(self.argument(one) for one in given)})\n")
        # The collection holds recurrent layers, and such a model runs without oneDNN, whose
        # convolutions round otherwise.
        with torch.no_grad(), torch.backends.mkldnn.flags(enabled=False):
            self.wanted.append((f"{kind} {case}", [one for one in script_modules.flat(theirs(*given)) if one is not None]))

    def write(self, folder):
        document = {"mlc": "architecture/1", "modules": self.modules}
        head = f"  def forward(self, {', '.join(self.inputs)}):\n"
        text = yaml.safe_dump(document, sort_keys=False) + "forward: |\n" + head + "".join(self.calls)
        write(folder / "a.yaml", text + f"    return ({', '.join(self.modules)},)\n")
        torch.save(self.state, folder / "m.pt")
        torch.save(self.inputs, folder / "inputs.pt")


ALL_CASES = [(kind, case) for kind in sorted(CASES) for case in range(len(CASES[kind]))]
GROUPS = 4


def collected(tmp_path, group):
    collection = Collection()
    for kind, case in ALL_CASES[group::GROUPS]:
        collection.add(kind, case)
    collection.write(tmp_path)
    return collection, [text for name in collection.inputs for text in ("--input", f"{name}=@inputs.pt")]


def assert_outputs(label, ours, wanted):
    assert len(ours) == len(wanted), label
    for one, other in zip(ours, wanted):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6, msg=lambda text: f"{label}: {text}")


@pytest.mark.parametrize("group", range(GROUPS))
def test_module_types_compute_what_torch_nn_does(mlc, tmp_path, group):
    collection, options = collected(tmp_path, group)
    mlc.ok("run", "m.pt", "--arch", "a.yaml", *options, "-o", "o.pt")
    found = torch.load(tmp_path / "o.pt")
    for i, (label, wanted) in enumerate(collection.wanted):
        ours = [tensor for name, tensor in found.items() if name == f"output.{i}" or name.startswith(f"output.{i}.")]
        assert_outputs(label, ours, wanted)


@pytest.mark.parametrize("group", range(GROUPS))
def test_python_loads_the_traces_of_module_types(mlc, tmp_path, group):
    collection, options = collected(tmp_path, group)
    for method in ("script", "trace"):
        mlc.ok("trace", "m.pt", "--arch", "a.yaml", "--method", method, *options, "-o", "t.pt", "--force")
        made = torch.jit.load(str(tmp_path / "t.pt"))
        assert sorted(made.state_dict()) == sorted(collection.state)
        with torch.no_grad(), torch.backends.mkldnn.flags(enabled=False):
            found = made(*torch.load(tmp_path / "inputs.pt").values())
        for (label, wanted), ours in zip(collection.wanted, found, strict=True):
            assert_outputs(label, [one for one in script_modules.flat(ours) if one is not None], wanted)


# --- what newcomers met


@pytest.mark.parametrize(("last", "column", "said"), [
    ("retrun y", 7, "this is no statement"), ("foo bar", 7, "this is no statement"),
    ("return y(", 16, "this is not finished"), ("z = y +", 14, "this is not finished"), ("if y:", 12, "this is not finished"),
    ("return y)", 15, "expected the end of the line but found ')'"),
])
def test_a_line_that_is_no_python_pointed_at_the_first_line_of_the_file(mlc, tmp_path, last, column, said):
    save_small(tmp_path)
    text = small("  def forward(self, x: Tensor) -> Tensor:\n      y = self.fc(x)\n      " + last + "\n")
    write(tmp_path / "a.yaml", text)
    line = text.split("\n").index("      " + last) + 1
    result = mlc("run", "m.pt", "--arch", "a.yaml", "--input", "x:f32[2,3]")
    assert result.rc == 2 and f"a.yaml:{line}:{column}: {said}" in result.stderr, result.stderr


def test_outputs_of_an_architecture_were_not_called_as_it_says(mlc, tmp_path):
    save_small(tmp_path)
    pair = "  def forward(self, x: Tensor) -> Tuple[Tensor, Tensor]:\n      y = self.fc(x)\n      return (y, x)\n"
    write(tmp_path / "a.yaml", small(pair, outputs=["logits", "same"]))
    mlc.ok("run", "m.pt", "--arch", "a.yaml", "--input", "x:f32[2,3]", "-o", "o.npz")
    assert np.load(tmp_path / "o.npz").files == ["logits", "same"]
    write(tmp_path / "b.yaml", small(pair, outputs=["logits"]))
    result = mlc("run", "m.pt", "--arch", "b.yaml", "--input", "x:f32[2,3]")
    assert result.rc == 2 and "declares 1 output (logits), and forward gives 2" in result.stderr
    write(tmp_path / "c.yaml", small(pair, outputs=["a", "a"]))
    result = mlc("run", "m.pt", "--arch", "c.yaml", "--input", "x:f32[2,3]")
    assert result.rc == 2 and 'two outputs are called "a"' in result.stderr


def test_an_architecture_without_tensors_did_not_run_from_its_state_dict(mlc, tmp_path):
    torch.save({}, tmp_path / "m.pt")
    write(tmp_path / "a.yaml", "mlc: architecture/1\ninputs: ['x:f32[2]']\nforward: |\n  def forward(self, x: Tensor) -> Tensor:\n      return x + 1\n")
    mlc.ok("load", "m.pt", "--expect", "a.yaml")
    mlc.ok("run", "m.pt", "--arch", "a.yaml")


# --- what TorchScript lacks of Python


@pytest.mark.parametrize("context", ["torch.no_grad()", "torch.inference_mode()", "torch.set_grad_enabled(False)"])
def test_contexts_without_gradients_do_nothing(mlc, tmp_path, context):
    """`with torch.no_grad():`, as many a forward has it, was "torch has no no_grad"."""
    fc = save_small(tmp_path)
    body = f"    with {context}:  # frozen\n        y = x + 1\n        if y.dim() == 2:\n            y = y * 2\n    return self.fc(y)\n"
    x = torch.randn(2, 3)
    torch.testing.assert_close(run_body(mlc, tmp_path, body, x)[0], fc((x + 1) * 2).detach())
    write(tmp_path / "a.yaml", small("  @torch.no_grad()\n  def forward(self, x):\n    return self.fc(x)\n"))
    mlc.ok("run", "m.pt", "--arch", "a.yaml", "--input", "x:f32[1,3]")


def test_columns_behind_a_dropped_context_stay(mlc, tmp_path):
    save_small(tmp_path)
    text = small("  def forward(self, x):\n    with torch.no_grad(): y = z\n    return y\n")
    write(tmp_path / "a.yaml", text)
    row = next(i for i, line in enumerate(text.splitlines(), 1) if "with" in line)
    column = text.splitlines()[row - 1].index("z") + 1
    result = mlc("run", "m.pt", "--arch", "a.yaml", "--input", "x:f32[1,3]")
    assert f"a.yaml:{row}:{column}: no such name: z" in result.stderr


@pytest.mark.parametrize(("body", "mark", "said"), [
    ("    s = f\"{x.size(0)}\"\n", "f\"", "no f-strings"),
    ("    assert x.dim() == 2, f'{x.shape}'\n", "f'", "no f-strings"),
    ("    f = lambda y: y + 1\n", "lambda", "no lambda"),
    ("    import numpy\n", "import", "math are there already"),
    ("    from math import sqrt\n", "from", "math are there already"),
    ("    y = [x[i] for i in range(2) if i > 0]\n", "if i", "with a condition"),
    ("    y = [a + b for a in [x] for b in [x, x]]\n", "for b", "with two loops"),
    ("    y = {k: v for k, v in [('a', x)]}\n", "for k", "over pairs"),
    ("    y = sum(v for v in [x, x])\n", "for v", "no generators"),
    ("    y = {1, 2}\n", "{1", "no sets"),
    ("    n = 1_000\n    x = x * n\n", "_000", "no _ in numbers"),
    ("    y = x.mean(axis=0)\n", "axis", "PyTorch's own name of it is dim"),
    ("    y = f(+x)\n", "+x", "no + before a value"),
    ("    try:\n        x = x + 1\n    except RuntimeError:\n        x = x\n", "try", "no try"),
    ("    if (n := x.size(0)) > 1:\n        x = x + n\n", ":=", "no :="),
    ("    y = torch.add(x, x, **{'alpha': 2})\n", "**", "by name"),
    ("    global z\n", "global", "no global"),
    ("    with torch.autocast('cpu'):\n        x = x + 1\n", "torch.autocast", "--dtype bf16"),
    ("    y = np.array(x)\n", "np", "NumPy is not here"),
    ("    y = super().forward(x)\n", "super", "self.name(x)"),
    ("    del x[0]\n", "del", "an element out of a list or a dict"),
    ("    a = [1, 2]; a[0:1] = [7]\n", "[0:1]", "make a new list of its parts"),
    ("    y = F.interpolate(3)\n", "F.inter", " -> Tensor or interpolate(Tensor input"),
])
def test_python_that_torchscript_lacks_is_told_by_its_name(mlc, tmp_path, body, mark, said):
    save_small(tmp_path)
    text = small("  def forward(self, x):\n" + body + "    return self.fc(x)\n")
    write(tmp_path / "a.yaml", text)
    row = next(i for i, line in enumerate(text.splitlines(), 1) if mark in line and i > 4)
    column = text.splitlines()[row - 1].index(mark) + 1
    result = mlc("run", "m.pt", "--arch", "a.yaml", "--input", "x:f32[1,3]")
    assert result.rc == 2 and f"a.yaml:{row}:{column}: " in result.stderr and said in result.stderr


# --- errors of a run


@pytest.mark.parametrize(("body", "mark", "said", "code"), [
    ("    y = self.fc(x)\n    return y.reshape(7, 7)\n", "y.reshape", "shape '[7, 7]' is invalid", 2),
    ("    return self.fc(x[0, :2])\n", "self.fc(x", "cannot be multiplied", 2),
    ("    raise ValueError(\"no {}\".format(x.size(0)))\n", "raise", "no 1", 2),
    ("    return x.to(\"cuda:0\")\n", "x.to", "cuda", 4),
    ("    return self.helper(x)\n\n  def helper(self, x):\n    return x[5]\n", "x[5]", "out of range", 2),
])
def test_errors_of_a_run_point_into_the_yaml(mlc, tmp_path, body, mark, said, code):
    """They were told without the line of forward at which they happened."""
    save_small(tmp_path)
    text = small("  def forward(self, x):\n" + body)
    write(tmp_path / "a.yaml", text)
    row = next(i for i, line in enumerate(text.splitlines(), 1) if mark in line)
    column = text.splitlines()[row - 1].index(mark) + 1
    result = mlc("run", "m.pt", "--arch", "a.yaml", "--input", "x:f32[1,3]")
    assert result.rc == code and f"a.yaml:{row}:{column}: " in result.stderr and said in result.stderr
    caret = result.stderr.splitlines().index("  " + text.splitlines()[row - 1]) + 1
    assert result.stderr.splitlines()[caret] == " " * (column + 1) + "^"
    for raw in ("__torch__", "HERE", "Traceback", "<string>"):
        assert raw not in result.stderr
    verified = mlc("verify", "m.pt", "m.pt", "--arch", "a.yaml", "--input", "x:f32[1,3]")
    assert verified.rc == code and f"a.yaml:{row}:{column}: " in verified.stderr


# --- architectures in the metadata


@pytest.fixture
def embedded(mlc, tmp_path):
    """m.pt, which runs by itself."""
    fc = save_small(tmp_path)
    write(tmp_path / "a.yaml", small("  def forward(self, x):\n    return self.fc(x)\n", inputs=["x:f32[1,3]"]))
    (tmp_path / "m.pt").rename(tmp_path / "plain.pt")
    mlc.ok("save", "plain.pt", "--arch", "a.yaml", "-o", "m.pt")
    return fc


def test_forward_that_does_not_compile_is_not_put_into_a_file(mlc, tmp_path):
    """It was, and the first run of the file failed."""
    save_small(tmp_path)
    write(tmp_path / "a.yaml", small("  def forward(self, x):\n    return self.fd(x)\n"))
    result = mlc("save", "m.pt", "--arch", "a.yaml", "-o", "out.pt")
    assert result.rc == 2 and "a.yaml:6:12: " in result.stderr and "did you mean fc?" in result.stderr
    assert not (tmp_path / "out.pt").exists()


def test_forward_that_nobody_could_compile_is_said_to_be(mlc, tmp_path, embedded):
    result = mlc.ok("save", "plain.pt", "--arch", "a.yaml", "-o", "out.pt", env={"MLC_TORCH_MODULE": "/nowhere"})
    assert "the forward of a.yaml was not compiled" in result.stderr
    write(tmp_path / "b.yaml", small("").replace("forward: |\n", ""))
    assert "has no forward" in mlc.ok("save", "plain.pt", "--arch", "b.yaml", "-o", "b.pt").stderr


@pytest.mark.parametrize("verb", [("remap-keys", "--map", "fc=head"), ("save", "--exclude", "fc.bias"),
                                  ("strip-module-prefix", "--add", "module."), ("remap-keys", "--map", "fc=head", "--dry-run")])
@pytest.mark.usefixtures("embedded")
def test_an_architecture_that_new_keys_do_not_fit_is_told(mlc, verb):
    """The file kept it without a word, and did not run any more."""
    result = mlc.ok(verb[0], "m.pt", *verb[1:], "-o", "out.pt")
    assert "the architecture in the metadata does not fit these keys" in result.stderr and "--arch NEW.yaml" in result.stderr


@pytest.mark.usefixtures("embedded")
def test_an_architecture_that_still_fits_is_not_spoken_of(mlc):
    for verb in (["save", "m.pt", "--dtype", "bf16"], ["remap-keys", "m.pt", "--regex", "s/nothing/else/"]):
        assert "architecture" not in mlc.ok(*verb, "-o", "out.pt", "--force").stderr
    mlc.ok("strip-module-prefix", "m.pt", "--add", "module.", "-o", "ddp.pt")
    assert "architecture" not in mlc.ok("strip-module-prefix", "ddp.pt", "-o", "back.pt").stderr
    mlc.ok("run", "back.pt")


@pytest.mark.usefixtures("embedded")
def test_strict_rules_do_not_part_keys_from_their_architecture(mlc, tmp_path):
    result = mlc("remap-keys", "m.pt", "--map", "fc=head", "--strict", "-o", "out.pt")
    assert result.rc == 1 and 'Missing key(s) in state_dict: "fc.weight"' in result.stderr
    assert not (tmp_path / "out.pt").exists()


@pytest.mark.usefixtures("embedded")
def test_the_ways_out_that_a_stale_architecture_names_are_there(mlc, tmp_path):
    """The warning named an option that `mlc metadata` does not have."""
    said = mlc.ok("remap-keys", "m.pt", "--map", "fc=head", "-o", "out.pt").stderr
    assert "`mlc metadata FILE --remove architecture`" in said and "`mlc save FILE --arch NEW.yaml`" in said
    mlc.ok("metadata", "out.pt", "--remove", "architecture", "-o", "plain2.pt")
    assert "architecture" not in mlc.ok("save", "plain2.pt", "--weights-only", "-o", "again.pt").stderr
    write(tmp_path / "b.yaml", (tmp_path / "a.yaml").read_text().replace("fc", "head"))
    mlc.ok("save", "out.pt", "--arch", "b.yaml", "-o", "new.pt")
    mlc.ok("run", "new.pt")


@pytest.mark.parametrize("forward", [" + ".join(["x"] * 20_000), "(" * 3000 + "x" + ")" * 3000],
                         ids=["operators", "brackets"])
def test_a_long_expression_ended_the_process(mlc, tmp_path, forward):
    save_small(tmp_path)
    write(tmp_path / "a.yaml", small(f"  def forward(self, x):\n      y = self.fc(x)\n      return {forward}\n",
                                     inputs=["x:f32[batch=2,3]"]))
    result = mlc("run", tmp_path / "m.pt", "--arch", tmp_path / "a.yaml")
    assert result.rc == 2
    assert "deep, and no more than 1,000 can be compiled" in result.stderr
    assert result.stderr.startswith(f"mlc: error: {tmp_path}/a.yaml:8:"), result.stderr[:200]


def test_a_form_in_half_precision_was_not_comparable_with_its_source(mlc, tmp_path, digits):
    source = (digits[0], "--arch", DIGITS)
    forms = []
    for dtype, more in (("bf16", ()), ("fp16", ()), ("bf16", ("--freeze",))):
        forms.append(tmp_path / f"{len(forms)}.pt")
        mlc.ok("trace", *source, "--dtype", dtype, *more, "-o", forms[-1])
    for form in forms:
        assert "the same in" in mlc.ok("verify", *source, form, "--min-cosine", "0.999").stdout
        assert "the same in" in mlc.ok("verify", form, *source, "--min-cosine", "0.999").stdout
    rows = mlc.ok("bench", *source, *forms, "--runs", "10", "--json").json["artefacts"]
    assert len(rows) == 4
    assert len(mlc.ok("bench", forms[0], *source, "--runs", "10", "--json").json["artefacts"]) == 2


def test_a_second_forward_pointed_at_the_first_line_of_the_file(mlc, tmp_path):
    save_small(tmp_path)
    text = small("  def forward(self, x):\n      return self.fc(x)\n\n  def forward(self, x):\n      return x\n", inputs=["x:f32[1,3]"])
    line = [i for i, one in enumerate(text.splitlines(), 1) if "def forward" in one][1]
    write(tmp_path / "a.yaml", text)
    result = mlc("run", tmp_path / "m.pt", "--arch", tmp_path / "a.yaml")
    assert result.rc == 2
    assert result.stderr.startswith(f'mlc: error: {tmp_path}/a.yaml:{line}:7: there is a method "forward" before')


@pytest.mark.parametrize("call, hint", [("torch.ops.foo.bar", "which mlc does not load"),
                                        ("torch.ops.aten.rellu", "did you mean torch.ops.aten.relu?"),
                                        ("torch.ops.quantized.cad", "did you mean torch.ops.quantized.cat?")])
def test_operators_of_a_namespace_are_proposed_from_it(mlc, tmp_path, call, hint):
    save_small(tmp_path)
    write(tmp_path / "a.yaml", small(f"  def forward(self, x):\n      y = self.fc(x)\n      return {call}(x)\n",
                                     inputs=["x:f32[1,3]"]))
    result = mlc("run", tmp_path / "m.pt", "--arch", tmp_path / "a.yaml")
    assert result.rc == 2
    assert hint in result.stderr.splitlines()[-1], result.stderr


# --- lists of modules


BLOCKS = """mlc: architecture/1
modules:
  a: {repeat: 3, type: Linear, in_features: 3, out_features: 3}
  b: {repeat: 2, type: Linear, in_features: 3, out_features: 3}
forward: |
  def forward(self, x):
"""


class Blocks(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.a = torch.nn.ModuleList(torch.nn.Linear(3, 3) for _ in range(3))
        self.b = torch.nn.ModuleList(torch.nn.Linear(3, 3) for _ in range(2))


@pytest.mark.parametrize("body", [
    "for i in range(3):\n    st = self.a[i]\n    x = st(x) * i\nreturn x",
    "for i in range(len(self.a)):\n    x = self.a[i](x)\n    if i < len(self.a) - 1:\n        x = self.b[i](x)\n    else:\n        x = x * 2\nreturn x",
    "for i in range(len(self.a) - 1, -1, -1):\n    if i == 0:\n        x = self.a[i](x)\n    elif i > 1:\n        x = self.a[i - 1](x) + self.a[i](x)\nreturn x",
    "for i, layer in enumerate(self.b):\n    x = layer(x) + self.a[i + 1](x)\nreturn x",
    "for i in range(2):\n    for j in range(2):\n        x = self.a[i + 1](x) - self.b[j](x)\nreturn x",
    "for layer in reversed(self.a):\n    x = layer(x) * 2 + 1\nreturn x",
    "return torch.stack([layer(x) + 1 for layer in self.a])",
    "ys = [f(x) - g(x) for f, g in zip(self.a, self.b)]\nfor y in ys:\n    x = x + y\nreturn x",
    "for layer in self.b.children():\n    x = layer(x)\nreturn x",
    "n = 0\nfor i in range(3):\n    n = n + i\nreturn self.a[2](x) * n",
    "a = self.a[0](x); b = self.b[1](a) ; x = a * b;\nreturn x  # a; b",
    "s = 'a; b'; n = len(s)\nreturn self.a[0](x) * n",
    "if x.size(0) > 7: return x\nelif x.size(0) > 1: x = x + 1; x = x * 2\nelse: x = x - 1\nreturn x",
    "for i in range(3): x = x + i  # of all\nwhile x.sum() < 9: x = x + 1\nreturn x",
    "for layer in self.a: x = layer(x)\nfor i in range(2): x = self.b[i](x)\nreturn x",
    "d = {'a': x}\nfor k, v in d.items(): x = x + {'a': v}[k]\nreturn x if x.size(0) == 2 else x[:, 1:]",
    "with torch.no_grad(): x = x + 1\nreturn x",
    "for i in range(2):\n    x = self.a[i](x)\n    zs = [x * i for i in range(i + 2)]\n    x = x + zs[-1]\nreturn x",
    "for i in range(2):\n    x = self.a[i](x)\n    d = {i: x * i for i in [1, 2]}\n    x = x + d[2] * i\nreturn x",
    "for b in self.b:\n    x = b(x)\n    x = x + [b * 2 for b in [x, x]][0]\nreturn x",
])
def test_modules_were_not_indexed_by_the_number_of_a_loop(mlc, tmp_path, body):
    """`self.stages[i]` was "'ModuleList' object has no attribute or method '__getitem__'"; ';' was no token."""
    write(tmp_path / "a.yaml", BLOCKS + "".join(f"      {line}\n" for line in body.split("\n")))
    torch.manual_seed(2)
    model = Blocks()
    torch.save(model.state_dict(), tmp_path / "m.pt")
    x = torch.randn(2, 3)
    np.save(tmp_path / "x.npy", x.numpy())
    scope = {"torch": torch}
    exec("def forward(self, x):\n" + "".join(f"    {line}\n" for line in body.split("\n")), scope)  # noqa: S102
    mlc.ok("run", "m.pt", "--arch", "a.yaml", "--input", "x=@x.npy", "-o", "o.npz")
    with torch.no_grad():
        torch.testing.assert_close(outputs(tmp_path / "o.npz")[0], scope["forward"](model, x))


@pytest.mark.parametrize("body, line, column, said", [
    ("n = x.size(0)\nfor i in range(n):\n    x = self.a[i](x)\nreturn x", 3, 9, "indexed by what is known before the run"),
    ("i = 1\nreturn self.a[i](x)", 2, 8, "indexed by what is known before the run"),
    ("for i in range(3):\n    i = i * 1\n    x = self.a[i](x)\nreturn x", 3, 9, "indexed by what is known before the run"),
    ("for i in range(3):\n    x = self.b[i](x)\nreturn x", 2, 9, "the list has no such module"),
    ("return self.b[2](x)", 1, 8, "index 2 is outside of b, which has 2 modules"),
    ("x = x + 1\nreturn self.a(x)", 2, 8, "{type: Sequential, modules: [...]} can be called"),
    ("for layer in self:\n    x = layer(x)\nreturn x", 1, 1, "self.children()"),
    ("for i in range(2):\n    x = self.a[i](x)\n    y = [self.a[i](x) for i in range(3)]\nreturn x", 3, 10, "indexed by what is known before the run"),
    ("for b in self.a:\n    x = b(x)\nelse:\n    x = x * 2\nreturn x", 3, 1, "no else behind a loop"),
    ("for i in range(2):\n    x = self.a[i](x)\n# of the loop\nelse: x = x * 2\nreturn x", 4, 1, "no else behind a loop"),
    ("while x.sum() < 3:\n    x = x + 1\nelse:\n    x = x * 2\nreturn x", 3, 1, "no else behind a loop"),
    ("for b in self.a:\n    x = b(x)\nreturn b(x)", 3, 8, "gone behind it"),
    ("for j, (k, i) in enumerate(zip([1], [2])):\n    x = x + i\nreturn x + i", 3, 12, "keep its value under another name"),
    ("y = x + 1; return self.c(y)", 1, 19, "has no attribute or method 'c'"),
    ("y = x + 1; z = self.a[3](y)\nreturn z", 1, 16, "index 3 is outside of a"),
])
def test_modules_that_no_index_reaches_are_told_with_a_hint(mlc, tmp_path, body, line, column, said):
    write(tmp_path / "a.yaml", BLOCKS + "".join(f"      {line}\n" for line in body.split("\n")))
    torch.save(Blocks().state_dict(), tmp_path / "m.pt")
    result = mlc("run", "m.pt", "--arch", "a.yaml", "--input", "x:f32[2,3]")
    first = len(BLOCKS.split("\n"))
    assert result.rc == 2 and said in result.stderr and "^" in result.stderr, result.stderr
    assert f"a.yaml:{first + line - 1}:{column + 6}: " in result.stderr, result.stderr


def test_a_class_could_not_be_a_sequential(mlc, tmp_path):
    text = """mlc: architecture/1
modules:
  body: {repeat: 2, type: Block, width: 3}
classes:
  Block:
    type: Sequential
    parameters: {width: int, wide: {type: bool, default: true}}
    modules:
      - {type: Linear, in_features: $width, out_features: $width}
      - {type: Tanh}
      - {when: $wide, type: Linear, in_features: $width, out_features: $width}
forward: |
  def forward(self, x):
      for block in self.body:
          x = block(x)
      for layer in self.body[0]:
          x = layer(x)
      return self.body[1][2](x)
"""
    write(tmp_path / "a.yaml", text)
    block = lambda: torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Tanh(), torch.nn.Linear(3, 3))
    model = torch.nn.ModuleDict({"body": torch.nn.ModuleList([block(), block()])})
    torch.save(model.state_dict(), tmp_path / "m.pt")
    mlc.ok("load", "m.pt", "--expect", "a.yaml")
    x = torch.randn(2, 3)
    np.save(tmp_path / "x.npy", x.numpy())
    mlc.ok("run", "m.pt", "--arch", "a.yaml", "--input", "x=@x.npy", "-o", "o.npz")
    with torch.no_grad():
        first, second = model["body"]
        torch.testing.assert_close(outputs(tmp_path / "o.npz")[0], second[2](first(second(first(x)))))
    for before, after, said in [
        ("    type: Sequential\n", "    type: ModuleList\n", "its type can be Sequential, or nothing; a module of it has type: Block"),
        ("    type: Sequential\n", "", "a list goes with `type: Sequential`"),
        ("    type: Sequential\n", "    type: Sequential\n    forward: x\n", "forward"),
    ]:
        write(tmp_path / "b.yaml", text.replace(before, after))
        result = mlc("load", "m.pt", "--expect", "b.yaml")
        assert result.rc == 2 and said in result.stderr, result.stderr


# --- what was refused without a way out


@pytest.mark.parametrize("text, said", [
    ("modules:\n  c: {type: Conv2d, in_channels: 1, out_channels: 2, kernel_size: (3, 3)}\n", "YAML has no tuples: write a list, kernel_size: [3, 3]"),
    ("modules:\n  c: {type: Conv3d, in_channels: 1, out_channels: 2, kernel_size: (3, 2, 1), stride: 1}\n", "write a list, kernel_size: [3, 2, 1]"),
    ("modules:\n  c:\n    type: Conv2d\n    in_channels: 1\n    out_channels: 2\n    kernel_size: (3, 5)\n", "write a list, kernel_size: [3, 5]"),
    ("parameters: {w: {shape: [2], init: {constant: 0.1}}}\n", "a number for all values (init: 0.1)"),
    ("parameters: {w: {shape: [2], init: constant}}\n", "a number for all values (init: 0.1)"),
    ("modules:\n  s:\n    type: Sequential\n    modules:\n      - {type: ReLU}\n      - {type: Linear, in_features: 2, out_features: 2\n      - {type: ReLU}\n  t: {type: ReLU}\nforward: |\n  def forward(self, x):\n      return x\n",
     "a.yaml:7:9: this bracket is not closed in its line"),
    ("modules:\n  s: {type: Linear, in_features: 2, out_features: 2\n\n  t: {type: ReLU}\nforward: |\n  def forward(self, x):\n      return x\n",
     "a.yaml:3:6: this bracket is not closed in its line"),
    ("modules:\n  s: {type: Linear,\n      in_features: 2 out_features: 2}\n", "a.yaml:4:34: "),
    ("modules: {a: {type: ReLU}}\nforward: |\n  def forward(self, x):\n      y = self.a(x)\n", "a.yaml:4:3: forward returns nothing\n"),
    ("modules: [{type: ReLU}]\n", "a list goes with `type: Sequential`"),
])
def test_slips_in_an_architecture_were_told_without_a_way_out(mlc, tmp_path, text, said):
    write(tmp_path / "a.yaml", "mlc: architecture/1\n" + text)
    torch.save({}, tmp_path / "m.pt")
    result = mlc("run", "m.pt", "--arch", "a.yaml", "--input", "x:f32[2]")
    assert result.rc == 2 and said in result.stderr, result.stderr


def test_a_file_of_another_type_was_refused_without_a_way_out(mlc, tmp_path):
    save_small(tmp_path)
    write(tmp_path / "a.yaml", small("  def forward(self, x):\n    return self.fc(x)\n", inputs=["x:f32[batch=2,3]"]))
    for dtype in ("float64", "uint8"):
        np.save(tmp_path / "x.npy", np.zeros((2, 3), dtype))
        result = mlc("run", "m.pt", "--arch", "a.yaml", "--input", "x=@x.npy")
        assert result.rc == 2 and 'a file has to hold that type: x.astype("float32") in numpy' in result.stderr


def test_a_quantised_file_with_its_architecture_did_not_say_why_it_cannot_run(mlc, tmp_path):
    torch.save({"fc.weight": torch.randn(64, 64), "fc.bias": torch.zeros(64)}, tmp_path / "m.pt")
    text = ("mlc: architecture/1\nname: one_layer\ninputs: ['x:f32[batch=2,64]']\nmodules: {fc: {type: Linear, in_features: 64, out_features: 64}}\n"
            "forward: |\n  def forward(self, x):\n      return self.fc(x)\n")
    write(tmp_path / "a.yaml", text)
    mlc.ok("save", "m.pt", "--arch", "a.yaml", "-o", "given.pt")
    assert "metadata.architecture" not in mlc.ok("load", "m.pt", "--summary").stdout
    shown = mlc.ok("load", "given.pt", "--summary").stdout
    assert "without a name; has architecture" in shown and "(no name)" not in shown
    assert "one_layer, takes x:f32[batch=2,64]; `mlc run` runs it" in shown
    result = mlc.ok("quantize", "given.pt", "-o", "q8.pt", "--min-elements", "1")
    assert "its architecture runs with what `mlc dequantize` makes of it" in result.stderr
    assert "`mlc run` runs what `mlc dequantize` makes of it" in mlc.ok("load", "q8.pt", "--summary").stdout
    result = mlc("run", "q8.pt")
    assert result.rc != 0 and "q8.pt: is quantised" in result.stderr and "`mlc dequantize q8.pt -o FILE`" in result.stderr
    mlc.ok("dequantize", "q8.pt", "-o", "back.pt")
    mlc.ok("run", "back.pt")
    assert "mlc run" not in mlc.ok("quantize", "given.pt", "-o", "half.pt", "--scheme", "fp16").stderr
    mlc.ok("run", "half.pt")


STEPPER = """mlc: architecture/1
inputs: ["x:f32[2,3]"]
classes:
  Stepper:
    modules:
      fc: {type: Linear, in_features: 3, out_features: 3}
    forward: |
      def step(self, x):
          return self.fc(x) + 1
modules:
  decoder: {type: Stepper}
forward: |
  def forward(self, x):
      for i in range(3): x = self.decoder.step(x)
      return x
"""


def test_a_class_without_forward_was_refused(mlc, tmp_path):
    (tmp_path / "a.yaml").write_text(STEPPER)
    layer = torch.nn.Linear(3, 3)
    torch.save({f"decoder.fc.{name}": value for name, value in layer.state_dict().items()}, tmp_path / "m.pt")
    x = torch.randn(2, 3)
    np.save(tmp_path / "x.npy", x.numpy())
    mlc.ok("run", "m.pt", "--arch", "a.yaml", "--input", "x=@x.npy", "-o", "o.npz")
    for _ in range(3):
        x = layer(x) + 1
    torch.testing.assert_close(outputs(tmp_path / "o.npz")[0], x.detach())
    (tmp_path / "b.yaml").write_text(STEPPER.replace("def forward(", "def other("))
    assert "forward has no method" in mlc("run", "m.pt", "--arch", "b.yaml", "--input", "x=@x.npy").stderr


SAME_SIZES = """mlc: architecture/1
buffers: {one: {shape: [1]}}
inputs: ["a:f32[b=2,s=4]", "m:f32[b,s]"%s]
forward: |
  def forward(self, a: Tensor, m: Tensor) -> Tensor:
      return (a * m).sum(1)
"""


def test_sizes_that_other_inputs_have_wanted_a_number_in_the_yaml(mlc, tmp_path):
    torch.save({"one": torch.zeros(1)}, tmp_path / "w.pt")
    (tmp_path / "a.yaml").write_text(SAME_SIZES % "")
    assert mlc.ok("run", "w.pt", "--arch", "a.yaml", "--json").json["outputs"][0]["shape"] == [2]
    mlc.ok("trace", "w.pt", "--arch", "a.yaml", "-o", "t.pt")
    (tmp_path / "a.yaml").write_text(SAME_SIZES % ', "n:f32[b,q]"')
    done = mlc("run", "w.pt", "--arch", "a.yaml")
    assert done.rc == 2 and "a.yaml:3:" in done.stderr and "dimension q needs a size" in done.stderr


def test_parameters_in_a_list_and_modules_with_dots_have_a_way(mlc, tmp_path):
    torch.save({"one": torch.zeros(1)}, tmp_path / "w.pt")
    head = "mlc: architecture/1\n"
    for text, says in (("modules: {s: {type: ParameterList}}", "getattr(self.scales, '0')"),
                       ("modules: {layers.0: {type: ReLU}}", "layers: [{type: Linear, ...}, {type: ReLU}]"),
                       ("parameters: {scale: [1]}", "{shape: [10]}")):
        (tmp_path / "a.yaml").write_text(head + text + "\n")
        done = mlc("load", "w.pt", "--expect", "a.yaml")
        assert done.rc == 2 and says in done.stderr, done.stderr


CACHED = """mlc: architecture/1
buffers: {one: {shape: [1]}}
inputs: ["x:f32[b=2,s=3]", "past:f32[b,p=4]", "mask:f32[b,p+s]"]
forward: |
  def forward(self, x: Tensor, past: Tensor, mask: Tensor) -> Tensor:
      return (torch.cat([past, x], 1) * mask).sum(1)
"""


def test_an_architecture_could_not_declare_the_mask_of_a_cache(mlc, tmp_path):
    torch.save({"one": torch.zeros(1)}, tmp_path / "w.pt")
    (tmp_path / "a.yaml").write_text(CACHED)
    mlc.ok("run", "w.pt", "--arch", "a.yaml")
    done = mlc.ok("trace", "w.pt", "--arch", "a.yaml", "-o", "t.pt")
    assert "p=5" in done.stdout and "s=4" in done.stdout
    wrong = ["--input", "x:f32[2,5]", "--input", "past:f32[2,4]", "--input", "mask:f32[2,8]"]
    done = mlc("run", "w.pt", "--arch", "a.yaml", *wrong)
    assert done.rc == 2 and "dimension 1: p+s is 9" in done.stderr and "mask:f32[b=2,p+s]" in done.stderr
    mlc.ok("run", "w.pt", "--arch", "a.yaml", *wrong[:-1], "mask:f32[2,9]")
    done = mlc("trace", "w.pt", "--arch", "a.yaml", "-o", "u.pt", "--input", "x:f32[b=2,s=3]", "--input", "past:f32[b,p=4]", "--input", "mask:f32[b,q=7]")
    assert done.rc == 2 and "is p+s, no size of its own" in done.stderr
