"""Promises of the command line that were once broken, each test named after the failure."""

import os
import pathlib
import stat

import pytest
import torch

from checkpoints import ordered, small_model, training_checkpoint, write


@pytest.fixture
def plain(tmp_path):
    return write(tmp_path / "a.pt", small_model().state_dict())


@pytest.fixture
def training(tmp_path):
    return write(tmp_path / "train.pt", training_checkpoint())


def snapshot(folder):
    """Every file below FOLDER with its bytes: what a refused command must not change."""
    return {path: path.read_bytes() for path in pathlib.Path(folder).rglob("*") if path.is_file()}


# --- a lone dash


@pytest.mark.parametrize("arguments", [
    ["load", "-"], ["diff", "a.pt", "-"], ["metadata", "-"], ["validate-version", "-"], ["save", "-", "-o", "x.pt"],
    ["save", "a.pt", "-o", "-", "--format", "pt"], ["save", "a.pt", "--out-dir", "-"],
    ["remap-keys", "a.pt", "--map", "0.weight=w", "-o", "x.pt", "--emit-inverse", "-"]])
def test_a_dash_became_a_file_of_that_name(mlc, tmp_path, plain, arguments):
    before = snapshot(tmp_path)
    result = mlc(*arguments)
    assert result.rc == 2 and "`-` (standard input or output) is not supported" in result.stderr, result
    assert "hint: `./-` is the file of that name" in result.stderr
    assert snapshot(tmp_path) == before


def test_a_file_called_dash_is_still_reachable(mlc, tmp_path, plain):
    mlc.ok("save", plain, "-o", "./-", "--format", "pt")
    mlc.ok("diff", plain, "./-")


# --- options without an effect


@pytest.mark.parametrize("arguments, sentence", [
    (["load", "a.pt", "--strict"], "--strict means nothing without --expect"),
    (["load", "a.pt", "--no-strict"], "--no-strict means nothing without --expect"),
    (["load", "a.pt", "--ignore-missing", "x"], "--ignore-missing means nothing without --expect"),
    (["load", "a.pt", "--ignore-unexpected", "x"], "--ignore-unexpected means nothing without --expect"),
    (["load", "a.pt", "--ignore-mismatched-shapes"], "--ignore-mismatched-shapes means nothing without --expect"),
    (["load", "a.pt", "--map-location", "bogus"], '--map-location: no such device: "bogus"'),
    (["load", "a.pt", "--map-location", "cpu=bogus:1"], '--map-location: no such device: "bogus:1"'),
    (["save", "a.pt", "-o", "b.pt", "--map-location", "bogus"], '--map-location: no such device: "bogus"'),
    (["save", "a.pt", "-o", "b.safetensors", "--map-location", "cuda"], "--map-location means nothing for safetensors"),
    (["save", "a.pt", "-o", "b.pt", "--shared", "clone"], "--shared means nothing for a .pt"),
    (["diff", "a.pt", "a.pt", "--no-values", "--atol", "1"], "--atol and --rtol mean nothing with --no-values"),
    (["diff", "a.pt", "a.pt", "--keys-only", "--rtol", "1"], "--atol and --rtol mean nothing with --keys-only"),
    (["diff", "a.pt", "a.pt", "--keys-only", "--ignore-dtype"], "--ignore-dtype means nothing with --keys-only")])
def test_an_option_was_silently_ignored(mlc, tmp_path, plain, arguments, sentence):
    before = snapshot(tmp_path)
    result = mlc(*arguments)
    assert result.rc == 2 and sentence in result.stderr and result.stdout == "", result
    assert snapshot(tmp_path) == before


def test_the_devices_line_ignored_map_location(mlc, plain):
    shown = mlc.ok("load", plain, "--summary", "--map-location", "cuda:1").stdout
    assert "\ndevices      cuda:1 9\n" in shown
    assert "\ndevices " not in mlc.ok("load", plain, "--summary", "--map-location", "cpu").stdout


# --- load


def test_no_damage_was_said_of_a_file_without_crcs(mlc, tmp_path, plain):
    torch.serialization.set_crc32_options(False)
    try:
        write(tmp_path / "b.pt", {"w": torch.ones(3)})
    finally:
        torch.serialization.set_crc32_options(True)
    shown = mlc.ok("load", "b.pt", "--check", "crc", "--summary").stdout
    assert "no damage" not in shown and "; no CRC to compare\n" in shown
    assert "has a CRC; nothing was compared" in shown
    both = mlc.ok("load", "b.pt", "a.pt", "--check", "crc").stdout.splitlines()
    assert both[0].endswith("no CRC to compare") and both[1].endswith("no damage")


def test_optimizer_state_counted_as_parameters_beside_two_state_dicts(mlc, tmp_path):
    checkpoint = training_checkpoint()
    checkpoint["ema"] = {key: value.clone() for key, value in checkpoint["model"].items()}
    write(tmp_path / "two.pt", checkpoint)
    elements = sum(value.numel() for value in checkpoint["model"].values())
    states = sum(len(state) for state in checkpoint["optimizer"]["state"].values())
    assert mlc.ok("load", "two.pt", "--json").json["totals"]["parameters"] == 2 * elements
    shown = mlc.ok("load", "two.pt", "--summary").stdout
    assert f" {2 * elements} parameters, " in shown and f"; {states} tensors in none of the state_dicts\n" in shown


def test_groups_of_shared_tensors_were_joined_by_and(mlc, tmp_path):
    one, two = torch.ones(3), torch.ones(2)
    write(tmp_path / "tied.pt", ordered(a=one, b=one, c=two, d=two))
    assert "\nshared       2 storages: a and b; c and d\n" in mlc.ok("load", "tied.pt", "--summary").stdout


def test_statistics_without_the_table_had_no_line_on_nan(mlc, tmp_path, plain):
    write(tmp_path / "n.pt", ordered(a=torch.tensor([1.0, float("nan")]), b=torch.tensor([float("inf")])))
    assert "; 1 NaN and 1 Inf in 2 tensors\n" in mlc.ok("load", "n.pt", "--stats", "--summary").stdout
    both = mlc.ok("load", "n.pt", "a.pt", "--stats", "--summary").stdout.splitlines()
    assert [line.rsplit("; ", 1)[1] for line in both] == ["1 NaN and 1 Inf in 2 tensors: a and b", "no NaN or Inf"]


@pytest.mark.parametrize("option, sign", [("--stats", "MEAN"), ("--tree", "dict"), ("--globals", "weights_only")])
def test_several_files_ignored_what_was_asked_for(mlc, plain, training, option, sign):
    alone = mlc.ok("load", plain, option).stdout
    assert sign in alone
    assert mlc.ok("load", plain, training, option).stdout == alone + "\n" + mlc.ok("load", training, option).stdout


def test_damaged_files_of_a_batch_were_missing_in_the_list(mlc, tmp_path, plain):
    (tmp_path / "cut.pt").write_bytes(plain.read_bytes()[:500])
    result = mlc("load", "cut.pt", "a.pt", "--keep-going")
    assert result.rc == 3
    assert [line.split(": ")[0] for line in result.stdout.splitlines()] == ["cut.pt", "a.pt"]
    assert result.stdout.startswith("cut.pt: failed\n") and "mlc: error: cut.pt: " in result.stderr
    rc, screen = mlc.tty("load", "a.pt", "cut.pt", "a.pt", "--keep-going", "--color", "never")
    words = [line.split(":")[0] for line in screen.splitlines()]
    assert rc == 3 and words == ["a.pt", "cut.pt", "mlc", "hint", "a.pt", "3 files, 1 failed"], screen


def test_a_warning_in_a_batch_named_its_file_twice(mlc, tmp_path, plain):
    data = plain.read_bytes()
    (tmp_path / "odd.pt").write_bytes(data[:-1] + b"\x01")
    result = mlc("load", "odd.pt", "a.pt")
    assert "mlc: warning: odd.pt: " in result.stderr and "odd.pt: odd.pt" not in result.stderr


def test_quiet_batches_still_said_what_they_wrote(mlc, tmp_path, plain, training):
    result = mlc.ok("save", plain, training, "--out-dir", "out", "-q")
    assert result.stdout == "" and result.stderr == "" and len(snapshot(tmp_path / "out")) == 2
    assert len(mlc.ok("load", plain, training, "-q").stdout.splitlines()) == 2  # an answer


# --- dry runs and --in-place


@pytest.fixture
def zoo(tmp_path, plain, training, script):
    """Files that some command has to refuse."""
    write(tmp_path / "exotic.pt", {"w": torch.ones(2, dtype=torch.complex128), "v": torch.ones(2)})
    shared = torch.ones(3)
    write(tmp_path / "tied.pt", ordered(a=shared, b=shared))
    os.link(write(tmp_path / "one.pt", ordered(w=torch.ones(2))), tmp_path / "two.pt")
    (tmp_path / "zip.safetensors").write_bytes(plain.read_bytes())
    (tmp_path / "folder").mkdir()
    return tmp_path


REFUSED = [
    (4, "save exotic.pt -o x.safetensors"), (4, "strip-module-prefix exotic.pt -o x.safetensors"),
    (4, "save exotic.pt -o shards --max-shard-size 1GB"), (4, "remap-keys exotic.pt --map w=x -o x.safetensors"),
    (4, "remap-keys script.pt --map weight=w --in-place"), (4, "save script.pt --in-place"),
    (5, "save a.pt -o missing/x.pt"), (5, "remap-keys a.pt --map 0.weight=w -o missing/x.pt"),
    (5, "metadata a.pt --set name=x -o missing/x.pt"), (5, "save a.pt -o missing/shards --max-shard-size 1GB"),
    (5, "save a.pt --out-dir a.pt/out"), (5, "save a.pt -o a.pt/x.pt"),
    (5, "remap-keys one.pt --map w=x --in-place"), (5, "save one.pt --in-place"),
    (5, "metadata one.pt --set name=x --in-place"), (1, "save tied.pt -o x.safetensors --shared error"),
    (2, "remap-keys zip.safetensors --map 0.weight=w --in-place"), (2, "save zip.safetensors --in-place"),
    (2, "metadata zip.safetensors --set name=x --in-place"), (2, "save a.pt -o folder --format pt --force"),
    (5, "save a.pt -o train.pt"), (1, "strip-module-prefix a.pt --require -o x.pt")]


@pytest.mark.parametrize("code, command", REFUSED)
def test_a_dry_run_promised_what_the_run_refused(mlc, zoo, code, command):
    before = snapshot(zoo)
    rehearsal = mlc(*command.split(), "-n")
    assert snapshot(zoo) == before
    result = mlc(*command.split())
    assert (rehearsal.rc, result.rc) == (code, code), (rehearsal, result)
    assert snapshot(zoo) == before and not (zoo / "x.pt").exists()
    assert rehearsal.stderr.splitlines()[1:] == result.stderr.splitlines()[1:]


@pytest.mark.parametrize("command", [
    "save a.pt -o x.safetensors", "save a.pt --out-dir new/deep", "save a.pt -o shards --max-shard-size 60B",
    "save one.pt --in-place --force", "remap-keys one.pt --map w=x --in-place --force", "save train.pt -o x.pt",
    "save zip.safetensors --in-place --format safetensors", "strip-module-prefix script.pt -o x.pt",
    "save a.pt -o train.pt --force", "metadata a.pt --set name=x --out-dir new"])
def test_a_dry_run_does_not_refuse_what_runs(mlc, zoo, command):
    before = snapshot(zoo)
    mlc.ok(*command.split(), "-n")
    assert snapshot(zoo) == before
    mlc.ok(*command.split())


@pytest.mark.parametrize("command", [
    "remap-keys ln.pt --map 0.weight=w --in-place", "save ln.pt --in-place --dtype bf16",
    "metadata ln.pt --set name=x --in-place", "save b.pt -o ln.pt --force"])
def test_a_symbolic_link_stays_one(mlc, tmp_path, plain, command):
    write(tmp_path / "b.pt", ordered(b=torch.ones(1)))
    (tmp_path / "middle.pt").symlink_to("a.pt")
    (tmp_path / "ln.pt").symlink_to("middle.pt")
    before = plain.read_bytes()
    mlc.ok(*command.split())
    assert (tmp_path / "ln.pt").readlink() == pathlib.Path("middle.pt") and (tmp_path / "middle.pt").is_symlink()
    assert plain.read_bytes() != before and stat.S_ISREG(plain.lstat().st_mode)


def test_hard_links_were_parted_by_save(mlc, zoo):
    result = mlc("save", "one.pt", "--in-place", "--dtype", "bf16")
    assert result.rc == 5 and "has 2 names (hard links)" in result.stderr
    assert (zoo / "one.pt").samefile(zoo / "two.pt")


def test_save_in_place_threw_the_program_of_a_torchscript_away(mlc, script):
    before = script.read_bytes()
    result = mlc("save", script, "--in-place")
    assert result.rc == 4 and "torchscript checkpoint cannot be edited in place" in result.stderr
    assert script.read_bytes() == before


def test_strip_require_wrote_an_output_although_it_said_no(mlc, tmp_path, plain):
    result = mlc("strip-module-prefix", plain, "--require", "-o", "b.pt")
    assert result.rc == 1 and result.stderr == "nothing to change; nothing was written\n"
    assert not (tmp_path / "b.pt").exists()


# --- what newcomers tripped over


@pytest.mark.parametrize("word, hint", [
    ("convert", "mlc save"), ("info", "mlc load"), ("inspect", "mlc load"), ("show", "mlc load"),
    ("rename", "mlc remap-keys"), ("compare", "mlc diff"), ("strip", "mlc strip-module-prefix"),
    ("validate", "mlc validate-version"), ("version", "mlc --version"), ("a.pt", "mlc load a.pt")])
def test_verbs_of_other_tools_had_no_hint(mlc, plain, word, hint):
    result = mlc(word)
    assert result.rc == 2 and result.stderr.endswith(f"hint: did you mean `{hint}`?\n"), result


def test_diff_did_not_say_that_only_a_prefix_differs(mlc, tmp_path, plain):
    state = torch.load(plain)
    write(tmp_path / "ddp.pt", {"module." + key: value for key, value in state.items()})
    for pair in (["a.pt", "ddp.pt"], ["ddp.pt", "a.pt"]):
        result = mlc("diff", *pair)
        assert result.rc == 1
        assert "the keys of ddp.pt equal those of a.pt after stripping module.; to compare" in result.stderr
        assert "the values: --strip-prefix module.\n" in result.stderr
    mlc.ok("strip-module-prefix", "--prefix", "module.", "ddp.pt", "-o", "stripped.pt")
    mlc.ok("diff", "a.pt", "stripped.pt")
    _, screen = mlc.tty("diff", "a.pt", "ddp.pt")
    assert screen.splitlines()[-1].startswith("the keys of ddp.pt")  # after what it explains


def test_equal_names_in_several_folders_have_a_hint(mlc, tmp_path, plain):
    for run in ("one", "two"):
        (tmp_path / run).mkdir()
        (tmp_path / run / "ckpt.pt").write_bytes(plain.read_bytes())
    result = mlc("save", "one/ckpt.pt", "two/ckpt.pt", "--out-dir", "out")
    assert result.rc == 2 and 'would both become "ckpt.pt"' in result.stderr
    assert "hint: run it for each with -o, or for each folder with its own --out-dir\n" in result.stderr


def test_config_and_tokenizer_were_left_behind_silently(mlc, tmp_path, plain):
    mlc.ok("save", plain, "-o", "hf", "--max-shard-size", "60B")
    for name in ("config.json", "tokenizer.json", "notes.json"):
        (tmp_path / "hf" / name).write_text("{}")
    note = "; not copied from beside the input: config.json and tokenizer.json\n"
    assert mlc.ok("save", "hf", "-o", "again", "--max-shard-size", "1GB").stderr.endswith(note)
    assert mlc.ok("remap-keys", "hf", "--map", "0.=x.", "-o", "renamed").stderr.endswith(note)
    (tmp_path / "third").mkdir()
    (tmp_path / "third/config.json").write_text("{}")
    assert mlc.ok("save", "hf", "-o", "third", "--max-shard-size", "1GB", "--force").stderr.endswith(": tokenizer.json\n")


def test_the_version_of_lightning_was_unknown(mlc, tmp_path):
    write(tmp_path / "pl.ckpt", {"pytorch-lightning_version": "2.1.0", "state_dict": {"w": torch.ones(1)}})
    for package in ("pytorch-lightning", "pytorch_lightning", "lightning"):
        result = mlc.ok("validate-version", "pl.ckpt", "--requires", f"{package}>=2,<2.2")
        assert "2.1.0 satisfies" in result.stdout and "`pytorch-lightning_version` in the checkpoint" in result.stdout
    assert mlc("validate-version", "pl.ckpt", "--requires", "lightning>=2.2").rc == 1


def test_shells_offered_files_for_dtype(mlc):
    for shell in ("bash", "zsh", "fish"):
        assert "fp32 bf16 fp16" in mlc.ok("completion", shell).stdout
    other = mlc("save", "x.pt", "-n", "--dtype", "f16")
    assert other.rc == 3  # what is not offered is not refused: only the file is missing


def test_the_refused_inverse_did_not_say_how_to_go_on(mlc, tmp_path, plain):
    result = mlc("remap-keys", plain, "--drop", "0.*", "--map", "2.weight=x", "--emit-inverse", "i.yaml", "-o", "b.pt")
    assert result.rc == 1 and "drop in the next without it" in result.stderr
    assert not (tmp_path / "b.pt").exists() and not (tmp_path / "i.yaml").exists()


def test_key_kept_the_other_state_dicts_without_a_word(mlc, tmp_path, training):
    result = mlc.ok("save", training, "--key", "model", "-o", "b.pt")
    assert "kept as they were, beside model: epoch, 18 tensors in optimizer and best; --weights-only" in result.stderr
    alone = mlc.ok("save", training, "--key", "model", "--weights-only", "-o", "c.pt")
    assert "kept as they were" not in alone.stderr
    assert "kept as they were" not in mlc.ok("save", "c.pt", "--key", ".", "-o", "d.pt").stderr


def test_taking_weights_kept_stale_moments_silently(mlc, training, plain):
    assert "the optimizer state at optimizer is kept but no longer fits" in mlc.ok(
        "save", training, "--from", plain, "-o", "b.pt").stderr


@pytest.mark.parametrize("command", ["save tied.pt -o x.safetensors", "remap-keys tied.pt --map c=d -o x.safetensors",
                                     "save tied.pt -o x --max-shard-size 1GB"])
def test_tied_names_were_told_only_with_v(mlc, tmp_path, command):
    shared = torch.ones(3)
    write(tmp_path / "tied.pt", ordered(a=shared, b=shared, c=torch.ones(2)))
    assert "1 tied name recorded (b is a)" in mlc.ok(*command.split()).stderr


@pytest.fixture
def dcp(tmp_path):
    import torch.distributed.checkpoint  # pylint: disable=import-outside-toplevel,redefined-outer-name
    torch.distributed.checkpoint.save({"model": {"w": torch.ones(2, 3)}}, checkpoint_id=tmp_path / "dcp", no_dist=True)
    return tmp_path / "dcp"


@pytest.mark.parametrize("name", ["__0_0.distcp", ".metadata"])
def test_a_file_of_a_dcp_folder_was_called_corrupt(mlc, dcp, name):
    result = mlc("load", f"dcp/{name}")
    assert result.rc == 4 and "is one file of a checkpoint folder" in result.stderr
    assert result.stderr.endswith("hint: open the folder: dcp\n")


def test_a_dcp_folder_became_a_nameless_zip(mlc, tmp_path, dcp):
    result = mlc("remap-keys", dcp, "--map", "w=v", "-o", "out")
    assert result.rc == 2 and "the output is one file, not a DCP folder" in result.stderr
    assert not (tmp_path / "out").exists()
    mlc.ok("remap-keys", dcp, "--map", "w=v", "-o", "out.pt")
    assert list(torch.load(tmp_path / "out.pt")["model"]) == ["v"]


@pytest.mark.parametrize("value", [5, [1, {"a": 2}], {"epoch": 3}, None], ids=["int", "list", "dict", "none"])
def test_healthy_files_without_a_state_dict_were_refused(mlc, tmp_path, value):
    write(tmp_path / "a.pt", value)
    assert "\ntensors      0 tensors" in mlc.ok("load", "a.pt").stdout
    assert mlc.ok("load", "a.pt", "--json").json["tensors"] == []


def test_a_newline_in_the_name_of_a_file_was_refused(mlc, tmp_path):
    state = small_model().state_dict()
    path = write(tmp_path / "new\nline.pt", state)
    shown = mlc.ok("load", path, "--check", "crc").stdout
    assert "new\\x0aline.pt" in shown and "no damage" in shown
    mlc.ok("remap-keys", path, "--map", "0.weight=w", "-o", "b.pt")
    mlc.ok("remap-keys", path, "--map", "0.weight=w", "--in-place")
    for name in ("new\nline.pt", "b.pt"):
        assert "w" in torch.load(tmp_path / name)


def test_merging_left_values_behind_silently(mlc, tmp_path, training):
    write(tmp_path / "more.pt", {"x": torch.ones(2)})
    result = mlc.ok("save", "more.pt", training, "--merge", "-o", "b.pt")
    assert "not merged from" in result.stderr and "epoch, 18 tensors in optimizer and best" in result.stderr


def test_dropping_left_optimizers_stale_silently(mlc, tmp_path):
    training = write(tmp_path / "train.pt", training_checkpoint(named=False))
    for options in (["-n"], ["-o", "b.pt"]):
        assert "the optimizer state at optimizer is kept but no longer fits" in mlc.ok(
            "remap-keys", training, "--drop", "0.*", *options).stderr


def test_forced_shards_replaced_the_files_they_were_read_from(mlc, tmp_path, plain):
    mlc.ok("save", plain, "-o", "hf", "--max-shard-size", "60B")
    before = snapshot(tmp_path)
    for dry in ([], ["-n"]):
        result = mlc("save", "hf/model.safetensors.index.json", "-o", "hf", "--max-shard-size", "1GB", "--force", *dry)
        assert result.rc == 2 and "the output is the input" in result.stderr, result
        assert snapshot(tmp_path) == before
    mlc.ok("save", plain, "-o", ".", "--max-shard-size", "1GB", "--force")  # a.pt is in no danger
    assert plain.read_bytes() == before[plain] and (tmp_path / "model.safetensors").exists()


@pytest.mark.parametrize("option", [["-o", "x.txt"], ["--in-place"], ["--out-dir", "d"], ["--key", "model"]])
def test_outputs_of_only_names_were_ignored(mlc, tmp_path, option):
    (tmp_path / "names.txt").write_text("a.x\nb\n")
    result = mlc("remap-keys", "names.txt", "--only-names", "--map", "a=c", *option)
    assert result.rc == 2 and "--only-names prints names" in result.stderr
    assert mlc.ok("remap-keys", "names.txt", "--only-names", "--map", "a=c").stdout == "c.x\nb\n"


def test_metadata_ignored_options_for_writing(mlc, plain):
    for option in ("--force", "--sync", "-n"):
        result = mlc("metadata", plain, option)
        assert result.rc == 2 and "no change is named" in result.stderr


def test_man_had_no_hint_for_verbs_of_other_tools(mlc):
    for words in (["man", "convert"], ["help", "convert"]):
        result = mlc(*words)
        assert result.rc == 2 and result.stderr.endswith("hint: did you mean `mlc save`?\n")
