"""Each family of operators through mlc export-onnx: ONNX Runtime has to agree with PyTorch."""

import collections

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from export_cases import CASES, Function


def leaves(values):
    return [value for value in torch.utils._pytree.tree_leaves(values) if value is not None]


def array(value):
    if torch.is_tensor(value) and value.is_complex():
        value = torch.view_as_real(value.resolve_conj())
    return value.detach().numpy() if torch.is_tensor(value) else np.asarray(value)


def operators(graph):
    for node in graph.node:
        yield node.op_type
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from operators(attribute.g)


@pytest.mark.parametrize("name", CASES)
def test_onnxruntime_agrees_with_pytorch(mlc, engine, onnxruntime_engine, tmp_path, name):
    case = CASES[name]
    case.save(tmp_path / "model.pt2")
    command = ["export-onnx", "model.pt2", "-o", "model.onnx"] + ([] if case.verify else ["--no-verify"])
    if case.refused:
        refused = mlc(*command)
        assert refused.rc != 0 and case.refused in refused.stderr, refused
        assert not (tmp_path / "model.onnx").exists()
        return
    mlc.ok(*command, timeout=120)

    found = collections.Counter(operators(onnx.load(tmp_path / "model.onnx").graph))
    assert not collections.Counter(case.ops) - found, found
    assert not set(case.without) & set(found), found

    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    module = case.expected or (case.module if isinstance(case.module, torch.nn.Module) else Function(case.module))
    for inputs in (case.inputs, *case.more):
        wanted = leaves(module(*inputs))
        feed = dict(zip([one.name for one in session.get_inputs()], [array(one) for one in leaves(inputs)]))
        given = session.run(None, feed)
        assert len(given) == len(wanted)
        for got, want in zip(given, [array(one) for one in wanted]):
            assert got.shape == want.shape
            assert got.dtype == want.dtype or want.ndim == 0
            np.testing.assert_allclose(got, want, rtol=1e-4, atol=case.atol)
