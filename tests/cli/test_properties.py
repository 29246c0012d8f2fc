"""Random checkpoints: torch writes, mlc rewrites, torch reads, and everything is as it was."""

import collections
import pathlib
import tempfile

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from checkpoints import Comparison, assert_loads_as, assert_same, has_float8, record, write

DTYPES = [
    torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.bool, torch.uint8, torch.int8, torch.int16,
    torch.int32, torch.int64, torch.complex64, torch.complex128, torch.float8_e4m3fn, torch.float8_e5m2,
]
# safetensors 0.8 has no complex128.
PLAIN_DTYPES = [d for d in DTYPES if d not in (torch.complex64, torch.complex128)]

random_checkpoints = settings(
    max_examples=40, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck), derandomize=True)


def random_tensor(dtype, shape, seed):
    generator = torch.Generator().manual_seed(seed)
    count = torch.Size(shape).numel()
    if dtype is torch.bool:
        return torch.randint(0, 2, (count,), generator=generator).to(torch.bool).reshape(shape)
    raw = torch.randint(0, 256, (count * dtype.itemsize,), generator=generator, dtype=torch.uint8)
    return raw.view(dtype).reshape(shape) if count else torch.empty(shape, dtype=dtype)


@st.composite
def views(draw, base):
    """BASE itself, or another view of its storage."""
    kind = draw(st.sampled_from(["whole", "whole", "slice", "step", "transpose", "expand", "element"]))
    if base.dim() == 0 or kind == "whole":
        return base
    if kind == "slice":
        start = draw(st.integers(0, base.shape[0]))
        return base[start:draw(st.integers(start, base.shape[0]))]
    if kind == "step":
        return base[::2]
    if kind == "transpose":
        return base.transpose(0, -1)
    if kind == "expand":
        return base.unsqueeze(0).expand(draw(st.integers(0, 3)), *base.shape)
    return base.flatten()[0] if base.numel() else base


@st.composite
def pools(draw, dtypes=tuple(DTYPES), shared=True):
    """A few tensors, some of them views of one storage."""
    out = []
    for _ in range(draw(st.integers(1, 4))):
        shape = draw(st.lists(st.integers(0, 4), max_size=3))
        base = random_tensor(draw(st.sampled_from(dtypes)), shape, draw(st.integers(0, 2**31)))
        for _ in range(draw(st.integers(1, 3)) if shared else 1):
            out.append(draw(views(base)) if shared else base)
    return out


odd_texts = st.one_of(
    st.sampled_from(["", ".", "..", "a.b", " ", "a b", "module.", "weight", "\u00e9\u4e2d\U0001f600", "\n", "'\"\\", "_metadata"]),
    st.text(max_size=6))
dict_keys = st.one_of(odd_texts, st.integers(-300, 300))
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), odd_texts, st.text(min_size=250, max_size=260))


@st.composite
def checkpoints(draw):
    """Nested containers with the tensors of a pool, some of them more than once."""
    leaves = st.one_of(st.sampled_from(draw(pools())), scalars)

    def nest(children):
        dicts = st.dictionaries(dict_keys, children, max_size=4)
        lists = st.lists(children, max_size=4)
        return st.one_of(dicts, dicts.map(collections.OrderedDict), lists, lists.map(tuple))

    tree = st.recursive(leaves, nest, max_leaves=20)
    return draw(st.dictionaries(dict_keys, tree, min_size=1, max_size=5))


@st.composite
def state_dicts(draw, dtypes=tuple(DTYPES), shared=True):
    """An OrderedDict of tensors, as Module.state_dict() makes them, under odd keys."""
    pool = draw(pools(dtypes, shared))
    keys = draw(st.lists(odd_texts, min_size=len(pool), max_size=len(pool), unique=True))
    return collections.OrderedDict(zip(keys, pool))


def write_for_torch(path, value, legacy):
    """Writes VALUE; not in the legacy format where torch 2.13 could not read it back."""
    return write(path, value, legacy and not has_float8(value))


@pytest.fixture(scope="module")
def folder():
    with tempfile.TemporaryDirectory() as path:
        yield pathlib.Path(path)


@random_checkpoints
@given(checkpoint=checkpoints(), legacy=st.booleans())
def test_save_keeps_every_checkpoint(mlc, folder, checkpoint, legacy):
    source = write_for_torch(folder / "x.pt", checkpoint, legacy)
    mlc.ok("save", source, "-o", folder / "y.pt", "--force")
    assert_loads_as(folder / "y.pt", torch.load(source, weights_only=False))
    # ... and what mlc wrote, mlc and torch agree on again
    write(folder / "z.pt", torch.load(folder / "y.pt"))
    mlc.ok("save", folder / "z.pt", "--out-dir", folder / "again", "--force")
    mlc.ok("save", folder / "y.pt", "-o", folder / "z.pt", "--force")
    assert (folder / "again" / "z.pt").read_bytes() == (folder / "z.pt").read_bytes()


@random_checkpoints
@given(state_dict=state_dicts(), legacy=st.booleans())
def test_pickle_of_a_state_dict_is_the_one_of_torch(mlc, folder, state_dict, legacy):
    source = write_for_torch(folder / "x.pt", state_dict, legacy)
    mlc.ok("save", source, "-o", folder / "y.pt", "--force")
    assert record(folder / "y.pt") == record(write(folder / "z.pt", state_dict))
    assert_loads_as(folder / "y.pt", torch.load(source))


@random_checkpoints
@given(state_dict=state_dicts(), legacy=st.booleans(), in_place=st.booleans())
def test_renames_keep_every_tensor(mlc, folder, state_dict, legacy, in_place):
    source = write_for_torch(folder / "x.pt", state_dict, legacy)
    before = torch.load(source)
    renamed = collections.OrderedDict((f"pre.{key}", value) for key, value in before.items())
    mlc.ok("strip-module-prefix", source, "--add", "pre.", "-o", folder / "y.pt", "--force")
    assert_loads_as(folder / "y.pt", renamed)
    if in_place:
        mlc.ok("remap-keys", source, "--add-prefix", "pre.", "--in-place")
        assert_loads_as(source, renamed)
    elif "" not in before:  # "pre." alone is a name, not a prefix
        back = folder / "z.pt"
        mlc.ok("strip-module-prefix", folder / "y.pt", "--prefix", "pre.", "--max-depth", "1", "-o", back, "--force")
        assert_loads_as(back, before)


@random_checkpoints
@given(state_dict=state_dicts(dtypes=tuple(PLAIN_DTYPES), shared=False))
def test_safetensors_is_the_file_of_safetensors(mlc, folder, state_dict):
    source = write(folder / "x.pt", state_dict)
    mlc.ok("save", source, "-o", folder / "y.safetensors", "--force")
    safetensors.torch.save_file(state_dict, folder / "z.safetensors", metadata={"format": "pt"})
    assert (folder / "y.safetensors").read_bytes() == (folder / "z.safetensors").read_bytes()
    mlc.ok("save", folder / "z.safetensors", "-o", folder / "back.pt", "--force")
    found = torch.load(folder / "back.pt", mmap=True)
    assert_same(dict(state_dict), {key: found[key] for key in state_dict}, views=False)


@random_checkpoints
@given(state_dict=state_dicts(dtypes=tuple(PLAIN_DTYPES)))
def test_safetensors_of_views_and_ties(mlc, folder, state_dict):
    source = write(folder / "x.pt", state_dict)
    for policy in ("dedupe", "clone"):
        report = mlc.ok("save", source, "-o", folder / "y.safetensors", "--force", "--shared", policy, "--json").json
        found = safetensors.torch.load_file(folder / "y.safetensors")
        aliases = report["aliases"]
        assert policy == "dedupe" or not aliases
        assert {**found, **{dropped: found[kept] for dropped, kept in aliases.items()}}.keys() == state_dict.keys()
        for key, tensor in state_dict.items():
            Comparison(views=False).same(tensor, found[aliases.get(key, key)], key)


@random_checkpoints
@given(state_dict=state_dicts())
def test_compact_views_keeps_values(mlc, folder, state_dict):
    source = write(folder / "x.pt", state_dict)
    mlc.ok("save", source, "-o", folder / "y.pt", "--compact-views", "--force")
    assert_loads_as(folder / "y.pt", state_dict, views=False)


@random_checkpoints
@given(checkpoint=checkpoints(), legacy=st.booleans())
def test_load_lists_every_checkpoint(mlc, valid, folder, checkpoint, legacy):
    source = write_for_torch(folder / "x.pt", checkpoint, legacy)
    report = mlc.ok("load", source, "--json", "--stats", "--globals", "--check", "sha256").json
    valid(report, "load")
    assert report["weights_only"] is True
    mlc.ok("load", source, "--tree")
    assert mlc.ok("load", source, "--check", "crc", "--json").json["check"]["damaged"] == []
