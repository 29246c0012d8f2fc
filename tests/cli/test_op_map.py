"""export-onnx --op-map: operators as a file says."""

import json

import numpy as np
import onnx
import pytest
import torch
import yaml
from torch import nn

import script_modules

pytestmark = [pytest.mark.usefixtures("onnx_checker", "onnxruntime_engine", "engine"),
              pytest.mark.filterwarnings("ignore")]
SCHEMAS = script_modules.ROOT / "schemas"


@torch.library.custom_op("mlctest::rotate", mutates_args=())
def rotate(x: torch.Tensor, degrees: float, dim: int = -1, center: torch.Tensor | None = None,
           mode: str = "linear", *, steps: list[int]) -> torch.Tensor:
    return x * degrees


@rotate.register_fake
def _(x, degrees, dim=-1, center=None, mode="linear", *, steps):
    return torch.empty_like(x)


class Net(nn.Module):
    def forward(self, x):
        return torch.relu(rotate(torch.nn.functional.gelu(x), 30.0, steps=[3, 4]))


@pytest.fixture
def net_pt2(tmp_path):
    with torch.no_grad():
        torch.export.save(torch.export.export(Net(), (torch.randn(2, 8),), strict=False), tmp_path / "net.pt2")
    return "net.pt2"


def write(path, *operators):
    path.write_text(yaml.safe_dump({"version": 1, "operators": list(operators)}))
    return path.name


ROTATE = {"from": "mlctest::rotate", "to": "Rotate", "domain": "com.example", "domain_version": 2}


def test_a_custom_operator_gets_a_domain_inputs_and_attributes(mlc, tmp_path, net_pt2):
    assert mlc("export-onnx", net_pt2, "-o", "net.onnx").rc == 4
    write(tmp_path / "map.yaml", {
        **ROTATE, "inputs": ["x", {"argument": "center", "default": None}],
        "attributes": {"angle": {"argument": "degrees"}, "axis": {"argument": "dim", "default": -1}, "kind": "nearest",
                       "steps": {"argument": "steps"}, "weights": [0.5, 0.25], "flag": True}})
    result = mlc.ok("export-onnx", net_pt2, "-o", "net.onnx", "--op-map", "map.yaml")
    assert "com.example" in result.stderr
    model = onnx.load(tmp_path / "net.onnx")
    assert {one.domain: one.version for one in model.opset_import}["com.example"] == 2
    (node,) = [one for one in model.graph.node if one.domain]
    assert (node.op_type, len(node.input)) == ("Rotate", 1)
    found = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
    assert found == {"angle": 30.0, "axis": -1, "kind": b"nearest", "steps": [3, 4], "weights": [0.5, 0.25], "flag": 1}
    assert mlc("export-onnx", net_pt2, "-o", "again.onnx", "--op-map", "map.yaml", "--verify").rc == 4
    assert mlc("export-onnx", net_pt2, "--list-ops", "--op-map", "map.yaml").rc == 0


def test_a_known_operator_can_be_mapped_and_is_verified(mlc, tmp_path):
    model = nn.Sequential(nn.Linear(8, 8), nn.GELU())
    with torch.no_grad():
        torch.export.save(torch.export.export(model, (torch.randn(2, 8),), strict=False), tmp_path / "g.pt2")
    write(tmp_path / "map.yaml", {"from": "aten::gelu", "to": "Gelu", "domain": "com.microsoft", "inputs": ["self"]})
    answer = mlc.ok("export-onnx", "g.pt2", "-o", "g.onnx", "--op-map", "map.yaml", "--json").json
    assert answer["operators"] == {"Gemm": 1, "Gelu": 1} and answer["verified"]
    write(tmp_path / "wrong.yaml", {"from": "aten::gelu", "to": "Relu", "inputs": ["self"]})
    assert mlc("export-onnx", "g.pt2", "-o", "w.onnx", "--op-map", "wrong.yaml").rc == 1
    write(tmp_path / "late.yaml", {"from": "aten::gelu", "to": "Gelu", "opset": 20, "inputs": ["self"]})
    assert mlc.ok("export-onnx", "g.pt2", "-o", "l.onnx", "--op-map", "late.yaml", "--json").json["opset"] == 20
    result = mlc("export-onnx", "g.pt2", "-o", "w.onnx", "--op-map", "late.yaml", "--opset", "17")
    assert result.rc == 4 and "aten::gelu: it needs opset 20" in result.stderr


def test_a_source_that_libtorch_cannot_run_is_exported_with_a_warning(mlc, tmp_path, net_pt2):
    """It was an error although nobody had asked for --verify."""
    write(tmp_path / "map.yaml", {"from": "mlctest::rotate", "to": "Neg", "inputs": ["x"]})
    result = mlc.ok("export-onnx", net_pt2, "-o", "net.onnx", "--op-map", "map.yaml", "--json")
    assert "was not run" in result.stderr and "mlctest::rotate" in result.stderr
    assert not result.json["verified"] and "mlctest::rotate" in result.json["not_verified"]
    assert (tmp_path / "net.onnx").exists()
    result = mlc("export-onnx", net_pt2, "-o", "strict.onnx", "--op-map", "map.yaml", "--verify")
    assert result.rc == 4 and "mlctest::rotate" in result.stderr and not (tmp_path / "strict.onnx").exists()


@pytest.mark.parametrize("change, rc, words", [
    ({"attributes": {"a": {"argument": "degres"}}}, 4, 'wants its argument "degres", but it has x, degrees'),
    ({"attributes": {"a": {"argument": "degres"}}}, 4, 'did you mean "degrees"?'),
    ({"inputs": ["y"]}, 4, 'wants its argument "y"'),
    ({"attributes": {"a": {"argument": "x"}}}, 4, "is a tensor"),
    ({"inputs": "x"}, 2, "inputs is a list"),
    ({"atributes": {}}, 2, 'did you mean "attributes"?'),
    ({"from": "rotate"}, 2, "NAMESPACE::NAME"),
    ({"from": "mlctest::rotate.default"}, 2, "overloads"),
    ({"opset": 99}, 2, "1 to 23"),
    ({"attributes": {"a": [1, "b"]}}, 2, "one kind"),
    ({"attributes": {"a": None}}, 2, "null"),
    ({"inputs": [{"argument": "x", "default": 1}]}, 2, "null"),
    ({"to": ""}, 2, "to is empty"),
])
def test_what_makes_no_sense_is_refused_in_its_place(mlc, tmp_path, net_pt2, change, rc, words):
    write(tmp_path / "map.yaml", {**ROTATE, **change})
    result = mlc("export-onnx", net_pt2, "-o", "net.onnx", "--op-map", "map.yaml")
    assert (result.rc, words in result.stderr) == (rc, True), result.stderr
    assert not (tmp_path / "net.onnx").exists()
    if rc == 2:
        assert "map.yaml:" in result.stderr


def test_an_operator_that_onnx_lacks_was_said_to_be_a_defect(mlc, tmp_path, net_pt2):
    write(tmp_path / "map.yaml", {"from": "aten::relu", "to": "Rellu"})
    result = mlc("export-onnx", net_pt2, "-o", "net.onnx", "--op-map", "map.yaml")
    assert result.rc == 2 and 'ONNX has no operator "Rellu"' in result.stderr and 'did you mean "Relu"?' in result.stderr and "domain:" in result.stderr
    write(tmp_path / "map.yaml", ROTATE, {"from": "aten::relu", "to": "Gelu"})
    result = mlc("export-onnx", net_pt2, "-o", "net.onnx", "--op-map", "map.yaml")
    assert result.rc == 2 and "the model is refused, in which --op-map says" in result.stderr and "map.yaml" in result.stderr, result.stderr


def test_a_rule_without_effect_went_without_a_word(mlc, tmp_path, net_pt2):
    write(tmp_path / "map.yaml", ROTATE, {"from": "aten::rellu", "to": "Relu"})
    result = mlc.ok("export-onnx", net_pt2, "-o", "net.onnx", "--op-map", "map.yaml", "--no-verify")
    assert 'the program has no operator "aten::rellu"; did you mean "aten::relu"?' in result.stderr, result.stderr


@pytest.mark.parametrize("text", ["", "[]", "version: 2\noperators: []\n", "version: 1\n", "version: 1\noperators: {}\n",
                                  "operators: []\n", "version: 1\noperators: [3]\n", "version: 1\noperators: [{from: a}"])
def test_files_that_are_no_maps(mlc, tmp_path, net_pt2, text):
    (tmp_path / "map.yaml").write_text(text)
    assert mlc("export-onnx", net_pt2, "-o", "net.onnx", "--op-map", "map.yaml").rc == 2
    assert mlc("export-onnx", net_pt2, "-o", "net.onnx", "--op-map", "none.yaml").rc == 3


def test_the_example_fits_the_schema(mlc, tmp_path, net_pt2):
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((SCHEMAS / "op-map.schema.json").read_text())
    text = (SCHEMAS / "examples/op-map.yaml").read_text()
    jsonschema.validate(yaml.safe_load(text), schema)
    (tmp_path / "map.yaml").write_text(text)
    mlc.ok("export-onnx", net_pt2, "-o", "net.onnx", "--op-map", "map.yaml", "--partial")
    nodes = onnx.load(tmp_path / "net.onnx").graph.node
    assert {(one.op_type, one.domain) for one in nodes} == {("Gelu", "com.microsoft"), ("rotate", "mlc.mlctest"), ("Relu", "")}
