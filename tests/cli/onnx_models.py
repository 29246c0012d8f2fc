"""ONNX files for tests: written node by node, or exported from PyTorch, and what ONNX Runtime makes of them in Python."""

import pathlib
import warnings

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper

import torchscript_models

FLOAT = TensorProto.FLOAT


def value(name, sizes, dtype=FLOAT):
    return helper.make_tensor_value_info(name, dtype, sizes)


def model(nodes, inputs, outputs, initializers=(), opset=17, ir=8, domains=(), functions=()):
    graph = helper.make_graph(nodes, "graph", inputs, outputs, list(initializers))
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=ir, functions=functions)


def add(sizes_a=("n",), sizes_b=("m",), dtype=FLOAT, **kwargs):
    node = helper.make_node("Add", ["a", "b"], ["c"], name="/add")
    return model([node], [value("a", sizes_a, dtype), value("b", sizes_b, dtype)], [value("c", None, dtype)], **kwargs)


def identity(dtype, sizes=("n", 3)):
    """Opset 19, since which floats may have eight bits."""
    return model([helper.make_node("Identity", ["x"], ["y"])], [value("x", sizes, dtype)], [value("y", sizes, dtype)],
                 opset=19, ir=9)


def save(proto, path):
    pathlib.Path(path).write_bytes(proto if isinstance(proto, bytes) else proto.SerializeToString())
    return path


def export(module, args, path, **kwargs):
    """With torch.onnx's exporter that needs no onnxscript."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module.eval(), args, str(path), dynamo=False, verbose=False, **kwargs)
    return path


def export_net(path, **kwargs):
    batch = {"dynamic_axes": {"image": {0: "batch"}, "logits": {0: "batch"}}, **kwargs}
    return export(torchscript_models.net(), (torch.randn(1, 1, 8, 8),), path, input_names=["image"],
                  output_names=["logits"], **batch)


def python_outputs(path, feed, threads=1):
    """{name: array}, as a user of ONNX Runtime gets them with nothing but the number of threads set."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return dict(zip([output.name for output in session.get_outputs()], session.run(None, feed), strict=True))


def with_external(proto, folder, name="m.onnx", location="w.bin"):
    """Saves PROTO with its initializers in a file beside it, and returns its path."""
    path = pathlib.Path(folder) / name
    onnx.save_model(proto, str(path), save_as_external_data=True, location=location, size_threshold=0)
    return path


def linear(sizes=(4, 2)):
    weight = np.arange(np.prod(sizes), dtype=np.float32).reshape(sizes)
    return model([helper.make_node("MatMul", ["x", "w"], ["y"], name="/mm")], [value("x", ["batch", sizes[0]])],
                 [value("y", ["batch", sizes[1]])], [onnx.numpy_helper.from_array(weight, "w")])
