#!/usr/bin/env python3
"""Writes a checkpoint with the key names of torchvision's first DenseNet-121 files.

Those files were saved when a layer of a dense block had children called "norm.1", "relu.1", "conv.1"
(a dot inside a name, which torch forbids today), so their keys are
`features.denseblock1.denselayer1.norm.1.weight` where the model of today wants `...norm1.weight`.
All 606 keys are here, in the order of the real files; the channels are few, so that the file is small.

    .deps/venv/bin/python examples/densenet-keys/make_checkpoint.py OUTPUT.pth [--stacked] [--modern]

--stacked writes the format before PyTorch 1.6, as the real files have; --modern uses today's names.
"""

import argparse
import collections

import torch

BLOCKS = (6, 12, 24, 16)  # layers of each dense block of DenseNet-121
GROWTH = 2  # 32 in the real network
FIRST = 4  # 64 in the real network
BOTTLENECK = 4  # as in the real network
CLASSES = 10  # 1000 in the real network


def norm(name, channels):
    """BatchNorm2d as it was saved before PyTorch 0.4.1: without num_batches_tracked."""
    yield f"{name}.weight", (channels,)
    yield f"{name}.bias", (channels,)
    yield f"{name}.running_mean", (channels,)
    yield f"{name}.running_var", (channels,)


def conv(name, outputs, inputs, size):
    yield f"{name}.weight", (outputs, inputs, size, size)


def dense_layer(name, channels, dot):
    yield from norm(f"{name}.norm{dot}1", channels)
    yield from conv(f"{name}.conv{dot}1", BOTTLENECK * GROWTH, channels, 1)
    yield from norm(f"{name}.norm{dot}2", BOTTLENECK * GROWTH)
    yield from conv(f"{name}.conv{dot}2", GROWTH, BOTTLENECK * GROWTH, 3)


def densenet121(dot):
    """The (key, shape) pairs; DOT is "." for the old names and "" for the new ones."""
    yield from conv("features.conv0", FIRST, 3, 7)
    yield from norm("features.norm0", FIRST)
    channels = FIRST
    for block, layers in enumerate(BLOCKS, 1):
        for layer in range(1, layers + 1):
            name = f"features.denseblock{block}.denselayer{layer}"
            yield from dense_layer(name, channels, dot)
            channels += GROWTH
        if block < len(BLOCKS):
            yield from norm(f"features.transition{block}.norm", channels)
            yield from conv(f"features.transition{block}.conv", channels // 2, channels, 1)
            channels //= 2
    yield from norm("features.norm5", channels)
    yield "classifier.weight", (CLASSES, channels)
    yield "classifier.bias", (CLASSES,)


def state_dict(dot="."):
    """Random tensors that depend on their shape and place only, so both namings hold equal values."""
    generator = torch.Generator().manual_seed(0)
    return collections.OrderedDict(
        (key, torch.rand(shape, generator=generator)) for key, shape in densenet121(dot)
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output")
    parser.add_argument("--stacked", action="store_true", help="the format before PyTorch 1.6")
    parser.add_argument("--modern", action="store_true", help="today's key names")
    options = parser.parse_args()
    torch.save(
        state_dict("" if options.modern else "."),
        options.output,
        _use_new_zipfile_serialization=not options.stacked,
    )


if __name__ == "__main__":
    main()
