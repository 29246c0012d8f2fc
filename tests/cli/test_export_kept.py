"""export-onnx --partial: operators that stay as they are say which ones they are, and what they do."""

import onnx
import pytest
import torch
from torch import nn

pytestmark = [pytest.mark.usefixtures("onnx_checker", "onnxruntime_engine", "engine"),
              pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module", autouse=True)
def _operators():
    """Custom operators of two namespaces, which take other arguments than mlc can know."""
    libraries = []
    for space, factor in (("kept_a", 2), ("kept_b", 3)):
        library = torch.library.Library(space, "FRAGMENT")
        for schema, function, fake in (
                ("foo(Tensor x) -> Tensor", lambda x, factor=factor: x * factor, torch.empty_like),
                ("foo.wide(Tensor x, float by) -> Tensor", lambda x, by: x * by, lambda x, by: torch.empty_like(x)),
                ("noise(Tensor x) -> Tensor", lambda x: x + torch.rand_like(x), torch.empty_like),
                ("two(Tensor? a, Tensor? b) -> Tensor", lambda a, b: a + 1 if b is None else b + 2,
                 lambda a, b: torch.empty_like(b if a is None else a)),
                ("lists(Tensor[] a, Tensor[] b, bool[] flags, ScalarType? dtype=None) -> Tensor",
                 lambda a, b, flags, dtype=None: sum(a) - sum(b), lambda a, b, flags, dtype=None: torch.empty_like(a[0])),
                ("put(Tensor(a!) x, Tensor y) -> ()", lambda x, y: x.add_(y) and None, lambda x, y: None)):
            name = schema.split("(")[0]
            library.define(schema)
            library.impl(name, function, "CompositeExplicitAutograd")
            torch.library.register_fake(f"{space}::{name}", fake, lib=library)
        libraries.append(library)
    yield
    del libraries


class Program(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(torch.ops.kept_a, torch.ops.kept_b, x)


def kept(mlc, tmp_path, function, *options):
    """The nodes of other domains, as (domain, type, attributes)."""
    torch.export.save(torch.export.export(Program(function), (torch.randn(3, 4),)), tmp_path / "p.pt2")
    mlc.ok("export-onnx", "p.pt2", "-o", "p.onnx", "-f", "--partial", *options)
    model = onnx.load(tmp_path / "p.onnx")
    onnx.checker.check_model(model)
    nodes = [node for node in model.graph.node if node.domain]
    assert {node.domain for node in nodes} <= {one.domain for one in model.opset_import}
    return [(node.domain, node.op_type, {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}) for node in nodes]


def test_operators_of_one_name_in_two_namespaces_became_one(mlc, tmp_path):
    # Both were mlc.aten.foo, and as they took the same they were merged: 2x + 3x came out as 4x or 6x.
    assert kept(mlc, tmp_path, lambda a, b, x: a.foo(x) + b.foo(x)) == [("mlc.kept_a", "foo", {}), ("mlc.kept_b", "foo", {})]


def test_overloads_that_are_kept_had_one_name(mlc, tmp_path):
    nodes = kept(mlc, tmp_path, lambda a, b, x: a.foo(x) + a.foo.wide(x, 0.5))
    assert nodes == [("mlc.kept_a", "foo", {}), ("mlc.kept_a", "foo.wide", {"by": 0.5})]


def test_operators_that_may_draw_random_numbers_were_merged(mlc, tmp_path):
    assert len(kept(mlc, tmp_path, lambda a, b, x: a.noise(x) + a.noise(x))) == 2


def test_tensors_that_are_left_out_or_in_lists_could_not_be_told_apart(mlc, tmp_path):
    nodes = kept(mlc, tmp_path, lambda a, b, x: a.two(x, None) + a.two(None, x))
    assert [one[2] for one in nodes] == [{}, {"mlc_inputs": [b"b"]}]
    nodes = kept(mlc, tmp_path, lambda a, b, x: a.lists([x, x], [x], [True, False]) + a.lists([x], [x, x], [], torch.float16))
    assert [one[2]["mlc_inputs"] for one in nodes] == [[b"a", b"a", b"b"], [b"a", b"b", b"b"]]
    assert nodes[0][2]["flags"] == [1, 0] and nodes[1][2]["dtype"] == onnx.TensorProto.FLOAT16


def test_what_writes_into_its_argument_vanished(mlc, tmp_path):
    # It gives nothing that anyone reads, so that it was swept away.
    def function(a, _, x):
        y = x * 1
        a.put(y, x)
        return y * 2

    torch.export.save(torch.export.export(Program(function), (torch.randn(3, 4),)), tmp_path / "p.pt2")
    for flags in ([], ["--partial"]):
        result = mlc("export-onnx", "p.pt2", "-o", "p.onnx", *flags)
        assert result.rc == 4 and "kept_a::put" in result.stderr, result.stderr
        assert "--partial keeps" not in result.stderr and not (tmp_path / "p.onnx").exists()
    assert "writes into its arguments" in result.stderr


def test_the_hint_was_missing_where_mlc_knows_that_there_is_no_form(mlc, tmp_path):
    torch.export.save(torch.export.export(Program(lambda a, b, x: torch.i0(x)), (torch.randn(3, 4),)), tmp_path / "p.pt2")
    result = mlc("export-onnx", "p.pt2", "-o", "p.onnx")
    assert result.rc == 4 and "--partial keeps unknown operators" in result.stderr, result.stderr
    assert kept(mlc, tmp_path, lambda a, b, x: torch.i0(x)) == [("mlc.aten", "i0", {})]


def test_no_hint_where_one_of_the_problems_stays(mlc, tmp_path):
    torch.export.save(torch.export.export(Program(lambda a, b, x: torch.linalg.eigvals(x[:, :3]).real + torch.i0(x[:, 0])),
                                          (torch.randn(3, 4),)), tmp_path / "p.pt2")
    result = mlc("export-onnx", "p.pt2", "-o", "p.onnx")
    assert result.rc == 4 and "i0" in result.stderr and "--partial" not in result.stderr, result.stderr
