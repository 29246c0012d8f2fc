"""`mlc prune --method wanda|sparsegpt`: which weights go by what they are multiplied with, judged on inputs that were not seen."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from test_quantize_by_data import images, layer_db, net  # noqa: F401

pytestmark = pytest.mark.usefixtures("engine")
DATA = ("--arch", "arch.yaml", "--calib", "x.npy")
LAYERS = ("conv", "wide", "up", "head")


def pruned(mlc, tmp_path, *args):
    answer = mlc.ok("prune", "w.pt", "-o", "p.pt", *args, "-f", "--json").json
    return answer, torch.load(tmp_path / "p.pt", weights_only=True)


def inputs_of(module):
    found = {}
    hooks = [module.get_submodule(name).register_forward_pre_hook(lambda _, args, name=name: found.__setitem__(name, args[0]))
             for name in LAYERS]
    module(images(64, 2))
    for hook in hooks:
        hook.remove()
    return found


def test_outputs_lose_least_with_sparsegpt_and_most_by_magnitude(mlc, tmp_path, net):
    inputs = inputs_of(net)
    db = {}
    for method in ("magnitude", "wanda", "sparsegpt"):
        more = () if method == "magnitude" else DATA
        answer, state = pruned(mlc, tmp_path, "--method", method, "--amount", "0.5", *more)
        db[method] = {name: layer_db(net, state, name, inputs[name]) for name in LAYERS}
        assert answer["method"] == method and answer["sparsity"] == pytest.approx(0.5, abs=0.01)
    # `conv` has three channels of little and one of large inputs; of the others no column stands out.
    assert db["wanda"]["conv"] > db["magnitude"]["conv"] + 2, db
    assert all(db["sparsegpt"][name] > db["magnitude"][name] + 1 for name in LAYERS), db
    assert answer["by_data"]["output_sqnr_db"] > answer["by_data"]["output_sqnr_db_magnitude"] + 2


def test_wanda_keeps_of_each_row_what_matters_most(mlc, tmp_path, net):
    """By its definition: the weight times the norm of its input, half of every row."""
    answer, state = pruned(mlc, tmp_path, "--method", "wanda", "--amount", "0.5", *DATA)
    seen = []
    hook = net.up.register_forward_pre_hook(lambda _, args: seen.append(args[0].double()))
    with torch.no_grad():
        net(images(48, 1))
    hook.remove()
    score = net.up.weight.abs().double() * torch.cat(seen).square().sum(0).sqrt()
    keep = score >= score.sort(1).values[:, score.size(1) // 2 : score.size(1) // 2 + 1]
    assert torch.equal(state["up.weight"], net.up.weight.data * keep)
    kept = {row["name"]: row["reason"] for row in answer["kept"]}
    said = mlc.ok("prune", "w.pt", "-o", "p.pt", "-f", "--method", "wanda", "--amount", "0.5", *DATA).stdout
    assert "no convolution of one group" in said
    assert kept["grouped.weight"] == "no_inputs" and answer["by_data"]["tensors"] == 4


@pytest.mark.parametrize("method", ["wanda", "sparsegpt"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_two_of_four_in_every_type(mlc, tmp_path, net, method, dtype):
    torch.save({name: value.to(dtype) for name, value in net.state_dict().items()}, tmp_path / "w.pt")
    _, state = pruned(mlc, tmp_path, "--method", method, "--pattern", "2:4", *DATA)
    for name in ("up", "head"):
        weight = state[f"{name}.weight"]
        assert weight.dtype == dtype and ((weight != 0).view(-1, 4).sum(1) == 2).all()
    # Of a convolution neighbours are channels at one place of the kernel.
    for name in ("conv", "wide"):
        weight = state[f"{name}.weight"].transpose(1, -1)
        assert ((weight != 0).reshape(*weight.shape[:-1], -1, 4).sum(-1) == 2).all()


def test_two_of_four_in_convolutions_go_by_their_inputs(mlc, tmp_path, net):
    """By the definition of wanda: each channel and place of the kernel has a norm of its own."""
    seen = []
    hook = net.conv.register_forward_pre_hook(lambda _, args: seen.append(args[0].double()))
    with torch.no_grad():
        net(images(48, 1))
    hook.remove()
    norms = F.unfold(seen[0], 3, padding=1).square().sum((0, 2)).sqrt().view(4, 3, 3)
    answer, state = pruned(mlc, tmp_path, "--method", "wanda", "--pattern", "2:4", *DATA)
    score = net.conv.weight.detach().abs().double() * norms
    keep = score.argsort(1, descending=True).argsort(1) < 2
    assert torch.equal(state["conv.weight"], net.conv.weight.data * keep)
    assert answer["by_data"]["tensors"] == 4
    answer, _ = pruned(mlc, tmp_path, "--method", "sparsegpt", "--pattern", "2:4", *DATA)
    assert answer["by_data"]["output_sqnr_db"] > answer["by_data"]["output_sqnr_db_magnitude"] + 2


def test_own_amounts_dry_run_and_file_agree(mlc, tmp_path, net, valid):
    args = ("--method", "sparsegpt", "--amount", "0.5", "--tensor", "up=0.9", "--exclude", "head.*", *DATA, "--threads", "1")
    answer, state = pruned(mlc, tmp_path, *args)
    valid(answer, "prune")
    assert (state["up.weight"] == 0).float().mean().item() == pytest.approx(0.9, abs=0.01)
    assert torch.equal(state["head.weight"], net.head.weight.data)
    dry = mlc.ok("prune", "w.pt", "-n", *args, "--json").json
    assert dry["pruned"] == answer["pruned"] and dry["by_data"] == answer["by_data"]
    page = mlc.ok("prune", "w.pt", "-o", "p.pt", *args, "-f", "--report", "p.html")
    assert "outputs of their layers" in (tmp_path / "p.html").read_text() and "by data" in page.stdout


@pytest.mark.parametrize("args, rc, said", [
    (("--method", "wanda", "--amount", "0.5"), 2, "--calib FILE is missing"),
    (("--amount", "0.5", "--calib", "x.npy"), 2, "--calib and --arch are for --method wanda, sparsegpt and channels"),
    (("--method", "wanda", "--amount", "0.5", "--calib", "x.npy"), 4, "--arch"),
    (("--method", "wanda", "--amount", "0.5", "--scope", "global", *DATA), 2, "do not go with wanda"),
    (("--method", "sparsegpt", "--amount", "0.5", "--pattern", "rows", *DATA), 2, "do not go with wanda"),
    (("--method", "sparsegpt", "--amount", "99999", *DATA), 2, "take a share of each row"),
    (("--method", "sparsegpt", "--amount", "0.5", "--include", "grouped.*", *DATA), 1, "no linear layer or convolution"),
])
def test_bad_input(mlc, tmp_path, net, args, rc, said):
    result = mlc("prune", "w.pt", "-o", "p.pt", *args)
    assert (result.rc, said in result.stderr) == (rc, True), (result.rc, result.stderr)
    assert not (tmp_path / "p.pt").exists()


def test_weights_that_are_not_finite(mlc, tmp_path, net):
    net.head.weight.data[3, 5] = torch.nan
    torch.save(net.state_dict(), tmp_path / "w.pt")
    result = mlc("prune", "w.pt", "-o", "p.pt", "--method", "sparsegpt", "--amount", "0.5", *DATA)
    assert result.rc == 1 and "head.weight" in result.stderr and "--exclude it" in result.stderr
    _, state = pruned(mlc, tmp_path, "--method", "wanda", "--amount", "0.5", *DATA)
    assert state["head.weight"][3, 5].isnan() and (state["head.weight"][3] == 0).sum() == 48


@pytest.mark.parametrize("method", ["wanda", "sparsegpt"])
def test_samples_that_are_not_finite_are_refused(mlc, tmp_path, net, method):
    data = images(48, 1).numpy()
    data[3, 1, 2, 2] = np.nan
    np.save(tmp_path / "x.npy", data)
    result = mlc("prune", "w.pt", "-o", "p.pt", "--method", method, "--amount", "0.5", *DATA)
    assert result.rc == 1 and "sample 3 has 1 NaN or infinite value" in result.stderr and not (tmp_path / "p.pt").exists()


def test_gate_of_outputs(mlc, tmp_path, net):
    args = ("prune", "w.pt", "-o", "p.pt", "--method", "sparsegpt", "--amount", "0.5", *DATA)
    db = mlc.ok(*args, "--json").json["by_data"]["output_sqnr_db"]
    (tmp_path / "p.pt").unlink()
    result = mlc(*args, "--min-sqnr", str(db + 0.1))
    assert result.rc == 1 and "outputs of the layers" in result.stderr and not (tmp_path / "p.pt").exists()
    mlc.ok(*args, "--min-sqnr", str(db - 0.1))
    assert mlc(*args, "-f", "--min-cosine", "0.5").rc == 2


@pytest.mark.parametrize("method, says, least", [("wanda", "go first", 0.99), ("sparsegpt", "are likely to go", 0.5)])
def test_weights_whose_inputs_the_samples_never_show_went_without_a_word(mlc, tmp_path, net, method, says, least):
    data = images(48, 1).numpy()
    data[:, 3] = 0
    np.save(tmp_path / "x.npy", data)
    done = mlc.ok("prune", "w.pt", "-o", "p.pt", "--method", method, "--amount", "0.3", *DATA)
    assert "9 inputs of 1 layer never vary, they are 0 in all samples (conv.weight); their weights " + says in done.stderr
    gone = torch.load(tmp_path / "p.pt", weights_only=True)["conv.weight"] == 0
    assert gone[:, 3].float().mean() > least


@pytest.mark.parametrize("method", ["wanda", "sparsegpt"])
@pytest.mark.parametrize("args", [("--amount", "10"), ("--amount", "0.5", "--tensor", "conv=10")])
def test_a_number_of_weights_pruned_nothing(mlc, tmp_path, net, method, args):
    """Rows have shares of it, which are no weight each."""
    result = mlc("prune", "w.pt", "-o", "p.pt", "--method", method, *args, *DATA)
    assert result.rc == 2 and "take a share of each row" in result.stderr and not (tmp_path / "p.pt").exists()
