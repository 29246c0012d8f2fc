"""How much is tested: everything with MLC_ALL=1, which `scripts/test --all` sets; else a fixed part."""

import os

import pytest

ALL = bool(os.environ.get("MLC_ALL"))
only_in_all = pytest.mark.skipif(not ALL, reason="takes long; scripts/test --all runs it")


def part(cases, of, first=0):
    """One in OF of CASES, always the same ones, beginning with number FIRST."""
    return list(cases) if ALL else list(cases)[first::of]
