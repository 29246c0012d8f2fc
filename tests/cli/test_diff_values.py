"""mlc diff --key .: what is no tensor."""
import argparse
import zipfile

import numpy
import pytest
import safetensors.torch
import torch


@pytest.fixture
def compare(mlc, valid, tmp_path):
    """compare(a, b): the places where two files with these values differ."""

    def run(a, b):
        for name, value in (("a", a), ("b", b)):
            torch.save({"w": torch.ones(1), "v": value}, tmp_path / f"{name}.pt")
        result = mlc("diff", "a.pt", "b.pt", "--key", ".", "--json")
        valid(result.json, "diff")
        assert result.rc == (1 if result.json["other_values"] else 0)
        return [one["path"] for one in result.json["other_values"]]

    return run


def test_large_sets_are_compared_to_their_end(compare):
    assert compare(set(range(120_000)), set(range(119_999)) | {-5}) == ["v"]
    assert compare(set(range(120_000)), set(range(120_000))) == []


def test_what_is_too_deep_is_not_called_equal(compare):
    def nested(inner):
        for _ in range(250):
            inner = (inner,)
        return {inner}

    assert compare(nested(1), nested(2)) == ["v"]


@pytest.mark.parametrize("make", [set, frozenset, lambda items: {"x": {(1, frozenset(items))}}])
def test_sets_have_no_order(compare, make):
    one, other = [0, 8], [8, 0]  # of the same hash in a small table
    assert list(set(one)) != list(set(other))
    assert compare(make(one), make(other)) == []
    assert compare(make(one), make([0, 16])) != []


def test_minus_zero_is_zero(compare):
    assert compare([0.0, {-0.0: 1}, complex(0.0, -0.0)], [-0.0, {0.0: 1}, complex(-0.0, 0.0)]) == []
    assert compare(0.0, 5e-324) == ["v"]


def test_long_integers_and_texts_differ_in_their_last_digit(compare):
    assert compare(2**4000, 2**4000 + 1) == ["v"]
    assert compare("x" * 10**6 + "a", "x" * 10**6 + "b") == ["v"]
    assert compare(2**4000, 2**4000) == []


def test_the_arguments_of_objects_count(compare):
    assert compare(numpy.zeros(2, "f4"), numpy.zeros(2, "i4")) != []
    assert compare(numpy.zeros(2, "f4"), numpy.zeros(2, "f4")) == []


def test_empty_sets_are_equal_in_every_protocol(mlc, tmp_path):
    values = {"w": torch.ones(1), "e": set(), "f": frozenset(), "g": frozenset({1}), "n": argparse.Namespace(s={2})}
    torch.save(values, tmp_path / "a.pt")
    torch.save(values, tmp_path / "b.pt", pickle_protocol=4)
    mlc.ok("diff", "a.pt", "b.pt", "--key", ".")


def test_records_of_other_programs_are_compared(mlc, valid, tmp_path):
    for name, text in (("a", None), ("b", "hello"), ("c", "jello"), ("d", "hello")):
        torch.save({"w": torch.ones(1)}, tmp_path / f"{name}.pt")
        if text is not None:
            with zipfile.ZipFile(tmp_path / f"{name}.pt", "a") as archive:
                packed = zipfile.ZIP_DEFLATED if name == "d" else zipfile.ZIP_STORED
                archive.writestr(archive.namelist()[0].split("/")[0] + "/notes.txt", text, packed)
    mlc.ok("diff", "b.pt", "d.pt", "--key", ".")
    for a, b, line in (("a", "b", "nothing and 5 B"), ("b", "a", "5 B and nothing"), ("b", "c", "5 B and 5 B of other content")):
        result = mlc("diff", f"{a}.pt", f"{b}.pt", "--key", ".")
        assert result.rc == 1 and f"other value: record notes.txt: {line}\n" in result.stdout
        valid(mlc("diff", f"{a}.pt", f"{b}.pt", "--key", ".", "--json").json, "diff")


def test_other_strings_of_safetensors_are_a_note(mlc, tmp_path):
    for name, strings in (("a", {"format": "pt", "x": "1", "same": "s"}), ("b", {"x": "2", "same": "s", "y": "3"}), ("c", None)):
        safetensors.torch.save_file({"w": torch.ones(1)}, tmp_path / f"{name}.safetensors", metadata=strings)
    note = "other strings in __metadata__, which do not count: "
    for b, keys in (("a", None), ("b", "x and y"), ("c", "same and x")):
        result = mlc.ok("diff", "a.safetensors", f"{b}.safetensors")
        assert result.stderr == (f"{note}{keys}\n" if keys else "")
        assert mlc.ok("diff", "a.safetensors", f"{b}.safetensors", "--no-metadata").stderr == ""


def test_what_moved_most_comes_first(mlc, tmp_path):
    # In key order the largest of 120 was among "and 70 more".
    before = {f"l{i:03d}": torch.ones(4) for i in range(120)}
    after = {key: value + (3 if key == "l110" else 0.1) for key, value in before.items()}
    torch.save(before, tmp_path / "a.pt")
    torch.save({**after, "new": torch.ones(1)}, tmp_path / "b.pt")
    lines = mlc("diff", "a.pt", "b.pt", "--sort", "moved").stdout.splitlines()
    assert lines[0].startswith("only in B: new") and lines[1].startswith("value: l110: ")
    assert "l110" not in mlc("diff", "a.pt", "b.pt").stdout
