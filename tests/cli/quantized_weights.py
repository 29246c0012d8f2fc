"""What a reader needs to know about the files of `mlc quantize`: the formula of README.md in PyTorch."""

import safetensors
import safetensors.torch
import torch
import yaml

from checkpoints import record


def load(path):
    """(state_dict, record of the quantised tensors by name, format) with nothing but torch and safetensors."""
    if path.suffix == ".safetensors":
        state = safetensors.torch.load_file(path)
        with safetensors.safe_open(path, "pt") as file:
            metadata = file.metadata()
        described = yaml.safe_load(metadata["mlc"])["quantization"]
        for dropped, kept in metadata.items():
            if kept in state:
                state[dropped] = state[kept]
    else:
        state = torch.load(path, weights_only=True)
        described = yaml.safe_load(record(path, "mlc/metadata.yaml"))["quantization"]
    return state, described["tensors"], described["format"]


def options_of(scheme):
    """(bits, group or None, symmetric) of a scheme's text."""
    name, *options = scheme.split(":")
    bits, group, symmetric = {"int8": (8, None, True), "int4": (4, 32, False)}[name]
    for option in options:
        if option in ("sym", "asym"):
            symmetric = option == "sym"
        else:
            group = None if option == "channel" else int(option[1:])
    return bits, group, symmetric


def unpack_words(words, bits, columns):
    """compressed-tensors' pack_quantized: codes of BITS in words of 32, the first in the lowest bits, plus 2^(BITS-1)."""
    shifts = torch.arange(0, 32, bits)
    codes = (words.long().unsqueeze(-1) >> shifts) & (2**bits - 1)
    return codes.reshape(len(words), -1)[:, :columns].float() - 2 ** (bits - 1)


def codes_of(state, name, bits, symmetric, layout, columns):
    """Codes less their constant zero point, as rows."""
    if layout == "compressed-tensors":
        return unpack_words(state[name + "_packed"], bits, columns)
    if bits == 8:
        return state[name].float().reshape(-1, columns)
    packed = state[name + "_packed"]
    codes = torch.stack([packed & 15, packed >> 4], -1).reshape(len(packed), -1)[:, :columns].float()
    return codes - 8 if symmetric else codes


def dequantize(state, name, described, layout="plain"):
    """The weight NAME as float32."""
    shape = described["shape"]
    if described["scheme"] in ("fp16", "bf16"):
        return state[name].float()
    bits, group, symmetric = options_of(described["scheme"])
    rows = next((size for size in shape[:-1] if size > 1), 1)
    columns = torch.Size(shape).numel() // rows
    codes = codes_of(state, name, bits, symmetric, layout, columns)
    group = min(group or columns, columns)
    spread = torch.arange(columns) // group
    scale = state[name + "_scale"].float().reshape(rows, -1)[:, spread]
    if not symmetric:
        codes = codes - state[name + "_zero_point"].float().reshape(rows, -1)[:, spread]
    weight = scale * codes
    if described.get("input_scale"):
        weight = weight / state[name + "_input_scale"].float()
    return weight.reshape(shape)


def sqnr(weight, stored):
    weight = weight.double()
    return 10 * torch.log10(weight.square().sum() / (weight - stored.double()).square().sum()).item()
