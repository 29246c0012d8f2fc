"""What runs say that fail or answer "no", each test named after what was wrong once."""

import json

import pytest
import torch

from checkpoints import offsets, ordered, small_model, training_checkpoint, write


@pytest.fixture
def plain(tmp_path):
    return write(tmp_path / "a.pt", small_model().state_dict())


# --- several files


def damage(path):
    """Flips a byte of the first storage; the record is returned."""
    (name, (offset, _)), *_ = offsets(path, "data/").items()
    bad = bytearray(path.read_bytes())
    bad[offset] ^= 0x80
    path.write_bytes(bad)
    return name


def test_a_damaged_record_in_a_batch_was_no_failure(mlc, tmp_path, plain):
    (tmp_path / "bad.pt").write_bytes(plain.read_bytes())
    name = damage(tmp_path / "bad.pt")
    for summary in ([], ["--summary"]):
        result = mlc("load", "bad.pt", "a.pt", "--check", "crc", *summary, "--keep-going")
        assert result.rc == 3 and result.stdout.startswith("bad.pt: failed\na.pt: ")
        assert f"mlc: error: bad.pt: 1 damaged record, first {name} (0.weight) at offset" in result.stderr
        assert "2 files, 1 failed" in result.stderr
    result = mlc("load", "bad.pt", "a.pt", "--check", "crc")
    assert result.rc == 3 and result.stdout == "bad.pt: failed\n" and "1 not begun" in result.stderr
    result = mlc("load", "bad.pt", "a.pt", "--check", "crc", "--json", "--keep-going")
    assert (result.rc, result.json["failed"]) == (3, 1)
    assert len(result.json["results"][0]["result"]["check"]["damaged"]) == 1


def test_a_damaged_file_of_a_batch_had_no_error_in_json(mlc, valid, tmp_path, plain):
    (tmp_path / "bad.pt").write_bytes(plain.read_bytes())
    name = damage(tmp_path / "bad.pt")
    result = mlc("load", "bad.pt", "a.pt", "--check", "crc", "--json", "--keep-going")
    valid(result.json, "batch")
    bad, good = result.json["results"]
    assert bad["error"]["kind"] == "corrupt" and name in bad["error"]["message"] and "result" in bad
    assert "error" not in good


def test_an_unsafe_file_in_a_batch_was_not_named(mlc, tmp_path, plain):
    write(tmp_path / "whole.pt", torch.nn.Linear(2, 2))
    result = mlc("load", "a.pt", "whole.pt", "--require-safe", "--summary")
    good, bad = result.stdout.splitlines()
    assert result.rc == 1 and good.startswith("a.pt: ") and good.endswith("; weights_only=True accepts it")
    assert bad.startswith("whole.pt: ") and "; weights_only=True refuses torch.nn.modules.linear.Linear" in bad


def test_a_file_that_requires_nothing_stopped_the_batch(mlc, valid, tmp_path, plain):
    mlc.ok("save", "a.pt", "-o", "b.pt", "--set", "framework.torch=2.1.0", "--set", "requires=[torch>=2]")
    result = mlc("validate-version", "a.pt", "b.pt")
    assert result.rc == 1 and result.stdout.splitlines() == [
        "a.pt: unknown: its metadata has no `requires`, so there is nothing to judge by",
        "b.pt: satisfied: torch 2.1.0 satisfies >=2 (from the embedded metadata)"]
    assert mlc.ok("validate-version", "a.pt", "b.pt", "--if-unknown", "pass").stderr == ""
    assert "no `requires`" in mlc.ok("validate-version", "a.pt", "--if-unknown", "warn").stderr
    alone = mlc("validate-version", "a.pt", "--json")
    valid(alone.json, "validate-version")
    assert (alone.rc, alone.json["verdict"], alone.json["requirements"]) == (1, "unknown", [])
    assert "--requires" in alone.json["hint"]


def test_quiet_checks_listed_the_good_files_too(mlc, tmp_path, plain):
    (tmp_path / "bad.pt").write_bytes(plain.read_bytes())
    damage(tmp_path / "bad.pt")
    result = mlc("load", "a.pt", "bad.pt", "a.pt", "--check", "crc", "--keep-going", "-q")
    assert result.rc == 3 and result.stdout == "bad.pt: failed\n"
    assert mlc.ok("load", "a.pt", "a.pt", "-q").stdout.count("a.pt: 9 tensors") == 2  # no check, an answer


# --- damage


def test_a_zip_whose_start_is_overwritten_was_no_checkpoint(mlc, plain):
    plain.write_bytes(b"0123456789abcdef" + plain.read_bytes()[16:])
    result = mlc("load", plain)
    assert result.rc == 3 and "is a zip archive by its end, but its start is damaged" in result.stderr


# --- standard error


def test_warnings_before_an_error_of_json_were_plain_text(mlc, valid, root, tmp_path, plain):
    for name in ("message", "error"):
        valid(json.loads((root / f"schemas/examples/{name}.json").read_text()), name)
    result = mlc("save", "a.pt", "--include", "nope.*", "-o", "b.pt", "--json")
    *warnings, error = [json.loads(line) for line in result.stderr.splitlines()]
    assert result.rc != 0 and result.stdout == "" and len(warnings) == 1
    valid(warnings[0], "message")
    assert (warnings[0]["level"], warnings[0]["message"]) == ("warning", '--include "nope.*" matches no key')
    valid(error, "error")
    quiet = mlc("save", "a.pt", "--include", "nope.*", "-o", "b.pt", "--json", "-q")
    assert json.loads(quiet.stderr) == error
    for line in mlc("remap-keys", "a.pt", "--map", "0.weight=w", "-o", "c.pt", "--json", "-v").stderr.splitlines():
        valid(json.loads(line), "message")


def test_json_had_a_closing_line_on_standard_error(mlc, plain):
    assert mlc.ok("save", "a.pt", "-o", "b.pt", "--json").stderr == ""
    mlc.ok("save", "a.pt", "-o", "c.pt", "--set", "requires=[torch>=9]", "--set", "framework.torch=2.0")
    assert mlc("validate-version", "c.pt", "a.pt", "--json").stderr == ""


def test_a_hint_came_before_the_verdict(mlc, plain):
    shown = mlc.shell('"$MLC" validate-version a.pt --requires "python>=3" 2>&1').stdout
    assert shown.splitlines()[0].startswith("the version of python is not known") and "\nhint: " in shown


# --- numbers


def test_tied_tensors_were_counted_by_each_verb_in_its_own_way(mlc, tmp_path):
    model = torch.nn.Sequential(torch.nn.Linear(4, 4, bias=False), torch.nn.Linear(4, 4, bias=False))
    model[1].weight = model[0].weight
    write(tmp_path / "whole.pt", model)
    totals = mlc.ok("load", "whole.pt", "--json").json["totals"]
    assert (totals["tensors"], totals["bytes"]) == (2, 64)
    assert mlc.ok("save", "whole.pt", "-o", "b.pt").stderr.count("wrote b.pt: 2 tensors, ") == 1
    assert mlc.ok("save", "whole.pt", "-o", "c.pt", "-n", "--json").json["tensors"] == 2
    assert mlc.ok("diff", "whole.pt", "b.pt").stdout == "equal: 2 tensors, 64 B\n"


# --- exit codes


def test_asking_for_what_no_input_has_had_three_codes(mlc, tmp_path, plain):
    write(tmp_path / "none.pt", {"epoch": 3})
    write(tmp_path / "list.pt", [torch.ones(1)])
    for arguments in (["diff", "a.pt", "a.pt", "--include", "nope"], ["save", "a.pt", "--include", "nope", "-o", "x.pt"],
                      ["strip-module-prefix", "none.pt", "-o", "x.pt"], ["strip-module-prefix", "list.pt", "-o", "x.pt"],
                      ["load", "a.pt", "--key", "nope"], ["remap-keys", "a.pt", "--drop", "*", "-o", "x.pt"]):
        assert mlc(*arguments).rc == 2, arguments


# --- shards


@pytest.mark.parametrize("name, more", [("x.pt", "--format pt"), ("x.safetensors", "-o names a folder")])
def test_max_shard_size_made_a_folder_named_like_a_file(mlc, tmp_path, plain, name, more):
    result = mlc("save", "a.pt", "-o", name, "--max-shard-size", "60B")
    assert result.rc == 2 and f'"{name}" is the name of a file' in result.stderr and more in result.stderr
    assert not (tmp_path / name).exists()


def test_shards_edited_in_place_were_refused_in_riddles(mlc, plain):
    mlc.ok("save", "a.pt", "-o", "shards", "--max-shard-size", "60B")
    for path in ("shards", "shards/model.safetensors.index.json"):
        result = mlc("remap-keys", path, "--add-prefix", "p.", "--in-place")
        assert result.rc == 4 and f"{path}: a checkpoint of several files cannot be edited in place" in result.stderr
        assert "with -o" in result.stderr


@pytest.mark.parametrize("command", [["--help"], ["load", "--help"], ["man", "load"], ["man"]])
def test_the_worst_exit_code_of_a_batch_was_undocumented(mlc, command):
    text = " ".join(mlc.ok(*command).stdout.split())
    assert "of several files the worst counts, from worst to best: 130, 70, 5, 3, 4, 2, 1, 0" in text.replace("Of", "of")


def test_verbs_of_one_file_say_nothing_of_several(mlc):
    assert "of several files" not in mlc.ok("diff", "--help").stdout


def test_a_dry_run_of_several_files_showed_no_plan(mlc, tmp_path):
    for name in ("a", "b"):
        write(tmp_path / f"{name}.pt", {f"module.{name}": torch.ones(2)})
    shown = mlc.ok("strip-module-prefix", "a.pt", "b.pt", "--out-dir", "out", "-n").stdout
    assert shown == ("a.pt: dry run: 1 renamed; nothing was written\nmodule.a -> a\n\n"
                     "b.pt: dry run: 1 renamed; nothing was written\nmodule.b -> b\n")
    shown = mlc.ok("save", "a.pt", "b.pt", "--out-dir", "out", "-n").stdout
    assert "module.a  f32    [2]        8\n\nb.pt: dry run: would write 1 tensor" in shown
    shown = mlc.ok("metadata", "a.pt", "b.pt", "--set", "name=x", "--in-place", "-n").stdout
    assert shown.count("name: x\n") == 2 and "\n\nb.pt: " in shown
