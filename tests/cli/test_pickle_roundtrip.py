"""Pickles of random Python objects, read and written again by mlc's pickle library.

The program pickle_roundtrip (tests/unit/pickle) is looked for in $MLC_BIN_DIR or build/release/bin.
"""
import collections
import os
import pathlib
import pickle
import struct
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN_DIR = pathlib.Path(os.environ.get("MLC_BIN_DIR", ROOT / "build/release/bin"))
PROGRAM = BIN_DIR / "pickle_roundtrip"

pytestmark = pytest.mark.skipif(not PROGRAM.exists(), reason=f"{PROGRAM} is not built")


class Batch(list):
    """Pickled by reduction: its items come in the batches of an iterator."""


def roundtrip(pickles, folder):
    """What mlc writes for each of PICKLES."""
    source, target = folder / "in", folder / "out"
    source.write_bytes(b"".join(struct.pack("<I", len(p)) + p for p in pickles))
    subprocess.run([PROGRAM, source, target], check=True)
    data, out, at = target.read_bytes(), [], 0
    while at < len(data):
        (size,) = struct.unpack_from("<I", data, at)
        out.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return out


keys = st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8), st.binary(max_size=8),
                 st.floats(allow_nan=False))
atoms = st.one_of(keys, st.complex_numbers(allow_nan=False), st.binary(min_size=250, max_size=260),
                  st.binary(max_size=5).map(bytearray), st.text(min_size=255, max_size=257),
                  st.integers(-(2**70), 2**70), st.sampled_from([2**2039, -(2**2040), int, len]))


def containers(children):
    lists = st.lists(children, max_size=6)
    dicts = st.dictionaries(keys, children, max_size=6)
    twice = children.map(lambda x: [x, (x, {"again": x})])
    return st.one_of(lists, lists.map(tuple), lists.map(Batch), dicts, dicts.map(collections.OrderedDict),
                     st.sets(keys, max_size=5), st.frozensets(keys, max_size=5), twice,
                     st.dictionaries(st.text(max_size=3), st.integers(), max_size=4).map(collections.Counter))


objects = st.recursive(atoms, containers, max_leaves=60)
fuzzing = settings(max_examples=60, deadline=None,
                   suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@fuzzing
@given(st.lists(objects, min_size=1, max_size=20))
def test_protocol_2_comes_out_byte_for_byte(tmp_path, values):
    pickles = [pickle.dumps(value, 2) for value in values]
    assert roundtrip(pickles, tmp_path) == pickles


@fuzzing
@given(st.lists(objects, min_size=1, max_size=20), st.integers(0, 5))
def test_every_protocol_means_the_same_to_python(tmp_path, values, protocol):
    pickles = [pickle.dumps(value, protocol) for value in values]
    for value, data, written in zip(values, pickles, roundtrip(pickles, tmp_path), strict=True):
        assert written[:2] == b"\x80\x02"
        back = pickle.loads(written)
        assert back == value
        assert repr(back) == repr(pickle.loads(data))  # 1 == True == 1.0, so types need a look too


@pytest.mark.parametrize("size", [999, 1000, 1001, 1999, 2000, 2001])
@pytest.mark.parametrize("make", [list, tuple, Batch, set, frozenset, dict.fromkeys,
                                  collections.OrderedDict.fromkeys], ids=lambda m: m.__qualname__)
def test_batches_of_1000(tmp_path, make, size):
    value = make(range(70000, 70000 + size))
    data = pickle.dumps(value, 2)
    assert roundtrip([data], tmp_path) == [data]
    for protocol in (0, 1, 3, 4, 5):
        assert pickle.loads(roundtrip([pickle.dumps(value, protocol)], tmp_path)[0]) == value


def test_memo_numbers_beyond_a_byte(tmp_path):
    texts = [f"key.{i}" for i in range(70000)]
    data = pickle.dumps([texts, texts[::-1]], 2)
    assert roundtrip([data], tmp_path) == [data]


class Member:
    """Lies in a set, frozenset or dict that it leads back to."""


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("wrap", [lambda m: {m}, lambda m: frozenset([m]), lambda m: {m: 1}, lambda m: [m],
                                  lambda m: (m,), lambda m: (m, 1, 2, 3), lambda m: collections.Counter({m: 2}),
                                  lambda m: collections.deque([m]), lambda m: collections.OrderedDict({"m": m})],
                         ids=["set", "frozenset", "dict", "list", "tuple", "tuple4", "Counter", "deque", "ordered"])
def test_cycles_through_every_container(tmp_path, wrap, protocol):
    member = Member()
    member.home = wrap(member)
    for start in (member.home, member):
        data = pickle.dumps(start, protocol)
        (written,) = roundtrip([data], tmp_path)
        if protocol == 2:
            assert written == data
        back = pickle.loads(written)
        home = back.home if isinstance(back, Member) else back
        (inner,) = [x for x in (home.values() if "m" in home else home) if isinstance(x, Member)]
        assert inner.home is home and len(home) == len(member.home)
