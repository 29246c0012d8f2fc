"""Writes fixtures/ with PyTorch 2.13, safetensors and NumPy, and what they themselves read back.

    .deps/venv/bin/python tests/unit/checkpoint/make_fixtures.py

expected.json has one entry per file: the path of the state_dict inside it and, in the reference's own
order, the tensors with dtype, shape and the SHA-256 of their contiguous little-endian bytes.
"""
import dataclasses
import hashlib
import io
import json
import pathlib
import pickle
import shutil
import struct
import tarfile

import numpy as np
import torch
import torch.distributed.checkpoint as dcp
from safetensors.torch import save_file, load_file
from torch import nn
from torch.distributed.checkpoint import filesystem, metadata

OUT = pathlib.Path(__file__).parent / "fixtures"
expected = {}


def record(name, tensors, key=""):
    rows = []
    for path, tensor in tensors.items():
        tensor = tensor.detach().contiguous().resolve_conj().resolve_neg()
        raw = bytes(tensor.reshape(-1).view(torch.uint8).numpy()) if tensor.numel() else b""
        rows.append({"name": path, "dtype": str(tensor.dtype).split(".")[1], "shape": list(tensor.shape),
                     "sha256": hashlib.sha256(raw).hexdigest()})
    expected[name] = {"key": key, "tensors": rows}


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3)
        self.bn = nn.BatchNorm2d(2)
        self.list = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])
        self.list[1].weight = self.list[0].weight
        self.register_buffer("temporary", torch.ones(2), persistent=False)
        self.w = nn.Parameter(torch.arange(4.0))
        self.constant = torch.full((3,), 7.0)

    def forward(self, x):
        y = self.bn(self.conv(x)).sum() + self.w.sum() + self.constant.sum() + self.temporary.sum()
        for layer in self.list:
            y = y + layer(self.w[:2]).sum()
        return y


def many_dtypes():
    torch.manual_seed(3)
    out = {"f32": torch.randn(2, 3), "scalar": torch.tensor(5, dtype=torch.int64), "empty": torch.zeros(0, 4)}
    for name in ["float64", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"]:
        out[name] = torch.randn(5).to(getattr(torch, name))
    for name in ["uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64"]:
        out[name] = torch.arange(3).to(getattr(torch, name))
    out["bool"] = torch.tensor([True, False])
    out["complex64"] = torch.randn(2, dtype=torch.complex64)
    out['quoted "é\n'] = torch.ones(1)
    return out


def torchscript(model):
    scripted = torch.jit.script(model)
    torch.jit.save(scripted, OUT / "script.pt", _extra_files={"mlc/metadata.yaml": "mlc: metadata/1\n"})
    record("script.pt", torch.jit.load(OUT / "script.pt").state_dict(), "state_dict")
    torch.jit.save(torch.jit.trace(model, torch.zeros(1, 1, 4, 4)), OUT / "trace.pt")
    record("trace.pt", torch.jit.load(OUT / "trace.pt").state_dict(), "state_dict")  # it has constants too


class Exported(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(2, 3)
        self.tied = self.a.weight
        self.brief = nn.Parameter(torch.ones(2, dtype=torch.bfloat16))
        self.turned = nn.Parameter(torch.arange(6.0).reshape(2, 3).t())
        self.register_buffer("temporary", torch.ones(2), persistent=False)
        self.constant = torch.full((2,), 7.0)

    def forward(self, x):
        return self.a(x) + self.turned.sum() + self.brief.sum() + self.temporary.sum() + self.constant.sum() + self.tied[0, 0]


def exported():
    program = torch.export.export(Exported(), (torch.zeros(1, 2),))
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # paths of the machine that makes it
    torch.export.save(program, OUT / "exported.pt2", extra_files={"mlc/metadata.yaml": "mlc: metadata/1\n"})
    back = torch.export.load(OUT / "exported.pt2")
    record("exported.pt2", back.state_dict, key="state_dict")  # beside the constants
    torch.save(torch.arange(3.0), OUT / "tensor.pt")  # what use_pickle payloads are


def shards():
    folder = OUT / "sharded"
    folder.mkdir()
    tensors = {f"layer.{i}.weight": torch.full((2, 2), float(i)) for i in range(4)}
    names = list(tensors)
    save_file({k: tensors[k] for k in names[:2]}, folder / "model-00001-of-00002.safetensors")
    save_file({k: tensors[k] for k in names[2:]}, folder / "model-00002-of-00002.safetensors")
    weight_map = {k: f"model-0000{1 + i // 2}-of-00002.safetensors" for i, k in enumerate(names)}
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": 64}, "weight_map": weight_map}, indent=2))
    record("sharded", tensors)

    folder = OUT / "sharded_bin"
    folder.mkdir()
    tied = torch.arange(6.0).reshape(2, 3)
    tensors = {"z": torch.ones(2, dtype=torch.bfloat16), "a": tied, "tied": tied.t(),
               "param": nn.Parameter(torch.zeros(2))}
    torch.save({k: tensors[k] for k in ["a", "tied"]}, folder / "pytorch_model-00001-of-00002.bin")
    torch.save({k: tensors[k] for k in ["z", "param"]}, folder / "pytorch_model-00002-of-00002.bin",
               _use_new_zipfile_serialization=False)
    weight_map = {k: f"pytorch_model-0000{1 if k in ('a', 'tied') else 2}-of-00002.bin" for k in tensors}
    (folder / "pytorch_model.bin.index.json").write_text(
        json.dumps({"metadata": {"total_size": 36}, "weight_map": weight_map}))
    record("sharded_bin", tensors)


def distributed():
    folder = OUT / "dcp"
    state = {"model": {"w": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2, dtype=torch.bfloat16)},
             "optim": {"param_groups": [{"lr": 0.5, "betas": (0.9, 0.99)}], "step": torch.tensor(3.0)}, "epoch": 4}
    dcp.save(state, checkpoint_id=folder, no_dist=True)
    record("dcp", state["model"], "model")

    # A tensor of four chunks from two ranks, as a 2-D sharding leaves it.
    folder = OUT / "dcp_chunks"
    folder.mkdir()
    whole = torch.arange(5 * 7, dtype=torch.int32).reshape(5, 7)
    chunks, storage = [], {}
    for rank, rows in enumerate([(0, 3), (3, 2)]):
        with open(folder / f"__{rank}_0.distcp", "wb") as f:
            for columns in [(0, 4), (4, 3)]:
                offsets, sizes = torch.Size([rows[0], columns[0]]), torch.Size([rows[1], columns[1]])
                part = whole[offsets[0]:offsets[0] + sizes[0], offsets[1]:offsets[1] + sizes[1]].clone()
                begin = f.tell()
                buffer = io.BytesIO()
                torch.save(part, buffer)
                f.write(buffer.getvalue())
                chunks.append(metadata.ChunkStorageMetadata(offsets=offsets, sizes=sizes))
                storage[metadata.MetadataIndex("whole", offsets)] = filesystem._StorageInfo(
                    relative_path=f"__{rank}_0.distcp", offset=begin, length=f.tell() - begin)
    def write(name, change=lambda chunks, storage: None, size=whole.size(), dtype=torch.int32):
        """.metadata after CHANGE; with a name, a damaged one for the tests to use in its place."""
        parts = [metadata.ChunkStorageMetadata(offsets=c.offsets, sizes=c.sizes) for c in chunks]
        places = {k: dataclasses.replace(v) for k, v in storage.items()}
        change(parts, places)
        described = metadata.TensorStorageMetadata(
            properties=metadata.TensorProperties(dtype=dtype), size=size, chunks=parts)
        with open(folder / name, "wb") as f:
            pickle.dump(metadata.Metadata(state_dict_metadata={"whole": described}, storage_data=places), f, protocol=4)

    def first(places):
        return next(iter(places.values()))

    write(".metadata")
    write("hole.metadata", lambda chunks, places: chunks.pop())
    write("overlap.metadata", lambda chunks, places: setattr(chunks[1], "offsets", torch.Size([0, 3])))
    write("outside.metadata", size=torch.Size([5, 6]))
    write("rank.metadata", size=torch.Size([35]))
    write("dtype.metadata", dtype=torch.int64)
    write("missing.metadata", lambda chunks, places: places.pop(next(iter(places))))
    write("window.metadata", lambda chunks, places: setattr(first(places), "length", 1 << 40))
    write("shared.metadata", lambda chunks, places: setattr(first(places), "length", first(places).length + 1))
    write("path.metadata", lambda chunks, places: setattr(first(places), "relative_path", "../__0_0.distcp"))
    write("transform.metadata", lambda chunks, places: setattr(
        first(places), "transform_descriptors", ["zstd"]))
    back = {"whole": torch.zeros(5, 7, dtype=torch.int32)}
    dcp.load(back, checkpoint_id=folder, no_dist=True)
    assert torch.equal(back["whole"], whole)
    record("dcp_chunks", back)


def arrays():
    contents = {"a": np.arange(6, dtype="<f4").reshape(2, 3), "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
                "big": np.arange(3, dtype=">i4"), "flag": np.array([True, False]), "scalar": np.float64(2.5),
                "empty": np.zeros((0, 3), "<i8")}
    native = {k: torch.from_numpy(np.ascontiguousarray(v).astype(np.asarray(v).dtype.newbyteorder("=")).reshape(np.shape(v)))
              for k, v in contents.items()}
    np.savez(OUT / "stored.npz", **contents)
    np.savez_compressed(OUT / "deflated.npz", **contents)
    np.save(OUT / "fortran.npy", contents["fortran"])
    record("stored.npz", native)
    record("deflated.npz", native)
    record("fortran.npy", {"fortran": native["fortran"]})
    for protocol in (2, 4, 5):
        name = f"arrays_{protocol}.pkl"
        model = {k: v for k, v in contents.items() if isinstance(v, np.ndarray)}
        (OUT / name).write_bytes(pickle.dumps({"model": model, "__author__": "me"}, protocol=protocol))
        record(name, {k: native[k] for k in model}, "model")
    tensors = {"a": torch.arange(4.0).reshape(2, 2), "p": nn.Parameter(torch.ones(3))}
    for protocol in (2, 4):
        name = f"tensors_{protocol}.pkl"
        (OUT / name).write_bytes(pickle.dumps(tensors, protocol=protocol))
        record(name, tensors)


def tar():
    """PyTorch up to 0.1.9 wrote this; its reader is still in torch.serialization (legacy_load)."""
    whole = torch.arange(6.0)

    def member(archive, name, data):
        info = tarfile.TarInfo(name)
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))

    dump = lambda value: pickle.dumps(value, protocol=2)  # noqa: E731
    storages = dump(1) + dump((111, "cpu", torch.FloatStorage)) + struct.pack("<q", 6) + bytes(whole.numpy())
    storages += dump([(222, 111, 2, 3)])
    tensors = dump(2)
    tensors += dump((1, 111, torch.FloatTensor)) + struct.pack("<iiqqqqq", 2, 0, 3, 2, 1, 3, 0)
    tensors += dump((2, 222, torch.FloatTensor)) + struct.pack("<iiqqq", 1, 0, 2, 1, 1)

    class Reference:
        def __init__(self, key):
            self.key = key

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            return value.key if isinstance(value, Reference) else None

    buffer = io.BytesIO()
    Pickler(buffer, protocol=2).dump({"w": Reference(1), "v": Reference("2"), "epoch": 3})
    with tarfile.open(OUT / "old.tar", "w", format=tarfile.PAX_FORMAT) as archive:
        member(archive, "sys_info", dump({"protocol_version": 1000}))
        member(archive, "pickle", buffer.getvalue())
        member(archive, "tensors", tensors)
        member(archive, "storages", storages)
    back = torch.load(OUT / "old.tar", weights_only=False)
    record("old.tar", {k: v for k, v in back.items() if k != "epoch"})


def main():
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir()
    torch.manual_seed(0)
    save_file(many_dtypes(), OUT / "dtypes.safetensors", metadata={"format": "pt", "mlc": "mlc: metadata/1\n"})
    loaded = load_file(OUT / "dtypes.safetensors")
    record("dtypes.safetensors", loaded)
    model = Model().eval()
    torchscript(model)
    exported()
    shards()
    distributed()
    arrays()
    tar()
    (OUT / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


main()
