#!/usr/bin/env python3
"""Makes the files that scripts/bench measures on, from seeded random numbers: make_files.py DIR [NAME...]

bert.pt            438 MB: BERT-base, 199 tensors named module.* inside {epoch, model_state_dict, config}
bert.safetensors   the same tensors
many.pt            100,000 tensors of 64 floats in a plain state_dict
many.safetensors   the same tensors
tiny.pt            TorchScript: a small convolutional classifier of 8x8 images
tiny.onnx          the same as ONNX
big.pt             6 GiB in six tensors of zeros, a sparse file: names cost the same whatever the size
resnet18.onnx      torchvision's layers with random weights, images of 224x224
resnet50.onnx      the same, with statistics of batch norms that are not all equal; images.npy: 16 inputs for it
bert-base.onnx     BERT-base of transformers with random weights
NAME.pt2, NAME.script.pt   models to export, see export_models.py; only where they are asked for by NAME

A file that exists is kept, so delete DIR to make them anew.
"""

import collections
import functools
import pathlib
import struct
import sys
import zipfile
import zlib

import numpy
import safetensors.torch
import torch

import export_models

GIB = 1 << 30


def bert_shapes():
    hidden, inner = 768, 3072
    yield "embeddings.word_embeddings.weight", (30522, hidden)
    yield "embeddings.position_embeddings.weight", (512, hidden)
    yield "embeddings.token_type_embeddings.weight", (2, hidden)
    yield from norm("embeddings.LayerNorm", hidden)
    for layer in range(12):
        name = f"encoder.layer.{layer}"
        for part in ("query", "key", "value"):
            yield from linear(f"{name}.attention.self.{part}", hidden, hidden)
        yield from linear(f"{name}.attention.output.dense", hidden, hidden)
        yield from norm(f"{name}.attention.output.LayerNorm", hidden)
        yield from linear(f"{name}.intermediate.dense", inner, hidden)
        yield from linear(f"{name}.output.dense", hidden, inner)
        yield from norm(f"{name}.output.LayerNorm", hidden)
    yield from linear("pooler.dense", hidden, hidden)


def norm(name, size):
    yield f"{name}.weight", (size,)
    yield f"{name}.bias", (size,)


def linear(name, outputs, inputs):
    yield f"{name}.weight", (outputs, inputs)
    yield f"{name}.bias", (outputs,)


def many_shapes():
    for index in range(100_000):
        yield f"blocks.{index // 100}.experts.{index % 100}.weight", (64,)


def tensors(shapes, prefix=""):
    generator = torch.Generator().manual_seed(0)
    return collections.OrderedDict(
        (prefix + key, torch.rand(shape, generator=generator)) for key, shape in shapes
    )


def write_bert(path):
    state = tensors(bert_shapes(), "module.")
    config = {"hidden_size": 768, "num_hidden_layers": 12, "model_type": "bert"}
    torch.save({"epoch": 3, "model_state_dict": state, "config": config}, path)


def write_big(path):
    # Never touched, so neither this process nor the disk holds the 6 GiB.
    state = {f"module.layers.{i}.weight": torch.empty(1 << 14, 1 << 14) for i in range(6)}
    with torch.serialization.skip_data():
        torch.save({"epoch": 3, "model_state_dict": state}, path)
    patch_crcs(path, crc_of_zeros(GIB))


def tiny():
    torch.manual_seed(0)
    nn = torch.nn
    return nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(256, 10)).eval()


def write_tiny(path):
    torch.jit.trace(tiny(), torch.zeros(1, 1, 8, 8)).save(path)


def write_tiny_onnx(path):
    torch.onnx.export(tiny(), (torch.zeros(1, 1, 8, 8),), str(path), dynamo=False, verbose=False)


def write_resnet18_onnx(path):
    torch.manual_seed(0)
    model = export_models.resnet18()
    torch.onnx.export(model, (torch.zeros(1, 3, 224, 224),), str(path), dynamo=False, verbose=False)


def write_resnet50_onnx(path):
    model, _, _ = export_models.make("resnet50")
    generator = torch.Generator().manual_seed(0)
    # Equal statistics fold into equal biases, which exporters share: ONNX Runtime's tool gives those up.
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.1, 0.1, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
    torch.onnx.export(
        model, (torch.zeros(1, 3, 224, 224),), str(path), dynamo=False, verbose=False, input_names=["x"], dynamic_axes={"x": {0: "batch"}}
    )


def write_images(path):
    generator = torch.Generator().manual_seed(0)
    numpy.save(path, torch.randn((16, 3, 224, 224), generator=generator).numpy())


def write_bert_onnx(path):
    model, inputs, _ = export_models.make("bert")
    axes = {name: {0: "batch", 1: "seq"} for name in ("ids", "mask")}
    torch.onnx.export(model, inputs, str(path), dynamo=False, verbose=False, input_names=list(axes), dynamic_axes=axes)


def crc_of_zeros(count):
    crc, chunk = 0, bytes(1 << 24)
    for _ in range(count // len(chunk)):
        crc = zlib.crc32(chunk, crc)
    return crc


def patch_crcs(path, crc):
    """Gives the records that skip_data left without bytes the checksum of the zeros they read as."""
    with zipfile.ZipFile(path) as archive:
        entries, at = archive.infolist(), archive.start_dir
    with open(path, "r+b") as file:
        for entry in entries:
            file.seek(at)
            header = file.read(46)
            lengths = struct.unpack_from("<HHH", header, 28)
            if entry.file_size == GIB:
                file.seek(at + 16)
                file.write(struct.pack("<I", crc))
                patch_descriptor(file, entry, crc)
            at += 46 + sum(lengths)


def patch_descriptor(file, entry, crc):
    file.seek(entry.header_offset + 26)
    name, extra = struct.unpack("<HH", file.read(4))
    file.seek(entry.header_offset + 30 + name + extra + entry.file_size)
    if file.read(4) != b"PK\x07\x08":
        raise ValueError(f"{entry.filename} has no data descriptor")
    file.write(struct.pack("<I", crc))


FILES = {
    "bert.pt": write_bert,
    "bert.safetensors": lambda path: safetensors.torch.save_file(tensors(bert_shapes()), path),
    "many.pt": lambda path: torch.save(tensors(many_shapes()), path),
    "many.safetensors": lambda path: safetensors.torch.save_file(tensors(many_shapes()), path),
    "tiny.pt": write_tiny,
    "tiny.onnx": write_tiny_onnx,
    "resnet18.onnx": write_resnet18_onnx,
    "resnet50.onnx": write_resnet50_onnx,
    "images.npy": write_images,
    "big.pt": write_big,
}


EXPORTED = {
    "bert-base.onnx": write_bert_onnx,
    **{f"{name}.pt2": functools.partial(export_models.write_pt2, name) for name in export_models.MODELS},
    **{f"{name}.script.pt": functools.partial(export_models.write_script, name) for name in export_models.MODELS},
}


def main():
    folder = pathlib.Path(sys.argv[1])
    wanted = {**FILES, **EXPORTED}
    if sys.argv[2:]:
        wanted = {name: write for name, write in wanted.items() if name in sys.argv[2:]}
    unfinished = folder / "unfinished"  # a folder, because torch names the archive after the file
    unfinished.mkdir(parents=True, exist_ok=True)
    for name, write in wanted.items():
        path = folder / name
        if path.exists():
            continue
        print(f"making {path}", file=sys.stderr, flush=True)
        write(unfinished / name)
        (unfinished / name).rename(path)
    unfinished.rmdir()


if __name__ == "__main__":
    main()
