"""`.npz` archives: CRCs of arrays, names that share a folder."""

import json

import numpy as np
import pytest


def damaged(path, array):
    """PATH with one byte of ARRAY's data changed, as a broken disk leaves it."""
    whole = bytearray(path.read_bytes())
    at = whole.index(array.tobytes()[:16])
    whole[at + 5] ^= 0x10
    path.write_bytes(whole)


@pytest.mark.parametrize("dtype", ["<f4", ">f4"])
def test_a_damaged_array_passed_into_new_files(mlc, tmp_path, dtype):
    a = np.arange(64, dtype=dtype).reshape(8, 8) + 1
    np.savez(tmp_path / "w.npz", a=a, b=np.ones(3, dtype))
    assert mlc.ok("load", "w.npz", "--check", "crc", "--json").json["check"]["tensors_without_crc"] == 0
    mlc.ok("save", "w.npz", "-o", "whole.pt")
    damaged(tmp_path / "w.npz", a)
    for args in (["save", "w.npz", "-o", "o.pt"], ["save", "w.npz", "-o", "o.safetensors"], ["load", "w.npz", "--stats"],
                 ["remap-keys", "w.npz", "--add-prefix", "x.", "-o", "o.pt"], ["diff", "w.npz", "whole.pt"]):
        done = mlc(*args)
        assert done.rc == 3 and "is damaged" in done.stderr, (args, done)
    assert not (tmp_path / "o.pt").exists() and not (tmp_path / "o.safetensors").exists()
    found = mlc("load", "w.npz", "--check", "crc", "--json")
    assert found.rc == 3 and [row["tensors"] for row in json.loads(found.stdout)["check"]["damaged"]] == [["a"]]


@pytest.mark.parametrize("write", [np.savez, np.savez_compressed])
def test_names_that_share_a_folder_were_a_broken_archive_of_pytorch(mlc, tmp_path, write):
    write(tmp_path / "p.npz", **{"params/dense/kernel": np.ones((2, 2), np.float32), "params/dense/bias": np.zeros(2, np.float32)})
    answer = mlc.ok("load", "p.npz", "--check", "crc", "--json").json
    assert [t["name"] for t in answer["tensors"]] == ["params/dense/kernel", "params/dense/bias"]
    assert answer["format"] == "npz" and answer["check"]["damaged"] == []
