"""What happens to the optimizers of a checkpoint when the keys of its models change."""

import pytest
import torch

from checkpoints import small_model, write


def trained(named, model=None):
    """A model and its optimizer after a step."""
    model = model or small_model()
    optimizer = torch.optim.AdamW(model.named_parameters() if named else model.parameters())
    sum(p.sum() for p in model.parameters()).backward()
    optimizer.step()
    return model, optimizer


@pytest.fixture
def gan(tmp_path):
    """Two models of one class with an optimizer each, as people save them."""
    (g, opt_g), (d, opt_d) = trained(True), trained(True)
    return write(tmp_path / "gan.pt", {"g": g.state_dict(), "d": d.state_dict(), "opt_g": opt_g.state_dict(),
                                       "opt_d": opt_d.state_dict()})


def names(optimizer):
    return optimizer["param_groups"][0]["param_names"]


def test_only_the_optimizer_of_the_chosen_model_follows(mlc, tmp_path, gan):
    before = torch.load(gan)
    mlc.ok("remap-keys", gan, "--key", "d", "--add-prefix", "net.", "-o", "out.pt")
    after = torch.load(tmp_path / "out.pt")
    assert names(after["opt_d"]) == ["net." + n for n in names(before["opt_d"])]
    assert names(after["opt_g"]) == names(before["opt_g"])


def test_renames_of_every_model_are_applied_once(mlc, tmp_path, gan):
    (tmp_path / "swap.yaml").write_text(
        "version: 1\nrules:\n  - {prefix: '0.', to: '1.'}\n  - {prefix: '1.', to: '0.'}\n")
    before = torch.load(gan)
    mlc.ok("remap-keys", gan, "--key", "*", "--rules", "swap.yaml", "-o", "out.pt")
    after = torch.load(tmp_path / "out.pt")
    swap = {"0": "1", "1": "0"}
    wanted = [swap.get(n.split(".")[0], n.split(".")[0]) + "." + n.split(".", 1)[1] for n in names(before["opt_g"])]
    assert wanted != names(before["opt_g"])
    assert names(after["opt_g"]) == names(after["opt_d"]) == wanted


def test_the_average_of_a_model_has_no_optimizer(mlc, tmp_path):
    model, optimizer = trained(True)
    path = write(tmp_path / "a.pt", {"model": model.state_dict(), "ema": model.state_dict(),
                                     "optimizer": optimizer.state_dict()})
    mlc.ok("remap-keys", path, "--key", "ema", "--add-prefix", "e.", "-o", "out.pt")
    assert names(torch.load(tmp_path / "out.pt")["optimizer"]) == names(optimizer.state_dict())


@pytest.mark.parametrize("verb, option", [("remap-keys", "--drop"), ("save", "--exclude")])
def test_a_named_optimizer_loses_what_is_dropped(mlc, tmp_path, verb, option):
    model, optimizer = trained(True)
    first = next(iter(model.state_dict()))
    path = write(tmp_path / "a.pt", {"model": model.state_dict(), "optimizer": optimizer.state_dict()})
    result = mlc.ok(verb, path, option, first, "-o", "out.pt")
    assert "no longer fits" not in result.stderr
    after = torch.load(tmp_path / "out.pt")
    assert first not in after["model"] and first not in names(after["optimizer"])
    kept = dict(model.named_parameters())
    del kept[first]
    fresh = torch.optim.AdamW(kept.items())
    fresh.load_state_dict(after["optimizer"])
    for name, parameter in kept.items():
        assert torch.equal(fresh.state[parameter]["exp_avg"], optimizer.state[parameter]["exp_avg"]), name


@pytest.mark.parametrize("path_of", ["optimizer", "optimizer_states.0"])
def test_an_optimizer_by_numbers_is_said_to_be_stale(mlc, tmp_path, path_of):
    model, optimizer = trained(False)
    first = next(iter(model.state_dict()))
    state = optimizer.state_dict()
    beside = {"optimizer": state} if path_of == "optimizer" else {"optimizer_states": [state]}
    path = write(tmp_path / "a.pt", {"state_dict": model.state_dict(), **beside})
    words = f"the optimizer state at {path_of} is kept but no longer fits the tensors"
    for extra in (["-o", "out.pt"], ["--dry-run"]):
        assert words in mlc.ok("remap-keys", path, "--drop", first, *extra).stderr
    assert words in mlc.ok("save", path, "--exclude", first, "-o", "out2.pt").stderr
    assert "optimizer" not in mlc.ok("remap-keys", path, "--add-prefix", "p.", "-o", "out3.pt").stderr
    assert "no longer fits" not in mlc.ok("remap-keys", path, "--drop", first, "-o", "out.safetensors").stderr


def test_other_weights_make_the_optimizer_stale(mlc, tmp_path):
    model, optimizer = trained(True)
    path = write(tmp_path / "a.pt", {"model": model.state_dict(), "optimizer": optimizer.state_dict()})
    other = write(tmp_path / "b.pt", small_model().state_dict())
    result = mlc.ok("save", path, "--from", other, "-o", "out.pt")
    assert "the optimizer state at optimizer is kept" in result.stderr
    assert "no longer fits" not in mlc.ok("save", path, "--from", other, "-o", "o.pt", "--weights-only").stderr


def test_a_transposed_parameter_makes_its_optimizer_stale(mlc, tmp_path):
    model, optimizer = trained(True, torch.nn.Sequential(torch.nn.Linear(2, 3)))
    path = write(tmp_path / "a.pt", {"model": model.state_dict(), "optimizer": optimizer.state_dict()})
    (tmp_path / "r.yaml").write_text("version: 1\nrules:\n  - {exact: '0.weight', transpose: [1, 0]}\n")
    result = mlc.ok("remap-keys", path, "--rules", "r.yaml", "-o", "out.pt")
    assert "the optimizer state at optimizer is kept but no longer fits" in result.stderr


@pytest.mark.parametrize("verb, option", [("save", "--exclude"), ("remap-keys", "--drop")])
def test_an_optimizer_by_numbers_does_not_mind_lost_buffers(mlc, tmp_path, verb, option):
    # Buffers are no parameters: the optimizer was said to be stale though it fitted.
    class WithMask(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.bn = torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2)
            self.register_buffer("mask", torch.ones(2, dtype=torch.bool))

    model, optimizer = trained(False, WithMask())
    write(tmp_path / "in.pt", {"model": model.state_dict(), "optim": optimizer.state_dict()})
    buffers = [word for glob in ("bn.running_*", "*.num_batches_tracked", "mask") for word in (option, glob)]
    done = mlc.ok(verb, "in.pt", *buffers, "-o", "out.pt")
    assert "optimizer" not in done.stderr
    after = torch.load(tmp_path / "out.pt")
    assert list(after["model"]) == ["fc.weight", "fc.bias", "bn.weight", "bn.bias"]
    assert "the optimizer state at optim" in mlc.ok(verb, "in.pt", option, "bn.weight", "-o", "o2.pt").stderr


def named_pair(sizes=(2, 2)):
    """Two models with equal names of parameters, and an optimizer for each."""
    return [trained(True, torch.nn.Linear(size, size)) for size in sizes]


def save_gan(path, order, sizes=(2, 2)):
    """A file with `order` of keys, each naming the first or second of a pair: {"gen": 0, "opt_d": 1}."""
    pair = named_pair(sizes)
    return write(path, {key: pair[which][key.startswith("opt")].state_dict() for key, which in order.items()})


@pytest.mark.parametrize("order, sizes, key, owned", [
    ({"optimizer_d": 1, "optimizer_g": 0, "generator": 0, "discriminator": 1}, (2, 2), "discriminator",
     "optimizer_d"),
    ({"optimizer_d": 1, "optimizer_g": 0, "generator": 0, "discriminator": 1}, (2, 2), "generator", "optimizer_g"),
    ({"a": 0, "b": 1, "opt_b": 1, "opt_a": 0}, (2, 2), "a", "opt_a"),
    ({"netG": 0, "netD": 1, "optimD": 1, "optimG": 0}, (2, 2), "netD", "optimD"),
    ({"first": 0, "second": 1, "opt_1": 1, "opt_2": 0}, (2, 3), "first", "opt_2"),  # shapes alone tell
])
@pytest.mark.parametrize("verb, option", [("remap-keys", "--drop"), ("save", "--exclude")])
def test_the_optimizer_of_the_other_model_was_edited(mlc, tmp_path, order, sizes, key, owned, verb, option):
    # The n-th optimizer was taken for that of the n-th model, whatever both are called.
    path = save_gan(tmp_path / "gan.pt", order, sizes)
    mlc.ok(verb, path, "--key", key, option, "bias", "-o", "out.pt")
    after = torch.load(tmp_path / "out.pt")
    for name in order:
        if name.startswith("opt"):
            wanted = ["weight"] if name == owned else ["weight", "bias"]
            assert (names(after[name]), len(after[name]["state"])) == (wanted, len(wanted)), name


def test_a_guess_was_made_which_optimizer_is_meant(mlc, tmp_path):
    path = save_gan(tmp_path / "in.pt", {"x": 0, "y": 1, "opt_1": 1, "opt_2": 0})
    said = "the optimizer state at opt_{} is left as it is, for nothing tells to which of x and y it belongs"
    for args in (["remap-keys", "--drop", "bias"], ["save", "--exclude", "bias"], ["remap-keys", "--map", "bias=b"],
                 ["strip-module-prefix", "--add", "m."]):
        result = mlc.ok(args[0], path, "--key", "y", *args[1:], "-o", "out.pt", "--force")
        assert said.format(1) in result.stderr and said.format(2) in result.stderr
        after = torch.load(tmp_path / "out.pt")
        assert names(after["opt_1"]) == names(after["opt_2"]) == ["weight", "bias"]
    # Where every model changes alike it does not matter which is meant.
    result = mlc.ok("remap-keys", path, "--key", "*", "--drop", "bias", "-o", "all.pt")
    assert "optimizer" not in result.stderr
    after = torch.load(tmp_path / "all.pt")
    assert names(after["opt_1"]) == names(after["opt_2"]) == ["weight"]


def test_the_optimizer_of_a_model_under_other_names_was_edited(mlc, tmp_path):
    (g, opt_g), (d, opt_d) = named_pair()
    path = write(tmp_path / "in.pt", {
        "generator": g.state_dict(), "discriminator": torch.nn.DataParallel(d).state_dict(),
        "optimizer_g": opt_g.state_dict(), "optimizer_d": opt_d.state_dict()})
    result = mlc.ok("remap-keys", path, "--key", "generator", "--drop", "bias", "-o", "out.pt")
    after = torch.load(tmp_path / "out.pt")
    assert names(after["optimizer_g"]) == ["weight"] and names(after["optimizer_d"]) == ["weight", "bias"]
    assert "optimizer_d is left as it is" in result.stderr


def test_one_optimizer_of_two_models_followed_only_one(mlc, tmp_path):
    mpd, msd = torch.nn.Sequential(torch.nn.Linear(2, 2)), torch.nn.Sequential(torch.nn.Linear(3, 3))
    both = torch.nn.ModuleDict({"p": mpd, "s": msd})
    _, optimizer = trained(True, both)
    path = write(tmp_path / "in.pt", {
        "mpd": torch.nn.ModuleDict({"p": mpd}).state_dict(), "msd": torch.nn.ModuleDict({"s": msd}).state_dict(),
        "optim_d": optimizer.state_dict()})
    for key, gone in (("mpd", "p.0.bias"), ("msd", "s.0.bias")):
        mlc.ok("remap-keys", path, "--key", key, "--drop", "*.bias", "-o", f"{key}.pt")
        assert names(torch.load(tmp_path / f"{key}.pt")["optim_d"]) == [n for n in names(optimizer.state_dict())
                                                                      if n != gone]


def test_names_with_the_place_of_the_model_were_not_followed(mlc, tmp_path):
    both = torch.nn.ModuleDict({"student": torch.nn.Linear(2, 2), "teacher": torch.nn.Linear(2, 2)})
    _, optimizer = trained(True, both)
    path = write(tmp_path / "in.pt", {"student": both["student"].state_dict(), "teacher": both["teacher"].state_dict(),
                                      "opt": optimizer.state_dict()})
    mlc.ok("remap-keys", path, "--key", "student", "--drop", "bias", "--map", "weight=w", "-o", "out.pt")
    assert names(torch.load(tmp_path / "out.pt")["opt"]) == ["student.w", "teacher.weight", "teacher.bias"]


def test_names_with_an_unknown_prefix_got_out_of_step_silently(mlc, tmp_path):
    _, optimizer = trained(True, torch.nn.DataParallel(model := torch.nn.Linear(2, 2)))
    path = write(tmp_path / "in.pt", {"model": model.state_dict(), "opt": optimizer.state_dict()})
    result = mlc.ok("remap-keys", path, "--drop", "bias", "-o", "out.pt")
    assert "the optimizer state at opt is left as it is, for nothing tells whether it belongs to model" in result.stderr
    assert "optimizer" not in mlc.ok("strip-module-prefix", path, "--add", "module.", "-o", "o2.pt").stderr


def test_a_flattened_optimizer_was_not_followed(mlc, tmp_path):
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict, set_optimizer_state_dict
    options = StateDictOptions(flatten_optimizer_state_dict=True)
    model, optimizer = trained(False, torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)))
    weights, flat = get_state_dict(model, optimizer, options=options)
    path = write(tmp_path / "in.pt", {"model": weights, "optim": flat})
    for verb, option in (("remap-keys", "--drop"), ("save", "--exclude")):
        assert "optimizer" not in mlc.ok(verb, path, option, "1.*", "-o", f"{verb}.pt").stderr
        after = torch.load(tmp_path / f"{verb}.pt")
        smaller, fresh = trained(False, torch.nn.Sequential(torch.nn.Linear(2, 2)))
        set_optimizer_state_dict(smaller, fresh, after["optim"], options=options)
        for name, parameter in smaller.named_parameters():
            assert torch.equal(fresh.state[parameter]["exp_avg"], flat[f"state.{name}.exp_avg"])
    mlc.ok("remap-keys", path, "--add-prefix", "m.", "-o", "named.pt")
    assert list(torch.load(tmp_path / "named.pt")["optim"]) == [
        key.replace("state.", "state.m.").replace("param_groups.", "param_groups.m.") for key in flat]
    # A flat state is no model, wherever it stands.
    write(tmp_path / "two.pt", {"model": weights, "flat": flat})
    mlc.ok("remap-keys", "two.pt", "--add-prefix", "m.", "-o", "three.pt")


class Tied(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = torch.nn.Embedding(5, 3)
        self.head = torch.nn.Linear(3, 5, bias=False)
        self.head.weight = self.emb.weight


@pytest.mark.parametrize("verb, option", [("save", "--exclude"), ("remap-keys", "--drop")])
def test_one_name_of_a_tied_pair_is_no_parameter_lost(mlc, tmp_path, verb, option):
    model, optimizer = trained(False, Tied())
    path = write(tmp_path / "a.pt", {"model": model.state_dict(), "optimizer": optimizer.state_dict()})
    for key in ("emb.weight", "head.weight"):
        assert "optimizer" not in mlc.ok(verb, path, option, key, "-o", "out.pt", "-f").stderr
    both = {**model.state_dict(), "x": torch.ones(1)}
    path = write(tmp_path / "b.pt", {"model": both, "optimizer": optimizer.state_dict()})
    assert "no longer fits" in mlc.ok(verb, path, option, "*.weight" if verb == "save" else "emb.weight",
                                      *([] if verb == "save" else ["--drop", "head.weight"]), "-o", "out.pt", "-f").stderr


@pytest.mark.parametrize("verb, option", [("save", "--exclude"), ("remap-keys", "--drop")])
def test_what_the_optimizer_never_had_is_no_loss(mlc, tmp_path, verb, option):
    model = torch.nn.ModuleDict({"frozen": torch.nn.Linear(7, 7, bias=False), "fc": torch.nn.Linear(4, 3)})
    optimizer = torch.optim.AdamW(model["fc"].parameters())
    plain = torch.optim.SGD(model["fc"].parameters())  # which keeps nothing that would tell
    sum(p.sum() for p in model.parameters()).backward()
    optimizer.step()
    for name, state, warned in (("a.pt", optimizer.state_dict(), False), ("b.pt", plain.state_dict(), True)):
        path = write(tmp_path / name, {"model": model.state_dict(), "optimizer": state})
        assert ("no longer fits" in mlc.ok(verb, path, option, "frozen.weight", "-o", "out.pt", "-f").stderr) is warned
        assert "no longer fits" in mlc.ok(verb, path, option, "fc.bias", "-o", "out.pt", "-f").stderr


def test_a_merge_added_parameters_beside_an_optimizer_silently(mlc, tmp_path):
    model, optimizer = trained(True)
    write(tmp_path / "a.pt", {"model": model.state_dict(), "optimizer": optimizer.state_dict()})
    write(tmp_path / "b.pt", {"more.weight": torch.ones(2)})
    write(tmp_path / "c.pt", {"more.running_mean": torch.ones(2), "ids": torch.arange(3)})
    merged = mlc.ok("save", "--merge", "a.pt", "b.pt", "-o", "out.pt").stderr
    assert "the optimizer state at optimizer is kept but no longer fits the tensors" in merged
    assert "no longer fits" not in mlc.ok("save", "--merge", "a.pt", "c.pt", "-o", "out2.pt").stderr
    assert "no longer fits" not in mlc.ok("save", "--merge", "a.pt", "b.pt", "-o", "out.safetensors").stderr
