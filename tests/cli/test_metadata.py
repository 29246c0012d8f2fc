"""mlc metadata: shown, changed in the file, in a copy and beside it; read back by torch and safetensors."""

import json
import os
import struct
import zipfile

import pytest
import safetensors.torch
import torch
import yaml

from checkpoints import write


def tensors():
    return {"fc.weight": torch.arange(12.0).reshape(3, 4), "fc.bias": torch.ones(3)}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.pt"
    torch.save(tensors(), path)
    return path


@pytest.fixture
def tensors_file(tmp_path):
    path = tmp_path / "model.safetensors"
    safetensors.torch.save_file(tensors(), path, metadata={"format": "pt", "note": 'a "quoted" \u00e9'})
    return path


def shown(mlc, path):
    return yaml.safe_load(mlc.ok("metadata", path).stdout)


# --- showing


def test_none(mlc, model, valid):
    result = mlc.ok("metadata", model)
    assert (result.stdout, result.stderr) == ("", f"{model} has no metadata; --set writes some\n")
    answer = mlc.ok("metadata", model, "--json").json
    valid(answer, "metadata-show")
    assert answer == {"schema": "mlc.metadata-show/1", "file": str(model), "source": "none"}


def test_embedded_comes_before_the_sidecar(mlc, model, valid):
    mlc.ok("metadata", model, "--set", "name=beside", "--sidecar")
    sidecar = f"{model}.mlc.yaml"
    answer = mlc.ok("metadata", model, "--json").json
    valid(answer, "metadata-show")
    assert (answer["source"], answer["sidecar"], answer["metadata"]["name"]) == ("sidecar", sidecar, "beside")
    assert "differs" not in answer

    mlc.ok("metadata", model, "--set", "name=inside", "--in-place")
    answer = mlc.ok("metadata", model, "--json").json
    valid(answer, "metadata-show")
    assert (answer["source"], answer["differs"], answer["metadata"]["name"]) == ("embedded", True, "inside")
    result = mlc.ok("metadata", model)
    assert result.stdout == "mlc: metadata/1\nname: inside\n"
    assert result.stderr == (f"mlc: warning: the metadata in the file and in {sidecar} differ in name; "
                             "that in the file counts\n")


def test_a_number_keeps_its_spelling(mlc, model, tensors_file):
    """1.10 is no 1.1 to who means a version; both stay the number that every YAML reads."""
    (model.parent / "more.yaml").write_text("mlc: metadata/1\ncustom: {b: 0.500, c: [-1.0, 2.50], d: 1e+3, e: 00.10}\n")
    for path in (model, tensors_file):
        mlc.ok("metadata", path, "--set", "custom.a=1.10", "--in-place")
        mlc.ok("metadata", path, "--from", "more.yaml", "--set", "custom.z=2", "--in-place")
        assert mlc.ok("metadata", path, "--get", "custom.a").stdout == "1.10\n"
        text = mlc.ok("metadata", path).stdout
        for line in ("a: 1.10", "b: 0.500", "- 2.50", "d: 1000.0", "e: 0.1"):
            assert any(have.strip() == line for have in text.splitlines()), (line, text)
        want = {"a": 1.1, "b": 0.5, "c": [-1, 2.5], "d": 1000.0, "e": 0.1, "z": 2}
        assert yaml.safe_load(text)["custom"] == want == mlc.ok("metadata", path, "--json").json["metadata"]["custom"]


def test_sidecar_under_the_stem(mlc, model):
    (model.parent / "model.mlc.yaml").write_text("mlc: metadata/1\nname: stem\n")
    assert shown(mlc, model)["name"] == "stem"
    (model.parent / "model.pt.mlc.yaml").write_text("mlc: metadata/1\nname: whole\n")
    assert shown(mlc, model)["name"] == "whole"  # the more specific name


def test_get(mlc, model, valid):
    mlc.ok("metadata", model, "--set", "version=2.10", "--set", "training={epoch: 42, metrics: {top1: 0.5}}",
           "--set", "requires=[torch>=1.13, mlc>=0.1]", "--in-place")
    assert mlc.ok("metadata", model, "--get", "version").stdout == "2.10\n"
    assert mlc.ok("metadata", model, "--get", "training.epoch").stdout == "42\n"
    assert mlc.ok("metadata", model, "--get", "training.metrics").stdout == "top1: 0.5\n"
    assert mlc.ok("metadata", model, "--get", "requires.1").stdout == "mlc>=0.1\n"
    answer = mlc.ok("metadata", model, "--get", "training.metrics", "--json").json
    valid(answer, "metadata-show")
    assert (answer["path"], answer["value"]) == ("training.metrics", {"top1": 0.5})

    missing = mlc("metadata", model, "--get", "training.step")
    assert (missing.rc, missing.stdout) == (1, "")
    assert missing.stderr == 'there is no metadata at "training.step"\n'
    missing = mlc("metadata", model, "--get", "training.step", "--json")
    valid(missing.json, "metadata-show")
    assert missing.rc == 1 and "value" not in missing.json
    assert mlc("metadata", model, "--get", "training..x").rc == 2


def test_several_files(mlc, model, tensors_file, valid):
    mlc.ok("metadata", model, "--set", "name=digits", "--set", "version=1.2", "--set", "framework.torch=2.13.0",
           "--set", "requires=torch>=2", "--in-place")
    result = mlc.ok("metadata", "model.pt", "model.safetensors")
    assert result.stdout == ("model.pt: digits 1.2, torch 2.13.0, requires torch>=2\n"
                             "model.safetensors: no metadata\n")
    answer = mlc.ok("metadata", model, tensors_file, "--json").json
    valid(answer, "batch")
    for row in answer["results"]:
        valid(row["result"], "metadata-show")
    assert mlc("metadata", "model.pt", "model.safetensors", "--get", "name").stdout == (
        "model.pt: digits\nmodel.safetensors: no metadata\n")


def test_hostile_text_is_harmless(mlc, model):
    mlc.ok("metadata", model, "--set", 'name="a\\e[31mb"', "--in-place")
    for arguments in (["--get", "name"], []):
        assert "\x1b" not in mlc.ok("metadata", model, *arguments).stdout


# --- changing


def test_in_place_leaves_every_old_byte_alone(mlc, model):
    before = model.read_bytes()
    result = mlc.ok("metadata", model, "--set", "name=digits", "--set", "framework.torch=2.13.0", "--in-place")
    assert result.stdout == ""
    assert result.stderr == f"edited {model} in place: name and framework changed\n"
    after = model.read_bytes()
    assert after[:len(before)] == before and len(after) > len(before)
    for _ in range(3):
        mlc.ok("metadata", model, "--set", "custom.again=true", "--remove", "name", "--in-place")
    assert model.read_bytes()[:len(after)] == after
    assert shown(mlc, model) == {"mlc": "metadata/1", "framework": {"torch": "2.13.0"}, "custom": {"again": True}}
    assert same(torch.load(model, weights_only=True), tensors())
    assert same(torch.load(model, weights_only=True, mmap=True), tensors())
    with zipfile.ZipFile(model) as archive:
        assert archive.testzip() is None
        assert [name for name in archive.namelist() if "mlc" in name] == ["model/mlc/metadata.yaml"]


def test_nothing_to_change_writes_nothing(mlc, model):
    mlc.ok("metadata", model, "--set", "name=a", "--in-place")
    before = model.read_bytes()
    result = mlc.ok("metadata", model, "--set", "name=a", "--in-place")
    assert result.stderr == "nothing to change; nothing was written\n"
    assert model.read_bytes() == before


def test_copy(mlc, model):
    before = model.read_bytes()
    result = mlc.ok("metadata", model, "--set", "name=digits", "-o", "out.pt")
    assert result.stderr == "wrote out.pt: name changed\n"
    assert model.read_bytes() == before
    out = model.parent / "out.pt"
    assert same(torch.load(out, weights_only=True, mmap=True), tensors())
    assert shown(mlc, out)["name"] == "digits"
    mlc.ok("metadata", model, "--set", "name=x", "--out-dir", "made")
    assert shown(mlc, model.parent / "made/model.pt")["name"] == "x"
    again = mlc("metadata", model, "--set", "name=digits", "-o", "out.pt")
    assert again.rc == 5 and "--force" in again.stderr


def header_of(path):
    raw = path.read_bytes()
    length = struct.unpack("<Q", raw[:8])[0]
    return raw[8:8 + length], raw[8 + length:]


@pytest.mark.parametrize("where", ["in place", "copy"])
def test_safetensors(mlc, tensors_file, where):
    old_header, old_data = header_of(tensors_file)
    out = tensors_file if where == "in place" else tensors_file.parent / "out.safetensors"
    target = ["--in-place"] if where == "in place" else ["-o", out]
    mlc.ok("metadata", tensors_file, "--set", 'name="d\u00e9 \\"q\\""', "--set", "custom.text=x\u00e9", *target)
    header, data = header_of(out)
    assert data == old_data
    assert (8 + len(header)) % 4096 == (8 + len(old_header)) % 4096  # blocks can be shared
    old, new = json.loads(old_header), json.loads(header)
    strings, old_strings = new.pop("__metadata__"), old.pop("__metadata__")
    assert new == old and list(new) == list(old)
    embedded = yaml.safe_load(strings.pop("mlc"))
    assert strings == old_strings
    assert embedded == {"mlc": "metadata/1", "name": 'd\u00e9 "q"', "custom": {"text": "x\u00e9"}}
    assert same(safetensors.torch.load_file(out), tensors())
    mlc.ok("metadata", out, "--clear", "--in-place")
    header, data = header_of(out)
    assert data == old_data and json.loads(header) == json.loads(old_header)


def test_safetensors_without_strings(mlc, tmp_path):
    path = tmp_path / "bare.safetensors"
    safetensors.torch.save_file(tensors(), path)
    mlc.ok("metadata", path, "--set", "name=a", "--in-place")
    strings = json.loads(header_of(path)[0])["__metadata__"]
    assert strings["format"] == "pt" and set(strings) == {"format", "mlc"}
    empty = tmp_path / "empty.safetensors"
    safetensors.torch.save_file({}, empty)
    mlc.ok("metadata", empty, "--set", "name=a", "--in-place")
    assert safetensors.torch.load_file(empty) == {} and shown(mlc, empty)["name"] == "a"


def test_safetensors_keeps_its_mode(mlc, tensors_file):
    tensors_file.chmod(0o640)
    mlc.ok("metadata", tensors_file, "--set", "name=a", "--in-place")
    assert tensors_file.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("how", ["in place", "copy"])
def test_torchscript_hands_it_out(mlc, script, how):
    before = script.read_bytes()
    out = script if how == "in place" else script.parent / "out.pt"
    mlc.ok("metadata", script, "--set", "name=s", *(["--in-place"] if how == "in place" else ["-o", out]))
    assert shown(mlc, out)["name"] == "s"
    extra = {"mlc/metadata.yaml": ""}
    module = torch.jit.load(out, _extra_files=extra)
    text = extra["mlc/metadata.yaml"]
    assert yaml.safe_load(text)["name"] == "s"
    assert torch.equal(module(torch.ones(1, 2)), torch.jit.load(script)(torch.ones(1, 2)))
    if how == "in place":
        assert out.read_bytes()[:len(before)] == before
    mlc.ok("metadata", out, "--clear", "--in-place")
    assert mlc.ok("metadata", out).stdout == ""


def test_pt2_hands_it_out(mlc, exported):
    mlc.ok("metadata", exported, "--set", "name=e", "--in-place")
    assert shown(mlc, exported)["name"] == "e"
    extra = {"mlc/metadata.yaml": ""}
    program = torch.export.load(exported, extra_files=extra)
    assert yaml.safe_load(extra["mlc/metadata.yaml"])["name"] == "e"
    assert program.module()(torch.ones(1, 2)).shape == (1, 2)


def test_formats_without_a_place(mlc, tmp_path):
    legacy = tmp_path / "legacy.pt"
    torch.save(tensors(), legacy, _use_new_zipfile_serialization=False)
    before = legacy.read_bytes()
    for target in (["--in-place"], ["-o", "out.pt"]):
        result = mlc("metadata", legacy, "--set", "name=a", *target)
        assert (result.rc, result.stdout) == (4, "")
        assert result.stderr.startswith(
            f"mlc: error: {legacy}: mlc cannot put metadata into a torch_legacy checkpoint\nhint: --sidecar ")
    result = mlc.ok("metadata", legacy, "--set", "name=a", "--sidecar")
    assert result.stderr == f"wrote {legacy}.mlc.yaml: name changed\n"
    assert shown(mlc, legacy)["name"] == "a"
    assert legacy.read_bytes() == before


def test_order_of_changes_counts(mlc, model):
    (model.parent / "team.yaml").write_text("mlc: metadata/1\nname: team\ntraining: {epoch: 1}\n")
    mlc.ok("metadata", model, "--set", "name=first", "--set", "training.step=7", "--from", "team.yaml",
           "--remove", "training.epoch", "--set", "training.lr=0.1", "--in-place")
    assert shown(mlc, model) == {"mlc": "metadata/1", "name": "team", "training": {"step": 7, "lr": 0.1}}


def test_sidecar_and_yaml_files(mlc, model, valid):
    before = model.read_bytes()
    mlc.ok("metadata", model, "--set", "name=a", "--sidecar")
    mlc.ok("metadata", model, "--set", "version=1", "--sidecar")  # an edit of what is there
    sidecar = model.parent / "model.pt.mlc.yaml"
    assert sidecar.read_text() == 'mlc: metadata/1\nname: a\nversion: "1"\n'
    assert model.read_bytes() == before
    mlc.ok("metadata", sidecar, "--set", "name=b", "--in-place")
    assert shown(mlc, sidecar)["name"] == "b"
    answer = mlc.ok("metadata", sidecar, "--json").json
    valid(answer, "metadata-show")
    assert (answer["source"], answer["sidecar"]) == ("sidecar", str(sidecar))
    # What is shown is what is edited: the sidecar's content moves in with the change.
    mlc.ok("metadata", model, "--set", "custom.x=1", "--in-place")
    assert shown(mlc, model)["name"] == "b"
    mlc.ok("metadata", model, "--set", "custom.x=2", "--in-place")
    result = mlc.ok("metadata", model, "--set", "custom.x=3", "--sidecar")
    assert "comes first" in result.stderr
    assert mlc("metadata", sidecar, "--set", "name=b", "--sidecar").rc == 2


def test_provenance_grows_only_where_there_is_some(mlc, model, tensors_file):
    mlc.ok("metadata", model, "--set", "name=a", "--in-place")
    assert "provenance" not in shown(mlc, model)
    (model.parent / "history.yaml").write_text("mlc: metadata/1\nprovenance: [{verb: save, options: {}}]\n")
    mlc.ok("metadata", model, "--from", "history.yaml", "--in-place")
    mlc.ok("metadata", model, "--set", "name=b", "--remove", "custom", "--in-place")
    mlc.ok("metadata", model, "--from", "history.yaml", "--set", "name=c", "--in-place")
    steps = shown(mlc, model)["provenance"]
    assert [step["verb"] for step in steps] == ["save", "metadata", "metadata", "metadata"]
    assert steps[2]["options"] == {"set": ["name=b"], "remove": ["custom"]}
    assert tensors_file.exists()


def test_dry_run_prints_and_writes_nothing(mlc, model, valid):
    before = model.read_bytes()
    result = mlc.ok("metadata", model, "--set", "name=a", "-n")
    assert result.stdout == "mlc: metadata/1\nname: a\n"
    assert result.stderr == "dry run: name changed; nothing was written\n"
    answer = mlc.ok("metadata", model, "--set", "name=a", "--in-place", "-n", "--json").json
    valid(answer, "metadata-edit")
    assert (answer["written"], answer["changed"], answer["changed_keys"]) == (False, True, ["name"])
    assert model.read_bytes() == before
    assert sorted(os.listdir(model.parent)) == ["model.pt"]


def test_edit_as_json(mlc, model, tensors_file, valid):
    answer = mlc.ok("metadata", model, "--set", "training.loss=.inf", "--in-place", "--json").json
    valid(answer, "metadata-edit")
    assert (answer["output"], answer["metadata"]["training"]["loss"]) == (str(model), ".inf")
    answer = mlc.ok("metadata", model, tensors_file, "--set", "name=a", "--sidecar", "--json").json
    valid(answer, "batch")
    for row in answer["results"]:
        valid(row["result"], "metadata-edit")
        assert row["result"]["output"].endswith(".mlc.yaml")


# --- errors


@pytest.mark.parametrize("arguments, message", [
    (["--set", "name"], '--set "name" has no value\nhint: write it like --set training.epoch=42'),
    (["--set", "nam=a"], "did you mean"),
    (["--set", "provenance=[]"], 'is written by mlc itself'),
    (["--set", "requires=torch^1"], "requires"),
    (["--set", "training=5"], "training"),
    (["--set", "custom={a: [}"], "mlc: error: value of custom:1:6: "),
    (["--remove", "mlc"], "is written by mlc itself"),
    (["--get", "name", "--set", "name=a"], "--get only shows"),
])
def test_bad_changes(mlc, model, arguments, message):
    before = model.read_bytes()
    result = mlc("metadata", model, *arguments, *([] if "--get" in arguments else ["--in-place"]))
    assert (result.rc, result.stdout) == (2, "")
    assert message in result.stderr
    assert model.read_bytes() == before


def test_where_to_is_asked_for(mlc, model, tensors_file):
    result = mlc("metadata", model, "--set", "name=a")
    assert result.rc == 2
    assert result.stderr == ("mlc: error: no output is named\nhint: --in-place changes the file, --sidecar writes "
                             "beside it, -o writes a new one\n")
    assert mlc("metadata", model, tensors_file, "--set", "name=a", "-o", "x.pt").rc == 2
    assert mlc("metadata", model, "--in-place").rc == 2
    assert mlc("metadata", model, "--set", "name=a", "--sidecar", "--in-place").rc == 2
    result = mlc("metadata", model, "--set", "name=a", "-o", "x.safetensors")
    assert result.rc == 2 and "`mlc save` converts" in result.stderr
    result = mlc("metadata", model, "--set", "name=a", "-o", "x.yaml")
    assert result.rc == 2 and "mlc metadata FILE > x.yaml" in result.stderr
    assert sorted(os.listdir(model.parent)) == ["model.pt", "model.safetensors"]


def test_bad_yaml_is_pointed_at(mlc, model):
    (model.parent / "bad.yaml").write_text("mlc: metadata/1\nname: a\ntraning: {epoch: 1}\n")
    result = mlc("metadata", model, "--from", "bad.yaml", "--in-place")
    assert (result.rc, result.stdout) == (2, "")
    assert result.stderr.startswith("mlc: error: bad.yaml:3:1: ")
    assert "^" in result.stderr and "training" in result.stderr
    (model.parent / "model.mlc.yaml").write_text("name: [\n")
    result = mlc("metadata", model)
    assert result.rc == 3 and "model.mlc.yaml:" in result.stderr
    error = mlc("metadata", model, "--from", "bad.yaml", "--in-place", "--json").error
    assert error["kind"] == "usage"


def test_missing_and_wrong_files(mlc, model):
    result = mlc("metadata", "none.pt")
    assert result.rc == 3 and result.stderr.startswith("mlc: error: none.pt: ")
    assert mlc("metadata", model, "--from", "none.yaml", "--in-place").rc == 3
    (model.parent / "page.pt").write_text("<!DOCTYPE html><html></html>")
    assert mlc("metadata", "page.pt").rc in (3, 4)
    assert mlc("metadata").rc == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anything")
def test_read_only_file(mlc, model):
    model.chmod(0o444)
    result = mlc("metadata", model, "--set", "name=a", "--in-place")
    assert result.rc == 5 and "cannot open it for writing" in result.stderr


def test_hard_links_are_spared(mlc, model):
    os.link(model, model.parent / "other.pt")
    before = model.read_bytes()
    result = mlc("metadata", model, "--set", "name=a", "--in-place")
    assert result.rc != 0 and "hard links" in result.stderr
    assert model.read_bytes() == before
    mlc.ok("metadata", model, "--set", "name=a", "--in-place", "--force")
    assert shown(mlc, model.parent / "other.pt")["name"] == "a"


def test_example_fits_its_schema(root, valid):
    for name in ("metadata-show", "metadata-edit", "validate-version"):
        valid(json.loads((root / f"schemas/examples/{name}.json").read_text()), name)


@pytest.mark.parametrize("value", ["4812e93", "0123456", "0x1F", "0o17", "12e5", "1e10", "1234e5", "1e9", "7E2"])
def test_short_hashes_stay_text(mlc, model, value):
    # YAML reads 4812e93 as a number: a git hash came back as 4.812e+96.
    mlc.ok("metadata", model, "--set", f"custom.commit={value}", "--in-place")
    assert shown(mlc, model)["custom"]["commit"] == value


@pytest.mark.parametrize("value, wanted", [("1e-3", 0.001), ("1e-5", 1e-5), ("1e+6", 1e6), ("1.5e3", 1500.0), ("-2e5", -2e5), ("12", 12), ("0", 0), ("0.5", 0.5)])
def test_numbers_stay_numbers(mlc, model, value, wanted):
    mlc.ok("metadata", model, "--set", f"custom.x={value}", "--in-place")
    assert shown(mlc, model)["custom"]["x"] == wanted


@pytest.mark.parametrize("verb", [["save"], ["strip-module-prefix"], ["remap-keys", "--add-prefix", "p."]], ids=lambda v: v[0])
@pytest.mark.parametrize("output", ["out.pt", "out.safetensors"])
def test_a_sidecar_is_not_left_behind(mlc, tmp_path, verb, output):
    write(tmp_path / "a.pt", {"module.w": torch.zeros(2)})
    mlc.ok("metadata", "a.pt", "--sidecar", "--set", "name=digits")
    mlc.ok(verb[0], "a.pt", *verb[1:], "-o", output)
    assert mlc.ok("metadata", output, "--json").json["metadata"]["name"] == "digits"
    if verb[0] != "save":
        mlc.ok(verb[0], "a.pt", *verb[1:], "--in-place")
        found = mlc.ok("metadata", "a.pt", "--json").json
        assert found["source"] == "sidecar" and found["metadata"]["name"] == "digits"


def test_a_number_is_no_requirement(mlc, tmp_path):
    path = tmp_path / "a.pt"
    torch.save(tensors(), path)
    result = mlc("metadata", path, "--set", "requires=5", "-o", tmp_path / "b.pt")
    assert result.rc == 2 and "a number names no package" in result.stderr
    assert not (tmp_path / "b.pt").exists()


@pytest.mark.parametrize("verb", [["save"], ["strip-module-prefix"], ["remap-keys", "--add-prefix", "p."]], ids=lambda v: v[0])
def test_an_old_sidecar_became_the_metadata_of_another_file_without_a_word(mlc, tmp_path, verb):
    write(tmp_path / "old.pt", {"w": torch.zeros(2)})
    mlc.ok("metadata", "old.pt", "--sidecar", "--set", "name=old")
    write(tmp_path / "new.pt", {"module.w": torch.zeros(2)})
    done = mlc.ok(verb[0], "new.pt", *verb[1:], "-o", "old.pt", "--force")
    assert "old.pt.mlc.yaml was there before and counts as the metadata of old.pt now; remove it if" in done.stderr
    mlc.ok("metadata", "new.pt", "--set", "name=new", "--in-place")
    done = mlc.ok(verb[0], "new.pt", *verb[1:], "-o", "old.pt", "--force")
    assert "the metadata in the file and in old.pt.mlc.yaml differ in name; that in the file counts" in done.stderr
    assert mlc.ok("metadata", "old.pt", "--json").json["metadata"]["name"] == "new"
    # What comes from the same metadata contradicts nothing.
    mlc.ok("metadata", "old.pt", "--set", "name=old", "--in-place")
    assert "old.pt.mlc.yaml" not in mlc.ok("save", "old.pt", "-o", "old.safetensors").stderr
    write(tmp_path / "fresh.pt", {"w": torch.zeros(2)})
    mlc.ok("metadata", "fresh.pt", "--sidecar", "--set", "name=fresh")
    assert "mlc.yaml" not in mlc.ok(verb[0], "fresh.pt", *verb[1:], "-o", "copy.pt").stderr


def test_misspelt_frameworks_and_their_versions_are_warned_of(mlc, tmp_path):
    torch.save({"w": torch.ones(1)}, tmp_path / "a.pt")
    doubts = ["--set", "framework.pytorch=2.1", "--set", "framework.cuda=twelve", "--set", "framework.mylib=1.0"]
    for command in (["metadata", "a.pt", *doubts, "-n"], ["save", "a.pt", *doubts, "-o", "b.pt"]):
        warnings = mlc.ok(*command).stderr
        assert "framework.pytorch: did you mean torch?" in warnings
        assert 'framework.cuda: "twelve" is no version that `mlc validate-version` can compare' in warnings
        assert "mylib" not in warnings
    sound = ["--set", "framework.torch=2.13.0+cu128", "--set", "framework.cuda=12.8", "--set", "framework.python=3.11.7"]
    assert "framework" not in mlc.ok("save", "a.pt", *sound, "-o", "c.pt").stderr


@pytest.mark.parametrize("value", ["4812e93", "0123456", "007", "0x1F", "0o17", "1e9", "5e-3", "12", "1.5", "true", "null",
                                   "[007, 1e9, 0x1F]", "{commit: 4812e93}", "'1e9'"])
def test_set_and_from_read_the_same_text_differently(mlc, model, value):
    mlc.ok("metadata", model, "--set", f"custom.x={value}", "-o", "set.pt")
    (model.parent / "team.yaml").write_text(f"mlc: metadata/1\ncustom:\n  x: {value}\n")
    mlc.ok("metadata", model, "--from", "team.yaml", "-o", "from.pt")
    mlc.ok("save", model, "--set", f"custom.x={value}", "-o", "saved.pt")
    one, two, three = (shown(mlc, model.parent / f"{name}.pt") for name in ("set", "from", "saved"))
    assert one["custom"] == two["custom"] == three["custom"]


@pytest.mark.parametrize("value, wanted", [("1.0e9", 1e9), ("1e9", "1e9"), ("'1e9'", "1e9"), ("007", "007"),
                                           ("{a: 1e+9, b: 12e5}", {"a": 1e9, "b": "12e5"})])
def test_a_short_hash_of_digits_and_e_was_a_number(mlc, model, value, wanted):
    mlc.ok("metadata", model, "--set", f"custom.tok={value}", "--in-place")
    mlc.ok("metadata", model, "--set", "name=again", "--in-place")  # what was written is read back as it was
    found = shown(mlc, model)["custom"]["tok"]
    assert found == wanted and type(found) is type(wanted)


def test_a_bad_set_was_the_answer_no(mlc, model):
    for verb in ("metadata", "save"):
        done = mlc(verb, model, "--set", "custom.a=1", "--set", "custom.a.b=2", "-o", "out.pt")
        assert done.rc == 2 and "cannot set custom.a.b: custom.a is an integer" in done.stderr
        done = mlc(verb, model, "--set", "custom.a=[1]", "--set", "custom.a.7=2", "-o", "out.pt")
        assert done.rc == 2 and "cannot set custom.a.7" in done.stderr


def test_load_did_not_find_the_sidecar_of_a_folder(mlc, tmp_path):
    (tmp_path / "one").mkdir()
    safetensors.torch.save_file({"w": torch.ones(2)}, tmp_path / "one/model.safetensors")
    mlc.ok("metadata", "one", "--sidecar", "--set", "name=digits")
    assert mlc.ok("metadata", "one", "--json").json["metadata"]["name"] == "digits"
    assert mlc.ok("load", "one", "--json").json["metadata"]["name"] == "digits"
    assert mlc.ok("metadata", "one/model.safetensors", "--json").json["metadata"]["name"] == "digits"
    mlc.ok("save", "one", "-o", "out.pt")
    assert mlc.ok("metadata", "out.pt", "--get", "name").stdout == "digits\n"


@pytest.mark.parametrize("value", ["%d", "%Y-%m", "%", "---", "..."])
def test_values_like_directives_became_null(mlc, tmp_path, value):
    torch.save({"w": torch.ones(1)}, tmp_path / "m.pt")
    mlc.ok("metadata", "m.pt", "--set", f"custom.fmt={value}", "--in-place")
    assert mlc.ok("metadata", "m.pt", "--json").json["metadata"]["custom"]["fmt"] == value


@pytest.mark.parametrize("text, value", [("-007", "-007"), ("+007", "+007"), ("007", "007"), ("-7", -7), ("-0", 0), ("-0.5", -0.5)])
def test_sign_made_a_number_of_leading_zeros(mlc, tmp_path, text, value):
    write(tmp_path / "a.pt", {"w": torch.ones(2)})
    mlc.ok("save", "a.pt", "--set", f"custom.a={text}", "-o", "b.pt")
    assert json.loads(mlc.ok("metadata", "b.pt", "--json").stdout)["metadata"]["custom"]["a"] == value


def test_surrogate_pairs_of_json_were_refused(mlc, tmp_path):
    write(tmp_path / "a.pt", {"w": torch.ones(2)})
    value = {"k": ["\U0001f600x", "\\ud83d\\ude00", "é"], "\U0001f680": 1}
    mlc.ok("save", "a.pt", "--set", "custom.a=" + json.dumps(value), "-o", "b.pt")
    assert json.loads(mlc.ok("metadata", "b.pt", "--json").stdout)["metadata"]["custom"]["a"] == value
    for text in ('"\\ud83d"', '"x\\ude00"', '{"k": "\\ud800"}', '{k: "\\ud83d\\ude00"}'):
        refused = mlc("save", "a.pt", "--set", "custom.a=" + text, "-o", "c.pt")
        assert refused.rc == 2 and "is half of a surrogate pair" in refused.stderr


def test_null_metadata_of_safetensors_could_not_be_edited(mlc, tmp_path):
    import struct
    header = b'{"__metadata__":null,"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
    header += b" " * (-len(header) % 8)
    (tmp_path / "null.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + struct.pack("<2f", 1, 2))
    mlc.ok("metadata", "null.safetensors", "--set", "name=net", "-o", "out.safetensors")
    mlc.ok("metadata", "null.safetensors", "--clear", "-o", "same.safetensors")
    mlc.ok("metadata", "null.safetensors", "--set", "name=net", "--in-place")
    for name in ("out", "null"):
        assert mlc.ok("metadata", f"{name}.safetensors", "--get", "name").stdout == "net\n"
        assert torch.equal(safetensors.torch.load_file(tmp_path / f"{name}.safetensors")["w"], torch.tensor([1.0, 2.0]))
    assert safetensors.torch.load_file(tmp_path / "same.safetensors")["w"].shape == (2,)


@pytest.mark.parametrize("text", ["a: [b\n", "mlc: metadata/7\n", "\x00\x01", "- list\n"])
def test_a_broken_sidecar_could_not_be_repaired(mlc, tmp_path, text):
    torch.save({"w": torch.ones(2)}, tmp_path / "a.pt")
    sidecar = tmp_path / "a.pt.mlc.yaml"
    sidecar.write_text(text)
    for args in (["metadata", "a.pt"], ["metadata", "a.pt", "--set", "name=x", "--sidecar"], ["diff", "a.pt", "a.pt"]):
        done = mlc(*args)
        assert done.rc in (3, 4) and "hint: " in done.stderr and sidecar.read_text() == text
    dry = mlc.ok("metadata", "a.pt", "--clear", "--sidecar", "-n")
    assert "a.pt.mlc.yaml cannot be read and is replaced: " in dry.stderr and sidecar.read_text() == text
    assert "begun anew" in mlc.ok("metadata", "a.pt", "--clear", "--sidecar").stderr
    assert mlc.ok("metadata", "a.pt").stdout == "mlc: metadata/1\n"
    sidecar.write_text(text)
    mlc.ok("metadata", "a.pt", "--clear", "--sidecar", "--set", "name=x", "-f")
    assert mlc.ok("metadata", "a.pt", "--get", "name").stdout == "x\n"
    # What is written into the file leaves the sidecar as it is; a YAML file is its own.
    sidecar.write_text(text)
    done = mlc.ok("metadata", "a.pt", "--clear", "--set", "name=y", "-o", "b.pt")
    assert "a.pt.mlc.yaml cannot be read: " in done.stderr and sidecar.read_text() == text
    assert mlc.ok("metadata", "b.pt", "--get", "name").stdout == "y\n"
    mlc.ok("metadata", "a.pt.mlc.yaml", "--clear", "--set", "name=z", "--in-place")
    assert mlc.ok("metadata", "a.pt", "--get", "name").stdout == "z\n"


def test_broken_metadata_in_a_file_could_not_be_replaced(mlc, tmp_path):
    import zipfile
    torch.save({"w": torch.ones(2)}, tmp_path / "a.pt")
    with zipfile.ZipFile(tmp_path / "a.pt", "a") as file:
        file.writestr("a/mlc/metadata.yaml", "a: [b\n")
    assert mlc("metadata", "a.pt").rc == 3 and mlc("metadata", "a.pt", "--set", "name=x", "-o", "b.pt").rc == 3
    done = mlc.ok("metadata", "a.pt", "--clear", "--set", "name=x", "-o", "b.pt")
    assert "the metadata in a.pt cannot be read and is replaced: " in done.stderr
    mlc.ok("metadata", "a.pt", "--clear", "--in-place")
    assert mlc("metadata", "a.pt").stderr == "a.pt has no metadata; --set writes some\n"
    assert torch.load(tmp_path / "b.pt")["w"].tolist() == torch.load(tmp_path / "a.pt")["w"].tolist() == [1, 1]


def test_a_framework_by_name_and_version_was_taken_for_two(mlc, tmp_path):
    (tmp_path / "m.yaml").write_text("mlc: metadata/1\nframework: {name: PyTorch, version: 2.1.0}\n")
    done = mlc.ok("metadata", "m.yaml", "--set", "framework.name=pytorch", "--in-place")
    assert "each framework is a key of its own, with its version: framework.torch: 2.1.0" in done.stderr
    assert "is no version" not in done.stderr
    done = mlc.ok("validate-version", "m.yaml", "--requires", "torch>=2")
    assert done.stdout == "torch 2.1.0 satisfies >=2 (from framework.version in m.yaml)\n"
    assert mlc("validate-version", "m.yaml", "--requires", "torch>=2.2").rc == 1


def test_nothing_said_that_an_edit_took_the_sidecar_into_the_file(mlc, tmp_path):
    torch.save({"w": torch.ones(2)}, tmp_path / "a.pt")
    mlc.ok("metadata", "a.pt", "--set", "version=1.0", "--sidecar")
    done = mlc.ok("metadata", "a.pt", "--set", "name=x", "-o", "b.pt")
    assert done.stderr == "wrote b.pt: name and version changed, with all that a.pt.mlc.yaml says\n"
    assert mlc.ok("metadata", "b.pt", "--get", "version").stdout == "1.0\n"
    assert "a.pt.mlc.yaml" not in mlc.ok("metadata", "a.pt", "--clear", "--set", "name=x", "-o", "c.pt").stderr
    assert "with all" not in mlc.ok("metadata", "a.pt", "--set", "name=x", "--sidecar").stderr
    assert "with all" not in mlc.ok("metadata", "b.pt", "--set", "name=y", "--in-place").stderr


def test_the_first_requirement_could_not_be_set_by_its_place(mlc, tmp_path):
    write(tmp_path / "a.pt", {"w": torch.ones(1)})
    mlc.ok("metadata", "a.pt", "--set", "requires.0=torch>=1.13", "--set", "requires.1=python>=3.8", "--in-place")
    assert mlc.ok("metadata", "a.pt", "--json").json["metadata"]["requires"] == ["torch>=1.13", "python>=3.8"]
    mlc.ok("save", "a.pt", "--set", "requires.2=mlc>=0.1", "-o", "b.pt")
    refused = mlc("metadata", "a.pt", "--set", "requires.5=mlc>=0.1", "--in-place")
    assert refused.rc == 2 and "requires.2" in refused.stderr
