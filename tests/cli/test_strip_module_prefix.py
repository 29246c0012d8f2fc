"""mlc strip-module-prefix."""

import collections

import pytest
import safetensors.torch
import torch

from checkpoints import assert_loads_as, assert_same, offsets, ordered, small_model, training_checkpoint, write


@pytest.fixture
def wrapped(tmp_path):
    return write(tmp_path / "ddp.pt", torch.nn.DataParallel(small_model()).state_dict())


@pytest.mark.parametrize("legacy", [False, True])
def test_the_model_accepts_the_result(mlc, tmp_path, legacy):
    model = small_model()
    path = write(tmp_path / "ddp.pt", torch.nn.DataParallel(model).state_dict(), legacy)
    mlc.ok("strip-module-prefix", path, "-o", "out.pt")
    assert_loads_as(tmp_path / "out.pt", model.state_dict())  # _metadata too
    model.load_state_dict(torch.load(tmp_path / "out.pt"))


def test_it_does_what_the_helper_of_torch_does(mlc, tmp_path, wrapped):
    state = torch.load(wrapped)
    torch.nn.modules.utils.consume_prefix_in_state_dict_if_present(state, "module.")
    mlc.ok("strip-module-prefix", wrapped, "-o", "out.pt")
    found = torch.load(tmp_path / "out.pt")
    assert list(found) == list(state)
    assert found._metadata == state._metadata


def test_compiled_and_wrapped_in_any_order(mlc, tmp_path):
    model = small_model()
    for name, prefix in [("a", "module._orig_mod."), ("b", "_orig_mod.module."), ("c", "module.module._orig_mod.")]:
        write(tmp_path / f"{name}.pt", {prefix + k: v for k, v in model.state_dict().items()})
        mlc.ok("strip-module-prefix", f"{name}.pt", "-o", f"{name}2.pt")
        assert list(torch.load(tmp_path / f"{name}2.pt")) == list(model.state_dict())


def test_training_checkpoint_and_optimizer_names(mlc, tmp_path):
    wanted = training_checkpoint()
    path = write(tmp_path / "train.pt", training_checkpoint(torch.nn.DataParallel(small_model())))
    names = torch.load(path)["optimizer"]["param_groups"][0]["param_names"]
    assert names[0] == "module.0.weight"
    mlc.ok("strip-module-prefix", path, "-o", "out.pt")
    assert_loads_as(tmp_path / "out.pt", wanted)


def test_a_submodule_called_module_is_safe(mlc, tmp_path):
    keys = {"my_module.weight": torch.zeros(1), "a.module.weight": torch.zeros(1)}
    path = write(tmp_path / "a.pt", keys)
    report = mlc.ok("strip-module-prefix", path, "-o", "out.pt", "--json").json
    assert report["changed"] is False and report["counts"]["untouched"] == 2
    assert list(torch.load(tmp_path / "out.pt")) == list(keys)


def test_half_stripped_is_an_error_unless_partial(mlc, tmp_path):
    path = write(tmp_path / "a.pt", {"module.a": torch.zeros(1), "module.b": torch.zeros(1), "c": torch.zeros(1)})
    result = mlc("strip-module-prefix", path, "-o", "out.pt")
    assert result.rc == 1 and "2 keys" in result.stderr and "1 key" in result.stderr and "--partial" in result.stderr
    assert not (tmp_path / "out.pt").exists()
    mlc.ok("strip-module-prefix", path, "-o", "out.pt", "--partial")
    assert list(torch.load(tmp_path / "out.pt")) == ["a", "b", "c"]


def test_collision_names_both_keys(mlc, tmp_path):
    path = write(tmp_path / "a.pt", {"module.a": torch.zeros(1), "a": torch.zeros(2)})
    result = mlc("strip-module-prefix", path, "-o", "out.pt", "--partial", "--json")
    assert result.rc == 1 and result.error["kind"] == "conflict"
    assert "module.a" in result.error["message"]
    assert not (tmp_path / "out.pt").exists()


def test_nothing_to_strip(mlc, tmp_path):
    path = write(tmp_path / "a.pt", small_model().state_dict())
    mlc.ok("strip-module-prefix", path, "-o", "b.pt")
    assert_loads_as(tmp_path / "b.pt", torch.load(path))
    assert mlc("strip-module-prefix", path, "-o", "c.pt", "--require").rc == 1
    mlc.ok("strip-module-prefix", path, "-o", "d.pt", "--skip-unchanged")
    assert not (tmp_path / "d.pt").exists()


def test_prefix_depth_and_anywhere(mlc, tmp_path):
    path = write(tmp_path / "a.pt", {"net.net.a": torch.zeros(1), "net.net.b": torch.zeros(1)})
    mlc.ok("strip-module-prefix", path, "--prefix", "net.", "--max-depth", "1", "-o", "b.pt")
    assert list(torch.load(tmp_path / "b.pt")) == ["net.a", "net.b"]
    mlc.ok("strip-module-prefix", path, "--prefix", "net", "-o", "c.pt")
    assert list(torch.load(tmp_path / "c.pt")) == ["a", "b"]
    path = write(tmp_path / "d.pt", {"x.wrap.a": torch.zeros(1), "y.wrap.b": torch.zeros(1), "z.unwrap.c": torch.zeros(1)})
    mlc.ok("strip-module-prefix", path, "--prefix", "wrap.", "--anywhere", "--partial", "-o", "e.pt")
    assert list(torch.load(tmp_path / "e.pt")) == ["x.a", "y.b", "z.unwrap.c"]


def test_add_is_the_inverse(mlc, tmp_path, wrapped):
    before = torch.load(wrapped)
    del before._metadata["module"]  # the version of the wrapped module itself is gone with the wrapper
    mlc.ok("strip-module-prefix", wrapped, "-o", "plain.pt")
    mlc.ok("strip-module-prefix", "plain.pt", "--add", "module.", "-o", "back.pt")
    assert_loads_as(tmp_path / "back.pt", before)


def test_safetensors_and_across_formats(mlc, tmp_path, wrapped):
    state = torch.load(wrapped)
    safetensors.torch.save_file(dict(state), tmp_path / "a.safetensors")
    mlc.ok("strip-module-prefix", "a.safetensors", "-o", "b.safetensors")
    mlc.ok("strip-module-prefix", wrapped, "-o", "c.safetensors")
    wanted = {key.removeprefix("module."): value for key, value in state.items()}
    for name in ("b", "c"):
        found = safetensors.torch.load_file(tmp_path / f"{name}.safetensors")
        assert_same(wanted, {key: found[key] for key in wanted}, views=False)


def test_key_and_every_state_dict(mlc, tmp_path):
    states = {name: torch.nn.DataParallel(small_model()).state_dict() for name in ("model", "ema")}
    path = write(tmp_path / "a.pt", states)
    result = mlc("strip-module-prefix", path, "-o", "b.pt")
    assert result.rc == 2 and "model (9 tensors) and ema (9 tensors)" in result.stderr and "--key" in result.stderr
    mlc.ok("strip-module-prefix", path, "--key", "ema", "-o", "b.pt")
    found = torch.load(tmp_path / "b.pt")
    assert list(found["ema"]) == list(small_model().state_dict()) and list(found["model"]) == list(states["model"])
    mlc.ok("strip-module-prefix", path, "--key", "*", "-o", "c.pt")
    found = torch.load(tmp_path / "c.pt")
    assert list(found["ema"]) == list(found["model"]) == list(small_model().state_dict())


# --- writing


def test_in_place_leaves_every_old_byte(mlc, tmp_path):
    path = write(tmp_path / "train.pt", training_checkpoint(torch.nn.DataParallel(small_model())))
    old = path.read_bytes()
    records = offsets(path, "data/")
    mlc.ok("strip-module-prefix", path, "--in-place")
    new = path.read_bytes()
    assert new[:len(old)] == old and len(new) > len(old)
    assert offsets(path, "data/") == records  # no storage has moved
    assert_loads_as(path, training_checkpoint())
    once = path.read_bytes()
    mlc.ok("strip-module-prefix", path, "--in-place")  # nothing to do
    assert path.read_bytes() == once


def test_in_place_of_other_formats(mlc, tmp_path):
    state = torch.nn.DataParallel(small_model()).state_dict()
    legacy = write(tmp_path / "old.pt", state, legacy=True)
    legacy.chmod(0o640)
    mlc.ok("strip-module-prefix", legacy, "--in-place")
    assert_loads_as(legacy, small_model().state_dict())
    assert legacy.stat().st_mode & 0o777 == 0o640
    safetensors.torch.save_file(dict(state), tmp_path / "a.safetensors")
    mlc.ok("strip-module-prefix", "a.safetensors", "--in-place")
    assert set(safetensors.torch.load_file(tmp_path / "a.safetensors")) == set(small_model().state_dict())


def test_dry_run_prints_the_plan_and_writes_nothing(mlc, tmp_path, wrapped):
    before = wrapped.read_bytes()
    for target in (["-o", "out.pt"], ["--in-place"], ["--out-dir", "out"]):
        result = mlc.ok("strip-module-prefix", wrapped, "-n", *target)
        assert "module.0.weight -> 0.weight" in result.stdout
        assert "nothing was written" in result.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["ddp.pt"]
    assert wrapped.read_bytes() == before


def test_existing_output(mlc, tmp_path, wrapped):
    (tmp_path / "out.pt").write_text("mine")
    result = mlc("strip-module-prefix", wrapped, "-o", "out.pt")
    assert result.rc == 5 and "--force" in result.stderr
    assert (tmp_path / "out.pt").read_text() == "mine"
    mlc.ok("strip-module-prefix", wrapped, "-o", "out.pt", "--force")
    assert_loads_as(tmp_path / "out.pt", small_model().state_dict())


def test_output_over_input_is_refused(mlc, tmp_path, wrapped):
    before = wrapped.read_bytes()
    (tmp_path / "link.pt").hardlink_to(wrapped)
    (tmp_path / "soft.pt").symlink_to(wrapped)
    for output in (wrapped, "./ddp.pt", "link.pt", "soft.pt"):
        for force in ([], ["--force"]):
            result = mlc("strip-module-prefix", wrapped, "-o", output, *force)
            assert result.rc in (2, 5), result
            assert "--in-place" in result.stderr or not force
    assert wrapped.read_bytes() == before


def test_missing_target_and_missing_folder(mlc, tmp_path, wrapped):
    assert mlc("strip-module-prefix", wrapped).rc == 2
    assert mlc("strip-module-prefix", wrapped, "-o", "no/such/out.pt").rc == 5
    assert mlc("strip-module-prefix", "nope.pt", "-o", "out.pt").rc == 3
    assert not (tmp_path / "out.pt").exists()


def test_batch_keeps_going(mlc, valid, tmp_path):
    for i in range(5):
        write(tmp_path / f"{i}.pt", {f"module.w{i}": torch.full((3,), float(i))})
    (tmp_path / "2.pt").write_bytes(b"")
    result = mlc("strip-module-prefix", *(f"{i}.pt" for i in range(5)), "--out-dir", "out", "-j2", "--keep-going", "--json")
    assert result.rc == 3
    valid(result.json, "batch")
    assert [r["exit_code"] for r in result.json["results"]] == [0, 0, 3, 0, 0]
    for i in (0, 1, 3, 4):
        assert_loads_as(tmp_path / f"out/{i}.pt", {f"w{i}": torch.full((3,), float(i))})
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["0.pt", "1.pt", "3.pt", "4.pt"]


def test_same_bytes_twice(mlc, tmp_path, wrapped):
    mlc.ok("strip-module-prefix", wrapped, "--out-dir", "a")
    mlc.ok("strip-module-prefix", wrapped, "--out-dir", "b")
    assert (tmp_path / "a/ddp.pt").read_bytes() == (tmp_path / "b/ddp.pt").read_bytes()


def test_storages_stay_tied(mlc, tmp_path):
    weight = torch.arange(6.0).reshape(2, 3)
    path = write(tmp_path / "a.pt", ordered(**{"module.a": weight, "module.b": weight, "module.c": weight.t()[1:]}))
    mlc.ok("strip-module-prefix", path, "-o", "b.pt")
    assert_loads_as(tmp_path / "b.pt", collections.OrderedDict(a=weight, b=weight, c=weight.t()[1:]))


def test_a_prefix_at_two_depths_was_stripped_without_a_word(mlc, tmp_path):
    write(tmp_path / "in.pt", {"module.module.a": torch.ones(1), "module.b": torch.ones(1), "module.module.n": 3})
    done = mlc.ok("strip-module-prefix", "in.pt", "-o", "out.pt")
    assert list(torch.load(tmp_path / "out.pt")) == ["module.a", "b", "module.n"]
    assert "warning: 1 key still begins with module. (first module.module.a): kept as the name of a submodule" in done.stderr
    done = mlc.ok("strip-module-prefix", "in.pt", "--max-depth", "1", "-o", "meant.pt")
    assert "warning" not in done.stderr
    mlc.ok("strip-module-prefix", "in.pt", "--partial", "-o", "all.pt")
    assert list(torch.load(tmp_path / "all.pt")) == ["a", "b", "n"]


def test_a_misspelt_prefix_was_ignored_silently(mlc, tmp_path):
    torch.save({"model.a.w": torch.ones(1), "model.b.w": torch.ones(1)}, tmp_path / "a.pt")
    result = mlc.ok("strip-module-prefix", "a.pt", "--prefix", "modle", "-o", "b.pt")
    assert "--prefix modle. is in no key; did you mean model.?" in result.stderr
    assert mlc("strip-module-prefix", "a.pt", "--prefix", "modle", "-o", "c.pt", "--require").rc == 1
    inside = mlc.ok("strip-module-prefix", "a.pt", "--prefix", "b.", "-n").stderr
    assert "--prefix b. begins no key; --anywhere strips it within keys too" in inside
    done = mlc.ok("strip-module-prefix", "a.pt", "--prefix", "model", "-o", "d.pt").stderr
    assert "--prefix" not in done


def test_a_fresh_file_was_said_to_have_dead_bytes(mlc, tmp_path):
    # Padding before the storages was counted as what edits in place leave, and took 4 kB of a small file.
    path = write(tmp_path / "in.pt", {"a": torch.arange(6.), "b": torch.ones(4, dtype=torch.bfloat16)})
    mlc.ok("strip-module-prefix", path, "--add", "a_prefix_longer_than_the_room_there_was" * 3, "-o", "out.pt")
    assert "dead" not in mlc.ok("load", "out.pt").stdout
    assert mlc.ok("load", "out.pt", "--json").json["totals"]["dead_bytes"] == 0
    assert (tmp_path / "out.pt").stat().st_size < path.stat().st_size + 1000
    mlc.ok("strip-module-prefix", "out.pt", "--add", "p", "--in-place")
    assert mlc.ok("load", "out.pt", "--json").json["totals"]["dead_bytes"] > 100
    assert "that edits in place left in the file" in mlc.ok("load", "out.pt").stdout


def test_wrappers_in_one_of_several_state_dicts_were_not_named(mlc, tmp_path):
    torch.save({"model": {"module.w": torch.ones(1)}, "ema": {"w": torch.ones(1)}}, tmp_path / "a.pt")
    shown = mlc.ok("load", "a.pt").stdout
    assert "prefix       every key of model starts with module.; `mlc strip-module-prefix --key model` removes it" in shown
    assert shown.count("\nprefix ") == 1
    mlc.ok("strip-module-prefix", "a.pt", "--key", "model", "--require", "-o", "b.pt")
    torch.save({"model": {"module.w": torch.ones(1)}, "ema": {"module.w": torch.ones(1)}}, tmp_path / "c.pt")
    assert "every key of every state_dict starts with module.; `mlc strip-module-prefix --key '*'`" in mlc.ok("load", "c.pt").stdout


def test_wrappers_in_the_middle_of_some_keys_were_not_named(mlc, tmp_path):
    keys = {"a._checkpoint_wrapped_module.w": torch.ones(1), "b.w": torch.ones(1)}
    torch.save(keys, tmp_path / "a.pt")
    hint = "1 key has _checkpoint_wrapped_module. in it; `mlc strip-module-prefix` removes it"
    assert hint in mlc.ok("load", "a.pt").stdout
    mlc.ok("strip-module-prefix", "a.pt", "--require", "-o", "b.pt")
    assert list(torch.load(tmp_path / "b.pt")) == ["a.w", "b.w"] and "strip" not in mlc.ok("load", "b.pt").stdout
    torch.save({"model": keys, "ema": {"w": torch.ones(1)}}, tmp_path / "c.pt")
    assert "1 key of model has _checkpoint_wrapped_module. in it; `mlc strip-module-prefix --key model`" in mlc.ok("load", "c.pt").stdout
    torch.save({"_orig_mod.w": torch.ones(1), "b.w": torch.ones(1)}, tmp_path / "d.pt")  # which is refused
    assert "strip-module-prefix" not in mlc.ok("load", "d.pt").stdout


def test_the_help_says_where_wrappers_are_taken_from(mlc):
    assert "from the middle too" in " ".join(mlc.ok("strip-module-prefix", "--help").stdout.split())


def test_modules_without_tensors_kept_an_added_prefix(mlc, tmp_path):
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU(), torch.nn.Sequential(torch.nn.Dropout(), torch.nn.Linear(2, 2)))
    torch.save(model.state_dict(), tmp_path / "a.pt")
    mlc.ok("strip-module-prefix", "a.pt", "--add", "zz", "-o", "b.pt")
    mlc.ok("strip-module-prefix", "b.pt", "--prefix", "zz.", "-o", "c.pt")
    before, after = torch.load(tmp_path / "a.pt"), torch.load(tmp_path / "c.pt")
    assert list(before) == list(after) and before._metadata == after._metadata  # pylint: disable=protected-access
