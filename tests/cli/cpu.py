"""What depends on the processor that runs the tests."""

import pathlib

import pytest

FLAGS = set(pathlib.Path("/proc/cpuinfo").read_text().split())
# x86 without VNNI cuts sums of products of bytes, so that outputs say little of what mlc wrote: there 7 bits are tested.
ADDS_IN_16_BITS = "avx2" in FLAGS and not {"avx_vnni", "avx512_vnni", "amx_int8"} & FLAGS
WIDTH = ["--reduce-range"] if ADDS_IN_16_BITS else []
needs_whole_sums = pytest.mark.skipif(ADDS_IN_16_BITS, reason="x86 without VNNI cuts sums of products of bytes")
