"""Parameters, subclasses and Python attributes of tensors, where edits make their elements anew."""

import collections

import pytest
import torch

from checkpoints import write


class Kind(torch.Tensor):
    """A subclass, which torch.save keeps."""


def parameter(*sizes, tag=None, requires_grad=True):
    made = torch.nn.Parameter(torch.randn(*sizes), requires_grad=requires_grad)
    if tag is not None:
        made.tag = tag
    return made


@pytest.fixture
def state(tmp_path):
    """A file with one tensor of each kind, one Parameter of them under two names."""
    values = collections.OrderedDict(
        plain=torch.randn(4, 2), trained=torch.randn(4, 2).requires_grad_(), parameter=parameter(4, 2),
        frozen=parameter(4, 2, requires_grad=False), tagged=parameter(4, 2, tag=["keep"]), sub=torch.randn(4, 2).as_subclass(Kind))
    values["sub"].tag = ["sub"]
    values["tied"] = values["parameter"]
    write(tmp_path / "in.pt", values)
    return values


def form(value):
    return type(value), value.requires_grad, getattr(value, "tag", None)


def load(path):
    return torch.load(path, weights_only=False)


@pytest.mark.parametrize("edit", [
    ["prune", "--amount", "0.5"], ["remap-keys", "--rules", "rules.yaml"], ["save", "--dtype", "fp16"]], ids=lambda edit: edit[0])
def test_tensors_lost_their_class_and_their_attributes(mlc, tmp_path, state, edit):
    (tmp_path / "rules.yaml").write_text("version: 1\nrules:\n  - regex: '.*'\n    transpose: [1, 0]\n")
    done = mlc.ok(edit[0], "in.pt", *edit[1:], "-o", "out.pt")
    assert "plain" not in done.stderr
    found = load(tmp_path / "out.pt")
    assert {k: form(v) for k, v in found.items()} == {k: form(v) for k, v in state.items()}
    assert found["parameter"] is found["tied"]
    hooks = [id(v._backward_hooks) for v in found.values() if v._backward_hooks is not None]  # pylint: disable=protected-access
    assert len(set(hooks)) == len(hooks) - 1  # those of the tied one
    if edit[0] == "remap-keys":
        for key, value in state.items():
            assert torch.equal(found[key].detach().as_subclass(torch.Tensor), value.detach().t().as_subclass(torch.Tensor)), key


def test_masks_took_the_class_of_tied_weights(mlc, tmp_path, state):
    mlc.ok("prune", "in.pt", "--amount", "0.5", "--keep-masks", "-o", "out.pt")
    found = load(tmp_path / "out.pt")
    assert {k: form(found[k + "_orig"]) for k in state} == {k: form(v) for k, v in state.items()}
    assert all(type(found[k + "_mask"]) is torch.Tensor for k in state)  # pylint: disable=unidiomatic-typecheck
    mlc.ok("prune", "out.pt", "--apply-masks", "-o", "folded.pt")
    folded = load(tmp_path / "folded.pt")
    assert {k: form(v) for k, v in folded.items()} == {k: form(v) for k, v in state.items()}


SPLIT = """
version: 1
rules:
  - regex: '^(plain|trained|parameter|frozen|tagged|sub)$'
    split: {dim: 0, parts: 2, to: ['$1.a', '$1.b']}
"""


def test_parts_of_parameters_were_plain_tensors(mlc, tmp_path, state):
    (tmp_path / "rules.yaml").write_text(SPLIT)
    done = mlc.ok("remap-keys", "in.pt", "--rules", "rules.yaml", "-o", "out.pt")
    found = load(tmp_path / "out.pt")
    for key in ("plain", "trained", "parameter", "frozen"):
        assert form(found[key + ".a"]) == form(found[key + ".b"]) == form(state[key]), key
    assert found["parameter.a"]._backward_hooks is not found["parameter.b"]._backward_hooks  # pylint: disable=protected-access
    assert "without class and attributes: tagged.a, tagged.b, sub.a and sub.b" in done.stderr
    mlc.ok("remap-keys", "in.pt", "--rules", "rules.yaml", "--drop", "tied", "-o", "out.safetensors")


@pytest.mark.parametrize("one, other, wanted", [
    ("parameter", "second", torch.nn.Parameter), ("frozen", "parameter", torch.Tensor), ("plain", "parameter", torch.Tensor),
    ("plain", "trained", torch.Tensor)])
def test_joined_parameters_were_plain_tensors(mlc, tmp_path, state, one, other, wanted):
    write(tmp_path / "in.pt", {**state, "second": parameter(4, 2)})
    (tmp_path / "rules.yaml").write_text(
        f"version: 1\nrules:\n  - match: ['^{one}$', '^{other}$']\n    concat: {{dim: 0, to: 'both'}}\n")
    done = mlc.ok("remap-keys", "in.pt", "--rules", "rules.yaml", "-o", "out.pt")
    assert type(load(tmp_path / "out.pt")["both"]) is wanted  # pylint: disable=unidiomatic-typecheck
    assert ("attributes: both" in done.stderr) == (wanted is torch.Tensor and "parameter" in (one, other))
