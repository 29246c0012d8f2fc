#!/usr/bin/env python3
"""Writes convert_expected.h: what PyTorch makes of inputs that convert_test.cpp generates as well.

Needs torch 2.13; run it in this folder: python make_convert_expected.py
"""
import zlib

import numpy as np
import torch

FLOATS = {
    "f16": torch.float16, "bf16": torch.bfloat16, "f32": torch.float32, "f64": torch.float64,
    "f8_e4m3fn": torch.float8_e4m3fn, "f8_e5m2": torch.float8_e5m2,
    "f8_e4m3fnuz": torch.float8_e4m3fnuz, "f8_e5m2fnuz": torch.float8_e5m2fnuz,
    "f8_e8m0fnu": torch.float8_e8m0fnu,
}
INTEGERS = {
    "boolean": torch.bool, "u8": torch.uint8, "i8": torch.int8, "u16": torch.uint16,
    "i16": torch.int16, "u32": torch.uint32, "i32": torch.int32, "u64": torch.uint64,
    "i64": torch.int64,
}
COMPLEX = {"c32": torch.complex32, "c64": torch.complex64, "c128": torch.complex128}


def mix(count, seed):
    """splitmix64 of a counter."""
    with np.errstate(over="ignore"):
        x = (np.arange(count, dtype=np.uint64) + np.uint64(seed)) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))


SPECIAL32 = [0x00000000, 0x80000000, 0x7F800000, 0xFF800000, 0x7FC00000, 0x7F800001, 0xFFFFFFFF,
             0x7F7FFFFF, 0xFF7FFFFF, 0x00000001, 0x80000001, 0x007FFFFF, 0x00800000, 0x3F800000,
             0x00400000, 0x7F7F7FFF]


def inputs_f32():
    """Any bits, then bits near the ties of every target in the range where they matter."""
    anything = (mix(131072, 1) & np.uint64(0xFFFFFFFF)).astype(np.uint32)
    r = mix(131072, 2)
    keep = np.array([12, 13, 15, 16, 20, 21], dtype=np.uint64)[(r >> np.uint64(40)) % np.uint64(6)]
    exponent = np.uint64(88) + (r >> np.uint64(48)) % np.uint64(64)
    bits = (r & np.uint64(0x807FFFFF)) | (exponent << np.uint64(23))
    bits = (bits >> keep << keep) | (np.uint64(1) << (keep - np.uint64(1)))
    near = bits + (r >> np.uint64(34)) % np.uint64(3) - np.uint64(1)
    special = np.array(SPECIAL32 * 4, dtype=np.uint32)
    return np.concatenate([anything, near.astype(np.uint32), special])


def inputs_f64():
    """Float32 bits widened, with noise far below their last place, then any bits."""
    with np.errstate(invalid="ignore"):
        wide = inputs_f32().view(np.float32).astype(np.float64).view(np.uint64)
    r = mix(wide.size, 3)
    noise = np.where(r % np.uint64(2) == 0, np.uint64(0), (r >> np.uint64(8)) & np.uint64(0x1FFFFFFF))
    return np.concatenate([wide ^ noise, mix(65536, 4)])


def input_tensor(name):
    if name == "f32":
        return torch.from_numpy(inputs_f32().view(np.float32))
    if name == "f64":
        return torch.from_numpy(inputs_f64().view(np.float64))
    if name in ("f16", "bf16"):
        return torch.arange(65536, dtype=torch.int32).to(torch.int16).view(FLOATS[name])
    if name in FLOATS:
        return torch.arange(256, dtype=torch.int32).to(torch.uint8).view(FLOATS[name])
    if name == "boolean":
        return torch.from_numpy((mix(4096, 5) % np.uint64(2)).astype(np.uint8)).view(torch.bool)
    if name in INTEGERS:
        # Every width of numbers: the random bits are shifted down by 0 to 63.
        words = mix(8192, 6).view(np.int64) >> (mix(8192, 7) % np.uint64(64)).astype(np.int64)
        size = INTEGERS[name].itemsize
        raw = words.view(np.uint8).reshape(-1, 8)[:, :size].copy()
        return torch.from_numpy(raw).view(INTEGERS[name]).reshape(-1)
    component = {"c32": "f16", "c64": "f32", "c128": "f64"}[name]
    return input_tensor(component).view(COMPLEX[name])


def raw(tensor):
    return tensor.contiguous().view(torch.uint8).numpy()


def quiet_bf16(data, to):
    """PyTorch's bfloat16 NaNs depend on where in the tensor they are: make all 0x7FC0."""
    if to != "bf16":
        return data
    codes = data.view(np.uint16).copy()
    codes[(codes & 0x7FFF) > 0x7F80] = 0x7FC0
    return codes.view(np.uint8)


def float_counts(before, after, to):
    if before.is_complex():
        before, after = torch.view_as_real(before), torch.view_as_real(after)
    a, b = before.double(), after.double()
    finite = torch.isfinite(a)
    lost = finite & ~torch.isfinite(b)
    if to == "f8_e4m3fn":
        lost |= finite & (a.float().abs() > 464)
    under = (a != 0) & finite & (b == 0)
    return int(lost.sum()), int(under.sum()), int(torch.isnan(a).sum())


def counts(before, after, source, to):
    if to == "boolean":
        nans = torch.isnan(before.double()).sum() if source in FLOATS else 0
        return 0, 0, int(nans)
    if source in INTEGERS and to in INTEGERS:
        a, b = before.numpy().astype(object), after.numpy().astype(object)
        return int((a != b).sum()), 0, 0
    return float_counts(before, after, to)


def main():
    torch.set_num_threads(1)
    pairs = [(a, b) for a in FLOATS for b in [*FLOATS, "boolean"] if a != b]
    pairs += [(a, b) for a in INTEGERS for b in [*INTEGERS, *FLOATS] if a != b]
    pairs += [(a, b) for a in COMPLEX for b in COMPLEX if a != b]
    every = {**FLOATS, **INTEGERS, **COMPLEX}
    lines = []
    for source, to in pairs:
        before = input_tensor(source)
        after = before.to(every[to])
        crc = zlib.crc32(quiet_bf16(raw(after), to).tobytes())
        over, under, nans = counts(before, after, source, to)
        lines.append(f"    {{DType::{source}, DType::{to}, 0x{crc:08X}, {over}, {under}, {nans}}},")
    with open("convert_expected.h", "w") as out:
        out.write(f"""// Written by make_convert_expected.py with torch {torch.__version__.split('+')[0]}; do not edit.
#pragma once

#include <cstdint>

#include "mlc/tensor/dtype.h"

namespace mlc {{

struct ExpectedConversion {{
  DType from, to;
  uint32_t crc32;
  uint64_t overflowed, underflowed, nans;
}};

// clang-format off
inline constexpr ExpectedConversion kExpectedConversions[] = {{
""" + "\n".join(lines) + "\n};\n// clang-format on\n\n}  // namespace mlc\n")


if __name__ == "__main__":
    main()
