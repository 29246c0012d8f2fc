"""Architecture YAML against torch.nn: every module type has its tensors, order and outputs."""

import inspect
import json
import subprocess
import warnings

import pytest
import torch
import yaml
from torch import nn

import script_modules
from module_cases import CASES

TYPES = sorted(CASES)
# PyTorch warns of what it deprecates and of paths it does not take; neither is of interest here.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def from_nn(arguments):
    """The module of torch.nn that a mapping of the YAML describes."""
    arguments = dict(arguments)
    kind = getattr(nn, arguments.pop("type"))
    for name, value in arguments.items():
        if isinstance(value, dict):
            arguments[name] = from_nn(value)
        elif isinstance(value, list):
            arguments[name] = tuple(value)
        elif name == "dtype":
            arguments[name] = getattr(torch, value)
    return kind(**arguments)


def scrambled(module):
    """Other values than the initial zeros and ones, so that a swapped tensor is seen."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if tensor.is_floating_point():
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + (0.5 if "var" in name else -0.4))
    return module.eval()


def made_input(given, generator):
    if isinstance(given, tuple) and given and all(isinstance(size, int) for size in given):
        return torch.randn(given, generator=generator)
    return given


def write_module(tmp_path, spec):
    path = tmp_path / "arch.yaml"
    path.write_text(yaml.safe_dump({"mlc": "architecture/1", "modules": {"m": spec}}, sort_keys=False))
    return path


def rows(state):
    return [[name, str(tensor.dtype).removeprefix("torch."), list(tensor.shape)] for name, tensor in state.items()]


def check_same_outputs(found, wanted):
    found, wanted = script_modules.flat(found), script_modules.flat(wanted)
    assert len(found) == len(wanted)
    for ours, theirs in zip(found, wanted):
        if theirs is None:
            assert ours is None
        else:
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_every_type_has_cases():
    known = json.loads(subprocess.run([script_modules.DUMP, "--types"], capture_output=True, check=True).stdout)
    assert sorted(set(known) - {"Sequential", "ModuleList", "ModuleDict"}) == TYPES


@pytest.mark.parametrize("kind", TYPES)
def test_type_equals_torch_nn(tmp_path, valid, kind):
    for case, (arguments, *inputs) in enumerate(CASES[kind]):
        spec = {"type": kind, **arguments}
        theirs = scrambled(from_nn(spec))
        state = {f"m.{name}": tensor for name, tensor in theirs.state_dict().items()}
        path = write_module(tmp_path, spec)
        valid(yaml.safe_load(path.read_text()), "architecture")
        described = script_modules.dump(path)
        assert described["state_dict"] == rows(state), (case, arguments)
        generator = torch.Generator().manual_seed(case)
        given = [made_input(one, generator) for one in inputs]
        ours = script_modules.run(described["root"]["children"][0], state, *[one.clone() if torch.is_tensor(one) else one for one in given])
        with torch.no_grad():
            wanted = theirs(*given)
        try:
            check_same_outputs(ours, wanted)
        except AssertionError as error:
            raise AssertionError(f"case {case}: {arguments}") from error


@pytest.mark.parametrize("kind", TYPES)
def test_arguments_and_defaults_are_those_of_torch_nn(tmp_path, kind):
    """Every argument of the constructor is known here, with the same default, or is left out on purpose."""
    left_out = {"device", "args", "kwargs", "_weight", "_freeze", "min_value", "max_value", "custom_encoder", "custom_decoder", "process_group",
                "_random_samples"}
    parameters = dict(inspect.signature(getattr(nn, kind).__init__).parameters)
    if "kwargs" in parameters and kind in ("RNN", "LSTM", "GRU"):
        parameters = dict(inspect.signature(nn.RNNBase.__init__).parameters)
        left_out = left_out | {"mode"} | (set() if kind == "LSTM" else {"proj_size"})
        if kind == "RNN":
            parameters["nonlinearity"] = inspect.Parameter("nonlinearity", inspect.Parameter.KEYWORD_ONLY, default="tanh")
    wanted = {name: one.default for name, one in parameters.items() if name not in left_out | {"self"}}
    arguments, *_ = CASES[kind][0]
    module = script_modules.dump(write_module(tmp_path, {"type": kind, **arguments}))["root"]["children"][0]
    found = {name: value for name, (_, value) in module["arguments"].items()}
    assert set(found) == {name for name in wanted if not isinstance(arguments.get(name), dict)}
    for name, default in wanted.items():
        if name in arguments or name not in found or default is inspect.Parameter.empty:
            continue
        value = found[name]
        if callable(default):
            default = default.__name__
        if isinstance(value, list):
            value = value[0] if len(set(value)) == 1 else value
        assert value == default, name


def takes_dtype(kind):
    return kind in ("RNN", "LSTM", "GRU") or "dtype" in inspect.signature(getattr(nn, kind).__init__).parameters


@pytest.mark.parametrize("kind", [kind for kind in TYPES if takes_dtype(kind)])
def test_dtype_reaches_every_tensor(tmp_path, kind):
    spec = {"type": kind, **CASES[kind][0][0], "dtype": "float16"}
    state = {f"m.{name}": tensor for name, tensor in from_nn(spec).state_dict().items()}
    assert script_modules.dump(write_module(tmp_path, spec))["state_dict"] == rows(state)


# --- mlc load --expect


def types_with_tensors():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [kind for kind in TYPES if from_nn({"type": kind, **CASES[kind][0][0]}).state_dict()]


@pytest.mark.parametrize("kind", types_with_tensors())
def test_expect_accepts_the_state_dict_and_sees_a_wrong_shape(mlc, tmp_path, kind):
    for arguments, *_ in CASES[kind]:
        spec = {"type": kind, **arguments}
        state = {f"m.{name}": tensor for name, tensor in from_nn(spec).state_dict().items()}
        if not state:
            continue
        path = write_module(tmp_path, spec)
        torch.save(state, tmp_path / "state.pt")
        mlc.ok("load", "state.pt", "--expect", path, "--summary")
        name = list(state)[-1]
        state[name] = torch.zeros(*state[name].shape, 2)
        torch.save(state, tmp_path / "wrong.pt")
        result = mlc("load", "wrong.pt", "--expect", path, "--json")
        assert result.rc == 1
        assert [row["name"] for row in result.json["expect"]["mismatched"]] == [name]


def write_text(tmp_path, text):
    path = tmp_path / "arch.yaml"
    path.write_text("mlc: architecture/1\n" + text)
    torch.save({"m.weight": torch.ones(2, 3), "m.bias": torch.ones(2)}, tmp_path / "state.pt")
    return path


LINEAR = "modules:\n  m: {type: Linear, in_features: 3, out_features: 2}\n"


def test_expect_an_architecture(mlc, tmp_path):
    write_text(tmp_path, LINEAR)
    assert "expected     yes: arch.yaml fits" in mlc.ok("load", "state.pt", "--expect", "arch.yaml").stdout
    write_text(tmp_path, LINEAR + "  more: {type: PReLU}\n")
    result = mlc("load", "state.pt", "--expect", "arch.yaml")
    assert result.rc == 1
    assert 'Missing key(s) in state_dict: "more.weight".\n' in result.stdout
    assert mlc("load", "state.pt", "--expect", "arch.yaml", "--ignore-missing", "^more").rc == 0
    result = mlc("load", "state.pt", "--expect", "arch.yaml", "--expect-key", "x")
    assert result.rc == 2
    assert "--expect-key needs a checkpoint, not an architecture" in result.stderr


def test_expect_takes_an_architecture_by_its_content(mlc, tmp_path):
    write_text(tmp_path, LINEAR).rename(tmp_path / "arch.txt")
    mlc.ok("load", "state.pt", "--expect", "arch.txt")
    (tmp_path / "other.yaml").write_text("mlc: metadata/1\n")
    assert mlc("load", "state.pt", "--expect", "other.yaml").rc == 4


@pytest.mark.parametrize("text, rc, complaint", [
    ("modules:\n  m: {type: Linaer, in_features: 3}\n", 2,
     'arch.yaml:3:13: unknown module type "Linaer"\n    m: {type: Linaer, in_features: 3}\n              ^\n'
     'hint: did you mean "Linear"?\n'),
    ("modules:\n  m:\n    type: Linear\n    in_feature: 3\n", 2,
     'arch.yaml:5:5: Linear has no argument "in_feature"\n      in_feature: 3\n      ^\nhint: did you mean "in_features"?\n'),
    ("modules:\n  m: {type: A}\nclasses:\n  A: {modules: {x: {type: A}}}\n", 2,
     "arch.yaml:5:20: the class A contains itself: A > A\n    A: {modules: {x: {type: A}}}\n                     ^\n"),
    ("modules:\n  m: {type: Linear, in_features: 9223372036854775807, out_features: 2}\n", 2,
     "arch.yaml:3:6: Linear: weight would have more than 2^63 bytes\n"),
    ("modules: {m: [}\n", 2, "arch.yaml:2:15: "),
    ("forward: |\n  def forward(self, x):\n      return self.blocks[3](x)\nmodules: {blocks: [{type: ReLU}]}\n", 2,
     "arch.yaml:4:14: index 3 is outside of blocks, which has 1 module\n        return self.blocks[3](x)\n               ^\n"),
])
def test_a_bad_architecture_is_pointed_at(mlc, tmp_path, text, rc, complaint):
    write_text(tmp_path, text)
    result = mlc("load", "state.pt", "--expect", "arch.yaml")
    assert result.rc == rc
    assert f"mlc: error: {complaint}" in result.stderr


def test_a_newer_architecture_is_not_supported(mlc, tmp_path):
    write_text(tmp_path, LINEAR).write_text("mlc: architecture/2\n" + LINEAR)
    assert mlc("load", "state.pt", "--expect", "arch.yaml").rc == 4


# --- forward: the same text runs in Python and, written out, in TorchScript

MODULES = """
modules:
  first: {type: Linear, in_features: 4, out_features: 4}
  blocks: {repeat: 3, type: Block}
  acts: [{type: Tanh}, {type: Sigmoid}, {type: ReLU}]
  named: {type: ModuleDict, modules: {a: {type: Tanh}, b: {type: Linear, in_features: 4, out_features: 4}}}
  empty: {type: Sequential, modules: []}
  pair: {type: Sequential, modules: {one: {type: Linear, in_features: 4, out_features: 4}, two: {type: GELU}}}
classes:
  Block:
    modules:
      layers: [{type: Linear, in_features: 4, out_features: 4}, {type: Tanh}]
      scale: {when: false, type: Identity}
    forward: |
      def forward(self, x: Tensor) -> Tensor:
          for layer in self.layers:
              x = layer(x)
          if self.scale is not None:
              x = self.scale(x)
          return x
"""

BODIES = {
    "loop": "for block in self.blocks:\n    x = block(x)\nreturn x",
    "enumerate": "for i, block in enumerate(self.blocks):\n    if i > 0:\n        x = block(x) * i\nreturn x",
    "zip": "for block, act in zip(self.blocks[1:], self.acts):\n    x = act(block(x))\nreturn x",
    "enumerate of zip": "for i, (block, act) in enumerate(zip(self.blocks, self.acts)):\n    x = act(block(x)) + i\nreturn x",
    "items": "for name, part in self.named.items():\n    if name == 'b':\n        x = part(x)\nreturn x",
    "values": "for part in self.named.values():\n    x = part(x)\nreturn x",
    "indices": "x = self.blocks[-1](x) + self.acts[0](x)\nreturn self.named['b'](x) * len(self.blocks)",
    "slices": "for block in self.blocks[:-1]:\n    x = block(x)\nfor act in self.acts[1:2]:\n    x = act(x)\nreturn x",
    "nested": "for block in self.blocks:\n    for layer in block.layers:\n        x = layer(x)\n    for i in range(3):\n        if i == 2:\n"
              "            break\n        x = block.layers[1](x)\nreturn x",
    "collected": "seen = []\nfor block in self.blocks:\n    x = block(x)\n    seen.append(x)\nreturn torch.cat(seen, 1)",
    "early return": "for i, block in enumerate(self.blocks):\n    x = block(x)\n    if i == 1:\n        return x\nreturn x * 2",
    "dependent on data": "n = 0\nwhile bool(x.abs().max() > 0.5) and n < 5:\n    x = self.blocks[0](x) * 0.7\n    n += 1\nreturn x + n",
    "within branches": "if x.size(0) > 1:\n    for block in self.blocks:\n        x = block(x)\nelse:\n    for block in self.acts:\n        x = block(x)\nreturn x",
    "sequential": "x = self.empty(self.pair(x))\nfor part in self.pair:\n    x = part(x)\nreturn x + self.pair[1](x)",
    "of nothing": "for block in self.blocks[3:]:\n    x = block(x)\nreturn self.first(x)",
    "over lines": "for block in self.blocks:\n    x = block(\n  x)\n    # back\n\n    y = (x +\n  1)\n    x = y\nreturn x",
}


class PythonModel(nn.Module):
    """The modules of MODULES in Python."""

    def __init__(self):
        super().__init__()
        linear = lambda: nn.Linear(4, 4)
        self.first = linear()
        self.blocks = nn.ModuleList(PythonBlock() for _ in range(3))
        self.acts = nn.ModuleList([nn.Tanh(), nn.Sigmoid(), nn.ReLU()])
        self.named = nn.ModuleDict({"a": nn.Tanh(), "b": linear()})
        self.empty = nn.Sequential()
        self.pair = nn.Sequential()
        self.pair.add_module("one", linear())
        self.pair.add_module("two", nn.GELU())


class PythonBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(4, 4), nn.Tanh()])

    def forward(self, x):
        return self.layers[1](self.layers[0](x))


@pytest.mark.parametrize("name", BODIES)
def test_forward_means_what_it_means_in_python(tmp_path, name):
    text = "def forward(self, x: Tensor) -> Tensor:\n" + "".join(f"    {line}\n" for line in BODIES[name].split("\n"))
    path = tmp_path / "arch.yaml"
    path.write_text("mlc: architecture/1" + MODULES + "forward: |\n" + "".join(f"  {line}\n" for line in text.split("\n")))
    names = {"torch": torch, "Tensor": torch.Tensor}
    exec(text, names)  # pylint: disable=exec-used
    model = PythonModel().eval()
    described = script_modules.dump(path)
    assert described["state_dict"] == rows(model.state_dict())
    for batch in (1, 3):
        x = torch.randn(batch, 4, generator=torch.Generator().manual_seed(batch))
        with torch.no_grad():
            wanted = names["forward"](model, x)
        check_same_outputs(script_modules.run(described["root"], model.state_dict(), x), wanted)
