#!/usr/bin/env python3
"""Writes fixtures.bin: pickles as Python and PyTorch 2.13 make them, and what mlc must write for each.

    python tests/unit/pickle/make_fixtures.py tests/unit/pickle/fixtures.bin

One row after the other: name, input and expected output, each as u32 length (little-endian) and
bytes. An empty expected output means "the same bytes as the input", "=NAME" the input of the row of
that name, which stands further up. Inputs of protocol 2 expect themselves; inputs of other protocols
what Python writes for the same object in protocol 2.
"""
import argparse
import collections
import io
import pickle
import struct
import sys
import warnings
import zipfile

import numpy as np
import torch
from torch import nn


def torch_pickle(value, **options):
    """The data.pkl that torch.save writes for VALUE."""
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    with zipfile.ZipFile(buffer) as archive:
        name = next(n for n in archive.namelist() if n.endswith("/data.pkl"))
        return archive.read(name)


def adam():
    model = nn.Linear(2, 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    return {"epoch": 3, "model": model.state_dict(), "optimizer": optimizer.state_dict()}


def torch_rows():
    torch.manual_seed(0)
    linear = nn.Linear(3, 2)
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU())
    tied = nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.Linear(2, 2)})
    tied["b"].weight = tied["a"].weight
    base = torch.arange(12.0).reshape(3, 4)
    special = {
        "dtype": torch.bfloat16, "size": torch.Size([1, 2]), "device": torch.device("cuda", 0),
        "layout": torch.strided,
        "u16": torch.zeros(2, dtype=torch.uint16), "fp8": torch.zeros(2).to(torch.float8_e4m3fn),
        "conj": torch.zeros(2, dtype=torch.complex64).conj(), "empty": torch.zeros(0, 3),
        "meta": torch.zeros(2, device="meta"), "zero_dim": torch.tensor(1.0),
        "parameter": nn.Parameter(torch.zeros(1)), "storage": torch.zeros(2).untyped_storage(),
    }
    yield "state dict of a linear layer", linear.state_dict()
    yield "state dict with _metadata", net.state_dict()
    yield "state dict of tied weights", tied.state_dict()
    yield "views", {"base": base, "t": base.t(), "row": base[1], "twice": [base, base]}
    yield "training checkpoint with Adam", adam()
    yield "whole module", net
    yield "whole module with tied weights", tied
    yield "special values of torch", special
    yield "quantised", [torch.quantize_per_tensor(torch.ones(2), 0.5, 1, torch.quint8),
                        torch.quantize_per_channel(torch.ones(2, 2), torch.ones(2), torch.zeros(2), 0, torch.qint8)]
    yield "sparse", [torch.eye(2).to_sparse(), torch.eye(2).to_sparse_csr()]


class Batch(list):
    """Pickled by reduction with appended items, in other batches than an exact list."""


class Holder:
    """Reduced to a call whose argument can lead back to the object."""

    def __init__(self, items):
        self.items = items

    def __reduce__(self):
        return Holder, (self.items,)


class Member:
    """Lies in a set that it holds itself."""


def publish(*classes):
    """Makes CLASSES importable as mlc_fixture.NAME, so that the pickles do not name this script."""
    module = sys.modules["mlc_fixture"] = type(sys)("mlc_fixture")
    for cls in classes:
        cls.__module__ = "mlc_fixture"
        setattr(module, cls.__name__, cls)


publish(Batch, Holder, Member)


def integers():
    edges = [0, 1, 255, 256, 65535, 65536]
    for bits in (7, 8, 15, 16, 31, 32, 47, 63, 64, 70):
        edges += [2**bits - 1, 2**bits, 2**bits + 1]
    return [sign * value for value in edges for sign in (1, -1)]


def cycles():
    a = []
    a.append(a)
    d = {}
    d["self"] = d
    t = ([],)
    t[0].append(t)
    t4 = ([], 1, 2, 3)
    t4[0].append(t4)
    member = Member()
    member.group = {member, 7}
    frozen = Member()
    frozen.group = frozenset([frozen])
    shared = Holder([])
    node = argparse.Namespace()
    node.holder = shared
    shared.items.append(70000)
    shared.items.append(node)
    return [a, d, t, t4, member.group, frozen.group, shared]


def plain_rows():
    """Objects whose pickles of all protocols describe the same construction."""
    name = "layer"
    yield "atoms", [None, True, False, 0.0, -0.0, 1e-3, float("inf"), -float("inf"), float("nan"), 5e-324]
    yield "integers", integers()
    yield "strings", ["", "a", "ü", "日本", "\U0001f600", "\ud800", "a\nb\\u0041\\", "x" * 255, "y" * 256, name, name]
    yield "bytes", [b"", b"abc", b"abc" + bytes([200, 255, 0]), b"abc", bytes(range(256)), bytes(0)]
    for n in range(6):
        yield f"{n} items", [list(range(n)), tuple(range(n)), {i: i for i in range(n)}, [name] * n, (name,) * n]
    yield "nested", {"a": [(1, (2, (3, [{}]))), ()], (1, "k"): {None: True, 1.5: b"x"}}
    yield "empty", [[], {}, (), [[]], [{}]]


def grouped_rows():
    """Objects that protocols below 2 build in another way.

    The number is the protocol that has opcodes for them. Earlier ones call builtins.X, which stays
    as it is, while what mlc makes of the opcodes is called __builtin__.X as by Python.
    """
    yield 4, "sets", [set(), frozenset(), {1}, frozenset([1]), {1, 2, 3}, frozenset([70000, 2])]
    yield 5, "byte arrays", [bytearray(), bytearray(b"abc"), bytearray(b"abc"), bytearray(300)]
    yield 4, "cycles", cycles()
    yield 2, "ordered dicts", [collections.OrderedDict((i, i) for i in range(n)) for n in range(4)]
    yield 2, "list subclass", [Batch(range(n)) for n in range(4)]
    yield 2, "namespace", argparse.Namespace(lr=0.1, names=["a", "b"])
    yield 2, "counters", [collections.Counter("abca"), collections.Counter()]
    yield 2, "defaultdict", collections.defaultdict(collections.OrderedDict, {"a": [1]})
    yield 2, "numbers of numpy", [np.float64(1.5), np.float32(2), np.int64(-3), np.bool_(True)]


def other_rows():
    yield "bytes and the name of their codec", [b"ab", "latin1", b"cd"]
    yield "long integers", [2**2039 - 1, 2**2039, -(2**2039)]  # LONG1, LONG4, LONG1
    yield "numpy arrays", [np.arange(3), np.zeros((2, 2), np.float32), np.array(["a"], object), np.zeros(0)]
    yield "complex, ranges, slices", [1 + 2j, range(3), Ellipsis, int, NotImplemented, type(None)]


def rows():
    for title, value in torch_rows():
        yield title, torch_pickle(value), b""
    grouped = list(grouped_rows())
    for title, value in (*plain_rows(), *(row[1:] for row in grouped), *other_rows()):
        yield f"{title}, protocol 2", pickle.dumps(value, 2), b""
    yield "sizes around the batch", batches([1000, 1001]), b""
    for title, value in plain_rows():
        for protocol in (0, 1, 3, 4, 5):
            yield f"{title}, protocol {protocol}", pickle.dumps(value, protocol), f"={title}, protocol 2".encode()
    for native, title, value in grouped:
        for protocol in (3, 4, 5):
            expected = pickle.dumps(value, 2, fix_imports=protocol >= native)
            yield f"{title}, protocol {protocol}", pickle.dumps(value, protocol), expected


def batches(sizes):
    """Containers of just such sizes that the last batch of 1000 is odd."""
    values = []
    for n in sizes:
        values += [[None] * n, dict.fromkeys(range(n)), Batch([None] * n)]
        values.append(collections.OrderedDict.fromkeys(range(n)))
    return pickle.dumps(values, 2)


def main():
    warnings.simplefilter("ignore")
    with open(sys.argv[1], "wb") as out:
        for row in rows():
            for field in (row[0].encode(), row[1], row[2]):
                out.write(struct.pack("<I", len(field)) + field)


if __name__ == "__main__":
    main()
