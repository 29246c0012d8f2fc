"""mlc save --drop-values: what lies beside a state_dict, left out by its path."""

import argparse

import pytest
import torch

from checkpoints import assert_same, ordered, write


def train(prefix="", **more):
    model = ordered(**{prefix + "fc.weight": torch.ones(2, 2), prefix + "head.weight": torch.zeros(2)})
    return {"model": model, "epoch": 3, "optimizer": {"state": {0: {"m": torch.ones(2)}}, "param_groups": [{"params": [0, 1]}]},
            "hyper_parameters": {"lr": 1, "secret": "x"}, "args": argparse.Namespace(token="t", lr=2),
            "lr_schedulers": [{"a": 1, "b": 2}], **more}


def read(path):
    return torch.load(path, weights_only=False)


def test_the_optimizer_goes_and_the_rest_stays(mlc, valid, tmp_path):
    """--weights-only dropped everything, remap-keys --drop knows keys of the state_dict alone."""
    write(tmp_path / "a.pt", train())
    done = mlc.ok("save", "a.pt", "--drop-values", "optimizer*", "--drop-values", "lr_schedulers", "-o", "b.pt")
    assert ", without 1 tensor in optimizer and lr_schedulers\n" in done.stderr and "is kept" not in done.stderr
    found = read(tmp_path / "b.pt")
    assert list(found) == ["model", "epoch", "hyper_parameters", "args"] and found["hyper_parameters"] == {"lr": 1, "secret": "x"}
    assert_same(train()["model"], found["model"])
    report = mlc.ok("save", "a.pt", "--drop-values", "optimizer*", "-o", "c.pt", "--json").json
    valid(report, "save")
    assert report["dropped_values"] == ["optimizer"] and report["tensors"] == 2
    assert "dropped_values" not in mlc.ok("save", "a.pt", "-o", "d.pt", "--json").json


def test_values_inside_of_others_go_by_their_path(mlc, tmp_path):
    write(tmp_path / "a.pt", train())
    mlc.ok("save", "a.pt", "--drop-values", "hyper_parameters.secret", "--drop-values", "args.token", "--drop-values", "lr_schedulers.0.b",
           "-o", "b.pt")
    found = read(tmp_path / "b.pt")
    assert found["hyper_parameters"] == {"lr": 1} and vars(found["args"]) == {"lr": 2} and found["lr_schedulers"] == [{"a": 1}]
    assert list(found) == list(train())


def test_the_chosen_state_dict_and_what_leads_to_it_stay(mlc, tmp_path):
    write(tmp_path / "a.pt", {"run": {"nets": [train()["model"], {"x": torch.ones(1)}], "best": 1}, "epoch": 3})
    mlc.ok("save", "a.pt", "--key", "run.nets.0", "--drop-values", "*", "-o", "b.pt")
    found = read(tmp_path / "b.pt")
    assert list(found) == ["run"] and list(found["run"]) == ["nets"] and found["run"]["nets"][1] == {}
    assert_same(train()["model"], found["run"]["nets"][0])


def test_of_several_state_dicts_those_that_were_not_chosen_can_go(mlc, tmp_path):
    write(tmp_path / "a.pt", train(ema=ordered(w=torch.ones(2))))
    assert "or all of them with --key '*'" in mlc("save", "a.pt", "--drop-values", "optimizer", "-o", "b.pt").stderr
    mlc.ok("save", "a.pt", "--key", "model", "--drop-values", "ema", "--drop-values", "optimizer", "--dtype", "fp16", "-o", "b.pt")
    found = read(tmp_path / "b.pt")
    assert "ema" not in found and "optimizer" not in found and found["model"]["fc.weight"].dtype == torch.float16
    mlc.ok("save", "a.pt", "--key", "*", "--drop-values", "optimizer", "-o", "c.pt")
    found = read(tmp_path / "c.pt")
    assert "optimizer" not in found and list(found["ema"]) == ["w"]


def test_a_module_that_goes_is_not_said_to_lose_its_class(mlc, tmp_path):
    torch.save(train(ema=torch.nn.Linear(2, 2)), tmp_path / "a.pt")
    done = mlc.ok("save", "a.pt", "--key", "model", "--drop-values", "ema", "-o", "b.pt")
    assert "its class is not kept" not in done.stderr and ", without 2 tensors in ema\n" in done.stderr
    assert "ema" not in read(tmp_path / "b.pt")


@pytest.mark.parametrize("glob, hint", [
    ("optimzer", 'did you mean "optimizer"? beside the state_dict are: epoch, optimizer, hyper_parameters, args and lr_schedulers\n'),
    ("hyper_parameters.secre", 'did you mean "hyper_parameters.secret"?'),
    ("fc.*", "--exclude leaves out what is in the state_dict; beside"),
    ("model", "the state_dict at model stays; beside"),
])
def test_a_glob_that_matches_nothing_is_refused_with_the_paths(mlc, tmp_path, glob, hint):
    write(tmp_path / "a.pt", train())
    done = mlc("save", "a.pt", "--drop-values", "epoch", "--drop-values", glob, "-o", "b.pt")
    assert done.rc == 2 and f'--drop-values "{glob}" matches nothing beside the state_dict\n' in done.stderr and hint in done.stderr
    assert not (tmp_path / "b.pt").exists()


def test_of_many_files_not_each_has_every_value(mlc, tmp_path):
    write(tmp_path / "a.pt", train())
    write(tmp_path / "b.pt", {"model": train()["model"], "epoch": 3})
    done = mlc.ok("save", "a.pt", "b.pt", "--drop-values", "optimizer", "--out-dir", "out")
    assert 'b.pt: --drop-values "optimizer" matches nothing beside' in done.stderr and "a.pt: --drop-values" not in done.stderr
    assert "optimizer" not in read(tmp_path / "out/a.pt")


def test_drop_values_says_where_it_means_nothing(mlc, tmp_path):
    write(tmp_path / "a.pt", train())
    for more, said in ((["-o", "b.safetensors"], "--drop-values means nothing for safetensors"),
                       (["-o", "b.pt", "--weights-only"], "--drop-values and --weights-only contradict each other"),
                       (["-o", "b", "--max-shard-size", "1GB"], "--drop-values means nothing for shards")):
        done = mlc("save", "a.pt", "--drop-values", "epoch", *more)
        assert done.rc == 2 and said in done.stderr


def test_drop_values_in_place_and_in_a_dry_run(mlc, tmp_path):
    write(tmp_path / "a.pt", train())
    before = (tmp_path / "a.pt").read_bytes()
    done = mlc.ok("save", "a.pt", "--drop-values", "opt*", "-n")
    assert "would write 2 tensors" in done.stderr and "without 1 tensor in optimizer; nothing was written" in done.stderr
    assert (tmp_path / "a.pt").read_bytes() == before and "optimizer" not in done.stdout
    mlc.ok("save", "a.pt", "--drop-values", "opt*", "--in-place")
    assert list(read(tmp_path / "a.pt")) == ["model", "epoch", "hyper_parameters", "args", "lr_schedulers"]


def test_verbs_that_drop_keys_name_what_drops_values(mlc, tmp_path):
    write(tmp_path / "a.pt", train("module."))
    done = mlc.ok("save", "a.pt", "--exclude", "optimizer*", "-o", "b.pt")
    assert "matches no key, only what lies beside the state_dict: optimizer; --drop-values 'optimizer*' leaves that out\n" in done.stderr
    assert "starts with module." not in done.stderr
    assert "--drop-values" not in mlc.ok("save", "a.pt", "--exclude", "optimizer*", "-o", "b.safetensors").stderr
    done = mlc("remap-keys", "a.pt", "--drop", "optimizer*", "-o", "c.pt")
    assert done.rc == 2 and "`mlc save --drop-values 'optimizer*'` leaves out what stands outside of it" in done.stderr
    done = mlc("remap-keys", "a.pt", "--key", ".", "--drop", "optimizer", "-o", "c.pt")
    assert done.rc == 2 and "`mlc save --drop-values GLOB` leaves out values beside a state_dict" in done.stderr


class Holder(torch.nn.Module):
    """Has extra state that is a value beside it too."""

    def __init__(self, config):
        super().__init__()
        self.w = torch.nn.Parameter(torch.ones(1))
        self.config = config

    def get_extra_state(self):
        return self.config


def test_a_shared_value_was_taken_out_of_the_state_dict(mlc, tmp_path):
    config = {"x": 1, "y": 2}
    torch.save({"model": Holder(config).state_dict(), "config": config}, tmp_path / "a.pt")
    done = mlc("save", "a.pt", "--drop-values", "config.x", "-o", "o.pt")
    assert done.rc == 2 and "what lies in config stays, for the state_dict holds the same object" in done.stderr
    mlc.ok("save", "a.pt", "--drop-values", "config", "-o", "o.pt")
    assert torch.load(tmp_path / "o.pt")["model"]["_extra_state"] == config


def test_a_value_under_two_paths_went_from_both_and_one_was_named(mlc, tmp_path):
    shared = {"x": 1, "y": 2}
    torch.save({"model": {"w": torch.ones(1)}, "p": shared, "q": shared}, tmp_path / "a.pt")
    for path, other in (("p.x", "q.x"), ("q.x", "p.x")):
        report = mlc.ok("save", "a.pt", "--drop-values", path, "-o", "o.pt", "--force", "--json").json
        assert sorted(report["dropped_values"]) == sorted([path, other])
        assert torch.load(tmp_path / "o.pt")["q"] == {"y": 2}
