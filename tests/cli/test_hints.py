"""What messages say is true, and the commands they recommend do what they promise."""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import zipfile

import pytest
import safetensors
import safetensors.torch
import torch
from safetensors.torch import save_file

from checkpoints import write


def command_in(text):
    """The arguments of the mlc command that TEXT recommends."""
    return shlex.split(re.search(r"`mlc ([^`]*)`", text).group(1))


def tensors(**values):
    return {name.replace("_", "."): torch.full((2,), float(value)) for name, value in values.items()}


def test_commands_in_hints_survive_spaces_in_file_names(mlc, tmp_path):
    write(tmp_path / "my run.pt", {"w": torch.ones(1)})
    (tmp_path / "my run.pt").rename(tmp_path / "it's mine.pt")
    done = mlc("validate-version", "it's mine.pt", "--requires", "other>=1")
    assert command_in(done.stderr)[:2] == ["metadata", "it's mine.pt"]
    write(tmp_path / "w w.pt", {"w": torch.zeros(1)})
    merged = mlc("save", "--merge", "it's mine.pt", "w w.pt", "-o", "out.pt")
    assert command_in(merged.stderr)[:2] == ["remap-keys", "w w.pt"]
    write(tmp_path / "ddp run.pt", {"my module.w": torch.ones(1)})
    hint = mlc("diff", "ddp run.pt", "it's mine.pt").stderr.rsplit("values: ", 1)[1]
    mlc.ok("diff", "ddp run.pt", "it's mine.pt", *shlex.split(hint))


def test_pytorch_is_taken_for_a_slip_of_torch(mlc, tmp_path):
    write(tmp_path / "a.pt", {"w": torch.ones(1)})
    done = mlc("validate-version", "a.pt", "--requires", "pytorch>=2.0")
    assert done.rc == 2 and "did you mean torch>=2.0?" in done.stderr


@pytest.mark.parametrize("second", [tensors(w=2, x=2), tensors(w=2)], ids=["some keys", "all keys"])
@pytest.mark.parametrize("name", ["b.pt", "it's b.pt"])
def test_the_way_out_of_a_merge_conflict_loses_no_other_tensor(mlc, tmp_path, second, name):
    # The advice was --exclude, which holds for every input: the tensor was in none of the outputs.
    write(tmp_path / "a.pt", tensors(w=1))
    write(tmp_path / name, second)
    refused = mlc("save", "--merge", "a.pt", name, "-o", "out.pt")
    assert refused.rc != 0 and "1 key of it exists already: w" in refused.stderr
    mlc.ok(*command_in(refused.stderr))
    mlc.ok("save", "--merge", "a.pt", "other.pt", "-o", "out.pt")
    merged = torch.load(tmp_path / "out.pt")
    assert merged["w"][0] == 1 and len(merged) == 2


def test_from_says_which_shapes_keep_everything_from_being_taken(mlc, tmp_path):
    # "both must use the same keys", though they did.
    write(tmp_path / "a.pt", {"w": torch.ones(5, 2)})
    write(tmp_path / "b.pt", {"w": torch.ones(10, 2)})
    done = mlc("save", "a.pt", "--from", "b.pt", "-o", "out.pt")
    assert "of the same name: w [10, 2] instead of [5, 2]" in done.stderr
    assert "same keys" not in done.stderr


def test_what_the_selection_leaves_out_of_both_files_is_not_called_absent(mlc, valid, tmp_path):
    # "not in new.pt: head.w" was untrue: --exclude had taken it out of new.pt as well.
    write(tmp_path / "new.pt", tensors(body_w=1, head_w=1))
    write(tmp_path / "old.pt", tensors(body_w=2, head_w=2, extra=2))
    done = mlc.ok("save", "new.pt", "--from", "old.pt", "--exclude", "head.*", "-o", "x.pt")
    assert "not taken from old.pt, not in new.pt: extra\n" in done.stderr
    assert "the selection keeps out of the output, not only of what is taken from old.pt: head.w\n" in done.stderr
    assert list(torch.load(tmp_path / "x.pt")) == ["body.w"]


def test_strip_names_only_prefixes_that_are_there_and_no_partial_that_fails(mlc, tmp_path):
    # "begin with module. and _orig_mod.", and --partial then failed with names given twice.
    write(tmp_path / "both.pt", tensors(module_w=1, w=2))
    done = mlc("strip-module-prefix", "both.pt", "-o", "out.pt")
    assert "1 key begins with module. (first module.w)" in done.stderr and "_orig_mod" not in done.stderr
    assert "--partial" not in done.stderr and "1 name would be there twice" in done.stderr
    option = command_in(done.stderr)[1:]
    mlc.ok("save", "both.pt", *option, "-o", "one.pt")
    mlc.ok("strip-module-prefix", "one.pt", "-o", "out.pt")
    assert torch.load(tmp_path / "out.pt")["w"][0] == 1
    write(tmp_path / "some.pt", tensors(module_w=1, v=2))
    assert "--partial strips" in mlc("strip-module-prefix", "some.pt", "-o", "out2.pt").stderr


def test_load_says_what_a_file_without_a_state_dict_holds(mlc, tmp_path):
    # "0 tensors" and nothing else; a lone tensor had an empty name.
    write(tmp_path / "none.pt", {"a": 1, "b": {"c": 2}})
    shown = mlc.ok("load", "none.pt").stdout
    assert "also here    a and b\n" in shown and "none; `mlc load --tree` shows" in shown
    assert mlc.ok("load", "none.pt", "--json").json["also_here"] == ["a", "b"]
    write(tmp_path / "lone.pt", torch.ones(3))
    assert mlc.ok("load", "lone.pt").stdout.splitlines()[-1].split()[0] == "."


def test_the_prefix_line_names_all_that_strip_removes(mlc, tmp_path):
    # Only _orig_mod. was named; with several state_dicts there was no line at all.
    write(tmp_path / "a.pt", {"_orig_mod.module.w": torch.ones(1), "_orig_mod.module.v": torch.ones(1)})
    assert "every key starts with _orig_mod.module.; `mlc strip-module-prefix` removes" in mlc.ok("load", "a.pt").stdout
    two = {"model": tensors(module_w=1), "ema": tensors(module_w=2), "epoch": 1}
    write(tmp_path / "two.pt", two)
    shown = mlc.ok("load", "two.pt").stdout
    assert "every state_dict starts with module.; `mlc strip-module-prefix --key '*'` removes it" in shown
    refused = mlc("strip-module-prefix", "two.pt", "-o", "out.pt")
    assert refused.rc == 2 and "or all of them with --key '*'" in refused.stderr
    mlc.ok("strip-module-prefix", "two.pt", "--key", "*", "-o", "out.pt")
    assert list(torch.load(tmp_path / "out.pt")["ema"]) == ["w"]


def test_a_missing_shard_is_named_once_and_with_its_index(mlc, tmp_path):
    # "shm//model-00001...: shard "model-00001..."": the index was not named.
    write(tmp_path / "a.pt", tensors(v=1, w=2))
    mlc.ok("save", "a.pt", "-o", "sh", "--max-shard-size", "8B")
    next((tmp_path / "sh").glob("model-00001*")).unlink()
    for path in ("sh", "sh/model.safetensors.index.json"):
        error = mlc("load", path).stderr
        assert error.startswith('mlc: error: sh/model-00001-of-00002.safetensors: shard of "model.safetensors.index.json"')
        assert error.count("model-00001") == 1


def test_expect_of_several_state_dicts_said_no_instead_of_asking(mlc, tmp_path):
    write(tmp_path / "stray.pt", {"model": tensors(w=1), "ema": tensors(w=2)})
    write(tmp_path / "sd.pt", tensors(w=1))
    asked = mlc("load", "stray.pt", "--expect", "sd.pt")
    assert asked.rc == 2 and "choose one with --key, for example --key model" in asked.stderr
    asked = mlc("load", "sd.pt", "--expect", "stray.pt")
    assert asked.rc == 2 and "choose one with --expect-key, for example --expect-key model" in asked.stderr
    write(tmp_path / "loose.pt", {"best": torch.ones(2, 2), "model": tensors(w=1)})
    asked = mlc("load", "sd.pt", "--expect", "loose.pt")
    assert asked.rc == 2 and "--expect-key model" in asked.stderr
    mlc.ok("load", "sd.pt", "--expect", "loose.pt", "--expect-key", "model")
    mlc.ok("load", "stray.pt", "--key", "ema", "--expect", "stray.pt")
    mlc.ok("load", "loose.pt", "--key", ".", "--expect", "loose.pt")


def test_tensors_that_are_left_out_are_called_tensors(mlc, tmp_path):
    write(tmp_path / "a.pt", {"model": tensors(w=1), "ema": tensors(w=2, v=2), "epoch": 3})
    done = mlc.ok("save", "a.pt", "--key", "model", "-o", "a.safetensors")
    assert "left out: 2 tensors in ema and epoch\n" in done.stderr
    assert "also here    2 tensors in ema and epoch\n" in mlc.ok("load", "a.pt", "--key", "model").stdout


def test_a_shared_state_dict_is_shown_with_all_its_paths(mlc, valid, tmp_path):
    shared = tensors(w=1)
    write(tmp_path / "a.pt", {"model": shared, "best": shared})
    assert "state_dict   model, the same as best\n" in mlc.ok("load", "a.pt").stdout
    report = mlc.ok("load", "a.pt", "--json").json
    valid(report, "load")
    assert report["state_dicts"] == [{"path": "model", "also_at": ["best"], "tensors": 1, "recovered": False}]


# --- mappings of tensors where no search goes

STATE = {"w": torch.ones(2), "b": torch.zeros(1)}
OUT_OF_THE_WAY = {
    "a.b.c.d.e": {"a": {"b": {"c": {"d": {"e": STATE}}}}},
    "optim.shadow": {"optim": {"shadow": STATE}},
    "folds.70": {"folds": [{"w": torch.ones(i + 1), "b": torch.zeros(1)} for i in range(100)]},
}


@pytest.mark.parametrize("key", OUT_OF_THE_WAY)
def test_a_named_mapping_of_tensors_was_refused_for_its_place(mlc, tmp_path, key):
    write(tmp_path / "a.pt", OUT_OF_THE_WAY[key])
    assert mlc.ok("load", "a.pt", "--key", key, "--json").json["key"] == key
    mlc.ok("save", "a.pt", "--key", key, "-o", "b.safetensors")
    mlc.ok("remap-keys", "a.pt", "--key", key, "--add-prefix", "x.", "-o", "c.pt")
    mlc.ok("diff", "a.pt", "b.safetensors", "--key", key, "--key-b", ".")
    mlc.ok("load", "b.safetensors", "--expect", "a.pt", "--expect-key", key)
    renamed = mlc.ok("load", "c.pt", "--key", key, "--json").json["tensors"]
    assert [row["name"] for row in renamed] == ["x.w", "x.b"]


@pytest.mark.parametrize("key", OUT_OF_THE_WAY)
def test_a_file_without_a_state_dict_says_where_a_mapping_of_tensors_is(mlc, tmp_path, key):
    write(tmp_path / "a.pt", OUT_OF_THE_WAY[key])
    result = mlc("save", "a.pt", "-o", "b.safetensors")
    assert result.rc == 2 and "but no state_dict where one is looked for" in result.stderr
    assert f"--key {'folds.0' if key.startswith('folds') else key}\n" in result.stderr


def test_why_there_is_no_state_dict_is_true(mlc, tmp_path):
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.9)
    weight.sum().backward()
    optimizer.step()
    write(tmp_path / "optimizer.pt", optimizer.state_dict())
    write(tmp_path / "numbers.pt", {"model": {0: torch.ones(1)}, "list": [torch.ones(1)]})
    assert "1 tensor but no state_dict: it is the state of an optimizer" in mlc(
        "save", "optimizer.pt", "-o", "b.safetensors").stderr
    assert "2 tensors but no state_dict: none of them has a text as its key" in mlc(
        "save", "numbers.pt", "-o", "b.safetensors").stderr
    refused = mlc("save", "optimizer.pt", "--key", ".", "-o", "b.safetensors")
    assert refused.rc == 2 and "the root is the state of an optimizer" in refused.stderr


def test_the_counter_of_an_averaged_model_was_said_to_have_the_prefix(mlc, tmp_path):
    write(tmp_path / "swa.pt", torch.optim.swa_utils.AveragedModel(torch.nn.Linear(2, 2)).state_dict())
    shown = mlc.ok("load", "swa.pt").stdout
    assert "prefix       every key but n_averaged starts with module.; `mlc strip-module-prefix` removes it\n" in shown
    write(tmp_path / "dp.pt", {"module.w": torch.ones(1)})
    assert "prefix       every key starts with module.;" in mlc.ok("load", "dp.pt").stdout


# --- messages without a culprit


def test_a_join_of_types_named_no_input(mlc, tmp_path):
    write(tmp_path / "a.pt", {"q": torch.ones(2, 2), "k": torch.ones(2, 2).half()})
    (tmp_path / "r.yaml").write_text("version: 1\nrules:\n  - match: ['^q$', '^k$']\n    concat: {dim: 0, to: qk}\n")
    for option in (["-n"], ["-o", "b.pt"]):
        result = mlc("remap-keys", "a.pt", "--rules", "r.yaml", *option)
        assert result.rc == 2 and "tensor qk: q (float32) and k (float16) cannot be joined" in result.stderr
    mlc.ok("save", "a.pt", "-o", "c.pt", "--dtype", "fp16")
    mlc.ok("remap-keys", "c.pt", "--rules", "r.yaml", "-o", "b.pt")


@pytest.mark.parametrize("command", [["load", ""], ["diff", "a.pt", ""], ["load", "a.pt", ""]])
def test_an_empty_argument_named_nothing(mlc, tmp_path, command):
    write(tmp_path / "a.pt", {"w": torch.ones(1)})
    result = mlc(*command)
    assert result.rc == 2 and "is an empty text" in result.stderr
    assert ("B: " if command[0] == "diff" else "INPUT: ") in result.stderr


@pytest.mark.parametrize("make", [lambda space: space, lambda space: {"o": space}, lambda space: [space, space.m]])
def test_where_safe_gives_up_it_says_what_works(mlc, tmp_path, make):
    write(tmp_path / "a.pt", make(argparse.Namespace(m={"w": torch.ones(1)})))
    result = mlc("save", "a.pt", "--safe", "-o", "b.pt")
    assert result.rc == 4
    hint = re.search(r"hint: (--key \S+ --weights-only) writes the tensors there", result.stderr).group(1)
    mlc.ok("save", "a.pt", "--safe", *shlex.split(hint), "-o", "b.pt")
    assert torch.equal(torch.load(tmp_path / "b.pt", weights_only=True)["w"], torch.ones(1))


def test_an_output_that_exists_in_a_folder_can_be_skipped(mlc, tmp_path):
    # Only --force was named, thirteen times, to someone whose batch had been interrupted.
    for name in ("a.pt", "b.pt"):
        write(tmp_path / name, tensors(module_w=1))
    mlc.ok("strip-module-prefix", "a.pt", "b.pt", "--out-dir", "out")
    assert "--skip-existing leaves it" in mlc("strip-module-prefix", "a.pt", "b.pt", "--out-dir", "out").stderr
    mlc.ok("strip-module-prefix", "a.pt", "-o", "c.pt")
    assert "--skip-existing" not in mlc("strip-module-prefix", "a.pt", "-o", "c.pt").stderr


def test_a_backslash_in_double_quotes_of_yaml(mlc, tmp_path):
    write(tmp_path / "a.pt", tensors(encoder_w=1))
    (tmp_path / "rules.yaml").write_text('rules:\n  - regex: "^encoder\\.w"\n    to: w\n')
    result = mlc("remap-keys", "a.pt", "--rules", "rules.yaml", "-o", "b.pt")
    assert "single quotes take it as it is" in result.stderr


def test_other_names_of_half_precision(mlc):
    # f16, as mlc itself prints it, was answered with "did you mean bf16?".
    for name in ("f16", "float16", "half", "bfloat16", "f32"):
        assert "is not one of" not in mlc("run", "none.pt", "--dtype", name).stderr
    assert "is not one of" in mlc("run", "none.pt", "--dtype", "int8").stderr


def test_weights_in_place_of_an_architecture_were_shown_as_text(mlc, tmp_path):
    torch.save({"w": torch.ones(2)}, tmp_path / "w.pt")
    failed = mlc("run", "w.pt", "--arch", "w.pt", "--input", "x:f32[1]")
    assert failed.rc != 0 and "w.pt: is binary data, not YAML" in failed.stderr and "escape" not in failed.stderr


def test_an_architecture_in_place_of_weights_got_no_hint(mlc, tmp_path):
    (tmp_path / "net.yaml").write_text("mlc: architecture/1\n")
    failed = mlc("run", "net.yaml", "--input", "x:f32[1]")
    assert failed.rc == 4 and "WEIGHTS --arch net.yaml" in failed.stderr


def test_one_odd_key_hid_the_prefix(mlc, valid, tmp_path):
    plain = {f"layer{i}.weight": torch.ones(2) for i in range(9)}
    wrapped = {f"module.{key}": value for key, value in plain.items()}
    odd = {**wrapped, "head": torch.ones(1)}
    for name, values in (("plain", plain), ("wrapped", wrapped), ("odd", odd), ("nested", {"net": odd, "other": plain}),
                         ("few", {**plain, "module.a": torch.ones(1)})):
        torch.save(values, tmp_path / f"{name}.pt")
    hint = "9 of 10 keys start with module., not head; `mlc strip-module-prefix --partial` removes it"
    assert f"prefix       {hint}\n" in mlc.ok("load", "odd.pt").stdout
    report = mlc.ok("load", "odd.pt", "--json").json
    valid(report, "load")
    assert report["prefix_hints"] == [hint]
    assert mlc.ok("load", "wrapped.pt", "--json").json["prefix_hints"][0].startswith("every key starts with module.")
    assert mlc.ok("load", "plain.pt", "--json").json["prefix_hints"] == mlc.ok("load", "few.pt", "--json").json["prefix_hints"] == []
    assert mlc.ok("load", "nested.pt", "--json").json["prefix_hints"] == [
        "9 of 10 keys of net start with module., not head; `mlc strip-module-prefix --key net --partial` removes it"]
    mlc.ok("strip-module-prefix", "odd.pt", "--partial", "-o", "stripped.pt")
    mlc.ok("load", "stripped.pt", "--expect", "plain.pt", "--no-strict")
    # The same where names are compared: no hint was given, or one that the verb refused.
    asked = mlc("load", "odd.pt", "--expect", "plain.pt", "--json")
    valid(asked.json, "load")
    assert asked.json["expect"]["hint"] == ('9 of 10 unexpected keys are expected without the prefix "module.": '
                                            "`mlc strip-module-prefix --partial --prefix module.` removes it")
    assert mlc("load", "plain.pt", "--expect", "odd.pt", "--json").json["expect"]["hint"] == (
        '9 of 10 missing keys are there without the prefix "module."')
    known = {**wrapped, "layer0.bias": torch.ones(1)}
    torch.save(known, tmp_path / "known.pt")
    torch.save({**plain, "layer0.bias": torch.ones(1)}, tmp_path / "target.pt")
    hint = mlc("load", "known.pt", "--expect", "target.pt", "--json").json["expect"]["hint"]
    assert hint.startswith("all 9 unexpected keys are expected without the prefix") and "--partial" in hint
    mlc.ok("strip-module-prefix", "known.pt", "--partial", "--prefix", "module.", "-o", "fits.pt")
    mlc.ok("load", "fits.pt", "--expect", "target.pt")
    assert mlc("diff", "odd.pt", "plain.pt").stderr == (
        "9 of 10 keys only in odd.pt equal those of plain.pt after stripping module.; "
        "to compare the values: --strip-prefix module.\n")


def test_the_lists_of_several_files_were_not_shown(mlc, tmp_path):
    torch.save({"a": torch.ones(2), "b": torch.ones(2)}, tmp_path / "wanted.pt")
    torch.save({"a": torch.ones(3), "c": torch.ones(2)}, tmp_path / "other.pt")
    lists = mlc("load", "other.pt", "--expect", "wanted.pt", "--summary").stdout.partition("does not fit\n")[2]
    assert lists.startswith('Missing key(s) in state_dict: "b".\nUnexpected key(s) in state_dict: "c".\nsize mismatch for a')
    for quiet in ([], ["-q"]):
        done = mlc("load", "other.pt", "wanted.pt", "other.pt", "--expect", "wanted.pt", *quiet)
        line = "other.pt: 2 tensors, 5 parameters, 20 B; not as expected\n" + lists
        good = "" if quiet else "wanted.pt: 2 tensors, 4 parameters, 16 B; as expected\n"
        assert (done.rc, done.stdout) == (1, line + good + "\n" + line)


def test_a_bad_pattern_was_blamed_on_the_file(mlc, tmp_path):
    torch.save({"w": torch.ones(2)}, tmp_path / "a.pt")
    for args, flag in ((["load", "a.pt", "--expect", "a.pt", "--ignore-missing", "("], "--ignore-missing"),
                       (["load", "nofile.pt", "--expect", "a.pt", "--ignore-missing", "ok", "--ignore-missing", "("], "--ignore-missing"),
                       (["save", "a.pt", "--include-regex", "(", "-o", "x.pt"], "--include-regex"),
                       (["save", "a.pt", "--exclude-regex", "(", "-o", "x.pt"], "--exclude-regex")):
        done = mlc(*args)
        assert done.rc == 2 and done.stderr == f'mlc: error: {flag}: regex "(" is not valid: missing ): (\n'
    for args, flag in ((["--get", "a..b"], "--get"), (["--set", "=1", "--in-place"], "--set"), (["--remove", "a.", "--in-place"], "--remove")):
        done = mlc("metadata", "nofile.pt", *args)
        assert done.rc == 2 and done.stderr.startswith(f"mlc: error: {flag}: ") and "is not a path of keys\n" in done.stderr
    for args in (["load", "a.pt"], ["diff", "a.pt", "a.pt"]):
        done = mlc(*args, "--include", "[w", "--exclude", "x")
        assert done.rc == 2 and 'selected by --include "[w" and --exclude "x"\n' in done.stderr


@pytest.mark.parametrize("inner", [tensors(w=0, b=0), tensors(head_w=0, head_b=0)], ids=["head", "model"])
def test_a_module_was_merged_beside_its_own_weights_in_silence(mlc, tmp_path, inner):
    write(tmp_path / "m.pt", tensors(model_enc_w=1, model_head_w=1, model_head_b=1))
    write(tmp_path / "head.pt", inner)
    done = mlc.ok("save", "m.pt", "head.pt", "--merge", "-o", "x.pt")
    assert "every key of head.pt is one of m.pt behind model." in done.stderr
    mlc.ok(*command_in(done.stderr))
    mlc.ok("save", "m.pt", "other.pt", "--merge", "--on-conflict", "last", "-o", "out.pt")
    out = torch.load(tmp_path / "out.pt")
    assert sorted(out) == ["model.enc.w", "model.head.b", "model.head.w"]
    assert out["model.head.w"][0] == 0 and out["model.enc.w"][0] == 1


def test_a_merge_said_nothing_of_a_prefix_that_only_one_file_has(mlc, tmp_path):
    write(tmp_path / "m.pt", tensors(model_enc_w=1, model_dec_w=1))
    write(tmp_path / "head.pt", tensors(head_w=0))
    done = mlc.ok("save", "m.pt", "head.pt", "--merge", "-o", "x.pt")
    assert "every key of m.pt starts with model., none of head.pt does" in done.stderr
    mlc.ok(*command_in(done.stderr))
    assert "warning" not in mlc.ok("save", "m.pt", "other.pt", "--merge", "-o", "out.pt").stderr
    assert sorted(torch.load(tmp_path / "out.pt")) == ["model.dec.w", "model.enc.w", "model.head.w"]


def test_metadata_expected_was_no_checkpoint(mlc, tmp_path):
    write(tmp_path / "a.pt", {"w": torch.ones(1)})
    (tmp_path / "meta.yaml").write_text("mlc: metadata/1\nversion: '1'\n")
    refused = mlc("load", "a.pt", "--expect", "meta.yaml")
    assert refused.rc == 4 and "meta.yaml: is metadata of mlc, not a checkpoint\n" in refused.stderr
    assert "only with an architecture in it" in refused.stderr


@pytest.mark.parametrize("name", ["x.npz", "x.npy"])
def test_the_npz_output_was_an_unknown_name(mlc, tmp_path, name):
    write(tmp_path / "a.pt", {"w": torch.ones(1)})
    refused = mlc("save", "a.pt", "-o", name)
    assert refused.rc == 2 and f'NumPy\'s files are read only, so "{name}" cannot be written' in refused.stderr
    assert not (tmp_path / name).exists()


def test_a_folder_of_several_kinds_named_the_rarest(mlc, tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a.pt", "b.pt", "c.pt"):
        torch.save({"w": torch.ones(2)}, tmp_path / "in" / name)
    safetensors.torch.save_file({"w": torch.ones(2)}, tmp_path / "in/d.safetensors")
    done = mlc("strip-module-prefix", "in", "--out-dir", "o")
    assert done.rc == 3
    assert "it holds 4 checkpoints (3 pt files and 1 safetensors file)" in done.stderr and "name the files: in/*.pt in/d.safetensors" in done.stderr


def test_the_wrapper_behind_the_prefix_of_lightning_was_not_named(mlc, tmp_path):
    torch.save({"state_dict": {"model.module.w": torch.ones(2), "model.module.b": torch.ones(2)}}, tmp_path / "l.ckpt")
    assert "`mlc strip-module-prefix --prefix model.module.` removes it" in mlc.ok("load", "l.ckpt").stdout
    mlc.ok("strip-module-prefix", "l.ckpt", "--prefix", "model.module.", "-o", "s.ckpt")
    assert list(torch.load(tmp_path / "s.ckpt")["state_dict"]) == ["w", "b"]


@pytest.fixture
def several(mlc, tmp_path):
    """A folder of shards, and what opens it."""
    write(tmp_path / "in.pt", {"module.a": torch.ones(64), "module.b": torch.ones(64)})
    mlc.ok("save", "in.pt", "-o", "s", "--max-shard-size", "300B")
    return ["s", "s/model.safetensors.index.json"]


@pytest.mark.parametrize("edit, hint, way", [
    (["save", "--dtype", "fp16"], "write one file with -o x.safetensors, or shards with --max-shard-size 5GB -o DIR",
     [["-o", "x.safetensors"], ["--max-shard-size", "5GB", "-o", "DIR"]]),
    (["strip-module-prefix"], "write shards into another folder with -o, or one file with -o x.safetensors",
     [["-o", "x.safetensors"], ["-o", "DIR"]]),
    (["remap-keys", "--map", "module.a=c"], "write shards into another folder with -o, or one file with -o x.safetensors",
     [["-o", "x.safetensors"], ["-o", "DIR"]]),
    (["prune", "--amount", "0.5"], "write one file with -o x.safetensors", [["-o", "x.safetensors"]]),
    (["quantize", "--min-elements", "1"], "write one file with -o x.safetensors", [["-o", "x.safetensors"]]),
], ids=lambda value: value[0] if isinstance(value[0], str) else "")
def test_an_edit_of_shards_in_place_was_told_a_way_that_fails(mlc, several, edit, hint, way):
    for path in several:
        done = mlc(edit[0], path, *edit[1:], "--in-place")
        assert done.rc == 4 and done.stderr.endswith(f"hint: {hint}\n"), done
        for one in way:
            mlc.ok(edit[0], path, *edit[1:], *one, "--force")


def test_an_edit_of_the_metadata_of_shards_was_told_a_way_that_fails(mlc, several):
    for path in several:
        done = mlc("metadata", path, "--set", "name=x", "--in-place")
        assert done.rc == 4 and "--sidecar writes" in done.stderr and "`mlc save`" in done.stderr and "-o" not in done.stderr
        mlc.ok("metadata", path, "--set", "name=x", "--sidecar")
    mlc.ok("save", "s", "--set", "name=x", "-o", "one.safetensors")
    assert mlc.ok("metadata", "one.safetensors", "--get", "name").stdout == "x\n"


def test_an_edit_of_a_dcp_folder_in_place_was_told_to_write_shards(mlc, tmp_path):
    import torch.distributed.checkpoint  # pylint: disable=import-outside-toplevel,redefined-outer-name
    torch.distributed.checkpoint.save({"module.a": torch.ones(3)}, checkpoint_id=tmp_path / "dcp", no_dist=True)
    done = mlc("strip-module-prefix", "dcp", "--in-place")
    assert done.rc == 4 and done.stderr.endswith("hint: write one file with -o x.safetensors\n")
    mlc.ok("strip-module-prefix", "dcp", "-o", "x.safetensors")
    done = mlc("save", "dcp", "--dtype", "fp16", "--in-place")
    assert done.rc == 4 and "--max-shard-size 5GB -o DIR" in done.stderr
    mlc.ok("save", "dcp", "--dtype", "fp16", "--max-shard-size", "5GB", "-o", "DIR")


@pytest.mark.parametrize("behind", ["", "module."])
def test_a_wrapped_part_of_a_model_was_not_seen(mlc, tmp_path, behind):
    names = ["features.module.0.weight", "features.module.1.weight", "fc.weight"]
    write(tmp_path / "vgg.pt", {behind + name: torch.ones(2) for name in names})
    done = mlc.ok("strip-module-prefix", "vgg.pt", "-o", "same.pt")
    assert done.stderr.count("2 keys have module. behind features; ") == 1 and "--anywhere" in done.stderr
    if not behind:
        assert mlc.ok("load", "vgg.pt", "--json").json["prefix_hints"] == [
            "2 keys have module. behind features; `mlc strip-module-prefix --anywhere` removes it"
        ]
    mlc.ok("strip-module-prefix", "vgg.pt", "--anywhere", "-o", "plain.pt")
    assert list(torch.load(tmp_path / "plain.pt")) == ["features.0.weight", "features.1.weight", "fc.weight"]
    # Not where the model itself has a part of that name beside others.
    write(tmp_path / "own.pt", {"a.module.w": torch.ones(2), "a.b.w": torch.ones(2)})
    assert "behind" not in mlc.ok("load", "own.pt").stdout


def test_a_wrapped_encoder_lost_its_name_on_advice(mlc, tmp_path):
    write(tmp_path / "e.pt", {"encoder.module.weight": torch.ones(2), "encoder.module.bias": torch.ones(2)})
    line = "`mlc strip-module-prefix --prefix encoder.module.` removes it, `--anywhere` only module."
    assert line in mlc.ok("load", "e.pt").stdout
    mlc.ok("strip-module-prefix", "e.pt", "--anywhere", "-o", "plain.pt")
    assert list(torch.load(tmp_path / "plain.pt")) == ["encoder.weight", "encoder.bias"]


def test_half_a_prefix_was_no_prefix(mlc, tmp_path):
    write(tmp_path / "half.pt", {"module.a": torch.ones(1), "module.b": torch.ones(1), "c": torch.ones(1), "d": torch.ones(1)})
    assert "2 of 4 keys start with module., not c and d; `mlc strip-module-prefix --partial`" in mlc.ok("load", "half.pt").stdout


def test_partial_keys_that_collide_got_no_hint(mlc, tmp_path):
    write(tmp_path / "two.pt", {"module.a": torch.ones(1), "a": torch.zeros(1)})
    done = mlc("strip-module-prefix", "two.pt", "--partial", "-o", "o.pt")
    assert done.rc == 1 and "`mlc save --include` takes one of them out" in done.stderr


def test_metadata_of_a_newer_mlc_hid_the_tensors(mlc, valid, tmp_path):
    metadata = {"mlc": "mlc: metadata/2\nname: x\n", "format": "pt"}
    safetensors.torch.save_file({"w": torch.ones(2)}, tmp_path / "new.safetensors", metadata)
    done = mlc.ok("load", "new.safetensors", "--json")
    valid(done.json, "load")
    assert done.json["tensors"][0]["name"] == "w" and "the metadata in it" in done.stderr
    done = mlc("save", "new.safetensors", "-o", "o.pt")
    assert done.rc == 4 and "the metadata in it" in done.stderr
    mlc.ok(*command_in(done.stderr))
    mlc.ok("save", "new.safetensors", "-o", "o.pt")


def test_a_folder_did_not_count_archives_of_old_names(mlc, tmp_path):
    (tmp_path / "in").mkdir()
    write(tmp_path / "in/a.pt", {"w": torch.ones(1)})
    write(tmp_path / "in/b.pth.tar", {"w": torch.ones(1)})
    assert "holds 2 checkpoints" in mlc("load", "in").stderr


def test_unused_bytes_left_gaps_out(mlc, tmp_path):
    write(tmp_path / "v.pt", {"w": torch.arange(100_000.0)[::9999]})
    answer = mlc.ok("load", "v.pt", "--json").json
    assert answer["totals"]["unused_bytes"] == 400_000 - 44
    assert "--compact-views` drops it" in mlc.ok("load", "v.pt").stdout
    mlc.ok("save", "v.pt", "--compact-views", "-o", "o.pt")
    assert torch.load(tmp_path / "o.pt")["w"].untyped_storage().nbytes() == 44
    # Views that overlap may take more room apart: 70 of 100 are spanned, 80 shown.
    whole = torch.arange(100.0)
    write(tmp_path / "two.pt", {"a": whole[:40], "b": whole[30:70]})
    assert "unused       120 B of storage that no tensor shows; `mlc save --compact-views` drops 80 B of it" in mlc.ok("load", "two.pt").stdout
    mlc.ok("save", "two.pt", "--compact-views", "-o", "o2.pt")
    stored = torch.load(tmp_path / "o2.pt").values()
    assert sum(one.untyped_storage().nbytes() for one in stored) == 320


def test_a_merge_with_a_training_checkpoint_had_no_way(mlc, tmp_path):
    write(tmp_path / "a.pt", {"w": torch.ones(1)})
    write(tmp_path / "b.pt", {"model": {"v": torch.ones(1)}, "ema": {"v": torch.zeros(1)}})
    done = mlc("save", "--merge", "a.pt", "b.pt", "-o", "o.pt")
    assert done.rc == 2 and "holds 2 state_dicts" in done.stderr
    mlc.ok(*[{"PATH": "model"}.get(word, word) for word in command_in(done.stderr)])
    mlc.ok("save", "--merge", "a.pt", "one.pt", "-o", "o.pt")
    assert torch.equal(torch.load(tmp_path / "o.pt")["v"], torch.ones(1))


def test_a_join_with_integers_was_told_to_cast_them(mlc, tmp_path):
    write(tmp_path / "a.pt", {"a": torch.ones(2), "b": torch.ones(2, dtype=torch.int64)})
    rules = "version: 1\nrules:\n  - {match: ['^a$', '^b$'], concat: {dim: 0, to: c}}\n"
    (tmp_path / "r.yaml").write_text(rules)
    done = mlc("remap-keys", "a.pt", "--rules", "r.yaml", "-o", "o.pt")
    assert done.rc == 2 and "converts floating types only" in done.stderr


@pytest.mark.parametrize("verb", [("save", "--dtype", "fp16", "-o", "o.pt"), ("strip-module-prefix", "-o", "o.safetensors")])
def test_a_dry_run_believed_bytes_that_the_run_refuses(mlc, tmp_path, verb):
    values = torch.full((100,), 1e6)
    write(tmp_path / "bad.pt", {"module.w": values})
    content = bytearray((tmp_path / "bad.pt").read_bytes())
    content[content.find(values.numpy().tobytes()) + 20] ^= 1
    (tmp_path / "bad.pt").write_bytes(content)
    for more in ((), ("-n",)):
        done = mlc(verb[0], "bad.pt", *verb[1:], *more)
        assert done.rc == 3 and "is damaged" in done.stderr


def test_a_dry_run_kept_overflows_for_itself(mlc, tmp_path):
    write(tmp_path / "a.pt", {"w": torch.full((100,), 1e6)})
    for more in ("-n",), ():
        assert "did not fit" in mlc.ok("save", "a.pt", "--dtype", "fp16", "-o", "o.pt", *more).stderr


def test_a_run_that_failed_left_its_inverse_rules(mlc, tmp_path):
    # A repetition of the command stopped at the rules that were there already.
    write(tmp_path / "a.pt", {"a": torch.ones(100), "b": torch.ones(100, dtype=torch.int64)})
    content = bytearray((tmp_path / "a.pt").read_bytes())
    content[content.find(torch.ones(100).numpy().tobytes()) + 20] ^= 1
    (tmp_path / "bad.pt").write_bytes(content)
    arguments = ("--map", "a=v", "--emit-inverse", "inv.yaml", "-o", "o.safetensors")
    assert mlc("remap-keys", "bad.pt", *arguments).rc == 3
    assert not (tmp_path / "inv.yaml").exists()
    mlc.ok("remap-keys", "a.pt", *arguments)
    mlc.ok("remap-keys", "o.safetensors", "--rules", "inv.yaml", "-o", "back.safetensors")
    mlc.ok("diff", "a.pt", "back.safetensors")


def test_options_beside_add_were_ignored(mlc, tmp_path):
    write(tmp_path / "a.pt", {"module.w": torch.ones(1)})
    done = mlc("strip-module-prefix", "a.pt", "--add", "x", "--max-depth", "1", "-o", "o.pt")
    assert done.rc == 2 and "mean nothing without it" in done.stderr
    mlc.ok("strip-module-prefix", "a.pt", "--add", "x", "--prefix", "module", "--max-depth", "1", "-o", "o.pt")
    assert list(torch.load(tmp_path / "o.pt")) == ["x.w"]


def test_a_file_without_values_for_any_reader_was_written(mlc, tmp_path):
    write(tmp_path / "a.pt", {"w": torch.ones(1)})
    done = mlc("save", "a.pt", "--map-location", "meta", "-o", "o.pt")
    assert done.rc == 2 and "without values" in done.stderr


def test_extra_files_of_torchscript_vanished(mlc, tmp_path):
    model = torch.jit.script(torch.nn.Linear(2, 2))
    torch.jit.save(model, tmp_path / "m.pt", _extra_files={"config.json": "{}"})
    assert "extra files  config.json" in mlc.ok("load", "m.pt").stdout
    assert mlc.ok("load", "m.pt", "--json").json["extra_files"] == ["config.json"]
    assert "left out: the extra files config.json" in mlc.ok("save", "m.pt", "-o", "o.pt").stderr


def test_anywhere_was_advised_where_it_makes_keys_collide(mlc, tmp_path):
    write(tmp_path / "a.pt", {"a.module.w": torch.ones(1), "b.module.w": torch.ones(1), "b.w.v": torch.ones(1), "a.w": torch.ones(1)})
    for text in (mlc.ok("load", "a.pt").stdout, mlc.ok("strip-module-prefix", "a.pt", "-o", "o.pt").stderr):
        for found in re.findall(r"`mlc (strip[^`]*)`", text):
            mlc.ok(*shlex.split(found), "a.pt", "-o", "o2.pt")


def test_views_of_quantised_tensors_were_said_to_be_compacted(mlc, tmp_path):
    whole = torch.quantize_per_tensor(torch.randn(1000), 0.1, 0, torch.qint8)
    write(tmp_path / "q.pt", {"q": whole[:3]})
    assert "compact-views" not in mlc.ok("load", "q.pt").stdout


@pytest.mark.parametrize("verb", [["load", "a.pt"], ["diff", "a.pt", "a.pt"]], ids=["load", "diff"])
def test_a_misspelt_exclude_was_silent(mlc, tmp_path, verb):
    write(tmp_path / "a.pt", {"model": {"fc.w": torch.ones(2), "fc.b": torch.ones(2), "fc.n": 3}, "epoch": 1})
    assert '--exclude "fcc.*" matches no key' in mlc.ok(*verb, "--exclude", "fcc.*").stderr
    assert '--include "fc.x" matches no key' in mlc.ok(*verb, "--include", "fc.x", "--include", "*.w").stderr
    for used in (["--exclude", "fc.w", "--exclude", "fc.*w"], ["--exclude", "fc.n"], ["--include", "fc.b"]):
        assert "matches no key" not in mlc.ok(*verb, *used).stderr
    # Of a whole file what is equal has no name here: nothing is said of it.
    assert "matches no key" not in mlc.ok("diff", "a.pt", "a.pt", "--key", ".", "--exclude", "epoch").stderr


def test_codes_were_compared_with_values_without_a_word(mlc, tmp_path):
    write(tmp_path / "a.pt", {"w": torch.randn(64, 64)})
    mlc.ok("quantize", "a.pt", "-o", "q.pt")
    done = mlc("diff", "q.pt", "a.pt")
    assert done.rc == 1 and "q.pt holds codes of quantised weights; `mlc dequantize` makes values" in done.stderr
    assert "dequantize" not in mlc.ok("diff", "q.pt", "q.pt").stderr


def test_a_pruned_file_grew_without_a_word(mlc, tmp_path):
    write(tmp_path / "a.pt", {"w": torch.zeros(1000, 100), "b": torch.randn(500)})
    mlc.ok("prune", "a.pt", "--amount", "0.5", "-o", "p.pt")
    said = "written plain, as torch.load(mmap=True) needs them: the output is larger"
    assert said in mlc.ok("save", "p.pt", "-o", "s.pt").stderr
    assert said in mlc.ok("save", "p.pt", "-o", "s.safetensors").stderr
    assert said not in mlc.ok("save", "a.pt", "-o", "t.pt").stderr


def test_files_with_nan_had_no_exit_code(mlc, valid, tmp_path):
    write(tmp_path / "a.pt", {"w": torch.tensor([1.0, float("nan")]), "v": torch.tensor([float("inf")]), "n": torch.ones(1)})
    write(tmp_path / "b.pt", {"w": torch.ones(2), "i": torch.ones(1, dtype=torch.int64)})
    done = mlc("load", "a.pt", "--require-finite")
    assert done.rc == 1 and "1 NaN and 1 Inf in 2 tensors: w and v" in done.stdout
    assert "no NaN or Inf" in mlc.ok("load", "b.pt", "--require-finite", "--summary").stdout
    both = mlc("load", "a.pt", "b.pt", "--require-finite", "--summary", "-q")
    assert both.rc == 1 and "a.pt" in both.stdout and "b.pt" not in both.stdout
    answer = mlc("load", "a.pt", "--require-finite", "--json")
    valid(answer.json, "load")
    assert answer.rc == 1 and answer.json["totals"]["nans"] == 1
    assert mlc("load", "a.pt", "--stats").rc == 0


@pytest.mark.parametrize("command, hint", [
    ("save a.pt -o a.onnx", "`mlc export-onnx` makes ONNX of a model"),
    ("save a.pt --dtype int8 -o b.pt", "`mlc quantize` makes integers"),
    ("metadata a.pt --set name=x --set training=5 -n", "--set training"),
])
def test_the_verb_or_value_that_was_meant_was_not_named(mlc, tmp_path, command, hint):
    write(tmp_path / "a.pt", {"w": torch.ones(2)})
    done = mlc(*command.split())
    assert done.rc == 2 and hint in done.stderr, done


def test_a_damaged_file_had_no_report_with_its_statistics(mlc, tmp_path):
    torch.save({"w": torch.ones(4096)}, tmp_path / "a.pt")
    damaged = bytearray((tmp_path / "a.pt").read_bytes())
    at = damaged.index(b"\x00\x00\x80\x3f" * 8)
    damaged[at + 2] ^= 1
    (tmp_path / "a.pt").write_bytes(damaged)
    done = mlc("load", "a.pt", "--check", "crc", "--require-finite", "--summary")
    assert done.rc == 3 and "1 tensor not examined" in done.stdout and "1 damaged record" in done.stdout
    assert mlc("load", "a.pt", "--check", "crc", "--stats", "--json").json["check"]["damaged"]


def test_tensors_that_diverged_are_named_of_several_files(mlc, tmp_path):
    torch.save({"w": torch.ones(2)}, tmp_path / "a.pt")
    torch.save({"v.weight": torch.tensor([1.0, float("nan")])}, tmp_path / "b.pt")
    done = mlc("load", "a.pt", "b.pt", "--require-finite", "--summary", "-q")
    assert done.rc == 1 and "1 NaN and 0 Inf in 1 tensor: v.weight" in done.stdout


def test_what_lies_beside_two_state_dicts_was_not_told(mlc, tmp_path):
    weights = {"fc.weight": torch.ones(2, 2), "fc.bias": torch.ones(2)}
    module = {f"module.{key}": value for key, value in weights.items()}
    averaged = {key: value * 2 for key, value in module.items()}
    torch.save({"epoch": 3, "model": module, "model_ema": averaged, "optimizer": {"state": {}, "param_groups": []}, "loss": 0.5}, tmp_path / "a.pt")
    assert mlc.ok("load", "a.pt", "--json").json["also_here"] == ["epoch", "optimizer", "loss"]
    assert re.search(r"also here +epoch, optimizer and loss", mlc.ok("load", "a.pt").stdout)
    # The hint had no --key, without which that verb ends with 2.
    assert "`mlc strip-module-prefix --key model` removes it" in mlc.ok("load", "a.pt", "--key", "model").stdout


def test_an_amount_that_looks_like_a_percentage(mlc, tmp_path):
    torch.save({"w": torch.randn(200, 200), "v": torch.randn(200, 200)}, tmp_path / "a.pt")
    done = mlc.ok("prune", "a.pt", "--amount", "50", "-o", "o.pt")
    assert "--amount 50 is 50 weights of each tensor, --amount 50% a share of them" in done.stderr
    assert "a share" not in mlc.ok("prune", "a.pt", "--amount", "50%", "-o", "p.pt").stderr


def test_folders_in_a_zip_were_records_without_a_name(mlc, tmp_path):
    torch.save({"w": torch.ones(2)}, tmp_path / "a.pt")
    with zipfile.ZipFile(tmp_path / "a.pt") as given, zipfile.ZipFile(tmp_path / "b.pt", "w") as out:
        out.mkdir("a/")
        out.mkdir("a/data/")
        for name in given.namelist():
            out.writestr(name, given.read(name))
    assert "also here" not in mlc.ok("load", "b.pt").stdout


def test_the_format_of_safetensors_became_pt_without_a_word(mlc, tmp_path):
    save_file({"module.a": torch.ones(2)}, tmp_path / "a.safetensors", metadata={"format": "mlx", "by": "me"})
    assert 'format "mlx"' in mlc.ok("load", "a.safetensors").stdout
    mlc.ok("save", "a.safetensors", "-o", "b.safetensors")
    mlc.ok("strip-module-prefix", "a.safetensors", "--in-place")
    for name in ("a.safetensors", "b.safetensors"):
        with safetensors.safe_open(tmp_path / name, "pt") as file:
            assert file.metadata() == {"format": "mlx", "by": "me"}


def test_an_edit_in_place_wanted_a_folder_it_could_write_to(mlc, tmp_path):
    if os.getuid() == 0 and not shutil.which("setpriv"):
        pytest.skip("root may write everywhere")
    folder = tmp_path / "shut"
    folder.mkdir()
    torch.save({"module.a": torch.ones(2), "module.b": torch.ones(2)}, folder / "a.pt")
    (folder / "a.pt").chmod(0o666)
    tmp_path.chmod(0o755)
    folder.chmod(0o555)
    as_nobody = "setpriv --reuid nobody --clear-groups " if os.getuid() == 0 else ""
    reachable = subprocess.run(f"{as_nobody} test -r {folder / 'a.pt'}".split(), check=False)
    if reachable.returncode != 0:
        pytest.skip("another user cannot see the folder of this test")
    done = mlc.shell(f"{as_nobody}$MLC strip-module-prefix {folder / 'a.pt'} --in-place")
    assert done.rc == 0, done
    assert list(torch.load(folder / "a.pt")) == ["a", "b"]


@pytest.mark.parametrize("given", ["photo.npy", "@photo.npy", "a/photo.safetensors"])
def test_a_file_without_the_name_of_its_input(mlc, given):
    result = mlc("run", "any.pt", "--input", given)
    assert result.rc == 2 and f"as in image=@{given.removeprefix('@')}; " in result.stderr


@pytest.mark.parametrize(("verb", "flag", "hint"), [
    ("prune", "--sparsity", "here it is `--amount`"), ("export-onnx", "--fp16", "here it is `--dtype fp16`"),
    ("load", "--requ", "flags that begin so: `--require-safe` and `--require-finite`"),
    ("load", "--fp16", "`mlc load --help` lists the flags")])
def test_what_other_tools_call_an_option(mlc, verb, flag, hint):
    result = mlc(verb, "any.pt", flag)
    assert result.rc == 2 and result.stderr.endswith(f"hint: {hint}\n")


class Classes(torch.nn.Module):
    def forward(self, x):
        return torch.nn.functional.one_hot(x.long(), 4)


@pytest.mark.usefixtures("onnx_checker", "onnxruntime_engine", "engine")
def test_values_that_a_model_refuses_had_no_hint(mlc, tmp_path):
    torch.export.save(torch.export.export(Classes(), (torch.rand(4),)), tmp_path / "m.pt2")
    assert "--input 'x:f32[4]=LOW..HIGH' says which values it takes" in mlc("export-onnx", "m.pt2", "-o", "m.onnx").stderr
    mlc.ok("export-onnx", "m.pt2", "-o", "m.onnx", "--input", "x:f32[4]=0..3")
