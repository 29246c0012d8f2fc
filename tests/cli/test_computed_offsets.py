"""What mlc writes loads right where PyTorch computes the places of storages, or does not ask it to.

torch.load(map_location="meta") and mmap=True under calculate_storage_offsets trust the record
.format_version and look nothing up.
"""

import collections
import zipfile

import pytest
import torch
from torch.utils.serialization import config

EDITS = {
    "strip": ["strip-module-prefix"],
    "rename": ["remap-keys", "--map", "module.0.a=module.z"],
    "drop_first": ["remap-keys", "--drop", "module.0.a", "--drop", "module.tied"],
    "drop": ["remap-keys", "--drop", "module.3.b"],
    "metadata": ["metadata", "--set", "name=x"],
    "save": ["save"],
}


def tensors():
    generator = torch.Generator().manual_seed(3)
    out = collections.OrderedDict()
    for layer in range(6):
        for name in "ab":
            out[f"module.{layer}.{name}"] = torch.randn(3 + layer, 5, generator=generator)
    out["module.none"] = torch.empty(0)
    out["module.tied"] = out["module.0.a"]
    out["module.half"] = torch.randn(7, generator=generator).half()
    return out


def packed_again(source, target, order=list):
    """As a zip tool packs it: other headers, no padding."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in order(old.namelist()):
            new.writestr(name, old.read(name))


def make(kind, folder):
    path = folder / "in.pt"
    with_alignment = config.save.storage_alignment
    config.save.storage_alignment = 4096 if kind == "aligned" else with_alignment
    try:
        torch.save(tensors(), path)
    finally:
        config.save.storage_alignment = with_alignment
    if kind in ("zipped", "reversed"):
        packed_again(path, folder / "again.pt", list if kind == "zipped" else lambda names: names[::-1])
        (folder / "again.pt").replace(path)
    return path


def places(path):
    """PyTorch's own idea of where each storage lies, computed where it may."""
    meta = torch.load(path, map_location="meta")
    return {key: tensor.untyped_storage()._checkpoint_offset for key, tensor in meta.items() if tensor.numel()}


def true_places(path):
    with zipfile.ZipFile(path) as archive:
        reader = torch._C.PyTorchFileReader(str(path))
        root = archive.namelist()[0].split("/")[0] + "/"
        return {reader.get_record_offset(name.removeprefix(root)) for name in archive.namelist() if "/data/" in name}


def loads_right(path):
    plain = torch.load(path)
    config.load.calculate_storage_offsets = True
    try:
        mapped = torch.load(path, mmap=True)
    except AssertionError:
        return False
    finally:
        config.load.calculate_storage_offsets = False
    try:
        right_places = set(places(path).values()) <= true_places(path)
    except AssertionError:
        return False
    return right_places and all(torch.equal(plain[key], mapped[key]) for key in plain)


@pytest.mark.parametrize("kind", ["saved", "aligned", "zipped", "reversed"])
@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("in_place", [False, True], ids=["out", "in_place"])
def test_storages_are_where_torch_computes_them(mlc, tmp_path, kind, edit, in_place):
    if edit == "save" and in_place:
        pytest.skip("save writes a new file")
    path = make(kind, tmp_path)
    assert loads_right(path) is (kind in ("saved", "aligned"))
    if in_place:
        mlc.ok(*EDITS[edit][:1], path, *EDITS[edit][1:], "--in-place")
        out = path
    else:
        out = tmp_path / "out.pt"
        mlc.ok(*EDITS[edit][:1], path, *EDITS[edit][1:], "-o", out)
    assert loads_right(out)
    wanted = dict(tensors())
    found = torch.load(out)
    for key, tensor in found.items():
        name = "module.0.a" if key == "module.z" else key if key.startswith("module.") else "module." + key
        assert torch.equal(tensor, wanted[name])


def test_the_mark_stays_where_it_holds(mlc, tmp_path):
    path = make("saved", tmp_path)
    mlc.ok("strip-module-prefix", path, "-o", tmp_path / "out.pt")
    with zipfile.ZipFile(tmp_path / "out.pt") as archive:
        assert "in/.format_version" in archive.namelist()


def test_an_edit_of_metadata_that_drops_the_first_record_begins_with_another(mlc, tmp_path):
    path = make("reversed", tmp_path)  # begins with .data/serialization_id
    for steps in (["--set", "name=x"], ["--clear"]):
        mlc.ok("metadata", path, *steps, "-o", tmp_path / "out.pt", "--force")
        assert (tmp_path / "out.pt").read_bytes()[:4] == b"PK\3\4"
        assert torch.equal(torch.load(tmp_path / "out.pt")["module.half"], tensors()["module.half"])
