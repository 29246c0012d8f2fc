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
