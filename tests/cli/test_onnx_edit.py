"""What mlc reads of an ONNX file and writes again is the same model, whoever wrote it."""

import subprocess

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import onnx_models
from conftest import BINARY

TOOL = BINARY.with_name("rewrite_onnx")
pytestmark = pytest.mark.usefixtures("onnx_checker")
FLOAT = TensorProto.FLOAT
rng = np.random.default_rng(0)


def rewrite(source, target, *how):
    if not TOOL.exists():
        pytest.fail(f"{TOOL} is not built; it comes with the unit tests")
    return subprocess.run([TOOL, source, target, *how], capture_output=True, text=True, check=False)


def weight(name, *sizes):
    return numpy_helper.from_array(rng.standard_normal(sizes, np.float32), name)


def value(name, *sizes):
    return onnx_models.value(name, sizes)


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs, outputs, name=f"/{op}/{outputs[0]}", **attributes)


def matmul(**kwargs):
    return onnx_models.model([node("MatMul", ["x", "w"], ["y"])], [value("x", "n", 8)], [value("y", "n", 600)],
                             [weight("w", 8, 600)], **kwargs)


def typed():
    """Weights that are no raw data, in every field that has them."""
    kinds = [("f", FLOAT, [1.5, -2.0]), ("h", TensorProto.FLOAT16, [1.5, -2.0]), ("d", TensorProto.DOUBLE, [1.5, -2.0]),
             ("i", TensorProto.INT64, [-3, 4]), ("b", TensorProto.INT8, [-3, 4]), ("u", TensorProto.UINT64, [3, 2**63]),
             ("s", TensorProto.UINT32, [3, 2**31])]
    tensors = [helper.make_tensor(name, kind, [2], values) for name, kind, values in kinds]
    casts = [node("Cast", [name], [name + "f"], to=FLOAT) for name, _, _ in kinds]
    total = node("Sum", ["x", *(name + "f" for name, _, _ in kinds)], ["y"])
    return onnx_models.model([*casts, total], [value("x", 2)], [value("y", 2)], tensors)


def listed_as_inputs():
    proto = matmul(opset=8, ir=3)
    proto.graph.input.append(value("w", 8, 600))
    return proto


def branch():
    """An inner graph that reads a weight of the outer one."""
    then = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["t"])], "then", [], [value("t", "n", 600)])
    other = helper.make_graph([helper.make_node("Neg", ["inner"], ["e"])], "else", [], [value("e", 1, 600)], [weight("inner", 1, 600)])
    flag = onnx_models.value("flag", (), TensorProto.BOOL)
    return onnx_models.model([node("If", ["flag"], ["y"], then_branch=then, else_branch=other)],
                             [value("x", 1, 8), flag], [value("y", 1, 600)], [weight("w", 8, 600)])


def function():
    body = helper.make_function("local", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])],
                                [helper.make_opsetid("", 17)])
    twice = helper.make_node("Twice", ["x"], ["y"], domain="local", name="/t")
    return onnx_models.model([twice], [value("x", 3)], [value("y", 3)], domains=["local"], functions=[body])


def packed():
    """Four bits an element, of which PyTorch knows nothing, with an odd count."""
    w = helper.make_tensor("w", TensorProto.INT4, [1, 5], [1, -2, 3, -8, 7])
    scale = weight("s", 1)
    return onnx_models.model([node("DequantizeLinear", ["w", "s"], ["wf"], axis=0), node("Add", ["x", "wf"], ["y"])],
                             [value("x", 1, 5)], [value("y", 1, 5)], [w, scale], opset=21, ir=10)


def strings():
    names = helper.make_tensor("names", TensorProto.STRING, [2], [b"a", b"b"])
    label = onnx_models.value("label", (2,), TensorProto.STRING)
    return onnx_models.model([node("Identity", ["names"], ["label"]), node("Neg", ["x"], ["y"])], [value("x", 2)],
                             [value("y", 2), label], [names])


def documented():
    proto = matmul()
    proto.doc_string, proto.graph.doc_string = "a model", "a graph"
    proto.graph.node[0].doc_string, proto.graph.initializer[0].doc_string = "a node", "a weight"
    helper.set_model_props(proto, {"key": "value"})
    return proto


MODELS = {"matmul": matmul, "typed": typed, "listed_as_inputs": listed_as_inputs, "branch": branch, "function": function,
          "packed": packed, "strings": strings, "documented": documented}


def outputs(path):
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    feed = {}
    for one in session.get_inputs():
        sizes = [size if isinstance(size, int) else 2 for size in one.shape]
        feed[one.name] = np.array(True) if "bool" in one.type else np.linspace(-1, 1, int(np.prod(sizes)), dtype=np.float32).reshape(sizes)
    return session.run(None, feed)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_model_is_the_same_after_reading_and_writing(name, tmp_path):
    proto = MODELS[name]()
    source = onnx_models.save(proto, tmp_path / "in.onnx")
    done = rewrite(source, tmp_path / "out.onnx")
    assert (done.returncode, done.stderr) == (0, "")
    onnx.checker.check_model(tmp_path / "out.onnx", full_check=True)
    for a, b in zip(outputs(source), outputs(tmp_path / "out.onnx"), strict=True):
        assert np.array_equal(a, b)
    assert rewrite(tmp_path / "out.onnx", tmp_path / "again.onnx").returncode == 0
    assert (tmp_path / "again.onnx").read_bytes() == (tmp_path / "out.onnx").read_bytes()
    # Nothing is lost: messages are equal, but for the place of elements.
    written = onnx.load(tmp_path / "out.onnx")
    for tensors in (proto.graph.initializer, written.graph.initializer):
        for tensor in tensors:
            if tensor.data_type == TensorProto.STRING:
                continue
            array = numpy_helper.to_array(tensor)
            if tensor.data_type != TensorProto.INT4:
                tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
            else:
                values = [int(v) for v in array.astype(np.int32).flatten()]
                tensor.CopyFrom(helper.make_tensor(tensor.name, tensor.data_type, tensor.dims, values))
    assert sorted(t.name for t in written.graph.initializer) == sorted(t.name for t in proto.graph.initializer)
    names = {t.name: t for t in written.graph.initializer}
    assert all(names[t.name] == t for t in proto.graph.initializer)
    del proto.graph.initializer[:], written.graph.initializer[:]
    assert written == proto


def test_what_protobuf_writes_comes_back_byte_for_byte(tmp_path):
    source = onnx_models.export_net(tmp_path / "net.onnx")
    proto = onnx.load(source)
    for row in proto.opset_import:
        row.domain = row.domain  # stated, as mlc does
    source.write_bytes(proto.SerializeToString())
    assert rewrite(source, tmp_path / "out.onnx").returncode == 0
    assert (tmp_path / "out.onnx").read_bytes() == source.read_bytes()


def test_weights_in_files_beside_the_model(tmp_path):
    proto = matmul()
    source = tmp_path / "in.onnx"
    onnx.save(proto, source, save_as_external_data=True, location="w.bin", size_threshold=16)
    expected = outputs(source)
    assert rewrite(source, tmp_path / "whole.onnx").returncode == 0
    assert rewrite(source, tmp_path / "split.onnx", "always").returncode == 0
    (tmp_path / "w.bin").unlink()
    for path in ("whole.onnx", "split.onnx"):
        assert np.array_equal(outputs(tmp_path / path)[0], expected[0])
    done = rewrite(source, tmp_path / "none.onnx")
    assert done.returncode == 1 and "cannot open" in done.stderr
    assert not (tmp_path / "none.onnx").exists()


@pytest.mark.parametrize("change, says", [
    (lambda p: p.graph.initializer.append(p.graph.initializer[0]), "two initializers have the name"),
    (lambda p: p.graph.initializer[0].ClearField("raw_data"), "takes 19,200 bytes and holds 0"),
])
def test_what_is_no_whole_model_is_refused(change, says, tmp_path):
    proto = matmul()
    change(proto)
    done = rewrite(onnx_models.save(proto, tmp_path / "in.onnx"), tmp_path / "out.onnx")
    assert done.returncode == 1 and says in done.stderr
    assert not (tmp_path / "out.onnx").exists()
