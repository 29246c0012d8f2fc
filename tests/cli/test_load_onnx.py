"""`mlc load` of ONNX models: what a model takes and gives, its operators, its weights, beside what Python's onnx reads."""

import json

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

import onnx_models


@pytest.fixture
def net(tmp_path):
    """Written by PyTorch's own exporter."""
    torch.manual_seed(3)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5)).eval()
    path = tmp_path / "net.onnx"
    torch.onnx.export(model, (torch.randn(2, 3, 8, 8),), str(path), dynamo=False, input_names=["image"],
                      output_names=["scores"], dynamic_axes={"image": {0: "batch"}, "scores": {0: "batch"}})
    return path


def test_says_what_python_reads(mlc, valid, net):
    answer = json.loads(mlc("load", net, "--json").stdout)
    valid(answer, "load-onnx")
    proto = onnx.load(net)
    assert answer["inputs"] == [{"name": "image", "kind": "tensor", "dtype": "float32", "shape": ["batch", 3, 8, 8]}]
    assert answer["outputs"][0]["name"] == "scores" and answer["outputs"][0]["shape"] == ["batch", 5]
    assert answer["opsets"] == {"ai.onnx": proto.opset_import[0].version}
    assert answer["ir_version"] == proto.ir_version and answer["producer"].startswith("pytorch 2.")
    assert answer["nodes"] == len(proto.graph.node)
    assert {one["name"]: one["count"] for one in answer["operators"]} == {
        op: sum(node.op_type == op for node in proto.graph.node) for op in {node.op_type for node in proto.graph.node}}
    assert [(one["name"], one["shape"]) for one in answer["tensors"]] == [
        (one.name, list(one.dims)) for one in proto.graph.initializer]
    assert answer["file_bytes"] == net.stat().st_size


def test_people_see_it_in_lines(mlc, net):
    said = mlc("load", net).stdout
    assert "input        image f32[batch, 3, 8, 8]\n" in said and "output       scores f32[batch, 5]\n" in said
    assert "opsets       ai.onnx " in said and "Conv 1" in said
    rows = [line.split() for line in said.splitlines()]
    assert ["3.weight", "f32", "[5,", "144]", "2880"] in rows
    assert "3.weight" not in mlc("load", net, "--summary").stdout
    only = mlc("load", net, "--include", "0.*").stdout
    assert "0.weight" in only and "3.weight" not in only and "2 tensors, 112 parameters, 448 B" in only
    none = mlc("load", net, "--include", "0")
    assert none.rc == 2 and 'no key is selected by --include "0"' in none.stderr


def test_statistics_are_those_of_numpy(mlc, valid, net):
    answer = json.loads(mlc("load", net, "--stats", "--json").stdout)
    valid(answer, "load-onnx")
    for one, tensor in zip(answer["tensors"], onnx.load(net).graph.initializer, strict=True):
        values = numpy_helper.to_array(tensor).astype(np.float64)
        assert one["stats"]["min"] == values.min() and one["stats"]["max"] == values.max()
        assert one["stats"]["mean"] == pytest.approx(values.mean(), abs=1e-12)


def test_weights_beside_the_model(mlc, valid, net, tmp_path):
    onnx.save(onnx.load(net), tmp_path / "apart.onnx", save_as_external_data=True, location="apart.data", size_threshold=0)
    answer = json.loads(mlc("load", tmp_path / "apart.onnx", "--stats", "--json").stdout)
    valid(answer, "load-onnx")
    whole = json.loads(mlc("load", net, "--stats", "--json").stdout)
    assert answer["tensors"] == whole["tensors"]
    assert [path.rsplit("/")[-1] for path in answer["files_beside"]] == ["apart.data"]
    assert "apart.data, " in mlc("load", tmp_path / "apart.onnx").stdout
    (tmp_path / "apart.data").unlink()
    gone = mlc("load", tmp_path / "apart.onnx")
    assert gone.rc == 3 and "apart.data" in gone.stderr


def odd_model():
    """Types that PyTorch lacks, values that are no tensors, sizes without a name, an operator of somebody's own."""
    weights = [helper.make_tensor("four", TensorProto.INT4, [3], [1, -2, 3]),
               helper.make_tensor("words", TensorProto.STRING, [2], [b"a", b"b"]),
               numpy_helper.from_array(np.array([np.nan, 1, np.inf], dtype=np.float32), "w")]
    inputs = [onnx_models.value("x", [None, "n", 3]), onnx_models.value("any", None),
              helper.make_tensor_sequence_value_info("list", TensorProto.FLOAT, None)]
    nodes = [helper.make_node("Mine", ["x", "any", "list", "four", "words", "w"], ["y"], domain="my.own")]
    return onnx_models.model(nodes, inputs, [onnx_models.value("y", None)], weights, opset=21, ir=10, domains=["my.own"])


def test_what_pytorch_has_no_word_for(mlc, valid, tmp_path):
    path = onnx_models.save(odd_model(), tmp_path / "odd.onnx")
    answer = json.loads(mlc("load", path, "--stats", "--json").stdout)
    valid(answer, "load-onnx")
    assert [(one["kind"], one["shape"]) for one in answer["inputs"]] == [
        ("tensor", [None, "n", 3]), ("tensor", None), ("sequence", None)]
    assert {one["name"]: (one["dtype"], one["bytes"]) for one in answer["tensors"]} == {
        "four": ("i4", 2), "words": ("string", None), "w": ("float32", 12)}
    assert answer["operators"] == [{"domain": "my.own", "name": "Mine", "count": 1}]
    assert answer["totals"] | {"nans": 1, "infs": 1, "not_examined": 2} == answer["totals"]
    said = mlc("load", path).stdout
    for line in ("input        x f32[?, n, 3]", "input        any f32 of any rank", "input        list a sequence",
                 "nodes        1: my.own::Mine 1", "opsets       ai.onnx 21 and my.own 1; IR version 10"):
        assert line + "\n" in said, said


def test_weights_that_are_not_finite_fail_a_check(mlc, net, tmp_path):
    odd = onnx_models.save(odd_model(), tmp_path / "odd.onnx")
    result = mlc("load", odd, "--require-finite", "--summary")
    assert result.rc == 1 and "1 NaN and 1 Inf in 1 tensor, 2 tensors not examined: w" in result.stdout
    both = mlc("load", net, odd, "--require-finite", "--summary", "-q")
    assert both.rc == 1 and "odd.onnx" in both.stdout and "net.onnx" not in both.stdout


@pytest.mark.parametrize("more", [["--check", "crc"], ["--tree"], ["--key", "a"], ["--globals"], ["--require-safe"],
                                  ["--map-location", "cpu"]])
def test_what_only_checkpoints_have(mlc, net, more):
    result = mlc("load", net, *more)
    assert result.rc == 4 and f"is an ONNX model, which has nothing for {more[0]}" in result.stderr and not result.stdout


def test_a_checkpoint_and_a_model_in_one_call(mlc, valid, net, tmp_path):
    torch.save({"w": torch.zeros(2, 2)}, tmp_path / "w.pt")
    said = mlc("load", net, tmp_path / "w.pt")
    assert said.rc == 0 and "nodes, 4 tensors, 837 parameters" in said.stdout.splitlines()[0]
    answer = json.loads(mlc("load", net, tmp_path / "w.pt", "--json").stdout)
    assert [one["result"]["schema"] for one in answer["results"]] == ["mlc.load-onnx/1", "mlc.load/1"]


def test_damaged_models(mlc, net, tmp_path):
    whole = net.read_bytes()
    (tmp_path / "cut.onnx").write_bytes(whole[: len(whole) // 2])
    result = mlc("load", tmp_path / "cut.onnx")
    assert result.rc == 3 and "cut.onnx: " in result.stderr


def test_any_bytes_end_in_an_answer_or_an_error(mlc, net, tmp_path):
    rng = np.random.default_rng(5)
    whole = net.read_bytes()
    paths = []
    for i in range(200):
        broken = bytearray(whole)
        for at in rng.integers(0, len(whole) if i % 2 else 600, 3):
            broken[at] = rng.integers(0, 256)
        paths.append(onnx_models.save(bytes(broken), tmp_path / f"{i}.onnx"))
    result = mlc("load", *paths, "--stats", "--json", "--keep-going")
    codes = [one["exit_code"] for one in json.loads(result.stdout)["results"]]
    assert set(codes) <= {0, 3, 4} and codes.count(0) > 50 and codes.count(3) > 20


def test_shipped_example(root, valid):
    valid(json.loads((root / "schemas/examples/load-onnx.json").read_text()), "load-onnx")
