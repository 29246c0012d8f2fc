"""What the tests of verbs share: reading a file in every way torch offers, and equality that a user would notice."""

import collections
import contextlib
import hashlib
import importlib.util
import json
import pathlib
import struct
import sys
import zipfile

import torch

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests/golden"
EXPECTED = json.loads((GOLDEN / "expected.json").read_text())

MODES = {
    "plain": {"weights_only": False},
    "weights_only": {"weights_only": True},
    "mmap": {"weights_only": True, "mmap": True},
    "meta": {"weights_only": True, "map_location": "meta"},
}


def bytes_of(tensor):
    """The elements, contiguous, as bytes: NaNs and signs of zero count."""
    flat = torch.empty(tensor.numel(), dtype=tensor.dtype)
    flat.copy_(tensor.detach().reshape(-1))
    return flat.view(torch.uint8).numpy().tobytes() if tensor.numel() else b""


def sha256_of(tensor):
    return hashlib.sha256(bytes_of(tensor)).hexdigest()


class Comparison:
    """Walks two objects side by side; storages that are one here have to be one there."""

    def __init__(self, values=True, views=True, sharing=True):
        self.values = values  # compare the bytes; not possible on the meta device
        self.views = views  # strides, offsets and sizes of storages count
        self.sharing = views and sharing  # and which tensors share a storage
        self.storages = {}

    def same(self, a, b, path="root"):
        assert type(a) is type(b), (path, type(a), type(b))
        if isinstance(a, torch.Tensor):
            self.same_tensor(a, b, path)
        elif isinstance(a, dict):
            assert list(a) == list(b), path
            assert [type(k) for k in a] == [type(k) for k in b], path
            for key in a:
                self.same(a[key], b[key], f"{path}[{key!r}]")
            assert getattr(a, "_metadata", None) == getattr(b, "_metadata", None), path
        elif isinstance(a, (list, tuple)):
            assert len(a) == len(b), path
            for i, (x, y) in enumerate(zip(a, b)):
                self.same(x, y, f"{path}[{i}]")
        elif isinstance(a, float):
            assert struct.pack("d", a) == struct.pack("d", b), (path, a, b)
        else:
            assert a == b, (path, a, b)

    def same_tensor(self, a, b, path):
        assert a.dtype == b.dtype and a.shape == b.shape, (path, a.dtype, b.dtype, a.shape, b.shape)
        assert a.requires_grad == b.requires_grad, path
        mine, theirs = a.untyped_storage(), b.untyped_storage()
        if self.views:
            assert a.stride() == b.stride() and a.storage_offset() == b.storage_offset(), path
            assert mine.nbytes() == theirs.nbytes(), path
        if self.sharing and mine.nbytes() > 0:  # torch does not share empty ones
            assert self.storages.setdefault(mine._cdata, theirs._cdata) == theirs._cdata, (path, "not shared alike")
            assert len(set(self.storages.values())) == len(self.storages), (path, "shared where it was not")
        if self.values:
            assert bytes_of(a) == bytes_of(b), (path, a, b)


def assert_same(a, b, **options):
    Comparison(**options).same(a, b)


def assert_loads_as(path, expected, modes=MODES, **options):
    """PATH is a whole zip file, and torch reads EXPECTED from it in every mode."""
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
    for mode in modes:
        found = torch.load(path, **MODES[mode])
        assert_same(expected, found, **{"values": mode != "meta", "sharing": mode != "meta", **options})


def has_float8(value):
    if isinstance(value, dict):
        return any(map(has_float8, value.values()))
    if isinstance(value, (list, tuple)):
        return any(map(has_float8, value))
    return isinstance(value, torch.Tensor) and str(value.dtype).startswith("torch.float8")


def record(path, name="data.pkl"):
    """The bytes of <root>/NAME."""
    with zipfile.ZipFile(path) as archive:
        entry = next(n for n in archive.namelist() if n.split("/", 1)[1] == name)
        return archive.read(entry)


def offsets(path, start):
    """Zip record name -> (offset of its data, size), for those below <root>/START."""
    out = {}
    with zipfile.ZipFile(path) as archive, open(path, "rb") as file:
        for entry in archive.infolist():
            if not entry.filename.split("/", 1)[1].startswith(start):
                continue
            file.seek(entry.header_offset + 26)
            name, extra = struct.unpack("<HH", file.read(4))
            out[entry.filename] = (entry.header_offset + 30 + name + extra, entry.file_size)
    return out


@contextlib.contextmanager
def vanishing_module(tmp_path, source, name="vanishing_zoo"):
    """The module SOURCE, which can be imported inside the with block and not after it."""
    file = tmp_path / f"{name}.py"
    file.write_text(source)
    spec = importlib.util.spec_from_file_location(name, file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
        yield module
    finally:
        del sys.modules[name]
        file.unlink()


def small_model():
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3), torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Linear(3, 2)))


def training_checkpoint(model=None, named=True):
    """What a training loop saves: epoch, model, optimizer with momentum, arguments."""
    model = model or small_model()
    parameters = model.named_parameters() if named else model.parameters()
    optimizer = torch.optim.AdamW(parameters, lr=0.01)
    model(torch.ones(5, 4)).pow(2).sum().backward()
    optimizer.step()
    return {"epoch": 3, "model": model.state_dict(), "optimizer": optimizer.state_dict(), "best": 0.5}


def write(path, value, legacy=False):
    torch.save(value, path, _use_new_zipfile_serialization=not legacy)
    return path


def ordered(**tensors):
    return collections.OrderedDict(tensors)
