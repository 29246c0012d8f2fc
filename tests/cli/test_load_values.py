"""`values` and `totals` of mlc load --json: what scripts ask of a checkpoint."""
import argparse
import collections
import datetime
import json
import math

import numpy
import pytest
import torch

from checkpoints import write


@pytest.fixture
def values_of(mlc, valid, tmp_path):
    """values_of(root): `values` of a file that torch.save wrote of it."""

    def run(root, **options):
        torch.save(root, tmp_path / "a.pt", **options)
        report = mlc.ok("load", "a.pt", "--tree", "--summary", "--json").json
        valid(report, "load")
        return report["values"]

    return run


PLAIN = {
    "epoch": 7, "lr": 0.1, "big": 2**80, "negative": -(2**63), "on": True, "none": None, "name": "é\n\"",
    "crop": (224, [1, 2.5]), "empty": {}, "history": {"loss": [float(i) / 3 for i in range(999)]},
    "od": collections.OrderedDict(a={"b": {"c": [{"d": 1}]}}), "dd": collections.defaultdict(list, x=[1]),
    "count": collections.Counter("abca"), "deque": collections.deque([1, 2]), "set": {5}, "frozen": frozenset({"x"}),
}


@pytest.mark.parametrize("protocol", [2, 4])
def test_values_beside_tensors_were_one_text(values_of, protocol):
    found = values_of(PLAIN, pickle_protocol=protocol)
    wanted = json.loads(json.dumps(PLAIN, default=list))
    assert found == wanted


@pytest.mark.parametrize("protocol", [2, 4])
def test_numbers_of_numpy_are_numbers(values_of, protocol):
    numbers = [numpy.float64(76.3), numpy.float32(0.1), numpy.float16(0.1), numpy.int64(-5), numpy.uint64(2**64 - 1),
               numpy.bool_(True), numpy.float32(3.4e38), numpy.float32(-0.0), numpy.float64(5e-324), numpy.int8(-128)]
    found = values_of(numbers, pickle_protocol=protocol)
    assert [type(number)(one) for number, one in zip(numbers, found)] == numbers
    assert found[:6] == [76.3, 0.1, 0.1, -5, 2**64 - 1, True] and found[5] is True


@pytest.mark.parametrize("protocol", [2, 4])
def test_what_json_lacks_is_text(values_of, protocol):
    found = values_of([math.nan, math.inf, -math.inf, numpy.float32("nan"), numpy.float64("-inf")])
    assert found == ["nan", "inf", "-inf", "nan", "-inf"]
    found = values_of({"t": torch.ones(2, 3), "b": b"xy", "d": torch.float32, "c": numpy.complex64(1j),
                       "when": datetime.datetime(2024, 1, 2), "a": numpy.ones((2, 3)), "ba": bytearray(b"x")}, pickle_protocol=protocol)
    assert found.pop("ba") == {"$text": "bytearray(b'x')"}
    assert found == {"t": {"$tensor": "f32[2, 3]"}, "b": {"$text": "b'xy'"}, "d": {"$text": "torch.float32"},
                     "c": {"$text": "np.complex64(1j)"}, "a": {"$object": "numpy.ndarray", "$text": "numpy f64[2, 3]"},
                     "when": {"$object": "datetime.datetime", "$text": "datetime.datetime(2024, 1, 2, 0, 0)"}}


@pytest.mark.parametrize("protocol", [2, 4])
def test_attributes_of_objects_stand_beside_their_class(values_of, protocol):
    found = values_of({"args": argparse.Namespace(lr=0.1, sub=argparse.Namespace(x=[1]))}, pickle_protocol=protocol)
    name = {"$object": "argparse.Namespace"}
    assert found == {"args": {**name, "lr": 0.1, "sub": {**name, "x": [1]}}}


def test_keys_that_print_alike_are_two(values_of):
    assert values_of({0: "number", 1.5: "real", ("a", 1): "pair"}) == {"0": "number", "1.5": "real", "(a, 1)": "pair"}
    assert values_of({0: "number", "0": "text"}) == {"0": "number", '["0"]': "text"}


def test_long_deep_and_endless_values_are_cut(values_of):
    loop = []
    loop.append(loop)
    assert values_of(loop) == [{"$more": 1}]
    assert values_of({"n": list(range(5000)), "epoch": 3})["n"][998:] == [998, 999, {"$more": 4000}]
    assert values_of({"n": {str(i): i for i in range(1002)}})["n"]["$more"] == 2
    deep = 1
    for _ in range(100):
        deep = [deep]
    assert json.dumps(values_of(deep)).count("[") == 40
    # What many places share has 2^n ways to it; what comes behind is still there.
    shared = {"x": 1}
    for _ in range(30):
        shared = {"a": shared, "b": shared}
    found = values_of({"shared": shared, "epoch": 3, "long": "x" * (2 << 20)})
    assert found["epoch"] == 3 and len(json.dumps(found)) < 1 << 20
    assert found["long"]["$more"] == (2 << 20) - 60


def test_values_of_other_formats(mlc, valid, tmp_path):
    torch.save({"m": torch.nn.Linear(2, 2).state_dict(), "epoch": 1}, tmp_path / "a.pt", _use_new_zipfile_serialization=False)
    mlc.ok("save", "a.pt", "-o", "a.safetensors")
    for name, wanted in (("a.pt", {"m": {"weight": {"$tensor": "f32[2, 2]"}, "bias": {"$tensor": "f32[2]"}}, "epoch": 1}),
                         ("a.safetensors", {"weight": {"$tensor": "f32[2, 2]"}, "bias": {"$tensor": "f32[2]"}})):
        report = mlc.ok("load", name, "--tree", "--json").json
        valid(report, "load")
        assert report["values"] == wanted


def test_how_many_values_are_not_finite_was_only_in_the_text(mlc, valid, tmp_path):
    bad = torch.tensor([math.nan, math.inf, -math.inf, 0.0])
    write(tmp_path / "a.pt", {"a": bad, "b": bad[:1].clone(), "c": torch.ones(2), "s": bad.to_sparse()})
    for options in ([], ["--summary"]):
        report = mlc.ok("load", "a.pt", "--stats", "--json", *options).json
        valid(report, "load")
        totals = report["totals"]
        assert [totals[name] for name in ("nans", "infs", "non_finite_tensors", "not_examined")] == [2, 2, 2, 1]
    assert "nans" not in mlc.ok("load", "a.pt", "--json").json["totals"]
